"""What an application does with its connections when the server is told to stop, in a real uvicorn of this thread."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from types import FrameType
from typing import Any

import httpx
import pytest
import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

import lilya.drain
from lilya import _shutdown
from lilya.apps import ChildLilya, Lilya
from lilya.conf.global_settings import Settings
from lilya.drain import Drain
from lilya.exceptions import ImproperlyConfigured
from lilya.routing import Include, Router, WebSocketPath
from lilya.testclient import TestClient
from lilya.types import ASGIApp, Message, Receive, Scope, Send
from lilya.websockets import WebSocket, WebSocketDisconnect
from tests.contract.peer import websocket_scope
from tests.support.signals import signals_caught
from tests.waiting_peer import WaitingPeer, turns

pytestmark = pytest.mark.timeout(30)

SIGTERM, SIGINT = signal.SIGTERM, signal.SIGINT

# Reached only if something hangs.
SECONDS = 10

# For a drain that the test must bring to its end by another way.
LONG = 600


@pytest.fixture(autouse=True)
def raised() -> Iterator[list[int]]:
    """The signals that uvicorn raises again at its end."""
    with signals_caught() as signals:
        yield signals


@pytest.fixture(autouse=True)
def log_everything(caplog: pytest.LogCaptureFixture) -> None:
    """`caplog.records` is the log of one test, from INFO upwards."""
    caplog.set_level(logging.INFO, "lilya")


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the logger `lilya` itself has said."""
    return [f"{one.levelname} {one.getMessage()}" for one in caplog.records if one.name == "lilya"]


class Server(uvicorn.Server):
    """uvicorn that says when it listens, and when it is told to stop."""

    def __init__(self, app: ASGIApp, graceful: float | None) -> None:
        options: dict[str, Any] = {"port": 0, "log_config": None, "timeout_graceful_shutdown": graceful}
        super().__init__(uvicorn.Config(app, host="127.0.0.1", ws="websockets-sansio", **options))
        self.listening = asyncio.Event()
        self.told = asyncio.Event()
        self.port = 0

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.port = self.servers[0].sockets[0].getsockname()[1]
        self.listening.set()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        self.told.set()

    def connect(self, path: str = "/") -> connect:
        """A client of the path."""
        return connect(f"ws://127.0.0.1:{self.port}{path}")

    async def status(self, path: str = "/") -> int:
        """What a handshake is refused with."""
        with pytest.raises(InvalidStatus) as caught:
            await self.connect(path)
        return caught.value.response.status_code

    async def has_begun(self) -> None:
        """Wait until the signals that were raised have been seen."""
        while await self.status("/refused") != 503:
            pass


@contextlib.asynccontextmanager
async def serving(app: ASGIApp, graceful: float | None = None) -> AsyncIterator[Server]:
    """Serve an application; the block has to stop the server by a signal, and waits until it has ended."""
    server = Server(app, graceful)
    task = asyncio.create_task(server.serve())
    try:
        await server.listening.wait()
        yield server
    except BaseException:
        task.cancel()
        raise
    finally:
        await asyncio.wait_for(task, SECONDS)


