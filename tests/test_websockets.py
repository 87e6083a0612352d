"""`WebSocket` alone on `(scope, receive, send)`: every promise of its methods, without an application around it."""

import asyncio
import json
import math
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import lilya.enums
import lilya.exceptions
from lilya._suspended import is_waiting
from lilya._watch import Watch
from lilya._wire import BREATH, WIRE, Wire
from lilya.background import BackgroundTask
from lilya.datastructures import Header
from lilya.exceptions import MalformedMessage, UnexpectedMessage
from lilya.requests import Connection
from lilya.responses import FileResponse, PlainText, StreamingResponse
from lilya.types import Message, Scope
from lilya.websockets import (
    WebSocket,
    WebSocketClose,
    WebSocketDisconnect,
    WebSocketDisconnected,
    WebSocketRuntimeError,
    WebSocketState,
)
from tests.contract.peer import CLOSED, CONNECT, Peer, bytes_frame, connected, disconnect, text_frame, websocket_scope
from tests.waiting_peer import open_websocket, reading_ahead, turns

CONNECTING, CONNECTED, DISCONNECTED, RESPONSE = WebSocketState

# Long enough for a busy machine; reached only if something hangs.
PATIENCE = 10

NOT_CONNECTED = 'WebSocket is not connected. Need to call "accept" first.'
GOT_BYTES = "Expected a text message, but the client sent bytes: use receive_bytes() for it."
GOT_TEXT = "Expected a bytes message, but the client sent text: use receive_text() for it."

RECEIVERS = ["receive_text", "receive_bytes", "receive_json"]
SENDERS: list[tuple[str, Any]] = [("send_text", "x"), ("send_bytes", b"x"), ("send_json", "x")]


def fresh(*messages: Message, scope: Scope | None = None) -> tuple[WebSocket, Peer]:
    """A WebSocket that has not seen anything yet; the peer begins with these messages."""
    peer = Peer(*messages)
    return WebSocket(scope if scope is not None else websocket_scope(), peer.receive, peer.send), peer


# --- Names and construction ------------------------------------------------------------------------------------------


def test_websockets_exports_the_names_users_import() -> None:
    """Each name is the same object as where it lives."""
    assert WebSocketState is lilya.enums.WebSocketState
    assert WebSocketDisconnect is lilya.exceptions.WebSocketDisconnect
    assert WebSocketRuntimeError is lilya.exceptions.WebSocketRuntimeError
    assert [int(state) for state in (CONNECTING, CONNECTED, DISCONNECTED, RESPONSE)] == [0, 1, 2, 3]


def test_websocket_takes_positional_and_keyword_arguments() -> None:
    """Both spellings make the same thing: a `Connection`, a mapping equal only to itself."""
    peer = Peer()
    scope = websocket_scope("/x")
    one = WebSocket(scope, peer.receive, peer.send)
    other = WebSocket(scope=scope, receive=peer.receive, send=peer.send)
    assert isinstance(one, Connection)
    assert (one["path"], dict(one)) == ("/x", scope)
    assert one != other
    assert len({one, other}) == 2


def test_websocket_asserts_its_scope_type() -> None:
    """Another kind of scope is an `AssertionError` that names it."""
    peer = Peer()
    with pytest.raises(AssertionError, match="not 'http'"):
        WebSocket({"type": "http"}, peer.receive, peer.send)


# --- accept ----------------------------------------------------------------------------------------------------------


async def test_accept_waits_for_connect_and_sends_one_message() -> None:
    """The message has all three keys; both sides are connected afterwards."""
    websocket, peer = fresh(CONNECT)
    assert (websocket.client_state, websocket.application_state) == (CONNECTING, CONNECTING)
    await websocket.accept()
    assert peer.sent == [{"type": "websocket.accept", "subprotocol": None, "headers": []}]
    assert (websocket.client_state, websocket.application_state) == (CONNECTED, CONNECTED)


async def test_accept_after_connect_was_received_does_not_wait_again() -> None:
    """A handler that looked at the connect message itself may accept."""
    websocket, peer = fresh(CONNECT)
    websocket.scope["subprotocols"] = ["soap", "chat"]
    assert await websocket.receive() == CONNECT
    await websocket.accept("chat", [(b"x-name", b"caf\xe9")])
    assert peer.sent == [{"type": "websocket.accept", "subprotocol": "chat", "headers": [(b"x-name", b"caf\xe9")]}]


async def test_accept_takes_headers_as_mapping_or_iterable() -> None:
    """A mapping of text becomes pairs of latin-1 bytes with lower-case names; any iterable of pairs is a list."""
    headers: list[Any] = [{"X-Name": "café"}, Header({"X-Name": "café"}), iter([(b"x-name", b"caf\xe9")])]
    for given in headers:
        websocket, peer = fresh(CONNECT)
        await websocket.accept(headers=given)
        assert peer.sent[0]["headers"] == [(b"x-name", b"caf\xe9")]


async def test_accept_twice_is_a_mistake() -> None:
    """The second call says what may be sent instead, and sends nothing."""
    websocket, peer = fresh(CONNECT)
    await websocket.accept()
    with pytest.raises(WebSocketRuntimeError, match=r'Expected ASGI message "websocket\.send" or "websocket\.close"'):
        await websocket.accept()
    assert peer.kinds == ["accept"]


async def test_accept_with_a_bad_header_can_be_tried_again() -> None:
    """CR or LF in a header is a `ValueError` at the call; nothing was sent."""
    websocket, peer = fresh(CONNECT)
    with pytest.raises(ValueError, match="no CR, LF or NUL"):
        await websocket.accept(headers={"x-name": "a\r\nset-cookie: b=c"})
    await websocket.accept()
    assert peer.kinds == ["accept"]


