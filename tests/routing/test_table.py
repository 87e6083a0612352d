"""The table of routes: precedence, falling through, redirects, and a naive reference for nested includes."""

import logging
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.responses import Response as StarletteResponse

from lilya.apps import ChildLilya, Lilya
from lilya.exceptions import ContinueRouting, ImproperlyConfigured, NotFound, WebSocketDisconnect
from lilya.protocols.middleware import MiddlewareProtocol
from lilya.requests import Request
from lilya.responses import PlainText
from lilya.routing import Host, Include, Path, Router, WebSocketPath, get_route_path
from lilya.routing._pattern import parse_pattern
from lilya.routing._table import Branch, RouteTable
from lilya.routing.base import BasePath
from lilya.testclient import TestClient, WebSocketDenialResponse, create_client
from lilya.types import ASGIApp, Message, Receive, Scope, Send
from lilya.websockets import WebSocket

if TYPE_CHECKING:
    from lilya._endpoints import Mount

Kind = Literal["websocket", "http"]
BOTH: list[Kind] = ["websocket", "http"]


class Layer(MiddlewareProtocol):
    """A middleware that does nothing: its include becomes a table of its own."""


async def ask(app: ASGIApp, path: str, kind: Kind = "http", **scope: Any) -> list[Message]:
    """Everything that an application sends to a client that says its first word and then leaves."""
    first: Message = {"type": "websocket.connect"} if kind == "websocket" else {"type": "http.request", "body": b""}
    incoming = iter([first, {"type": "websocket.disconnect" if kind == "websocket" else "http.disconnect"}])
    sent: list[Message] = []

    async def receive() -> Message:
        return next(incoming)

    async def send(message: Message) -> None:
        sent.append(message)

    full = {"type": kind, "path": path, "headers": [], "query_string": b"", **scope}
    if kind == "http":
        full.setdefault("method", "GET")
    await app(full, receive, send)
    return sent


def answering(text: str) -> Any:
    """An HTTP handler that answers with this text."""

    async def handler(request: Request) -> PlainText:
        return PlainText(text)

    return handler


def greeting(text: str) -> Any:
    """A WebSocket handler that accepts and sends this text."""

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(text)

    return handler


def route(kind: Kind, path: str, text: str) -> BasePath:
    """A route of either kind that answers with this text."""
    return Path(path, answering(text)) if kind == "http" else WebSocketPath(path, greeting(text))


def answer(client: TestClient, kind: Kind, path: str) -> str | int:
    """The text that a path answers with, or the status of its refusal."""
    if kind == "http":
        response = client.get(path)
        return response.text if response.status_code == 200 else response.status_code
    try:
        with client.websocket_connect(path) as websocket:
            return websocket.receive_text()
    except WebSocketDenialResponse as denial:
        return denial.status_code


# -- the oracle --------------------------------------------------------------------------------------------------------


class Leaf(NamedTuple):
    """One declared route."""

    template: str
    kind: Kind
    number: int


class Branching(NamedTuple):
    """One declared include: bare, with a layer, or of a mounted application."""

    template: str
    style: str
    children: "tuple[Leaf | Branching, ...]"


Tree = tuple[Leaf | Branching, ...]

SEGMENTS = st.sampled_from(["a", "b", "{x}", "{y:int}", "v{z}", "<w>.json"])
PARTS = st.lists(SEGMENTS, max_size=2, unique_by=lambda segment: "{<"[("<" in segment)] + segment)


@st.composite
def trees(draw: st.DrawFn, depth: int = 3) -> Tree:
    """A list of routes and nested includes; their numbers are filled in afterwards."""
    nodes: list[Leaf | Branching] = []
    for _ in range(draw(st.integers(1, 3))):
        template = "/" + "/".join(draw(PARTS))
        if depth and draw(st.booleans()):
            children = draw(trees(depth - 1))
            style = draw(st.sampled_from(["bare", "layered", "Router", "ChildLilya"]))
            nodes.append(Branching(template, style, children))
            continue
        if draw(st.integers(0, 5)) == 0:
            template = template.rstrip("/") + "/t/{rest:path}"
        nodes.append(Leaf(template, draw(st.sampled_from(BOTH)), 0))
    return tuple(nodes)


def numbered(tree: Tree, numbers: Iterator[int]) -> Tree:
    """The same tree, its routes numbered in the order of their declaration."""
    return tuple(
        Leaf(node.template, node.kind, next(numbers))
        if isinstance(node, Leaf)
        else Branching(node.template, node.style, numbered(node.children, numbers))
        for node in tree
    )


