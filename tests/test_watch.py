"""What connections are held to while they run: every row of the table of limits, in process and on a real server."""

import asyncio
import contextlib
import json
import logging
import queue
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket as StarletteWebSocket

from lilya import _watch, _wire
from lilya.apps import Lilya
from lilya.dependencies import Provide
from lilya.exceptions import ContinueRouting, WebSocketDisconnect
from lilya.limits import Limits
from lilya.routing import Include, WebSocketPath
from lilya.testclient import AsyncTestClient, WebSocketDenialResponse
from lilya.testclient._conversation import OUTBOX_MESSAGES
from lilya.testclient._session import AsyncWebSocketTestSession
from lilya.types import Receive, Scope, Send
from lilya.websockets import WebSocket
from tests.contract.peer import CONNECT, disconnect, run_now, text_frame, websocket_scope
from tests.support.rawsocket import RawSocket
from tests.support.servers import serve
from tests.waiting_peer import WaitingPeer

Handler = Callable[[WebSocket], Awaitable[None]]

# A limit that is reached in the test, and one that is not.
SOON, NEVER = 0.1, 60.0


@pytest.fixture(autouse=True)
def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at connections more often than in real life, so that nobody waits for it."""
    monkeypatch.setattr(_watch, "PERIOD", 0.02)


def app_with(handler: Handler, **limits: Any) -> Lilya:
    """An application with one route and these limits."""
    return Lilya(routes=[WebSocketPath("/", handler)], limits=Limits(**limits))


@contextlib.asynccontextmanager
async def connection(app: Lilya) -> AsyncIterator[AsyncWebSocketTestSession]:
    """A client of the only route."""
    async with AsyncTestClient(app) as client, client.websocket_connect("/") as websocket:
        yield websocket


async def close_of(websocket: AsyncWebSocketTestSession) -> tuple[int, str]:
    """Code and reason of the close that comes next."""
    while True:
        message = await websocket.receive()
        if message["type"] == "websocket.close":
            return message["code"], message["reason"]


async def refusal_of(app: Lilya, path: str = "/", **extensions: Any) -> WebSocketDenialResponse:
    """The answer to a handshake that is refused."""
    async with AsyncTestClient(app) as client:
        with pytest.raises(WebSocketDenialResponse) as denial:
            await client.websocket_connect(path).__aenter__()
    return denial.value


class Told:
    """What a handler was told, and when it has ended."""

    def __init__(self) -> None:
        self.errors: list[tuple[str, int | None]] = []
        self.ended = asyncio.Event()

    def __call__(self, error: BaseException) -> None:
        self.errors.append((type(error).__name__, getattr(error, "code", None)))


async def forever() -> None:
    """Do something else."""
    await asyncio.Event().wait()


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until something is so; pytest's timeout is the limit."""
    while not condition():  # noqa: ASYNC110 - what is waited for happens in the library, which has no event for it
        await asyncio.sleep(0.001)


# --- max_message_bytes -----------------------------------------------------------------------------------------------


async def by_text(websocket: WebSocket) -> None:
    while True:
        await websocket.receive_text()
        await websocket.send_text("ok")


async def by_bytes(websocket: WebSocket) -> None:
    while True:
        await websocket.receive_bytes()
        await websocket.send_text("ok")


async def by_json(websocket: WebSocket) -> None:
    while True:
        await websocket.receive_json()
        await websocket.send_text("ok")


async def by_binary_json(websocket: WebSocket) -> None:
    while True:
        await websocket.receive_json(mode="binary")
        await websocket.send_text("ok")


async def by_iter_text(websocket: WebSocket) -> None:
    async for _ in websocket.iter_text():
        await websocket.send_text("ok")


async def by_iter_bytes(websocket: WebSocket) -> None:
    async for _ in websocket.iter_bytes():
        await websocket.send_text("ok")


async def by_iter_json(websocket: WebSocket) -> None:
    async for _ in websocket.iter_json():
        await websocket.send_text("ok")


async def by_async_for(websocket: WebSocket) -> None:
    async for _ in websocket:
        await websocket.send_text("ok")


async def by_raw_messages(websocket: WebSocket) -> None:
    while (await websocket.receive())["type"] == "websocket.receive":
        await websocket.send({"type": "websocket.send", "text": "ok"})


