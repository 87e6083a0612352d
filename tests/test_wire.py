"""The server's end of a connection: what it remembers, and that it is one for all who talk on it."""

import asyncio
import contextlib
import functools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lilya import _state, _wire
from lilya._exchange import ClientGone, Exchange
from lilya._inbox import Inbox
from lilya._suspended import is_waiting
from lilya._wire import BREATH, WIRE, Wire, wire_of
from lilya.enums import WebSocketState
from lilya.exceptions import WebSocketDisconnect, WebSocketDisconnected, WebSocketException, WebSocketRuntimeError
from lilya.types import Message, Scope
from lilya.websockets import WebSocket
from tests.contract.peer import CONNECT, Peer, bytes_frame, disconnect, text_frame, websocket_scope
from tests.waiting_peer import WaitingPeer, open_websocket, turns

CONNECTING, CONNECTED, DISCONNECTED, RESPONSE = WebSocketState
ACCEPT: Message = {"type": "websocket.accept", "subprotocol": None, "headers": []}

# Long enough for a busy machine; reached only if something hangs.
PATIENCE = 10


def close(code: int = 1000, reason: str = "") -> Message:
    """A close message."""
    return {"type": "websocket.close", "code": code, "reason": reason}


async def accepted(*messages: Message) -> tuple[Wire, Peer]:
    """A wire after the handshake; the peer sends these messages next."""
    peer = Peer(CONNECT, *messages)
    wire = Wire(peer.receive, peer.send)
    await wire.receive()
    await wire.send(ACCEPT)
    return wire, peer


# --- What a wire remembers -------------------------------------------------------------------------------------------


async def test_wire_is_open_between_accept_and_the_first_end() -> None:
    """`open` and `answered` follow the conversation."""
    peer = Peer(CONNECT, disconnect())
    wire = Wire(peer.receive, peer.send)
    assert (wire.open, wire.answered) == (False, False)
    await wire.receive()
    assert (wire.open, wire.answered) == (False, False)
    await wire.send(ACCEPT)
    assert (wire.open, wire.answered) == (True, True)
    await wire.receive()
    assert (wire.open, wire.answered) == (False, True)


async def test_wire_has_nobody_to_answer_when_the_client_left_the_handshake() -> None:
    """A client that leaves before the answer needs none any more."""
    peer = Peer(disconnect(1006))
    wire = Wire(peer.receive, peer.send)
    assert await wire.receive() == disconnect(1006)
    assert (wire.open, wire.answered, wire.ended_by, wire.close_code) == (False, True, "client", 1006)


async def test_wire_id_is_one_name_for_the_connection() -> None:
    """16 hexadecimal digits, the same every time, another one for every connection."""
    one, other = (Wire(peer.receive, peer.send) for peer in (Peer(), Peer()))
    assert one.id == one.id
    assert int(one.id, 16) >= 0
    assert len(one.id) == 16
    assert one.id != other.id


async def test_wire_keeps_the_code_of_whoever_ended_first() -> None:
    """A client's own code after our close does not replace ours, and the reverse."""
    wire, _ = await accepted(disconnect(1001, "bye"))
    await wire.send(close(4000, "enough"))
    await wire.receive()
    assert (wire.close_code, wire.close_reason, wire.ended_by) == (4000, "enough", "application")

    wire, _ = await accepted(disconnect(1001, "bye"))
    await wire.receive()
    await wire.send(close(4000, "enough"))
    assert (wire.close_code, wire.close_reason, wire.ended_by) == (1001, "bye", "client")


async def test_wire_note_disconnect_twice_keeps_the_first_code() -> None:
    """Noting an end that is known already changes nothing."""
    wire, _ = await accepted()
    wire.note_disconnect(disconnect(1001, "bye"))
    error = wire.note_disconnect(disconnect(1002, "other"))
    assert (error.code, wire.close_code, wire.close_reason) == (1002, 1001, "bye")


async def test_wire_reads_a_disconnect_without_code_as_1005() -> None:
    """ASGI: the code is optional, and without one it is 1005; the reason may be missing or null."""
    for message in ({"type": "websocket.disconnect"}, {"type": "websocket.disconnect", "code": None, "reason": None}):
        wire, _ = await accepted(message)
        await wire.receive()
        assert (wire.close_code, wire.close_reason) == (1005, "")


async def test_wire_turns_an_os_error_into_a_disconnect() -> None:
    """A server that cannot send because nobody is there raises `OSError`; the application gets a disconnect, 1006."""
    wire, peer = await accepted()
    peer.gone = True
    with pytest.raises(WebSocketDisconnect) as caught:
        await wire.send({"type": "websocket.send", "text": "x"})
    assert (caught.value.code, type(caught.value.__cause__)) == (1006, OSError)
    assert (wire.client_state, wire.application_state, wire.close_code) == (DISCONNECTED, DISCONNECTED, 1006)
    assert wire.ended_by == "client"
    with pytest.raises(WebSocketDisconnected) as again:
        await wire.send({"type": "websocket.send", "text": "x"})
    assert again.value.code == 1006


