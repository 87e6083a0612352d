"""Includes: routes and applications under a prefix, of ours and of other frameworks."""

import asyncio
import queue
from typing import Any, Literal

import pytest
from starlette.applications import Starlette
from starlette.requests import Request as StarletteRequest
from starlette.responses import JSONResponse as StarletteJSON
from starlette.routing import Mount as StarletteMount
from starlette.routing import Route as StarletteRoute
from starlette.routing import WebSocketRoute as StarletteWebSocketRoute
from starlette.websockets import WebSocket as StarletteWebSocket
from starlette.websockets import WebSocketDisconnect as StarletteDisconnect
from websockets.asyncio.client import connect

from lilya.apps import ChildLilya, Lilya
from lilya.controllers import WebSocketController
from lilya.exceptions import ImproperlyConfigured, WebSocketDisconnect
from lilya.protocols.middleware import MiddlewareProtocol
from lilya.requests import Request
from lilya.routing import Host, Include, Path, Router, WebSocketPath
from lilya.testclient import TestClient, WebSocketDenialResponse, create_client, override_settings
from lilya.types import ApplicationType, Receive, Scope, Send
from lilya.websockets import WebSocket
from tests.support.servers import serve


class Layer(MiddlewareProtocol):
    """A middleware that does nothing."""


async def where(request: Request) -> dict[str, Any]:
    """Where an HTTP handler finds itself."""
    scope = request.scope
    return {
        "path": scope["path"],
        "root_path": scope.get("root_path", ""),
        "app_root_path": scope.get("app_root_path"),
        "params": request.path_params,
        "url": str(request.url),
        "base_url": str(request.base_url),
    }


async def where_websocket(websocket: WebSocket) -> None:
    """Where a WebSocket handler finds itself."""
    await websocket.accept()
    scope = websocket.scope
    await websocket.send_json(
        {
            "path": scope["path"],
            "root_path": scope.get("root_path", ""),
            "app_root_path": scope.get("app_root_path"),
            "params": websocket.path_params,
            "url": str(websocket.url),
            "base_url": str(websocket.base_url),
        }
    )


ROUTES = [Path("/", where), Path("/x/{id:int}", where), WebSocketPath("/", where_websocket)]
ROUTES += [WebSocketPath("/x/{id:int}", where_websocket)]

route_patterns = ROUTES
other_patterns = [Path("/other", where)]
no_patterns = 7
child_app = ChildLilya(routes=ROUTES)


def both(client: TestClient, path: str) -> list[Any]:
    """The path as an HTTP handler sees it, then as a WebSocket handler does; None where there is none."""
    response = client.get(path)
    seen: list[Any] = [response.json() if response.status_code == 200 else None]
    try:
        with client.websocket_connect(path) as websocket:
            seen.append(websocket.receive_json())
    except WebSocketDenialResponse:
        seen.append(None)
    return seen


STYLES: dict[str, dict[str, Any]] = {
    "routes": {"routes": ROUTES},
    "layered routes": {"routes": ROUTES, "middleware": [Layer]},
    "namespace": {"namespace": __name__},
    "Router": {"app": Router(ROUTES)},
    "ChildLilya": {"app": ChildLilya(routes=ROUTES)},
    "Lilya": {"app": Lilya(routes=ROUTES)},
    "import string": {"app": f"{__name__}.child_app"},
    "nested": {"routes": [Include("/", routes=[Include("", routes=ROUTES)])]},
}


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("prefix", ["/api", "/api/", "/api/{tenant}", "/a-{tenant}.b", "/", "", "/{tenant}/v1"])
def test_include_puts_its_routes_under_a_prefix(style: str, prefix: str) -> None:
    """Whatever is included, the same paths are reached, with root path and parameters of the prefix."""
    client = create_client([Include(prefix, **STYLES[style])])
    base = prefix.rstrip("/").replace("{tenant}", "acme")
    outer = {"tenant": "acme"} if "{" in prefix else {}
    seen = both(client, f"{base}/x/7")
    for scheme, one in zip(("http", "ws"), seen, strict=True):
        assert one == {
            "path": f"{base}/x/7",
            "root_path": base,
            "app_root_path": "" if base else None,
            "params": {**outer, "id": 7},
            "url": f"{scheme}://testserver{base}/x/7",
            "base_url": f"{scheme}://testserver/",
        }
    assert both(client, f"{base}/x/seven") == [None, None]
    assert both(client, f"{base}/y") == [None, None]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("spelling", ["/api", "/api/"])