async def closed(client: ClientConnection) -> tuple[int, str]:
    """The close frame that a client gets; messages before it are skipped."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            await client.recv()
    frame = client.protocol.close_rcvd
    return (1006, "") if frame is None else (frame.code, frame.reason)


RESTART = (1012, "service restart")


async def listen(websocket: WebSocket) -> None:
    """Receives until the end."""
    await websocket.accept()
    async for _ in websocket:
        pass


def app_of(handler: Any = listen, **options: Any) -> Lilya:
    """An application of one route."""
    return Lilya(routes=[WebSocketPath("/", handler)], **options)


# --- the drain ------------------------------------------------------------------------------------------------------


async def test_drain_closes_one_after_the_other_in_random_order(
    caplog: pytest.LogCaptureFixture, raised: list[int]
) -> None:
    """All get 1012; the time is spread, the n-th not before its slot; uvicorn stops afterwards, by its signal."""
    count, seconds = 12, 1.2
    loop = asyncio.get_running_loop()
    moments: list[tuple[float, int]] = []

    async def note(number: int, client: ClientConnection) -> None:
        assert await closed(client) == RESTART
        moments.append((loop.time(), number))

    async with serving(app_of(drain=Drain(seconds=seconds))) as server, contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(server.connect()) for _ in range(count)]
        start = loop.time()
        signal.raise_signal(SIGTERM)
        await asyncio.gather(*(note(number, client) for number, client in enumerate(clients)))
        slot = 0.9 * seconds / count
        assert [moment for at, (moment, _) in enumerate(moments) if moment < start + at * slot] == []
    assert [number for _, number in moments] != [*range(count)]
    assert raised == [SIGTERM]
    assert logged(caplog) == [f"INFO Shutting down: closing {count} connections over 1.2 s"]


async def test_drain_refuses_handshakes_and_goes_on_with_http() -> None:
    """503 with Retry-After for those that come, and requests are answered; a handler sees it and ends when it likes."""
    app = Lilya(drain=Drain(seconds=LONG))

    @app.websocket("/")
    async def work(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_json(websocket.draining)
        await websocket.receive_text()
        await websocket.close(4000, "moved" if websocket.draining else "too early")

    @app.get("/")
    async def hello() -> str:
        return "hello"

    async with serving(app) as server, server.connect() as client:
        assert await client.recv() == "false"
        signal.raise_signal(SIGTERM)
        await server.has_begun()
        with pytest.raises(InvalidStatus) as caught:
            await server.connect()
        response = caught.value.response
        assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
        async with httpx.AsyncClient() as http:
            assert (await http.get(f"http://127.0.0.1:{server.port}/")).json() == "hello"
        await client.send("")
        # Nobody is left: nothing waits for the time that was given.
        assert await closed(client) == (4000, "moved")


async def test_drain_refuses_a_handshake_that_waits_for_an_answer() -> None:
    """One that came before the signal gets its 503 when it is its turn, or a moment later if its handler goes on."""
    waiting = asyncio.Event()

    async def ponder(websocket: WebSocket) -> None:
        waiting.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    async with serving(app_of(ponder, drain=Drain(seconds=0.2, cancel_seconds=LONG))) as server:
        status = asyncio.create_task(server.status())
        await waiting.wait()
        signal.raise_signal(SIGTERM)
        assert await status == 503


async def test_drain_cancels_and_awaits_handlers_that_go_on(caplog: pytest.LogCaptureFixture) -> None:
    """Only when they have ended is the application shut down."""
    ran: list[str] = []

    async def compute(websocket: WebSocket) -> None:
        websocket.add_cleanup(lambda: ran.append("cleanup"))
        await websocket.accept()
        try:
            await asyncio.Event().wait()
        finally:
            await turns()
            ran.append("handler")

    app = app_of(compute, drain=Drain(seconds=0.1, reason="bye"), on_shutdown=[lambda: ran.append("on_shutdown")])
    async with serving(app) as server, server.connect() as client, server.connect() as leaving:
        await leaving.close()  # a handler that goes on without its client
        signal.raise_signal(SIGTERM)
        assert await closed(client) == (1012, "bye")
    assert ran.pop() == "on_shutdown"
    assert sorted(ran) == ["cleanup"] * 2 + ["handler"] * 2
    assert logged(caplog) == ["INFO Shutting down: closing 2 connections over 0.1 s"]


async def test_drain_tells_a_handler_before_it_cancels_it() -> None:
    """In no time at all, there is still a moment in which handlers can end by themselves."""
    told: list[object] = []

    async def tell(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            await websocket.receive_text()
        except BaseException as error:
            told.append(error)
            raise

    async with serving(app_of(tell, drain=Drain(seconds=0))) as server, server.connect() as client:
        signal.raise_signal(SIGTERM)
        assert await closed(client) == RESTART
    (error,) = told
    assert isinstance(error, WebSocketDisconnect)
    assert (error.code, error.reason) == RESTART


async def test_drain_cancels_again(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A handler that swallows a cancellation gets another one, and is no more than that to the log."""
    monkeypatch.setattr(_shutdown, "AGAIN_SECONDS", 0.01)
    cancelled: list[int] = []

    async def refuse(websocket: WebSocket) -> None:
        await websocket.accept()
        while len(cancelled) < 3:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(1)

    async with serving(app_of(refuse, drain=Drain(seconds=0, cancel_seconds=LONG))) as server:
        async with server.connect() as client:
            signal.raise_signal(SIGTERM)
            assert await closed(client) == RESTART
    assert len(cancelled) == 3
    assert logged(caplog) == ["INFO Shutting down: closing 1 connections over 0 s"]


