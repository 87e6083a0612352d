"""
The connection contract on real servers: every row of its table "Endings", on every server and on the test client.

Each row is one path of `tests.contract.apps`, what the client does there, and what comes of it at both ends and in the
log. Where a server cannot keep a row, `DEVIATIONS` says what it does instead.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.contract.apps import application
from tests.contract.visits import InProcess, Outcome, RawTalk, Talk, faults, in_process, visit
from tests.support.rawsocket import CLOSE, CONTINUATION, PING, PONG, TEXT, RawSocket, frame_bytes
from tests.support.servers import SERVERS, RunningProcess, run_server

pytestmark = pytest.mark.timeout(60)  # the start of a server may take long on a busy machine

APP = "tests.contract.apps:app"


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[RunningProcess]:
    """Each server in turn, in a process of its own; none of them may have a traceback to show at the end."""
    with run_server(request.param, APP) as running:
        yield running
    # uvicorn's default protocol reports every invalid UTF-8 itself, as an ERROR with a traceback.
    assert "Traceback" not in re.sub(r"Invalid UTF-8 sequence.*?UnicodeDecodeError", "", running.log(), flags=re.DOTALL)


@pytest.fixture(scope="module")
def test_client() -> Iterator[InProcess]:
    """The same application behind the test client."""
    with in_process(application) as running:
        yield running


@dataclass(frozen=True)
class Row:
    """
    A row of the contract.

    Attributes:
        path: What the client connects to.
        outcome: What comes of it.
        talk: What the client does once it is accepted.
        raw: The same for what no client library does; the test client has nothing like it.
        reads: False if the client leaves at the end of it.
        subprotocols: What the client offers.
        by: Who has ended an open connection, as the log says it.
        why: How the log begins to say why, in its last line; "" where a close needs no explanation.
    """

    path: str
    outcome: Outcome
    talk: Talk | None = None
    raw: RawTalk | None = None
    reads: bool = True
    subprotocols: Sequence[str] = ()
    by: str = "application"
    why: str = ""


def sending(*messages: str | bytes) -> Talk:
    """A client that sends these messages, all at once: a server may hang up after the first one."""
    return lambda client: client.send(*messages)


def closing(code: int | None = 4000, reason: str = "bye") -> Talk:
    """A client that closes."""
    return lambda client: client.close(code, reason)


def writing(*pieces: bytes) -> RawTalk:
    """A client that writes these bytes."""
    return lambda client: client.write(b"".join(pieces))


def leaving(leave: Callable[[RawSocket], None], first: bytes = b"") -> RawTalk:
    """A client that vanishes, perhaps in the middle of something."""

    def talk(client: RawSocket) -> None:
        client.write(first)
        leave(client)

    return talk


def refused(status: int, body: bytes = b"", *, faults: tuple[str, ...] = (), got: tuple[str, ...] = ()) -> Outcome:
    """The handshake was answered with this."""
    return Outcome(status, body, close=None, faults=faults, got=got)


def closed(code: int, reason: str = "", **more: Any) -> Outcome:
    """The server closed with this."""
    return Outcome(close=(code, reason), **more)


def boom(where: str = "raising", error: str = "BoomError") -> dict[str, Any]:
    """One ERROR in the whole process, whose traceback ends in this function of the user's."""
    return {"faults": (f"ERROR lilya: {error} in {where}",)}


def left(code: int = 4000, reason: str = "bye") -> str:
    """What a handler gets when the client closes."""
    return f"WebSocketDisconnect {code} {reason}".rstrip()


GONE = left(1006, "")
HALF = frame_bytes(TEXT, b"half a message")[:9]
NOT_FOUND = b"The resource cannot be found."
ERROR: dict[str, Any] = {"by": "error", "why": "BoomError"}
CLIENT: dict[str, Any] = {"by": "client"}

