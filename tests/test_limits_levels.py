"""Limits and origins at each level of an application: which ones hold, who is counted where, and what never runs."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.authentication import SimpleUser
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket as StarletteWebSocket

from lilya.apps import ChildLilya, Lilya
from lilya.controllers import WebSocketController
from lilya.dependencies import Provide
from lilya.exceptions import ContinueRouting, HTTPException, ImproperlyConfigured
from lilya.limits import Limits
from lilya.routing import Host, Include, Router, WebSocketPath
from lilya.testclient import AsyncTestClient, WebSocketDenialResponse
from lilya.types import Receive, Scope, Send
from lilya.websockets import WebSocket, WebSocketDisconnect
from tests.contract.peer import Peer, disconnect, websocket_scope

PATH = "/in/ws"
ALLOWED = {"origin": "https://app.example.com"}


def limits_of(websocket: WebSocket) -> dict[str, Any]:
    """What a connection is held to, of the fields that these tests set."""
    policy = websocket._wire.policy
    assert policy.origins is not None
    fields = ("max_message_bytes", "idle_timeout", "inbox_messages", "rate")
    return {"origins": policy.origins.setting, **{field: getattr(policy, field) for field in fields}}


async def tell(websocket: WebSocket) -> None:
    """Say what the connection is held to."""
    await websocket.accept()
    await websocket.send_json(limits_of(websocket))
    await websocket.receive()


class Telling(WebSocketController):
    """The same as a controller."""

    async def on_connect(self, websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_json(limits_of(websocket))


class TellingApplication:
    """The same as an ASGI application."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await tell(WebSocket(scope, receive, send))


