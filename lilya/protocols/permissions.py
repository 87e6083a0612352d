"""The base class of a permission."""

from __future__ import annotations

from typing import Any

from lilya.types import ASGIApp, Receive, Scope, Send

__all__ = ["PermissionProtocol"]


class PermissionProtocol:
    """
    A permission: built as `cls(app, *args, **kwargs)`, called with `(scope, receive, send)`.

    Override `__call__`; call `self.app` to let the connection in, raise `PermissionDenied` to refuse it. As it stands
    it lets everybody in.
    """

    def __init__(self, app: ASGIApp, *args: Any, **kwargs: Any) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)
