"""A WebSocket between an async test and a raw ASGI app, on one event loop."""

import asyncio
import threading
from typing import Any

import pytest

from lilya.exceptions import WebSocketDisconnect, WebSocketRuntimeError
from lilya.testclient import (
    AppReturned,
    AsyncTestClient,
    ClientDisconnected,
    ConformanceError,
    FinishTimeout,
    ReceiveTimeout,
    WebSocketDenialResponse,
)
from lilya.testclient._conversation import OUTBOX_MESSAGES
from lilya.types import Message, Receive, Scope, Send

ACCEPT = {"type": "websocket.accept"}


def text(content: str) -> Message:
    """A message of the app with this text."""
    return {"type": "websocket.send", "text": content}


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Send everything back until the client leaves."""
    await receive()
    await send(ACCEPT)
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


async def silent(scope: Scope, receive: Receive, send: Send) -> None:
    """Accept, and never do anything again."""
    await send(ACCEPT)
    await asyncio.Event().wait()


# --- Messages --------------------------------------------------------------------------------------------------------


async def test_session_exchanges_all_kinds_of_messages() -> None:
    """Text, bytes and JSON of both modes arrive as they were sent, and come back."""
    async with AsyncTestClient(echo).websocket_connect("/") as websocket:
        await websocket.send_text("é")
        assert await websocket.receive_text() == "é"
        await websocket.send_bytes(b"\0\xff")
        assert await websocket.receive_bytes() == b"\0\xff"
        await websocket.send_json({"é": [1, None]})
        assert await websocket.receive() == {"type": "websocket.send", "text": '{"é":[1,null]}'}
        await websocket.send_json("é", mode="binary")
        assert await websocket.receive() == {"type": "websocket.send", "bytes": '"é"'.encode()}
        await websocket.send_json({"a": 1})
        assert await websocket.receive_json() == {"a": 1}
        await websocket.send_json({"a": 1}, mode="binary")
        assert await websocket.receive_json(mode="binary") == {"a": 1}
        await websocket.send({"type": "websocket.receive", "text": "raw"})
        assert await websocket.receive_text() == "raw"


async def test_session_runs_the_app_on_the_loop_and_in_the_thread_of_the_test() -> None:
    """No thread and no other loop is involved, with several clients and connections at once."""
    places: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        places.append((asyncio.get_running_loop(), threading.get_ident()))
        await echo(scope, receive, send)

    one, other = AsyncTestClient(app), AsyncTestClient(app)
    async with one.websocket_connect("/a") as a, other.websocket_connect("/b") as b, one.websocket_connect("/c") as c:
        for number, websocket in enumerate((c, a, b)):
            await websocket.send_text(str(number))
        assert [await websocket.receive_text() for websocket in (a, b, c)] == ["1", "2", "0"]
    assert places == [(asyncio.get_running_loop(), threading.get_ident())] * 3


async def test_session_tells_what_the_app_accepted_with() -> None:
    """The subprotocol and the headers of the accept message are there after entering."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = ((name, b"1") for name in [b"x-a", b"x-b"])
        await send({"type": "websocket.accept", "subprotocol": scope["subprotocols"][1], "headers": headers})

    session = AsyncTestClient(app).websocket_connect("/", subprotocols=["soap", "wamp"])
    assert (session.accepted_subprotocol, session.extra_headers) == (None, [])
    async with session:
        assert session.accepted_subprotocol == "wamp"
        assert session.extra_headers == [(b"x-a", b"1"), (b"x-b", b"1")]


async def test_session_refuses_the_wrong_kind_of_message_and_stays_usable() -> None:
    """The error names what was expected and what came."""
    async with AsyncTestClient(echo).websocket_connect("/x") as websocket:
        await websocket.send_bytes(b"1")
        with pytest.raises(WebSocketRuntimeError, match=r"/x: receive_text\(\) expected text, but got .*b'1'"):
            await websocket.receive_text()
        await websocket.send_text("1")
        with pytest.raises(WebSocketRuntimeError, match=r"receive_json\(mode='binary'\) expected bytes"):
            await websocket.receive_json(mode="binary")
        for call in (websocket.send_json({}, mode="blob"), websocket.receive_json(mode="blob")):
            with pytest.raises(
                WebSocketRuntimeError, match='"mode" argument should be "text" or "binary", not \'blob\''
            ):
                await call
        await websocket.send_text("still here")
        assert await websocket.receive_text() == "still here"