async def test_wire_lost_after_our_own_close_keeps_our_code() -> None:
    """Losing the connection while closing is not the client's doing."""
    wire, peer = await accepted()
    peer.gone = True
    with pytest.raises(WebSocketDisconnect):
        await wire.send(close(4000))
    assert (wire.close_code, wire.ended_by) == (4000, "application")


async def test_wire_knows_no_code_of_an_end_that_was_only_assigned() -> None:
    """A state that the application set itself has no code; the error says 1006, "abnormal"."""
    wire, _ = await accepted()
    wire.assign(DISCONNECTED, CONNECTED)
    with pytest.raises(WebSocketDisconnected) as caught:
        await wire.receive()
    assert caught.value.code == 1006


async def test_wire_passes_on_what_the_server_raises_otherwise() -> None:
    """Only `OSError` says that the client is gone; an answer to the handshake that was refused was not given."""

    async def refusing(message: Message) -> None:
        raise RuntimeError("a server's complaint")

    wire = Wire(Peer().receive, refusing)
    for message in (ACCEPT, close(4000, "why"), {"type": "websocket.http.response.start", "status": 401}):
        with pytest.raises(RuntimeError, match="a server's complaint"):
            await wire.send(message)
        assert (wire.application_state, wire.open, wire.answered) == (CONNECTING, False, False)
        assert (wire.refused, wire.close_code, wire.close_reason) == (None, None, "")


# --- What reaches the server -----------------------------------------------------------------------------------------


async def test_wire_takes_any_code_before_accept() -> None:
    """Before accept the code goes nowhere but the log, so that `close(403)` is fine; the handshake is refused, 403."""
    peer = Peer()
    wire = Wire(peer.receive, peer.send)
    await wire.send(close(403, "é" * 100))
    assert peer.sent == [close(403, "é" * 61)]
    assert (wire.refused, wire.close_code) == (403, 403)


async def test_wire_completes_a_short_close_message() -> None:
    """A raw close without code and reason, or with a null reason, is 1000 and empty."""
    for message in ({"type": "websocket.close"}, {"type": "websocket.close", "code": 1000, "reason": None}):
        wire, peer = await accepted()
        await wire.send(message)
        assert peer.sent[1:] == [close()]


@given(st.integers(0, 5000), st.text(max_size=200))
async def test_wire_always_sends_a_legal_close_frame(code: int, reason: str) -> None:
    """Whatever code and reason the application asks for, RFC 6455 §7.4 and §5.5 hold for what is sent."""
    wire, peer = await accepted()
    await wire.send(close(code, reason))
    (sent,) = peer.sent[1:]
    assert sent["code"] in {*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)}
    assert len(sent["reason"].encode()) <= 123
    assert reason.encode("utf-8", "replace").decode().startswith(sent["reason"])


@pytest.mark.parametrize(
    "message",
    [
        {"type": "websocket.accept", "headers": [(b"x", b"a\r\nb: c")]},
        {"type": "websocket.accept", "subprotocol": "chat\r\nx: y", "headers": []},
        {"type": "websocket.accept", "subprotocol": "", "headers": []},
        {"type": "websocket.http.response.start", "status": 401, "headers": [(b"x", b"a\nb")]},
        {"type": "websocket.http.response.start", "status": 101, "headers": []},
        {"type": "websocket.http.response.start", "status": 999, "headers": []},
        {"type": "websocket.http.response.start", "status": "401", "headers": []},
        {"type": "websocket.http.response.start", "headers": []},
    ],
)
async def test_wire_refuses_an_answer_that_cannot_be_sent(message: Message) -> None:
    """A line break in a header or subprotocol, or a wrong status: a `ValueError`, and another try is possible."""
    peer = Peer(CONNECT)
    wire = Wire(peer.receive, peer.send)
    await wire.receive()
    with pytest.raises(ValueError, match="cannot be sent"):
        await wire.send(message)
    assert (peer.sent, wire.application_state) == ([], CONNECTING)
    await wire.send({**ACCEPT, "subprotocol": "chat.v2"})
    assert wire.application_state is CONNECTED


async def test_wire_remembers_the_status_of_a_denial() -> None:
    """What the handshake was refused with is known at the end."""
    peer = Peer(CONNECT)
    wire = Wire(peer.receive, peer.send)
    await wire.send({"type": "websocket.http.response.start", "status": 401, "headers": []})
    await wire.send({"type": "websocket.http.response.body", "body": b"", "more_body": True})
    await wire.send({"type": "websocket.http.response.body", "body": b""})
    assert (wire.refused, wire.application_state, wire.close_code) == (401, DISCONNECTED, None)


# --- The connect message comes again ---------------------------------------------------------------------------------


async def test_wire_rewind_shows_the_connect_message_again() -> None:
    """A route that answered nothing leaves the handshake to the next one, as it found it."""
    peer = Peer(CONNECT, text_frame("hello"))
    wire = Wire(peer.receive, peer.send)
    for _ in range(2):
        assert await wire.receive() == CONNECT
        wire.rewind()
        assert wire.client_state is CONNECTING
    await wire.receive()
    assert await wire.receive() == text_frame("hello")


