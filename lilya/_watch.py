"""
Who looks after the open connections of an application.

A handler that sits in `receive` learns from the server that its client has left; whoever else must be looked after:

- who only sends, or only computes, gets somebody who reads ahead (`lilya._inbox`), and is told by its next call;
- who does neither for a while after its client left is cancelled;
- who reaches a limit in time, whose credentials expire, or who waits for a client that takes nothing any more, is
  ended.

One timer for all connections of an event loop does this, a few times a second. A connection costs nothing for it but
its place in a table, and a message nothing at all.
"""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import Sequence
from typing import Any

from lilya import _errors, _log
from lilya._gates import RETRY_SECONDS, TokenBucket, enter_gates, leave_gates
from lilya._inbox import Inbox
from lilya._policy import Demands, Policy, demanded
from lilya._shared import SharedValues
from lilya._state import CONNECTED
from lilya._suspended import interrupt, is_waiting
from lilya._wire import BREATH, Wire
from lilya.exceptions import HTTPException, ImproperlyConfigured
from lilya.instruments import ConnectionInfo, Instrument, Stats, Tally, tell, wants_messages
from lilya.serializers import Serializer, serializer
from lilya.types import Message, Receive, Scope, Send

__all__ = ["POLICY", "Watch", "draining", "refusal"]

# Where the scope holds the policy of the mounts it came through.
POLICY = "lilya.policy"

# Seconds between two looks at a connection, and how long its handler must have been away from `receive` until somebody
# reads ahead for it: well below the 20 seconds after which servers ask whether the client is still there.
PERIOD = 0.25

# However close the next deadline is, a look at all connections is no more often than this.
SHORTEST = 0.01


