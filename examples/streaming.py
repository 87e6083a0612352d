"""
Streaming: an answer that comes word by word, and a button that stops it.

Run it from the root of the repository:

    uvicorn examples.streaming:app

open http://127.0.0.1:8000/, ask something, and press "Stop" before the answer is over. A client sends
`{"prompt": "…"}` or `{"stop": true}` and receives `{"token": "…"}`, any number of them, and at last
`{"end": "done"}` or `{"end": "stopped"}`, so it needs no browser:

    python -m websockets ws://127.0.0.1:8000/ws

Press Ctrl+C in the terminal of the server while an answer comes: the page is told that the service restarts. With
`kill -TERM` instead of it, the sentence is finished first.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

from lilya.apps import Lilya
from lilya.exceptions import WebSocketException
from lilya.responses import FileResponse
from lilya.websockets import WebSocket

PAGE = Path(__file__).with_name("streaming.html")
WORDS = ("This", "is", "what", "an", "answer", "looks", "like.")
SENTENCES = 6
PAUSE = 0.1  # seconds from word to word

app = Lilya()


async def model(prompt: str) -> AsyncGenerator[str, None]:
    """Stands for a language model, which takes its time over each word."""
    for word in [f"{prompt}?", *SENTENCES * WORDS]:
        await asyncio.sleep(PAUSE)
        yield word


@app.get("/")
async def page() -> FileResponse:
    return FileResponse(PAGE)


# The short version: what comes while an answer is sent waits its turn.
@app.websocket("/simple")
async def simple(websocket: WebSocket) -> None:
    await websocket.accept()
    async for prompt in websocket:
        async for token in model(str(prompt)):
            await websocket.send_text(token)


# The version with a stop button: the handler goes on reading while a task of its own sends the answer.
@app.websocket("/ws")
async def chat(websocket: WebSocket) -> None:
    await websocket.accept()
    answering: asyncio.Task[None] | None = None
    async with websocket.tasks() as tasks:  # which end with the connection, whatever ends it
        async for request in websocket.iter_json():
            if answering is not None and answering.cancel():
                await asyncio.wait([answering])
                await websocket.send_json({"end": "stopped"})
            match request:
                case {"prompt": str(prompt)}:
                    answering = tasks.start_soon(answer, websocket, prompt)
                case {"stop": True}:
                    answering = None
                case _:
                    raise WebSocketException(1007, 'send {"prompt": "…"} or {"stop": true}')


async def answer(websocket: WebSocket, prompt: str) -> None:
    async with aclosing(model(prompt)) as tokens:  # stops the model, too
        async for token in tokens:
            await websocket.send_json({"token": token})
            if websocket.draining and token.endswith((".", "?")):
                # The server is about to stop: now is better than in the middle of the next sentence.
                await websocket.close(1012, "service restart")
                return
    await websocket.send_json({"end": "done"})
