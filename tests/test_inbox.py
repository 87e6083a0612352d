"""Reading ahead: what arrives while a handler is busy is kept in its order, and the end is noticed."""

import asyncio
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lilya._gates import TokenBucket
from lilya._inbox import Inbox, size_of
from lilya.exceptions import WebSocketDisconnect, WebSocketDisconnected
from lilya.types import Message
from lilya.websockets import WebSocket
from tests.contract.peer import bytes_frame, disconnect, text_frame
from tests.waiting_peer import reading_ahead, turns

# Long enough for a busy machine; reached only if something hangs.
PATIENCE = 10


async def stopped(websocket: WebSocket) -> None:
    """End what a test has left running."""
    wire = websocket._wire
    if wire.ender is not None:
        await asyncio.wait_for(wire.ender, PATIENCE)
    await wire.stop_reading()


# --- Messages --------------------------------------------------------------------------------------------------------


async def test_inbox_hands_over_in_the_order_of_arrival() -> None:
    """What was read ahead comes first, and then what the server has."""
    websocket, inbox, peer = reading_ahead()
    peer.feed(text_frame("a"), bytes_frame(b"b"))
    await turns()
    assert [message.get("text", message.get("bytes")) for message in inbox.messages] == ["a", b"b"]
    peer.feed(text_frame("c"))
    assert await websocket.receive_text() == "a"
    assert await websocket.receive_bytes() == b"b"
    assert await websocket.receive_text() == "c"
    await stopped(websocket)
    assert (inbox.size, peer.most_receiving) == (0, 1)


async def test_inbox_reads_no_further_when_the_handler_is_back() -> None:
    """The message it waited for is the last one that was read for it; from then on it asks the server itself."""
    websocket, inbox, peer = reading_ahead()
    waiting = asyncio.ensure_future(websocket.receive_text())
    await turns()
    before = inbox.reading
    peer.feed(text_frame("a"), text_frame("b"))
    assert await waiting == "a"
    assert (before, inbox.reading) == (True, False)
    assert websocket._wire.pull == inbox.source == peer.receive
    assert await websocket.receive_text() == "b"
    assert (inbox.messages, peer.most_receiving) == (deque(), 1)


async def test_inbox_that_was_stopped_hands_over_what_it_has_and_then_the_servers() -> None:
    """Stopping loses nothing; it may be done twice, and before anything was started."""
    websocket, inbox, peer = reading_ahead()
    peer.feed(text_frame("a"))
    await turns()
    for _ in range(2):
        await inbox.stop()
    assert (inbox.reading, peer.receiving) == (False, 0)
    peer.feed(text_frame("b"))
    assert [await websocket.receive_text() for _ in range(2)] == ["a", "b"]
    assert websocket._wire.pull == peer.receive
    await Inbox(websocket._wire).stop()


async def test_inbox_that_was_stopped_while_empty_leaves_the_rest_to_the_server() -> None:
    """Also when it was stopped after the handler had begun to wait."""
    for begun in (True, False):
        websocket, inbox, peer = reading_ahead(always=True)
        waiting = asyncio.ensure_future(websocket.receive_text())
        if begun:
            await turns()
        await inbox.stop()
        peer.feed(text_frame("a"))
        assert await asyncio.wait_for(waiting, PATIENCE) == "a"


async def test_inbox_that_always_reads_goes_on_when_the_handler_is_back() -> None:
    """What is measured by the time of its arrival is read when it arrives."""
    websocket, inbox, peer = reading_ahead(always=True)
    for text in ("a", "b"):
        waiting = asyncio.ensure_future(websocket.receive_text())
        await turns()
        peer.feed(text_frame(text))
        assert await waiting == text
        assert inbox.reading
    await stopped(websocket)


async def test_inbox_may_be_started_again() -> None:
    """Each time that the handler stays away."""
    websocket, inbox, peer = reading_ahead()
    for text in ("a", "b", "c"):
        waiting = asyncio.ensure_future(websocket.receive_text())
        await turns()
        peer.feed(text_frame(text))
        assert await waiting == text
        inbox.start()
    await stopped(websocket)
    assert peer.most_receiving == 1


