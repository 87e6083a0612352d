"""
Clients that people really use, all asked in the same way: Python's `websockets`, Node's `ws`, and Chromium.

A machine that has no Node or no browser skips their tests and says so; on a CI machine (`CI=true`) they are required.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from tests.support.browser import BROWSER, Devtools, Page, browse
from tests.support.servers import ROOT, RunningServer

__all__ = ["CLIENTS", "Client", "Seen", "Wish", "open_client"]

# Reached only if something hangs.
SECONDS = 20

# Where `scripts/test` puts the packages of `tests/support/node/package.json`.
NODE_PACKAGES = ROOT / ".cache" / "node" / "node_modules"

MISSING = {
    "ws": None if shutil.which("node") and NODE_PACKAGES.exists() else "no Node, or no `ws` for it: run scripts/test",
    "chromium": None if BROWSER else "no browser: apt-get install chromium-headless-shell",
}


@dataclass(frozen=True)
class Wish:
    """
    What a client shall do: connect, send `messages`, and close with `close` when it has received `count` messages.

    Without `close` it waits for the server to close.
    """

    path: str
    protocols: Sequence[str] = field(default_factory=list)
    messages: Sequence[str] = field(default_factory=list)
    count: int = 0
    close: tuple[int, str] | None = None


@dataclass(frozen=True)
class Seen:
    """What it saw. A browser does not say with which status a handshake was refused: it closes with 1006."""

    status: int | None = 101
    messages: Sequence[str] = field(default_factory=list)
    protocol: str | None = None
    code: int | None = None
    reason: str = ""


Client = Callable[[RunningServer, Wish], Seen]


@contextlib.contextmanager
def open_client(name: str) -> Iterator[Client]:
    """The client of this name, one of `CLIENTS`, until the block ends; skips the test where it is missing."""
    missing = MISSING.get(name)
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"{missing} (on a CI machine it is required)")
    if missing:
        pytest.skip(missing)
    with CLIENTS[name]() as client:
        yield client


@contextlib.contextmanager
def _websockets() -> Iterator[Client]:
    def visit(server: RunningServer, wish: Wish) -> Seen:
        received: list[str] = []
        try:
            client = connect(server.ws_url(wish.path), subprotocols=[*map(Subprotocol, wish.protocols)] or None)
        except InvalidStatus as refusal:
            return Seen(refusal.response.status_code)
        with client, contextlib.suppress(ConnectionClosed):
            for message in wish.messages:
                client.send(message)
            while wish.close is None or len(received) < wish.count:
                received.append(str(client.recv(timeout=SECONDS)))
            client.close(*wish.close)
        return Seen(101, received, client.subprotocol, client.close_code, client.close_reason or "")

    yield visit


@contextlib.contextmanager
def _ws() -> Iterator[Client]:
    process = subprocess.Popen(
        ["node", str(ROOT / "tests" / "support" / "node" / "client.cjs")],
        env={**os.environ, "NODE_PATH": str(NODE_PACKAGES)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    with process:  # closes the pipes, which ends it, and waits
        stdin, stdout = process.stdin, process.stdout
        assert stdin is not None  # both asked for above
        assert stdout is not None

        def visit(server: RunningServer, wish: Wish) -> Seen:
            request = {**asdict(wish), "url": server.ws_url(wish.path)}
            stdin.write(json.dumps(request) + "\n")
            stdin.flush()
            killer = threading.Timer(SECONDS, process.kill)  # `readline` has no timeout
            killer.start()
            try:
                return Seen(**json.loads(stdout.readline()))
            finally:
                killer.cancel()
                killer.join()

        yield visit


# The browser's own object; the answer of a page is what its promise resolves to.
IN_A_PAGE = """
new Promise((resolve) => {
    const { url, protocols, messages, count, close } = WISH;
    const seen = { status: 101, messages: [], protocol: null, code: null, reason: "" };
    const client = new WebSocket(url, protocols);
    let opened = false;
    const leave = () => close !== null && seen.messages.length === count && client.close(close[0], close[1]);
    client.onopen = () => {
        opened = true;
        seen.protocol = client.protocol || null;
        messages.forEach((message) => client.send(message));
        leave();
    };
    client.onmessage = (event) => { seen.messages.push(event.data); leave(); };
    client.onclose = (event) =>
        resolve({ ...seen, status: opened ? 101 : null, code: event.code, reason: event.reason });
})
"""


@contextlib.contextmanager
def _chromium() -> Iterator[Client]:
    with browse() as devtools:
        pages: dict[int, Page] = {}

        def visit(server: RunningServer, wish: Wish) -> Seen:
            page = pages.get(server.port) or pages.setdefault(server.port, _page_of(devtools, server))
            request = {**asdict(wish), "url": server.ws_url(wish.path)}
            return Seen(**page.run(IN_A_PAGE.replace("WISH", json.dumps(request))))

        yield visit


def _page_of(devtools: Devtools, server: RunningServer) -> Page:
    """A page of the server's own origin."""
    return Page(devtools, server.url("/page"))


CLIENTS: dict[str, Callable[[], contextlib.AbstractContextManager[Client]]] = {
    "websockets": _websockets,
    "ws": _ws,
    "chromium": _chromium,
}
