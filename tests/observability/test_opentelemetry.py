"""The OpenTelemetry instrument, seen through what the SDK exports."""

import importlib
import sys
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, SpanKind, StatusCode

from lilya._version import __version__
from lilya.observability.opentelemetry import OpenTelemetryInstrument
from tests.observability.connection import ToldConnection

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
PARENT_ID = "b7ad6b7169203331"


class Tracing:
    """An SDK that keeps what it exports."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    def take(self) -> tuple[ReadableSpan, ...]:
        """The spans exported since the last call, in the order of their ends."""
        spans = self.exporter.get_finished_spans()
        self.exporter.clear()
        return spans

    def take_one(self) -> ReadableSpan:
        (span,) = self.take()
        return span


@pytest.fixture
def tracing() -> Tracing:
    return Tracing()


def context_of(span: ReadableSpan) -> SpanContext:
    context = span.get_span_context()
    assert context is not None
    return context


def duration_of(span: ReadableSpan) -> int:
    assert span.start_time is not None
    assert span.end_time is not None
    return span.end_time - span.start_time


def test_opentelemetry_handshake_is_a_server_span(tracing: Tracing) -> None:
    """It is exported when the connection is opened, with the attributes of an HTTP server span and status 101."""
    connection = ToldConnection(OpenTelemetryInstrument(tracing.provider))
    assert tracing.take() == ()
    connection.open()
    span = tracing.take_one()
    assert (span.name, span.kind, span.parent, span.status.status_code) == (
        "GET /chat/{room}",
        SpanKind.SERVER,
        None,
        StatusCode.UNSET,
    )
    assert dict(span.attributes or {}) == {
        "http.request.method": "GET",
        "http.route": "/chat/{room}",
        "http.response.status_code": 101,
        "url.path": "/chat/x",
        "url.scheme": "ws",
        "network.protocol.name": "websocket",
        "lilya.connection.id": "a1",
    }
    scope = span.instrumentation_scope
    assert scope is not None
    assert (scope.name, scope.version) == ("lilya", __version__)


def test_opentelemetry_handshake_over_http2_is_a_connect(tracing: Tracing) -> None:
    """RFC 8441: the method is CONNECT, and a connection is opened with 200."""
    ToldConnection(OpenTelemetryInstrument(tracing.provider), http_version="2", scheme="wss").open()
    span = tracing.take_one()
    attributes = dict(span.attributes or {})
    assert span.name == "CONNECT /chat/{room}"
    assert [attributes[name] for name in ("http.request.method", "http.response.status_code", "url.scheme")] == [
        "CONNECT",
        200,
        "wss",
    ]


def test_opentelemetry_handshake_continues_the_trace_of_the_client(tracing: Tracing) -> None:
    """The parent is the span that `traceparent` names; `tracestate` may come in several headers."""
    headers = [
        (b"host", b"example.com"),
        (b"traceparent", f"00-{TRACE_ID}-{PARENT_ID}-01".encode()),
        (b"tracestate", b"a=1"),
        (b"tracestate", b"b=2"),
    ]
    ToldConnection(OpenTelemetryInstrument(tracing.provider), headers=headers).open()
    span = tracing.take_one()
    assert span.parent is not None
    assert (context_of(span).trace_id, span.parent.span_id) == (int(TRACE_ID, 16), int(PARENT_ID, 16))
    assert dict(context_of(span).trace_state) == {"a": "1", "b": "2"}


@pytest.mark.parametrize("value", [b"", b"00-zz-zz-01", b"\xff\xfe", f"00-{'0' * 32}-{PARENT_ID}-01".encode()])
def test_opentelemetry_handshake_ignores_a_traceparent_that_is_none(tracing: Tracing, value: bytes) -> None:
    """Nonsense from a client begins a new trace (W3C Trace Context §3.2)."""
    ToldConnection(OpenTelemetryInstrument(tracing.provider), headers=[(b"traceparent", value)]).open()
    assert tracing.take_one().parent is None


@pytest.mark.parametrize(
    ("status", "cause", "route", "name", "more", "status_code"),
    [
        (404, "not_found", None, "GET", {}, StatusCode.UNSET),
        (403, "origin", "/c", "GET /c", {"http.route": "/c"}, StatusCode.UNSET),
        (503, "draining", "/c", "GET /c", {"http.route": "/c", "error.type": "503"}, StatusCode.ERROR),
    ],
)
def test_opentelemetry_refusal_has_its_status_and_cause(
    tracing: Tracing,
    status: int,
    cause: str,
    route: str | None,
    name: str,
    more: dict[str, Any],
    status_code: StatusCode,
) -> None:
    """4xx is the client's doing and no error of ours, 5xx is one (semantic conventions for HTTP spans, "Status")."""
    instrument = OpenTelemetryInstrument(tracing.provider)
    ToldConnection(instrument).refuse(status, cause, route)
    span = tracing.take_one()
    assert (span.name, span.status.status_code) == (name, status_code)
    assert dict(span.attributes or {}) == {
        "http.request.method": "GET",
        "http.response.status_code": status,
        "url.path": "/chat/x",
        "url.scheme": "ws",
        "network.protocol.name": "websocket",
        "lilya.connection.id": "a1",
        "lilya.refusal.cause": cause,
        **more,
    }
    assert (instrument._handshakes, instrument._links) == ({}, {})


def test_opentelemetry_handshake_that_nobody_answered_has_no_status(tracing: Tracing) -> None:
    """The client left before the answer."""
    ToldConnection(OpenTelemetryInstrument(tracing.provider)).refuse(None, "client", "/c")
    attributes = tracing.take_one().attributes or {}
    assert "http.response.status_code" not in attributes
    assert attributes["lilya.refusal.cause"] == "client"