Reached = tuple[int, dict[str, Any], str]


def built(tree: Tree, reached: list[Reached]) -> list[BasePath]:
    """The tree as routes whose handlers note their number, their path parameters and the root path."""

    def noting(number: int, kind: Kind) -> Any:
        async def handler(connection: Any) -> None:
            reached.append((number, dict(connection.path_params), connection.scope.get("root_path", "")))
            if kind == "websocket":
                await connection.close()

        return handler

    routes: list[BasePath] = []
    for node in tree:
        if isinstance(node, Leaf):
            handler = noting(node.number, node.kind)
            routes.append((Path if node.kind == "http" else WebSocketPath)(node.template, handler))
            continue
        inside = built(node.children, reached)
        if node.style == "bare":
            routes.append(Include(node.template, routes=inside))
        elif node.style == "layered":
            routes.append(Include(node.template, routes=inside, middleware=[Layer]))
        elif node.style == "Router":
            routes.append(Include(node.template, app=Router(inside, redirect_slashes=False)))
        else:
            routes.append(Include(node.template, app=ChildLilya(routes=inside, redirect_slashes=False)))
    return routes


def naive(tree: Tree, kind: Kind, path: str, root: str) -> "Reached | Literal['missing'] | None":
    """
    What a reader of the documentation expects: try in order, prefix by prefix.

    None lets the list around go on; "missing" is the end of it, since a mounted application answers by itself.
    """
    for node in tree:
        pattern = parse_pattern(node.template)
        if isinstance(node, Leaf):
            match = pattern.regex.fullmatch(path)
            params = pattern.convert(match.groups()) if match is not None else None
            if params is not None and node.kind == kind:
                return node.number, params, root
            continue
        prefix = pattern.regex.pattern if node.template != "/" else ""
        match = re.compile(f"({prefix})(/[\\s\\S]*)?").fullmatch(path)
        if match is None:
            continue
        outer = pattern.convert(match.groups()[1:-1])
        assert outer is not None
        found = naive(node.children, kind, match.groups()[-1] or "/", root + match[1])
        if isinstance(found, tuple):
            return found[0], {**outer, **found[1]}, found[2]
        if found == "missing" or node.style in ("Router", "ChildLilya"):
            return "missing"
    return None


PATHS = st.lists(st.sampled_from(["a", "b", "7", "vx", "v", "q.json", "t", "", "x\ny"]), max_size=7).map(
    lambda parts: "/" + "/".join(parts)
)


@given(trees().map(lambda tree: numbered(tree, iter(range(1000)))), st.lists(PATHS, min_size=1, max_size=6))
async def test_table_reaches_what_a_naive_search_reaches(tree: Tree, paths: list[str]) -> None:
    """Nested includes of every style: the same handler, merged path parameters and root path as trying one by one."""
    reached: list[Reached] = []
    app = Lilya(routes=built(tree, reached), redirect_slashes=False)
    for path in paths:
        for kind in BOTH:
            reached.clear()
            await ask(app, path, kind)
            found = naive(tree, kind, path, "")
            assert reached == ([found] if isinstance(found, tuple) else []), (path, kind)


@given(trees().map(lambda tree: numbered(tree, iter(range(1000)))), PATHS)
async def test_table_never_redirects_in_a_circle(tree: Tree, path: str) -> None:
    """Whoever follows a redirect arrives where something answers, and is not sent on."""
    app = Lilya(routes=built(tree, []))
    first = await ask(app, path)
    if first[0]["status"] != 303:
        return
    other = path[:-1] if path.endswith("/") else path + "/"
    (location,) = [value.decode() for name, value in first[0]["headers"] if name.lower() == b"location"]
    assert location.replace("%0A", "\n").removeprefix("/.") == other
    second = await ask(app, other)
    assert second[0]["status"] not in (303, 404)


# -- precedence --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", BOTH)
def test_table_prefers_what_is_declared_first(kind: Kind) -> None:
    """Of two full matches the first one declared wins; specificity reorders nothing."""
    app = Lilya(routes=[route(kind, "/{any}", "any"), route(kind, "/one", "one"), route(kind, "/{n}/two", "two")])
    assert [answer(TestClient(app), kind, path) for path in ("/one", "/x", "/one/two")] == ["any", "any", "two"]