ROWS: dict[str, Row] = {
    # The handler ends the connection.
    "return": Row("/return", closed(1000)),
    "return after a message": Row("/return-after-message", closed(1000, messages=("done",))),
    "return with messages unread": Row(
        "/return-while-client-talks", closed(1000, messages=("a",)), sending("a", "b", "c")
    ),
    "return with many messages unread": Row(
        "/return-while-client-talks", closed(1000, messages=("a",)), sending("a", *["b"] * 50)
    ),
    "return when more messages wait than the server takes": Row(
        "/return-after-computing", closed(1000, messages=("computing",)), sending(*["x"] * 50)
    ),
    "return without an answer": Row("/silent", refused(404, NOT_FOUND, faults=("ERROR lilya: None",)), why=""),
    "no route": Row("/nowhere", refused(404, NOT_FOUND), why="no WebSocket route"),
    "no route, but one that is near": Row("/retrun", refused(404, NOT_FOUND), why="no WebSocket route; near: /return"),
    "no route, with a line break": Row("/a%0AERROR%20b", refused(404, NOT_FOUND), why="no WebSocket route"),
    "close": Row("/close/4321/40", closed(4321, ("x" + "é世😀" * 40)[:40])),
    "close with a reason that is too long": Row("/close/3000/90", closed(3000, "é世😀" * 13 + "é世")),
    "close(500)": Row("/close/500/0", closed(1011)),
    "close(404)": Row("/close/404/0", closed(4404)),
    "close(1005)": Row("/close/1005/0", closed(1000)),
    "close(1006)": Row("/close/1006/0", closed(1011)),
    "close twice": Row("/close-twice", closed(4001, "first", got=("WebSocketRuntimeError",))),
    "close(1000) before accept": Row("/close-before-accept/1000", refused(403), why="close() before accept()"),
    "close(4000) before accept": Row("/close-before-accept/4000", refused(403), why="close() before accept()"),
    "close(500) before accept": Row("/close-before-accept/500", refused(403), why="close() before accept()"),
    "denial of text": Row("/deny/text", refused(401, b"not you"), why="denied by the handler"),
    "denial of JSON": Row("/deny/json", refused(401, b'{"not":"you"}'), why="denied by the handler"),
    "denial of a stream": Row("/deny/stream", refused(401, b"not you"), why="denied by the handler"),
    "denial of a file": Row("/deny/file", refused(401, b"not you"), why="denied by the handler"),
    # Exceptions that are answers.
    "HTTPException before accept": Row("/raise/before/http-429", refused(429, b"slow down"), why="slow down"),
    "HTTPException 5xx before accept": Row(
        "/raise/before/http-503", refused(503, b"database gone"), why="database gone"
    ),
    "HTTPException with a response before accept": Row(
        "/raise/before/http-response", refused(402, b'{"pay":1}'), why="Payment Required"
    ),
    "HTTPException 4xx after accept": Row("/raise/after/http-401", closed(4401, "who?"), why="who?"),
    "HTTPException 5xx after accept": Row(
        "/raise/after/http-503", closed(1011, faults=("WARNING lilya: None",)), why="database gone"
    ),
    "WebSocketException before accept": Row("/raise/before/websocket-4321", refused(403), why="4321: why"),
    "WebSocketException after accept": Row("/raise/after/websocket-4321", closed(4321, "why"), why="4321: why"),
    "WebSocketException with a code that cannot be sent": Row(
        "/raise/after/websocket-1005", closed(1000, "é" * 61), why=f"1005: {'é' * 100}"
    ),
    "WebSocketException with a line break": Row(
        "/raise/after/websocket-forging", closed(4321, "why\nERROR forged"), why=r"4321: why\nERROR forged"
    ),
    # The same for a page in a browser, which sees the code of a close, but nothing of a denial.
    "HTTPException 401 that accepts first": Row("/accept-first/http-401", closed(4401, "who?"), why="who?"),
    "HTTPException 403 that accepts first": Row("/accept-first/http-403", closed(4403, "not you"), why="not you"),
    "HTTPException 503 that accepts first": Row(
        "/accept-first/http-503", closed(1011, faults=("WARNING lilya: None",)), why="database gone"
    ),
    "WebSocketException that accepts first": Row("/accept-first/websocket-4321", closed(4321, "why"), why="4321: why"),
    "HTTPException that accepts first one who offers subprotocols": Row(
        "/accept-first/http-401",
        closed(4401, "who?", subprotocol="soap"),
        subprotocols=["soap", "chat"],
        why="who?",
    ),
    "WebSocketException that accepts first one who offers subprotocols": Row(
        "/accept-first/websocket-4321",
        closed(4321, "why", subprotocol="soap"),
        subprotocols=["soap", "chat"],
        why="4321: why",
    ),
    # Exceptions that an exception handler of the user takes.
    "exception handler returns Close before accept": Row("/handled/before/close", refused(403), why="HandledError"),
    "exception handler returns Close after accept": Row(
        "/handled/after/close", closed(4100, "handled"), why="HandledError"
    ),
    "exception handler returns a response before accept": Row(
        "/handled/before/response", refused(418, b"handled"), why="HandledError"
    ),
    "exception handler returns a response after accept": Row(
        "/handled/after/response", closed(4418), why="HandledError"
    ),
    # Exceptions that are faults.
    "other exception before accept": Row("/raise/before/boom", refused(500, **boom()), why="BoomError"),
    "other exception after accept": Row("/raise/after/boom", closed(1011, **boom()), **ERROR),
    "other exception after our own close": Row(
        "/raise-after-close", closed(4000, "done", **boom("raise_after_close")), why="BoomError"
    ),
    "other exception in the body of a denial": Row("/raise-in-denial", refused(500, **boom("half")), why="BoomError"),
    "other exception in a task of the handler": Row(
        "/raise-in-task", closed(1011, **boom("__aexit__", "ExceptionGroup")), by="error", why="ExceptionGroup"
    ),
    "other exception in an exception handler before accept": Row(
        "/handled/before/boom", refused(500, **boom("handle")), why="BoomError"
    ),
    "other exception in an exception handler after accept": Row(
        "/handled/after/boom", closed(1011, **boom("handle")), **ERROR
    ),
    "other exception in a mounted application before accept": Row(
        "/child/before", refused(500, **boom()), why="BoomError"
    ),
    "other exception in a mounted application after accept": Row("/child/after", closed(1011, **boom()), **ERROR),
    "other exception in a mounted foreign application before accept": Row(
        "/starlette/before", refused(500, **boom("mounted_starlette")), why="BoomError"
    ),
    "other exception in a mounted foreign application after accept": Row(
        "/starlette/after", closed(1011, **boom("mounted_starlette")), **ERROR
    ),
    "other exception in a dependency's clean-up before accept": Row(
        "/depending/deny", refused(403, **boom("fails_at_its_end")), why="BoomError"
    ),
    "other exception in a dependency's clean-up after a return": Row(
        "/depending/return", closed(1011, **boom("fails_at_its_end")), **ERROR
    ),
    "other exception in a dependency's clean-up after a close": Row(
        "/depending/close", closed(4000, "done", **boom("fails_at_its_end")), why="BoomError"
    ),
    "other exception in a dependency's clean-up after the client left": Row(
        "/depending/receive", closed(4000, "bye", **boom("fails_at_its_end")), closing(), by="client", why="BoomError"
    ),
    "other exception in a clean-up after a return": Row(
        "/raise-in-clean-up/return", closed(1000, **boom("fail")), why="BoomError"
    ),
    "other exception in a clean-up after the client left": Row(
        "/raise-in-clean-up/receive", closed(4000, "bye", **boom("fail")), closing(), **CLIENT
    ),
    "cancellation of the handler's own making before accept": Row(
        "/cancelled-child/before", refused(500, **boom("wait", "CancelledError")), why="CancelledError"
    ),
    "cancellation of the handler's own making after accept": Row(
        "/cancelled-child/after", closed(1011, **boom("wait", "CancelledError")), by="error", why="CancelledError"
    ),
    "mistake in the configuration": Row(
        "/raise/after/misconfigured",
        closed(1011, **boom(error="ImproperlyConfigured")),
        by="error",
        why="ImproperlyConfigured",
    ),
    "subprotocol that was not offered": Row(
        "/wrong-subprotocol", refused(500, **boom("accept", "ValueError")), subprotocols=["soap"], why="ValueError"
    ),
    "denial with 101": Row("/deny-status/101", refused(500, **boom("checked", "ValueError")), why="ValueError"),
    "denial with 700": Row("/deny-status/700", refused(500, **boom("checked", "ValueError")), why="ValueError"),
    "send before accept": Row(
        "/send-before-accept",
        refused(500, **boom("unsent", "WebSocketRuntimeError")),
        why="WebSocketRuntimeError",
    ),
    # The client ends it.
    "client closes": Row("/receive", closed(4000, "bye", got=(left(),)), closing(), **CLIENT),
    "client closes without a code": Row("/receive", closed(1005, got=(left(1005, ""),)), closing(None, ""), **CLIENT),
    "client closes with the longest reason": Row(
        "/receive", closed(4999, "é" * 61, got=(left(4999, "é" * 61),)), closing(4999, "é" * 61), **CLIENT
    ),
    "client closes with a line break": Row(
        "/receive", closed(3000, "a\nb", got=(left(3000, "a\nb"),)), closing(3000, "a\nb"), **CLIENT
    ),
    **{
        f"client closes, and the handler goes on with {call}": Row(
            f"/receive-again/{call}",
            closed(4000, "bye", got=(left(), *["WebSocketDisconnected 4000 bye"] * 3)),
            closing(),
            **CLIENT,
        )
        for call in ("receive_text", "receive_bytes", "receive_json")
    },
    "client closes a task group": Row("/receive-in-task", closed(4000, "bye"), closing(), **CLIENT),
    **{
        f"client closes an iteration by {call}": Row(
            f"/iterate/{call}", closed(1001, "", got=("end of iteration 1001",)), closing(1001, ""), **CLIENT
        )
        for call in ("itself", "iter_text", "iter_bytes", "iter_json")
    },
    "client closes after a message": Row(
        "/receive",
        closed(1000, got=(left(1000, ""),)),
        raw=writing(frame_bytes(TEXT, b"hello"), frame_bytes(CLOSE, b"\x03\xe8")),
        **CLIENT,
    ),
    "close after the client left": Row(
        "/close-after-leaving", closed(4000, "bye", got=("WebSocketRuntimeError",)), closing(), **CLIENT
    ),
    "client vanishes by FIN": Row("/receive", closed(1006, got=(GONE,)), raw=leaving(RawSocket.fin), **CLIENT),
    "client vanishes by RST": Row(
        "/receive", Outcome(close=None, got=(GONE,)), raw=leaving(RawSocket.rst), reads=False, **CLIENT
    ),
    "client vanishes by FIN in the middle of a frame": Row(
        "/receive", closed(1006, got=(GONE,)), raw=leaving(RawSocket.fin, HALF), **CLIENT
    ),
    "client vanishes by RST in the middle of a frame": Row(
        "/receive", Outcome(close=None, got=(GONE,)), raw=leaving(RawSocket.rst, HALF), reads=False, **CLIENT
    ),
    # The client says what it should not.
    "bytes for receive_text": Row(
        "/read/text", closed(1003, got=("UnexpectedMessage",)), sending(b"x"), why="Expected a "
    ),
    "text for receive_bytes": Row(
        "/read/bytes", closed(1003, got=("UnexpectedMessage",)), sending("x"), why="Expected a "
    ),
    "bytes for receive_json": Row(
        "/read/json", closed(1003, got=("UnexpectedMessage",)), sending(b"1"), why="Expected a "
    ),
    "malformed JSON": Row(
        "/read/json", closed(1007, got=("MalformedMessage",)), sending("{"), why="Expecting property name"
    ),
    "NaN for JSON": Row("/read/json", closed(1007, got=("MalformedMessage",)), sending("NaN"), why="NaN is no"),
    "nesting beyond all measure": Row(
        "/read/json", closed(1007, got=("MalformedMessage",)), sending("[" * 100_000), why="Nested too deeply"
    ),
    **{
        f"wrong frame for {call}, and the next one": Row(
            f"/read-again/{call}",
            closed(1000, messages=("b",), got=("UnexpectedMessage",)),
            sending("a" if call == "bytes" else b"a", "b"),
        )
        for call in ("text", "bytes", "json")
    },
    "malformed JSON, and the next message": Row(
        "/read-again/json", closed(1000, messages=("b",), got=("MalformedMessage",)), sending("{", "b")
    ),
    "invalid UTF-8": Row(
        "/receive", closed(1007, got=(left(1007, ""),)), raw=writing(frame_bytes(TEXT, b"\xff")), **CLIENT
    ),
    "reserved opcode": Row(
        "/receive", closed(1002, got=(left(1002, ""),)), raw=writing(frame_bytes(3, b"x")), **CLIENT
    ),
    "frame without a mask": Row(
        "/receive", closed(1002, got=(left(1002, ""),)), raw=writing(frame_bytes(TEXT, b"x", masked=False)), **CLIENT
    ),
    "continuation of nothing": Row(
        "/receive", closed(1002, got=(left(1002, ""),)), raw=writing(frame_bytes(CONTINUATION, b"x")), **CLIENT
    ),
    # What is no end at all.
    "message in fragments": Row(
        "/return-while-client-talks",
        closed(1000, messages=("abc",)),
        raw=writing(
            frame_bytes(TEXT, b"a", fin=False),
            frame_bytes(PING, b"?"),
            frame_bytes(CONTINUATION, b"b", fin=False),
            frame_bytes(CONTINUATION, b"c"),
        ),
    ),
    "pong that nobody asked for": Row(
        "/return-while-client-talks",
        closed(1000, messages=("a",)),
        raw=writing(frame_bytes(PONG, b"!"), frame_bytes(TEXT, b"a")),
    ),
}

