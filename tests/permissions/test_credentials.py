"""Reading a credential from what a client sends: header, cookie, subprotocols."""

import secrets
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from lilya.apps import Lilya
from lilya.permissions import PermissionProtocol
from lilya.permissions.authentication import bearer_token, offered_credential
from lilya.requests import Connection
from lilya.testclient import TestClient
from lilya.types import Message, Receive, Scope, Send
from lilya.websockets import WebSocket
from tests.support.servers import WS_PROTOCOLS, serve


def scope_with(*headers: tuple[str, str], offered: list[str] | None = None) -> Scope:
    """A WebSocket scope with these headers and offered subprotocols."""
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    return {"type": "websocket", "path": "/", "headers": pairs, "subprotocols": offered or []}


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc.def", "abc.def"),
        ("bearer abc", "abc"),
        ("BEARER   abc  ", "abc"),
        ("Bearer a+b/c==", "a+b/c=="),
        ("Bearer 1|abc", "1|abc"),
        ("Bearer", None),
        ("Bearer ", None),
        ("", None),
        ("abc", None),
        ("Basic abc", None),
        ("Bearerabc", None),
        ("Bearer a b", None),
        ("Bearer caf\xe9", None),
        ("Bearer a\x00b", None),
    ],
)
def test_bearer_token_reads_the_authorization_header(header: str, token: str | None) -> None:
    """The scheme in any case, then one word of printable ASCII."""
    assert bearer_token(Connection(scope_with(("authorization", header)))) == token


def test_bearer_token_takes_none_of_several_authorization_headers() -> None:
    """A proxy in front may have looked at the other one."""
    scope = scope_with(("authorization", "Bearer a"), ("authorization", "Bearer b"), ("cookie", "session=c"))
    assert bearer_token(Connection(scope)) is None
    assert bearer_token(Connection(scope), cookie="session") == "c"


@pytest.mark.parametrize(
    ("header", "offered", "cookies", "token"),
    [
        ("Bearer h", ["bearer", "s"], "session=c", "h"),
        ("Basic x", ["bearer", "s"], "session=c", "s"),
        (None, ["bearer", "s"], "session=c", "s"),
        (None, ["chat.v1"], "session=c", "c"),
        (None, [], "other=c", None),
        (None, [], "session=", None),
        (None, [], "session=two words", None),
        (None, [], "session=caf\xe9", None),
    ],
)
def test_bearer_token_takes_the_first_that_is_shown(
    header: str | None, offered: list[str], cookies: str, token: str | None
) -> None:
    """The header, then the subprotocols, then the cookie."""
    headers = [("cookie", cookies)] + ([("authorization", header)] if header else [])
    assert bearer_token(Connection(scope_with(*headers, offered=offered)), cookie="session") == token


def test_bearer_token_looks_at_no_cookie_unless_told_to() -> None:
    """A cookie comes without being asked for; to take it for a token is a decision."""
    assert bearer_token(Connection(scope_with(("cookie", "session=c; None=d")))) is None


def test_bearer_token_reads_a_request_the_same_way() -> None:
    """A scope of HTTP has headers and cookies, and no subprotocols."""
    scope = {"type": "http", "path": "/", "headers": [(b"authorization", b"Bearer a")]}
    assert bearer_token(Connection(scope)) == "a"
    assert bearer_token(Connection({"type": "http", "path": "/", "headers": []})) is None
    assert "subprotocols" not in scope


@pytest.mark.parametrize(
    ("offered", "credential", "left"),
    [
        (["bearer", "t"], "t", ["bearer"]),
        (["bearer", "t", "chat.v1"], "t", ["bearer", "chat.v1"]),
        (["chat.v1", "bearer", "t"], "t", ["chat.v1", "bearer"]),
        (["bearer"], None, ["bearer"]),
        (["bearer", ""], None, ["bearer"]),
        (["bearer", "caf\xe9"], None, ["bearer"]),
        (["bearer", "bearer"], "bearer", ["bearer", "bearer"]),
        (["Bearer", "t"], None, ["Bearer", "t"]),
        (["chat.v1"], None, ["chat.v1"]),
        ([], None, []),
    ],
)
def test_offered_credential_is_taken_out_of_the_scope(
    offered: list[str], credential: str | None, left: list[str]
) -> None:
    """What follows the scheme is the credential; nobody further in sees it among the subprotocols."""
    server_list = list(offered)
    scope = scope_with(offered=offered)
    for _ in range(2):
        assert offered_credential(Connection(scope), "bearer") == credential
        assert scope["subprotocols"] == left
    assert offered == server_list, "the server's own list was changed"