@pytest.mark.parametrize("kind", BOTH)
def test_table_keeps_the_two_kinds_apart(kind: Kind) -> None:
    """A WebSocket never reaches an HTTP route of the same path, nor the reverse, wherever they are declared."""
    for first, second in (BOTH, BOTH[::-1]):
        client = create_client([route(first, "/x", first), route(second, "/x", second)])
        assert answer(client, kind, "/x") == kind
    other: Kind = "http" if kind == "websocket" else "websocket"
    assert answer(create_client([route(other, "/x", "x")]), kind, "/x") == 404


@pytest.mark.parametrize("style", ["plain", "bare", "layered"])
def test_table_prefers_a_full_match_to_a_partial_one(style: str) -> None:
    """A route whose path fits but not its method is passed over for a later one that fits fully."""
    first: BasePath = Path("/x", answering("post"), methods=["POST"])
    if style != "plain":
        first = Include("/", routes=[first], middleware=[Layer] if style == "layered" else None)
    client = create_client([first, Path("/x", answering("get"))])
    assert (client.get("/x").text, client.post("/x").text) == ("get", "post")


def test_table_asks_an_include_inside_an_include_how_well_it_fits() -> None:
    """A full match deep inside beats a partial one declared before it; nothing fits where nothing inside does."""
    inner = Include("/in", routes=[Path("/x", answering("deep"), methods=["PUT"])], middleware=[Layer])
    partial = Path("/in/x", answering("flat"), methods=["POST"])
    client = create_client(
        [Include("/out", routes=[partial, inner], middleware=[Layer]), Path("/out/in/x", answering("last"))]
    )
    assert client.put("/out/in/x").text == "deep"
    assert client.post("/out/in/x").text == "flat"
    assert client.get("/out/in/x").text == "last"
    assert client.get("/out/in/y").status_code == 404


@pytest.mark.parametrize("style", ["plain", "bare", "layered", "mounted"])
def test_table_answers_a_wrong_method_with_405(style: str) -> None:
    """405 names the methods that the path has; HEAD comes with GET."""
    routes: list[BasePath] = [
        Path("/x", answering("get")),
        Path("/x", answering("put"), methods=["put"]),
        Path("/{other}", answering("o"), methods=["TRACE"]),
    ]
    if style == "bare":
        routes = [Include("/", routes=routes)]
    elif style == "layered":
        routes = [Include("/", routes=routes, middleware=[Layer])]
    elif style == "mounted":
        routes = [Include("/", app=Router(routes))]
    response = create_client(routes).delete("/x")
    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD, PUT, TRACE")


@pytest.mark.parametrize("layers", [None, [Layer]])
def test_table_alone_answers_a_wrong_method_with_405(layers: list[Any] | None) -> None:
    """A router without an application around answers 405 itself."""
    router = Router([Include("/", routes=[Path("/x", answering("get"))], middleware=layers)])
    response = TestClient(router).post("/x")
    assert (response.status_code, response.headers["allow"], response.text) == (405, "GET, HEAD", "Method Not Allowed")


def test_table_answers_head_where_it_answers_get() -> None:
    """HEAD reaches the GET handler."""
    assert create_client([Path("/x", answering("get"))]).head("/x").status_code == 200


# -- falling through ---------------------------------------------------------------------------------------------------


async def receiving_then_passing(websocket: WebSocket) -> None:
    """Take the connect message, then leave it to the next route."""
    assert (await websocket.receive())["type"] == "websocket.connect"
    raise ContinueRouting


async def receiving_then_returning(websocket: WebSocket) -> None:
    """Take the connect message, then say nothing."""
    await websocket.receive()


async def returning(websocket: WebSocket) -> None:
    """Say nothing at all."""


@pytest.mark.parametrize("handler", [receiving_then_passing, receiving_then_returning, returning])
@pytest.mark.parametrize("style", ["plain", "bare", "layered"])
def test_table_gives_the_next_match_its_turn(handler: Any, style: str) -> None:
    """Who raises ContinueRouting, or answers nothing, is followed by the next match, which sees the connect message."""
    first: BasePath = WebSocketPath("/x", handler)
    if style != "plain":
        first = Include("/", routes=[first], middleware=[Layer] if style == "layered" else None)
    client = create_client([first, WebSocketPath("/{any}", greeting("next"))])
    assert answer(client, "websocket", "/x") == "next"


