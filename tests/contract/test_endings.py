"""
What happens when a connection ends: the table of the connection contract, row by row.

Each row runs on a real uvicorn with both of its WebSocket protocols and on the test client, and is looked at from all
sides: what the client sees, what the handler gets, and what the logs say. The server's own log stays silent: nothing
comes out of an application into it.
"""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket as StarletteWebSocket

from lilya.apps import ChildLilya, Lilya
from lilya.dependencies import Provide
from lilya.exceptions import (
    ContinueRouting,
    HTTPException,
    ImproperlyConfigured,
    NotAuthorized,
    PermissionDenied,
    WebSocketException,
)
from lilya.permissions import DefinePermission
from lilya.protocols.middleware import MiddlewareProtocol
from lilya.protocols.permissions import PermissionProtocol
from lilya.responses import JSONResponse, PlainText, StreamingResponse
from lilya.routing import Include, Router, WebSocketPath
from lilya.types import ASGIApp, Receive, Scope, Send
from lilya.websockets import (
    WebSocket,
    WebSocketClose,
    WebSocketDisconnect,
    WebSocketDisconnected,
    WebSocketRuntimeError,
)
from tests.contract.doors import DOORS, Client, Door, Seen, nothing, open_door, without_denials

SECRET = "token=7b1f in /srv/app.py"


@pytest.fixture(scope="module", params=DOORS)
def door(request: pytest.FixtureRequest) -> Iterator[Door]:
    """Each way to reach an application in turn."""
    with open_door(request.param) as opened:
        yield opened


class Log:
    """What was logged, by anybody in this process."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self.caplog = caplog

    def at(self, level: int, logger: str = "lilya") -> list[str]:
        """The messages of one level from one logger."""
        return [
            record.getMessage()
            for record in self.caplog.records
            if record.levelno == level and record.name == logger
        ]  # fmt: skip

    def faults(self) -> list[logging.LogRecord]:
        """Everything from WARNING upwards."""
        return [record for record in self.caplog.records if record.levelno >= logging.WARNING]

    def one_fault(self, path: str, connection_id: str, error: BaseException) -> None:
        """Assert "ERROR once": one record in the whole process, with path, connection and the user's traceback."""
        (record,) = self.faults()
        assert (record.name, record.levelno) == ("lilya", logging.ERROR)
        assert path in record.getMessage()
        assert connection_id in record.getMessage()
        assert record.exc_info is not None
        assert record.exc_info[1] is error
        traceback = record.exc_info[2]
        while traceback is not None and traceback.tb_next is not None:
            traceback = traceback.tb_next
        assert traceback is not None
        assert traceback.tb_frame.f_code.co_filename == __file__


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[Log]:
    """The log of one test, from DEBUG upwards."""
    with caplog.at_level(logging.DEBUG):
        yield Log(caplog)


def app_of(handler: Callable[..., Any], **options: Any) -> Lilya:
    """An application with one route, `/x`."""
    return Lilya(routes=[WebSocketPath("/x", handler)], **options)


# --- The handshake is refused ----------------------------------------------------------------------------------------


def test_no_route_is_404(door: Door, log: Log) -> None:
    """A denial 404; the log names the nearest route, the client is not told."""

    async def handler(websocket: WebSocket) -> None:
        raise AssertionError("never started")

    seen = door.visit(Lilya(routes=[WebSocketPath("/rooms/{room}", handler)]), "/room/blue?token=secret")
    assert (seen.status, seen.body, seen.raised) == (404, b"The resource cannot be found.", None)
    (line,) = log.at(logging.INFO)
    assert "/room/blue" in line
    assert "404" in line
    assert "The nearest route is /rooms/{room}." in line
    assert "secret" not in line
    assert log.faults() == []


def test_no_route_without_denials_is_403(door: Door, log: Log) -> None:
    """Where the server cannot send a response to a handshake it is a plain refusal."""
    seen = door.visit(without_denials(Lilya()), "/x")
    assert (seen.status, seen.body, seen.raised) == (403, b"", None)
    assert len(log.at(logging.INFO)) == 1
    assert log.faults() == []


