"""
Real servers for tests: uvicorn in a thread of this process, or in a process of its own.

Both bind port 0 and are entered when the server listens, by waiting for it to say so: no polling, no fixed ports.
"""

import asyncio
import contextlib
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from socket import socket
from typing import Any

import uvicorn

__all__ = ["ROOT", "WS_PROTOCOLS", "RunningFile", "RunningServer", "serve", "serve_file"]

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

    async def startup(self, sockets: list[socket] | None = None) -> None:
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


class RunningFile(RunningServer):
    """A file served in a process of its own; `log()` is what it wrote so far."""

    __slots__ = ("_lines",)

    def __init__(self, port: int, lines: list[str]) -> None:
        super().__init__(port)
        self._lines = lines

    def log(self) -> str:
        """Everything the process has written, complete once the block has been left."""
        return "".join(self._lines)


@contextlib.contextmanager
def serve_file(
    path: str | Path, *, app: str = "app", env: Mapping[str, str] | None = None, options: tuple[str, ...] = ()
) -> Iterator[RunningFile]:
    """
    Serve `app` of a Python file the way a user does, `python -m uvicorn`, in a process of its own until the block ends.

    `path` is relative to the root of the repository, `env` comes on top of this process's environment, and `options`
    are uvicorn's command-line options.

    Raises:
        RuntimeError: the process ended before it listened; the message holds what it wrote.
    """
    file = ROOT / path
    command = [sys.executable, "-m", "uvicorn", f"{file.stem}:{app}", "--app-dir", str(file.parent)]
    command += ["--host", "127.0.0.1", "--port", "0", "--no-use-colors", *options]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        # `lilya` comes from this checkout even where it is not installed.
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )
    assert process.stdout is not None  # asked for above
    lines: list[str] = []
    reader: threading.Thread | None = None
    with process.stdout as output:
        try:
            port = _wait_for_port(output, lines)
            # The pipe must be emptied for as long as the process lives: a full one would stop it at its next log line.
            reader = threading.Thread(target=lines.extend, args=(output,), name=f"log of {file.name}", daemon=True)
            reader.start()
            yield RunningFile(port, lines)
        finally:
            _end(process)
            if reader is not None:
                reader.join(SHUTDOWN_SECONDS)


def _wait_for_port(output: Iterator[str], lines: list[str]) -> int:
    for line in output:
        lines.append(line)
        if found := re.search(r"running on http://127\.0\.0\.1:(\d+)", line):
            return int(found[1])
    raise RuntimeError("the process ended before it listened:\n" + "".join(lines))


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(SHUTDOWN_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise RuntimeError(f"{process.args!r} did not end within {SHUTDOWN_SECONDS} s of SIGTERM") from None
