"""What the log says: a line for each beginning and end, a traceback for each fault, and no secret."""

import logging
import re
import time
from types import SimpleNamespace

import pytest

from lilya._log import (
    log_closed,
    log_opened,
    log_refused,
    path_of,
    report,
    report_unanswered,
    tell_client,
    tell_mistake,
    told,
)
from lilya._wire import Wire
from lilya.exceptions import (
    HTTPException,
    MalformedMessage,
    NotAuthorized,
    NotFound,
    PermissionDenied,
    WebSocketException,
)
from lilya.types import Scope
from tests.contract.peer import CONNECT, Peer, text_frame, websocket_scope


class UnspeakableError(WebSocketException):
    """It cannot be told."""

    def __str__(self) -> str:
        raise ValueError


@pytest.fixture(autouse=True)
def log_everything(caplog: pytest.LogCaptureFixture) -> None:
    """`caplog.records` is the log of one test, from DEBUG upwards."""
    caplog.set_level(logging.DEBUG, "lilya")


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, int, str]]:
    """What was logged: logger, level and text."""
    return [(record.name, record.levelno, record.getMessage()) for record in caplog.records]


def wire_at(path: str = "/x", *, route: str | None = None, cause: BaseException | None = None) -> Wire:
    """A wire whose handshake came just now."""
    peer = Peer(CONNECT, text_frame("a"))
    wire = Wire(peer.receive, peer.send)
    wire.scope = websocket_scope(path, query_string=b"token=secret", headers=[(b"cookie", b"a=secret")])
    wire.began = time.monotonic()
    wire.branch = SimpleNamespace(pattern=SimpleNamespace(template=route)) if route else None
    wire.cause = cause
    return wire


# --- Connections -----------------------------------------------------------------------------------------------------


def test_log_opened_says_where_and_who(caplog: pytest.LogCaptureFixture) -> None:
    """Path, route and the name of the connection; a route that is not known is a dash."""
    known, unknown = wire_at("/rooms/1", route="/rooms/{id}"), wire_at("/a\nb")
    for wire in (known, unknown):
        log_opened(wire)
    assert lines(caplog) == [
        ("lilya.websocket", logging.INFO, f"open /rooms/1 route=/rooms/{{id}} id={known.id}"),
        ("lilya.websocket", logging.INFO, f"open /a\\nb route=- id={unknown.id}"),
    ]


async def test_log_closed_says_how_it_was(caplog: pytest.LogCaptureFixture) -> None:
    """Code, who ended it, seconds, and how many messages went each way."""
    wire = wire_at("/rooms/1", route="/rooms/{id}")
    await wire.receive()
    await wire.send({"type": "websocket.accept"})
    await wire.receive()
    for _ in range(2):
        await wire.send({"type": "websocket.send", "text": "secret"})
    await wire.send({"type": "websocket.close", "code": 4000, "reason": "secret"})
    log_closed(wire, "")
    ((name, level, text),) = lines(caplog)
    assert (name, level) == ("lilya.websocket", logging.INFO)
    pattern = r"close /rooms/1 route=/rooms/{id} code=4000 by=application seconds=\d+\.\d{3} in=1 out=2 id=" + wire.id
    assert re.fullmatch(pattern, text)


@pytest.mark.parametrize(
    ("cause", "ended_by", "level"),
    [
        (None, "application", logging.INFO),
        (WebSocketException(4000), "application", logging.INFO),
        (HTTPException(status_code=404), "application", logging.INFO),
        (HTTPException(status_code=503), "application", logging.WARNING),
        # A status that cannot be sent was reported as a fault, once.
        (HTTPException(status_code=999), "error", logging.INFO),
        (ValueError(), "error", logging.INFO),
    ],
)
def test_log_closed_warns_of_what_the_application_could_not_do(
    caplog: pytest.LogCaptureFixture, cause: BaseException | None, ended_by: str, level: int
) -> None:
    """WARNING for an answer of 5xx, which has no traceback; the line ends with the cause."""
    wire = wire_at(cause=cause)
    wire.ended_by = ended_by
    log_closed(wire, "why")
    ((_, logged, text),) = lines(caplog)
    assert logged == level
    assert text.endswith(f" id={wire.id}: why")