@given(st.lists(st.sampled_from(["arrives", "asks", "gives up", "turn", "stays away"]), max_size=40), st.booleans())
async def test_inbox_loses_nothing_when_a_receive_is_given_up(script: list[str], always: bool) -> None:
    """A handler that receives with a timeout gets every message once and in order, whenever the timeout strikes."""
    websocket, inbox, peer = reading_ahead(always=always, inbox_messages=3)
    fed, got = 0, []
    waiting: asyncio.Future[str] | None = None
    for step in [*script, "gives up"]:
        if step == "arrives":
            fed += 1
            peer.feed(text_frame(str(fed)))
        elif step == "asks" and waiting is None:
            waiting = asyncio.ensure_future(websocket.receive_text())
        elif step == "gives up" and waiting is not None:
            waiting.cancel()
            await asyncio.wait([waiting])
            if not waiting.cancelled():
                got.append(waiting.result())
            waiting = None
        elif step == "turn":
            await asyncio.sleep(0)
            if waiting is not None and waiting.done():
                got.append(waiting.result())
                waiting = None
        elif step == "stays away" and waiting is None and not inbox.reading:
            inbox.start()
    while len(got) < fed:
        got.append(await asyncio.wait_for(websocket.receive_text(), PATIENCE))
    await stopped(websocket)
    assert got == [str(number) for number in range(1, fed + 1)]
    assert (peer.most_receiving, inbox.size) == (min(peer.most_receiving, 1), 0)


async def test_inbox_keeps_a_message_for_a_wait_that_ends_in_the_same_turn() -> None:
    """A timeout strikes after the message was read and before the handler ran: the next receive gets it."""
    websocket, inbox, peer = reading_ahead()
    waiting = asyncio.ensure_future(websocket.receive_text())
    await turns()
    peer.feed(text_frame("a"))
    while not inbox.messages:
        await turns(1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await websocket.receive_text() == "a"


# --- Limits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "kept"),
    [
        ({"inbox_messages": 2}, 2),
        ({"inbox_bytes": 5}, 2),
        ({"inbox_bytes": 1}, 1),  # one is always allowed
        ({"inbox_messages": 3, "inbox_bytes": 100}, 3),
        ({}, 4),
    ],
)
async def test_inbox_reads_only_as_far_as_the_limits_allow(limits: dict[str, int], kept: int) -> None:
    """A full one pauses; when the handler takes one, it goes on. What cannot be kept stays with the server."""
    websocket, inbox, peer = reading_ahead(always=True, **limits)
    peer.feed(*(text_frame(text) for text in ("aaa", "bbb", "ccc", "ddd")))
    await turns()
    assert (len(inbox.messages), inbox.full) == (kept, kept < 4)
    assert peer.receiving == (kept == 4)
    assert await websocket.receive_text() == "aaa"
    await turns()
    assert len(inbox.messages) == min(kept, 3)
    assert [await websocket.receive_text() for _ in range(3)] == ["bbb", "ccc", "ddd"]
    await stopped(websocket)
    assert (inbox.full, inbox.size) == (False, 0)


async def test_inbox_forgets_since_when_it_was_full() -> None:
    """With room again, the time begins anew."""
    websocket, inbox, peer = reading_ahead(inbox_messages=1)
    peer.feed(text_frame("a"), text_frame("b"))
    await turns()
    inbox.full_since = 1.0
    assert await websocket.receive_text() == "a"
    await turns()
    since: float | None = inbox.full_since
    assert (len(inbox.messages), since) == (1, None)
    await stopped(websocket)


async def test_inbox_that_is_stopped_while_full_is_stopped() -> None:
    """It waits for room then, and for nothing of the server's."""
    websocket, inbox, peer = reading_ahead(inbox_messages=1)
    peer.feed(text_frame("a"))
    await turns()
    await inbox.stop()
    assert (inbox.reading, await websocket.receive_text()) == (False, "a")


@pytest.mark.parametrize(
    ("message", "size"),
    [
        (text_frame(""), 0),
        (text_frame("abc"), 3),
        (text_frame("é€"), 4),
        (bytes_frame(b"\0\xff"), 2),
        ({"type": "websocket.receive", "text": None, "bytes": b"x"}, 1),
        ({"type": "websocket.receive", "text": "x", "bytes": None}, 1),
        ({"type": "websocket.receive", "bytes": None}, 0),
        ({"type": "websocket.connect"}, 0),
    ],
)
def test_size_of_is_about_the_bytes_on_the_wire(message: Message, size: int) -> None:
    """Exactly those of ASCII and bytes; anything else counts double."""
    assert size_of(message) == size


# --- The end ---------------------------------------------------------------------------------------------------------


