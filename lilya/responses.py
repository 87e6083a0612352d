"""
HTTP responses, each an ASGI application.

On a WebSocket scope the same responses are denials: every message is prefixed with `websocket.` (ASGI extension
"WebSocket Denial Response"). There, a streamed body is collected first and sent as one message if it is no larger than
64 KiB, because some servers drop a denial whose body comes in several; nothing is read from the client.
"""

import asyncio
import os
import re
import stat
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeAlias
from urllib.parse import quote

from lilya._state import check_headers
from lilya.concurrency import iterate_in_threadpool, run_in_threadpool
from lilya.datastructures import Cookie, Header, _http_date
from lilya.encoders import Encoder, json_encode
from lilya.enums import MediaType
from lilya.serializers import encode_bytes
from lilya.types import Message, Receive, Scope, Send

__all__ = [
    "HTML",
    "Error",
    "FileResponse",
    "HTMLResponse",
    "JSONResponse",
    "Ok",
    "PlainText",
    "RedirectResponse",
    "Response",
    "StreamingResponse",
    "TextResponse",
    "make_response",
]

Headers: TypeAlias = Mapping[str, str] | Iterable[tuple[str, str]] | Iterable[tuple[bytes, bytes]]
Background: TypeAlias = Callable[[], Awaitable[Any]]
Encoders: TypeAlias = Sequence[Encoder | type[Encoder]]
Head: TypeAlias = tuple[int, list[tuple[bytes, bytes]]]

# How much of a streamed denial is held back to make it one message, and how much of a file is read at a time.
CHUNK_BYTES = 64 * 1024

# Written as they are; everything else goes through `json_encode`, which also looks at what is no plain value outside.
_PLAIN = (dict, list, str, int, float, bool, type(None))


