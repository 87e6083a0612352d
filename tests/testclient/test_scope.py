"""The scopes that clients make, and who is logged in."""

from typing import Any

import httpx
import pytest

from lilya.testclient import AsyncTestClient, TestClient
from lilya.types import Receive, Scope, Send


async def unused(scope: Scope, receive: Receive, send: Send) -> None:
    """An app that is never run."""
    raise NotImplementedError


async def http_scope(method: str, url: str, **options: Any) -> Scope:
    """The scope that an app gets for a request."""
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    await AsyncTestClient(app, **options).request(method, url)
    return seen[0]


async def test_scope_of_a_request() -> None:
    """Every key, by value."""
    scope = await http_scope("POST", "/a%20b/%C3%A9?q=1&q=%20", root_path="/root")
    report = scope["extensions"]["lilya.errors"]["report"]
    assert scope == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/a b/é",
        "raw_path": b"/a%20b/%C3%A9",
        "root_path": "/root",
        "query_string": b"q=1&q=%20",
        "headers": [
            (b"host", b"testserver"),
            (b"content-length", b"0"),
            (b"accept", b"*/*"),
            (b"accept-encoding", dict(scope["headers"])[b"accept-encoding"]),
            (b"connection", b"keep-alive"),
            (b"user-agent", b"testclient"),
        ],
        "client": None,
        "server": ["testserver", 80],
        "state": {},
        "extensions": {"lilya.errors": {"report": report}},
    }


@pytest.mark.parametrize("client", [TestClient(unused), AsyncTestClient(unused)])
def test_scope_of_a_connection(client: TestClient | AsyncTestClient) -> None:
    """Every key, by value; it is there before anything runs."""
    scope = client.websocket_connect("/ws/a%3Fb?c=1").scope
    assert scope == {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": "/ws/a?b",
        "raw_path": b"/ws/a%3Fb",
        "root_path": "",
        "query_string": b"c=1",
        "headers": [
            (b"host", b"testserver"),
            (b"accept", b"*/*"),
            (b"accept-encoding", dict(scope["headers"])[b"accept-encoding"]),
            (b"user-agent", b"testclient"),
            (b"connection", b"upgrade"),
            (b"sec-websocket-key", b"testserver=="),
            (b"sec-websocket-version", b"13"),
        ],
        "client": None,
        "server": ["testserver", 80],
        "state": {},
        "subprotocols": [],
        "extensions": {"websocket.http.response": {}},
    }


@pytest.mark.parametrize(
    ("base_url", "url", "scheme", "server", "host", "path"),
    [
        ("http://testserver", "/x", "ws", ["testserver", 80], b"testserver", "/x"),
        ("https://testserver", "/x", "wss", ["testserver", 443], b"testserver", "/x"),
        ("http://x.example:8000/api", "/x", "ws", ["x.example", 8000], b"x.example:8000", "/api/x"),
        ("http://[::1]:8000", "/x", "ws", ["::1", 8000], b"[::1]:8000", "/x"),
        ("http://[::1]", "/x", "ws", ["::1", 80], b"[::1]", "/x"),
        ("http://testserver", "ws://other/x", "ws", ["other", 80], b"other", "/x"),
        ("http://testserver", "wss://other:1/x", "wss", ["other", 1], b"other:1", "/x"),
    ],
)
def test_scope_comes_from_the_base_url_and_the_url(
    base_url: str, url: str, scheme: str, server: list[Any], host: bytes, path: str
) -> None:
    """Scheme, server, Host header and path, with IPv6 hosts and absolute URLs too."""
    scope = TestClient(unused, base_url=base_url).websocket_connect(url).scope
    assert (scope["scheme"], scope["server"], scope["path"]) == (scheme, server, path)
    assert dict(scope["headers"])[b"host"] == host