def test_include_answers_for_its_prefix_itself(style: str, spelling: str) -> None:
    """The inner `/` is reached with and without the slash, without a redirect."""
    client = create_client([Include("/api", **STYLES[style])], follow_redirects=False)
    seen = both(client, spelling)
    assert [one["path"] for one in seen] == [spelling, spelling]
    assert [one["root_path"] for one in seen] == ["/api", "/api"]


def test_include_takes_whole_segments_only() -> None:
    """`/api` is no prefix of `/apis`."""
    for style in STYLES.values():
        assert both(create_client([Include("/api", **style)]), "/apis/x/1") == [None, None]


def test_include_reads_a_named_list_of_a_namespace() -> None:
    """`pattern` names the list in the module of `namespace`."""
    client = create_client([Include("/api", namespace=__name__, pattern="other_patterns")])
    assert client.get("/api/other").status_code == 200


def test_include_reads_the_list_that_the_settings_name() -> None:
    """`default_route_pattern`, where no `pattern` is given."""
    with override_settings(default_route_pattern="other_patterns"):
        include = Include("/api", namespace=__name__)
    assert include.routes == other_patterns


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, ImproperlyConfigured, "Include '/x': give exactly one of app=, routes= and namespace=."),
        ({"app": child_app, "routes": []}, ImproperlyConfigured, "give exactly one of app=, routes= and namespace=."),
        ({"routes": [], "namespace": "a"}, ImproperlyConfigured, "give exactly one of app=, routes= and namespace=."),
        ({"app": child_app, "namespace": "a"}, ImproperlyConfigured, "give exactly one"),
        ({"path": "x", "routes": []}, AssertionError, "Paths must start with '/', got 'x'"),
        ({"path": "/{a}/{a}", "routes": []}, ValueError, "Duplicated param name a"),
        ({"path": "/{path}", "routes": []}, ValueError, "Duplicated param name path in the path /{path}"),
        ({"path": "/{rest:path}", "routes": []}, ValueError, "a parameter of a prefix cannot contain slashes"),
        ({"path": "/{a:uid}", "routes": []}, AssertionError, "Unknown path transformer 'uid'"),
        ({"app": 7}, ImproperlyConfigured, "Include '/x': 7 is not an ASGI application. Give an instance such as"),
        ({"app": Lilya}, ImproperlyConfigured, "<class 'lilya.apps.Lilya'> is not an ASGI application"),
        ({"app": "nowhere.app"}, ImproperlyConfigured, "'nowhere.app' cannot be imported"),
        ({"namespace": "nowhere"}, ImproperlyConfigured, "'nowhere.route_patterns' cannot be imported"),
        ({"namespace": __name__, "pattern": "nothing"}, ImproperlyConfigured, "has no 'nothing'"),
        ({"namespace": __name__, "pattern": "no_patterns"}, ImproperlyConfigured, "routes: 7 is not a list"),
        ({"routes": [where]}, ImproperlyConfigured, "is not a route. Use Path, WebSocketPath, Include or Host."),
        ({"routes": [StarletteRoute("/", where)]}, ImproperlyConfigured, "Include '/x': routes: Route(path='/'"),
        (
            {"routes": Path("/", where)},
            ImproperlyConfigured,
            "Include '/x': routes: Path(path='/', name='where') is not",
        ),
    ],
)
def test_include_refuses_mistakes_at_once(arguments: Any, error: type[Exception], message: str) -> None:
    """What cannot work is an error of the constructor that names the include, the value and the remedy."""
    with pytest.raises(error) as caught:
        Include(**{"path": "/x", **arguments})
    assert message in str(caught.value)


def test_include_shows_the_routes_inside() -> None:
    """Its own list, or that of a mounted application of ours; none of a foreign one."""
    assert Include("/x", routes=ROUTES).routes == ROUTES
    assert Include("/x", app=Router(ROUTES)).routes == ROUTES
    assert Include("/x", app=child_app).routes == ROUTES
    assert Include("/x", app=Starlette()).routes == []


def test_include_keeps_what_it_was_given() -> None:
    """Path, name and the flags for schemas can be read back; the representation says what is inside."""
    include = Include("/x/", routes=[], name="n", include_in_schema=False, deprecated=True, redirect_slashes=False)
    assert (include.path, include.name, include.include_in_schema, include.deprecated) == ("/x", "n", False, True)
    assert include.redirect_slashes is False
    assert repr(include) == "Include(path='/x', name='n', routes=[])"
    assert repr(Include("", app=where)) == f"Include(path='', name=None, app={where!r})"
    assert Include("/", routes=[]).path == ""


