"""
The cases: what a played-back client says to an app, without sockets.

Every case is a number of operations on one app: connections that are opened and closed, or messages that are answered
on one connection. What the client costs is the same for every app.
"""

import asyncio
import gc
import importlib
import time
from collections.abc import Iterator
from itertools import chain, repeat
from typing import Any, Protocol, cast

from lilya.types import ASGIApp, Message, Scope

__all__ = ["CASES", "PEERS", "ROUTES", "Case", "Peer", "load_peer"]

PEERS = ("raw", "ours", "starlette")
ROUTES = (10, 5_000)

TEXT = "x" * 32
JSON = '{"type":"message","id":12345,"user":"alice","text":"hello world","tags":["a","b"]}'

CONNECT: Message = {"type": "websocket.connect"}
LEAVE: Message = {"type": "websocket.disconnect", "code": 1000, "reason": ""}

# What a browser sends, roughly.
HEADERS = [
    (b"host", b"127.0.0.1:8000"),
    (b"connection", b"Upgrade"),
    (b"upgrade", b"websocket"),
    (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    (b"origin", b"http://127.0.0.1:8000"),
    (b"sec-websocket-version", b"13"),
    (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
    (b"accept-language", b"en-US,en;q=0.5"),
    (b"cookie", b"session=0123456789abcdef"),
]


class Peer(Protocol):
    """The same handlers, written with one framework; a module of `benchmarks.peers`."""

    # What a user imports to write an app; None where that is nothing.
    IMPORTS: str | None

    def handlers(self) -> ASGIApp:
        """An app with the routes /connect, /text, /iterate and /json, each followed by a parameter."""

    def routes(self, count: int) -> ASGIApp | None:
        """An app with the routes /resource0/{item}/events and so on; None where there is no router."""


def load_peer(name: str) -> Peer:
    """
    The module of a peer; the others are not imported.

    Raises:
        ModuleNotFoundError: Its framework is not installed.
    """
    peer: Peer = cast(Any, importlib.import_module(f"benchmarks.peers.{name}"))
    return peer


class Client:
    """Plays a client's messages back and keeps the types of what the app sends."""

    __slots__ = ("script", "sent")

    def __init__(self, script: Iterator[Message]) -> None:
        self.script = script
        self.sent: list[str] = []

    async def receive(self) -> Message:
        return next(self.script)

    async def send(self, message: Message) -> None:
        self.sent.append(message["type"])


def scope_for(path: str) -> Scope:
    return {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "ws",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 50000),
        "root_path": "",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": HEADERS.copy(),
        "subprotocols": [],
        "state": {},
        "extensions": {"websocket.http.response": {}},
    }


class Case:
    """
    One thing that is measured.

    Attributes:
        expected: The types of what an app sends in a connection, apart from its answers to messages.
        message: What the client sends once per operation; None where an operation is a whole connection.
        routes: The number of routes of the app; None for the app with the four handlers.
    """

    __slots__ = ("expected", "message", "path", "routes")

    def __init__(
        self, path: str, expected: tuple[str, ...], *, message: str | None = None, routes: int | None = None
    ) -> None:
        self.path = path
        self.expected = expected
        self.message = message
        self.routes = routes

    def app_of(self, peer: Peer) -> ASGIApp | None:
        """The app of a peer for this case; None if it has none."""
        return peer.handlers() if self.routes is None else peer.routes(self.routes)

    def run(self, app: ASGIApp, operations: int) -> float:
        """
        Do so many operations, without garbage collection; how many seconds they took.

        Raises:
            AssertionError: The app did not send what it should.
        """
        converse = self._one_connection if self.message is not None else self._many_connections
        gc.collect()
        gc.disable()
        try:
            return asyncio.run(converse(app, operations))
        finally:
            gc.enable()

    async def _one_connection(self, app: ASGIApp, messages: int) -> float:
        message: Message = {"type": "websocket.receive", "text": self.message}
        client = Client(chain((CONNECT,), repeat(message, messages), (LEAVE,)))
        start = time.perf_counter()
        await app(scope_for(self.path), client.receive, client.send)
        seconds = time.perf_counter() - start
        assert client.sent == [*self.expected, *repeat("websocket.send", messages)], client.sent[:3]
        return seconds

    async def _many_connections(self, app: ASGIApp, connections: int) -> float:
        start = time.perf_counter()
        for _ in range(connections):
            client = Client(iter((CONNECT, LEAVE)))
            await app(scope_for(self.path), client.receive, client.send)
        seconds = time.perf_counter() - start
        sent = tuple(client.sent)
        assert sent == self.expected or (sent == REFUSED_BRIEFLY and self.expected == REFUSED), sent
        return seconds


ACCEPTED = ("websocket.accept",)
CLOSED = ("websocket.accept", "websocket.close")
REFUSED = ("websocket.http.response.start", "websocket.http.response.body")
# What an app may do instead of a denial with 404: the client gets a 403.
REFUSED_BRIEFLY = ("websocket.close",)

CASES: dict[str, Case] = {
    "connect, accept, close": Case("/connect/ana", CLOSED),
    "text echo": Case("/text/ana", ACCEPTED, message=TEXT),
    "text echo, iterated": Case("/iterate/ana", ACCEPTED, message=TEXT),
    "JSON echo": Case("/json/ana", ACCEPTED, message=JSON),
}
for _count in ROUTES:
    CASES[f"first of {_count} routes"] = Case("/resource0/42/events", CLOSED, routes=_count)
    CASES[f"last of {_count} routes"] = Case(f"/resource{_count - 1}/42/events", CLOSED, routes=_count)
    CASES[f"none of {_count} routes"] = Case("/missing/42/events", REFUSED, routes=_count)
