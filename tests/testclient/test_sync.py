"""The synchronous client: the same as the asynchronous one, from another thread."""

import asyncio
import contextvars
import threading
from typing import Any

import pytest

from lilya.exceptions import WebSocketDisconnect
from lilya.testclient import FinishTimeout, ReceiveTimeout, TestClient, WebSocketDenialResponse
from lilya.types import Message, Receive, Scope, Send

ACCEPT = {"type": "websocket.accept"}


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """A WebSocket echo; on HTTP, the body back."""
    if scope["type"] == "http":
        message = await receive()
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": message["body"]})
        return
    assert scope["type"] == "websocket"
    await receive()
    await send({**ACCEPT, "subprotocol": (scope["subprotocols"] or [None])[0], "headers": [(b"x-a", b"1")]})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


@pytest.mark.parametrize("entered", [False, True])
def test_session_has_the_methods_of_the_async_one(entered: bool) -> None:
    """Within the client's block and without it."""
    client = TestClient(echo)
    if entered:
        client.__enter__()
    with client.websocket_connect("/ws", subprotocols=["a"]) as websocket:
        assert websocket.scope["path"] == "/ws"
        assert (websocket.accepted_subprotocol, websocket.extra_headers) == ("a", [(b"x-a", b"1")])
        websocket.send_text("text")
        assert websocket.receive_text() == "text"
        websocket.send_bytes(b"bytes")
        assert websocket.receive_bytes() == b"bytes"
        websocket.send_json([1], mode="binary")
        assert websocket.receive_json(mode="binary") == [1]
        websocket.send({"type": "websocket.receive", "text": "raw"})
        assert websocket.receive() == {"type": "websocket.send", "text": "raw"}
        websocket.close(4000, "enough")
        with pytest.raises(WebSocketDisconnect) as caught:
            websocket.receive_text()
        assert (caught.value.code, caught.value.reason) == (4000, "enough")
    if entered:
        client.__exit__()
    with pytest.raises(RuntimeError, match="The connection is not open"):
        websocket.receive()


def test_session_runs_nothing_before_it_is_entered() -> None:
    """Only the scope is there."""
    session = TestClient(echo).websocket_connect("/ws")
    assert session.scope["path"] == "/ws"
    with pytest.raises(RuntimeError, match=r"with client\.websocket_connect"):
        session.send_text("early")


@pytest.mark.parametrize("entered", [False, True])
def test_session_raises_what_the_async_one_raises(entered: bool) -> None:
    """The app's own exception object on entering, receiving and leaving; refusals; leaving with a failing block."""
    error = LookupError("the app's")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "websocket"
        if scope["path"] == "/close":
            await send({"type": "websocket.close", "code": 4001})
            return
        if scope["path"] == "/denial":
            await send({"type": "websocket.http.response.start", "status": 404})
            await send({"type": "websocket.http.response.body"})
            return
        if scope["path"] != "/entering":
            await send(ACCEPT)
        raise error

    client = TestClient(app)
    if entered:
        client.__enter__()
    with pytest.raises(WebSocketDisconnect) as closed, client.websocket_connect("/close"):
        pass
    assert closed.value.code == 4001
    with pytest.raises(WebSocketDenialResponse) as denied, client.websocket_connect("/denial"):
        pass
    assert denied.value.status_code == 404
    with pytest.raises(LookupError) as caught, client.websocket_connect("/entering"):
        pass
    assert caught.value is error
    with client.websocket_connect("/receiving") as websocket, pytest.raises(LookupError) as caught:
        websocket.receive_text()
    assert caught.value is error
    with pytest.raises(LookupError) as caught, client.websocket_connect("/leaving"):
        pass
    assert caught.value is error
    with pytest.raises(KeyError, match="the test's") as own, client.websocket_connect("/failing"):
        raise KeyError("the test's")
    assert own.value.__notes__ == ["websocket /failing: besides, on leaving: LookupError: the app's"]
    if entered:
        client.__exit__()