async def test_wire_rewind_changes_nothing_before_the_first_message() -> None:
    """There is nothing to show again, and nothing to bring back."""
    peer = Peer(disconnect())
    wire = Wire(peer.receive, peer.send)
    wire.rewind()
    assert await wire.receive() == disconnect()
    wire.rewind()
    assert wire.client_state is DISCONNECTED


# --- One sends at a time ---------------------------------------------------------------------------------------------

SENDERS = ["send_text", "send_bytes", "send_json", "send", "in a layer"]


async def say(websocket: WebSocket, call: str, text: str) -> None:
    """Send one message in the way named `call`."""
    if call == "send_bytes":
        await websocket.send_bytes(text.encode())
    elif call == "send":
        await websocket.send({"type": "websocket.send", "text": text})
    elif call == "in a layer":
        # A layer's own callables, as those of a middleware are: every message passes through them.
        wire = websocket._wire

        async def send(message: Message) -> None:
            await wire.send(message)

        await WebSocket({**websocket.scope, WIRE: wire}, websocket._receive, send).send_text(text)
    else:
        await getattr(websocket, call)(text)


def payloads(peer: WaitingPeer) -> list[str]:
    """What was sent, without the way in which it was."""
    texts = [message.get("text") or message["bytes"].decode() for message in peer.sent if "code" not in message]
    return [text.strip('"') for text in texts]


@pytest.mark.parametrize("call", SENDERS)
async def test_wire_sends_in_the_order_of_the_calls(call: str) -> None:
    """Any number of tasks may send, whether the client takes anything just then or not."""
    websocket, wire, peer = open_websocket()
    for number in range(2):
        peer.taking.clear()
        senders = [asyncio.create_task(say(websocket, call, f"{number}{text}")) for text in "abcd"]
        await turns()
        peer.taking.set()
        await asyncio.gather(*senders)
    assert payloads(peer) == [f"{number}{text}" for number in range(2) for text in "abcd"]
    assert not is_waiting(wire.sending)


@given(
    st.lists(st.sampled_from(["a sends", "b sends", "one gives up", "takes", "stalls", "turn"]), max_size=40),
)
async def test_wire_sends_all_that_was_not_given_up(script: list[str]) -> None:
    """Whoever is cancelled while it sends: what the others said is sent, once."""
    websocket, wire, peer = open_websocket()
    senders: list[asyncio.Task[None]] = []
    for number, step in enumerate(script):
        if step.endswith("sends"):
            senders.append(asyncio.create_task(websocket.send_text(f"{step[0]}{number}"), name=f"{step[0]}{number}"))
        elif step == "one gives up" and senders:
            senders[number % len(senders)].cancel()
        elif step == "takes":
            peer.taking.set()
        elif step == "stalls":
            peer.taking.clear()
        else:
            await asyncio.sleep(0)
    peer.taking.set()
    await asyncio.wait_for(asyncio.gather(*senders, return_exceptions=True), PATIENCE)
    done = [sender.get_name() for sender in senders if not sender.cancelled()]
    assert sorted(text for text in peer.texts if text in done) == sorted(done)
    assert (wire.open, is_waiting(wire.sending)) == (True, False)


@pytest.mark.parametrize("call", SENDERS)
async def test_wire_that_is_ended_tells_a_handler_that_sends(call: str) -> None:
    """The client takes nothing: the send is given up, and the disconnect comes out of it, of no later one."""
    websocket, wire, peer = open_websocket()
    peer.taking.clear()
    sender = asyncio.create_task(say(websocket, call, "a"))
    await turns()
    await wire.end(1001, "idle", "limit")
    with pytest.raises(WebSocketDisconnect) as first:
        await asyncio.wait_for(sender, PATIENCE)
    assert (type(first.value), first.value.code, sender.cancelling()) == (WebSocketDisconnect, 1001, 0)
    with pytest.raises(WebSocketDisconnected) as second:
        await say(websocket, call, "b")
    assert second.value.code == 1001
    assert (peer.sent, wire.ended_by) == ([close(1001, "idle")], "limit")


async def test_wire_tells_everybody_who_sends_that_the_client_vanished() -> None:
    """The server's `OSError` for one message is the end for all."""
    websocket, wire, peer = open_websocket()
    complaint: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def failing(message: Message) -> None:
        await asyncio.shield(complaint)

    wire.raw_send = failing
    wire.flow()
    senders = [asyncio.create_task(websocket.send_bytes(b"x")) for _ in range(3)]
    await turns()
    peer.feed(disconnect(4001, "bye"))
    complaint.set_exception(OSError("gone"))
    results = await asyncio.wait_for(asyncio.gather(*senders, return_exceptions=True), PATIENCE)
    assert {isinstance(result, WebSocketDisconnect) for result in results} == {True}
    assert peer.sent == []


# --- What servers need -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", SENDERS)
async def test_wire_goes_on_after_a_send_that_was_given_up(call: str) -> None:
    """A handler that sends with a timeout: that message is gone, the connection is not."""
    websocket, wire, peer = open_websocket()
    peer.taking.clear()
    sender = asyncio.create_task(say(websocket, call, "a"))
    await turns()
    sender.cancel()
    await asyncio.wait([sender])
    peer.taking.set()
    await say(websocket, call, "b")
    assert (sender.cancelled(), payloads(peer), wire.open) == (True, ["b"], True)


