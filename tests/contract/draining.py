"""
The application for what the framework does when the server is told to stop.

Like `tests.contract.apps` it runs in the process of a server, and reports from there. The variable `DRAIN_SECONDS` of
the environment says how long the drain may take.
"""

from __future__ import annotations

import asyncio
import contextlib
import os

from lilya.apps import Lilya
from lilya.drain import Drain
from lilya.routing import WebSocketPath
from lilya.websockets import WebSocket
from tests.support.reports import Reporting, report
from tests.support.reports import report_error as got

__all__ = ["app"]


async def receives(websocket: WebSocket) -> None:
    """Waits for messages."""
    await websocket.accept()
    try:
        while True:
            await websocket.receive_text()
    except BaseException as error:
        got(error)
        raise
    finally:
        report("left")


async def sends(websocket: WebSocket) -> None:
    """Never asks whether anybody listens."""
    await websocket.accept()
    try:
        while True:
            await websocket.send_text("tick")
            await asyncio.sleep(0.01)
    except BaseException as error:
        got(error)
        raise
    finally:
        report("left")


async def computes(websocket: WebSocket) -> None:
    """Is busy with something else, and needs a moment to end."""
    await websocket.accept()
    try:
        await asyncio.Event().wait()
    except BaseException as error:
        got(error)
        raise
    finally:
        for _ in range(10):
            await asyncio.sleep(0)
        report("left")


async def refuses(websocket: WebSocket) -> None:
    """Cannot be cancelled."""
    await websocket.accept()
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()


app = Reporting(
    Lilya(
        routes=[WebSocketPath(f"/{handler.__name__}", handler) for handler in (receives, sends, computes, refuses)],
        drain=Drain(seconds=float(os.environ.get("DRAIN_SECONDS", "0.5")), cancel_seconds=1),
        on_startup=[lambda: report("on_startup")],
        on_shutdown=[lambda: report("on_shutdown")],
    )
)