async def test_accept_with_a_subprotocol_that_was_not_offered_can_be_tried_again() -> None:
    """A client fails such a handshake (RFC 6455 §4.1): a `ValueError` without the offers, which may hold a token."""
    websocket, peer = fresh(CONNECT)
    for offered in ([], ["soap", "wamp"]):
        websocket.scope["subprotocols"] = offered
        with pytest.raises(ValueError, match=r"'chat' cannot be accepted: the client has not offered it\.$"):
            await websocket.accept("chat")
    await websocket.accept("soap")
    assert [message["subprotocol"] for message in peer.sent] == ["soap"]

    websocket, peer = fresh(CONNECT)
    del websocket.scope["subprotocols"]  # a server that does not say what was offered
    await websocket.accept("chat")
    assert peer.kinds == ["accept"]


@pytest.mark.parametrize("call", ["accept", "close"])
async def test_answer_that_the_server_refuses_was_not_given(call: str) -> None:
    """An error that is no `OSError` leaves the handshake as it was, also below a layer."""

    async def refusing(message: Message) -> None:
        raise RuntimeError("a server's complaint")

    peer = Peer(CONNECT)
    alone = WebSocket(websocket_scope(), peer.receive, refusing)
    scope = websocket_scope()
    wire = scope[WIRE] = Wire(peer.receive, refusing)
    below = WebSocket(scope, wire.receive, wire.send)
    await alone.receive()
    for websocket in (alone, below):
        websocket.client_state = CONNECTED
        with pytest.raises(RuntimeError, match="a server's complaint"):
            await getattr(websocket, call)()
        assert (websocket.application_state, websocket.close_code) == (CONNECTING, None)


async def test_close_that_a_layer_fails_after_was_given() -> None:
    """The layer has passed it on: the server has it."""
    outer, _ = fresh(CONNECT)

    async def send(message: Message) -> None:
        await outer.send(message)
        raise RuntimeError("a layer's fault")

    with pytest.raises(RuntimeError, match="a layer's fault"):
        await WebSocket({**outer.scope, WIRE: outer._wire}, outer.receive, send).close()
    assert (outer.application_state, outer.close_code) == (DISCONNECTED, 1000)


async def test_close_that_the_server_refuses_on_an_open_conversation_is_the_end() -> None:
    """There is nothing to go back to: the frame may be half on its way."""
    websocket, _ = connected()

    async def refusing(message: Message) -> None:
        raise RuntimeError("a server's complaint")

    websocket = WebSocket(websocket.scope, websocket.receive, refusing)
    websocket.client_state = websocket.application_state = CONNECTED
    with pytest.raises(RuntimeError):
        await websocket.close()
    assert websocket.application_state is DISCONNECTED


async def test_accept_of_a_client_that_left_is_a_disconnect() -> None:
    """A disconnect before the handshake was answered is `WebSocketDisconnect`, whoever receives it."""
    websocket, peer = fresh(disconnect(1006))
    with pytest.raises(WebSocketDisconnect) as caught:
        await websocket.accept()
    assert (caught.value.code, peer.sent, websocket.closed) == (1006, [], True)
    with pytest.raises(WebSocketDisconnected):
        await websocket.accept()


async def test_accept_on_a_server_without_the_client_is_a_disconnect() -> None:
    """The `OSError` of a server whose client vanished during the handshake comes out as 1006."""
    websocket, peer = fresh(CONNECT)
    peer.gone = True
    with pytest.raises(WebSocketDisconnect) as caught:
        await websocket.accept()
    assert (caught.value.code, websocket.application_state) == (1006, DISCONNECTED)


# --- receive and send, raw -------------------------------------------------------------------------------------------


async def test_receive_hands_over_the_disconnect_once() -> None:
    """A raw disconnect is a message; receiving again is both kinds of error, with its code."""
    websocket, _ = connected(disconnect(1001, "bye"))
    assert await websocket.receive() == disconnect(1001, "bye")
    assert websocket.client_state is DISCONNECTED
    with pytest.raises(WebSocketDisconnected) as caught:
        await websocket.receive()
    assert str(caught.value) == 'Cannot call "receive" once a disconnect message has been received.'
    assert (caught.value.code, caught.value.reason) == (1001, "bye")


async def test_receive_names_a_first_message_that_is_no_connect() -> None:
    """A server that begins with something else is refused, and the text says what came."""
    websocket, _ = fresh(text_frame("x"))
    with pytest.raises(WebSocketRuntimeError, match=r'Expected ASGI message "websocket\.connect".* got \'websocket\.r'):
        await websocket.receive()


async def test_send_keeps_the_state_right() -> None:
    """Raw messages move the states as the methods do."""
    websocket, peer = fresh(CONNECT, text_frame("x"))
    await websocket.receive()
    await websocket.send({"type": "websocket.accept", "headers": [(b"x", b"y")]})
    assert await websocket.receive_text() == "x"
    await websocket.send({"type": "websocket.send", "text": "y"})
    await websocket.send({"type": "websocket.close", "code": 4000})
    assert websocket.application_state is DISCONNECTED
    assert peer.sent[2] == {"type": "websocket.close", "code": 4000, "reason": ""}
    with pytest.raises(WebSocketRuntimeError, match='Cannot call "send" once a close message has been sent'):
        await websocket.send({"type": "websocket.send", "text": "z"})


async def test_send_before_accept_says_what_may_be_sent() -> None:
    """A raw send in the handshake names the legal messages and the one that came."""
    websocket, _ = fresh(CONNECT)
    with pytest.raises(WebSocketRuntimeError, match=r'"websocket\.accept" or "websocket\.close".*\'websocket\.send\''):
        await websocket.send({"type": "websocket.send", "text": "x"})


# --- Typed receiving -------------------------------------------------------------------------------------------------


async def test_receive_text_bytes_and_json_return_what_came() -> None:
    """Each frame comes out as its type; JSON in either mode."""
    websocket, _ = connected(text_frame("é"), bytes_frame(b"\xff"), text_frame('{"a": [1]}'), bytes_frame(b'"b"'))
    assert await websocket.receive_text() == "é"
    assert await websocket.receive_bytes() == b"\xff"
    assert await websocket.receive_json() == {"a": [1]}
    assert await websocket.receive_json(mode="binary") == "b"