GOT_1005 = {"got": (left(1005, ""),)}
GOT_1006 = {"got": (GONE,)}
NO_CLOSE = {"close": (1006, "")}

VANISHING = [name for name in ROWS if name.startswith("client vanishes")]
BROKEN = ["invalid UTF-8", "reserved opcode", "frame without a mask", "continuation of nothing"]

# What servers do instead (the contract's last table, "What servers do on their own"): in general, …


def on_hypercorn(row: Row, outcome: Outcome) -> Outcome:
    """ "Disconnect code given to the app: always 1006"."""
    return replace(outcome, got=codes_only(outcome.got, 1006)) if row.by == "client" else outcome


def on_granian(row: Row, outcome: Outcome) -> Outcome:
    """ "Disconnect code given to the app: code only"."""
    return replace(outcome, got=codes_only(outcome.got)) if row.by == "client" else outcome


def on_daphne(row: Row, outcome: Outcome) -> Outcome:
    """
    "Denial response extension: no" and "reason: dropped".

    It can close with 1000 and 3000-4999 only, and raises for all other codes: 4000 + HTTP status stands for them. It
    answers every close frame with 1000, and tells the application the code only.
    """
    if outcome.status != 101:
        return replace(outcome, status=403, body=b"")
    if row.by == "client":
        return replace(outcome, close=(1000, ""), got=codes_only(outcome.got))
    code, _ = outcome.close or (1006, "")
    return replace(outcome, close=({1003: 4415, 1007: 4400, 1011: 4500}.get(code, code), ""))