def test_include_alone_is_an_application() -> None:
    """Called directly it serves what is below its prefix."""
    for style in STYLES.values():
        client = TestClient(Include("/api", **style))
        assert [one["root_path"] for one in both(client, "/api/x/1")] == ["/api", "/api"]
        assert client.get("/other").status_code == 404
        with pytest.raises(WebSocketDisconnect), client.websocket_connect("/other"):
            pass


def test_include_mounts_a_controller_class() -> None:
    """A `WebSocketController` class is an application of its own below its prefix."""

    class Echo(WebSocketController):
        encoding = "text"

        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            await websocket.send_text(f"{self.scope['root_path']} {data}")

    with create_client([Include("/in", app=Echo)]).websocket_connect("/in/any/thing") as websocket:
        websocket.send_text("hello")
        assert websocket.receive_text() == "/in hello"


# -- an application of another framework inside ours -------------------------------------------------------------------


async def starlette_where(request: StarletteRequest) -> StarletteJSON:
    """Where a Starlette endpoint finds itself."""
    scope = request.scope
    return StarletteJSON(
        {
            "path": scope["path"],
            "root_path": scope["root_path"],
            "params": request.path_params,
            "url": str(request.url),
            "self": str(request.url_for("item", id=1)),
        }
    )


async def starlette_echo(websocket: StarletteWebSocket) -> None:
    """A Starlette WebSocket endpoint that echoes until its client leaves."""
    await websocket.accept(headers=[(b"x-id", websocket.path_params["id"].encode())])
    try:
        while True:
            await websocket.send_text(f"{websocket.scope['root_path']}: {await websocket.receive_text()}")
    except StarletteDisconnect:
        LEFT.put(websocket.path_params["id"])


LEFT: queue.SimpleQueue[str] = queue.SimpleQueue()


async def starlette_refuse(websocket: StarletteWebSocket) -> None:
    """A Starlette WebSocket endpoint that closes before accept."""
    await websocket.close()


def starlette_app() -> Starlette:
    """An application of another framework, with its own HTTP and WebSocket routes."""
    return Starlette(
        routes=[
            StarletteRoute("/", starlette_where, name="root"),
            StarletteRoute("/items/{id}", starlette_where, name="item"),
            StarletteWebSocketRoute("/ws/{id}", starlette_echo),
            StarletteWebSocketRoute("/refuse", starlette_refuse),
            StarletteMount("/deep", routes=[StarletteRoute("/er", starlette_where)]),
        ]
    )


@pytest.mark.parametrize("layers", [{}, {"middleware": [Layer]}, {"exception_handlers": {KeyError: print}}])
def test_include_mounts_a_foreign_application(layers: dict[str, Any]) -> None:
    """It sees the full path and its own root path, so that its routes, mounts and URLs work; its 404 is its own."""
    client = create_client([Include("/foreign/{tenant}", app=starlette_app(), **layers), Path("/foreign", where)])
    seen = client.get("/foreign/acme/items/7").json()
    assert seen == {
        "path": "/foreign/acme/items/7",
        "root_path": "/foreign/acme",
        "params": {"tenant": "acme", "id": "7"},
        "url": "http://testserver/foreign/acme/items/7",
        "self": "http://testserver/foreign/acme/items/1",
    }
    assert client.get("/foreign/acme/deep/er").json()["root_path"] == "/foreign/acme/deep"
    assert client.get("/foreign/acme").json()["path"] == "/foreign/acme/"
    assert client.get("/foreign/acme/").status_code == 200
    assert client.get("/foreign/acme/missing").text == "Not Found"
    assert client.get("/foreign").status_code == 200
    with client.websocket_connect("/foreign/acme/ws/9") as websocket:
        assert websocket.extra_headers == [(b"x-id", b"9")]
        websocket.send_text("hello")
        assert websocket.receive_text() == "/foreign/acme: hello"
    assert LEFT.get() == "9"
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/foreign/acme/refuse"):
        pass


def test_include_mounts_a_foreign_application_below_a_root_path() -> None:
    """The server's root path stands before the prefix."""
    client = create_client([Include("/foreign", app=starlette_app())], root_path="/srv")
    assert client.get("/srv/foreign/items/7").json() == {
        "path": "/srv/foreign/items/7",
        "root_path": "/srv/foreign",
        "params": {"id": "7"},
        "url": "http://testserver/srv/foreign/items/7",
        "self": "http://testserver/srv/foreign/items/1",
    }


