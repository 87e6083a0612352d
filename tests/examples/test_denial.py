"""examples/denial.py, served with uvicorn on each of its WebSocket protocols."""

import json

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.support.servers import WS_PROTOCOLS, serve_file


@pytest.mark.parametrize("ws", WS_PROTOCOLS)
def test_denial_answers_the_handshake_with_json(ws: str) -> None:
    """A room that is not there is a 404 with a JSON body; one that is there lets in."""
    with serve_file("examples/denial.py", options=("--ws", ws)) as server:
        with pytest.raises(InvalidStatus) as refused:
            connect(server.ws_url("/rooms/attic"))
        answer = refused.value.response
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/json")
        assert answer.body is not None
        assert json.loads(answer.body) == {"error": "There is no room attic.", "rooms": ["garden", "lobby"]}

        with connect(server.ws_url("/rooms/lobby")) as websocket:
            assert websocket.recv() == "Welcome to the lobby!"
