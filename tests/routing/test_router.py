"""Routers and what declares routes on them: decorators, `add_…` methods, events, and adding while serving."""

import gc
import inspect
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from lilya.apps import ChildLilya, Lilya
from lilya.exceptions import ImproperlyConfigured, PermissionDenied
from lilya.protocols.middleware import MiddlewareProtocol
from lilya.protocols.permissions import PermissionProtocol
from lilya.requests import Request
from lilya.responses import PlainText
from lilya.routing import BaseRouter, Include, Path, Router, RoutingMethodsMixin, WebSocketPath
from lilya.testclient import AsyncTestClient, TestClient, WebSocketDenialResponse
from lilya.types import Receive, Scope, Send
from lilya.websockets import WebSocket


async def method(request: Request) -> str:
    """Say the method of the request."""
    return request.method


async def hello(websocket: WebSocket) -> None:
    """Say hello."""
    await websocket.accept()
    await websocket.send_text("hello")


def owners() -> list[Any]:
    """What routes are declared on."""
    return [Lilya(), ChildLilya(), Router()]


@pytest.mark.parametrize("verb", ["get", "head", "post", "put", "patch", "delete", "options", "trace"])
def test_router_has_a_decorator_for_each_method(verb: str) -> None:
    """`@app.get(…)` and its kin declare a route for that method, and return the function itself."""
    for app in owners():
        assert getattr(app, verb)("/x", name="named", include_in_schema=False)(method) is method
        client = TestClient(app)
        assert client.request(verb.upper(), "/x").status_code == 200
        assert client.request("CONNECT", "/x").status_code == 405
        assert app.path_for("named") == "/x"
        assert app.routes[0].include_in_schema is False


def test_router_declares_routes_by_decorator() -> None:
    """`websocket()` and `route()` take path, name and options, and return the function itself."""
    for app in owners():
        assert app.websocket("/ws/<username>", "chat", dependencies={"a": 1})(hello) is hello
        assert app.route("/x", ["POST", "PUT"], "named")(method) is method
        assert app.route("/y")(method) is method
        client = TestClient(app)
        with client.websocket_connect("/ws/ana") as websocket:
            assert websocket.receive_text() == "hello"
        assert [client.request(verb, "/x").status_code for verb in ("GET", "POST", "PUT")] == [405, 200, 200]
        assert client.get("/y").json() == "GET"
        assert (app.path_for("chat", username="a"), app.path_for("named")) == ("/ws/a", "/x")


def test_router_adds_routes() -> None:
    """`add_route`, `add_websocket_route`, `include` and `host` do the same without a decorator."""
    for app in owners():
        app.add_route("/x", method, ["PUT"], "x")
        app.add_route("/y", method)
        app.add_websocket_route("/ws", hello, "ws")
        app.include("/in", Router([Path("/x", method)]), "in")
        app.include("/in2", routes=[Path("/x", method)])
        app.host("other.example", Router([Path("/z", method)]), "other")
        client = TestClient(app)
        assert [client.put("/x").json(), client.get("/y").json(), client.get("/in/x").json()] == ["PUT", "GET", "GET"]
        assert client.get("/in2/x").status_code == 200
        assert client.get("/z").status_code == 404
        assert client.get("/z", headers={"host": "other.example"}).status_code == 200
        with client.websocket_connect("/ws") as websocket:
            assert websocket.receive_text() == "hello"
        assert [app.path_for(name) for name in ("x", "ws", "in:method", "other:method")] == ["/x", "/ws", "/in/x", "/z"]