@pytest.mark.parametrize("code", [1000, 1008, 403, 4000])
def test_close_before_accept_is_403(door: Door, log: Log, code: int) -> None:
    """Any code argument is accepted; the log has it."""

    async def handler(websocket: WebSocket) -> None:
        await websocket.close(code, "why")

    seen = door.visit(app_of(handler), "/x")
    assert (seen.status, seen.body, seen.raised) == (403, b"", None)
    (line,) = log.at(logging.INFO)
    assert "/x refused with 403" in line
    assert f"close({code})" in line
    assert log.faults() == []


async def slow_parts() -> AsyncIterator[bytes]:
    """A body that is made while it is sent."""
    for part in (b"not ", b"you"):
        await asyncio.sleep(0)
        yield part


@pytest.mark.parametrize("kind", ["plain", "json", "streaming"])
def test_denial_response_is_sent_as_it_is(door: Door, log: Log, kind: str) -> None:
    """Status, headers and body of the response reach the client."""
    headers = {"www-authenticate": "Bearer"}

    async def handler(websocket: WebSocket) -> None:
        made: dict[str, Callable[[], ASGIApp]] = {
            "plain": lambda: PlainText("not you", status_code=401, headers=headers),
            "json": lambda: JSONResponse({"not": "you"}, status_code=401, headers=headers),
            "streaming": lambda: StreamingResponse(slow_parts(), status_code=401, headers=headers),
        }
        await websocket.send_denial_response(made[kind]())

    seen = door.visit(app_of(handler), "/x")
    assert (seen.status, seen.headers["www-authenticate"], seen.raised) == (401, "Bearer", None)
    assert seen.body == (b'{"not":"you"}' if kind == "json" else b"not you")
    (line,) = log.at(logging.INFO)
    assert "/x refused with 401" in line
    assert log.faults() == []


def test_denial_response_with_403_is_no_close(door: Door, log: Log) -> None:
    """The log does not speak of a close that nobody called."""

    async def handler(websocket: WebSocket) -> None:
        await websocket.send_denial_response(PlainText("no", status_code=403))

    assert door.visit(app_of(handler), "/x").status == 403
    (line,) = log.at(logging.INFO)
    assert "refused with 403: by the handler" in line


def test_denial_response_without_the_extension_is_a_runtime_error(door: Door, log: Log) -> None:
    """Nothing was sent and `close()` still works."""
    got: list[str] = []

    async def handler(websocket: WebSocket) -> None:
        try:
            await websocket.send_denial_response(PlainText("no"))
        except RuntimeError as error:
            got.append(str(error))
        await websocket.close()

    seen = door.visit(without_denials(app_of(handler)), "/x")
    assert (seen.status, seen.raised) == (403, None)
    assert got == ["The server doesn't support the Websocket Denial Response extension."]
    assert log.faults() == []


# --- Exceptions that are answers -------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("place", PLACES)
def test_http_exception_before_accept_is_a_denial(door: Door, log: Log, place: str) -> None:
    """A denial with its status, detail and headers, wherever it was raised."""
    error = HTTPException(status_code=429, detail="slow down", headers={"retry-after": "3"})
    seen = door.visit(raising_app(place, error, accept=False), "/x")
    assert (seen.status, seen.body, seen.headers["retry-after"]) == (429, b"slow down", "3")
    assert seen.raised is None
    (line,) = log.at(logging.INFO)
    assert "/x refused with 429: 429: slow down" in line
    assert log.faults() == []


@pytest.mark.parametrize(
    ("error", "status", "body"),
    [
        (PermissionDenied(), 403, b"You do not have permission to perform this action."),
        (NotAuthorized(detail="who are you?"), 401, b"who are you?"),
        (HTTPException(status_code=503), 503, b"Service Unavailable"),
        (HTTPException(response=JSONResponse({"a": 1}, status_code=402)), 402, b'{"a":1}'),
    ],
)
def test_http_exception_subclasses_before_accept(
    door: Door, log: Log, error: HTTPException, status: int, body: bytes
) -> None:
    """Each class with its own status and words; a `response` is sent as it is."""
    seen = door.visit(raising_app("handler", error, accept=False), "/x")
    assert (seen.status, seen.body, seen.raised) == (status, body, None)
    assert log.faults() == []


