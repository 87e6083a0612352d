"""
Three doors to an application: uvicorn with either of its WebSocket protocols, and the test client.

`open_door(name)` gives a `Door`; `door.visit(app, talk=…)` makes one connection to `app` and returns what a client saw
of it, from the answer to the handshake to the close frame. A visit ends when the application has ended too, and the
server has done what it does then: what it logs has been logged.
"""

import asyncio
import contextlib
import queue
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from lilya.exceptions import WebSocketDisconnect
from lilya.testclient import TestClient, WebSocketDenialResponse
from lilya.testclient import WebSocketTestSession as TestSession
from lilya.types import ASGIApp, Receive, Scope, Send
from lilya.websockets import WebSocketClose
from tests.support.servers import WS_PROTOCOLS, RunningServer, serve

__all__ = ["DOORS", "Client", "Door", "Seen", "Talk", "open_door", "without_denials"]

DOORS = (*WS_PROTOCOLS, "testclient")

# Reached only if something hangs.
SECONDS = 10


class Client(Protocol):
    """The client's side of an accepted connection."""

    def send(self, message: str | bytes, /) -> None:
        """Send a text message, or a binary one for bytes."""

    def recv(self) -> Any:
        """The next message, `str` or `bytes`."""

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Leave."""


Talk = Callable[[Client], None]


@dataclass(frozen=True)
class Seen:
    """
    What a client saw of a connection.

    Attributes:
        status, headers, body: The answer to the handshake; 101 if it was accepted.
        subprotocol: The one the server chose.
        messages: What came after the client had finished talking.
        code, reason: Of the server's close frame, or the echo of the client's own.
        raised: What came out of the application into the server; None is how it should be.
    """

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    subprotocol: str | None = None
    messages: list[str | bytes] = field(default_factory=list)
    code: int | None = None
    reason: str = ""
    raised: BaseException | None = None

    @property
    def close(self) -> tuple[int | None, str]:
        """Code and reason."""
        return self.code, self.reason


def nothing(client: Client) -> None:
    """Say nothing."""


class Door(Protocol):
    """A way to reach an application."""

    def visit(
        self,
        app: ASGIApp,
        path: str = "/",
        talk: Talk = nothing,
        *,
        subprotocols: Sequence[str] = (),
        headers: dict[str, str] | None = None,
    ) -> Seen:
        """Connect, talk, read what else comes until the end, and wait for the application to return."""


class _Stage:
    """Runs one application after another on one server, and says how each of them ended."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.endings: queue.Queue[BaseException | None] = queue.Queue()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        error: BaseException | None = None
        try:
            await self.app(scope, receive, send)
        except BaseException as raised:
            error = raised
            raise
        finally:
            # In the next turn of the loop: the server goes on in this one, and may log what came out.
            asyncio.get_running_loop().call_soon(self.endings.put, error)


class _Live:
    def __init__(self, server: RunningServer, stage: _Stage) -> None:
        self.server = server
        self.stage = stage

    def visit(
        self,
        app: ASGIApp,
        path: str = "/",
        talk: Talk = nothing,
        *,
        subprotocols: Sequence[str] = (),
        headers: dict[str, str] | None = None,
    ) -> Seen:
        self.stage.app = app
        seen = self._see(path, talk, [Subprotocol(name) for name in subprotocols] or None, headers)
        return Seen(**{**vars(seen), "raised": self.stage.endings.get(timeout=SECONDS)})

    def _see(
        self, path: str, talk: Talk, subprotocols: list[Subprotocol] | None, headers: dict[str, str] | None
    ) -> Seen:
        url = self.server.ws_url(path)
        try:
            client = connect(url, subprotocols=subprotocols, additional_headers=headers, proxy=None)
        except InvalidStatus as refusal:
            answer = refusal.response
            return Seen(answer.status_code, _lower(answer.headers.raw_items()), bytes(answer.body))
        with client:
            talk(client)
            messages = list(_rest(client))
        assert client.response is not None
        return Seen(
            101,
            _lower(client.response.headers.raw_items()),
            subprotocol=client.subprotocol,
            messages=messages,
            code=client.close_code,
            reason=client.close_reason or "",
        )


def _rest(client: ClientConnection) -> Iterator[str | bytes]:
    with contextlib.suppress(ConnectionClosed):
        while True:
            yield client.recv(timeout=SECONDS)


class _InProcess:
    def visit(
        self,
        app: ASGIApp,
        path: str = "/",
        talk: Talk = nothing,
        *,
        subprotocols: Sequence[str] = (),
        headers: dict[str, str] | None = None,
    ) -> Seen:
        stage = _Stage(app)
        seen = self._see(TestClient(stage, raise_server_exceptions=False), path, talk, subprotocols, headers)
        return Seen(**{**vars(seen), "raised": stage.endings.get(timeout=SECONDS)})

    def _see(
        self, client: TestClient, path: str, talk: Talk, subprotocols: Sequence[str], headers: dict[str, str] | None
    ) -> Seen:
        try:
            with client.websocket_connect(path, subprotocols=list(subprotocols), headers=headers) as session:
                visitor = _Visitor(session)
                talk(visitor)
                messages = list(visitor.rest())
        except WebSocketDenialResponse as denial:
            return Seen(denial.status_code, _lower(denial.headers.items()), denial.content)
        except WebSocketDisconnect:
            # A close before accept, which a server answers with an empty 403.
            return Seen(403)
        return Seen(
            101,
            _lower((name.decode("latin-1"), value.decode("latin-1")) for name, value in session.extra_headers),
            subprotocol=session.accepted_subprotocol,
            messages=messages,
            code=visitor.end[0],
            reason=visitor.end[1],
        )


class _Visitor:
    """A session of the test client with the methods of a client."""

    def __init__(self, session: TestSession) -> None:
        self.session = session
        self.end: tuple[int, str] = (1006, "")

    def send(self, message: str | bytes, /) -> None:
        if isinstance(message, str):
            self.session.send_text(message)
        else:
            self.session.send_bytes(message)

    def recv(self) -> Any:
        message = self.session.receive()
        return message["text"] if message.get("text") is not None else message["bytes"]

    def close(self, code: int = 1000, reason: str = "") -> None:
        self.session.close(code, reason)

    def rest(self) -> Iterator[str | bytes]:
        try:
            while (message := self.session.receive())["type"] != "websocket.close":
                yield message["text"] if message.get("text") is not None else message["bytes"]
            self.end = message["code"], message["reason"]
        except WebSocketDisconnect as end:
            self.end = end.code, end.reason


def _lower(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers}


def without_denials(app: ASGIApp) -> ASGIApp:
    """The same application on a server that lacks the extension "WebSocket Denial Response"."""

    async def lacking(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "extensions": {}}, receive, send)

    return lacking


@contextlib.contextmanager
def open_door(name: str) -> Iterator[Door]:
    """The door of this name, one of `DOORS`; a server runs until the block ends."""
    if name == "testclient":
        yield _InProcess()
        return
    stage = _Stage(WebSocketClose())
    with serve(stage, ws=name, lifespan="off") as server:
        yield _Live(server, stage)