WAYS = [
    by_text,
    by_bytes,
    by_json,
    by_binary_json,
    by_iter_text,
    by_iter_bytes,
    by_iter_json,
    by_async_for,
    by_raw_messages,
]
EXACT = '"éé€😀"'  # 13 bytes of UTF-8, and JSON


async def send_as(way: Handler, websocket: AsyncWebSocketTestSession, text: str) -> None:
    """Send a message of the kind that a handler takes."""
    if "bytes" in way.__name__ or "binary" in way.__name__:
        await websocket.send_bytes(text.encode())
    else:
        await websocket.send_text(text)


async def check_size(app: Lilya, way: Handler, path: str = "/") -> None:
    """Exactly the limit is answered, one byte more is 1009."""
    async with AsyncTestClient(app) as client, client.websocket_connect(path) as websocket:
        await send_as(way, websocket, EXACT)
        assert await websocket.receive_text() == "ok"
        await send_as(way, websocket, EXACT + " ")
        assert await close_of(websocket) == (1009, "a message may have 13 bytes")
    assert app.stats().closes == {1009: 1}


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("layered", [False, True])
async def test_message_that_is_too_big_is_1009(way: Handler, layered: bool) -> None:
    """However it is received, also below a middleware; the limit itself is allowed, counted in bytes."""
    told = Told()

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            await way(websocket)
        except WebSocketDisconnect as error:
            told(error)

    class Between:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            async def passed_on() -> Any:
                return await receive()

            await self.app(scope, passed_on, send)

    route = WebSocketPath("/", handler, middleware=[Between] if layered else [])
    await check_size(Lilya(routes=[route], limits=Limits(max_message_bytes=13)), way)
    assert told.errors in ([("WebSocketDisconnect", 1009)], [])
    assert bool(told.errors) is not ("iter" in way.__name__ or way in (by_async_for, by_raw_messages))


async def test_message_that_is_too_big_is_1009_for_applications() -> None:
    """A handler that is an ASGI application, and one of another framework below a mount."""

    class Raw:
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            while (await receive())["type"] == "websocket.receive":
                await send({"type": "websocket.send", "text": "ok"})

    async def foreign(websocket: StarletteWebSocket) -> None:
        await websocket.accept()
        async for _ in websocket.iter_text():
            await websocket.send_text("ok")

    limits = Limits(max_message_bytes=13)
    await check_size(Lilya(routes=[WebSocketPath("/", Raw())], limits=limits), by_text)
    starlette = Starlette(routes=[WebSocketRoute("/ws", foreign)])
    await check_size(Lilya(routes=[Include("/in", app=starlette)], limits=limits), by_text, "/in/ws")


async def test_message_that_is_too_big_ends_a_handler_that_is_away() -> None:
    """Whoever reads ahead measures, too: the client need not wait until the handler is back."""
    told = Told()

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        while not websocket.closed:  # noqa: ASYNC110 - it does something else
            await asyncio.sleep(0.01)
        try:
            await websocket.receive_text()
        except WebSocketDisconnect as error:
            told(error)

    async with connection(app_with(handler, max_message_bytes=13)) as websocket:
        await websocket.send_text(EXACT + " ")
        assert (await close_of(websocket))[0] == 1009
    assert told.errors == [("WebSocketDisconnect", 1009)]


# --- accept_timeout --------------------------------------------------------------------------------------------------


async def test_handshake_that_is_not_accepted_in_time_is_503() -> None:
    """Clean-ups run to their end, also those that take a while, and those of dependencies."""
    done: list[str] = []

    async def resource() -> AsyncIterator[str]:
        try:
            yield "resource"
        finally:
            await asyncio.sleep(0.1)  # longer than the time between two looks
            done.append("dependency")

    async def handler(websocket: WebSocket, needed: str) -> None:
        websocket.add_cleanup(lambda: done.append("cleanup"))
        try:
            await forever()
        finally:
            await asyncio.sleep(0.1)
            done.append("handler")

    route = WebSocketPath("/", handler, dependencies={"needed": Provide(resource)})
    app = Lilya(routes=[route], limits=Limits(accept_timeout=0.01))
    assert (await refusal_of(app)).status_code == 503
    assert done == ["handler", "dependency", "cleanup"]
    assert app.stats().refusals == {"accept_timeout": 1}


