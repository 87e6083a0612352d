"""Nothing that a client shows, and nothing that it is given, ends up in the logs."""

import logging
import traceback
from collections.abc import Iterator
from typing import Any

import pytest

from lilya.apps import Lilya
from lilya.exceptions import AuthenticationError
from lilya.permissions import DefinePermission
from lilya.permissions.authentication import Authenticated, Requires, Tickets, bearer_token
from lilya.requests import Connection, Request
from lilya.responses import JSONResponse
from lilya.testclient import TestClient
from lilya.websockets import WebSocket, WebSocketDisconnect

RIGHT = "right-s3cr3t"
EXPIRED = "expired-s3cr3t"
WRONG = "wrong-s3cr3t"
TOKENS = (RIGHT, EXPIRED, WRONG)

# Every way to show a token: options of the test client.
WAYS: dict[str, Any] = {
    "header": lambda token: {"headers": {"authorization": f"Bearer {token}"}},
    "scheme in capitals": lambda token: {"headers": {"authorization": f"BEARER {token}"}},
    "other scheme": lambda token: {"headers": {"authorization": f"Basic {token}"}},
    "two words": lambda token: {"headers": {"authorization": f"Bearer {token} {token}"}},
    "cookie": lambda token: {"headers": {"cookie": f"session={token}"}},
    "subprotocol": lambda token: {"subprotocols": ["bearer", token]},
    "subprotocol with another": lambda token: {"subprotocols": ["chat.v1", "bearer", token]},
    "ticket": lambda token: {"subprotocols": ["ticket", token]},
    "query string": lambda token: {"params": {"ticket": token}},
}

# Every way in which a handler may go on.
PATHS = ("/quiet", "/return", "/choose", "/fail", "/late", "/close", "/twice", "/nowhere", "/rights/x")


async def who(connection: Connection) -> str | None:
    token = bearer_token(connection, cookie="session")
    if token == EXPIRED:
        raise AuthenticationError(f"The token {token} has expired.")
    return "ana" if token == RIGHT else None


def everything_of(record: logging.LogRecord) -> str:
    """All that a formatter could write of a record: message, arguments, traceback, and extra fields."""
    error = "".join(traceback.format_exception(*record.exc_info)) if record.exc_info else ""
    return "\n".join([record.getMessage(), error, repr(record.__dict__)])


def everything_in(logs: pytest.LogCaptureFixture) -> str:
    """The same of all records of this library; others, such as httpx, write what the test itself sends."""
    ours = [record for record in logs.records if record.name == "lilya" or record.name.startswith("lilya.")]
    return "\n".join(map(everything_of, ours))


@pytest.fixture
def logs(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """All that `lilya` and the loggers below it write, from DEBUG on."""
    with caplog.at_level(logging.DEBUG, "lilya"), caplog.at_level(logging.DEBUG, "lilya.websocket"):
        yield caplog


def guarded_app(tickets: Tickets, refuse: str) -> Lilya:
    """One route for each way to go on, behind a permission that knows tokens and tickets."""

    async def anybody(connection: Connection) -> Any:
        return await tickets.redeem(connection) or await who(connection)

    app = Lilya(permissions=[DefinePermission(Authenticated, anybody, refuse=refuse)])

    @app.post("/ticket")
    async def hand_out(request: Request) -> JSONResponse:
        response = JSONResponse({"ticket": await tickets.issue(request.user)})
        response.set_cookie("session", RIGHT, httponly=True)
        return response

    @app.get("/page")
    async def page(request: Request) -> str:
        raise RuntimeError("a fault of the handler")

    @app.websocket("/quiet")
    async def quiet(websocket: WebSocket) -> None:
        """Answers nothing."""

    @app.websocket("/return")
    async def leave(websocket: WebSocket) -> None:
        await websocket.accept()

    @app.websocket("/choose")
    async def choose(websocket: WebSocket) -> None:
        await websocket.accept("not-offered")

    @app.websocket("/fail")
    async def fail(websocket: WebSocket) -> None:
        raise RuntimeError("a fault of the handler")

    @app.websocket("/late")
    async def fail_late(websocket: WebSocket) -> None:
        await websocket.accept()
        raise RuntimeError("a fault of the handler")

    @app.websocket("/close")
    async def close(websocket: WebSocket) -> None:
        await websocket.close(4000, "no")

    @app.websocket("/twice")
    async def accept_twice(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.accept()

    @app.websocket("/rights/x", permissions=[DefinePermission(Requires, lambda connection: False, refuse=refuse)])
    async def never(websocket: WebSocket) -> None:
        """Nobody comes here."""

    return app


def visit(client: TestClient, path: str, **options: Any) -> None:
    """Connect and read until the end, whatever that is."""
    try:
        with client.websocket_connect(path, **options) as websocket:
            websocket.receive_text()
    except WebSocketDisconnect:
        pass


@pytest.mark.parametrize("refuse", ["deny", "close"])
@pytest.mark.parametrize("way", WAYS)
def test_logs_hold_no_credential(way: str, refuse: str, logs: pytest.LogCaptureFixture) -> None:
    """Right, expired and wrong tokens, shown in every way, on handlers that end in every way."""
    client = TestClient(guarded_app(Tickets(), refuse), raise_server_exceptions=False)
    for token in TOKENS:
        options = WAYS[way](token)
        for path in PATHS:
            visit(client, path, **options)
        if "subprotocols" not in options:
            client.get("/page", **options)
            client.get("/nowhere", **options)
            client.post("/ticket", **options)
    text = everything_in(logs)
    assert "401" in text
    assert [token for token in TOKENS if token in text] == []


@pytest.mark.parametrize("refuse", ["deny", "close"])
def test_logs_hold_no_ticket(refuse: str, logs: pytest.LogCaptureFixture) -> None:
    """Tickets that are issued, redeemed, and shown again, by subprotocol and in the query string."""
    client = TestClient(guarded_app(Tickets(), refuse), raise_server_exceptions=False)
    issued: list[str] = []
    for path in PATHS:
        for way in ("ticket", "query string"):
            answer = client.post("/ticket", headers={"authorization": f"Bearer {RIGHT}"})
            issued.append(answer.json()["ticket"])
            assert answer.cookies["session"] == RIGHT
            client.cookies.clear()
            for _ in range(2):
                visit(client, path, **WAYS[way](issued[-1]))
    text = everything_in(logs)
    assert text
    assert [secret for secret in (*issued, RIGHT) if secret in text] == []


def test_logs_are_looked_through_to_the_end(logs: pytest.LogCaptureFixture) -> None:
    """The check itself finds a secret in a message, an argument, a traceback and an extra field."""
    logger = logging.getLogger("lilya.test")
    try:
        raise KeyError(WRONG)
    except KeyError:
        logger.debug("failed", exc_info=True)
    logger.debug("token %s", WRONG)
    logger.debug("quiet", extra={"token": WRONG})
    assert [WRONG in everything_of(record) for record in logs.records] == [True, True, True]
