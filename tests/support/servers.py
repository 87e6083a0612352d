"""
Real servers for tests: uvicorn in a thread of this process, or any of the ASGI servers in a process of its own.

All listen on a port that the system chose, and are entered when the server listens, by waiting for it to say so: no
polling, no fixed ports.
"""

import asyncio
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from tests.support.processes import guarded
from tests.support.reports import Reports

__all__ = [
    "ROOT",
    "SERVERS",
    "WS_PROTOCOLS",
    "RunningFile",
    "RunningProcess",
    "RunningServer",
    "run_server",
    "serve",
    "serve_file",
]

ROOT = Path(__file__).resolve().parents[2]

# uvicorn's WebSocket implementations (`serve(app, ws=…)`); the third, "websockets", is deprecated upstream.
WS_PROTOCOLS = ("websockets-sansio", "wsproto")

# Long enough for a busy machine; reached only if something hangs.
SHUTDOWN_SECONDS = 10


class RunningServer:
    """Where a server listens: always on 127.0.0.1, on a port the system chose."""

    __slots__ = ("port",)

    def __init__(self, port: int) -> None:
        self.port = port

    def url(self, path: str = "/") -> str:
        """The HTTP URL of `path`."""
        return f"http://127.0.0.1:{self.port}{path}"

    def ws_url(self, path: str = "/") -> str:
        """The WebSocket URL of `path`."""
        return f"ws://127.0.0.1:{self.port}{path}"


