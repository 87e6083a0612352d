"""What HTTP requests and WebSockets have in common: reading the scope of a connection."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from lilya.datastructures import SECURE_SCHEMES, URL, Address, Header, QueryParam, State
from lilya.exceptions import ImproperlyConfigured
from lilya.types import Receive, Scope, Send

__all__ = ["Connection", "parse_cookies"]

# A backslash in a quoted cookie value: before three octal digits, or before the character that is meant.
_ESCAPE = re.compile(r"\\(?:([0-3][0-7][0-7])|(.))", re.DOTALL)


class Connection(Mapping[str, Any]):
    """
    An ASGI scope, with names for what is in it.

    It is a read-only mapping over the scope (`connection["path"]`), equal only to itself. What must be computed is
    computed when it is first asked for; the scope stays as the server made it, except that `state` is put into it.

    `receive` and `send` are what a `Request` or a `WebSocket` needs beyond that; here they are not used.
    """

    # One is made for each connection, so the constructor assigns the scope and nothing else: the other slots are
    # unset until their value is first read. `__dict__` and `__weakref__` let users add attributes and keep weak sets.
    __slots__ = (
        "__dict__",
        "__weakref__",
        "_base_url",
        "_cookies",
        "_headers",
        "_query_params",
        "_scope_state",
        "_url",
        "scope",
    )

    _base_url: URL
    _cookies: dict[str, str]
    _headers: Header
    _query_params: QueryParam
    _scope_state: State
    _url: URL

    def __init__(self, scope: Scope, receive: Receive | None = None, send: Send | None = None) -> None:
        self.scope = scope

    # -- the mapping ---------------------------------------------------------------------------------------------

    def __getitem__(self, key: str) -> Any:
        return self.scope[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.scope)

    def __len__(self) -> int:
        return len(self.scope)

    def __contains__(self, key: object) -> bool:
        return key in self.scope

    def get(self, key: str, default: Any = None) -> Any:
        """The scope's value of this name, or the default."""
        return self.scope.get(key, default)

    # Two connections with equal scopes are still two connections.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    # -- what the client asked for -------------------------------------------------------------------------------

    @property
    def url(self) -> URL:
        """The URL the client asked for."""
        try:
            return self._url
        except AttributeError:
            self._url = URL.build_from_scope(self.scope)
            return self._url

    @property
    def base_url(self) -> URL:
        """Where the application is mounted; ends with a slash, has no query."""
        try:
            return self._base_url
        except AttributeError:
            # Below an Include, `root_path` is that of the include and `app_root_path` that of the application.
            root = self.scope.get("app_root_path", self.scope.get("root_path", ""))
            root_scope = {**self.scope, "path": root.rstrip("/") + "/", "query_string": b""}
            self._base_url = URL.build_from_scope(root_scope)
            return self._base_url

    @property
    def headers(self) -> Header:
        """The request's headers; the names are the same in any case."""
        try:
            return self._headers
        except AttributeError:
            self._headers = Header.from_scope(self.scope)
            return self._headers

    @property
    def query_params(self) -> QueryParam:
        """The parameters of the query string."""
        try:
            return self._query_params
        except AttributeError:
            self._query_params = QueryParam(self.scope.get("query_string", b""))
            return self._query_params

    @property
    def path_params(self) -> dict[str, Any]:
        """The parameters of the routes that led here; empty without routing."""
        if "path_params" not in self.scope:
            return {}
        params: dict[str, Any] = self.scope["path_params"]
        return params

    @property
    def cookies(self) -> dict[str, str]:
        """
        The cookies of all `Cookie` headers (HTTP/2 splits them, RFC 9113 §8.2.3).

        If a name comes twice, the last value stays.
        """
        try:
            return self._cookies
        except AttributeError:
            self._cookies = parse_cookies("; ".join(self.headers.getlist("cookie")))
            return self._cookies

    def is_secure(self) -> bool:
        """Whether the scheme is `https` or `wss`."""
        return self.scope.get("scheme") in SECURE_SCHEMES

    # -- who talks -----------------------------------------------------------------------------------------------

    @property
    def client(self) -> Address | None:
        """The client's address, if the server knows it."""
        address = self.scope.get("client")
        return Address(*address) if address else None

    @property
    def server(self) -> Address | None:
        """The address the server listens on, if it says so."""
        address = self.scope.get("server")
        return Address(*address) if address else None

    # -- what the application added ------------------------------------------------------------------------------

    @property
    def app(self) -> Any:
        """The innermost application; None outside of one."""
        return self.scope.get("app")

    @property
    def state(self) -> State:
        """Values of this connection, first those the lifespan yielded; shared by all that see the scope."""
        try:
            return self._scope_state
        except AttributeError:
            self._scope_state = State(self.scope.setdefault("state", {}))
            return self._scope_state

    @property
    def user(self) -> Any:
        """Who is logged in, as the authentication middleware found out."""
        return self._set_by("user", "AuthenticationMiddleware")

    @property
    def auth(self) -> Any:
        """What the user may do, as the authentication middleware found out."""
        return self._set_by("auth", "AuthenticationMiddleware")

    @property
    def session(self) -> Any:
        """The session, as the session middleware keeps it."""
        return self._set_by("session", "SessionMiddleware")

    def _set_by(self, key: str, middleware: str) -> Any:
        try:
            return self.scope[key]
        except KeyError:
            raise ImproperlyConfigured(
                f"The connection has no {key!r}: add {middleware}, or another middleware that sets scope[{key!r}]."
            ) from None

    def path_for(self, name: str, /, **path_params: Any) -> URL:
        """
        The absolute URL of the route with this name (`"include:route"` inside a named Include).

        Its scheme is ws or wss for a WebSocket route, http or https for an HTTP route.

        Raises:
            NoMatchFound: There is no route with this name and exactly these parameters.
            RuntimeError: The connection does not run inside an application.
        """
        router = self.scope.get("router")
        if router is None:
            raise RuntimeError(
                f"path_for({name!r}) needs an application or a router around: the scope has no 'router'."
            )
        url: URL = router.path_for(name, **path_params).make_absolute_url(self.base_url)
        return url

    url_path_for = path_for


def parse_cookies(header: str) -> dict[str, str]:
    """
    The cookies of a `Cookie` header, read as leniently as browsers do (RFC 6265 §5.4).

    A part without a name is dropped; a value in double quotes is taken out of them. No text raises.
    """
    cookies = {}
    for part in header.split(";"):
        name, equals, value = part.partition("=")
        name = name.strip()
        if name and equals:
            cookies[name] = _unquoted(value.strip())
    return cookies


def _unquoted(value: str) -> str:
    if len(value) < 2 or not value[0] == value[-1] == '"':
        return value
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)) if match[1] else match[2], value[1:-1])
