"""Signals taken over from uvicorn: in this process, and in the ways in which people start it."""

import asyncio
import contextlib
import importlib.util
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from types import FrameType
from typing import IO, Any

import httpx
import pytest
import uvicorn

from lilya import _signals
from lilya._signals import Takeover, take_over
from lilya.types import Receive, Scope, Send
from tests.support.servers import ROOT, serve
from tests.support.signals import signals_caught

SIGTERM, SIGINT = signal.SIGTERM, signal.SIGINT


@pytest.fixture
def raised() -> Iterator[list[int]]:
    """The signals that uvicorn raises again at its end."""
    with signals_caught() as signals:
        yield signals


Signals = asyncio.Queue[int]
Body = Callable[[Takeover | None, Signals], Coroutine[Any, Any, None]]


async def run_uvicorn(body: Body, *, prepare: Callable[[], object] = lambda: None, **options: Any) -> list[str]:
    """
    Run uvicorn in this thread for an app that takes the signals over at its startup, and `body` beside it.

    `prepare` is called in the startup, before the signals are taken.

    Returns:
        The lifespan events that the app saw.
    """
    events: list[str] = []
    bodies: list[asyncio.Task[None]] = []

    def stop_if_it_failed(task: asyncio.Task[None]) -> None:
        server.should_exit = server.should_exit or task.exception() is not None

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        events.append((await receive())["type"])
        prepare()
        signals = Signals()
        bodies.append(asyncio.create_task(body(take_over(signals.put_nowait), signals)))
        bodies[0].add_done_callback(stop_if_it_failed)
        await send({"type": "lifespan.startup.complete"})
        events.append((await receive())["type"])
        await send({"type": "lifespan.shutdown.complete"})

    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, **options))
    await server.serve()
    await bodies[0]
    return events


async def test_signals_come_to_us_and_are_handed_on(raised: list[int]) -> None:
    """Both signals arrive in the event loop; uvicorn stops, properly, for the one that it is handed, and raises it."""

    async def body(takeover: Takeover | None, signals: Signals) -> None:
        assert takeover is not None
        assert takeover.reloading is False
        signal.raise_signal(SIGTERM)
        assert signals.empty()  # not in the middle of what is running
        assert await signals.get() == SIGTERM
        signal.raise_signal(SIGINT)
        assert await signals.get() == SIGINT
        takeover.hand_on(SIGTERM)

    assert await run_uvicorn(body) == ["lifespan.startup", "lifespan.shutdown"]
    assert raised == [SIGTERM]


async def test_signals_go_to_uvicorn_again_once_restored(raised: list[int]) -> None:
    """After `restore`, a signal stops uvicorn and does not come to us; a second `restore` changes nothing."""
    queues = []

    async def body(takeover: Takeover | None, signals: Signals) -> None:
        assert takeover is not None
        queues.append(signals)
        takeover.restore()
        takeover.restore()
        signal.raise_signal(SIGTERM)

    assert await run_uvicorn(body) == ["lifespan.startup", "lifespan.shutdown"]
    assert queues[0].empty()
    assert raised == [SIGTERM]


async def test_restore_leaves_the_handlers_of_others_alone(raised: list[int]) -> None:
    """Whoever takes a signal after us keeps it; the other signal goes back to uvicorn."""

    async def body(takeover: Takeover | None, signals: Signals) -> None:
        assert takeover is not None
        signal.signal(SIGINT, signal.SIG_IGN)
        takeover.restore()
        assert signal.getsignal(SIGINT) == signal.SIG_IGN
        signal.raise_signal(SIGTERM)

    await run_uvicorn(body)
    assert raised == [SIGTERM]


async def test_nothing_of_ours_is_left_when_uvicorn_has_ended(raised: list[int]) -> None:
    """uvicorn puts back what was there before it; `restore` after that does not bring its handlers back."""
    takeovers = []
    before = signal.getsignal(SIGTERM)

    async def body(takeover: Takeover | None, signals: Signals) -> None:
        assert takeover is not None
        takeovers.append(takeover)
        takeover.hand_on(SIGINT)

    await run_uvicorn(body)
    assert signal.getsignal(SIGTERM) is before
    takeovers[0].restore()
    assert signal.getsignal(SIGTERM) is before
    assert raised == [SIGINT]


async def test_a_sigint_that_somebody_else_has_is_not_taken(raised: list[int]) -> None:
    """Only uvicorn's own handlers are taken: a debugger's SIGINT stays where it is."""

    async def body(takeover: Takeover | None, signals: Signals) -> None:
        assert takeover is not None
        assert signal.getsignal(SIGINT) == signal.SIG_IGN
        takeover.restore()
        assert signal.getsignal(SIGINT) == signal.SIG_IGN
        takeover.hand_on(SIGTERM)

    await run_uvicorn(body, prepare=lambda: signal.signal(SIGINT, signal.SIG_IGN))
    assert raised == [SIGTERM]


