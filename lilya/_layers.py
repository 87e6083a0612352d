"""
What can be wrapped around an application, and in which order.

One level (an app, an include, a host, a route) is composed from the outside in as

    middleware (first declared is outermost) → exception handlers → permissions → before hooks → the inner app → after
    hooks

so that a middleware sees the answer of an exception handler go by like any other, and exception handlers see what
permissions raise. Levels nest: app, then include, then child app, then route. `compose` returns the app itself where
there is nothing to wrap.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lilya import _errors
from lilya._define import DefineMiddleware, DefinePermission, Definition, define_all, listed
from lilya._response import make_response
from lilya._signature import where_defined
from lilya._state import CONNECTING
from lilya._wire import WIRE, wire_of
from lilya.concurrency import is_async_callable, run_in_threadpool
from lilya.exceptions import HTTPException, ImproperlyConfigured
from lilya.requests import Request
from lilya.types import ASGIApp, ExceptionHandler, ExceptionHandlers, Receive, Scope, Send
from lilya.websockets import WebSocket, WebSocketClose

__all__ = ["Layers", "call", "compose"]

# Where the scope holds the exception handlers of the levels around, for who asks whether one of them takes an error.
HANDLERS = "lilya.handlers"

# What a route tells the layers around it; every other change to the scope stays inside.
OUTWARD_KEYS = ("handler", "route", "route_path_template")


class Layers:
    """The layers of one level, as declared; immutable."""

    __slots__ = ("after_request", "before_request", "exception_handlers", "middleware", "permissions")

    def __init__(
        self,
        *,
        middleware: Iterable[Any] | None = None,
        permissions: Iterable[Any] | None = None,
        exception_handlers: ExceptionHandlers | None = None,
        before_request: Iterable[Callable[..., Any]] | None = None,
        after_request: Iterable[Callable[..., Any]] | None = None,
    ) -> None:
        self.middleware: tuple[Definition, ...] = define_all("middleware", middleware, DefineMiddleware)
        self.permissions: tuple[Definition, ...] = define_all("permissions", permissions, DefinePermission)
        self.exception_handlers: dict[int | type[BaseException], ExceptionHandler] = dict(exception_handlers or {})
        self.before_request: tuple[Callable[..., Any], ...] = listed("before_request", before_request, callables=True)
        self.after_request: tuple[Callable[..., Any], ...] = listed("after_request", after_request, callables=True)
        for key in self.exception_handlers:
            if not isinstance(key, int) and not (isinstance(key, type) and issubclass(key, BaseException)):
                raise ImproperlyConfigured(
                    f"exception_handlers: {key!r} is neither a status code nor an exception class."
                )
        listed("exception_handlers", self.exception_handlers.values(), callables=True)
        for handler in self.exception_handlers.values():
            _check_takes("exception_handlers", handler, "connection", "error")
        for name in ("before_request", "after_request"):
            for hook in getattr(self, name):
                _check_takes(name, hook, "scope", "receive", "send")

    def __bool__(self) -> bool:
        return bool(
            self.middleware or self.permissions or self.exception_handlers or self.before_request or self.after_request
        )


def _check_takes(what: str, function: Callable[..., Any], *given: str) -> None:
    # Wrong at its first use otherwise, which for an error handler may be late.
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some built-ins do not tell
        return
    try:
        signature.bind(*given)
    except TypeError as error:
        raise ImproperlyConfigured(
            f"{what}: {where_defined(function)} is called with ({', '.join(given)}), but its arguments are "
            f"{signature}: {error}. Give it these arguments."
        ) from None


def compose(app: ASGIApp, layers: Layers, *, answers: bool = False) -> ASGIApp:
    """
    `app` with `layers` around it; `app` itself where there are none.

    Args:
        answers: Translate exceptions that are answers (`HTTPException` and its like) below the middleware of this
            level, so that the middleware sees an answer instead of an exception. An application does this, for what no
            handler of an application around takes.
    """
    if layers.before_request or layers.after_request:
        app = _Hooks(app, layers.before_request, layers.after_request)
    app = _wrap(app, layers.permissions)
    if layers.exception_handlers or (answers and layers.middleware):
        app = _ExceptionLayer(app, layers.exception_handlers, answers)
    return _wrap(app, layers.middleware)


def _wrap(app: ASGIApp, definitions: tuple[Definition, ...]) -> ASGIApp:
    for definition in reversed(definitions):
        app = definition(_Isolated(app))
    return app


async def call(function: Callable[..., Any], *args: Any) -> Any:
    """Call a user's sync function in a thread, an async one here."""
    if is_async_callable(function):
        return await function(*args)
    return await run_in_threadpool(function, *args)


