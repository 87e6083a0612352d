"""Reading the scope of a connection."""

import weakref
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lilya._connection import Connection
from lilya._cookies import parse_cookies
from lilya.datastructures import URL, Address, Header, QueryParam, State, URLPath
from lilya.exceptions import HTTPException, ImproperlyConfigured
from lilya.types import Scope


def websocket_scope(**changes: Any) -> Scope:
    """A scope as a server makes it for ws://example.com/chat?search=a."""
    return {
        "type": "websocket",
        "scheme": "ws",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 5000),
        "path": "/chat",
        "root_path": "",
        "query_string": b"search=a",
        "headers": [(b"host", b"example.com")],
        **changes,
    }


class FakeRouter:
    """A router with one route, `/rooms/{name}`."""

    def path_for(self, name: str, /, **path_params: Any) -> URLPath:
        return URLPath(f"/{name}/{path_params['name']}", protocol="websocket")


def test_connection_is_a_mapping_over_the_scope() -> None:
    """Everything in the scope can be read, nothing written."""
    scope = websocket_scope()
    connection = Connection(scope)
    assert isinstance(connection, Mapping)
    assert connection.scope is scope
    assert connection["path"] == "/chat"
    assert (connection.get("path"), connection.get("x"), connection.get("x", 1)) == ("/chat", None, 1)
    assert "path" in connection
    assert "x" not in connection
    assert len(connection) == len(scope)
    assert dict(connection) == scope
    assert list(connection.items()) == list(scope.items())
    assert not hasattr(connection, "__setitem__")
    with pytest.raises(KeyError):
        connection["x"]


def test_connection_is_equal_to_itself_only() -> None:
    """Connections with the same scope are different, and can be kept in (weak) sets."""
    scope = websocket_scope()
    one, other = Connection(scope), Connection(scope)
    assert one == one
    assert one != other
    assert one != scope
    assert len({one, other}) == 2
    kept = weakref.WeakSet([one])
    assert one in kept
    assert other not in kept


def test_connection_takes_receive_and_send_and_attributes() -> None:
    """It is constructed like its subclasses, and users may hang their own values on it."""

    async def receive() -> Any: ...

    async def send(message: Any) -> None: ...

    connection: Any = Connection(websocket_scope(), receive=receive, send=send)
    connection.room = "a"
    assert connection.room == "a"


def test_connection_reads_what_the_client_asked_for() -> None:
    """URL, headers and query parameters, each computed once, with the scope left as it was."""
    scope = websocket_scope()
    before = dict(scope)
    connection = Connection(scope)
    assert connection.url == "ws://example.com/chat?search=a"
    assert (connection.url.scheme, connection.url.path, connection.url.port) == ("ws", "/chat", None)
    assert connection.base_url == "ws://example.com/"
    assert connection.headers == Header({"host": "example.com"})
    assert connection.query_params == QueryParam("search=a")
    for name in ("url", "base_url", "headers", "query_params", "cookies"):
        assert getattr(connection, name) is getattr(connection, name)
    assert scope == before


def test_connection_needs_no_optional_key() -> None:
    """With nothing but a type every property has its neutral value."""
    connection = Connection({"type": "websocket"})
    assert (connection.url, connection.base_url) == ("", "/")
    assert list(connection.headers) == []
    assert len(connection.query_params) == 0
    assert (connection.path_params, connection.cookies) == ({}, {})
    assert (connection.client, connection.server, connection.app) == (None, None, None)
    assert not connection.is_secure()
    assert type(connection.url) is type(connection.base_url) is URL


@pytest.mark.parametrize(
    ("changes", "base_url"),
    [
        ({"root_path": "/api"}, "ws://example.com/api/"),
        ({"root_path": "/api/"}, "ws://example.com/api/"),
        ({"root_path": "/api/chat", "app_root_path": "/api"}, "ws://example.com/api/"),
        ({"root_path": "/chat", "app_root_path": ""}, "ws://example.com/"),
        ({"root_path": "/a?b"}, "ws://example.com/a%3Fb/"),
    ],
)
def test_connection_base_url_is_where_the_application_is(changes: Any, base_url: str) -> None:
    """The application's root path, not that of an Include below it; always with a slash at the end."""
    assert Connection(websocket_scope(**changes)).base_url == base_url


@pytest.mark.parametrize(("scheme", "secure"), [("ws", False), ("wss", True), ("http", False), ("https", True)])
def test_connection_is_secure_over_tls(scheme: str, secure: bool) -> None:
    """The scheme tells, whether or not the scope names a host."""
    assert Connection({"type": "http", "scheme": scheme}).is_secure() is secure


