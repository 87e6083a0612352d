"""
Chat: a page and the sockets it talks to. What one says is seen by all.

Run it from the root of the repository:

    uvicorn examples.chat:app

open http://127.0.0.1:8000/ in two windows, and choose a name in each. A client sends plain text and receives JSON,
`{"from": "ana", "text": "hello"}` or `{"notice": "ana joined"}`, so it needs no browser:

    python -m websockets ws://127.0.0.1:8000/ws/ana
"""

import asyncio
from pathlib import Path

from lilya.apps import Lilya
from lilya.responses import FileResponse
from lilya.websockets import WebSocket, WebSocketDisconnect

PAGE = Path(__file__).with_name("chat.html")
PATIENCE = 5.0  # seconds that one member may keep a message waiting

app = Lilya()
members: set[WebSocket] = set()


@app.get("/")
async def page() -> FileResponse:
    return FileResponse(PAGE)


@app.websocket("/ws/<username>")
async def chat(websocket: WebSocket, username: str) -> None:
    await websocket.accept()
    members.add(websocket)
    try:
        await tell_everybody({"notice": f"{username} joined"})
        async for text in websocket.iter_text():
            await tell_everybody({"from": username, "text": text})
    finally:  # however the connection ended
        members.discard(websocket)
        await tell_everybody({"notice": f"{username} left"})


async def tell_everybody(message: dict[str, str]) -> None:
    # All at once, so that nobody waits for a slow member. A copy, because people come and go meanwhile.
    await asyncio.gather(*(deliver(member, message) for member in list(members)))


async def deliver(member: WebSocket, message: dict[str, str]) -> None:
    try:
        async with asyncio.timeout(PATIENCE):
            await member.send_json(message)
    except (WebSocketDisconnect, TimeoutError):
        # Vanished, or far too slow: its own handler will notice and say goodbye. The others go on.
        members.discard(member)