@pytest.mark.parametrize("cancel_seconds", [0, 0.1])
async def test_drain_gives_up_a_handler_that_never_ends(
    caplog: pytest.LogCaptureFixture, cancel_seconds: float
) -> None:
    """The log names its route, and the application is shut down all the same, without another wait."""
    over = asyncio.Event()

    async def refuse(websocket: WebSocket) -> None:
        await websocket.accept()
        while not over.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await over.wait()

    app = app_of(refuse, drain=Drain(seconds=0, cancel_seconds=cancel_seconds), on_shutdown=[over.set])
    async with serving(app, graceful=0.1) as server, server.connect() as client:
        signal.raise_signal(SIGTERM)
        assert await closed(client) == RESTART
    assert logged(caplog) == [
        "INFO Shutting down: closing 1 connections over 0 s",
        f"WARNING 1 handlers are still running {cancel_seconds:g} s after they were cancelled, and are left alone: /",
    ]


async def test_drain_without_connections_stops_at_once(caplog: pytest.LogCaptureFixture, raised: list[int]) -> None:
    """Nothing to do, nothing to say."""
    async with serving(app_of(drain=Drain(seconds=LONG))):
        signal.raise_signal(SIGTERM)
    assert raised == [SIGTERM]
    assert logged(caplog) == []


async def test_drain_that_fails_lets_the_server_stop(monkeypatch: pytest.MonkeyPatch, raised: list[int]) -> None:
    """Whatever is wrong in it, the signal goes on to uvicorn, which then closes everything."""

    def fail(*arguments: object) -> list[float]:
        raise LookupError("no schedule")

    monkeypatch.setattr(lilya.drain, "schedule", fail)
    async with serving(app_of()) as server, server.connect() as client:
        signal.raise_signal(SIGTERM)
        assert (await closed(client))[0] == 1012
    assert raised == [SIGTERM]


# --- signals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("signals", [[SIGINT], [SIGTERM, SIGTERM], [SIGTERM, SIGINT]])
async def test_hurry_closes_everything_at_once(
    caplog: pytest.LogCaptureFixture, raised: list[int], signals: list[int]
) -> None:
    """Ctrl-C, or a second signal: nobody waits, and the first one is what uvicorn gets."""
    app = app_of(drain=Drain(seconds=LONG))
    async with serving(app) as server, server.connect() as one, server.connect() as other:
        for signum in signals:
            signal.raise_signal(signum)
        assert [await closed(one), await closed(other)] == [RESTART] * 2
    assert raised == signals[:1]
    assert logged(caplog) == ["INFO Shutting down: closing 2 connections over 0 s"]


async def test_second_signal_ends_a_drain_that_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    """In the middle of it, as at its beginning."""
    async with serving(app_of(drain=Drain(seconds=LONG))) as server, server.connect() as client:
        signal.raise_signal(SIGTERM)
        await server.has_begun()
        signal.raise_signal(SIGTERM)
        assert await closed(client) == RESTART
    assert logged(caplog) == ["INFO Shutting down: closing 1 connections over 600 s"]


async def test_third_signal_waits_for_nobody(raised: list[int]) -> None:
    """Not even for handlers that were cancelled: uvicorn is told at once, and what is left ends with the lifespan."""
    over = asyncio.Event()
    ran: list[str] = []

    async def refuse(websocket: WebSocket) -> None:
        await websocket.accept()
        while not over.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await over.wait()
        ran.append("handler")

    app = app_of(refuse, drain=Drain(cancel_seconds=LONG), on_shutdown=[lambda: ran.append("on_shutdown")])
    async with serving(app, graceful=0) as server, server.connect():
        for _ in range(3):
            signal.raise_signal(SIGTERM)
        await server.told.wait()
        over.set()
    assert ran == ["handler", "on_shutdown"]
    assert raised == [SIGTERM]


