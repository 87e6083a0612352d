"""The servers that tests use, tested with ASGI apps that need no framework."""

import asyncio
import logging
import textwrap
import threading
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from lilya.types import Receive, Scope, Send
from tests.support.servers import WS_PROTOCOLS, serve, serve_file


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """A raw ASGI app: says hello over HTTP, repeats text over WebSocket, and has a lifespan."""
    if scope["type"] == "lifespan":
        for _ in range(2):
            message = await receive()
            await send({"type": message["type"] + ".complete"})
    elif scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["path"].encode()})
    else:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})


@pytest.mark.parametrize("ws", WS_PROTOCOLS)
def test_serve_speaks_http_and_websocket(ws: str) -> None:
    """A served app answers a real HTTP client and a real WebSocket client, on each protocol class."""
    with serve(echo, ws=ws) as server:
        assert httpx.get(server.url("/hello")).text == "/hello"
        with connect(server.ws_url("/any")) as websocket:
            websocket.send("ping")
            assert websocket.recv() == "ping"


def test_serve_takes_two_servers_at_once_and_leaves_no_thread() -> None:
    """Ports never collide, and the end of the block is the end of the server."""
    with serve(echo) as one, serve(echo) as other:
        assert one.port != other.port
    assert [thread for thread in threading.enumerate() if thread.name == "uvicorn"] == []
    with pytest.raises(httpx.ConnectError):
        httpx.get(one.url())


def test_serve_passes_options_to_uvicorn() -> None:
    """Keyword arguments reach `uvicorn.Config`."""
    with serve(echo, headers=[("X-Test", "yes")]) as server:
        assert httpx.get(server.url()).headers["x-test"] == "yes"


def test_serve_cancels_a_handler_that_does_not_end(caplog: pytest.LogCaptureFixture) -> None:
    """A handler that waits for ever does not hold up the test; uvicorn says so in the log."""

    async def stuck(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await asyncio.Event().wait()

    with (
        caplog.at_level(logging.ERROR),
        serve(stuck, lifespan="off", timeout_graceful_shutdown=0) as server,
        connect(server.ws_url()),
    ):
        pass
    assert any("timeout graceful shutdown exceeded" in record.getMessage() for record in caplog.records)


def test_serve_reports_a_failed_startup(caplog: pytest.LogCaptureFixture) -> None:
    """An app whose startup fails raises at the `with` line, and does not hang."""

    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.raises(RuntimeError, match="uvicorn did not start"), serve(broken):
        pass  # pragma: no cover
    assert any("no database" in record.getMessage() for record in caplog.records)


APP = """
import os

async def app(scope, receive, send):
    assert scope["type"] == "http"
    print("asked for", scope["path"])
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": os.environ["GREETING"].encode()})
"""


def test_serve_file_runs_a_file_in_its_own_process(tmp_path: Path) -> None:
    """A file is served with the given environment, and what it prints can be read."""
    file = tmp_path / "hello_app.py"
    file.write_text(textwrap.dedent(APP))
    with serve_file(file, env={"GREETING": "salut"}, options=("--lifespan", "off")) as server:
        assert httpx.get(server.url("/page")).text == "salut"
    assert "asked for /page" in server.log()
    with pytest.raises(httpx.ConnectError):
        httpx.get(server.url())


def test_serve_file_reports_a_file_that_does_not_start(tmp_path: Path) -> None:
    """A file with a mistake raises, and the message shows what the process wrote."""
    file = tmp_path / "broken_app.py"
    file.write_text("raise ValueError('mistake in the file')")
    with pytest.raises(RuntimeError, match="mistake in the file"), serve_file(file):
        pass  # pragma: no cover
