"""examples/rooms.py, served with uvicorn."""

import httpx
from websockets.sync.client import connect

from tests.support.servers import serve_file


def test_rooms_keep_what_is_said_inside() -> None:
    """A message is seen by those in the same room and by nobody else; names of a room are listed below it."""
    with (
        serve_file("examples/rooms.py") as server,
        connect(server.ws_url("/rooms/red/eve")) as eve,
        connect(server.ws_url("/rooms/blue/ana")) as ana,
        connect(server.ws_url("/rooms/blue/bob")) as bob,
    ):
        # An answer of one's own shows that one is in: the handshake alone is over a moment earlier.
        for client in (eve, ana, bob):
            client.send("hello")
        assert eve.recv() == "eve: hello"
        bob.send("blue?")
        heard: list[str | bytes] = []
        while "bob: blue?" not in heard:
            heard.append(ana.recv())
        assert "eve: hello" not in heard

        eve.send("anybody?")
        assert eve.recv() == "eve: anybody?"
        assert httpx.get(server.url("/rooms/blue")).json() == ["ana", "bob"]
        assert httpx.get(server.url("/")).json() == {"red": 1, "blue": 2}
