"""
Any conversation at all, once more: with tasks that wait, with somebody who reads ahead, and with ends from outside.

`tests.test_wire.Conversation` lets one handler call anything at any time. Here its calls may also wait, for a client
that says nothing or takes nothing, and meanwhile the conversation may be ended by whoever looks after it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from lilya._inbox import Inbox
from lilya._suspended import is_waiting
from lilya.enums import WebSocketState
from lilya.responses import JSONResponse, PlainText
from lilya.types import Message
from lilya.websockets import WebSocket
from tests.contract.peer import CONNECT, Peer, disconnect, websocket_scope
from tests.test_wire import ACCEPT, CLIENT_MESSAGES, DOCUMENTED, Conversation
from tests.waiting_peer import turns

CONNECTING, CONNECTED, DISCONNECTED, RESPONSE = WebSocketState

# Reached only if something hangs.
SECONDS = 10


class PatientPeer(Peer):
    """It waits where a server does: for the client's next message, and in a send while the client takes nothing."""

    def __init__(self, *messages: Message) -> None:
        super().__init__(*messages)
        self.arrived = asyncio.Event()
        self.taking = asyncio.Event()
        self.taking.set()
        self.receiving = 0

    async def receive(self) -> Message:
        assert self.receiving == 0, "two receive at the same time"
        self.receiving += 1
        try:
            while not self.inbox:
                self.arrived.clear()
                await self.arrived.wait()
            return self.inbox.pop(0)
        finally:
            self.receiving -= 1

    async def send(self, message: Message) -> None:
        await super().send(message)
        if message["type"] == "websocket.send":
            await self.taking.wait()
        if message["type"] == "websocket.close":
            # The client's answer to it, after all that it has said meanwhile.
            self.inbox.append(disconnect(message["code"]))
            self.arrived.set()


