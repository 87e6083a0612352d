"""
The page that the project exists to make true: a `WebSocket` alone on `(scope, receive, send)`, claim by claim.

Every claim is shown in process, with the test client, and on a live uvicorn with both of its WebSocket protocols.
"""

import json
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from multidict import CIMultiDict, MultiMapping

import lilya.websockets
from lilya.apps import Lilya
from lilya.datastructures import URL
from lilya.responses import FileResponse, HTMLResponse, PlainText, StreamingResponse
from lilya.routing import Include, WebSocketPath
from lilya.types import ASGIApp, Receive, Scope, Send
from lilya.websockets import WebSocket, WebSocketState
from tests.contract.doors import DOORS, Client, Door, open_door, without_denials


@pytest.fixture(scope="module", params=DOORS)
def door(request: pytest.FixtureRequest) -> Iterator[Door]:
    """Each way to reach an application in turn."""
    with open_door(request.param) as opened:
        yield opened


@pytest.fixture(autouse=True)
def no_complaints(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing on the page is an error: neither our logs nor the server's say so."""
    with caplog.at_level(logging.DEBUG):
        yield
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


# --- The examples ----------------------------------------------------------------------------------------------------


def test_first_example_accepts_sends_and_closes(door: Door) -> None:
    """`WebSocket(scope=…, receive=…, send=…)` alone: accept, answer in binary JSON, close."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        websocket = WebSocket(scope=scope, receive=receive, send=send)
        await websocket.accept()
        await websocket.send_json({"message": "héllo"}, mode="binary")
        await websocket.close()

    seen = door.visit(app)
    assert (seen.status, seen.close, seen.raised) == (101, (1000, ""), None)
    assert seen.messages == ['{"message":"héllo"}'.encode()]


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """The second example: answer every JSON message, and close after the loop."""
    websocket = WebSocket(scope=scope, receive=receive, send=send)
    await websocket.accept()
    async for message in websocket.iter_json():
        await websocket.send_json({"got": message}, mode="binary")
    await websocket.close()


def test_second_example_loops_until_the_client_leaves(door: Door) -> None:
    """Every message is answered; the `close()` after the loop is quiet, and so is the server."""

    def talk(client: Client) -> None:
        for number in range(3):
            client.send(json.dumps({"number": number}))
            assert json.loads(client.recv()) == {"got": {"number": number}}
        client.close(4000, "enough")

    seen = door.visit(echo, talk=talk)
    assert (seen.messages, seen.close, seen.raised) == ([], (4000, "enough"), None)


def test_second_example_ends_quietly_without_a_message(door: Door) -> None:
    """A client that leaves at once is no error either."""
    seen = door.visit(echo, talk=lambda client: client.close())
    assert (seen.messages, seen.close, seen.raised) == ([], (1000, ""), None)


# --- The scope -------------------------------------------------------------------------------------------------------


def asked(door: Door, path: str = "/", **options: Any) -> list[Any]:
    """What a handler finds when a client asks for `path`: the `WebSocket`, kept for a look after the connection."""
    found: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        websocket = WebSocket(scope=scope, receive=receive, send=send)
        found.extend([websocket, {**scope}])
        await websocket.close()

    assert door.visit(app, path, **options).status == 403
    return found


def test_websocket_is_a_mapping_over_the_scope(door: Door) -> None:
    """`websocket["path"]` and the rest of a mapping's interface."""
    websocket, scope = asked(door, "/hello/w%C3%B6rld")
    assert websocket["path"] == "/hello/wörld"
    assert websocket["type"] == "websocket"
    assert "headers" in websocket
    assert websocket.get("nothing", "default") == "default"
    assert dict(websocket) == dict(websocket.items()) == scope
    assert (len(websocket), set(websocket)) == (len(scope), set(scope))
    with pytest.raises(KeyError):
        websocket["nothing"]


def test_websocket_url_is_a_str_with_components(door: Door) -> None:
    """`websocket.url` is a real `str` subclass, and knows scheme, host name, port, path and query."""
    websocket, scope = asked(door, "/chat/r%C3%B6om?search=lilya&page=2")
    url = websocket.url
    assert type(url) is URL
    assert issubclass(URL, str)
    host = dict(scope["headers"])[b"host"].decode()
    assert url == f"ws://{host}/chat/röom?search=lilya&page=2"
    assert (url.scheme, url.path, url.query) == ("ws", "/chat/röom", "search=lilya&page=2")
    assert url.hostname == host.partition(":")[0]
    assert url.port == (int(host.partition(":")[2]) if ":" in host else None)
    assert (url.fragment, url.username, url.password, url.is_secure) == ("", None, None, False)


def test_websocket_headers_are_a_multidict(door: Door) -> None:
    """`websocket.headers["sec-websocket-version"]`, in any case, on multidict; reading leaves the scope alone."""
    websocket, scope = asked(door, headers={"X-Name": "a"})
    assert websocket.headers["sec-websocket-version"] == "13"
    assert websocket.headers["Sec-WebSocket-Version"] == "13"
    assert websocket.headers["x-name"] == "a"
    assert isinstance(websocket.headers, CIMultiDict)
    assert websocket.scope["headers"] == scope["headers"]


def test_websocket_query_params_are_a_multidict(door: Door) -> None:
    """`websocket.query_params["search"]`, with blank values and several values to a name."""
    websocket, _ = asked(door, "/?search=a%20b&search=c&empty=")
    assert websocket.query_params["search"] == "a b"
    assert websocket.query_params.getall("search") == ["a b", "c"]
    assert websocket.query_params["empty"] == ""
    assert isinstance(websocket.query_params, MultiMapping)


def test_websocket_path_params_are_a_dict(door: Door) -> None:
    """`websocket.path_params["username"]`; without routing it is empty."""
    websocket, _ = asked(door)
    assert websocket.path_params == {}
    found: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        websocket = WebSocket({**scope, "path_params": {"username": "ana"}}, receive, send)
        found.append((websocket.path_params["username"], type(websocket.path_params)))
        await websocket.close()

    door.visit(app)
    assert found == [("ana", dict)]


# --- accept ----------------------------------------------------------------------------------------------------------


def test_accept_with_subprotocol_and_headers(door: Door) -> None:
    """Both reach the client in the answer to its handshake."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        websocket = WebSocket(scope, receive, send)
        await websocket.accept(subprotocol=scope["subprotocols"][1], headers=[(b"x-room", b"blue")])
        await websocket.close()

    seen = door.visit(app, subprotocols=["v1.chat", "v2.chat"])
    assert (seen.status, seen.subprotocol, seen.headers["x-room"]) == (101, "v2.chat", "blue")
    assert (seen.close, seen.raised) == ((1000, ""), None)


# --- Sending and receiving -------------------------------------------------------------------------------------------


def test_send_text_bytes_and_json(door: Door) -> None:
    """JSON goes in text frames, or in binary ones with `mode="binary"`."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        websocket = WebSocket(scope, receive, send)
        await websocket.accept()
        await websocket.send_text("héllo")
        await websocket.send_bytes(b"\x00\xff")
        await websocket.send_json({"a": ["é", None]})
        await websocket.send_json({"a": ["é", None]}, mode="binary")
        await websocket.close(code=4001, reason="dónde")

    seen = door.visit(app)
    assert seen.messages == ["héllo", b"\x00\xff", '{"a":["é",null]}', '{"a":["é",null]}'.encode()]
    assert (seen.close, seen.raised) == ((4001, "dónde"), None)


def test_receive_text_bytes_and_json(door: Door) -> None:
    """Each returns what the client sent, and raises `lilya.websockets.WebSocketDisconnect` when it leaves."""
    got: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        websocket = WebSocket(scope, receive, send)
        await websocket.accept()
        got.append(await websocket.receive_text())
        got.append(await websocket.receive_bytes())
        got.append(await websocket.receive_json())
        got.append(await websocket.receive_json(mode="binary"))
        try:
            await websocket.receive_text()
        except lilya.websockets.WebSocketDisconnect as disconnect:
            got.append((disconnect.code, disconnect.reason))

    def talk(client: Client) -> None:
        client.send("héllo")
        client.send(b"\x00\xff")
        client.send('{"a": 1}')
        client.send(b'{"b": 2}')
        client.close(4002, "bye")

    seen = door.visit(app, talk=talk)
    assert got == ["héllo", b"\x00\xff", {"a": 1}, {"b": 2}, (4002, "bye")]
    assert (seen.close, seen.raised) == ((4002, "bye"), None)


@pytest.mark.parametrize(
    ("method", "messages", "values"),
    [
        ("iter_text", ["a", ""], ["a", ""]),
        ("iter_bytes", [b"a", b""], [b"a", b""]),
        ("iter_json", ["[1]", "null"], [[1], None]),
    ],
)
def test_iterators_end_when_the_client_leaves(
    door: Door, method: str, messages: list[str | bytes], values: list[Any]
) -> None:
    """`iter_text()`, `iter_bytes()` and `iter_json()` give every message, and end on `WebSocketDisconnect`."""
    got: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        websocket = WebSocket(scope, receive, send)
        await websocket.accept()
        async for message in getattr(websocket, method)():
            got.append(message)
        got.append(websocket.client_state)

    def talk(client: Client) -> None:
        for message in messages:
            client.send(message)
        client.close()

    seen = door.visit(app, talk=talk)
    assert got == [*values, WebSocketState.DISCONNECTED]
    assert seen.raised is None


def test_raw_send_and_receive_keep_the_state_right(door: Door) -> None:
    """Messages and methods may be mixed: the states are those of the conversation."""
    states: list[tuple[WebSocketState, WebSocketState]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        websocket = WebSocket(scope, receive, send)

        def note() -> None:
            states.append((websocket.client_state, websocket.application_state))

        note()
        assert await websocket.receive() == {"type": "websocket.connect"}
        note()
        await websocket.send({"type": "websocket.accept"})
        note()
        assert (await websocket.receive())["text"] == "hello"
        await websocket.send({"type": "websocket.send", "text": "hello"})
        note()
        assert (await websocket.receive())["code"] == 4000
        note()
        await websocket.close()
        note()

    def talk(client: Client) -> None:
        client.send("hello")
        assert client.recv() == "hello"
        client.close(4000)

    assert door.visit(app, talk=talk).raised is None
    connecting, connected, disconnected, _ = WebSocketState
    assert states == [
        (connecting, connecting),
        (connected, connecting),
        (connected, connected),
        (connected, connected),
        (disconnected, connected),
        (disconnected, disconnected),
    ]


# --- close and denial ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [1000, 1008, 403, 4003])
def test_close_before_accept_is_http_403(door: Door, code: int) -> None:
    """Whatever the code, the client's handshake is answered with an empty 403."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await WebSocket(scope, receive, send).close(code=code, reason=None)

    seen = door.visit(app)
    assert (seen.status, seen.body, seen.raised) == (403, b"", None)


async def parts() -> AsyncIterator[str]:
    """A body that is made while it is sent."""
    for number in range(3):
        yield f"part {number}\n"


@pytest.mark.parametrize("kind", ["plain", "html", "streaming", "file"])
def test_send_denial_response_answers_the_handshake(door: Door, kind: str, tmp_path: Path) -> None:
    """The response reaches the client with status, headers and body, whatever kind it is."""
    file = tmp_path / "denied.txt"
    file.write_text("from a file")
    expected = {"plain": b"no", "html": b"<p>no</p>", "streaming": b"part 0\npart 1\npart 2\n", "file": b"from a file"}
    headers = {"x-why": "because"}

    def response() -> ASGIApp:
        if kind == "plain":
            return PlainText("no", status_code=401, headers=headers)
        if kind == "html":
            return HTMLResponse("<p>no</p>", status_code=401, headers=headers)
        if kind == "streaming":
            return StreamingResponse(parts(), status_code=401, headers=headers)
        return FileResponse(file, status_code=401, headers=headers)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        websocket = WebSocket(scope, receive, send)
        await websocket.send_denial_response(response())
        assert websocket.application_state is WebSocketState.DISCONNECTED

    seen = door.visit(app)
    assert (seen.status, seen.headers["x-why"], seen.body, seen.raised) == (401, "because", expected[kind], None)


def test_send_denial_response_without_the_extension_is_a_runtime_error(door: Door) -> None:
    """Nothing is sent, and `close()` still refuses the handshake."""
    errors: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        websocket = WebSocket(scope, receive, send)
        try:
            await websocket.send_denial_response(PlainText("no", status_code=401))
        except RuntimeError as error:
            errors.append(str(error))
        await websocket.close()

    seen = door.visit(without_denials(app))
    assert errors == ["The server doesn't support the Websocket Denial Response extension."]
    assert (seen.status, seen.body, seen.raised) == (403, b"", None)


# --- An application --------------------------------------------------------------------------------------------------


def test_application_dispatches_and_translates(door: Door) -> None:
    """Routes populate `path_params` and hand over a `WebSocket`; disconnects and refusals end as they should."""
    app = Lilya()
    got: list[Any] = []

    @app.websocket("/ws/<username>")
    async def greet(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(f"hello {websocket.path_params['username']}")
        got.append(await websocket.receive_text())
        await websocket.receive_text()

    @app.websocket("/closed")
    async def closed(websocket: WebSocket) -> None:
        await websocket.close()

    @app.websocket("/denied")
    async def denied(websocket: WebSocket) -> None:
        await websocket.send_denial_response(PlainText("not you", status_code=401))

    def talk(client: Client) -> None:
        assert client.recv() == "hello ana"
        client.send("hi")
        client.close(1001)

    seen = door.visit(app, "/ws/ana", talk)
    assert (got, seen.close, seen.raised) == (["hi"], (1001, ""), None)
    assert door.visit(app, "/closed").status == 403
    seen = door.visit(app, "/denied")
    assert (seen.status, seen.body) == (401, b"not you")
    assert door.visit(app, "/missing").status == 404


def test_application_mounts_sub_applications(door: Door) -> None:
    """A mounted application answers under its prefix, with the parameters of both."""
    child = Lilya()

    @child.websocket("/<username>")
    async def greet(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_json(websocket.path_params)

    async def top(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("top")

    app = Lilya(routes=[Include("/rooms/<room>", app=child), WebSocketPath("/top", top)])
    assert door.visit(app, "/rooms/blue/ana").messages == ['{"room":"blue","username":"ana"}']
    assert door.visit(app, "/top").messages == ["top"]
