"""Startup and shutdown, as servers ask for them."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

import pytest

from lilya.apps import ChildLilya, Lilya
from lilya.dependencies import Provide
from lilya.exceptions import ImproperlyConfigured
from lilya.requests import Request
from lilya.routing import Include, Path, Router, WebSocketPath
from lilya.testclient import AsyncTestClient, TestClient
from lilya.types import Message
from lilya.websockets import WebSocket
from tests.support.servers import serve


class Server:
    """The server's side of one lifespan: what it says, and what it was told."""

    def __init__(self, *incoming: str, state: dict[str, Any] | None = None) -> None:
        self.incoming = iter([f"lifespan.{kind}" for kind in incoming])
        self.sent: list[Message] = []
        self.scope: dict[str, Any] = {"type": "lifespan", "asgi": {"version": "3.0"}}
        if state is not None:
            self.scope["state"] = state

    async def receive(self) -> Message:
        return {"type": next(self.incoming)}

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    async def run(self, app: Any) -> list[Message]:
        await app(self.scope, self.receive, self.send)
        return self.sent


COMPLETE = [{"type": "lifespan.startup.complete"}, {"type": "lifespan.shutdown.complete"}]


@pytest.mark.parametrize("owner", [Lilya, ChildLilya, Router])
async def test_lifespan_runs_hooks_in_their_order(owner: Any) -> None:
    """Sync and async functions without arguments, at startup and at shutdown, in the order of their declaration."""
    ran: list[str] = []

    def sync(name: str) -> Callable[[], None]:
        return lambda: ran.append(name)

    async def up() -> None:
        ran.append("up 2")

    async def down() -> None:
        ran.append("down 2")

    app = owner(on_startup=[sync("up 1"), up], on_shutdown=[sync("down 1"), down])
    assert await Server("startup", "shutdown").run(app) == COMPLETE
    assert ran == ["up 1", "up 2", "down 1", "down 2"]


@pytest.mark.parametrize("owner", [Lilya, Router])
async def test_lifespan_is_a_context_manager_of_the_app(owner: Any) -> None:
    """It is called with the application; startup is its beginning, shutdown its end."""
    seen: list[Any] = []

    @contextlib.asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        seen.append(app)
        yield
        seen.append("end")

    class Span:
        def __init__(self, app: Any) -> None:
            seen.append(app)

        async def __aenter__(self) -> None:
            pass

        async def __aexit__(self, *error: object) -> None:
            seen.append("end")

    for kind in (lifespan, Span):
        app = owner(lifespan=kind)
        assert await Server("startup", "shutdown").run(app) == COMPLETE
        assert seen == [app, "end"]
        seen.clear()


async def test_lifespan_without_anything_completes() -> None:
    """An application without hooks answers all the same."""
    assert await Server("startup", "shutdown").run(Lilya()) == COMPLETE


def test_lifespan_shares_what_it_yields() -> None:
    """A yielded mapping is part of the state of every connection, HTTP and WebSocket, mounted or not."""

    @contextlib.asynccontextmanager
    async def lifespan(app: Lilya) -> AsyncIterator[Mapping[str, Any]]:
        yield {"pool": ["shared"]}

    async def show(request: Request) -> Any:
        request.state.pool.append("http")
        request.state.own = 1
        return request.state.pool

    async def show_websocket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_json([websocket.state.pool, "own" in websocket.state])

    child = ChildLilya(routes=[Path("/", show), WebSocketPath("/", show_websocket)])
    with TestClient(Lilya(routes=[Include("/in", app=child)], lifespan=lifespan)) as client:
        assert client.app_state == {"pool": ["shared"]}
        assert client.get("/in").json() == ["shared", "http"]
        with client.websocket_connect("/in") as websocket:
            assert websocket.receive_json() == [["shared", "http"], False]


