"""
Clients that leave a real server in the middle of something, as bytes on a socket.

A client library would close properly; here the client does what a browser tab, a phone or a cut cable does.
"""

import logging
import queue
from collections.abc import Iterator

import pytest

from lilya.apps import Lilya
from lilya.requests import Request
from lilya.routing import Path, WebSocketPath
from lilya.websockets import WebSocket
from tests.support.rawsocket import RawSocket
from tests.support.servers import WS_PROTOCOLS, RunningServer, serve

# Reached only if something hangs.
SECONDS = 10

ended: queue.Queue[BaseException] = queue.Queue()


async def feed(websocket: WebSocket) -> None:
    """Sends as fast as it can, and never asks whether anybody listens."""
    await websocket.accept()
    try:
        while True:
            await websocket.send_text("x" * 1000)
    except BaseException as error:
        ended.put(error)
        raise


async def upload(request: Request) -> str:
    """Reads the whole body."""
    try:
        return await request.text()
    except BaseException as error:
        ended.put(error)
        raise


@pytest.fixture(scope="module", params=WS_PROTOCOLS)
def server(request: pytest.FixtureRequest) -> Iterator[RunningServer]:
    """An application behind each of uvicorn's WebSocket protocols."""
    app = Lilya(routes=[WebSocketPath("/feed", feed), Path("/upload", upload, methods=["POST"])])
    with serve(app, ws=request.param) as running:
        yield running


def is_served(server: RunningServer) -> bool:
    """Whether the server goes on serving others."""
    with RawSocket(server) as client:
        client.write(b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return client.read_answer().status == 404


def faults(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """What was logged from WARNING upwards, by anybody but asyncio, which counts what it writes to a dead socket."""
    return [record for record in caplog.records if record.levelno >= logging.WARNING and record.name != "asyncio"]


@pytest.mark.parametrize("leaves", ["closes", "aborts"])
def test_client_that_leaves_a_handler_which_only_sends_ends_it(
    server: RunningServer, caplog: pytest.LogCaptureFixture, leaves: str
) -> None:
    """The server notices although its `send` never waits, and goes on serving others."""
    with caplog.at_level(logging.INFO, "lilya"), RawSocket(server) as client:
        assert client.handshake("/feed").status == 101
        if leaves == "closes":
            client.close(1000)
            client.read_to_end()
        else:
            client.rst()
        assert type(ended.get(timeout=SECONDS)).__name__ == "WebSocketDisconnect"
        assert is_served(server)
    assert faults(caplog) == []


def test_client_that_leaves_in_the_middle_of_its_request_is_no_error(
    server: RunningServer, caplog: pytest.LogCaptureFixture
) -> None:
    """It promised 100 bytes and sent three: one line of INFO, and nothing from the server."""
    head = b"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nabc"
    with caplog.at_level(logging.INFO, "lilya"):
        with RawSocket(server) as client:
            client.write(head)
        assert type(ended.get(timeout=SECONDS)).__name__ == "ClientDisconnect"
        assert is_served(server)
    assert faults(caplog) == []
    lines = [record.getMessage() for record in caplog.records if record.name == "lilya"]
    assert lines == ["http /upload: The client left before its request was read to the end."]
