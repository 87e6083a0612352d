"""What the peer sees of an exception: the table in `lilya._errors`, cell by cell."""

import logging
from typing import Any

import pytest

from lilya._errors import (
    close_for,
    code_for,
    denial_for,
    end_http,
    end_websocket,
    is_answer,
    is_fault,
    is_leaving,
    refuse,
)
from lilya._exchange import ClientGone
from lilya.exceptions import (
    HTTPException,
    ImproperlyConfigured,
    MalformedMessage,
    NotAuthorized,
    NotFound,
    PermissionDenied,
    UnexpectedMessage,
    WebSocketDisconnect,
    WebSocketDisconnected,
    WebSocketException,
    WebSocketRuntimeError,
)
from lilya.requests import ClientDisconnect
from lilya.responses import JSONResponse, PlainText
from lilya.types import Scope
from lilya.websockets import WebSocket
from tests.contract.peer import CONNECT, Peer, connected, disconnect, websocket_scope

ANSWERS = [HTTPException(), PermissionDenied(), WebSocketException(4000)]
LEAVINGS: list[BaseException] = [
    WebSocketDisconnect(1001),
    WebSocketDisconnected(1001),
    ExceptionGroup("", [WebSocketDisconnect(1001)]),
    ExceptionGroup("", [ExceptionGroup("", [WebSocketDisconnect(1001)]), WebSocketDisconnected(1006)]),
]
PEER_FAULTS: list[BaseException] = [
    UnexpectedMessage("x"),
    MalformedMessage.of(ValueError("x")),
    ClientDisconnect(),
    ClientGone(),
]


class WrongStatus(HTTPException):
    """Its status is no number."""

    status_code: Any = "404"


FAULTS: list[BaseException] = [
    ValueError("x"),
    ImproperlyConfigured("x"),
    WebSocketRuntimeError("x"),
    ExceptionGroup("", [ValueError("x")]),
    ExceptionGroup("", [WebSocketDisconnect(1001), ValueError("x")]),
    ExceptionGroup("", [HTTPException()]),
    WrongStatus(),
]


@pytest.fixture(autouse=True)
def log_everything(caplog: pytest.LogCaptureFixture) -> None:
    """`caplog.records` is the log of one test, from DEBUG upwards."""
    caplog.set_level(logging.DEBUG, "lilya")


# --- Whose fault it is -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("errors", "answer", "fault", "leaving"),
    [
        (ANSWERS, True, False, False),
        (LEAVINGS, True, False, True),
        (PEER_FAULTS, False, False, False),
        (FAULTS, False, True, False),
    ],
)
def test_errors_are_sorted_by_whose_fault_they_are(
    errors: list[BaseException], answer: bool, fault: bool, leaving: bool
) -> None:
    """An answer, the peer's leaving, the peer's fault, or our own: every exception is one of them."""
    for error in errors:
        assert (is_answer(error), is_fault(error), is_leaving(error)) == (answer, fault, leaving)


# --- After accept ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "close"),
    [
        (WebSocketException(4000, "why"), (4000, "why")),
        (WebSocketException(1008), (1008, "")),
        (HTTPException(status_code=400), (4400, "Bad Request")),
        (HTTPException(status_code=499, detail="why"), (4499, "why")),
        (HTTPException(status_code=404, detail={"a": 1}), (4404, "{'a': 1}")),
        (HTTPException(status_code=500, detail="why"), (1011, "")),
        (HTTPException(status_code=503), (1011, "")),
        (HTTPException(status_code=304), (1011, "")),
        (UnexpectedMessage("x"), (1003, "")),
        (UnexpectedMessage("x", 1007), (1007, "")),
        (MalformedMessage.of(ValueError("x")), (1007, "")),
        (WebSocketDisconnect(1001), (1011, "")),
        *[(fault, (1011, "")) for fault in FAULTS],
    ],
)
def test_close_for_says_code_and_reason(error: BaseException, close: tuple[int, str]) -> None:
    """Words go to the peer only where they are meant for it."""
    assert close_for(error) == close


def test_close_for_in_debug_mode_names_the_type_of_a_fault() -> None:
    """The type and nothing else; answers are the same as ever."""
    assert close_for(ValueError("secret"), debug=True) == (1011, "ValueError")
    assert close_for(ImproperlyConfigured("secret"), debug=True) == (1011, "ImproperlyConfigured")
    assert close_for(HTTPException(detail="secret"), debug=True) == (1011, "")
    assert close_for(WebSocketException(4000, "why"), debug=True) == (4000, "why")


# --- Before accept ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "body"),
    [
        (HTTPException(status_code=418, detail="tea"), 418, b"tea"),
        (NotAuthorized(), 401, b"You do not have authorization to perform this action."),
        (HTTPException(status_code=204), 204, b""),
        (HTTPException(status_code=304, detail="x"), 304, b""),
        (HTTPException(status_code=404, detail=["a"]), 404, b"['a']"),
        (HTTPException(response=JSONResponse([1], status_code=402)), 402, b"[1]"),
        (UnexpectedMessage("secret"), 500, b""),
        (MalformedMessage.of(ValueError("secret")), 500, b""),
        *[(fault, 500, b"") for fault in FAULTS],
    ],
)
async def test_denial_for_is_a_response(error: BaseException, status: int, body: bytes) -> None:
    """Status and detail of an answer; 500 without a word for anything else."""
    denial = denial_for(error)
    assert denial is not None
    peer = Peer()
    await denial(websocket_scope(), peer.receive, peer.send)
    assert peer.sent[0]["status"] == status
    assert b"".join(message["body"] for message in peer.sent[1:]) == body