async def test_lifespan_merges_into_the_servers_state() -> None:
    """What the server has in its state already stays."""

    @contextlib.asynccontextmanager
    async def lifespan(app: Lilya) -> AsyncIterator[Mapping[str, Any]]:
        yield {"ours": 1}

    state = {"servers": 2}
    assert await Server("startup", "shutdown", state=state).run(Lilya(lifespan=lifespan)) == COMPLETE
    assert state == {"servers": 2, "ours": 1}


async def test_lifespan_needs_a_server_that_keeps_state() -> None:
    """Yielding a mapping where the server has no `state` fails the startup with a message that says so."""
    ended: list[str] = []

    @contextlib.asynccontextmanager
    async def lifespan(app: Lilya) -> AsyncIterator[Mapping[str, Any]]:
        try:
            yield {"pool": 1}
        finally:
            ended.append("closed")

    server = Server("startup")
    with pytest.raises(RuntimeError, match='The server does not support "state"'):
        await server.run(Lilya(lifespan=lifespan))
    assert [message["type"] for message in server.sent] == ["lifespan.startup.failed"]
    assert ended == ["closed"]


def test_lifespan_of_a_mounted_child_never_runs() -> None:
    """The outermost application's lifespan is the only one."""
    ran: list[str] = []
    child = ChildLilya(on_startup=[lambda: ran.append("child")], on_shutdown=[lambda: ran.append("child")])
    router = Router(on_startup=[lambda: ran.append("router")])
    app = Lilya(
        routes=[Include("/child", app=child), Include("/router", app=router)],
        on_startup=[lambda: ran.append("app")],
    )
    with TestClient(app) as client:
        client.get("/child")
    assert ran == ["app"]


class Broken(Exception):
    """A service that does not come up, or down."""


def fail() -> None:
    """A hook that fails."""
    raise Broken("no database")


