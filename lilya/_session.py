"""
A connection from the first message to the last: whatever happens inside, it ends here, once and properly.

`conduct` is what the outermost application, router or route does for every connection. It puts the `Wire` into the
scope, runs the application, and then looks at what is left to do: translate an exception (`lilya._errors`), refuse a
handshake nobody answered, close what is still open, run the cleanups. `finish` is the small part of it that a route
does itself when its handler has returned, so that the layers around the route see the close message go by.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from lilya import _errors, _log
from lilya._exchange import ClientGone, Exchange
from lilya._state import CONNECTING, RESPONSE
from lilya._watch import Watch, draining
from lilya._wire import CLOSE_SECONDS, WIRE, Wire
from lilya.context import serving
from lilya.exceptions import ContinueRouting, NotFound, WebSocketDisconnect
from lilya.requests import ClientDisconnect
from lilya.types import ASGIApp, Receive, Scope, Send
from lilya.websockets import WebSocket

__all__ = ["conduct", "conduct_websocket", "finish"]


def conduct(app: ASGIApp, scope: Scope, receive: Receive, send: Send, watch: Watch) -> Awaitable[None]:
    """
    Run `app` for one connection of type "websocket" or "http", and see to it that the connection ends properly.

    Inside another application that already does this, `app` is simply called.

    Args:
        scope: The caller's own copy; it is changed.
        watch: Who looks after the connections of the application.
    """
    if WIRE in scope:
        return app(scope, receive, send)
    if scope["type"] == "websocket":
        return conduct_websocket(app, scope, watch.wire(receive, send), watch)
    if scope["type"] == "http":
        return _conduct_http(app, scope, Exchange(receive, send, watch.shared), watch.debug)
    raise RuntimeError(f"A scope of type {scope['type']!r} is for a Lilya or a Router: this takes connections only.")


async def conduct_websocket(app: ASGIApp, scope: Scope, wire: Wire, watch: Watch) -> None:
    """What `conduct` does for a WebSocket."""
    scope[WIRE] = wire
    serving.set(scope)
    watch.enter(wire, scope)
    try:
        try:
            if watch.draining:
                raise draining()
            receive = wire.handed_receive = wire.receive
            send = wire.handed_send = wire.send
            await app(scope, receive, send)
        finally:
            wire.handling = False
        if not wire.answered or wire.open or wire.application_state is RESPONSE:
            await _end(wire, scope, None, watch.debug)
    except ContinueRouting:
        await _end(wire, scope, NotFound(), watch.debug)
    except asyncio.CancelledError as error:
        ours = bool(wire.cancels)
        _take_back(wire)
        if _is_cancelled():
            # The server gives up the connection, which some of them then just cut.
            if wire.answered:
                wire.end_soon(1012, "service restart", "drain")
            else:
                await _end(wire, scope, draining(), watch.debug)
            raise
        await _end(wire, scope, wire.verdict if ours else error, watch.debug)
    except Exception as error:
        await _end(wire, scope, error, watch.debug)
    finally:
        if wire.cancels:
            _take_back(wire)
        try:
            try:
                if wire.ender is not None or wire.inbox is not None:
                    await _stop(wire)
            finally:
                if wire.cleanups is not None:
                    await _clean_up(wire, scope)
        finally:
            watch.leave(wire)
            # What refers back to the wire; without it everything here is freed at once.
            wire.handed_receive = wire.handed_send = wire.websocket = wire.scope = wire.task = None
            if wire.cause is not None or wire.inbox is not None or wire.ender is not None:
                wire.cause = wire.inbox = wire.ender = None


def _take_back(wire: Wire) -> None:
    """Take back our own cancellations of the handler's task, which the server may have more use for."""
    while wire.task is not None and wire.cancels and wire.task.cancelling():
        wire.cancels -= 1
        wire.task.uncancel()


def _is_cancelled() -> bool:
    """Whether a `CancelledError` is meant for this task, rather than come from another one that it waited for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _stop(wire: Wire) -> None:
    """End what runs beside the handler: who reads ahead, and who says goodbye."""
    ender = wire.ender
    if ender is not None:
        try:
            await asyncio.wait([ender], timeout=CLOSE_SECONDS)
        finally:
            if not ender.done():
                ender.cancel()
                await asyncio.wait([ender])
        if not ender.cancelled() and (failure := ender.exception()) is not None:
            _log.report(failure, wire.scope, wire.id)
    await wire.stop_reading()


async def _end(wire: Wire, scope: Scope, error: BaseException | None, debug: bool, again: bool = True) -> None:
    """
    End the conversation for an exception that came out of the application, or for a return that left it open.

    What fails meanwhile is a fault of its own, and ends `again` what is left to end.
    """
    websocket = WebSocket(scope, wire.receive, wire.send)
    if error is not None and _errors.is_fault(error):
        _log.report(error, scope, wire.id)
    elif error is not None and not _errors.is_answer(error):
        _log.tell_client(error, scope)
    try:
        if wire.application_state is RESPONSE:
            await wire.send({"type": "websocket.http.response.body", "body": b"", "more_body": False})
        elif error is not None:
            await _errors.end_websocket(websocket, error, debug=debug)
        elif wire.application_state is CONNECTING:
            _log.report_unanswered(scope, wire.id)
            await _errors.end_websocket(websocket, NotFound(), debug=debug)
        else:
            await finish(websocket)
    except WebSocketDisconnect:
        # The client left while we were ending: there is nobody to tell.
        pass
    except Exception as failure:
        # A clean-up, the response of an exception, or a server that refuses to send it.
        if again:
            await _end(wire, scope, failure, debug, again=False)
        else:
            _log.report(failure, scope, wire.id)


async def finish(websocket: WebSocket) -> None:
    """Close with 1000 what a handler left open when it returned."""
    if websocket._wire.open:
        await websocket.close()


async def _clean_up(wire: Wire, scope: Scope) -> None:
    try:
        await WebSocket(scope, wire.receive, wire.send).run_cleanups()
    except Exception as error:
        _log.report(error, scope, wire.id)


async def _conduct_http(app: ASGIApp, scope: Scope, exchange: Exchange, debug: bool) -> None:
    scope[WIRE] = exchange
    serving.set(scope)
    try:
        await app(scope, exchange.receive, exchange.send)
        if not exchange.answered:
            await _answer(exchange, scope, NotFound(), debug)
    except ContinueRouting:
        await _answer(exchange, scope, NotFound(), debug)
    except asyncio.CancelledError as error:
        if exchange.answered or _is_cancelled():
            raise
        await _answer(exchange, scope, error, debug)
    except (ClientGone, ClientDisconnect) as error:
        if exchange.answered:
            _log.tell_mistake(error, scope)
        else:
            await _answer(exchange, scope, error, debug)
    except Exception as error:
        if exchange.answered:
            # A response that has begun cannot be mended: the server has to cut it off, and it logs the error.
            raise
        await _answer(exchange, scope, error, debug)


async def _answer(exchange: Exchange, scope: Scope, error: BaseException, debug: bool) -> None:
    """Answer a request for an exception; where that answer cannot be sent, with 500."""
    try:
        await _errors.end_http(scope, exchange.receive, exchange.send, error, debug=debug)
    except ClientGone:
        # The client left while we were answering: there is nobody to tell.
        pass
    except Exception as failure:
        if exchange.answered:
            raise
        await _errors.fail_http(scope, exchange.receive, exchange.send, failure, debug=debug)