async def test_inbox_hands_over_what_came_before_the_client_left() -> None:
    """The unread messages, then the disconnect with its code, then `WebSocketDisconnected`."""
    websocket, inbox, peer = reading_ahead()
    peer.feed(text_frame("a"), text_frame("b"), disconnect(4001, "bye"))
    await turns()
    assert (inbox.reading, websocket.closed, websocket.close_code) == (False, True, 4001)
    assert [await websocket.receive_text() for _ in range(2)] == ["a", "b"]
    with pytest.raises(WebSocketDisconnect) as first:
        await websocket.receive_text()
    assert (type(first.value), first.value.code, first.value.reason) == (WebSocketDisconnect, 4001, "bye")
    with pytest.raises(WebSocketDisconnected):
        await websocket.receive_text()
    assert websocket._wire.ended_by == "client"


@pytest.mark.parametrize("message", [{"type": "websocket.disconnect"}, {**disconnect(), "code": None, "reason": None}])
async def test_inbox_reads_a_disconnect_without_code_as_1005(message: Message) -> None:
    """As ASGI says, for the handler that waits as well."""
    websocket, _, peer = reading_ahead()
    waiting = asyncio.ensure_future(websocket.receive_text())
    await turns()
    peer.feed(message)
    with pytest.raises(WebSocketDisconnect) as caught:
        await waiting
    assert (caught.value.code, caught.value.reason) == (1005, "")


async def test_inbox_hands_over_the_failure_of_the_server() -> None:
    """After what was read before it, each time, and to a handler that waits."""
    for waits in (False, True):
        websocket, inbox, peer = reading_ahead()
        waiting = asyncio.ensure_future(websocket.receive_text()) if waits else None
        await turns()
        if waiting is None:
            peer.feed(text_frame("a"))
        peer.feed(RuntimeError("a server's complaint"))
        await turns()
        if waiting is None:
            assert await websocket.receive_text() == "a"
        else:
            with pytest.raises(RuntimeError, match="a server's complaint"):
                await waiting
        with pytest.raises(RuntimeError, match="a server's complaint"):
            await websocket.receive_text()
        assert not inbox.reading


async def test_inbox_that_the_server_cancels_leaves_nobody_waiting() -> None:
    """A `CancelledError` out of its `receive` ends the reading; the handler asks the server itself."""
    websocket, inbox, peer = reading_ahead()
    waiting = asyncio.ensure_future(websocket.receive_text())
    await turns()
    peer.feed(asyncio.CancelledError(), text_frame("a"))
    assert await asyncio.wait_for(waiting, PATIENCE) == "a"
    assert not inbox.reading


@pytest.mark.parametrize("waits", [False, True])
async def test_inbox_refuses_a_message_that_is_too_big(waits: bool) -> None:
    """The close frame goes out at once; the handler is told, also where it waits."""
    websocket, inbox, peer = reading_ahead(max_message_bytes=3)
    waiting = asyncio.ensure_future(websocket.receive_text()) if waits else None
    await turns()
    peer.feed(text_frame("long"), text_frame("x"))
    await turns()
    assert (peer.closes, len(inbox.messages)) == ([(1009, "a message may have 3 bytes")], 0)
    with pytest.raises(WebSocketDisconnect) as caught:
        await (waiting or websocket.receive_text())
    assert (caught.value.code, websocket._wire.ended_by) == (1009, "limit")
    with pytest.raises(WebSocketDisconnected):
        await websocket.receive_text()
    await stopped(websocket)


async def test_inbox_refuses_messages_that_come_too_often() -> None:
    """What the bucket allows is handed over, then comes the end."""
    websocket, inbox, peer = reading_ahead(always=True, rate=0.001, burst=2)
    websocket._wire.bucket = TokenBucket(0.001, 2)
    peer.feed(*(text_frame(text) for text in "abc"))
    await turns()
    assert (peer.closes, len(inbox.messages)) == ([(4429, "too many messages")], 2)
    assert [await websocket.receive_text() for _ in range(2)] == ["a", "b"]
    with pytest.raises(WebSocketDisconnect) as caught:
        await websocket.receive_text()
    assert caught.value.code == 4429
    await stopped(websocket)


async def test_inbox_is_stopped_before_a_close_frame_is_sent() -> None:
    """Some servers send none while somebody waits to receive."""
    websocket, _inbox, peer = reading_ahead()
    await turns()
    seen: list[int] = []
    send = peer.send

    async def closing(message: Message) -> None:
        seen.append(peer.receiving)
        await send(message)

    websocket._wire.raw_send = closing
    await websocket.close(4000)
    assert (seen, peer.closes) == ([0], [(4000, "")])