@pytest.mark.parametrize("call", SENDERS)
async def test_wire_passes_on_what_the_server_has_against_a_message(call: str) -> None:
    """It is no disconnect: nothing that the client said is lost, and the next message may be fine."""
    websocket, wire, peer = open_websocket()
    good = peer.send

    async def send(message: Message) -> None:
        if "ugly" in str(message):
            raise ValueError("too colourful")
        await good(message)

    wire.raw_send = send
    wire.flow()
    peer.feed(text_frame("x"))
    with pytest.raises(ValueError, match="too colourful"):
        await say(websocket, call, "ugly")
    await say(websocket, call, "fair")
    assert (payloads(peer), await websocket.receive_text()) == (["fair"], "x")


class Disconnected(Exception):
    """What one server raises for a client that is gone."""


@pytest.mark.parametrize("error", [OSError("gone"), ConnectionResetError(), Disconnected()])
@pytest.mark.parametrize("call", SENDERS)
async def test_wire_tells_the_code_of_a_client_that_is_gone(call: str, error: Exception) -> None:
    """The server's `send` fails, its `receive` knows more: what the client said last is passed over for the code."""
    websocket, wire, peer = open_websocket()

    async def send(message: Message) -> None:
        raise error

    wire.raw_send = send
    wire.flow()
    peer.feed(text_frame("x"), disconnect(4001, "bye"))
    with pytest.raises(WebSocketDisconnect) as caught:
        await say(websocket, call, "a")
    assert (caught.value.code, caught.value.reason, caught.value.__cause__) == (4001, "bye", error)
    assert (wire.close_code, wire.ended_by) == (4001, "client")


async def test_wire_leaves_the_code_of_a_client_that_is_gone_to_who_receives() -> None:
    """Two tasks: the one that sends does not look, since the other one is looking; there is one end all the same."""
    for reads_ahead in (False, True):
        websocket, wire, peer = open_websocket()
        if reads_ahead:
            wire.inbox = Inbox(wire)
            wire.inbox.start()
        waiting = None if reads_ahead else asyncio.create_task(websocket.receive_text())
        await turns()

        async def send(message: Message) -> None:
            raise OSError("gone")

        wire.raw_send = send
        wire.push = send
        with pytest.raises(WebSocketDisconnect) as caught:
            await websocket.send_text("a")
        assert (caught.value.code, peer.most_receiving) == (1006, 1)
        peer.feed(disconnect(4001))
        if waiting is not None:
            with pytest.raises(WebSocketDisconnect):
                await waiting
        await wire.stop_reading()


async def test_wire_does_not_wait_long_for_the_code_of_a_client_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is there already, or it never comes; then it is 1006, and nobody receives any more."""
    monkeypatch.setattr(_wire, "LOOK_SECONDS", 0)
    websocket, wire, peer = open_websocket()

    async def send(message: Message) -> None:
        raise OSError("gone")

    wire.raw_send = send
    wire.flow()
    with pytest.raises(WebSocketDisconnect) as caught:
        await websocket.send_text("a")
    assert (caught.value.code, peer.receiving) == (1006, 0)


async def test_wire_that_is_over_when_a_send_fails_tells_that_end() -> None:
    """The end from outside was first."""
    websocket, wire, _ = open_websocket()
    complaint: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def send(message: Message) -> None:
        await complaint

    wire.raw_send = send
    wire.flow()
    sender = asyncio.create_task(websocket.send_text("a"))
    await turns()
    wire.over(1013, "full", "limit")
    complaint.set_exception(OSError("gone"))
    with pytest.raises(WebSocketDisconnect) as caught:
        await sender
    assert caught.value.code == 1013


@pytest.mark.parametrize("task", [False, True])
@pytest.mark.parametrize("ended", [False, True])
async def test_wire_closes_while_another_task_receives_a_future(ended: bool, task: bool) -> None:
    """Of a server whose `receive` is a future: it is cancelled first, and whoever waits hears of the end there."""
    websocket, wire, peer = open_websocket()
    arriving: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
    if task:
        arriving = asyncio.ensure_future(peer.receive())

    def receive() -> asyncio.Future[Message]:
        return arriving

    wire.raw_receive = receive
    wire.flow()
    waiting = asyncio.create_task(websocket.receive_text())
    await turns()
    await (wire.end(4000, "enough", "limit") if ended else websocket.close(4000, "enough"))
    with pytest.raises(WebSocketDisconnect) as caught:
        await asyncio.wait_for(waiting, PATIENCE)
    assert (caught.value.code, caught.value.reason) == (4000, "enough")
    assert (arriving.cancelled(), peer.closes) == (True, [(4000, "enough")])


async def test_wire_that_was_closed_with_messages_unread_ends_like_any_other() -> None:
    """The client's answer to the close frame is read ahead: what it had said before is for nobody any more."""
    websocket, wire, peer = open_websocket()
    wire.inbox = Inbox(wire)
    wire.inbox.start()
    peer.feed(text_frame("a"))
    await turns()
    assert wire.closing(4000, None) is not None
    peer.feed(disconnect(4000))
    await turns()
    assert await websocket.receive() == disconnect(4000)
    with pytest.raises(WebSocketDisconnected):
        await websocket.receive_text()


