"""
The ASGI WebSocket conversation as two tables.

A WebSocket has two sides. The *application* accepts, sends and closes, or denies the handshake with an HTTP
response; the *client* connects, sends and leaves. Each side has its own state, and a message is legal only where a
row below says so:

- `SENDING[(application_state, message_type)]` is the state of the application's side after it sent the message;
- `RECEIVING[(client_state, message_type)]` is the state of the client's side after it was received.

Whatever has no row is an error of the application or of the server, found before anything reaches the wire. The one
thing a table cannot say: a denial response stays in RESPONSE until a body message without `more_body`.

Sources: ASGI spec, "WebSocket" and the extension "WebSocket Denial Response"; RFC 6455 §7.4 for close codes and
§5.5 for the 125 bytes of a control frame.
"""

from __future__ import annotations

from operator import index

from lilya.enums import WebSocketState
from lilya.exceptions import WebSocketRuntimeError

__all__ = [
    "AFTER_RECEIVING",
    "AFTER_SENDING",
    "RECEIVING",
    "SENDING",
    "cut_reason",
    "is_sendable",
    "out_of_order",
    "private_code",
    "sendable_code",
]

CONNECTING = WebSocketState.CONNECTING
CONNECTED = WebSocketState.CONNECTED
DISCONNECTED = WebSocketState.DISCONNECTED
RESPONSE = WebSocketState.RESPONSE

SENDING: dict[tuple[WebSocketState, str], WebSocketState] = {
    (CONNECTING, "websocket.accept"): CONNECTED,
    (CONNECTING, "websocket.close"): DISCONNECTED,
    (CONNECTING, "websocket.http.response.start"): RESPONSE,
    (CONNECTED, "websocket.send"): CONNECTED,
    (CONNECTED, "websocket.close"): DISCONNECTED,
    (RESPONSE, "websocket.http.response.body"): DISCONNECTED,
}

RECEIVING: dict[tuple[WebSocketState, str], WebSocketState] = {
    (CONNECTING, "websocket.connect"): CONNECTED,
    (CONNECTING, "websocket.disconnect"): DISCONNECTED,
    (CONNECTED, "websocket.receive"): CONNECTED,
    (CONNECTED, "websocket.disconnect"): DISCONNECTED,
}

PRIVATE_CODES = {1001: 1000, 1002: 4400, 1003: 4415, 1007: 4400, 1008: 4403, 1009: 4413, 1012: 4503, 1013: 4503}

# RFC 6455 §5.5: 125 bytes for a control frame, two of them for the code.
MAX_REASON_BYTES = 123


def _by_state(table: dict[tuple[WebSocketState, str], WebSocketState]) -> tuple[dict[str, WebSocketState], ...]:
    return tuple({kind: after for (at, kind), after in table.items() if at is state} for state in WebSocketState)


# The same tables as they are looked up for every message: `AFTER_SENDING[state].get(message_type)`.
AFTER_SENDING = _by_state(SENDING)
AFTER_RECEIVING = _by_state(RECEIVING)


def out_of_order(verb: str, state: WebSocketState, got: str) -> WebSocketRuntimeError:
    """The error for a message that has no row in the table of `verb`, "send" or "receive"."""
    sending = verb == "send"
    if state is DISCONNECTED:
        end, past = ("close", "sent") if sending else ("disconnect", "received")
        return WebSocketRuntimeError(f'Cannot call "{verb}" once a {end} message has been {past}.')
    legal = AFTER_SENDING[state] if sending else AFTER_RECEIVING[state]
    expected = " or ".join(f'"{kind}"' for kind in legal)
    return WebSocketRuntimeError(f"Expected ASGI message {expected}, but got {got!r}.")


def is_sendable(code: int) -> bool:
    """Whether an endpoint may put this close code into a close frame (RFC 6455 §7.4, IANA registry)."""
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999


def sendable_code(code: int) -> int:
    """
    The close code to send when the application asked for `code`.

    A code that may be sent is kept. 1005 says "no status", which is a plain 1000; an HTTP error status becomes
    4000 + status (4xx) or 1011 (5xx); whatever else becomes 1011.
    """
    if is_sendable(code):
        return code
    if code == 1005:
        return 1000
    return 4000 + code if 400 <= code <= 499 else 1011


def checked_code(code: object) -> int:
    """
    A close code as a plain integer, which is what every server takes.

    Raises:
        TypeError: It is none.
    """
    try:
        return int(index(code))  # type: ignore[arg-type]  # that is the question
    except TypeError:
        raise TypeError(f"close({code!r}): a close code is an integer, such as 1000 or 4000.") from None


def private_code(code: int) -> int:
    """
    The close code in the range for private use (RFC 6455 §7.4.2) that says the same as a registered one.

    For servers that send no others than 1000 and those, such as daphne: 4000 + the HTTP status with that meaning.
    """
    return code if code == 1000 or code >= 3000 else PRIVATE_CODES.get(code, 4500)


def cut_reason(reason: str) -> str:
    """The longest beginning of `reason` that fits a close frame: 123 bytes of UTF-8, cut between characters."""
    encoded = reason.encode("utf-8", "replace")
    return encoded[:MAX_REASON_BYTES].decode("utf-8", "ignore")
