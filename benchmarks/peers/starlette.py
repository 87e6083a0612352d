"""Starlette, for comparison."""

from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from lilya.types import ASGIApp

IMPORTS = "starlette.applications, starlette.routing, starlette.websockets"


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
    return Starlette(
        routes=[
            WebSocketRoute("/text/{username}", text),
            WebSocketRoute("/iterate/{username}", iterate),
            WebSocketRoute("/json/{username}", json),
            WebSocketRoute("/connect/{username}", connect),
        ]
    )


def routes(count: int) -> ASGIApp | None:
    return Starlette(routes=[WebSocketRoute(f"/resource{number}/{{item}}/events", connect) for number in range(count)])
