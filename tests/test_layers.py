"""Middleware, permissions, hooks and exception handlers: their order, what they see, and what they make of errors."""

import threading
from collections.abc import Callable
from typing import Any, Literal

import pytest

from lilya._define import DefineMiddleware, DefinePermission
from lilya._layers import Layers, compose, find_handler
from lilya.apps import ChildLilya, Lilya
from lilya.enums import WebSocketState
from lilya.exceptions import (
    HTTPException,
    ImproperlyConfigured,
    NotAuthorized,
    NotFound,
    PermissionDenied,
    WebSocketDisconnect,
    WebSocketException,
)
from lilya.protocols.middleware import MiddlewareProtocol
from lilya.protocols.permissions import PermissionProtocol
from lilya.requests import Request
from lilya.responses import PlainText
from lilya.routing import Host, Include, Path, Router, WebSocketPath
from lilya.testclient import TestClient, WebSocketDenialResponse, create_client
from lilya.types import ASGIApp, Receive, Scope, Send
from lilya.websockets import WebSocket, WebSocketClose

Kind = Literal["websocket", "http"]
BOTH: list[Kind] = ["websocket", "http"]

# What layers and handlers of a test have noted, in order.
seen: list[Any] = []


@pytest.fixture(autouse=True)
def _nothing_seen() -> None:
    seen.clear()


class Noting:
    """A layer that notes when it is entered and when it is left."""

    def __init__(self, app: ASGIApp, name: str = "bare") -> None:
        self.app = app
        self.name = name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(f"{self.name} in")
        try:
            await self.app(scope, receive, send)
        finally:
            seen.append(f"{self.name} out")


