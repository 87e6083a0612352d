"""What all routes share: layers, dependencies, a name, and a place in the table of a router."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from lilya._define import listed
from lilya._importer import import_string
from lilya._layers import Layers
from lilya._session import conduct
from lilya.datastructures import URLPath
from lilya.exceptions import ImproperlyConfigured
from lilya.routing._pattern import Pattern, parse_pattern
from lilya.routing._table import Branch, RouteTable
from lilya.types import ASGIApp, Receive, Scope, Send

__all__ = [
    "Around",
    "BasePath",
    "Mountable",
    "NoMatchFound",
    "PassPartialMatches",
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
    """

    __slots__ = (
        "app_dependencies",
        "include_dependencies",
        "overrides",
        "prefix",
        "redirect_slashes",
        "reported",
        "within",
    )

    def __init__(
        self,
        prefix: Pattern | None = None,
        app_dependencies: tuple[Mapping[str, Any], ...] = (),
        include_dependencies: tuple[Mapping[str, Any], ...] = (),
        overrides: Mapping[str, Any] | None = None,
        redirect_slashes: bool = True,
        within: str = "",
        reported: set[tuple[str, str]] | None = None,
    ) -> None:
        self.prefix: Pattern = prefix or parse_pattern("", allow_empty=True)
        self.app_dependencies: tuple[Mapping[str, Any], ...] = app_dependencies
        self.include_dependencies: tuple[Mapping[str, Any], ...] = include_dependencies
        self.overrides: Mapping[str, Any] = overrides or {}
        self.redirect_slashes: bool = redirect_slashes
        self.within: str = within
        self.reported: set[tuple[str, str]] = reported if reported is not None else set()

    @property
    def dependencies(self) -> tuple[Mapping[str, Any], ...]:
        """All maps a handler here can draw on, the strongest last."""
        return self.app_dependencies + self.include_dependencies

    @property
    def handed_on(self) -> tuple[Mapping[str, Any], ...]:
        """The includes' maps as a mounted application gets them: with what this application overrides of them."""
        return tuple(
            {name: self.overrides.get(name, dependency) for name, dependency in declared.items()}
            for declared in self.include_dependencies
        )

    def inside(
        self, prefix: Pattern, dependencies: Mapping[str, Any], redirect_slashes: bool, *, own_table: bool = False
    ) -> "Around":
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
        )


class BasePath:
    """A declared route. It becomes branches of its router's table; called directly it serves as an app of its own."""

    name: str | None
    layers: Layers
    dependencies: Mapping[str, Any]
    _alone: RouteTable | None = None

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
            self._alone = RouteTable(self.branches(Around()))
        await conduct(self._alone, {**scope}, receive, send)


class Mountable:
    """An application of ours: told at startup behind which mounts it will run, so that it can check its handlers."""

    def prepare(self, mounts: tuple[Branch, ...] = ()) -> None:
        """
        Compile everything that can be compiled before the first connection.

        Raises:
            ImproperlyConfigured: A handler asks for what nobody here provides.
        """
        raise NotImplementedError

    @property
    def routes(self) -> list[BasePath]:
        """The declared routes, in their order."""
        raise NotImplementedError


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


def checked_routes(where: str, routes: Iterable[Any] | None) -> list[BasePath]:
    """
    A declared list of routes, if it is one.

    Raises:
        ImproperlyConfigured: It is no list, or something in it is no route.
    """
    checked = list(listed(where, routes))
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
