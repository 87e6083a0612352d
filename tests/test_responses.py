"""HTTP responses, and the same as denials of a WebSocket."""

import asyncio
import math
import os
import re
import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from lilya._exchange import Exchange
from lilya._wire import WIRE
from lilya.background import Task, Tasks
from lilya.encoders import Encoder
from lilya.responses import (
    HTML,
    Error,
    FileResponse,
    HTMLResponse,
    JSONResponse,
    Ok,
    PlainText,
    RedirectResponse,
    Response,
    StreamingResponse,
    TextResponse,
    make_response,
)
from lilya.types import ASGIApp, Message, Receive, Scope, Send

HTTP: Scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
HEAD: Scope = {**HTTP, "method": "HEAD"}
WEBSOCKET: Scope = {"type": "websocket", "path": "/", "headers": [(b"range", b"bytes=0-0")]}


async def forbidden() -> Message:
    """A `receive` for responses that do not listen."""
    raise AssertionError("receive() was called")


async def connected() -> Message:
    """A `receive` whose client stays."""
    await asyncio.Event().wait()
    raise AssertionError("never set")


async def sent_by(response: ASGIApp, scope: Scope = HTTP) -> list[Message]:
    """All messages of a response; on a WebSocket, `receive` may not be called."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await response(scope, forbidden if scope["type"] == "websocket" else connected, send)
    return sent


def start(*headers: tuple[bytes, bytes], status: int = 200, prefix: str = "") -> Message:
    """The first message of a response."""
    return {"type": f"{prefix}http.response.start", "status": status, "headers": list(headers)}


def body(content: bytes, more_body: bool = False, prefix: str = "") -> Message:
    """A message with a part of the body."""
    return {"type": f"{prefix}http.response.body", "body": content, "more_body": more_body}


LENGTH_0 = (b"content-length", b"0")
TEXT_TYPE = (b"content-type", b"text/plain; charset=utf-8")
JSON_TYPE = (b"content-type", b"application/json")


# -- plain responses ---------------------------------------------------------------------------------------------------


async def test_response_sends_start_and_body() -> None:
    """Two messages, with the length and the type of the content."""
    assert await sent_by(PlainText("é")) == [start((b"content-length", b"2"), TEXT_TYPE), body("é".encode())]


async def test_response_on_a_websocket_is_a_denial() -> None:
    """The same two messages with a prefix."""
    assert await sent_by(PlainText("no", 401), WEBSOCKET) == [
        start((b"content-length", b"2"), TEXT_TYPE, status=401, prefix="websocket."),
        body(b"no", prefix="websocket."),
    ]


async def test_response_to_head_has_no_body() -> None:
    """The headers are those of the GET."""
    assert await sent_by(PlainText("ab"), HEAD) == [start((b"content-length", b"2"), TEXT_TYPE), body(b"")]


@pytest.mark.parametrize(
    ("content", "expected", "media_type"),
    [
        (None, b"", None),
        ("é", "é".encode(), None),
        (b"\xff", b"\xff", None),
        (bytearray(b"a"), b"a", None),
        (memoryview(b"a"), b"a", None),
        ({"a": [1]}, b'{"a":[1]}', "application/json"),
    ],
)
def test_response_renders_its_content(content: Any, expected: bytes, media_type: str | None) -> None:
    """Text and bytes are the body as they are, None is empty, everything else is JSON."""
    response = Response(content)
    assert (response.body, response.headers.get("content-type")) == (expected, media_type)


@pytest.mark.parametrize("status_code", [103, 204, 304])
async def test_response_without_a_body_drops_its_content(status_code: int) -> None:
    """Neither content nor headers that describe it are sent."""
    assert await sent_by(JSONResponse({"a": 1}, status_code)) == [start(status=status_code), body(b"")]


def test_response_keeps_given_headers() -> None:
    """Content headers that are given win; several values to a name stay; the caller's mapping stays as it is."""
    mine = {"X-A": "1", "Content-Type": "text/x", "Content-Length": "9"}
    assert PlainText("ab", headers=mine).raw_headers == [
        (b"x-a", b"1"),
        (b"content-type", b"text/x"),
        (b"content-length", b"9"),
    ]
    assert len(mine) == 3
    assert Response(headers=[(b"X-A", b"\xe9"), (b"x-a", b"2")]).raw_headers == [
        (b"x-a", b"\xe9"),
        (b"x-a", b"2"),
        LENGTH_0,
    ]


