"""What all routes share: layers, dependencies, a name, and a place in the table of a router."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from lilya._define import listed
from lilya._importer import import_string
from lilya._layers import Layers
from lilya._policy import Demands
from lilya._session import conduct
from lilya._watch import Watch
from lilya._wire import WIRE
from lilya.datastructures import URLPath
from lilya.exceptions import ImproperlyConfigured
from lilya.routing._pattern import Pattern, parse_pattern
from lilya.routing._table import Branch, RouteTable
from lilya.types import ASGIApp, Receive, Scope, Send

if TYPE_CHECKING:
    from lilya._endpoints import Mount

__all__ = [
    "Around",
    "BasePath",
    "Mountable",
    "NoMatchFound",
    "PassPartialMatches",
    "RouteList",
    "checked_app",
    "checked_routes",
    "describe",
    "find_path",
    "get_name",
]


class NoMatchFound(Exception):
    """No route has this name and exactly these parameters."""

    def __init__(self, name: str, path_params: Mapping[str, Any]) -> None:
        params = ", ".join(path_params)
        super().__init__(f'No route exists for name "{name}" and params "{params}".')


class PassPartialMatches(Exception):
    """Raised by code that looks routes up itself and found only partial matches."""


def _told(change: Callable[..., Any]) -> Callable[..., Any]:
    # The method of a list, which tells the watchers that it was called.
    def changing(self: RouteList, *args: Any, **kwargs: Any) -> Any:
        try:
            return change(self, *args, **kwargs)
        finally:
            for watcher in self.watchers:
                watcher.outdate(self)

    return changing


class RouteList(list["BasePath"]):
    """Routes in the order of their declaration; whatever changes the list, its routers compile it again."""

    def __init__(self, routes: Iterable[BasePath]) -> None:
        super().__init__(routes)
        # Weak: a list may be declared once for any number of applications.
        self.watchers: weakref.WeakSet[Watcher] = weakref.WeakSet()

    # Typed as those of a list, by `Router.routes` and `Include.routes`.
    append: Any = _told(list.append)
    clear: Any = _told(list.clear)
    extend: Any = _told(list.extend)
    insert: Any = _told(list.insert)
    pop: Any = _told(list.pop)
    remove: Any = _told(list.remove)
    reverse: Any = _told(list.reverse)
    sort: Any = _told(list.sort)
    __delitem__: Any = _told(list.__delitem__)
    __iadd__: Any = _told(list.__iadd__)
    __imul__: Any = _told(list.__imul__)
    __setitem__: Any = _told(list.__setitem__)


if TYPE_CHECKING:

    class Watcher(Protocol):
        """Who is told when a list of routes changes."""

        def outdate(self, routes: RouteList) -> None: ...


class Around:
    """
    What surrounds a route in its own router: the prefix and dependencies of the includes, those of the app.

    Args:
        prefix: The joined pattern of the includes that have no table of their own.
        app_dependencies: Maps of the router and its application; a mounted application does not see them.
        include_dependencies: Maps of the includes, from the outside in; a mounted application does.
        overrides: The application's overrides; the live mapping.
        redirect_slashes: Whether every include around allows it.
        within: The prefix of the mounts around, down to where `prefix` begins; for messages.
        reported: See `RouteTable`.
        watcher: Whose table it is.
        demands: What the includes that have no table of their own demand of a WebSocket.
    """

    def __init__(
        self,
        prefix: Pattern | None = None,
        app_dependencies: tuple[Mapping[str, Any], ...] = (),
        include_dependencies: tuple[Mapping[str, Any], ...] = (),
        overrides: Mapping[str, Any] | None = None,
        redirect_slashes: bool = True,
        within: str = "",
        reported: set[tuple[str, str]] | None = None,
        watcher: Watcher | None = None,
        demands: tuple[Demands, ...] = (),
    ) -> None:
        self.demands: tuple[Demands, ...] = demands
        self.prefix: Pattern = prefix or parse_pattern("", allow_empty=True)
        self.app_dependencies: tuple[Mapping[str, Any], ...] = app_dependencies
        self.include_dependencies: tuple[Mapping[str, Any], ...] = include_dependencies
        self.overrides: Mapping[str, Any] = overrides if overrides is not None else {}
        self.redirect_slashes: bool = redirect_slashes
        self.within: str = within
        self.reported: set[tuple[str, str]] = reported if reported is not None else set()
        self.watcher: Watcher | None = watcher

    @property
    def dependencies(self) -> tuple[Mapping[str, Any], ...]:
        """All maps a handler here can draw on, the strongest last."""
        return self.app_dependencies + self.include_dependencies

    def watch(self, routes: RouteList) -> None:
        """Compile the table again when these routes change."""
        if self.watcher is not None:
            routes.watchers.add(self.watcher)

    def handed_on(self) -> tuple[Mapping[str, Any], ...]:
        """The includes' maps as a mounted application gets them: with what this application overrides of them."""
        return tuple(
            {name: self.overrides.get(name, dependency) for name, dependency in declared.items()}
            for declared in self.include_dependencies
        )

    def inside(
        self,
        prefix: Pattern,
        dependencies: Mapping[str, Any],
        redirect_slashes: bool,
        *,
        demands: Demands | None = None,
        own_table: bool = False,
    ) -> Around:
        """What surrounds the routes of an include here; one with its own table begins a new prefix."""
        joined = self.prefix.joined(prefix)
        return Around(
            None if own_table else joined,
            self.app_dependencies,
            (*self.include_dependencies, dependencies) if dependencies else self.include_dependencies,
            self.overrides,
            self.redirect_slashes and redirect_slashes,
            self.within + joined.template if own_table else self.within,
            self.reported,
            self.watcher,
            # Those of a mount are applied by its branch.
            () if own_table else self.demanding(demands),
        )

    def demanding(self, demands: Demands | None) -> tuple[Demands, ...]:
        """What is demanded inside, from the outside in."""
        return (*self.demands, demands) if demands is not None else self.demands