class Layer:
    """A middleware that does nothing, but makes a level of an include."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


# --- What holds ------------------------------------------------------------------------------------------------------

# Three levels, from the outside in.
APP: dict[str, Any] = {
    "limits": Limits(max_message_bytes=1, idle_timeout=101, inbox_messages=11),
    "origins": ["https://a.example"],
}
MIDDLE: dict[str, Any] = {"limits": Limits(idle_timeout=102, rate="5/s", inbox_messages=12), "origins": "*"}
ROUTE: dict[str, Any] = {"limits": Limits(inbox_messages=13, rate=None)}

LEVELS: dict[tuple[str, ...], dict[str, Any]] = {
    (): {"max_message_bytes": 1, "idle_timeout": 101, "inbox_messages": 11, "rate": None},
    ("route",): {"max_message_bytes": 1, "idle_timeout": 101, "inbox_messages": 13, "rate": None},
    ("middle",): {"max_message_bytes": 1, "idle_timeout": 102, "inbox_messages": 12, "rate": 5.0},
    ("middle", "route"): {"max_message_bytes": 1, "idle_timeout": 102, "inbox_messages": 13, "rate": None},
}


def by_include(route: WebSocketPath, options: dict[str, Any]) -> Lilya:
    return Lilya(routes=[Include("/in", routes=[route], **options)], **APP)


def by_layered_include(route: WebSocketPath, options: dict[str, Any]) -> Lilya:
    return Lilya(routes=[Include("/in", routes=[route], middleware=[Layer], **options)], **APP)


def by_nested_includes(route: WebSocketPath, options: dict[str, Any]) -> Lilya:
    inner = Include("/", routes=[Include("/", routes=[route])], middleware=[Layer])
    return Lilya(routes=[Include("/in", routes=[inner], **options)], **APP)


def by_inner_include(route: WebSocketPath, options: dict[str, Any]) -> Lilya:
    inner = Include("/", routes=[route], **options)
    return Lilya(routes=[Include("/in", routes=[inner], middleware=[Layer])], **APP)


def by_mounted_application(route: WebSocketPath, options: dict[str, Any]) -> Lilya:
    return Lilya(routes=[Include("/in", app=Lilya(routes=[route]), **options)], **APP)


def by_child(route: WebSocketPath, options: dict[str, Any]) -> Lilya:
    app = Lilya(**APP)
    app.add_child_lilya("/in", ChildLilya(routes=[route], **options))
    return app


def by_router(route: WebSocketPath, options: dict[str, Any]) -> Lilya:
    return Lilya(routes=[Include("/in", app=Router(routes=[route], **options))], **APP)


def by_host(route: WebSocketPath, options: dict[str, Any]) -> Lilya:
    child = ChildLilya(routes=[Include("/in", routes=[route])], **options)
    return Lilya(routes=[Host("testserver", app=child)], **APP)


WAYS = [
    by_include,
    by_layered_include,
    by_nested_includes,
    by_inner_include,
    by_mounted_application,
    by_child,
    by_router,
    by_host,
]
Way = Callable[[WebSocketPath, dict[str, Any]], Lilya]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("handler", [tell, Telling, TellingApplication()], ids=lambda handler: type(handler).__name__)
async def test_inner_level_wins_field_by_field(way: Way, handler: Any) -> None:
    """Application, include or application inside, route: what a level leaves out stays as it is outside."""
    for levels, expected in LEVELS.items():
        route = WebSocketPath("/ws", handler, **(ROUTE if "route" in levels else {}))
        app = way(route, MIDDLE if "middle" in levels else {})
        async with AsyncTestClient(app) as client, client.websocket_connect(PATH) as websocket:
            origins = "*" if "middle" in levels else ["https://a.example"]
            assert await websocket.receive_json() == {**expected, "origins": origins}


async def test_decorators_take_what_routes_take() -> None:
    """Of an application and of a router."""
    app, router = Lilya(**APP), Router()
    app.websocket("/ws", **MIDDLE)(tell)
    app.websocket("/plain")(tell)
    router.websocket("/ws", **ROUTE)(tell)
    app.include("/in", app=router)
    expected: dict[str, tuple[str, ...]] = {"/ws": ("middle",), "/plain": (), "/in/ws": ("route",)}
    async with AsyncTestClient(app) as client:
        for path, levels in expected.items():
            async with client.websocket_connect(path) as websocket:
                told = await websocket.receive_json()
            assert {name: told[name] for name in LEVELS[levels]} == LEVELS[levels]
            assert told["origins"] == ("*" if path == "/ws" else ["https://a.example"])


async def test_route_that_stands_alone_has_its_own_limits() -> None:
    """As an application of its own it is the outermost level and the innermost."""
    route = WebSocketPath("/ws", tell, limits=Limits(idle_timeout=103, connections=1), origins="*")
    async with AsyncTestClient(route) as client, client.websocket_connect("/ws") as websocket:
        told = await websocket.receive_json()
        assert (told["idle_timeout"], told["inbox_messages"], told["origins"]) == (103, 64, "*")
        assert await refusal_of(client, "/ws") == (503, True)


async def test_limits_hold_for_foreign_applications() -> None:
    """Which know nothing of them."""

    async def foreign(websocket: StarletteWebSocket) -> None:
        await websocket.accept()
        await websocket.receive()

    starlette = Starlette(routes=[WebSocketRoute("/ws", foreign)])
    app = Lilya(routes=[Include("/in", app=starlette, limits=Limits(max_message_bytes=3, connections=1))])
    async with AsyncTestClient(app) as client, client.websocket_connect(PATH) as websocket:
        assert await refusal_of(client, PATH) == (503, True)
        await websocket.send_text("four")
        assert (await websocket.receive())["code"] == 1009
    assert app.stats().refusals == {"connections": 1}


@pytest.mark.parametrize(
    ("limits", "origins", "told"), [({"rate": "1/s"}, None, "limits="), (None, "https://a.example", "origins=")]
)
def test_mistakes_are_found_where_they_are_made(limits: Any, origins: Any, told: str) -> None:
    """At each level."""
    for make in (Lilya, Router):
        with pytest.raises(ImproperlyConfigured, match=told):
            make(limits=limits, origins=origins)
    with pytest.raises(ImproperlyConfigured, match=told):
        Include("/in", routes=[], limits=limits, origins=origins)
    with pytest.raises(ImproperlyConfigured, match=told):
        WebSocketPath("/ws", tell, limits=limits, origins=origins)
    with pytest.raises(ImproperlyConfigured, match=told):
        Lilya().websocket("/ws", limits=limits, origins=origins)(tell)


# --- What runs -------------------------------------------------------------------------------------------------------


class Ran:
    """What of an application has run: middleware, permissions, dependencies and handlers, by name."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def middleware(self, name: str, user: Any = None) -> type[Any]:
        """A middleware that says when it runs, and says who the user is."""
        names = self.names

        class Middleware(Layer):
            async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
                names.append(name)
                if user is not None:
                    scope["user"] = user
                await self.app(scope, receive, send)

        return Middleware

    def route(self, path: str = "/ws", **options: Any) -> WebSocketPath:
        """A route with one of everything."""

        async def needed() -> str:
            self.names.append("dependency")
            return "x"

        async def handler(websocket: WebSocket, needed: str) -> None:
            self.names.append("handler")
            await websocket.accept()
            await websocket.receive()

        options.setdefault("middleware", [self.middleware("route")])
        return WebSocketPath(path, handler, dependencies={"needed": Provide(needed)}, **options)