@pytest.mark.parametrize(
    ("media_type", "content_type"),
    [
        ("text/csv", "text/csv; charset=utf-8"),
        ("text/csv; charset=latin-1", "text/csv; charset=latin-1"),
        ("image/png", "image/png"),
    ],
)
def test_response_adds_a_charset_to_text(media_type: str, content_type: str) -> None:
    """Unless there is one, or it is no text."""
    assert Response("", media_type=media_type).headers["content-type"] == content_type


@pytest.mark.parametrize(
    ("name", "value"),
    [("x", "a\r\nb"), ("x", "a\nb"), ("x", "a\0"), ("x\r\ny", "a"), ("x y", "a"), ("", "a"), ("x", "€"), ("é", "a")],
)
def test_response_refuses_headers_that_cannot_be_sent(name: str, value: str) -> None:
    """At the call that would make it, and at the latest when the headers are read for sending."""
    for response in (Response, PlainText, StreamingResponse):
        with pytest.raises(ValueError):
            response("", headers={name: value})
    late = Response()
    late.headers[name] = value
    with pytest.raises(ValueError):
        assert late.raw_headers == []


def test_response_refuses_a_media_type_that_cannot_be_sent() -> None:
    """The media type is a header too."""
    with pytest.raises(ValueError, match="content-type"):
        Response("", media_type="text/plain\r\nx: y")


async def test_response_sends_nothing_with_a_bad_late_header() -> None:
    """A header that became bad later is found before the first message."""
    response = PlainText("a")
    response.headers["x"] = "a\r\nb"
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    with pytest.raises(ValueError, match="cannot be sent"):
        await response(HTTP, connected, send)
    assert sent == []


@pytest.mark.parametrize("scope", [HTTP, WEBSOCKET])
async def test_response_runs_its_background_last(scope: Scope) -> None:
    """The background starts when the body has been sent."""
    order: list[str] = []

    async def send(message: Message) -> None:
        order.append(message["type"].rpartition(".")[2])

    for response in (
        PlainText("a", background=Task(order.append, "background")),
        StreamingResponse(["a"], background=Tasks([Task(order.append, "background")])),
    ):
        order.clear()
        await response(scope, connected, send)
        assert (order[0], order[-2:]) == ("start", ["body", "background"])


def test_response_names_are_aliases() -> None:
    """Both spellings are the same classes."""
    assert (TextResponse, HTML) == (PlainText, HTMLResponse)


def test_error_is_a_page_with_status_500() -> None:
    """Unless another status is asked for."""
    error = Error("<h1>Oops</h1>")
    assert (error.status_code, error.headers["content-type"]) == (500, "text/html; charset=utf-8")
    assert Error("x", 502).status_code == 502


async def test_redirect_asks_for_a_get() -> None:
    """303 by default, the location percent-encoded where it must be."""
    assert await sent_by(RedirectResponse("/é?a=b c\r\nx: y#z")) == [
        start(LENGTH_0, (b"location", b"/%C3%A9?a=b%20c%0D%0Ax:%20y#z"), status=303),
        body(b""),
    ]
    assert RedirectResponse("/", 308).status_code == 308


# -- cookies -----------------------------------------------------------------------------------------------------------


def test_response_sets_cookies() -> None:
    """Cookies of the constructor and of `set_cookie` are headers of their own."""
    response = Response(cookies={"a": "1"})
    response.set_cookie("b", "2", max_age=5, path="/x", domain="d", secure=True, httponly=True, samesite="strict")
    response.set_cookie("c", expires=datetime(2024, 1, 2, tzinfo=UTC), path=None, samesite=None)
    assert response.cookies == {"a": "1"}
    assert response.headers.getall("set-cookie") == [
        "a=1; Path=/; SameSite=lax",
        "b=2; Domain=d; Max-Age=5; Path=/x; SameSite=strict; HttpOnly; Secure",
        "c=; Expires=Tue, 02 Jan 2024 00:00:00 GMT",
    ]