async def test_handshake_that_is_not_accepted_in_time_is_403_without_the_extension() -> None:
    """What any server can say."""

    async def handler(websocket: WebSocket) -> None:
        await forever()

    app = app_with(handler, accept_timeout=0.01)
    peer = WaitingPeer()
    peer.feed(CONNECT)
    await app(websocket_scope("/", extensions={}), peer.receive, peer.send)
    assert [message["type"] for message in peer.sent] == ["websocket.close"]


async def test_handler_that_swallows_the_end_of_its_handshake_is_cancelled_again() -> None:
    """After the grace period, not at once."""
    cancelled: list[float] = []

    async def handler(websocket: WebSocket) -> None:
        while len(cancelled) < 3:
            try:
                await forever()
            except asyncio.CancelledError:
                cancelled.append(time.monotonic())

    assert (await refusal_of(app_with(handler, accept_timeout=0.01, abandon_grace=SOON))).status_code == 404
    assert cancelled[1] - cancelled[0] >= SOON
    assert cancelled[2] - cancelled[1] >= SOON


async def test_handler_may_accept_after_it_was_told_that_it_is_too_late() -> None:
    """The connection is as good as any other; its end is given the whole grace period."""

    async def handler(websocket: WebSocket) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await forever()
        await websocket.accept()
        await by_text(websocket)

    app = app_with(handler, accept_timeout=0.01, abandon_grace=SOON)
    async with connection(app) as websocket:
        await websocket.send_text("a")
        assert await websocket.receive_text() == "ok"
    assert app.stats().closes == {1000: 1}


async def test_handshake_may_take_for_ever_without_the_limit() -> None:
    """None switches it off, and short of the limit nothing happens either."""

    async def handler(websocket: WebSocket) -> None:
        await asyncio.sleep(0.1)
        await websocket.accept()

    for limit in (None, NEVER):
        async with connection(app_with(handler, accept_timeout=limit)) as websocket:
            assert await close_of(websocket) == (1000, "")


# --- inbox_messages, inbox_bytes, inbox_timeout ----------------------------------------------------------------------


def away_until(awake: asyncio.Event, received: list[str]) -> Handler:
    """A handler that does something else first, and then reads what there is."""

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await awake.wait()
        async for message in websocket:
            received.append(str(message))

    return handler


@pytest.mark.parametrize("limits", [{}, {"inbox_messages": 4}, {"inbox_bytes": 8}, {"inbox_messages": None}])
async def test_messages_wait_for_a_handler_that_is_away(limits: dict[str, Any]) -> None:
    """All of them, in their order, also those that found the inbox full."""
    awake, sent = asyncio.Event(), [str(number) for number in range(200)]
    received: list[str] = []
    app = app_with(away_until(awake, received), inbox_timeout=NEVER, **limits)
    async with connection(app) as websocket:
        for text in sent:
            await websocket.send_text(text)
        await until(lambda: bool(app.router._watch.wires[0].inbox))
        awake.set()
        await until(lambda: len(received) == len(sent))
    assert received == sent
    assert (app.stats().received, app.stats().drops) == (200, 0)


async def test_inbox_that_stays_full_is_1013() -> None:
    """The handler is handed what waits, and then the end; what nobody took is counted."""
    told = Told()

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        while not websocket.closed:  # noqa: ASYNC110 - it does something else
            await asyncio.sleep(0.01)
        try:
            for _ in range(3):
                await websocket.receive_text()
        except WebSocketDisconnect as error:
            told(error)

    for count, drops in ((2, 0), (4, 1)):
        app = app_with(handler, inbox_messages=count, inbox_timeout=SOON)
        async with connection(app) as websocket:
            for number in range(10):
                await websocket.send_text(str(number))
            assert await close_of(websocket) == (1013, "try again later")
        assert app.stats().drops == drops
    assert told.errors == [("WebSocketDisconnect", 1013)]