def test_session_times_out_on_receiving_and_on_leaving() -> None:
    """Both errors name the line where the handler stands."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        await asyncio.Event().wait()

    place = f"{__file__}:{app.__code__.co_firstlineno + 2} in {app.__qualname__}"
    websocket = TestClient(app).websocket_connect("/", timeout=0.01).__enter__()
    with pytest.raises(ReceiveTimeout) as received:
        websocket.receive_json(timeout=0.02)
    with pytest.raises(FinishTimeout) as finished:
        websocket.__exit__(None, None, None)
    assert str(received.value).endswith(
        f"waited 0.02 s for receive_json(mode='text'), but the application sent nothing; it stands at {place}"
    )
    assert str(finished.value).endswith(f"cancelled at {place}")


def test_timeouts_can_be_switched_off() -> None:
    """`timeout=None` waits without a limit, on a session and for a request."""
    with TestClient(echo, timeout=None) as client, client.websocket_connect("/") as websocket:
        websocket.send_text("text")
        assert websocket.receive_text() == "text"
        assert client.post("/", content=b"body").content == b"body"


def test_block_runs_everything_on_one_loop_in_another_thread() -> None:
    """Lifespan, requests and connections of a block share a loop; outside it each has its own."""
    loops: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        loops.append((asyncio.get_running_loop(), threading.get_ident()))
        if scope["type"] == "lifespan":
            raise NotImplementedError
        await echo(scope, receive, send)

    client = TestClient(app)
    with client:
        client.get("/")
        with client.websocket_connect("/"):
            pass
    assert len(loops) == 3
    assert len(set(loops)) == 1
    assert loops[0][1] != threading.get_ident()
    client.get("/")
    with client.websocket_connect("/"):
        pass
    assert len({loop for loop, _ in loops}) == 3


def test_block_can_be_entered_again_but_not_twice_at_once() -> None:
    """A client is used in, between and after its blocks."""
    client = TestClient(echo)
    for _ in range(2):
        with client:
            assert client.get("/").status_code == 200
            with pytest.raises(RuntimeError, match="already entered"):
                client.__enter__()
        assert client.get("/").status_code == 200


def test_app_sees_the_context_variables_of_the_test() -> None:
    """What the test has set in its context holds in the app too."""
    variable = contextvars.ContextVar("variable", default="unset")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await echo(scope, receive, send)
        seen.append(variable.get())

    seen: list[str] = []
    variable.set("set by the test")
    TestClient(app).get("/")
    assert seen == ["set by the test"]


def test_client_takes_positional_arguments_in_the_known_order() -> None:
    """From `app` to `timeout`; tests call it either way."""
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)
        await echo(scope, receive, send)

    client = TestClient(
        app,
        "https://x.example",
        False,
        "/root",
        "asyncio",
        {"debug": True},
        {"c": "1"},
        {"x-h": "2"},
        False,
        False,
        1.0,
    )
    assert client.get("/").status_code == 200
    [scope] = seen
    assert (scope["scheme"], scope["root_path"]) == ("https", "/root")
    assert {(b"cookie", b"c=1"), (b"x-h", b"2")} <= set(scope["headers"])
    assert client.follow_redirects is False
    assert client.timeout.read == 1.0


def test_client_names_the_backend_and_the_options_it_does_not_have() -> None:
    """Options that are switched off are let pass, so `use_uvloop=False` is."""
    with pytest.raises(ValueError, match="backend 'trio' is not supported; use backend='asyncio' or"):
        TestClient(echo, backend="trio")
    with pytest.raises(ValueError, match=r"unknown backend_options \['use_uvloop'\]; known: 'debug', 'loop_factory'"):
        TestClient(echo, backend_options={"use_uvloop": True})
    TestClient(echo, backend_options={"use_uvloop": False})


def test_client_uses_the_loop_it_is_given() -> None:
    """`loop_factory` makes the loops."""
    made: list[asyncio.AbstractEventLoop] = []

    def make() -> asyncio.AbstractEventLoop:
        made.append(asyncio.new_event_loop())
        return made[-1]

    assert TestClient(echo, backend_options={"loop_factory": make}).get("/").status_code == 200
    assert len(made) == 1


def test_request_runs_the_app_and_reads_streamed_content() -> None:
    """A body may come from an iterator."""
    assert TestClient(echo).post("/", content=iter([b"a", b"b"])).content == b"ab"


def test_lifespan_runs_for_the_block() -> None:
    """Startup on entering, shutdown on leaving, the state in every scope."""
    steps: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            steps.append(scope["state"])
            await echo(scope, receive, send)
            return
        message: Message = await receive()
        steps.append(message["type"])
        scope["state"]["pool"] = 1
        await send({"type": "lifespan.startup.complete"})
        steps.append((await receive())["type"])
        await send({"type": "lifespan.shutdown.complete"})

    with TestClient(app) as client:
        assert client.app_state == {"pool": 1}
        client.get("/")
    assert steps == ["lifespan.startup", {"pool": 1}, "lifespan.shutdown"]


def test_lifespan_that_fails_fails_the_block() -> None:
    """With the app's exception; the client can be entered again."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        raise LookupError("no database")

    client = TestClient(app)
    for _ in range(2):
        with pytest.raises(LookupError, match="no database"), client:
            pass
