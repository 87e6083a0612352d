"""From a name to a path: `path_for` on routes, includes, routers, applications and connections, and `reverse`."""

import math
import uuid
from contextvars import Context
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lilya.apps import ChildLilya, Lilya
from lilya.compat import reverse
from lilya.datastructures import URL, URLPath
from lilya.protocols.middleware import MiddlewareProtocol
from lilya.requests import Request
from lilya.routing import Include, NoMatchFound, Path, Router, WebSocketPath
from lilya.routing.base import Around, BasePath, Mountable
from lilya.testclient import TestClient, create_client
from lilya.websockets import WebSocket


class Layer(MiddlewareProtocol):
    """A middleware that does nothing."""


async def index(request: Request) -> None:
    """An HTTP handler."""


async def chat(websocket: WebSocket) -> None:
    """A WebSocket handler."""


async def item(request: Request) -> None:
    """Another HTTP handler."""


ROUTES: list[BasePath] = [
    Path("/", index),
    WebSocketPath("/chat/{room}/<page:int>", chat),
    Include(
        "/api/{version}",
        name="api",
        routes=[
            Path("/", index, name="root"),
            Path("/items/{id:uuid}", item),
            Include(
                "/deep",
                name="deep",
                app=ChildLilya(routes=[WebSocketPath("/{rest:path}", chat, name="er"), Path("/", index, name="top")]),
            ),
            Include("/plain", routes=[Path("/x", index, name="x")], middleware=[Layer]),
        ],
    ),
    Include("/unnamed", app=Router([Path("/inside/{a}-{b}.txt", item, name="inside")])),
]
ID = uuid.UUID("12345678-1234-5678-1234-567812345678")

FOUND: list[tuple[str, dict[str, Any], str, str]] = [
    ("index", {}, "/", "http"),
    ("chat", {"room": "lobby", "page": 3}, "/chat/lobby/3", "websocket"),
    ("api:root", {"version": "v1"}, "/api/v1/", "http"),
    ("api:item", {"version": "v1", "id": ID}, f"/api/v1/items/{ID}", "http"),
    ("api:item", {"version": "v1", "id": str(ID)}, f"/api/v1/items/{ID}", "http"),
    ("api:deep:er", {"version": "v1", "rest": "a/b"}, "/api/v1/deep/a/b", "websocket"),
    ("api:deep:er", {"version": "v1", "rest": ""}, "/api/v1/deep/", "websocket"),
    ("api:deep:top", {"version": "v1"}, "/api/v1/deep/", "http"),
    ("api:deep", {"version": "v1", "path": "/any/where"}, "/api/v1/deep/any/where", ""),
    ("api", {"version": "v1", "path": "any"}, "/api/v1/any", ""),
    ("api", {"version": "v1", "path": ""}, "/api/v1/", ""),
    ("api:x", {"version": "v1"}, "/api/v1/plain/x", "http"),
    ("inside", {"a": "1", "b": "2"}, "/unnamed/inside/1-2.txt", "http"),
    ("inside", {"a": "{b}", "b": "{a}"}, "/unnamed/inside/{b}-{a}.txt", "http"),
    ("inside", {"a": "ä ?", "b": "%2F"}, "/unnamed/inside/ä ?-%2F.txt", "http"),
]

MISSING: list[tuple[str, dict[str, Any]]] = [
    ("nothing", {}),
    ("nothing", {"a": 1, "b": 2}),
    ("index", {"more": 1}),
    ("chat", {"room": "lobby"}),
    ("chat", {"room": "lobby", "page": 3, "more": 1}),
    ("root", {"version": "v1"}),
    ("api:root", {}),
    ("api:nothing", {"version": "v1"}),
    ("api", {"version": "v1"}),
    ("api", {"path": "/x"}),
    ("api", {"version": "v1", "path": "/x", "more": 1}),
    ("deep:er", {"version": "v1", "rest": ""}),
    ("api:deep:er:", {"version": "v1", "rest": ""}),
]


@pytest.mark.parametrize("owner", [Lilya(routes=ROUTES), Router(ROUTES), Include("/", routes=ROUTES)])
@pytest.mark.parametrize(("name", "params", "path", "protocol"), FOUND)
def test_path_for_finds_a_name(owner: Any, name: str, params: dict[str, Any], path: str, protocol: str) -> None:
    """Names inside of named includes are joined with colons; unnamed includes are transparent."""
    found = owner.path_for(name, **params)
    assert (found, found.protocol, found.host) == (path, protocol, "")
    assert isinstance(found, URLPath)
    assert owner.url_path_for(name, **params) == found


@pytest.mark.parametrize("owner", [Lilya(routes=ROUTES), Router(ROUTES), Include("/", routes=ROUTES)])
@pytest.mark.parametrize(("name", "params"), MISSING)
def test_path_for_says_what_it_did_not_find(owner: Any, name: str, params: dict[str, Any]) -> None:
    """Another name, a parameter too few or too many: NoMatchFound, with the name and the parameters asked for."""
    with pytest.raises(NoMatchFound) as caught:
        owner.path_for(name, **params)
    assert str(caught.value) == f'No route exists for name "{name}" and params "{", ".join(params)}".'


def test_path_for_of_a_single_route() -> None:
    """A route answers to its own name."""
    route = WebSocketPath("/chat/{room}", chat, name="room")
    assert route.path_for("room", room="a") == route.url_path_for("room", room="a") == "/chat/a"
    with pytest.raises(NoMatchFound, match='No route exists for name "chat" and params "room"'):
        route.path_for("chat", room="a")