@pytest.mark.parametrize("declare", ["websocket", "add_websocket_route"])
def test_router_passes_every_option_of_a_websocket_route(declare: str) -> None:
    """All options of `WebSocketPath` can be given, by name or in the order in which users know them."""
    seen: list[str] = []

    def noting(name: str) -> type[MiddlewareProtocol]:
        class Layer(MiddlewareProtocol):
            async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
                seen.append(name)
                await self.app(scope, receive, send)

        return Layer

    async def before(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append("before")

    def after(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append("after")

    async def handled(websocket: WebSocket, error: KeyError) -> None:
        seen.append("handled")
        await websocket.close(4001)

    async def handler(websocket: WebSocket, value: int) -> None:
        await websocket.accept()
        await websocket.send_json(value)
        if value == 2:
            raise KeyError

    options: dict[str, Any] = {
        "middleware": [noting("middleware")],
        "permissions": [noting("permission")],
        "exception_handlers": {KeyError: handled},
        "dependencies": {"value": 1},
        "before_request": [before],
        "after_request": [after],
    }
    for app in owners():
        for path, args, kwargs in (("/a", [], options), ("/b", [*options.values()], {"include_in_schema": False})):
            if declare == "websocket":
                app.websocket(path, None, *args, **kwargs)(handler)
            else:
                app.add_websocket_route(path, handler, None, *args, **kwargs)
        app.add_websocket_route("/c", handler, **{**options, "dependencies": {"value": 2}})
        client = TestClient(app)
        for path, value in (("/a", 1), ("/b", 1), ("/c", 2)):
            seen.clear()
            with client.websocket_connect(path) as websocket:
                assert websocket.receive_json() == value
                assert websocket.receive()["code"] == (1000 if value == 1 else 4001)
            assert seen == ["middleware", "permission", "before", "after" if value == 1 else "handled"]


def test_router_refuses_an_option_nobody_knows() -> None:
    """A misspelled option is an error where it is written."""
    for app in owners():
        with pytest.raises(TypeError, match="middlewares"):
            app.websocket("/x", middlewares=[])(hello)
        with pytest.raises(TypeError, match="nam"):
            app.get("/x", nam="x")(method)


def test_router_serves_routes_added_while_serving() -> None:
    """Added by any means after the first connection, they count from the next one on, in children too."""
    child = ChildLilya()
    router = Router()
    app = Lilya(routes=[Include("/child", app=child), Include("/router", app=router)])
    with TestClient(app) as client:
        assert client.get("/late").status_code == 404
        for owner, prefix in ((app, ""), (child, "/child"), (router, "/router")):
            owner.add_route("/late", method)
            owner.websocket("/late/{name}")(hello)
            owner.routes.append(Path("/appended", method))
            assert client.get(f"{prefix}/late").json() == "GET"
            assert client.get(f"{prefix}/appended").json() == "GET"
            with client.websocket_connect(f"{prefix}/late/x") as websocket:
                assert websocket.receive_text() == "hello"
        app.routes.pop()
        assert client.get("/appended").status_code == 404


async def test_router_adds_a_route_while_a_connection_is_open() -> None:
    """A connection that is open goes on as before; the next one sees the new route, even one added by a handler."""
    app = Lilya()

    @app.websocket("/add")
    async def add(websocket: WebSocket) -> None:
        await websocket.accept()
        async for name in websocket.iter_text():
            app.add_route(f"/{name}", method)
            await websocket.send_text(f"added {name}")

    async with AsyncTestClient(app) as client, client.websocket_connect("/add") as websocket:
        for name in ("one", "two"):
            assert (await client.get(f"/{name}")).status_code == 404
            await websocket.send_text(name)
            assert await websocket.receive_text() == f"added {name}"
            assert (await client.get(f"/{name}")).json() == "GET"


@pytest.mark.parametrize("nested", [False, True])
def test_router_sees_every_change_of_its_routes(nested: bool) -> None:
    """Whatever method changes a list of routes, of the router or of an include in it, the next connection sees it."""

    def changes(routes: list[Any]) -> None:
        routes[0] = Path("/b", method)
        yield_to("b")
        routes[:] = [Path("/c", method), Path("/d", method)]
        yield_to("c", "d")
        routes.append(routes.pop(0))
        yield_to("c", "d")
        del routes[0]
        yield_to("c")
        routes += [Path("/e", method)]
        yield_to("c", "e")
        routes.insert(0, Path("/f", method))
        routes.remove(routes[1])
        yield_to("e", "f")
        routes.clear()
        yield_to()
        routes.extend([Path("/{a}", method, methods=["PUT"]), Path("/g", method)])
        yield_to("g")
        routes.reverse()
        routes.sort(key=lambda route: str(route.path))
        routes *= 1
        yield_to("g")

    def yield_to(*expected: str) -> None:
        found = [name for name in "abcdefg" if client.get(f"/{name}").status_code == 200]
        assert found == list(expected)

    app = Lilya(routes=[Path("/a", method)])
    if nested:
        app = Lilya(routes=[Include("/", routes=app.routes)])
    client = TestClient(app)
    yield_to("a")
    changes(app.routes[0].routes if isinstance(app.routes[0], Include) else app.routes)


@pytest.mark.parametrize(
    ("path", "handler", "message"),
    [
        ("/bad", lambda request, missing: None, "nothing fills argument 'missing'"),
        ("/bad", lambda: (yield), "is a generator function"),
    ],
)
def test_router_refuses_a_wrong_route_while_serving(path: str, handler: Any, message: str) -> None:
    """Added after startup, it is an error of the call that adds it, and all goes on as before."""
    app = Lilya(routes=[Path("/", method)])
    client = TestClient(app)
    assert client.get("/").status_code == 200
    with pytest.raises(ImproperlyConfigured, match=message):
        app.add_route(path, handler)
    with pytest.raises(ImproperlyConfigured, match=message):
        app.get(path)(handler)
    assert [client.get(asked).status_code for asked in ("/", path)] == [200, 404]
    app.include("/late", ChildLilya(routes=[Path("/", method)]))
    assert client.get("/late/").status_code == 200


def test_router_that_cannot_be_compiled_keeps_saying_so() -> None:
    """A list of routes with something wrong in it fails every connection until it is mended, and not just one."""
    app = Lilya()
    client = TestClient(app)
    client.get("/")
    app.routes.append(method)  # type: ignore[arg-type]  # the mistake
    for _ in range(2):
        with pytest.raises(ImproperlyConfigured, match="is not a route"):
            client.get("/")
    app.routes.pop()
    assert client.get("/").status_code == 404


def test_router_drops_what_it_no_longer_needs() -> None:
    """Plans of a mounted application are kept as long as the mount; adding routes beside it makes no more of them."""
    child = ChildLilya(routes=[Path("/", method)])
    app = Lilya(routes=[Include("/keep", app=child)])
    client = TestClient(app)
    alive: list[weakref.ref[Any]] = []
    for number in range(5):
        app.add_route(f"/{number}", method)
        app.include("/mount", child)
        assert [client.get(path).status_code for path in ("/keep/", "/mount/")] == [200, 200]
        alive.append(weakref.ref(app.routes.pop()))
        assert client.get("/mount/").status_code == 404
    gc.collect()
    assert [ref() for ref in alive] == [None] * 5


def test_router_that_gets_a_wrong_route_while_serving_says_so() -> None:
    """What is appended to the list of routes and is no route is an error at the next connection."""
    app = Lilya()
    client = TestClient(app)
    client.get("/")
    app.routes.append(method)  # type: ignore[arg-type]  # the mistake
    with pytest.raises(ImproperlyConfigured, match=r"routes: <function method at .*> is not a route"):
        client.get("/")


@pytest.mark.parametrize("owner", [Lilya, Router])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"routes": [method]}, "is not a route. Use Path, WebSocketPath, Include or Host."),
        ({"routes": method}, "is not a list. Write ["),
        ({"routes": Path("/", method)}, "routes: Path(path='/', name='method') is not a list."),
        ({"lifespan": 7}, "lifespan=7 cannot be called: give a function that takes the app."),
        ({"on_startup": [7]}, "on_startup: 7 cannot be called. Give a function, sync or async."),
        ({"on_shutdown": "tests.hook"}, "on_shutdown: 'tests.hook' is not a list. Write ['tests.hook']"),
        ({"before_request": [None]}, "before_request: None cannot be called."),
        ({"after_request": method}, "after_request: <function method"),
        ({"middleware": MiddlewareProtocol}, "middleware: <class"),
        ({"permissions": "tests.Permission"}, "permissions: 'tests.Permission' is not a list."),
        ({"middleware": [7]}, "7 cannot be a middleware: give a class"),
        ({"permissions": [None]}, "None cannot be a permission: give a class"),
        ({"middleware": ["nowhere.Middleware"]}, "'nowhere.Middleware' cannot be imported"),
        ({"exception_handlers": {"404": method}}, "exception_handlers: '404' is neither a status code nor an"),
        ({"exception_handlers": {int: method}}, "exception_handlers: <class 'int'> is neither"),
        ({"exception_handlers": {404: None}}, "exception_handlers: None cannot be called."),
    ],
)
def test_router_refuses_mistakes_at_once(owner: Callable[..., Any], arguments: dict[str, Any], message: str) -> None:
    """What cannot work is an error of the constructor that names the argument, the value and the remedy."""
    with pytest.raises(ImproperlyConfigured) as caught:
        owner(**arguments)
    assert message in str(caught.value)