@pytest.mark.parametrize("kind", ["startup", "shutdown"])
@pytest.mark.parametrize("style", ["hooks", "lifespan"])
async def test_lifespan_reports_a_failure_and_raises_it(
    kind: str, style: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The server is told, the log has the traceback, and the exception goes on to the server."""

    @contextlib.asynccontextmanager
    async def lifespan(app: Lilya) -> AsyncIterator[None]:
        if kind == "startup":
            fail()
        yield
        fail()

    hooks: dict[str, Any] = {f"on_{kind}": [fail]}
    app = Lilya(lifespan=lifespan) if style == "lifespan" else Lilya(**hooks)
    server = Server("startup", "shutdown")
    with pytest.raises(Broken):
        await server.run(app)
    begun = [] if kind == "startup" else COMPLETE[:1]
    assert server.sent == [*begun, {"type": f"lifespan.{kind}.failed", "message": "Broken: no database"}]
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.getMessage() == f"The lifespan's {kind} failed"
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], Broken)


@pytest.mark.parametrize("kind", ["startup", "shutdown"])
def test_lifespan_failure_reaches_a_test(kind: str) -> None:
    """The test client raises the original exception, at the beginning or at the end of its block."""
    hooks: dict[str, Any] = {f"on_{kind}": [fail]}
    client = TestClient(Lilya(**hooks))
    with contextlib.ExitStack() as stack:
        if kind == "shutdown":
            client.__enter__()
        stack.enter_context(pytest.raises(Broken, match="no database"))
        client.__enter__() if kind == "startup" else client.__exit__()


def test_lifespan_failure_stops_a_server() -> None:
    """uvicorn does not start to serve an application whose startup failed."""
    with pytest.raises(RuntimeError, match="uvicorn did not start"), serve(Lilya(on_startup=[fail])):
        pass


def test_lifespan_fails_for_a_mistake_in_the_application() -> None:
    """What is wrong with a handler, a layer or a child fails the startup before any hook runs."""
    ran: list[str] = []

    async def handler(request: Request, missing: str) -> None:
        pass

    for route in (Path("/", handler), Include("/in", app=ChildLilya(routes=[Path("/x", handler)]))):
        app = Lilya(routes=[route], on_startup=[lambda: ran.append("startup")])
        with pytest.raises(ImproperlyConfigured, match="nothing fills argument 'missing'"), TestClient(app):
            pass
    assert ran == []


async def generator(app: Any) -> AsyncIterator[None]:
    """Lacks the decorator."""
    yield


def sync_generator(app: Any) -> Iterator[None]:
    """Lacks the decorator, and is sync."""
    yield


async def coroutine(app: Any) -> None:
    """Lacks the `yield`, too."""


@pytest.mark.parametrize("owner", [Lilya, Router])
@pytest.mark.parametrize(
    ("lifespan", "message"),
    [
        (generator, "lifespan generator is a generator function: decorate it with contextlib.asynccontextmanager."),
        (sync_generator, "lifespan sync_generator is a generator function: decorate it"),
        (coroutine, "is a coroutine function: let it `yield` once between startup and shutdown, and decorate it"),
        ("lifespan", "lifespan='lifespan' cannot be called: give a function that takes the app."),
    ],
)
def test_lifespan_refuses_what_is_none(owner: Any, lifespan: Any, message: str) -> None:
    """At once, with the name and the remedy."""
    with pytest.raises(ImproperlyConfigured) as caught:
        owner(lifespan=lifespan)
    assert message in str(caught.value)


@pytest.mark.parametrize("failing", [False, True])
async def test_lifespan_closes_what_lives_as_long_as_the_app(failing: bool) -> None:
    """Values of scope "app" are closed after the last shutdown hook, also when that fails."""
    ran: list[str] = []

    async def pool() -> AsyncIterator[str]:
        ran.append("open")
        yield "pool"
        ran.append("close")

    def last() -> None:
        ran.append("last hook")
        if failing:
            fail()

    async def handler(websocket: WebSocket, pool: str) -> None:
        await websocket.accept()
        await websocket.send_text(pool)

    app = Lilya(
        routes=[WebSocketPath("/", handler)],
        dependencies={"pool": Provide(pool, scope="app")},
        on_shutdown=[last],
    )
    expected = pytest.raises(Broken) if failing else contextlib.nullcontext()
    with expected:
        async with AsyncTestClient(app) as client:
            for _ in range(2):
                async with client.websocket_connect("/") as websocket:
                    assert await websocket.receive_text() == "pool"
            assert ran == ["open"]
    assert ran == ["open", "last hook", "close"]


async def test_lifespan_that_is_cancelled_ends(caplog: pytest.LogCaptureFixture) -> None:
    """A server that gives up cancels the lifespan: the context manager is left, and nothing is said to have failed."""
    ran: list[str] = []
    started = asyncio.Event()

    @contextlib.asynccontextmanager
    async def lifespan(app: Lilya) -> AsyncIterator[None]:
        try:
            yield
        finally:
            ran.append("end")

    async def receive() -> Message:
        if started.is_set():
            await asyncio.Event().wait()
        return {"type": "lifespan.startup"}

    async def send(message: Message) -> None:
        started.set()

    app = Lilya(lifespan=lifespan)
    task = asyncio.create_task(app({"type": "lifespan"}, receive, send))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ran == ["end"]
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("failing", [["b"], ["a", "c"]])
async def test_lifespan_runs_every_shutdown_hook(failing: list[str]) -> None:
    """One that fails keeps none of the others from running; the error, or a group of them, is raised at the end."""
    ran: list[str] = []

    def hook(name: str) -> Callable[[], None]:
        def run() -> None:
            ran.append(name)
            if name in failing:
                raise LookupError(name)

        return run

    server = Server("startup", "shutdown")
    with pytest.raises((LookupError, ExceptionGroup)) as caught:
        await server.run(Lilya(on_shutdown=[hook(name) for name in "abc"]))
    assert ran == ["a", "b", "c"]
    error = caught.value
    assert [str(one) for one in (error.exceptions if isinstance(error, ExceptionGroup) else [error])] == failing
    assert server.sent[1]["type"] == "lifespan.shutdown.failed"