def test_table_replays_the_first_message_of_a_request() -> None:
    """An HTTP handler that read the body before ContinueRouting leaves it to the next one."""

    async def passing(request: Request) -> None:
        assert await request.body() == b"body"
        raise ContinueRouting

    async def reading(request: Request) -> str:
        return (await request.body()).decode()

    client = create_client([Path("/x", passing, methods=["POST"]), Path("/{any}", reading, methods=["POST"])])
    assert client.post("/x", content=b"body").json() == "body"


def test_table_gives_the_next_match_its_turn_after_a_silent_asgi_app() -> None:
    """An HTTP application that sends nothing is followed by the next match, without a complaint in the log."""

    class Silent:
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            pass

    assert create_client([Path("/x", Silent()), Path("/x", answering("next"))]).get("/x").text == "next"


def test_table_says_which_handler_did_not_answer(caplog: pytest.LogCaptureFixture) -> None:
    """A WebSocket handler that returns without an answer is named in the log once; ContinueRouting is silent."""
    client = create_client([WebSocketPath("/x", receiving_then_passing), WebSocketPath("/x", returning)])
    assert answer(client, "websocket", "/x") == 404
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert "/x" in record.getMessage()
    assert f"{__name__}.returning returned without accept() or close()" in record.getMessage()


@pytest.mark.parametrize("kind", BOTH)
def test_table_falls_through_an_include_of_routes(kind: Kind) -> None:
    """Where nothing inside matches, or what matches passes, the routes after the include get their turn."""

    async def passing(connection: Any) -> None:
        raise ContinueRouting

    inside: list[BasePath] = [Path("/pass", passing), WebSocketPath("/pass", passing)]
    for layers in (None, [Layer]):
        client = create_client(
            [Include("/in", routes=inside, middleware=layers), route(kind, "/in/{any}", "after")],
        )
        assert [answer(client, kind, path) for path in ("/in/pass", "/in/x")] == ["after", "after"]


@pytest.mark.parametrize("kind", BOTH)
def test_table_does_not_fall_through_a_mounted_application(kind: Kind) -> None:
    """An application answers everything below its prefix, not found included; what it passes on is not found either."""

    async def passing(connection: Any) -> None:
        raise ContinueRouting

    inside: list[BasePath] = [Path("/pass", passing), WebSocketPath("/pass", passing)]
    for mounted in (Router(inside), ChildLilya(routes=inside)):
        client = create_client([Include("/in", app=mounted), route(kind, "/in/{any}", "after")])
        assert [answer(client, kind, path) for path in ("/in/pass", "/in/x")] == [404, 404]


@pytest.mark.parametrize("kind", BOTH)
def test_table_hands_on_what_an_asgi_mount_passes_on(kind: Kind) -> None:
    """A mounted ASGI application of any kind may raise ContinueRouting or stay silent itself."""

    class Passing:
        def __init__(self, error: bool) -> None:
            self.error = error

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            if self.error:
                raise ContinueRouting

    for error in (True, False):
        client = create_client([Include("/", app=Passing(error)), route(kind, "/x", "after")])
        assert answer(client, kind, "/x") == "after"


@pytest.mark.parametrize("kind", BOTH)
def test_table_ends_with_not_found_when_the_last_match_passes(kind: Kind) -> None:
    """ContinueRouting with no further match is not found."""

    async def passing(connection: Any) -> None:
        raise ContinueRouting

    client = create_client([Path("/x", passing), WebSocketPath("/x", passing)])
    assert answer(client, kind, "/x") == 404


def test_table_refuses_continue_routing_after_an_answer() -> None:
    """Who has accepted cannot pass the connection on: that is an error of the application, 1011 for the peer."""

    async def accepting(websocket: WebSocket) -> None:
        await websocket.accept()
        raise ContinueRouting

    client = create_client([WebSocketPath("/x", accepting), WebSocketPath("/x", greeting("next"))])
    with pytest.raises(RuntimeError, match="/x: ContinueRouting was raised after the connection had been answered"):
        with client.websocket_connect("/x") as websocket:
            websocket.receive_text()
    client = create_client([WebSocketPath("/x", accepting)], raise_server_exceptions=False)
    with client.websocket_connect("/x") as websocket, pytest.raises(WebSocketDisconnect) as caught:
        websocket.receive_text()
    assert caught.value.code == 1011


