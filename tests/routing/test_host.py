"""Hosts: applications by the `Host` header."""

from typing import Any

import pytest
from starlette.applications import Starlette

from lilya.apps import ChildLilya, Lilya
from lilya.exceptions import ImproperlyConfigured, PermissionDenied
from lilya.protocols.permissions import PermissionProtocol
from lilya.requests import Request
from lilya.routing import Host, Include, NoMatchFound, Path, Router, WebSocketPath
from lilya.testclient import TestClient, WebSocketDenialResponse, create_client
from lilya.types import Receive, Scope, Send
from lilya.websockets import WebSocket


async def show(request: Request) -> dict[str, Any]:
    """The path parameters of an HTTP request."""
    return request.path_params


async def show_websocket(websocket: WebSocket) -> None:
    """The path parameters of a WebSocket."""
    await websocket.accept()
    await websocket.send_json(websocket.path_params)


ROUTES = [Path("/x/{id:int}", show, name="x"), WebSocketPath("/x/{id:int}", show_websocket, name="ws")]


def both(client: TestClient, host: str, path: str = "/x/7") -> list[Any]:
    """What a host answers, by HTTP and by WebSocket; None where it is not found."""
    response = client.get(path, headers={"host": host})
    seen: list[Any] = [response.json() if response.status_code == 200 else None]
    try:
        with client.websocket_connect(path, headers={"host": host}) as websocket:
            seen.append(websocket.receive_json())
    except WebSocketDenialResponse:
        seen.append(None)
    return seen


@pytest.mark.parametrize(
    ("pattern", "host", "params"),
    [
        ("api.example.com", "api.example.com", {}),
        ("api.example.com", "API.Example.COM", {}),
        ("API.example.com", "api.example.com", {}),
        ("api.example.com", "api.example.com:8080", {}),
        ("api.example.com:8080", "api.example.com:8080", {}),
        ("api.example.com:8080", "api.example.com", None),
        ("api.example.com:8080", "api.example.com:80", None),
        ("api.example.com", "www.example.com", None),
        ("api.example.com", "api.example.com.evil", None),
        ("api.example.com", "", None),
        ("api.example.com", "a/b", None),
        ("{tenant}.example.com", "acme.example.com", {"tenant": "acme"}),
        ("<tenant>.Example.com", "ACME.example.com", {"tenant": "acme"}),
        ("{number:int}.example.com", "7.example.com", {"number": 7}),
        ("{number:int}.example.com", "seven.example.com", None),
        ("{Tenant}.example.com", "a.example.com", {"Tenant": "a"}),
        ("[::1]", "[::1]", {}),
        ("[::1]", "[::1]:8000", {}),
        ("[::1]:8000", "[::1]:8000", {}),
        ("[::1]", "[::2]", None),
        ("{any}", "what.ever", {"any": "what.ever"}),
    ],
)
def test_host_takes_its_host(pattern: str, host: str, params: dict[str, Any] | None) -> None:
    """Compared without case; the port counts only if the pattern names one; parameters become path parameters."""
    client = create_client([Host(pattern, app=Router(ROUTES))])
    expected = None if params is None else {"id": 7, **params}
    assert both(client, host) == [expected, expected]


def test_host_that_does_not_fit_leaves_the_rest_to_others() -> None:
    """Another host goes on to the routes declared after it."""
    client = create_client(
        [
            Host("a.example", app=Router(ROUTES)),
            Host("{sub}.example", app=ChildLilya(routes=ROUTES)),
            *ROUTES,
        ]
    )
    assert both(client, "a.example") == [{"id": 7}] * 2
    assert both(client, "b.example") == [{"id": 7, "sub": "b"}] * 2
    assert both(client, "b.other") == [{"id": 7}] * 2
    assert both(client, "a.example", "/y") == [None, None]


def test_host_that_fits_answers_for_its_host() -> None:
    """An application for a host does not fall through."""
    client = create_client([Host("a.example", app=Router([])), *ROUTES])
    assert both(client, "a.example") == [None, None]


def test_host_stands_inside_an_include() -> None:
    """Prefix and host both count, and both give parameters."""
    for options in ({}, {"before_request": [lambda *args: None]}):
        client = create_client(
            [Include("/{version}", routes=[Host("{sub}.example", app=Router(ROUTES))], **options)]  # type: ignore[arg-type]
        )
        assert both(client, "a.example", "/v1/x/7") == [{"id": 7, "sub": "a", "version": "v1"}] * 2
        assert both(client, "a.other", "/v1/x/7") == [None, None]


def test_host_takes_the_include_as_its_routes() -> None:
    """Routes for a host are an include, a router or an import string away."""
    for app in (Include("/", routes=ROUTES), f"{__name__}.router"):
        assert both(create_client([Host("a.example", app)]), "a.example") == [{"id": 7}] * 2