class _Server(uvicorn.Server):
    """uvicorn that reports its port when it listens, and stops when told instead of at its next look at a flag."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening: Future[int] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._loop = asyncio.get_running_loop()
        self.listening.set_result(self.servers[0].sockets[0].getsockname()[1])

    async def main_loop(self) -> None:
        await self.on_tick(0)  # sets the default headers, such as Date
        await self._stopped.wait()

    def run_in_thread(self) -> None:
        try:
            self.run()
        except BaseException as error:  # SystemExit too: uvicorn leaves with it when a lifespan startup fails
            if self.listening.done():
                raise
            self.listening.set_exception(RuntimeError(f"uvicorn did not start: {error!r}; its log says why"))

    def stop(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stopped.set)


@contextlib.contextmanager
def serve(app: Any, **uvicorn_options: Any) -> Iterator[RunningServer]:
    """
    Serve an ASGI app with uvicorn in a thread of its own, until the block ends.

    `uvicorn_options` go to `uvicorn.Config`. Logs propagate to the root logger, so `caplog` sees them. Handlers that
    are still running at the end are cancelled after one second (`timeout_graceful_shutdown`).

    Raises:
        RuntimeError: the server did not start, for instance because the app's lifespan startup failed.
    """
    defaults: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": 0,
        # Named, so that no test depends on which optional accelerators happen to be installed.
        "loop": "asyncio",
        "http": "h11",
        "ws": "websockets-sansio",
        "log_config": None,
        "timeout_graceful_shutdown": 1,
    }
    server = _Server(uvicorn.Config(app, **(defaults | uvicorn_options)))
    # A daemon, so that a server that refuses to stop fails its test and does not keep the whole run alive.
    thread = threading.Thread(target=server.run_in_thread, name="uvicorn", daemon=True)
    thread.start()
    try:
        yield RunningServer(server.listening.result())
    finally:
        server.stop()
        thread.join(SHUTDOWN_SECONDS)
        if thread.is_alive():
            raise RuntimeError(f"uvicorn did not stop within {SHUTDOWN_SECONDS} s: {app!r} holds it")


@dataclass(frozen=True)
class Command:
    """
    How a server is started, the way its users do it, with `{port}` for the port.

    Attributes:
        words: What follows `python -m`; the name of the application and further options come after it.
        listens: What the server writes when it listens; a group is the port.
        chooses: Port 0 lets it choose a port, and it says which. Else it is given one that is reserved for it.
    """

    words: tuple[str, ...]
    listens: str
    chooses: bool = True


def _uvicorn(ws: str) -> Command:
    # One second for handlers that are still there at the end.
    words = ("uvicorn", "--host", "127.0.0.1", "--port", "{port}", "--no-use-colors", "--ws", ws)
    return Command((*words, "--timeout-graceful-shutdown", "1"), r"running on http://127\.0\.0\.1:(\d+)")


SERVERS = {
    "uvicorn": _uvicorn("websockets-sansio"),
    "uvicorn-wsproto": _uvicorn("wsproto"),
    "hypercorn": Command(
        ("hypercorn", "--bind", "127.0.0.1:{port}", "--graceful-timeout", "1"),
        r"Running on http://127\.0\.0\.1:(\d+)",
    ),
    "granian": Command(
        ("granian", "--interface", "asgi", "--host", "127.0.0.1", "--port", "{port}", "--workers-kill-timeout", "2"),
        r"Started worker-1",
        chooses=False,
    ),
    "daphne": Command(
        ("daphne", "-b", "127.0.0.1", "-p", "{port}"),
        r"Listening on TCP address 127\.0\.0\.1:(\d+)",
    ),
}


class RunningProcess(RunningServer):
    """
    A server in a process of its own.

    Attributes:
        reports: What the application in it reports (`tests.support.reports`).
        pid: The number of the process; of its first one, where it has several.
    """

    __slots__ = ("pid", "reports")

    def __init__(self, port: int, pid: int, reports: Reports) -> None:
        super().__init__(port)
        self.pid = pid
        self.reports = reports

    def log(self) -> str:
        """Everything the server has written, complete once the block has been left."""
        return self.reports.log()


RunningFile = RunningProcess


@contextlib.contextmanager
def run_server(
    name: str, app: str, *options: str, env: Mapping[str, str] | None = None, cwd: Path = ROOT
) -> Iterator[RunningProcess]:
    """
    Serve an application by its name, `module:attribute`, in a process of its own until the block ends.

    Args:
        name: One of `SERVERS`.
        options: Further options of the server's command line.
        env: Comes on top of this process's environment.
        cwd: Where the modules are; those of this repository are found everywhere.

    Raises:
        RuntimeError: The process ended before it listened (the message holds what it wrote), or did not end in time.
    """
    command = SERVERS[name]
    with contextlib.ExitStack() as stack:
        port = 0 if command.chooses else stack.enter_context(_reserved_port())
        process = subprocess.Popen(
            [sys.executable, "-m", *(word.format(port=port) for word in command.words), app, *options],
            cwd=cwd,
            # `lilya` comes from this checkout even where it is not installed.
            env={**os.environ, "PYTHONPATH": f"{cwd}:{ROOT}", "PYTHONUNBUFFERED": "1", **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,  # a server may start workers; all of them are ended together
        )
        assert process.stdout is not None  # asked for above
        output = stack.enter_context(process.stdout)
        reports = Reports()
        stack.enter_context(guarded(process.pid))
        try:
            found = _wait_for_line(output, command.listens, reports)
            stack.enter_context(reports.reading(output, f"log of {name}", SHUTDOWN_SECONDS))
            yield RunningProcess(int(found[1]) if command.chooses else port, process.pid, reports)
        finally:
            _end(process)


@contextlib.contextmanager
def serve_file(
    path: str | Path, *, app: str = "app", env: Mapping[str, str] | None = None, options: tuple[str, ...] = ()
) -> Iterator[RunningProcess]:
    """
    Serve `app` of a Python file the way a user does, `python -m uvicorn`, in a process of its own until the block ends.

    `path` is relative to the root of the repository, the rest is as for `run_server`.

    Raises:
        RuntimeError: the process ended before it listened; the message holds what it wrote.
    """
    file = ROOT / path
    with run_server("uvicorn", f"{file.stem}:{app}", *options, env=env, cwd=file.parent) as server:
        yield server


@contextlib.contextmanager
def _reserved_port() -> Iterator[int]:
    """A port that nobody else gets, for a server that shares it: it must set SO_REUSEPORT, and alone listens on it."""
    with socket.socket() as reserving:
        reserving.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserving.bind(("127.0.0.1", 0))
        yield reserving.getsockname()[1]


def _wait_for_line(output: Iterator[str], pattern: str, reports: Reports) -> re.Match[str]:
    for line in output:
        reports.feed_line(line)
        if found := re.search(pattern, line):
            return found
    raise RuntimeError("the process ended before it listened:\n" + reports.log())


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(SHUTDOWN_SECONDS)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"{process.args!r} did not end within {SHUTDOWN_SECONDS} s of SIGTERM") from None
    finally:
        # Also workers that outlived their parent; there is nothing left to kill as a rule.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