class Response:
    """
    A response whose body is known.

    Args:
        content: Text, bytes, None for an empty body, or anything else for JSON.
        status_code: 100–599; with 1xx, 204 and 304, which have no body, the content is dropped (RFC 9110 §6.4.1).
        headers: A mapping, or pairs of text or of bytes.
        cookies: Names and values; `set_cookie` can say more.
        media_type: The `Content-Type`, to which a charset is added if it is text.
        background: A `Task` or `Tasks`, run once the body is sent.
        encoders: For JSON content, asked before the registered ones.

    Raises:
        ValueError: A header that cannot be sent: its name is no token, its value holds CR, LF or NUL, or a character
            that is not in latin-1. A header set later, through `headers`, is checked when the response is sent.
        TypeError: Content that nothing can turn into JSON.
    """

    media_type: str | None = None
    charset: str = "utf-8"
    status_code: int = 200

    def __init__(
        self,
        content: Any = None,
        status_code: int | None = None,
        headers: Headers | None = None,
        cookies: Mapping[str, str] | None = None,
        media_type: str | None = None,
        background: Background | None = None,
        encoders: Encoders | None = None,
    ) -> None:
        self._describe(status_code, headers, media_type, background)
        self.encoders = [encoder() if isinstance(encoder, type) else encoder for encoder in encoders or ()]
        self.body = self.render(content)
        if self._bodiless:
            self.body = b""
        elif "content-length" not in self.headers:
            self.headers["Content-Length"] = str(len(self.body))
        self._describe_content(cookies)

    def _describe(
        self, status_code: int | None, headers: Headers | None, media_type: str | None, background: Background | None
    ) -> None:
        if status_code is not None:
            self.status_code = status_code
        if media_type is not None:
            self.media_type = media_type
        self.background = background
        self.headers = Header(headers)
        _raw(self.headers)

    def _describe_content(self, cookies: Mapping[str, str] | None) -> None:
        if self.media_type and not self._bodiless and "content-type" not in self.headers:
            text = self.media_type.startswith("text/") and "charset=" not in self.media_type
            self.headers["Content-Type"] = f"{self.media_type}; charset={self.charset}" if text else self.media_type
            _raw(self.headers)
        self.cookies = dict(cookies or {})
        for name, value in self.cookies.items():
            self.set_cookie(name, value)

    @property
    def _bodiless(self) -> bool:
        return self.status_code < 200 or self.status_code in (204, 304)

    def render(self, content: Any) -> bytes:
        """The body for `content`."""
        if content is None:
            return b""
        if isinstance(content, (bytes, bytearray, memoryview)):
            return bytes(content)
        if isinstance(content, str):
            return content.encode(self.charset)
        self.media_type = self.media_type or MediaType.JSON.value
        return self._json(content)

    def _json(self, content: Any) -> bytes:
        if self.encoders or type(content) not in _PLAIN:
            content = json_encode(content, self.encoders)
        return encode_bytes(content)

    @property
    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        """
        The headers as they are sent: pairs of bytes, names in lower case.

        Raises:
            ValueError: A header that cannot be sent.
        """
        return _raw(self.headers)

    def set_cookie(
        self,
        key: str,
        value: str = "",
        max_age: int | None = None,
        expires: datetime | str | int | None = None,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool = False,
        httponly: bool = False,
        samesite: Literal["lax", "strict", "none"] | None = "lax",
    ) -> None:
        """
        Set a cookie; the arguments are those of `lilya.datastructures.Cookie`.

        Args:
            expires: Also a number of seconds from now.

        Raises:
            ValueError: Something of this cannot stand in a cookie.
        """
        if isinstance(expires, int):
            expires = datetime.now(UTC) + timedelta(seconds=expires)
        cookie = Cookie(
            key,
            value,
            path=path,
            domain=domain,
            secure=secure,
            httponly=httponly,
            samesite=samesite,
            max_age=max_age,
            expires=expires,
        )
        self.headers.add("Set-Cookie", cookie.to_header())

    def delete_cookie(self, key: str, path: str | None = "/", domain: str | None = None, **attributes: Any) -> None:
        """Make the client forget a cookie, which it knows by its name, path and domain."""
        self.set_cookie(key, "", 0, datetime.fromtimestamp(0, UTC), path, domain, **attributes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response, then run what is to run in the background."""
        start, body = _message_types(scope)
        await send({"type": start, "status": self.status_code, "headers": self.raw_headers})
        # RFC 9110 §9.3.2: the headers of the GET, and no body.
        content = b"" if scope.get("method") == "HEAD" else self.body
        await send({"type": body, "body": content, "more_body": False})
        if self.background is not None:
            await self.background()


class PlainText(Response):
    """Text as it is."""

    media_type = MediaType.TEXT.value


class HTMLResponse(Response):
    """A page. What came from outside must be escaped before it gets here (`html.escape`)."""

    media_type = MediaType.HTML.value


class Error(HTMLResponse):
    """A page that says what went wrong: status 500."""

    status_code = 500


class JSONResponse(Response):
    """
    Any value as JSON (`lilya.serializers`): None is `null`, text is a JSON string.

    Raises:
        ValueError: The value has no JSON form, such as NaN.
        TypeError: No encoder answers for it.
    """

    media_type = MediaType.JSON.value

    def render(self, content: Any) -> bytes:
        """The JSON text of `content`."""
        return self._json(content)


class Ok(JSONResponse):
    """JSON with status 200."""


class RedirectResponse(Response):
    """
    "Look there": 303 by default, so that the client asks for the new address with GET (RFC 9110 §15.4.4).

    Args:
        url: Where to; characters that cannot stand in a URL are percent-encoded.
        options: More arguments of `Response`.
    """

    status_code = 303

    def __init__(
        self, url: str, status_code: int | None = None, headers: Headers | None = None, **options: Any
    ) -> None:
        super().__init__(None, status_code, headers, **options)
        self.headers["Location"] = quote(str(url), safe=":/%#?=@[]!$&'()*+,;~")


class StreamingResponse(Response):
    """
    A response whose body is made while it is sent.

    On HTTP the client is listened to meanwhile, so read the request's body before; when the client has left, the
    iterator is cancelled where it waits and closed. An iterator that blocks runs in threads.

    Args:
        content: An asynchronous or an ordinary iterable of text or bytes.
    """

    def __init__(
        self,
        content: AsyncIterable[Any] | Iterable[Any],
        status_code: int | None = None,
        headers: Headers | None = None,
        cookies: Mapping[str, str] | None = None,
        media_type: str | None = None,
        background: Background | None = None,
    ) -> None:
        self._describe(status_code, headers, media_type, background)
        self._describe_content(cookies)
        self.body_iterator = content

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response, then run what is to run in the background, also when the client has left."""
        await self._stream(scope, receive, send, (self.status_code, self.raw_headers), self.body_iterator)

    async def _stream(
        self, scope: Scope, receive: Receive, send: Send, head: Head, content: AsyncIterable[Any] | Iterable[Any]
    ) -> None:
        start, body = _message_types(scope)
        first: Message = {"type": start, "status": head[0], "headers": head[1]}
        chunks = _encoded(() if scope.get("method") == "HEAD" or self._bodiless else content, self.charset)
        if scope["type"] == "websocket":
            await _send_together(send, first, body, chunks)
        else:
            await _while_connected(receive, _send_each(send, first, body, chunks))
        if self.background is not None:
            await self.background()


class FileResponse(StreamingResponse):
    """
    A file, read in threads while it is sent.

    On HTTP it has `Content-Length`, `ETag` and `Last-Modified`, answers 304 to a client that has it (RFC 9110 §13) and
    sends a single range where one is asked for (206, or 416 if there is none such; §14). Several ranges are answered
    with the whole file.

    Args:
        path: Must be chosen by the application; a path made from what a client sent can lead anywhere.
        filename: Under which name a browser saves it.
        stat_result: What `os.stat` says, if that is known already.
        content_disposition_type: "attachment" to save it, "inline" to show it; only with a file name.
        options: More arguments of `StreamingResponse`.

    Raises:
        RuntimeError: When it is called: the path is no file that can be read. Nothing has been sent then.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        status_code: int | None = None,
        headers: Headers | None = None,
        *,
        media_type: str | None = None,
        filename: str | None = None,
        stat_result: os.stat_result | None = None,
        content_disposition_type: Literal["attachment", "inline"] = "attachment",
        **options: Any,
    ) -> None:
        super().__init__((), status_code, headers, media_type=media_type or _guess_type(filename or path), **options)
        self.path = path
        self.filename = filename
        self.stat_result = stat_result
        if filename is not None:
            self.headers.setdefault("Content-Disposition", f"{content_disposition_type}; {_file_name(filename)}")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file, or what of it was asked for."""
        found = self.stat_result
        if found is None:
            found = await run_in_threadpool(_stat, self.path)
        headers = Header(self.headers)
        headers.setdefault("Content-Length", str(found.st_size))
        headers.setdefault("ETag", f'"{found.st_mtime_ns:x}-{found.st_size:x}"')
        headers.setdefault("Last-Modified", _http_date(datetime.fromtimestamp(int(found.st_mtime), UTC)))
        status_code, part = self.status_code, range(found.st_size)
        if scope["type"] == "http" and status_code == 200:
            headers.setdefault("Accept-Ranges", "bytes")
            status_code, part = _select(scope, headers, found.st_size)
        await self._stream(scope, receive, send, (status_code, _raw(headers)), _read(self.path, part))


TextResponse = PlainText
"""The same as `PlainText`."""
HTML = HTMLResponse
"""The same as `HTMLResponse`."""


def make_response(
    content: Any, status_code: int | None = None, response_class: type[Response] = JSONResponse, **options: Any
) -> Response:
    """
    What a handler returned, as a response: JSON for every value, `null` for None.

    A response, or any other ASGI application (a callable), comes back as it is; the other arguments do not apply then.

    Args:
        options: More arguments of the response class, such as `headers` or `background`.

    Raises:
        TypeError: No encoder answers for the value.
        ValueError: The value has no JSON form, such as NaN.
    """
    return content if callable(content) else response_class(content, status_code, **options)


# -- sending -----------------------------------------------------------------------------------------------------------


def _raw(headers: Header) -> list[tuple[bytes, bytes]]:
    raw = headers.encoded_multi_items()
    check_headers(raw)
    return raw


def _message_types(scope: Scope) -> tuple[str, str]:
    if scope["type"] == "websocket":
        return "websocket.http.response.start", "websocket.http.response.body"
    return "http.response.start", "http.response.body"


async def _encoded(content: AsyncIterable[Any] | Iterable[Any], charset: str) -> AsyncGenerator[bytes, None]:
    """The pieces of a body as bytes; closes the generator that they come from."""
    chunks = aiter(content if isinstance(content, AsyncIterable) else iterate_in_threadpool(content))
    try:
        async for chunk in chunks:
            yield chunk.encode(charset) if isinstance(chunk, str) else bytes(chunk)
    finally:
        if isinstance(chunks, AsyncGenerator):
            await chunks.aclose()


async def _send_each(send: Send, start: Message, body: str, chunks: AsyncGenerator[bytes, None]) -> None:
    async with aclosing(chunks):
        await send(start)
        async for chunk in chunks:
            try:
                await send({"type": body, "body": chunk, "more_body": True})
            except OSError:  # ASGI 2.4: the client has left
                return
        await send({"type": body, "body": b"", "more_body": False})


async def _send_together(send: Send, start: Message, body: str, chunks: AsyncGenerator[bytes, None]) -> None:
    """One body message if it fits; an error before that many bytes comes out before anything was sent."""
    held = bytearray()
    held_back = True
    async with aclosing(chunks):
        async for chunk in chunks:
            held += chunk
            if held_back and len(held) <= CHUNK_BYTES:
                continue
            if held_back:
                held_back = False
                await send(start)
            await send({"type": body, "body": bytes(held), "more_body": True})
            held.clear()
    if held_back:
        await send(start)
    await send({"type": body, "body": bytes(held), "more_body": False})


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
    if not work.cancelled():
        work.result()
    elif not gone.cancelled():
        gone.result()


async def _disconnect(receive: Receive) -> None:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        # A `receive` that never waits, as written for a test, must not keep the loop to itself.
        await asyncio.sleep(0)


# -- files -------------------------------------------------------------------------------------------------------------

# RFC 9110 §14.1.2, one range. So many digits are enough for any file; what is longer is not a range we know.
_RANGE = re.compile(r"bytes=[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*", re.IGNORECASE)


def _guess_type(path: str | os.PathLike[str]) -> str:
    # Here, not at the top: the module is of use to this class only, and reads the system's tables.
    import mimetypes  # noqa: PLC0415

    media_type, encoding = mimetypes.guess_type(path)
    # The type is that of the content; a .tar.gz sent as application/x-tar would be one that cannot be read.
    return media_type if media_type and encoding is None else MediaType.OCTET.value


def _file_name(name: str) -> str:
    """The file name parameter (RFC 6266 §4.1), encoded (RFC 8187) unless it is plain."""
    quoted = quote(name, safe="")
    return f'filename="{name}"' if quoted == name else f"filename*=utf-8''{quoted}"


def _stat(path: str | os.PathLike[str]) -> os.stat_result:
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            raise RuntimeError(f"FileResponse: {os.fspath(path)!r} is not a file.")
        with open(path, "rb"):  # may it be read? Better to know before the response has begun.
            return found
    except OSError as error:
        raise RuntimeError(f"FileResponse: {os.fspath(path)!r} cannot be read: {error.strerror}.") from error


def _read(path: str | os.PathLike[str], part: range) -> Iterator[bytes]:
    left = len(part)
    with open(path, "rb") as file:
        file.seek(part.start)
        while left and (chunk := file.read(min(CHUNK_BYTES, left))):
            left -= len(chunk)
            yield chunk


def _select(scope: Scope, headers: Header, size: int) -> tuple[int, range]:
    """Status and bytes of the answer to a request for a file; changes `headers` accordingly."""
    asked = Header.from_scope(scope)
    method, whole = scope.get("method"), range(size)
    if method in ("GET", "HEAD") and _is_known(asked, headers):
        del headers["Content-Length"]
        headers.pop("Content-Type", None)
        return 304, range(0)
    # RFC 9110 §13.1.5: with If-Range, a range only of the file the client has a part of.
    fresh = asked.get("If-Range") in (None, headers["ETag"], headers["Last-Modified"])
    match = _RANGE.fullmatch(asked.get("Range", "")) if method == "GET" and fresh else None
    first, last = match.groups() if match else ("", "")
    if (first and last and int(first) > int(last)) or (not first and not last):
        return 200, whole
    start = int(first) if first else max(size - int(last), 0)
    stop = min(int(last) + 1, size) if first and last else size
    if start >= size:
        headers["Content-Range"] = f"bytes */{size}"
        headers["Content-Length"] = "0"
        headers.pop("Content-Type", None)
        return 416, range(0)
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    headers["Content-Length"] = str(stop - start)
    return 206, range(start, stop)


def _is_known(asked: Header, headers: Header) -> bool:
    """Whether the client has this file already (RFC 9110 §13.1.2, §13.1.3)."""
    tags = asked.get("If-None-Match")
    if tags is None:
        return asked.get("If-Modified-Since") == headers["Last-Modified"]
    own = headers["ETag"].removeprefix("W/")
    return tags.strip() == "*" or own in (tag.strip().removeprefix("W/") for tag in tags.split(","))