async def refusal_of(client: AsyncTestClient, path: str, headers: Any = None) -> tuple[int, bool]:
    """The status of a refusal, and whether it says when to come again."""
    with pytest.raises(WebSocketDenialResponse) as denial:
        await client.websocket_connect(path, headers=headers).__aenter__()
    assert denial.value.text.isprintable()
    after = denial.value.headers.get("retry-after")
    assert after is None or 1 <= int(after) <= 10
    return denial.value.status_code, after is not None


def from_one_client(app: Lilya) -> AsyncTestClient:
    """A client whose address the server knows."""

    async def server(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "client": ("192.0.2.1", 5000)}, receive, send)

    return AsyncTestClient(server)


@contextlib.asynccontextmanager
async def connections(client: AsyncTestClient, count: int, path: str = PATH, **options: Any) -> AsyncIterator[None]:
    """So many connections at once."""
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(count):
            await stack.enter_async_context(client.websocket_connect(path, **options))
        yield


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("level", ["middle", "route"])
async def test_page_of_another_site_is_refused_before_anything_runs(way: Way, level: str) -> None:
    """With 403; pages that are listed may connect, and whoever is no browser."""
    ran = Ran()
    listed: dict[str, Any] = {"origins": ["https://app.example.com"]}
    app = way(ran.route(**(listed if level == "route" else {})), listed if level == "middle" else {})
    async with AsyncTestClient(app) as client:
        assert await refusal_of(client, PATH, {"origin": "https://a.example"}) == (403, False)
        assert await refusal_of(client, PATH, {"origin": "null"}) == (403, False)
        assert ran.names == []
        async with connections(client, 1, headers=ALLOWED), connections(client, 1):
            pass
    assert ran.names == ["route", "dependency", "handler"] * 2
    assert app.stats().refusals == {"origin": 2}


async def test_same_origin_is_the_default() -> None:
    """Of the outermost level; a mounted application has no default of its own that could narrow what is outside."""
    inner = Lilya(routes=[WebSocketPath("/ws", tell)])
    same, anybody = Lilya(routes=[Include("/in", app=inner)]), Lilya(routes=[Include("/in", app=inner)], origins="*")
    async with AsyncTestClient(same) as client:
        assert await refusal_of(client, PATH, ALLOWED) == (403, False)
        async with connections(client, 1, headers={"origin": "http://testserver"}):
            pass
    async with AsyncTestClient(anybody) as client, connections(client, 1, headers=ALLOWED):
        pass


def two_of(setting: str) -> Limits:
    """Two connections may be there at once."""
    given: dict[str, Any] = {setting: 2}
    return Limits(**given)


async def test_origins_that_are_not_looked_at_allow_everything() -> None:
    """Where a policy has none at all."""
    app = Lilya(routes=[WebSocketPath("/ws", tell)])
    watch = app.router._watch
    watch.policy = watch.policy.changed(origins=None)
    async with AsyncTestClient(app, raise_server_exceptions=False) as client:
        async with client.websocket_connect("/ws", headers=ALLOWED):
            pass
    assert app.stats().opened == 1


COUNTED = {"connections": 503, "connections_per_client": 429}


@pytest.mark.parametrize("setting", COUNTED)
@pytest.mark.parametrize("level", ["middle", "route"])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_too_many_connections_are_refused_before_anything_runs(way: Way, level: str, setting: str) -> None:
    """With `Retry-After`; when one has left, another one may come."""
    ran = Ran()
    two: dict[str, Any] = {"limits": two_of(setting)}
    app = way(ran.route(**(two if level == "route" else {})), two if level == "middle" else {})
    async with from_one_client(app) as client:
        for _ in range(2):
            async with connections(client, 2):
                ran.names.clear()
                assert await refusal_of(client, PATH) == (COUNTED[setting], True)
                assert ran.names == []
        async with connections(client, 2):
            pass
    assert app.stats().refusals == {setting: 2}