class Unbuildable(MiddlewareProtocol):
    """Needs an argument that nobody gives."""

    def __init__(self, app: Any, needed: str) -> None:
        super().__init__(app)
        self.needed = needed


class NotAnApp:
    """Cannot be called."""

    def __init__(self, app: Any) -> None:
        pass


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (Unbuildable, "The middleware Unbuildable cannot be built with the arguments that were declared for it: "),
        (NotAnApp, "The middleware NotAnApp is not an ASGI application: give it"),
    ],
)
@pytest.mark.parametrize("place", ["app", "router", "include", "mounted", "route"])
def test_router_refuses_a_layer_that_cannot_be_built_at_startup(layer: type, message: str, place: str) -> None:
    """Layers are built when the application starts, wherever they stand."""
    route = Path("/", method, middleware=[layer] if place == "route" else None)
    app = {
        "app": lambda: Lilya(routes=[route], middleware=[layer]),
        "router": lambda: Lilya(routes=[Include("/", app=Router([route], middleware=[layer]))]),
        "include": lambda: Lilya(routes=[Include("/", routes=[route], middleware=[layer])]),
        "mounted": lambda: Lilya(routes=[Include("/", app=ChildLilya(routes=[route], middleware=[layer]))]),
        "route": lambda: Lilya(routes=[Include("/", app=ChildLilya(routes=[Include("/", routes=[route])]))]),
    }[place]()
    with pytest.raises(ImproperlyConfigured) as caught:
        TestClient(app).__enter__()
    assert message in str(caught.value)


