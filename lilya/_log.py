"""
What the log says: one line when a WebSocket opens, one when it ends or is refused, and one traceback for each fault.

The lines of connections go to the logger `lilya.websocket`, everything else to `lilya`. A path is logged without its
query string, whatever comes from a peer without line breaks, and no header, token or subprotocol at all.
"""

from __future__ import annotations

import logging
import time

from lilya._signature import where_defined
from lilya._wire import Wire
from lilya.exceptions import HTTPException, NotFound
from lilya.types import Scope

__all__ = [
    "INFO",
    "connections",
    "log_closed",
    "log_opened",
    "log_refused",
    "report",
    "report_unanswered",
    "tell_client",
    "tell_mistake",
    "told",
]

INFO = logging.INFO

logger = logging.getLogger("lilya")
connections = logging.getLogger("lilya.websocket")


def log_opened(wire: Wire) -> None:
    """One line for a connection that was accepted."""
    connections.info("open %s route=%s id=%s", path_of(wire.scope), wire.route or "-", wire.id)


def log_closed(wire: Wire, cause: str) -> None:
    """One line for an opened connection that has ended, with the `cause` of it if there is more to say than a code."""
    error = wire.cause
    failed = isinstance(error, HTTPException) and error.status_code >= 500 and wire.ended_by != "error"
    level = logging.WARNING if failed else logging.INFO
    if connections.isEnabledFor(level):
        connections.log(
            level,
            "close %s route=%s code=%s by=%s seconds=%.3f in=%d out=%d id=%s%s",
            path_of(wire.scope),
            wire.route or "-",
            wire.close_code,
            wire.ended_by,
            time.monotonic() - wire.began,
            wire.received,
            wire.sent,
            wire.id,
            f": {cause}" if cause else "",
        )


def log_refused(wire: Wire, cause: str) -> None:
    """One line for a handshake that was refused, or whose client left before there was an answer."""
    if connections.isEnabledFor(logging.INFO):
        status = "left" if wire.refused is None else wire.refused
        connections.info("%s %s: %s id=%s", status, path_of(wire.scope), cause, wire.id)


def report(error: BaseException, scope: Scope, connection_id: str = "-") -> None:
    """Log a fault of the application, once, with the traceback, and tell a test client about it."""
    logger.error(
        "%s %s (route %s) [%s] failed: %s",
        scope["type"],
        path_of(scope),
        scope.get("route_path_template", "-"),
        connection_id,
        type(error).__name__,
        exc_info=error,
    )
    tell_client(error, scope)


def report_unanswered(scope: Scope, connection_id: str) -> None:
    """Log that a handler came back without having answered the handshake."""
    logger.error(
        "websocket %s (route %s) [%s]: the handler %s returned without accept() or close()",
        path_of(scope),
        scope.get("route_path_template", "-"),
        connection_id,
        where_defined(scope.get("handler")),
    )


def tell_client(error: BaseException, scope: Scope) -> None:
    """Hand the exception to a test client, which put a listener into the scope."""
    listener = (scope.get("extensions") or {}).get("lilya.errors")
    if listener is not None:
        listener["report"](error)


def tell_mistake(error: BaseException, scope: Scope) -> None:
    """Log, in one line, what the client did wrong with a request."""
    logger.info("%s %s: %s", scope["type"], path_of(scope), told(error))


def told(error: BaseException) -> str:
    """What an exception says, in one line."""
    try:
        if isinstance(error, NotFound) and "near" in error.extra:
            near = error.extra["near"]
            return "no WebSocket route" + (f"; near: {near}" if near else "")
        if isinstance(error, HTTPException) and "why" in error.extra:
            return str(error.extra["why"])
        text = error.detail if isinstance(error, HTTPException) else error
        # `repr` of the text: it may come from a peer, and one record must stay one line.
        return repr(str(text))[1:-1]
    except Exception:
        # The exception's own class, which may do anything: the end of a connection must not fail by what it is called.
        return type(error).__name__


def path_of(scope: Scope) -> str:
    """The path as it goes into logs, where a line break in it must not begin a line."""
    return repr(scope.get("path", ""))[1:-1]