def codes_only(got: tuple[str, ...], code: int | None = None) -> tuple[str, ...]:
    """What a handler gets, without the reasons, and with this code instead of the client's."""
    return tuple(re.sub(r" (\d{4}).*", rf" {code or chr(92) + '1'}", one, flags=re.DOTALL) for one in got)


RULES: dict[str, Callable[[Row, Outcome], Outcome]] = {
    "hypercorn": on_hypercorn,
    "granian": on_granian,
    "daphne": on_daphne,
}

# … and in particular.
DEVIATIONS: dict[tuple[str, str], dict[str, Any]] = {
    # "disconnect code given to the app: 1005 for FIN/RST": the same as for a close frame without a code.
    **{(server, name): GOT_1005 for server in ("uvicorn", "uvicorn-wsproto", "granian") for name in VANISHING},
    # "end protocol errors without a close frame".
    **{(server, name): NO_CLOSE for server in ("uvicorn-wsproto", "hypercorn") for name in BROKEN},
    **{("daphne", name): NO_CLOSE | GOT_1006 for name in BROKEN},
    # A protocol error is answered with an empty close frame. It reads on only when asked to, so that the client of the
    # last one is still heard and answered.
    **{("granian", name): {"close": (1005, ""), **GOT_1005} for name in BROKEN},
    ("granian", "client closes after a message"): {"messages": ("hello",)},
    # A client that is gone sees no close frame, on whatever server.
    ("daphne", "client vanishes by FIN"): NO_CLOSE,
    ("daphne", "client vanishes by FIN in the middle of a frame"): NO_CLOSE,
    ("daphne", "client vanishes by RST"): {"close": None},
    ("daphne", "client vanishes by RST in the middle of a frame"): {"close": None},
    # What needs the extension is a mistake there.
    **{
        ("daphne", name): {"got": ("RuntimeError",), "why": "close() before accept()"}
        for name in ROWS
        if name.startswith("denial of")
    },
    **{
        ("daphne", name): boom("send_denial_response", "RuntimeError") | {"why": "RuntimeError"}
        for name in ("denial with 101", "denial with 700", "other exception in the body of a denial")
    },
}