@pytest.mark.parametrize(
    ("route", "name", "more"),
    [("/chat/{room}", "close /chat/{room}", {"http.route": "/chat/{room}"}), (None, "close", {})],
)
@pytest.mark.parametrize(
    ("code", "ended_by", "status"),
    [(1000, "application", StatusCode.UNSET), (1011, "error", StatusCode.ERROR), (None, "error", StatusCode.ERROR)],
)
def test_opentelemetry_end_is_a_trace_of_its_own(
    tracing: Tracing,
    route: str | None,
    name: str,
    more: dict[str, Any],
    code: int | None,
    ended_by: str,
    status: StatusCode,
) -> None:
    """It links to the handshake instead of being its child, and says how the connection went."""
    instrument = OpenTelemetryInstrument(tracing.provider)
    connection = ToldConnection(instrument)
    connection.open(route)
    connection.receive("hi")
    with tracing.provider.get_tracer("app").start_as_current_span("handler"):
        connection.close(code, ended_by, seconds=2.5)
    handshake, end, _ = tracing.take()
    assert (end.name, end.kind, end.parent, end.status.status_code) == (name, SpanKind.INTERNAL, None, status)
    assert [link.context for link in end.links] == [context_of(handshake)]
    assert context_of(end).trace_id != context_of(handshake).trace_id
    assert dict(end.attributes or {}) == {
        "lilya.connection.id": "a1",
        "network.protocol.name": "websocket",
        "lilya.close.ended_by": ended_by,
        "lilya.connection.seconds": 2.5,
        "lilya.connection.received": 1,
        "lilya.connection.sent": 0,
        **({"lilya.close.code": code} if code else {}),
        **more,
    }
    assert (instrument._handshakes, instrument._links) == ({}, {})


def test_opentelemetry_messages_are_not_traced_by_default(tracing: Tracing) -> None:
    """Two spans for a connection, however many messages."""
    connection = ToldConnection(OpenTelemetryInstrument(tracing.provider))
    connection.open()
    for _ in range(5):
        connection.receive("hi")
        connection.send("ho")
    connection.close()
    assert [span.name for span in tracing.take()] == ["GET /chat/{room}", "close /chat/{room}"]


def test_opentelemetry_messages_link_to_the_handshake(tracing: Tracing) -> None:
    """On request: one short span each, none of them in the trace of the handshake."""
    connection = ToldConnection(OpenTelemetryInstrument(tracing.provider, messages=True))
    connection.open()
    handshake = tracing.take_one()
    connection.receive("hi")
    connection.send(b"hello")
    spans = tracing.take()
    common = {"lilya.connection.id": "a1", "network.protocol.name": "websocket", "http.route": "/chat/{room}"}
    assert [(span.name, span.kind, span.parent, dict(span.attributes or {})) for span in spans] == [
        (
            "receive /chat/{room}",
            SpanKind.CONSUMER,
            None,
            {**common, "lilya.message.size": 2, "lilya.message.kind": "text"},
        ),
        (
            "send /chat/{room}",
            SpanKind.PRODUCER,
            None,
            {**common, "lilya.message.size": 5, "lilya.message.kind": "binary"},
        ),
    ]
    assert [[link.context for link in span.links] for span in spans] == [[context_of(handshake)]] * 2
    assert len({context_of(span).trace_id for span in (handshake, *spans)}) == 3
    assert all(duration_of(span) < 1_000_000_000 for span in spans)


def test_opentelemetry_message_belongs_to_the_span_of_the_handler(tracing: Tracing) -> None:
    """A message that is sent inside a span of the application is its child, and still links to the handshake."""
    connection = ToldConnection(OpenTelemetryInstrument(tracing.provider, messages=True))
    connection.open()
    with tracing.provider.get_tracer("app").start_as_current_span("answer") as answer:
        connection.send("hi")
    handshake, sent, _ = tracing.take()
    assert sent.parent == answer.get_span_context()
    assert [link.context for link in sent.links] == [context_of(handshake)]


def test_opentelemetry_spans_hold_no_secrets(tracing: Tracing) -> None:
    """Neither the query string nor a header, a message or the reason of a close is in what is exported."""
    headers = [(b"authorization", b"Bearer s3cr3t"), (b"cookie", b"session=s3cr3t"), (b"baggage", b"token=s3cr3t")]
    connection = ToldConnection(
        OpenTelemetryInstrument(tracing.provider, messages=True), query_string=b"token=s3cr3t", headers=headers
    )
    connection.open()
    connection.receive("s3cr3t")
    connection.close()
    spans = tracing.take()
    assert len(spans) == 3
    for span in spans:
        assert "s3cr3t" not in span.to_json()


def test_opentelemetry_costs_nothing_but_calls_without_an_sdk() -> None:
    """With the API alone, as a library's users may have it, nothing is recorded and nothing fails."""
    assert not isinstance(trace.get_tracer_provider(), TracerProvider)
    connection = ToldConnection(OpenTelemetryInstrument(messages=True))
    connection.open()
    connection.send("hi")
    connection.close()


def test_opentelemetry_says_which_extra_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without opentelemetry-api the error names the extra, and how to install it."""
    missing: Any = None
    monkeypatch.setitem(sys.modules, "opentelemetry", missing)
    monkeypatch.delitem(sys.modules, "lilya.observability.opentelemetry")
    with pytest.raises(ImportError, match=r"needs the package opentelemetry-api.*'\.\[opentelemetry\]'") as raised:
        importlib.import_module("lilya.observability.opentelemetry")
    assert raised.value.name == "opentelemetry"
