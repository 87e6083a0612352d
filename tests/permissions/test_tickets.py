"""Tickets: issued to a user, redeemed once, kept as a hash, for a while."""

import asyncio
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lilya.apps import Lilya
from lilya.exceptions import ImproperlyConfigured
from lilya.permissions import DefinePermission
from lilya.permissions.authentication import Authenticated, MemoryTicketStore, Tickets, TicketStore, bearer_token
from lilya.requests import Connection, Request
from lilya.testclient import AsyncTestClient, TestClient, WebSocketDenialResponse
from lilya.websockets import WebSocket, WebSocketDisconnect


class Clock:
    """A time that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Recorder:
    """A store that remembers all that it was told."""

    def __init__(self) -> None:
        self.inner = MemoryTicketStore()
        self.told: list[Any] = []

    async def put(self, key: str, value: Any, seconds: float) -> None:
        self.told.append((key, value, seconds))
        await self.inner.put(key, value, seconds)

    async def take(self, key: str) -> Any:
        self.told.append(key)
        return await self.inner.take(key)


def showing(ticket: str, *, query: bool = False) -> Connection:
    """A WebSocket handshake with this ticket."""
    scope: dict[str, Any] = {"type": "websocket", "path": "/", "headers": [], "subprotocols": []}
    if query:
        scope["query_string"] = f"ticket={ticket}".encode()
    else:
        scope["subprotocols"] = ["ticket", ticket]
    return Connection(scope)


@pytest.mark.parametrize("query", [False, True])
async def test_ticket_is_redeemed_once(query: bool) -> None:
    """The first who shows it is the user; whoever shows it again, or another one, is nobody."""
    tickets = Tickets()
    first, second = await tickets.issue("ana"), await tickets.issue({"name": "bob"})
    assert await tickets.redeem(showing(first, query=query)) == "ana"
    assert await tickets.redeem(showing(first, query=query)) is None
    assert await tickets.redeem(showing(second, query=query)) == {"name": "bob"}


async def test_ticket_is_redeemed_by_one_of_many_at_once() -> None:
    """Of those who show it at the same time, one gets in."""
    tickets = Tickets()
    ticket = await tickets.issue("ana")
    users = await asyncio.gather(*(tickets.redeem(showing(ticket)) for _ in range(100)))
    assert sorted(map(str, users)) == ["None"] * 99 + ["ana"]


@pytest.mark.parametrize("ticket", ["", "nothing", "caf\xe9", "a b", "x" * 100_000])
async def test_ticket_that_was_not_issued_is_nobody(ticket: str) -> None:
    """Whatever is shown instead of a ticket."""
    tickets = Tickets()
    await tickets.issue("ana")
    assert await tickets.redeem(showing(ticket)) is None
    assert await tickets.redeem(Connection({"type": "http", "query_string": ticket.encode(), "headers": []})) is None


async def test_ticket_may_stand_in_a_url_and_in_a_subprotocol() -> None:
    """43 characters of base64url, 256 random bits: no two are the same."""
    tickets = Tickets()
    issued = [await tickets.issue("ana") for _ in range(100)]
    assert all(re.fullmatch("[A-Za-z0-9_-]{43}", ticket) for ticket in issued)
    assert len(set(issued)) == 100


async def test_store_sees_a_hash_of_the_ticket() -> None:
    """Whoever reads the store cannot redeem what stands there."""
    store = Recorder()
    tickets = Tickets(seconds=7, store=store)
    ticket = await tickets.issue("ana")
    assert await tickets.redeem(showing(ticket)) == "ana"
    (key, *rest), again = store.told
    assert (rest, again) == (["ana", 7], key)
    assert re.fullmatch("[0-9a-f]{64}", key)
    assert ticket not in str(store.told)
    assert await tickets.redeem(showing(key)) is None


async def test_ticket_expires() -> None:
    """At the end of its seconds it is void."""
    clock = Clock()
    tickets = Tickets(seconds=30, store=MemoryTicketStore(clock=clock))
    early, late = await tickets.issue("ana"), await tickets.issue("ana")
    clock.now += 29.9
    assert await tickets.redeem(showing(early)) == "ana"
    clock.now += 0.1
    assert await tickets.redeem(showing(late)) is None


async def test_memory_store_drops_what_has_expired() -> None:
    """Tickets that nobody redeems do not stay."""
    clock = Clock()
    store = MemoryTicketStore(clock=clock)
    for key in ("a", "b"):
        await store.put(key, key, 10)
    clock.now += 5
    await store.put("c", "c", 10)
    assert len(store) == 3
    clock.now += 5
    await store.put("d", "d", 10)
    assert len(store) == 2
    assert [await store.take(key) for key in "abcd"] == [None, None, "c", "d"]


async def test_memory_store_is_bounded() -> None:
    """The oldest goes when it is full; a flood keeps nobody out."""
    store = MemoryTicketStore(capacity=2)
    for key in ("a", "b", "c"):
        await store.put(key, key, 10)
    assert len(store) == 2
    assert [await store.take(key) for key in "abc"] == [None, "b", "c"]


@given(st.lists(st.tuples(st.sampled_from(["put", "take"]), st.integers(0, 5), st.integers(0, 3))), st.integers(1, 4))
async def test_memory_store_gives_what_was_put_once_and_in_time(
    steps: list[tuple[str, int, int]], capacity: int
) -> None:
    """Never late, never twice, never more than its capacity; nothing is lost as long as there is room for all."""
    clock = Clock()
    store = MemoryTicketStore(capacity, clock)
    waiting: dict[str, float] = {}
    puts = 0
    for step, number, passed in steps:
        clock.now += passed
        if step == "put":
            puts += 1
            waiting[str(puts)] = clock.now + number
            await store.put(str(puts), f"value {puts}", number)
            assert len(store) <= capacity
        elif waiting:
            key = list(waiting)[number % len(waiting)]
            in_time = waiting.pop(key) > clock.now
            taken = await store.take(key)
            assert taken == (f"value {key}" if in_time and (taken is not None or puts <= capacity) else None)
            assert await store.take(key) is None


def test_tickets_are_checked_when_they_are_made() -> None:
    """No time and no room are mistakes."""
    for seconds in (0, -1, float("nan")):
        with pytest.raises(ImproperlyConfigured, match="seconds"):
            Tickets(seconds)
    with pytest.raises(ImproperlyConfigured, match="capacity=0"):
        MemoryTicketStore(0)
    store: TicketStore = MemoryTicketStore()
    assert isinstance(store, MemoryTicketStore)


def ticket_app(refuse: str = "deny") -> Lilya:
    """An endpoint that knows the user by a token, and a WebSocket that knows them by a ticket."""
    tickets = Tickets()
    app = Lilya()

    async def who(connection: Connection) -> str | None:
        return "ana" if bearer_token(connection) == "ana-token" else None

    @app.post("/ticket", permissions=[DefinePermission(Authenticated, who)])
    async def hand_out(request: Request) -> Any:
        return {"ticket": await tickets.issue(request.user)}

    @app.websocket("/ws", permissions=[DefinePermission(Authenticated, tickets.redeem, refuse=refuse)])
    async def greet(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_json([websocket.user, websocket.scope["subprotocols"]])

    return app


def test_tickets_let_a_websocket_in_as_a_permission() -> None:
    """From the endpoint to the open WebSocket, by subprotocol; a second try with the same ticket is refused."""
    client = TestClient(ticket_app())
    assert client.post("/ticket").status_code == 401
    ticket = client.post("/ticket", headers={"authorization": "Bearer ana-token"}).json()["ticket"]
    with client.websocket_connect("/ws", ["ticket", ticket, "chat.v1"]) as websocket:
        assert websocket.accepted_subprotocol == "ticket"
        assert websocket.receive_json() == ["ana", ["ticket", "chat.v1"]]
    with pytest.raises(WebSocketDenialResponse) as denied, client.websocket_connect("/ws", ["ticket", ticket]):
        pass
    assert denied.value.status_code == 401


async def test_tickets_tell_a_page_why_they_do_not_let_in() -> None:
    """With refuse="close" the scheme is answered and the connection closed with 4401."""
    async with AsyncTestClient(ticket_app("close")) as client:
        for subprotocols in (["ticket", "void"], ["ticket"]):
            async with client.websocket_connect("/ws", subprotocols) as websocket:
                assert websocket.accepted_subprotocol == "ticket"
                with pytest.raises(WebSocketDisconnect) as closed:
                    await websocket.receive_text()
                assert closed.value.code == 4401
