"""The app under test with all that a client knows about it, and the scopes made from a request and that knowledge."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

import httpx

from lilya._netloc import DEFAULT_PORTS
from lilya.testclient._conformance import HTTP, LIFESPAN, WEBSOCKET, OrderedRules
from lilya.testclient._conversation import Conversation
from lilya.types import ApplicationType, Scope

__all__ = ["Subject", "SubjectOwner", "headers_for"]


class Subject:
    """
    The app under test and how to call it.

    Attributes:
        state: The lifespan's state; every connection gets a shallow copy (ASGI spec "Lifespan State").
        identity: Merged into every scope: `user` and `auth` of somebody who is logged in, otherwise nothing.
    """

    def __init__(
        self, app: ApplicationType, *, root_path: str, raise_server_exceptions: bool, check_asgi_conformance: bool
    ) -> None:
        self.app = app
        self.state: dict[str, Any] = {}
        self.identity: dict[str, Any] = {}
        self._root_path = root_path
        self._raise_server_exceptions = raise_server_exceptions
        self._check = check_asgi_conformance

    def websocket(self, scope: Scope) -> Conversation:
        """A conversation for a WebSocket connection, not started."""
        rules = OrderedRules(WEBSOCKET) if self._check else None
        name = f"websocket {scope['path']}"
        return Conversation(self.app, scope, name, rules, raise_app_errors=self._raise_server_exceptions)

    def http(self, request: httpx.Request) -> Conversation:
        """A conversation for one request, not started."""
        rules = OrderedRules(HTTP) if self._check else None
        scope = self._scope("http", request, request.url.scheme)
        scope["method"] = request.method
        name = f"{request.method} {scope['path']}"
        return Conversation(self.app, scope, name, rules, raise_app_errors=self._raise_server_exceptions)

    def lifespan(self) -> Conversation:
        """A conversation for a lifespan, not started; begins with an empty state."""
        self.state.clear()
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        rules = OrderedRules(LIFESPAN) if self._check else None
        return Conversation(self.app, scope, "lifespan", rules, raise_app_errors=True)

    def websocket_scope(self, request: httpx.Request) -> Scope:
        """The scope of the handshake that `request` describes (its URL is http or https, see `_handshake`)."""
        scope = self._scope("websocket", request, request.url.scheme.replace("http", "ws"))
        offered = request.headers.get("sec-websocket-protocol", "")
        scope["subprotocols"] = [name.strip() for name in offered.split(",") if name.strip()]
        scope["extensions"] = {"websocket.http.response": {}}
        return scope

    def _scope(self, kind: str, request: httpx.Request, scheme: str) -> Scope:
        url = request.url
        # ASGI: the raw path is the path as it was sent, without the query string.
        raw_path = url.raw_path.partition(b"?")[0]
        return {
            "type": kind,
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": scheme,
            "path": unquote(raw_path.decode("ascii")),
            "raw_path": raw_path,
            "root_path": self._root_path,
            "query_string": url.query,
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "client": None,
            "server": [url.host, url.port or DEFAULT_PORTS[scheme]],
            "state": self.state.copy(),
            **self.identity,
        }


class SubjectOwner:
    """The part of a client's surface that is about the app; sync and async clients share it."""

    _subject: Subject

    @property
    def app(self) -> ApplicationType:
        """The application under test."""
        return self._subject.app

    @property
    def app_state(self) -> dict[str, Any]:
        """The state that the application's lifespan has set."""
        return self._subject.state

    @property
    def routes(self) -> Any:
        """The routes of the application, if it has any to show."""
        return self._subject.app.routes

    def authenticate(self, user: Any) -> None:
        """
        Log in: from now on `scope["user"]` is `user`, and `scope["auth"]` has `scopes == ["authenticated"]`.

        That is what an authentication middleware leaves in the scope; one that the app has of its own comes later and
        decides for itself.
        """
        self._subject.identity = {"user": user, "auth": SimpleNamespace(scopes=["authenticated"])}

    def logout(self) -> None:
        """Log out: scopes have neither `user` nor `auth`."""
        self._subject.identity = {}

    @contextmanager
    def authenticated(self, user: Any) -> Iterator[None]:
        """Logged in within the block; afterwards whoever was logged in before is so again."""
        before = self._subject.identity
        self.authenticate(user)
        try:
            yield
        finally:
            self._subject.identity = before


def headers_for(headers: Any) -> httpx.Headers:
    """The client's own headers: the caller's, which stay untouched, and a user agent."""
    own = httpx.Headers(headers)
    own.setdefault("user-agent", "testclient")
    return own