async def test_receive_returns_empty_messages() -> None:
    """An empty frame is a message like any other."""
    websocket, _ = connected(text_frame(""), bytes_frame(b""))
    assert (await websocket.receive_text(), await websocket.receive_bytes()) == ("", b"")


async def test_receive_reads_frames_with_a_null_beside_the_payload() -> None:
    """ASGI allows a server to send both keys, one of them null."""
    both: Message = {"type": "websocket.receive", "text": "x", "bytes": None}
    other: Message = {"type": "websocket.receive", "text": None, "bytes": b"x"}
    websocket, _ = connected(both, other)
    assert (await websocket.receive_text(), await websocket.receive_bytes()) == ("x", b"x")


@pytest.mark.parametrize("call", RECEIVERS)
async def test_receive_before_accept_is_a_mistake(call: str) -> None:
    """The text is the one users know."""
    websocket, _ = fresh(CONNECT)
    with pytest.raises(WebSocketRuntimeError) as caught:
        await getattr(websocket, call)()
    assert str(caught.value) == NOT_CONNECTED
    assert not isinstance(caught.value, WebSocketDisconnect)


@pytest.mark.parametrize("call", RECEIVERS)
async def test_receive_after_our_own_close_is_a_mistake(call: str) -> None:
    """It is no disconnect: the application itself ended it, and the text says so."""
    websocket, _ = connected()
    await websocket.close()
    with pytest.raises(WebSocketRuntimeError, match=r"Need to call \"accept\" first\. \(It is closed") as caught:
        await getattr(websocket, call)()
    assert not isinstance(caught.value, WebSocketDisconnect)


@pytest.mark.parametrize("call", RECEIVERS)
async def test_receive_raises_the_disconnect_and_then_disconnected(call: str) -> None:
    """The first call after the client left says so with code and reason, every later one as both kinds of error."""
    websocket, _ = connected(disconnect(4001, "bye"))
    with pytest.raises(WebSocketDisconnect) as first:
        await getattr(websocket, call)()
    assert (type(first.value), first.value.code, first.value.reason) == (WebSocketDisconnect, 4001, "bye")
    assert (websocket.client_state, websocket.closed, websocket.close_code) == (DISCONNECTED, True, 4001)
    with pytest.raises(WebSocketDisconnected, match=r"The client has left\.") as second:
        await getattr(websocket, call)()
    assert (second.value.code, second.value.reason) == (4001, "bye")


@pytest.mark.parametrize("call", RECEIVERS)
async def test_receive_reads_a_disconnect_without_code_as_1005(call: str) -> None:
    """ASGI: `code` is optional and means 1005 then."""
    websocket, _ = connected({"type": "websocket.disconnect"})
    with pytest.raises(WebSocketDisconnect) as caught:
        await getattr(websocket, call)()
    assert (caught.value.code, caught.value.reason) == (1005, "")


@pytest.mark.parametrize(
    ("call", "message", "text"),
    [
        ("receive_text", bytes_frame(b"x"), GOT_BYTES),
        ("receive_bytes", text_frame("x"), GOT_TEXT),
        ("receive_json", bytes_frame(b"1"), GOT_BYTES),
        ("receive_text", {"type": "websocket.receive", "text": None, "bytes": b"x"}, GOT_BYTES),
        ("receive_bytes", {"type": "websocket.receive", "text": "x", "bytes": None}, GOT_TEXT),
    ],
)
async def test_receive_of_the_other_kind_of_frame_says_which_came(call: str, message: Message, text: str) -> None:
    """A `WebSocketRuntimeError` names the kind; states are unchanged and the next message can be received."""
    websocket, peer = connected(message, text_frame("next"))
    with pytest.raises(UnexpectedMessage) as caught:
        await getattr(websocket, call)()
    assert isinstance(caught.value, WebSocketRuntimeError)
    assert str(caught.value) == text
    assert (websocket.client_state, websocket.application_state, peer.sent) == (CONNECTED, CONNECTED, [])
    assert await websocket.receive_text() == "next"


@pytest.mark.parametrize("call", [*RECEIVERS, "iter_text", "__aiter__"])
async def test_receive_refuses_a_message_of_another_type(call: str) -> None:
    """A server that sends something else is told what was expected; the connection stays usable."""
    websocket, _ = connected({"type": "websocket.connect"}, text_frame("1"))
    receive = getattr(websocket, call)
    with pytest.raises(WebSocketRuntimeError) as caught:
        await (receive() if call in RECEIVERS else anext(receive()))
    assert str(caught.value) == "Expected ASGI message \"websocket.receive\", but got 'websocket.connect'."
    assert await websocket.receive_text() == "1"


@pytest.mark.parametrize(
    "text", ["", "{", "nonsense", "NaN", "Infinity", "-Infinity", "1e999", "[" * 100_000, "1" * 5_000]
)
async def test_receive_json_of_malformed_text_is_a_value_error(text: str) -> None:
    """What is no JSON, or JSON beyond all measure, is one `JSONDecodeError`; the connection stays usable."""
    websocket, _ = connected(text_frame(text), bytes_frame(text.encode()), text_frame("1"))
    for mode in ("text", "binary"):
        with pytest.raises(json.JSONDecodeError) as caught:
            await websocket.receive_json(mode)
        assert isinstance(caught.value, MalformedMessage)
        assert isinstance(caught.value, ValueError)
    assert await websocket.receive_json() == 1


async def test_receive_json_of_bytes_that_are_no_utf8_is_a_value_error() -> None:
    """Binary JSON is UTF-8."""
    websocket, _ = connected(bytes_frame(b'"\xff"'))
    with pytest.raises(MalformedMessage, match="UTF-8"):
        await websocket.receive_json(mode="binary")