async def test_session_is_open_only_within_its_block() -> None:
    """Before entering nothing works; a session is entered once."""
    session = AsyncTestClient(echo).websocket_connect("/")
    with pytest.raises(RuntimeError, match=r"async with client\.websocket_connect"):
        await session.receive()
    async with session:
        with pytest.raises(RuntimeError, match="entered once"):
            await session.__aenter__()


# --- Closing ---------------------------------------------------------------------------------------------------------


async def test_leaving_disconnects_with_1000_and_waits_for_the_app() -> None:
    """The app gets one disconnect, as often as it asks, and has ended when the block has."""
    got: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        got.extend([await receive(), await receive()])

    async with AsyncTestClient(app).websocket_connect("/"):
        pass
    assert got == [{"type": "websocket.disconnect", "code": 1000, "reason": ""}] * 2


async def test_close_decides_the_code_of_the_disconnect() -> None:
    """After `close` no message can be sent, a second one does nothing, and receiving gives the echo of the code."""
    got: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        await send(text("unread"))
        got.append(await receive())
        await send({"type": "websocket.close"})

    async with AsyncTestClient(app).websocket_connect("/x") as websocket:
        await websocket.close(4001, "enough")
        await websocket.close(4002)
        with pytest.raises(WebSocketRuntimeError, match=r"/x: the connection has ended \(4001: enough\); cannot send"):
            await websocket.send_text("late")
        assert await websocket.receive_text() == "unread"
        with pytest.raises(WebSocketDisconnect) as caught:
            await websocket.receive_text()
        assert (caught.value.code, caught.value.reason) == (4001, "enough")
    assert got == [{"type": "websocket.disconnect", "code": 4001, "reason": "enough"}]


async def test_receiving_a_close_of_the_app_raises_a_disconnect() -> None:
    """Raw `receive` shows the message; the others raise, and so does everything after it, though the app goes on."""
    got: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        await send({"type": "websocket.close", "code": 4000, "reason": "why"})
        got.append(await receive())

    client = AsyncTestClient(app)
    async with client.websocket_connect("/") as websocket:
        for _ in range(2):
            with pytest.raises(WebSocketDisconnect) as caught:
                await websocket.receive_text()
            assert (caught.value.code, caught.value.reason) == (4000, "why")
    async with client.websocket_connect("/") as websocket:
        assert await websocket.receive() == {"type": "websocket.close", "code": 4000, "reason": "why"}
        with pytest.raises(WebSocketDisconnect):
            await websocket.receive()
    assert got == [{"type": "websocket.disconnect", "code": 4000, "reason": "why"}] * 2


