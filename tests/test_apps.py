"""The application object: what it is made of, what can be added to it, and what it shows to connections."""

import inspect
import json
import logging
from typing import Any, Literal

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from websockets.asyncio.client import connect

import lilya
from lilya.apps import ChildLilya, Lilya
from lilya.conf import Settings, settings
from lilya.controllers import Controller
from lilya.datastructures import State
from lilya.dependencies import Provide
from lilya.exceptions import ImproperlyConfigured, NotFound, PermissionDenied
from lilya.middleware import DefineMiddleware
from lilya.permissions import DefinePermission
from lilya.protocols.middleware import MiddlewareProtocol
from lilya.protocols.permissions import PermissionProtocol
from lilya.requests import Request
from lilya.responses import PlainText
from lilya.routing import Host, Include, Path, Router, WebSocketPath
from lilya.serializers import SerializerConfig
from lilya.testclient import TestClient, WebSocketDenialResponse
from lilya.types import Message, Receive, Scope, Send
from lilya.websockets import WebSocket
from tests.support.servers import WS_PROTOCOLS, serve

Kind = Literal["websocket", "http"]
BOTH: list[Kind] = ["websocket", "http"]


class Named(MiddlewareProtocol):
    """A layer that appends its name to the scope's list."""

    def __init__(self, app: Any, name: str, *, mark: str = "") -> None:
        super().__init__(app)
        self.name = name + mark

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app({**scope, "names": [*scope.get("names", []), self.name]}, receive, send)


async def names(connection: Any) -> Any:
    """The names that the layers left."""
    found = connection.scope.get("names", [])
    if isinstance(connection, WebSocket):
        await connection.accept()
        await connection.send_json(found)
    return found


def routes(handler: Any = names) -> list[Any]:
    """A handler as a route of both kinds."""
    return [Path("/", handler), WebSocketPath("/", handler)]


def ask(client: TestClient, kind: Kind, path: str = "/") -> Any:
    """What a handler answers in JSON, or the status of a refusal."""
    if kind == "http":
        response = client.get(path)
        return response.json() if response.status_code == 200 else response.status_code
    try:
        with client.websocket_connect(path) as websocket:
            return websocket.receive_json()
    except WebSocketDenialResponse as denial:
        return denial.status_code


# -- the main job ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ws", WS_PROTOCOLS)
async def test_app_answers_messages(ws: str) -> None:
    """A decorated handler, served by uvicorn, answers a real client, with the parameter of its path."""
    app = Lilya()

    @app.websocket("/ws/<username>")
    async def chat(websocket: WebSocket, username: str) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(f"{username}: {text}")

    with serve(app, ws=ws) as server:
        async with connect(server.ws_url("/ws/ana")) as client:
            for text in ("hello", "again"):
                await client.send(text)
                assert await client.recv() == f"ana: {text}"


# -- construction ------------------------------------------------------------------------------------------------------


def test_app_takes_its_arguments_by_position() -> None:
    """In the order that users know."""
    own: list[Any] = []

    def hook(*connection: Any) -> None:
        own.append(connection)

    handlers: dict[int | type[BaseException], Any] = {NotFound: hook}
    app = Lilya(
        True,
        Settings,
        routes(),
        [lambda app: app],
        handlers,
        {"a": 1},
        [lambda app: app],
        [hook],
        [hook],
        [hook],
        [hook],
        False,
        None,
        False,
        None,
        SerializerConfig(),
    )
    assert (app.debug, app.settings_module, len(app.routes)) == (True, Settings, 2)
    assert (app.exception_handlers, app.dependencies) == (handlers, {"a": 1})
    assert (app.router.redirect_slashes, app.include_in_schema) == (False, False)
    assert (app.router.on_startup, app.router.on_shutdown) == ([hook], [hook])
    assert [len(layers) for layers in (app.router.layers.middleware, app.router.layers.permissions)] == [1, 1]
    assert (app.router.layers.before_request, app.router.layers.after_request) == ((hook,), (hook,))