async def test_include_serves_a_foreign_application_with_uvicorn() -> None:
    """Over a real server: the mounted application echoes, and learns that its client left."""
    with serve(Lilya(routes=[Include("/foreign", app=starlette_app())])) as server:
        async with connect(server.ws_url("/foreign/ws/live")) as websocket:
            await websocket.send("hello")
            assert await websocket.recv() == "/foreign: hello"
        assert await asyncio.to_thread(LEFT.get) == "live"


# -- ours inside another framework -------------------------------------------------------------------------------------


def mounted_in_starlette(app: ApplicationType) -> Starlette:
    """Our application below a prefix of another framework."""
    return Starlette(routes=[StarletteMount("/outer/{tenant}", app=app)])


@pytest.mark.parametrize("kind", ["Lilya", "Router", "Include"])
def test_lilya_is_mounted_in_a_foreign_application(kind: str) -> None:
    """Below the prefix of another framework everything works: routes, includes, path parameters of both."""
    routes = [*ROUTES, Include("/in", routes=ROUTES), Include("/child", app=ChildLilya(routes=ROUTES))]
    ours = {"Lilya": Lilya(routes=routes), "Router": Router(routes), "Include": Include("/", routes=routes)}[kind]
    client = TestClient(mounted_in_starlette(ours))
    for prefix in ("", "/in", "/child"):
        for scheme, one in zip(("http", "ws"), both(client, f"/outer/acme{prefix}/x/7"), strict=True):
            assert one == {
                "path": f"/outer/acme{prefix}/x/7",
                "root_path": f"/outer/acme{prefix}",
                "app_root_path": "/outer/acme" if prefix else None,
                "params": {"tenant": "acme", "id": 7},
                "url": f"{scheme}://testserver/outer/acme{prefix}/x/7",
                "base_url": f"{scheme}://testserver/outer/acme/",
            }
    response = client.get("/outer/acme/x/7/")
    assert [step.headers["location"] for step in response.history] == ["http://testserver/outer/acme/x/7"]
    assert client.get("/outer/acme/missing").status_code == 404


def test_lilya_inside_a_foreign_application_inside_lilya() -> None:
    """The outer application conducts the connection; the routes of the inner one work all the same."""
    between = Starlette(routes=[StarletteMount("/between", app=ChildLilya(routes=ROUTES))])
    client = create_client([Include("/outer", app=between)])
    assert [one["root_path"] for one in both(client, "/outer/between/x/7")] == ["/outer/between"] * 2


# -- more than one place -----------------------------------------------------------------------------------------------


def test_include_of_one_application_in_two_places() -> None:
    """The same child may be mounted twice; what its handlers can ask for depends on the mount they came through."""

    async def handler(request: Request, tenant: str, db: str) -> list[str]:
        return [tenant, db]

    child = ChildLilya(routes=[Path("/x", handler)])
    client = create_client(
        [
            Include("/a/{tenant}", app=child, dependencies={"db": "first"}),
            Include("/b/{tenant}", app=child, dependencies={"db": lambda: "second"}),
            Include("/c/{tenant}", routes=[Include("/d", app=child, middleware=[Layer])], dependencies={"db": "third"}),
        ]
    )
    assert [client.get(f"/{path}/x").json() for path in ("a/1", "b/2", "c/3/d")] == [
        ["1", "first"],
        ["2", "second"],
        ["3", "third"],
    ]


def test_include_is_an_error_where_a_mount_cannot_fill_an_argument() -> None:
    """A child whose handler asks for what only one of its two mounts provides is refused at startup."""

    async def handler(request: Request, tenant: str) -> str:
        return tenant

    child = ChildLilya(routes=[Path("/x", handler)])
    app = Lilya(routes=[Include("/a/{tenant}", app=child), Host("b.example", child)])
    client = TestClient(app)
    with pytest.raises(ImproperlyConfigured, match="Path '/x': nothing fills argument 'tenant'"):
        client.__enter__()


Style = Literal["bare", "layered", "mounted"]


@pytest.mark.parametrize("style", ["bare", "layered", "mounted"])
def test_include_passes_the_scope_to_raw_applications(style: Style) -> None:
    """A raw ASGI handler finds path parameters and root path in its scope, as every handler does."""

    class Raw:
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await StarletteJSON([scope["path_params"], scope["root_path"]])(scope, receive, send)

    routes = [Path("/{b}", Raw())]
    options: dict[Style, dict[str, Any]] = {
        "bare": {"routes": routes},
        "layered": {"routes": routes, "permissions": [Layer]},
        "mounted": {"app": Router(routes)},
    }
    client = create_client([Include("/{a}", **options[style])])
    assert client.get("/1/2").json() == [{"a": "1", "b": "2"}, "/1"]
