"""Single routes: which handlers they take, what those are called with, and what a route refuses at startup."""

import functools
import threading
import uuid
from datetime import datetime
from typing import Any

import pytest

from lilya.apps import Lilya
from lilya.controllers import Controller, WebSocketController
from lilya.exceptions import ImproperlyConfigured
from lilya.requests import Request
from lilya.responses import PlainText
from lilya.routing import Include, Path, Route, RoutePath, WebSocketPath, WebSocketRoute, get_name
from lilya.testclient import TestClient, WebSocketDenialResponse, create_client
from lilya.transformers import TRANSFORMER_TYPES, Transformer, register_path_transformer
from lilya.types import Receive, Scope, Send
from lilya.websockets import WebSocket


async def module_handler(websocket: WebSocket) -> None:
    """Handlers may be given by import string."""
    await websocket.accept()
    await websocket.send_text("by import string")


async def silent(websocket: WebSocket) -> None:
    """Never reached."""


class Methods:
    """Handlers that are methods of an object or of a class."""

    async def bound(self, websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(f"bound to {type(self).__name__}")

    @classmethod
    async def of_class(cls, websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(f"method of {cls.__name__}")

    @staticmethod
    async def static(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("static")


async def greet(greeting: str, websocket: WebSocket, *, mark: str) -> None:
    """Meant for `functools.partial`."""
    await websocket.accept()
    await websocket.send_text(greeting + mark)


class Callable:
    """An instance that is an ASGI application."""

    def __init__(self, text: str) -> None:
        self.text = text

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await PlainText(self.text)(scope, receive, send)
            return
        websocket = WebSocket(scope, receive, send)
        await websocket.accept()
        await websocket.send_text(self.text)


class Chat(WebSocketController):
    """A controller class."""

    encoding = "text"

    async def on_connect(self, websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("controller")


class Awaited:
    """A class whose instances are awaited, as ASGI applications of the second version were."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.connection = (scope, receive, send)

    def __await__(self) -> Any:
        return Callable("awaited")(*self.connection).__await__()


@pytest.mark.parametrize(
    ("handler", "text"),
    [
        (module_handler, "by import string"),
        (f"{__name__}.module_handler", "by import string"),
        (f"{__name__}:module_handler", "by import string"),
        (Methods().bound, "bound to Methods"),
        (Methods.of_class, "method of Methods"),
        (Methods.static, "static"),
        (functools.partial(greet, "hello", mark="!"), "hello!"),
        (functools.partial(functools.partial(greet, "hello"), mark="?"), "hello?"),
        (Callable("an ASGI application"), "an ASGI application"),
        (Chat, "controller"),
        (Awaited, "awaited"),
    ],
)
def test_websocket_path_takes_every_kind_of_handler(handler: Any, text: str) -> None:
    """A function, a method, a partial, an import string, an ASGI application, a class whose instances are awaited."""
    with create_client([WebSocketPath("/", handler)]).websocket_connect("/") as websocket:
        assert websocket.receive_text() == text


@pytest.mark.parametrize("name", ["websocket", "socket", "ws", "connection", "anything", "request"])
def test_websocket_path_passes_the_websocket_first_whatever_its_name(name: str) -> None:
    """The first positional argument receives the WebSocket."""
    namespace: dict[str, Any] = {}
    source = f"async def handler({name}, room): await {name}.accept(); await {name}.send_text(room)"
    exec(source, namespace)  # noqa: S102 - the name of the argument is what the test is about
    with create_client([WebSocketPath("/{room}", namespace["handler"])]).websocket_connect("/lobby") as websocket:
        assert websocket.receive_text() == "lobby"


def test_websocket_path_finds_the_websocket_by_annotation_and_by_name() -> None:
    """`(room, websocket)` works: annotated, or called so."""

    async def annotated(room: str, here: WebSocket) -> None:
        await here.accept()
        await here.send_text(room)

    async def named(room, websocket) -> None:  # type: ignore[no-untyped-def]  # no annotation is the case
        await websocket.accept()
        await websocket.send_text(room)

    for handler in (annotated, named):
        with create_client([WebSocketPath("/{room}", handler)]).websocket_connect("/lobby") as websocket:
            assert websocket.receive_text() == "lobby"


def test_websocket_path_injects_path_params_of_all_levels_by_name() -> None:
    """Converted values of the route and of every include around; a default stays where nothing fills the argument."""

    async def handler(websocket: WebSocket, tenant: str, item: int, page: float, extra: str = "default") -> None:
        await websocket.accept()
        await websocket.send_json([tenant, item, page, extra])

    routes = [Include("/{tenant}", routes=[Include("/{item:int}", routes=[WebSocketPath("/<page:float>", handler)])])]
    with create_client(routes).websocket_connect("/acme/7/1.5") as websocket:
        assert websocket.receive_json() == ["acme", 7, 1.5, "default"]


def test_websocket_path_prefers_a_dependency_to_a_path_param() -> None:
    """A dependency of the same name wins."""

    async def handler(websocket: WebSocket, room: str) -> None:
        await websocket.accept()
        await websocket.send_text(room)

    client = create_client([WebSocketPath("/{room}", handler, dependencies={"room": lambda: "dependency"})])
    with client.websocket_connect("/path") as websocket:
        assert websocket.receive_text() == "dependency"


@pytest.mark.parametrize("kind", ["websocket", "http"])
def test_path_runs_a_sync_handler_in_a_thread(kind: str) -> None:
    """A sync function may block: the event loop's thread is another one."""
    threads: list[int] = []

    def handler(connection: Any) -> str:
        threads.append(threading.get_ident())
        return "answer"

    async def where(request: Request) -> None:
        threads.append(threading.get_ident())

    with create_client([Path("/where", where), Path("/", handler), WebSocketPath("/", handler)]) as client:
        client.get("/where")
        if kind == "http":
            assert client.get("/").json() == "answer"
        else:
            with pytest.raises(WebSocketDenialResponse), client.websocket_connect("/"):
                pass
    assert len(set(threads)) == 2


def test_websocket_path_closes_what_a_handler_leaves_open() -> None:
    """A function, an ASGI application or a controller that returns after accept: the client sees 1000."""

    async def accepting(websocket: WebSocket) -> None:
        await websocket.accept()

    class Accepting:
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await WebSocket(scope, receive, send).accept()

    for handler in (accepting, Accepting()):
        with create_client([WebSocketPath("/", handler)]).websocket_connect("/") as websocket:
            assert websocket.receive() == {"type": "websocket.close", "code": 1000, "reason": ""}


@pytest.mark.parametrize(
    ("result", "content"),
    [
        ({"a": [1]}, b'{"a":[1]}'),
        (None, b"null"),
        ("text", b'"text"'),
        (7, b"7"),
        (PlainText("plain"), b"plain"),
        (Callable("an application"), b"an application"),
    ],
)
def test_path_sends_what_a_handler_returns(result: Any, content: bytes) -> None:
    """A response, an ASGI application, or any value as JSON; None is null."""

    async def handler(request: Request) -> Any:
        return result

    response = create_client([Path("/", handler)]).get("/")
    assert (response.status_code, response.content) == (200, content)


def test_path_passes_what_the_signature_asks_for() -> None:
    """An HTTP handler gets path parameters and dependencies by name, the request where it asks for one, or nothing."""

    async def all_of_it(id: int, request: Request, user: str) -> list[Any]:
        return [id, request.url.path, user]

    def nothing() -> str:
        return "nothing"

    client = create_client(
        [Path("/items/{id:int}", all_of_it, dependencies={"user": lambda: "ana"}), Path("/nothing", nothing)]
    )
    assert client.get("/items/3").json() == [3, "/items/3", "ana"]
    assert client.get("/nothing").json() == "nothing"


@pytest.mark.parametrize(
    ("methods", "answered"),
    [
        (None, {"GET", "HEAD"}),
        (["post"], {"POST"}),
        (["GET", "PATCH"], {"GET", "HEAD", "PATCH"}),
        (("HEAD",), {"HEAD"}),
    ],
)
def test_path_answers_its_methods(methods: Any, answered: set[str]) -> None:
    """GET by default, HEAD with GET, in any case; everything else is 405."""

    async def handler(request: Request) -> None:
        pass

    client = create_client([Path("/", handler, methods=methods)])
    every = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    assert {method for method in every if client.request(method, "/").status_code == 200} == answered


def test_path_of_an_application_answers_every_method() -> None:
    """An ASGI application or a controller decides about methods itself."""

    class Items(Controller):
        async def delete(self) -> str:
            return "deleted"

    client = create_client([Path("/app", Callable("app")), Path("/items", Items)])
    assert client.delete("/app").text == "app"
    assert client.delete("/items").json() == "deleted"
    response = client.get("/items")
    assert (response.status_code, response.headers["allow"]) == (405, "DELETE")


VALUES: list[tuple[str, str, Any]] = [
    ("str", "a b", "a b"),
    ("int", "007", 7),
    ("float", "2.50", 2.5),
    ("float", "3", 3.0),
    ("path", "a/b/c", "a/b/c"),
    ("path", "", ""),
    ("uuid", "12345678-1234-5678-1234-567812345678", uuid.UUID("12345678-1234-5678-1234-567812345678")),
    ("uuid", "ABCDEF12-1234-5678-1234-567812345678", uuid.UUID("abcdef12-1234-5678-1234-567812345678")),
    ("datetime", "2024-02-03T04:05:06", datetime(2024, 2, 3, 4, 5, 6)),  # noqa: DTZ001 - the type has no zone
]


@pytest.mark.parametrize(("kind", "text", "value"), VALUES)
@pytest.mark.parametrize("brackets", ["{}", "<>", "{>", "<}"])
def test_path_converts_parameters(kind: str, text: str, value: Any, brackets: str) -> None:
    """Every type, in both bracket styles and a mix of them, for both kinds of routes."""
    seen: list[Any] = []

    async def handler(connection: Any, it: Any) -> None:
        seen.append(it)

    template = f"/x/{brackets[0]}it:{kind}{brackets[1]}"
    client = create_client([Path(template, handler), WebSocketPath(template, handler)])
    assert client.get(f"/x/{text}").status_code == 200
    with pytest.raises(WebSocketDenialResponse), client.websocket_connect(f"/x/{text}"):
        pass
    assert seen == [value, value]


@pytest.mark.parametrize(
    "path",
    [
        "/int/" + "9" * 5000,
        "/int/1%0A",
        "/int/-1",
        "/int/%D9%A1",
        "/int/1%00",
        "/datetime/2024-13-01T00:00:00",
        "/datetime/2024-01-01T00:00:00.5",
        "/datetime/2024-01-01T00:00:00%0A",
        "/float/1e5",
        "/float/1%0A",
        "/uuid/1234",
        "/fixed%0A",
        "/fixed%00",
        "/int/",
        "/int/%FF%FE",
    ],
)
@pytest.mark.parametrize("kind", ["websocket", "http"])
def test_path_does_not_match_what_is_no_value(path: str, kind: str) -> None:
    """No text that a stranger may send raises; what is no value of the type is not found."""
    templates = ["/int/{it:int}", "/datetime/{it:datetime}", "/float/{it:float}", "/uuid/{it:uuid}", "/fixed"]
    routes: list[Any] = [WebSocketPath(template, silent) for template in templates]
    routes += [Path(template, lambda: "found") for template in templates]
    client = create_client(routes)
    if kind == "http":
        assert client.get(path).status_code == 404
        return
    with pytest.raises(WebSocketDenialResponse) as denial, client.websocket_connect(path):
        pass
    assert denial.value.status_code == 404


def test_path_takes_several_parameters_in_a_segment() -> None:
    """Literals may stand before, between and after parameters."""

    async def handler(request: Request) -> dict[str, Any]:
        return request.path_params

    client = create_client([Path("/img-{w:int}x<h:int>.{ext}", handler)])
    assert client.get("/img-640x480.png").json() == {"w": 640, "h": 480, "ext": "png"}


def test_path_takes_custom_transformers() -> None:
    """A registered instance or class is a type of path parameter, both ways."""

    class Hex(Transformer[int]):
        regex = "[0-9a-f]+"

        def transform(self, value: str) -> int:
            return int(value, 16)

        def normalise(self, value: int) -> str:
            return f"{value:x}"

    both: list[Hex | type[Hex]] = [Hex(), Hex]
    for number, given in enumerate(both):
        kind = f"hex{number}"
        try:
            register_path_transformer(kind, given)
            route = Path(f"/{{it:{kind}}}", lambda it: it, name="hex")
            assert create_client([route]).get("/ff").json() == 255
            assert route.path_for("hex", it=255) == "/ff"
        finally:
            TRANSFORMER_TYPES.pop(kind)


@pytest.mark.parametrize(("declared", "cleaned"), [("/ws/", "/ws"), ("//a///b//", "/a/b"), ("/", "/"), ("//", "/")])
def test_path_is_stored_cleaned(declared: str, cleaned: str) -> None:
    """Trailing slashes are dropped and double ones collapsed, so a route declared `/ws/` matches `/ws` only."""
    route = WebSocketPath(declared, module_handler)
    assert route.path == cleaned
    client = create_client([route])
    with client.websocket_connect(cleaned) as websocket:
        assert websocket.receive_text() == "by import string"
    if cleaned != "/":
        with pytest.raises(WebSocketDenialResponse), client.websocket_connect(cleaned + "/"):
            pass


@pytest.mark.parametrize("route_class", [Path, WebSocketPath])
@pytest.mark.parametrize(
    ("path", "handler", "error", "message"),
    [
        ("ws", silent, AssertionError, "Paths must start with '/', got 'ws'"),
        ("", silent, AssertionError, "Paths must start with '/', got ''"),
        (
            "/{room:uid}",
            silent,
            AssertionError,
            "Unknown path transformer 'uid' in the path '/{room:uid}'. Known: str,",
        ),
        ("/{a}/{a}", silent, ValueError, "Duplicated param name a in the path /{a}/{a}"),
        ("/{a}{b}/{a}{b}", silent, ValueError, "two parameters touch"),
        ("/{a}/{b}/{a}/{b}", silent, ValueError, "Duplicated param names a, b in the path"),
        ("/{a", silent, ValueError, "Unbalanced brackets in '{a' of the path '/{a'; write a parameter as {name}"),
        ("/{1a}", silent, ValueError, "'1a' in the path '/{1a}' is no name for a parameter"),
        ("/{a:path}/{b:path}", silent, ValueError, "may contain slashes; at most one may"),
        ("/x", 7, ImproperlyConfigured, "'/x': 7 cannot be a handler. Give a function, an ASGI application"),
        ("/x", None, ImproperlyConfigured, "'/x': None cannot be a handler"),
        ("/x", Callable, ImproperlyConfigured, "its instances are not awaitable. Give an instance"),
        ("/x", "nowhere.handler", ImproperlyConfigured, "'nowhere.handler' cannot be imported: there is no module"),
        ("/x", f"{__name__}.missing", ImproperlyConfigured, "cannot be imported: module"),
        ("/x", "handler", ImproperlyConfigured, "'handler' is not an import path: write it as"),
    ],
)
def test_path_refuses_mistakes_at_once(
    route_class: type[Path], path: str, handler: Any, error: type[Exception], message: str
) -> None:
    """What is wrong with a single route is an error of its constructor that names thing, value and remedy."""
    with pytest.raises(error) as caught:
        route_class(path, handler)
    assert message in str(caught.value)


def test_path_refuses_methods_that_are_no_list() -> None:
    """`methods="GET"` would be the methods G, E and T."""
    with pytest.raises(ImproperlyConfigured, match=r"Path '/x': methods: 'GET' is not a list\. Write \['GET'\]"):
        Path("/x", silent, methods="GET")


def needs_more(websocket: WebSocket, user: str) -> None:
    """Nothing fills `user`."""


def no_websocket() -> None:
    """Takes nothing."""


async def generates(websocket: WebSocket) -> Any:
    """A generator function is no handler."""
    yield


def first_of_cycle(second: Any) -> None:
    """Needs `second`, which needs `first`."""


def second_of_cycle(first: Any) -> None:
    """Needs `first`, which needs `second`."""


async def wants_cycle(websocket: WebSocket, first: Any) -> None:
    """Wants a dependency of a cycle."""


@pytest.mark.parametrize(
    ("handler", "dependencies", "parts"),
    [
        (needs_more, {}, ["nothing fills argument 'user' of handler", "needs_more", "Add 'user' to the path or to"]),
        (no_websocket, {}, ["no_websocket has no argument for the connection. Give it a first one"]),
        (generates, {}, ["generates is a generator function"]),
        (
            wants_cycle,
            {"first": first_of_cycle, "second": second_of_cycle},
            ["dependency cycle first -> second -> first"],
        ),
    ],
)
@pytest.mark.parametrize("moment", ["lifespan", "first connection", "mounted"])
def test_path_refuses_what_nobody_can_call_at_startup(
    handler: Any, dependencies: dict[str, Any], parts: list[str], moment: str
) -> None:
    """What depends on the surroundings is an error of the lifespan's startup, or else of the first connection."""
    app = Lilya(routes=[WebSocketPath("/x/{room}", handler, dependencies=dependencies)])
    if moment == "mounted":
        app = Lilya(routes=[Include("/in", routes=[Include("/child", app=app)], before_request=[print])])
    client = TestClient(app)
    begin = client.__enter__ if moment == "lifespan" else functools.partial(client.get, "/something else")
    with pytest.raises(ImproperlyConfigured) as caught:
        begin()
    text = str(caught.value)
    assert text.startswith("WebSocketPath '/x/{room}': ")
    assert [part for part in parts if part not in text] == []


def test_path_alone_is_an_application() -> None:
    """A route called directly serves its own path, with its layers, and refuses every other one."""
    route = WebSocketPath("/ws/{name}", module_handler)
    with TestClient(route).websocket_connect("/ws/ana") as websocket:
        assert websocket.receive_text() == "by import string"
    assert TestClient(route).get("/ws/ana").status_code == 404
    assert TestClient(Path("/x", lambda: "x")).get("/x").json() == "x"


def test_path_has_its_known_names() -> None:
    """The aliases that users know are the same classes."""
    assert (Route, RoutePath, WebSocketRoute) == (Path, Path, WebSocketPath)


@pytest.mark.parametrize(
    ("handler", "name"),
    [
        (module_handler, "module_handler"),
        (Methods().bound, "bound"),
        (functools.partial(greet, "x"), "greet"),
        (functools.partial(functools.partial(greet, "x")), "greet"),
        (Callable("x"), "Callable"),
        (Chat, "Chat"),
    ],
)
def test_path_is_named_after_its_handler(handler: Any, name: str) -> None:
    """The function's name, also behind partials; the class of an object; or what `name=` says."""
    assert get_name(handler) == name
    assert WebSocketPath("/x", handler).name == name
    assert WebSocketPath("/x", handler, name="other").name == "other"


def test_path_describes_itself() -> None:
    """The representation says path and name."""
    assert repr(Path("/x/", silent)) == "Path(path='/x', name='silent')"
    assert repr(WebSocketPath("/{a}", silent, name="n")) == "WebSocketPath(path='/{a}', name='n')"


def test_path_keeps_what_it_was_given() -> None:
    """`include_in_schema`, `deprecated`, `dependencies` and `methods` can be read back."""
    route = Path("/x", silent, include_in_schema=False, deprecated=True, dependencies={"a": 1})
    assert (route.include_in_schema, route.deprecated, route.dependencies) == (False, True, {"a": 1})
    assert route.methods == frozenset({"GET", "HEAD"})
    assert Path("/x", Callable("x")).methods is None
    assert WebSocketPath("/x", silent).methods is None
