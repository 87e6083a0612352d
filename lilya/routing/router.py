"""`Router`: a list of routes, the decorators that add to it, and the table that is compiled from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from lilya._define import listed
from lilya._layers import Layers, compose
from lilya._lifespan import check_lifespan, from_hooks, serve_lifespan
from lilya._policy import Demands, demanded
from lilya._session import conduct, conduct_websocket
from lilya._watch import POLICY, Watch
from lilya._wire import WIRE
from lilya.exceptions import ImproperlyConfigured
from lilya.instruments import Instrument
from lilya.routing._table import Branch, RouteTable, forget
from lilya.routing.base import Around, BasePath, Mountable, RouteList, checked_routes
from lilya.routing.host import Host
from lilya.routing.include import Include
from lilya.routing.path import Path
from lilya.routing.websocket import WebSocketPath
from lilya.types import ASGIApp, ExceptionHandlers, Lifespan, LifespanEvent, OriginsSetting, Receive, Scope, Send

if TYPE_CHECKING:
    from lilya._endpoints import Mount
    from lilya.drain import Drain
    from lilya.limits import Limits

__all__ = ["BaseRouter", "Router", "RoutingMethodsMixin"]

Handler = TypeVar("Handler")


class RoutingMethodsMixin:
    """The decorators and `add_…` methods that declare routes; `self.router` is where they go."""

    router: Router

    def _add(self, route: BasePath) -> None:
        self.router.take_in(route)

    def websocket(
        self,
        path: str,
        name: str | None = None,
        middleware: Iterable[Any] | None = None,
        permissions: Iterable[Any] | None = None,
        exception_handlers: ExceptionHandlers | None = None,
        dependencies: Mapping[str, Any] | None = None,
        before_request: Iterable[Callable[..., Any]] | None = None,
        after_request: Iterable[Callable[..., Any]] | None = None,
        *,
        limits: Limits | None = None,
        origins: OriginsSetting | None = None,
        **options: Any,
    ) -> Callable[[Handler], Handler]:
        """
        Declare a WebSocket route: `@app.websocket("/ws/<username>")`. The function itself is returned.

        Arguments as for `WebSocketPath`.
        """

        def declare(handler: Handler) -> Handler:
            self.add_websocket_route(
                path,
                handler,
                name,
                middleware,
                permissions,
                exception_handlers,
                dependencies,
                before_request,
                after_request,
                limits=limits,
                origins=origins,
                **options,
            )
            return handler

        return declare

    def route(
        self, path: str, methods: Iterable[str] | None = None, name: str | None = None, **options: Any
    ) -> Callable[[Handler], Handler]:
        """Declare an HTTP route for these methods (GET by default); arguments as for `Path`."""

        def declare(handler: Handler) -> Handler:
            self._add(Path(path, handler, methods=methods, name=name, **options))
            return handler

        return declare

    def get(self, path: str, name: str | None = None, **options: Any) -> Callable[[Handler], Handler]:
        """Declare an HTTP route for GET and HEAD."""
        return self.route(path, ["GET"], name, **options)

    def head(self, path: str, name: str | None = None, **options: Any) -> Callable[[Handler], Handler]:
        """Declare an HTTP route for HEAD."""
        return self.route(path, ["HEAD"], name, **options)

    def post(self, path: str, name: str | None = None, **options: Any) -> Callable[[Handler], Handler]:
        """Declare an HTTP route for POST."""
        return self.route(path, ["POST"], name, **options)

    def put(self, path: str, name: str | None = None, **options: Any) -> Callable[[Handler], Handler]:
        """Declare an HTTP route for PUT."""
        return self.route(path, ["PUT"], name, **options)

    def patch(self, path: str, name: str | None = None, **options: Any) -> Callable[[Handler], Handler]:
        """Declare an HTTP route for PATCH."""
        return self.route(path, ["PATCH"], name, **options)

    def delete(self, path: str, name: str | None = None, **options: Any) -> Callable[[Handler], Handler]:
        """Declare an HTTP route for DELETE."""
        return self.route(path, ["DELETE"], name, **options)

    def options(self, path: str, name: str | None = None, **options: Any) -> Callable[[Handler], Handler]:
        """Declare an HTTP route for OPTIONS."""
        return self.route(path, ["OPTIONS"], name, **options)

    def trace(self, path: str, name: str | None = None, **options: Any) -> Callable[[Handler], Handler]:
        """Declare an HTTP route for TRACE."""
        return self.route(path, ["TRACE"], name, **options)

    def add_route(
        self, path: str, handler: Any, methods: Iterable[str] | None = None, name: str | None = None, **options: Any
    ) -> None:
        """Add an HTTP route; arguments as for `Path`."""
        self._add(Path(path, handler, methods=methods, name=name, **options))

    def add_websocket_route(
        self,
        path: str,
        handler: Any,
        name: str | None = None,
        middleware: Iterable[Any] | None = None,
        permissions: Iterable[Any] | None = None,
        exception_handlers: ExceptionHandlers | None = None,
        dependencies: Mapping[str, Any] | None = None,
        before_request: Iterable[Callable[..., Any]] | None = None,
        after_request: Iterable[Callable[..., Any]] | None = None,
        *,
        limits: Limits | None = None,
        origins: OriginsSetting | None = None,
        **options: Any,
    ) -> None:
        """Add a WebSocket route; arguments as for `WebSocketPath`."""
        self._add(
            WebSocketPath(
                path,
                handler,
                name=name,
                middleware=middleware,
                permissions=permissions,
                exception_handlers=exception_handlers,
                dependencies=dependencies,
                before_request=before_request,
                after_request=after_request,
                limits=limits,
                origins=origins,
                **options,
            )
        )

    def include(self, path: str, app: Any = None, name: str | None = None, **options: Any) -> None:
        """Add an `Include`; arguments as for it."""
        self._add(Include(path, app, name=name, **options))

    def host(self, host: str, app: Any, name: str | None = None, **options: Any) -> None:
        """Add a `Host`; arguments as for it."""
        self._add(Host(host, app, name=name, **options))

    def on_event(self, event: str) -> Callable[[Handler], Handler]:
        """Declare a function to run at "startup" or "shutdown"."""

        def declare(hook: Handler) -> Handler:
            self.add_event_handler(event, hook)
            return hook

        return declare

    def add_event_handler(self, event: str, hook: Any) -> None:
        """
        Add a function to run at "startup" or "shutdown" (or "on_startup", "on_shutdown").

        Raises:
            ValueError: It is another event.
            ImproperlyConfigured: The application has a `lifespan`, which takes the place of such functions.
        """
        router = self.router
        if router._lifespan is not None:
            raise ImproperlyConfigured(
                f"on_event({event!r}) cannot be combined with lifespan=: do it inside the lifespan."
            )
        listed(f"on_event({event!r})", [hook], callables=True)
        if event in ("startup", "on_startup"):
            router.on_startup.append(hook)
        elif event in ("shutdown", "on_shutdown"):
            router.on_shutdown.append(hook)
        else:
            raise ValueError(f"Unknown event {event!r}. Use 'startup' or 'shutdown'.")


class Router(Mountable, RoutingMethodsMixin):
    """
    Routes in the order of their declaration, served as an ASGI application; alone, mounted, or inside a `Lilya`.

    Routes may be added while serving: they count from the next connection on. What is wrong with one is then an error
    of the call that adds it; before, it is an error at startup.

    Args:
        routes: `Path`, `WebSocketPath`, `Include` and `Host`.
        redirect_slashes: Redirect HTTP (303) to the other spelling of a trailing slash where only that one exists.
        default: The ASGI application for whatever nothing matches; without one that is not found.
        on_startup, on_shutdown: Functions without arguments, sync or async.
        lifespan: Instead of both: a context manager made by `lifespan(app)`.
        middleware, permissions, exception_handlers, before_request, after_request: The layers around all routes.
        dependencies: By argument name, for all handlers.
        limits: `Limits` for all WebSockets; those of an include or a route inside win, field by field.
        origins: Which web pages may open a WebSocket: "same" (the default of the outermost one), "*" or a list.
        instruments: Who is told what happens to connections, if this router is the outermost application.

    Raises:
        ImproperlyConfigured: A `lifespan` together with hooks, or something among `routes` that is no route.
    """

    def __init__(
        self,
        routes: Sequence[BasePath] | None = None,
        redirect_slashes: bool = True,
        default: ASGIApp | None = None,
        on_startup: Sequence[LifespanEvent] | None = None,
        on_shutdown: Sequence[LifespanEvent] | None = None,
        lifespan: Lifespan | None = None,
        *,
        middleware: Iterable[Any] | None = None,
        permissions: Iterable[Any] | None = None,
        exception_handlers: ExceptionHandlers | None = None,
        dependencies: Mapping[str, Any] | None = None,
        before_request: Iterable[Callable[..., Any]] | None = None,
        after_request: Iterable[Callable[..., Any]] | None = None,
        settings_module: Any = None,
        include_in_schema: bool = True,
        deprecated: bool | None = None,
        is_sub_router: bool = False,
        limits: Limits | None = None,
        origins: OriginsSetting | None = None,
        instruments: Iterable[Instrument] | None = None,
    ) -> None:
        self._routes = checked_routes("routes", routes)
        self.redirect_slashes = redirect_slashes
        self.default = default
        self.on_startup: list[LifespanEvent] = list(listed("on_startup", on_startup, callables=True))
        self.on_shutdown: list[LifespanEvent] = list(listed("on_shutdown", on_shutdown, callables=True))
        if lifespan is not None and (self.on_startup or self.on_shutdown):
            raise ImproperlyConfigured("Give either lifespan= or on_startup=/on_shutdown=, not both.")
        self._lifespan = check_lifespan(lifespan) if lifespan is not None else None
        self.dependencies: dict[str, Any] = dict(dependencies or {})
        self.dependency_overrides: dict[str, Any] = {}
        self.settings_module = settings_module
        self.include_in_schema = include_in_schema
        self.deprecated = deprecated
        self.is_sub_router = is_sub_router
        self.layers: Layers = Layers(
            middleware=middleware,
            permissions=permissions,
            exception_handlers=exception_handlers,
            before_request=before_request,
            after_request=after_request,
        )
        self.router: Router = self
        # What is demanded where this router is mounted; alone, it has a watch of its own.
        self._demands: Demands | None = demanded(limits, origins)
        self._watch: Watch = Watch(limits, origins, listed("instruments", instruments))
        self._entry: ASGIApp | None = None
        self._table = RouteTable(())
        self._routes.watchers.add(self)
        # What each route became: kept, with its layers and plans, as long as the route is declared.
        self._branches: dict[BasePath, list[Branch]] = {}
        # The layers around whatever table there is.
        self._layered: ASGIApp | None = None
        # Whether a connection has come: from then on layers are fixed.
        self.served: bool = False
        self._reported: set[tuple[str, str]] = set()

    @property
    def routes(self) -> list[BasePath]:
        """The declared routes; changes to the list count from the next connection on."""
        return self._routes

    # -- serving -------------------------------------------------------------------------------------------------

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, or the lifespan."""
        if scope["type"] == "lifespan":
            await self.serve_lifespan(self, scope, receive, send)
            return
        await self.serve(scope if WIRE in scope else {**scope}, receive, send)

    def serve(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one connection whose scope is ours to change."""
        entry = self._entry
        if entry is None:
            entry = self._compile()
        if WIRE in scope:
            if self._demands is not None and scope["type"] == "websocket":
                scope[POLICY] = self._demands.applied_to(scope.get(POLICY) or scope[WIRE].watch.policy)
            return entry(scope, receive, send)
        # A foreign application around us means something else by it.
        if "app_root_path" in scope:
            del scope["app_root_path"]
        if not self.served:
            # Without a lifespan this is the first moment at which all is declared.
            self.prepare()
            self.served = True
        scope["router"] = self
        if scope["type"] == "websocket":
            return conduct_websocket(entry, scope, self._watch.wire(receive, send), self._watch)
        return conduct(entry, scope, receive, send, self._watch)

    async def serve_lifespan(
        self, app: Any, scope: Scope, receive: Receive, send: Send, drain: Drain | None = None
    ) -> None:
        """Run startup and shutdown for `app`, which is this router or the application around it."""
        lifespan = self._lifespan or from_hooks(self.on_startup, self.on_shutdown)
        await serve_lifespan(lifespan, app, scope, receive, send, prepare=self.prepare, watch=self._watch, drain=drain)

    def outdate(self, routes: RouteList) -> None:
        """Compile again before the next connection: one of the lists of routes has changed."""
        self._entry = None
        if routes is not self._routes:
            # One inside an include, whose branches are made of it.
            self._keep({})

    def relayer(self, layers: Layers) -> None:
        """Put these layers in the place of those there are."""
        self.layers = layers
        self._layered = self._entry = None

    def prepare(self, mounts: tuple[Mount, ...] = ()) -> None:
        if self._entry is None:
            self._compile()
        self._table.prepare(mounts)

    def forget(self) -> None:
        for branches in self._branches.values():
            forget(branches)

    def _compile(self) -> ASGIApp:
        checked_routes("routes", self._routes)
        made = {route: self._branches.get(route) or self._made_of(route) for route in self._routes}
        self._table = RouteTable(
            (branch for route in self._routes for branch in made[route]),
            redirect_slashes=self.redirect_slashes,
            missing=self.default,
            reported=self._reported,
            owns_scope=not self.layers,
        )
        self._keep(made)
        entry: ASGIApp = self._table
        if self.layers:
            # Once, so that what a middleware keeps on itself outlives the table.
            entry = self._layered = self._layered or compose(self._dispatch, self.layers, answers=True)
        self._entry = entry
        return entry

    def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return self._table(scope, receive, send)

    def _made_of(self, route: BasePath) -> list[Branch]:
        around = Around(
            app_dependencies=(self.dependencies,),
            overrides=self.dependency_overrides,
            reported=self._reported,
            watcher=self,
        )
        return list(route.branches(around))

    def _keep(self, made: dict[BasePath, list[Branch]]) -> None:
        # An application that was mounted by a route that is gone may live on elsewhere, without its plans for here.
        for route in self._branches.keys() - made.keys():
            forget(self._branches[route])
        self._branches = made

    # -- declaring -----------------------------------------------------------------------------------------------

    def take_in(self, route: BasePath) -> None:
        """Add a route; one that comes while serving, when startup is over, is checked at once."""
        if self.served:
            made = self._made_of(route)
            RouteTable(made, reported=self._reported).prepare(())
            self._branches[route] = made
        self._routes.append(route)


BaseRouter = Router
"""The same as `Router`."""
