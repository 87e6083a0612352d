"""Handlers as classes: stages of a WebSocket's life, and HTTP methods."""

# The methods of a controller take more arguments than those they override: their signature is the contract.
# mypy: disable-error-code="override"

import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any, ClassVar

import httpx
import pytest
from websockets.sync.client import connect

from lilya.apps import ChildLilya, Lilya
from lilya.controllers import METHODS, Controller, WebSocketController
from lilya.dependencies import Provide, Provides
from lilya.enums import HTTPMethod
from lilya.exceptions import (
    HTTPException,
    ImproperlyConfigured,
    PermissionDenied,
    UnexpectedMessage,
    WebSocketDisconnect,
    WebSocketException,
)
from lilya.protocols.middleware import MiddlewareProtocol
from lilya.protocols.permissions import PermissionProtocol
from lilya.requests import Request
from lilya.responses import PlainText
from lilya.routing import Include, Path, Router, WebSocketPath
from lilya.testclient import TestClient
from lilya.types import ASGIApp, ExceptionHandlers, Message, Receive, Scope, Send
from lilya.websockets import WebSocket
from tests.contract.peer import CLOSED, Peer, bytes_frame, converse, disconnect, text_frame, websocket_scope
from tests.support.servers import WS_PROTOCOLS, serve


@pytest.fixture(autouse=True)
def log_everything(caplog: pytest.LogCaptureFixture) -> None:
    """`caplog.records` is the log of one test, from DEBUG upwards."""
    caplog.set_level(logging.DEBUG, "lilya")


def routed(controller: Any, path: str = "/", **options: Any) -> Lilya:
    """An application with this controller as its only WebSocket handler."""
    return Lilya(routes=[WebSocketPath(path, controller, **options)])


async def wholly(controller: Any) -> ASGIApp:
    """The controller itself as an application."""
    app: ASGIApp = controller
    return app


def payloads(peer: Peer) -> list[Any]:
    """What was sent in text and binary messages."""
    return [message.get("text", message.get("bytes")) for message in peer.sent if message["type"] == "websocket.send"]


class Noting(WebSocketController):
    """Notes every call in `calls`."""

    calls: ClassVar[list[Any]]

    async def on_connect(self, websocket: WebSocket) -> None:
        self.calls.append("connect")
        await websocket.accept()

    async def on_receive(self, websocket: WebSocket, data: Any) -> None:
        self.calls.append(data)

    async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
        self.calls.append(("disconnect", close_code))


def noting(encoding: str | None = None, **attributes: Any) -> type[Noting]:
    """A fresh `Noting` with this encoding."""
    return type("Noting", (Noting,), {"encoding": encoding, "calls": [], **attributes})


# --- The life of a connection ----------------------------------------------------------------------------------------


async def test_websocket_controller_is_an_application_or_a_handler() -> None:
    """The class itself serves a connection, and so it does as a handler."""
    for use in (lambda cls: cls, routed):
        controller = noting("text")
        peer = await converse(use(controller), text_frame("a"), text_frame("b"), disconnect(1001))
        assert controller.calls == ["connect", "a", "b", ("disconnect", 1001)]
        assert peer.kinds == ["accept"]


@pytest.mark.parametrize("ws", WS_PROTOCOLS)
def test_websocket_controller_is_served_by_uvicorn(ws: str) -> None:
    """`uvicorn module:MyController` works: the class is recognised as an ASGI 3 application."""

    class Echo(WebSocketController):
        encoding = "json"

        async def on_receive(self, websocket: WebSocket, data: Any) -> None:
            await websocket.send_json({"got": data})

    with serve(Echo, ws=ws, lifespan="off") as server, connect(server.ws_url(), proxy=None) as client:
        client.send("[1]")
        assert client.recv() == '{"got":[1]}'


async def test_websocket_controller_accepts_and_ignores_by_default() -> None:
    """A controller without methods accepts, reads, and ends with the client."""

    class Nothing(WebSocketController):
        pass

    peer = await converse(Nothing, text_frame("a"), disconnect())
    assert peer.kinds == ["accept"]


async def test_websocket_controller_has_an_instance_for_each_connection() -> None:
    """What is kept on `self` belongs to one connection; it knows its scope."""

    class Counting(WebSocketController):
        seen = 0

        async def on_receive(self, websocket: WebSocket, data: Any) -> None:
            self.seen += 1
            await websocket.send_text(f"{self.scope['path']} {self.seen}")

    app = routed(Counting)
    for _ in range(2):
        peer = await converse(app, text_frame("a"), text_frame("b"), disconnect())
        assert payloads(peer) == ["/ 1", "/ 2"]