def test_table_merges_path_params_inner_ones_win() -> None:
    """Every level contributes; of one name the innermost value stays, in bare, layered and mounted includes alike."""

    async def show(request: Request) -> dict[str, Any]:
        return request.path_params

    client = create_client(
        [
            Include(
                "/{a}/{same}",
                routes=[
                    Include(
                        "/{b:int}",
                        middleware=[Layer],
                        routes=[Include("/{c}", app=ChildLilya(routes=[Path("/{same}/{d:float}", show)]))],
                    )
                ],
            )
        ]
    )
    assert client.get("/A/outer/2/C/inner/1.5").json() == {"a": "A", "same": "inner", "b": 2, "c": "C", "d": 1.5}


# -- slashes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrap", ["plain", "bare", "layered", "Router", "ChildLilya"])
def test_table_redirects_http_to_the_other_spelling(wrap: str) -> None:
    """303 to the spelling with or without the slash, whichever exists, with the query string as it came."""
    routes: list[BasePath] = [Path("/x", answering("x")), Path("/d/{rest:path}", answering("d"))]
    mounted: dict[str, BasePath] = {
        "bare": Include("/in", routes=routes),
        "layered": Include("/in", routes=routes, middleware=[Layer]),
        "Router": Include("/in", app=Router(routes)),
        "ChildLilya": Include("/in", app=ChildLilya(routes=routes)),
    }
    client = create_client(routes if wrap == "plain" else [mounted[wrap]], follow_redirects=False)
    prefix = "" if wrap == "plain" else "/in"
    for path, other in (("/x/?a=1&b=%20c", "/x?a=1&b=%20c"), ("/d?q", "/d/?q")):
        response = client.get(prefix + path)
        assert (response.status_code, response.headers["location"]) == (303, f"http://testserver{prefix}{other}")
    assert client.get(prefix + "/x//").status_code == 404


def test_table_redirects_a_wrong_method_by_path_alone() -> None:
    """The other spelling is redirected to whatever the method; 405 is its answer, and not a second redirect."""
    response = create_client([Path("/x", answering("x"))]).post("/x/")
    assert [step.status_code for step in response.history] == [303]
    assert response.status_code == 200


@pytest.mark.parametrize("off", ["app", "include", "outer include", "layered include", "Router"])
def test_table_redirects_nothing_where_that_is_switched_off(off: str) -> None:
    """`redirect_slashes=False` of the application, of any include around, or of a mounted router holds."""
    routes: list[BasePath] = [Path("/x", answering("x"))]
    app = {
        "app": Lilya(routes=[Include("/in", routes=routes)], redirect_slashes=False),
        "include": Lilya(routes=[Include("/in", routes=routes, redirect_slashes=False)]),
        "outer include": Lilya(
            routes=[Include("/", routes=[Include("/in", routes=routes)], redirect_slashes=False)],
        ),
        "layered include": Lilya(routes=[Include("/in", routes=routes, redirect_slashes=False, middleware=[Layer])]),
        "Router": Lilya(routes=[Include("/in", app=Router(routes, redirect_slashes=False))]),
    }[off]
    assert TestClient(app, follow_redirects=False).get("/in/x/").status_code == 404


@pytest.mark.parametrize("path", ["/x/", "/y", "/in"])
def test_table_never_redirects_a_websocket(path: str) -> None:
    """A WebSocket under the other spelling is not found."""
    client = create_client(
        [WebSocketPath("/x", greeting("x")), WebSocketPath("/y/{rest:path}", greeting("y")), Path("/in/{p}", returning)]
    )
    assert answer(client, "websocket", path) == 404


@pytest.mark.parametrize(
    "routes",
    [
        [Include("/in", routes=[Path("/x", answering("x"))], middleware=[Layer])],
        [Include("/", routes=[Path("/x", answering("x"))], middleware=[Layer])],
        [Host("other.example", Router([Path("/x", answering("x"))])), Path("/y", answering("y"))],
        [Include("/", routes=[Host("other.example", Router([]))], middleware=[Layer])],
    ],
)
@pytest.mark.parametrize("path", ["/missing", "/missing/", "/in", "/in/", "/"])
def test_table_does_not_redirect_to_what_is_not_there(routes: list[BasePath], path: str) -> None:
    """A mount that could match, but holds nothing for this path, is no reason for a redirect."""
    assert create_client(routes, follow_redirects=False).get(path).status_code == 404