async def test_signal_that_comes_while_uvicorn_gets_its_signals_back_is_not_lost(raised: list[int]) -> None:
    """It was taken when they were ours, and is told when they no longer are."""
    loop = asyncio.get_running_loop()
    async with serving(app_of()):
        # In the turn of the event loop in which the drain ends, just before it.
        loop.call_soon(loop.call_soon, signal.raise_signal, SIGTERM)
        signal.raise_signal(SIGTERM)
    assert raised == [SIGTERM, SIGTERM]


async def test_signal_in_the_startup_is_not_lost(raised: list[int]) -> None:
    """uvicorn starts, stops, and the application is shut down."""
    ran: list[str] = []

    async def stop() -> None:
        signal.raise_signal(SIGTERM)
        await turns()
        ran.append("on_startup")

    async with serving(app_of(on_startup=[stop], on_shutdown=[lambda: ran.append("on_shutdown")])):
        pass
    assert ran == ["on_startup", "on_shutdown"]
    assert raised == [SIGTERM]


async def test_handler_of_the_application_can_pass_a_signal_on(raised: list[int]) -> None:
    """It is installed in the startup, when ours is there already."""
    seen: list[int] = []

    def install() -> None:
        ours = signal.getsignal(SIGTERM)
        assert callable(ours)

        def handle(signum: int, frame: FrameType | None) -> None:
            seen.append(signum)
            ours(signum, frame)

        signal.signal(SIGTERM, handle)

    async def start() -> None:
        install()

    async with serving(app_of(on_startup=[start])) as server, server.connect() as client:
        signal.raise_signal(SIGTERM)
        signal.raise_signal(SIGINT)
        assert await closed(client) == RESTART
    assert seen == raised == [SIGTERM]


async def test_lifespan_that_is_cancelled_in_a_drain_ends_it(raised: list[int]) -> None:
    """No task is left, and the server gets its signal."""
    lifespans: list[asyncio.Task[Any]] = []
    inner = app_of(drain=Drain(seconds=LONG))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        task = asyncio.current_task()
        if scope["type"] == "lifespan" and task is not None:
            lifespans.append(task)
        await inner(scope, receive, send)

    async with serving(app) as server, server.connect() as client:
        signal.raise_signal(SIGTERM)
        await server.has_begun()
        lifespans[0].cancel()
        await server.told.wait()
        assert (await closed(client))[0] == 1012
    assert raised == [SIGTERM]


async def test_server_that_stops_by_itself_ends_a_drain() -> None:
    """uvicorn has its own reasons, such as `--limit-max-requests`; the drain goes with it."""
    app = app_of(drain=Drain(seconds=LONG))
    async with serving(app) as server, server.connect() as client:
        signal.raise_signal(SIGTERM)
        await server.has_begun()
        server.should_exit = True
        assert (await closed(client))[0] == 1012


# --- servers that keep their signals --------------------------------------------------------------------------------