def test_http_exception_before_accept_without_denials_is_403(door: Door, log: Log) -> None:
    """Where the server cannot send a response to a handshake it is a plain refusal."""
    seen = door.visit(without_denials(raising_app("handler", NotAuthorized(), accept=False)), "/x")
    assert (seen.status, seen.body, seen.raised) == (403, b"", None)
    assert log.faults() == []


@pytest.mark.parametrize("place", PLACES)
def test_http_exception_after_accept_is_a_close(door: Door, log: Log, place: str) -> None:
    """Close 4000 + status for 4xx, with the detail as reason."""
    seen = door.visit(raising_app(place, NotAuthorized(detail="who?"), accept=True), "/x")
    assert (seen.status, seen.close, seen.raised) == (101, (4401, "who?"), None)
    (line,) = log.at(logging.INFO)
    assert "/x closed with 4401: 401: who?" in line
    assert log.faults() == []


@pytest.mark.parametrize(
    ("status", "code"), [(400, 4400), (403, 4403), (429, 4429), (499, 4499), (500, 1011), (503, 1011)]
)
def test_http_exception_after_accept_has_a_code(door: Door, log: Log, status: int, code: int) -> None:
    """4xx is the client's, 5xx is our own: that is a WARNING, and its words stay here."""
    seen = door.visit(raising_app("handler", HTTPException(status_code=status, detail="why"), accept=True), "/x")
    assert (seen.close, seen.raised) == ((code, "why" if code != 1011 else ""), None)
    level = logging.WARNING if code == 1011 else logging.INFO
    (line,) = log.at(level)
    assert f"/x closed with {code}: {status}: why" in line
    assert log.at(logging.ERROR) == []


@pytest.mark.parametrize("place", PLACES)
def test_websocket_exception_before_accept_is_403(door: Door, log: Log, place: str) -> None:
    """The code and reason go to the log."""
    seen = door.visit(raising_app(place, WebSocketException(1008, "why"), accept=False), "/x")
    assert (seen.status, seen.body, seen.raised) == (403, b"", None)
    (line,) = log.at(logging.INFO)
    assert "/x refused with 403: 1008: why" in line
    assert log.faults() == []


@pytest.mark.parametrize("place", PLACES)
def test_websocket_exception_after_accept_closes_with_its_code(door: Door, log: Log, place: str) -> None:
    """That code and reason."""
    seen = door.visit(raising_app(place, WebSocketException(4321, "why"), accept=True), "/x")
    assert (seen.status, seen.close, seen.raised) == (101, (4321, "why"), None)
    (line,) = log.at(logging.INFO)
    assert "/x closed with 4321: 4321: why" in line
    assert log.faults() == []


@pytest.mark.parametrize(("asked", "sent"), [(1005, 1000), (1006, 1011), (500, 1011), (404, 4404), (99_999, 1011)])
def test_websocket_exception_with_an_unsendable_code_is_replaced(door: Door, log: Log, asked: int, sent: int) -> None:
    """The peer always gets a legal close frame, and no more of a reason than fits."""
    seen = door.visit(raising_app("handler", WebSocketException(asked, "é" * 100), accept=True), "/x")
    assert (seen.close, seen.raised) == ((sent, "é" * 61), None)
    assert log.faults() == []


# --- Exceptions that are faults --------------------------------------------------------------------------------------


class SecretError(Exception):
    """An error whose text nobody outside may see."""


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("place", PLACES)
def test_other_exception_before_accept_is_an_empty_500(door: Door, log: Log, place: str, debug: bool) -> None:
    """A denial 500 without a word; ERROR once, with the route's path, the connection and the user's traceback."""
    error = SecretError(SECRET)
    seen = door.visit(noting_ids(raising_app(place, error, accept=False, debug=debug)), "/x?token=secret")
    assert (seen.status, seen.body, seen.raised) == (500, b"", None)
    log.one_fault("/x", IDS.pop(), error)
    assert "secret" not in log.faults()[0].getMessage()
    assert all(SECRET not in f"{name}: {value}" for name, value in seen.headers.items())


