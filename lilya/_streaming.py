"""A response whose body is made while it is sent, and what becomes of it when the client leaves meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Coroutine, Iterable, Mapping
from contextlib import aclosing
from typing import Any, TypeAlias

from lilya._exchange import ClientGone
from lilya._response import Background, Headers, Response, message_type, sendable
from lilya._wire import WIRE
from lilya.concurrency import iterate_in_threadpool
from lilya.datastructures import Header
from lilya.types import Message, Receive, Scope, Send

__all__ = ["CHUNK_BYTES", "StreamingResponse"]

Content: TypeAlias = AsyncIterable[Any] | Iterable[Any]

# How much of a streamed denial is held back to make it one message, and how much of a file is read at a time.
CHUNK_BYTES = 64 * 1024


class StreamingResponse(Response):
    """
    A response whose body is made while it is sent.

    On HTTP the client is listened to meanwhile, so read the request's body before; when the client has left, the
    iterator is cancelled where it waits and closed. An iterator that blocks runs in threads.

    Args:
        content: An asynchronous or an ordinary iterable of text or bytes. The other arguments are those of `Response`.
    """

    _sized: bool = False

    def __init__(
        self,
        content: Content,
        status_code: int | None = None,
        headers: Headers | None = None,
        cookies: Mapping[str, str] | None = None,
        media_type: str | None = None,
        background: Background | None = None,
    ) -> None:
        super().__init__(None, status_code, headers, cookies, media_type, background)
        self.body_iterator: Content = content

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response, then run what is to run in the background, also when the client has left."""
        await self._stream(scope, receive, send, self.status_code, self.headers, self.body_iterator)

    async def _stream(
        self, scope: Scope, receive: Receive, send: Send, status_code: int, headers: Header, content: Content
    ) -> None:
        start = {"type": message_type(scope, "start"), "status": status_code, "headers": sendable(headers)}
        if scope.get("method") == "HEAD" or self._bodiless:
            content = ()
        messages = _messages(start, message_type(scope, "body"), content, self.charset)
        # Inside an application every other `OSError` of `send` is a fault of what is in between, and not the client's
        # leaving.
        sending = _send_all(send, messages, ClientGone if WIRE in scope else OSError)
        if scope["type"] == "websocket":
            await sending
        else:
            await _while_connected(receive, sending)
        if self.background is not None:
            await self.background()


async def _messages(start: Message, body: str, content: Content, charset: str) -> AsyncGenerator[Message, None]:
    """All messages of a response; the generator that its body comes from is closed."""
    held = bytearray()
    # Some servers drop a denial whose body comes in several messages. And an error before a denial has begun leaves the
    # handshake open for another answer.
    if begun := not body.startswith("websocket."):
        yield start
    chunks = aiter(content if isinstance(content, AsyncIterable) else iterate_in_threadpool(content))
    try:
        async for chunk in chunks:
            held += chunk.encode(charset) if isinstance(chunk, str) else bytes(chunk)
            if not begun and len(held) > CHUNK_BYTES:
                begun = True
                yield start
            if begun:
                yield {"type": body, "body": bytes(held), "more_body": True}
                held.clear()
    finally:
        if isinstance(chunks, AsyncGenerator):
            await chunks.aclose()
    if not begun:
        yield start
    yield {"type": body, "body": bytes(held), "more_body": False}


async def _send_all(send: Send, messages: AsyncGenerator[Message, None], gone: type[OSError]) -> None:
    async with aclosing(messages):
        async for message in messages:
            try:
                await send(message)
            except gone:  # ASGI 2.4: the client has left
                return


async def _while_connected(receive: Receive, sending: Coroutine[Any, Any, None]) -> None:
    """Run `sending` to its end, or until the client has left."""
    work = asyncio.ensure_future(sending)
    gone = asyncio.ensure_future(_disconnect(receive))
    try:
        await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
    finally:
        work.cancel()
        gone.cancel()
        await asyncio.gather(work, gone, return_exceptions=True)
    for task in (work, gone):
        if not task.cancelled():
            return task.result()


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":  # noqa: ASYNC110 - the messages are the events
        # A `receive` that never waits, as written for a test, must not keep the loop to itself.
        await asyncio.sleep(0)