@pytest.mark.parametrize("path", ["//evil.com/", "//evil.com", "/\\evil.com/", "//evil.com/x/", "///evil.com/x/"])
@pytest.mark.parametrize("headers", [[], [(b"host", b"testserver")]])
async def test_table_redirects_to_no_other_host(path: str, headers: list[tuple[bytes, bytes]]) -> None:
    """What looks like a host in the path stays a path in the `Location`, with or without a `Host` header."""
    app = Lilya(routes=[Path("/{a}", answering("1")), Include("/", routes=[Path("/{p:path}/x", answering("2"))])])
    sent = await ask(app, path, headers=headers)
    for name, value in sent[0]["headers"]:
        if name.lower() == b"location":
            assert value.startswith(b"http://testserver/" if headers else b"/")
            assert not value.startswith((b"//", b"/\\"))


async def test_table_writes_a_location_of_one_line() -> None:
    """Line breaks in a path are percent-encoded in the `Location`."""
    sent = await ask(Lilya(routes=[Path("/{a}", answering("1"))]), "/x\r\nSet-Cookie: a=b/")
    assert dict(sent[0]["headers"])[b"location"] == b"/x%0D%0ASet-Cookie:%20a=b"


# -- not found ---------------------------------------------------------------------------------------------------------


async def test_table_closes_what_a_lone_router_does_not_know() -> None:
    """Without an application: one close with 1000 before accept (403), and a plain 404 on HTTP."""
    close = {"type": "websocket.close", "code": 1000, "reason": ""}
    for app in (Router([]), WebSocketPath("/x", returning), Include("/x", app=Router([])), Host("h", Router([]))):
        extensions: dict[str, Any] = {"websocket.http.response": {}}
        assert await ask(app, "/missing", "websocket", extensions=extensions) == [close]
        assert [message.get("status") for message in await ask(app, "/missing")] == [404, None]


async def test_table_denies_what_an_application_does_not_know() -> None:
    """In an application: a denial 404 where the server can send one, else a close before accept; 404 on HTTP."""
    for app in (Lilya(), Lilya(routes=[Include("/missing", app=Router([]))])):
        denial = await ask(app, "/missing", "websocket", extensions={"websocket.http.response": {}})
        assert [message["type"] for message in denial] == [
            "websocket.http.response.start",
            "websocket.http.response.body",
        ]
        assert denial[0]["status"] == 404
        assert [message["type"] for message in await ask(app, "/missing", "websocket")] == ["websocket.close"]
        assert (await ask(app, "/missing"))[0]["status"] == 404


@pytest.mark.parametrize("handler_key", [404, NotFound])
def test_table_shows_not_found_to_the_applications_handler(handler_key: Any) -> None:
    """A user's handler for 404 sees what no route matched, of either kind, in a mounted router too."""

    async def handler(connection: Any, error: NotFound) -> PlainText:
        return PlainText(f"nothing at {connection.scope['path']}", status_code=410)

    app = Lilya(routes=[Include("/in", app=Router([]))], exception_handlers={handler_key: handler})
    for path in ("/x", "/in/x"):
        assert TestClient(app).get(path).text == f"nothing at {path}"
        with pytest.raises(WebSocketDenialResponse) as denial, TestClient(app).websocket_connect(path):
            pass
        assert (denial.value.status_code, denial.value.text) == (410, f"nothing at {path}")


def test_table_asks_the_routers_default_for_what_nothing_matches() -> None:
    """`Router(default=…)` is the ASGI application for everything else, of both kinds."""
    router = Router([Path("/x", answering("x"))], default=WebSocketPath("/y", greeting("default")))
    assert answer(TestClient(router), "websocket", "/y") == "default"
    assert answer(TestClient(Lilya(routes=[Include("/in", app=router)])), "websocket", "/in/y") == "default"


@pytest.mark.parametrize(("path", "near"), [("/rooms/7/x", "/rooms/{room}"), ("/roms", "/rooms/{room}")])
async def test_table_names_the_nearest_route(path: str, near: str) -> None:
    """The exception for what was not found names the route that shares the most with the path."""
    seen: list[NotFound] = []

    async def handler(connection: Any, error: NotFound) -> str:
        seen.append(error)
        return "no"

    app = Lilya(
        routes=[WebSocketPath("/rooms/{room}", returning), WebSocketPath("/users/{user}", returning)],
        exception_handlers={NotFound: handler},
    )
    await ask(app, path, "websocket")
    assert [error.extra for error in seen] == [{"near": near}]
    await ask(Lilya(exception_handlers={NotFound: handler}), path, "websocket")
    assert seen[-1].extra == {"near": None}


