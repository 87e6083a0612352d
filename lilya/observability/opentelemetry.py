"""
Traces of WebSocket connections for OpenTelemetry. Needs the extra `opentelemetry` (opentelemetry-api).

A connection may live for days, while a span is exported when it ends and tracing systems expect a trace to be over
within seconds. So there is no span for the connection: there are short ones for its handshake, its end and, on
request, its messages. The handshake's is an HTTP server span of the trace that the client began (semantic conventions
for HTTP spans; there are none for WebSocket yet). The later ones do not belong into that trace; they refer to the
handshake by a link.
"""

from __future__ import annotations

from lilya._version import __version__
from lilya.instruments import ConnectionInfo, Instrument

try:
    from opentelemetry import propagate, trace
    from opentelemetry.context import Context
except ImportError as _missing:
    raise ImportError(
        "lilya.observability.opentelemetry needs the package opentelemetry-api. In a checkout of lilya: "
        "pip install '.[opentelemetry]'; anywhere else: pip install opentelemetry-api",
        name="opentelemetry",
    ) from _missing

__all__ = ["OpenTelemetryInstrument"]


class OpenTelemetryInstrument(Instrument):
    """
    Makes these spans, with the id of the connection as `lilya.connection.id` on each:

    - `GET /chat/{room}`, kind server: from the arrival of the handshake to its answer, with the status that the client
      saw, 101 if the connection was opened. Its parent is what the headers say (`traceparent`, or whatever the
      propagators are set to). A refusal has `lilya.refusal.cause`, and with a status of 5xx it is an error.
    - `close /chat/{room}`, kind internal: the end of an opened connection, in a trace of its own, with a link to the
      handshake. It has `lilya.close.code`, `lilya.close.ended_by`, `lilya.connection.seconds`, `.received`, `.sent`;
      with "error" as `ended_by` it is an error.
    - `receive /chat/{room}` and `send /chat/{room}`, kinds consumer and producer, if `messages` is true: one message
      with its `lilya.message.size` (characters or bytes) and `lilya.message.kind` ("text" or "binary"), and a link to
      the handshake. If your code has made a span current, it is their parent, else they have none.

    Query strings, headers, reasons of a close and contents of messages are in none of them. The path is (`url.path`).

    Args:
        tracer_provider: The global one if it is None.
        messages: Make a span for each message.
    """

    def __init__(self, tracer_provider: trace.TracerProvider | None = None, messages: bool = False) -> None:
        self.message_hooks = messages
        self._tracer = trace.get_tracer("lilya", __version__, tracer_provider)
        self._handshakes: dict[str, trace.Span] = {}
        self._links: dict[str, list[trace.Link]] = {}

    def handshake(self, info: ConnectionInfo) -> None:
        method, _ = _opening(info)
        self._handshakes[info.id] = self._tracer.start_span(
            method,
            propagate.extract(_text_headers(info)),
            trace.SpanKind.SERVER,
            {
                "http.request.method": method,
                "url.path": info.path,
                "url.scheme": info.scope.get("scheme", "ws"),
                "network.protocol.name": "websocket",
                "lilya.connection.id": info.id,
            },
        )

    def opened(self, info: ConnectionInfo) -> None:
        _, status = _opening(info)
        span = self._answer(info, status)
        self._links[info.id] = [trace.Link(span.get_span_context())]

    def refused(self, info: ConnectionInfo) -> None:
        self._answer(info, info.status)

    def closed(self, info: ConnectionInfo) -> None:
        span = self._tracer.start_span(
            _name("close", info),
            Context(),
            attributes={
                **_attributes(info),
                "lilya.close.ended_by": info.ended_by,
                "lilya.connection.seconds": info.seconds,
                "lilya.connection.received": info.received,
                "lilya.connection.sent": info.sent,
            },
            links=self._links.pop(info.id),
        )
        if info.code is not None:
            span.set_attribute("lilya.close.code", info.code)
        if info.ended_by == "error":
            span.set_status(trace.StatusCode.ERROR)
        span.end()

    def received(self, info: ConnectionInfo, size: int, kind: str) -> None:
        self._message("receive", trace.SpanKind.CONSUMER, info, size, kind)

    def sent(self, info: ConnectionInfo, size: int, kind: str) -> None:
        self._message("send", trace.SpanKind.PRODUCER, info, size, kind)

    def _answer(self, info: ConnectionInfo, status: int | None) -> trace.Span:
        """End the span of a handshake."""
        span = self._handshakes.pop(info.id)
        if info.route is not None:
            span.update_name(_name(_opening(info)[0], info))
            span.set_attribute("http.route", info.route)
        if info.cause:
            span.set_attribute("lilya.refusal.cause", info.cause)
        if status is not None:
            span.set_attribute("http.response.status_code", status)
            if status >= 500:
                span.set_attribute("error.type", str(status))
                span.set_status(trace.StatusCode.ERROR)
        span.end()
        return span

    def _message(self, verb: str, span_kind: trace.SpanKind, info: ConnectionInfo, size: int, kind: str) -> None:
        attributes = {**_attributes(info), "lilya.message.size": size, "lilya.message.kind": kind}
        links = self._links[info.id]
        self._tracer.start_span(_name(verb, info), kind=span_kind, attributes=attributes, links=links).end()


def _opening(info: ConnectionInfo) -> tuple[str, int]:
    """Method and status of a handshake: RFC 6455 §4.1 and §4.2.2, from HTTP/2 on RFC 8441 §5 and RFC 9220."""
    return ("GET", 101) if info.scope.get("http_version", "1.1").startswith("1") else ("CONNECT", 200)


def _name(verb: str, info: ConnectionInfo) -> str:
    return verb if info.route is None else f"{verb} {info.route}"


def _attributes(info: ConnectionInfo) -> dict[str, str | int | float]:
    attributes: dict[str, str | int | float] = {"lilya.connection.id": info.id, "network.protocol.name": "websocket"}
    if info.route is not None:
        attributes["http.route"] = info.route
    return attributes


def _text_headers(info: ConnectionInfo) -> dict[str, list[str]]:
    headers: dict[str, list[str]] = {}
    for name, value in info.scope.get("headers", ()):
        headers.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
    return headers
