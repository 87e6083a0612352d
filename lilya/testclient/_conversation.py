"""
One run of an ASGI app as a task on the current event loop, and the messages that go to it and come from it.

Everything in this package stands on `Conversation`: a WebSocket session, an HTTP request and a lifespan are three ways
to use it. Messages are handed over directly; nobody polls, and no thread is involved.
"""

import asyncio
from collections import deque
from typing import Protocol

from lilya.exceptions import WebSocketDisconnect
from lilya.testclient._errors import ClientDisconnected, ConformanceError, FinishTimeout, ReceiveTimeout
from lilya.testclient._patience import Patience
from lilya.testclient._standing import line_of_task
from lilya.types import ASGIApp, Message, Scope

__all__ = ["OUTBOX_MESSAGES", "Conversation", "Rules", "read_body"]

# How far an app may run ahead of the test. Beyond it `send` waits, as it does on a server whose client does not read:
# an app that sends for ever must not keep the test from its turn on the event loop.
OUTBOX_MESSAGES = 1024


class Rules(Protocol):
    """Judges the messages of the app, one after the other."""

    def check(self, message: Message) -> None:
        """Raise `ConformanceError` for a message that is malformed or out of order."""


class Conversation:
    """
    An app, its scope, and both directions of messages.

    Belongs to one event loop; the test's side and the app's side may each be several tasks. The inbox of the app has no
    bound: how much is sent is up to the test, and a test of an app under a flood needs the flood.

    Args:
        name: What this is in messages to the user, such as "websocket /ws/ana".
        rules: Judges what the app sends; None lets everything pass.
        raise_app_errors: Keep the app's exceptions for `take_error`.
    """

    def __init__(self, app: ASGIApp, scope: Scope, name: str, rules: Rules | None, *, raise_app_errors: bool) -> None:
        self.name = name
        self.failed: bool = False
        self.received: bool = False
        self._app = app
        self._scope = scope
        self._rules = rules
        self._raise_app_errors = raise_app_errors
        self._known: list[BaseException] = []
        self._errors: deque[BaseException] = deque()
        self._breached = False
        self._inbox: deque[Message] = deque()
        self._outbox: deque[Message] = deque()
        self._last: Message | None = None
        self._answering = False
        self._arrived = asyncio.Event()
        self._sent = asyncio.Event()
        self._room = asyncio.Event()
        # Our own extension: a framework that logs and answers unhandled exceptions itself, so that the server does not
        # log them a second time, tells us here what it was.
        scope.setdefault("extensions", {})["lilya.errors"] = {"report": self.note}

    def start(self) -> None:
        """Begin to run the app; it takes its first step when the caller next waits."""
        self._task = asyncio.create_task(self._run(), name=f"app of {self.name}")
        self._task.add_done_callback(lambda _: self._sent.set())

    # --- The test's side ---------------------------------------------------------------------------------------------

    def deliver(self, message: Message) -> None:
        """Put a message where the app's `receive` finds it."""
        self._inbox.append(message)
        self._arrived.set()

    def hang_up(self, message: Message) -> None:
        """
        Leave: the app reads what was delivered before and then `message`, as often as it asks; its sends are refused.

        An app that has messages of the test still to read may answer them all the same, unheard: whether it would have
        been in time on a network is chance, and a test must not depend on that.
        """
        self._last = message
        self._answering = bool(self._inbox)
        self._arrived.set()
        self._room.set()

    async def next_message(self, awaited: str, patience: Patience) -> Message | None:
        """
        The next message of the app; None when there will be none.

        That is when the app has ended or broken the rules, or when we have left.

        Raises:
            ReceiveTimeout: Nothing came in time.
        """
        while not self._outbox:
            if self._breached or self._last is not None or self._task.done():
                return None
            self._sent.clear()
            try:
                async with asyncio.timeout_at(patience.deadline):
                    await self._sent.wait()
            except TimeoutError:
                if self._errors:
                    return None
                raise ReceiveTimeout(
                    f"{self.name}: waited {patience.seconds} s for {awaited}, but the application sent nothing; "
                    f"it stands at {line_of_task(self._task)}"
                ) from None
        self._room.set()
        return self._outbox.popleft()

    async def finish(self, seconds: float | None) -> None:
        """
        Wait until the app has ended.

        Raises:
            FinishTimeout: It has not, and was cancelled.
        """
        try:
            await asyncio.wait({self._task}, timeout=seconds)
        except BaseException:
            # Whoever waits was cancelled; the app is not to outlive it.
            await self.abandon(seconds)
            raise
        if self._task.done():
            return
        line = line_of_task(self._task)
        obeyed = await self.abandon(seconds)
        raise FinishTimeout(
            f"{self.name}: the client is done, but the application had not ended after {seconds} s; "
            f"{'cancelled' if obeyed else 'it ignored its cancellation'} at {line}"
        )

    async def abandon(self, seconds: float | None) -> bool:
        """Cancel the app and wait for its end; False when it would not end in that time either."""
        self._task.cancel()
        await asyncio.wait({self._task}, timeout=seconds)
        return self._task.done()

    def note(self, error: BaseException) -> None:
        """Keep an error for the test, once, however many ways lead here: reported, raised, or both."""
        if any(error is known for known in self._known):
            return
        self._known.append(error)
        self.failed = True
        if self._raise_app_errors or isinstance(error, ConformanceError):
            self._errors.append(error)

    def take_error(self) -> BaseException | None:
        """The oldest error that the test has not been given yet, the very object that was raised in the app."""
        return self._errors.popleft() if self._errors else None

    # --- The app's side ----------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            await self._app(self._scope, self._receive, self._send)
        except asyncio.CancelledError:
            raise
        except (ClientDisconnected, WebSocketDisconnect) as error:
            # A disconnect that nobody caught is a normal end, once the client has in fact left.
            if self._last is None:
                self.note(error)
        except BaseException as error:
            # All of them, also KeyboardInterrupt: raised in a task it would end the event loop, and the test would not
            # get to see what it was.
            self.note(error)

    async def _receive(self) -> Message:
        while not self._inbox:
            if self._last is not None:
                self._answering = False
                # An app that overlooks its disconnect and asks again must not keep the loop for itself.
                await asyncio.sleep(0)
                return dict(self._last)
            self._arrived.clear()
            await self._arrived.wait()
        self.received = True
        return self._inbox.popleft()

    async def _send(self, message: Message) -> None:
        if self._rules is not None:
            try:
                self._rules.check(message)
            except ConformanceError as error:
                self._breached = True
                self.note(error)
                self._sent.set()
                raise
        while len(self._outbox) >= OUTBOX_MESSAGES and self._last is None:
            self._room.clear()
            await self._room.wait()
        if self._last is None:
            self._outbox.append(dict(message))
            self._sent.set()
        elif not self._answering and message.get("type") != "websocket.close":
            raise ClientDisconnected(f"{self.name}: sending {message.get('type')!r}, but the client has left")


async def read_body(conversation: Conversation, prefix: str, patience: Patience) -> bytes | None:
    """All of a response body, collected; None when the app ended in the middle of it."""
    chunks: list[bytes] = []
    more = True
    while more:
        message = await conversation.next_message(f"{prefix}.body", patience)
        if message is None:
            return None
        chunks.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(chunks)