def test_app_is_where_users_look_for_it() -> None:
    """At its own module, and at the top of the package; a child is an application like any other."""
    assert lilya.Lilya is Lilya
    assert lilya.ChildLilya is ChildLilya
    assert issubclass(ChildLilya, Lilya)
    assert inspect.signature(ChildLilya) == inspect.signature(Lilya)


@pytest.mark.parametrize("owner", [Lilya, ChildLilya])
def test_app_has_its_known_members(owner: type[Lilya]) -> None:
    """What other code reads from an application."""
    declared = routes()
    app = owner(routes=declared)
    assert app.routes == declared
    assert isinstance(app.router, Router)
    assert isinstance(app.state, State)
    assert (app.settings, app.settings_module) == (settings, None)
    assert app.version == lilya.__version__
    assert (app.debug, app.root_path) == (False, "")
    assert (app.exception_handlers, app.dependencies) == ({}, {})
    assert app.path_for("names") == app.url_path_for("names") == "/"


def test_app_has_a_state() -> None:
    """Values of the application, within reach of handlers."""
    app = Lilya()
    app.state.greeting = "hello"

    @app.get("/")
    async def greet(request: Request) -> Any:
        return request.app.state.greeting

    assert TestClient(app).get("/").json() == "hello"
    assert len(app.state) == 1