@pytest.mark.parametrize("mode", ["bytes", "", "TEXT"])
async def test_json_refuses_an_unknown_mode(mode: str) -> None:
    """Both directions say which modes there are, before anything is received or sent."""
    websocket, peer = connected(text_frame("1"))
    calls: list[Callable[[], Awaitable[Any]]] = [
        lambda: websocket.receive_json(mode),
        lambda: websocket.send_json(1, mode),
        lambda: anext(websocket.iter_json(mode)),
    ]
    for call in calls:
        with pytest.raises(WebSocketRuntimeError) as caught:
            await call()
        assert str(caught.value) == 'The "mode" argument should be "text" or "binary".'
    assert (len(peer.inbox), peer.sent) == (1, [])


# --- Iterating -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "frames", "values"),
    [
        ("iter_text", [text_frame("a"), text_frame("")], ["a", ""]),
        ("iter_bytes", [bytes_frame(b"a"), bytes_frame(b"")], [b"a", b""]),
        ("iter_json", [text_frame("1"), text_frame("null")], [1, None]),
    ],
)
async def test_iterators_end_silently_when_the_client_leaves(
    call: str, frames: list[Message], values: list[Any]
) -> None:
    """All messages, then the end; another loop over the same connection ends at once."""
    websocket, _ = connected(*frames, disconnect())
    assert [value async for value in getattr(websocket, call)()] == values
    assert websocket.client_state is DISCONNECTED
    assert [value async for value in getattr(websocket, call)()] == []


async def test_iter_json_takes_a_mode() -> None:
    """Binary JSON can be iterated as well."""
    websocket, _ = connected(bytes_frame(b"[1]"), disconnect())
    assert [value async for value in websocket.iter_json(mode="binary")] == [[1]]


@pytest.mark.parametrize(
    ("call", "frame"),
    [("iter_text", bytes_frame(b"x")), ("iter_bytes", text_frame("x")), ("iter_json", text_frame("{"))],
)
async def test_iterators_raise_what_is_no_disconnect(call: str, frame: Message) -> None:
    """The wrong kind of frame and malformed JSON come out; a new loop goes on with the next message."""
    websocket, peer = connected(frame, disconnect())
    with pytest.raises((UnexpectedMessage, MalformedMessage)):
        await anext(getattr(websocket, call)())
    assert [value async for value in getattr(websocket, call)()] == []
    assert peer.inbox == []


@pytest.mark.parametrize("call", ["iter_text", "iter_bytes", "iter_json"])
async def test_iterators_before_accept_are_a_mistake(call: str) -> None:
    """As for receiving: the text says what is missing."""
    websocket, _ = fresh(CONNECT)
    with pytest.raises(WebSocketRuntimeError, match='Need to call "accept" first'):
        await anext(getattr(websocket, call)())


@pytest.mark.parametrize("call", ["iter_text", "iter_bytes", "iter_json"])
async def test_iterators_after_our_own_close_are_a_mistake(call: str) -> None:
    """A loop that closes and goes on is told so, as by the receive method of its kind."""
    websocket, _ = connected(text_frame("1") if call != "iter_bytes" else bytes_frame(b"1"))
    messages: AsyncIterator[Any] = getattr(websocket, call)()
    await anext(messages)
    await websocket.close()
    with pytest.raises(WebSocketRuntimeError, match="It is closed"):
        await anext(messages)


async def test_iter_text_ends_when_the_connection_was_lost_while_sending() -> None:
    """The loss is noticed by a send inside the loop; a handler that catches it sees the loop end."""
    websocket, peer = connected(text_frame("a"), text_frame("b"))
    seen = []
    async for text in websocket.iter_text():
        seen.append(text)
        peer.gone = True
        with pytest.raises(WebSocketDisconnect):
            await websocket.send_text(text)
    assert seen == ["a"]


# --- async for -------------------------------------------------------------------------------------------------------


async def test_aiter_gives_text_as_str_and_binary_as_bytes() -> None:
    """In their order, until the client leaves; another loop over the same connection ends at once."""
    websocket, _ = connected(
        text_frame("a"),
        bytes_frame(b"b"),
        text_frame(""),
        {"type": "websocket.receive", "text": None, "bytes": b""},
        {"type": "websocket.receive", "text": "c", "bytes": None},
        disconnect(4001),
    )
    assert [message async for message in websocket] == ["a", b"b", "", b"", "c"]
    assert (websocket.client_state, websocket.close_code) == (DISCONNECTED, 4001)
    assert [message async for message in websocket] == []


async def test_aiter_before_accept_and_after_our_own_close_is_a_mistake() -> None:
    """As for the other iterators."""
    websocket, _ = fresh(CONNECT)
    with pytest.raises(WebSocketRuntimeError, match='Need to call "accept" first'):
        await anext(websocket.__aiter__())
    websocket, _ = connected(text_frame("a"))
    messages = websocket.__aiter__()
    await anext(messages)
    await websocket.close()
    with pytest.raises(WebSocketRuntimeError, match="It is closed"):
        await anext(messages)


# --- An end from outside, and what is too big ------------------------------------------------------------------------

ITERATORS = ["iter_text", "iter_bytes", "iter_json", "__aiter__"]


def layered(websocket: WebSocket) -> WebSocket:
    """The same connection as it is seen below a layer that passes everything on."""
    wire = websocket._wire

    async def receive() -> Message:
        return await wire.receive()

    async def send(message: Message) -> None:
        await wire.send(message)

    return WebSocket({**websocket.scope, WIRE: wire}, receive, send)


@pytest.mark.parametrize("below", [False, True])
@pytest.mark.parametrize("call", ["receive_text", "receive_bytes", "receive_json"])
async def test_receive_of_a_message_that_is_too_big_is_the_end(call: str, below: bool) -> None:
    """The close frame 1009, and `WebSocketDisconnect` with that code from the same call."""
    websocket, wire, peer = open_websocket(max_message_bytes=3)
    receive = getattr(layered(websocket) if below else websocket, call)
    peer.feed(bytes_frame(b"1" * 4) if call == "receive_bytes" else text_frame("1" * 4))
    with pytest.raises(WebSocketDisconnect) as caught:
        await receive()
    assert (type(caught.value), caught.value.code) == (WebSocketDisconnect, 1009)
    assert (peer.closes, wire.ended_by) == ([(1009, "a message may have 3 bytes")], "limit")
    with pytest.raises(WebSocketDisconnected):
        await receive()


