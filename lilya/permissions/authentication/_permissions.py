"""The permissions: who is there, and whether they may."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Literal

from lilya._connection import Connection
from lilya._layers import call
from lilya.exceptions import AuthenticationError, ImproperlyConfigured, NotAuthorized, PermissionDenied
from lilya.protocols.permissions import PermissionProtocol
from lilya.requests import Request
from lilya.types import ASGIApp, Receive, Scope, Send
from lilya.websockets import WebSocket

__all__ = ["Authenticated", "Requires"]


class _Asks(PermissionProtocol):
    """A permission that asks a function of the user; what both permissions have in common."""

    def __init__(self, app: ASGIApp, function: Callable[[Any], Any], refuse: str) -> None:
        super().__init__(app)
        name = type(self).__name__
        if not callable(function):
            raise ImproperlyConfigured(
                f"{name}: {function!r} cannot be called. Give a function of the connection, sync or async."
            )
        if refuse not in ("deny", "close"):
            raise ImproperlyConfigured(f'{name}: refuse={refuse!r} is unknown. Use "deny" or "close".')
        self._function = function
        self._accept_first = refuse == "close"

    async def _ask(self, scope: Scope, receive: Receive, send: Send) -> Any:
        connection: Connection = (WebSocket if scope["type"] == "websocket" else Request)(scope, receive, send)
        answer = await call(self._function, connection)
        # Of a lambda around a coroutine function: it would count as true.
        return await answer if inspect.isawaitable(answer) else answer


class Authenticated(_Asks):
    """
    Lets in whoever `authenticate` knows, and tells everything inside who that is: `connection.user`.

    Declared as `DefinePermission(Authenticated, authenticate)`, on an app, an include, a route or a controller.

    Args:
        app: The application inside.
        authenticate: Called with the `WebSocket` or `Request`, a sync function in a thread. Gives the user, or None
            (or anything else that is false) for nobody; may raise `AuthenticationError` instead. It may also say more
            about the connection, such as `connection.scope["auth"]`, or `expires_at` of a WebSocket.
        refuse: How a handshake is refused: "deny" with the HTTP status 401, of which a page in a browser sees 1006;
            "close" by accepting it and closing it with 4401, which a page sees. HTTP requests get 401 either way.
        challenge: The `WWW-Authenticate` header of the 401 (RFC 9110 §11.6.1).

    Raises:
        ImproperlyConfigured: `authenticate` cannot be called, or `refuse` is neither of the two.
    """

    def __init__(
        self,
        app: ASGIApp,
        authenticate: Callable[[Any], Any],
        *,
        refuse: Literal["deny", "close"] = "deny",
        challenge: str = "Bearer",
    ) -> None:
        super().__init__(app, authenticate, refuse)
        self._headers = {"www-authenticate": challenge}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the connection in, or raise `NotAuthorized`."""
        try:
            user = await self._ask(scope, receive, send)
        except AuthenticationError:
            user = None
        if not user:
            raise NotAuthorized(headers=self._headers, accept_first=self._accept_first)
        scope["user"] = user
        await self.app(scope, receive, send)


class Requires(_Asks):
    """
    Lets in where `predicate` says something true, for instance about `connection.user`.

    Declared as `DefinePermission(Requires, predicate)`, further in than `Authenticated`.

    Args:
        app: The application inside.
        predicate: Called with the `WebSocket` or `Request`, a sync function in a thread.
        refuse: How a handshake is refused: "deny" with the HTTP status 403, or "close" with 4403 after accepting it.

    Raises:
        ImproperlyConfigured: `predicate` cannot be called, or `refuse` is neither of the two.
    """

    def __init__(
        self, app: ASGIApp, predicate: Callable[[Any], Any], *, refuse: Literal["deny", "close"] = "deny"
    ) -> None:
        super().__init__(app, predicate, refuse)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the connection in, or raise `PermissionDenied`."""
        if not await self._ask(scope, receive, send):
            raise PermissionDenied(accept_first=self._accept_first)
        await self.app(scope, receive, send)