def test_denial_for_keeps_the_headers() -> None:
    """The headers of the exception are those of the response."""
    for status in (204, 401):
        denial: Any = denial_for(HTTPException(status_code=status, headers={"x-why": "because"}))
        assert denial.headers["x-why"] == "because"


@pytest.mark.parametrize("error", [WebSocketException(4000, "why"), *LEAVINGS])
def test_denial_for_is_nothing_where_a_plain_refusal_is_meant(error: BaseException) -> None:
    """What speaks of close codes has no HTTP response."""
    assert denial_for(error) is None


@pytest.mark.parametrize(
    ("extensions", "response", "kinds"),
    [
        ({"websocket.http.response": {}}, PlainText("no"), ["http.response.start", "http.response.body"]),
        ({"websocket.http.response": {}}, None, ["close"]),
        ({}, PlainText("no"), ["close"]),
        (None, PlainText("no"), ["close"]),
    ],
)
async def test_refuse_sends_the_denial_where_it_can(extensions: Any, response: Any, kinds: list[str]) -> None:
    """Without a denial, or without the extension, it is a close before accept."""
    peer = Peer(CONNECT)
    await refuse(WebSocket({**websocket_scope(), "extensions": extensions}, peer.receive, peer.send), response)
    assert peer.kinds == kinds


# --- Ending ----------------------------------------------------------------------------------------------------------


async def test_end_websocket_before_accept_refuses() -> None:
    """A denial, and the cause is kept for the log."""
    peer = Peer(CONNECT)
    websocket = WebSocket(websocket_scope(), peer.receive, peer.send)
    error = NotFound()
    await end_websocket(websocket, error)
    assert (peer.kinds, peer.sent[0]["status"]) == (["http.response.start", "http.response.body"], 404)
    assert websocket._wire.cause is error


async def test_end_websocket_after_accept_closes() -> None:
    """With the code and reason of the table."""
    for debug, reason in ((False, ""), (True, "ValueError")):
        websocket, peer = connected()
        await end_websocket(websocket, ValueError("secret"), debug=debug)
        assert peer.sent == [{"type": "websocket.close", "code": 1011, "reason": reason}]


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (NotAuthorized(accept_first=True), 4401, "You do not have authorization to perform this action."),
        (WebSocketException(4000, "why", accept_first=True), 4000, "why"),
        (HTTPException(status_code=503, accept_first=True), 1011, ""),
    ],
)
async def test_end_websocket_accepts_first_where_a_browser_shall_see_the_code(
    error: Exception, code: int, reason: str
) -> None:
    """A page is told the code of a close, and nothing of a denial; once accepted it is the same as ever."""
    peer = Peer(CONNECT)
    websocket = WebSocket(websocket_scope(), peer.receive, peer.send)
    await end_websocket(websocket, error)
    assert peer.kinds == ["accept", "close"]
    assert (peer.sent[1]["code"], peer.sent[1]["reason"]) == (code, reason)
    websocket, peer = connected()
    await end_websocket(websocket, error)
    assert peer.sent == [{"type": "websocket.close", "code": code, "reason": reason}]


async def test_end_websocket_that_is_over_says_nothing() -> None:
    """Whoever ended it: nothing is sent any more."""
    websocket, peer = connected(disconnect())
    await websocket.receive()
    await end_websocket(websocket, ValueError("x"))
    assert peer.sent == []
    websocket, peer = connected()
    await websocket.close()
    await end_websocket(websocket, ValueError("x"))
    assert peer.kinds == ["close"]


@pytest.mark.parametrize(
    ("error", "debug", "status", "body", "reported"),
    [
        (HTTPException(status_code=418, detail="tea"), False, 418, b"tea", False),
        (HTTPException(status_code=503), False, 503, b"Service Unavailable", False),
        (ValueError("secret"), False, 500, b"Internal Server Error", True),
        (ValueError("secret"), True, 500, b"Internal Server Error: ValueError", True),
        (ImproperlyConfigured("secret"), False, 500, b"Internal Server Error", True),
        (WebSocketException(4000, "secret"), False, 500, b"Internal Server Error", True),
        (WebSocketDisconnect(1001), False, 500, b"Internal Server Error", True),
    ],
)
async def test_end_http_answers_with_a_status(
    caplog: pytest.LogCaptureFixture, error: Exception, debug: bool, status: int, body: bytes, reported: bool
) -> None:
    """An `HTTPException` with its own; anything else is a fault, 500, and logged: exceptions for WebSockets as well."""
    peer = Peer()
    scope: Scope = {"type": "http", "method": "GET", "path": "/x", "headers": []}
    await end_http(scope, peer.receive, peer.send, error, debug=debug)
    assert (peer.sent[0]["status"], peer.sent[1]["body"]) == (status, body)
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * reported


@pytest.mark.parametrize(
    ("response", "code"),
    [
        (PlainText("x", status_code=418), 4418),
        (PlainText("x", status_code=503), 1011),
        (PlainText("x"), 1011),
        (WebSocket, 1011),
    ],
)
def test_code_for_says_what_a_response_would_say(response: Any, code: int) -> None:
    """After accept a response comes too late; any other ASGI application says nothing bad."""
    assert code_for(response) == code