def test_response_sets_cookies_that_expire_in_seconds() -> None:
    """A number of seconds from now becomes a date."""
    response = Response()
    response.set_cookie("a", "1", expires=60)
    assert re.fullmatch(
        r"a=1; Expires=\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT; Path=/; SameSite=lax", response.headers["set-cookie"]
    )


def test_response_deletes_cookies() -> None:
    """Deleting is setting a cookie that has ended."""
    response = Response()
    response.delete_cookie("a", domain="d")
    assert response.headers.getall("set-cookie") == [
        "a=; Domain=d; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/; SameSite=lax"
    ]


def test_response_refuses_cookies_that_cannot_be_set() -> None:
    """At the call, before anything is added."""
    response = Response()
    with pytest.raises(ValueError):
        response.set_cookie("a\r\nb", "1")
    with pytest.raises(ValueError):
        response.set_cookie("a", "1", path="/\r\nx: y")
    assert response.raw_headers == [LENGTH_0]


# -- JSON --------------------------------------------------------------------------------------------------------------


@dataclass
class Point:
    x: int


class Pair(NamedTuple):
    left: int
    right: uuid.UUID


class Money:
    cents = 5


class MoneyEncoder(Encoder):
    __type__ = Money

    def serialize(self, value: Money) -> int:
        return value.cents


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, b"null"),
        ("é", '"é"'.encode()),
        (b"\xff", b'"/w=="'),
        ({"a": Point(1)}, b'{"a":{"x":1}}'),
        ([1, 2.5, True], b"[1,2.5,true]"),
        (Pair(1, uuid.UUID(int=0)), b'{"left":1,"right":"00000000-0000-0000-0000-000000000000"}'),
        ({3}, b"[3]"),
    ],
)
async def test_make_response_writes_json(content: Any, expected: bytes) -> None:
    """Every value that can be encoded is JSON with status 200; None is null."""
    assert await sent_by(make_response(content)) == [
        start((b"content-length", str(len(expected)).encode()), JSON_TYPE),
        body(expected),
    ]


def test_make_response_passes_its_options_on() -> None:
    """Status, class and the arguments of that class."""
    assert make_response({}, 201, headers={"x": "y"}).raw_headers == [
        (b"x", b"y"),
        (b"content-length", b"2"),
        JSON_TYPE,
    ]
    page = make_response("<p>", response_class=Error)
    assert (type(page), page.status_code, page.body) == (Error, 500, b"<p>")


def test_make_response_leaves_applications_alone() -> None:
    """A response is a response already, and so is any other ASGI application."""
    response = PlainText("a")
    assert make_response(response) is response

    async def application(scope: Scope, receive: Receive, send: Send) -> None: ...

    assert make_response(application, 404) is application


def test_json_response_asks_its_encoders() -> None:
    """Encoders, or classes of them, that are given with the response."""
    assert Ok([Money()], encoders=[MoneyEncoder]).body == b"[5]"
    assert JSONResponse(Money(), encoders=[MoneyEncoder()]).body == b"5"
    with pytest.raises(TypeError, match="'Money' cannot be written as JSON"):
        JSONResponse([Money()])


@pytest.mark.parametrize("content", [math.nan, {1: math.inf}, {math.nan}])
def test_json_response_refuses_nan(content: Any) -> None:
    """What has no JSON form is refused when the response is made."""
    with pytest.raises(ValueError):
        JSONResponse(content)


# -- streaming ---------------------------------------------------------------------------------------------------------


async def chunks_of(*chunks: Any) -> AsyncIterator[Any]:
    """An asynchronous generator of these."""
    for chunk in chunks:
        yield chunk


