"""The client for async tests: app, client and test on one event loop."""

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import httpx

from lilya.testclient._handshake import Query, handshake
from lilya.testclient._http import AsyncAppTransport
from lilya.testclient._lifespan import LifespanRun
from lilya.testclient._patience import DEFAULT, Timeout, seconds_of
from lilya.testclient._session import AsyncWebSocketTestSession
from lilya.testclient._subject import Subject, SubjectOwner, headers_for
from lilya.types import ApplicationType

__all__ = ["AsyncTestClient"]


class AsyncTestClient(SubjectOwner, httpx.AsyncClient):
    """
    An `httpx.AsyncClient` that runs an app in process, on the event loop of the test and without threads.

        async with AsyncTestClient(app) as client:
            async with client.websocket_connect("/ws/ana") as websocket:
                await websocket.send_text("hello")

    Several clients, and several connections of each, may be in use at once. `async with` runs the app's lifespan;
    without it requests and connections work too, but no lifespan runs. The arguments are those of `TestClient`.
    """

    def __init__(
        self,
        app: ApplicationType,
        base_url: str = "http://testserver",
        *,
        raise_server_exceptions: bool = True,
        root_path: str = "",
        cookies: Any = None,
        headers: Any = None,
        follow_redirects: bool = True,
        check_asgi_conformance: bool = True,
        timeout: float | httpx.Timeout | None = 5.0,
    ) -> None:
        self._subject = Subject(
            app,
            root_path=root_path,
            raise_server_exceptions=raise_server_exceptions,
            check_asgi_conformance=check_asgi_conformance,
        )
        self._lifespan: LifespanRun | None = None
        super().__init__(
            base_url=base_url,
            cookies=cookies,
            headers=headers_for(headers),
            follow_redirects=follow_redirects,
            timeout=timeout,
            transport=AsyncAppTransport(self._subject),
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
    ) -> AsyncWebSocketTestSession:
        """
        A connection that opens on `async with`; `timeout` is the default of its waits, the rest as for a request.

        Raises:
            RuntimeError: `url` is absolute and not ws:// or wss://.
        """
        request = handshake(self, url, subprotocols, headers=headers, params=params, cookies=cookies, auth=auth)
        return AsyncWebSocketTestSession(self._subject, request, seconds_of(timeout, self.timeout))

    # httpx would allow one block in the life of a client and none after the first request; there is nothing to close
    # here, so a block may be entered again, and each runs the lifespan once.
    async def __aenter__(self) -> Self:
        if self._lifespan is not None:
            raise RuntimeError("This client's block is already entered; another client may be used at the same time")
        lifespan = LifespanRun(self._subject, self.timeout.read)
        await lifespan.start()
        self._lifespan = lifespan
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        lifespan, self._lifespan = self._lifespan, None
        if lifespan is not None:
            await lifespan.stop()
