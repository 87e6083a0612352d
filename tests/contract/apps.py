"""
The application that the contract's tests serve: one path for each event of its table.

It runs in the process of a server, whichever that is, and reports from there (`tests.support.reports`): what a handler
`got`, which clean-up ran, and when the connection had ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

from lilya.apps import Lilya
from lilya.exceptions import HTTPException, WebSocketException
from lilya.requests import Request
from lilya.responses import FileResponse, JSONResponse, PlainText, StreamingResponse
from lilya.routing import Path as HTTPPath
from lilya.routing import WebSocketPath
from lilya.types import ASGIApp
from lilya.websockets import WebSocket, WebSocketDisconnect
from tests.support.reports import Reporting, report
from tests.support.reports import report_error as got

__all__ = ["app"]

Handler = Callable[..., Coroutine[Any, Any, None]]

HANDLERS: dict[str, Handler] = {}


def event(path: str) -> Callable[[Handler], Handler]:
    """Serve a handler at a path."""

    def serve(handler: Handler) -> Handler:
        HANDLERS[path] = handler
        return handler

    return serve


class BoomError(Exception):
    """A mistake of the application, whose text is nobody's business."""


# --- the handler ends the connection --------------------------------------------------------------------------------


@event("/return")
async def return_after_accept(websocket: WebSocket) -> None:
    await websocket.accept()


@event("/return-after-message")
async def return_after_message(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text("done")


@event("/return-while-client-talks")
async def return_while_client_talks(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(await websocket.receive_text())


@event("/return-after-computing")
async def return_after_computing(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text("computing")
    await asyncio.sleep(0.3)  # the messages of the client wait at the server


@event("/silent")
async def silent(websocket: WebSocket) -> None:
    await websocket.receive()


@event("/close/{code:int}/{size:int}")
async def close(websocket: WebSocket, code: int, size: int) -> None:
    await websocket.accept()
    await websocket.close(code, ("x" * (code % 4) + "é世😀" * size)[:size])


@event("/close-twice")
async def close_twice(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.close(4001, "first")
    try:
        await websocket.close(4002, "second")
    except RuntimeError as error:
        got(error)


@event("/close-before-accept/{code:int}")
async def close_before_accept(websocket: WebSocket, code: int) -> None:
    await websocket.close(code, "why")


async def parts() -> AsyncIterator[bytes]:
    """A body that is made while it is sent."""
    for part in (b"not ", b"you"):
        await asyncio.sleep(0)
        yield part


@event("/deny/{kind}")
async def deny(websocket: WebSocket, kind: str) -> None:
    headers = {"x-why": "because"}
    responses: dict[str, Callable[[], ASGIApp]] = {
        "text": lambda: PlainText("not you", status_code=401, headers=headers),
        "json": lambda: JSONResponse({"not": "you"}, status_code=401, headers=headers),
        "stream": lambda: StreamingResponse(parts(), status_code=401, headers=headers),
        "file": lambda: FileResponse(Path(__file__).parent / "denial.txt", status_code=401, headers=headers),
    }
    try:
        await websocket.send_denial_response(responses[kind]())
    except RuntimeError as error:
        got(error)
        await websocket.close()


# --- exceptions -----------------------------------------------------------------------------------------------------


@event("/raise/{when}/{what}")
async def raising(websocket: WebSocket, when: str, what: str) -> None:
    errors: dict[str, Exception] = {
        "http-429": HTTPException(status_code=429, detail="slow down", headers={"retry-after": "3"}),
        "http-401": HTTPException(status_code=401, detail="who?"),
        "http-503": HTTPException(status_code=503, detail="database gone"),
        "websocket-4321": WebSocketException(4321, "why"),
        "boom": BoomError("token=7b1f in /srv/app.py"),
    }
    if when == "after":
        await websocket.accept()
    raise errors[what]


# --- the client ends it ---------------------------------------------------------------------------------------------


@event("/receive")
async def receive(websocket: WebSocket) -> None:
    websocket.add_cleanup(lambda: report("cleanup"))
    await websocket.accept()
    try:
        while True:
            await websocket.send_text(await websocket.receive_text())
    except WebSocketDisconnect as error:
        got(error)
        raise


@event("/receive-again")
async def receive_again(websocket: WebSocket) -> None:
    await websocket.accept()
    for call in (websocket.receive_text, websocket.receive_text, lambda: websocket.send_text("x")):
        try:
            await call()
        except WebSocketDisconnect as error:
            got(error)


@event("/iterate")
async def iterate(websocket: WebSocket) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text)
    report("got", error=f"end of iteration {websocket.close_code} {websocket.close_reason}".rstrip())


@event("/close-after-leaving")
async def close_after_leaving(websocket: WebSocket) -> None:
    await websocket.accept()
    async for _ in websocket.iter_text():
        pass
    await websocket.close(1008, "too late")
    try:
        await websocket.close()
    except RuntimeError as error:
        got(error)


# --- messages of the wrong kind -------------------------------------------------------------------------------------


@event("/read/{call}")
async def read(websocket: WebSocket, call: str) -> None:
    await websocket.accept()
    try:
        await getattr(websocket, f"receive_{call}")()
    except Exception as error:
        got(error)
        raise


@event("/read-again/{call}")
async def read_again(websocket: WebSocket, call: str) -> None:
    await websocket.accept()
    try:
        await getattr(websocket, f"receive_{call}")()
    except (RuntimeError, ValueError) as error:
        got(error)
    await websocket.send_text(await websocket.receive_text())


# --- what real clients ask for --------------------------------------------------------------------------------------


@event("/subprotocol")
async def subprotocol(websocket: WebSocket) -> None:
    await websocket.accept("chat")
    async for text in websocket.iter_text():
        await websocket.send_text(text)


async def page(request: Request) -> PlainText:
    """Something for a browser to open, so that its page has an origin."""
    return PlainText("here")


app = Reporting(
    Lilya(
        routes=[
            HTTPPath("/page", page),
            *(WebSocketPath(path, handler) for path, handler in HANDLERS.items()),
        ]
    )
)
