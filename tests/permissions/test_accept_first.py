"""Answers that a page in a browser can see: `accept_first` of the exceptions."""

import pytest

from lilya.apps import Lilya
from lilya.exceptions import HTTPException, NotAuthorized, PermissionDenied, WebSocketException
from lilya.testclient import TestClient, WebSocketDenialResponse
from lilya.websockets import WebSocket, WebSocketDisconnect


class Expired(NotAuthorized):
    """A class whose instances all accept first."""

    accept_first = True


class Bare(HTTPException):
    """A class of a user that does not call the constructor of its base."""

    def __init__(self) -> None:
        self.args = ()


def test_accept_first_is_off_unless_asked_for() -> None:
    """By keyword for one instance, or as a class attribute for all of them; it is not among the extra values."""
    assert not HTTPException().accept_first
    assert not WebSocketException(1008).accept_first
    assert not Bare().accept_first
    error = PermissionDenied("no", accept_first=True, seat=3)
    assert (error.accept_first, error.extra, error.detail) == (True, {"seat": 3}, "no")
    assert WebSocketException(4000, "why", accept_first=True).accept_first
    assert Expired().accept_first
    assert not PermissionDenied.accept_first


@pytest.mark.parametrize(
    ("error", "close"),
    [
        (NotAuthorized("Log in.", accept_first=True), (4401, "Log in.")),
        (PermissionDenied("no", accept_first=True), (4403, "no")),
        (HTTPException(status_code=429, accept_first=True), (4429, "Too Many Requests")),
        (HTTPException(status_code=503, accept_first=True), (1011, "")),
        (WebSocketException(4000, "why", accept_first=True), (4000, "why")),
        (Expired("again"), (4401, "again")),
    ],
    ids=str,
)
def test_accept_first_shows_the_code_to_the_client(error: Exception, close: tuple[int, str]) -> None:
    """The connection is opened, and closed with the code that it would be closed with after accept."""
    app = Lilya()

    @app.websocket("/")
    async def refuse(websocket: WebSocket) -> None:
        raise error

    with TestClient(app).websocket_connect("/") as websocket:
        with pytest.raises(WebSocketDisconnect) as closed:
            websocket.receive_text()
        assert (closed.value.code, closed.value.reason) == close


def test_accept_first_changes_nothing_after_accept_and_on_http() -> None:
    """An open WebSocket is closed, a request is answered."""
    app = Lilya()

    @app.websocket("/")
    async def close(websocket: WebSocket) -> None:
        await websocket.accept()
        raise NotAuthorized(accept_first=True)

    @app.get("/")
    async def deny() -> None:
        raise NotAuthorized("Log in.", accept_first=True)

    client = TestClient(app)
    with client.websocket_connect("/") as websocket:
        with pytest.raises(WebSocketDisconnect) as closed:
            websocket.receive_text()
        assert closed.value.code == 4401
    assert (client.get("/").status_code, client.get("/").text) == (401, "Log in.")


def test_without_accept_first_the_handshake_is_denied() -> None:
    """The default: an HTTP response."""
    app = Lilya()

    @app.websocket("/")
    async def refuse(websocket: WebSocket) -> None:
        raise NotAuthorized

    with pytest.raises(WebSocketDenialResponse) as denied, TestClient(app).websocket_connect("/"):
        pass
    assert denied.value.status_code == 401