async def test_websocket_controller_reads_a_disconnect_without_code_as_1005() -> None:
    """ASGI: the code is optional."""
    controller = noting()
    await converse(controller, {"type": "websocket.disconnect"})
    assert controller.calls == ["connect", ("disconnect", 1005)]


async def test_websocket_controller_that_refuses_is_asked_nothing_more() -> None:
    """An `on_connect` that closes, denies or raises ends it: no loop over `receive`, no `on_disconnect`."""

    class Closing(Noting):
        calls: ClassVar[list[Any]] = []

        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.close(1008)

    class Denying(Noting):
        calls: ClassVar[list[Any]] = []

        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.send_denial_response(PlainText("no", status_code=401))

    class Raising(Noting):
        calls: ClassVar[list[Any]] = []

        async def on_connect(self, websocket: WebSocket) -> None:
            raise PermissionDenied

    for controller, kinds in ((Closing, ["close"]), (Denying, DENIED), (Raising, DENIED)):
        for app in (controller, routed(controller)):
            peer = await converse(app)
            assert (peer.kinds, controller.calls) == (kinds, [])


DENIED = ["http.response.start", "http.response.body"]


async def test_websocket_controller_that_answers_nothing_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    """An `on_connect` that forgets to accept is a 404 and an ERROR, as for a function."""

    class Forgetful(WebSocketController):
        async def on_connect(self, websocket: WebSocket) -> None: ...

    peer = await converse(routed(Forgetful))
    assert (peer.kinds, peer.sent[0]["status"]) == (DENIED, 404)
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "Forgetful returned without accept() or close()" in record.getMessage()


async def test_websocket_controller_ends_with_its_own_close() -> None:
    """A close in `on_receive` ends the loop; `on_disconnect` is told its code, and may close again in vain."""

    class Closing(Noting):
        calls: ClassVar[list[Any]] = []

        async def on_receive(self, websocket: WebSocket, data: Any) -> None:
            await websocket.close(4000, "enough")

    for app in (Closing, routed(Closing)):
        Closing.calls.clear()
        peer = await converse(app, text_frame("a"))
        assert peer.sent[1:] == [{"type": "websocket.close", "code": 4000, "reason": "enough"}]
        assert Closing.calls == ["connect", ("disconnect", 4000)]


async def test_websocket_controller_may_close_in_on_disconnect() -> None:
    """The client has left: that close is silent."""

    class Polite(WebSocketController):
        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            await websocket.close(code=close_code)

    peer = await converse(Polite, disconnect(1001))
    assert peer.kinds == ["accept"]


async def test_websocket_controller_sees_a_client_that_vanished() -> None:
    """A send that finds nobody ends it with 1006; nothing is reported."""

    class Sending(Noting):
        calls: ClassVar[list[Any]] = []

        async def on_receive(self, websocket: WebSocket, data: Any) -> None:
            peer.gone = True
            await websocket.send_text("x")

    peer = Peer({"type": "websocket.connect"}, text_frame("a"))
    await Sending(websocket_scope(), peer.receive, peer.send)
    assert Sending.calls == ["connect", ("disconnect", 1006)]


