"""What an application tells about its connections: counts, hooks and log lines, exactly once each."""

import asyncio
import contextlib
import logging
import re
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lilya import _log, _watch
from lilya.apps import Lilya
from lilya.dependencies import Provide
from lilya.exceptions import HTTPException, ImproperlyConfigured, PermissionDenied, WebSocketException
from lilya.instruments import ConnectionInfo, Instrument
from lilya.limits import Limits
from lilya.responses import PlainText
from lilya.routing import Include, WebSocketPath
from lilya.testclient import AsyncTestClient
from lilya.types import Receive, Scope, Send
from lilya.websockets import WebSocket, WebSocketDisconnect
from tests.contract.peer import Peer, disconnect, websocket_scope


class Diary(Instrument):
    """Writes down every call, with what was known by then."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def handshake(self, info: ConnectionInfo) -> None:
        self.calls.append((info.id, "handshake", info.path, info.route))

    def opened(self, info: ConnectionInfo) -> None:
        self.calls.append((info.id, "opened", info.path, info.route))

    def refused(self, info: ConnectionInfo) -> None:
        assert info.seconds > 0
        self.calls.append((info.id, "refused", info.path, info.route, info.status, info.cause))

    def closed(self, info: ConnectionInfo) -> None:
        assert info.seconds > 0
        end = (info.code, info.reason, info.ended_by, info.received, info.sent)
        self.calls.append((info.id, "closed", info.path, info.route, *end))

    def received(self, info: ConnectionInfo, size: int, kind: str) -> None:
        self.calls.append((info.id, "received", size, kind))

    def sent(self, info: ConnectionInfo, size: int, kind: str) -> None:
        self.calls.append((info.id, "sent", size, kind))

    def by_connection(self) -> list[list[tuple[Any, ...]]]:
        """The calls without their ids, one list for each connection."""
        found: dict[str, list[tuple[Any, ...]]] = {}
        for name, *call in self.calls:
            found.setdefault(name, []).append(tuple(call))
        return list(found.values())


class OnlyEnds(Instrument):
    """Wants no single messages."""

    def __init__(self) -> None:
        self.ends: list[int | None] = []

    def closed(self, info: ConnectionInfo) -> None:
        self.ends.append(info.code)


class Failing(Instrument):
    """Fails whatever it is told."""

    def handshake(self, info: ConnectionInfo) -> None:
        raise ValueError

    opened = refused = closed = handshake

    def received(self, info: ConnectionInfo, size: int, kind: str) -> None:
        raise ValueError

    sent = received


class Nobody:
    """Denies."""

    def __init__(self, app: Any) -> None: ...

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise PermissionDenied


async def obey(websocket: WebSocket) -> None:
    """Do what the client says."""
    await websocket.accept()
    async for message in websocket:
        word, _, number = str(message).partition(" ")
        if word == "send":
            for _ in range(int(number)):
                await websocket.send_bytes(b"abc")
        if word == "close":
            await websocket.close(int(number), "as you wish")
            return
        if word == "return":
            return
        if word == "raise":
            raise ValueError
        if word == "answer":
            raise WebSocketException(int(number), "so there")


async def closes(websocket: WebSocket) -> None:
    await websocket.close()


async def denies(websocket: WebSocket) -> None:
    raise HTTPException(status_code=418)


async def fails(websocket: WebSocket) -> None:
    raise ValueError


async def answers(websocket: WebSocket) -> None:
    await websocket.send_denial_response(PlainText("no", status_code=402))


async def objects(websocket: WebSocket) -> None:
    raise WebSocketException(4000, "so there")


async def says_nothing(websocket: WebSocket) -> None:
    """Neither accepts nor refuses."""


async def never_accepts(websocket: WebSocket) -> None:
    await asyncio.Event().wait()


async def is_permitted(websocket: WebSocket) -> None:
    raise AssertionError("nobody is")


def make_app(*instruments: Instrument) -> Lilya:
    """An application with one way to each end."""
    return Lilya(
        routes=[
            WebSocketPath("/obey/{name}", obey),
            WebSocketPath("/closes", closes),
            WebSocketPath("/denies", denies),
            WebSocketPath("/answers", answers),
            WebSocketPath("/objects", objects),
            WebSocketPath("/fails", fails),
            WebSocketPath("/nothing", says_nothing),
            WebSocketPath("/slow", never_accepts, limits=Limits(accept_timeout=0.01)),
            WebSocketPath("/nobody", is_permitted, permissions=[Nobody]),
            Include("/in", routes=[WebSocketPath("/{name}", obey)], permissions=[]),
            Include("/mounted", app=Lilya(routes=[WebSocketPath("/{name}", obey)])),
        ],
        instruments=instruments,
    )


# What each of them ends with: path, status, cause, and what the log says.
REFUSALS = {
    "/closes": (403, "handler", "close() before accept()"),
    "/denies": (418, "handler", "I'm a Teapot"),
    "/answers": (402, "handler", "denied by the handler"),
    "/objects": (403, "handler", "4000: so there"),
    "/fails": (500, "error", "ValueError"),
    "/nothing": (404, "handler", "the handler returned without accept() or close()"),
    "/slow": (503, "accept_timeout", "not accepted after 0.01 s; Limits(accept_timeout=…)"),
    "/nobody": (403, "permission", None),
    "/obey": (404, "not_found", "no WebSocket route; near: /obey/{name}"),
}


async def refused(client: AsyncTestClient, path: str, **options: Any) -> None:
    """Ask for a connection, in vain."""
    with contextlib.suppress(WebSocketDisconnect):
        async with client.websocket_connect(path, **options):
            raise AssertionError("accepted")


async def obeyed(client: AsyncTestClient, path: str, script: list[str]) -> None:
    """Make a connection, and say this; messages of the application are read as they come."""
    async with client.websocket_connect(path) as websocket:
        for line in script:
            word, _, number = line.partition(" ")
            if word == "leave":
                await websocket.close(int(number), "bye")
                continue
            await websocket.send_text(line)
            for _ in range(int(number) if word == "send" else 0):
                await websocket.receive()
            if word not in ("send", "chat"):
                while (await websocket.receive())["type"] != "websocket.close":
                    pass


@pytest.fixture(autouse=True)
def log_everything(caplog: pytest.LogCaptureFixture) -> None:
    """`caplog.records` is the log of one test, from DEBUG upwards."""
    caplog.set_level(logging.DEBUG, "lilya")


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged about connections, without their names and times."""
    found = [record.getMessage() for record in caplog.records if record.name == "lilya.websocket"]
    return [re.sub(r" id=[0-9a-f]{16}| seconds=\d+\.\d{3}", "", line) for line in found]


