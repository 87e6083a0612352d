"""The base class of a middleware."""

from __future__ import annotations

from typing import Any

from lilya.types import ASGIApp, Receive, Scope, Send

__all__ = ["MiddlewareProtocol"]


class MiddlewareProtocol:
    """
    A middleware: built as `cls(app, *args, **kwargs)`, called with `(scope, receive, send)`.

    Override `__call__`, and call `self.app` to go on; as it stands it changes nothing.
    """

    def __init__(self, app: ASGIApp, *args: Any, **kwargs: Any) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)