async def test_websocket_controller_error_ends_with_1011(caplog: pytest.LogCaptureFixture) -> None:
    """`on_disconnect` is told 1011, the client sees it, and the error is logged once."""
    error = ValueError("secret")

    class Failing(Noting):
        calls: ClassVar[list[Any]] = []

        async def on_receive(self, websocket: WebSocket, data: Any) -> None:
            raise error

    for app in (Failing, routed(Failing)):
        Failing.calls.clear()
        caplog.clear()
        peer = await converse(app, text_frame("a"))
        assert peer.sent[1:] == [{"type": "websocket.close", "code": 1011, "reason": ""}]
        assert Failing.calls == ["connect", ("disconnect", 1011)]
        (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert record.exc_info is not None
        assert record.exc_info[1] is error


async def test_websocket_controller_answer_ends_with_its_code() -> None:
    """`WebSocketException` and `HTTPException` close as anywhere else."""
    errors: list[tuple[Exception, int]] = [(WebSocketException(4321), 4321), (HTTPException(status_code=403), 4403)]
    for error, code in errors:

        class Failing(WebSocketController):
            raised = error

            async def on_receive(self, websocket: WebSocket, data: Any) -> None:
                raise self.raised

        peer = await converse(routed(Failing), text_frame("a"))
        assert [message["code"] for message in peer.sent[1:]] == [code]


# --- Encodings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "message", "data"),
    [
        ("text", text_frame("a"), "a"),
        ("text", text_frame(""), ""),
        ("text", {"type": "websocket.receive", "text": "a", "bytes": None}, "a"),
        ("bytes", bytes_frame(b"a"), b"a"),
        ("bytes", bytes_frame(b""), b""),
        ("bytes", {"type": "websocket.receive", "text": None, "bytes": b"a"}, b"a"),
        ("json", text_frame('{"a": 1}'), {"a": 1}),
        ("json", bytes_frame(b'{"a": 1}'), {"a": 1}),
        ("json", text_frame("null"), None),
        (None, text_frame("a"), "a"),
        (None, text_frame(""), ""),
        (None, bytes_frame(b"a"), b"a"),
        (None, bytes_frame(b""), b""),
    ],
)
async def test_encoding_decides_what_on_receive_is_given(encoding: str | None, message: Message, data: Any) -> None:
    """Text, bytes, decoded JSON from frames of either kind, or whatever came, empty messages included."""
    controller = noting(encoding)
    await converse(controller, message, disconnect())
    assert controller.calls[1:-1] == [data]


@pytest.mark.parametrize(
    ("encoding", "message", "code", "text"),
    [
        ("text", bytes_frame(b"a"), 1003, "Expected text messages, but got bytes"),
        ("text", {**bytes_frame(b"a"), "text": None}, 1003, "Expected text messages, but got bytes"),
        ("bytes", text_frame("a"), 1003, "Expected bytes messages, but got text"),
        ("json", text_frame("{"), 1007, "Malformed JSON data received."),
        ("json", bytes_frame(b"\xff"), 1007, "Malformed JSON data received."),
        ("json", text_frame(""), 1007, "Malformed JSON data received."),
        ("json", bytes_frame(b""), 1007, "Malformed JSON data received."),
        ("json", {"type": "websocket.receive"}, 1007, "Malformed JSON data received."),
    ],
)
async def test_encoding_refuses_other_messages(encoding: str, message: Message, code: int, text: str) -> None:
    """One close, and a `RuntimeError` with the text users know; `on_disconnect` is told 1011."""
    heard: list[BaseException] = []
    for wrap in (lambda cls: cls, routed):
        heard.clear()
        controller = noting(encoding)
        scope = websocket_scope(extensions={"lilya.errors": {"report": heard.append}})
        peer = await converse(wrap(controller), message, scope=scope)
        assert peer.sent[1:] == [{"type": "websocket.close", "code": code, "reason": ""}]
        assert controller.calls == ["connect", ("disconnect", 1011)]
        (error,) = heard
        assert isinstance(error, RuntimeError)
        assert isinstance(error, UnexpectedMessage)
        assert str(error) == text


def test_encoding_error_comes_out_of_the_test_client() -> None:
    """A test sees the `RuntimeError`, as users expect it to."""
    with TestClient(routed(noting("text"))).websocket_connect("/") as session:
        session.send_bytes(b"a")
        with pytest.raises(RuntimeError, match="Expected text messages, but got bytes"):
            session.receive()


async def test_encoding_that_is_unknown_is_an_error_at_startup() -> None:
    """The text names the place, the value and the remedy."""
    with pytest.raises(ImproperlyConfigured, match=r"WebSocketPath '/x'.*encoding 'xml' is unknown. Use 'text'"):
        routed(noting("xml"), "/x").prepare()


# --- with_init -------------------------------------------------------------------------------------------------------