def test_router_refuses_a_lifespan_together_with_hooks() -> None:
    """A lifespan takes the place of the hooks, also of those that would be added later."""

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        yield

    for owner in (Router, Lilya):
        for hooks in ({"on_startup": [print]}, {"on_shutdown": [print]}):
            with pytest.raises(ImproperlyConfigured, match="Give either lifespan= or on_startup=/on_shutdown="):
                owner(lifespan=lifespan, **hooks)  # type: ignore[arg-type]  # one signature for both classes
        app: Any = owner(lifespan=lifespan)
        with pytest.raises(ImproperlyConfigured, match=r"on_event\('startup'\) cannot be combined with lifespan="):
            app.on_event("startup")(print)


@pytest.mark.parametrize("event", ["start", "", "on_start", "STARTUP"])
def test_router_refuses_an_unknown_event(event: str) -> None:
    """There are two events, each with two names."""
    for app in owners():
        with pytest.raises(ValueError, match="Use 'startup' or 'shutdown'"):
            app.add_event_handler(event, print)
        with pytest.raises(ImproperlyConfigured, match="cannot be called"):
            app.add_event_handler("startup", event)


@pytest.mark.parametrize("owner", [Lilya, Router])
def test_router_runs_its_events(owner: Any) -> None:
    """`on_event` and `add_event_handler`, under both names, after the functions of the constructor."""
    seen: list[str] = []
    app = owner(on_startup=[lambda: seen.append("first")], on_shutdown=[lambda: seen.append("last 1")])

    async def second() -> None:
        seen.append("second")

    assert app.on_event("startup")(second) is second
    app.on_event("on_startup")(lambda: seen.append("third"))
    app.add_event_handler("shutdown", lambda: seen.append("last 2"))
    app.add_event_handler("on_shutdown", lambda: seen.append("last 3"))
    with TestClient(app):
        assert seen == ["first", "second", "third"]
    assert seen[3:] == ["last 1", "last 2", "last 3"]


