"""
The test client is no other world: any script has the same outcome there as on a real uvicorn.

A script is what a handler and its client do, one after the other: whoever is next waits for what the one before has
done. So there is one outcome, and no race.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lilya.apps import Lilya
from lilya.exceptions import HTTPException, WebSocketException
from lilya.responses import PlainText
from lilya.routing import WebSocketPath
from lilya.websockets import WebSocket, WebSocketDisconnect
from tests.contract.doors import Client, Door, Seen, open_door
from tests.support.servers import WS_PROTOCOLS

# Reached only if something hangs.
SECONDS = 10


@dataclass(frozen=True)
class Step:
    """One thing that the handler does, or (`client`) its client; "return" and "raise" are the handler's last."""

    call: str
    args: tuple[Any, ...] = ()
    client: bool = False


@dataclass(frozen=True)
class Script:
    """What happens until the handshake is answered, and then."""

    opening: Sequence[Step]
    talk: Sequence[Step] = field(default_factory=list)


@dataclass(frozen=True)
class Played:
    """What came of a script: what the client saw, what the handler got, and what was logged."""

    seen: Seen
    got: list[str]
    logged: list[str]


class Play:
    """The handler of a script."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.got: list[str] = []
        self._done: queue.Queue[None] = queue.Queue()
        self._orders: asyncio.Queue[Step] = asyncio.Queue()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def handler(self, websocket: WebSocket) -> None:
        """Does what is to be done, and notes what comes of it."""
        self._loop = asyncio.get_running_loop()
        for step in self.script.opening:
            if not await self._perform(websocket, step):
                return
        while True:
            step = await self._orders.get()
            goes_on = await self._perform(websocket, step)
            self._done.put(None)
            if not goes_on:
                return

    async def _perform(self, websocket: WebSocket, step: Step) -> bool:
        if step.call == "return":
            return False
        if step.call == "raise":
            self._done.put(None)
            raise step.args[0]
        try:
            result = await getattr(websocket, step.call)(*step.args)
        except Exception as error:
            self.got.append(told(error))
        else:
            self.got.append(repr(plain(result)))
        self.got[-1] += f" {websocket.close_code} {websocket.close_reason!r}"
        return True

    def talk(self, client: Client) -> None:
        """The client's side; leads the handler through the script."""
        assert self._loop is not None
        for step in self.script.talk:
            if step.client:
                getattr(client, step.call)(*step.args)
            else:
                self._loop.call_soon_threadsafe(self._orders.put_nowait, step)
                self._done.get(timeout=SECONDS)


def told(error: Exception) -> str:
    """An exception as the handler sees it."""
    end = f"({error.code}, {error.reason!r})" if isinstance(error, WebSocketDisconnect) else ""
    return f"{type(error).__name__}{end}"


def plain(result: Any) -> Any:
    """A raw message as all servers could say it: without what says nothing, and the code as a number."""
    if type(result) is not dict:
        return result
    return {key: int(value) if key == "code" else value for key, value in result.items() if value}


