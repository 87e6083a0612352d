"""The server's end of one HTTP request: what `lilya._wire` is for a WebSocket."""

from __future__ import annotations

from lilya._shared import SharedValues
from lilya.types import Message, Receive, Send

__all__ = ["ClientGone", "Exchange"]


class ClientGone(OSError):
    """The server's `OSError` for a client that left before its HTTP response was sent; nobody else's."""


class Exchange:
    """One HTTP request and its response, watched so that it is known whether a response has begun."""

    __slots__ = ("_first", "_replay", "answered", "raw_receive", "raw_send", "shared")

    def __init__(self, receive: Receive, send: Send, shared: SharedValues | None = None) -> None:
        self.shared = shared
        self.raw_receive = receive
        self.raw_send = send
        self.answered = False
        self._first: Message | None = None
        self._replay = False

    async def receive(self) -> Message:
        """The next message of the request; the first one comes again after `rewind`."""
        if self._replay and self._first is not None:
            self._replay = False
            return self._first
        message = await self.raw_receive()
        if self._first is None:
            self._first = message
        return message

    async def send(self, message: Message) -> None:
        """Pass a message on and note that the response has begun; `ClientGone` if nobody is left to hear it."""
        self.answered = True
        try:
            await self.raw_send(message)
        except OSError as error:
            raise ClientGone("The client left before the response was sent.") from error

    def rewind(self) -> None:
        """Let the next route see the first message of the request again."""
        self._replay = self._first is not None