class Standing:
    """A server without signals: a lifespan, and connections beside it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._messages: asyncio.Queue[str] = asyncio.Queue()
        self._started = asyncio.Event()
        self._lifespan: asyncio.Future[Any] | None = None
        self.sent: list[str] = []

    async def __aenter__(self) -> "Standing":
        self._messages.put_nowait("startup")
        self._lifespan = asyncio.ensure_future(self._app({"type": "lifespan"}, self._receive, self._send))
        await self._started.wait()
        return self

    async def __aexit__(self, *error: object) -> None:
        self._messages.put_nowait("shutdown")
        assert self._lifespan is not None
        await self._lifespan

    async def _receive(self) -> Message:
        return {"type": f"lifespan.{await self._messages.get()}"}

    async def _send(self, message: Message) -> None:
        self._started.set()

    async def connect(self, peer: WaitingPeer | None = None) -> tuple[WaitingPeer, asyncio.Future[Any]]:
        """A connection that the handler has accepted, and the task of it."""
        peer = peer or WaitingPeer()
        peer.feed({"type": "websocket.connect"})
        task = asyncio.ensure_future(self._app(websocket_scope(), peer.receive, peer.send))
        await turns()
        return peer, task


async def test_lifespan_that_ends_takes_everybody_with_it(caplog: pytest.LogCaptureFixture) -> None:
    """Handlers are told 1012, cancelled and awaited before the application's own shutdown, in which it still drains."""
    ran: list[str] = []

    async def compute(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            await asyncio.Event().wait()
        finally:
            ran.append("handler")

    app = app_of(compute, drain=Drain(seconds=LONG))
    app.add_event_handler("shutdown", lambda: ran.append(f"draining={app.router._watch.draining}"))
    async with Standing(app) as server:
        peer, task = await server.connect()
    await task
    assert peer.closes == [RESTART]
    assert ran == ["handler", "draining=True"]
    assert app.router._watch.draining is False
    assert logged(caplog) == ["INFO Shutting down: closing 1 connections over 0 s"]


async def test_lifespan_that_ends_does_not_wait_for_a_close_frame_that_nobody_takes() -> None:
    """A client that reads nothing, and a server that sends nothing any more, hold the connection for a moment only."""
    closing = asyncio.Event()

    class Stuck(WaitingPeer):
        async def send(self, message: Message) -> None:
            if message["type"] == "websocket.close":
                closing.set()
                await asyncio.Event().wait()
            await super().send(message)

    async with Standing(app_of(drain=Drain(cancel_seconds=LONG))) as server:
        peer, task = await server.connect(Stuck())
    await task
    assert closing.is_set()
    assert peer.closes == []


async def test_lifespan_that_ends_leaves_connections_of_another_loop_alone() -> None:
    """A second server of the same application, in a thread of its own, goes on."""
    app = app_of()
    with TestClient(app) as client, client.websocket_connect("/") as websocket:
        async with Standing(app):
            pass
        websocket.send_text("still here")
        assert app.stats().open == 1


@pytest.mark.parametrize("kind", [Lilya, Router])
def test_application_can_be_started_again(kind: Callable[..., Any]) -> None:
    """It has been shut down, and is not for ever: test clients do so."""
    app = kind(routes=[WebSocketPath("/", listen)])
    for _ in range(2):
        with TestClient(app) as client, client.websocket_connect("/"):
            pass
    with TestClient(app).websocket_connect("/"):
        pass


# --- where it is said -----------------------------------------------------------------------------------------------


async def test_drain_is_a_setting() -> None:
    """Like all others: what the application itself names wins; nobody asks one that is mounted."""
    told = Drain(seconds=0, reason="told")
    settings = Settings(drain=Drain(seconds=0, reason="set"))
    child = ChildLilya(routes=[WebSocketPath("/", listen)], drain=Drain(seconds=LONG, reason="of a mounted one"))
    for app, reason in [
        (app_of(settings_module=settings), "set"),
        (app_of(settings_module=settings, drain=told), "told"),
        (Lilya(routes=[Include("/", app=child)], drain=told), "told"),
    ]:
        async with serving(app) as server, server.connect() as client:
            signal.raise_signal(SIGTERM)
            assert await closed(client) == (1012, reason)


async def test_router_drains_like_an_application() -> None:
    """With the defaults, if it is the outermost one."""
    async with serving(Router(routes=[WebSocketPath("/", listen)])) as server, server.connect() as client:
        signal.raise_signal(SIGTERM)
        await server.has_begun()
        signal.raise_signal(SIGTERM)
        assert await closed(client) == RESTART


def test_drain_is_a_drain() -> None:
    """A number is refused at once, with the remedy."""
    with pytest.raises(ImproperlyConfigured, match=r"drain=20: not a `lilya.drain.Drain`. Write `drain=Drain\(…\)`"):
        Lilya(drain=20)  # type: ignore[arg-type]  # the mistake