def test_path_for_takes_the_first_route_of_a_name() -> None:
    """Of two routes with one name the first whose parameters fit is taken; a name may be used as a parameter, too."""
    router = Router([Path("/a/{x}", index), Path("/b", index), Path("/c", index), Path("/n/{name}", item)])
    assert [router.path_for("index"), router.path_for("index", x="1")] == ["/b", "/a/1"]
    assert router.path_for("item", name="n") == "/n/n"


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("str", ""),
        ("str", "a/b"),
        ("int", -1),
        ("int", "x"),
        ("int", None),
        ("float", -0.5),
        ("float", math.nan),
        ("float", math.inf),
        ("float", "x"),
        ("path", "a\nb"),
        ("uuid", "1234"),
    ],
)
def test_path_for_refuses_values_that_could_not_match(kind: str, value: Any) -> None:
    """A path that nothing could match again is an AssertionError."""
    with pytest.raises(AssertionError):
        Path(f"/{{it:{kind}}}", index).path_for("index", it=value)


@given(
    st.fixed_dictionaries(
        {
            "text": st.text(min_size=1).filter(lambda text: "/" not in text),
            "number": st.integers(0, 10**30),
            "real": st.floats(0, allow_nan=False, allow_infinity=False).map(lambda real: round(real % 1e6, 4)),
            "id": st.uuids(),
            "when": st.datetimes(datetime(1000, 1, 1)).map(lambda when: when.replace(microsecond=0)),  # noqa: DTZ001
            "rest": st.text().filter(lambda text: "\n" not in text),
        }
    )
)
def test_path_for_gives_what_matches_again(params: dict[str, Any]) -> None:
    """The path of a route leads back to the same parameters."""
    template = "/{text}/{number:int}/{real:float}/{id:uuid}/{when:datetime}/{rest:path}"
    route = Path(template, index)
    path = route.path_for("index", **params)
    match = route.pattern.regex.fullmatch(path)
    assert match is not None
    assert route.pattern.convert([match[name] for name in route.pattern.names]) == params


@pytest.mark.parametrize(
    ("base_url", "name", "expected"),
    [
        ("http://example.com/", "index", "http://example.com/"),
        ("http://example.com/", "chat", "ws://example.com/chat/lobby/3"),
        ("https://example.com:8443/srv/", "chat", "wss://example.com:8443/srv/chat/lobby/3"),
        ("wss://example.com/", "index", "https://example.com/"),
        ("ws://example.com", "index", "http://example.com/"),
    ],
)
def test_path_becomes_an_absolute_url(base_url: str, name: str, expected: str) -> None:
    """The scheme is that of the kind of route, as secure as the base."""
    params = {"room": "lobby", "page": 3} if name == "chat" else {}
    url = Lilya(routes=ROUTES).path_for(name, **params).make_absolute_url(base_url)
    assert url == expected
    assert isinstance(url, URL)


@pytest.mark.parametrize("root_path", ["", "/srv"])
def test_path_for_of_a_connection_is_absolute(root_path: str) -> None:
    """Inside of handlers, below any mount, with the scheme of the route, the host and the root path of the server."""
    seen: list[Any] = []

    async def ask(request: Request) -> None:
        seen.extend([request.path_for("ask"), request.url_path_for("in:listen", tenant="acme", room="r")])

    async def listen(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_json([websocket.path_for("ask"), websocket.path_for("in:listen", tenant="b", room="r")])

    inside = [WebSocketPath("/{room}", listen), Path("/{x}/", ask, name="inner")]
    client = create_client(
        [Path("/ask", ask), Include("/in/{tenant}", app=ChildLilya(routes=inside), name="in")],
        root_path=root_path,
        base_url="https://example.com",
    )
    client.get(f"{root_path}/ask")
    client.get(f"{root_path}/in/a/b")
    expected = [f"https://example.com{root_path}/ask", f"wss://example.com{root_path}/in/acme/r"]
    assert seen[:2] == expected
    with client.websocket_connect(f"wss://example.com{root_path}/in/acme/r") as websocket:
        assert websocket.receive_json() == [
            f"https://example.com{root_path}/ask",
            f"wss://example.com{root_path}/in/b/r",
        ]


def test_reverse_asks_an_application() -> None:
    """`reverse` is `path_for` with the parameters as a mapping, by keyword, or both."""
    app = Lilya(routes=ROUTES)
    assert reverse("chat", app, {"room": "a", "page": 1}) == "/chat/a/1"
    assert reverse("chat", app=app, path_params={"room": "a"}, page=2) == "/chat/a/2"
    assert reverse("index", Router(ROUTES)) == "/"
    with pytest.raises(NoMatchFound):
        reverse("nothing", app)


def test_reverse_asks_the_application_that_serves() -> None:
    """Without an application it is the outermost one of the connection that is being served."""

    async def handler(request: Request) -> str:
        return reverse("in:handler", id=5)

    app = Lilya(routes=[Include("/in/{id:int}", app=ChildLilya(routes=[Path("/x", handler)]), name="in")])
    assert TestClient(app).get("/in/1/x").json() == "/in/5/x"


def test_reverse_needs_somebody_to_ask() -> None:
    """Neither an application nor a connection: RuntimeError."""
    with pytest.raises(RuntimeError, match="There is no connection here"):
        # A context of its own: another test may have served a connection in this one.
        Context().run(reverse, "index")


def test_base_classes_say_nothing() -> None:
    """What every route and every mountable application defines is left open by the base classes."""
    with pytest.raises(NotImplementedError):
        BasePath().path_for("x")
    with pytest.raises(NotImplementedError):
        list(BasePath().branches(Around()))
    with pytest.raises(NotImplementedError):
        Mountable().prepare()
    with pytest.raises(NotImplementedError):
        Mountable().forget()
    with pytest.raises(NotImplementedError):
        _ = Mountable().routes