@pytest.mark.parametrize("setting", COUNTED)
async def test_application_counts_all_its_connections(setting: str) -> None:
    """Whatever their route; one that was refused leaves no trace."""
    ran = Ran()
    app = Lilya(routes=[ran.route("/a"), ran.route("/b")], limits=two_of(setting))
    async with from_one_client(app) as client:
        for _ in range(2):
            async with connections(client, 1, "/a"), connections(client, 1, "/b"):
                for path in ("/a", "/b", "/a"):
                    assert await refusal_of(client, path) == (COUNTED[setting], True)
        async with connections(client, 1, "/a"):
            pass
    assert app.stats().refusals == {setting: 6}
    assert ran.names == ["route", "dependency", "handler"] * 5


async def test_clients_are_told_apart_as_the_application_says() -> None:
    """Each has its own count; whose key is None is not counted."""

    def key(scope: Any) -> str | None:
        return next((value.decode() for name, value in scope["headers"] if name == b"x-key"), None)

    limits = Limits(connections_per_client=1, client_key=key)
    app = Lilya(routes=[WebSocketPath("/ws", tell)], limits=limits)
    async with AsyncTestClient(app) as client:
        async with connections(client, 1, "/ws", headers={"x-key": "a"}):
            assert await refusal_of(client, "/ws", {"x-key": "a"}) == (429, True)
            async with connections(client, 1, "/ws", headers={"x-key": "b"}), connections(client, 3, "/ws"):
                pass


PLACES = ["app", "include", "mounted", "route"]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", ["function", "application", "foreign", "controller"])
async def test_user_is_who_the_middleware_says(place: str, kind: str) -> None:
    """Decided after the middleware, wherever it stands, and before a dependency or the handler runs."""
    ran = Ran()

    def middleware(at: str) -> list[Any]:
        return [ran.middleware(at, SimpleUser("ana"))] if at == place else []

    async def foreign(websocket: StarletteWebSocket) -> None:
        ran.names.append("handler")
        await websocket.accept()
        await websocket.receive()

    class Application:
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            ran.names.append("handler")
            await WebSocket(scope, receive, send).accept()
            await receive()

    class Handling(WebSocketController):
        async def on_connect(self, websocket: WebSocket) -> None:
            ran.names.append("handler")
            await websocket.accept()

    limits = Limits(connections_per_user=1)
    routes: dict[str, Callable[[], Any]] = {
        "function": lambda: ran.route(middleware=middleware("route"), limits=limits),
        "application": lambda: WebSocketPath("/ws", Application(), middleware=middleware("route"), limits=limits),
        "controller": lambda: WebSocketPath("/ws", Handling, middleware=middleware("route"), limits=limits),
        "foreign": lambda: Include(
            "/", app=Starlette(routes=[WebSocketRoute("/ws", foreign)]), middleware=middleware("route"), limits=limits
        ),
    }
    mounted = Lilya(routes=[routes[kind]()], middleware=middleware("mounted"))
    app = Lilya(
        routes=[Include("/in", routes=[Include("/", app=mounted)], middleware=middleware("include"))],
        middleware=middleware("app"),
    )
    async with AsyncTestClient(app) as client:
        for _ in range(2):
            async with connections(client, 1):
                ran.names.clear()
                assert await refusal_of(client, PATH) == (429, True)
                assert ran.names == [place]
    assert app.stats().refusals == {"connections_per_user": 2}


async def test_users_are_counted_at_the_level_that_says_so() -> None:
    """An application's limit holds for all routes together; whoever is nobody is not counted."""
    ran = Ran()
    ana, ben = (ran.middleware(name, SimpleUser(name)) for name in ("ana", "ben"))
    routes = [
        ran.route("/a", middleware=[ana]),
        ran.route("/b", middleware=[ana]),
        ran.route("/c", middleware=[ben]),
        ran.route("/d", middleware=[]),
    ]
    app = Lilya(routes=routes, limits=Limits(connections_per_user=1))
    async with AsyncTestClient(app) as client:
        async with connections(client, 1, "/a"):
            assert await refusal_of(client, "/b") == (429, True)
            async with connections(client, 1, "/c"), connections(client, 3, "/d"):
                pass
        async with connections(client, 1, "/b"):
            pass


