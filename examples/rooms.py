"""
Rooms: a sub-application, mounted below a path that has a parameter of its own.

Run it from the root of the repository:

    uvicorn examples.rooms:app

enter the blue room in two terminals and the red one in a third; what is said in a room stays in it:

    python -m websockets ws://127.0.0.1:8000/rooms/blue/ana

and see who is where: http://127.0.0.1:8000/ and http://127.0.0.1:8000/rooms/blue
"""

import asyncio
from collections import defaultdict
from contextlib import suppress

from lilya.apps import ChildLilya, Lilya
from lilya.routing import Include, Path, WebSocketPath
from lilya.websockets import WebSocket, WebSocketDisconnect

# By room: who is in it.
people: defaultdict[str, dict[WebSocket, str]] = defaultdict(dict)


# `room` comes from the path of the mount, `username` from the path inside: handlers get both by name.
async def talk(websocket: WebSocket, room: str, username: str) -> None:
    await websocket.accept()
    people[room][websocket] = username
    try:
        async for text in websocket.iter_text():
            await asyncio.gather(*(deliver(member, f"{username}: {text}") for member in list(people[room])))
    finally:
        del people[room][websocket]
        if not people[room]:
            del people[room]  # an empty room costs nothing


async def deliver(member: WebSocket, text: str) -> None:
    with suppress(WebSocketDisconnect):  # one who has vanished must not end the talk of the others
        await member.send_text(text)


async def who_is_here(room: str) -> list[str]:
    return sorted(people.get(room, {}).values())


async def overview() -> dict[str, int]:
    return {room: len(members) for room, members in people.items()}


# An application of its own: it could live in another package, with middleware and permissions of its own.
rooms = ChildLilya(routes=[Path("/", who_is_here), WebSocketPath("/<username>", talk)])

app = Lilya(routes=[Path("/", overview), Include("/rooms/<room>", app=rooms)])
