"""What HTTP requests and WebSockets have in common: reading the scope of a connection."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from lilya._cookies import parse_cookies
from lilya._url import SECURE_SCHEMES
from lilya.datastructures import URL, Address, Header, QueryParam, State
from lilya.exceptions import ImproperlyConfigured
from lilya.types import Receive, Scope, Send

__all__ = ["Connection"]


def _once(slot: str, compute: Callable[[Any], Any]) -> Any:
    """A property that is computed when it is first read, and kept in this slot."""

    def read(self: Connection) -> Any:
        try:
            return getattr(self, slot)
        except AttributeError:
            value = compute(self)
            setattr(self, slot, value)
            return value

    return property(read)


def _set_by(middleware: str, key: str) -> Any:
    """A property that a middleware has to put into the scope."""

    def read(self: Connection) -> Any:
        if key in self.scope:
            return self.scope[key]
        raise ImproperlyConfigured(
            f"The connection has no {key!r}: add {middleware}, or another middleware that sets scope[{key!r}]."
        )

    return property(read)


def _address(key: str) -> Any:
    return property(lambda self: Address(*self.scope[key]) if self.scope.get(key) else None)


def _base_url(connection: Connection) -> URL:
    scope = connection.scope
    # Below an Include, `root_path` is that of the include and `app_root_path` that of the application.
    root = scope.get("app_root_path", scope.get("root_path", ""))
    return URL.build_from_scope({**scope, "path": root.rstrip("/") + "/", "query_string": b""})


class Connection(Mapping[str, Any]):
    """
    An ASGI scope, with names for what is in it.

    It is a read-only mapping over the scope (`connection["path"]`), equal only to itself. What must be computed is
    computed when it is first asked for; the scope stays as the server made it, except that `state` is put into it.

    `receive` and `send` are what a `Request` or a `WebSocket` needs beyond that; here they are not used.
    """

    # One is made for each connection, so the constructor assigns the scope and nothing else: the other slots are
    # unset until their value is first read. `__dict__` and `__weakref__` let users add attributes and keep weak sets.
    __slots__ = ("__dict__", "__weakref__", "_base_url", "_cookies", "_headers", "_query", "_values", "_url", "scope")

    url: URL = _once("_url", lambda self: URL.build_from_scope(self.scope))
    """The URL the client asked for."""
    base_url: URL = _once("_base_url", _base_url)
    """Where the application is mounted; ends with a slash, has no query."""
    headers: Header = _once("_headers", lambda self: Header.from_scope(self.scope))
    """The request's headers; the names are the same in any case."""
    query_params: QueryParam = _once("_query", lambda self: QueryParam(self.scope.get("query_string", b"")))
    """The parameters of the query string."""
    cookies: dict[str, str] = _once("_cookies", lambda self: parse_cookies("; ".join(self.headers.getlist("cookie"))))
    """The cookies of all `Cookie` headers (HTTP/2 splits them, RFC 9113 §8.2.3); of a name twice, the last."""
    state: State = _once("_values", lambda self: State(self.scope.setdefault("state", {})))
    """Values of this connection, first those the lifespan yielded; shared by all that see the scope."""

    client: Address | None = _address("client")
    """The client's address, if the server knows it."""
    server: Address | None = _address("server")
    """The address the server listens on, if it says so."""
    user: Any = _set_by("AuthenticationMiddleware", "user")
    """Who is logged in, as the authentication middleware found out."""
    auth: Any = _set_by("AuthenticationMiddleware", "auth")
    """What the user may do, as the authentication middleware found out."""
    session: Any = _set_by("SessionMiddleware", "session")
    """The session, as the session middleware keeps it."""

    def __init__(self, scope: Scope, receive: Receive | None = None, send: Send | None = None) -> None:
        self.scope: Scope = scope

    def __getitem__(self, key: str) -> Any:
        return self.scope[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.scope)

    def __len__(self) -> int:
        return len(self.scope)

    # Two connections with equal scopes are still two connections.
    def __eq__(self, other: object) -> bool:
        return self is other or NotImplemented

    __hash__ = object.__hash__

    @property
    def path_params(self) -> dict[str, Any]:
        """The parameters of the routes that led here; empty without routing."""
        if "path_params" not in self.scope:
            return {}
        params: dict[str, Any] = self.scope["path_params"]
        return params

    @property
    def app(self) -> Any:
        """The innermost application; None outside of one."""
        return self.scope.get("app")

    def is_secure(self) -> bool:
        """Whether the scheme is `https` or `wss`."""
        return self.scope.get("scheme") in SECURE_SCHEMES

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