def test_other_exception_before_accept_without_denials_is_403(door: Door, log: Log) -> None:
    """Where the server cannot send a response to a handshake it is a plain refusal, and the same ERROR."""
    error = SecretError(SECRET)
    seen = door.visit(without_denials(noting_ids(raising_app("handler", error, accept=False))), "/x")
    assert (seen.status, seen.body, seen.raised) == (403, b"", None)
    log.one_fault("/x", IDS.pop(), error)


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("place", PLACES)
def test_other_exception_after_accept_is_1011(door: Door, log: Log, place: str, debug: bool) -> None:
    """Close 1011 without a reason, in debug mode with the name of its type; ERROR once."""
    error = SecretError(SECRET)
    seen = door.visit(noting_ids(raising_app(place, error, accept=True, debug=debug)), "/x")
    assert (seen.status, seen.close, seen.raised) == (101, (1011, "SecretError" if debug else ""), None)
    log.one_fault("/x", IDS.pop(), error)


def test_improperly_configured_is_a_fault(door: Door, log: Log) -> None:
    """It is an HTTPException by class, but its text speaks to the developer."""
    error = ImproperlyConfigured(SECRET)
    seen = door.visit(noting_ids(raising_app("handler", error, accept=True)), "/x")
    assert (seen.close, seen.raised) == ((1011, ""), None)
    log.one_fault("/x", IDS.pop(), error)


def test_exception_group_is_a_fault(door: Door, log: Log) -> None:
    """What comes out of a task group is reported as it is."""
    groups: list[BaseException] = []

    async def handler(websocket: WebSocket) -> None:
        async def fail() -> None:
            raise SecretError(SECRET)

        await websocket.accept()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
        except ExceptionGroup as raised:
            groups.append(raised)
            raise

    seen = door.visit(noting_ids(app_of(handler)), "/x")
    assert (seen.close, seen.raised) == ((1011, ""), None)
    (record,) = log.faults()
    assert record.exc_info is not None
    assert record.exc_info[1] is groups[0]


@pytest.mark.parametrize("accepts", [False, True])
def test_cancellation_of_the_handlers_own_making_is_a_fault(door: Door, log: Log, accepts: bool) -> None:
    """A `CancelledError` that nobody sent to the connection: 500 or 1011, and one ERROR that is ours."""

    async def handler(websocket: WebSocket) -> None:
        if accepts:
            await websocket.accept()
        child = asyncio.create_task(asyncio.Event().wait())
        child.cancel()
        await child

    seen = door.visit(noting_ids(app_of(handler)), "/x")
    assert (seen.status, seen.code) == ((101, 1011) if accepts else (500, None))
    assert seen.raised is None
    (record,) = log.faults()
    assert record.name == "lilya"
    assert "/x" in record.getMessage()
    assert IDS.pop() in record.getMessage()


def test_accept_of_a_subprotocol_that_was_not_offered_is_a_fault(door: Door, log: Log) -> None:
    """Found before anything is sent, so that the handshake still gets its answer."""

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept("chat")

    seen = door.visit(app_of(handler), "/x", subprotocols=["soap"])
    assert (seen.status, seen.body, seen.raised) == (500, b"", None)
    (record,) = log.faults()
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "Subprotocol 'chat' cannot be accepted: the client offered ['soap']."


@pytest.mark.parametrize("status", [101, 700])
def test_denial_with_a_status_that_cannot_be_sent_is_a_fault(door: Door, log: Log, status: int) -> None:
    """The same: 500, and one ERROR."""

    async def handler(websocket: WebSocket) -> None:
        response = PlainText("no")
        response.status_code = status
        await websocket.send_denial_response(response)

    seen = door.visit(app_of(handler), "/x")
    assert (seen.status, seen.body, seen.raised) == (500, b"", None)
    assert len(log.faults()) == 1


def test_exception_after_our_own_close_is_only_logged(door: Door, log: Log) -> None:
    """The first close stands; ERROR once."""
    error = SecretError(SECRET)

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.close(4000, "done")
        raise error

    seen = door.visit(noting_ids(app_of(handler)), "/x")
    assert (seen.close, seen.raised) == ((4000, "done"), None)
    log.one_fault("/x", IDS.pop(), error)


