"""Handlers as classes: one method per HTTP method, or one per stage of a WebSocket's life."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from types import MethodType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeAlias

from lilya._connection import Connection
from lilya._endpoints import MOUNTS, Dispatcher, Place
from lilya._layers import Layers, compose
from lilya._response import make_response
from lilya._session import conduct, finish
from lilya._signature import where_defined
from lilya._watch import Watch
from lilya._wire import WIRE, wire_of
from lilya.exceptions import ImproperlyConfigured, MethodNotAllowed, UnexpectedMessage, WebSocketDisconnect
from lilya.requests import Request
from lilya.types import ASGIApp, ExceptionHandlers, Message, Receive, Scope, Send
from lilya.websockets import WebSocket

if TYPE_CHECKING:
    from lilya._endpoints import Endpoint, Mount

__all__ = ["Controller", "WebSocketController"]

# The methods of `lilya.enums.HTTPMethod`, as a controller's methods are called.
METHODS = ("get", "head", "post", "put", "patch", "delete", "connect", "options", "trace")

Respond: TypeAlias = Callable[[Any], Awaitable[None]]


class _BaseController(Dispatcher):
    """
    What both kinds share: class-level layers and dependencies, and a life as long as the connection.

    A subclass is a handler, or a whole ASGI application. It is instantiated with `(scope, receive, send)` for each
    connection.
    """

    middleware: ClassVar[Sequence[Any]] = ()
    permissions: ClassVar[Sequence[Any]] = ()
    exception_handlers: ClassVar[ExceptionHandlers] = {}
    dependencies: ClassVar[Mapping[str, Any]] = {}
    before_request: ClassVar[Sequence[Callable[..., Any]]] = ()
    after_request: ClassVar[Sequence[Callable[..., Any]]] = ()

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.receive = receive
        self.send = send

    @classmethod
    def with_init(cls, *args: Any, **kwargs: Any) -> type[Self]:
        """A class to use as a handler whose constructor gets these arguments after `(scope, receive, send)`."""

        def construct(self: Self, scope: Scope, receive: Receive, send: Send) -> None:
            cls.__init__(self, scope, receive, send, *args, **kwargs)

        return type(cls.__name__, (cls,), {"__init__": construct, "__module__": cls.__module__})

    @classmethod
    def at(cls, place: Place) -> Endpoint:
        """The endpoint that runs this class, with its own layers, at one place of a router."""
        inside = Place(place.where, place.param_names, (*place.dependencies, cls.dependencies), place.overrides)
        return _ControllerEndpoint(cls, inside)

    def __await__(self) -> Generator[Any, None, None]:
        """Serve the connection that the instance was made for, as a whole application."""
        alone = type(self).at(Place(f"Controller {where_defined(type(self))}", (), (), {}))
        return conduct(alone, {**self.scope}, self.receive, self.send, Watch()).__await__()

    @classmethod
    def stages(cls, place: Place, mounts: Sequence[Mount]) -> dict[str, _Stage]:
        """The methods that take connections, by name, compiled for this place."""
        raise NotImplementedError

    async def serve(self, stages: Mapping[str, _Stage]) -> None:
        """Handle the connection."""
        raise NotImplementedError


class _Stage:
    """
    One method of a controller and the plan for its arguments.

    Args:
        given: How many arguments the controller itself passes after the connection.
    """

    __slots__ = ("given", "plan", "simple")

    def __init__(
        self,
        cls: type,
        name: str,
        place: Place,
        kind: Literal["websocket", "http"],
        mounts: Sequence[Mount],
        given: int = 0,
    ) -> None:
        method = MethodType(getattr(cls, name), object())
        own = [parameter.name for parameter in inspect.signature(method).parameters.values()]
        self.given = own[1 : 1 + given]
        # Nothing to fill but what the controller passes itself: the method is called directly.
        self.simple = kind == "websocket" and len(own) == 1 + given and inspect.iscoroutinefunction(method)
        place = Place(place.where, (*place.param_names, *self.given), place.dependencies, place.overrides)
        self.plan = place.compile(method, kind, mounts)

    async def run(
        self, instance: _BaseController, connection: Connection, *given: Any, respond: Respond | None = None
    ) -> None:
        method = MethodType(self.plan.handler.__func__, instance)  # type: ignore[attr-defined]  # made by __init__
        if self.simple:
            await method(connection, *given)
            return
        params = {**connection.path_params, **dict(zip(self.given, given, strict=True))}
        plan = self.plan._replace(handler=method, direct=None)
        await plan.run(connection, params, instance.scope[WIRE].shared, respond)


class Controller(_BaseController):
    """
    An HTTP handler with one method per HTTP method: `async def get(self, request)`, `post`, and so on.

    The methods take what functions take, and return what functions return. A method that is missing is a 405.
    """

    @classmethod
    def stages(cls, place: Place, mounts: Sequence[Mount]) -> dict[str, _Stage]:
        return {name: _Stage(cls, name, place, "http", mounts) for name in METHODS if hasattr(cls, name)}

    async def serve(self, stages: Mapping[str, _Stage]) -> None:
        async def respond(result: Any) -> None:
            await make_response(result)(self.scope, self.receive, self.send)

        name = self.scope["method"].lower()
        stage = stages.get("get" if name == "head" and "head" not in stages else name)
        if stage is None:
            allowed = ", ".join(sorted(name.upper() for name in stages))
            raise MethodNotAllowed(headers={"allow": allowed})
        await stage.run(self, Request(self.scope, self.receive, self.send), respond=respond)


class WebSocketController(_BaseController):
    """
    A WebSocket handler with one method per stage: `on_connect`, `on_receive` for each message, `on_disconnect`.

    What the methods ask for beyond the arguments shown here is filled by name with path parameters and dependencies,
    which live as long as the call.

    Attributes:
        encoding: What `on_receive` is given: "text" (`str`), "bytes", "json" (decoded, from frames of either kind), or
            None: `str` or `bytes`, as it came.
    """

    encoding: ClassVar[str | None] = None

    async def on_connect(self, websocket: WebSocket) -> None:
        """Accept, or refuse with `close()`; nothing more is called after a refusal."""
        await websocket.accept()

    async def on_receive(self, websocket: WebSocket, data: Any) -> None:
        """One message."""

    async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
        """Once, at the end: with the client's close code, 1000 after an own close, or 1011 after an error."""

    @classmethod
    def stages(cls, place: Place, mounts: Sequence[Mount]) -> dict[str, _Stage]:
        if cls.encoding not in (None, "text", "bytes", "json"):
            raise ImproperlyConfigured(
                f"{place.where}: encoding {cls.encoding!r} is unknown. Use 'text', 'bytes', 'json' or None."
            )
        return {
            name: _Stage(cls, name, place, "websocket", mounts, given)
            for name, given in (("on_connect", 0), ("on_receive", 1), ("on_disconnect", 1))
        }

    async def serve(self, stages: Mapping[str, _Stage]) -> None:
        websocket = WebSocket(self.scope, self.receive, self.send)
        wire = websocket._wire
        wire.websocket = websocket
        await stages["on_connect"].run(self, websocket)
        if not wire.open:
            return
        close_code = 1011
        try:
            while wire.open:
                message = await websocket.receive()
                if message["type"] == "websocket.disconnect":
                    break
                await stages["on_receive"].run(self, websocket, await self.decode(websocket, message))
            close_code = 1000 if wire.close_code is None else wire.close_code
        except WebSocketDisconnect as disconnect:
            close_code = disconnect.code
        finally:
            await stages["on_disconnect"].run(self, websocket, close_code)

    async def decode(self, websocket: WebSocket, message: Message) -> Any:
        """
        What `on_receive` is given for a raw message.

        Raises:
            UnexpectedMessage: A RuntimeError: the other kind of frame, or no JSON. The connection has been closed, with
                1003 or 1007.
        """
        text, payload = message.get("text"), message.get("bytes")
        if self.encoding is None:
            return text if text is not None else payload
        if self.encoding == "json":
            try:
                return websocket._wire.codec.decode(text if text is not None else payload or b"")
            except ValueError:
                await websocket.close(1007)
                raise UnexpectedMessage("Malformed JSON data received.", 1007) from None
        wanted, got = (text, "bytes") if self.encoding == "text" else (payload, "text")
        if wanted is None:
            await websocket.close(1003)
            raise UnexpectedMessage(f"Expected {self.encoding} messages, but got {got}")
        return wanted


class _ControllerEndpoint:
    """Makes an instance for each connection, inside the layers of its class."""

    __slots__ = ("app", "cls", "place", "prepared")

    def __init__(self, cls: type[_BaseController], place: Place) -> None:
        self.cls = cls
        self.place = place
        self.prepared: dict[tuple[Mount, ...], dict[str, _Stage]] = {}
        self.app: ASGIApp = compose(self._serve, Layers(**{name: getattr(cls, name) for name in Layers.__slots__}))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)

    def prepare(self, mounts: tuple[Mount, ...]) -> None:
        self._stages(mounts)

    def forget(self) -> None:
        self.prepared.clear()

    def _stages(self, mounts: tuple[Mount, ...]) -> dict[str, _Stage]:
        if mounts not in self.prepared:
            self.prepared[mounts] = self.cls.stages(self.place, mounts)
        return self.prepared[mounts]

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        wire = wire_of(scope)
        if wire is not None and wire.policy.user_gates:
            wire.watch.admit_user(wire, scope)
        stages = self._stages(scope.get(MOUNTS, ()))
        await self.cls(scope, receive, send).serve(stages)
        if wire is not None and wire.open:
            await finish(WebSocket(scope, receive, send))
