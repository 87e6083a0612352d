"""The server's side of one connection, played by a test step by step: it waits where a real one would."""

import asyncio

from lilya._inbox import Inbox
from lilya._policy import Policy
from lilya._state import CONNECTED
from lilya._wire import Wire
from lilya.types import Message
from lilya.websockets import WebSocket
from tests.contract.peer import websocket_scope

__all__ = ["WaitingPeer", "open_websocket", "reading_ahead", "turns"]


class WaitingPeer:
    """
    Gives an application what a test feeds it, when the test does so, and keeps what it is sent in `sent`.

    Attributes:
        taking: While it is not set, every `send` waits: the client reads nothing.
        receiving: How many calls of `receive` wait now.
        most_receiving: How many there were at most; no server allows more than one.
        sending: The same for `send`, by what waits to be sent.
    """

    def __init__(self) -> None:
        self._arriving: asyncio.Queue[Message | BaseException] = asyncio.Queue()
        self.sent: list[Message] = []
        self.taking = asyncio.Event()
        self.taking.set()
        self.receiving = 0
        self.most_receiving = 0
        self.sending: list[Message] = []
        self.most_sending = 0

    def feed(self, *messages: Message | BaseException) -> None:
        """Let messages arrive; an exception is raised by `receive` in its place."""
        for message in messages:
            self._arriving.put_nowait(message)

    async def receive(self) -> Message:
        """The next message for the application."""
        self.receiving += 1
        self.most_receiving = max(self.most_receiving, self.receiving)
        try:
            message = await self._arriving.get()
        finally:
            self.receiving -= 1
        if isinstance(message, BaseException):
            raise message
        return message

    async def send(self, message: Message) -> None:
        """Keep a message of the application, when the client takes it."""
        if message["type"] == "websocket.send":
            self.sending.append(message)
            self.most_sending = max(self.most_sending, len(self.sending))
            try:
                await self.taking.wait()
            finally:
                self.sending.remove(message)
        self.sent.append(message)

    @property
    def texts(self) -> list[str]:
        """The texts that were sent."""
        return [message["text"] for message in self.sent if message["type"] == "websocket.send"]

    @property
    def closes(self) -> list[tuple[int, str]]:
        """The close frames that were sent."""
        return [(message["code"], message["reason"]) for message in self.sent if message["type"] == "websocket.close"]


def open_websocket(**limits: object) -> tuple[WebSocket, Wire, WaitingPeer]:
    """An accepted WebSocket that is held to these limits and to no others, and its peer."""
    peer = WaitingPeer()
    websocket = WebSocket(websocket_scope(), peer.receive, peer.send)
    wire = websocket._wire
    wire.assign(CONNECTED, CONNECTED)
    wire.policy = Policy().changed(**{"max_message_bytes": None, "inbox_messages": None, "inbox_bytes": None, **limits})
    wire.max_chars = wire.policy.max_chars
    return websocket, wire, peer


def reading_ahead(*, always: bool = False, **limits: object) -> tuple[WebSocket, Inbox, WaitingPeer]:
    """The same with somebody who reads ahead, whoever calls this having to stop it."""
    websocket, wire, peer = open_websocket(**limits)
    inbox = wire.inbox = Inbox(wire, always=always)
    inbox.start()
    return websocket, inbox, peer


async def turns(count: int = 20) -> None:
    """Let everything happen that can: nothing here waits for more than a few turns of the event loop."""
    for _ in range(count):
        await asyncio.sleep(0)
