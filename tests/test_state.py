"""The tables of the WebSocket conversation, cell by cell: as they are written, and as a `WebSocket` obeys them."""

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lilya._state import (
    AFTER_RECEIVING,
    AFTER_SENDING,
    RECEIVING,
    SENDING,
    cut_reason,
    is_sendable,
    out_of_order,
    sendable_code,
)
from lilya.enums import WebSocketState
from lilya.exceptions import WebSocketDisconnected, WebSocketRuntimeError
from lilya.types import Message
from lilya.websockets import WebSocket
from tests.contract.peer import Peer, websocket_scope

CONNECTING, CONNECTED, DISCONNECTED, RESPONSE = WebSocketState

# One message of every type that an application or a server could think of; the last ones belong to other protocols.
TO_SEND: dict[str, Message] = {
    "websocket.accept": {"type": "websocket.accept", "subprotocol": None, "headers": []},
    "websocket.send": {"type": "websocket.send", "text": "hello"},
    "websocket.close": {"type": "websocket.close", "code": 1000, "reason": ""},
    "websocket.http.response.start": {"type": "websocket.http.response.start", "status": 401, "headers": []},
    "websocket.http.response.body": {"type": "websocket.http.response.body", "body": b"no", "more_body": False},
    "websocket.receive": {"type": "websocket.receive", "text": "hello"},
    "http.response.start": {"type": "http.response.start", "status": 200, "headers": []},
    "nonsense": {"type": "nonsense"},
}
TO_RECEIVE: dict[str, Message] = {
    "websocket.connect": {"type": "websocket.connect"},
    "websocket.receive": {"type": "websocket.receive", "text": "hello"},
    "websocket.disconnect": {"type": "websocket.disconnect", "code": 1001, "reason": "bye"},
    "websocket.send": {"type": "websocket.send", "text": "hello"},
    "nonsense": {"type": "nonsense"},
}

# The same conversation written down a second time, from the ASGI specification: what each state allows.
MAY_SEND: dict[WebSocketState, dict[str, WebSocketState]] = {
    CONNECTING: {
        "websocket.accept": CONNECTED,
        "websocket.close": DISCONNECTED,
        "websocket.http.response.start": RESPONSE,
    },
    CONNECTED: {"websocket.send": CONNECTED, "websocket.close": DISCONNECTED},
    DISCONNECTED: {},
    RESPONSE: {"websocket.http.response.body": DISCONNECTED},
}
MAY_RECEIVE: dict[WebSocketState, dict[str, WebSocketState]] = {
    CONNECTING: {"websocket.connect": CONNECTED, "websocket.disconnect": DISCONNECTED},
    CONNECTED: {"websocket.receive": CONNECTED, "websocket.disconnect": DISCONNECTED},
    DISCONNECTED: {},
    RESPONSE: {},
}


def standing(client: WebSocketState, application: WebSocketState, *messages: Message) -> tuple[WebSocket, Peer]:
    """A WebSocket whose two sides stand where the test wants them."""
    peer = Peer(*messages)
    websocket = WebSocket(websocket_scope(), peer.receive, peer.send)
    websocket.client_state, websocket.application_state = client, application
    return websocket, peer


# --- The tables ------------------------------------------------------------------------------------------------------


def test_sending_has_exactly_the_legal_cells() -> None:
    """Every cell of the table is in the specification, and none is missing."""
    assert SENDING == {(state, kind): after for state, row in MAY_SEND.items() for kind, after in row.items()}


def test_receiving_has_exactly_the_legal_cells() -> None:
    """Every cell of the table is in the specification, and none is missing."""
    assert RECEIVING == {(state, kind): after for state, row in MAY_RECEIVE.items() for kind, after in row.items()}


def test_tables_are_the_same_when_looked_up_by_state() -> None:
    """What is used for each message says what the tables say."""
    assert [AFTER_SENDING[state] for state in WebSocketState] == [MAY_SEND[state] for state in WebSocketState]
    assert [AFTER_RECEIVING[state] for state in WebSocketState] == [MAY_RECEIVE[state] for state in WebSocketState]


# --- A WebSocket obeys them ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("state", "kind"), list(itertools.product(WebSocketState, TO_SEND)))
async def test_send_obeys_its_cell(state: WebSocketState, kind: str) -> None:
    """A legal message is sent as it is and leads to the state in its cell; another one changes and sends nothing."""
    websocket, peer = standing(CONNECTED, state)
    after = MAY_SEND[state].get(kind)
    if after is None:
        with pytest.raises(WebSocketRuntimeError):
            await websocket.send(TO_SEND[kind])
        assert (peer.sent, websocket.application_state) == ([], state)
    else:
        await websocket.send(TO_SEND[kind])
        assert (peer.sent, websocket.application_state) == ([TO_SEND[kind]], after)
    assert websocket.client_state is CONNECTED


