"""
The contract's last row, a shutdown, on real servers that get a real signal.

uvicorn drains; hypercorn and granian keep the signal to themselves, and what is left to do there is done: see "Other
servers" in `docs/how-to/deploy.md`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Iterable

import pytest

from tests.contract.visits import faults, new_case
from tests.support.rawsocket import CLOSE, RawSocket
from tests.support.servers import RunningProcess, run_server

pytestmark = pytest.mark.timeout(60)  # the start of a server may take long on a busy machine

APP = "tests.contract.draining:app"
RESTART = (1012, "service restart")
UVICORNS = ("uvicorn", "uvicorn-wsproto")

# For a drain that something else must bring to its end.
LONG = {"DRAIN_SECONDS": "600"}


class Clients:
    """Several connections to one server, by the path that each went to."""

    def __init__(self, server: RunningProcess, paths: Iterable[str], stack: contextlib.ExitStack) -> None:
        self._clients: list[tuple[str, RawSocket]] = []
        for path in paths:
            client, case = stack.enter_context(RawSocket(server)), new_case()
            assert client.handshake(f"/{path}?case={case}").status == 101
            self._clients.append((case, client))
        self._server = server

    def closes(self) -> list[tuple[int, str] | None]:
        """What each is closed with; None for one whose connection ends without a close frame."""
        ends = [[frame.close for frame in client.frames() if frame.opcode == CLOSE] for _, client in self._clients]
        return [end[0] if end else None for end in ends]

    def told(self) -> list[str]:
        """What each handler is told, once the application has been shut down and all of them had ended before."""
        self._server.reports.wait_for("on_shutdown")
        before = []
        for one in self._server.reports.all():
            if one["kind"] == "on_shutdown":
                break
            before.append((one["kind"], one["case"]))
        assert [case for case, _ in self._clients if ("left", case) not in before] == []
        return [" ".join(one["error"] for one in self._server.reports.all(case, "got")) for case, _ in self._clients]


def wait_until_listening(server: RunningProcess) -> None:
    """The parent process says so before the process that serves does it."""
    deadline = time.monotonic() + 10
    while True:
        with socket.socket() as trying:
            if trying.connect_ex(("127.0.0.1", server.port)) == 0:
                return
        assert time.monotonic() < deadline


def stop(server: RunningProcess, signum: int = signal.SIGTERM) -> None:
    """Tell a server to stop."""
    os.kill(server.pid, signum)


@pytest.mark.parametrize("name", UVICORNS)
def test_uvicorn_drains(name: str) -> None:
    """Everybody gets 1012, handlers are told or cancelled, and awaited; nobody calls it a fault, nor waits longer."""
    with run_server(name, APP) as server, contextlib.ExitStack() as stack:
        clients = Clients(server, ["receives", "sends", "computes"], stack)
        mark = server.reports.mark()
        stop(server)
        assert clients.closes() == [RESTART] * 3
        assert clients.told() == ["WebSocketDisconnect 1012 service restart"] * 2 + ["CancelledError"]
        assert faults(server.reports.since(mark)) == ()


@pytest.mark.parametrize("name", UVICORNS)
def test_uvicorn_refuses_handshakes_in_a_drain(name: str) -> None:
    """They get 503, until a second signal puts an end to it."""
    with run_server(name, APP, env=LONG) as server, contextlib.ExitStack() as stack:
        clients = Clients(server, ["receives", "computes"], stack)
        stop(server)
        deadline = time.monotonic() + 10
        while True:
            with RawSocket(server) as late:
                answer = late.handshake("/receives")
            if answer.status != 101:
                break
            assert time.monotonic() < deadline
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        stop(server)
        assert clients.closes() == [RESTART] * 2
        assert clients.told() == ["WebSocketDisconnect 1012 service restart", "CancelledError"]


def test_uvicorn_does_not_wait_after_ctrl_c() -> None:
    """Whoever presses it sits there and waits."""
    with run_server("uvicorn", APP, env=LONG) as server, contextlib.ExitStack() as stack:
        clients = Clients(server, ["receives"] * 3, stack)
        stop(server, signal.SIGINT)
        assert clients.closes() == [RESTART] * 3
        assert clients.told() == ["WebSocketDisconnect 1012 service restart"] * 3


def test_uvicorn_does_not_wait_when_it_reloads() -> None:
    """So does whoever has saved a file."""
    options = ("--reload", "--reload-dir", "docs")
    with run_server("uvicorn", APP, *options, env=LONG) as server, contextlib.ExitStack() as stack:
        server.reports.wait_for("on_startup")
        wait_until_listening(server)
        clients = Clients(server, ["receives"], stack)
        stop(server)
        assert clients.closes() == [RESTART]
        clients.told()


def test_every_worker_of_uvicorn_drains() -> None:
    """The parent passes the signal on, and waits for both."""
    with run_server("uvicorn", APP, "--workers", "2") as server, contextlib.ExitStack() as stack:
        server.reports.wait_for("on_startup", count=2)
        wait_until_listening(server)
        clients = Clients(server, ["receives", "sends"] * 4, stack)
        stop(server)
        assert clients.closes() == [RESTART] * 8
        server.reports.wait_for("on_shutdown", count=2)
        for case, _ in clients._clients:
            server.reports.wait_for("left", case)


def test_uvicorn_stops_beside_a_handler_that_cannot_be_cancelled() -> None:
    """It is named, once, and the application is shut down without it."""
    with run_server("uvicorn", APP) as server, contextlib.ExitStack() as stack:
        clients = Clients(server, ["refuses"], stack)
        stop(server)
        assert clients.closes() == [RESTART]
        server.reports.wait_for("on_shutdown")
        warnings = [one["message"] for one in server.reports.all(kind="log") if one["level"] == "WARNING"]
    assert warnings == ["1 handlers are still running 1 s after they were cancelled, and are left alone: /refuses"]


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="hypercorn 0.18 waits for ever as long as a WebSocket is open")
def test_hypercorn_cancels_everybody_after_its_own_time() -> None:
    """Clients see a restart all the same, and the clean-ups have run before the application is shut down."""
    with run_server("hypercorn", APP) as server, contextlib.ExitStack() as stack:
        clients = Clients(server, ["receives", "sends", "computes"], stack)
        stop(server)
        assert clients.closes() == [RESTART] * 3
        assert clients.told() == ["CancelledError"] * 3


def test_granian_ends_the_lifespan_while_handlers_run() -> None:
    """A close frame rarely leaves it; handlers are told or cancelled, and awaited before the shutdown."""
    with run_server("granian", APP) as server, contextlib.ExitStack() as stack:
        wait_until_listening(server)
        clients = Clients(server, ["receives", "sends", "computes"], stack)
        stop(server)
        assert {None, RESTART} >= {*clients.closes()}
        receives, sends, computes = clients.told()
        # granian tells a handler that receives by itself, if it comes to it before we do.
        ends = ("WebSocketDisconnect 1005", "WebSocketDisconnect 1012 service restart")
        assert (receives in ends, sends in ends, computes) == (True, True, "CancelledError")