def row_on(server: str, name: str) -> Row:
    """What is expected of a row on a server."""
    row = ROWS[name]
    outcome = RULES[server](row, row.outcome) if server in RULES else row.outcome
    deviation = {**DEVIATIONS.get((server, name), {})}
    why = deviation.pop("why", row.why)
    return replace(row, why=why, outcome=replace(outcome, **deviation))


@pytest.mark.parametrize("name", ROWS)
def test_contract_is_kept(server: RunningProcess, request: pytest.FixtureRequest, name: str) -> None:
    """What the client sees, what the handler gets, and what is logged."""
    row = row_on(request.node.callspec.params["server"], name)
    outcome = visit(server, row.path, row.talk, raw=row.raw, reads=row.reads, subprotocols=row.subprotocols)
    if name in BROKEN:
        outcome = without_reasons(outcome)
    assert outcome == row.outcome
    check_log(row, outcome)


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.raw is None])
def test_contract_is_kept_by_the_test_client(test_client: InProcess, name: str) -> None:
    """The same without a server."""
    row = ROWS[name]
    outcome = visit(test_client, row.path, row.talk, subprotocols=row.subprotocols)
    assert outcome == row.outcome
    check_log(row, outcome)


def check_log(row: Row, outcome: Outcome) -> None:
    """Assert one line when it opens and one when it ends, or one that it was refused; a fault names the connection."""
    path = re.escape(row.path.replace("%0A", r"\n").replace("%20", " "))
    lines = [one["message"] for one in outcome.log if one["logger"] == "lilya.websocket"]
    if outcome.status == 101:
        opened, ended = lines
        found = re.fullmatch(rf"open {path} (route=/\S+ )id=([0-9a-f]{{16}})", opened)
        assert found is not None, opened
        code = outcome.close[0] if row.by != "client" and outcome.close is not None else r"\d+"
        counts = rf"code={code} by={row.by} seconds=\d+\.\d{{3}} in=\d+ out=\d+"
        why = f": {re.escape(row.why)}.*" if row.why else ""
        assert re.fullmatch(rf"close {path} {re.escape(found[1])}{counts} id={found[2]}{why}", ended), ended
    else:
        (line,) = lines
        found = re.fullmatch(rf"{outcome.status} {path}: ({re.escape(row.why)}.*) id=([0-9a-f]{{16}})", line)
        assert found is not None, line
    faults = [one["message"] for one in outcome.log if one["level"] == "ERROR"]
    assert all(row.path in fault and f"[{found[2]}]" in fault for fault in faults)
    assert not any("token=" in one["message"] or "\n" in one["message"] for one in outcome.log)