class BasePath:
    """A declared route. It becomes branches of its router's table; called directly it serves as an app of its own."""

    name: str | None
    layers: Layers
    dependencies: Mapping[str, Any]
    _demands: Demands | None = None
    _alone: tuple[RouteTable, Watch] | None = None

    def branches(self, around: Around) -> Iterator[Branch]:
        """The entries of this route in the table of the router around it."""
        raise NotImplementedError

    def path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """
        The path of the route called `name`.

        Raises:
            NoMatchFound: This is not it, or its parameters are others.
            AssertionError: A value that the parameter's type could not match again.
        """
        raise NotImplementedError

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """The same as `path_for`."""
        return self.path_for(name, **path_params)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve this one route as an application."""
        if self._alone is None:
            self._alone = RouteTable(self.branches(Around())), Watch()
        scope = {**scope}
        if WIRE not in scope:
            scope.pop("app_root_path", None)
        table, watch = self._alone
        await conduct(table, scope, receive, send, watch)


class Mountable:
    """An application of ours: told at startup behind which mounts it will run, so that it can check its handlers."""

    def prepare(self, mounts: tuple[Mount, ...] = ()) -> None:
        """
        Compile everything that can be compiled before the first connection.

        Raises:
            ImproperlyConfigured: A handler asks for what nobody here provides.
        """
        raise NotImplementedError

    def forget(self) -> None:
        """Read the signatures of the handlers again before their next call: dependencies have changed."""
        raise NotImplementedError

    @property
    def routes(self) -> list[BasePath]:
        """The declared routes, in their order."""
        raise NotImplementedError

    def path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """
        The path of the route called `name`; inside a named include it is called `include:name`.

        Raises:
            NoMatchFound: No route has that name and exactly these parameters.
        """
        return find_path(self.routes, name, path_params)

    url_path_for = path_for


def get_name(handler: Any) -> str:
    """The default name of a route: the function's name, or the class of an object."""
    while not hasattr(handler, "__name__") and hasattr(handler, "func"):
        handler = handler.func
    return str(getattr(handler, "__name__", None) or type(handler).__name__)


def find_path(routes: Iterable[BasePath], name: str, path_params: Mapping[str, Any]) -> URLPath:
    """
    The path of the first of these routes that answers to `name`.

    Raises:
        NoMatchFound: None of them does.
    """
    for route in routes:
        try:
            return route.path_for(name, **path_params)
        except NoMatchFound:
            continue
    raise NoMatchFound(name, path_params)


def checked_routes(where: str, routes: Iterable[Any] | None) -> RouteList:
    """
    A copy of a declared list of routes, if it is one.

    Raises:
        ImproperlyConfigured: It is no list, or something in it is no route.
    """
    checked = RouteList(listed(where, routes))
    for route in checked:
        if not isinstance(route, BasePath):
            raise ImproperlyConfigured(f"{where}: {route!r} is not a route. Use Path, WebSocketPath, Include or Host.")
    return checked


def checked_app(where: str, app: Any) -> ASGIApp:
    """
    An application to mount, or the one behind its import path.

    Raises:
        ImproperlyConfigured: It is none, for instance a class instead of an instance.
    """
    if isinstance(app, str):
        app = import_string(app)
    if not callable(app) or (isinstance(app, type) and not callable(getattr(app, "__await__", None))):
        raise ImproperlyConfigured(
            f"{where}: {app!r} is not an ASGI application. Give an instance such as Lilya(), or its import path."
        )
    return app  # type: ignore[no-any-return]  # ASGI applications are only known by calling them


def describe(route: BasePath, path: str) -> str:
    """How error messages call a route, such as `WebSocketPath '/chat/{room}'`."""
    return f"{type(route).__name__} {path!r}"
