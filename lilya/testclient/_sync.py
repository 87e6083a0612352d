"""The client for synchronous tests: the async core on an event loop in a background thread."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from types import TracebackType
from typing import Any, Self

import httpx

from lilya.testclient._handshake import Query, handshake
from lilya.testclient._http import respond, seconds_for
from lilya.testclient._lifespan import LifespanRun
from lilya.testclient._patience import DEFAULT, Timeout, seconds_of
from lilya.testclient._portal import Portal
from lilya.testclient._session import AsyncWebSocketTestSession
from lilya.testclient._subject import Subject, SubjectOwner, headers_for
from lilya.types import ApplicationType, Message, Scope

__all__ = ["TestClient", "WebSocketTestSession"]


class WebSocketTestSession:
    """
    One WebSocket connection to the app, for synchronous tests; nothing runs until `with`.

    Everything is as described at `AsyncWebSocketTestSession`, without the `await`.
    """

    def __init__(
        self, session: AsyncWebSocketTestSession, open_portal: Callable[[], AbstractContextManager[Portal]]
    ) -> None:
        self._session = session
        self._open_portal = open_portal
        self._portal: Portal | None = None
        self._stack = ExitStack()

    @property
    def scope(self) -> Scope:
        """The ASGI scope of the connection."""
        return self._session.scope

    @property
    def accepted_subprotocol(self) -> str | None:
        """Which subprotocol the app chose; None before the connection is accepted."""
        return self._session.accepted_subprotocol

    @property
    def extra_headers(self) -> list[tuple[bytes, bytes]]:
        """The headers of the app's accept message, as pairs of bytes."""
        return self._session.extra_headers

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            portal = stack.enter_context(self._open_portal())
            portal.call(_times(3, self._session.timeout), self._session.__aenter__)
            self._portal = portal
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        portal, self._portal = self._running(), None
        with self._stack:
            portal.call(_times(2, self._session.timeout), self._session.__aexit__, kind, error, traceback)

    def send(self, message: Message) -> None:
        """Hand the app a raw ASGI message; a `websocket.disconnect` ends the connection."""
        self._running().call(self._session.timeout, self._session.send, message)

    def send_text(self, data: str) -> None:
        """Send a text message."""
        self._running().call(self._session.timeout, self._session.send_text, data)

    def send_bytes(self, data: bytes) -> None:
        """Send a binary message."""
        self._running().call(self._session.timeout, self._session.send_bytes, data)

    def send_json(self, data: Any, mode: str = "text") -> None:
        """Send JSON without spaces, in a text message or (`mode="binary"`) in a binary one."""
        self._running().call(self._session.timeout, self._session.send_json, data, mode)

    def close(self, code: int = 1000, reason: str | None = None) -> None:
        """Disconnect with this code and reason; leaving then sends nothing more. Closing twice does nothing."""
        self._running().call(self._session.timeout, self._session.close, code, reason)

    def receive(self, timeout: Timeout = DEFAULT) -> Message:
        """The next raw ASGI message of the app."""
        return self._running().call(self._seconds(timeout), self._session.receive, timeout)

    def receive_text(self, timeout: Timeout = DEFAULT) -> str:
        """The next message, which must be text."""
        return self._running().call(self._seconds(timeout), self._session.receive_text, timeout)

    def receive_bytes(self, timeout: Timeout = DEFAULT) -> bytes:
        """The next message, which must be binary."""
        return self._running().call(self._seconds(timeout), self._session.receive_bytes, timeout)

    def receive_json(self, mode: str = "text", timeout: Timeout = DEFAULT) -> Any:
        """The JSON in the next message, which must be text or (`mode="binary"`) binary."""
        return self._running().call(self._seconds(timeout), self._session.receive_json, mode, timeout)

    def _running(self) -> Portal:
        if self._portal is None:
            raise RuntimeError(
                "The connection is not open; open it with `with client.websocket_connect(...) as websocket:`"
            )
        return self._portal

    def _seconds(self, timeout: Timeout) -> float | None:
        return seconds_of(timeout, self._session.timeout)


