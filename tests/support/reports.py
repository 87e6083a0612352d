"""
What happens inside a server process, told to the test that started it.

The application of such a process is wrapped in `Reporting`, and its handlers call `report`. Each report is one line on
the standard output, an RS character and JSON (RFC 7464), so that reports and the server's own log arrive in the order
in which they were written. Every connection tells the test's name for it, the query string `case=…`. An application in
the test's own process reports in the same way, to whomever `Reporting` is given.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any
from urllib.parse import parse_qs

from lilya.exceptions import WebSocketDisconnect
from lilya.types import ASGIApp, Receive, Scope, Send

__all__ = ["REPORT", "Report", "Reporting", "Reports", "log_reported", "report", "report_error"]

# Every report begins with it.
REPORT = "\x1e"

Report = dict[str, Any]

_case: ContextVar[str | None] = ContextVar("case", default=None)


def _print(line: str) -> None:
    # One write: what another thread writes cannot come between. Shorter than a pipe takes at once (pipe(7), PIPE_BUF).
    os.write(1, f"\n{line}".encode())


_tell: ContextVar[Callable[[str], None]] = ContextVar("tell", default=_print)


def report(kind: str, **fields: object) -> None:
    """Tell the test that `kind` has happened, with whatever JSON can hold."""
    line = json.dumps({"kind": kind, "case": _case.get(), **fields}, default=repr)
    _tell.get()(f"{REPORT}{line}\n")


def report_error(error: BaseException) -> None:
    """Tell the test what a handler "got": the name of an exception, and the code and reason of a disconnect."""
    end = f" {error.code} {error.reason}".rstrip() if isinstance(error, WebSocketDisconnect) else ""
    report("got", error=f"{type(error).__name__}{end}")


class _LogReports(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        report(
            "log",
            logger=record.name,
            level=record.levelname,
            message=record.getMessage()[:1000],
            error=type(error).__name__ if error is not None else None,
            frames=[*_frames(error)],
        )


def _frames(error: BaseException | None) -> Iterator[str]:
    """The names of the functions in a traceback, outermost first."""
    traceback = error.__traceback__ if error is not None else None
    while traceback is not None:
        yield traceback.tb_frame.f_code.co_name
        traceback = traceback.tb_next


@contextlib.contextmanager
def log_reported() -> Iterator[None]:
    """Report what reaches the root logger, and all that the `lilya` loggers say, until the block ends."""
    handler, root, ours = _LogReports(), logging.getLogger(), logging.getLogger("lilya")
    level, propagate = ours.level, ours.propagate
    root.addHandler(handler)
    ours.addHandler(handler)
    ours.setLevel(logging.DEBUG)
    ours.propagate = False  # what the server would print of it is no complaint of the server's
    try:
        yield
    finally:
        ours.propagate = propagate
        ours.setLevel(level)
        ours.removeHandler(handler)
        root.removeHandler(handler)


class Reporting:
    """
    An application that reports, for each WebSocket, when it has "ended", and what it "raised" if it did.

    In a server's process the log is reported too (`log_reported`), from the first call on. The path `/census` answers
    with what the process holds: "tasks", "descriptors" and "connections" that are being served.

    Args:
        tell: Who is told, instead of the standard output; such a test reports the log itself.
    """

    def __init__(self, app: ASGIApp, tell: Callable[[str], None] | None = None) -> None:
        self.app = app
        self.serving = 0
        self._tell = tell
        self._log: contextlib.ExitStack | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._tell is not None:
            _tell.set(self._tell)
        elif self._log is None:
            self._log = contextlib.ExitStack()  # kept for as long as the process lives
            self._log.enter_context(log_reported())
        if scope["type"] == "http" and scope["path"] == "/census":
            await self._answer_census(send)
        elif scope["type"] != "websocket":
            await self.app(scope, receive, send)
        else:
            await self._follow(scope, receive, send)

    async def _follow(self, scope: Scope, receive: Receive, send: Send) -> None:
        _case.set(parse_qs(scope["query_string"].decode()).get("case", [None])[0])
        self.serving += 1
        raised: BaseException | None = None
        try:
            await self.app(scope, receive, send)
        except BaseException as error:
            raised = error
            raise
        finally:
            self.serving -= 1
            # In the next turn of the loop: the server goes on in this one, and may log what came out.
            told = None if raised is None else type(raised).__name__
            asyncio.get_running_loop().call_soon(lambda: report("ended", raised=told))
            del raised

    async def _answer_census(self, send: Send) -> None:
        gc.collect()
        census = {
            "tasks": len(asyncio.all_tasks()),
            "descriptors": len(os.listdir("/proc/self/fd")),
            "connections": self.serving,
        }
        headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(census).encode()})


class Reports:
    """The test's side: the log and the reports of one process, as they arrive. Safe to use from several threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._reports: list[Report] = []
        self._log: list[str] = []
        self._ended = False

    def feed(self, lines: Iterator[str]) -> None:
        """Take lines until there are no more."""
        try:
            for line in lines:
                self.feed_line(line)
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def feed_line(self, line: str) -> None:
        """Take one line."""
        with self._changed:
            if line.startswith(REPORT):
                self._reports.append(json.loads(line[1:]))
            elif line != "\n":
                self._log.append(line)
            self._changed.notify_all()

    def log(self) -> str:
        """What the process has written so far, reports left out."""
        with self._changed:
            return "".join(self._log)

    def all(self, case: str | None = None, kind: str | None = None) -> list[Report]:
        """The reports so far, of one case and of one kind where these are given."""
        with self._changed:
            return [one for one in self._reports if case in (None, one["case"]) and kind in (None, one["kind"])]

    def mark(self) -> int:
        """How many reports there are; for `since`."""
        with self._changed:
            return len(self._reports)

    def since(self, mark: int) -> list[Report]:
        """The reports that came after `mark`."""
        with self._changed:
            return self._reports[mark:]

    def wait_for(self, kind: str, case: str | None = None, *, count: int = 1, seconds: float = 10) -> Report:
        """
        Wait until there are `count` reports of this kind (and case), and return the last of these.

        Raises:
            TimeoutError: They have not come in time, or never will; the message holds the log.
        """
        return self.wait_until(lambda: self.all(case, kind)[count - 1 : count], f"{count} {kind!r} {case}", seconds)[0]

    def wait_until(self, find: Callable[[], list[Report]], what: str, seconds: float = 10) -> list[Report]:
        """Wait until `find()` finds something."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while not (found := find()):
                left = deadline - time.monotonic()
                if self._ended or left <= 0:
                    last = "\n".join(map(repr, self._reports[-20:]))
                    raise TimeoutError(f"no report of {what} in {seconds} s; the last ones:\n{last}\n{self.log()}")
                self._changed.wait(left)
            return found

    @contextlib.contextmanager
    def reading(self, output: Iterator[str], name: str, join_seconds: float = 10) -> Iterator[None]:
        """Take lines in a thread of its own until they end, which they must do soon after the block."""
        # The pipe must be emptied for as long as the process lives: a full one would stop it at its next log line.
        reader = threading.Thread(target=self.feed, args=(output,), name=name, daemon=True)
        reader.start()
        try:
            yield
        finally:
            reader.join(join_seconds)
