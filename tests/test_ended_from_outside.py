"""Handlers that cannot, or need not, be told that their connection is over."""

import asyncio
from typing import Any

import pytest

from lilya.apps import Lilya
from lilya.limits import Limits
from lilya.protocols.middleware import MiddlewareProtocol
from lilya.testclient import AsyncTestClient
from lilya.types import ASGIApp, Message, Receive, Scope, Send
from lilya.websockets import Close, WebSocket, WebSocketDisconnect
from tests.contract.peer import CONNECT, disconnect, text_frame, websocket_scope

SOON = 0.1
PATIENCE = 5.0


class Stalled:
    """A server whose client takes nothing from the first message of some type on, and says nothing after these."""

    def __init__(self, kind: str, *messages: Message) -> None:
        self.kind = kind
        self.inbox = [CONNECT, *messages]
        self.sent: list[str] = []

    async def receive(self) -> Message:
        """The next message; none after the last."""
        if not self.inbox:
            await asyncio.Event().wait()
        return self.inbox.pop(0)

    async def send(self, message: Message) -> None:
        """Never comes back from what the client does not take."""
        self.sent.append(message["type"])
        if message["type"] == self.kind:
            await asyncio.Event().wait()


async def serve(app: ASGIApp, server: Any, **scope: Any) -> None:
    """Serve one connection, in a bounded time."""
    await asyncio.wait_for(app(websocket_scope(**scope), server.receive, server.send), PATIENCE)


@pytest.mark.parametrize("how", ["child", "friend", "told"])
async def test_handler_is_cancelled_where_somebody_else_was_told(how: str) -> None:
    """A task beside it heard of the end, and kept it to itself; a handler that was told itself is left alone."""
    app = Lilya(limits=Limits(abandon_grace=SOON))
    ended: list[str] = []

    @app.websocket("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()

        async def pump() -> None:
            async for _ in websocket:
                pass

        try:
            if how == "child":
                async with websocket.tasks() as tasks:
                    tasks.start_soon(pump)
                    await asyncio.Event().wait()
            elif how == "friend":
                friend = asyncio.create_task(pump())
                await asyncio.Event().wait()
                await friend
            else:
                await pump()
                await asyncio.sleep(4 * SOON)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        ended.append("by itself")

    await serve(app, Stalled("", disconnect()))
    assert ended == ["by itself" if how == "told" else "cancelled"]


@pytest.mark.parametrize("how", ["close", "return", "raise", "accept", "deny"])
async def test_answer_that_the_client_does_not_take_is_given_up(how: str) -> None:
    """Whatever begins or ends the conversation takes `write_timeout` at most; clean-ups run."""
    app = Lilya(limits=Limits(write_timeout=SOON))
    cleaned: list[str] = []

    @app.websocket("/")
    async def handler(websocket: WebSocket) -> None:
        websocket.add_cleanup(lambda: cleaned.append(how))
        if how == "deny":
            await websocket.close()
            return
        await websocket.accept()
        if how == "close":
            await websocket.close(4000)
        elif how == "raise":
            raise Close  # type: ignore[misc]  # a fault

    kind = "websocket.accept" if how == "accept" else "websocket.close"
    await serve(app, Stalled(kind))
    assert cleaned == [how]


async def test_clean_ups_all_run_when_the_server_cancels_one() -> None:
    """The cancellation goes on when they have run."""
    app = Lilya()
    ran: list[str] = []
    begun = asyncio.Event()

    async def slow() -> None:
        ran.append("slow")
        begun.set()
        await asyncio.Event().wait()

    @app.websocket("/")
    async def handler(websocket: WebSocket) -> None:
        websocket.add_cleanup(slow)
        websocket.add_cleanup(lambda: ran.append("next"))
        await websocket.accept()

    task = asyncio.create_task(serve(app, Stalled("")))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ran == ["slow", "next"]


class Accepting(MiddlewareProtocol):
    """A layer that accepts, and reads the first message itself."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        websocket = WebSocket(scope, receive, send)
        await websocket.accept()
        await websocket.receive_text()
        await self.app(scope, receive, send)


async def test_limits_of_the_application_hold_in_its_layers() -> None:
    """From the handshake on, not from the route on."""
    app = Lilya(middleware=[Accepting], limits=Limits(max_message_bytes=3))
    async with AsyncTestClient(app) as client, client.websocket_connect("/") as websocket:
        await websocket.send_text("four")
        with pytest.raises(WebSocketDisconnect) as caught:
            await websocket.receive_text()
    assert caught.value.code == 1009


async def test_rate_of_a_route_holds_where_a_layer_has_accepted() -> None:
    """The messages are counted from the moment at which the route is known."""
    app = Lilya(middleware=[Accepting])

    @app.websocket("/", limits=Limits(rate="1/h", burst=1))
    async def handler(websocket: WebSocket) -> None:
        async for text in websocket.iter_text():
            await websocket.send_text(text)

    async with AsyncTestClient(app) as client, client.websocket_connect("/") as websocket:
        await websocket.send_text("for the layer")
        await websocket.send_text("one")
        assert await websocket.receive_text() == "one"
        await websocket.send_text("two")
        with pytest.raises(WebSocketDisconnect) as caught:
            await websocket.receive_text()
    assert caught.value.code == 4429


async def test_layer_that_holds_back_messages_may_hand_them_on_after_the_end() -> None:
    """What came before the end is not lost."""

    class Splitting(MiddlewareProtocol):
        """Hands on one message as several."""

        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            held: list[Message] = []

            async def pieces() -> Message:
                if not held:
                    message = await receive()
                    if message["type"] != "websocket.receive":
                        return message
                    held.extend(text_frame(piece) for piece in message["text"].split("|"))
                return held.pop(0)

            await self.app(scope, pieces, send)

    app = Lilya()
    got: list[str] = []

    @app.websocket("/", middleware=[Splitting])
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        got.append(await websocket.receive_text())
        websocket._wire.over(1001, "", "limit")
        async for text in websocket.iter_text():
            got.append(text)

    await serve(app, Stalled("", text_frame("a|b|c")))
    assert got == ["a", "b", "c"]


@pytest.mark.parametrize("data", [{"a": 1}, None, 1])
async def test_send_of_what_is_no_text_names_the_remedy(data: Any) -> None:
    """Where the server cannot send it."""

    async def refuse(message: Message) -> None:
        message["text"].encode()

    websocket = WebSocket(websocket_scope(), Stalled("").receive, refuse)
    websocket._wire.assign(websocket.client_state.CONNECTED, websocket.client_state.CONNECTED)
    with pytest.raises(TypeError, match="send_json the rest"):
        await websocket.send_text(data)


@pytest.mark.parametrize("code", ["bye", 4000.0, None])
async def test_close_refuses_what_is_no_code(code: Any) -> None:
    """At the call, with nothing sent; an enumeration's number is one."""
    server = Stalled("")
    websocket = WebSocket(websocket_scope(), server.receive, server.send)
    await websocket.accept()
    with pytest.raises(TypeError, match="a close code is an integer"):
        await websocket.close(code)
    await websocket.close(True)
    assert server.sent == ["websocket.accept", "websocket.close"]