async def test_wire_reads_for_a_server_whose_queue_is_full_while_it_closes() -> None:
    """The answer to the close frame comes behind what nobody read."""
    queue: asyncio.Queue[Message] = asyncio.Queue(2)
    for text in "ab":
        queue.put_nowait(text_frame(text))
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)
        await asyncio.wait_for(queue.put(disconnect(4000)), PATIENCE)

    wire = Wire(queue.get, send)
    wire.assign(CONNECTED, CONNECTED)
    await wire.send(close(4000))
    assert (sent, queue.empty()) == ([close(4000)], True)


@pytest.mark.parametrize(
    ("code", "sent"), [(1000, 1000), (1008, _state.private_code(1008)), (1011, _state.private_code(1011)), (4000, 4000)]
)
async def test_wire_says_the_same_in_private_codes_to_a_server_that_takes_no_others(code: int, sent: int) -> None:
    """The one that was sent is the one that is known afterwards."""
    peer = Peer()

    async def send(message: Message) -> None:
        if message["type"] == "websocket.close" and message["code"] not in {1000, *range(3000, 5000)}:
            raise ValueError("no such code")
        await peer.send(message)

    wire = Wire(peer.receive, send)
    wire.assign(CONNECTED, CONNECTED)
    await wire.send(close(code, "why"))
    assert (peer.sent, wire.close_code) == ([close(sent, "why")], sent)


# --- An end from outside ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("soon", [False, True])
async def test_wire_that_is_ended_says_so_to_both_sides(soon: bool) -> None:
    """The client gets the close frame, the handler hears of it from its next call, and then once more otherwise."""
    websocket, wire, peer = open_websocket()
    if soon:
        wire.end_soon(1001, "idle" * 100, "limit", "because")
        assert (wire.open, peer.sent) == (False, [])
        assert wire.ender is not None
        await wire.ender
    else:
        await wire.end(1001, "idle" * 100, "limit", "because")
    assert peer.closes == [(1001, ("idle" * 100)[:123])]
    assert (wire.close_code, wire.ended_by, wire.why) == (1001, "limit", "because")
    with pytest.raises(WebSocketDisconnect) as first:
        await websocket.send_text("x")
    assert (type(first.value), first.value.code, first.value.reason) == (WebSocketDisconnect, 1001, "idle" * 100)
    with pytest.raises(WebSocketDisconnected) as second:
        await websocket.send_text("x")
    assert second.value.code == 1001
    await websocket.close()
    assert len(peer.sent) == 1


async def test_wire_that_is_over_cannot_be_ended_again() -> None:
    """The first end stays, and one close frame is sent."""
    _, wire, peer = open_websocket()
    await wire.end(1001, "idle", "limit")
    await wire.end(1013, "full", "limit")
    wire.end_soon(1013, "full", "limit")
    assert (wire.close_code, peer.closes, wire.ender) == (1001, [(1001, "idle")], None)


RECEIVERS = ["receive_text", "receive_bytes", "receive_json"]


@pytest.mark.parametrize("call", RECEIVERS)
async def test_wire_that_is_ended_tells_a_handler_that_waits(call: str) -> None:
    """It sits in `receive`; the disconnect comes out there, and its task was not cancelled."""
    websocket, wire, _ = open_websocket()
    waiting = asyncio.create_task(getattr(websocket, call)())
    await turns()
    await wire.end(4401, "expired", "limit")
    with pytest.raises(WebSocketDisconnect) as caught:
        await asyncio.wait_for(waiting, PATIENCE)
    assert (type(caught.value), caught.value.code, waiting.cancelling()) == (WebSocketDisconnect, 4401, 0)
    with pytest.raises(WebSocketDisconnected):
        await getattr(websocket, call)()


async def test_wire_that_is_ended_tells_a_raw_handler_with_a_message() -> None:
    """Once, wherever it is; then `receive` says that there is nothing more."""
    for waits in (False, True):
        websocket, wire, _ = open_websocket()
        waiting = asyncio.create_task(websocket.receive()) if waits else None
        await turns()
        await wire.end(4401, "expired", "limit")
        assert await (waiting or websocket.receive()) == disconnect(4401, "expired")
        with pytest.raises(WebSocketDisconnected, match="once a disconnect message has been received"):
            await websocket.receive()


async def test_wire_that_is_ended_tells_one_that_sends_and_one_that_receives() -> None:
    """Two tasks of a handler, both stuck: one hears the disconnect, the other what comes after it."""
    websocket, wire, peer = open_websocket()
    peer.taking.clear()
    tasks = [asyncio.create_task(websocket.receive_text()), asyncio.create_task(websocket.send_text("x"))]
    await turns()
    await wire.end(1001, "", "limit")
    results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), PATIENCE)
    assert sorted(type(result).__name__ for result in results) == ["WebSocketDisconnect", "WebSocketDisconnected"]
    assert [getattr(result, "code", None) for result in results] == [1001, 1001]