# --- Counts ----------------------------------------------------------------------------------------------------------

ENDS = {
    "return": (1000, "application"),
    "raise": (1011, "error"),
    "close 4000": (4000, "application"),
    "answer 4001": (4001, "application"),
    "leave 4002": (4002, "client"),
}
TALKS = st.tuples(
    st.sampled_from(["/obey/a", "/in/b", "/mounted/c"]),
    st.lists(st.sampled_from(["chat", "send 0", "send 1", "send 3", "send 300"]), max_size=5),
    st.sampled_from(sorted(ENDS)),
)
VISITS = st.sampled_from(sorted(set(REFUSALS) - {"/slow"})) | TALKS


@settings(max_examples=40)
@given(st.lists(VISITS, max_size=8), st.booleans())
async def test_counts_are_exact_whatever_happens(visits: list[Any], at_once: bool) -> None:
    """One after the other, or all at once: stats, hooks and the sum of both agree with what the clients did."""
    diary = Diary()
    app = make_app(diary, OnlyEnds(), Failing())
    expected_closes: Counter[int] = Counter()
    expected_refusals: Counter[str] = Counter()
    received = sent = 0
    async with AsyncTestClient(app, raise_server_exceptions=False) as client:
        running = []
        for visit in visits:
            if isinstance(visit, str):
                expected_refusals[REFUSALS[visit][1]] += 1
                running.append(refused(client, visit))
                continue
            path, script, end = visit
            expected_closes[ENDS[end][0]] += 1
            received += len(script) + (not end.startswith("leave"))
            sent += sum(int(line.split()[1]) for line in script if line.startswith("send"))
            running.append(obeyed(client, path, [*script, end]))
        if at_once:
            await asyncio.gather(*running)
        else:
            for one in running:
                await one
    stats = app.stats()
    assert (stats.open, stats.opened, stats.drops) == (0, expected_closes.total(), 0)
    assert (dict(stats.closes), dict(stats.refusals)) == (dict(expected_closes), dict(expected_refusals))
    assert (stats.received, stats.sent) == (received, sent)
    assert app.router._watch.wires == []
    for calls in diary.by_connection():
        hooks = [call[0] for call in calls]
        if hooks[-1] == "refused":
            assert hooks == ["handshake", "refused"]
        else:
            assert [hook for hook in hooks if hook not in ("received", "sent")] == ["handshake", "opened", "closed"]
            assert (hooks[:2], hooks[-1]) == (["handshake", "opened"], "closed")
            assert calls[-1][-2:] == (hooks.count("received"), hooks.count("sent"))
    assert len(diary.by_connection()) == len(visits)


