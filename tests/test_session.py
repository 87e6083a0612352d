"""A connection from the first message to the last: whatever happens inside, it ends once and properly."""

import asyncio
import contextlib
import gc
import logging
import re
import weakref
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from lilya import _session
from lilya._inbox import Inbox
from lilya._session import conduct, finish
from lilya._watch import Watch
from lilya._wire import WIRE, Wire
from lilya.context import request_context
from lilya.exceptions import (
    ContinueRouting,
    HTTPException,
    ImproperlyConfigured,
    PermissionDenied,
    WebSocketDisconnect,
    WebSocketException,
)
from lilya.requests import Request
from lilya.responses import FileResponse, JSONResponse, PlainText, StreamingResponse
from lilya.serializers import Serializer
from lilya.types import ASGIApp, Message, Receive, Scope, Send
from lilya.websockets import WebSocket
from tests.contract.peer import CLOSED, CONNECT, Peer, connected, converse, disconnect, text_frame, websocket_scope
from tests.waiting_peer import WaitingPeer, turns

ACCEPTED: Message = {"type": "websocket.accept", "subprotocol": None, "headers": []}
GIVEN_UP: Message = {"type": "websocket.close", "code": 1012, "reason": "service restart"}


@pytest.fixture(autouse=True)
def log_everything(caplog: pytest.LogCaptureFixture) -> None:
    """`caplog.records` is the log of one test, from DEBUG upwards."""
    caplog.set_level(logging.DEBUG, "lilya")


def conducted(app: ASGIApp, watch: Watch | None = None) -> ASGIApp:
    """`app` as the outermost application runs it."""
    watch = watch or Watch()

    async def outermost(scope: Scope, receive: Receive, send: Send) -> None:
        await conduct(app, {**scope}, receive, send, watch)

    return outermost


def handling(handler: Callable[[WebSocket], Any]) -> ASGIApp:
    """A handler that is given a `WebSocket`, as an application."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await handler(WebSocket(scope, receive, send))

    return app


def faults(caplog: pytest.LogCaptureFixture) -> list[BaseException | None]:
    """The exceptions that were logged at ERROR."""
    return [record.exc_info[1] if record.exc_info else None for record in caplog.records if record.levelno >= 40]


def status_and_body(peer: Peer) -> tuple[int, bytes]:
    """The HTTP response that a peer was sent."""
    assert peer.sent[-1].get("more_body", False) is False
    return peer.sent[0]["status"], b"".join(message["body"] for message in peer.sent[1:])


# --- Around an application -------------------------------------------------------------------------------------------


async def test_conduct_puts_one_wire_into_the_scope() -> None:
    """Inside another application that does so already, the inner one is simply called."""
    wires: list[Any] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        wires.append(scope[WIRE])
        await WebSocket(scope, receive, send).close()

    async def outer(scope: Scope, receive: Receive, send: Send) -> None:
        wires.append(scope[WIRE])
        await conduct(inner, {**scope}, receive, send, Watch())

    peer = await converse(conducted(outer))
    assert len(set(wires)) == 1
    assert len(wires) == 2
    assert peer.sent == [CLOSED]


async def test_conduct_refuses_other_scopes() -> None:
    """A lifespan is for an application, and the text says so."""
    peer = Peer()
    with pytest.raises(RuntimeError, match="'lifespan'"):
        await conduct(handling(WebSocket.close), {"type": "lifespan"}, peer.receive, peer.send, Watch())


async def test_conduct_uses_the_codec_it_is_given() -> None:
    """JSON is written and read by the application's serializer."""

    class Loud(Serializer):
        def dumps(self, value: Any) -> str:
            return f"!{value}"

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_json(1)

    watch = Watch()
    watch.codec = Loud()
    peer = await converse(conducted(handling(handler), watch))
    assert peer.sent[1]["text"] == "!1"


async def test_conduct_sets_the_context() -> None:
    """`lilya.context` shows the connection that is being served, WebSocket or HTTP."""
    paths: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        paths.append(request_context["path"])
        await PlainText("x")(scope, receive, send)

    await converse(conducted(app), scope=websocket_scope("/ws"))
    await converse(conducted(app), scope={"type": "http", "method": "GET", "path": "/http", "headers": []})
    assert paths == ["/ws", "/http"]


