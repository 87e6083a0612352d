"""
The application for what the framework does beside a handler: it watches for the client's leaving, and keeps limits.

Like `tests.contract.apps` it runs in the process of a server, and reports from there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from lilya.apps import Lilya
from lilya.dependencies import Provide
from lilya.limits import Limits
from lilya.routing import WebSocketPath
from lilya.websockets import WebSocket, WebSocketDisconnect
from tests.support.reports import Reporting, report
from tests.support.reports import report_error as got

__all__ = ["app"]

SOON = Limits(abandon_grace=0.1)


async def only_sends(websocket: WebSocket) -> None:
    """Sends, and never asks whether anybody listens."""
    await websocket.accept()
    try:
        while True:
            await websocket.send_text("tick")
            await asyncio.sleep(0.01)
    except (WebSocketDisconnect, asyncio.CancelledError) as error:
        got(error)
        raise
    finally:
        report("cleanup")


async def only_computes(websocket: WebSocket) -> None:
    """Does neither: it waits for something else."""
    await websocket.accept()
    await websocket.send_text("computing")
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError as error:
        got(error)
        raise
    finally:
        report("cleanup")


async def swallows(websocket: WebSocket) -> None:
    """Is cancelled, and goes on to its end as if nothing had happened."""
    await websocket.accept()
    await websocket.send_text("computing")
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError as error:
        got(error)
    try:
        await websocket.send_text("still here")
    except WebSocketDisconnect as error:
        got(error)
    report("cleanup")


async def commits(websocket: WebSocket) -> None:
    """Has something short to finish when its client leaves."""
    await websocket.accept()
    try:
        await websocket.receive_text()
    except WebSocketDisconnect as error:
        got(error)
        await asyncio.sleep(0.2)  # shorter than the grace period
        report("committed")


async def model(prompt: str) -> AsyncIterator[str]:
    """As many tokens as the prompt says, which take their time."""
    for number in range(int(prompt)):
        await asyncio.sleep(0.1)
        yield f"{number} of {prompt}"


async def streams(websocket: WebSocket) -> None:
    """The handler of every tutorial about language models."""
    await websocket.accept()
    async for prompt in websocket:
        async for token in model(str(prompt)):
            await websocket.send_text(token)


async def pours(websocket: WebSocket) -> None:
    """Sends more than anybody's buffers hold, but not without end."""
    await websocket.accept()
    try:
        for _ in range(1000):
            await websocket.send_bytes(bytes(1 << 16))
        report("got", error="no error")
    except (WebSocketDisconnect, asyncio.CancelledError) as error:
        got(error)
        raise


async def is_away(websocket: WebSocket) -> None:
    """Does something else until the connection is closed, and asks for its messages only then."""
    await websocket.accept()
    while not websocket.closed:  # noqa: ASYNC110 - nothing that could be awaited says so without receiving
        await asyncio.sleep(0.01)
    try:
        while True:
            await websocket.receive_text()
    except WebSocketDisconnect as error:
        got(error)


AWAKE: dict[str, asyncio.Event] = {}


async def catches_up(websocket: WebSocket, name: str) -> None:
    """Does something else until somebody wakes it, and then reads what has come meanwhile."""
    AWAKE[name] = asyncio.Event()
    await websocket.accept()
    await websocket.send_text("away")
    await AWAKE[name].wait()
    async for message in websocket:
        await websocket.send_text(str(message))


async def wakes(websocket: WebSocket, name: str) -> None:
    """Wakes it."""
    await websocket.accept()
    AWAKE.pop(name).set()


async def echoes(websocket: WebSocket) -> None:
    """Answers every message."""
    await websocket.accept()
    try:
        while True:
            await websocket.send_text(await websocket.receive_text())
    except WebSocketDisconnect as error:
        got(error)
        raise


async def resource() -> AsyncIterator[str]:
    """Something that has to be given back."""
    try:
        yield "resource"
    finally:
        report("released")


async def one_of_many(websocket: WebSocket, needed: str) -> None:
    """Holds a resource, and is in the middle of something when its client is cut off."""
    websocket.add_cleanup(lambda: report("cleanup"))
    await websocket.accept()
    try:
        async for message in websocket:
            await websocket.send_text(str(message))
    finally:
        report("left")


app = Reporting(
    Lilya(
        routes=[
            WebSocketPath("/only-sends", only_sends, limits=SOON),
            WebSocketPath("/only-computes", only_computes, limits=SOON),
            WebSocketPath("/swallows", swallows, limits=SOON),
            WebSocketPath("/commits", commits, limits=Limits(abandon_grace=0.5)),
            WebSocketPath("/streams", streams),
            WebSocketPath("/pours", pours, limits=Limits(write_timeout=0.5)),
            WebSocketPath("/is-away", is_away, limits=Limits(inbox_messages=4, inbox_timeout=0.2)),
            WebSocketPath("/catches-up/{name}", catches_up, limits=Limits(inbox_messages=4, inbox_timeout=30)),
            WebSocketPath("/wakes/{name}", wakes),
            WebSocketPath("/small", echoes, limits=Limits(max_message_bytes=1000)),
            WebSocketPath("/rated", echoes, limits=Limits(rate="1/h", burst=3)),
            WebSocketPath("/idle", echoes, limits=Limits(idle_timeout=0.5)),
            WebSocketPath("/many", one_of_many, dependencies={"needed": Provide(resource)}),
        ]
    )
)
