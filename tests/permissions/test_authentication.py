"""`Authenticated` and `Requires`: the same on HTTP and WebSocket, wherever they stand."""

from collections.abc import Callable
from typing import Any

import pytest

from lilya.apps import ChildLilya, Lilya
from lilya.controllers import Controller, WebSocketController
from lilya.exceptions import AuthenticationError, ImproperlyConfigured, NotAuthorized
from lilya.permissions import DefinePermission
from lilya.permissions.authentication import Authenticated, Requires, bearer_token
from lilya.requests import Connection, Request
from lilya.routing import Include, Path, WebSocketPath
from lilya.testclient import TestClient, WebSocketDenialResponse
from lilya.websockets import WebSocket, WebSocketDisconnect

USERS = {"ana-token": "ana", "bob-token": "bob"}
ANA = {"authorization": "Bearer ana-token"}
BOB = {"authorization": "Bearer bob-token"}


async def who(connection: Connection) -> str | None:
    return USERS.get(bearer_token(connection) or "")


def is_ana(connection: Connection) -> bool:
    return bool(connection.user == "ana")


async def tell(request: Request) -> Any:
    return request.user


async def greet(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(websocket.user)


class Page(Controller):
    permissions = (DefinePermission(Authenticated, who), DefinePermission(Requires, is_ana))

    async def get(self, request: Request) -> Any:
        return request.user


class Socket(WebSocketController):
    permissions = (DefinePermission(Authenticated, who), DefinePermission(Requires, is_ana))

    async def on_connect(self, websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(websocket.user)


LAYERS: Any = {"permissions": [DefinePermission(Authenticated, who), DefinePermission(Requires, is_ana)]}
ROUTES = [Path("/", tell), WebSocketPath("/", greet)]

PLACES: dict[str, Callable[[], Lilya]] = {
    "app": lambda: Lilya(routes=ROUTES, **LAYERS),
    "include": lambda: Lilya(routes=[Include("/", routes=ROUTES, **LAYERS)]),
    "child": lambda: Lilya(routes=[Include("/", app=ChildLilya(routes=ROUTES, **LAYERS))]),
    "route": lambda: Lilya(routes=[Path("/", tell, **LAYERS), WebSocketPath("/", greet, **LAYERS)]),
    "controller": lambda: Lilya(routes=[Path("/", Page), WebSocketPath("/", Socket)]),
}


def denial_of(client: TestClient, **options: Any) -> WebSocketDenialResponse:
    """The response that denies the handshake."""
    with pytest.raises(WebSocketDenialResponse) as denied, client.websocket_connect("/", **options):
        pass
    return denied.value


def close_of(client: TestClient, **options: Any) -> tuple[int, str]:
    """The code and reason that follow an accepted handshake."""
    with client.websocket_connect("/", **options) as websocket:
        with pytest.raises(WebSocketDisconnect) as closed:
            websocket.receive_text()
    assert not isinstance(closed.value, WebSocketDenialResponse)
    return closed.value.code, closed.value.reason


@pytest.mark.parametrize("place", PLACES)
def test_permissions_guard_every_place_alike(place: str) -> None:
    """On an app, an include, a child, a route and a controller: 401 for nobody, 403 for the wrong one, else in."""
    client = TestClient(PLACES[place]())
    for headers, status, challenge in (({}, 401, "Bearer"), (BOB, 403, None)):
        for answer in (client.get("/", headers=headers), denial_of(client, headers=headers)):
            assert (answer.status_code, answer.headers.get("www-authenticate")) == (status, challenge)
    assert client.get("/", headers=ANA).json() == "ana"
    with client.websocket_connect("/", headers=ANA) as websocket:
        assert websocket.receive_text() == "ana"


def test_permissions_close_after_accept_where_a_page_has_to_see_why() -> None:
    """With refuse="close" a handshake is accepted and closed with 4401 or 4403; HTTP is answered as ever."""
    client = TestClient(
        Lilya(
            routes=ROUTES,
            permissions=[
                DefinePermission(Authenticated, who, refuse="close", challenge='Bearer realm="chat"'),
                DefinePermission(Requires, is_ana, refuse="close"),
            ],
        )
    )
    assert close_of(client) == (4401, NotAuthorized.detail)
    assert close_of(client, headers=BOB)[0] == 4403
    with client.websocket_connect("/", headers=ANA) as websocket:
        assert websocket.receive_text() == "ana"
    nobody = client.get("/")
    assert (nobody.status_code, nobody.headers["www-authenticate"]) == (401, 'Bearer realm="chat"')
    assert client.get("/", headers=BOB).status_code == 403


def test_permissions_answer_the_scheme_before_they_close() -> None:
    """A browser that offered a wrong token as subprotocol sees the code only if the scheme is answered."""
    app = Lilya(routes=ROUTES, permissions=[DefinePermission(Authenticated, who, refuse="close")])
    with TestClient(app).websocket_connect("/", ["bearer", "wrong"]) as websocket:
        assert websocket.accepted_subprotocol == "bearer"
        with pytest.raises(WebSocketDisconnect) as closed:
            websocket.receive_text()
        assert closed.value.code == 4401


def knows_nobody(connection: Connection) -> Any:
    return None


def refuses(connection: Connection) -> Any:
    raise AuthenticationError("The token wrong-token has expired.")


async def finds_falsehood(connection: Connection) -> Any:
    return False


@pytest.mark.parametrize(
    "authenticate",
    [knows_nobody, refuses, finds_falsehood, lambda connection: who(connection), lambda connection: ""],
)
def test_authenticated_lets_nobody_in_who_is_not_known(authenticate: Any) -> None:
    """None and anything false is nobody, also behind a coroutine that a plain function gives; so is the exception."""
    client = TestClient(Lilya(routes=ROUTES, permissions=[DefinePermission(Authenticated, authenticate)]))
    for answer in (client.get("/"), denial_of(client)):
        assert (answer.status_code, answer.text) == (401, NotAuthorized.detail)


@pytest.mark.parametrize("authenticate", [who, lambda connection: who(connection), lambda connection: "ana"])
def test_authenticated_takes_sync_and_async_functions(authenticate: Any) -> None:
    """The user is what the function gives, and not the coroutine on the way to it."""
    client = TestClient(Lilya(routes=ROUTES, permissions=[DefinePermission(Authenticated, authenticate)]), headers=ANA)
    assert client.get("/").json() == "ana"
    with client.websocket_connect("/") as websocket:
        assert websocket.receive_text() == "ana"


@pytest.mark.parametrize("answer", [False, None, 0])
def test_requires_lets_in_what_is_true_only(answer: Any) -> None:
    """A coroutine function counts by what it gives, not by the coroutine."""

    async def predicate(connection: Connection) -> Any:
        return answer

    for function in (predicate, lambda connection: predicate(connection), lambda connection: answer):
        client = TestClient(Lilya(routes=ROUTES, permissions=[DefinePermission(Requires, function)]))
        assert client.get("/").status_code == denial_of(client).status_code == 403


def test_authenticated_shows_the_function_what_the_handler_sees() -> None:
    """A Request or a WebSocket; what is put into its scope arrives further in, and not further out."""
    seen: list[type[Connection]] = []

    async def authenticate(connection: Connection) -> str:
        seen.append(type(connection))
        connection.scope["auth"] = ["read"]
        return "ana"

    async def tell_rights(request: Request) -> Any:
        return request.auth

    routes = [Path("/", tell_rights), WebSocketPath("/", greet)]
    client = TestClient(Lilya(routes=routes, permissions=[DefinePermission(Authenticated, authenticate)]))
    assert client.get("/").json() == ["read"]
    with client.websocket_connect("/") as websocket:
        assert websocket.receive_text() == "ana"
    assert seen == [Request, WebSocket]


def test_authenticated_hides_what_the_function_says() -> None:
    """An exception handler gets the refusal alone: nothing of what `AuthenticationError` said comes along."""
    caught: list[Exception] = []

    async def keep(connection: Any, error: Exception) -> None:
        caught.append(error)

    app = Lilya(
        routes=ROUTES,
        permissions=[DefinePermission(Authenticated, refuses)],
        exception_handlers={NotAuthorized: keep},
    )
    assert TestClient(app).get("/").status_code == 401
    assert (caught[0].__context__, caught[0].__cause__) == (None, None)


@pytest.mark.parametrize("permission", [Authenticated, Requires])
def test_permissions_are_checked_at_startup(permission: Any) -> None:
    """What cannot be called, and an unknown way to refuse, are named before anybody connects."""
    for arguments, options in (((3,), {}), ((who,), {"refuse": "hide"}), ((), {})):
        with pytest.raises(ImproperlyConfigured, match=permission.__name__):
            TestClient(Lilya(routes=ROUTES, permissions=[DefinePermission(permission, *arguments, **options)])).get("/")