async def test_a_disconnect_nobody_caught_is_a_normal_end() -> None:
    """An app may leave with the disconnect once the client is gone; before that it is an error like any other."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        await receive()
        if scope["path"] == "/late":
            await receive()
        raise WebSocketDisconnect(4999)

    client = AsyncTestClient(app)
    async with client.websocket_connect("/late"):
        pass
    with pytest.raises(WebSocketDisconnect) as caught:
        async with client.websocket_connect("/early"):
            pass
    assert caught.value.code == 4999


async def test_a_send_to_a_client_that_left_is_refused() -> None:
    """Servers raise an OSError there (ASGI 2.4); a close stays a silent no-op."""
    left = asyncio.Event()
    errors: list[OSError] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        await left.wait()
        try:
            await send(text("anybody there?"))
        except OSError as error:
            errors.append(error)
            await send({"type": "websocket.close"})
            raise

    async with AsyncTestClient(app).websocket_connect("/x") as websocket:
        await websocket.close()
        left.set()
    assert [type(error) for error in errors] == [ClientDisconnected]
    assert str(errors[0]) == "websocket /x: sending 'websocket.send', but the client has left"


async def test_messages_sent_before_leaving_may_still_be_answered() -> None:
    """An app that reads a last message after the client has left gets no error for its answer to it."""
    steps: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        await receive()
        await send(text("answer"))
        steps.append("answered")
        await receive()
        with pytest.raises(ClientDisconnected):
            await send(text("too late"))
        steps.append("refused")

    async with AsyncTestClient(app).websocket_connect("/") as websocket:
        await websocket.send_text("question")
    assert steps == ["answered", "refused"]


# --- Refusals --------------------------------------------------------------------------------------------------------


async def test_entering_raises_a_close_before_accept() -> None:
    """With its code and reason, whatever the code; the app has ended by then."""
    ended: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.close", "code": 403, "reason": "no"})
        ended.append(await receive())

    with pytest.raises(WebSocketDisconnect) as caught:
        await AsyncTestClient(app).websocket_connect("/").__aenter__()
    assert (caught.value.code, caught.value.reason) == (403, "no")
    assert ended == [{"type": "websocket.disconnect", "code": 1006, "reason": ""}]


async def test_entering_raises_a_denial_as_a_response() -> None:
    """All parts of its body are there; it is a response and a disconnect."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"text/plain"), (b"x-why", b"1")]
        await send({"type": "websocket.http.response.start", "status": 401, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": b"who ", "more_body": True})
        await send({"type": "websocket.http.response.body", "body": b"are you?"})

    with pytest.raises(WebSocketDenialResponse) as caught:
        await AsyncTestClient(app).websocket_connect("/").__aenter__()
    denial = caught.value
    assert isinstance(denial, WebSocketDisconnect)
    assert (denial.status_code, denial.headers["x-why"], denial.text) == (401, "1", "who are you?")
    assert (denial.code, denial.reason) == (1006, "")
    assert str(denial) == "the handshake was answered with 401 Unauthorized"


async def test_entering_reports_an_unfinished_denial() -> None:
    """A denial without its last body is an error of its own."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.http.response.start", "status": 401})
        await send({"type": "websocket.http.response.body", "body": b"who ", "more_body": True})

    with pytest.raises(AppReturned, match="returned in the middle of its denial response"):
        await AsyncTestClient(app).websocket_connect("/").__aenter__()


async def test_entering_refuses_an_answer_that_is_none() -> None:
    """Also when conformance is not checked there is nothing to be made of a message before accept."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(text("hello"))

    with pytest.raises(ConformanceError, match=r"expected an answer to the handshake, but got .*hello"):
        await AsyncTestClient(app, check_asgi_conformance=False).websocket_connect("/").__aenter__()


# --- Apps that end ---------------------------------------------------------------------------------------------------


async def test_entering_reports_an_app_that_returned() -> None:
    """At once, without waiting for the timeout."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        return

    with pytest.raises(AppReturned, match="websocket /x: the application returned without accept or close") as caught:
        await AsyncTestClient(app, timeout=None).websocket_connect("/x").__aenter__()
    assert caught.value.code == 1006


async def test_receiving_reports_an_app_that_returned() -> None:
    """After the messages it sent, at once, every time; leaving without receiving is quiet."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        await send(text("bye"))

    async with AsyncTestClient(app, timeout=None).websocket_connect("/x") as websocket:
        assert await websocket.receive_text() == "bye"
        for _ in range(2):
            with pytest.raises(AppReturned, match="/x: the application returned without closing") as caught:
                await websocket.receive_text()
            assert caught.value.code == 1006


async def test_the_exception_of_the_app_is_raised_once_where_it_is_noticed() -> None:
    """On entering, on receiving or on leaving: the very object, and never twice."""
    error = LookupError("the app's")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] != "/entering":
            await send(ACCEPT)
            await send(text("first"))
        raise error

    client = AsyncTestClient(app, timeout=None)
    with pytest.raises(LookupError) as caught:
        await client.websocket_connect("/entering").__aenter__()
    assert caught.value is error
    async with client.websocket_connect("/receiving") as websocket:
        assert await websocket.receive_text() == "first"
        with pytest.raises(LookupError) as caught:
            await websocket.receive_text()
        assert caught.value is error
        with pytest.raises(WebSocketDisconnect):
            await websocket.receive_text()
    with pytest.raises(LookupError) as caught:
        async with client.websocket_connect("/leaving"):
            pass
    assert caught.value is error


async def test_the_error_of_the_test_comes_first_and_the_app_s_is_noted() -> None:
    """A failing block is not hidden by what the app raises on leaving."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        raise LookupError("the app's")

    with pytest.raises(AssertionError) as caught:
        async with AsyncTestClient(app).websocket_connect("/x"):
            raise AssertionError("the test's")
    assert caught.value.__notes__ == ["websocket /x: besides, on leaving: LookupError: the app's"]


async def test_without_raising_the_test_sees_what_a_peer_sees() -> None:
    """`raise_server_exceptions=False`: a 500 before accept, a close with 1011 after it, a quiet leaving."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] != "/entering":
            await send(ACCEPT)
        raise LookupError("the app's")

    client = AsyncTestClient(app, raise_server_exceptions=False)
    with pytest.raises(WebSocketDenialResponse) as caught:
        await client.websocket_connect("/entering").__aenter__()
    assert caught.value.status_code == 500
    async with client.websocket_connect("/receiving") as websocket:
        assert await websocket.receive() == {"type": "websocket.close", "code": 1011, "reason": ""}
        with pytest.raises(WebSocketDisconnect) as closed:
            await websocket.receive_text()
        assert closed.value.code == 1011
    async with client.websocket_connect("/leaving"):
        pass


@pytest.mark.parametrize("fatal", [KeyboardInterrupt, SystemExit])
async def test_an_exception_that_would_end_the_loop_reaches_the_test(fatal: type[BaseException]) -> None:
    """The loop goes on, and the test gets the exception."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise fatal

    with pytest.raises(fatal):
        await AsyncTestClient(app).websocket_connect("/").__aenter__()


# --- Errors that a framework reports ---------------------------------------------------------------------------------


async def reporting(scope: Scope, receive: Receive, send: Send) -> None:
    """Do as this library's apps do: report the exception, then translate it for the peer."""
    report = scope["extensions"]["lilya.errors"]["report"]
    if scope["path"] == "/before":
        report(scope["state"]["error"])
        await send({"type": "websocket.http.response.start", "status": 500})
        await send({"type": "websocket.http.response.body", "body": b""})
        return
    await send(ACCEPT)
    await send(text("first"))
    report(scope["state"]["error"])
    if scope["path"] == "/stuck":
        await asyncio.Event().wait()
    await send({"type": "websocket.close", "code": 1011})


async def test_a_reported_exception_is_raised_instead_of_the_answer_made_of_it() -> None:
    """Instead of the denial on entering, of the close on receiving, and on leaving."""
    client = AsyncTestClient(reporting)
    error = client.app_state["error"] = LookupError("the handler's")
    with pytest.raises(LookupError) as caught:
        await client.websocket_connect("/before").__aenter__()
    assert caught.value is error
    async with client.websocket_connect("/after") as websocket:
        assert await websocket.receive_text() == "first"
        with pytest.raises(LookupError) as caught:
            await websocket.receive_text()
        assert caught.value is error
    with pytest.raises(LookupError):
        async with client.websocket_connect("/after"):
            pass


async def test_a_reported_exception_is_not_raised_unless_wanted() -> None:
    """`raise_server_exceptions=False`: only the denial and the close remain."""
    client = AsyncTestClient(reporting, raise_server_exceptions=False)
    client.app_state["error"] = LookupError("the handler's")
    with pytest.raises(WebSocketDenialResponse) as caught:
        await client.websocket_connect("/before").__aenter__()
    assert caught.value.status_code == 500
    async with client.websocket_connect("/after") as websocket:
        await websocket.receive_text()
        with pytest.raises(WebSocketDisconnect) as closed:
            await websocket.receive_text()
        assert closed.value.code == 1011


async def test_an_exception_both_reported_and_raised_is_raised_once() -> None:
    """The same object is one error, however it came here."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        error = LookupError()
        scope["extensions"]["lilya.errors"]["report"](error)
        raise error

    async with AsyncTestClient(app).websocket_connect("/") as websocket:
        with pytest.raises(LookupError):
            await websocket.receive()


async def test_a_reported_exception_explains_a_timeout() -> None:
    """Where nothing follows the report, it is raised rather than the timeout it has led to."""
    client = AsyncTestClient(reporting, timeout=0.01)
    client.app_state["error"] = LookupError("the handler's")
    websocket = await client.websocket_connect("/stuck").__aenter__()
    await websocket.receive_text()
    with pytest.raises(LookupError):
        await websocket.receive_text()
    with pytest.raises(FinishTimeout):
        await websocket.__aexit__(None, None, None)


# --- Timeouts --------------------------------------------------------------------------------------------------------


def line_in(function: Any, offset: int) -> str:
    """`file:line in name` for a line of a function, counted from its `def`."""
    code = function.__code__
    return f"{code.co_filename}:{code.co_firstlineno + offset} in {code.co_qualname}"


async def test_receiving_in_vain_says_what_was_awaited_and_where_the_handler_stands() -> None:
    """With the path, the call, the seconds, the file and the line, by argument or by default."""
    async with AsyncTestClient(echo, timeout=0.02).websocket_connect("/ws/x") as websocket:
        for call, name, seconds in (
            (websocket.receive(timeout=0.01), "receive()", 0.01),
            (websocket.receive_text(timeout=0.01), "receive_text()", 0.01),
            (websocket.receive_bytes(), "receive_bytes()", 0.02),
            (websocket.receive_json("binary", timeout=0), "receive_json(mode='binary')", 0),
        ):
            with pytest.raises(ReceiveTimeout) as caught:
                await call
            assert str(caught.value) == (
                f"websocket /ws/x: waited {seconds} s for {name}, but the application sent nothing; "
                f"it stands at {line_in(echo, 4)}"
            )
        await websocket.send_text("still here")
        assert await websocket.receive_text() == "still here"


async def test_entering_in_vain_times_out_and_ends_the_app() -> None:
    """The session's own timeout counts; the app is cancelled."""
    cancelled: list[bool] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(True)

    with pytest.raises(ReceiveTimeout) as caught:
        await AsyncTestClient(app).websocket_connect("/", timeout=0.01).__aenter__()
    assert "waited 0.01 s for an answer to the handshake" in str(caught.value)
    assert line_in(app, 2) in str(caught.value)
    assert cancelled == [True]


async def test_leaving_ends_an_app_that_does_not_end_itself() -> None:
    """It is cancelled, and the error says where it stood."""
    with pytest.raises(FinishTimeout) as caught:
        async with AsyncTestClient(silent, timeout=0.01).websocket_connect("/x"):
            pass
    assert str(caught.value) == (
        "websocket /x: the client is done, but the application had not ended after 0.01 s; "
        f"cancelled at {line_in(silent, 3)}"
    )


async def test_leaving_gives_up_on_an_app_that_ignores_its_cancellation() -> None:
    """The error says so, and the test goes on."""
    release = asyncio.Event()
    tasks: list[asyncio.Task[Any] | None] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        tasks.append(asyncio.current_task())
        await send(ACCEPT)
        try:
            await release.wait()
        except asyncio.CancelledError:
            await release.wait()

    with pytest.raises(FinishTimeout, match="it ignored its cancellation at "):
        async with AsyncTestClient(app, timeout=0.01).websocket_connect("/"):
            pass
    release.set()
    [task] = tasks
    assert task is not None
    await task


async def test_an_app_that_overlooks_its_disconnect_is_ended() -> None:
    """Asking for more messages for ever does not hold the loop."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        while True:
            await receive()

    with pytest.raises(FinishTimeout):
        async with AsyncTestClient(app, timeout=0.01).websocket_connect("/"):
            pass


async def test_an_app_that_sends_for_ever_waits_for_the_test() -> None:
    """`send` waits when the app is far ahead of the test, so that the test has its turn; leaving ends it."""
    sent: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        while True:
            await send(text(str(len(sent))))
            sent.append(1)

    async with AsyncTestClient(app).websocket_connect("/") as websocket:
        # The accept message was one of them.
        assert len(sent) == OUTBOX_MESSAGES - 1
        for number in range(2 * OUTBOX_MESSAGES):
            assert await websocket.receive_text() == str(number)


async def test_a_cancelled_test_ends_the_app() -> None:
    """Cancelled while it enters, and while it leaves: the app does not outlive it."""

    async def connect(app: Any) -> None:
        async with AsyncTestClient(app, timeout=None).websocket_connect("/"):
            pass

    async def mute(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    for app in (silent, mute):
        before = asyncio.all_tasks()
        test = asyncio.create_task(connect(app))
        for _ in range(10):
            await asyncio.sleep(0)
        assert len(asyncio.all_tasks() - before) == 2
        test.cancel()
        with pytest.raises(asyncio.CancelledError):
            await test
        assert asyncio.all_tasks() == before


async def test_an_app_that_cancels_itself_has_returned() -> None:
    """A stray CancelledError does not look like a cancellation of the test."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise asyncio.CancelledError

    with pytest.raises(AppReturned):
        await AsyncTestClient(app).websocket_connect("/").__aenter__()


# --- Conformance -----------------------------------------------------------------------------------------------------


async def test_a_breach_of_asgi_reaches_the_app_and_the_test() -> None:
    """The app gets the error at its `send`; the test gets it at once, also when the app swallows it."""
    seen: list[Exception] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        try:
            await send({"type": "websocket.send"})
        except ConformanceError as error:
            seen.append(error)
        await receive()
        await receive()

    client = AsyncTestClient(app, timeout=None, raise_server_exceptions=False)
    async with client.websocket_connect("/") as websocket:
        with pytest.raises(ConformanceError) as caught:
            await websocket.receive()
    assert seen == [caught.value]


async def test_conformance_need_not_be_checked() -> None:
    """`check_asgi_conformance=False` lets any message pass."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        await send({"type": "websocket.send", "text": "both", "bytes": b"both"})

    async with AsyncTestClient(app, check_asgi_conformance=False).websocket_connect("/") as websocket:
        assert await websocket.receive_text() == "both"