@pytest.mark.parametrize("below", [False, True])
@pytest.mark.parametrize("call", ITERATORS)
async def test_iterators_end_at_a_message_that_is_too_big(call: str, below: bool) -> None:
    """After those that came before it; one of exactly the limit is none of them."""
    websocket, _, peer = open_websocket(max_message_bytes=3)
    frame: Callable[[str], Message] = text_frame
    if call == "iter_bytes":

        def frame(text: str) -> Message:
            return bytes_frame(text.encode())

    peer.feed(frame("123"), frame("1234"), frame("5"))
    messages = getattr(layered(websocket) if below else websocket, call)
    assert len([message async for message in messages()]) == 1
    assert (websocket.close_code, peer.closes) == (1009, [(1009, "a message may have 3 bytes")])
    assert [message async for message in messages()] == []


@pytest.mark.parametrize("below", [False, True])
@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("call", ITERATORS)
async def test_iterators_end_when_the_connection_is_ended_from_outside(call: str, waits: bool, below: bool) -> None:
    """Whether the loop waits for a message just then, or its body for something else."""
    websocket, wire, peer = open_websocket()
    messages = getattr(layered(websocket) if below else websocket, call)()
    if not waits:
        peer.feed(bytes_frame(b"1") if call == "iter_bytes" else text_frame("1"))
        await anext(messages)
        await wire.end(1001, "idle", "limit")
    rest = asyncio.ensure_future(anext(messages, None))
    await turns()
    if waits:
        await wire.end(1001, "idle", "limit")
    assert await rest is None
    # It was told by the end of the loop.
    with pytest.raises(WebSocketDisconnected) as caught:
        await websocket.send_text("x")
    assert caught.value.code == 1001


@pytest.mark.parametrize("below", [False, True])
@pytest.mark.parametrize("call", ITERATORS)
async def test_iterators_hand_over_what_was_read_ahead_before_the_end(call: str, below: bool) -> None:
    """The client is gone already; its last messages are not."""
    websocket, _, peer = reading_ahead()
    frame = bytes_frame(b"1") if call == "iter_bytes" else text_frame("1")
    peer.feed(frame, frame, frame, disconnect(4001))
    await turns()
    assert websocket.closed
    messages = getattr(layered(websocket) if below else websocket, call)
    assert len([message async for message in messages()]) == 3
    assert [message async for message in messages()] == []
    assert websocket.close_code == 4001


@pytest.mark.parametrize("call", ["receive_text", "iter_text", "iter_bytes", "__aiter__"])
async def test_receive_passes_on_a_failure_of_the_server(call: str) -> None:
    """It is no disconnect, and the next call may still be lucky."""
    websocket, wire, peer = open_websocket()
    peer.feed(RuntimeError("a server's complaint"), disconnect())
    receive = getattr(websocket, call)
    with pytest.raises(RuntimeError, match="a server's complaint"):
        await (receive() if call == "receive_text" else anext(receive()))
    assert not is_waiting(wire.pending)
    with pytest.raises(WebSocketDisconnect):
        await websocket.receive_text()


@pytest.mark.parametrize("call", ["receive", *RECEIVERS, *ITERATORS])
async def test_receive_that_is_given_up_is_no_end(call: str) -> None:
    """`asyncio.timeout` around a receive: the connection stays usable, and the message that comes later is not lost."""
    websocket, wire, peer = open_websocket()
    receive = getattr(websocket, call)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await (anext(receive()) if call in ITERATORS else receive())
    assert (wire.open, is_waiting(wire.pending)) == (True, False)
    peer.feed(text_frame("a"))
    assert await websocket.receive_text() == "a"


async def test_websocket_below_a_layer_says_the_same_of_the_end() -> None:
    """There is one conversation, however many layers it is seen through."""
    websocket, wire, _ = open_websocket()
    below = layered(websocket)
    await websocket.close()
    for line in (below._line, websocket._line):
        assert "It is closed" in str(line.not_open())
    for send in (below.send_text("x"), below.send_bytes(b"x"), below.send_json("x"), below.receive_text()):
        with pytest.raises(WebSocketRuntimeError, match="It is closed"):
            await send
    assert wire.sent == 0


# --- What an application adds ----------------------------------------------------------------------------------------


async def test_websocket_alone_never_drains_and_expires_only_by_name() -> None:
    """Nobody looks after it; the moment is kept all the same."""
    websocket, _ = connected()
    assert (websocket.draining, websocket.expires_at) == (False, None)
    websocket.expires_at = 12.5
    assert websocket.expires_at == 12.5


async def test_websocket_of_an_application_knows_whether_that_drains() -> None:
    """And a moment in the past ends it with 4401 at the next look, which comes at once."""
    websocket, wire, peer = open_websocket()
    watch = Watch()
    watch.enter(wire, websocket.scope)
    before = websocket.draining
    watch.draining = True
    assert (before, websocket.draining) == (False, True)
    websocket.expires_at = 0.0
    with pytest.raises(WebSocketDisconnect) as caught:
        await asyncio.wait_for(websocket.receive_text(), PATIENCE)
    assert (caught.value.code, peer.closes, websocket._wire.ended_by) == (
        4401,
        [(4401, "credentials expired")],
        "limit",
    )
    watch.leave(wire)
    assert wire.ender is not None
    await wire.ender


async def test_accept_answers_with_the_subprotocol_that_was_agreed_on() -> None:
    """Something before the handler chose one; a handler that names another one wins."""
    for given, answered in ((None, "bearer"), ("chat", "chat")):
        websocket, peer = fresh(CONNECT)
        websocket.scope["subprotocols"] = ["bearer", "chat"]
        websocket._wire.agreed_subprotocol = "bearer"
        await websocket.accept(given)
        assert [message["subprotocol"] for message in peer.sent] == [answered]


# --- Typed sending ---------------------------------------------------------------------------------------------------


