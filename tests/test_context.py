"""The connection being served, within reach of code that it was not passed to."""

import asyncio
from typing import Any

import pytest

from lilya.apps import ChildLilya, Lilya
from lilya.context import Context, g, request_context, session
from lilya.protocols.middleware import MiddlewareProtocol
from lilya.requests import Request
from lilya.routing import Include, Path, WebSocketPath
from lilya.testclient import AsyncTestClient, TestClient, create_client
from lilya.types import Receive, Scope, Send
from lilya.websockets import WebSocket


def test_context_needs_a_connection() -> None:
    """Outside of a connection every access is a RuntimeError that says so."""
    for access in (
        lambda: request_context["path"],
        lambda: list(request_context),
        lambda: len(request_context),
        lambda: request_context.connection,
        lambda: g.value,
        lambda: setattr(g, "value", 1),
        lambda: session.value,
    ):
        with pytest.raises(RuntimeError, match=r"There is no connection here: `lilya\.context` works only while"):
            access()


def test_context_is_the_connection_being_served() -> None:
    """Its scope as a mapping, and itself, from sync and async code."""

    def path() -> Any:
        return [request_context["path"], Context().connection.url.path, request_context["app"] is app]

    async def handler(request: Request) -> Any:
        assert dict(request_context).keys() >= {"type", "path", "router"}
        assert len(request_context) == len(list(request_context))
        return path()

    def sync_handler(request: Request) -> Any:
        return path()

    app = Lilya(routes=[Path("/a/{id}", handler), Path("/b", sync_handler)])
    assert TestClient(app).get("/a/1").json() == ["/a/1", "/a/1", True]
    assert TestClient(app).get("/b").json() == ["/b", "/b", True]


async def test_context_is_one_for_each_connection() -> None:
    """What one connection keeps in `g` no other one sees, however they take turns."""
    turn = asyncio.Event()

    async def handler(websocket: WebSocket, name: str) -> None:
        await websocket.accept()
        assert not hasattr(g, "name")
        g.name = name
        await websocket.send_text("set")
        await turn.wait()
        await websocket.send_text(g.name)

    app = Lilya(routes=[WebSocketPath("/{name}", handler)])
    async with (
        AsyncTestClient(app) as client,
        client.websocket_connect("/ana") as ana,
        client.websocket_connect("/bob") as bob,
    ):
        assert [await ana.receive_text(), await bob.receive_text()] == ["set", "set"]
        turn.set()
        assert [await ana.receive_text(), await bob.receive_text()] == ["ana", "bob"]


def test_context_is_shared_by_all_levels_of_a_connection() -> None:
    """A middleware and a handler of a mounted child, sync or async, have the same `g`."""

    class User(MiddlewareProtocol):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            g.user = "ana"
            await self.app(scope, receive, send)
            assert g.seen is True

    def handler(request: Request) -> str:
        g.seen = True
        return f"hello {g.user}"

    child = ChildLilya(routes=[Path("/", handler)])
    assert create_client([Include("/in", app=child)], middleware=[User]).get("/in/").json() == "hello ana"


def test_context_has_the_session_of_a_middleware() -> None:
    """`session` are the values that a middleware put into `scope["session"]`."""

    class Session(MiddlewareProtocol):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            scope["session"] = {"visits": 1}
            await self.app(scope, receive, send)
            assert scope["session"] == {"visits": 2}

    async def handler(request: Request) -> int:
        session.visits += 1
        visits: int = request.session["visits"]
        return visits

    assert create_client([Path("/", handler)], middleware=[Session]).get("/").json() == 2