@pytest.mark.parametrize(("state", "kind"), list(itertools.product(WebSocketState, TO_RECEIVE)))
async def test_receive_obeys_its_cell(state: WebSocketState, kind: str) -> None:
    """A legal message is handed over as it is and leads to the state in its cell; another one changes nothing."""
    websocket, _ = standing(state, CONNECTED, TO_RECEIVE[kind])
    after = MAY_RECEIVE[state].get(kind)
    if after is None:
        with pytest.raises(WebSocketRuntimeError):
            await websocket.receive()
        assert websocket.client_state is state
    else:
        assert await websocket.receive() == TO_RECEIVE[kind]
        assert websocket.client_state is after
    assert websocket.application_state is CONNECTED


@pytest.mark.parametrize("kind", sorted(set(TO_SEND) - {"websocket.close"}))
@pytest.mark.parametrize("state", WebSocketState)
async def test_send_after_the_client_left_is_a_disconnect(state: WebSocketState, kind: str) -> None:
    """Whatever is sent to nobody raises the disconnect, and is not passed to the server."""
    websocket, peer = standing(DISCONNECTED, state)
    with pytest.raises(WebSocketDisconnected, match="Cannot send: the client has left"):
        await websocket.send(TO_SEND[kind])
    assert peer.sent == []


@pytest.mark.parametrize("state", WebSocketState)
async def test_close_after_the_client_left_is_a_silent_no_op(state: WebSocketState) -> None:
    """In every state the first close after the client left says nothing, and a second one is a mistake."""
    websocket, peer = standing(DISCONNECTED, state)
    await websocket.close()
    assert (peer.sent, websocket.application_state) == ([], DISCONNECTED)
    with pytest.raises(WebSocketRuntimeError, match="once a close message has been sent"):
        await websocket.close()


async def test_denial_body_stays_open_while_more_is_to_come() -> None:
    """RESPONSE lasts until a body message without `more_body`, whichever way that is said."""
    websocket, peer = standing(CONNECTED, RESPONSE)
    more: Message = {"type": "websocket.http.response.body", "body": b"no", "more_body": True}
    last: Message = {"type": "websocket.http.response.body", "body": b"pe"}
    await websocket.send(more)
    assert websocket.application_state is RESPONSE
    await websocket.send(last)
    assert websocket.application_state is DISCONNECTED
    assert peer.sent == [more, last]


# --- What the errors say ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "state", "expected"),
    [
        ("send", CONNECTING, '"websocket.accept" or "websocket.close" or "websocket.http.response.start"'),
        ("send", CONNECTED, '"websocket.send" or "websocket.close"'),
        ("send", RESPONSE, '"websocket.http.response.body"'),
        ("receive", CONNECTING, '"websocket.connect" or "websocket.disconnect"'),
        ("receive", CONNECTED, '"websocket.receive" or "websocket.disconnect"'),
    ],
)
def test_out_of_order_names_what_is_expected_and_what_came(verb: str, state: WebSocketState, expected: str) -> None:
    """The text says which messages the state allows, and which one came instead."""
    error = out_of_order(verb, state, "x")
    assert type(error) is WebSocketRuntimeError
    assert str(error) == f"Expected ASGI message {expected}, but got 'x'."


def test_out_of_order_says_that_it_is_over() -> None:
    """After the end nothing is expected any more; these are the texts that users know."""
    assert str(out_of_order("send", DISCONNECTED, "x")) == 'Cannot call "send" once a close message has been sent.'
    assert (
        str(out_of_order("receive", DISCONNECTED, "x"))
        == 'Cannot call "receive" once a disconnect message has been received.'
    )


# --- Close codes and reasons -----------------------------------------------------------------------------------------

LEGAL_CODES = {*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)}


def test_is_sendable_for_every_code() -> None:
    """Exactly the codes that an endpoint may put into a close frame."""
    assert {code for code in range(-1, 70_000) if is_sendable(code)} == LEGAL_CODES


def test_sendable_code_is_always_sendable() -> None:
    """Whatever number comes in, a legal one goes out, and a legal one stays."""
    for code in range(-10, 70_000):
        assert sendable_code(code) in LEGAL_CODES
        if code in LEGAL_CODES:
            assert sendable_code(code) == code


@pytest.mark.parametrize(
    ("asked", "sent"),
    [(1005, 1000), (1006, 1011), (1015, 1011), (1004, 1011), (400, 4400), (404, 4404), (499, 4499), (500, 1011)],
)
def test_sendable_code_says_what_was_meant(asked: int, sent: int) -> None:
    """ "No status" is a plain 1000, an HTTP status of the client's fault 4000 more, and the rest our own error."""
    assert sendable_code(asked) == sent


@given(st.text())
@example("é" * 100)
@example("a" + "é" * 62)
@example("😀" * 40)
@example("\ud800" * 200)
def test_cut_reason_is_the_longest_beginning_that_fits(reason: str) -> None:
    """At most 123 bytes, a beginning of the text, and one more character would have been too many."""
    whole = reason.encode("utf-8", "replace").decode()
    cut = cut_reason(reason)
    assert len(cut.encode()) <= 123
    assert whole.startswith(cut)
    if cut != whole:
        assert len(whole[: len(cut) + 1].encode()) > 123