async def test_wire_that_is_ended_lets_a_handler_accept_nothing_more() -> None:
    """Also an accept, or the raw send of anything but a close, hears of the end."""
    messages: list[Message] = [ACCEPT, {"type": "websocket.send", "text": "x"}]
    for message in messages:
        websocket, wire, peer = open_websocket()
        await wire.end(1001, "", "limit")
        with pytest.raises(WebSocketDisconnect) as caught:
            await websocket.send(message)
        assert (caught.value.code, len(peer.sent)) == (1001, 1)


async def test_wire_that_is_ended_while_the_client_vanishes_keeps_its_code() -> None:
    """The server finds nobody for the close frame: that is no error."""
    _, wire, _ = open_websocket()

    async def gone(message: Message) -> None:
        raise OSError

    wire.raw_send = gone
    await wire.end(1013, "full", "limit")
    assert (wire.close_code, wire.ended_by) == (1013, "limit")


async def test_wire_lost_after_an_end_from_outside_tells_that_end() -> None:
    """A send that fails afterwards, or a disconnect that comes afterwards, is not another end."""
    _, wire, _ = open_websocket()
    wire.over(1001, "idle", "limit")
    assert wire.lost().code == 1001
    _, wire, _ = open_websocket()
    wire.over(1001, "idle", "limit")
    assert wire.note_disconnect(disconnect(1006)).code == 1001
    assert (wire.close_code, wire.close_reason, wire.ended_by) == (1001, "idle", "limit")


async def test_wire_over_keeps_the_code_of_whoever_ended_first() -> None:
    """The client leaves after our own close, while somebody reads ahead: our code stays."""
    _, wire, _ = open_websocket()
    await wire.send(close(4000, "enough"))
    wire.over(1006, "", "client")
    assert (wire.close_code, wire.close_reason, wire.ended_by) == (4000, "enough", "application")


async def test_wire_calls_whoever_waits_for_the_end() -> None:
    """Once, whichever way it ends."""
    called: list[str] = []
    ends: list[tuple[str, Callable[[Wire], object]]] = [
        ("over", lambda wire: wire.over(1001, "", "limit")),
        ("left", lambda wire: wire.note_disconnect(disconnect())),
        ("lost", lambda wire: wire.lost()),
        ("closed", lambda wire: wire.closing(1000, None)),
    ]
    for name, end in ends:
        _, wire, _ = open_websocket()
        wire.endings = [functools.partial(called.append, name), lambda: called.append("other")]
        end(wire)
        wire.run_endings()
    assert called == ["over", "other", "left", "other", "lost", "other", "closed", "other"]


async def test_wire_cancels_the_task_that_it_knows() -> None:
    """And counts how often; when the handler has ended, there is none."""
    _, wire, _ = open_websocket()
    wire.task = None
    wire.cancel()
    assert wire.cancels == 0
    wire.task = asyncio.create_task(asyncio.Event().wait())
    wire.cancel()
    await asyncio.wait([wire.task])
    assert (wire.cancels, wire.task.cancelled()) == (1, True)


# --- Messages that are too big ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "limit", "too_big"),
    [
        (text_frame("abc"), 3, False),
        (text_frame("abcd"), 3, True),
        (text_frame("é"), 2, False),
        (text_frame("éa"), 2, True),
        (bytes_frame(b"abc"), 3, False),
        (bytes_frame(b"abcd"), 3, True),
        ({"type": "websocket.receive", "text": None, "bytes": None}, 1, False),
        (text_frame("x" * 100_000), None, False),
    ],
)
async def test_wire_measures_messages(message: Message, limit: int | None, too_big: bool) -> None:
    """In bytes of UTF-8; the connection is closed with 1009, and the handler gets that instead of the message."""
    websocket, wire, peer = open_websocket(max_message_bytes=limit)
    peer.feed(message)
    if too_big:
        assert await websocket.receive() == disconnect(1009, f"a message may have {limit} bytes")
        with pytest.raises(WebSocketDisconnected):
            await websocket.receive()
        assert peer.closes == [(1009, f"a message may have {limit} bytes")]
        assert (wire.ended_by, wire.why) == ("limit", f"max_message_bytes={limit}")
    else:
        assert await websocket.receive() == message
        assert peer.sent == []
    assert wire.received == 1


async def test_wire_counts_messages() -> None:
    """Those of the client that the handler got, and those that it sent, whichever way; nothing else."""
    websocket, wire, peer = open_websocket()
    calls: list[tuple[str, Message]] = [
        ("receive", text_frame("1")),
        ("receive_text", text_frame("1")),
        ("receive_bytes", bytes_frame(b"1")),
        ("receive_json", text_frame("1")),
        ("receive_text", bytes_frame(b"of the wrong kind")),
        ("receive_bytes", text_frame("of the wrong kind")),
    ]
    for call, message in calls:
        peer.feed(message)
        with contextlib.suppress(WebSocketRuntimeError):
            await getattr(websocket, call)()
    assert wire.received == len(calls)
    for call in SENDERS:
        await say(websocket, call, "x")
    assert wire.sent == len(SENDERS)
    peer.feed(disconnect())
    with pytest.raises(WebSocketDisconnect):
        await websocket.receive_text()
    assert (wire.received, wire.sent) == (len(calls), len(SENDERS))