def without_reasons(outcome: Outcome) -> Outcome:
    """The same without what a server says about a protocol error, in words of its own."""
    code, _ = outcome.close or (1006, "")
    return replace(outcome, close=(code, ""), got=codes_only(outcome.got))


@pytest.mark.slow
@pytest.mark.parametrize("server", ["uvicorn", "uvicorn-wsproto"], indirect=True)
def test_contract_has_a_legal_close_frame_for_everything(server: RunningProcess) -> None:
    """Every code from 0 to 5000, with reasons of every length up to far beyond what fits, in all widths of UTF-8."""
    mark = server.reports.mark()
    for first in range(0, 5001, 100):
        codes = range(first, min(first + 100, 5001))
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(RawSocket(server)) for _ in codes]
            for code, client in zip(codes, clients, strict=True):
                client.ask(f"/close/{code}/{code % 400}?case=code-{code}")
            for code, client in zip(codes, clients, strict=True):
                assert client.read_answer().status == 101
                frame = client.read_frame()
                assert frame is not None
                assert (frame.opcode, frame.fin) == (CLOSE, True), code
                assert len(frame.payload) <= 125
                sent, reason = frame.close  # fails unless it is UTF-8
                asked = ("x" * (code % 4) + "é世😀" * (code % 400))[: code % 400]
                assert sent == code if is_legal(code) else is_legal(sent)
                assert asked.startswith(reason)
                assert len(reason.encode()) >= min(len(asked.encode()), 120)
    server.reports.wait_for("ended", "code-5000")
    assert faults(server.reports.since(mark)) == ()


def is_legal(code: int) -> bool:
    """Whether a close frame may hold this code (RFC 6455 §7.4 and the IANA registry)."""
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999
