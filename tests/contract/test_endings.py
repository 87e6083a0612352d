"""
Where a connection can end: in the handler, in each layer around it, in what is mounted.

What the connection contract promises holds at all these places, on a real uvicorn with both of its WebSocket protocols
and on the test client. How it holds on every server, in a handler, is in `test_contract.py`.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from lilya.apps import ChildLilya, Lilya
from lilya.dependencies import Provide
from lilya.exceptions import ContinueRouting, HTTPException, WebSocketException
from lilya.permissions import DefinePermission
from lilya.protocols.middleware import MiddlewareProtocol
from lilya.protocols.permissions import PermissionProtocol
from lilya.routing import Include, Router, WebSocketPath
from lilya.types import ASGIApp, Receive, Scope, Send
from lilya.websockets import WebSocket, WebSocketClose, WebSocketDisconnect
from tests.contract.doors import DOORS, Client, Door, open_door

SECRET = "token=7b1f in /srv/app.py"


@pytest.fixture(scope="module", params=DOORS)
def door(request: pytest.FixtureRequest) -> Iterator[Door]:
    """Each way to reach an application in turn."""
    with open_door(request.param) as opened:
        yield opened


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[Log]:
    """The log of one test, from DEBUG upwards."""
    with caplog.at_level(logging.DEBUG):
        yield Log(caplog)


class Log:
    """What was logged, by anybody in this process."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self.caplog = caplog

    def last_line(self) -> str:
        """What the log of connections says about the end, the name of the connection and its time left out."""
        lines = [record.getMessage() for record in self.caplog.records if record.name == "lilya.websocket"]
        opened = [line for line in lines if line.startswith("open ")]
        (ended,) = [line for line in lines if line not in opened]
        assert len(opened) == ended.startswith("close ")
        before, _, after = ended.partition(" id=")
        return before.partition(" seconds=")[0] + after[16:]

    def faults(self) -> list[logging.LogRecord]:
        """Everything from WARNING upwards."""
        return [record for record in self.caplog.records if record.levelno >= logging.WARNING]

    def one_fault(self, path: str, connection_id: str, error: BaseException) -> None:
        """Assert "ERROR once": one record in the whole process, with path, connection and the user's traceback."""
        (record,) = self.faults()
        assert (record.name, record.levelno) == ("lilya", logging.ERROR)
        assert path in record.getMessage()
        assert f"[{connection_id}]" in record.getMessage()
        assert "secret" not in record.getMessage()
        assert record.exc_info is not None
        assert record.exc_info[1] is error
        traceback = record.exc_info[2]
        while traceback is not None and traceback.tb_next is not None:
            traceback = traceback.tb_next
        assert traceback is not None
        assert traceback.tb_frame.f_code.co_filename == __file__


# The ids of the connections that a test has made; see `noting_ids`.
IDS: list[str] = []


def noting_ids(app: Lilya) -> Lilya:
    """The same application with an outermost middleware that notes `websocket.id`."""

    class Noting(MiddlewareProtocol):
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            IDS.append(WebSocket(scope, receive, send).id)
            await self.app(scope, receive, send)

    IDS.clear()
    app.add_middleware(Noting)
    return app


# --- Exceptions at every place ---------------------------------------------------------------------------------------


def raising_app(place: str, error: Exception, *, accept: bool, debug: bool = False) -> Lilya:
    """An application whose route `/x` raises `error` at one place, before or after accepting."""

    class Raising(PermissionProtocol):
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await fail(WebSocket(scope, receive, send))

    async def fail(websocket: WebSocket) -> None:
        if accept:
            await websocket.accept()
        raise error

    async def provide(websocket: WebSocket) -> int:
        await fail(websocket)
        return 1

    async def handler(websocket: WebSocket) -> None:
        if place == "handler":
            await fail(websocket)

    async def asking(websocket: WebSocket, needed: int) -> None:
        raise AssertionError("never started")

    if place == "dependency":
        return Lilya(routes=[WebSocketPath("/x", asking, dependencies={"needed": Provide(provide)})], debug=debug)
    if place == "sub-app":
        child = ChildLilya(routes=[WebSocketPath("/", fail)])
        return Lilya(routes=[Include("/x", app=child)], debug=debug)
    if place == "sub-router":
        return Lilya(routes=[Include("/x", app=Router([WebSocketPath("/", fail)]))], debug=debug)
    if place == "raw app":
        return Lilya(routes=[Include("/x", app=Raising(WebSocketClose()))], debug=debug)
    app_layers: dict[str, Any] = {
        "app middleware": {"middleware": [Raising]},
        "app permission": {"permissions": [Raising]},
    }
    layers: dict[str, Any] = {
        "middleware": {"middleware": [Raising]},
        "permission": {"permissions": [DefinePermission(Raising)]},
    }
    include_layers: dict[str, Any] = {
        "include middleware": {"middleware": [Raising]},
        "include permission": {"permissions": [Raising]},
    }
    route = WebSocketPath("/x", handler, **layers.get(place, {}))
    if place in include_layers:
        return Lilya(routes=[Include("/", routes=[route], **include_layers[place])], debug=debug)
    return Lilya(routes=[route], debug=debug, **app_layers.get(place, {}))


