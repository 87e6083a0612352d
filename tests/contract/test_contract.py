"""
The connection contract on real servers: every row of its table "Endings", on every server.

Each row is one path of `tests.contract.apps`, what the client does there, and what comes of it at both ends. Where a
server cannot keep a row, `DEVIATIONS` says what it does instead.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.contract.visits import Outcome, Talk, faults, visit
from tests.support.rawsocket import CLOSE, CONTINUATION, PING, PONG, TEXT, RawSocket, frame_bytes, message_bytes
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


@dataclass(frozen=True)
class Row:
    """
    A row of the contract.

    Attributes:
        path: What the client connects to.
        outcome: What comes of it.
        talk: What the client does once it is accepted.
        reads: False if the client leaves at the end of `talk`.
    """

    path: str
    outcome: Outcome
    talk: Talk | None = None
    reads: bool = True


def sending(*messages: str | bytes) -> Talk:
    """A client that sends these messages, all at once: a server may hang up after the first one."""
    return writing(*(message_bytes(message) for message in messages))


def writing(*pieces: bytes) -> Talk:
    """A client that writes these bytes."""
    return lambda client: client.write(b"".join(pieces))


def closing(code: int | None = 4000, reason: str = "bye") -> Talk:
    """A client that closes."""
    return lambda client: client.close(code, reason)


def leaving(leave: Callable[[RawSocket], None], first: bytes = b"") -> Talk:
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


BOOM = ("ERROR lilya: BoomError",)
GONE = "WebSocketDisconnect 1006"
HALF = frame_bytes(TEXT, b"half a message")[:9]

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
    "return without an answer": Row(
        "/silent", refused(404, b"The resource cannot be found.", faults=("ERROR lilya: None",))
    ),
    "no route": Row("/nowhere", refused(404, b"The resource cannot be found.")),
    "close": Row("/close/4321/40", closed(4321, ("x" + "é世😀" * 40)[:40])),
    "close with a reason that is too long": Row("/close/3000/90", closed(3000, "é世😀" * 13 + "é世")),
    "close(500)": Row("/close/500/0", closed(1011)),
    "close(404)": Row("/close/404/0", closed(4404)),
    "close(1005)": Row("/close/1005/0", closed(1000)),
    "close(1006)": Row("/close/1006/0", closed(1011)),
    "close twice": Row("/close-twice", closed(4001, "first", got=("WebSocketRuntimeError",))),
    "close(1000) before accept": Row("/close-before-accept/1000", refused(403)),
    "close(4000) before accept": Row("/close-before-accept/4000", refused(403)),
    "close(500) before accept": Row("/close-before-accept/500", refused(403)),
    "denial of text": Row("/deny/text", refused(401, b"not you")),
    "denial of JSON": Row("/deny/json", refused(401, b'{"not":"you"}')),
    "denial of a stream": Row("/deny/stream", refused(401, b"not you")),
    "denial of a file": Row("/deny/file", refused(401, b"not you")),
    # Exceptions.
    "HTTPException before accept": Row("/raise/before/http-429", refused(429, b"slow down")),
    "HTTPException 4xx after accept": Row("/raise/after/http-401", closed(4401, "who?")),
    "HTTPException 5xx after accept": Row("/raise/after/http-503", closed(1011, faults=("WARNING lilya: None",))),
    "WebSocketException before accept": Row("/raise/before/websocket-4321", refused(403)),
    "WebSocketException after accept": Row("/raise/after/websocket-4321", closed(4321, "why")),
    "other exception before accept": Row("/raise/before/boom", refused(500, faults=BOOM)),
    "other exception after accept": Row("/raise/after/boom", closed(1011, faults=BOOM)),
    # The client ends it.
    "client closes": Row("/receive", closed(4000, "bye", got=("WebSocketDisconnect 4000 bye",)), closing()),
    "client closes without a code": Row("/receive", closed(1005, got=("WebSocketDisconnect 1005",)), closing(None, "")),
    "client closes, and the handler goes on": Row(
        "/receive-again",
        closed(4000, "bye", got=("WebSocketDisconnect 4000 bye", *["WebSocketDisconnected 4000 bye"] * 2)),
        closing(),
    ),
    "client closes an iteration": Row("/iterate", closed(1001, "", got=("end of iteration 1001",)), closing(1001, "")),
    "client closes after a message": Row(
        "/receive",
        closed(1000, got=("WebSocketDisconnect 1000",)),
        writing(frame_bytes(TEXT, b"hello"), frame_bytes(CLOSE, b"\x03\xe8")),
    ),
    "close after the client left": Row(
        "/close-after-leaving", closed(4000, "bye", got=("WebSocketRuntimeError",)), closing()
    ),
    "client vanishes by FIN": Row("/receive", closed(1006, got=(GONE,)), leaving(RawSocket.fin)),
    "client vanishes by RST": Row("/receive", Outcome(close=None, got=(GONE,)), leaving(RawSocket.rst), reads=False),
    "client vanishes by FIN in the middle of a frame": Row(
        "/receive", closed(1006, got=(GONE,)), leaving(RawSocket.fin, HALF)
    ),
    "client vanishes by RST in the middle of a frame": Row(
        "/receive", Outcome(close=None, got=(GONE,)), leaving(RawSocket.rst, HALF), reads=False
    ),
    # The client says what it should not.
    "bytes for receive_text": Row("/read/text", closed(1003, got=("UnexpectedMessage",)), sending(b"x")),
    "text for receive_bytes": Row("/read/bytes", closed(1003, got=("UnexpectedMessage",)), sending("x")),
    "bytes for receive_json": Row("/read/json", closed(1003, got=("UnexpectedMessage",)), sending(b"1")),
    "malformed JSON": Row("/read/json", closed(1007, got=("MalformedMessage",)), sending("{")),
    "wrong frame, and the next one": Row(
        "/read-again/text", closed(1000, messages=("b",), got=("UnexpectedMessage",)), sending(b"a", "b")
    ),
    "malformed JSON, and the next message": Row(
        "/read-again/json", closed(1000, messages=("b",), got=("MalformedMessage",)), sending("{", "b")
    ),
    "invalid UTF-8": Row(
        "/receive", closed(1007, got=("WebSocketDisconnect 1007",)), writing(frame_bytes(TEXT, b"\xff"))
    ),
    "reserved opcode": Row("/receive", closed(1002, got=("WebSocketDisconnect 1002",)), writing(frame_bytes(3, b"x"))),
    "frame without a mask": Row(
        "/receive", closed(1002, got=("WebSocketDisconnect 1002",)), writing(frame_bytes(TEXT, b"x", masked=False))
    ),
    "continuation of nothing": Row(
        "/receive", closed(1002, got=("WebSocketDisconnect 1002",)), writing(frame_bytes(CONTINUATION, b"x"))
    ),
    # What is no end at all.
    "message in fragments": Row(
        "/return-while-client-talks",
        closed(1000, messages=("abc",)),
        writing(
            frame_bytes(TEXT, b"a", fin=False),
            frame_bytes(PING, b"?"),
            frame_bytes(CONTINUATION, b"b", fin=False),
            frame_bytes(CONTINUATION, b"c"),
        ),
    ),
    "pong that nobody asked for": Row(
        "/return-while-client-talks",
        closed(1000, messages=("a",)),
        writing(frame_bytes(PONG, b"!"), frame_bytes(TEXT, b"a")),
    ),
}

GOT_1005 = {"got": ("WebSocketDisconnect 1005",)}
GOT_1006 = {"got": ("WebSocketDisconnect 1006",)}
NO_CLOSE = {"close": (1006, "")}
PLAIN_403 = {"status": 403, "body": b""}

VANISHING = [name for name in ROWS if name.startswith("client vanishes")]
BROKEN = ["invalid UTF-8", "reserved opcode", "frame without a mask", "continuation of nothing"]
DENYING = [name for name in ROWS if name.startswith("denial of")]

# What servers do instead (the contract's last table, "What servers do on their own").
DEVIATIONS: dict[tuple[str, str], dict[str, Any]] = {
    # "disconnect code given to the app: 1005 for FIN/RST": the same as for a close frame without a code.
    **{(server, name): GOT_1005 for server in ("uvicorn", "uvicorn-wsproto", "granian") for name in VANISHING},
    # "end protocol errors without a close frame"; the application is told the code.
    **{("uvicorn-wsproto", name): NO_CLOSE for name in BROKEN},
    # "disconnect code given to the app: always 1006", and protocol errors end without a close frame.
    **{("hypercorn", name): NO_CLOSE | GOT_1006 for name in BROKEN},
    **{
        ("hypercorn", name): GOT_1006
        for name in ("client closes", "client closes without a code", "client closes after a message")
    },
    ("hypercorn", "client closes, and the handler goes on"): {
        "got": ("WebSocketDisconnect 1006", *["WebSocketDisconnected 1006"] * 2)
    },
    ("hypercorn", "client closes an iteration"): {"got": ("end of iteration 1006",)},
    # "disconnect code given to the app: code only"; a protocol error is answered with an empty close frame.
    # It reads on only when asked to, so that this client is still heard and answered.
    ("granian", "client closes after a message"): {"messages": ("hello",)},
    ("granian", "client closes"): {"got": ("WebSocketDisconnect 4000",)},
    ("granian", "client closes, and the handler goes on"): {
        "got": ("WebSocketDisconnect 4000", *["WebSocketDisconnected 4000"] * 2)
    },
    **{("granian", name): {"close": (1005, ""), **GOT_1005} for name in BROKEN},
    # "denial response extension: no".
    **{("daphne", name): PLAIN_403 | {"got": ("RuntimeError",)} for name in DENYING},
    **{
        ("daphne", name): PLAIN_403
        for name in (
            "return without an answer",
            "no route",
            "HTTPException before accept",
            "other exception before accept",
        )
    },
    # "reason: dropped".
    ("daphne", "close"): {"close": (4321, "")},
    ("daphne", "close with a reason that is too long"): {"close": (3000, "")},
    ("daphne", "close twice"): {"close": (4001, "")},
    ("daphne", "HTTPException 4xx after accept"): {"close": (4401, "")},
    ("daphne", "WebSocketException after accept"): {"close": (4321, "")},
    # Daphne can close with 1000 and 3000-4999 only, and raises for all other codes: 4000 + HTTP status stands for them.
    **{
        ("daphne", name): {"close": (4500, "")}
        for name in ("close(500)", "close(1006)", "HTTPException 5xx after accept", "other exception after accept")
    },
    **{
        ("daphne", name): {"close": (4415, "")}
        for name in ("bytes for receive_text", "text for receive_bytes", "bytes for receive_json")
    },
    ("daphne", "malformed JSON"): {"close": (4400, "")},
    # It answers every close frame with 1000, tells the application the code only, and just ends after a protocol error.
    ("daphne", "client closes"): {"close": (1000, ""), "got": ("WebSocketDisconnect 4000",)},
    ("daphne", "client closes without a code"): {"close": (1000, "")},
    ("daphne", "client closes, and the handler goes on"): {
        "close": (1000, ""),
        "got": ("WebSocketDisconnect 4000", *["WebSocketDisconnected 4000"] * 2),
    },
    ("daphne", "client closes an iteration"): {"close": (1000, "")},
    ("daphne", "close after the client left"): {"close": (1000, "")},
    **{("daphne", name): NO_CLOSE | GOT_1006 for name in BROKEN},
}


@pytest.mark.parametrize("name", ROWS)
def test_contract_is_kept(server: RunningProcess, request: pytest.FixtureRequest, name: str) -> None:
    """What the client sees, what the handler gets, and what is logged."""
    row = ROWS[name]
    server_name = request.node.callspec.params["server"]
    expected = replace(row.outcome, **DEVIATIONS.get((server_name, name), {}))
    outcome = visit(server, row.path, row.talk, reads=row.reads)
    if name in BROKEN:
        outcome = without_reasons(outcome)
    assert outcome == expected


def without_reasons(outcome: Outcome) -> Outcome:
    """The same without what a server says about a protocol error, in words of its own."""
    code, _ = outcome.close or (1006, "")
    return replace(outcome, close=(code, ""), got=tuple(" ".join(got.split()[:2]) for got in outcome.got))


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
                client.ask(f"/close/{code}/{code % 400}?case={code}")
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
    server.reports.wait_for("ended", "5000")
    assert faults(server.reports.since(mark)) == ()


def is_legal(code: int) -> bool:
    """Whether a close frame may hold this code (RFC 6455 §7.4 and the IANA registry)."""
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999
