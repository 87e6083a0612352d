"""
What stands at the end of a route: a user's handler, made into an ASGI application.

A function (a method, a `functools.partial`) is called with the connection and whatever else its signature asks for,
as its `CallPlan` says. A class or an object is itself an ASGI application: an object is called with `(scope, receive,
send)`, a class is instantiated with them and awaited.

The plan of a function is compiled at startup. It depends on what surrounds the route, and an application may be mounted
in two places; so there is a plan for each chain of mounts, found by the tuple of branches the scope came through.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any, Literal, Protocol

from lilya._connection import Connection
from lilya._importer import import_string
from lilya._plan import CallPlan, compile_plan
from lilya._response import make_response
from lilya._session import finish
from lilya._signature import where_defined
from lilya._wire import WIRE, wire_of
from lilya.exceptions import ImproperlyConfigured
from lilya.requests import Request
from lilya.types import ASGIApp, Receive, Scope, Send
from lilya.websockets import WebSocket

__all__ = ["MOUNTS", "Dispatcher", "Endpoint", "Mount", "Place", "Prepared", "make_endpoint"]

# Where the scope holds the chain of mounts that it came through.
MOUNTS = "lilya.mounts"


if TYPE_CHECKING:

    class Mount(Protocol):
        """What a mount contributes to the handlers behind it."""

        @property
        def handed_on(self) -> Callable[[], Sequence[Mapping[str, Any]]]: ...

        @property
        def param_names(self) -> Sequence[str]: ...

    class Prepared(Protocol):
        """What compiles, at startup, what it needs: an endpoint, and whatever has endpoints inside."""

        def prepare(self, mounts: tuple[Mount, ...]) -> None:
            """Compile what is needed behind these mounts; raises what is wrong with it."""

        def forget(self) -> None:
            """Compile it anew when it is needed again: what surrounds it has changed."""

    class Endpoint(Prepared, Protocol):
        """An ASGI application that can be told at startup what will surround it."""

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...


class Place:
    """Where a handler stands in its own router: for error messages and for what can fill its arguments."""

    __slots__ = ("dependencies", "overrides", "param_names", "where")

    def __init__(
        self,
        where: str,
        param_names: Collection[str],
        dependencies: Sequence[Mapping[str, Any]],
        overrides: Mapping[str, Any],
    ) -> None:
        self.where: str = where
        self.param_names: Collection[str] = param_names
        self.dependencies: Sequence[Mapping[str, Any]] = dependencies
        self.overrides: Mapping[str, Any] = overrides

    def compile(
        self, handler: Callable[..., Any], kind: Literal["websocket", "http"], mounts: Sequence[Mount]
    ) -> CallPlan:
        """The plan for a handler at this place, behind these mounts; see `compile_plan` for the errors."""
        dependencies: dict[str, Any] = {}
        names = set(self.param_names)
        for mount in mounts:
            names.update(mount.param_names)
            for inherited in mount.handed_on():
                dependencies.update(inherited)
        for own in self.dependencies:
            dependencies.update(own)
        dependencies.update(self.overrides)
        return compile_plan(
            handler,
            connection_type=Connection,
            kind=kind,
            path_params=names,
            dependencies=dependencies,
            where=self.where,
        )


class _FunctionEndpoint:
    __slots__ = ("handler", "place", "plans", "unmounted")

    kind: Literal["websocket", "http"]

    def __init__(self, handler: Callable[..., Any], place: Place) -> None:
        self.handler = handler
        self.place = place
        self.plans: dict[tuple[Mount, ...], CallPlan] = {}
        # The plan without any mount, which is by far the most frequent.
        self.unmounted: CallPlan | None = None

    def prepare(self, mounts: tuple[Mount, ...]) -> None:
        self.plan(mounts)

    def forget(self) -> None:
        self.plans.clear()
        self.unmounted = None

    def plan(self, mounts: tuple[Mount, ...]) -> CallPlan:
        plan = self.plans.get(mounts)
        if plan is None:
            plan = self.plans[mounts] = self.place.compile(self.handler, self.kind, mounts)
            if not mounts:
                self.unmounted = plan
        return plan


class WebSocketFunction(_FunctionEndpoint):
    """A function that is handed a `WebSocket`; what it leaves open is closed with 1000."""

    __slots__ = ()
    kind = "websocket"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        websocket = WebSocket(scope, receive, send)
        wire = websocket._wire
        wire.websocket = websocket
        if wire.policy.user_gates:
            wire.watch.admit_user(wire, scope)
        plan = self.plan(scope[MOUNTS]) if MOUNTS in scope else self.unmounted or self.plan(())
        direct = plan.direct
        if direct is not None:
            await direct(websocket)
        else:
            await plan.run(websocket, scope.get("path_params", {}), wire.shared)
        if wire.open:
            await finish(websocket)


class HTTPFunction(_FunctionEndpoint):
    """A function that is handed a `Request` and returns a response, or a value that becomes one."""

    __slots__ = ()
    kind = "http"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def respond(result: Any) -> None:
            await make_response(result)(scope, receive, send)

        request = Request(scope, receive, send)
        plan = self.plan(scope.get(MOUNTS, ()))
        await plan.run(request, scope.get("path_params", {}), scope[WIRE].shared, respond)


class _ASGIEndpoint:
    """An object or class that is an ASGI application itself."""

    __slots__ = ("app",)

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    def prepare(self, mounts: tuple[Mount, ...]) -> None:
        """Nothing to compile: it takes the scope as it is."""

    def forget(self) -> None:
        """Nothing was compiled."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        wire = wire_of(scope)
        if wire is not None and wire.policy.user_gates:
            wire.watch.admit_user(wire, scope)
        await self.app(scope, receive, send)
        if wire is not None and wire.open:
            await finish(WebSocket(scope, receive, send))


class Dispatcher:
    """What a class that handles connections itself derives from: it is told where it stands."""

    @classmethod
    def at(cls, place: Place) -> Endpoint:
        """The endpoint that runs this class at one place of a router."""
        raise NotImplementedError


def is_function(handler: object) -> bool:
    """Whether a handler is called with arguments of its own rather than as an ASGI application."""
    while isinstance(handler, functools.partial):
        handler = handler.func
    return isinstance(handler, FunctionType | MethodType | BuiltinFunctionType)


def resolve(handler: Any, where: str) -> Any:
    """The handler behind an import string; anything that cannot be called is refused."""
    if isinstance(handler, str):
        handler = import_string(handler)
    if not callable(handler):
        raise ImproperlyConfigured(
            f"{where}: {handler!r} cannot be a handler. Give a function, an ASGI application, a controller class or "
            f"the import path of one."
        )
    if isinstance(handler, type) and not callable(getattr(handler, "__await__", None)):
        raise ImproperlyConfigured(
            f"{where}: the class {where_defined(handler)} cannot be a handler: its instances are not awaitable. Give "
            f"an instance that is an ASGI application, or a subclass of WebSocketController or Controller."
        )
    return handler


def make_endpoint(handler: Any, kind: Literal["websocket", "http"], place: Place) -> Endpoint:
    """The ASGI application for a resolved handler."""
    if is_function(handler):
        return WebSocketFunction(handler, place) if kind == "websocket" else HTTPFunction(handler, place)
    if isinstance(handler, type) and issubclass(handler, Dispatcher):
        return handler.at(place)
    return _ASGIEndpoint(handler)
