"""
Reading ahead: what a connection does while its handler is busy with something else than receiving.

A server tells the application that a client has left, and often reads the client's pongs, only while somebody
receives. So somebody does: the messages that arrive meanwhile wait here, as many and as long ones as the limits allow,
and the handler gets them in their order when it is back. While a handler sits in `receive`, nobody reads ahead.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from lilya.enums import WebSocketState
from lilya.types import Message, Receive

__all__ = ["Inbox", "size_of"]


class Inbox:
    """
    The messages of one connection that came while the handler was away.

    Args:
        wire: The connection, whose `pull` is this inbox' own while it reads.
        always: Go on reading when the handler is back.

    Attributes:
        messages: What has been read, the oldest first.
        arrived: How many messages have been read in all.
        full_since: When it was first seen full, in the watch's seconds; None while there is room.
        failure: What the server's `receive` raised.
    """

    __slots__ = (
        "_room",
        "_task",
        "_waiting",
        "always",
        "arrived",
        "failure",
        "full_since",
        "messages",
        "size",
        "source",
        "wire",
    )

    def __init__(self, wire: Any, *, always: bool = False) -> None:
        self.wire = wire
        self.source: Receive = wire.raw_receive
        self.always = always
        self.messages: deque[Message] = deque()
        self.arrived = 0
        self.size = 0
        self.full_since: float | None = None
        self.failure: BaseException | None = None
        # Set by whoever waits for the other: the handler for a message, the reader for room.
        self._waiting: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def full(self) -> bool:
        """Whether the limits allow no further message; one is always allowed."""
        policy = self.wire.policy
        return bool(self.messages) and (
            (policy.inbox_messages is not None and len(self.messages) >= policy.inbox_messages)
            or (policy.inbox_bytes is not None and self.size >= policy.inbox_bytes)
        )

    @property
    def reading(self) -> bool:
        """Whether somebody reads ahead now."""
        return self._task is not None and not self._task.done()

    def start(self) -> None:
        """Begin to read ahead."""
        self.wire.pull = self.receive
        self._task = asyncio.get_running_loop().create_task(self._read())

    async def stop(self) -> None:
        """Read no further; what has been read stays."""
        task = self._task
        if task is None or task.done():
            return
        task.cancel()
        await asyncio.wait([task])

    async def receive(self) -> Message:
        """The next message, for the handler; from the server again when nobody reads ahead any more."""
        while not self.messages:
            if self.failure is not None:
                raise self.failure
            if self.wire.client_state is WebSocketState.DISCONNECTED:
                return self.wire.part()  # type: ignore[no-any-return]  # a wire imports this module
            if not self.reading:
                self.wire.pull = self.source
                return await self.source()
            self._waiting = asyncio.get_running_loop().create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None
        message = self.messages.popleft()
        self.size -= size_of(message)
        if self._room is not None and not self._room.done() and not self.full:
            self._room.set_result(None)
        if not self.messages and not self.reading and self.failure is None:
            self.wire.flow()
        return message

    async def _read(self) -> None:
        try:
            await self._read_ahead()
        finally:
            # Whatever ended it: a handler that waits for it has to look again.
            self._wake()

    async def _read_ahead(self) -> None:
        wire = self.wire
        while True:
            while self.full:
                self._room = asyncio.get_running_loop().create_future()
                await self._room
            self.full_since = None
            try:
                message = await self.source()
            except Exception as failure:
                self.failure = failure
                return
            kind = message["type"]
            if kind == "websocket.disconnect":
                code = message.get("code")
                wire.over(1005 if code is None else code, message.get("reason") or "", "client")
                return
            if not wire.arrived(message):
                return
            self.messages.append(message)
            self.arrived += 1
            self.size += size_of(message)
            awaited = self._waiting is not None
            self._wake()
            if awaited and not self.always:
                # The handler is back in `receive`: it needs nobody to read for it.
                return

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


def size_of(message: Message) -> int:
    """The bytes of a message on the wire, roughly: a character that is not ASCII counts as two."""
    text = message.get("text")
    if text is not None:
        return len(text) if text.isascii() else 2 * len(text)
    return len(message.get("bytes") or b"")
