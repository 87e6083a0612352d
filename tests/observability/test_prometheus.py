"""The Prometheus instrument, seen through the text that a server of Prometheus reads."""

import importlib
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import prometheus_client
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.parser import text_string_to_metric_families

from lilya.observability.prometheus import PrometheusInstrument
from tests.observability.connection import ToldConnection


def read_samples(registry: CollectorRegistry) -> dict[str, float]:
    """The samples of the registry's text as a reader of Prometheus parses it, without buckets and times of creation."""
    families = text_string_to_metric_families(generate_latest(registry).decode())
    samples = [sample for family in families for sample in family.samples]
    return {
        f"{name}{{{','.join(f'{label}={value}' for label, value in sorted(labels.items()))}}}": value
        for name, labels, value, *_ in samples
        if not name.endswith(("_created", "_bucket"))
    }


def test_prometheus_counts_the_life_of_a_connection() -> None:
    """Opened, messages, and closed: every metric, with the template of the route as its label."""
    registry = CollectorRegistry()
    connection = ToldConnection(PrometheusInstrument(registry))
    connection.open()
    connection.receive("hi")
    connection.send("hello")
    connection.send(b"!")
    assert read_samples(registry) == {
        "lilya_websocket_open_connections{route=/chat/{room}}": 1,
        "lilya_websocket_opened_total{route=/chat/{room}}": 1,
        "lilya_websocket_received_messages_total{route=/chat/{room}}": 1,
        "lilya_websocket_sent_messages_total{route=/chat/{room}}": 2,
        "lilya_websocket_connection_seconds_count{route=/chat/{room}}": 0,
        "lilya_websocket_connection_seconds_sum{route=/chat/{room}}": 0,
    }
    connection.close(1000, seconds=2.5)
    assert read_samples(registry) == {
        "lilya_websocket_open_connections{route=/chat/{room}}": 0,
        "lilya_websocket_opened_total{route=/chat/{room}}": 1,
        "lilya_websocket_closed_total{code=1000,route=/chat/{room}}": 1,
        "lilya_websocket_received_messages_total{route=/chat/{room}}": 1,
        "lilya_websocket_sent_messages_total{route=/chat/{room}}": 2,
        "lilya_websocket_connection_seconds_count{route=/chat/{room}}": 1,
        "lilya_websocket_connection_seconds_sum{route=/chat/{room}}": 2.5,
    }


def test_prometheus_text_says_what_a_metric_is() -> None:
    """Type, help and buckets are in the text as it goes out."""
    registry = CollectorRegistry()
    connection = ToldConnection(PrometheusInstrument(registry))
    connection.open()
    connection.close(seconds=7)
    lines = generate_latest(registry).decode().splitlines()
    for line in (
        "# HELP lilya_websocket_open_connections WebSocket connections that are open now.",
        "# TYPE lilya_websocket_open_connections gauge",
        "# TYPE lilya_websocket_opened_total counter",
        "# TYPE lilya_websocket_connection_seconds histogram",
        'lilya_websocket_closed_total{code="1000",route="/chat/{room}"} 1.0',
        'lilya_websocket_connection_seconds_bucket{le="5.0",route="/chat/{room}"} 0.0',
        'lilya_websocket_connection_seconds_bucket{le="15.0",route="/chat/{room}"} 1.0',
        'lilya_websocket_connection_seconds_bucket{le="86400.0",route="/chat/{room}"} 1.0',
    ):
        assert line in lines


def test_prometheus_counts_refusals_by_cause() -> None:
    """A handshake that found no route is under "-"; no path of a client becomes a label."""
    registry = CollectorRegistry()
    instrument = PrometheusInstrument(registry)
    ToldConnection(instrument, path="/.env").refuse(404, "not_found")
    ToldConnection(instrument, path="/wp-admin").refuse(404, "not_found")
    ToldConnection(instrument).refuse(403, "origin", route="/chat/{room}")
    ToldConnection(instrument).refuse(None, "client", route="/chat/{room}")
    assert read_samples(registry) == {
        "lilya_websocket_refused_total{cause=not_found,route=-}": 2,
        "lilya_websocket_refused_total{cause=origin,route=/chat/{room}}": 1,
        "lilya_websocket_refused_total{cause=client,route=/chat/{room}}": 1,
    }