def test_exception_in_the_middle_of_a_denial_ends_it(door: Door, log: Log) -> None:
    """The response that has begun is completed, however short; ERROR once."""
    error = SecretError(SECRET)

    async def handler(websocket: WebSocket) -> None:
        await websocket.receive()
        await websocket.send({"type": "websocket.http.response.start", "status": 401, "headers": []})
        await websocket.send({"type": "websocket.http.response.body", "body": b"half", "more_body": True})
        raise error

    seen = door.visit(noting_ids(app_of(handler)), "/x")
    assert (seen.status, seen.body, seen.raised) == (401, b"half", None)
    log.one_fault("/x", IDS.pop(), error)


def test_exception_of_a_foreign_app_is_a_fault_too(door: Door, log: Log) -> None:
    """A mounted Starlette application raises through us: the same close, the same one ERROR."""
    error = SecretError(SECRET)

    async def endpoint(websocket: StarletteWebSocket) -> None:
        await websocket.accept()
        raise error

    app = Lilya(routes=[Include("/x", app=Starlette(routes=[WebSocketRoute("/", endpoint)]))])
    seen = door.visit(noting_ids(app), "/x/")
    assert (seen.status, seen.close, seen.raised) == (101, (1011, ""), None)
    log.one_fault("/x/", IDS.pop(), error)


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


# --- The handler returns ---------------------------------------------------------------------------------------------


def test_return_after_accept_is_1000(door: Door, log: Log) -> None:
    """A handler that is done is a normal end: nothing above DEBUG."""

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("done")

    seen = door.visit(app_of(handler), "/x")
    assert (seen.messages, seen.close, seen.raised) == (["done"], (1000, ""), None)
    (line,) = log.at(logging.DEBUG)
    assert "/x closed with 1000: by the handler" in line
    assert log.at(logging.INFO) == []
    assert log.faults() == []


def silent_handler() -> Callable[[WebSocket], Any]:
    """A handler that answers nothing."""

    async def silent(websocket: WebSocket) -> None:
        await websocket.receive()

    return silent


def test_return_without_an_answer_is_404(door: Door, log: Log) -> None:
    """With no other route the handshake is refused, and ERROR says what is missing and where."""
    seen = door.visit(app_of(silent_handler()), "/x")
    assert (seen.status, seen.raised) == (404, None)
    (record,) = log.faults()
    assert (record.name, record.levelno) == ("lilya", logging.ERROR)
    assert "/x" in record.getMessage()
    assert "silent returned without accept() or close()" in record.getMessage()


def test_return_without_an_answer_without_denials_is_403(door: Door, log: Log) -> None:
    """Where the server cannot send a response to a handshake it is a plain refusal."""
    seen = door.visit(without_denials(app_of(silent_handler())), "/x")
    assert (seen.status, seen.raised) == (403, None)
    assert len(log.faults()) == 1


def test_return_without_an_answer_gives_the_next_route_its_turn(door: Door, log: Log) -> None:
    """The next route that matches sees the handshake as it was."""

    async def answer(websocket: WebSocket, name: str) -> None:
        await websocket.accept()
        await websocket.send_text(name)

    app = Lilya(routes=[WebSocketPath("/x", silent_handler()), WebSocketPath("/{name}", answer)])
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
    assert door.visit(app_of(pass_on), "/x").status == 404
    assert log.faults() == []


# --- The client leaves -----------------------------------------------------------------------------------------------


def leaving(code: int = 4000, reason: str = "bye") -> Callable[[Client], None]:
    """A client that only closes."""
    return lambda client: client.close(code, reason)


def left(seen: Seen, log: Log, code: int = 4000, reason: str = "bye") -> None:
    """Assert a normal end: the echo of the client's close, one line at INFO, and no complaint."""
    assert (seen.status, seen.messages, seen.close, seen.raised) == (101, [], (code, reason), None)
    (line,) = log.at(logging.INFO)
    assert f"/x: the client left with {code} {reason!r}" in line
    assert log.faults() == []


