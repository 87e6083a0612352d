"""`Include`: routes or a whole application under a prefix."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lilya._endpoints import MOUNTS
from lilya._exchange import ClientGone
from lilya._importer import import_string
from lilya._layers import HANDLERS, Layers, compose
from lilya._policy import demanded
from lilya._watch import POLICY
from lilya._wire import WIRE, wire_of
from lilya.conf._proxy import settings
from lilya.datastructures import URLPath
from lilya.exceptions import ImproperlyConfigured, WebSocketDisconnect
from lilya.routing._pattern import Pattern, parse_pattern
from lilya.routing._table import Branch, RouteTable, mount_patterns
from lilya.routing.base import (
    Around,
    BasePath,
    Mountable,
    NoMatchFound,
    RouteList,
    checked_app,
    checked_routes,
    describe,
    find_path,
)
from lilya.types import ASGIApp, ExceptionHandlers, Message, OriginsSetting, Receive, Scope, Send

if TYPE_CHECKING:
    from lilya.limits import Limits

__all__ = ["Include"]


class MountPath(BasePath):
    """What `Include` and `Host` share: a pattern, and routes inside whose names are looked up through it."""

    app: ASGIApp | None
    pattern: Pattern

    @property
    def routes(self) -> list[BasePath]:
        """The routes of the application inside; none of a foreign one."""
        return self.app.routes if isinstance(self.app, Mountable) else []

    def path_for(self, name: str, /, **path_params: Any) -> URLPath:
        itself = self.name is not None and name == self.name and "path" in path_params
        rest = str(path_params.pop("path")) if itself else ""
        prefix = "" if self.name is None else f"{self.name}:"
        if not (itself or name.startswith(prefix)) or not set(self.pattern.names) <= set(path_params):
            raise NoMatchFound(name, path_params)
        filled, remaining = self.pattern.format(path_params)
        if itself and remaining:
            raise NoMatchFound(name, path_params)
        found = URLPath("/" + rest.lstrip("/")) if itself else find_path(self.routes, name[len(prefix) :], remaining)
        return self._placed(filled, found)

    def _placed(self, filled: str, found: URLPath) -> URLPath:
        """A path inside, behind the pattern with its parameters filled in."""
        return URLPath(filled.rstrip("/") + found, protocol=found.protocol, host=found.host)


class Include(MountPath):
    """
    Routes or an application under a prefix, which may hold parameters of its own.

    Args:
        path: The prefix; `""` and `"/"` add nothing.
        app: Any ASGI application, or its import path. It answers everything below the prefix.
        routes: Routes. They fall through: where none of them matches, the routes after this include get their turn.
        namespace: The import path of a module whose list `pattern` holds the routes.
        pattern: The name of that list; that of the settings, `route_patterns`, by default.
        name: Prefix of the names inside, as in `path_for("name:inner")`; without one the names stay as they are.
        dependencies: Seen by everything inside, a mounted application included.
        limits: `Limits` for the WebSockets inside; those of a route inside win, field by field.
        origins: Which web pages may open a WebSocket inside; those of a route inside win.

    Raises:
        AssertionError: The path does not start with "/".
        ImproperlyConfigured: Not exactly one of `app`, `routes` and `namespace`, or a parameter in the prefix that may
            contain slashes or is called `path`.
    """

    def __init__(
        self,
        path: str,
        app: Any = None,
        routes: Sequence[BasePath] | None = None,
        namespace: str | None = None,
        pattern: str | None = None,
        name: str | None = None,
        *,
        middleware: Iterable[Any] | None = None,
        permissions: Iterable[Any] | None = None,
        exception_handlers: ExceptionHandlers | None = None,
        dependencies: Mapping[str, Any] | None = None,
        before_request: Iterable[Callable[..., Any]] | None = None,
        after_request: Iterable[Callable[..., Any]] | None = None,
        include_in_schema: bool = True,
        deprecated: bool | None = False,
        redirect_slashes: bool = True,
        limits: Limits | None = None,
        origins: OriginsSetting | None = None,
    ) -> None:
        self.pattern: Pattern = _parse_prefix(path)
        where = describe(self, path)
        if sum(given is not None for given in (app, routes, namespace)) != 1:
            raise ImproperlyConfigured(f"{where}: give exactly one of app=, routes= and namespace=.")
        if self.pattern.has_tail:
            raise ImproperlyConfigured(
                f"{where}: a parameter of a prefix cannot contain slashes, since what follows could not be told apart."
            )
        mount_patterns(self.pattern)
        if namespace is not None:
            routes = import_string(f"{namespace}.{pattern or settings.default_route_pattern}")
        self.app: ASGIApp | None = checked_app(where, app) if app is not None else None
        self._routes = checked_routes(f"{where}: routes", routes) if routes is not None else None
        self.name = name
        self.include_in_schema = include_in_schema
        self.deprecated = deprecated
        self.redirect_slashes = redirect_slashes
        self._demands = demanded(limits, origins)
        self.dependencies: Mapping[str, Any] = dict(dependencies or {})
        self.layers: Layers = Layers(
            middleware=middleware,
            permissions=permissions,
            exception_handlers=exception_handlers,
            before_request=before_request,
            after_request=after_request,
        )

    @property
    def path(self) -> str:
        """The prefix, cleaned; empty if it adds nothing."""
        return self.pattern.template

    @property
    def routes(self) -> list[BasePath]:
        """The routes inside; those of a mounted application of ours, none of a foreign one."""
        return super().routes if self._routes is None else self._routes

    def branches(self, around: Around) -> Iterator[Branch]:
        if self._routes is not None and not self.layers:
            around.watch(self._routes)
            inside = around.inside(self.pattern, self.dependencies, self.redirect_slashes, demands=self._demands)
            for route in self._routes:
                yield from route.branches(inside)
            return
        yield from mount_branches(self, around, self.pattern, self.app, self._routes, self.redirect_slashes)

    def __repr__(self) -> str:
        inside = f"app={self.app!r}" if self._routes is None else f"routes={self._routes!r}"
        return f"{type(self).__name__}(path={self.path!r}, name={self.name!r}, {inside})"


def mount_branches(
    route: BasePath,
    around: Around,
    prefix: Pattern,
    app: ASGIApp | None,
    routes: RouteList | None,
    redirect_slashes: bool = True,
) -> Iterator[Branch]:
    """The branches of what has a table, or an application, of its own: for the prefix and for what is below it."""
    full = around.prefix.joined(prefix)
    inside = around.inside(prefix, route.dependencies, redirect_slashes, own_table=True)
    table: RouteTable | None = None
    if routes is not None:
        around.watch(routes)
        app = table = RouteTable(
            (branch for inner in routes for branch in inner.branches(inside)),
            redirect_slashes=inside.redirect_slashes,
            falls_through=True,
            within=inside.within,
            reported=inside.reported,
        )
    assert app is not None
    foreign = table is None and not isinstance(app, Mountable)
    composed = compose(_Foreign(app) if foreign else app, route.layers)
    for pattern in mount_patterns(full):
        yield Branch(
            pattern,
            None,
            composed,
            route=route,
            handler=app if table is None else None,
            prefix=full.depth,
            mount=True,
            probe=table.probe if table is not None else None,
            handed_on=tuple if table is not None else inside.handed_on,
            behind=table or (app if isinstance(app, Mountable) else None),
            redirect_slashes=inside.redirect_slashes,
            demands=around.demanding(route._demands),
            admits=foreign,
        )


class _Foreign:
    """
    An application that is not ours: it learns where it is mounted from `root_path`, as ASGI has it, and nothing more.

    Other frameworks keep `router` and `app_root_path` in the scope, too, and would look for their routes among ours. An
    application of ours inside the foreign one begins anew: what it raises must not come out as an error of the
    foreign one.
    """

    __slots__ = ("app",)

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        wire = wire_of(scope)
        if wire is not None and wire.policy.user_gates:
            wire.watch.admit_user(wire, scope)
        ours = ("app_root_path", "router", WIRE, MOUNTS, HANDLERS, POLICY)
        inner = {key: value for key, value in scope.items() if key not in ours}
        try:
            await self.app(inner, receive, _as_a_server(send) if wire is not None else send)
        except Exception as error:
            # Every framework has its own class for it.
            if wire is None or not wire.answered or wire.open or type(error).__name__ != "WebSocketDisconnect":
                raise
            raise WebSocketDisconnect(wire.close_code or 1006, wire.close_reason) from error


def _as_a_server(send: Send) -> Send:
    """`send` as other frameworks know it: an `OSError` says that the client is gone (ASGI spec, "WebSocket")."""

    async def sending(message: Message) -> None:
        try:
            await send(message)
        except WebSocketDisconnect as error:
            raise ClientGone("The client has left.") from error

    return sending


def _parse_prefix(path: str) -> Pattern:
    pattern = parse_pattern(path, allow_empty=True)
    return parse_pattern("", allow_empty=True) if pattern.template == "/" else pattern