PLACES = [
    "handler",
    "dependency",
    "permission",
    "middleware",
    "include permission",
    "include middleware",
    "app permission",
    "app middleware",
    "sub-app",
    "sub-router",
    "raw app",
]


class SecretError(Exception):
    """An error whose text nobody outside may see."""


@dataclass(frozen=True)
class Ending:
    """
    How a connection ends with an exception.

    Attributes:
        status, body: Before accept.
        code, reason: After accept.
        line: What the last line of the log says about it.
    """

    status: int
    body: bytes
    code: int
    reason: str
    line: str


ENDINGS: list[tuple[Exception, Ending]] = [
    (
        HTTPException(status_code=429, detail="slow down", headers={"retry-after": "3"}),
        Ending(429, b"slow down", 4429, "slow down", "slow down"),
    ),
    (WebSocketException(4321, "why"), Ending(403, b"", 4321, "why", "4321: why")),
]


@pytest.mark.parametrize(("error", "ending"), ENDINGS, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("accept", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("place", PLACES)
def test_answer_is_the_same_everywhere(
    door: Door, log: Log, place: str, accept: bool, error: Exception, ending: Ending
) -> None:
    """A denial with status, detail and headers, or a close with its code and reason; one line says which."""
    seen = door.visit(raising_app(place, error, accept=accept), "/x?token=secret")
    assert seen.raised is None
    if accept:
        assert (seen.status, seen.close) == (101, (ending.code, ending.reason))
        before, _, why = log.last_line().partition(": ")
        assert before.startswith("close /x route=")
        assert before.endswith(f" code={ending.code} by=application")
        assert why == ending.line
    else:
        assert (seen.status, seen.body) == (ending.status, ending.body)
        assert seen.headers.get("retry-after") == ("3" if ending.status == 429 else None)
        assert log.last_line() == f"{ending.status} /x: {ending.line}"
    assert log.faults() == []


@pytest.mark.parametrize("debug", [False, True], ids=["", "debug"])
@pytest.mark.parametrize("accept", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("place", PLACES)
def test_fault_is_the_same_everywhere(door: Door, log: Log, place: str, accept: bool, debug: bool) -> None:
    """A denial 500 without a word, or close 1011 without a reason, in debug mode with the error's type; ERROR once."""
    error = SecretError(SECRET)
    seen = door.visit(noting_ids(raising_app(place, error, accept=accept, debug=debug)), "/x?token=secret")
    assert seen.raised is None
    if accept:
        assert (seen.status, seen.close) == (101, (1011, "SecretError" if debug else ""))
        assert log.last_line().endswith(" code=1011 by=error: SecretError")
    else:
        assert (seen.status, seen.body) == (500, b"")
        assert log.last_line() == "500 /x: SecretError"
    log.one_fault("/x", IDS.pop(), error)
    assert SECRET not in str(seen)


# --- Another route has its turn --------------------------------------------------------------------------------------


def test_return_without_an_answer_gives_the_next_route_its_turn(door: Door, log: Log) -> None:
    """The next route that matches sees the handshake as it was."""

    async def silent(websocket: WebSocket) -> None:
        await websocket.receive()

    async def answer(websocket: WebSocket, name: str) -> None:
        await websocket.accept()
        await websocket.send_text(name)

    app = Lilya(routes=[WebSocketPath("/x", silent), WebSocketPath("/{name}", answer)])
    seen = door.visit(app, "/x")
    assert (seen.messages, seen.close, seen.raised) == (["x"], (1000, ""), None)
    (record,) = log.faults()
    assert "returned without accept() or close()" in record.getMessage()


def test_continue_routing_gives_the_next_route_its_turn(door: Door, log: Log) -> None:
    """Raising `ContinueRouting` says the same on purpose: no ERROR."""

    async def pass_on(websocket: WebSocket) -> None:
        await websocket.receive()
        raise ContinueRouting

    async def answer(websocket: WebSocket) -> None:
        await websocket.accept()

    app = Lilya(routes=[WebSocketPath("/x", pass_on), WebSocketPath("/{name}", answer)])
    assert door.visit(app, "/x").close == (1000, "")
    assert door.visit(Lilya(routes=[WebSocketPath("/x", pass_on)]), "/x").status == 404
    assert log.faults() == []


# --- The client leaves -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["send_text", "send_json", "send", "close"])
def test_send_after_the_client_left_is_a_disconnect(door: Door, log: Log, call: str) -> None:
    """A handler that only sends is told by the send itself; an uncaught one is a normal end, and a close is silent."""
    got: list[type] = []
    gone = threading.Event()

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await asyncio.to_thread(gone.wait)
        message: Any = {"type": "websocket.send", "text": "x"} if call == "send" else "x"
        try:
            await (websocket.close() if call == "close" else getattr(websocket, call)(message))
        except WebSocketDisconnect as error:
            got.append(type(error))
            raise

    def talk(client: Client) -> None:
        client.close(4000, "bye")
        gone.set()

    seen = door.visit(Lilya(routes=[WebSocketPath("/x", handler)]), "/x", talk)
    assert (seen.close, seen.raised) == ((4000, "bye"), None)
    assert got == ([] if call == "close" else [WebSocketDisconnect])
    assert log.faults() == []