# -- root_path ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "root_path", "expected"),
    [
        ("/x", "", "/x"),
        ("/api/x", "/api", "/x"),
        ("/api", "/api", "/"),
        ("/api/", "/api", "/"),
        ("/apis/x", "/api", "/apis/x"),
        ("/x", "/api", "/x"),
        ("/api/api/x", "/api", "/api/x"),
    ],
)
def test_route_path_is_the_path_below_the_root_path(path: str, root_path: str, expected: str) -> None:
    """`root_path` is taken off where the path begins with it as whole segments; a proxy may have done so already."""
    assert get_route_path({"path": path, "root_path": root_path}) == expected


def test_route_path_without_root_path_is_the_path() -> None:
    """The ASGI key is optional."""
    assert get_route_path({"path": "/x"}) == "/x"


async def test_table_matches_below_the_servers_root_path() -> None:
    """`root_path` of the server is no part of what routes match, and is kept as `app_root_path` by includes."""
    seen: list[tuple[str, str, str | None]] = []

    async def show(request: Request) -> str:
        scope = request.scope
        seen.append((scope["path"], scope["root_path"], scope.get("app_root_path")))
        return str(request.base_url)

    inside = [Path("/x", show)]
    app = Lilya(
        routes=[
            Path("/x", show),
            Include("/a/{id}", routes=[Include("/b", routes=inside)]),
            Include("/c", app=ChildLilya(routes=[Include("/d", routes=inside, middleware=[Layer])])),
        ]
    )
    for path in ("/x", "/a/1/b/x", "/c/d/x"):
        assert (await ask(app, "/srv" + path, root_path="/srv"))[0]["status"] == 200
    assert seen == [
        ("/srv/x", "/srv", None),
        ("/srv/a/1/b/x", "/srv/a/1/b", "/srv"),
        ("/srv/c/d/x", "/srv/c/d", "/srv"),
    ]


# -- what the scope says -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layers", [None, [Layer]])
def test_table_tells_the_scope_where_it_went(layers: list[Any] | None) -> None:
    """`route` and `handler` are those of the route, `router` is the outermost one, `app` the innermost application."""
    seen: list[Scope] = []

    async def show(request: Request) -> None:
        seen.append(request.scope)

    declared = Path("/{id}", show)
    child = ChildLilya(routes=[declared])
    app = Lilya(routes=[Include("/in", app=child, middleware=layers, dependencies={"dep": 1})])
    TestClient(app).get("/in/7")
    (scope,) = seen
    assert scope["route"] is declared
    assert scope["handler"] is show
    assert scope["route_path_template"] == "/{id}"
    assert (scope["router"], scope["app"]) == (app.router, child)
    assert scope["dependencies"] == [{"dep": 1}]
    assert scope["path"] == "/in/7"


async def test_table_leaves_the_servers_scope_alone() -> None:
    """What routing adds stays in copies; the server's scope is as it was."""
    scope: Scope = {"type": "http", "method": "GET", "path": "/x", "headers": [], "query_string": b""}
    before = dict(scope)

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        pass

    for app in (Lilya(routes=[Path("/x", answering("x"))]), Router([]), Path("/x", answering("x"))):
        await app(scope, receive, send)
        assert scope == before


# -- covered routes ----------------------------------------------------------------------------------------------------


