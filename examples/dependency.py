"""
Dependency: an argument that is made for each connection, and cleaned up when the connection ends.

Two tables, and each guest has one for as long as the connection lives. Run it from the root of the repository:

    uvicorn examples.dependency:app

and take a seat in three terminals. The third one gets it only when one of the others leaves (Ctrl+D):

    python -m websockets ws://127.0.0.1:8000/

Connections of a database pool are handed out in just this way.
"""

import asyncio
from collections.abc import AsyncIterator

from lilya.apps import Lilya
from lilya.dependencies import Provide
from lilya.websockets import WebSocket

free_tables: asyncio.Queue[str] = asyncio.Queue()
for place in ("by the window", "by the door"):
    free_tables.put_nowait(place)


async def a_table() -> AsyncIterator[str]:
    table = await free_tables.get()
    try:
        yield table  # what the handler gets; goes on when the connection has ended, whatever ended it
    finally:
        free_tables.put_nowait(table)


app = Lilya(dependencies={"table": Provide(a_table)})


@app.websocket("/")
async def dine(websocket: WebSocket, table: str) -> None:
    await websocket.accept()
    await websocket.send_text(f"Your table is {table}.")
    async for order in websocket.iter_text():
        await websocket.send_text(f"{order}, to the table {table}!")