async def test_counts_include_connections_that_are_open() -> None:
    """They are those of now; what nobody took is a drop."""
    app = make_app()
    async with AsyncTestClient(app) as client, client.websocket_connect("/obey/a") as websocket:
        await websocket.send_text("send 300")
        for _ in range(300):
            await websocket.receive()
        stats = app.stats()
        assert (stats.open, stats.opened, stats.received, stats.sent) == (1, 1, 1, 300)
        assert dict(stats.closes) == {}
    after = app.stats()
    assert (after.open, after.opened, dict(after.closes), after.received, after.sent) == (0, 1, {1000: 1}, 1, 300)
    assert stats.open == 1


# --- Hooks -----------------------------------------------------------------------------------------------------------


async def test_hooks_know_more_each_time() -> None:
    """The route from the answer on, numbers and the end at last; sizes are those of the messages."""
    diary = Diary()
    async with AsyncTestClient(make_app(diary), raise_server_exceptions=False) as client:
        await obeyed(client, "/in/b?token=secret", ["send 1", "close 4000"])
        await refused(client, "/mounted/none/at/all?token=secret")
        await refused(client, "/denies")
    opened, lost, denied = diary.by_connection()
    assert opened == [
        ("handshake", "/in/b", None),
        ("opened", "/in/b", "/in/{name}"),
        ("received", 6, "text"),
        ("sent", 3, "binary"),
        ("received", 10, "text"),
        ("closed", "/in/b", "/in/{name}", 4000, "as you wish", "application", 2, 1),
    ]
    assert lost == [
        ("handshake", "/mounted/none/at/all", None),
        ("refused", "/mounted/none/at/all", None, 404, "not_found"),
    ]
    assert denied == [("handshake", "/denies", None), ("refused", "/denies", "/denies", 418, "handler")]


@pytest.mark.parametrize("path", REFUSALS)
async def test_refusal_has_a_status_and_a_cause(caplog: pytest.LogCaptureFixture, path: str) -> None:
    """The same for hooks, counts and the one line of the log."""
    diary = Diary()
    app = make_app(diary)
    status, cause, told = REFUSALS[path]
    async with AsyncTestClient(app, raise_server_exceptions=False) as client:
        await refused(client, f"{path}?token=secret")
    assert [(*call[1:2], *call[4:]) for call in diary.calls] == [("handshake",), ("refused", status, cause)]
    assert app.stats().refusals == {cause: 1}
    (line,) = lines(caplog)
    assert line.startswith(f"{status} {path}: {told or ''}")
    assert "secret" not in caplog.text.replace("secret_", "")