class Greeting(WebSocketController):
    """Has a constructor of its own."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, greeting: str, *, mark: str = ".") -> None:
        super().__init__(scope, receive, send)
        self.greeting = greeting + mark

    async def on_connect(self, websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(self.greeting)


async def test_with_init_gives_the_constructor_more_arguments() -> None:
    """The result is a class: a handler or a whole application, and the original is unchanged."""
    loud = Greeting.with_init("hello", mark="!")
    assert issubclass(loud, Greeting)
    assert (loud.__name__, loud.__module__) == ("Greeting", __name__)
    apps: list[Any] = [loud, routed(loud), routed(Greeting.with_init("hello", mark="!"))]
    for app in apps:
        assert payloads(await converse(app, disconnect())) == ["hello!"]
    assert payloads(await converse(routed(Greeting.with_init("hi")), disconnect())) == ["hi."]


async def test_with_init_works_for_http() -> None:
    """A `Controller` has it as well."""

    class Page(Controller):
        def __init__(self, scope: Scope, receive: Receive, send: Send, text: str) -> None:
            super().__init__(scope, receive, send)
            self.text = text

        async def get(self, request: Request) -> str:
            return self.text

    assert TestClient(Lilya(routes=[Path("/", Page.with_init("hi"))])).get("/").json() == "hi"


# --- Layers ----------------------------------------------------------------------------------------------------------

TRAIL: list[str] = []


@pytest.fixture
def trail() -> Iterator[list[str]]:
    """Where layers and methods note that they ran."""
    TRAIL.clear()
    yield TRAIL
    TRAIL.clear()


class Middleware(MiddlewareProtocol):
    """Notes that it ran."""

    def __init__(self, app: ASGIApp, name: str = "class middleware") -> None:
        self.app = app
        self.name = name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        TRAIL.append(self.name)
        await self.app(scope, receive, send)


class Permission(PermissionProtocol):
    """Notes that it ran, and denies the path `/denied`."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        TRAIL.append("class permission")
        if scope["path"] == "/denied":
            raise PermissionDenied
        await self.app(scope, receive, send)


async def before(scope: Scope, receive: Receive, send: Send) -> None:
    """A hook."""
    TRAIL.append("before")


def after(scope: Scope, receive: Receive, send: Send) -> None:
    """A sync hook."""
    TRAIL.append("after")


class Layered(WebSocketController):
    """Has every kind of layer on the class."""

    middleware = (Middleware,)
    permissions = (Permission,)
    before_request = (before,)
    after_request = (after,)

    async def on_connect(self, websocket: WebSocket) -> None:
        TRAIL.append("connect")
        await websocket.accept()


async def test_class_layers_run_around_the_controller(trail: list[str]) -> None:
    """In the order of any level, inside those of the route; also when the class is a whole application."""
    outer = MiddlewareOf("route middleware")
    peer = await converse(routed(Layered, middleware=[outer]), disconnect())
    inner = ["class middleware", "class permission", "before", "connect", "after"]
    assert (trail, peer.kinds) == (["route middleware", *inner], ["accept"])
    trail.clear()
    await converse(Layered, disconnect())
    assert trail == inner


def MiddlewareOf(name: str) -> Any:  # noqa: N802 - stands for a class
    """A middleware class with its name filled in."""
    return lambda app: Middleware(app, name)


async def test_class_permission_denies(trail: list[str]) -> None:
    """A refusal of the class' own permission is a denial; the controller is not made."""
    peer = await converse(routed(Layered, "/denied"), scope=websocket_scope("/denied"))
    assert (peer.kinds, peer.sent[0]["status"]) == (DENIED, 403)
    assert trail == ["class middleware", "class permission"]


async def test_class_exception_handlers_get_the_websocket_of_the_methods() -> None:
    """They see the live socket, and come before those of the route."""
    seen: list[tuple[WebSocket, Exception]] = []

    async def handle(websocket: WebSocket, error: Exception) -> None:
        seen.append((websocket, error))
        await websocket.close(4444)

    error = ValueError()
    handlers: ExceptionHandlers = {ValueError: handle}

    class Handling(WebSocketController):
        exception_handlers = handlers

        async def on_receive(self, websocket: WebSocket, data: Any) -> None:
            self.socket = websocket
            raise error

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            assert self.socket is websocket
            sockets.append(websocket)

    sockets: list[WebSocket] = []
    peer = await converse(routed(Handling), text_frame("a"))
    assert [message["code"] for message in peer.sent[1:]] == [4444]
    assert seen == [(sockets[0], error)]


@pytest.mark.parametrize("place", ["route", "include", "app", "child"])
async def test_layers_of_other_levels_wrap_a_controller(place: str, trail: list[str]) -> None:
    """Middleware and permissions of route, include, app and child app work around a controller class."""
    layers: dict[str, Any] = {"middleware": [Middleware], "permissions": [Permission]}
    controller = noting("text")
    route = WebSocketPath("/", controller, **(layers if place == "route" else {}))
    routes = {
        "route": lambda: Lilya(routes=[route]),
        "include": lambda: Lilya(routes=[Include("/", routes=[route], **layers)]),
        "app": lambda: Lilya(routes=[route], **layers),
        "child": lambda: Lilya(routes=[Include("/", app=ChildLilya(routes=[route], **layers))]),
    }
    peer = await converse(routes[place](), text_frame("a"), disconnect())
    assert trail == ["class middleware", "class permission"]
    assert (controller.calls, peer.kinds) == (["connect", "a", ("disconnect", 1001)], ["accept"])


