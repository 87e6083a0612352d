"""The enumerations of `lilya.enums` that the library itself does without."""

from enum import Enum, StrEnum

__all__ = ["Event", "EventType", "HTTPMethod", "MediaType", "MessageMode", "ScopeType", "SignatureDefault"]


class EventType(StrEnum):
    """The `type` of an ASGI message (ASGI spec: HTTP & WebSocket, Lifespan, WebSocket Denial Response)."""

    HTTP_REQUEST = "http.request"
    HTTP_DISCONNECT = "http.disconnect"
    HTTP_RESPONSE_START = "http.response.start"
    HTTP_RESPONSE_BODY = "http.response.body"
    WEBSOCKET_CONNECT = "websocket.connect"
    WEBSOCKET_ACCEPT = "websocket.accept"
    WEBSOCKET_RECEIVE = "websocket.receive"
    WEBSOCKET_SEND = "websocket.send"
    WEBSOCKET_DISCONNECT = "websocket.disconnect"
    WEBSOCKET_CLOSE = "websocket.close"
    WEBSOCKET_HTTP_RESPONSE_START = "websocket.http.response.start"
    WEBSOCKET_HTTP_RESPONSE_BODY = "websocket.http.response.body"
    LIFESPAN_STARTUP = "lifespan.startup"
    LIFESPAN_STARTUP_COMPLETE = "lifespan.startup.complete"
    LIFESPAN_STARTUP_FAILED = "lifespan.startup.failed"
    LIFESPAN_SHUTDOWN = "lifespan.shutdown"
    LIFESPAN_SHUTDOWN_COMPLETE = "lifespan.shutdown.complete"
    LIFESPAN_SHUTDOWN_FAILED = "lifespan.shutdown.failed"


class HTTPMethod(StrEnum):
    """The HTTP request methods (RFC 9110 §9; PATCH: RFC 5789)."""

    GET = "GET"
    HEAD = "HEAD"
    POST = "POST"
    PUT = "PUT"
    PATCH = "PATCH"
    DELETE = "DELETE"
    CONNECT = "CONNECT"
    OPTIONS = "OPTIONS"
    TRACE = "TRACE"


class ScopeType(StrEnum):
    """The `type` of an ASGI scope."""

    HTTP = "http"
    WEBSOCKET = "websocket"
    LIFESPAN = "lifespan"


class MediaType(StrEnum):
    """Media types the responses use."""

    JSON = "application/json"
    HTML = "text/html"
    TEXT = "text/plain"
    OCTET = "application/octet-stream"


class MessageMode(StrEnum):
    """The kind of frame that carries JSON: a text frame or a binary one (RFC 6455 §5.6)."""

    TEXT = "text"
    BINARY = "binary"


class SignatureDefault(Enum):
    """A parameter that has no default."""

    EMPTY = "empty"


class Event(StrEnum):
    """The names `on_event` accepts."""

    ON_STARTUP = "on_startup"
    ON_SHUTDOWN = "on_shutdown"
