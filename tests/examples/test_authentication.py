"""examples/authentication.py, served with uvicorn."""

from collections.abc import Iterator

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.support.servers import RunningFile, serve_file

NOBODY: list[dict[str, str]] = [
    {},
    {"Authorization": ""},
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer nobody-secret"},
    {"Authorization": "Basic ana-secret"},
    {"Authorization": "ana-secret"},
]


@pytest.fixture(scope="module")
def server() -> Iterator[RunningFile]:
    """The example in a process of its own; it keeps no state that one test could leave to another."""
    with serve_file("examples/authentication.py") as running:
        yield running


@pytest.mark.parametrize("headers", NOBODY, ids=str)
def test_authentication_refuses_whoever_shows_no_token(server: RunningFile, headers: dict[str, str]) -> None:
    """The same 401 with the same header over HTTP and on the handshake of a WebSocket."""
    response = httpx.get(server.url("/"), headers=headers)
    assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
    with pytest.raises(InvalidStatus) as refused:
        connect(server.ws_url("/ws"), additional_headers=headers)
    answer = refused.value.response
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.body == response.content == b"Show a valid token."


@pytest.mark.parametrize("user", ["ana", "bob"])
def test_authentication_tells_the_handlers_who_it_is(server: RunningFile, user: str) -> None:
    """With a token the permission lets in, and the handlers know the user."""
    headers = {"Authorization": f"Bearer {user}-secret"}
    assert httpx.get(server.url("/"), headers=headers).json() == {"user": user}
    with connect(server.ws_url("/ws"), additional_headers=headers) as websocket:
        assert websocket.recv() == f"Hello, {user}!"