FROM_MAP = Provides()


# --- Arguments -------------------------------------------------------------------------------------------------------


async def test_methods_are_given_path_parameters_and_dependencies() -> None:
    """By name, in every stage, converted; class-level dependencies beat those of the app."""
    calls: list[Any] = []

    class Asking(WebSocketController):
        encoding = "text"
        dependencies: ClassVar[dict[str, Any]] = {"user": Provide(lambda: "class user"), "limit": 3}

        async def on_connect(self, websocket: WebSocket, room: int, user: str) -> None:
            calls.append((room, user))
            await websocket.accept()

        async def on_receive(self, websocket: WebSocket, data: str, limit: int, room: int) -> None:
            calls.append((data, limit, room))

        async def on_disconnect(self, websocket: WebSocket, close_code: int, tone: str, user: Any = FROM_MAP) -> None:
            calls.append((close_code, tone, user))

    app = Lilya(
        routes=[Include("/{tone}", routes=[WebSocketPath("/{room:int}", Asking)])],
        dependencies={"user": Provide(lambda: "app user")},
    )
    await converse(app, text_frame("a"), disconnect(1001), scope=websocket_scope("/blue/7"))
    assert calls == [(7, "class user"), ("a", 3, 7), (1001, "blue", "class user")]


async def test_methods_may_call_their_own_arguments_anything() -> None:
    """What the controller passes itself is passed by position, whatever else has that name."""
    calls: list[Any] = []

    class Odd(WebSocketController):
        async def on_receive(self, socket: WebSocket, message: Any, extra: str) -> None:
            calls.append((message, extra))

        async def on_disconnect(self, socket: WebSocket, why: int) -> None:
            calls.append(why)

    app = routed(Odd, "/{message}/{why}/{extra}")
    await converse(app, text_frame("a"), disconnect(1001), scope=websocket_scope("/x/y/z"))
    assert calls == [("a", "z"), 1001]


async def test_dependencies_live_as_long_as_the_call() -> None:
    """A generator is closed when the method returns or raises."""
    calls: list[str] = []

    async def lend() -> AsyncIterator[str]:
        calls.append("open")
        try:
            yield "value"
        finally:
            calls.append("closed")

    class Borrowing(WebSocketController):
        dependencies: ClassVar[dict[str, Any]] = {"value": Provide(lend)}

        async def on_receive(self, websocket: WebSocket, data: Any, value: str) -> None:
            calls.append(f"{data} {value}")
            if data == "b":
                raise WebSocketException(4000)

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            calls.append("disconnect")

    await converse(routed(Borrowing), text_frame("a"), text_frame("b"))
    assert calls == ["open", "a value", "closed", "open", "b value", "closed", "disconnect"]


async def test_methods_that_are_not_async_run_in_a_thread() -> None:
    """A sync method is a stage like any other."""
    calls: list[Any] = []

    class Plain(WebSocketController):
        def on_receive(self, websocket: WebSocket, data: Any) -> None:
            calls.append(data)

    await converse(routed(Plain), text_frame("a"), disconnect())
    assert calls == ["a"]


async def test_argument_that_nobody_fills_is_an_error_at_startup() -> None:
    """The text names the place and the argument, before any connection came."""

    class Asking(WebSocketController):
        async def on_receive(self, websocket: WebSocket, data: Any, missing: int) -> None: ...

    with pytest.raises(ImproperlyConfigured, match=r"WebSocketPath '/x'.*missing"):
        routed(Asking, "/x").prepare()


async def test_controller_sees_the_dependencies_of_the_mount_it_came_through() -> None:
    """The same child application in two places has two plans."""
    calls: list[str] = []

    class Asking(WebSocketController):
        async def on_connect(self, websocket: WebSocket, who: str) -> None:
            calls.append(who)
            await websocket.close()

    child = ChildLilya(routes=[WebSocketPath("/", Asking)])
    app = Lilya(
        routes=[
            Include("/a", app=child, dependencies={"who": Provide(lambda: "a")}),
            Include("/b", app=child, dependencies={"who": Provide(lambda: "b")}),
        ]
    )
    for path in ("/a/", "/b/", "/a/"):
        await converse(app, scope=websocket_scope(path))
    assert calls == ["a", "b", "a"]