class Chunks:
    """An asynchronous iterator that is no generator."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = list(chunks)

    def __aiter__(self) -> "Chunks":
        return self

    async def __anext__(self) -> bytes:
        if not self.chunks:
            raise StopAsyncIteration
        return self.chunks.pop(0)


async def test_streaming_sends_piece_by_piece() -> None:
    """Text and bytes from any kind of iterable, then an empty last message."""
    for content in (chunks_of("é", b"b"), ["é", memoryview(b"b")], Chunks("é".encode(), b"b"), iter(("é", b"b"))):
        assert await sent_by(StreamingResponse(content, media_type="text/plain")) == [
            start(TEXT_TYPE),
            body("é".encode(), True),
            body(b"b", True),
            body(b""),
        ]


async def test_streaming_to_head_has_no_body() -> None:
    """The iterator is not asked for anything."""
    chunks = Chunks(b"a")
    assert await sent_by(StreamingResponse(chunks), HEAD) == [start(), body(b"")]
    assert await sent_by(StreamingResponse(chunks, 204, media_type="text/plain")) == [start(status=204), body(b"")]
    assert chunks.chunks == [b"a"]


async def test_streaming_denial_is_one_message() -> None:
    """Up to 64 KiB; nothing is received from the client."""
    half = b"x" * 32768
    for content, whole in (([], b""), (["a", b"b"], b"ab"), (chunks_of(half, half), half + half)):
        assert await sent_by(StreamingResponse(content, 403), WEBSOCKET) == [
            start(status=403, prefix="websocket."),
            body(whole, prefix="websocket."),
        ]


async def test_streaming_denial_that_is_large_comes_in_pieces() -> None:
    """Beyond 64 KiB, what was held back comes first; every message holds `body`."""
    held, rest = b"x" * 65536, b"y"
    assert await sent_by(StreamingResponse([held, rest, rest]), WEBSOCKET) == [
        start(prefix="websocket."),
        body(held + rest, True, prefix="websocket."),
        body(rest, True, prefix="websocket."),
        body(b"", prefix="websocket."),
    ]


async def test_streaming_denial_fails_before_it_begins() -> None:
    """An error in the first 64 KiB leaves the handshake open for another answer."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    with pytest.raises(ZeroDivisionError):
        await StreamingResponse(1 // divisor for divisor in (1, 0))(WEBSOCKET, forbidden, send)
    assert sent == []


async def test_streaming_stops_when_the_client_has_left() -> None:
    """The generator is cancelled where it waits and closed; no last message is sent; the background runs."""
    log: list[str] = []
    reached = asyncio.Event()

    async def forever() -> AsyncIterator[bytes]:
        try:
            yield b"a"
            reached.set()
            await asyncio.Event().wait()
        finally:
            log.append("closed")

    async def receive() -> Message:
        if not reached.is_set():
            await reached.wait()
            return {"type": "http.request", "body": b"", "more_body": False}
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        log.append(message["type"])

    async def after() -> None:
        log.append("background")

    await StreamingResponse(forever(), background=after)(HTTP, receive, send)
    assert log == ["http.response.start", "http.response.body", "closed", "background"]


async def test_streaming_closes_a_generator_when_the_client_leaves_while_sending() -> None:
    """A server that does not take any more, or says with an OSError that nobody is there, ends the generator too."""
    closed: list[str] = []

    async def endless(name: str) -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"a"
        finally:
            closed.append(name)

    async def send_refusing(message: Message) -> None:
        if message["type"] == "http.response.body":
            raise OSError("gone")

    full = asyncio.Event()

    async def send_stalling(message: Message) -> None:
        if message["type"] == "http.response.body":
            full.set()
            await asyncio.Event().wait()

    async def receive() -> Message:
        await full.wait()
        return {"type": "http.disconnect"}

    await StreamingResponse(endless("refused"))(HTTP, connected, send_refusing)
    await StreamingResponse(endless("stalled"))(HTTP, receive, send_stalling)
    assert closed == ["refused", "stalled"]


async def test_streaming_is_not_kept_waiting_by_a_receive_that_never_waits() -> None:
    """A `receive` that repeats the request's body for ever does not keep the response from being sent."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await StreamingResponse(["a"])(HTTP, receive, send)
    assert sent == [start(), body(b"a", True), body(b"")]


async def test_streaming_passes_errors_on() -> None:
    """An error of the generator, also an OSError, comes out after what was sent before it; so does one of receive."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def broken() -> AsyncIterator[bytes]:
        yield b"a"
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        await StreamingResponse(broken())(HTTP, connected, send)
    assert sent == [start(), body(b"a", True)]

    async def endless() -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    with pytest.raises(AssertionError, match="receive"):
        await StreamingResponse(endless())(HTTP, forbidden, send)


async def test_streaming_can_be_cancelled() -> None:
    """A cancelled response cancels and awaits the generator, and leaves no task."""
    log: list[str] = []
    waiting = asyncio.Event()

    async def forever() -> AsyncIterator[bytes]:
        try:
            waiting.set()
            await asyncio.Event().wait()
            yield b""
        finally:
            log.append("closed")

    task = asyncio.ensure_future(sent_by(StreamingResponse(forever())))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log == ["closed"]


async def test_streaming_survives_a_generator_that_cancels_itself() -> None:
    """The response ends without its last message, which the server notices."""

    async def cancelled() -> AsyncIterator[bytes]:
        yield b"a"
        raise asyncio.CancelledError

    assert await sent_by(StreamingResponse(cancelled())) == [start(), body(b"a", True)]


async def test_streaming_runs_blocking_iterators_in_threads() -> None:
    """The event loop's own thread never waits for them."""

    def where() -> Iterator[str]:
        yield str(threading.current_thread() is threading.main_thread())

    assert (await sent_by(StreamingResponse(where())))[1] == body(b"False", True)


# -- files -------------------------------------------------------------------------------------------------------------

# 1,000,000,000 seconds after the epoch.
MODIFIED = (b"last-modified", b"Sun, 09 Sep 2001 01:46:40 GMT")
ETAG = (b"etag", b'"de0b6b3a7640000-a"')
RANGES = (b"accept-ranges", b"bytes")


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    """A file of ten bytes, last modified at a known time."""
    path = tmp_path / "digits.txt"
    path.write_bytes(b"0123456789")
    os.utime(path, ns=(10**18, 10**18))
    return path


def asking(method: str = "GET", **headers: str) -> Scope:
    """An HTTP scope with these headers."""
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {**HTTP, "method": method, "headers": pairs}


async def test_file_is_sent_with_its_description(digits: Path) -> None:
    """Type, length, validators; the name it is saved under if one is given."""
    assert await sent_by(FileResponse(digits)) == [
        start(TEXT_TYPE, (b"content-length", b"10"), ETAG, MODIFIED, RANGES),
        body(b"0123456789", True),
        body(b""),
    ]


async def test_file_to_head_has_no_body(digits: Path) -> None:
    """The headers are those of the GET; a range does not apply."""
    sent = await sent_by(FileResponse(digits), asking("HEAD", range="bytes=0-1"))
    assert sent == [start(TEXT_TYPE, (b"content-length", b"10"), ETAG, MODIFIED, RANGES), body(b"")]


async def test_file_as_a_denial_is_whole(digits: Path) -> None:
    """On a WebSocket no range and no condition applies, and the body is one message."""
    assert await sent_by(FileResponse(digits, 403), WEBSOCKET) == [
        start(TEXT_TYPE, (b"content-length", b"10"), ETAG, MODIFIED, status=403, prefix="websocket."),
        body(b"0123456789", prefix="websocket."),
    ]


@pytest.mark.parametrize(
    ("asked", "content_range", "content"),
    [
        ("bytes=0-0", b"bytes 0-0/10", b"0"),
        ("bytes=2-4", b"bytes 2-4/10", b"234"),
        ("Bytes= 7- ", b"bytes 7-9/10", b"789"),
        ("bytes=8-99", b"bytes 8-9/10", b"89"),
        ("bytes=-3", b"bytes 7-9/10", b"789"),
        ("bytes=-99", b"bytes 0-9/10", b"0123456789"),
    ],
)
async def test_file_sends_a_range(digits: Path, asked: str, content_range: bytes, content: bytes) -> None:
    """A single range is answered with 206 and that part of the file."""
    length = (b"content-length", str(len(content)).encode())
    assert await sent_by(FileResponse(digits), asking(range=asked)) == [
        start(TEXT_TYPE, length, ETAG, MODIFIED, RANGES, (b"content-range", content_range), status=206),
        body(content, True),
        body(b""),
    ]


@pytest.mark.parametrize("asked", ["bytes=10-", "bytes=10-11", "bytes=-0"])
async def test_file_refuses_a_range_beyond_its_end(digits: Path, asked: str) -> None:
    """416 says how long the file is."""
    assert await sent_by(FileResponse(digits), asking(range=asked)) == [
        start(LENGTH_0, ETAG, MODIFIED, RANGES, (b"content-range", b"bytes */10"), status=416),
        body(b""),
    ]


@pytest.mark.parametrize(
    "asked", ["bytes=0-1,3-4", "bytes=4-2", "bytes=-", "bytes=a-b", "lines=0-1", f"bytes={'9' * 5000}-", "bytes=١-٢"]
)
async def test_file_ignores_ranges_that_it_does_not_know(digits: Path, asked: str) -> None:
    """Several ranges, and what is no range, are answered with the whole file."""
    scope = {**HTTP, "headers": [(b"range", asked.encode())]}
    assert await sent_by(FileResponse(digits), scope) == await sent_by(FileResponse(digits))


@pytest.mark.parametrize(
    ("validator", "status"),
    [(ETAG[1].decode(), 206), (MODIFIED[1].decode(), 206), ('"other"', 200), ("Sun, 09 Sep 2001 01:46:41 GMT", 200)],
)
async def test_file_sends_a_range_only_of_the_file_that_is_meant(digits: Path, validator: str, status: int) -> None:
    """With If-Range, another file than the client has a part of is sent whole."""
    sent = await sent_by(FileResponse(digits), asking(range="bytes=0-1", if_range=validator))
    assert sent[0]["status"] == status


@pytest.mark.parametrize(
    ("headers", "known"),
    [
        ({"if_none_match": f'"other", W/{ETAG[1].decode()}'}, True),
        ({"if_none_match": "*"}, True),
        ({"if_none_match": '"other"'}, False),
        ({"if_modified_since": MODIFIED[1].decode()}, True),
        ({"if_modified_since": "Sun, 09 Sep 2001 01:46:39 GMT"}, False),
        ({"if_modified_since": MODIFIED[1].decode(), "if_none_match": '"other"'}, False),
    ],
)
async def test_file_is_not_sent_to_a_client_that_has_it(digits: Path, headers: dict[str, str], known: bool) -> None:
    """304 with the validators and no body; an entity tag is asked before a date."""
    sent = await sent_by(FileResponse(digits), asking(**headers))
    if known:
        assert sent == [start(ETAG, MODIFIED, RANGES, status=304), body(b"")]
    else:
        assert sent[0]["status"] == 200


async def test_file_conditions_apply_to_get_only(digits: Path) -> None:
    """Another method, or another status, gets the file."""
    conditions = {"if_none_match": "*", "range": "bytes=0-1"}
    assert (await sent_by(FileResponse(digits), asking("POST", **conditions)))[0]["status"] == 200
    assert (await sent_by(FileResponse(digits, 404), asking(**conditions)))[0]["status"] == 404


async def test_file_keeps_given_headers(digits: Path) -> None:
    """A given entity tag and type win, and conditions are compared with them."""
    response = FileResponse(digits, headers={"ETag": 'W/"mine"'}, media_type="image/png")
    assert (await sent_by(response))[0] == start(
        (b"etag", b'W/"mine"'), (b"content-type", b"image/png"), (b"content-length", b"10"), MODIFIED, RANGES
    )
    assert (await sent_by(response, asking(if_none_match='"mine"')))[0]["status"] == 304
    # The response itself stays as it was made, so that it can be sent again.
    assert response.raw_headers == [(b"etag", b'W/"mine"'), (b"content-type", b"image/png")]


@pytest.mark.parametrize(
    ("filename", "expected"),
    [
        ("a.txt", 'attachment; filename="a.txt"'),
        ('é"\r\n.txt', "attachment; filename*=utf-8''%C3%A9%22%0D%0A.txt"),
    ],
)
def test_file_says_what_to_save_it_as(digits: Path, filename: str, expected: str) -> None:
    """A name that is not plain is encoded, and cannot break the header."""
    assert FileResponse(digits, filename=filename).headers["content-disposition"] == expected
    inline = FileResponse(digits, filename="a", content_disposition_type="inline")
    assert inline.headers["content-disposition"] == 'inline; filename="a"'


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("page.html", "text/html; charset=utf-8"),
        ("logo.png", "image/png"),
        ("archive.tar.gz", "application/octet-stream"),
        ("unknown", "application/octet-stream"),
    ],
)
def test_file_guesses_its_type(name: str, media_type: str) -> None:
    """From the name; what is compressed has no type of its own."""
    assert FileResponse(name).headers["content-type"] == media_type


