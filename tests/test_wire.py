"""The server's end of a connection: what it remembers, and that it is one for all who talk on it."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lilya._wire import BREATH, WIRE, ClientGone, Exchange, Wire, wire_of
from lilya.enums import WebSocketState
from lilya.exceptions import WebSocketDisconnect, WebSocketDisconnected, WebSocketException, WebSocketRuntimeError
from lilya.types import Message, Scope
from lilya.websockets import WebSocket
from tests.contract.peer import CONNECT, Peer, bytes_frame, disconnect, run_now, text_frame, websocket_scope

CONNECTING, CONNECTED, DISCONNECTED, RESPONSE = WebSocketState
ACCEPT: Message = {"type": "websocket.accept", "subprotocol": None, "headers": []}


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
    assert (wire.open, wire.answered, wire.left, wire.close_code) == (False, True, True, 1006)


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
    assert (wire.close_code, wire.close_reason, wire.left) == (4000, "enough", False)

    wire, _ = await accepted(disconnect(1001, "bye"))
    await wire.receive()
    await wire.send(close(4000, "enough"))
    assert (wire.close_code, wire.close_reason, wire.left) == (1001, "bye", True)


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
    assert wire.left
    with pytest.raises(WebSocketDisconnected) as again:
        await wire.send({"type": "websocket.send", "text": "x"})
    assert again.value.code == 1006


async def test_wire_lost_after_our_own_close_keeps_our_code() -> None:
    """Losing the connection while closing is not the client's doing."""
    wire, peer = await accepted()
    peer.gone = True
    with pytest.raises(WebSocketDisconnect):
        await wire.send(close(4000))
    assert (wire.close_code, wire.left) == (4000, False)


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
            run_now(getattr(self.websocket, call)(*args))
        except WebSocketDisconnect:
            assert self.states != (CONNECTED, CONNECTED)
        except DOCUMENTED:
            assert (len(self.peer.sent), self.websocket.application_state) == (sent, application)

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
    for _ in range(BREATH + 1):
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
