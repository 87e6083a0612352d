"""The closed sets of words in the library. String members compare equal to their text, and `str()` gives it."""

from __future__ import annotations

from enum import Enum, IntEnum, StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lilya._lazy_enums import (
        Event,
        EventType,
        HTTPMethod,
        MediaType,
        MessageMode,
        ScopeType,
        SignatureDefault,
    )

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


class Match(IntEnum):
    """How far a route fits a scope: not at all, all but the HTTP method, or fully."""

    NONE = 0
    PARTIAL = 1
    FULL = 2


class Scope(StrEnum):
    """How long a dependency's value lives: one request or connection, the application, or the process."""

    REQUEST = "request"
    APP = "app"
    GLOBAL = "global"


LAZY = frozenset({"Event", "EventType", "HTTPMethod", "MediaType", "MessageMode", "ScopeType", "SignatureDefault"})


def __getattr__(name: str) -> type[Enum]:
    # Those that the library itself does without are made for whoever asks for them: a member takes long to make.
    if name not in LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from lilya import _lazy_enums  # noqa: PLC0415  # that is the point

    made: type[Enum] = getattr(_lazy_enums, name)
    return made
