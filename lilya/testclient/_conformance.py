"""
Whether an app keeps to ASGI in what it sends: order by a table, then the fields of each message.

    ASGI spec "HTTP & WebSocket ASGI Message Format" 2.4, "Lifespan Protocol" 2.0 and the extension "WebSocket Denial
    Response". Close codes: RFC 6455 §7.4. Header names and values: RFC 9110 §5.1, §5.5.

Upper-case header names are let pass, although ASGI asks for lower case: every server takes them.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from lilya.testclient._errors import ConformanceError
from lilya.types import Message

__all__ = ["HTTP", "LIFESPAN", "WEBSOCKET", "OrderedRules"]

Table: TypeAlias = Mapping[tuple[str, str], str]

WEBSOCKET: Table = {
    ("before accept", "websocket.accept"): "after accept",
    ("before accept", "websocket.close"): "after close",
    ("before accept", "websocket.http.response.start"): "within a denial response",
    ("within a denial response", "websocket.http.response.body"): "within a denial response",
    ("after accept", "websocket.send"): "after accept",
    ("after accept", "websocket.close"): "after close",
}
HTTP: Table = {
    ("before the response", "http.response.start"): "within the response",
    ("within the response", "http.response.body"): "within the response",
}
LIFESPAN: Table = {
    ("before startup", "lifespan.startup.complete"): "after startup",
    ("before startup", "lifespan.startup.failed"): "after a failed startup",
    ("after startup", "lifespan.shutdown.complete"): "after shutdown",
    ("after startup", "lifespan.shutdown.failed"): "after shutdown",
}

_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_MAX_REASON_BYTES = 123


class OrderedRules:
    """Walks through a table `(state, message type) -> the state it leads to`, from its first state on."""

    __slots__ = ("_state", "_table")

    def __init__(self, table: Table) -> None:
        self._table = table
        self._state, _ = next(iter(table))

    def check(self, message: Message) -> None:
        """Judge the next message and move on."""
        if not isinstance(message, Mapping) or not isinstance(message.get("type"), str):
            raise ConformanceError(f"The application sent {message!r}: a message is a dict with a str under 'type'")
        kind = message["type"]
        following = self._table.get((self._state, kind))
        if following is None:
            allowed = [repr(kind) for state, kind in self._table if state == self._state]
            raise ConformanceError(
                f"The application sent {kind!r} {self._state}; allowed there: {', '.join(allowed) or 'nothing'}"
            )
        _FIELDS[kind](message, self._state)
        is_last = kind.endswith("response.body") and not message.get("more_body", False)
        self._state = "after the last body" if is_last else following


def _check_accept(message: Message, state: str) -> None:
    _require(message, "subprotocol", str | None, "a str or None", None)
    for name, _ in _headers_of(message):
        if name.lower() == b"sec-websocket-protocol":
            raise ConformanceError("'websocket.accept' has a header 'sec-websocket-protocol': use 'subprotocol'")


def _check_send(message: Message, state: str) -> None:
    text = _require(message, "text", str | None, "a str or None", None)
    content = _require(message, "bytes", bytes | None, "bytes or None", None)
    if (text is None) == (content is None):
        found = "none" if text is None else "both"
        raise ConformanceError(f"'websocket.send' carries one of 'text' and 'bytes', not {found}")


def _check_close(message: Message, state: str) -> None:
    code = _require(message, "code", int, "an int", 1000)
    reason = _require(message, "reason", str | None, "a str or None", None) or ""
    if state == "before accept":
        # It becomes HTTP 403 whatever the code, so any is taken.
        return
    if not (1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999):
        raise ConformanceError(f"'websocket.close' has code {code}; may be sent: 1000–1003, 1007–1014, 3000–4999")
    if len(reason.encode()) > _MAX_REASON_BYTES:
        raise ConformanceError(f"'websocket.close' has a reason of {len(reason.encode())} bytes; 123 fit a close frame")


def _check_start(message: Message, state: str) -> None:
    status = _require(message, "status", int, "an int", None)
    if not 100 <= status <= 599:
        raise ConformanceError(f"{message['type']!r} has status {status}; HTTP knows 100–599")
    _headers_of(message)


def _check_body(message: Message, state: str) -> None:
    _require(message, "body", bytes, "bytes", b"")
    _require(message, "more_body", bool, "a bool", False)


def _check_nothing(message: Message, state: str) -> None:
    """The message has no fields."""


def _check_failure(message: Message, state: str) -> None:
    _require(message, "message", str, "a str", "")


_FIELDS: Mapping[str, Callable[[Message, str], None]] = {
    "websocket.accept": _check_accept,
    "websocket.send": _check_send,
    "websocket.close": _check_close,
    "websocket.http.response.start": _check_start,
    "websocket.http.response.body": _check_body,
    "http.response.start": _check_start,
    "http.response.body": _check_body,
    "lifespan.startup.complete": _check_nothing,
    "lifespan.startup.failed": _check_failure,
    "lifespan.shutdown.complete": _check_nothing,
    "lifespan.shutdown.failed": _check_failure,
}


def _require(message: Message, key: str, kind: Any, expected: str, default: object) -> Any:
    value = message.get(key, default)
    # True is an int to Python, but neither a status nor a close code.
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ConformanceError(f"{message['type']!r} has {key!r} {value!r}; expected {expected}")
    return value


def _headers_of(message: Message) -> list[tuple[bytes, bytes]]:
    headers: Any = message.get("headers") or ()
    if not isinstance(headers, Iterable):
        raise ConformanceError(f"{message['type']!r} has 'headers' {headers!r}; expected pairs of bytes")
    # Any iterable will do, also one that can be read only once: it is read here, so a list takes its place.
    pairs: list[Any] = list(headers)
    message["headers"] = pairs
    for pair in pairs:
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not all(isinstance(part, bytes) for part in pair):
            raise ConformanceError(f"{message['type']!r} has the header {pair!r}; expected a pair of bytes")
        name, value = pair
        if not _NAME.fullmatch(name) or any(byte in value for byte in b"\r\n\0"):
            raise ConformanceError(f"{message['type']!r} has the header {pair!r}, which would break the HTTP head")
    return pairs