def test_offered_credential_finds_two_schemes_in_any_order() -> None:
    """Reading one does not bring back, nor hide, the other."""
    scope = scope_with(offered=["ticket", "t", "chat.v1", "bearer", "b"])
    assert offered_credential(Connection(scope), "bearer") == "b"
    assert offered_credential(Connection({**scope}), "ticket") == "t"
    assert offered_credential(Connection(scope), "ticket") == "t"
    assert offered_credential(Connection(scope), "bearer") == "b"
    assert scope["subprotocols"] == ["ticket", "chat.v1", "bearer"]


@given(
    header=st.none() | st.text(st.characters(max_codepoint=255)),
    cookie=st.none() | st.text(st.characters(max_codepoint=255)),
    offered=st.lists(st.sampled_from(["bearer", "Bearer", "x", "t.t"]) | st.text()),
)
def test_bearer_token_is_none_or_one_word_of_ascii(header: str | None, cookie: str | None, offered: list[str]) -> None:
    """Whatever a client sends, `compare_digest` takes the token."""
    headers = [("authorization", header)] if header is not None else []
    headers += [("cookie", f"session={cookie}")] if cookie is not None else []
    token = bearer_token(Connection(scope_with(*headers, offered=offered)), cookie="session")
    if token is not None:
        assert token
        assert not token.split()[1:]
        assert token.isprintable()
        assert not secrets.compare_digest(token, "something else")


class Reads(PermissionProtocol):
    """Reads a token, whoever shows it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["token"] = bearer_token(Connection(scope))
        await self.app(scope, receive, send)


def chat_app(choose: Any = lambda offered: None) -> Lilya:
    """An app that reads a token, and accepts with what `choose` takes of what is offered."""
    app = Lilya(permissions=[Reads])

    @app.websocket("/")
    async def chat(websocket: WebSocket) -> None:
        offered = websocket.scope["subprotocols"]
        await websocket.accept(choose(offered))
        await websocket.send_json([websocket.scope["token"], bearer_token(websocket), offered])

    return app


@pytest.mark.parametrize(
    ("offered", "answer", "inside"),
    [
        (["bearer", "t-1"], "bearer", ["bearer"]),
        (["bearer", "t-1", "chat.v1"], "bearer", ["bearer", "chat.v1"]),
        (["chat.v1", "bearer", "t-1"], "bearer", ["chat.v1", "bearer"]),
    ],
)
def test_accept_answers_the_scheme_where_the_handler_chooses_nothing(
    offered: list[str], answer: str, inside: list[str]
) -> None:
    """A browser wants one of those it offered; it is never the token."""
    with TestClient(chat_app()).websocket_connect("/", offered) as websocket:
        assert websocket.accepted_subprotocol == answer
        assert websocket.receive_json() == ["t-1", "t-1", inside]


@pytest.mark.parametrize(
    ("choose", "answer"),
    [
        (lambda offered: "chat.v1", "chat.v1"),
        (lambda offered: offered[0], "bearer"),
        (lambda offered: offered[-1], "chat.v1"),
        (lambda offered: "bearer", "bearer"),
    ],
)
def test_accept_answers_what_the_handler_chooses(choose: Any, answer: str) -> None:
    """A handler that speaks a subprotocol of its own finds it beside the scheme, and the token nowhere."""
    with TestClient(chat_app(choose)).websocket_connect("/", ["bearer", "chat.v1-secret", "chat.v1"]) as websocket:
        assert websocket.accepted_subprotocol == answer


def test_accept_answers_nothing_where_no_scheme_was_offered() -> None:
    """Without the scheme it is as it always was."""
    with TestClient(chat_app()).websocket_connect("/", ["chat.v1"]) as websocket:
        assert websocket.accepted_subprotocol is None
        assert websocket.receive_json() == [None, None, ["chat.v1"]]


async def test_bearer_token_works_without_an_application() -> None:
    """A WebSocket that stands alone on (scope, receive, send) answers the scheme too."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    websocket = WebSocket(scope_with(offered=["bearer", "t"]), receive, send)
    assert bearer_token(websocket) == "t"
    await websocket.accept()
    assert [message["subprotocol"] for message in sent] == ["bearer"]


@pytest.mark.parametrize("ws", WS_PROTOCOLS)
def test_bearer_token_reaches_a_real_server_among_the_subprotocols(ws: str) -> None:
    """uvicorn splits the header; the client gets back the scheme, as it demands."""
    offered = [Subprotocol("bearer"), Subprotocol("eyJ0.eyJz.c2ln"), Subprotocol("chat.v1")]
    with serve(chat_app(), ws=ws) as server, connect(server.ws_url(), subprotocols=offered) as websocket:
        assert websocket.subprotocol == "bearer"
        assert websocket.recv() == '["eyJ0.eyJz.c2ln","eyJ0.eyJz.c2ln",["bearer","chat.v1"]]'
