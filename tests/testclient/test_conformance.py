"""What an app may send: the order as a table, the fields message by message."""

from http import HTTPStatus
from typing import Any

import pytest

from lilya.testclient._conformance import HTTP, LIFESPAN, WEBSOCKET, OrderedRules
from lilya.testclient._errors import ConformanceError

ACCEPT = {"type": "websocket.accept"}
SEND = {"type": "websocket.send", "text": ""}
CLOSE = {"type": "websocket.close"}
DENY = {"type": "websocket.http.response.start", "status": 403}
DENY_PART = {"type": "websocket.http.response.body", "more_body": True}
DENY_END = {"type": "websocket.http.response.body"}
START = {"type": "http.response.start", "status": 200}
PART = {"type": "http.response.body", "more_body": True}
END = {"type": "http.response.body"}


def check(rules: OrderedRules, *messages: Any) -> None:
    """Judge a whole conversation."""
    for message in messages:
        rules.check(message)


@pytest.mark.parametrize(
    ("rules", "messages"),
    [
        (OrderedRules(WEBSOCKET), [ACCEPT, SEND, SEND, CLOSE]),
        (OrderedRules(WEBSOCKET), [CLOSE]),
        (OrderedRules(WEBSOCKET), [DENY, DENY_PART, DENY_END]),
        (OrderedRules(HTTP), [START, PART, PART, END]),
        (OrderedRules(LIFESPAN), [{"type": "lifespan.startup.complete"}, {"type": "lifespan.shutdown.complete"}]),
        (OrderedRules(LIFESPAN), [{"type": "lifespan.startup.complete"}, {"type": "lifespan.shutdown.failed"}]),
        (OrderedRules(LIFESPAN), [{"type": "lifespan.startup.failed", "message": "why"}]),
    ],
)
def test_rules_allow_every_order_of_the_specification(rules: OrderedRules, messages: list[Any]) -> None:
    """From the first message to the last."""
    check(rules, *messages)


@pytest.mark.parametrize(
    ("rules", "messages", "text"),
    [
        (
            OrderedRules(WEBSOCKET),
            [SEND],
            "sent 'websocket.send' before accept; allowed there: 'websocket.accept', 'web",
        ),
        (OrderedRules(WEBSOCKET), [ACCEPT, ACCEPT], "after accept; allowed there: 'websocket.send', 'websocket.close'"),
        (OrderedRules(WEBSOCKET), [ACCEPT, DENY], "'websocket.http.response.start' after accept"),
        (OrderedRules(WEBSOCKET), [ACCEPT, CLOSE, SEND], "'websocket.send' after close; allowed there: nothing"),
        (OrderedRules(WEBSOCKET), [CLOSE, CLOSE], "'websocket.close' after close"),
        (
            OrderedRules(WEBSOCKET),
            [DENY, ACCEPT],
            "within a denial response; allowed there: 'websocket.http.response.body'",
        ),
        (OrderedRules(WEBSOCKET), [DENY, DENY_END, DENY_END], "after the last body; allowed there: nothing"),
        (OrderedRules(WEBSOCKET), [START], "'http.response.start' before accept"),
        (OrderedRules(WEBSOCKET), [{"type": "websocket.shout"}], "'websocket.shout' before accept"),
        (OrderedRules(HTTP), [END], "before the response; allowed there: 'http.response.start'"),
        (OrderedRules(HTTP), [START, START], "within the response; allowed there: 'http.response.body'"),
        (OrderedRules(HTTP), [START, END, END], "after the last body; allowed there: nothing"),
        (OrderedRules(LIFESPAN), [{"type": "lifespan.shutdown.complete"}], "before startup"),
    ],
)
def test_rules_refuse_what_is_out_of_order(rules: OrderedRules, messages: list[Any], text: str) -> None:
    """The error names the message, the place and what would be allowed there."""
    check(rules, *messages[:-1])
    with pytest.raises(ConformanceError, match=text):
        rules.check(messages[-1])