async def test_uncaught_disconnect_of_a_method_is_a_normal_end(caplog: pytest.LogCaptureFixture) -> None:
    """A method that receives on its own may let the disconnect out; `on_disconnect` is told its code."""

    class Asking(Noting):
        calls: ClassVar[list[Any]] = []

        async def on_receive(self, websocket: WebSocket, data: Any) -> None:
            await websocket.receive_text()

    await converse(routed(Asking), text_frame("a"), disconnect(4001))
    assert Asking.calls == ["connect", ("disconnect", 4001)]
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_on_disconnect_may_raise(caplog: pytest.LogCaptureFixture) -> None:
    """It is a fault like any other."""
    error = ValueError()

    class Failing(WebSocketController):
        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            raise error

    await converse(routed(Failing), disconnect())
    assert [record.exc_info[1] for record in caplog.records if record.exc_info] == [error]


async def test_serve_may_be_overridden_and_leave_the_connection_open() -> None:
    """Whoever writes the whole life anew need not close: that is done as for a function."""

    class Own(WebSocketController):
        async def serve(self, stages: Any) -> None:
            await WebSocket(self.scope, self.receive, self.send).accept()

    for app in (Own, routed(Own)):
        assert (await converse(app)).sent[1:] == [CLOSED]


# --- HTTP ------------------------------------------------------------------------------------------------------------


class Items(Controller):
    """Two methods of different kinds."""

    middleware = (Middleware,)

    async def get(self, request: Request, item: int) -> dict[str, Any]:
        return {"item": item, "method": request.method}

    def post(self, request: Request) -> PlainText:
        return PlainText("made", status_code=201)


@pytest.fixture
def items() -> TestClient:
    """A client of an application with `Items`."""
    return TestClient(Lilya(routes=[Path("/{item:int}", Items, methods=["GET", "POST", "PUT"])]))


def test_controller_dispatches_by_method(items: TestClient, trail: list[str]) -> None:
    """Methods take and return what functions do; class-level layers run."""
    assert items.get("/3").json() == {"item": 3, "method": "GET"}
    response = items.post("/3")
    assert (response.status_code, response.text) == (201, "made")
    assert trail == ["class middleware"] * 2


def test_controller_answers_head_with_get(items: TestClient, trail: list[str]) -> None:
    """A HEAD is a GET without its body, unless there is a method of its own."""
    response = items.head("/3")
    assert (response.status_code, response.content) == (200, b"")

    class Own(Controller):
        async def head(self, request: Request) -> PlainText:
            return PlainText("", headers={"x-own": "yes"})

    assert TestClient(Lilya(routes=[Path("/", Own, methods=["HEAD"])])).head("/").headers["x-own"] == "yes"


def test_controller_without_the_method_is_405(items: TestClient, trail: list[str]) -> None:
    """The answer names the methods there are."""
    response = items.put("/3")
    assert (response.status_code, response.headers["allow"]) == (405, "GET, POST")


def test_controller_is_a_whole_application() -> None:
    """The class itself serves requests."""

    class Page(Controller):
        async def get(self, request: Request) -> PlainText:
            return PlainText(f"hello {request.url.path}")

    with serve(Page, lifespan="off") as server:
        assert httpx.get(server.url("/x")).text == "hello /x"
        assert httpx.post(server.url("/x")).status_code == 405


def test_controller_works_behind_a_bare_router() -> None:
    """A router without an application around it serves controllers too."""

    class Page(Controller):
        async def get(self, request: Request) -> str:
            return "hi"

    assert TestClient(Router([Path("/", Page)])).get("/").json() == "hi"


async def test_base_controller_has_no_stages_of_its_own() -> None:
    """Only its two kinds can serve."""
    base: Any = WebSocketController.__mro__[1]
    with pytest.raises(NotImplementedError):
        base.stages(None, ())
    with pytest.raises(NotImplementedError):
        await base({}, None, None).serve({})


def test_websocket_controller_disconnect_is_the_one_users_import() -> None:
    """What methods raise and catch is `lilya.websockets.WebSocketDisconnect`."""
    assert issubclass(WebSocketDisconnect, Exception)


def test_controllers_answer_to_every_http_method() -> None:
    assert tuple(method.lower() for method in HTTPMethod) == METHODS