def test_connection_addresses_have_names() -> None:
    """Servers give pairs or lists; both become addresses."""
    connection = Connection(websocket_scope(server=["/run/app.sock", None]))
    assert connection.client == Address("127.0.0.1", 5000)
    assert connection.server == Address("/run/app.sock", None)


def test_connection_reads_what_the_application_added() -> None:
    """Application, path parameters, user, auth and session come from the scope as they are."""
    app, params = object(), {"name": "a"}
    connection = Connection(websocket_scope(app=app, path_params=params, user="ada", auth="admin", session={"a": 1}))
    assert connection.app is app
    assert connection.path_params is params
    assert (connection.user, connection.auth, connection.session) == ("ada", "admin", {"a": 1})


@pytest.mark.parametrize(
    ("name", "middleware"),
    [("user", "AuthenticationMiddleware"), ("auth", "AuthenticationMiddleware"), ("session", "SessionMiddleware")],
)
def test_connection_names_the_middleware_that_is_missing(name: str, middleware: str) -> None:
    """Reading what no middleware has set is a mistake in the application, and the error says how to mend it."""
    with pytest.raises(ImproperlyConfigured, match=rf"no '{name}': add {middleware}") as caught:
        getattr(Connection(websocket_scope()), name)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, HTTPException)
    assert caught.value.status_code == 500


def test_connection_state_is_shared_with_the_scope() -> None:
    """The state is created on demand, in the scope, and all connections over that scope see it."""
    scope = websocket_scope()
    one, other = Connection(scope), Connection(scope)
    assert "state" not in scope
    one.state.db = 1
    assert scope["state"] == {"db": 1}
    other.state.room = 2
    assert one.state == {"db": 1, "room": 2}
    assert one.state is one.state
    assert isinstance(one.state, State)


def test_connection_state_begins_with_that_of_the_lifespan() -> None:
    """What the server has put into the scope is there, and is not replaced."""
    values = {"pool": 1}
    connection = Connection(websocket_scope(state=values))
    assert connection.state.pool == 1
    connection.state.pool = 2
    assert values == {"pool": 2}
    assert connection.scope["state"] is values


@pytest.mark.parametrize("method", ["path_for", "url_path_for"])
def test_connection_path_for_is_absolute(method: str) -> None:
    """The path of a route becomes a URL below the application's base; `name` may be a parameter too."""
    scope = websocket_scope(router=FakeRouter(), scheme="https", root_path="/api")
    url = getattr(Connection(scope), method)("rooms", name="a?b")
    assert type(url) is URL
    assert (url, url.path) == ("wss://example.com/api/rooms/a%3Fb", "/api/rooms/a?b")


def test_connection_path_for_needs_an_application() -> None:
    """Outside of one there are no routes to look up."""
    with pytest.raises(RuntimeError, match=r"path_for\('home'\) needs an application"):
        Connection(websocket_scope()).path_for("home")


# -- cookies -----------------------------------------------------------------------------------------------------------


def test_connection_cookies_of_all_headers_are_merged() -> None:
    """HTTP/2 may split the cookies over several headers."""
    headers = [(b"cookie", b"a=1; b=2"), (b"x", b"y"), (b"cookie", b"c=caf\xe9; a=3")]
    assert Connection(websocket_scope(headers=headers)).cookies == {"a": "3", "b": "2", "c": "café"}


@pytest.mark.parametrize(
    ("header", "cookies"),
    [
        ("", {}),
        ("a=1", {"a": "1"}),
        ("a=1;b=2 ; c = 3 ", {"a": "1", "b": "2", "c": "3"}),
        ("a=b=c; d=", {"a": "b=c", "d": ""}),
        ("alone; =nameless; a=1;;", {"a": "1"}),
        ('a="x y"; b="', {"a": "x y", "b": '"'}),
        (r'a="\"x\\\073\351\9"', {"a": '"x\\;é9'}),
        ('a="x', {"a": '"x'}),
        ('a={"x":[1]}', {"a": '{"x":[1]}'}),
    ],
)
def test_parse_cookies_is_lenient(header: str, cookies: dict[str, str]) -> None:
    """Spaces, empty parts, further equals signs and quotes are read as browsers mean them."""
    assert parse_cookies(header) == cookies


@given(st.text())
def test_parse_cookies_takes_any_text(header: str) -> None:
    """No header raises, and no name is empty."""
    assert all(parse_cookies(header))


@given(
    st.dictionaries(
        st.from_regex(r"[a-zA-Z0-9_-]+", fullmatch=True), st.from_regex(r"[!#-+\--:<-\[\]-~]*", fullmatch=True)
    )
)
def test_parse_cookies_reads_what_conforms(cookies: dict[str, str]) -> None:
    """Cookies as RFC 6265 §4.1 writes them come back as they are."""
    assert parse_cookies("; ".join(f"{name}={value}" for name, value in cookies.items())) == cookies
