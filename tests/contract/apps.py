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

from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket as StarletteWebSocket

from lilya.apps import ChildLilya, Lilya
from lilya.dependencies import Provide
from lilya.exceptions import HTTPException, ImproperlyConfigured, NotAuthorized, PermissionDenied, WebSocketException
from lilya.requests import Request
from lilya.responses import FileResponse, JSONResponse, PlainText, StreamingResponse
from lilya.routing import Include, WebSocketPath
from lilya.routing import Path as HTTPPath
from lilya.types import ASGIApp
from lilya.websockets import Close, WebSocket, WebSocketDisconnect
from tests.support.reports import Reporting, report
from tests.support.reports import report_error as got

__all__ = ["app", "application"]

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


@event("/deny-status/{status:int}")
async def deny_status(websocket: WebSocket, status: int) -> None:
    response = PlainText("no")
    response.status_code = status
    await websocket.send_denial_response(response)


# --- exceptions -----------------------------------------------------------------------------------------------------


def made(what: str) -> Exception:
    """The exception of this name."""
    errors: dict[str, Callable[[], Exception]] = {
        "boom": lambda: BoomError("token=7b1f in /srv/app.py"),
        "http-401": lambda: NotAuthorized("who?"),
        "http-403": lambda: PermissionDenied("not you"),
        "http-429": lambda: HTTPException(status_code=429, detail="slow down", headers={"retry-after": "3"}),
        "http-503": lambda: HTTPException(status_code=503, detail="database gone"),
        "http-response": lambda: HTTPException(response=JSONResponse({"pay": 1}, status_code=402), status_code=402),
        "misconfigured": lambda: ImproperlyConfigured("token=7b1f in /srv/app.py"),
        "websocket-1005": lambda: WebSocketException(1005, "é" * 100),
        "websocket-4321": lambda: WebSocketException(4321, "why"),
        "websocket-forging": lambda: WebSocketException(4321, "why\nERROR forged"),
    }
    return errors[what]()


@event("/raise/{when}/{what}")
async def raising(websocket: WebSocket, when: str, what: str) -> None:
    if when == "after":
        await websocket.accept()
    raise made(what)


@event("/accept-first/{what}")
async def accept_first(websocket: WebSocket, what: str) -> None:
    error: Any = made(what)
    error.accept_first = True
    raise error


@event("/raise-after-close")
async def raise_after_close(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.close(4000, "done")
    raise made("boom")


@event("/raise-in-denial")
async def raise_in_denial(websocket: WebSocket) -> None:
    async def half() -> AsyncIterator[bytes]:
        yield b"half"
        raise made("boom")

    await websocket.send_denial_response(StreamingResponse(half(), status_code=401))


@event("/raise-in-task")
async def raise_in_task(websocket: WebSocket) -> None:
    async def fail() -> None:
        raise made("boom")

    await websocket.accept()
    async with asyncio.TaskGroup() as group:
        group.create_task(fail())


@event("/cancelled-child/{when}")
async def cancelled_child(websocket: WebSocket, when: str) -> None:
    if when == "after":
        await websocket.accept()
    child = asyncio.create_task(asyncio.Event().wait())
    child.cancel()
    await child


@event("/wrong-subprotocol")
async def wrong_subprotocol(websocket: WebSocket) -> None:
    await websocket.accept("chat")


@event("/send-before-accept")
async def send_before_accept(websocket: WebSocket) -> None:
    await websocket.send_text("x")


@event("/raise-in-clean-up/{how}")
async def raise_in_clean_up(websocket: WebSocket, how: str) -> None:
    def fail() -> None:
        raise made("boom")

    websocket.add_cleanup(fail)
    await end(websocket, how)


# --- exceptions that the user's own code handles --------------------------------------------------------------------


class HandledError(Exception):
    """One that the application has an exception handler for, which returns `answer`, or raises it."""

    def __init__(self, answer: Any) -> None:
        super().__init__("token=7b1f in /srv/app.py")
        self.answer = answer


async def handle(websocket: WebSocket, error: HandledError) -> Any:
    """The exception handler."""
    if isinstance(error.answer, Exception):
        raise error.answer
    return error.answer


@event("/handled/{when}/{how}")
async def handled(websocket: WebSocket, when: str, how: str) -> None:
    answers: dict[str, Any] = {
        "close": Close(4100, "handled"),
        "response": PlainText("handled", status_code=418),
        "boom": made("boom"),
    }
    if when == "after":
        await websocket.accept()
    raise HandledError(answers[how])


# --- dependencies and mounted applications --------------------------------------------------------------------------


async def end(websocket: WebSocket, how: str) -> None:
    """End a connection in one of the ways in which it can."""
    if how == "deny":
        await websocket.close()
        return
    await websocket.accept()
    if how == "close":
        await websocket.close(4000, "done")
    if how == "receive":
        await websocket.receive_text()


async def fails_at_its_end() -> AsyncIterator[str]:
    """A dependency whose clean-up fails."""
    try:
        yield "needed"
    finally:
        raise made("boom")


async def depending(websocket: WebSocket, how: str, needed: str) -> None:
    """A handler that needs it."""
    await end(websocket, how)


async def mounted(websocket: WebSocket, when: str) -> None:
    """A handler of an application of ours in another one."""
    await raising(websocket, when, "boom")


async def mounted_starlette(websocket: StarletteWebSocket) -> None:
    """One of a foreign application."""
    if websocket.path_params["when"] == "after":
        await websocket.accept()
    raise made("boom")


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


@event("/receive-again/{call}")
async def receive_again(websocket: WebSocket, call: str) -> None:
    await websocket.accept()
    receive: Callable[[], Any] = getattr(websocket, call)
    for call_it in (receive, receive, lambda: websocket.send_text("x"), websocket.receive):
        try:
            await call_it()
        except WebSocketDisconnect as error:
            got(error)


@event("/receive-in-task")
async def receive_in_task(websocket: WebSocket) -> None:
    await websocket.accept()
    async with asyncio.TaskGroup() as group:
        group.create_task(websocket.receive_text())
        group.create_task(asyncio.Event().wait())


@event("/iterate/{call}")
async def iterate(websocket: WebSocket, call: str) -> None:
    await websocket.accept()
    async for message in websocket if call == "itself" else getattr(websocket, call)():
        await websocket.send({"type": "websocket.send", "text" if isinstance(message, str) else "bytes": message})
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


application = Lilya(
    routes=[
        HTTPPath("/page", page),
        *(WebSocketPath(path, handler) for path, handler in HANDLERS.items()),
        WebSocketPath("/depending/{how}", depending, dependencies={"needed": Provide(fails_at_its_end)}),
        Include("/child", app=ChildLilya(routes=[WebSocketPath("/{when}", mounted)])),
        Include("/starlette", app=Starlette(routes=[WebSocketRoute("/{when}", mounted_starlette)])),
    ],
    exception_handlers={HandledError: handle},
)

app = Reporting(application)