def test_router_alone_runs_its_lifespan() -> None:
    """A router without an application has a lifespan of its own, called with the router, and its state."""

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[dict[str, Any]]:
        yield {"app": app}

    async def state(request: Request) -> bool:
        return request.state.app is router

    router = Router([Path("/", state)], lifespan=lifespan)
    with TestClient(router) as client:
        assert client.get("/").json() is True


def test_router_has_layers_and_dependencies() -> None:
    """A router guards and provides for its routes as an application does, alone and mounted."""

    class Deny(PermissionProtocol):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            if scope["path"].endswith("/denied"):
                raise PermissionDenied(detail="not you")
            await self.app(scope, receive, send)

    async def handler(request: Request, value: str) -> str:
        return value

    async def handled(request: Any, error: KeyError) -> PlainText:
        return PlainText("handled", status_code=418)

    async def fail(request: Request) -> None:
        raise KeyError

    routes = [Path("/{it}", handler), Path("/x/fail", fail)]
    router = Router(
        routes, permissions=[Deny], dependencies={"value": "provided"}, exception_handlers={KeyError: handled}
    )
    for app, prefix in ((router, ""), (Lilya(routes=[Include("/in", app=router)]), "/in")):
        client = TestClient(app)
        assert client.get(f"{prefix}/ok").json() == "provided"
        assert (client.get(f"{prefix}/denied").status_code, client.get(f"{prefix}/denied").text) == (403, "not you")
        assert client.get(f"{prefix}/x/fail").status_code == 418
        with pytest.raises(WebSocketDenialResponse) as denial, client.websocket_connect(f"{prefix}/denied"):
            pass
        assert denial.value.status_code == 403


def test_router_keeps_what_it_was_given() -> None:
    """Arguments can be read back; `router` is the router itself; `BaseRouter` is another name for it."""
    routes = [Path("/", method)]
    default = WebSocketPath("/", hello)
    router = Router(
        routes,
        redirect_slashes=False,
        default=default,
        settings_module="settings",
        include_in_schema=False,
        deprecated=True,
        is_sub_router=True,
        dependencies={"a": 1},
    )
    assert router.routes == routes
    assert router.default is default
    assert (router.redirect_slashes, router.settings_module) == (False, "settings")
    assert (router.include_in_schema, router.deprecated, router.is_sub_router) == (False, True, True)
    assert router.dependencies == {"a": 1}
    assert router.router is router
    assert BaseRouter is Router
    assert issubclass(Router, RoutingMethodsMixin)
    assert issubclass(Lilya, RoutingMethodsMixin)


def test_router_does_not_share_its_arguments() -> None:
    """Lists and mappings that were passed in are copied."""
    routes: list[Any] = []
    first, second = Router(routes), Router(routes)
    first.add_route("/", method)
    assert (routes, second.routes) == ([], [])


def test_router_decorators_keep_the_type_of_the_function() -> None:
    """What a decorator returns can be used as the function it was."""
    app = Lilya()

    @app.get("/")
    def handler() -> str:
        return "x"

    @app.on_event("startup")
    def hook() -> int:
        return 1

    assert (handler(), hook()) == ("x", 1)
    assert inspect.isfunction(app.websocket("/ws")(hello))


def test_router_handlers_of_both_kinds_share_a_name() -> None:
    """A WebSocket route and an HTTP route may have the same path and name; the first one is found."""
    app = Lilya(routes=[WebSocketPath("/x", hello, name="x"), Path("/x", method, name="x")])
    assert app.path_for("x").protocol == "websocket"