async def test_inbox_may_stay_full_without_the_timeout() -> None:
    """Reading pauses, and that is all."""
    awake = asyncio.Event()
    received: list[str] = []
    app = app_with(away_until(awake, received), inbox_messages=2, inbox_timeout=None)
    async with connection(app) as websocket:
        for number in range(10):
            await websocket.send_text(str(number))
        await until(lambda: app.router._watch.wires[0].inbox is not None)
        await asyncio.sleep(0.2)  # as many looks as would do it
        awake.set()
        await until(lambda: len(received) == 10)


@pytest.mark.parametrize(("limits", "last"), [({"inbox_messages": 2}, "x"), ({"inbox_bytes": 100}, "x" * 200)])
async def test_slow_but_steady_reader_is_never_closed(limits: dict[str, int], last: str) -> None:
    """The timeout counts while the handler takes nothing, not while it catches up, however full the inbox is."""
    received: list[str] = []

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        async for message in websocket:
            await asyncio.sleep(0.06)
            received.append(str(message))

    sent = ["x"] * 11 + [last]
    async with connection(app_with(handler, inbox_timeout=0.4, **limits)) as websocket:
        for text in sent:
            await websocket.send_text(text)
        await until(lambda: len(received) == len(sent))
    assert received == sent


async def test_failure_of_the_server_is_told_once_the_handler_is_back(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody reads on after it."""
    back = asyncio.Event()

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await back.wait()
        await websocket.receive_text()

    app = app_with(handler)
    peer = WaitingPeer()
    peer.feed(CONNECT, RuntimeError("the server is at its end"))
    running = asyncio.create_task(app(websocket_scope("/"), peer.receive, peer.send))
    await until(lambda: bool(app.router._watch.wires) and app.router._watch.wires[0].inbox is not None)
    (wire,) = app.router._watch.wires
    inbox = wire.inbox
    assert inbox is not None
    await until(lambda: inbox.failure is not None)
    await asyncio.sleep(0.1)  # a few looks
    back.set()
    await running
    assert peer.closes == [(1011, "")]
    assert [type(record.exc_info[1]) for record in caplog.records if record.exc_info] == [RuntimeError]


async def test_application_that_has_not_asked_for_the_handshake_is_not_read_for() -> None:
    """What comes first is the connect message, and that is its own."""
    seen: list[str] = []

    class Raw:
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "websocket.accept"})
            await asyncio.sleep(0.1)
            seen.append((await receive())["type"])

    async with connection(Lilya(routes=[WebSocketPath("/", Raw())])) as websocket:
        assert await close_of(websocket) == (1000, "")
    assert seen == ["websocket.connect"]


# --- write_timeout ---------------------------------------------------------------------------------------------------


async def stall(websocket: WebSocket) -> None:
    """Send more than anybody takes."""
    for _ in range(2 * OUTBOX_MESSAGES):
        await websocket.send_text("x")


async def test_send_that_nobody_takes_is_given_up() -> None:
    """It raises in the handler that sends."""
    told = Told()

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            await stall(websocket)
        except WebSocketDisconnect as error:
            told(error)
            assert (websocket.closed, websocket.close_code) == (True, 1006)

    app = app_with(handler, write_timeout=SOON)
    async with connection(app):
        await until(lambda: app.stats().open == 0)
    assert told.errors == [("WebSocketDisconnect", 1006)]
    assert app.stats().closes == {1006: 1}


@pytest.mark.parametrize("limits", [{"write_timeout": None}, {"write_timeout": NEVER}])
async def test_send_may_take_its_time(limits: dict[str, Any]) -> None:
    """Without the limit, or short of it."""

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await stall(websocket)

    async with connection(app_with(handler, **limits)) as websocket:
        await asyncio.sleep(0.1)
        assert await close_of(websocket) == (1000, "")


@pytest.mark.parametrize("layered", [False, True])
async def test_all_who_send_to_a_stalled_client_are_told(layered: bool) -> None:
    """The handler, and any number of other tasks that broadcast to it at the same moment; no task is cancelled."""
    told = Told()
    broadcasts: list[asyncio.Task[None]] = []

    async def broadcast(websocket: WebSocket) -> None:
        try:
            await websocket.send_bytes(b"x")
        except WebSocketDisconnect as error:
            told(error)

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        for _ in range(OUTBOX_MESSAGES):
            await websocket.send_json(1)
        for _ in range(5):
            broadcasts.append(asyncio.create_task(broadcast(websocket)))
        await asyncio.wait_for(broadcast(websocket), NEVER)
        await asyncio.wait(broadcasts)

    class Between:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            async def passed_on(message: Any) -> None:
                await send(message)

            await self.app(scope, receive, passed_on)

    route = WebSocketPath("/", handler, middleware=[Between] if layered else [])
    app = Lilya(routes=[route], limits=Limits(write_timeout=SOON))
    async with connection(app):
        await until(lambda: app.stats().open == 0)
    assert sorted(told.errors) == [("WebSocketDisconnect", 1006)] + 5 * [("WebSocketDisconnected", 1006)]
    assert not any(task.cancelled() for task in broadcasts)


async def test_senders_that_give_up_do_not_hide_one_that_waits() -> None:
    """The time counts from the first send that is still waiting."""
    told = Told()

    async def ticker(websocket: WebSocket) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.01):
                    await websocket.send_text("tick")

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        for _ in range(OUTBOX_MESSAGES):
            await websocket.send_text("x")
        async with websocket.tasks() as tasks:
            tasks.start_soon(ticker, websocket)
            try:
                await websocket.send_bytes(b"x")
            except WebSocketDisconnect as error:
                told(error)

    app = app_with(handler, write_timeout=SOON)
    async with connection(app):
        await until(lambda: app.stats().open == 0)
    assert told.errors[0][1] == 1006


def test_client_that_stops_reading_is_given_up_on_a_server() -> None:
    """A real one, whose `send` waits: the handler and those who broadcast all get the same end."""
    told: queue.Queue[tuple[str, int]] = queue.Queue()

    async def pour(websocket: WebSocket) -> None:
        try:
            while True:
                await websocket.send_bytes(bytes(1 << 16))
        except WebSocketDisconnect as error:
            told.put((type(error).__name__, error.code))

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await asyncio.gather(*(pour(websocket) for _ in range(4)))
        told.put(("closed", websocket.close_code or 0))

    with serve(app_with(handler, write_timeout=0.3)) as server, RawSocket(server, receive_buffer=1) as client:
        assert client.handshake("/").status == 101
        ends = [told.get(timeout=20) for _ in range(5)]
    assert {code for _, code in ends} == {1006}
    assert ends[-1][0] == "closed"


# --- abandon_grace ---------------------------------------------------------------------------------------------------


async def test_handler_that_does_not_notice_is_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    """When its client has left and it neither receives nor sends; that is no fault, and the log says why."""
    caplog.set_level(logging.INFO, "lilya")
    told = Told()

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            await forever()
        except asyncio.CancelledError as error:
            told(error)
            assert (websocket.closed, websocket.close_code) == (True, 4000)
            raise

    app = app_with(handler, abandon_grace=SOON)
    async with connection(app) as websocket:
        await websocket.close(4000, "bye")
    assert told.errors == [("CancelledError", None)]
    assert app.stats().closes == {4000: 1}
    (line,) = [record.getMessage() for record in caplog.records if record.getMessage().startswith("close ")]
    assert line.endswith(f": the handler did not notice for {SOON:g} s and was cancelled")
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


async def test_handler_that_swallows_cancellation_is_cancelled_again() -> None:
    """After another grace period, as often as it takes."""
    cancelled: list[float] = []

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        while len(cancelled) < 3:
            try:
                await forever()
            except asyncio.CancelledError:
                cancelled.append(time.monotonic())

    app = app_with(handler, abandon_grace=0.05)
    async with connection(app):
        pass
    assert min(cancelled[1] - cancelled[0], cancelled[2] - cancelled[1]) >= 0.05
    assert app.stats().closes == {1000: 1}


@pytest.mark.parametrize("call", ["receive_text", "send_text", "receive"])
async def test_handler_that_was_told_is_never_cancelled(call: str) -> None:
    """Whatever it does about it, and however long that takes."""
    done: list[str] = []

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        with contextlib.suppress(WebSocketDisconnect):
            if call == "send_text":
                while True:
                    await websocket.send_text("tick")
                    await asyncio.sleep(0.001)
            await getattr(websocket, call)()
        await asyncio.sleep(0.2)  # four times the grace period
        done.append("committed")

    async with connection(app_with(handler, abandon_grace=0.05)):
        pass
    assert done == ["committed"]


async def test_short_commit_is_not_cut() -> None:
    """Within the grace period the handler comes to its end, and is told by its next call."""
    told = Told()
    left = asyncio.Event()

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await left.wait()
        await asyncio.sleep(0.1)
        told.errors.append(("committed", None))
        try:
            await websocket.send_text("done")
        except WebSocketDisconnect as error:
            told(error)

    app = app_with(handler, abandon_grace=5)
    async with connection(app) as websocket:
        await websocket.close(4001)
        await until(lambda: app.router._watch.wires[0].close_code == 4001)
        left.set()
    assert told.errors == [("committed", None), ("WebSocketDisconnect", 4001)]


async def test_handler_is_left_alone_without_the_grace_period() -> None:
    """None switches it off."""
    done: list[str] = []

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await asyncio.sleep(0.2)
        done.append("end")

    async with connection(app_with(handler, abandon_grace=None)):
        pass
    assert done == ["end"]


async def test_clean_up_after_the_handler_is_not_cut() -> None:
    """A connection whose handler has ended is not looked at."""
    done: list[str] = []

    async def slow_cleanup() -> None:
        await asyncio.sleep(0.2)
        done.append("clean")

    async def handler(websocket: WebSocket) -> None:
        websocket.add_cleanup(slow_cleanup)
        await websocket.accept()
        with contextlib.suppress(WebSocketDisconnect):
            await websocket.receive_text()

    async with connection(app_with(handler, abandon_grace=0.01, lifetime=NEVER)):
        pass
    assert done == ["clean"]


# --- rate, burst -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("busy", [False, True])
async def test_too_many_messages_are_4429(busy: bool) -> None:
    """Also for a handler that is busy: it is not its reading that counts."""
    told = Told()
    back = asyncio.Event()

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        if busy:
            await back.wait()
        try:
            while True:
                told.errors.append((await websocket.receive_text(), None))
        except WebSocketDisconnect as error:
            told(error)

    app = app_with(handler, rate="1/h", burst=3)
    async with connection(app) as websocket:
        for number in range(5):
            await websocket.send_text(str(number))
        assert await close_of(websocket) == (4429, "too many messages")
        back.set()
    assert told.errors == [("0", None), ("1", None), ("2", None), ("WebSocketDisconnect", 4429)]
    assert app.stats().closes == {4429: 1}


async def test_messages_are_judged_by_the_time_of_their_arrival(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that came slowly may be read at once."""
    now = [0.0]
    monkeypatch.setattr(_wire, "time", SimpleNamespace(monotonic=lambda: now[0]))
    awake = asyncio.Event()
    received: list[str] = []
    app = app_with(away_until(awake, received), rate="1/s", burst=1)
    async with connection(app) as websocket:
        (wire,) = app.router._watch.wires
        for number in range(5):
            now[0] += 1.0
            await websocket.send_text(str(number))
            await until(lambda: wire.inbox is not None and wire.inbox.arrived > number)  # noqa: B023 - awaited here
        awake.set()
        await until(lambda: len(received) == 5)
        await websocket.send_text("at once")
        assert (await close_of(websocket))[0] == 4429


async def test_rate_of_a_route_that_gave_way_is_not_kept() -> None:
    """The next route has its own limits, or none."""

    async def gives_way(websocket: WebSocket) -> None:
        raise ContinueRouting

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await by_text(websocket)

    routes = [WebSocketPath("/", gives_way, limits=Limits(rate="1/h")), WebSocketPath("/", handler)]
    async with connection(Lilya(routes=routes)) as websocket:
        for _ in range(3):
            await websocket.send_text("x")
            assert await websocket.receive_text() == "ok"


# --- idle_timeout, lifetime, expires_at ------------------------------------------------------------------------------


def receiving(told: Told) -> Handler:
    """A handler that answers."""

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            await by_text(websocket)
        except WebSocketDisconnect as error:
            told(error)
            told.errors.append((websocket.close_reason, websocket.close_code))

    return handler


async def test_idle_connection_is_1001() -> None:
    """Without a message in either direction."""
    told = Told()
    async with connection(app_with(receiving(told), idle_timeout=SOON)) as websocket:
        await websocket.send_text("x")
        assert await websocket.receive_text() == "ok"
        assert await close_of(websocket) == (1001, "idle")
    assert told.errors == [("WebSocketDisconnect", 1001), ("idle", 1001)]


@pytest.mark.parametrize("direction", ["in", "out", "ahead"])
async def test_messages_in_one_direction_are_enough(direction: str) -> None:
    """Also such as wait for a handler that is busy."""
    quiet = asyncio.Event()

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        if direction == "out":
            while not quiet.is_set():
                await websocket.send_text("tick")
                await asyncio.sleep(0.02)
        if direction == "ahead":
            await quiet.wait()
        async for _ in websocket:
            pass

    async with connection(app_with(handler, idle_timeout=0.3)) as websocket:
        for _ in range(20):
            if direction != "out":
                await websocket.send_text("x")
            await asyncio.sleep(0.02)
        assert websocket._conversation is not None
        assert not any(message["type"] == "websocket.close" for message in websocket._conversation._outbox)
        quiet.set()
        assert await close_of(websocket) == (1001, "idle")


async def test_lifetime_ends_with_1001(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes on; not all at the same time."""
    told = Told()
    app = app_with(receiving(told), lifetime=SOON)
    began = time.monotonic()
    async with connection(app) as websocket:
        assert await close_of(websocket) == (1001, "lifetime over")
    assert time.monotonic() - began >= 0.9 * SOON
    assert told.errors[0] == ("WebSocketDisconnect", 1001)
    jitters = [_watch._jitter() for _ in range(1000)]
    assert 0.9 <= min(jitters) < 0.92
    assert 1.08 < max(jitters) <= 1.1


async def test_lifetime_that_is_not_over_is_no_end() -> None:
    """Nor an idle timeout, nor credentials."""

    async def handler(websocket: WebSocket) -> None:
        websocket.expires_at = time.time() + NEVER
        await websocket.accept()
        await asyncio.sleep(0.1)

    async with connection(app_with(handler, lifetime=NEVER, idle_timeout=NEVER)) as websocket:
        assert await close_of(websocket) == (1000, "")


@pytest.mark.parametrize("when", ["before", "after", "thread", "moved", "past"])
async def test_credentials_that_expire_are_4401(when: str) -> None:
    """Whenever, and from wherever, it is said when that is."""
    told = Told()

    async def handler(websocket: WebSocket) -> None:
        if when in ("before", "past"):
            websocket.expires_at = time.time() + (SOON if when == "before" else -3600)
        await websocket.accept()
        if when == "after":
            websocket.expires_at = time.time() + SOON
        if when == "thread":
            await asyncio.to_thread(setattr, websocket, "expires_at", time.time())
        if when == "moved":
            websocket.expires_at = time.time() + NEVER
            assert websocket.expires_at > time.time()
            websocket.expires_at = time.time() + SOON
        try:
            await websocket.receive_text()
        except WebSocketDisconnect as error:
            told(error)

    async with connection(app_with(handler)) as websocket:
        assert await close_of(websocket) == (4401, "credentials expired")
    assert told.errors == [("WebSocketDisconnect", 4401)]


async def test_credentials_may_be_renewed() -> None:
    """A later moment takes the place of the earlier one, and None that of both."""

    async def handler(websocket: WebSocket) -> None:
        websocket.expires_at = time.time() + 0.05
        await websocket.accept()
        websocket.expires_at = time.time() + NEVER
        await asyncio.sleep(0.1)
        websocket.expires_at = time.time() + 0.05
        websocket.expires_at = None
        await asyncio.sleep(0.1)

    async with connection(app_with(handler)) as websocket:
        assert await close_of(websocket) == (1000, "")


async def test_expiry_wakes_the_event_loop_from_any_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, also where the next look would be far away, and in asyncio's debug mode, which forbids the rest."""
    monkeypatch.setattr(_watch, "PERIOD", NEVER)
    asyncio.get_running_loop().set_debug(True)
    kept: list[WebSocket] = []

    async def handler(websocket: WebSocket) -> None:
        kept.append(websocket)
        await websocket.accept()
        await websocket.receive_text()

    app = app_with(handler, accept_timeout=None, inbox_timeout=None, write_timeout=None, abandon_grace=None)
    async with connection(app) as websocket:
        thread = threading.Thread(target=setattr, args=(kept[0], "expires_at", 0.0))
        thread.start()
        assert (await close_of(websocket))[0] == 4401
        thread.join()
    kept[0].expires_at = time.time()  # it is over: nothing happens
    assert app.stats().closes == {4401: 1}


# --- What a handler sees ---------------------------------------------------------------------------------------------


async def test_handler_sees_how_it_is_ended_from_outside() -> None:
    """`closed`, `close_code`, `close_reason` and `id` before and after, while it does something else."""
    seen: list[tuple[Any, ...]] = []

    async def handler(websocket: WebSocket) -> None:
        seen.append((websocket.closed, websocket.close_code, websocket.close_reason, websocket.id))
        await websocket.accept()
        while not websocket.closed:  # noqa: ASYNC110 - it does something else
            await asyncio.sleep(0.01)
        seen.append((websocket.closed, websocket.close_code, websocket.close_reason, websocket.id))
        await websocket.close(4000)  # too late, and no mistake

    async with connection(app_with(handler, lifetime=SOON)) as websocket:
        assert await close_of(websocket) == (1001, "lifetime over")
    name = seen[0][3]
    assert seen == [(False, None, "", name), (True, 1001, "lifetime over", name)]


async def test_handler_sees_that_the_application_shuts_down() -> None:
    """All connections of the application at once; new handshakes are refused."""
    kept: list[WebSocket] = []

    async def handler(websocket: WebSocket) -> None:
        kept.append(websocket)
        await websocket.accept()
        async for _ in websocket:
            await websocket.send_json(websocket.draining)

    app = app_with(handler)
    async with AsyncTestClient(app) as client, client.websocket_connect("/") as websocket:
        await websocket.send_text("?")
        assert json.loads(await websocket.receive_text()) is False
        app.router._watch.draining = True
        await websocket.send_text("?")
        assert json.loads(await websocket.receive_text()) is True
        with pytest.raises(WebSocketDenialResponse) as denial:
            await client.websocket_connect("/").__aenter__()
        assert (denial.value.status_code, denial.value.headers["retry-after"]) == (503, "1")


# --- The timer -------------------------------------------------------------------------------------------------------


async def test_timer_survives_what_is_wrong_with_one_connection(caplog: pytest.LogCaptureFixture) -> None:
    """It is reported and ended; all others are looked at as before."""
    app = Lilya(routes=[WebSocketPath("/{name}", receiving(Told()))], limits=Limits(idle_timeout=SOON))
    async with AsyncTestClient(app, raise_server_exceptions=False) as client, client.websocket_connect("/a") as one:
        (wire,) = app.router._watch.wires
        wire.expires_at = "tomorrow"  # type: ignore[assignment]  # what is wrong
        async with client.websocket_connect("/b") as other:
            assert await close_of(one) == (1011, "")
            assert await close_of(other) == (1001, "idle")
    assert [type(record.exc_info[1]) for record in caplog.records if record.exc_info] == [TypeError]
    assert app.stats().closes == {1011: 1, 1001: 1}


async def test_timer_stops_when_nobody_is_left() -> None:
    """And begins anew with the next connection."""

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()

    app = app_with(handler)
    for _ in range(2):
        async with connection(app) as websocket:
            assert await close_of(websocket) == (1000, "")
        await until(lambda: not app.router._watch._rounds)


def test_timer_of_an_event_loop_that_was_closed_is_forgotten() -> None:
    """An application that runs in one loop after another, as in tests, keeps none of them."""

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()

    app = app_with(handler)

    async def visit() -> None:
        async with connection(app) as websocket:
            assert await close_of(websocket) == (1000, "")

    for _ in range(3):
        asyncio.run(visit())
    assert len(app.router._watch._rounds) == 1


def test_connection_runs_without_an_event_loop_of_asyncio() -> None:
    """It is not looked at, that is all."""
    sent: list[str] = []

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        websocket.expires_at = 0.0
        sent.append(await websocket.receive_text())

    messages = [CONNECT, text_frame("x"), disconnect()]

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    app = app_with(handler)
    run_now(app(websocket_scope("/"), receive, send))
    assert sent == ["websocket.accept", "x", "websocket.close"]
    assert app.stats().closes == {1000: 1}