router = Router(ROUTES)


def test_host_passes_its_parameters_by_name() -> None:
    """Handlers behind it may ask for them, and for the dependencies declared with it."""

    async def handler(request: Request, tenant: str, id: int, db: str) -> list[Any]:
        return [tenant, id, db]

    host = Host("{tenant}.example", app=ChildLilya(routes=[Path("/{id:int}", handler)]), dependencies={"db": "db"})
    with create_client([host]) as client:
        assert client.get("/7", headers={"host": "acme.example"}).json() == ["acme", 7, "db"]


def test_host_has_layers() -> None:
    """A permission of a host guards its application, and no other one."""

    class Deny(PermissionProtocol):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            raise PermissionDenied

    async def denied(connection: Any, error: PermissionDenied) -> str:
        return "handled"

    client = create_client(
        [
            Host("a.example", app=Router(ROUTES), permissions=[Deny]),
            Host("b.example", app=Router(ROUTES), permissions=[Deny], exception_handlers={PermissionDenied: denied}),
            *ROUTES,
        ]
    )
    assert client.get("/x/7", headers={"host": "a.example"}).status_code == 403
    assert client.get("/x/7", headers={"host": "b.example"}).json() == "handled"
    assert both(client, "c.example") == [{"id": 7}] * 2


def test_host_alone_is_an_application() -> None:
    """Called directly it serves its host."""
    assert both(TestClient(Host("{sub}.example", app=Router(ROUTES))), "a.example") == [{"id": 7, "sub": "a"}] * 2
    assert TestClient(Host("a.example", app=Router(ROUTES))).get("/x/7").status_code == 404


@pytest.mark.parametrize(
    ("host", "app", "error", "message"),
    [
        ("/a.example", router, AssertionError, "Host must not start with '/': '/a.example'"),
        ("a/b", router, ImproperlyConfigured, "Host 'a/b': a host name has no slash"),
        ("{a:uid}.b", router, AssertionError, "Unknown path transformer 'uid'"),
        ("{a}.{a}", router, ValueError, "Duplicated param name a"),
        ("a.example", 7, ImproperlyConfigured, "Host 'a.example': 7 is not an ASGI application"),
        ("a.example", Lilya, ImproperlyConfigured, "is not an ASGI application. Give an instance"),
        ("a.example", "nowhere.app", ImproperlyConfigured, "'nowhere.app' cannot be imported"),
    ],
)
def test_host_refuses_mistakes_at_once(host: str, app: Any, error: type[Exception], message: str) -> None:
    """What cannot work is an error of the constructor."""
    with pytest.raises(error) as caught:
        Host(host, app)
    assert message in str(caught.value)


def test_host_shows_the_routes_inside() -> None:
    """Those of an application of ours, none of a foreign one; the representation says what it is."""
    host = Host("a.example", app=router, name="n")
    assert host.routes == ROUTES
    assert Host("a.example", app=Starlette()).routes == []
    assert repr(host) == f"Host(host='a.example', name='n', app={router!r})"
    assert host.host == "a.example"


def test_host_gives_paths_with_their_host() -> None:
    """Names inside are found with and without a name of the host; the URL has the host filled in."""
    named = Host("{sub}.example:8000", app=router, name="tenant")
    path = named.path_for("tenant:x", sub="acme", id=7)
    assert (path, path.host, path.protocol) == ("/x/7", "acme.example:8000", "http")
    assert path.make_absolute_url("https://www.other/ignored/../") == "https://acme.example:8000/ignored/../x/7"
    whole = named.path_for("tenant", sub="acme", path="/any/thing")
    assert (whole, whole.host, whole.protocol) == ("/any/thing", "acme.example:8000", "")
    unnamed = Host("a.example", app=router).path_for("ws", id=1)
    assert (unnamed, unnamed.host, unnamed.protocol) == ("/x/1", "a.example", "websocket")


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("x", {"sub": "acme", "id": 7}),
        ("tenant:y", {"sub": "acme", "id": 7}),
        ("tenant:x", {"id": 7}),
        ("tenant:x", {"sub": "acme"}),
        ("tenant", {"sub": "acme"}),
        ("tenant", {"path": "/"}),
        ("tenant", {"sub": "acme", "path": "/", "more": 1}),
    ],
)
def test_host_gives_no_path_for_other_names_and_params(name: str, params: dict[str, Any]) -> None:
    """A wrong name, a parameter too few or too many: NoMatchFound."""
    with pytest.raises(NoMatchFound):
        Host("{sub}.example", app=router, name="tenant").path_for(name, **params)