async def test_handshake_that_the_client_left_is_refused_without_a_status(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody was there to be told one."""
    diary = Diary()
    app = make_app(diary)
    peer = Peer(disconnect(1006))
    await app(websocket_scope("/obey/a"), peer.receive, peer.send)
    assert diary.calls[-1][1:] == ("refused", "/obey/a", "/obey/{name}", None, "client")
    assert app.stats().refusals == {"client": 1}
    assert lines(caplog) == ["left /obey/a: the client left before there was an answer"]


async def test_client_that_vanishes_is_closed_with_1006(caplog: pytest.LogCaptureFixture) -> None:
    """By the client, as far as anybody knows."""
    diary = Diary()
    app = make_app(diary)
    peer = Peer({"type": "websocket.connect"}, {"type": "websocket.receive", "text": "send 1"})

    async def send(message: Any) -> None:
        if message["type"] == "websocket.send":
            raise OSError
        await peer.send(message)

    peer.inbox.append(disconnect(1006))
    await app(websocket_scope("/obey/a"), peer.receive, send)
    assert diary.calls[-1][1:] == ("closed", "/obey/a", "/obey/{name}", 1006, "", "client", 1, 0)
    assert [line.split()[0] for line in lines(caplog)] == ["open", "close"]


async def test_connection_that_was_assigned_its_end_counts_as_1006() -> None:
    """Whoever sets the state by hand has given no code."""

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        websocket.client_state = type(websocket.client_state).DISCONNECTED

    app = Lilya(routes=[WebSocketPath("/", handler)])
    async with AsyncTestClient(app) as client, client.websocket_connect("/"):
        pass
    assert app.stats().closes == {1006: 1}


async def test_failing_instrument_disturbs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Neither connections nor the others; its first failure is logged, all are counted."""
    failing, diary, ends = Failing(), Diary(), OnlyEnds()
    async with AsyncTestClient(make_app(failing, diary, ends)) as client:
        await obeyed(client, "/obey/a", ["send 2", "close 4000"])
    assert [call[1] for call in diary.calls] == [
        "handshake",
        "opened",
        "received",
        "sent",
        "sent",
        "received",
        "closed",
    ]
    assert (failing.hook_failures, ends.ends) == (7, [4000])
    (logged,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert logged.getMessage().endswith("further failures of it are counted, not logged.")


async def test_instruments_of_a_mounted_application_are_not_asked() -> None:
    """Its connections are those of the application around it."""
    inside, outside = Diary(), Diary()
    inner = Lilya(routes=[WebSocketPath("/{name}", obey)], instruments=[inside])
    app = Lilya(routes=[Include("/in", app=inner)], instruments=[outside])
    async with AsyncTestClient(app) as client:
        await obeyed(client, "/in/a", ["return"])
    assert (len(inside.calls), inner.stats().opened) == (0, 0)
    assert (outside.calls[-1][3], app.stats().opened) == ("/in/{name}", 1)


async def test_messages_that_were_read_ahead_are_told_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """And dropped ones are counted as such."""
    monkeypatch.setattr(_watch, "PERIOD", 0.02)
    diary = Diary()

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        while not websocket.closed:  # noqa: ASYNC110 - it does something else
            await asyncio.sleep(0.01)
        assert await websocket.receive_text() == "a"

    app = Lilya(routes=[WebSocketPath("/", handler)], instruments=[diary])
    async with AsyncTestClient(app) as client, client.websocket_connect("/") as websocket:
        for text in ("a", "bb", "ccc"):
            await websocket.send_text(text)
    stats = app.stats()
    assert [call[2] for call in diary.calls if call[1] == "received"] == [1, 2, 3]
    assert (stats.received, stats.drops, dict(stats.closes)) == (1, 2, {1000: 1})


# --- The log ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ENDS)
async def test_connection_is_one_line_at_each_end(caplog: pytest.LogCaptureFixture, end: str) -> None:
    """Path, route, code, who ended it and how many messages; no query string anywhere."""
    async with AsyncTestClient(make_app(), raise_server_exceptions=False) as client:
        await obeyed(client, "/obey/a?token=secret", ["send 2", end])
    code, by = ENDS[end]
    count = 1 if by == "client" else 2
    opened, closed = lines(caplog)
    assert opened == "open /obey/a route=/obey/{name}"
    assert closed.startswith(f"close /obey/a route=/obey/{{name}} code={code} by={by} in={count} out=2")
    assert "token" not in caplog.text
    errors = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(errors) == (1 if end == "raise" else 0)


REMEDIES = [
    ({"limits": Limits(max_message_bytes=4)}, ["chat 1234"], "max_message_bytes=4"),
    ({"limits": Limits(rate="1/h")}, ["chat", "chat"], "rate=0.000277778/s, burst=1"),
    ({"limits": Limits(idle_timeout=0.05)}, [], "idle for 0.05 s; Limits(idle_timeout=…)"),
    ({"limits": Limits(lifetime=0.05)}, [], "Limits(lifetime=0.05)"),
]


@pytest.mark.parametrize(("options", "script", "told"), REMEDIES)
async def test_end_by_a_limit_names_the_limit(
    caplog: pytest.LogCaptureFixture, options: dict[str, Any], script: list[str], told: str
) -> None:
    """In the line of its end, which is one of INFO."""
    app = Lilya(routes=[WebSocketPath("/", obey)], **options)
    async with AsyncTestClient(app) as client, client.websocket_connect("/") as websocket:
        for line in script:
            await websocket.send_text(line)
        assert (await websocket.receive())["type"] == "websocket.close"
    _, closed = lines(caplog)
    assert " by=limit " in closed
    assert closed.endswith(f": {told}")
    assert {record.levelno for record in caplog.records if record.name == "lilya.websocket"} == {logging.INFO}


async def test_refusal_by_a_setting_names_the_setting(caplog: pytest.LogCaptureFixture) -> None:
    """The cause, and what would allow it."""

    class User:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
            scope["user"] = "ana"
            await self.app(scope, receive, send)

    def one(**given: Any) -> Limits:
        return Limits(**given)

    routes = [
        WebSocketPath("/many", obey),
        WebSocketPath("/route", obey, limits=one(connections=1)),
        WebSocketPath("/client", obey, limits=one(connections_per_client=1, client_key=lambda scope: "a")),
        WebSocketPath("/user", obey, limits=one(connections_per_user=1), middleware=[User]),
    ]
    app = Lilya(routes=routes, limits=one(connections=2))
    async with AsyncTestClient(app) as client:
        for path in ("/route", "/client", "/user"):
            async with client.websocket_connect(path):
                await refused(client, f"{path}?token=secret")
        async with client.websocket_connect("/many"), client.websocket_connect("/many"):
            await refused(client, "/many")
        await refused(client, "/many", headers={"origin": "https://evil.example"})
        await refused(client, "/manny")
        app.router._watch.draining = True
        await refused(client, "/many")
    assert [line for line in lines(caplog) if line[0].isdigit()] == [
        "503 /route: 1 connections are open; Limits(connections=…) allows more",
        "429 /client: 1 connections are open; Limits(connections_per_client=…) allows more",
        "429 /user: 1 connections are open; Limits(connections_per_user=…) allows more",
        "503 /many: 2 connections are open; Limits(connections=…) allows more",
        (
            "403 /many: origin 'https://evil.example' is not the host 'testserver'; "
            "allow it with origins=['https://evil.example']"
        ),
        "404 /manny: no WebSocket route; near: /many",
        "503 /many: the application is shutting down",
    ]
    assert "secret" not in caplog.text


async def test_nearest_route_is_named_in_the_log() -> None:
    """As it was declared."""
    app = Lilya()
    app.websocket("/chat/<room>")(obey)
    records: list[str] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record.getMessage())

    keeping = Keeping()
    _log.connections.addHandler(keeping)
    try:
        async with AsyncTestClient(app) as client:
            await refused(client, "/chat?token=secret")
    finally:
        _log.connections.removeHandler(keeping)
    assert [re.sub(" id=.*", "", line) for line in records] == ["404 /chat: no WebSocket route; near: /chat/<room>"]


async def test_quiet_log_has_faults_only(caplog: pytest.LogCaptureFixture) -> None:
    """At WARNING nothing is said about connections, and they are counted all the same."""
    caplog.set_level(logging.WARNING, "lilya.websocket")
    app = make_app()
    async with AsyncTestClient(app, raise_server_exceptions=False) as client:
        for end in ENDS:
            await obeyed(client, "/obey/a", [end])
        await refused(client, "/denies")
    assert lines(caplog) == []
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 1
    assert (app.stats().opened, dict(app.stats().refusals)) == (len(ENDS), {"handler": 1})


async def test_failures_in_clean_ups_do_not_hide_the_end(caplog: pytest.LogCaptureFixture) -> None:
    """A dependency that fails while it is closed is one ERROR, and the connection still has its one line."""

    async def breaks() -> Any:
        yield 1
        raise KeyError("while closing")

    async def handler(websocket: WebSocket, needed: int) -> None:
        await websocket.accept()

    app = Lilya(routes=[WebSocketPath("/", handler, dependencies={"needed": Provide(breaks)})])
    async with AsyncTestClient(app, raise_server_exceptions=False) as client, client.websocket_connect("/"):
        pass
    assert [line.split()[0] for line in lines(caplog)] == ["open", "close"]
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 1
    assert app.stats().open == 0


@pytest.mark.parametrize("instrument", [Instrument, "prometheus", object()])
def test_what_is_no_instrument_is_refused_at_startup(instrument: Any) -> None:
    """A class instead of an instance, most often."""
    with pytest.raises(ImproperlyConfigured, match="is no Instrument"):
        Lilya(instruments=[instrument])
