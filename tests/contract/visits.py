"""One connection to the application of `tests.contract.apps`, seen from both ends."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tests.support.rawsocket import CLOSE, TEXT, RawSocket
from tests.support.reports import Report
from tests.support.servers import RunningProcess

__all__ = ["Outcome", "Talk", "faults", "new_case", "visit"]

Talk = Callable[[RawSocket], None]

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
        got: What the handler was told, in order.
        faults: What the process logged from WARNING upwards, as "LEVEL logger: exception", the
            logger without what comes after its first dot.
        raised: The exception that came out of the application into the server.
    """

    status: int = 101
    body: bytes = b""
    messages: tuple[str, ...] = ()
    close: tuple[int, str] | None = (1000, "")
    got: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    raised: str | None = None


def new_case() -> str:
    """A name for a connection that no other one has."""
    return str(next(_cases))


def visit(server: RunningProcess, path: str, talk: Talk | None = None, *, reads: bool = True) -> Outcome:
    """
    Connect, talk, read to the end of the stream, and wait until the application has ended.

    Args:
        talk: Called once the handshake is accepted.
        reads: False for a client that leaves while it talks.
    """
    case, mark = new_case(), server.reports.mark()
    messages: list[str] = []
    close: tuple[int, str] | None = None
    with RawSocket(server) as client:
        answer = client.handshake(f"{path}?case={case}")
        if answer.status == 101:
            if talk is not None:
                talk(client)
            close = (1006, "") if reads else None
            for frame in client.frames() if reads else ():
                if frame.opcode == TEXT:
                    messages.append(frame.payload.decode())
                if frame.opcode == CLOSE:
                    close = frame.close
    ended = server.reports.wait_for("ended", case)
    return Outcome(
        answer.status,
        answer.body,
        tuple(messages),
        close,
        tuple(one["error"] for one in server.reports.all(case, "got")),
        faults(server.reports.since(mark)),
        ended["raised"],
    )


def faults(reports: Iterable[Report]) -> tuple[str, ...]:
    """What was logged from WARNING upwards."""
    return tuple(
        f"{one['level']} {one['logger'].partition('.')[0]}: {one['error']}"
        for one in reports
        if one["kind"] == "log" and one["level"] in LEVELS
    )