@pytest.mark.parametrize(
    ("url", "path"),
    [("/%ff", "/\ufffd"), ("/a%0A", "/a\n"), ("/%00", "/\0"), ("/a%2Fb", "/a/b"), ("/a%252Fb", "/a%2Fb")],
)
def test_scope_has_the_path_decoded_once(url: str, path: str) -> None:
    """As servers do it: whatever bytes the URL encodes."""
    scope = TestClient(unused).websocket_connect(url).scope
    assert (scope["path"], scope["raw_path"]) == (path, url.encode())


def test_connection_needs_the_url_of_a_websocket() -> None:
    """An absolute http URL is refused before anything runs."""
    for client in (TestClient(unused), AsyncTestClient(unused)):
        with pytest.raises(RuntimeError, match="Expected WebSocket upgrade: 'http://testserver/x'"):
            client.websocket_connect("http://testserver/x")


def test_connection_offers_subprotocols() -> None:
    """By argument or by header, in order."""
    client = TestClient(unused)
    scope = client.websocket_connect("/", subprotocols=["soap", "wamp"]).scope
    assert scope["subprotocols"] == ["soap", "wamp"]
    assert (b"sec-websocket-protocol", b"soap, wamp") in scope["headers"]
    scope = client.websocket_connect("/", headers={"Sec-WebSocket-Protocol": "a ,b,"}).scope
    assert scope["subprotocols"] == ["a", "b"]


def test_connection_takes_what_requests_take() -> None:
    """Headers, parameters, cookies and credentials, on top of the client's; the caller's objects stay as they are."""
    headers = {"X-A": "1", "Sec-WebSocket-Key": "mine"}
    client = TestClient(unused, headers={"X-B": "2", "User-Agent": "me"}, cookies={"a": "1"})
    session = client.websocket_connect("/", headers=headers, params={"q": "1"}, cookies={"b": "2"}, auth=("u", "p"))
    got = dict(session.scope["headers"])
    assert headers == {"X-A": "1", "Sec-WebSocket-Key": "mine"}
    assert session.scope["query_string"] == b"q=1"
    assert (got[b"x-a"], got[b"x-b"], got[b"user-agent"]) == (b"1", b"2", b"me")
    assert (got[b"sec-websocket-key"], got[b"cookie"], got[b"authorization"]) == (b"mine", b"a=1; b=2", b"Basic dTpw")


def test_connection_uses_the_credentials_of_the_client() -> None:
    """Unless it has its own; any scheme of httpx will do."""
    client = TestClient(unused)
    client.auth = httpx.BasicAuth("u", "p")
    assert (b"authorization", b"Basic dTpw") in client.websocket_connect("/").scope["headers"]
    scope = client.websocket_connect("/", auth=httpx.BasicAuth("x", "y")).scope
    assert (b"authorization", b"Basic eDp5") in scope["headers"]


def test_client_leaves_the_caller_s_headers_alone() -> None:
    """Neither a dict nor an httpx object is changed."""
    for headers in ({"x-a": "1"}, httpx.Headers({"x-a": "1"})):
        client = TestClient(unused, headers=headers)
        client.websocket_connect("/")
        assert client.headers["user-agent"] == "testclient"
        assert dict(headers) == {"x-a": "1"}


@pytest.mark.parametrize("client", [TestClient(unused), AsyncTestClient(unused)])
def test_client_logs_in_and_out(client: TestClient | AsyncTestClient) -> None:
    """`user` and `auth` are in the scopes of somebody who is logged in, and of nobody else."""

    def user() -> object:
        scope = client.websocket_connect("/").scope
        assert ("user" in scope) == ("auth" in scope)
        return scope.get("user")

    assert user() is None
    client.authenticate("ana")
    assert user() == "ana"
    assert client.websocket_connect("/").scope["auth"].scopes == ["authenticated"]
    with client.authenticated("bob"):
        assert user() == "bob"
    assert user() == "ana"
    client.logout()
    assert user() is None
    with pytest.raises(LookupError), client.authenticated("bob"):
        raise LookupError
    assert user() is None


def test_client_shows_the_app_and_its_routes() -> None:
    """The objects themselves."""

    class App:
        routes = ("a", "b")

    app = App()
    client = TestClient(app)
    assert client.app is app
    assert client.routes is app.routes