async def test_connection_is_freed_when_it_has_ended() -> None:
    """No cycle keeps a `WebSocket` of a connection alive that ended without an exception."""
    kept: list[weakref.ref[WebSocket]] = []

    async def handler(websocket: WebSocket) -> None:
        kept.append(weakref.ref(websocket))
        websocket._wire.websocket = websocket
        await websocket.accept()

    gc.collect()
    gc.disable()
    try:
        await converse(conducted(handling(handler)))
        assert [reference() for reference in kept] == [None]
    finally:
        gc.enable()


# --- A return --------------------------------------------------------------------------------------------------------


async def test_return_closes_what_is_open() -> None:
    """1000 after accept; a close of the handler's own stands."""

    async def closing(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.close(4000)

    assert (await converse(conducted(handling(WebSocket.accept)))).sent == [ACCEPTED, CLOSED]
    assert (await converse(conducted(handling(closing)))).sent == [ACCEPTED, {**CLOSED, "code": 4000}]


async def test_return_after_the_client_left_says_nothing() -> None:
    """In the handshake or later."""

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        assert [text async for text in websocket.iter_text()] == ["a"]

    async def looking(websocket: WebSocket) -> None:
        assert await websocket.receive() == disconnect(1006)

    peer = await converse(conducted(handling(handler)), text_frame("a"), disconnect())
    assert peer.sent == [ACCEPTED]
    peer = Peer(disconnect(1006))
    await conducted(handling(looking))(websocket_scope(), peer.receive, peer.send)
    assert peer.sent == []


async def test_return_without_an_answer_is_404_and_an_error(caplog: pytest.LogCaptureFixture) -> None:
    """Also when not even the connect message was received."""

    async def nothing(scope: Scope, receive: Receive, send: Send) -> None: ...

    async def receiving(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()

    for app in (nothing, receiving):
        caplog.clear()
        peer = await converse(conducted(app))
        assert status_and_body(peer) == (404, b"The resource cannot be found.")
        (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
        assert "returned without accept() or close()" in record.getMessage()


async def test_return_in_the_middle_of_a_denial_completes_it() -> None:
    """The body that was begun gets its end."""

    async def handler(websocket: WebSocket) -> None:
        await websocket.send({"type": "websocket.http.response.start", "status": 401, "headers": []})

    assert status_and_body(await converse(conducted(handling(handler)))) == (401, b"")


async def test_continue_routing_out_of_everything_is_404(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody took it: not found, and no mistake."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise ContinueRouting

    assert status_and_body(await converse(conducted(app)))[0] == 404
    assert faults(caplog) == []


async def test_finish_closes_only_what_is_open() -> None:
    """Nothing before accept, nothing after the end."""
    websocket, peer = connected()
    await finish(websocket)
    await finish(websocket)
    assert peer.sent == [CLOSED]


# --- A client that leaves while we end -------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [None, HTTPException(status_code=401), ValueError()])
async def test_client_that_leaves_while_the_connection_is_ended_is_no_error(
    caplog: pytest.LogCaptureFixture, error: Exception | None
) -> None:
    """Before accept and after it: nothing is sent, and nothing comes out."""

    async def handler(websocket: WebSocket) -> None:
        if error is not None:
            raise error

    peer = Peer(disconnect(1006))
    await conducted(handling(handler))(websocket_scope(), peer.receive, peer.send)
    assert peer.sent == []

    async def accepting(websocket: WebSocket) -> None:
        await websocket.accept()
        peer.gone = True
        if error is not None:
            raise error

    peer = Peer(CONNECT)
    await conducted(handling(accepting))(websocket_scope(), peer.receive, peer.send)
    assert peer.sent == [ACCEPTED]
    assert [fault for fault in faults(caplog) if fault is not None] == [error] * (2 * isinstance(error, ValueError))


async def test_client_that_vanishes_in_a_denial_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    """The start was sent, the body finds nobody."""

    async def handler(websocket: WebSocket) -> None:
        await websocket.send({"type": "websocket.http.response.start", "status": 401, "headers": []})
        peer.gone = True

    peer = Peer(CONNECT)
    await conducted(handling(handler))(websocket_scope(), peer.receive, peer.send)
    assert peer.kinds == ["http.response.start"]
    assert faults(caplog) == []


# --- Exceptions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("extensions", [{"websocket.http.response": {}}, {}])
async def test_exception_that_is_a_disconnect_before_accept_refuses(extensions: dict[str, Any]) -> None:
    """Raised by the handler itself, while the client waits for an answer: 403."""

    async def handler(websocket: WebSocket) -> None:
        raise WebSocketDisconnect(1001)

    peer = await converse(conducted(handling(handler)), scope=websocket_scope(extensions=extensions))
    assert peer.sent == [CLOSED]


async def test_exception_with_a_status_that_cannot_be_sent_is_a_fault(caplog: pytest.LogCaptureFixture) -> None:
    """A close code in the place of a status, for instance: 500 and an ERROR instead of a server that chokes on it."""
    for status in (0, 101, 1008):
        error = HTTPException(status_code=status, detail="secret")

        async def handler(websocket: WebSocket, error: Exception = error) -> None:
            raise error

        assert status_and_body(await converse(conducted(handling(handler)))) == (500, b"")
        assert faults(caplog) == [error]
        caplog.clear()


async def test_exception_with_a_response_that_fails_is_500(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    """The failure is logged, and the client gets an answer all the same."""

    async def handler(websocket: WebSocket) -> None:
        raise HTTPException(status_code=403, response=FileResponse(tmp_path / "missing"))

    assert status_and_body(await converse(conducted(handling(handler)))) == (500, b"")
    (fault,) = faults(caplog)
    assert isinstance(fault, RuntimeError)


async def test_exception_with_headers_that_cannot_be_sent_is_500(caplog: pytest.LogCaptureFixture) -> None:
    """A line break in a header is refused here, and reaches nobody."""

    async def handler(websocket: WebSocket) -> None:
        raise HTTPException(status_code=401, headers={"x-why": "a\r\nset-cookie: b=c"})

    assert status_and_body(await converse(conducted(handling(handler)))) == (500, b"")
    (fault,) = faults(caplog)
    assert isinstance(fault, ValueError)


async def test_exception_of_a_server_that_refuses_our_close_comes_to_an_end(caplog: pytest.LogCaptureFixture) -> None:
    """The answer, then the answer for the complaint, and no more."""
    peer = Peer(CONNECT)

    async def refusing(message: Message) -> None:
        peer.sent.append(message)
        raise RuntimeError("a server's complaint")

    async def handler(websocket: WebSocket) -> None:
        raise HTTPException(status_code=401)

    await conducted(handling(handler))(websocket_scope(), peer.receive, refusing)
    assert [message["status"] for message in peer.sent] == [401, 500]
    assert [str(fault) for fault in faults(caplog)] == ["a server's complaint"] * 2


async def test_exception_in_a_denial_that_has_begun_ends_it(caplog: pytest.LogCaptureFixture) -> None:
    """A long streaming response fails after its first part was sent: the body ends there."""

    async def parts() -> AsyncIterator[bytes]:
        yield b"x" * 100_000
        raise ValueError("secret")

    async def handler(websocket: WebSocket) -> None:
        await websocket.send_denial_response(StreamingResponse(parts(), status_code=401))

    assert status_and_body(await converse(conducted(handling(handler)))) == (401, b"x" * 100_000)
    assert [str(fault) for fault in faults(caplog)] == ["secret"]


async def test_exception_is_told_to_a_test_client(caplog: pytest.LogCaptureFixture) -> None:
    """Faults of either side, once; answers are not."""

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        if websocket["path"] == "/answer":
            raise WebSocketException(4000)
        if websocket["path"] == "/fault":
            raise error
        await websocket.receive_bytes()

    error = ValueError()
    heard: list[BaseException] = []
    for path in ("/answer", "/fault", "/peer"):
        scope = websocket_scope(path, extensions={"lilya.errors": {"report": heard.append}})
        await converse(conducted(handling(handler)), text_frame("x"), scope=scope)
    assert heard[0] is error
    assert [type(other).__name__ for other in heard[1:]] == ["UnexpectedMessage"]
    assert faults(caplog) == [error]


async def test_cancellation_goes_through() -> None:
    """A connection that the server gives up is closed first, and the clean-ups have run."""
    done: list[str] = []
    waiting = asyncio.Event()

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        websocket.add_cleanup(lambda: done.append("clean"))
        waiting.set()
        await asyncio.Event().wait()

    peer = Peer(CONNECT)
    task = asyncio.create_task(_run(conducted(handling(handler)), peer))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (peer.sent, done) == ([ACCEPTED, GIVEN_UP], ["clean"])


async def cancelled_child() -> None:
    """Raises the `CancelledError` of a task that the caller itself has cancelled."""
    child = asyncio.create_task(asyncio.Event().wait())
    child.cancel()
    await child


@pytest.mark.parametrize(
    ("path", "sent"), [("/before", ["http.response.start", "http.response.body"]), ("/after", [1011])]
)
async def test_cancellation_of_the_handlers_own_making_is_a_fault(
    caplog: pytest.LogCaptureFixture, path: str, sent: list[object]
) -> None:
    """It waited for a task that it had cancelled; nobody has cancelled the connection."""

    async def handler(websocket: WebSocket) -> None:
        if path == "/after":
            await websocket.accept()
        await cancelled_child()

    peer = await converse(conducted(handling(handler)), scope=websocket_scope(path))
    assert [message.get("code", kind) for message, kind in zip(peer.sent, peer.kinds, strict=True)][
        -len(sent) :
    ] == sent
    assert [type(fault) for fault in faults(caplog)] == [asyncio.CancelledError]
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert path in record.getMessage()


async def test_layer_that_fails_to_send_is_a_fault(caplog: pytest.LogCaptureFixture) -> None:
    """An `OSError` of a middleware's `send` is not a client that left: ERROR, and a close."""
    error = TimeoutError("a database")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def counting(message: Message) -> None:
            if message["type"] == "websocket.send":
                raise error
            await send(message)

        websocket = WebSocket(scope, receive, counting)
        await websocket.accept()
        await websocket.send_text("x")

    peer = await converse(conducted(app))
    assert peer.sent == [ACCEPTED, {**CLOSED, "code": 1011}]
    assert faults(caplog) == [error]


async def test_exception_that_cannot_be_told_ends_like_any_other(caplog: pytest.LogCaptureFixture) -> None:
    """Its `__str__` raises: one ERROR, the close, and the clean-ups."""
    done: list[str] = []

    class UnspeakableError(Exception):
        def __str__(self) -> str:
            raise ValueError

    async def handler(websocket: WebSocket) -> None:
        websocket.add_cleanup(lambda: done.append("clean"))
        await websocket.accept()
        raise UnspeakableError

    peer = await converse(conducted(handling(handler)))
    assert (peer.sent, done) == ([ACCEPTED, {**CLOSED, "code": 1011}], ["clean"])
    assert [type(fault) for fault in faults(caplog)] == [UnspeakableError]


async def _run(app: ASGIApp, peer: Peer) -> None:
    await app(websocket_scope(), peer.receive, peer.send)


# --- An end from outside ---------------------------------------------------------------------------------------------


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged about connections, without their names and times."""
    lines = [record.getMessage() for record in caplog.records if record.name == "lilya.websocket"]
    return [re.sub(r" id=[0-9a-f]{16}| seconds=\d+\.\d{3}", "", line) for line in lines]


async def test_handshake_while_the_application_shuts_down_is_503(caplog: pytest.LogCaptureFixture) -> None:
    """With `Retry-After`, and nothing of the application runs."""
    watch = Watch()
    watch.draining = True
    peer = await converse(conducted(handling(WebSocket.accept), watch))
    assert status_and_body(peer)[0] == 503
    assert (b"retry-after", b"1") in peer.sent[0]["headers"]
    assert told(caplog) == ["503 /: the application is shutting down"]
    assert watch.stats().refusals == {"draining": 1}


async def test_handler_that_is_given_up_before_accept_is_refused_with_the_verdict() -> None:
    """Whoever cancels it says why; the server's task is none the worse for it."""

    async def handler(websocket: WebSocket) -> None:
        websocket._wire.verdict = HTTPException(status_code=503)
        websocket._wire.cancel()
        await asyncio.Event().wait()

    peer = await converse(conducted(handling(handler)))
    assert status_and_body(peer) == (503, b"Service Unavailable")
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


@pytest.mark.parametrize("swallows", [False, True])
async def test_handler_that_is_given_up_after_the_client_left_ends_quietly(
    caplog: pytest.LogCaptureFixture, swallows: bool
) -> None:
    """It is cancelled, perhaps more than once, and cleaned up after; no ERROR, and no cancellation is left behind."""
    done: list[str] = []

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        websocket.add_cleanup(lambda: done.append("clean"))
        wire = websocket._wire
        wire.over(1006, "", "client")
        wire.cancel()
        if swallows:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            wire.cancel()
        await asyncio.Event().wait()

    peer = await converse(conducted(handling(handler)))
    task = asyncio.current_task()
    assert task is not None
    assert (peer.sent, done, task.cancelling()) == ([ACCEPTED], ["clean"], 0)
    assert faults(caplog) == []
    assert told(caplog)[1:] == ["close / route=- code=1006 by=client in=0 out=0"]


async def test_handler_that_swallows_our_cancellation_and_returns_leaves_no_trace() -> None:
    """The server may have more use for its task."""

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        websocket._wire.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    peer = await converse(conducted(handling(handler)))
    task = asyncio.current_task()
    assert task is not None
    assert (peer.sent, task.cancelling()) == ([ACCEPTED, CLOSED], 0)


async def test_cancellation_by_the_server_goes_through_beside_ours() -> None:
    """Both at once: the server's is not taken back."""
    waiting = asyncio.Event()
    wires: list[Wire] = []

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        wires.append(websocket._wire)
        waiting.set()
        await asyncio.Event().wait()

    peer = Peer(CONNECT)
    task = asyncio.create_task(_run(conducted(handling(handler)), peer))
    await waiting.wait()
    wires[0].cancel()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (peer.sent, task.cancelled(), task.cancelling()) == ([ACCEPTED, GIVEN_UP], True, 1)


async def test_return_waits_for_the_close_frame_that_was_begun_from_outside(caplog: pytest.LogCaptureFixture) -> None:
    """The handler is told and returns before the frame is out: the application returns when it is."""
    frame = asyncio.Event()
    peer = Peer(CONNECT)
    returned = asyncio.Event()

    async def send(message: Message) -> None:
        if message["type"] == "websocket.close":
            await frame.wait()
        await peer.send(message)

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        websocket._wire.end_soon(1001, "idle", "limit", "because")
        returned.set()

    task = asyncio.ensure_future(conducted(handling(handler))(websocket_scope(), peer.receive, send))
    await returned.wait()
    await turns()
    assert not task.done()
    frame.set()
    await task
    assert peer.sent == [ACCEPTED, {**CLOSED, "code": 1001, "reason": "idle"}]
    assert told(caplog)[1:] == ["close / route=- code=1001 by=limit in=0 out=0: because"]


async def test_close_frame_that_nobody_takes_is_given_up(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a time the connection ends without it."""
    monkeypatch.setattr(_session, "CLOSE_SECONDS", 0)
    peer = Peer(CONNECT)

    async def send(message: Message) -> None:
        if message["type"] == "websocket.close":
            await asyncio.Event().wait()
        await peer.send(message)

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        websocket._wire.end_soon(1001, "idle", "limit")

    await conducted(handling(handler))(websocket_scope(), peer.receive, send)
    assert (peer.sent, faults(caplog)) == ([ACCEPTED], [])


@pytest.mark.parametrize("error", [RuntimeError("a server's complaint"), asyncio.CancelledError()])
async def test_close_frame_that_the_server_refuses_is_reported(
    caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    """One ERROR; a server that is about to stop may cancel it."""
    peer = Peer(CONNECT)

    async def send(message: Message) -> None:
        if message["type"] == "websocket.close":
            raise error
        await peer.send(message)

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        websocket._wire.end_soon(1001, "idle", "limit")

    await conducted(handling(handler))(websocket_scope(), peer.receive, send)
    assert faults(caplog) == ([error] if isinstance(error, RuntimeError) else [])


async def test_reading_ahead_ends_with_the_handler() -> None:
    """What it has read and nobody took is counted as dropped."""
    watch = Watch()
    server = WaitingPeer()

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        inbox = websocket._wire.inbox = Inbox(websocket._wire)
        inbox.start()
        server.feed(text_frame("a"), text_frame("b"))
        await turns()
        assert await websocket.receive_text() == "a"

    server.feed(CONNECT)
    await conducted(handling(handler), watch)(websocket_scope(), server.receive, server.send)
    assert (server.receiving, server.closes) == (0, [(1000, "")])
    stats = watch.stats()
    assert (stats.open, stats.received, stats.drops) == (0, 1, 1)


# --- The log ---------------------------------------------------------------------------------------------------------


async def test_connection_is_one_line_at_its_beginning_and_one_at_its_end(caplog: pytest.LogCaptureFixture) -> None:
    """With the path without its query, the code, who ended it and what was said; INFO, and nothing else."""

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(text)
            await websocket.send_text(text)

    scope = websocket_scope("/x", query_string=b"token=secret")
    await converse(conducted(handling(handler)), text_frame("a"), disconnect(4001, "bye"), scope=scope)
    assert told(caplog) == ["open /x route=-", "close /x route=- code=4001 by=client in=1 out=2"]
    assert {(record.name, record.levelno) for record in caplog.records} == {("lilya.websocket", logging.INFO)}


@pytest.mark.parametrize(
    ("error", "level", "text"),
    [
        (None, logging.INFO, "code=1000 by=application in=0 out=0"),
        (
            WebSocketException(4000, "a\nb"),
            logging.INFO,
            "code=4000 by=application in=0 out=0: 4000: a\\nb",
        ),
        (
            HTTPException("why", status_code=503),
            logging.WARNING,
            "code=1011 by=application in=0 out=0: why",
        ),
        (ValueError("secret"), logging.INFO, "code=1011 by=error in=0 out=0: ValueError"),
        (WebSocketDisconnect(1001), logging.INFO, "code=1011 by=application in=0 out=0"),
    ],
)
async def test_connection_that_ended_with_an_exception_says_which(
    caplog: pytest.LogCaptureFixture, error: Exception | None, level: int, text: str
) -> None:
    """The text of an answer; the type of a fault, which has a record of its own."""

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        if error is not None:
            raise error

    await converse(conducted(handling(handler)))
    assert told(caplog)[1:] == [f"close / route=- {text}"]
    assert [record.levelno for record in caplog.records if record.name == "lilya.websocket"] == [logging.INFO, level]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (None, "403 /: close() before accept()"),
        (HTTPException(status_code=418, detail="tea\n"), "418 /: tea\\n"),
        (PermissionDenied(), "403 /: You do not have permission to perform this action."),
        (WebSocketException(4000, "why"), "403 /: 4000: why"),
        (ValueError("secret"), "500 /: ValueError"),
    ],
)
async def test_handshake_that_was_refused_is_one_line(
    caplog: pytest.LogCaptureFixture, error: Exception | None, text: str
) -> None:
    """Status and cause; one that ended before there was an answer says that the client left."""

    async def handler(websocket: WebSocket) -> None:
        if error is not None:
            raise error
        await websocket.close(4000)

    await converse(conducted(handling(handler)))
    assert told(caplog) == [text]
    caplog.clear()
    peer = Peer(disconnect(1006))
    await conducted(handling(WebSocket.accept))(websocket_scope(), peer.receive, peer.send)
    assert told(caplog) == ["left /: the client left before there was an answer"]


# --- Clean-ups -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["return", "close", "raise", "refuse", "left", "left unread"])
async def test_cleanups_run_once_whatever_ends_the_connection(end: str) -> None:
    """In the order in which they were added, when the connection is over."""
    done: list[object] = []

    async def handler(websocket: WebSocket) -> None:
        websocket.add_cleanup(lambda: done.append(websocket.closed))
        websocket.add_cleanup(lambda: done.append("second"))
        if end == "refuse":
            raise HTTPException(status_code=401)
        await websocket.accept()
        if end == "close":
            await websocket.close()
        if end == "raise":
            raise ValueError
        if end == "left":
            await websocket.receive_text()
        if end == "left unread":
            peer.gone = True
            await websocket.send_text("x")

    peer = Peer(CONNECT, disconnect())
    await conducted(handling(handler))(websocket_scope(), peer.receive, peer.send)
    assert done == [True, "second"]


async def test_cleanup_that_fails_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    """After the client left, after a return, while an exception is translated: one ERROR, and the same end."""
    error = ValueError("clean-up")

    def fail() -> None:
        raise error

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        websocket.add_cleanup(fail)
        if websocket["path"] == "/left":
            await websocket.receive_text()
        if websocket["path"] == "/raise":
            raise WebSocketException(4000)

    sent = {}
    for path in ("/left", "/return", "/raise"):
        peer = await converse(conducted(handling(handler)), disconnect(), scope=websocket_scope(path))
        sent[path] = [message["code"] for message in peer.sent[1:]]
    assert sent == {"/left": [], "/return": [1000], "/raise": [4000]}
    assert faults(caplog) == [error] * 3


# --- HTTP ------------------------------------------------------------------------------------------------------------

HTTP: Scope = {"type": "http", "method": "GET", "path": "/x", "headers": []}


async def test_http_answer_is_passed_on() -> None:
    """What the application answers is the answer."""
    assert status_and_body(await converse(conducted(PlainText("hi")), scope=HTTP)) == (200, b"hi")


@pytest.mark.parametrize(
    ("error", "status", "body", "fault"),
    [
        (None, 404, b"The resource cannot be found.", False),
        (ContinueRouting(), 404, b"The resource cannot be found.", False),
        (HTTPException(status_code=418, detail="tea"), 418, b"tea", False),
        (ValueError("secret"), 500, b"Internal Server Error", True),
        (ImproperlyConfigured("secret"), 500, b"Internal Server Error", True),
        (WebSocketException(4000, "secret"), 500, b"Internal Server Error", True),
    ],
)
async def test_http_exception_is_answered(
    caplog: pytest.LogCaptureFixture, error: BaseException | None, status: int, body: bytes, fault: bool
) -> None:
    """An answer with its status, a fault with 500 and one ERROR, nothing at all with 404."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if error is not None:
            raise error

    assert status_and_body(await converse(conducted(app), scope=HTTP)) == (status, body)
    assert faults(caplog) == ([error] if fault else [])


async def test_http_debug_names_the_type_of_a_fault() -> None:
    """Its text stays inside."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError("secret")

    watch = Watch()
    watch.debug = True
    peer = await converse(conducted(app, watch), scope=HTTP)
    assert status_and_body(peer) == (500, b"Internal Server Error: ValueError")


async def test_http_exception_after_the_response_has_begun_is_the_servers() -> None:
    """Only the server can cut it off, and it logs the error."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ValueError("late")

    with pytest.raises(ValueError, match="late"):
        await converse(conducted(app), scope=HTTP)


async def test_http_cancellation_of_the_handlers_own_making_is_500(caplog: pytest.LogCaptureFixture) -> None:
    """A real one goes through, and so does one in the middle of a response, which only the server can cut off."""
    begun = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/late":
            await send({"type": "http.response.start", "status": 200, "headers": []})
        if scope["path"] == "/real":
            begun.set()
            await asyncio.Event().wait()
        await cancelled_child()

    assert status_and_body(await converse(conducted(app), scope=HTTP)) == (500, b"Internal Server Error")
    assert [type(fault) for fault in faults(caplog)] == [asyncio.CancelledError]
    with pytest.raises(asyncio.CancelledError):
        await converse(conducted(app), scope={**HTTP, "path": "/late"})
    task = asyncio.create_task(converse(conducted(app), scope={**HTTP, "path": "/real"}))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def read_json(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with what was sent, after having begun to if the path says so."""
    if scope["path"] == "/late":
        await send({"type": "http.response.start", "status": 200, "headers": []})
    await JSONResponse(await Request(scope, receive, send).json())(scope, receive, send)


@pytest.mark.parametrize(
    "message",
    [
        {"type": "http.request", "body": b"{", "more_body": False},
        {"type": "http.disconnect"},
    ],
)
async def test_http_mistake_of_the_client_is_400(caplog: pytest.LogCaptureFixture, message: Message) -> None:
    """A body that is no JSON, or does not come to its end: one line of INFO."""
    peer = Peer(message)
    await conducted(read_json)(HTTP, peer.receive, peer.send)
    assert status_and_body(peer) == (400, b"Bad Request")
    (record,) = caplog.records
    assert (record.levelno, record.exc_info) == (logging.INFO, None)
    assert "/x" in record.getMessage()


async def test_http_client_that_leaves_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    """Before the response has begun, while it is sent, and while a mistake is answered."""
    for path, gone in (("/late", False), ("/x", True)):
        peer = Peer({"type": "http.disconnect"}, gone=gone)
        await conducted(read_json)({**HTTP, "path": path}, peer.receive, peer.send)
    peer = Peer(gone=True)
    await conducted(PlainText("x"))(HTTP, peer.receive, peer.send)
    assert [record.levelno for record in caplog.records] == [logging.INFO] * 3


@pytest.mark.parametrize(
    "error",
    [
        HTTPException(status_code=401, headers={"x-why": "a\r\nset-cookie: b=c"}),
        HTTPException(status_code=401, detail="\ud800"),
    ],
)
async def test_http_answer_that_cannot_be_sent_is_500(caplog: pytest.LogCaptureFixture, error: Exception) -> None:
    """The failure is logged once, and the client gets an answer all the same."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise error

    assert status_and_body(await converse(conducted(app), scope=HTTP)) == (500, b"Internal Server Error")
    (fault,) = faults(caplog)
    assert isinstance(fault, ValueError)


async def test_http_answer_that_fails_after_it_has_begun_is_the_servers() -> None:
    """The response of an exception, like any other."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise HTTPException(status_code=401, response=late)

    async def late(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 401, "headers": []})
        raise ValueError("late")

    with pytest.raises(ValueError, match="late"):
        await converse(conducted(app), scope=HTTP)


@pytest.mark.parametrize("kind", ["fault", "answer", "clean-up"])
async def test_exception_is_freed_when_the_connection_has_ended(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """No cycle between an exception and its traceback is left to the garbage collector, HTTP or WebSocket."""
    kept: list[weakref.ref[BaseException]] = []
    monkeypatch.setattr(logging.getLogger("lilya"), "disabled", True)  # what keeps the records keeps the exceptions

    def fail() -> None:
        error = HTTPException(status_code=401) if kind == "answer" else ValueErrorOfOurs()
        kept.append(weakref.ref(error))
        try:
            raise error
        finally:
            del error

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            fail()
        websocket = WebSocket(scope, receive, send)
        await websocket.accept()
        if kind != "clean-up":
            fail()
        websocket.add_cleanup(fail)

    gc.collect()
    gc.disable()
    try:
        await converse(conducted(app))
        await converse(conducted(app), scope=HTTP)
        assert [reference() for reference in kept] == [None, None]
    finally:
        gc.enable()


class ValueErrorOfOurs(ValueError):
    """One that can be referred to weakly."""


async def test_denial_that_the_server_cannot_send_is_refused_at_the_call() -> None:
    """A raw application is told, too, and may close instead."""
    told: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send({"type": "websocket.http.response.start", "status": 401, "headers": []})
        except RuntimeError as error:
            told.append(str(error))
        await send({"type": "websocket.close"})

    peer = Peer(CONNECT)
    await conduct(app, {**websocket_scope(), "extensions": {}}, peer.receive, peer.send, Watch())
    assert (told, peer.kinds) == (["The server doesn't support the Websocket Denial Response extension."], ["close"])
