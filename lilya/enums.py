"""The closed sets of words in the library. String members compare equal to their text, and `str()` gives it."""

from __future__ import annotations

from enum import Enum, IntEnum, StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lilya._long_enums import EventType, HTTPMethod

__all__ = [
    "Event",
    "EventType",
    "HTTPMethod",
    "Match",
    "MediaType",
    "MessageMode",
    "Scope",
    "ScopeType",
    "SignatureDefault",
    "WebSocketState",
]


class WebSocketState(IntEnum):
    """Where one side of a WebSocket conversation stands (see `lilya._state` for the rules)."""

    CONNECTING = 0
    CONNECTED = 1
    DISCONNECTED = 2
    # The application is sending a denial response (ASGI extension "WebSocket Denial Response").
    RESPONSE = 3


class ScopeType(StrEnum):
    """The `type` of an ASGI scope."""

    HTTP = "http"
    WEBSOCKET = "websocket"
    LIFESPAN = "lifespan"


class Event(StrEnum):
    """The names `on_event` accepts."""

    ON_STARTUP = "on_startup"
    ON_SHUTDOWN = "on_shutdown"


class Match(IntEnum):
    """How far a route fits a scope: not at all, all but the HTTP method, or fully."""

    NONE = 0
    PARTIAL = 1
    FULL = 2


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


class Scope(StrEnum):
    """How long a dependency's value lives: one request or connection, the application, or the process."""

    REQUEST = "request"
    APP = "app"
    GLOBAL = "global"


class SignatureDefault(Enum):
    """A parameter that has no default."""

    EMPTY = "empty"


def __getattr__(name: str) -> type[StrEnum]:
    # The long ones are made for whoever asks for them: making a member costs more than anything else of an import.
    if name not in ("EventType", "HTTPMethod"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from lilya import _long_enums  # noqa: PLC0415  # that is the point

    made: type[StrEnum] = getattr(_long_enums, name)
    return made