class Watch:
    """
    The connections of one application: what they are held to, how many there are, and who must be told.

    Args:
        limits, origins: What the application declares for all of them; by default pages of the same origin may connect.
        instruments: Who is told what happens.

    Attributes:
        debug: Tell the peer the type of an unexpected exception.
        codec: How WebSockets read and write JSON.
        shared: The values of dependencies of scope "app".
        draining: The application is shutting down: new handshakes are refused.
        tally: The counts of `Lilya.stats`.
    """

    def __init__(self, limits: Any = None, origins: Any = None, instruments: Sequence[Instrument] = ()) -> None:
        for instrument in instruments:
            if not isinstance(instrument, Instrument):
                raise ImproperlyConfigured(
                    f"instruments: {instrument!r} is no Instrument. Give an instance of a subclass of "
                    f"lilya.instruments.Instrument."
                )
        self.policy: Policy = (demanded(limits, origins) or Demands()).applied_to(None)
        self.debug = False
        self.codec: Serializer = serializer
        self.shared = SharedValues()
        self.instruments: tuple[Instrument, ...] = tuple(instruments)
        self._listening = tuple(instrument for instrument in self.instruments if wants_messages(instrument))
        self.tally = Tally()
        self.draining = False
        self.crowded = 0
        self._rounds: dict[asyncio.AbstractEventLoop | None, _Round] = {}

    @property
    def wires(self) -> list[Wire]:
        """The connections that there are now, those included whose handler has yet to end."""
        return [wire for round_ in self._rounds.values() for wire in round_.wires]

    def stats(self) -> Stats:
        """The counts as they are now."""
        wires = self.wires
        return self.tally.snapshot(sum(int(wire.received) for wire in wires), sum(wire.sent for wire in wires))

    # -- one connection ------------------------------------------------------------------------------------------

    def wire(self, receive: Receive, send: Send) -> Wire:
        """The `Wire` of a new connection, with those in between who are to be told about each message."""
        wire = Wire(receive, send, self.codec, self.shared)
        if not self._listening:
            return wire

        async def received() -> Message:
            message = await receive()
            if message["type"] == "websocket.receive":
                tell(self._listening, "received", wire.info, *_measured(message))
            return message

        async def sent(message: Message) -> None:
            await send(message)
            if message["type"] == "websocket.send":
                tell(self._listening, "sent", wire.info, *_measured(message))

        wire.server_receive = receive
        wire.raw_receive, wire.raw_send = received, sent
        return wire

    def enter(self, wire: Wire, scope: Scope) -> None:
        """A handshake has arrived."""
        wire.watch = self
        wire.scope = scope
        wire.began = time.monotonic()
        wire.policy, wire.max_chars = self.policy, self.policy.max_chars
        loop = asyncio._get_running_loop()
        wire.task = None if loop is None else asyncio.current_task(loop)
        round_ = self._rounds.get(loop)
        if round_ is None:
            # An event loop that was closed before its timer came has nobody in it.
            self._rounds = {known: one for known, one in self._rounds.items() if known is None or not known.is_closed()}
            round_ = self._rounds[loop] = _Round(self, loop)
        wire.round = round_
        round_.wires[wire] = None
        if round_.timer is None:
            round_.look_within(PERIOD)
        if self.policy.rate is not None or self.policy.shortest < PERIOD:
            self._hold(wire, self.policy)
        if self.instruments:
            wire.info = ConnectionInfo(id=wire.id, path=scope.get("path", ""), scope=scope)
            tell(self.instruments, "handshake", wire.info)

    def admit(self, wire: Wire, demands: Sequence[Demands], scope: Scope) -> None:
        """
        Let a handshake through to its route, and hold the connection to the policy there.

        Raises:
            HTTPException: A web page that may not connect, or too many connections.
        """
        policy: Policy = scope.get(POLICY) or self.policy
        for declared in demands:
            policy = declared.applied_to(policy)
        if policy is not wire.policy:
            self._hold(wire, policy)
        if policy.origins is not None:
            why = policy.origins.refusal(scope.get("headers", ()), scope.get("scheme", "ws"))
            if why is not None:
                raise refusal(403, "origin", why)
        most = self.policy.connections
        if most is not None and len(wire.round.wires) > most:
            self.crowded += 1
            why = f"{most} connections are open; Limits(connections=…) allows more"
            raise refusal(503, "connections", why, {"retry-after": str(1 + self.crowded % RETRY_SECONDS)})
        if wire.entered:
            # By a route that let the next one have its turn.
            leave_gates(wire.entered)
        if policy.gates:
            self._pass(wire, policy.gates, scope)

    def _hold(self, wire: Wire, policy: Policy) -> None:
        """Hold a connection to this policy from now on."""
        wire.policy, wire.max_chars = policy, policy.max_chars
        if policy.rate is not None:
            wire.bucket = TokenBucket(policy.rate, policy.burst)
            if wire.was_opened and wire.inbox is None:
                # By a layer around the route.
                self._read_always(wire)
        elif wire.bucket is not None:
            wire.bucket = None  # of a route that let the next one have its turn
        if policy.shortest < PERIOD:
            self.look_soon(wire, policy.shortest)

    def admit_user(self, wire: Wire, scope: Scope) -> None:
        """The same for the limits per user, when the middleware has found out who it is."""
        self._pass(wire, wire.policy.user_gates, scope)

    def _pass(self, wire: Wire, gates: Sequence[Any], scope: Scope) -> None:
        if wire.entered is None:
            wire.entered = []
        gate = enter_gates(gates, scope, wire.entered)
        if gate is not None:
            why = f"{gate.limit} connections are open; Limits({gate.setting}=…) allows more"
            raise refusal(gate.status, gate.setting, why, {"retry-after": str(gate.retry_after)})

    def opened(self, wire: Wire) -> None:
        """The handshake has been accepted."""
        wire.was_opened = True
        self.tally.open += 1
        self.tally.opened += 1
        if _log.connections.isEnabledFor(_log.INFO):
            _log.log_opened(wire)
        if self.instruments:
            wire.info.route = wire.route
            tell(self.instruments, "opened", wire.info)
        if wire.bucket is not None:
            self._read_always(wire)

    @staticmethod
    def _read_always(wire: Wire) -> None:
        # The time at which a message comes is what counts, not when the handler gets round to it.
        wire.inbox = Inbox(wire, always=True)
        wire.inbox.start()

    def leave(self, wire: Wire) -> None:
        """The handler has ended, and everything has been said."""
        try:
            self._conclude(wire)
        finally:
            # Whatever a handler of the log does.
            del wire.round.wires[wire]

    def _conclude(self, wire: Wire) -> None:
        if wire.entered is not None:
            leave_gates(wire.entered)
        tally = self.tally
        if wire.received:
            tally.received += int(wire.received)
        if wire.breath != BREATH or wire.breaths:
            tally.sent += wire.sent
        if wire.inbox is not None:
            tally.drops += len(wire.inbox.messages)
        word = ""
        if wire.was_opened:
            code = wire.close_code if wire.close_code is not None else 1006
            tally.open -= 1
            tally.closes[code] = tally.closes.get(code, 0) + 1
            if wire.why or wire.cause is not None or _log.connections.isEnabledFor(_log.INFO):
                _log.log_closed(wire, self._why_closed(wire))
        else:
            word, why = _why_refused(wire)
            tally.refusals[word] = tally.refusals.get(word, 0) + 1
            _log.log_refused(wire, why)
        if self.instruments:
            self._tell_end(wire, word)

    def _tell_end(self, wire: Wire, refused_for: str) -> None:
        info = wire.info
        info.route = wire.route
        info.seconds = time.monotonic() - wire.began
        info.received, info.sent = int(wire.received), wire.sent
        if wire.was_opened:
            info.code, info.reason, info.ended_by = wire.close_code, wire.close_reason, wire.ended_by
            tell(self.instruments, "closed", info)
        else:
            info.status, info.cause = wire.refused, refused_for
            tell(self.instruments, "refused", info)

    @staticmethod
    def _why_closed(wire: Wire) -> str:
        if wire.why or wire.cause is None:
            return wire.why
        if _errors.is_leaving(wire.cause):
            return ""
        # A fault has been reported already, with all of it.
        return type(wire.cause).__name__ if _errors.is_fault(wire.cause) else _log.told(wire.cause)

    def look_soon(self, wire: Wire, seconds: float = 0.0) -> None:
        """Look at this connection again in so many seconds, if that is sooner than planned; from any thread."""
        round_ = wire.round
        if wire not in round_.wires:
            return  # it has ended
        if asyncio._get_running_loop() is round_.loop:
            round_.look_within(seconds)
        else:
            round_.loop.call_soon_threadsafe(round_.look_within, seconds)


