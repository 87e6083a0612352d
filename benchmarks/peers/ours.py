"""This framework."""

from lilya.apps import Lilya
from lilya.routing import WebSocketPath
from lilya.types import ASGIApp
from lilya.websockets import WebSocket, WebSocketDisconnect

IMPORTS = "lilya.apps"


async def connect(websocket: WebSocket) -> None:
    _ = websocket.path_params
    await websocket.accept()
    await websocket.close()


async def text(websocket: WebSocket) -> None:
    await websocket.accept()
    try:
        while True:
            await websocket.send_text(await websocket.receive_text())
    except WebSocketDisconnect:
        pass


async def iterate(websocket: WebSocket) -> None:
    await websocket.accept()
    async for message in websocket.iter_text():
        await websocket.send_text(message)


async def json(websocket: WebSocket) -> None:
    await websocket.accept()
    try:
        while True:
            await websocket.send_json(await websocket.receive_json())
    except WebSocketDisconnect:
        pass


def handlers() -> ASGIApp:
    return Lilya(
        routes=[
            WebSocketPath("/text/<username>", text),
            WebSocketPath("/iterate/<username>", iterate),
            WebSocketPath("/json/<username>", json),
            WebSocketPath("/connect/<username>", connect),
        ]
    )


def routes(count: int) -> ASGIApp | None:
    return Lilya(routes=[WebSocketPath(f"/resource{number}/<item>/events", connect) for number in range(count)])