async def test_a_sigterm_that_somebody_else_has_leaves_everything_as_it_is(raised: list[int]) -> None:
    """An app that has a handler of its own for SIGTERM keeps it, and uvicorn keeps SIGINT."""

    async def body(takeover: Takeover | None, signals: Signals) -> None:
        assert takeover is None
        assert signal.getsignal(SIGTERM) == signal.SIG_IGN
        signal.raise_signal(SIGINT)

    await run_uvicorn(body, prepare=lambda: signal.signal(SIGTERM, signal.SIG_IGN))
    assert raised == [SIGINT]


async def test_a_worker_takes_the_echo_of_its_parent_for_the_same_signal(raised: list[int]) -> None:
    """With several workers, a second SIGTERM within two seconds is left out, once; SIGINT never is."""

    async def body(takeover: Takeover | None, signals: Signals) -> None:
        assert takeover is not None
        for signum in (SIGTERM, SIGTERM, SIGINT, SIGTERM, SIGINT):
            signal.raise_signal(signum)
        assert [await signals.get() for _ in range(4)] == [SIGTERM, SIGINT, SIGTERM, SIGINT]
        takeover.hand_on(SIGTERM)

    await run_uvicorn(body, workers=2)
    assert raised == [SIGTERM]


async def test_a_worker_takes_a_later_sigterm_for_a_second_one(
    raised: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the two seconds, here none, a SIGTERM is a signal of its own."""
    monkeypatch.setattr(_signals, "ECHO_SECONDS", 0.0)

    async def body(takeover: Takeover | None, signals: Signals) -> None:
        assert takeover is not None
        for _ in range(2):
            signal.raise_signal(SIGTERM)
            assert await signals.get() == SIGTERM
        takeover.hand_on(SIGTERM)

    await run_uvicorn(body, workers=2)
    assert raised == [SIGTERM]


async def test_nothing_is_taken_without_uvicorn() -> None:
    """A process that no uvicorn runs keeps its handlers."""
    before = signal.getsignal(SIGTERM), signal.getsignal(SIGINT)
    assert take_over(lambda signum: None) is None
    assert (signal.getsignal(SIGTERM), signal.getsignal(SIGINT)) == before


class Stranger:
    """Something with a method for signals that is no uvicorn."""

    def handle_exit(self, signum: int, frame: FrameType | None) -> None:
        """Never called here."""


@pytest.mark.parametrize("imported", [True, False])
async def test_nothing_is_taken_from_another_server(
    raised: list[int], monkeypatch: pytest.MonkeyPatch, imported: bool
) -> None:
    """A method of another object is left alone, whether or not somebody has imported uvicorn."""
    if not imported:
        monkeypatch.delitem(sys.modules, "uvicorn.server")
    stranger = Stranger().handle_exit
    signal.signal(SIGTERM, stranger)
    assert take_over(lambda signum: None) is None
    assert signal.getsignal(SIGTERM) == stranger


def test_nothing_is_taken_in_another_thread() -> None:
    """A server in a thread has no signals."""
    found = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for _ in range(2):
            message = await receive()
            found.append((take_over(lambda signum: None), threading.current_thread() is threading.main_thread()))
            await send({"type": message["type"] + ".complete"})

    with serve(app):
        pass
    assert found == [(None, False)] * 2


# --- as people start it --------------------------------------------------------------------------------------------

# Says what happens in lines; hands on the first signal under --reload, and else SIGINT or the second signal.
APP = textwrap.dedent(
    """
    import os, signal
    from lilya._signals import take_over

    def say(line):
        os.write(1, f"{line}\\n".encode())  # in one piece, however many processes write

    async def app(scope, receive, send):
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": str(os.getpid()).encode()})
            return
        seen = []

        def on_signal(signum):
            seen.append(signum)
            say(f"{os.getpid()} got {signum}")
            if takeover.reloading or signum == signal.SIGINT or len(seen) == 2:
                takeover.restore()
                takeover.hand_on(signum)

        await receive()
        takeover = take_over(on_signal)
        say(f"{os.getpid()} started, reloading={takeover.reloading}")
        await send({"type": "lifespan.startup.complete"})
        await receive()
        say(f"{os.getpid()} ended after {seen}")
        await send({"type": "lifespan.shutdown.complete"})
    """
)


class Uvicorn:
    """A `python -m uvicorn` with everything below it, and what they all wrote."""

    def __init__(self, process: subprocess.Popen[str], output: IO[str]) -> None:
        self.process = process
        self._output = output
        self._lines: list[str] = []

    def kill(self, signum: int, *, everybody: bool = False) -> None:
        """Send a signal to the first process, or to all of them."""
        if everybody:
            os.killpg(self.process.pid, signum)
        else:
            self.process.send_signal(signum)

    def wait_for(self, pattern: str, count: int = 1) -> list[str]:
        """The first group of each line that matches so far, in order, once there are `count` of them."""
        while True:
            found = [match[1] for line in self._lines if (match := re.search(pattern, line))]
            if len(found) >= count:
                return found
            line = self._output.readline()
            assert line, f"uvicorn ended; {pattern!r} came {len(found)} times, not {count}:\n{''.join(self._lines)}"
            self._lines.append(line)

    def end(self) -> int:
        """The exit code, once the process has ended by itself; the rest of its output is read first."""
        self._lines.extend(self._output)
        return self.process.wait(10)


def start(folder: Path, *options: str) -> contextlib.AbstractContextManager[Uvicorn]:
    """Run `python -m uvicorn app:app` with these options in a folder that gets the app."""
    (folder / "app.py").write_text(APP, encoding="utf-8")
    command = [sys.executable, "-m", "uvicorn", "app:app", "--host", "127.0.0.1", "--port", "0", "--no-use-colors"]
    return run(folder, [*command, *options])


@contextlib.contextmanager
def run(folder: Path, command: list[str]) -> Iterator[Uvicorn]:
    """Run a command in a process group of its own, which is gone after the block."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        start_new_session=True,
    )
    assert process.stdout is not None  # asked for above
    with process.stdout as output:
        try:
            yield Uvicorn(process, output)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