class _Round:
    """The connections of one application in one event loop, and the timer that looks at them."""

    __slots__ = ("_due", "loop", "timer", "_watch", "wires")

    def __init__(self, watch: Watch, loop: asyncio.AbstractEventLoop | None) -> None:
        self._watch = watch
        self.loop = loop
        self.timer: asyncio.TimerHandle | None = None
        self._due = math.inf
        self.wires: dict[Wire, _Vigil | None] = {}

    def look_within(self, seconds: float) -> None:
        """Look after so many seconds at the latest."""
        if self.loop is None:
            return
        due = time.monotonic() + max(seconds, SHORTEST)
        if self.timer is not None:
            if self._due <= due:
                return
            self.timer.cancel()
        self._due = due
        self.timer = self.loop.call_later(due - time.monotonic(), self._look)

    def _look(self) -> None:
        self.timer = None
        if not self.wires:
            # Nobody is here: the next connection begins a new round, and the loop may go.
            self._watch._rounds.pop(self.loop, None)
            return
        now = time.monotonic()
        due = now + PERIOD
        for wire, vigil in list(self.wires.items()):
            if vigil is None:
                vigil = self.wires[wire] = _Vigil(wire, now)
            try:
                due = min(due, vigil.look(now))
            except Exception as error:
                # What is wrong with one connection must not end the watch over all others.
                _log.report(error, wire.scope, wire.id)
                wire.end_soon(1011, "", "error", type(error).__name__)
        self.look_within(due - time.monotonic())