async def test_send_text_bytes_and_json_send_one_payload_each() -> None:
    """One message with one payload key; JSON is compact and keeps text as it is."""
    websocket, peer = connected()
    await websocket.send_text("é")
    await websocket.send_bytes(b"\xff")
    await websocket.send_json({"é": [1, None]})
    await websocket.send_json({"é": [1, None]}, mode="binary")
    assert peer.sent == [
        {"type": "websocket.send", "text": "é"},
        {"type": "websocket.send", "bytes": b"\xff"},
        {"type": "websocket.send", "text": '{"é":[1,null]}'},
        {"type": "websocket.send", "bytes": '{"é":[1,null]}'.encode()},
    ]


async def test_send_json_runs_the_encoders() -> None:
    """What the `json` module cannot write goes through `lilya.encoders`."""
    websocket, peer = connected()
    await websocket.send_json({"id": uuid.UUID(int=1)})
    assert peer.sent[0]["text"] == '{"id":"00000000-0000-0000-0000-000000000001"}'


@pytest.mark.parametrize("mode", ["text", "binary"])
@pytest.mark.parametrize(
    ("value", "error"), [(float("nan"), ValueError), (float("inf"), ValueError), (object(), TypeError)]
)
async def test_send_json_of_what_has_no_form_sends_nothing(mode: str, value: Any, error: type[Exception]) -> None:
    """NaN, infinities and values without an encoder are refused at the call."""
    websocket, peer = connected()
    with pytest.raises(error):
        await websocket.send_json(value, mode)
    assert (peer.sent, websocket.application_state) == ([], CONNECTED)


@pytest.mark.parametrize(("call", "value"), SENDERS)
async def test_send_before_accept_is_a_mistake(call: str, value: Any) -> None:
    """Nothing is sent, and the text says what is missing."""
    websocket, peer = fresh(CONNECT)
    with pytest.raises(WebSocketRuntimeError, match='Need to call "accept" first'):
        await getattr(websocket, call)(value)
    assert peer.sent == []


@pytest.mark.parametrize(("call", "value"), SENDERS)
async def test_send_after_our_own_close_is_a_mistake(call: str, value: Any) -> None:
    """Nothing is sent after the close."""
    websocket, peer = connected()
    await websocket.close()
    with pytest.raises(WebSocketRuntimeError, match=r'It is closed: a "close" message has been sent') as caught:
        await getattr(websocket, call)(value)
    assert not isinstance(caught.value, WebSocketDisconnect)
    assert peer.sent == [CLOSED]


@pytest.mark.parametrize(("call", "value"), SENDERS)
async def test_send_after_the_client_left_is_a_disconnect(call: str, value: Any) -> None:
    """A late send carries the client's code, and nothing reaches the server."""
    websocket, peer = connected(disconnect(4001, "bye"))
    await websocket.receive()
    with pytest.raises(WebSocketDisconnected) as caught:
        await getattr(websocket, call)(value)
    assert (caught.value.code, caught.value.reason, peer.sent) == (4001, "bye", [])


@pytest.mark.parametrize(("call", "value"), SENDERS)
async def test_send_to_a_vanished_client_is_1006(call: str, value: Any) -> None:
    """The server's `OSError` becomes `WebSocketDisconnect(1006)`; both sides are over, and later sends say so."""
    websocket, peer = connected()
    peer.gone = True
    with pytest.raises(WebSocketDisconnect) as first:
        await getattr(websocket, call)(value)
    assert (type(first.value), first.value.code) == (WebSocketDisconnect, 1006)
    assert isinstance(first.value.__cause__, OSError)
    assert (websocket.application_state, websocket.client_state, websocket.close_code) == (
        DISCONNECTED,
        DISCONNECTED,
        1006,
    )
    with pytest.raises(WebSocketDisconnected):
        await getattr(websocket, call)(value)


@pytest.mark.parametrize(("call", "value"), [*SENDERS, ("send", {"type": "websocket.send", "text": "x"})])
async def test_send_lets_others_have_their_turn(call: str, value: Any) -> None:
    """A server's `send` need not wait; when a handler only sends, the loop runs something else now and then."""
    websocket, peer = connected()
    turns: list[int] = []
    asyncio.get_running_loop().call_soon(lambda: turns.append(len(peer.sent)))
    for _ in range(int(BREATH) + 1):
        await getattr(websocket, call)(value)
    assert turns == [BREATH]


# --- close -----------------------------------------------------------------------------------------------------------


async def test_close_sends_code_and_reason() -> None:
    """1000 and an empty reason by default; what was said is known afterwards."""
    cases: list[tuple[tuple[Any, ...], int, str]] = [
        ((), 1000, ""),
        ((4001,), 4001, ""),
        ((1008, "why"), 1008, "why"),
    ]
    for arguments, code, reason in cases:
        websocket, peer = connected()
        assert (websocket.closed, websocket.close_code, websocket.close_reason) == (False, None, "")
        await websocket.close(*arguments)
        assert peer.sent == [{"type": "websocket.close", "code": code, "reason": reason}]
        assert (websocket.closed, websocket.close_code, websocket.close_reason) == (True, code, reason)
        assert (websocket.client_state, websocket.application_state) == (CONNECTED, DISCONNECTED)


async def test_close_before_accept_needs_no_connect() -> None:
    """The handshake is refused with whatever code, also before anything was received."""
    for messages in ((), (CONNECT,)):
        websocket, peer = fresh(*messages)
        await websocket.close(code=403)
        assert peer.sent == [{"type": "websocket.close", "code": 403, "reason": ""}]
        assert websocket.application_state is DISCONNECTED


async def test_close_twice_is_a_mistake() -> None:
    """The first one's code stays."""
    websocket, peer = connected()
    await websocket.close(4001)
    with pytest.raises(WebSocketRuntimeError, match='Cannot call "send" once a close message has been sent'):
        await websocket.close(4002)
    assert (peer.kinds, websocket.close_code) == (["close"], 4001)


