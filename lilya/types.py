"""
The words that the whole library shares: ASGI's callables and the shapes users pass in.

`Any` appears here because ASGI itself is untyped (ASGI spec, "Connection scope" and "Events"):
a scope and a message are dictionaries whose values depend on their `type`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeAlias

__all__ = [
    "ASGIApp",
    "ApplicationType",
    "Dependencies",
    "ExceptionHandler",
    "ExceptionHandlers",
    "HTTPExceptionHandler",
    "Lifespan",
    "LifespanEvent",
    "Message",
    "OriginsSetting",
    "Receive",
    "Scope",
    "Send",
]

# Which web pages may open a WebSocket: "same", "*", or a list (`lilya._origins.Origins`).
OriginsSetting: TypeAlias = str | Iterable[str]

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]


class ASGIApp(Protocol):
    """Anything that speaks ASGI 3: one coroutine per connection."""

    def __call__(self, scope: Scope, receive: Receive, send: Send, /) -> Awaitable[None]: ...


# An application object: `Any` because users hand in apps of other frameworks.
ApplicationType: TypeAlias = Any
Lifespan: TypeAlias = Callable[[Any], AbstractAsyncContextManager[Mapping[str, Any] | None]]
LifespanEvent: TypeAlias = Callable[[], Any]

# An exception handler takes the connection (a `Request` or a `WebSocket`) and the exception; it may be
# sync or async, may use the socket itself, and may return a response.
ExceptionHandler: TypeAlias = Callable[[Any, Any], Any]
HTTPExceptionHandler: TypeAlias = ExceptionHandler
ExceptionHandlers: TypeAlias = Mapping[int | type[BaseException], ExceptionHandler]

# Dependencies by argument name: a `Provide`, a callable that makes the value, or the value itself.
Dependencies: TypeAlias = Mapping[str, Any]
