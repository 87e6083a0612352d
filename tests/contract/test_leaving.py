"""
Clients that leave a real server in the middle of something, as bytes on a socket.

A client library would close properly; here the client does what a browser tab, a phone or a cut cable does.
"""

import logging
import queue
import socket
import struct
from collections.abc import Iterator

import pytest

from lilya.apps import Lilya
from lilya.requests import Request
from lilya.routing import Path, WebSocketPath
from lilya.websockets import WebSocket
from tests.support.servers import WS_PROTOCOLS, RunningServer, serve

HANDSHAKE = (
    b"GET /feed HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
CLOSE_1000 = b"\x88\x82\0\0\0\0\x03\xe8"  # masked with zeros

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


def dial(server: RunningServer, request: bytes) -> socket.socket:
    """A connection on which this has been sent."""
    client = socket.create_connection(("127.0.0.1", server.port), SECONDS)
    client.sendall(request)
    return client


def faults(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """What was logged from WARNING upwards, by anybody but asyncio, which counts what it writes to a dead socket."""
    return [record for record in caplog.records if record.levelno >= logging.WARNING and record.name != "asyncio"]


@pytest.mark.parametrize("leaves", ["closes", "aborts"])
def test_client_that_leaves_a_handler_which_only_sends_ends_it(
    server: RunningServer, caplog: pytest.LogCaptureFixture, leaves: str
) -> None:
    """The server notices although its `send` never waits, and goes on serving others."""
    with caplog.at_level(logging.INFO, "lilya"), dial(server, HANDSHAKE) as client:
        assert client.recv(1 << 16).startswith(b"HTTP/1.1 101")
        if leaves == "closes":
            client.sendall(CLOSE_1000)
            while client.recv(1 << 16):
                pass
        else:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
        assert type(ended.get(timeout=SECONDS)).__name__ == "WebSocketDisconnect"
        with dial(server, b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n") as other:
            assert other.recv(1 << 16).startswith(b"HTTP/1.1 404")
    assert faults(caplog) == []


def test_client_that_leaves_in_the_middle_of_its_request_is_no_error(
    server: RunningServer, caplog: pytest.LogCaptureFixture
) -> None:
    """It promised 100 bytes and sent three: one line of INFO, and nothing from the server."""
    head = b"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nabc"
    with caplog.at_level(logging.INFO, "lilya"):
        dial(server, head).close()
        assert type(ended.get(timeout=SECONDS)).__name__ == "ClientDisconnect"
        with dial(server, b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n") as other:
            assert other.recv(1 << 16).startswith(b"HTTP/1.1 404")
    assert faults(caplog) == []
    lines = [record.getMessage() for record in caplog.records if record.name == "lilya"]
    assert lines == ["http /upload: The client left before its request was read to the end."]