STARTED = r"^(\d+) started, reloading=False"
LOOPS = [
    "asyncio",
    pytest.param(
        "uvloop",
        marks=pytest.mark.skipif(importlib.util.find_spec("uvloop") is None, reason="uvloop is not installed"),
    ),
]


@pytest.mark.parametrize("loop", LOOPS)
def test_uvicorn_goes_on_after_a_signal_and_stops_after_the_second(tmp_path: Path, loop: str) -> None:
    """uvicorn still listens and answers after SIGTERM, and ends by the signal, as ever, once it is handed on."""
    with start(tmp_path, "--loop", loop) as server:
        (port,) = server.wait_for(r"running on http://127\.0\.0\.1:(\d+)")
        (pid,) = server.wait_for(STARTED)
        server.kill(SIGTERM)
        server.wait_for(f"({pid} got 15)")
        assert httpx.get(f"http://127.0.0.1:{port}").text == pid
        server.kill(SIGTERM)
        assert server.end() == -SIGTERM
        assert server.wait_for(r"ended after (.*)") == ["[15, 15]"]


def test_uvicorn_run_from_a_program_hands_its_signals_over(tmp_path: Path) -> None:
    """`uvicorn.run` in a program of one's own is the same server; it returns when Ctrl-C has been handed on."""
    (tmp_path / "app.py").write_text(APP, encoding="utf-8")
    program = "import app, uvicorn; uvicorn.run(app.app, port=0); app.say('the program goes on')"
    with run(tmp_path, [sys.executable, "-c", program]) as server:
        server.wait_for(STARTED)
        server.kill(SIGINT)
        assert server.end() == 0
        assert server.wait_for(r"ended after (.*)") == ["[2]"]
        server.wait_for("the program (goes on)")


def test_every_worker_gets_the_signal_of_its_parent_once(tmp_path: Path) -> None:
    """SIGTERM to the parent of several workers comes to each of them, and the parent waits until they have ended."""
    with start(tmp_path, "--workers", "2") as server:
        pids = server.wait_for(STARTED, 2)
        server.kill(SIGTERM)
        assert sorted(server.wait_for(r"(\d+) got 15", 2)) == sorted(pids)
        for pid in pids:
            os.kill(int(pid), SIGINT)
        assert server.end() == 0
        assert server.wait_for(r"ended after (.*)") == ["[15, 2]"] * 2


def test_a_signal_to_the_whole_group_counts_once_in_each_worker(tmp_path: Path) -> None:
    """systemd and shells signal every process: what the parent then passes on is not a second signal."""
    with start(tmp_path, "--workers", "2") as server:
        pids = server.wait_for(STARTED, 2)
        server.kill(SIGTERM, everybody=True)
        server.wait_for(r"\d+ (got) 15", 2)
        assert sorted(server.wait_for(r"Terminated child process \[(\d+)\]", 2)) == sorted(pids)
        for pid in pids:
            os.kill(int(pid), SIGINT)
        assert server.end() == 0
        assert server.wait_for(r"ended after (.*)") == ["[15, 2]"] * 2


def test_reload_is_known_and_never_waits(tmp_path: Path) -> None:
    """Under --reload, whose parent ends a process with SIGTERM, the app is told so and hands it on at once."""
    with start(tmp_path, "--reload") as server:
        (pid,) = server.wait_for(r"^(\d+) started, reloading=True")
        server.kill(SIGTERM)
        assert server.end() == 0
        assert server.wait_for(r"^(\d+) ended after \[15\]") == [pid]
