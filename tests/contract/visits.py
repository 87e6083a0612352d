"""One connection to the application of `tests.contract.apps`, seen from both ends."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from lilya.testclient import TestClient, WebSocketDenialResponse
from lilya.testclient import WebSocketTestSession as TestSession
from lilya.types import ASGIApp
from lilya.websockets import WebSocketDisconnect
from tests.support.rawsocket import CLOSE, TEXT, RawSocket
from tests.support.reports import Report, Reporting, Reports, log_reported
from tests.support.servers import RunningProcess

__all__ = ["Client", "InProcess", "Outcome", "RawTalk", "Talk", "faults", "in_process", "new_case", "visit"]


class Client(Protocol):
    """What every client can do, once it is accepted."""

    def send(self, *messages: str | bytes) -> None:
        """Send messages, text or binary for bytes."""

    def close(self, code: int | None = 1000, reason: str = "") -> None:
        """Leave; without a code for None."""


Talk = Callable[[Client], None]
RawTalk = Callable[[RawSocket], None]

_cases = itertools.count(1)

LEVELS = ("WARNING", "ERROR", "CRITICAL")


@dataclass(frozen=True)
class Outcome:
    """
    What came of a connection.

    Attributes:
        status, body: The answer to the handshake; 101 if it was accepted.
        messages: The text messages that came.
        close: Code and reason of the server's close frame: 1005 if it was empty; 1006 if none came.
        subprotocol: The one that was agreed on.
        got: What the handler was told, in order.
        faults: What the process logged from WARNING upwards, as "LEVEL logger: exception in function", the
            logger without what comes after its first dot, and the function in which the traceback ends.
        raised: The exception that came out of the application into the server.
        log: What was logged about this connection.
    """

    status: int = 101
    body: bytes = b""
    messages: tuple[str, ...] = ()
    close: tuple[int, str] | None = (1000, "")
    got: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    raised: str | None = None
    subprotocol: str | None = None
    log: tuple[Report, ...] = field(default=(), compare=False)


def new_case() -> str:
    """A name for a connection that no other one has."""
    return str(next(_cases))


class InProcess:
    """An application behind the test client; like a server's process it reports what happens in it."""

    def __init__(self, app: ASGIApp) -> None:
        self.reports = Reports()
        self.client = TestClient(Reporting(app, self.reports.feed_line), raise_server_exceptions=False)


@contextlib.contextmanager
def in_process(app: ASGIApp) -> Iterator[InProcess]:
    """Put an application behind the test client until the block ends."""
    with log_reported():
        yield InProcess(app)


def visit(
    server: RunningProcess | InProcess,
    path: str,
    talk: Talk | None = None,
    *,
    raw: RawTalk | None = None,
    reads: bool = True,
    subprotocols: Sequence[str] = (),
) -> Outcome:
    """
    Connect, talk, read to the end of the stream, and wait until the application has ended.

    Args:
        talk: Called once the handshake is accepted.
        raw: The same for what only bytes on a socket can do.
        reads: False for a client that leaves while it talks.
    """
    case, mark = new_case(), server.reports.mark()
    url = f"{path}?case={case}"
    if isinstance(server, InProcess):
        saw = _visit_in_process(server, url, talk, subprotocols)
    else:
        saw = _visit_server(server, url, raw or talk, reads, subprotocols)
    ended = server.reports.wait_for("ended", case)
    return replace(
        saw,
        got=tuple(one["error"] for one in server.reports.all(case, "got")),
        faults=faults(server.reports.since(mark)),
        raised=ended["raised"],
        log=tuple(server.reports.all(case, "log")),
    )


def _visit_server(
    server: RunningProcess, url: str, talk: RawTalk | Talk | None, reads: bool, subprotocols: Sequence[str]
) -> Outcome:
    messages: list[str] = []
    with RawSocket(server) as client:
        headers = [f"Sec-WebSocket-Protocol: {', '.join(subprotocols)}"] if subprotocols else []
        answer = client.handshake(url, headers=headers)
        if answer.status != 101:
            return Outcome(answer.status, answer.body, close=None)
        if talk is not None:
            talk(client)
        close = (1006, "") if reads else None
        for frame in client.frames() if reads else ():
            if frame.opcode == TEXT:
                messages.append(frame.payload.decode())
            if frame.opcode == CLOSE:
                close = frame.close
    return Outcome(101, b"", tuple(messages), close, subprotocol=answer.headers.get("sec-websocket-protocol"))


def _visit_in_process(server: InProcess, url: str, talk: Talk | None, subprotocols: Sequence[str]) -> Outcome:
    messages: list[str] = []
    try:
        with server.client.websocket_connect(url, subprotocols=list(subprotocols)) as session:
            if talk is not None:
                talk(_Visitor(session))
            close = _read_to_end(session, messages)
    except WebSocketDenialResponse as denial:
        return Outcome(denial.status_code, denial.content, close=None)
    except WebSocketDisconnect:
        # A close before accept, which a server answers with an empty 403.
        return Outcome(403, close=None)
    return Outcome(101, b"", tuple(messages), close, subprotocol=session.accepted_subprotocol)


def _read_to_end(session: TestSession, messages: list[str]) -> tuple[int, str]:
    try:
        while (message := session.receive())["type"] != "websocket.close":
            messages.append(message["text"])
    except WebSocketDisconnect as end:
        return end.code, end.reason
    return message["code"], message["reason"]


class _Visitor:
    """A session of the test client as a `Client`."""

    def __init__(self, session: TestSession) -> None:
        self.session = session

    def send(self, *messages: str | bytes) -> None:
        for message in messages:
            if isinstance(message, str):
                self.session.send_text(message)
            else:
                self.session.send_bytes(message)

    def close(self, code: int | None = 1000, reason: str = "") -> None:
        self.session.close(1005 if code is None else code, reason)


def faults(reports: Iterable[Report]) -> tuple[str, ...]:
    """What was logged from WARNING upwards."""
    return tuple(
        f"{one['level']} {one['logger'].partition('.')[0]}: {one['error']}"
        + "".join(f" in {name}" for name in one["frames"][-1:])
        for one in reports
        if one["kind"] == "log" and one["level"] in LEVELS
    )
