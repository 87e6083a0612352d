"""HTTP requests and their bodies."""

import asyncio
import json
from collections.abc import Iterable
from typing import Any

import pytest

from lilya import _connection
from lilya.exceptions import MalformedMessage
from lilya.requests import ClientDisconnect, Connection, Request
from lilya.types import Message, Receive, Scope

DISCONNECT: Message = {"type": "http.disconnect"}


def scope_of(content_type: str | None = None, **changes: Any) -> Scope:
    """An HTTP scope, with a content type if one is given."""
    headers = [] if content_type is None else [(b"content-type", content_type.encode("latin-1"))]
    return {"type": "http", "method": "POST", "path": "/", "headers": headers, **changes}


def part(body: bytes, more_body: bool = False) -> Message:
    """A piece of the request's body."""
    return {"type": "http.request", "body": body, "more_body": more_body}


def receive_from(messages: Iterable[Message]) -> Receive:
    """A `receive` that hands out these messages and then waits, as a server does."""
    left = iter(messages)

    async def receive() -> Message:
        for message in left:
            return message
        await asyncio.Event().wait()
        raise AssertionError("never set")

    return receive


def request_with(*messages: Message, content_type: str | None = None) -> Request:
    """A request whose server hands out these messages."""
    return Request(scope_of(content_type), receive_from(messages))


def test_request_is_a_connection() -> None:
    """It reads the scope like every connection, and the module exports that class."""
    request = Request(scope_of("text/plain"))
    assert Connection is _connection.Connection
    assert isinstance(request, Connection)
    assert (request.method, request["path"], request.headers["content-type"]) == ("POST", "/", "text/plain")


@pytest.mark.parametrize("kind", ["websocket", "lifespan"])
def test_request_refuses_other_scopes(kind: str) -> None:
    """The type of the scope must be `http`."""
    with pytest.raises(AssertionError, match=f"'http', not '{kind}'"):
        Request({"type": kind})


@pytest.mark.parametrize(
    ("content_type", "media_type", "charset"),
    [
        (None, "", "utf-8"),
        ("text/plain", "text/plain", "utf-8"),
        ('Text/HTML ; level=1; Charset="Latin-1"', "text/html", "Latin-1"),
        ("application/json;", "application/json", "utf-8"),
    ],
)
def test_request_reads_the_content_type(content_type: str | None, media_type: str, charset: str) -> None:
    """The media type is plain and in lower case; the charset has a default."""
    request = Request(scope_of(content_type))
    assert (request.content_type, request.media_type, request.charset) == (content_type or "", media_type, charset)


async def test_request_body_joins_its_parts() -> None:
    """The body can be read again and again, also as a stream."""
    request = request_with(part(b"a", True), part(b"", True), part(b"b"))
    assert await request.body() == b"ab"
    assert await request.body() == b"ab"
    assert [chunk async for chunk in request.stream()] == [b"ab"]


async def test_request_body_may_be_missing_from_the_message() -> None:
    """ASGI lets a server leave out `body` and `more_body`."""
    assert await request_with({"type": "http.request"}).body() == b""


async def test_request_streams_its_body_once() -> None:
    """Pieces come as they are received, empty ones left out; a second time is an error that names the remedy."""
    request = request_with(part(b"a", True), part(b"", True), part(b"b"))
    assert [chunk async for chunk in request.stream()] == [b"a", b"b"]
    with pytest.raises(RuntimeError, match=r"streamed already; use body\(\)"):
        await request.body()


async def test_request_stream_notices_that_the_client_left() -> None:
    """A body that does not come to its end is a ClientDisconnect."""
    request = request_with(part(b"a", True), DISCONNECT)
    with pytest.raises(ClientDisconnect):
        await request.body()
    assert await request.is_disconnected()


async def test_request_without_receive_has_no_body() -> None:
    """A request made from a scope alone says what is missing."""
    with pytest.raises(RuntimeError, match="without `receive`"):
        await Request(scope_of()).body()


async def test_request_json_decodes_the_body() -> None:
    """JSON is UTF-8, and what is not JSON is a JSONDecodeError."""
    assert await request_with(part('{"a":"é"}'.encode()), content_type="text/plain; charset=latin-1").json() == {
        "a": "é"
    }
    for body in (b"[NaN]", b"{", b'"\xff"'):
        with pytest.raises(MalformedMessage) as caught:
            await request_with(part(body)).json()
        assert isinstance(caught.value, json.JSONDecodeError)


async def test_request_text_follows_the_charset() -> None:
    """Text is UTF-8 unless the content type says otherwise."""
    assert await request_with(part("é".encode())).text() == "é"
    assert await request_with(part(b"\xe9"), content_type="text/plain; charset=latin-1").text() == "é"


@pytest.mark.parametrize("charset", ["utf-8", "no-such-charset"])
async def test_request_text_refuses_what_is_no_text(charset: str) -> None:
    """Bytes that do not fit the charset, and a charset that does not exist, are ValueErrors."""
    with pytest.raises(ValueError):
        await request_with(part(b"\xff"), content_type=f"text/plain; charset={charset}").text()


async def test_request_text_refuses_a_codec_that_is_no_charset() -> None:
    """Python's codecs that make bytes of bytes are not for clients to choose."""
    with pytest.raises(ValueError, match="charset 'zip' is not known"):
        await request_with(part(b"x"), content_type="text/plain; charset=zip").text()


async def test_request_form_names_the_remedy() -> None:
    """Forms are not parsed."""
    with pytest.raises(NotImplementedError, match=r"Include\(path, app=\.\.\.\)"):
        await request_with().form()


async def test_request_is_disconnected_does_not_wait() -> None:
    """With nothing to receive, the client is there."""
    assert not await request_with().is_disconnected()


async def test_request_is_disconnected_looks_behind_an_empty_body() -> None:
    """A GET has an empty body, and the disconnect stands behind it; both can be received afterwards."""
    request = request_with(part(b""), DISCONNECT)
    assert await request.is_disconnected()
    assert await request.is_disconnected()
    assert [await request.receive(), await request.receive()] == [part(b""), DISCONNECT]


async def test_request_is_disconnected_loses_nothing() -> None:
    """It reads no further than to the first piece of a body, which comes out of `body` afterwards."""
    request = request_with(part(b"a", True), part(b"b"), DISCONNECT)
    assert not await request.is_disconnected()
    assert not await request.is_disconnected()
    assert await request.body() == b"ab"
    assert await request.is_disconnected()


async def test_request_is_disconnected_ends_although_messages_do_not() -> None:
    """A `receive` that always has a message does not hold it."""

    async def receive() -> Message:
        return part(b"")

    assert not await Request(scope_of(), receive).is_disconnected()


async def test_request_is_disconnected_can_be_cancelled() -> None:
    """A cancellation leaves no task behind."""
    task = asyncio.ensure_future(request_with().is_disconnected())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