@pytest.mark.parametrize("call", ["receive_text", "receive_bytes", "receive_json"])
def test_client_close_is_raised_by_the_next_receive(door: Door, log: Log, call: str) -> None:
    """`WebSocketDisconnect` with code and reason first, then from every call the error that is both."""
    got: list[tuple[type, int, str]] = []

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        calls = [getattr(websocket, call)] * 2 + [websocket.receive, lambda: websocket.send_text("x")]
        for attempt in calls:
            try:
                await attempt()
            except WebSocketDisconnect as error:
                got.append((type(error), error.code, error.reason))

    left(door.visit(app_of(handler), "/x", leaving()), log)
    assert got == [(WebSocketDisconnect, 4000, "bye"), *[(WebSocketDisconnected, 4000, "bye")] * 3]
    assert issubclass(WebSocketDisconnected, WebSocketRuntimeError)


def test_client_close_that_nobody_catches_is_a_normal_end(door: Door, log: Log) -> None:
    """A handler may let the disconnect out."""

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.receive_text()

    left(door.visit(app_of(handler), "/x", leaving()), log)


def test_client_close_that_a_task_group_raises_is_a_normal_end(door: Door, log: Log) -> None:
    """A group of nothing but disconnects is a disconnect."""

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        async with asyncio.TaskGroup() as group:
            group.create_task(websocket.receive_text())
            group.create_task(asyncio.Event().wait())

    left(door.visit(app_of(handler), "/x", leaving()), log)


@pytest.mark.parametrize("call", ["iter_text", "iter_bytes", "iter_json"])
def test_client_close_ends_iterators(door: Door, log: Log, call: str) -> None:
    """The loop ends, and so does the handler."""
    got: list[bool] = []

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        async for _ in getattr(websocket, call)():
            raise AssertionError("nothing was sent")
        got.append(websocket.closed)

    left(door.visit(app_of(handler), "/x", leaving()), log)
    assert got == [True]


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "going"), (3000, ""), (4999, "é" * 61)])
def test_client_close_is_echoed(door: Door, log: Log, code: int, reason: str) -> None:
    """The client gets its own code back, the handler code and reason."""
    got: list[tuple[int | None, str]] = []

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        async for _ in websocket.iter_text():
            pass
        got.append((websocket.close_code, websocket.close_reason))

    left(door.visit(app_of(handler), "/x", leaving(code, reason)), log, code, reason)
    assert got == [(code, reason)]


def test_close_after_the_client_left_is_silent(door: Door, log: Log) -> None:
    """A no-op the first time; a second explicit close is a mistake of the handler's."""
    got: list[type] = []

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        async for _ in websocket.iter_text():
            pass
        await websocket.close(1008, "too late")
        try:
            await websocket.close()
        except WebSocketRuntimeError as error:
            got.append(type(error))

    left(door.visit(app_of(handler), "/x", leaving()), log)
    assert got == [WebSocketRuntimeError]


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

    seen = door.visit(app_of(handler), "/x", talk)
    assert (seen.close, seen.raised) == ((4000, "bye"), None)
    assert got == ([] if call == "close" else [WebSocketDisconnect])
    assert log.faults() == []


# --- The handler's mistakes ------------------------------------------------------------------------------------------


def test_second_close_is_a_mistake(door: Door, log: Log) -> None:
    """The client sees the first code; the handler gets an error, which uncaught is an ERROR."""
    got: list[str] = []

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.close(4001, "first")
        try:
            await websocket.close(4002, "second")
        except WebSocketRuntimeError as error:
            got.append(str(error))

    seen = door.visit(app_of(handler), "/x")
    assert (seen.close, seen.raised) == ((4001, "first"), None)
    assert got == ['Cannot call "send" once a close message has been sent.']
    assert log.faults() == []


def test_send_before_accept_is_a_fault(door: Door, log: Log) -> None:
    """It is the developer's: 500, and ERROR once."""
    errors: list[BaseException] = []

    async def handler(websocket: WebSocket) -> None:
        try:
            await websocket.send_text("x")
        except WebSocketRuntimeError as error:
            errors.append(error)
            raise

    seen = door.visit(app_of(handler), "/x")
    assert (seen.status, seen.body, seen.raised) == (500, b"", None)
    (record,) = log.faults()
    assert record.exc_info is not None
    assert record.exc_info[1] is errors[0]


