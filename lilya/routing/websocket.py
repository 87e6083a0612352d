"""`WebSocketPath`: one WebSocket route."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from lilya._policy import demanded
from lilya.routing.path import HandlerPath
from lilya.types import ExceptionHandlers, OriginsSetting

if TYPE_CHECKING:
    from lilya.limits import Limits

__all__ = ["WebSocketPath", "WebSocketRoute"]


class WebSocketPath(HandlerPath):
    """
    One WebSocket route.

    The handler's first positional argument is the `WebSocket`, whatever its name, unless another one is annotated with
    the class or called `websocket`. Path parameters and dependencies are passed by name.

    Args:
        path: The template, such as `"/ws/<username>"` or `"/rooms/{room:uuid}"`.
        handler: A function, a controller class, any ASGI application, or the import path of one.
        name: For `path_for`; the function's name by default.
        dependencies: By argument name: `Provide`, a callable or a value.
        limits: `Limits` of this route; what they name wins over those around it.
        origins: Which web pages may open it: "same", "*" or a list; wins over those around it.

    Raises:
        AssertionError: The path does not start with "/", or names an unknown type.
        ValueError: A parameter name occurs twice, or the pattern could not be matched in linear time.
        ImproperlyConfigured: The handler cannot be one.
    """

    kind: Literal["websocket", "http"] = "websocket"

    def __init__(
        self,
        path: str,
        handler: Any,
        *,
        name: str | None = None,
        include_in_schema: bool = True,
        middleware: Iterable[Any] | None = None,
        permissions: Iterable[Any] | None = None,
        exception_handlers: ExceptionHandlers | None = None,
        dependencies: Mapping[str, Any] | None = None,
        before_request: Iterable[Callable[..., Any]] | None = None,
        after_request: Iterable[Callable[..., Any]] | None = None,
        limits: Limits | None = None,
        origins: OriginsSetting | None = None,
    ) -> None:
        self._demands = demanded(limits, origins)
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


WebSocketRoute = WebSocketPath
"""The same as `WebSocketPath`."""