async def test_user_who_cannot_be_told_apart_is_an_error() -> None:
    """Rather than a limit that never holds: 500, with the remedy in the log, and nobody stays counted."""
    ran = Ran()
    app = Lilya(
        routes=[ran.route(middleware=[ran.middleware("user", object())])], limits=Limits(connections_per_user=1)
    )
    async with AsyncTestClient(app) as client:
        for _ in range(2):
            with pytest.raises(ImproperlyConfigured, match="user_key"):
                await client.websocket_connect("/ws").__aenter__()
    assert ran.names == ["user", "user"]
    assert app.stats().refusals == {"error": 2}


# --- Coming and going ------------------------------------------------------------------------------------------------


async def test_route_that_gives_way_gives_its_place_back() -> None:
    """While the next route has the connection, the first one counts it no more; nor does a 404 hold anything."""
    ran = Ran()

    async def gives_way(websocket: WebSocket) -> None:
        raise ContinueRouting

    one = Limits(connections=1, connections_per_client=1)
    app = Lilya(
        routes=[
            WebSocketPath("/ws", gives_way, limits=one),
            ran.route(limits=Limits(connections=3)),
            WebSocketPath("/no", gives_way, limits=one),
        ]
    )
    async with AsyncTestClient(app) as client:
        async with connections(client, 3, "/ws"):
            # The first route is free, so it is the second one that refuses.
            assert await refusal_of(client, "/ws") == (503, True)
        for _ in range(2):
            assert (await refusal_of(client, "/no"))[0] == 404
        async with connections(client, 3, "/ws"):
            pass
    assert app.stats().refusals == {"connections": 1, "not_found": 2}


async def returns(websocket: WebSocket) -> None:
    await websocket.accept()


async def raises(websocket: WebSocket) -> None:
    await websocket.accept()
    raise ValueError


async def refuses(websocket: WebSocket) -> None:
    await websocket.close()


async def denies(websocket: WebSocket) -> None:
    raise HTTPException(status_code=401)


async def waits(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.receive_text()


async def is_cancelled(websocket: WebSocket) -> None:
    await websocket.accept()
    raise asyncio.CancelledError


async def says_nothing(websocket: WebSocket) -> None:
    """Neither accepts nor refuses."""


@pytest.mark.parametrize(
    "handler",
    [returns, raises, refuses, denies, waits, is_cancelled, says_nothing],
    ids=lambda handler: handler.__name__,
)
async def test_place_is_given_back_whatever_the_end(handler: Any) -> None:
    """Of the application, the route, the client and the user alike."""
    counted = Limits(connections=1, connections_per_client=1, connections_per_user=1)
    route = WebSocketPath("/ws", handler, limits=counted, middleware=[Ran().middleware("user", "ana")])
    app = Lilya(routes=[route], limits=counted)
    async with AsyncTestClient(app, raise_server_exceptions=False) as client:
        for _ in range(3):
            with contextlib.suppress(WebSocketDisconnect):
                async with client.websocket_connect("/ws"):
                    pass
    stats = app.stats()
    assert stats.opened + sum(stats.refusals.values()) == 3
    assert not set(stats.refusals) & set(counted._values())
    assert app.router._watch.wires == []
    assert all(
        not gate._counts
        for demands in (route._demands, app.router._demands)
        if demands is not None
        for gate in demands._gates.values()
    )


async def test_client_that_leaves_the_handshake_gives_its_place_back() -> None:
    """Before there was an answer: nobody was refused, and nobody is left."""
    app = Lilya(routes=[WebSocketPath("/ws", waits, limits=Limits(connections=1))])
    for _ in range(3):
        peer = Peer(disconnect(1006))
        await app(websocket_scope("/ws"), peer.receive, peer.send)
        assert peer.sent == []
    assert app.stats().refusals == {"client": 3}


async def test_refused_clients_are_spread() -> None:
    """They are not all told to come again at the same time."""
    app = Lilya(routes=[WebSocketPath("/ws", waits)], limits=Limits(connections=1))
    told: list[str] = []
    async with AsyncTestClient(app) as client, connections(client, 1, "/ws"):
        for _ in range(10):
            with pytest.raises(WebSocketDenialResponse) as denial:
                await client.websocket_connect("/ws").__aenter__()
            told.append(denial.value.headers["retry-after"])
    assert sorted(map(int, told)) == list(range(1, 11))
