"""The server's side of one connection, played by two lists: for applications that a test calls directly."""

from collections.abc import Coroutine
from contextvars import copy_context
from typing import Any, TypeVar

from lilya.enums import WebSocketState
from lilya.types import ASGIApp, Message, Scope
from lilya.websockets import WebSocket

__all__ = [
    "CLOSED",
    "CONNECT",
    "Peer",
    "bytes_frame",
    "connected",
    "converse",
    "disconnect",
    "run_now",
    "text_frame",
    "websocket_scope",
]

T = TypeVar("T")

CONNECT: Message = {"type": "websocket.connect"}
CLOSED: Message = {"type": "websocket.close", "code": 1000, "reason": ""}


def text_frame(text: str) -> Message:
    """What a server hands over when the client sent text."""
    return {"type": "websocket.receive", "text": text}


def bytes_frame(payload: bytes) -> Message:
    """What a server hands over when the client sent bytes."""
    return {"type": "websocket.receive", "bytes": payload}


def disconnect(code: int = 1001, reason: str = "") -> Message:
    """What a server hands over when the client left."""
    return {"type": "websocket.disconnect", "code": code, "reason": reason}


def websocket_scope(path: str = "/", **more: Any) -> Scope:
    """A handshake as uvicorn describes it; denial responses are possible."""
    return {
        "type": "websocket",
        "path": path,
        "query_string": b"",
        "headers": [(b"host", b"testserver")],
        "subprotocols": [],
        "extensions": {"websocket.http.response": {}},
        **more,
    }


class Peer:
    """
    Gives an application the messages it was made with, one after another, and keeps what it is sent in `sent`.

    An application that asks for more than there is would wait for ever; here it gets an `AssertionError`. When `gone`,
    every `send` fails with the `OSError` of a server whose client has vanished.
    """

    def __init__(self, *messages: Message, gone: bool = False) -> None:
        self.inbox = list(messages)
        self.sent: list[Message] = []
        self.gone = gone

    async def receive(self) -> Message:
        """The next message for the application."""
        if not self.inbox:
            raise AssertionError("the application waits for a message that never comes")
        return self.inbox.pop(0)

    async def send(self, message: Message) -> None:
        """Keep a message of the application."""
        if self.gone:
            raise OSError("the client has vanished")
        self.sent.append(message)

    @property
    def kinds(self) -> list[str]:
        """The types of what was sent, without their common prefix."""
        return [message["type"].removeprefix("websocket.") for message in self.sent]


def connected(*messages: Message, scope: Scope | None = None) -> tuple[WebSocket, Peer]:
    """An accepted `WebSocket` that stands alone, and its peer, who sends these messages next."""
    peer = Peer(*messages)
    websocket = WebSocket(scope if scope is not None else websocket_scope(), peer.receive, peer.send)
    websocket.client_state = websocket.application_state = WebSocketState.CONNECTED
    return websocket, peer


async def converse(app: ASGIApp, *messages: Message, scope: Scope | None = None) -> Peer:
    """Run an application on one handshake, followed by these messages."""
    peer = Peer(CONNECT, *messages)
    await app(scope if scope is not None else websocket_scope(), peer.receive, peer.send)
    return peer


def run_now(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that waits for nothing but turns of the loop, as all do that talk to a `Peer`."""
    # In a context of its own: what it sets there must not be seen by the next test.
    context = copy_context()
    while True:
        try:
            context.run(coroutine.send, None)
        except StopIteration as stop:
            result: T = stop.value
            return result