async def test_file_that_is_none_fails_before_the_response_begins(tmp_path: Path) -> None:
    """A missing file and a folder are errors of the application that name the path."""
    with pytest.raises(RuntimeError, match=r"missing.txt' cannot be read: No such file"):
        await sent_by(FileResponse(tmp_path / "missing.txt"))
    with pytest.raises(RuntimeError, match=r"' is not a file"):
        await sent_by(FileResponse(str(tmp_path)))


async def test_file_with_known_stat_is_not_looked_at_again(digits: Path) -> None:
    """What the caller knows is taken as it is; a file that has shrunk since then ends early."""
    known = os.stat(digits)
    os.truncate(digits, 2)
    assert await sent_by(FileResponse(digits, stat_result=known)) == [
        start(TEXT_TYPE, (b"content-length", b"10"), ETAG, MODIFIED, RANGES),
        body(b"01", True),
        body(b""),
    ]


async def test_file_that_is_large_comes_in_pieces(tmp_path: Path) -> None:
    """Pieces of 64 KiB, on a WebSocket as well."""
    path = tmp_path / "large.bin"
    content = b"x" * 65536 + b"y" * 10
    path.write_bytes(content)
    for scope, prefix in ((HTTP, ""), (WEBSOCKET, "websocket.")):
        sent = await sent_by(FileResponse(path), scope)
        assert {message["type"] for message in sent[1:]} == {f"{prefix}http.response.body"}
        assert b"".join(message["body"] for message in sent[1:]) == content
        assert [message["more_body"] for message in sent[1:]][-1] is False


async def test_file_that_is_empty_has_no_ranges(tmp_path: Path) -> None:
    """No byte of it can be asked for."""
    path = tmp_path / "empty"
    path.touch()
    assert (await sent_by(FileResponse(path)))[1:] == [body(b"")]
    assert (await sent_by(FileResponse(path), asking(range="bytes=0-")))[0]["status"] == 416


@pytest.mark.parametrize("status", [-1, 0, 99, 600, 999])
def test_response_refuses_what_is_no_status(status: int) -> None:
    """A status outside of 100–599 is a mistake that is named where it is made."""
    for make in (lambda: PlainText("x", status_code=status), lambda: StreamingResponse([], status_code=status)):
        with pytest.raises(ValueError, match=f"{status} is no status, 100–599"):
            make()


async def test_streaming_passes_on_an_os_error_of_a_layer() -> None:
    """Inside an application only the server's own `OSError` says that the client has left."""

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            raise TimeoutError("a database")

    exchange = Exchange(connected, send)
    scope = {**HTTP, WIRE: exchange}
    with pytest.raises(TimeoutError):
        await StreamingResponse(["a"])(scope, connected, send)
    await StreamingResponse(["a"])(scope, connected, exchange.send)