@pytest.mark.parametrize("call", ["iter_text", "iter_bytes", "iter_json", "__aiter__"])
async def test_wire_counts_messages_of_iterators(call: str) -> None:
    """The disconnect that ends a loop is no message."""
    websocket, wire, peer = open_websocket()
    frames = [bytes_frame(b"1")] * 3 if call == "iter_bytes" else [text_frame("1")] * 3
    peer.feed(*frames, disconnect())
    assert len([message async for message in getattr(websocket, call)()]) == wire.received == 3


async def test_wire_counts_on_after_its_breath() -> None:
    """What `sent` says is right however many there were."""
    websocket, wire, peer = open_websocket()
    for _ in range(2 * int(BREATH) + 3):
        await websocket.send_text("x")
    assert wire.sent == len(peer.sent) == 2 * int(BREATH) + 3


# --- One for all -----------------------------------------------------------------------------------------------------


async def test_wire_is_shared_by_all_websockets_of_a_scope() -> None:
    """Inside an application every `WebSocket` of a connection sees the same state."""
    peer = Peer(CONNECT)
    scope = websocket_scope()
    wire = scope[WIRE] = Wire(peer.receive, peer.send)
    one = WebSocket(scope, wire.receive, wire.send)
    other = WebSocket({**scope}, wire.receive, wire.send)
    await one.accept()
    assert other.application_state is CONNECTED
    assert one.id == other.id == wire.id
    await other.close(4000)
    assert (one.closed, one.close_code) == (True, 4000)


def test_wire_of_finds_only_a_websockets_wire() -> None:
    """An HTTP exchange in the same place is none."""
    peer = Peer()
    wire, exchange = Wire(peer.receive, peer.send), Exchange(peer.receive, peer.send)
    scopes: list[Scope] = [{WIRE: wire}, {WIRE: exchange}, {}]
    assert [wire_of(scope) for scope in scopes] == [wire, None, None]


# --- HTTP ------------------------------------------------------------------------------------------------------------


async def test_exchange_knows_whether_a_response_has_begun() -> None:
    """`answered` is set by the first message that is sent."""
    peer = Peer()
    exchange = Exchange(peer.receive, peer.send)
    before = exchange.answered
    await exchange.send({"type": "http.response.start", "status": 200, "headers": []})
    assert (before, exchange.answered) == (False, True)
    assert peer.kinds == ["http.response.start"]


async def test_exchange_rewind_shows_the_first_message_again() -> None:
    """The next route reads the request's body from its beginning; later messages come once."""
    parts: list[Message] = [{"type": "http.request", "body": body, "more_body": True} for body in (b"a", b"b", b"c")]
    peer = Peer(*parts)
    exchange = Exchange(peer.receive, peer.send)
    exchange.rewind()
    assert await exchange.receive() == parts[0]
    exchange.rewind()
    assert [await exchange.receive() for _ in range(3)] == parts


# --- Any conversation at all -----------------------------------------------------------------------------------------

# What a handler may see come out of a call, and nothing else.
DOCUMENTED = (WebSocketDisconnect, WebSocketRuntimeError, ValueError)

CLIENT_MESSAGES = st.one_of(
    st.text(max_size=5).map(text_frame),
    st.binary(max_size=5).map(bytes_frame),
    st.sampled_from(["1", '{"a":[]}', "NaN", "[", ""]).map(text_frame),
    st.just({"type": "websocket.receive", "text": None, "bytes": b"x"}),
    st.just({"type": "websocket.receive", "text": "x", "bytes": None}),
)