class _Vigil:
    """What is remembered of one connection between two looks at it."""

    __slots__ = (
        "arrived",
        "away_since",
        "ends_at",
        "moved_at",
        "over_since",
        "received",
        "saying",
        "saying_since",
        "sending",
        "sending_since",
        "sent",
        "taken_at",
        "wire",
    )

    def __init__(self, wire: Wire, now: float) -> None:
        self.wire = wire
        self.received = -1.0
        self.sent = -1
        self.arrived = 0
        self.moved_at = now
        self.away_since: float | None = None
        self.over_since: float | None = None
        self.sending: Any = None
        self.sending_since = now
        self.taken_at = now
        self.ends_at: float | None = None
        self.saying: Any = None
        self.saying_since = now

    def look(self, now: float) -> float:
        """Do what is due; the moment at which to look again."""
        wire = self.wire
        due = self._look_at_answer(now)
        if not wire.handling:
            return due  # the handler has ended, and the session is about to
        if not wire.answered:
            return self._look_at_handshake(now)
        if not wire.open:
            return self._look_at_end(now)
        self.over_since = None
        if wire.sent != self.sent:
            self.taken_at = now
        moved = wire.received != self.received
        arrived = 0 if wire.inbox is None else wire.inbox.arrived
        if moved or wire.sent != self.sent or arrived != self.arrived:
            self.received, self.sent, self.arrived, self.moved_at = wire.received, wire.sent, arrived, now
        self._look_at_reading(now, moved)
        return min(self._look_at_writing(now), self._look_at_time(now))

    @property
    def _grace(self) -> float:
        grace = self.wire.policy.abandon_grace
        return math.inf if grace is None else grace

    def _look_at_answer(self, now: float) -> float:
        """Give up what begins or ends the conversation, if the server cannot get rid of it."""
        wire = self.wire
        limit = wire.policy.write_timeout
        if limit is None or not is_waiting(wire.saying):
            self.saying = None
            return math.inf
        if self.saying is not wire.saying:
            self.saying, self.saying_since = wire.saying, now
        if now >= self.saying_since + limit:
            wire.given_up = True
            interrupt(wire.saying)
        return self.saying_since + limit

    def _look_at_handshake(self, now: float) -> float:
        wire = self.wire
        limit = wire.policy.accept_timeout
        if limit is None:
            return math.inf
        # Once cancelled, it is given time to clean up before it is cancelled again.
        due = wire.began + limit if self.over_since is None else self.over_since + self._grace
        if now < due:
            return due
        wire.verdict = refusal(503, "accept_timeout", f"not accepted after {limit:g} s; Limits(accept_timeout=…)")
        wire.cancel()
        self.over_since = now
        return now + self._grace

    def _look_at_end(self, now: float) -> float:
        """The conversation is over, the handler is not: give it time, and cancel it if it cannot be told."""
        wire = self.wire
        grace = self._grace
        if wire.heard:
            return math.inf
        if self.over_since is None:
            self.over_since = now
        if now < self.over_since + grace:
            return self.over_since + grace
        wire.why = wire.why or f"the handler did not notice for {grace:g} s and was cancelled"
        wire.cancel()
        self.over_since = now
        return now + grace

    def _look_at_reading(self, now: float, moved: bool) -> None:
        wire, inbox = self.wire, self.wire.inbox
        if inbox is not None and inbox.reading:
            limit = wire.policy.inbox_timeout
            if moved or not inbox.full or limit is None:
                inbox.full_since = None
            elif inbox.full_since is None:
                inbox.full_since = now
            elif now >= inbox.full_since + limit:
                why = f"{len(inbox.messages)} messages wait, and the handler has not received for {limit:g} s"
                wire.end_soon(1013, "try again later", "limit", f"{why}; Limits(inbox_messages=…, inbox_timeout=…)")
            return
        if moved or self.away_since is None or is_waiting(wire.pending):
            self.away_since = now
        elif now >= self.away_since + PERIOD and wire.client_state is CONNECTED:
            if inbox is None:
                inbox = wire.inbox = Inbox(wire)
            if inbox.failure is None:
                inbox.start()

    def _look_at_writing(self, now: float) -> float:
        wire = self.wire
        limit = wire.policy.write_timeout
        if not is_waiting(self.sending):
            # Whoever waited then may have given up meanwhile: the client has not taken anything by that.
            self.sending_since = now if self.sending is None else max(self.sending_since, self.taken_at)
            self.sending = wire.sending
        if limit is None or not is_waiting(self.sending):
            self.sending = None
            return math.inf
        if now >= self.sending_since + limit:
            wire.sending = self.sending  # others may have tried since, and given up
            wire.over(1006, "", "limit", f"the client took nothing for {limit:g} s; Limits(write_timeout=…)")
            wire.interrupt()
        return self.sending_since + limit

    def _look_at_time(self, now: float) -> float:
        wire = self.wire
        policy = wire.policy
        due = math.inf
        if policy.idle_timeout is not None:
            due = self.moved_at + policy.idle_timeout
            if now >= due:
                wire.end_soon(1001, "idle", "limit", f"idle for {policy.idle_timeout:g} s; Limits(idle_timeout=…)")
        if policy.lifetime is not None:
            if self.ends_at is None:
                self.ends_at = wire.began + policy.lifetime * _jitter()
            if now >= self.ends_at:
                wire.end_soon(1001, "lifetime over", "limit", f"Limits(lifetime={policy.lifetime:g})")
            due = min(due, self.ends_at)
        if wire.expires_at is not None:
            left = wire.expires_at - time.time()
            if left <= 0:
                wire.end_soon(4401, "credentials expired", "limit", "expires_at was reached")
            due = min(due, now + left)
        return due


def refusal(status: int, cause: str, why: str, headers: dict[str, str] | None = None) -> HTTPException:
    """
    The exception for a handshake that is refused before any handler has seen it.

    Args:
        cause: Why, in a word, for statistics.
        why: The same for the log, with the setting that would allow it.
    """
    return HTTPException(status_code=status, headers=headers, cause=cause, why=why)


def draining() -> HTTPException:
    """The refusal of a handshake while the application shuts down."""
    return refusal(503, "draining", "the application is shutting down", {"retry-after": "1"})


def _why_refused(wire: Wire) -> tuple[str, str]:
    """Why a handshake was not accepted: in a word, and in a sentence."""
    error = wire.cause
    if wire.ended_by == "client":
        return "client", "the client left before there was an answer"
    if error is None:
        return "handler", "close() before accept()" if wire.closed_by_application else "denied by the handler"
    if _errors.is_fault(error):
        return "error", type(error).__name__
    why = _log.told(error)
    if isinstance(error, HTTPException):
        known = {401: "permission", 403: "permission", 404: "not_found"}
        return error.extra.get("cause") or known.get(error.status_code, "handler"), why
    return "handler", why


def _jitter() -> float:
    """A number between 0.9 and 1.1, so that connections which began together do not end together."""
    return 0.9 + 0.2 * int.from_bytes(os.urandom(4)) / 2**32


def _measured(message: Message) -> tuple[int, str]:
    text = message.get("text")
    return (len(text), "text") if text is not None else (len(message.get("bytes") or b""), "binary")