async def test_close_after_the_client_left_is_silent() -> None:
    """Nothing is sent, nothing is raised, and the client's code stays."""
    websocket, peer = connected(disconnect(4001))
    await websocket.receive()
    await websocket.close()
    assert (peer.sent, websocket.close_code) == ([], 4001)


async def test_close_is_silent_when_the_server_finds_nobody() -> None:
    """The client vanished and only this close notices: a close that comes too late is no mistake."""
    websocket, peer = connected()
    peer.gone = True
    await websocket.close(4000)
    assert (websocket.closed, peer.sent) == (True, [])
    with pytest.raises(WebSocketRuntimeError):
        await websocket.close()


async def test_close_asks_a_server_for_legal_frames_only() -> None:
    """An HTTP status becomes 4000 more, a long reason is cut between characters."""
    websocket, peer = connected()
    await websocket.close(404, "é" * 100)
    assert peer.sent == [{"type": "websocket.close", "code": 4404, "reason": "é" * 61}]


async def test_websocket_close_app_sends_one_close() -> None:
    """`WebSocketClose` is an ASGI application with a code and a reason."""
    peer = Peer()
    app = WebSocketClose(1008, "why")
    await app(websocket_scope(), peer.receive, peer.send)
    assert peer.sent == [{"type": "websocket.close", "code": 1008, "reason": "why"}]
    assert (app.code, app.reason) == (1008, "why")
    assert (WebSocketClose().code, WebSocketClose().reason) == (1000, "")


# --- Cleanups --------------------------------------------------------------------------------------------------------


async def test_cleanups_run_in_order_at_close() -> None:
    """Sync and async callables, and callables that return an awaitable, in the order in which they were added."""
    websocket, _ = connected()
    done: list[str] = []

    async def later(name: str) -> None:
        await asyncio.sleep(0)
        done.append(name)

    async def second() -> None:
        await later("second")

    websocket.add_cleanup(lambda: done.append("first"))
    websocket.add_cleanup(second)
    websocket.add_cleanup(lambda: later("third"))
    await websocket.close()
    assert done == ["first", "second", "third"]


async def test_cleanups_run_once() -> None:
    """They are forgotten when they have run; one that is added later runs at the next occasion."""
    websocket, _ = connected(disconnect())
    done: list[str] = []
    websocket.add_cleanup(lambda: done.append("first"))
    await websocket.receive()
    await websocket.close()
    websocket.add_cleanup(lambda: done.append("late"))
    await websocket.run_cleanups()
    await websocket.run_cleanups()
    assert done == ["first", "late"]


async def test_cleanups_all_run_before_the_first_error_is_raised() -> None:
    """One that fails does not keep the others from running."""
    websocket, peer = connected()
    done: list[str] = []

    def fail(why: str) -> Callable[[], None]:
        def cleanup() -> None:
            raise ValueError(why)

        return cleanup

    websocket.add_cleanup(fail("one"))
    websocket.add_cleanup(lambda: done.append("ran"))
    websocket.add_cleanup(fail("two"))
    with pytest.raises(ValueError, match="one"):
        await websocket.close()
    assert (done, peer.sent) == (["ran"], [CLOSED])


# --- The helpers of the base class -----------------------------------------------------------------------------------


async def test_raise_for_disconnect_looks_at_a_raw_message() -> None:
    """A disconnect is raised and noted, any other message is let through."""
    websocket, _ = connected()
    websocket.raise_for_disconnect(text_frame("x"))
    with pytest.raises(WebSocketDisconnect) as caught:
        websocket.raise_for_disconnect(disconnect(4001, "bye"))
    assert (caught.value.code, websocket.client_state) == (4001, DISCONNECTED)


async def test_raise_for_connection_state_wants_an_open_connection() -> None:
    """Silent while messages may flow, otherwise the error that a receive would raise."""
    websocket, _ = connected(disconnect())
    await websocket.raise_for_connection_state()
    await websocket.receive()
    with pytest.raises(WebSocketDisconnected):
        await websocket.raise_for_connection_state()


def test_states_can_be_assigned() -> None:
    """Users set them in tests; what depends on them follows."""
    websocket, _ = fresh()
    websocket.client_state = CONNECTED
    websocket.application_state = CONNECTED
    opened = websocket.closed
    websocket.application_state = DISCONNECTED
    assert (opened, websocket.closed) == (False, True)


# --- Denial responses ------------------------------------------------------------------------------------------------


async def test_denial_needs_the_extension() -> None:
    """Without it nothing is sent, and `close()` still works."""
    lacking: list[Any] = [{}, None, {"other": {}}]
    scopes: list[Scope] = [{**websocket_scope(), "extensions": given} for given in lacking]
    for scope in [*scopes, {key: value for key, value in websocket_scope().items() if key != "extensions"}]:
        websocket, peer = fresh(CONNECT, scope=scope)
        with pytest.raises(RuntimeError) as caught:
            await websocket.send_denial_response(PlainText("no", status_code=401))
        assert str(caught.value) == "The server doesn't support the Websocket Denial Response extension."
        assert (peer.sent, websocket.application_state) == ([], CONNECTING)
        await websocket.close()
        assert peer.sent == [CLOSED]


async def test_denial_sends_a_plain_response() -> None:
    """Start and body with the prefix, then the application's side is over; anything afterwards is a mistake."""
    websocket, peer = fresh(CONNECT)
    await websocket.send_denial_response(PlainText("no", status_code=401, headers={"X-Why": "because"}))
    start, body = peer.sent
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 401)
    assert (b"x-why", b"because") in start["headers"]
    assert (body["type"], body["body"], body.get("more_body", False)) == ("websocket.http.response.body", b"no", False)
    assert websocket.application_state is DISCONNECTED
    for call in (websocket.close, websocket.accept):
        with pytest.raises(WebSocketRuntimeError, match="once a close message has been sent"):
            await call()