class Conversation(RuleBasedStateMachine):
    """
    A handler that calls anything at any time, a client that says and does anything, a server that may lose it.

    The server follows ASGI: it hands over connect first and a disconnect last, and it fails with `OSError` for ever
    once the client is gone.
    """

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.peer = Peer(CONNECT)
        self.websocket = WebSocket(websocket_scope(), self.peer.receive, self.peer.send)
        self.hung_up = False

    def attempt(self, call: str, *args: object) -> None:
        """
        Call a method of the WebSocket: only documented exceptions may come out.

        After a disconnect the conversation is not open; any other error has sent nothing and not changed our side.
        """
        sent, application = len(self.peer.sent), self.websocket.application_state
        try:
            self.loop.run_until_complete(getattr(self.websocket, call)(*args))
        except WebSocketDisconnect:
            assert self.states != (CONNECTED, CONNECTED)
        except DOCUMENTED:
            assert (len(self.peer.sent), self.websocket.application_state) == (sent, application)

    def teardown(self) -> None:
        self.loop.close()

    @property
    def states(self) -> tuple[WebSocketState, WebSocketState]:
        return self.websocket.client_state, self.websocket.application_state

    # -- the client and the server --

    @precondition(lambda self: not self.hung_up)
    @rule(message=CLIENT_MESSAGES)
    def client_says(self, message: Message) -> None:
        self.peer.inbox.append(message)

    @precondition(lambda self: not self.hung_up)
    @rule(message=st.sampled_from([disconnect(), disconnect(4000, "x"), {"type": "websocket.disconnect"}]))
    def client_leaves(self, message: Message) -> None:
        self.peer.inbox.append(message)
        self.hung_up = True

    @precondition(lambda self: self.hung_up)
    @rule()
    def server_notices(self) -> None:
        self.peer.gone = True

    # -- the handler --

    @rule(subprotocol=st.sampled_from([None, "chat", "a b"]), value=st.sampled_from([b"ok", b"a\r\nb"]))
    def accept_handshake(self, subprotocol: str | None, value: bytes) -> None:
        if self.websocket.client_state is not CONNECTING or self.peer.inbox:
            self.attempt("accept", subprotocol, [(b"x-name", value)])

    @rule(code=st.integers(0, 5000), reason=st.none() | st.text(max_size=130))
    def end(self, code: int, reason: str | None) -> None:
        self.attempt("close", code, reason)

    @rule(call=st.sampled_from(["send_text", "send_bytes", "send_json"]), value=st.sampled_from(["x", float("nan")]))
    def say(self, call: str, value: object) -> None:
        self.attempt(call, value)

    @precondition(lambda self: self.peer.inbox)
    @rule(call=st.sampled_from(["receive", "receive_text", "receive_bytes", "receive_json"]))
    def listen(self, call: str) -> None:
        states, waiting = self.states, len(self.peer.inbox)
        self.attempt(call)
        if states == (DISCONNECTED, states[1]):
            assert len(self.peer.inbox) == waiting

    @rule(
        message=st.sampled_from(
            [
                ACCEPT,
                close(1005, "x"),
                {"type": "websocket.send", "text": "x"},
                {"type": "websocket.http.response.start", "status": 401, "headers": []},
                {"type": "websocket.http.response.body", "body": b"", "more_body": True},
                {"type": "websocket.http.response.body", "body": b""},
                {"type": "http.response.start", "status": 200, "headers": []},
            ]
        )
    )
    def send_raw(self, message: Message) -> None:
        self.attempt("send", message)

    # -- what always holds --

    @invariant()
    def what_was_sent_is_a_legal_conversation(self) -> None:
        kinds = " ".join(self.peer.kinds)
        first, _, rest = kinds.partition(" ")
        assert first in ("", "accept", "close", "http.response.start")
        if first == "accept":
            assert set(rest.split()) <= {"send", "close"}
            assert rest.count("close") <= 1
            assert "close" not in rest or rest.endswith("close")
        elif first == "close":
            assert rest == ""
        else:
            assert set(rest.split()) <= {"http.response.body"}
            assert all(message["more_body"] for message in self.peer.sent[1:-1])

    @invariant()
    def every_close_frame_is_legal(self) -> None:
        for position, message in enumerate(self.peer.sent):
            if message["type"] == "websocket.close":
                assert len(message["reason"].encode()) <= 123
                if position:
                    assert message["code"] in {*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)}

    @invariant()
    def the_states_say_what_happened(self) -> None:
        kinds = self.peer.kinds
        client, application = self.states
        assert self.websocket.closed == (DISCONNECTED in (client, application))
        if "close" in kinds:
            assert application is DISCONNECTED
        if application is CONNECTED:
            assert kinds[0] == "accept"
        if application is RESPONSE:
            assert kinds[0] == "http.response.start"
        if application is CONNECTING:
            assert kinds == []


TestConversation = Conversation.TestCase


def test_documented_errors_do_not_include_answers() -> None:
    """The state machine above would not hide an exception that only a handler raises."""
    assert not issubclass(WebSocketException, DOCUMENTED)


async def test_wire_lets_others_have_their_turn() -> None:
    """A server's `send` need not wait; when an application only sends, the loop runs something else now and then."""
    wire, peer = await accepted()
    turns: list[int] = []
    asyncio.get_running_loop().call_soon(lambda: turns.append(len(peer.sent) - 1))
    for _ in range(int(BREATH) + 1):
        await wire.send({"type": "websocket.send", "text": "x"})
    assert turns == [BREATH]


async def test_wire_keeps_an_open_conversation_that_a_server_complains_about() -> None:
    """Only the answer to the handshake is taken back; what was sent later may be half on its way."""
    wire, _ = await accepted()

    async def refusing(message: Message) -> None:
        raise RuntimeError("a server's complaint")

    wire.raw_send = refusing
    with pytest.raises(RuntimeError):
        await wire.send(close(4000))
    assert (wire.application_state, wire.close_code) == (DISCONNECTED, 4000)


async def test_exchange_says_who_raised_an_os_error() -> None:
    """The server's own `OSError` is another class than that of a layer, and an `OSError` still (ASGI 2.4)."""
    peer = Peer(gone=True)
    with pytest.raises(ClientGone) as caught:
        await Exchange(peer.receive, peer.send).send({"type": "http.response.start", "status": 200, "headers": []})
    assert isinstance(caught.value, OSError)
