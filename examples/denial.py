"""
Denial: refuse a handshake with a response of your own, instead of a bare 403.

Run it from the root of the repository:

    uvicorn examples.denial:app

and ask for a room that exists (`lobby`) and for one that does not:

    from websockets.exceptions import InvalidStatus
    from websockets.sync.client import connect

    try:
        connect("ws://127.0.0.1:8000/rooms/attic")
    except InvalidStatus as refused:
        print(refused.response.status_code, refused.response.body.decode())

which prints `404 {"error":"There is no room attic.","rooms":["garden","lobby"]}`.
"""

from lilya.apps import Lilya
from lilya.responses import JSONResponse
from lilya.websockets import WebSocket

ROOMS = ["garden", "lobby"]

app = Lilya()


@app.websocket("/rooms/<room>")
async def enter(websocket: WebSocket, room: str) -> None:
    if room not in ROOMS:
        answer = JSONResponse({"error": f"There is no room {room}.", "rooms": ROOMS}, status_code=404)
        # Before accept(), and the last word. A server without this extension of ASGI would raise RuntimeError here;
        # uvicorn has it. `raise NotFound("…")` is the shorter way where a text is enough.
        await websocket.send_denial_response(answer)
        return
    await websocket.accept()
    await websocket.send_text(f"Welcome to the {room}!")
