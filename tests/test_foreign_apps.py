"""Applications of other frameworks under a prefix of ours, as users mount them for what we leave out."""

import logging
import sys
from collections.abc import Iterator
from types import ModuleType

import django
import pytest
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path, reverse
from starlette.applications import Starlette
from starlette.routing import Mount, WebSocketRoute
from starlette.websockets import WebSocket as StarletteWebSocket
from starlette.websockets import WebSocketDisconnect as StarletteDisconnect

from lilya.apps import Lilya
from lilya.limits import Limits
from lilya.routing import Include, WebSocketPath
from lilya.testclient import AsyncTestClient, TestClient, WebSocketDenialResponse
from lilya.types import ASGIApp, Message
from lilya.websockets import WebSocket, WebSocketDisconnect
from tests.contract.peer import CONNECT, Peer, websocket_scope

URLS = "tests_foreign_urls"


def page(request: HttpRequest, number: int) -> HttpResponse:
    return HttpResponse(f"{request.path} {number} {reverse('page', args=[7])} {request.GET.get('q')}")


async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(await websocket.receive_text())


@pytest.fixture(scope="module")
def django_app() -> Iterator[ASGIApp]:
    urls = ModuleType(URLS)
    urls.urlpatterns = [path("pages/<int:number>/", page, name="page")]  # type: ignore[attr-defined]  # a module made here
    sys.modules[URLS] = urls
    settings.configure(ROOT_URLCONF=URLS, SECRET_KEY="tests", ALLOWED_HOSTS=["testserver"], USE_TZ=True)
    django.setup()
    yield get_asgi_application()
    del sys.modules[URLS]


def test_django_serves_below_a_prefix(django_app: ASGIApp) -> None:
    """Django sees its own part of the path, knows where it is mounted, and leaves the sockets beside it alone."""
    app = Lilya(routes=[WebSocketPath("/site/live", echo), Include("/site", app=django_app)])
    client = TestClient(app)

    response = client.get("/site/pages/3/?q=a b")
    assert (response.status_code, response.text) == (200, "/site/pages/3/ 3 /site/pages/7/ a b")
    assert client.get("/site/nothing").status_code == 404
    with client.websocket_connect("/site/live") as websocket:
        websocket.send_text("hello")
        assert websocket.receive_text() == "hello"


def test_answers_of_an_application_inside_a_foreign_one_stay_answers() -> None:
    """Ours in Starlette in ours: a refusal of the innermost is no error of the one in between."""
    inner = Lilya(routes=[WebSocketPath("/echo", echo)])
    app = Lilya(routes=[Include("/foreign", app=Starlette(routes=[Mount("/inner", app=inner)]))])
    client = TestClient(app)

    assert client.get("/foreign/inner/nothing").status_code == 404
    with pytest.raises(WebSocketDenialResponse) as denial, client.websocket_connect("/foreign/inner/nothing"):
        pass
    assert denial.value.status_code == 404
    with client.websocket_connect("/foreign/inner/echo") as websocket:
        websocket.send_text("hello")
        assert websocket.receive_text() == "hello"


async def test_disconnect_that_a_foreign_application_lets_out_is_a_normal_end(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever class it has there: the client left, or a limit was reached."""

    async def echo_for_ever(websocket: StarletteWebSocket) -> None:
        await websocket.accept()
        while True:
            await websocket.send_text(await websocket.receive_text())

    foreign = Starlette(routes=[WebSocketRoute("/", echo_for_ever)])
    app = Lilya(routes=[Include("/foreign", app=foreign, limits=Limits(max_message_bytes=3))])
    async with AsyncTestClient(app) as client:
        async with client.websocket_connect("/foreign/") as websocket:
            await websocket.send_text("one")
            assert await websocket.receive_text() == "one"
        async with client.websocket_connect("/foreign/") as websocket:
            await websocket.send_text("four")
            with pytest.raises(WebSocketDisconnect) as caught:
                await websocket.receive_text()
    assert caught.value.code == 1009
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


async def test_foreign_application_catches_a_send_that_fails_with_its_own_class() -> None:
    """It knows a client that is gone as an `OSError` (ASGI spec), and translates that."""
    caught: list[int] = []

    async def pushes(websocket: StarletteWebSocket) -> None:
        await websocket.accept()
        try:
            await websocket.send_text("x")
        except StarletteDisconnect as error:
            caught.append(error.code)

    app = Lilya(routes=[Include("/foreign", app=Starlette(routes=[WebSocketRoute("/", pushes)]))])
    peer = Peer(CONNECT)

    async def send(message: Message) -> None:
        if message["type"] == "websocket.send":
            raise OSError("the client has vanished")

    await app(websocket_scope("/foreign/"), peer.receive, send)
    assert caught == [1006]