async def test_denial_sends_a_streaming_response() -> None:
    """Every body message has the prefix; the connect message is not taken for a disconnect."""

    async def parts() -> AsyncIterator[str]:
        for part in ("n", "o"):
            await asyncio.sleep(0)
            yield part

    done: list[str] = []
    websocket, peer = fresh(CONNECT)
    await websocket.send_denial_response(
        StreamingResponse(parts(), status_code=403, background=BackgroundTask(done.append, "background"))
    )
    assert {message["type"] for message in peer.sent[1:]} == {"websocket.http.response.body"}
    assert b"".join(message["body"] for message in peer.sent[1:]) == b"no"
    assert (peer.sent[0]["status"], websocket.application_state, done) == (403, DISCONNECTED, ["background"])


async def test_denial_sends_a_file(tmp_path: Path) -> None:
    """A file, however long, is a body in messages with the prefix."""
    file = tmp_path / "no.txt"
    file.write_bytes(b"n" * 300_000)
    websocket, peer = fresh(CONNECT)
    await websocket.send_denial_response(FileResponse(file, status_code=403))
    assert {message["type"] for message in peer.sent[1:]} == {"websocket.http.response.body"}
    assert b"".join(message["body"] for message in peer.sent[1:]) == b"n" * 300_000
    assert peer.sent[-1].get("more_body", False) is False
    assert websocket.application_state is DISCONNECTED


async def test_denial_after_connect_was_received() -> None:
    """A handler that looked at the connect message itself may deny."""
    websocket, peer = fresh(CONNECT)
    await websocket.receive()
    await websocket.send_denial_response(PlainText("no", status_code=401))
    assert peer.kinds == ["http.response.start", "http.response.body"]


async def test_denial_after_accept_is_a_mistake() -> None:
    """Nothing of the response is sent."""
    websocket, peer = connected()
    with pytest.raises(WebSocketRuntimeError, match=r"but got 'websocket\.http\.response\.start'"):
        await websocket.send_denial_response(PlainText("no"))
    assert peer.sent == []


async def test_denial_of_a_client_that_left_is_a_disconnect() -> None:
    """There is nobody to deny anything to."""
    websocket, peer = fresh(disconnect(1006))
    with pytest.raises(WebSocketDisconnect):
        await websocket.send_denial_response(PlainText("no"))
    assert peer.sent == []


async def test_denial_expects_a_body_after_its_start() -> None:
    """In the middle of a denial only its body may be sent; the text names what came."""
    websocket, _ = fresh(CONNECT)
    await websocket.send({"type": "websocket.http.response.start", "status": 401, "headers": []})
    assert websocket.application_state is RESPONSE
    with pytest.raises(WebSocketRuntimeError) as caught:
        await websocket.close()
    assert str(caught.value) == "Expected ASGI message \"websocket.http.response.body\", but got 'websocket.close'."


# --- A layer between -------------------------------------------------------------------------------------------------


async def test_websocket_talks_through_the_callables_it_was_given() -> None:
    """Inside an application a layer may wrap `receive` and `send`: every method goes through it, checked once."""
    outer, peer = fresh(CONNECT, text_frame("a"), bytes_frame(b"b"), disconnect())
    seen: list[str] = []

    async def receive() -> Message:
        message = await outer.receive()
        seen.append(message["type"])
        return message

    async def send(message: Message) -> None:
        seen.append(message["type"])
        await outer.send(message)

    inner = WebSocket({**outer.scope, "lilya.wire": outer._wire}, receive, send)
    await inner.accept()
    assert await inner.receive_text() == "a"
    assert await inner.receive_bytes() == b"b"
    await inner.send_text("x")
    await inner.send_bytes(b"y")
    await inner.send_json(1)
    assert [text async for text in inner.iter_text()] == []
    await inner.close()
    assert seen == [
        "websocket.connect",
        "websocket.accept",
        "websocket.receive",
        "websocket.receive",
        "websocket.send",
        "websocket.send",
        "websocket.send",
        "websocket.disconnect",
        "websocket.close",
    ]
    assert peer.kinds == ["accept", "send", "send", "send"]
    assert outer.closed


@pytest.mark.parametrize(
    ("call", "value"), [("accept", None), ("send_text", "x"), ("send_bytes", b"x"), ("send_json", 1), ("close", 1000)]
)
async def test_websocket_passes_on_an_os_error_of_a_layer(call: str, value: Any) -> None:
    """Below a layer the server's `OSError` has been translated already; one of the layer's own is its fault."""
    outer, peer = fresh(CONNECT)
    await outer.receive()
    if call != "accept":
        await outer.accept()
        peer.sent.clear()

    async def send(message: Message) -> None:
        raise TimeoutError("a database")

    with pytest.raises(TimeoutError):
        await getattr(WebSocket({**outer.scope, WIRE: outer._wire}, outer.receive, send), call)(value)
    assert (outer.closed, peer.sent) == (False, [])


@pytest.mark.parametrize("moment", ["1700000000", math.nan, math.inf, b"x"])
def test_expires_at_refuses_what_is_no_moment(moment: Any) -> None:
    """At the call, where the mistake is."""
    websocket, _ = connected()
    with pytest.raises(TypeError, match="give seconds since the epoch"):
        websocket.expires_at = moment
    assert websocket.expires_at is None


async def test_accept_refuses_a_conversation_that_begins_in_the_middle() -> None:
    """The server's first message is out of order."""
    peer = Peer(text_frame("x"))
    websocket = WebSocket(websocket_scope(), peer.receive, peer.send)
    with pytest.raises(WebSocketRuntimeError, match=r"websocket\.receive"):
        await websocket.accept()


@pytest.mark.parametrize("headers", [[("a", "b")], {"x": 1}, {"x": "\N{SNOWMAN}"}, [(b"a",)], [1]])
async def test_accept_refuses_headers_of_other_types(headers: Any) -> None:
    """The message says what to give, and shows no value."""
    peer = Peer(CONNECT)
    websocket = WebSocket(websocket_scope(), peer.receive, peer.send)
    with pytest.raises(TypeError, match="pairs of bytes"):
        await websocket.accept(headers=headers)
    await websocket.accept(headers=[(b"x", b"y")])
    assert peer.sent[0]["headers"] == [(b"x", b"y")]
