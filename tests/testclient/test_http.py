"""HTTP requests through the async client to raw ASGI apps."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from lilya.testclient import AsyncTestClient, ConformanceError, FinishTimeout, NoResponse, ReceiveTimeout
from lilya.types import Message, Receive, Scope, Send

START = {"type": "http.response.start", "status": 200}
BODY = {"type": "http.response.body", "body": b"done"}


async def ok(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer anything."""
    await send(START)
    await send(BODY)


async def test_request_reaches_the_app_whole() -> None:
    """Method, headers and body; then one disconnect once the response is complete."""
    got: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        got.extend([scope["method"], await receive()])
        await send({**START, "status": 201, "headers": [(b"x-a", b"1"), (b"x-a", b"2")]})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        await send({"type": "http.response.body", "body": b"b"})
        got.append(await receive())

    async def content() -> AsyncIterator[bytes]:
        yield b"in "
        yield b"parts"

    response = await AsyncTestClient(app).put("/", content=content())
    assert (response.status_code, response.content) == (201, b"ab")
    assert response.headers.get_list("x-a") == ["1", "2"]
    assert got == [
        "PUT",
        {"type": "http.request", "body": b"in parts", "more_body": False},
        {"type": "http.disconnect"},
    ]


async def test_request_waits_for_the_app_to_end() -> None:
    """What the app does after its response is done when the request returns."""
    done: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await ok(scope, receive, send)
        await asyncio.sleep(0)
        done.append("background task")

    assert (await AsyncTestClient(app).get("/")).content == b"done"
    assert done == ["background task"]


async def test_request_with_head_has_no_body() -> None:
    """A server drops it."""
    assert (await AsyncTestClient(ok).head("/")).content == b""


async def test_request_follows_redirects_and_keeps_cookies() -> None:
    """As httpx does; both are on by default."""
    seen: list[tuple[str, str | None]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append((scope["path"], dict(scope["headers"]).get(b"cookie", b"").decode()))
        if scope["path"] == "/":
            await send({**START, "status": 303, "headers": [(b"location", b"/there"), (b"set-cookie", b"a=1")]})
        else:
            await send(START)
        await send(BODY)

    client = AsyncTestClient(app)
    response = await client.get("/")
    assert (response.status_code, response.url.path) == (200, "/there")
    assert seen == [("/", ""), ("/there", "a=1")]
    assert (await AsyncTestClient(app, follow_redirects=False).get("/")).status_code == 303


async def failing(scope: Scope, receive: Receive, send: Send) -> None:
    """Fail before the response or within it, openly or the way frameworks do that answer by themselves."""
    error: Exception = scope["state"]["error"]
    if scope["path"] == "/within":
        await send(START)
    if scope["path"] == "/reported":
        scope["extensions"]["lilya.errors"]["report"](error)
        await send({**START, "status": 500})
        await send({"type": "http.response.body", "body": b"sorry"})
        return
    raise error


@pytest.mark.parametrize("path", ["/before", "/within", "/reported"])
async def test_request_raises_the_exception_of_the_app(path: str) -> None:
    """The very object, whether it came out of the app or was reported."""
    client = AsyncTestClient(failing)
    error = client.app_state["error"] = LookupError("the handler's")
    with pytest.raises(LookupError) as caught:
        await client.get(path)
    assert caught.value is error


async def test_request_shows_what_a_peer_sees_instead() -> None:
    """`raise_server_exceptions=False`: a 500 of the server, the app's own 500, a response that is cut off."""
    client = AsyncTestClient(failing, raise_server_exceptions=False)
    client.app_state["error"] = LookupError("the handler's")
    response = await client.get("/before")
    assert (response.status_code, response.text) == (500, "Internal Server Error")
    response = await client.get("/reported")
    assert (response.status_code, response.text) == (500, "sorry")
    with pytest.raises(httpx.RemoteProtocolError, match="GET /within: the application failed in the middle"):
        await client.get("/within")


@pytest.mark.parametrize(
    ("messages", "where"),
    [([], "without a response"), ([START], "in the middle of its response")],
)
async def test_request_reports_an_app_that_returned_too_early(messages: list[Message], where: str) -> None:
    """At once; the message says how far it came."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    with pytest.raises(NoResponse, match=f"GET /x: the application returned {where}"):
        await AsyncTestClient(app, timeout=None).get("/x")


async def test_request_times_out_with_the_line_of_the_handler() -> None:
    """By the client's timeout or the request's own."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    for call in (AsyncTestClient(app, timeout=0.01).get("/x"), AsyncTestClient(app).get("/x", timeout=0.01)):
        with pytest.raises(ReceiveTimeout) as caught:
            await call
        line = f"{__file__}:{app.__code__.co_firstlineno + 1} in {app.__qualname__}"
        assert str(caught.value) == (
            "GET /x: waited 0.01 s for http.response.start, but the application sent nothing; it stands at " + line
        )


async def test_request_times_out_on_a_response_without_end() -> None:
    """The timeout is for the whole response."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        while True:
            await send({"type": "http.response.body", "body": b"", "more_body": True})

    with pytest.raises(ReceiveTimeout, match=r"waited 0.01 s for http.response.body"):
        await AsyncTestClient(app, timeout=0.01).get("/")


async def test_request_ends_an_app_that_does_not_end_after_its_response() -> None:
    """It is cancelled, and the error says where it stood."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await ok(scope, receive, send)
        await asyncio.Event().wait()

    with pytest.raises(FinishTimeout, match=r"GET /: the client is done, .* cancelled at .*test_http.py:"):
        await AsyncTestClient(app, timeout=0.01).get("/")


async def test_request_checks_conformance_if_wanted() -> None:
    """A body before the start is refused; without the check the client makes of it what it can."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({**START, "body": 1})
        await send({**BODY, "more_body": 0})

    with pytest.raises(ConformanceError, match="'more_body' 0; expected a bool"):
        await AsyncTestClient(app).get("/")
    assert (await AsyncTestClient(app, check_asgi_conformance=False).get("/")).content == b"done"


async def test_client_runs_requests_at_the_same_time() -> None:
    """One may wait for another."""
    arrived = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/second":
            arrived.set()
        await arrived.wait()
        await ok(scope, receive, send)

    client = AsyncTestClient(app)
    responses = await asyncio.gather(client.get("/first"), client.get("/second"))
    assert [response.status_code for response in responses] == [200, 200]