class TestClient(SubjectOwner, httpx.Client):
    """
    An `httpx.Client` that runs an app in process.

        with TestClient(app) as client:
            assert client.get("/health").status_code == 200
            with client.websocket_connect("/ws/ana") as websocket:
                websocket.send_text("hello")

    `with` runs the app's lifespan, and everything in the block happens on one event loop, in a background thread.
    Without it each request, and each connection, has an event loop of its own, and no lifespan runs.

    Args:
        app: Any ASGI app.
        base_url: What relative URLs refer to; also decides scheme, host and port in the scopes.
        raise_server_exceptions: Raise what the app raises; otherwise the test sees only what a peer does.
        root_path: `scope["root_path"]`.
        backend: "asyncio"; there is no other.
        backend_options: `debug` and `loop_factory` of `asyncio.Runner`.
        cookies, headers: Sent with every request and handshake.
        follow_redirects: Follow HTTP redirects.
        check_asgi_conformance: Refuse malformed and misplaced messages of the app with `ConformanceError`.
        timeout: Seconds that any wait for the app may take; None: no limit.

    Raises:
        ValueError: Another backend, or an option it does not have.
    """

    __test__ = False  # pytest collects classes by their name

    def __init__(
        self,
        app: ApplicationType,
        base_url: str = "http://testserver",
        raise_server_exceptions: bool = True,
        root_path: str = "",
        backend: str = "asyncio",
        backend_options: dict[str, Any] | None = None,
        cookies: Any = None,
        headers: Any = None,
        follow_redirects: bool = True,
        check_asgi_conformance: bool = True,
        timeout: float | httpx.Timeout | None = 5.0,
    ) -> None:
        self._options = _runner_options(backend, backend_options)
        self._subject = Subject(
            app,
            root_path=root_path,
            raise_server_exceptions=raise_server_exceptions,
            check_asgi_conformance=check_asgi_conformance,
        )
        self._portal: Portal | None = None
        self._stack = ExitStack()
        super().__init__(
            base_url=base_url,
            cookies=cookies,
            headers=headers_for(headers),
            follow_redirects=follow_redirects,
            timeout=timeout,
            transport=_AppTransport(self._subject, self._open_portal),
        )

    def websocket_connect(
        self,
        url: httpx.URL | str,
        subprotocols: Sequence[str] | None = None,
        *,
        headers: Any = None,
        params: Query = None,
        cookies: Any = None,
        auth: tuple[str, str] | httpx.Auth | None = None,
        timeout: Timeout = DEFAULT,
    ) -> WebSocketTestSession:
        """
        A connection that opens on `with`; `timeout` is the default of its waits, the rest as for a request.

        Raises:
            RuntimeError: `url` is absolute and not ws:// or wss://.
        """
        request = handshake(self, url, subprotocols, headers=headers, params=params, cookies=cookies, auth=auth)
        session = AsyncWebSocketTestSession(self._subject, request, seconds_of(timeout, self.timeout))
        return WebSocketTestSession(session, self._open_portal)

    # httpx would allow one block in the life of a client and none after the first request; there is nothing to close
    # here, so a block may be entered again, and each runs the lifespan once.
    def __enter__(self) -> Self:
        if self._portal is not None:
            raise RuntimeError("This client's block is already entered; another client may be used at the same time")
        seconds = self.timeout.read
        lifespan = LifespanRun(self._subject, seconds)
        with ExitStack() as stack:
            portal = stack.enter_context(Portal(self._options))
            portal.call(_times(3, seconds), lifespan.start)
            stack.callback(portal.call, _times(3, seconds), lifespan.stop)
            self._portal = portal
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self._portal = None
        self._stack.close()

    def _open_portal(self) -> AbstractContextManager[Portal]:
        """The loop of the block, or one for this use alone."""
        return Portal(self._options) if self._portal is None else nullcontext(self._portal)


class _AppTransport(httpx.BaseTransport):
    """Answers the requests of an httpx client by running the app on a portal's loop."""

    def __init__(self, subject: Subject, open_portal: Callable[[], AbstractContextManager[Portal]]) -> None:
        self._subject = subject
        self._open_portal = open_portal

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        with self._open_portal() as portal:
            return portal.call(_times(3, seconds_for(request)), respond, self._subject, request)


def _times(waits: int, seconds: float | None) -> float | None:
    """The limit for a call that waits so many times in a row."""
    return None if seconds is None else waits * seconds


def _runner_options(backend: str, options: dict[str, Any] | None) -> dict[str, Any]:
    if backend != "asyncio":
        raise ValueError(f"TestClient: backend {backend!r} is not supported; use backend='asyncio' or leave it out")
    # What is switched off need not be known.
    chosen = {name: value for name, value in (options or {}).items() if value}
    unknown = chosen.keys() - {"debug", "loop_factory"}
    if unknown:
        raise ValueError(
            f"TestClient: unknown backend_options {sorted(unknown)}; known: 'debug', 'loop_factory' "
            "(such as uvloop.new_event_loop)"
        )
    return chosen