@pytest.mark.parametrize(
    ("code", "ended_by", "label"),
    [
        (1000, "client", "1000"),
        (1006, "client", "1006"),
        (2999, "client", "2999"),
        (3000, "client", "3xxx"),
        (4999, "client", "4xxx"),
        (4401, "application", "4401"),
        (4429, "limit", "4429"),
        (None, "error", "-"),
    ],
)
def test_prometheus_bounds_what_a_client_can_write_into_a_label(code: int | None, ended_by: str, label: str) -> None:
    """Codes a client may choose freely are summed up; those of the application are kept."""
    registry = CollectorRegistry()
    connection = ToldConnection(PrometheusInstrument(registry))
    connection.open(route=None)
    connection.close(code, ended_by)
    assert read_samples(registry)[f"lilya_websocket_closed_total{{code={label},route=-}}"] == 1


def test_prometheus_gauge_goes_down_where_it_went_up() -> None:
    """A connection that was accepted before its route was known leaves no trace in the gauge."""
    registry = CollectorRegistry()
    connection = ToldConnection(PrometheusInstrument(registry))
    connection.open(route=None)
    connection.info.route = "/chat/{room}"
    connection.close()
    samples = read_samples(registry)
    assert {name: value for name, value in samples.items() if "open_connections" in name} == {
        "lilya_websocket_open_connections{route=-}": 0
    }


@given(st.lists(st.tuples(st.sampled_from(["/a", "/b/{c}"]), st.booleans(), st.integers(0, 3))))
def test_prometheus_gauge_is_opened_minus_closed(connections: list[tuple[str, bool, int]]) -> None:
    """Whatever happens in which order, the numbers are those of the connections, and nothing is kept of the closed."""
    registry = CollectorRegistry()
    instrument = PrometheusInstrument(registry)
    told = [ToldConnection(instrument, id=str(number)) for number in range(len(connections))]
    for connection, (route, _, messages) in zip(told, connections, strict=True):
        connection.open(route)
        for _ in range(messages):
            connection.receive("x")
    for connection, (_, stays, _) in zip(told, connections, strict=True):
        if not stays:
            connection.close()
    routes = Counter(route for route, _, _ in connections)
    left = Counter(route for route, stays, _ in connections if stays)
    samples = read_samples(registry)
    for route, number in routes.items():
        assert samples[f"lilya_websocket_opened_total{{route={route}}}"] == number
        assert samples[f"lilya_websocket_open_connections{{route={route}}}"] == left[route]
        assert samples[f"lilya_websocket_received_messages_total{{route={route}}}"] == sum(
            messages for at, _, messages in connections if at == route
        )
    assert len(instrument._of_connection) == sum(left.values())


def test_prometheus_takes_the_default_registry_and_another_namespace() -> None:
    """Without a registry the metrics are in the one that `generate_latest` and `start_http_server` use."""
    instrument = PrometheusInstrument(namespace="shop")
    try:
        ToldConnection(instrument).refuse(503, "draining")
        assert read_samples(prometheus_client.REGISTRY)["shop_websocket_refused_total{cause=draining,route=-}"] == 1
        with pytest.raises(ValueError, match="shop_websocket"):
            PrometheusInstrument(namespace="shop")
    finally:
        for collector in {
            collector
            for collector, names in prometheus_client.REGISTRY._collector_to_names.items()
            if any(name.startswith("shop_") for name in names)
        }:
            prometheus_client.REGISTRY.unregister(collector)


WORKER = """
from lilya.instruments import ConnectionInfo
from lilya.observability.prometheus import PrometheusInstrument
PrometheusInstrument().opened(ConnectionInfo(id="a1", route="/a"))
"""


def test_prometheus_sums_over_workers(tmp_path: Path) -> None:
    """In the multiprocess mode of prometheus_client one number counts the connections of all workers."""
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    for _ in range(2):
        subprocess.run([sys.executable, "-c", WORKER], env=environment, timeout=20, check=True)
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(tmp_path))  # type: ignore[no-untyped-call]  # it has no annotations
    samples = read_samples(registry)
    assert samples["lilya_websocket_open_connections{route=/a}"] == 2
    assert samples["lilya_websocket_opened_total{route=/a}"] == 2


def test_prometheus_says_which_extra_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without prometheus_client the error names the extra, and how to install it."""
    missing: Any = None
    monkeypatch.setitem(sys.modules, "prometheus_client", missing)
    monkeypatch.delitem(sys.modules, "lilya.observability.prometheus")
    with pytest.raises(ImportError, match=r"needs the package prometheus_client.*'\.\[prometheus\]'") as raised:
        importlib.import_module("lilya.observability.prometheus")
    assert raised.value.name == "prometheus_client"
