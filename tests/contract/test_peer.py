"""The peer that other tests talk to, tested itself."""

import asyncio

import pytest

from lilya.types import Receive, Scope, Send
from tests.contract.peer import CLOSED, CONNECT, Peer, connected, converse, run_now, text_frame, websocket_scope


async def test_peer_gives_its_messages_in_order_and_keeps_what_it_is_sent() -> None:
    """An application is told when it waits for more than there is, instead of waiting for ever."""
    peer = Peer(CONNECT, text_frame("a"))
    assert [await peer.receive(), await peer.receive()] == [CONNECT, text_frame("a")]
    with pytest.raises(AssertionError, match="never comes"):
        await peer.receive()
    await peer.send(CLOSED)
    assert (peer.sent, peer.kinds) == ([CLOSED], ["close"])


async def test_peer_that_is_gone_fails_as_servers_do() -> None:
    """Every send is an `OSError`, and nothing is kept."""
    peer = Peer(gone=True)
    with pytest.raises(OSError, match="vanished"):
        await peer.send(CLOSED)
    assert peer.sent == []


async def test_converse_begins_with_a_handshake() -> None:
    """The application sees connect first, and the scope it is given."""
    seen: list[object] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.extend([scope["path"], await receive(), await receive()])

    await converse(app, text_frame("a"), scope=websocket_scope("/x"))
    assert seen == ["/x", CONNECT, text_frame("a")]


async def test_connected_is_a_websocket_after_its_handshake() -> None:
    """Messages may flow, and the scope may be the test's own."""
    websocket, peer = connected(text_frame("a"), scope=websocket_scope("/x"))
    assert (websocket["path"], await websocket.receive_text()) == ("/x", "a")
    await websocket.close()
    assert peer.sent == [CLOSED]


def test_run_now_runs_a_coroutine_without_a_loop() -> None:
    """Turns of the loop are no hindrance, and errors come out."""

    async def turning(number: int) -> int:
        await asyncio.sleep(0)
        return 1 // number

    assert run_now(turning(1)) == 1
    with pytest.raises(ZeroDivisionError):
        run_now(turning(0))
