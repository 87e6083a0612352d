"""
The server's end of a connection: the one place where messages are checked and states change.

Everything that talks on one WebSocket connection shares its `Wire` (on HTTP it is `lilya._exchange`): the `WebSocket`
objects of handlers, permissions and exception handlers, raw ASGI handlers, and the session that ends the connection.
The outermost application puts it into the scope; the `receive` and `send` that layers are handed are its own methods,
so that a message is checked once, however many layers it came through.

A conversation may also end from outside: the client leaves while nobody receives, a limit is reached, the application
shuts down. `Wire.over` records that, and the handler is told by its next call, or by the one it is waiting in.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Hashable, Iterable
from typing import Any

from lilya import _state
from lilya._fields import check_headers, is_token
from lilya._gates import Gate, TokenBucket
from lilya._inbox import Inbox
from lilya._policy import Policy, is_too_long
from lilya._shared import SharedValues
from lilya._state import AFTER_RECEIVING, AFTER_SENDING, CONNECTED, CONNECTING, DISCONNECTED, RESPONSE, out_of_order
from lilya._suspended import chain_of, interrupt, is_waiting
from lilya.enums import WebSocketState
from lilya.exceptions import WebSocketDisconnect, WebSocketDisconnected, WebSocketRuntimeError
from lilya.serializers import Serializer, serializer
from lilya.types import Message, Receive, Scope, Send

__all__ = ["CLOSE_SECONDS", "WIRE", "NotOpen", "Wire", "wire_of"]

# Where the scope holds the `Wire` of the connection, or the `Exchange`.
WIRE = "lilya.wire"

# After every 256th message that a connection sends, the event loop gets a turn. Where a server's `send` never waits, a
# handler that only sends would otherwise hold all other connections, and nobody would see its own client leave.
BREATH = 256.0

# The methods, of a `Wire` or a `WebSocket`, in which a task stands that waits for the server to take its message.
SENDERS = frozenset({"put", "send_bytes", "send_text"})

# What servers raise for a client that is gone beside `OSError`: daphne's own, which is imported nowhere.
GONE = frozenset({"Disconnected"})

# How long to look for the disconnect that explains why a message could not be sent: it is there already, if at all.
LOOK_SECONDS = 0.1

# How long a close frame, or the client's answer to it, may take when nobody but us waits for it.
CLOSE_SECONDS = 5.0

NOT_CONNECTED = 'WebSocket is not connected. Need to call "accept" first.'

# What a connection that runs outside of any application is held to: nothing.
UNLIMITED = Policy().changed(max_message_bytes=None)


class NotOpen(Exception):
    """A message was received or sent before the conversation, or after it; `Wire.not_open` says which."""


# What a wire that is not open receives and sends with: functions, since methods of its own would refer back to it.
async def receive_closed() -> Message:
    """Raise `NotOpen`."""
    raise NotOpen


async def send_closed(message: Message) -> None:
    """Raise `NotOpen`."""
    raise NotOpen


class _Rarely:
    """What most connections never change stands in a class, and costs them nothing."""

    breaths = 0
    why = ""
    refused: int | None = None
    cause: BaseException | None = None
    parting: WebSocketDisconnect | None = None
    interrupted = False
    given_up = False
    endings: list[Callable[[], Any]] | None = None
    cleanups: list[Callable[[], Any]] | None = None
    inbox: Inbox | None = None
    bucket: TokenBucket | None = None
    ender: asyncio.Task[None] | None = None
    expires_at: float | None = None
    agreed_subprotocol: str | None = None
    # The server's own `receive`, where somebody listens in between.
    server_receive: Receive | None = None
    info: Any = None
    # How often the handler was cancelled from here, and what for.
    cancels = 0
    verdict: Exception | None = None
    _id: str | None = None


class Wire(_Rarely):
    """
    One WebSocket conversation as the server sees it.

    `receive` and `send` check the order of messages (`lilya._state`), keep both states, and turn a server's `OSError`
    for a vanished client into `WebSocketDisconnect(1006)`. `raw_receive` and `raw_send` are the server's own callables.
    `pull` and `push` are how the handler receives and sends a message: while the conversation is open, the server's own
    as well, or the inbox that reads ahead; before and after, what says why not. So nobody need look at `open` first.

    Attributes:
        open: Messages may flow in both directions.
        answered: The application has said something, or nobody is left to hear it.
        close_code, close_reason: Of whoever ended the conversation first.
        ended_by: Who that was: "client", "application", "limit", "drain", "error", or nobody yet.
        why: What ended it, for the log, where the exception in `cause` does not say it.
        refused: The HTTP status that the handshake was refused with.
        cause: The exception that ended the conversation.
        received, sent: How many messages the handler got, and how many it sent.
        pending, sending: What was last awaited of the server, to receive and to send.
        parting: The end that the handler has yet to be told about.
        interrupted: What it is waiting in was cancelled, to tell it so.
        heard: The task of the handler knows of the end, or has made it.
        saying: What was last awaited of the server, to begin or to end the conversation.
        given_up: That took too long.
        endings: Called when the conversation is over.
        policy: What the connection is held to.
        breath: How many more messages may be sent before `breathe`.
        agreed_subprotocol: What `accept` answers when the handler names none.
    """

    # What every connection sets; the rest stands in `_Rarely`.
    __slots__ = (
        "answered",
        "application_state",
        "began",
        "branch",
        "breath",
        "client_state",
        "close_code",
        "close_reason",
        "closed_by_application",
        "codec",
        "connect",
        "ended_by",
        "entered",
        "handed_receive",
        "handed_send",
        "handling",
        "heard",
        "max_chars",
        "mounts",
        "open",
        "pending",
        "policy",
        "pull",
        "push",
        "raw_receive",
        "raw_send",
        "received",
        "round",
        "saying",
        "scope",
        "sending",
        "shared",
        "task",
        "was_opened",
        "watch",
        "websocket",
    )

    # Of the application; None when the connection has ended.
    scope: Any
    began: float
    # The task of the handler, while it runs inside an application.
    task: asyncio.Task[Any] | None

    def __init__(
        self, receive: Receive, send: Send, codec: Serializer = serializer, shared: SharedValues | None = None
    ) -> None:
        self.raw_receive = receive
        self.raw_send = send
        self.pull: Receive = receive_closed
        self.push: Send = send_closed
        self.codec = codec
        self.shared = shared
        self.client_state = CONNECTING
        self.application_state = CONNECTING
        self.open = False
        self.answered = False
        # Counts are floats, which CPython counts faster than integers beyond 256.
        self.received = 0.0
        self.breath = BREATH
        self.pending: Any = None
        self.sending: Any = None
        self.saying: Any = None
        self.task = None
        self.policy = UNLIMITED
        self.max_chars = sys.maxsize
        self.close_code: int | None = None
        self.close_reason = ""
        self.closed_by_application = False
        self.ended_by = ""
        # The `Watch` that looks after this connection, and what it keeps here.
        self.watch: Any = None
        self.round: Any = None
        # Whether the handler runs: the session is about to end what it left.
        self.handling = True
        self.heard = False
        self.was_opened = False
        self.scope = None
        # The entry of the table that the connection came to, and those of the mounts around it.
        self.branch: Any = None
        self.mounts: Any = None
        self.entered: list[tuple[Gate, Hashable]] | None = None
        # The connect message, while a later route may still want to see it.
        self.connect: Message | None = None
        # The WebSocket that the handler was given, for exception handlers.
        self.websocket: Any = None
        # This wire's own methods while layers have them: whoever gets them back unwrapped knows it by their identity.
        self.handed_receive: Receive | None = None
        self.handed_send: Send | None = None

    @property
    def id(self) -> str:
        """A name for this connection in logs: 16 hexadecimal digits."""
        if self._id is None:
            self._id = os.urandom(8).hex()
        return self._id

    @property
    def route(self) -> str | None:
        """The template of the route, with those of the mounts around it; None as long as no route was found."""
        if self.branch is None:
            return None
        template: str = self.branch.pattern.template
        for mount in reversed(self.mounts or ()):
            template = mount.pattern.template.rstrip("/") + template
        return template

    @property
    def sent(self) -> int:
        """How many messages were sent."""
        return int((self.breaths + 1) * BREATH - self.breath)

    def assign(self, client: WebSocketState, application: WebSocketState) -> None:
        """Put both sides into these states."""
        self.client_state = client
        self.application_state = application
        self.open = application is CONNECTED and client is not DISCONNECTED
        self.answered = application is not CONNECTING or client is DISCONNECTED
        self.flow()

    def flow(self) -> None:
        """Choose what the next message is received and sent with."""
        if self.open:
            inbox = self.inbox
            self.pull = self.raw_receive if inbox is None or not (inbox.reading or inbox.messages) else inbox.receive
            self.push = self.raw_send
        elif self.unread:
            self.push = send_closed
        else:
            self.pull, self.push = receive_closed, send_closed

    # -- receiving -----------------------------------------------------------------------------------------------

    async def receive(self) -> Message:
        """
        The client's next message; a disconnect is returned as a message, once.

        Raises:
            WebSocketDisconnected: The disconnect has already been received.
            WebSocketRuntimeError: The server's message is out of order.
        """
        state = self.client_state
        if state is DISCONNECTED and not self.unread:
            if self.parting is None:
                raise self.disconnected('Cannot call "receive" once a disconnect message has been received.')
            return self.part()
        if self.connect is not None and state is CONNECTING:
            message = self.connect
        else:
            try:
                message = await self.take()
            except WebSocketDisconnect:
                return self.part()
        kind = message["type"]
        # What lies here unread came while the client was connected.
        after = AFTER_RECEIVING[CONNECTED if state is DISCONNECTED else state].get(kind)
        if after is None:
            raise out_of_order("receive", state, kind)
        if kind == "websocket.receive":
            self.received += 1
            if self.exceeds(message):
                await self.end(*self.too_big)
                return self.part()
        elif kind == "websocket.disconnect":
            self.note_disconnect(message)
        else:
            self.client_state = after
            self.connect = message
        return message

    def connected(self, message: Message) -> bool:
        """
        Take note of the first message of a conversation; False if it says that the client has left.

        Raises:
            WebSocketRuntimeError: It is out of order.
        """
        kind = message["type"]
        if kind == "websocket.connect":
            self.client_state = CONNECTED
            self.connect = message
            return True
        if kind == "websocket.disconnect":
            return False
        raise out_of_order("receive", CONNECTING, kind)

    async def take(self) -> Message:
        """
        What the server has next, of whatever type.

        Raises:
            WebSocketDisconnect: The conversation was ended from outside.
        """
        receive = self.pull if self.open or self.unread else self.raw_receive
        self.pending = pending = receive()
        try:
            return await pending
        except NotOpen:
            raise self.not_open() from None
        except asyncio.CancelledError:
            if self.interrupted:
                raise self.not_open() from None
            raise

    async def measure(self, message: Message) -> None:
        """Count a message, and end the conversation with 1009 if it is too big (raises `WebSocketDisconnect`)."""
        self.received += 1.0
        if self.exceeds(message):
            await self.end_too_big()

    def exceeds(self, message: Message) -> bool:
        """Whether a message is longer than the limit."""
        limit = self.policy.max_message_bytes
        if limit is None:
            return False
        text = message.get("text")
        if text is not None:
            return is_too_long(text, limit)
        return len(message.get("bytes") or b"") > limit

    async def end_too_big(self) -> None:
        """End the conversation for a message that is too big, and say so."""
        await self.end(*self.too_big)
        raise self.not_open()

    @property
    def too_big(self) -> tuple[int, str, str, str]:
        """The arguments of `end` for a message that is too big."""
        limit = self.policy.max_message_bytes
        return 1009, f"a message may have {limit} bytes", "limit", f"max_message_bytes={limit}"

    def arrived(self, message: Message) -> bool:
        """Whether a message that was read ahead may wait for the handler; else the conversation is over."""
        if self.exceeds(message):
            self.end_soon(*self.too_big)
            return False
        if self.bucket is not None and self.bucket.take(time.monotonic()):
            rate, burst = self.policy.rate, self.policy.burst
            self.end_soon(4429, "too many messages", "limit", f"rate={rate:g}/s, burst={burst}")
            return False
        return True

    @property
    def unread(self) -> bool:
        """Whether messages lie here that came before an end which the handler has yet to be told about."""
        return self.parting is not None and self.inbox is not None and bool(self.inbox.messages)

    # -- sending -------------------------------------------------------------------------------------------------

    async def send(self, message: Message) -> None:
        """
        Send one ASGI message, if it is legal now.

        Close codes that may not be sent are replaced, reasons are cut to what a close frame holds.

        Raises:
            WebSocketRuntimeError: The message is not legal in this state; nothing was sent.
            WebSocketDisconnect: The client is gone.
            ValueError: A header, the subprotocol or the status cannot be sent; nothing was sent.
        """
        state = self.application_state
        out = self.checked(message)
        if out is None:
            return
        if state is CONNECTED and self.application_state is CONNECTED:
            await self.put(out)
            return
        send = self.say if out["type"] == "websocket.close" else self.put_in
        try:
            await send(out)
        except OSError as error:
            raise self.lost() from error
        except Exception:
            if state is CONNECTING:
                self.take_back()
            raise
        if self.open and self.watch is not None:
            self.watch.opened(self)
        if state is RESPONSE and self.application_state is DISCONNECTED:
            # One turn of the loop, in which uvicorn notices that the handshake is over: it would log an error if the
            # application returned before.
            await asyncio.sleep(0)

    async def put(self, message: Message) -> None:
        """
        Hand a "websocket.send" message to the server.

        Raises:
            WebSocketDisconnect: The client is gone, or the conversation was ended from outside.
            WebSocketRuntimeError: The wire is not open.
        """
        line = self
        push = line.push
        line.sending = sending = push(message)
        try:
            await sending
        except Exception as error:
            await self.unsent(error)
        except asyncio.CancelledError:
            if self.interrupted:
                raise self.not_open() from None
            raise
        self.breath = breath = self.breath - 1.0
        if breath == 0.0:
            await self.breathe()

    async def unsent(self, error: Exception, data: object = "") -> None:
        """
        Raise why the server could not send a message.

        If the error says that the client is gone, it is the client's leaving, with the code it left with if that is
        there to be read; else the error itself.
        """
        if isinstance(error, NotOpen):
            raise self.not_open() from None
        if not isinstance(error, OSError) and type(error).__name__ not in GONE:
            if not isinstance(data, str | bytes | bytearray | memoryview):
                raise TypeError(
                    f"{type(data).__name__} cannot be sent: send_text takes str, send_bytes bytes, send_json the rest."
                ) from error
            raise error
        if self.parting is None:
            left = await self._look_for_disconnect()
            if left is not None:
                raise self.note_disconnect(left) from error
        raise self.lost() from error

    async def _look_for_disconnect(self) -> Message | None:
        # Nobody else may be receiving; whoever does will note it.
        if is_waiting(self.pending) or (self.inbox is not None and self.inbox.reading):
            return None
        looking = asyncio.get_running_loop().create_task(self._discard())
        done, _ = await asyncio.wait([looking], timeout=LOOK_SECONDS)
        if not done:
            looking.cancel()
            await asyncio.wait([looking])
        return None if looking.cancelled() or looking.exception() else looking.result()

    async def _discard(self) -> Message:
        """Receive until the disconnect comes, for nobody."""
        while True:
            message = await self.raw_receive()
            if message["type"] == "websocket.disconnect":
                return message

    async def breathe(self) -> None:
        """Let the event loop have a turn."""
        self.breath = BREATH
        self.breaths += 1
        await asyncio.sleep(0)

    def checked(self, message: Message) -> Message | None:
        """
        What is to be sent for `message`, with the states as they are after it; None if nobody is left to close for.

        Raises what `send` raises. The caller hands the result to `raw_send`, and an `OSError` to `lost`.
        """
        kind, state = message["type"], self.application_state
        if kind == "websocket.close":
            return self.closing(message.get("code", 1000), message.get("reason"))
        if kind == "websocket.accept":
            return self.accepting(message.get("subprotocol"), message.get("headers") or [])
        if self.client_state is DISCONNECTED and not self.closed_by_application:
            raise self.disconnected("Cannot send: the client has left.")
        after = AFTER_SENDING[state].get(kind)
        if after is None:
            raise out_of_order("send", state, kind)
        if after is RESPONSE:
            if self.scope is not None and "websocket.http.response" not in (self.scope.get("extensions") or {}):
                raise RuntimeError("The server doesn't support the Websocket Denial Response extension.")
            check_headers(message.get("headers") or ())
            status = message.get("status")
            if not (isinstance(status, int) and 200 <= status <= 599):
                raise ValueError(f"Status {status!r} cannot be sent: a handshake is denied with one from 200 to 599.")
            self.refused = status
            self.ended_by = "application"
        elif state is RESPONSE and message.get("more_body", False):
            after = RESPONSE
        self.application_state = after
        self.answered = True
        return message

    def accepting(self, subprotocol: str | None, headers: Iterable[tuple[bytes, bytes]]) -> Message:
        """The accept message to send now, with the states as they are after it."""
        if self.client_state is DISCONNECTED and not self.closed_by_application:
            raise self.disconnected("Cannot send: the client has left.")
        if self.application_state is not CONNECTING:
            raise out_of_order("send", self.application_state, "websocket.accept")
        if headers:
            check_headers(headers)
        if subprotocol is not None and not is_token(subprotocol):
            raise ValueError(
                f"Subprotocol {subprotocol!r} cannot be sent: it is one token of ASCII characters (RFC 6455 §4.1)."
            )
        self.application_state = CONNECTED
        self.open = self.answered = True
        self.pull, self.push = self.raw_receive, self.raw_send
        return {"type": "websocket.accept", "subprotocol": subprotocol, "headers": headers}

    def closing(self, code: int, reason: str | None) -> Message | None:
        """The close message to send now, with the states as they are after it; None if nobody is left to close for."""
        state = self.application_state
        if self.client_state is DISCONNECTED and not self.closed_by_application:
            self.closed_by_application = True
            self.assign(DISCONNECTED, DISCONNECTED)
            return None
        if state is not CONNECTED:
            if state is not CONNECTING:
                raise out_of_order("send", state, "websocket.close")
            self.refused = 403
        else:
            if type(code) is not int:
                code = _state.checked_code(code)
            if code != 1000:
                code = _state.sendable_code(code)
        reason = _state.cut_reason(reason) if reason else ""
        self.application_state = DISCONNECTED
        self.open = False
        self.pull, self.push = receive_closed, send_closed
        self.answered = self.closed_by_application = True
        self._hear()
        self.close_code, self.close_reason = code, reason
        self.ended_by = self.ended_by or "application"
        if self.endings is not None:
            self.run_endings()
        return {"type": "websocket.close", "code": code, "reason": reason}

    def take_back(self) -> None:
        """The server refused to send the answer to the handshake: nothing is said, and another one may be tried."""
        self.assign(self.client_state, CONNECTING)
        self.refused = self.close_code = None
        self.close_reason = self.ended_by = ""
        self.closed_by_application = False

    def rewind(self) -> None:
        """Let the next route see the connect message again; nothing may have been answered yet."""
        if self.client_state is CONNECTED:
            self.client_state = CONNECTING

    # -- the end -------------------------------------------------------------------------------------------------

    def note_disconnect(self, message: Message) -> WebSocketDisconnect:
        """Record that the client left, and the exception that says so (ASGI: a missing code means 1005)."""
        if self.parting is not None:
            return self.told()
        code, reason = message.get("code"), message.get("reason") or ""
        if code is None:
            code = 1005
        self._gone(code, reason)
        return WebSocketDisconnect(code, reason)

    def lost(self) -> WebSocketDisconnect:
        """Record that the server could not send because the connection is gone."""
        if self.parting is not None:
            return self.told()
        self.application_state = DISCONNECTED
        self._gone(1006, "")
        return WebSocketDisconnect(1006)

    def _gone(self, code: int, reason: str) -> None:
        self.assign(DISCONNECTED, self.application_state)
        if self.close_code is None:
            self.close_code, self.close_reason, self.ended_by = code, reason, "client"
        self._hear()
        if self.endings is not None:
            self.run_endings()

    def over(self, code: int, reason: str, by: str, why: str = "") -> None:
        """Record an end that came from outside; the handler is told by its next call, or by the one it waits in."""
        if self.close_code is None:
            self.close_code, self.close_reason, self.ended_by, self.why = code, reason, by, why
        self.parting = WebSocketDisconnect(code, reason)
        self.assign(DISCONNECTED, DISCONNECTED)
        if self.endings is not None:
            self.run_endings()

    def run_endings(self) -> None:
        """Call, once, whoever waits for the end of the conversation."""
        endings, self.endings = self.endings, None
        for ending in endings or ():
            ending()

    def told(self) -> WebSocketDisconnect:
        """The end that came from outside; whoever asks tells it to the handler."""
        parting, self.parting = self.parting, None
        assert parting is not None
        self.flow()
        self._hear()
        return parting

    def _hear(self) -> None:
        # A task beside the handler may be told first, and keep it to itself.
        if self.task is None or asyncio.current_task() is self.task:
            self.heard = True

    def part(self) -> Message:
        """The same as a message of the server."""
        self.parting = None
        self._hear()
        return {"type": "websocket.disconnect", "code": self.close_code, "reason": self.close_reason}

    async def end(self, code: int, reason: str, by: str, why: str = "") -> None:
        """End an open conversation from outside with this close code; the handler is told, wherever it waits."""
        if self.open:
            self.over(code, reason, by, why)
            await self._say(code, reason)

    def end_soon(self, code: int, reason: str, by: str, why: str = "") -> None:
        """The same without waiting until the close frame is out; `ender` does that."""
        if self.open:
            self.over(code, reason, by, why)
            self.ender = asyncio.get_running_loop().create_task(self._say(code, reason))

    async def _say(self, code: int, reason: str) -> None:
        self.interrupt()
        try:
            await self.say({"type": "websocket.close", "code": code, "reason": _state.cut_reason(reason)})
        except OSError:
            # The client has left meanwhile; the handler is told our code, which was first.
            pass

    async def put_in(self, message: Message) -> None:
        """Hand the server a message that begins or ends the conversation; an `OSError` if it takes too long."""
        self.saying = saying = self.raw_send(message)
        try:
            await saying
        except asyncio.CancelledError:
            if self.given_up:
                raise TimeoutError("The client takes nothing.") from None
            raise

    async def say(self, message: Message) -> None:
        """Send a close message in the way that this server needs to make a close frame of it."""
        if self.inbox is not None or is_waiting(self.pending):
            # granian sends none while somebody waits to receive, and hypercorn never tells who waits.
            await self._stop_receiving()
        # hypercorn hands over its own queue, and while that is full the connection stands still.
        queue = getattr(self.server_receive or self.raw_receive, "__self__", None)
        jammed = isinstance(queue, asyncio.Queue) and queue.full()
        reading = asyncio.get_running_loop().create_task(self._discard()) if jammed else None
        try:
            await self.put_in(message)
        except OSError:
            raise
        except Exception:
            code = _state.private_code(message["code"])
            if self.refused is not None or code == message["code"]:
                raise
            # daphne takes no codes below 3000 but 1000.
            self.close_code = code
            await self.put_in({**message, "code": code})
        finally:
            if reading is not None:
                await asyncio.wait([reading], timeout=CLOSE_SECONDS)
                reading.cancel()
                await asyncio.wait([reading])

    async def _stop_receiving(self) -> None:
        await self.stop_reading()
        if is_waiting(self.pending):
            # Some other task of the handler: to it, the conversation ends like any other.
            if self.parting is None:
                self.parting = WebSocketDisconnect(self.close_code or 1000, self.close_reason)
            self.interrupted = True
            interrupt(self.pending)

    def interrupt(self) -> None:
        """Cancel what the handler awaits of the server, so that it is told of the end."""
        self.interrupted = True
        interrupt(self.pending)
        if is_waiting(self.sending):
            interrupt(self.sending)
            self._free_senders()

    def _free_senders(self) -> None:
        # Only the last one who sends is remembered, since remembering costs each message. Where others broadcast to
        # this client, any number may wait for it to take what they send, in whatever task.
        for task in asyncio.all_tasks():
            for awaited in chain_of(task.get_coro()):
                frame = getattr(awaited, "cr_frame", None)
                if frame is not None and frame.f_code.co_name in SENDERS and frame.f_locals.get("line") is self:
                    interrupt(awaited)
                    break

    async def stop_reading(self) -> None:
        """Read no further ahead: some servers send no close frame while somebody waits to receive."""
        if self.inbox is not None:
            await self.inbox.stop()

    def cancel(self) -> None:
        """Cancel the handler; the session knows that it was we who did."""
        if self.task is not None and self.handling:
            self.cancels += 1
            self.task.cancel()

    def disconnected(self, message: str) -> WebSocketDisconnect:
        """The error for a call after the end: the end itself for the first one that hears of it."""
        if self.parting is not None:
            return self.told()
        self._hear()
        code = self.close_code if self.close_code is not None else 1006
        return WebSocketDisconnected(code, self.close_reason, message)

    def not_open(self) -> Exception:
        """The error for sending or receiving a message while the conversation is not open."""
        if self.client_state is DISCONNECTED or self.parting is not None:
            return self.disconnected("The client has left.")
        if self.application_state is DISCONNECTED:
            return WebSocketRuntimeError(f'{NOT_CONNECTED} (It is closed: a "close" message has been sent.)')
        return WebSocketRuntimeError(NOT_CONNECTED)


def wire_of(scope: Scope) -> Wire | None:
    """The `Wire` of a WebSocket scope that runs inside an application, else None."""
    wire = scope.get(WIRE)
    return wire if type(wire) is Wire else None
