"""An HTTP request: the connection, and the body that the client sends with it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from typing import Any, NoReturn

from lilya._connection import Connection
from lilya.exceptions import MalformedMessage
from lilya.serializers import decode
from lilya.types import Message, Receive, Scope, Send

__all__ = ["ClientDisconnect", "Connection", "Request"]

# Compiled when it is first used: the import of the library stays light.
_CHARSET = r'(?i);\s*charset\s*=\s*"?([^\s";]+)'


class ClientDisconnect(Exception):
    """The client left before its request was read to the end."""


class Request(Connection):
    """
    A request, used by one task at a time.

    The body can be read as a whole, as often as wanted, or once piece by piece with `stream`.
    """

    __slots__ = ("_body", "_disconnected", "_peeked", "_receive", "_send", "_streamed")

    def __init__(self, scope: Scope, receive: Receive | None = None, send: Send | None = None) -> None:
        if scope["type"] != "http":
            raise AssertionError(f"A Request needs a scope of type 'http', not {scope['type']!r}.")
        super().__init__(scope)
        self._receive = receive
        self._send = send
        self._body: bytes | None = None
        self._peeked: list[Message] = []
        self._streamed = False
        self._disconnected = False

    @property
    def method(self) -> str:
        """`GET`, `POST` …"""
        return str(self.scope["method"])

    @property
    def content_type(self) -> str:
        """The `Content-Type` header with its parameters; empty if there is none."""
        return self.headers.get("content-type", "")

    @property
    def media_type(self) -> str:
        """The type of the body, such as `application/json`: lower case, without parameters; empty if it is not said."""
        return self.content_type.partition(";")[0].strip().lower()

    @property
    def charset(self) -> str:
        """The encoding of a text body: what the content type says, else UTF-8."""
        match = re.search(_CHARSET, self.content_type)
        return match[1] if match else "utf-8"

    async def receive(self) -> Message:
        """The next ASGI message of the request, one that `is_disconnected` came across included."""
        return self._peeked.pop(0) if self._peeked else await self._next()

    async def _next(self) -> Message:
        if self._receive is None:
            raise RuntimeError("The request was made without `receive`, so it has no body: Request(scope, receive).")
        return await self._receive()

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """
        The body in pieces as they come, once.

        Raises:
            ClientDisconnect: The client left before the end.
            RuntimeError: The body has been streamed before.
        """
        if self._body is not None:
            yield self._body
            return
        if self._streamed:
            raise RuntimeError("The body has been streamed already; use body() to read it more than once.")
        self._streamed = more = True
        while more:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                self._disconnected = True
                raise ClientDisconnect("The client left before its request was read to the end.")
            more = message.get("more_body", False)
            if chunk := message.get("body", b""):
                yield chunk

    async def body(self) -> bytes:
        """The whole body; raises what `stream` raises."""
        if self._body is None:
            self._body = b"".join([chunk async for chunk in self.stream()])
        return self._body

    async def text(self) -> str:
        """The whole body as text; a `ValueError` if it is none in the charset of the content type."""
        body = await self.body()
        try:
            return body.decode(self.charset)
        except LookupError:
            raise ValueError(f"The request's charset {self.charset!r} is not known.") from None

    async def json(self) -> Any:
        """
        The value of the body, JSON in UTF-8 whatever its type says (RFC 8259 §8.1).

        Raises:
            MalformedMessage: The body is no JSON, a `JSONDecodeError`; let out of a handler it is answered with 400.
        """
        body = await self.body()
        try:
            return decode(body)
        except ValueError as error:
            raise MalformedMessage.of(error) from None

    async def form(self) -> NoReturn:
        """Forms are not part of the library: a `NotImplementedError` that says what to do instead."""
        raise NotImplementedError(
            "lilya does not parse forms: parse request.body() (urllib.parse.parse_qsl for a simple form),"
            " or mount an ASGI application that does with Include(path, app=...)."
        )

    async def is_disconnected(self) -> bool:
        """Whether the client has left, as far as the server has said so by now; does not wait, loses no message."""
        # Twice: the disconnect may stand behind the body, which a GET has too. And no further than to a piece of the
        # body that has another one after it: reading ahead would hold a whole upload in memory.
        for _ in range(2):
            if self._disconnected or (self._peeked and self._peeked[-1].get("more_body", False)):
                break
            look = asyncio.ensure_future(self._next())
            try:
                await asyncio.sleep(0)  # its turn: it is done now, unless there is nothing to receive
            finally:
                look.cancel()
            await asyncio.wait((look,))
            if look.cancelled():
                break
            self._peeked.append(look.result())
            self._disconnected = self._peeked[-1]["type"] == "http.disconnect"
        return self._disconnected
