"""
Echo: the smallest application. Whatever a client sends comes back.

Run it from the root of the repository:

    uvicorn examples.echo:app

and talk to it in a second terminal; what you type comes back:

    python -m websockets ws://127.0.0.1:8000/
"""

from lilya.apps import Lilya
from lilya.websockets import WebSocket

app = Lilya()


@app.websocket("/")
async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():  # ends when the client leaves
        await websocket.send_text(text)