class _Isolated:
    """A copy of the scope for the next layer, so that its changes do not leak outwards."""

    __slots__ = ("app",)

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        inner = {**scope}
        try:
            await self.app(inner, receive, send)
        finally:
            for key in OUTWARD_KEYS:
                if key in inner:
                    scope[key] = inner[key]


class _Hooks:
    """Functions called with `(scope, receive, send)` before, and after a normal return of, the inner app."""

    __slots__ = ("after", "app", "before")

    def __init__(
        self, app: ASGIApp, before: tuple[Callable[..., Any], ...], after: tuple[Callable[..., Any], ...]
    ) -> None:
        self.app = app
        self.before = before
        self.after = after

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        for hook in self.before:
            await call(hook, scope, receive, send)
        await self.app(scope, receive, send)
        for hook in self.after:
            await call(hook, scope, receive, send)


class _ExceptionLayer:
    """Hands exceptions of the inner app to the user's handlers; what none of them takes goes on outwards."""

    __slots__ = ("answers", "app", "handlers")

    def __init__(
        self, app: ASGIApp, handlers: Mapping[int | type[BaseException], ExceptionHandler], answers: bool
    ) -> None:
        self.app = app
        self.handlers = handlers
        self.answers = answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        around = scope.get(HANDLERS, ())
        if self.handlers:
            scope[HANDLERS] = (*around, self.handlers)
        try:
            await self.app(scope, receive, send)
        except Exception as error:
            handler = find_handler(self.handlers, error)
            if handler is None and not (self.answers and _errors.is_answer(error)):
                raise
            if handler is None and any(find_handler(handlers, error) for handlers in around):
                raise
            if scope["type"] != "websocket" and scope[WIRE].answered:
                raise
            if scope["type"] == "websocket":
                await self._on_websocket(handler, error, scope, receive, send)
            else:
                await self._on_http(handler, error, scope, receive, send)

    async def _on_websocket(
        self, handler: ExceptionHandler | None, error: Exception, scope: Scope, receive: Receive, send: Send
    ) -> None:
        wire = wire_of(scope)
        websocket = (wire.websocket if wire is not None else None) or WebSocket(scope, receive, send)
        result = await call(handler, websocket, error) if handler is not None else None
        if isinstance(result, type) and issubclass(result, WebSocketClose):
            raise TypeError("An exception handler returned the class Close: return an instance, such as Close(4000).")
        if isinstance(result, WebSocketClose) and websocket.closed:
            pass  # the handler had closed already, and then failed
        elif isinstance(result, WebSocketClose):
            await websocket.close(result.code, result.reason)
        elif result is not None and websocket.application_state is CONNECTING:
            await _errors.refuse(websocket, make_response(result))
        elif result is not None and websocket._wire.open and _errors.is_fault(error):
            # Too late for a response: its status says with which code to close, where the exception does not.
            await websocket.close(_errors.code_for(make_response(result)))
        await _errors.end_websocket(websocket, error)

    async def _on_http(
        self, handler: ExceptionHandler | None, error: Exception, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if handler is None:
            await _errors.end_http(scope, receive, send, error)
            return
        result = await call(handler, Request(scope, receive, send), error)
        if result is not None:
            await make_response(result)(scope, receive, send)
        elif not scope[WIRE].answered:
            await _errors.end_http(scope, receive, send, error)


def find_handler(
    handlers: Mapping[int | type[BaseException], ExceptionHandler], error: Exception
) -> ExceptionHandler | None:
    """
    The handler for an exception: by status code for an `HTTPException`, then by class, the closest one first.

    `Exception` itself stands for faults: it does not catch answers such as `HTTPException` or a client's leaving.
    """
    if isinstance(error, HTTPException) and error.status_code in handlers:
        return handlers[error.status_code]
    answer = _errors.is_answer(error)
    for cls in type(error).__mro__:
        if cls in handlers and not (answer and cls in (Exception, BaseException)):
            return handlers[cls]
    return handlers.get(500) if _errors.is_fault(error) else None