def warnings_of(app: Lilya, caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the log says about covered routes when an application starts."""
    caplog.clear()
    with TestClient(app):
        pass
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def covered(what: str, by: str) -> str:
    """The line of the log for a covered route."""
    return f"The {what} can never be reached: {by}, declared earlier, takes everything that it matches"


NOTHING = Starlette()


def path(template: str, **options: Any) -> Path:
    """An HTTP route."""
    return Path(template, answering("x"), **options)


COVERED: list[tuple[list[BasePath], list[str]]] = [
    ([path("/a"), path("/a")], [covered("http route /a", "/a")]),
    ([WebSocketPath("/{a}", returning), WebSocketPath("/x", returning)], [covered("websocket route /x", "/{a}")]),
    ([WebSocketPath("/a", returning), path("/a")], []),
    ([path("/a"), path("/a", methods=["POST"])], []),
    ([path("/a", methods=["GET", "HEAD", "PUT"]), path("/a")], [covered("http route /a", "/a")]),
    ([path("/a", methods=["PUT"]), Path("/a", NOTHING)], []),
    ([Include("/in", routes=[path("/a")]), path("/in/a")], [covered("http route /in/a", "/in/a")]),
    ([Include("/in", routes=[path("/a")], middleware=[Layer]), path("/in/a")], []),
    (
        [
            Include(
                "/in",
                middleware=[Layer],
                routes=[Include("/x", routes=[path("/a"), path("/a")], middleware=[Layer])],
            )
        ],
        [covered("http route /in/x/a", "/in/x/a")],
    ),
    ([Include("/", app=NOTHING), path("/a/b")], [covered("http route /a/b", "/")]),
    ([Include("/in", app=NOTHING), WebSocketPath("/in/{a}", returning)], [covered("websocket route /in/{a}", "/in")]),
    ([Include("/in", app=NOTHING), path("/in")], [covered("http route /in", "/in")]),
    ([Include("/in", app=NOTHING), Include("/in/{x}", app=NOTHING)], [covered("mount /in/{x}", "/in")]),
    ([Include("/in", app=NOTHING), Include("/in", app=NOTHING)], [covered("mount /in", "/in")]),
    ([path("/{p:path}"), Include("/in", app=NOTHING)], []),
    ([Host("a.example", NOTHING), path("/a")], []),
    ([Include("/in", app=NOTHING), path("/inn")], []),
    ([Include("/in", app=NOTHING)], []),
    ([Include("/in", routes=[path("/")])], []),
]


@pytest.mark.parametrize(("routes", "expected"), COVERED)
def test_table_reports_a_covered_route(
    routes: list[BasePath], expected: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """A route that an earlier one takes everything from is reported at startup, and no other route is."""
    assert warnings_of(Lilya(routes=routes), caplog) == expected


def test_table_reports_a_covered_route_once(caplog: pytest.LogCaptureFixture) -> None:
    """The same pair is not reported again when routes are added while serving, inside of mounts neither."""
    twice: list[BasePath] = [Path("/a", answering("1")), Path("/a", answering("2"))]
    app = Lilya(routes=[*twice, Include("/in", routes=twice, middleware=[Layer])])
    assert sorted(warnings_of(app, caplog)) == [
        covered("http route /a", "/a"),
        covered("http route /in/a", "/in/a"),
    ]
    app.add_route("/b", answering("3"))
    assert warnings_of(app, caplog) == []
    app.add_route("/b", answering("4"))
    assert warnings_of(app, caplog) == [covered("http route /b", "/b")]


# -- the table by itself -----------------------------------------------------------------------------------------------


async def test_table_converts_before_it_matches() -> None:
    """A text of the right form that is no value is no match: the next route has its turn."""
    routes = [Path("/{when:datetime}", answering("date")), Path("/{text}", answering("text"))]
    client = create_client(routes)
    assert client.get("/2024-02-03T04:05:06").text == "date"
    assert client.get("/2024-13-03T04:05:06").text == "text"
    sent = await ask(Lilya(routes=routes[:1], redirect_slashes=True), "/2024-13-03T04:05:06/")
    assert sent[0]["status"] == 404


def test_table_prepares_only_what_can_be_prepared() -> None:
    """A branch with nothing `behind` it, such as a mounted foreign application, is left alone."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError("never served")

    class Told:
        def prepare(self, mounts: "tuple[Mount, ...]") -> None:
            told.append(mounts)

        def forget(self) -> None:
            told.append(None)

    told: list[tuple[Mount, ...] | None] = []
    plain = Branch(parse_pattern("/a"), None, app, route=None, handler=None)
    mount = Branch(parse_pattern("/b"), None, app, route=None, handler=None, mount=True, behind=Told())
    route = Branch(parse_pattern("/c"), "http", app, route=None, handler=None, behind=Told())
    table = RouteTable([plain, mount, route])
    table.prepare((plain,))
    table.forget()
    assert told == [(plain, mount), (plain,), None, None]


def test_mount_refuses_a_parameter_called_path() -> None:
    """`path` is what a mount leaves to the application inside, so that a prefix cannot use the name."""
    with pytest.raises(ImproperlyConfigured, match=r"Duplicated param name path in the path /in/\{path\}"):
        Include("/in/{path}", app=NOTHING)


def test_mount_hands_on_line_breaks() -> None:
    """Everything below a prefix belongs to the mounted application, line breaks in the path included."""
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["path"])
        await StarletteResponse()(scope, receive, send)

    create_client([Include("/in", app=app)]).get("/in/a%0Ab")
    assert seen == ["/in/a\nb"]