@pytest.mark.parametrize("kind", BOTH)
def test_app_is_in_the_scope(kind: Kind) -> None:
    """`app` is the innermost application, `router` the outermost router, wherever a layer looks."""
    seen: list[Any] = []

    class Looking(MiddlewareProtocol):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            before = scope["app"], scope["router"]
            await self.app(scope, receive, send)
            seen.append((*before, scope["app"]))

    child = ChildLilya(routes=routes(), middleware=[Looking])
    app = Lilya(routes=[Include("/in", app=child, middleware=[Looking])], middleware=[Looking])
    assert ask(TestClient(app), kind, "/in") == []
    assert seen == [(child, app.router, child), (app, app.router, app), (app, app.router, app)]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("populate_global_context", dict),
        ("enable_openapi", True),
        ("openapi_config", object),
        ("enable_intercept_global_exceptions", True),
        ("infer_body", True),
    ],
)
def test_app_says_which_options_have_no_effect(option: str, value: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Options of the known signature that are left out here are accepted, and named in the log when they are used."""
    Lilya(**{option: value})
    assert [record.getMessage() for record in caplog.records] == [f"{option}={value!r} has no effect in this framework"]
    caplog.clear()
    off: dict[str, Any] = {option: False if value is True else None}
    Lilya(**off)
    assert caplog.records == []


def test_app_writes_json_with_its_serializer() -> None:
    """`serializer_config` decides how the WebSockets of an application read and write JSON."""

    class Shouting:
        """A JSON library."""

        @staticmethod
        def dumps(value: Any, default: Any = None) -> bytes:
            return json.dumps(value, default=default).upper().encode()

        loads = staticmethod(json.loads)

    app = Lilya(routes=routes(), serializer_config=SerializerConfig(Shouting))

    @app.websocket("/say")
    async def say(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_json(await websocket.receive_json())

    with TestClient(app).websocket_connect("/say") as websocket:
        websocket.send_json(["quiet"])
        assert websocket.receive_text() == '["QUIET"]'


def test_app_configures_logging(caplog: pytest.LogCaptureFixture) -> None:
    """A dictionary for `dictConfig`, or an object that knows how; anything else is refused."""
    logger = logging.getLogger(f"{__name__}.configured")
    Lilya(
        logging_config={
            "version": 1,
            "disable_existing_loggers": False,
            "incremental": True,
            "loggers": {logger.name: {"level": "ERROR"}},
        }
    )
    assert logger.level == logging.ERROR

    class Config:
        configured = 0

        def configure(self) -> None:
            self.configured += 1

    config = Config()
    Lilya(logging_config=config)
    assert config.configured == 1
    with pytest.raises(ImproperlyConfigured, match="logging_config='INFO': give a dictionary for logging"):
        Lilya(logging_config="INFO")


def test_app_does_not_share_its_arguments() -> None:
    """What was passed in is copied: an application that is changed changes no other one."""
    shared: dict[str, Any] = {"routes": [], "exception_handlers": {}, "dependencies": {}, "on_startup": []}
    first, second = Lilya(**shared), Lilya(**shared)
    first.add_route("/", names)
    first.add_exception_handler(404, lambda connection, error: None)
    first.dependencies["a"] = 1
    first.add_event_handler("startup", names)
    assert shared == {"routes": [], "exception_handlers": {}, "dependencies": {}, "on_startup": []}
    assert (second.routes, second.exception_handlers, second.dependencies) == ([], {}, {})
    assert second.router.on_startup == []


async def test_app_refuses_scopes_it_does_not_know() -> None:
    """ASGI: an application raises for a type of scope that it does not serve."""

    async def unused(*args: Any) -> Any:
        raise AssertionError

    for app in (Lilya(), Router(), Path("/", names)):
        with pytest.raises(RuntimeError, match="A scope of type 'telnet'"):
            await app({"type": "telnet", "path": "/"}, unused, unused)


# -- adding ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", BOTH)
def test_app_adds_layers_outermost(kind: Kind) -> None:
    """`add_middleware` and `add_permission` put a layer around those there are, with its arguments."""
    app = Lilya(routes=routes(), middleware=[lambda app: Named(app, "m1")], permissions=[lambda app: Named(app, "p1")])
    app.add_middleware(Named, "m2")
    app.add_permission(Named, "p2", mark="!")
    app.add_middleware(Named, name="m3")
    app.add_permission(f"{__name__}.Named", "p3")
    assert ask(TestClient(app), kind) == ["m3", "m2", "m1", "p3", "p2!", "p1"]


@pytest.mark.parametrize("kind", BOTH)
def test_app_adds_no_layer_after_the_first_connection(kind: Kind) -> None:
    """An open application does not change its guards: RuntimeError, and everything stays as it was."""
    app = Lilya(routes=routes())
    with TestClient(app) as client:
        app.add_middleware(Named, "in time")
        assert ask(client, kind) == ["in time"]
        with pytest.raises(RuntimeError, match="Cannot add a middleware: the application has already begun to serve"):
            app.add_middleware(Named, "late")
        with pytest.raises(RuntimeError, match="Cannot add a permission: the application has already begun to serve"):
            app.add_permission(Named, "late")
        assert ask(client, kind) == ["in time"]


@pytest.mark.parametrize("kind", BOTH)
def test_app_adds_exception_handlers_at_any_time(kind: Kind) -> None:
    """By class or by status; the last one for a key counts; the next connection sees it."""

    def answering(status: int) -> Any:
        async def handle(connection: Any, error: Exception) -> PlainText:
            return PlainText("handled", status_code=status)

        return handle

    app = Lilya(exception_handlers={403: answering(418)})
    client = TestClient(app)
    assert ask(client, kind) == 404
    app.add_exception_handler(NotFound, answering(410))
    assert ask(client, kind) == 410
    app.add_exception_handler(404, answering(411))
    assert ask(client, kind) == 411
    app.add_exception_handler(404, answering(412))
    assert ask(client, kind) == 412
    assert list(app.exception_handlers) == [403, NotFound, 404]
    with pytest.raises(ImproperlyConfigured, match="'404' is neither a status code nor an exception class"):
        app.add_exception_handler("404", answering(413))  # type: ignore[arg-type]  # the mistake
    assert ask(client, kind) == 412


@pytest.mark.parametrize("kind", BOTH)
def test_app_mounts_children(kind: Kind) -> None:
    """`add_child_lilya` and `add_asgi_app` are includes with all their options."""
    app = Lilya()
    layers: dict[str, Any] = {
        "middleware": [lambda app: Named(app, "m")],
        "permissions": [lambda app: Named(app, "p")],
        "exception_handlers": {},
    }
    app.add_child_lilya("/child", ChildLilya(routes=routes()), "child", **layers)
    app.add_child_lilya("/lilya", Lilya(routes=routes()), None, *layers.values(), include_in_schema=False)
    app.add_asgi_app("/router", Router(routes()), "router", **layers)
    app.add_asgi_app("/string", f"{__name__}.mounted")
    app.include("/include", Router(routes()), "include", **layers)
    client = TestClient(app)
    assert [ask(client, kind, path) for path in ("/child", "/lilya", "/router", "/include")] == [["m", "p"]] * 4
    assert ask(client, kind, "/string") == []
    assert app.path_for("child:names") == "/child/"
    assert [type(route) for route in app.routes] == [Include] * 5


mounted = Router(routes())


@pytest.mark.parametrize("child", [Router(), Starlette(), Lilya, "module.app", None])
def test_app_takes_only_applications_of_ours_as_children(child: Any) -> None:
    """`add_child_lilya` refuses everything else, and says what to use for it."""
    with pytest.raises(ValueError, match=r"is neither a Lilya nor a ChildLilya\. Use add_asgi_app\(\) for other ASGI"):
        Lilya().add_child_lilya("/x", child)


# -- security ----------------------------------------------------------------------------------------------------------


class DenyAll(PermissionProtocol):
    """Lets nobody in."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise PermissionDenied


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("count", [0, 1, 2, 3])
@pytest.mark.parametrize("settings_too", [False, True])
def test_app_permissions_guard_every_path(kind: Kind, count: int, settings_too: bool) -> None:
    """However few routes there are, and whether a path has one or not: nobody passes who is denied."""
    paths = ["/p", "/{q}/r", "/s/{t:path}"][:count]
    declared = [route for path in paths for route in (Path(path, names), WebSocketPath(path, names))]
    options: dict[str, Any] = {"permissions": [DenyAll]}
    if settings_too:
        options = {"settings_module": Settings(permissions=[DenyAll])}
    client = TestClient(Lilya(routes=declared, **options))
    assert [ask(client, kind, path) for path in ("/p", "/1/r", "/s/x/y", "/missing", "/p/")] == [403] * 5


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("debug", [False, True])
def test_app_hooks_run_for_a_single_static_route(kind: Kind, debug: bool) -> None:
    """Nothing is left out where there is almost nothing to do."""
    seen: list[str] = []

    async def before(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append("before")

    async def after(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append("after")

    route: Any = Path("/p", names) if kind == "http" else WebSocketPath("/p", names)
    app = Lilya(debug=debug, routes=[route], before_request=[before], after_request=[after])
    assert ask(TestClient(app), kind, "/p") == []
    assert seen == ["before", "after"]


@pytest.mark.parametrize("kind", BOTH)
def test_app_permission_of_a_mount_guards_what_is_added_later(kind: Kind) -> None:
    """Routes added while serving stand behind the layers that were there."""
    child = ChildLilya()
    app = Lilya(routes=[Include("/in", app=child, permissions=[DefinePermission(DenyAll)]), Host("h", child)])
    client = TestClient(app)
    assert ask(client, kind, "/in") == 403
    child.routes.extend(routes())
    assert ask(client, kind, "/in") == 403


# -- root_path ---------------------------------------------------------------------------------------------------------


async def place(connection: Any) -> Any:
    """Path, root path and URL of a connection."""
    found = [connection.scope["path"], connection.scope["root_path"], str(connection.url), str(connection.base_url)]
    if isinstance(connection, WebSocket):
        await connection.accept()
        await connection.send_json(found)
    return found


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("root_path", ["/api", "/api/"])
@pytest.mark.parametrize("stripped", [True, False])
def test_app_root_path_is_where_a_proxy_mounts_it(kind: Kind, root_path: str, stripped: bool) -> None:
    """Whether the proxy cuts it off or not: routes and mounts match, URLs have it, redirects keep it."""
    child = ChildLilya(routes=[Path("/x", place), WebSocketPath("/x", place)])
    app = Lilya(
        root_path=root_path,
        routes=[
            Path("/x", place),
            WebSocketPath("/x", place),
            Include("/in", app=child),
            Include("/foreign", app=Starlette(routes=[])),
        ],
    )
    client = TestClient(app, follow_redirects=False)
    scheme = "http" if kind == "http" else "ws"
    before = "" if stripped else "/api"
    for path, inner in (("/x", ""), ("/in/x", "/in")):
        url = f"{scheme}://testserver/api{path}"
        assert ask(client, kind, before + path) == [
            f"/api{path}", f"/api{inner}", url, f"{scheme}://testserver/api/",
        ]  # fmt: skip
    assert client.get(f"{before}/x/").headers["location"] == "http://testserver/api/x"
    assert client.get(f"{before}/apis/x").status_code == 404


def test_app_root_path_overrides_the_servers() -> None:
    """What the application says holds; without it the server's root path does; a mounted child's does not count."""
    declared = [Path("/x", place)]
    assert TestClient(Lilya(routes=declared), root_path="/srv").get("/srv/x").json()[1] == "/srv"
    assert TestClient(Lilya(routes=declared, root_path="/api"), root_path="/srv").get("/x").json()[1] == "/api"
    app = Lilya(routes=[Include("/in", app=ChildLilya(routes=declared, root_path="/child"))])
    assert TestClient(app).get("/in/x").json()[:2] == ["/in/x", "/in"]


@pytest.mark.parametrize("inside", [Lilya, ChildLilya])
def test_mounted_app_has_its_own_serializer(inside: Any) -> None:
    """A mounted application with a `serializer_config` reads and writes with it, the one around with its own."""

    async def greet(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_json("hi")

    async def missing(websocket: WebSocket, error: Exception) -> None:
        await greet(websocket)

    class Shouting:
        @staticmethod
        def dumps(value: Any, default: Any = None) -> bytes:
            return json.dumps(value, default=default).upper().encode()

        loads = staticmethod(json.loads)

    own = inside(routes=[WebSocketPath("/", greet)], serializer_config=SerializerConfig(Shouting))
    none = inside(routes=[WebSocketPath("/", greet)])
    app = Lilya(routes=[Include("/own", app=own), Include("/none", app=none)], exception_handlers={NotFound: missing})
    client = TestClient(app)
    heard = []
    for path in ("/own/", "/own/missing", "/none/"):
        with client.websocket_connect(path) as websocket:
            heard.append(websocket.receive_text())
    assert heard == ['"HI"', '"hi"', '"hi"']


# -- debug -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("debug", [False, True])
def test_app_debug_tells_the_type_of_an_error(debug: bool) -> None:
    """The peer learns the type of an unexpected exception in debug mode, and nothing of it otherwise."""

    async def fail(connection: Any) -> None:
        if isinstance(connection, WebSocket):
            await connection.accept()
        raise KeyError("secret")

    client = TestClient(Lilya(debug=debug, routes=routes(fail)), raise_server_exceptions=False)
    with client.websocket_connect("/") as websocket:
        message: Message = websocket.receive()
    assert (message["code"], message["reason"]) == (1011, "KeyError" if debug else "")
    response = client.get("/")
    assert (response.status_code, response.text) == (500, "Internal Server Error" + (": KeyError" if debug else ""))


# -- changing what is served -------------------------------------------------------------------------------------------


def counting(made: list[str]) -> Any:
    """A middleware that notes each instance of it, by name, and counts the connections through it in the scope."""

    class Counting:
        def __init__(self, app: Any, name: str) -> None:
            made.append(name)
            self.app, self.name, self.count = app, name, 0

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            self.count += 1
            await self.app({**scope, "names": [*scope.get("names", []), f"{self.name}{self.count}"]}, receive, send)

    return lambda name: DefineMiddleware(Counting, name)


@pytest.mark.parametrize("kind", BOTH)
def test_app_keeps_its_layers_when_routes_or_overrides_change(kind: Kind) -> None:
    """What a middleware keeps on itself is still there after a route was added and a dependency overridden."""
    made: list[str] = []
    layer = counting(made)
    leaf = [Path("/", names, middleware=[layer("r")]), WebSocketPath("/", names, middleware=[layer("r")])]
    app = Lilya(routes=[Include("/in", routes=leaf, middleware=[layer("i")])], middleware=[layer("a")])
    client = TestClient(app)
    assert ask(client, kind, "/in/") == ["a1", "i1", "r1"]
    app.add_route("/late", names, middleware=[layer("l")])
    assert ask(client, kind, "/in/") == ["a2", "i2", "r2"]
    app.override_dependency("db", 1)
    assert ask(client, kind, "/in/") == ["a3", "i3", "r3"]
    app.reset_dependency_overrides()
    app.routes.pop()
    assert ask(client, kind, "/in/") == ["a4", "i4", "r4"]
    assert sorted(made) == ["a", "i", "l", "r", "r"]


def test_override_reaches_what_is_behind_a_mount_and_what_is_kept() -> None:
    """An override is seen by an application inside an include, and by values of scope "app" made of it."""
    svc = Provide(lambda db: f"svc-{db}", scope="app")

    async def show(request: Request, svc: str, extra: str) -> str:
        return f"{svc} {extra}"

    class Showing(Controller):
        async def get(self, request: Request, svc: str, extra: str) -> str:
            return f"{svc} {extra}"

    child = ChildLilya(routes=[Path("/", show), Path("/class", Showing)])
    inside = {"svc": svc, "db": lambda: "real", "extra": "e"}
    app = Lilya(routes=[Include("/c", app=child, dependencies=inside)])
    client = TestClient(app)
    assert [client.get(path).json() for path in ("/c/", "/c/class")] == ["svc-real e"] * 2
    app.override_dependency("db", lambda: "fake")
    child.override_dependency("extra", "x")
    assert [client.get(path).json() for path in ("/c/", "/c/class")] == ["svc-fake x"] * 2
    child.reset_dependency_overrides()
    app.reset_dependency_overrides()
    assert [client.get(path).json() for path in ("/c/", "/c/class")] == ["svc-real e"] * 2


def test_app_value_belongs_to_what_it_is_made_of() -> None:
    """One application mounted twice, with different dependencies: each mount has its own value of scope "app"."""
    svc = Provide(lambda tenant: "svc-" + tenant, scope="app")

    async def show(request: Request, svc: str) -> str:
        return svc

    child = ChildLilya(routes=[Path("/", show)], dependencies={"svc": svc})
    app = Lilya(routes=[Include(f"/{it}", app=child, dependencies={"tenant": it.upper()}) for it in ("x", "y")])
    client = TestClient(app)
    assert [client.get(path).json() for path in ("/x/", "/y/", "/x/")] == ["svc-X", "svc-Y", "svc-X"]


@pytest.mark.parametrize("kind", BOTH)
def test_app_inside_a_foreign_one_knows_where_it_is(kind: Kind) -> None:
    """URLs begin at the foreign application's mount, also with an application of ours around that."""

    async def where(connection: Any) -> Any:
        found = [str(connection.base_url.path), connection.path_for("h").path]
        if isinstance(connection, WebSocket):
            await connection.accept()
            await connection.send_json(found)
        return found

    inner = [Path("/w", where, name="h"), WebSocketPath("/w", where, name="h")]
    for ours in (Lilya(routes=inner), Router(routes=inner), Lilya(routes=[Include("/", routes=inner)])):
        foreign = Starlette(routes=[Mount("/m", app=ours)])
        assert ask(TestClient(foreign), kind, "/m/w") == ["/m/", "/m/w"]
        around = Lilya(routes=[Include("/f", app=foreign)])
        assert ask(TestClient(around), kind, "/f/m/w") == ["/f/m/", "/f/m/w"]


def test_route_alone_inside_a_foreign_application_knows_where_it_is() -> None:
    """A single route as an application of its own begins at the foreign mount, too."""

    async def where(request: Request) -> str:
        return request.base_url.path

    foreign = Starlette(routes=[Mount("/m", app=Path("/w", where))])
    assert TestClient(foreign).get("/m/w").json() == "/m/"
    ours = Lilya(routes=[Include("/m", app=Path("/w", where))])
    assert TestClient(ours).get("/m/w").json() == "/m/"
