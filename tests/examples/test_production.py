"""examples/production.py, served with uvicorn."""

import contextlib
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from tests.support.servers import ROOT, RunningFile, serve_file

OWN = Origin("http://127.0.0.1:8000")
OTHER = Origin("https://evil.example")


@pytest.fixture
def server() -> Iterator[RunningFile]:
    """The example in a process of its own, which must not log an error."""
    with serve_file("examples/production.py") as running:
        yield running
    assert "Traceback" not in running.log()


def close_of(client: ClientConnection) -> tuple[int | None, str | None]:
    """The code and the reason that the server closes with."""
    try:
        while True:
            client.recv()
    except ConnectionClosed:
        return client.close_code, client.close_reason


def test_production_lets_its_own_pages_and_programs_in() -> None:
    """And pages of partners; but no others, and the log says which setting would."""
    with serve_file("examples/production.py") as server:
        for origin in (None, OWN, Origin("https://eu.partner.example")):
            with connect(server.ws_url("/feed/cats"), origin=origin) as client:
                client.send("miaow")
                assert client.recv() == "cats: noted, 5"
        with pytest.raises(InvalidStatus) as refused:
            connect(server.ws_url("/feed/cats"), origin=OTHER)
    assert refused.value.response.status_code == 403
    assert "is not in the list of origins; allow it with origins=[..., 'https://evil.example']" in server.log()


def test_production_holds_its_clients_to_the_limits(server: RunningFile) -> None:
    """Too many messages, one that is too big, too many connections of one client."""
    with connect(server.ws_url("/feed/cats")) as client:
        for _ in range(4):
            client.send("miaow")
        assert close_of(client) == (4429, "too many messages")
    with connect(server.ws_url("/feed/cats")) as client:
        client.send("x" * 4097)
        assert close_of(client) == (1009, "a message may have 4096 bytes")
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(connect(server.ws_url("/feed/cats")))
        with pytest.raises(InvalidStatus) as refused:
            connect(server.ws_url("/feed/cats"))
        assert refused.value.response.status_code == 429
        assert 1 <= int(refused.value.response.headers["retry-after"]) <= 10


def test_production_counts(server: RunningFile) -> None:
    """What the application counts itself, and what Prometheus is told."""
    with connect(server.ws_url("/feed/cats")) as client:
        client.send("miaow")
        client.recv()
        counts = httpx.get(server.url("/stats")).json()
        assert (counts["open"], counts["opened"], counts["received"], counts["sent"]) == (1, 1, 1, 1)
        assert 'lilya_websocket_open_connections{route="/feed/<topic>"} 1.0' in httpx.get(server.url("/metrics")).text


@pytest.mark.timeout(60)  # the example takes ten seconds for it
def test_production_says_goodbye() -> None:
    """On SIGTERM its clients are told to come back, and the log has a line for each."""
    with serve_file("examples/production.py") as server:
        with connect(server.ws_url("/feed/cats")) as client:
            os.kill(server.pid, signal.SIGTERM)
            assert close_of(client) == (1012, "service restart")
    assert re.search(r"INFO lilya.websocket: close /feed/cats route=/feed/<topic> code=1012 by=drain ", server.log())
    assert "Traceback" not in server.log()


def test_production_needs_no_prometheus(tmp_path: Path) -> None:
    """Without the extra it runs, and has no metrics."""
    (tmp_path / "prometheus_client.py").write_text("raise ImportError", encoding="utf-8")
    path = os.pathsep.join(map(str, (tmp_path, ROOT)))
    with serve_file("examples/production.py", env={"PYTHONPATH": path}) as server:
        assert httpx.get(server.url("/metrics")).status_code == 404
        with connect(server.ws_url("/feed/cats")) as client:
            client.send("miaow")
            assert client.recv() == "cats: noted, 5"
