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
lacks the extension it becomes a close before accept, which every server answers with 403. On an HTTP connection an
`HTTPException` is answered with its status, a body that is no JSON or does not come to its end with 400, anything else
with 500. The text of an exception that is not an answer never reaches the peer.
"""

from __future__ import annotations

import logging

from lilya._signature import where_defined
from lilya._state import CONNECTING, DISCONNECTED
from lilya._wire import ClientGone, Wire
from lilya.exceptions import (
    HTTPException,
    ImproperlyConfigured,
    MalformedMessage,
    UnexpectedMessage,
    WebSocketDisconnect,
    WebSocketException,
)
from lilya.requests import ClientDisconnect
from lilya.responses import PlainText, Response
from lilya.types import ASGIApp, Receive, Scope, Send
from lilya.websockets import WebSocket

__all__ = [
    "close_for",
    "denial_for",
    "end_http",
    "end_websocket",
    "fail_http",
    "is_answer",
    "is_fault",
    "is_leaving",
    "refuse",
    "report",
    "report_unanswered",
    "tell_client",
    "tell_end",
    "tell_mistake",
]

logger = logging.getLogger("lilya")

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
    websocket._wire.cause = error
    if websocket.closed:
        return
    if websocket.application_state is CONNECTING:
        await refuse(websocket, denial_for(error))
    else:
        await websocket.close(*close_for(error, debug=debug))


async def end_http(scope: Scope, receive: Receive, send: Send, error: BaseException, *, debug: bool = False) -> None:
    """Answer a request that `error` came out of; the response must not have begun."""
    response = denial_for(error) if is_answer(error) else None
    if isinstance(error, MalformedMessage | ClientDisconnect):
        tell_mistake(error, scope)
        response = PlainText("Bad Request", status_code=400)
    if response is None:
        await fail_http(scope, receive, send, error, debug=debug)
    else:
        await response(scope, receive, send)


async def fail_http(scope: Scope, receive: Receive, send: Send, error: BaseException, *, debug: bool = False) -> None:
    """Report a fault and answer the request with 500."""
    report(error, scope)
    text = f"Internal Server Error: {type(error).__name__}" if debug else "Internal Server Error"
    await PlainText(text, status_code=500)(scope, receive, send)


def report(error: BaseException, scope: Scope, connection_id: str = "-") -> None:
    """Log a fault of the application, once, with the traceback, and tell a test client about it."""
    logger.error(
        "%s %s (route %s) [%s] failed: %s",
        scope["type"],
        _path_of(scope),
        scope.get("route_path_template", "-"),
        connection_id,
        type(error).__name__,
        exc_info=error,
    )
    tell_client(error, scope)


def tell_client(error: BaseException, scope: Scope) -> None:
    """Hand the exception to a test client, which put a listener into the scope."""
    listener = (scope.get("extensions") or {}).get("lilya.errors")
    if listener is not None:
        listener["report"](error)


def tell_mistake(error: BaseException, scope: Scope) -> None:
    """Log, in one line, what the client did wrong with a request."""
    logger.info("%s %s: %s", scope["type"], _path_of(scope), _told(error))


def report_unanswered(scope: Scope, connection_id: str) -> None:
    """Log that a handler came back without having answered the handshake."""
    logger.error(
        "websocket %s (route %s) [%s]: the handler %s returned without accept() or close()",
        _path_of(scope),
        scope.get("route_path_template", "-"),
        connection_id,
        where_defined(scope.get("handler")),
    )


def tell_end(wire: Wire, scope: Scope) -> None:
    """Log, in one line, how a WebSocket ended and why."""
    path, cause = _path_of(scope), wire.cause
    if wire.refused is not None:
        why = f"close({wire.close_code})" if wire.closed_by_application and cause is None else _told(cause)
        logger.info("WebSocket %s refused with %d: %s [%s]", path, wire.refused, why, wire.id)
    elif wire.left:
        logger.info("WebSocket %s: the client left with %d %r [%s]", path, wire.close_code, wire.close_reason, wire.id)
    elif wire.application_state is DISCONNECTED:
        level = logging.DEBUG if cause is None else logging.INFO
        if isinstance(cause, HTTPException) and cause.status_code >= 500 and is_answer(cause):
            level = logging.WARNING
        logger.log(level, "WebSocket %s closed with %s: %s [%s]", path, wire.close_code, _told(cause), wire.id)


def _told(cause: BaseException | None) -> str:
    if cause is None:
        return "by the handler"
    if is_fault(cause):
        return type(cause).__name__  # reported already, with all of it
    try:
        near = cause.extra.get("near") if isinstance(cause, HTTPException) else None
        # `repr` of the text: it may come from a peer, and one record must stay one line.
        return repr(str(cause))[1:-1] + (f" The nearest route is {near}." if near else "")
    except Exception:
        # The exception's own class, which may do anything: the end of a connection must not fail by what it is called.
        return type(cause).__name__


def _path_of(scope: Scope) -> str:
    """The path as it goes into logs, where a line break in it must not begin a line."""
    return repr(scope.get("path", ""))[1:-1]