@pytest.mark.parametrize(
    ("asked", "code", "sent"), [(500, 1011, "é" * 100), (1005, 1000, ""), (1006, 1011, "x" * 1000), (401, 4401, "why")]
)
def test_close_with_what_cannot_be_sent_is_legal_anyway(door: Door, log: Log, asked: int, code: int, sent: str) -> None:
    """The peer always gets a legal close frame."""

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.close(asked, sent)

    seen = door.visit(app_of(handler), "/x")
    assert (seen.code, seen.raised) == (code, None)
    assert sent.startswith(seen.reason)
    assert len(seen.reason.encode()) >= min(len(sent.encode()), 122)
    assert log.faults() == []


# --- Messages of the wrong kind --------------------------------------------------------------------------------------

WRONG: list[tuple[str, str | bytes, int]] = [
    ("receive_text", b"x", 1003),
    ("receive_bytes", "x", 1003),
    ("receive_json", b"1", 1003),
    ("receive_json", "{", 1007),
    ("receive_json", "NaN", 1007),
    ("receive_json", "[" * 100_000, 1007),
]


@pytest.mark.parametrize(("call", "message", "code"), WRONG)
def test_wrong_message_unhandled_closes_with_its_code(
    door: Door, log: Log, call: str, message: str | bytes, code: int
) -> None:
    """1003 for the wrong kind of frame, 1007 for what is no JSON; it is the peer's doing, so only INFO."""

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await getattr(websocket, call)()

    seen = door.visit(app_of(handler), "/x", lambda client: client.send(message))
    assert (seen.close, seen.raised) == ((code, ""), None)
    (line,) = log.at(logging.INFO)
    assert f"/x closed with {code}" in line
    assert log.faults() == []


@pytest.mark.parametrize(("call", "message", "code"), WRONG)
def test_wrong_message_handled_leaves_the_connection_usable(
    door: Door, log: Log, call: str, message: str | bytes, code: int
) -> None:
    """`WebSocketRuntimeError` or `ValueError`, and the next message is received."""

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        with pytest.raises(WebSocketRuntimeError if code == 1003 else ValueError):
            await getattr(websocket, call)()
        await websocket.send_text("again")
        await websocket.send_text(await websocket.receive_text())

    def talk(client: Client) -> None:
        client.send(message)
        assert client.recv() == "again"
        client.send("next")

    seen = door.visit(app_of(handler), "/x", talk)
    assert (seen.messages, seen.close, seen.raised) == (["next"], (1000, ""), None)
    assert log.faults() == []


# --- Nothing internal reaches the peer -------------------------------------------------------------------------------


def test_log_lines_stay_one_line_each(door: Door, log: Log) -> None:
    """A line break in a path, a detail or a reason cannot begin a line of its own in the log."""

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        raise WebSocketException(4000, await websocket.receive_text())

    app = Lilya(routes=[WebSocketPath("/x", handler)])
    door.visit(app, "/x%0AERROR%20forged")
    door.visit(app, "/x", lambda client: client.send("a\nERROR forged"))
    door.visit(app, "/x", leaving(4000, "a\nERROR forged"))
    lines = log.at(logging.INFO)
    assert len(lines) == 3
    assert not any("\n" in line for line in lines)


def test_exception_in_an_exception_handler_is_a_fault(door: Door, log: Log) -> None:
    """What a user's handler raises ends the connection like any other fault."""
    error = SecretError(SECRET)

    async def handle(websocket: WebSocket, raised: Exception) -> None:
        raise error

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        raise ValueError("first")

    app = app_of(handler, exception_handlers={ValueError: handle})
    seen = door.visit(noting_ids(app), "/x", nothing)
    assert (seen.close, seen.raised) == ((1011, ""), None)
    log.one_fault("/x", IDS.pop(), error)


def test_exception_in_a_cleanup_is_logged_once(door: Door, log: Log) -> None:
    """The connection has ended already; its clean-up fails: ERROR once, with the user's traceback."""
    error = SecretError(SECRET)

    async def handler(websocket: WebSocket) -> None:
        def fail() -> None:
            raise error

        await websocket.accept()
        websocket.add_cleanup(fail)
        await websocket.receive_text()

    seen = door.visit(noting_ids(app_of(handler)), "/x", leaving())
    assert (seen.close, seen.raised) == ((4000, "bye"), None)
    log.one_fault("/x", IDS.pop(), error)