class EndedFromOutside(Conversation):
    """The same handler with tasks of its own, and somebody who ends what it does not."""

    peer: PatientPeer

    def __init__(self) -> None:
        super().__init__()
        self.peer = PatientPeer(CONNECT)
        self.websocket = WebSocket(websocket_scope(), self.peer.receive, self.peer.send)
        self.wire = self.websocket._wire
        self.receiver: asyncio.Task[Any] | None = None
        self.senders: list[asyncio.Task[Any]] = []
        # How much happens before anybody may end it: else most conversations would be over at once.
        self.rounds = 0

    def run(self, coroutine: Coroutine[Any, Any, object]) -> None:
        """Run to its end what comes to an end without anybody's doing."""
        self.loop.run_until_complete(asyncio.wait_for(coroutine, SECONDS))

    def attempt(self, call: str, *args: object) -> None:
        super().attempt(call, *args)
        self.run(turns())

    def teardown(self) -> None:
        self.peer.taking.set()
        self.run(turns())
        self.nothing_undocumented_comes_out()
        self.run(self.wire.stop_reading())
        if self.receiver is not None:
            self.receiver.cancel()
        self.run(turns())
        assert asyncio.all_tasks(self.loop) == set()
        super().teardown()

    @property
    def receives(self) -> bool:
        """Whether a task of the handler waits to receive."""
        return self.receiver is not None and not self.receiver.done()

    @property
    def reads_ahead(self) -> bool:
        """Whether somebody receives for the handler."""
        return self.wire.inbox is not None and self.wire.inbox.reading

    @initialize(accepts=st.sampled_from([True, True, True, False]), takes=st.booleans(), rounds=st.integers(0, 12))
    def begin(self, accepts: bool, takes: bool, rounds: int) -> None:
        if accepts:
            self.attempt("accept")
        self.client_takes(takes)
        self.rounds = rounds

    # -- the client and the server --

    @precondition(lambda self: not self.hung_up and "close" not in self.peer.kinds)
    @rule(message=CLIENT_MESSAGES)
    def client_says(self, message: Message) -> None:
        self.peer.inbox.append(message)
        self.peer.arrived.set()
        self.run(turns())

    @precondition(lambda self: self.rounds <= 0 and not self.hung_up and "close" not in self.peer.kinds)
    @rule(message=st.sampled_from([disconnect(), disconnect(4000, "x"), {"type": "websocket.disconnect"}]))
    def client_leaves(self, message: Message) -> None:
        self.hung_up = True
        self.peer.inbox.append(message)
        self.peer.arrived.set()
        self.run(turns())

    @rule(takes=st.booleans())
    def client_goes_on(self, takes: bool) -> None:
        self.client_takes(takes)

    def client_takes(self, takes: bool) -> None:
        """Let it take messages from now on, or let it stop."""
        if takes:
            self.peer.taking.set()
        else:
            self.peer.taking.clear()
        self.run(turns())

    # -- the handler --

    @rule(call=st.sampled_from(["receive_text", "receive_bytes", "receive_json"]))
    @precondition(lambda self: not self.receives)
    def task_receives(self, call: str) -> None:
        self.receiver = self.loop.create_task(getattr(self.websocket, call)())
        self.run(turns())

    @rule(call=st.sampled_from(["send_text", "send_json"]))
    def task_sends(self, call: str) -> None:
        self.senders.append(self.loop.create_task(getattr(self.websocket, call)("x")))
        self.run(turns())

    @precondition(lambda self: self.senders)
    @rule(data=st.data())
    def task_gives_up(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.senders)).cancel()
        self.run(turns())

    @rule(response=st.sampled_from([PlainText("no", status_code=401), JSONResponse([], status_code=403)]))
    def deny(self, response: PlainText | JSONResponse) -> None:
        if self.websocket.client_state is not CONNECTING or self.peer.inbox:
            self.attempt("send_denial_response", response)

    @precondition(lambda self: self.rounds <= 0)
    @rule(code=st.integers(0, 5000), reason=st.none() | st.text(max_size=130))
    def end(self, code: int, reason: str | None) -> None:
        self.attempt("close", code, reason)

    @precondition(lambda self: self.peer.taking.is_set())
    @rule(call=st.sampled_from(["send_text", "send_bytes", "send_json"]), value=st.sampled_from(["x", float("nan")]))
    def say(self, call: str, value: object) -> None:
        self.attempt(call, value)

    @precondition(lambda self: not self.receives and (self.peer.inbox or self.websocket.closed))
    @rule(call=st.sampled_from(["receive", "receive_text", "receive_bytes", "receive_json"]))
    def listen(self, call: str) -> None:
        if call == "receive" and self.websocket.client_state is not DISCONNECTED and not self.peer.inbox:
            return  # after our own close it waits for the client's
        self.attempt(call)

    @rule(
        message=st.sampled_from(
            [
                ACCEPT,
                {"type": "websocket.http.response.start", "status": 401, "headers": []},
                {"type": "websocket.http.response.body", "body": b""},
                {"type": "http.response.start", "status": 200, "headers": []},
            ]
        )
    )
    def send_raw(self, message: Message) -> None:
        self.attempt("send", message)

    # -- whoever looks after it --

    @precondition(lambda self: self.wire.open and not self.receives and self.wire.inbox is None)
    @rule()
    def watcher_reads_ahead(self) -> None:
        self.loop.call_soon(self._read_ahead)
        self.run(turns())

    def _read_ahead(self) -> None:
        self.wire.inbox = Inbox(self.wire)
        self.wire.inbox.start()

    @precondition(lambda self: self.rounds <= 0)
    @rule(code=st.sampled_from([1001, 1009, 1012, 1013, 4401, 4429]), reason=st.text(max_size=130))
    def watcher_ends(self, code: int, reason: str) -> None:
        was_open = self.wire.open
        self.run(self.wire.end(code, reason, "limit", "why"))
        self.run(turns())
        assert not self.wire.open
        if was_open:
            assert (self.wire.close_code, self.wire.ended_by) == (code, "limit")
            assert not is_waiting(self.wire.sending)
            assert self.peer.gone or self.peer.kinds[-1] == "close"

    # -- what always holds --

    @invariant()
    def nothing_undocumented_comes_out(self) -> None:
        self.rounds -= 1
        for task in (self.receiver, *self.senders):
            if task is not None and task.done() and not task.cancelled():
                assert task.exception() is None or isinstance(task.exception(), DOCUMENTED)

    @invariant()
    def nobody_waits_for_a_conversation_that_is_over(self) -> None:
        if self.websocket.closed:
            assert not self.receives

    @invariant()
    def the_end_has_a_code(self) -> None:
        if self.peer.kinds[:1] == ["accept"] and self.websocket.closed:
            assert self.websocket.close_code is not None


TestEndedFromOutside = EndedFromOutside.TestCase
TestEndedFromOutside.settings = settings(stateful_step_count=30)