@pytest.mark.parametrize("message", ["websocket.accept", None, {}, {"type": b"websocket.accept"}])
def test_rules_refuse_what_is_no_message(message: Any) -> None:
    """A message is a mapping with its type as a str."""
    with pytest.raises(ConformanceError, match="a message is a dict with a str under 'type'"):
        OrderedRules(WEBSOCKET).check(message)


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({**ACCEPT, "subprotocol": b"a"}, "'subprotocol' b'a'; expected a str or None"),
        ({**ACCEPT, "headers": 1}, "'headers' 1; expected pairs of bytes"),
        ({**ACCEPT, "headers": {"x-a": "1"}}, "header 'x-a'; expected a pair of bytes"),
        ({**ACCEPT, "headers": [(b"x-a", "1")]}, "expected a pair of bytes"),
        ({**ACCEPT, "headers": [(b"x-a", b"1", b"2")]}, "expected a pair of bytes"),
        ({**ACCEPT, "headers": [(b"x a", b"1")]}, "would break the HTTP head"),
        ({**ACCEPT, "headers": [(b"x-a", b"1\r\nx-b: 2")]}, "would break the HTTP head"),
        ({**ACCEPT, "headers": [(b"Sec-WebSocket-Protocol", b"a")]}, "use 'subprotocol'"),
        ({**DENY, "status": 600}, "status 600; HTTP knows 100–599"),
        ({**DENY, "status": True}, "'status' True; expected an int"),
        ({"type": "websocket.http.response.start"}, "'status' None; expected an int"),
        ({**DENY, "headers": [("x-a", "1")]}, "expected a pair of bytes"),
        ({**CLOSE, "code": "1000"}, "'code' '1000'; expected an int"),
        ({**CLOSE, "reason": b"why"}, "'reason' b'why'; expected a str or None"),
    ],
)
def test_rules_refuse_malformed_answers_to_a_handshake(message: dict[str, Any], text: str) -> None:
    """The error names the field, its value and what was expected."""
    with pytest.raises(ConformanceError, match=text):
        OrderedRules(WEBSOCKET).check(message)


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"type": "websocket.send"}, "one of 'text' and 'bytes', not none"),
        ({**SEND, "bytes": b""}, "one of 'text' and 'bytes', not both"),
        ({"type": "websocket.send", "text": b""}, "'text' b''; expected a str or None"),
        ({"type": "websocket.send", "bytes": bytearray()}, "expected bytes or None"),
        ({**CLOSE, "code": 403}, "code 403; may be sent: 1000–1003, 1007–1014, 3000–4999"),
        ({**CLOSE, "code": 1006}, "code 1006"),
        ({**CLOSE, "reason": "é" * 62}, "reason of 124 bytes; 123 fit a close frame"),
    ],
)
def test_rules_refuse_malformed_messages_after_accept(message: dict[str, Any], text: str) -> None:
    """Payloads and close codes that a server could not send."""
    with pytest.raises(ConformanceError, match=text):
        check(OrderedRules(WEBSOCKET), ACCEPT, message)


@pytest.mark.parametrize("code", [1000, 1003, 1007, 1014, 3000, 4999])
def test_rules_allow_every_close_code_that_may_be_sent(code: int) -> None:
    """The bounds of the legal ranges; absent payloads and reasons may be None."""
    check(
        OrderedRules(WEBSOCKET),
        {**ACCEPT, "subprotocol": None, "headers": None},
        {"type": "websocket.send", "text": None, "bytes": b""},
        {**CLOSE, "code": code, "reason": None},
    )


def test_rules_allow_any_close_code_before_accept() -> None:
    """It becomes HTTP 403 whatever it was, and the reason is never sent."""
    OrderedRules(WEBSOCKET).check({**CLOSE, "code": 403, "reason": "x" * 200})


def test_rules_allow_headers_from_any_iterable() -> None:
    """One that can be read only once is still there for whoever reads the message next."""
    message = {**START, "status": HTTPStatus.OK, "headers": iter([[b"X-A", b"1"]])}
    OrderedRules(HTTP).check(message)
    assert message["headers"] == [[b"X-A", b"1"]]


@pytest.mark.parametrize(
    ("message", "text"),
    [({**END, "body": "text"}, "'body' 'text'; expected bytes"), ({**END, "more_body": 1}, "expected a bool")],
)
def test_rules_refuse_malformed_bodies(message: dict[str, Any], text: str) -> None:
    """Of responses and of denials alike."""
    with pytest.raises(ConformanceError, match=text):
        check(OrderedRules(HTTP), START, message)
    with pytest.raises(ConformanceError, match=text):
        check(OrderedRules(WEBSOCKET), DENY, {**message, "type": "websocket.http.response.body"})


def test_rules_refuse_malformed_failures() -> None:
    """The message of a failed startup is text."""
    with pytest.raises(ConformanceError, match="'message' b'why'; expected a str"):
        OrderedRules(LIFESPAN).check({"type": "lifespan.startup.failed", "message": b"why"})