def test_log_refused_says_status_and_cause(caplog: pytest.LogCaptureFixture) -> None:
    """The status that the client got; one that left before got none."""
    refused, left = wire_at("/a\r\nb"), wire_at()
    refused.refused = 404
    log_refused(refused, "no WebSocket route")
    log_refused(left, "the client left")
    assert lines(caplog) == [
        ("lilya.websocket", logging.INFO, f"404 /a\\r\\nb: no WebSocket route id={refused.id}"),
        ("lilya.websocket", logging.INFO, f"left /x: the client left id={left.id}"),
    ]


def test_log_of_connections_can_be_turned_off(caplog: pytest.LogCaptureFixture) -> None:
    """By the level of its logger; a warning still comes through WARNING."""
    caplog.set_level(logging.WARNING, "lilya.websocket")
    wire = wire_at()
    log_opened(wire)
    log_closed(wire, "")
    log_refused(wire, "")
    wire.cause = HTTPException(status_code=503)
    log_closed(wire, "")
    assert [level for _, level, _ in lines(caplog)] == [logging.WARNING]


# --- Faults and mistakes ---------------------------------------------------------------------------------------------


def test_report_logs_a_fault_once(caplog: pytest.LogCaptureFixture) -> None:
    """One ERROR with kind, path, route, connection and traceback; the error's own text is only in the traceback."""
    error = ValueError("secret")
    scope = websocket_scope("/rooms/1", query_string=b"token=secret", route_path_template="/rooms/{id}")
    report(error, scope, "0123")
    text = "websocket /rooms/1 (route /rooms/{id}) [0123] failed: ValueError"
    assert lines(caplog) == [("lilya", logging.ERROR, text)]
    (record,) = caplog.records
    assert record.exc_info is not None
    assert record.exc_info[1] is error


def test_report_of_a_scope_without_a_route(caplog: pytest.LogCaptureFixture) -> None:
    """What is not known is a dash, or empty."""
    report(ValueError(), {"type": "http"})
    assert lines(caplog) == [("lilya", logging.ERROR, "http  (route -) [-] failed: ValueError")]


def test_report_unanswered_names_the_handler(caplog: pytest.LogCaptureFixture) -> None:
    """The text says what is missing, and where to look."""
    scope = websocket_scope("/a\nb", handler=test_report_unanswered_names_the_handler)
    report_unanswered(scope, "0123")
    name = f"{__name__}.test_report_unanswered_names_the_handler"
    text = f"websocket /a\\nb (route -) [0123]: the handler {name} returned without accept() or close()"
    assert lines(caplog) == [("lilya", logging.ERROR, text)]


def test_tell_client_hands_the_error_to_a_test_client() -> None:
    """A test client listens in the scope; anybody else does not."""
    heard: list[BaseException] = []
    error = ValueError()
    tell_client(error, websocket_scope(extensions={"lilya.errors": {"report": heard.append}}))
    tell_client(error, websocket_scope())
    tell_client(error, websocket_scope(extensions=None))
    assert heard == [error]


def test_tell_mistake_is_one_line_of_info(caplog: pytest.LogCaptureFixture) -> None:
    """What the client did wrong is nobody's fault here: no traceback."""
    scope: Scope = {"type": "http", "path": "/x\n", "query_string": b"token=secret"}
    tell_mistake(MalformedMessage.of(ValueError("no\nJSON")), scope)
    ((name, level, text),) = lines(caplog)
    assert (name, level, caplog.records[0].exc_info) == ("lilya", logging.INFO, None)
    assert text.startswith("http /x\\n: ")
    assert "no\\nJSON" in text


# --- What an exception says ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (WebSocketException(4000, "why"), "4000: why"),
        (NotAuthorized(detail="who\n?"), "who\\n?"),
        (PermissionDenied("no", why="the origin is not allowed"), "the origin is not allowed"),
        (NotFound(near="/chat/{room}"), "no WebSocket route; near: /chat/{room}"),
        (NotFound(near=None), "no WebSocket route"),
        (NotFound("no such room"), "no such room"),
        (ValueError("it's\r\nquoted"), "it's\\r\\nquoted"),
        (UnspeakableError(4000), "UnspeakableError"),
    ],
)
def test_told_is_one_line_for_any_exception(error: Exception, text: str) -> None:
    """Line breaks are escaped, and an exception that cannot be told is its type."""
    assert told(error) == text


def test_path_of_is_one_line_without_the_query() -> None:
    """A line break in a path does not begin a line of the log."""
    assert path_of(websocket_scope("/a\r\nb é", query_string=b"token=secret")) == "/a\\r\\nb é"
    assert path_of({"type": "http"}) == ""