def level(name: str) -> dict[str, Any]:
    """All layers of one level, two of each kind, one half sync."""

    async def before(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(f"{name} before 1")

    async def after(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(f"{name} after 1")

    def sync_before(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(f"{name} before 2")

    def sync_after(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(f"{name} after 2")

    return {
        "middleware": [DefineMiddleware(Noting, f"{name} middleware {number}") for number in (1, 2)],
        "permissions": [DefinePermission(Noting, name=f"{name} permission {number}") for number in (1, 2)],
        "before_request": [before, sync_before],
        "after_request": [after, sync_after],
    }


def nested(name: str, inside: list[Any]) -> list[Any]:
    """What a level notes around what is inside of it."""
    layers = [f"{name} {kind} {number}" for kind in ("middleware", "permission") for number in (1, 2)]
    return [
        *[f"{layer} in" for layer in layers],
        f"{name} before 1",
        f"{name} before 2",
        *inside,
        f"{name} after 1",
        f"{name} after 2",
        *[f"{layer} out" for layer in reversed(layers)],
    ]


async def handler(connection: Any) -> str:
    """A handler for both kinds."""
    seen.append("handler")
    if isinstance(connection, WebSocket):
        await connection.accept()
    return "answer"


def routes(path: str = "/", **layers: Any) -> list[Any]:
    """The handler as a route of both kinds."""
    return [Path(path, handler, **layers), WebSocketPath(path, handler, **layers)]


def visit(client: TestClient, kind: Kind, path: str = "/") -> int:
    """Make one connection to a path that answers; the status, or the close code, or the status of the refusal."""
    if kind == "http":
        return client.get(path).status_code
    try:
        with client.websocket_connect(path) as websocket:
            message = websocket.receive()
            return int(message["code"])
    except WebSocketDenialResponse as denial:
        return denial.status_code
    except WebSocketDisconnect:
        return 403


# -- order -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", BOTH)
def test_layers_run_from_the_outside_in(kind: Kind) -> None:
    """App, include, child app, router, route: on each level middleware, permissions, hooks, and the way back."""
    router = Router(routes("/x", **level("route")), **level("router"))
    child = ChildLilya(routes=[Include("/in", app=router, **level("inner include"))], **level("child"))
    app = Lilya(routes=[Include("/outer", app=child, **level("include"))], **level("app"))
    visit(TestClient(app), kind, "/outer/in/x")
    expected = ["handler"]
    for name in ("route", "router", "inner include", "child", "include", "app"):
        expected = nested(name, expected)
    assert seen == expected


@pytest.mark.parametrize("kind", BOTH)
def test_layers_of_includes_and_hosts_run_from_the_outside_in(kind: Kind) -> None:
    """Includes of routes and hosts are levels as well."""
    host = Host("testserver", app=Include("/b", routes=routes("/x"), **level("inner")), **level("host"))
    app = Lilya(routes=[Include("/a", routes=[host], **level("outer"))])
    visit(TestClient(app), kind, "/a/b/x")
    assert seen == nested("outer", nested("host", nested("inner", ["handler"])))


@pytest.mark.parametrize("kind", BOTH)
def test_layers_of_an_include_run_only_where_something_inside_matches(kind: Kind) -> None:
    """An include that falls through is not entered; a mounted application is, whatever the path below it."""
    app = Lilya(
        routes=[
            Include("/", routes=routes("/x"), middleware=[DefineMiddleware(Noting, "routes")]),
            Include("/app", app=Router([]), middleware=[DefineMiddleware(Noting, "mounted")]),
        ],
        middleware=[DefineMiddleware(Noting, "app")],
        permissions=[DefinePermission(Noting, "app permission")],
    )
    for path, inside in (("/x", ["routes in", "handler", "routes out"]), ("/y", []), ("/app/y", ["mounted in", "mounted out"])):  # fmt: skip # noqa: E501
        seen.clear()
        visit(TestClient(app), kind, path)
        assert seen == ["app in", "app permission in", *inside, "app permission out", "app out"]


def test_layers_run_for_redirects_and_wrong_methods() -> None:
    """What the table answers by itself comes from inside the application's layers."""
    client = create_client(routes("/x"), permissions=[Noting], follow_redirects=False)
    assert [client.get("/x/").status_code, client.post("/x").status_code] == [303, 405]
    assert seen == ["bare in", "bare out"] * 2


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize(
    ("definition", "name"),
    [
        (Noting, "bare"),
        (DefineMiddleware(Noting, "positional"), "positional"),
        (DefineMiddleware(Noting, name="keyword"), "keyword"),
        (DefinePermission(Noting, "either"), "either"),
        (f"{__name__}.Noting", "bare"),
        (DefineMiddleware(f"{__name__}:Noting", "import string"), "import string"),
    ],
)
@pytest.mark.parametrize("argument", ["middleware", "permissions"])
@pytest.mark.parametrize("place", ["app", "include", "mount", "router", "host", "route"])
def test_layers_are_never_skipped(kind: Kind, definition: Any, name: str, argument: str, place: str) -> None:
    """A single layer around a single static route is run, in whatever way and wherever it is declared."""
    layers: dict[str, Any] = {argument: [definition]}
    apps: dict[str, Callable[[], ASGIApp]] = {
        "app": lambda: Lilya(routes=routes(), **layers),
        "include": lambda: Lilya(routes=[Include("/", routes=routes(), **layers)]),
        "mount": lambda: Lilya(routes=[Include("/", app=ChildLilya(routes=routes()), **layers)]),
        "router": lambda: Router(routes(), **layers),
        "host": lambda: Lilya(routes=[Host("testserver", app=Router(routes()), **layers)]),
        "route": lambda: Lilya(routes=routes(**layers)),
    }
    visit(TestClient(apps[place]()), kind)
    assert seen == [f"{name} in", "handler", f"{name} out"]


class Deny(PermissionProtocol):
    """Lets nobody in."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise PermissionDenied


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("place", ["app", "include", "mount", "router", "host", "route"])
@pytest.mark.parametrize("static", [True, False])
def test_layers_that_deny_are_never_skipped(kind: Kind, place: str, static: bool) -> None:
    """A permission that denies gives 403 on every level, also with exactly one static route and nothing else."""
    path = "/p" if static else "/{p}"
    denying: dict[str, Any] = {"permissions": [Deny]}
    apps: dict[str, Callable[[], ASGIApp]] = {
        "app": lambda: Lilya(routes=routes(path), **denying),
        "include": lambda: Lilya(routes=[Include("/", routes=routes(path), **denying)]),
        "mount": lambda: Lilya(routes=[Include("/", app=ChildLilya(routes=routes(path), **denying))]),
        "router": lambda: Lilya(routes=[Include("/", app=Router(routes(path), **denying))]),
        "host": lambda: Lilya(routes=[Host("testserver", app=Router(routes(path)), **denying)]),
        "route": lambda: Lilya(routes=routes(path, **denying)),
    }
    assert visit(TestClient(apps[place]()), kind, "/p") == 403
    assert seen == []


@pytest.mark.parametrize("kind", BOTH)
def test_layers_may_answer_themselves(kind: Kind) -> None:
    """A permission or middleware that answers and does not go on is the end of it: the next route has no turn."""

    class Refuse(PermissionProtocol):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "websocket":
                await WebSocket(scope, receive, send).send_denial_response(PlainText("no", status_code=418))
            else:
                await PlainText("no", status_code=418)(scope, receive, send)

    for refusing in (routes(middleware=[Refuse]), routes(permissions=[Refuse])):
        client = create_client([*refusing, *routes("/{rest:path}")])
        assert visit(client, kind) == 418
        assert seen == []


@pytest.mark.parametrize("kind", BOTH)
def test_layers_see_and_change_messages(kind: Kind) -> None:
    """A middleware may put its own `receive` and `send` in between; the handler talks through them."""

    class Counting(MiddlewareProtocol):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            async def receive_it() -> Any:
                message = await receive()
                seen.append(message["type"])
                return message

            async def send_it(message: Any) -> None:
                seen.append(message["type"])
                if "text" in message:
                    message = {**message, "text": message["text"].upper()}
                await send(message)

            await self.app(scope, receive_it, send_it)

    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(await websocket.receive_text())

    async def read(request: Request) -> bytes:
        return await request.body()

    client = create_client([WebSocketPath("/", talk), Path("/", read)], middleware=[Counting])
    if kind == "http":
        client.get("/")
        assert seen == ["http.request", "http.response.start", "http.response.body"]
        return
    with client.websocket_connect("/") as websocket:
        websocket.send_text("hello")
        assert websocket.receive_text() == "HELLO"
        assert websocket.receive()["code"] == 1000
    assert seen == [f"websocket.{kind}" for kind in ("connect", "accept", "receive", "send", "close")]


def test_layers_after_request_hooks_wait_for_a_normal_return() -> None:
    """Hooks after the inner application run when it has returned, and not when it has raised."""

    async def fail(request: Request) -> None:
        raise PermissionDenied

    def after(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append("after")

    client = create_client([Path("/fail", fail), *routes()], after_request=[after])
    assert client.get("/fail").status_code == 403
    assert seen == []
    client.get("/")
    assert seen == ["handler", "after"]


def test_layers_hooks_may_deny_and_run_sync_in_a_thread() -> None:
    """A hook refuses by raising; a sync one does not block the event loop."""
    threads: list[int] = []

    async def on_loop(scope: Scope, receive: Receive, send: Send) -> None:
        threads.append(threading.get_ident())

    def in_thread(scope: Scope, receive: Receive, send: Send) -> None:
        threads.append(threading.get_ident())
        raise NotAuthorized

    client = create_client(routes(before_request=[on_loop, in_thread]))
    for kind in BOTH:
        assert visit(client, kind) == 401
    assert threads[0] != threads[1]
    assert seen == []


# -- the scope ---------------------------------------------------------------------------------------------------------


class Marking:
    """A layer that marks the scope, and notes which marks it sees when it is left."""

    def __init__(self, app: ASGIApp, name: str) -> None:
        self.app = app
        self.name = name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[f"mark {self.name}"] = True
        await self.app(scope, receive, send)
        seen.append((self.name, [key[5:] for key in scope if key.startswith("mark ")]))


def marking(name: str) -> dict[str, Any]:
    """A middleware, a permission and a hook that mark the scope."""

    async def hook(scope: Scope, receive: Receive, send: Send) -> None:
        scope[f"mark {name}h"] = True

    return {
        "middleware": [DefineMiddleware(Marking, f"{name}m")],
        "permissions": [DefinePermission(Marking, f"{name}p")],
        "before_request": [hook],
    }


@pytest.mark.parametrize("kind", BOTH)
def test_layers_keep_their_changes_of_the_scope_inside(kind: Kind) -> None:
    """What a layer, a hook or a handler puts into the scope is seen by all inside of it, and by nobody outside."""

    async def mark(connection: Any) -> None:
        connection.scope["mark handler"] = True
        seen.append(("handler", [key[5:] for key in connection.scope if key.startswith("mark ")]))
        if isinstance(connection, WebSocket):
            await connection.accept()

    inside = [Path("/", mark, **marking("r")), WebSocketPath("/", mark, **marking("r"))]
    app = Lilya(
        routes=[
            Include("/", routes=[Include("/", app=ChildLilya(routes=inside, **marking("c")))], **marking("i")),
        ],
        **marking("a"),
    )
    visit(TestClient(app), kind)
    order = ["am", "ap", "ah", "im", "ip", "ih", "cm", "cp", "ch", "rm", "rp", "rh", "handler"]
    expected = [("handler", order)]
    for place in reversed(range(len(order) - 1)):
        if not order[place].endswith("h"):
            expected.append((order[place], order[: place + 1]))
    assert seen == expected


@pytest.mark.parametrize("kind", BOTH)
def test_layers_learn_which_route_it_was(kind: Kind) -> None:
    """`handler`, `route` and `route_path_template` come back to every layer around, through includes and mounts."""

    class Learning(MiddlewareProtocol):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await self.app(scope, receive, send)
            seen.append((scope["handler"], scope["route"], scope["route_path_template"]))

    inside = routes("/{id}", middleware=[Learning, Learning])
    child = ChildLilya(routes=inside, middleware=[Learning, Learning])
    app = Lilya(routes=[Include("/in", app=child, permissions=[Learning, Learning])], middleware=[Learning])
    visit(TestClient(app), kind, "/in/7")
    route = inside[0] if kind == "http" else inside[1]
    assert seen == ["handler", *[(handler, route, "/{id}")] * 7]


def test_layers_share_the_state_of_a_connection() -> None:
    """`state` is one for all layers and the handler: what one puts there the others see."""

    class User(MiddlewareProtocol):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            connection = Request(scope, receive, send)
            connection.state.user = "ana"
            await self.app(scope, receive, send)
            seen.append(connection.state.greeted)

    async def greet(request: Request) -> str:
        request.state.greeted = True
        return f"hello {request.state.user}"

    assert create_client([Path("/", greet)], middleware=[User]).get("/").json() == "hello ana"
    assert seen == [True]


# -- exception handlers ------------------------------------------------------------------------------------------------


class Failure(Exception):
    """An error of the application."""


class Special(Failure):
    """One with a closer class."""


def answering(text: str) -> Any:
    """An exception handler that notes that it was called and answers with a response."""

    async def handle(connection: Any, error: Exception) -> PlainText:
        seen.append((text, type(error).__name__))
        return PlainText(text, status_code=418)

    return handle


def raising(error: BaseException | type[BaseException]) -> list[Any]:
    """A handler that raises, as a route of both kinds."""

    async def fail(connection: Any) -> None:
        raise error

    return [Path("/", fail), WebSocketPath("/", fail)]


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize(
    ("error", "keys", "found"),
    [
        (NotFound(), [404, NotFound, HTTPException], 404),
        (NotFound(), [HTTPException, NotFound], NotFound),
        (NotFound(), [HTTPException], HTTPException),
        (NotFound(), [403, 500, KeyError, Exception], None),
        (HTTPException(status_code=404), [NotFound, 404], 404),
        (HTTPException(status_code=404), [NotFound], None),
        (Special(), [Failure, Special], Special),
        (Special(), [Failure, Exception], Failure),
        (Special(), [Exception, BaseException], Exception),
        (Special(), [BaseException], BaseException),
        (Special(), [KeyError, 500], 500),
        (Special(), [KeyError, 404], None),
        (WebSocketException(4000), [WebSocketException, 4000], WebSocketException),
        (WebSocketException(4000), [Exception, 500], None),
        (WebSocketDisconnect(1001), [WebSocketDisconnect], WebSocketDisconnect),
        (WebSocketDisconnect(1001), [Exception], None),
        (ImproperlyConfigured("x"), [ValueError, HTTPException], HTTPException),
        (ImproperlyConfigured("x"), [Exception], Exception),
        (HTTPException(status_code=500), [500, Exception], 500),
        (HTTPException(status_code=500), [Exception], None),
    ],
)
def test_layers_find_the_closest_exception_handler(error: Exception, keys: list[Any], found: Any, kind: Kind) -> None:
    """By status, then by class, closest first; `Exception` and 500 stand for faults, and leave answers alone."""
    handlers = {key: answering(str(key)) for key in keys}
    assert find_handler(handlers, error) == (handlers[found] if found is not None else None)
    client = create_client(raising(error), exception_handlers=handlers, raise_server_exceptions=False)
    status = visit(client, kind)
    assert seen == ([(str(found), type(error).__name__)] if found is not None else [])
    assert (status == 418) is (found is not None)


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("innermost", ["route", "router", "include", "child", "mount", "app"])
def test_layers_ask_the_innermost_exception_handler_first(kind: Kind, innermost: str) -> None:
    """Route, router, include, child application, mount, application: the first one that has a handler takes it."""
    order = ["route", "router", "include", "child", "mount", "app"]

    def handlers(name: str) -> dict[str, Any]:
        keep = order.index(name) >= order.index(innermost)
        return {"exception_handlers": {Failure: answering(name)} if keep else {KeyError: answering("wrong")}}

    async def fail(connection: Any) -> None:
        raise Special

    inside = [Path("/", fail, **handlers("route")), WebSocketPath("/", fail, **handlers("route"))]
    router = Router(inside, **handlers("router"))
    child = ChildLilya(routes=[Include("/", app=router, **handlers("include"))], **handlers("child"))
    app = Lilya(routes=[Include("/", app=child, **handlers("mount"))], **handlers("app"))
    assert visit(TestClient(app), kind) == 418
    assert seen == [(innermost, "Special")]


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("layers", [{}, {"middleware": [Noting]}, {"exception_handlers": {KeyError: answering("no")}}])
@pytest.mark.parametrize("error", [PermissionDenied(), Failure()])
def test_layers_of_a_child_leave_errors_to_the_parents_handler(
    kind: Kind, layers: dict[str, Any], error: Exception
) -> None:
    """A parent's handler is reached for an error in a mounted child, whatever layers the child has of its own."""
    for child in (ChildLilya(routes=raising(error), **layers), Router(raising(error), **layers)):
        seen.clear()
        app = Lilya(routes=[Include("/", app=child)], exception_handlers={type(error): answering("parent")})
        assert visit(TestClient(app), kind) == 418
        assert [entry for entry in seen if isinstance(entry, tuple)] == [("parent", type(error).__name__)]


@pytest.mark.parametrize("kind", BOTH)
def test_layers_of_an_application_see_an_answer_go_by(kind: Kind) -> None:
    """A middleware sees the answer to an `HTTPException` that nobody handles; in a child, too."""

    class Status(MiddlewareProtocol):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            async def watch(message: Any) -> None:
                if "status" in message:
                    seen.append(message["status"])
                await send(message)

            await self.app(scope, receive, watch)

    app = Lilya(routes=[Include("/", app=ChildLilya(routes=raising(NotAuthorized()), middleware=[Status]))])
    assert visit(TestClient(app), kind) == 401
    assert visit(create_client(raising(NotFound()), middleware=[Status]), kind) == 404
    app = Lilya(
        routes=[Include("/", app=ChildLilya(routes=raising(NotFound()), middleware=[Status]))],
        exception_handlers={KeyError: answering("other")},
    )
    assert visit(TestClient(app), kind) == 404
    assert seen == [401, 404, 404]


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("place", ["middleware", "permissions", "before_request"])
def test_layers_hand_the_errors_of_layers_to_the_level_around(kind: Kind, place: str) -> None:
    """A level's exception handlers take what its permissions and hooks raise; what its middleware raises goes out."""

    class Failing(MiddlewareProtocol):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            raise Failure

    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        raise Failure

    layers: dict[str, Any] = {place: [failing if place == "before_request" else Failing]}
    app = Lilya(
        routes=[Include("/", routes=routes(), exception_handlers={Failure: answering("include")}, **layers)],
        exception_handlers={Failure: answering("app")},
    )
    assert visit(TestClient(app), kind) == 418
    assert seen == [("app" if place == "middleware" else "include", "Failure")]


@pytest.mark.parametrize("sync", [True, False])
def test_layers_give_the_handlers_socket_to_an_exception_handler(sync: bool) -> None:
    """For a WebSocket the connection is the very object of the handler; it may be used as the handler would."""

    async def fail(websocket: WebSocket) -> None:
        seen.append(websocket)
        await websocket.accept()
        raise Failure("why")

    async def handle(websocket: WebSocket, error: Failure) -> None:
        seen.append(websocket)
        await websocket.send_text(str(error))
        await websocket.close(4321, "handled")

    def handle_sync(websocket: WebSocket, error: Failure) -> None:
        seen.append(websocket)
        seen.append(threading.get_ident())

    client = create_client([WebSocketPath("/", fail)], exception_handlers={Failure: handle_sync if sync else handle})
    with client.websocket_connect("/") as websocket:
        if sync:
            assert websocket.receive() == {"type": "websocket.close", "code": 1011, "reason": ""}
        else:
            assert websocket.receive_text() == "why"
            assert websocket.receive() == {"type": "websocket.close", "code": 4321, "reason": "handled"}
    assert seen[0] is seen[1]
    assert seen[2:] == ([] if not sync else [seen[2]])
    assert not sync or seen[2] != threading.get_ident()


@pytest.mark.parametrize(
    ("result", "before", "after"),
    [
        (PlainText("text", status_code=418), 418, 4001),
        ({"json": True}, 200, 4001),
        (WebSocketClose(4100, "why"), 403, 4100),
        (None, 403, 4001),
    ],
)
def test_layers_send_what_an_exception_handler_returns(result: Any, before: int, after: int) -> None:
    """Before accept a response or a value is the denial; after it only a close is left, which `WebSocketClose` says."""

    async def handle(websocket: WebSocket, error: WebSocketException) -> Any:
        return result

    async def fail_early(websocket: WebSocket) -> None:
        raise WebSocketException(4001)

    async def fail_late(websocket: WebSocket) -> None:
        await websocket.accept()
        raise WebSocketException(4001)

    client = create_client(
        [WebSocketPath("/early", fail_early), WebSocketPath("/late", fail_late)],
        exception_handlers={WebSocketException: handle},
    )
    assert visit(client, "websocket", "/early") == before
    assert visit(client, "websocket", "/late") == after


def test_layers_let_an_exception_handler_accept() -> None:
    """A handshake may still be accepted by the exception handler, to say why in a message; then the error closes it."""

    async def handle(websocket: WebSocket, error: PermissionDenied) -> None:
        assert websocket.application_state is WebSocketState.CONNECTING
        await websocket.accept()
        await websocket.send_json({"error": error.detail})

    client = create_client(raising(PermissionDenied("no")), exception_handlers={403: handle})
    with client.websocket_connect("/") as websocket:
        assert websocket.receive_json() == {"error": "no"}
        assert websocket.receive() == {"type": "websocket.close", "code": 4403, "reason": "no"}


@pytest.mark.parametrize(
    ("result", "status", "content"),
    [
        (PlainText("text", status_code=418), 418, b"text"),
        ({"json": True}, 200, b'{"json":true}'),
        (None, 403, b"no"),
    ],
)
@pytest.mark.parametrize("sync", [True, False])
def test_layers_send_what_an_exception_handler_returns_on_http(
    result: Any, status: int, content: bytes, sync: bool
) -> None:
    """A response, or a value as JSON; where it returns nothing the exception is answered as without a handler."""

    async def handle(request: Request, error: PermissionDenied) -> Any:
        return result

    def handle_sync(request: Request, error: PermissionDenied) -> Any:
        return result

    client = create_client(
        [*raising(PermissionDenied("no")), *routes("/{rest}")],
        exception_handlers={PermissionDenied: handle_sync if sync else handle},
    )
    response = client.get("/")
    assert (response.status_code, response.content) == (status, content)


def test_layers_leave_it_alone_when_an_exception_handler_has_answered() -> None:
    """An HTTP exception handler that sends by itself and returns nothing has answered."""

    async def handle(request: Request, error: Failure) -> None:
        await PlainText("sent")(request.scope, request.receive, request._send)  # type: ignore[arg-type]  # is there

    assert create_client(raising(Failure), exception_handlers={Failure: handle}).get("/").text == "sent"


@pytest.mark.parametrize("kind", BOTH)
def test_layers_pass_on_what_an_exception_handler_raises(kind: Kind) -> None:
    """An error of the exception handler is one for the levels around it."""

    async def translate(connection: Any, error: Failure) -> None:
        raise NotFound("translated")

    async def again(connection: Any, error: Failure) -> None:
        raise error

    for handle, status in ((translate, 404), (again, 418)):
        app = Lilya(
            routes=[Include("/", routes=raising(Failure()), exception_handlers={Failure: handle})],
            exception_handlers={Failure: answering("outer")},
        )
        assert visit(TestClient(app), kind) == status


def test_layers_cannot_mend_a_response_that_has_begun() -> None:
    """An error in the middle of a response goes to the server; no handler is asked to answer a second time."""

    class Broken:
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            raise Failure("in the middle")

    client = create_client([Path("/", Broken())], exception_handlers={Failure: answering("late")})
    with pytest.raises(Failure, match="in the middle"):
        client.get("/")
    assert seen == []


@pytest.mark.parametrize("kind", BOTH)
def test_layers_without_a_matching_handler_leave_the_error_as_it_is(kind: Kind) -> None:
    """What no handler takes is raised to the server, which logs it: 500, or 1011."""
    client = create_client(
        raising(Failure("mine")), exception_handlers={KeyError: answering("no")}, middleware=[Noting]
    )
    with pytest.raises(Failure, match="mine"):
        visit(client, kind)
    assert seen == ["bare in", "bare out"]


def test_layers_handle_errors_of_an_application_alone() -> None:
    """A route that is served by itself has its exception handlers, too."""
    route = Path("/", raising(Failure)[0].handler, exception_handlers={Failure: answering("alone")})
    assert TestClient(route).get("/").text == "alone"


# -- composing ---------------------------------------------------------------------------------------------------------


async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """An application."""


def test_compose_returns_the_app_where_there_is_nothing_to_wrap() -> None:
    """No layer costs nothing."""
    assert compose(nothing, Layers()) is nothing
    assert compose(nothing, Layers(), answers=True) is nothing
    assert not Layers()
    assert not Layers(middleware=[], permissions=(), exception_handlers={}, before_request=None, after_request=[])


@pytest.mark.parametrize(
    "layers",
    [
        Layers(middleware=[Noting]),
        Layers(permissions=[Noting]),
        Layers(exception_handlers={404: answering("x")}),
        Layers(before_request=[nothing]),
        Layers(after_request=[nothing]),
    ],
)
def test_compose_wraps_what_there_is(layers: Layers) -> None:
    """Any one layer makes a difference."""
    assert layers
    assert compose(nothing, layers) is not nothing


@pytest.mark.parametrize("protocol", [MiddlewareProtocol, PermissionProtocol])
async def test_protocols_pass_everything_on(protocol: Any) -> None:
    """The base classes keep the app, accept any arguments, and change nothing."""

    async def app(*connection: Any) -> None:
        seen.append(connection)

    layer = protocol(app, 1, more=2)
    assert layer.app is app
    await layer({"type": "http"}, nothing, nothing)
    assert seen == [({"type": "http"}, nothing, nothing)]


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ({"exception_handlers": {404: lambda request: None}}, "exception_handlers: .* with (connection, error)"),
        ({"before_request": [lambda: None]}, "before_request: .* with (scope, receive, send)"),
        ({"after_request": [lambda scope, *, key: None]}, "after_request: .* with (scope, receive, send)"),
    ],
)
def test_layers_refuse_functions_with_other_arguments(layers: dict[str, Any], message: str) -> None:
    """A handler or hook that cannot take what it is given is found when it is declared, not when it is needed."""
    with pytest.raises(ImproperlyConfigured, match=message.replace("(", r"\(").replace(")", r"\)")) as caught:
        Layers(**layers)
    assert "test_layers.<lambda>" in str(caught.value)
    app = Lilya()
    if "exception_handlers" in layers:
        with pytest.raises(ImproperlyConfigured, match="exception_handlers"):
            app.add_exception_handler(404, layers["exception_handlers"][404])


def test_layers_take_functions_that_do_not_tell_their_arguments() -> None:
    """What has no signature, as some built-ins, is taken as it is."""
    assert Layers(before_request=[type], after_request=[iter])


def test_layers_refuse_a_close_that_is_a_class(caplog: pytest.LogCaptureFixture) -> None:
    """The usual slip: `return Close` instead of `return Close(4000)`."""

    async def handle(websocket: WebSocket, error: KeyError) -> Any:
        return WebSocketClose

    async def fail(websocket: WebSocket) -> None:
        await websocket.accept()
        raise KeyError

    client = create_client(
        [WebSocketPath("/", fail)], exception_handlers={KeyError: handle}, raise_server_exceptions=False
    )
    assert visit(client, "websocket", "/") == 1011
    assert "return an instance, such as Close(4000)" in caplog.text


def test_layers_do_not_close_what_the_handler_has_closed() -> None:
    """The handler closed, and failed only then: its code counts, and the error is handled."""

    async def handle(websocket: WebSocket, error: KeyError) -> Any:
        return WebSocketClose(4999)

    async def fail(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.close(4000)
        raise KeyError

    client = create_client([WebSocketPath("/", fail)], exception_handlers={KeyError: handle})
    assert visit(client, "websocket", "/") == 4000
