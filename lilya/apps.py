"""`Lilya`: routes, layers, lifespan and state, served as one ASGI application."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lilya._define import DefineMiddleware, DefinePermission
from lilya._layers import Layers
from lilya._version import __version__
from lilya._wire import WIRE
from lilya.conf._proxy import load_settings, settings
from lilya.datastructures import State
from lilya.exceptions import ImproperlyConfigured
from lilya.instruments import Instrument, Stats
from lilya.routing.base import BasePath, Mountable
from lilya.routing.include import Include
from lilya.routing.router import Router, RoutingMethodsMixin
from lilya.serializers import Serializer, SerializerConfig
from lilya.types import (
    ApplicationType,
    ExceptionHandler,
    ExceptionHandlers,
    Lifespan,
    LifespanEvent,
    OriginsSetting,
    Receive,
    Scope,
    Send,
)

if TYPE_CHECKING:
    from lilya._endpoints import Mount
    from lilya.drain import Drain
    from lilya.limits import Limits

__all__ = ["ChildLilya", "Lilya"]

logger: logging.Logger = logging.getLogger("lilya")


class Lilya(Mountable, RoutingMethodsMixin):
    """
    An application: `app = Lilya()`, `@app.websocket("/ws/<username>")`, `uvicorn module:app`.

    Whatever is not given is read from the settings: those of `settings_module`, else those that the environment
    variable `LILYA_SETTINGS_MODULE` names. Mistakes in what is declared are errors at startup, before the first
    connection.

    Args:
        debug: Tell the peer the type of an unexpected exception; of a mounted application it has no effect.
        settings_module: A `lilya.conf.global_settings.Settings` class, an instance, or the import path of either.
        routes: `Path`, `WebSocketPath`, `Include` and `Host`, in the order in which they are tried.
        middleware: Classes (or `DefineMiddleware`), the first one outermost.
        exception_handlers: By status code or exception class; called with the connection and the exception.
        dependencies: By argument name: `Provide`, a callable or a value. A mounted application does not see them.
        permissions: Classes (or `DefinePermission`); to deny is to raise `PermissionDenied`.
        on_startup, on_shutdown: Functions without arguments, sync or async.
        before_request, after_request: Called with `(scope, receive, send)` around everything inside the permissions.
        redirect_slashes: Redirect HTTP (303) to the other spelling of a trailing slash where only that one exists.
        lifespan: Instead of the hooks: `lifespan(app)` makes a context manager; a mapping it yields is shared as state.
        serializer_config: How WebSockets read and write JSON, such as `SerializerConfig(orjson)`; requests and
            responses use the standard codec. A mounted application may have its own one.
        logging_config: A dictionary for `logging.config.dictConfig`, or an object with `configure()`.
        root_path: Where a proxy mounts the application; overrides what the server says.
        origins: Which web pages may open a WebSocket: "same" (the default), "*", or a list such as
            `["https://app.example.com", "https://*.example.org"]`; an include or route may say otherwise.
        limits: `Limits` for all WebSockets; what an include or a route names wins over it.
        drain: How connections are ended at a shutdown, a `Drain`; of a mounted application it has no effect.
        instruments: `Instrument`s, which are told what happens to WebSockets.
        include_in_schema, populate_global_context, enable_openapi, openapi_config, infer_body: Without effect here.
        enable_intercept_global_exceptions: Without effect here.

    Raises:
        ImproperlyConfigured: What is declared cannot work; the message says why and what to do.
    """

    version: str = __version__

    def __init__(
        self,
        debug: bool | None = None,
        settings_module: Any = None,
        routes: Sequence[BasePath] | None = None,
        middleware: Sequence[Any] | None = None,
        exception_handlers: ExceptionHandlers | None = None,
        dependencies: Mapping[str, Any] | None = None,
        permissions: Sequence[Any] | None = None,
        on_startup: Sequence[LifespanEvent] | None = None,
        on_shutdown: Sequence[LifespanEvent] | None = None,
        before_request: Sequence[Callable[..., Any]] | None = None,
        after_request: Sequence[Callable[..., Any]] | None = None,
        redirect_slashes: bool | None = None,
        lifespan: Lifespan | None = None,
        include_in_schema: bool | None = None,
        logging_config: Any = None,
        serializer_config: SerializerConfig | None = None,
        populate_global_context: Any = None,
        enable_openapi: bool | None = None,
        openapi_config: Any = None,
        enable_intercept_global_exceptions: bool | None = None,
        root_path: str | None = None,
        infer_body: bool = False,
        *,
        origins: OriginsSetting | None = None,
        limits: Limits | None = None,
        drain: Drain | None = None,
        instruments: Sequence[Instrument] | None = None,
    ) -> None:
        self.settings_module = settings_module
        self.settings: Any = load_settings(settings_module) if settings_module is not None else settings
        read = self._setting
        self.root_path: str = read("root_path", root_path)
        self.include_in_schema: bool = read("include_in_schema", include_in_schema)
        self.state: State = State()
        if lifespan is None and on_startup is None and on_shutdown is None:
            lifespan = read("lifespan", None)
        if lifespan is None:
            on_startup = read("on_startup", on_startup)
            on_shutdown = read("on_shutdown", on_shutdown)
        self.router: Router = Router(
            routes=read("routes", routes),
            redirect_slashes=read("redirect_slashes", redirect_slashes),
            on_startup=on_startup,
            on_shutdown=on_shutdown,
            lifespan=lifespan,
            middleware=read("middleware", middleware),
            permissions=read("permissions", permissions),
            exception_handlers=read("exception_handlers", exception_handlers),
            dependencies=read("dependencies", dependencies),
            before_request=read("before_request", before_request),
            after_request=read("after_request", after_request),
            origins=read("origins", origins),
            limits=read("limits", limits),
            instruments=read("instruments", instruments),
        )
        self.debug = read("debug", debug)
        self.drain: Drain | None = _checked_drain(read("drain", drain))
        self._serializer_config: SerializerConfig | None = read("serializer_config", serializer_config)
        self.serializer = (self._serializer_config or SerializerConfig()).get_serializer()
        _configure_logging(read("logging_config", logging_config))
        _warn_without_effect(
            populate_global_context=populate_global_context,
            enable_openapi=enable_openapi,
            openapi_config=openapi_config,
            enable_intercept_global_exceptions=enable_intercept_global_exceptions,
            infer_body=infer_body,
        )

    def _setting(self, name: str, given: Any) -> Any:
        return given if given is not None else getattr(self.settings, name)

    @property
    def debug(self) -> bool:
        """Whether the peer is told the type of an unexpected exception."""
        return self.router._watch.debug

    @debug.setter
    def debug(self, debug: bool) -> None:
        self.router._watch.debug = debug

    @property
    def serializer(self) -> Serializer:
        """How WebSockets read and write JSON."""
        return self.router._watch.codec

    @serializer.setter
    def serializer(self, codec: Serializer) -> None:
        self.router._watch.codec = codec

    def stats(self) -> Stats:
        """
        What the WebSockets of this application have done in this process, and how many are open now.

        A mounted application counts nothing: its connections are those of the application around it.
        """
        return self.router._watch.stats()

    # -- serving -------------------------------------------------------------------------------------------------

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, or the lifespan."""
        if scope["type"] == "lifespan":
            scope["app"] = self
            await self.router.serve_lifespan(self, scope, receive, send, self.drain)
            return
        if WIRE not in scope:
            scope = dict(scope)
            if self.root_path:
                _mount_at(self.root_path, scope)
        elif self._serializer_config is not None and scope["type"] == "websocket":
            await self._serve_inside(scope, receive, send)
            return
        # Where mounted, the scope is a copy already, and the layers around shall learn from it which route it was.
        scope["app"] = self
        await self.router.serve(scope, receive, send)

    async def _serve_inside(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Mounted, with a serializer of its own, which is for the time inside only.
        wire = scope[WIRE]
        around, wire.codec = wire.codec, self.serializer
        scope["app"] = self
        try:
            await self.router.serve(scope, receive, send)
        finally:
            wire.codec = around

    def prepare(self, mounts: tuple[Mount, ...] = ()) -> None:
        self.router.prepare(mounts)

    def forget(self) -> None:
        self.router.forget()

    @property
    def routes(self) -> list[BasePath]:
        """The declared routes, in their order."""
        return self.router.routes

    # -- declaring -----------------------------------------------------------------------------------------------

    def add_child_lilya(
        self,
        path: str,
        child: Lilya,
        name: str | None = None,
        middleware: Sequence[Any] | None = None,
        permissions: Sequence[Any] | None = None,
        exception_handlers: ExceptionHandlers | None = None,
        **options: Any,
    ) -> None:
        """
        Mount another application of ours; arguments as for `Include`.

        Raises:
            ValueError: `child` is no `Lilya`.
        """
        if not isinstance(child, Lilya):
            raise ValueError(
                f"add_child_lilya({path!r}): {child!r} is neither a Lilya nor a ChildLilya. Use add_asgi_app() for "
                f"other ASGI applications."
            )
        options.update(middleware=middleware, permissions=permissions, exception_handlers=exception_handlers)
        self.add_asgi_app(path, child, name, **options)

    def add_asgi_app(self, path: str, child: ApplicationType, name: str | None = None, **options: Any) -> None:
        """Mount any ASGI application; arguments as for `Include`."""
        self._add(Include(path, child, name=name, **options))

    @property
    def exception_handlers(self) -> dict[int | type[BaseException], ExceptionHandler]:
        """The application's exception handlers, by status code or class; change them with `add_exception_handler`."""
        return self.router.layers.exception_handlers

    @property
    def dependencies(self) -> dict[str, Any]:
        """The application's dependencies, by argument name."""
        return self.router.dependencies

    def add_middleware(self, middleware: Any, *args: Any, **kwargs: Any) -> None:
        """
        Put a middleware around those there are.

        Raises:
            RuntimeError: The application has begun to serve.
        """
        self._check_not_served("a middleware")
        self._relayer(middleware=(DefineMiddleware(middleware, *args, **kwargs), *self.router.layers.middleware))

    def add_permission(self, permission: Any, *args: Any, **kwargs: Any) -> None:
        """
        Put a permission around those there are.

        Raises:
            RuntimeError: The application has begun to serve.
        """
        self._check_not_served("a permission")
        self._relayer(permissions=(DefinePermission(permission, *args, **kwargs), *self.router.layers.permissions))

    def add_exception_handler(self, key: int | type[BaseException], handler: ExceptionHandler) -> None:
        """Handle exceptions of a class, or `HTTPException`s with a status code."""
        self._relayer(exception_handlers={**self.router.layers.exception_handlers, key: handler})

    def override_dependency(self, name: str, dependency: Any) -> None:
        """Put another dependency in the place of `name`, for tests; takes effect with the next connection."""
        self.router.dependency_overrides[name] = dependency
        self.router.forget()

    def reset_dependency_overrides(self) -> None:
        """Undo every `override_dependency`."""
        self.router.dependency_overrides.clear()
        self.router.forget()

    def _check_not_served(self, what: str) -> None:
        if self.router.served:
            raise RuntimeError(f"Cannot add {what}: the application has already begun to serve. Add it before.")

    def _relayer(self, **changed: Iterable[Any] | ExceptionHandlers) -> None:
        layers = self.router.layers
        declared: dict[str, Any] = {name: getattr(layers, name) for name in Layers.__slots__}
        self.router.relayer(Layers(**{**declared, **changed}))


class ChildLilya(Lilya):
    """An application that is meant to be mounted in another one; the same in everything else."""


def _mount_at(root_path: str, scope: Scope) -> None:
    # ASGI: `path` includes `root_path`; a proxy that cuts it off has to be undone, for URLs and mounted applications.
    root_path = root_path.rstrip("/")
    scope["root_path"] = root_path
    if not f"{scope['path']}/".startswith(f"{root_path}/"):
        scope["path"] = root_path + scope["path"]


def _checked_drain(drain: Any) -> Drain | None:
    if drain is None:
        return None
    from lilya.drain import Drain  # noqa: PLC0415 - whoever has a value of it has imported it already

    if not isinstance(drain, Drain):
        raise ImproperlyConfigured(
            f"drain={drain!r}: not a `lilya.drain.Drain`. Write `drain=Drain(…)` with the fields to set."
        )
    return drain


def _warn_without_effect(**options: Any) -> None:
    for name, value in options.items():
        if value:
            logger.warning("%s=%r has no effect in this framework", name, value)


def _configure_logging(config: Any) -> None:
    if config is None:
        return
    if isinstance(config, Mapping):
        import logging.config  # noqa: PLC0415 - it brings a socket server with it

        logging.config.dictConfig(dict(config))
    elif callable(getattr(config, "configure", None)):
        config.configure()
    else:
        raise ImproperlyConfigured(
            f"logging_config={config!r}: give a dictionary for logging.config.dictConfig, or an object with "
            f"configure()."
        )
