"""examples/echo.py, served with uvicorn."""

from websockets.sync.client import connect

from tests.support.servers import serve_file


def test_echo_returns_what_it_is_sent() -> None:
    """Every text comes back as it was, in order, characters of any script included."""
    with serve_file("examples/echo.py") as server, connect(server.ws_url("/")) as websocket:
        for text in ("hello", "", "Grüße, 世界"):
            websocket.send(text)
            assert websocket.recv() == text
