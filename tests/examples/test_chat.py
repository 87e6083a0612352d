"""examples/chat.py, served with uvicorn: the sockets. The page is tried in test_chat_page.py."""

import json
from collections.abc import Iterator

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.support.servers import RunningFile, serve_file


@pytest.fixture
def server() -> Iterator[RunningFile]:
    """The example in a process of its own, which must not log an error."""
    with serve_file("examples/chat.py") as running:
        yield running
    assert "Traceback" not in running.log()


async def read(client: ClientConnection, count: int = 1) -> list[dict[str, str]]:
    """The next messages that reach this client."""
    return [json.loads(await client.recv()) for _ in range(count)]


def test_chat_serves_its_page(server: RunningFile) -> None:
    """The page at / is HTML, in UTF-8."""
    response = httpx.get(server.url("/"))
    assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert response.text.startswith("<!doctype html>")


async def test_chat_message_of_one_is_seen_by_all(server: RunningFile) -> None:
    """Everybody, the speaker included, sees who said what, and who comes and goes."""
    async with connect(server.ws_url("/ws/ana")) as ana:
        assert await read(ana) == [{"notice": "ana joined"}]
        async with connect(server.ws_url("/ws/bob")) as bob:
            assert await read(ana) == await read(bob) == [{"notice": "bob joined"}]
            await ana.send('<b>"hi"</b>')
            assert await read(ana) == await read(bob) == [{"from": "ana", "text": '<b>"hi"</b>'}]
        assert await read(ana) == [{"notice": "bob left"}]


async def test_chat_goes_on_when_one_vanishes(server: RunningFile) -> None:
    """A client that is gone without a close ends nobody else's connection, and loses nobody a message."""
    async with connect(server.ws_url("/ws/ana")) as ana, connect(server.ws_url("/ws/bob")) as bob:
        async with connect(server.ws_url("/ws/eve")) as eve:
            await read(eve)  # she is in
            eve.transport.abort()
            # Now and not later, so that the server may still take her for a member.
            await bob.send("still there?")
            await ana.send("yes")
        for client, before in ((ana, 3), (bob, 2)):
            await read(client, before)  # who joined
            seen = await read(client, 3)
            assert {"notice": "eve left"} in seen
            # The order is that of the server, which read one connection or the other first.
            assert {"from": "bob", "text": "still there?"} in seen
            assert {"from": "ana", "text": "yes"} in seen


async def test_chat_goes_on_when_many_vanish_in_the_middle_of_messages(server: RunningFile) -> None:
    """Whoever stays gets every message in order, while others come and vanish."""
    count = 20
    ana_connects = connect(server.ws_url("/ws/ana"), max_queue=None)  # she reads nothing, so keep it all for her
    async with ana_connects as ana, connect(server.ws_url("/ws/bob")) as bob:
        for number in range(count):
            client = await connect(server.ws_url(f"/ws/guest{number}"))
            await ana.send(str(number))
            client.transport.abort()
        said: list[str] = []
        left = 0
        while len(said) < count or left < count:
            (message,) = await read(bob)
            left += message.get("notice", "").endswith("left")
            said += [message["text"]] if "text" in message else []
        assert said == [str(number) for number in range(count)]


async def test_chat_refuses_a_binary_message_and_says_goodbye(server: RunningFile) -> None:
    """A client that does not speak text is closed with 1003 (RFC 6455 §7.4.1), and the others are told."""
    async with connect(server.ws_url("/ws/ana")) as ana, connect(server.ws_url("/ws/eve")) as eve:
        await read(ana, 2)
        await eve.send(b"\x00")
        assert await read(ana) == [{"notice": "eve left"}]
        with pytest.raises(ConnectionClosed) as closed:
            await read(eve, 10)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1003