class Lines(logging.Handler):
    """What our loggers say, without what is different each time."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        line = re.sub(r"[0-9a-f]{16}|seconds=\d+\.\d+", "…", record.getMessage())
        self.lines.append(f"{record.levelname} {record.name}: {line}")


def play(door: Door, script: Script) -> Played:
    """Play a script behind a door."""
    part, log, ours = Play(script), Lines(), logging.getLogger("lilya")
    level = ours.level
    ours.addHandler(log)
    ours.setLevel(logging.INFO)
    try:
        seen = door.visit(Lilya(routes=[WebSocketPath("/x", part.handler)]), "/x", part.talk, subprotocols=["chat"])
    finally:
        ours.setLevel(level)
        ours.removeHandler(log)
    assert seen.raised is None
    return Played(Seen(**{**vars(seen), "headers": {}}), part.got, log.lines)


# --- Any script at all -----------------------------------------------------------------------------------------------

PAYLOADS: st.SearchStrategy[str | bytes] = st.one_of(
    st.sampled_from(["", "1", '{"a":[]}', "NaN", "[", "é世😀"]), st.sampled_from([b"", b"1", b"\xff\x00"])
)
CODES = st.sampled_from([1000, 1001, 1003, 1005, 1006, 1011, 1012, 3000, 4000, 4999, 404, 500, 0])
REASONS = st.sampled_from(["", "why", "é世😀" * 50])
MAKING: list[Callable[[], Exception]] = [
    lambda: ValueError("secret"),
    lambda: HTTPException(status_code=403, detail="no"),
    lambda: HTTPException(status_code=401, detail="who?", accept_first=True),
    lambda: HTTPException(status_code=503),
    lambda: WebSocketException(4321, "why"),
    lambda: WebSocketException(1005, accept_first=True),
    lambda: WebSocketDisconnect(4002),
]
ERRORS = st.sampled_from(MAKING).map(lambda make: make())

SENDS = st.one_of(
    st.builds(lambda text: Step("send_text", (text,)), st.text(max_size=3)),
    st.builds(lambda payload: Step("send_bytes", (payload,)), st.binary(max_size=3)),
    st.builds(lambda value: Step("send_json", (value,)), st.sampled_from([{"a": 1}, [], float("nan")])),
)
RECEIVES = st.sampled_from([Step(f"receive{kind}") for kind in ("", "_text", "_bytes", "_json")])
CLOSES = st.builds(lambda code, reason: Step("close", (code, reason)), CODES, REASONS)
ENDS = st.one_of(st.just(Step("return")), st.builds(lambda error: Step("raise", (error,)), ERRORS))
# What a handler may try while the handshake is unanswered; nothing of it is an answer.
TOO_EARLY = st.one_of(
    SENDS,
    st.sampled_from(
        [
            Step("receive_text"),
            Step("receive_bytes"),
            Step("accept", ("soap",)),
            Step("accept", (None, [(b"x", b"a\r\nb")])),
        ]
    ),
)
REFUSALS = st.one_of(
    CLOSES,
    ENDS,
    st.sampled_from([401, 403, 503]).map(
        lambda status: Step("send_denial_response", (PlainText("no", status_code=status),))
    ),
)
ACCEPTS = st.sampled_from([Step("accept"), Step("accept", ("chat",))])


@st.composite
def scripts(draw: st.DrawFn) -> Script:
    """
    A script that comes to an end without waiting for anything.

    The handler receives only if something has come; the client leaves when the handler has read all, since servers may
    not hear it before. When both have closed there is only the handler's end left: whether a server minds a close that
    is too late, and the handler learns from it that the client had left before, differs.
    """
    opening = draw(st.lists(TOO_EARLY, max_size=2))
    if draw(st.integers(0, 4)) == 0:
        return Script([*opening, draw(REFUSALS), Step("return")])
    opening.append(draw(ACCEPTS))
    talk: list[Step] = []
    unread, left, closed = 0, False, False
    for _ in range(draw(st.integers(0, 10))):
        choices = [SENDS, CLOSES]
        if not closed and (unread or left):
            choices += [RECEIVES] * 3
        if not closed and not left:
            choices.append(PAYLOADS.map(lambda payload: Step("send", (payload,), client=True)))
            if not unread:
                leaving = st.sampled_from([(1000, ""), (1001, ""), (4000, "bye"), (4999, "é" * 61)])
                choices.append(leaving.map(lambda how: Step("close", how, client=True)))
        step = draw(st.one_of(choices))
        if step.client:
            unread += step.call == "send"
            left = left or step.call == "close"
        else:
            unread -= step.call.startswith("receive") and unread > 0
            closed = closed or step.call == "close"
        talk.append(step)
        if closed and left:
            break
    return Script(opening, [*talk, draw(ENDS)])


@pytest.fixture(scope="module", params=WS_PROTOCOLS)
def server(request: pytest.FixtureRequest) -> Iterator[Door]:
    """A real uvicorn, with each of its WebSocket protocols in turn."""
    with open_door(request.param) as opened:
        yield opened


@pytest.mark.timeout(120)  # for all examples together
@given(script=scripts())
def test_script_has_the_same_outcome_on_a_server_and_the_test_client(server: Door, script: Script) -> None:
    """What the client sees, what the handler gets, and what is logged."""
    with open_door("testclient") as test_client:
        assert play(test_client, script) == play(server, script)
