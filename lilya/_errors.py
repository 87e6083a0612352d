"""
What the peer sees when a handler ends with an exception: the one place that decides it.

    exception                       before accept                  after accept
    ------------------------------  -----------------------------  ----------------------------------------------
    WebSocketException(code, why)   refused with 403               close `code`, `why`
    WebSocketDisconnect             refused with 403               nothing: the client has left
    HTTPException 4xx               denial: status, detail,        close 4000 + status, the detail as reason
                                    headers
    HTTPException 5xx               denial, as above               close 1011, no reason
    UnexpectedMessage                                              close 1003, no reason
    MalformedMessage                                               close 1007, no reason
    anything else, also             denial 500, empty body         close 1011, no reason (debug: the type's name)
    ImproperlyConfigured and
    HTTPException 999

A denial is an HTTP response on a WebSocket handshake (ASGI extension "WebSocket Denial Response"); where the server
lacks the extension it becomes a close before accept, which every server answers with 403. An exception with
`accept_first` is treated before accept as after it, so that a page in a browser sees the code. On an HTTP connection an
`HTTPException` is answered with its status, a body that is no JSON or does not come to its end with 400, anything else
with 500. The text of an exception that is not an answer never reaches the peer.
"""

from __future__ import annotations

from lilya import _log
from lilya._exchange import ClientGone
from lilya._fields import is_token
from lilya._response import PlainText, Response
from lilya._state import CONNECTING
from lilya.exceptions import (
    HTTPException,
    ImproperlyConfigured,
    MalformedMessage,
    UnexpectedMessage,
    WebSocketDisconnect,
    WebSocketException,
)
from lilya.requests import ClientDisconnect
from lilya.types import ASGIApp, Receive, Scope, Send
from lilya.websockets import WebSocket

__all__ = [
    "close_for",
    "code_for",
    "denial_for",
    "end_http",
    "end_websocket",
    "fail_http",
    "is_answer",
    "is_fault",
    "is_leaving",
    "refuse",
]

# What the peer did wrong, where the application did not look for it.
MISTAKES = (UnexpectedMessage, MalformedMessage, ClientDisconnect, ClientGone)


def is_answer(error: BaseException) -> bool:
    """Whether an exception is meant for the peer, or is the peer's leaving; a status that cannot be sent is a fault."""
    if isinstance(error, HTTPException):
        status = error.status_code  # of a subclass perhaps, which may have put anything there
        return isinstance(status, int) and 200 <= status <= 599 and not isinstance(error, ImproperlyConfigured)
    return isinstance(error, WebSocketException) or is_leaving(error)


def is_leaving(error: BaseException) -> bool:
    """Whether an exception says that the client left, be it to the tasks of a group."""
    if isinstance(error, BaseExceptionGroup):
        return all(is_leaving(inner) for inner in error.exceptions)
    return isinstance(error, WebSocketDisconnect)


def is_fault(error: BaseException) -> bool:
    """Whether an exception is a fault of the application, rather than an answer or a fault of the peer."""
    return not is_answer(error) and not isinstance(error, MISTAKES)


def close_for(error: BaseException, *, debug: bool = False) -> tuple[int, str]:
    """The close code and reason for an exception that ends an open WebSocket (the table above)."""
    if isinstance(error, WebSocketException):
        return error.code, error.reason
    if isinstance(error, UnexpectedMessage | MalformedMessage):
        return error.code, ""
    if is_fault(error):
        return 1011, type(error).__name__ if debug else ""
    if isinstance(error, HTTPException) and 400 <= error.status_code <= 499:
        return 4000 + error.status_code, str(error.detail)
    return 1011, ""


def code_for(response: ASGIApp) -> int:
    """The close code that says what an HTTP response would say, for a fault: 4000 + 4xx, else 1011."""
    status = getattr(response, "status_code", 200)
    return 4000 + status if 400 <= status <= 499 else 1011


def denial_for(error: BaseException) -> ASGIApp | None:
    """The HTTP response for an exception: a denial on a handshake, the answer on HTTP. None: a plain refusal, 403."""
    if isinstance(error, WebSocketException) or is_leaving(error):
        return None
    if not (isinstance(error, HTTPException) and is_answer(error)):
        return Response(b"", status_code=500)
    if error.response is not None:
        response: ASGIApp = error.response
        return response
    if error.status_code in (204, 304):
        return Response(b"", status_code=error.status_code, headers=error.headers)
    return PlainText(str(error.detail), status_code=error.status_code, headers=error.headers)


async def refuse(websocket: WebSocket, denial: ASGIApp | None) -> None:
    """Answer a handshake with `denial`, or with a plain 403 where there is none or the server cannot send it."""
    if denial is not None and "websocket.http.response" in (websocket.scope.get("extensions") or {}):
        await websocket.send_denial_response(denial)
    else:
        await websocket.close()


async def end_websocket(websocket: WebSocket, error: BaseException, *, debug: bool = False) -> None:
    """End a conversation that `error` came out of, as far as it has not ended already."""
    wire = websocket._wire
    wire.cause = error
    if websocket.closed:
        return
    if is_fault(error):
        wire.ended_by = "error"
    if websocket.application_state is CONNECTING and getattr(error, "accept_first", False):
        # For a page in a browser, which is told the code of a close but nothing of a denial; nor of that, if it offered
        # subprotocols and none is answered.
        offered = websocket.scope.get("subprotocols")
        answer = next((one for one in offered or () if is_token(one)), None)
        await websocket.accept(None if wire.agreed_subprotocol else answer)
    if websocket.application_state is CONNECTING:
        await refuse(websocket, denial_for(error))
    else:
        await websocket.close(*close_for(error, debug=debug))


async def end_http(scope: Scope, receive: Receive, send: Send, error: BaseException, *, debug: bool = False) -> None:
    """Answer a request that `error` came out of; the response must not have begun."""
    response = denial_for(error) if is_answer(error) else None
    if isinstance(error, MalformedMessage | ClientDisconnect):
        _log.tell_mistake(error, scope)
        response = PlainText("Bad Request", status_code=400)
    if response is None:
        await fail_http(scope, receive, send, error, debug=debug)
    else:
        await response(scope, receive, send)


async def fail_http(scope: Scope, receive: Receive, send: Send, error: BaseException, *, debug: bool = False) -> None:
    """Report a fault and answer the request with 500."""
    _log.report(error, scope)
    text = f"Internal Server Error: {type(error).__name__}" if debug else "Internal Server Error"
    await PlainText(text, status_code=500)(scope, receive, send)
