"""`Path`: one HTTP route. Also what it shares with `WebSocketPath`, since both are a pattern and a handler."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal

from lilya._define import listed
from lilya._endpoints import Place, is_function, make_endpoint, resolve
from lilya._layers import Layers, compose
from lilya.datastructures import URLPath
from lilya.routing._pattern import Pattern, parse_pattern
from lilya.routing._table import Branch
from lilya.routing.base import Around, BasePath, NoMatchFound, describe, get_name
from lilya.types import ExceptionHandlers

__all__ = ["HandlerPath", "Path", "Route", "RoutePath"]


class HandlerPath(BasePath):
    """A pattern with a handler behind it."""

    kind: Literal["websocket", "http"]
    methods: frozenset[str] | None = None

    def __init__(
        self,
        path: str,
        handler: Any,
        *,
        name: str | None,
        include_in_schema: bool,
        dependencies: Mapping[str, Any] | None,
        **layers: Any,
    ) -> None:
        self.pattern: Pattern = parse_pattern(path)
        self.handler: Any = resolve(handler, describe(self, path))
        self.name: str | None = name or get_name(self.handler)
        self.include_in_schema = include_in_schema
        self.dependencies: Mapping[str, Any] = dict(dependencies or {})
        self.layers: Layers = Layers(**layers)

    @property
    def path(self) -> str:
        """The template, cleaned of trailing and doubled slashes."""
        return self.pattern.template

    def branches(self, around: Around) -> Iterator[Branch]:
        pattern = around.prefix.joined(self.pattern)
        place = Place(
            describe(self, pattern.template),
            pattern.names,
            (*around.dependencies, self.dependencies),
            around.overrides,
        )
        endpoint = make_endpoint(self.handler, self.kind, place)
        app = compose(endpoint, self.layers)
        depth = around.prefix.depth
        spellings = [pattern]
        if depth and not self.pattern.template.strip("/"):
            # The root of an include: with and without the slash.
            spellings.append(around.prefix)
        for spelling in spellings:
            yield Branch(
                spelling,
                self.kind,
                app,
                route=self,
                handler=self.handler,
                methods=self.methods,
                prefix=depth,
                behind=endpoint,
                redirect_slashes=around.redirect_slashes,
                demands=around.demanding(self._demands),
                admits=self.kind == "websocket",
            )

    def path_for(self, name: str, /, **path_params: Any) -> URLPath:
        if name != self.name or set(path_params) != set(self.pattern.names):
            raise NoMatchFound(name, path_params)
        path, _ = self.pattern.format(path_params)
        return URLPath(path, protocol=self.kind)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(path={self.path!r}, name={self.name!r})"


class Path(HandlerPath):
    """
    One HTTP route.

    Args:
        path: The template, such as `"/users/{id:int}"` or `"/users/<id:int>"`.
        handler: A function, a controller class, any ASGI application, or the import path of one.
        methods: What it answers; a function answers GET (and HEAD with it) unless told otherwise, an ASGI application
            or a controller everything.
        name: For `path_for`; the function's name by default.
        dependencies: By argument name: `Provide`, a callable or a value.

    Raises:
        AssertionError: The path does not start with "/", or names an unknown type.
        ValueError: A parameter name occurs twice, or the pattern could not be matched in linear time.
        ImproperlyConfigured: The handler cannot be one.
    """

    kind: Literal["websocket", "http"] = "http"

    def __init__(
        self,
        path: str,
        handler: Any,
        *,
        methods: Iterable[str] | None = None,
        name: str | None = None,
        include_in_schema: bool = True,
        middleware: Iterable[Any] | None = None,
        permissions: Iterable[Any] | None = None,
        exception_handlers: ExceptionHandlers | None = None,
        dependencies: Mapping[str, Any] | None = None,
        before_request: Iterable[Callable[..., Any]] | None = None,
        after_request: Iterable[Callable[..., Any]] | None = None,
        deprecated: bool | None = None,
    ) -> None:
        super().__init__(
            path,
            handler,
            name=name,
            include_in_schema=include_in_schema,
            dependencies=dependencies,
            middleware=middleware,
            permissions=permissions,
            exception_handlers=exception_handlers,
            before_request=before_request,
            after_request=after_request,
        )
        self.deprecated = deprecated
        if methods is None and is_function(self.handler):
            methods = ["GET"]
        if methods is not None:
            upper = {method.upper() for method in listed(f"{describe(self, path)}: methods", methods)}
            self.methods: frozenset[str] | None = frozenset(upper | {"HEAD"} if "GET" in upper else upper)


Route = Path
"""The same as `Path`."""
RoutePath = Path
"""The same as `Path`."""
