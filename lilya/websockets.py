"""WebSockets: the object a handler talks through, and what can end the talk."""

from __future__ import annotations

import inspect
import math
import sys
import time
from asyncio import CancelledError
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from lilya._connection import Connection
from lilya._state import CONNECTED, CONNECTING, DISCONNECTED
from lilya._wire import WIRE, NotOpen, Wire
from lilya.enums import WebSocketState
from lilya.exceptions import (
    MalformedMessage,
    UnexpectedMessage,
    WebSocketDisconnect,
    WebSocketDisconnected,
    WebSocketRuntimeError,
)
from lilya.types import ASGIApp, Message, Receive, Scope, Send

if TYPE_CHECKING:
    from lilya._tasks import ConnectionTasks

__all__ = [
    "Close",
    "WebSocket",
    "WebSocketClose",
    "WebSocketDisconnect",
    "WebSocketDisconnected",
    "WebSocketRuntimeError",
    "WebSocketState",
]


class WebSocket(Connection):
    """
    One WebSocket connection, as a handler sees it.

    It is a mapping over the ASGI scope, and works alone on `(scope, receive, send)`, without any application around
    it. Inside an application all `WebSocket` objects of one connection share their state.

    Any number of tasks may send, and one may receive; two tasks must not receive at the same time.
    """

    __slots__ = ("_layered", "_line", "_receive", "_send", "_wire")

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "websocket", f"A WebSocket needs a scope of type 'websocket', not {scope['type']!r}."
        self.scope = scope
        if WIRE in scope:
            self._wire: Wire = scope[WIRE]
            # A layer may have put something in between; only without one is the server called directly.
            self._layered = receive is not self._wire.handed_receive or send is not self._wire.handed_send
        else:
            self._wire = Wire(receive, send)
            receive, send = self._wire.receive, self._wire.send
            self._layered = False
        self._line: Wire | _LayeredLine = _LayeredLine(self._wire, receive, send) if self._layered else self._wire
        self._receive, self._send = receive, send

    # -- state ---------------------------------------------------------------------------------------------------

    @property
    def client_state(self) -> WebSocketState:
        """Where the client's side stands."""
        return self._wire.client_state

    @client_state.setter
    def client_state(self, state: WebSocketState) -> None:
        self._wire.assign(state, self._wire.application_state)

    @property
    def application_state(self) -> WebSocketState:
        """Where our own side stands."""
        return self._wire.application_state

    @application_state.setter
    def application_state(self, state: WebSocketState) -> None:
        self._wire.assign(self._wire.client_state, state)

    @property
    def id(self) -> str:
        """A name for this connection, the same in every log line about it."""
        return self._wire.id

    @property
    def closed(self) -> bool:
        """Whether either side has ended the conversation."""
        wire = self._wire
        return wire.client_state is DISCONNECTED or wire.application_state is DISCONNECTED

    @property
    def close_code(self) -> int | None:
        """The close code of whoever ended the conversation first; None while it is open."""
        return self._wire.close_code

    @property
    def close_reason(self) -> str:
        """The reason that came with `close_code`."""
        return self._wire.close_reason

    @property
    def draining(self) -> bool:
        """
        Whether the application is shutting down.

        New handshakes are refused by then, and this connection is about to be closed with 1012: a handler that looks
        here between two pieces of work can end at a good moment instead.
        """
        watch = self._wire.watch
        return watch is not None and watch.draining

    @property
    def expires_at(self) -> float | None:
        """
        When the connection is closed with 4401, in seconds since the epoch (`time.time()`); None: never.

        Set it to the moment at which the client's credentials expire.
        """
        return self._wire.expires_at

    @expires_at.setter
    def expires_at(self, moment: float | None) -> None:
        if moment is not None and not (isinstance(moment, int | float) and math.isfinite(moment)):
            raise TypeError(
                f"expires_at={moment!r}: give seconds since the epoch, such as the `exp` of a token or "
                f"`datetime.timestamp()`, or None."
            )
        self._wire.expires_at = moment
        if moment is not None and self._wire.watch is not None:
            self._wire.watch.look_soon(self._wire, moment - time.time())

    # -- beginning and end ---------------------------------------------------------------------------------------

    async def accept(
        self,
        subprotocol: str | None = None,
        headers: Iterable[tuple[bytes, bytes]] | Mapping[str, str] | None = None,
    ) -> None:
        """
        Answer the handshake with 101: from here on messages flow.

        Args:
            subprotocol: One of `scope["subprotocols"]`, or None.
            headers: Pairs of bytes, or a mapping of text (latin-1), added to the response.

        Raises:
            WebSocketDisconnect: The client left before the handshake was answered.
            WebSocketRuntimeError: The handshake has been answered already.
            ValueError: A header or the subprotocol holds what cannot be sent, or the client has not offered it.
        """
        wire = self._wire
        if subprotocol is not None:
            offered = self.scope.get("subprotocols")
            if offered is not None and subprotocol not in offered:
                # Not what was offered: it may hold a token.
                raise ValueError(f"Subprotocol {subprotocol!r} cannot be accepted: the client has not offered it.")
        if wire.client_state is CONNECTING:
            if self._layered:
                self.raise_for_disconnect(await self._receive())
            elif wire.connect is not None:
                # By a route that let the next one have its turn.
                wire.client_state = CONNECTED
            else:
                message = await wire.raw_receive()
                if not wire.connected(message):
                    raise wire.note_disconnect(message)
        if subprotocol is None and wire.agreed_subprotocol is not None:
            subprotocol = wire.agreed_subprotocol
        pairs = _header_pairs(headers) if headers else []
        if self._layered:
            await self._send({"type": "websocket.accept", "subprotocol": subprotocol, "headers": pairs})
            return
        # What `Wire.send` does, without a coroutine of its own: once for each connection it shows.
        message = wire.accepting(subprotocol, pairs)
        try:
            await wire.put_in(message)
        except OSError as error:
            raise wire.lost() from error
        except Exception:
            wire.take_back()
            raise
        if wire.watch is not None:
            wire.watch.opened(wire)

    async def close(self, code: int = 1000, reason: str | None = None) -> None:
        """
        End the conversation; before `accept` this refuses the handshake with HTTP 403.

        A silent no-op when the client has already left. A code that may not be sent is replaced by one that may, and
        the reason is cut to 123 bytes (RFC 6455 §5.5.1, §7.4).

        Raises:
            WebSocketRuntimeError: The application has closed already.
        """
        wire = self._wire
        state = wire.application_state
        try:
            if self._layered:
                await self._send({"type": "websocket.close", "code": code, "reason": reason or ""})
            else:
                message = wire.closing(code, reason)
                if message is not None:
                    await wire.say(message)
        except OSError:
            if self._layered:
                raise  # the server's own is translated already: a fault of the layer
            wire.lost()
        except WebSocketDisconnect:
            # The server noticed only now that nobody is there: a close that is too late is no mistake.
            wire.closed_by_application = True
        except Exception:
            if state is CONNECTING and not self._layered:
                wire.take_back()
            raise
        if wire.cleanups is not None:
            await self.run_cleanups()

    async def send_denial_response(self, response: ASGIApp) -> None:
        """
        Refuse the handshake with an HTTP response: plain, streaming or a file.

        Raises:
            RuntimeError: The server does not support the extension "WebSocket Denial Response"; nothing was sent, and
                `close()` still works.
            WebSocketRuntimeError: The handshake has been answered already.
        """
        if "websocket.http.response" not in (self.scope.get("extensions") or {}):
            raise RuntimeError("The server doesn't support the Websocket Denial Response extension.")
        if self._wire.client_state is CONNECTING:
            self.raise_for_disconnect(await self._receive())
        await response(self.scope, self._receive, self._send)

    def add_cleanup(self, cleanup: Callable[[], Any]) -> None:
        """
        Call `cleanup()` once when the connection ends, whatever ends it.

        Sync and async callables run in the order in which they were added.
        """
        if self._wire.cleanups is None:
            self._wire.cleanups = []
        self._wire.cleanups.append(cleanup)

    async def run_cleanups(self) -> None:
        """Run what `add_cleanup` collected, each callable once; the first error is raised after all have run."""
        cleanups, self._wire.cleanups = self._wire.cleanups, None
        error: BaseException | None = None
        for cleanup in cleanups or ():
            try:
                result = cleanup()
                if inspect.isawaitable(result):
                    await result
            except BaseException as raised:
                # A cancellation, too: the next one still has to be run.
                error = error or raised
        try:
            if error is not None:
                raise error
        finally:
            del error  # its traceback holds this frame

    # -- messages ------------------------------------------------------------------------------------------------

    async def receive(self) -> Message:
        """
        The next raw ASGI message, a disconnect included.

        Raises:
            WebSocketDisconnected: The disconnect has been received already.
        """
        return await self._receive()

    async def send(self, message: Message) -> None:
        """
        Send a raw ASGI message.

        Raises:
            WebSocketRuntimeError: The message is not legal now; nothing was sent.
            WebSocketDisconnect: The client is gone.
        """
        await self._send(message)

    async def receive_text(self) -> str:
        """
        The next message, which must be text.

        Raises:
            WebSocketDisconnect: The client left.
            WebSocketRuntimeError: The message was binary (the connection stays usable), or the WebSocket is not open.
        """
        # What `_next` does, without a coroutine of its own: for each message it shows.
        line = self._line
        pull = line.pull
        line.pending = pending = pull()
        try:
            message = await pending
        except NotOpen:
            raise line.not_open() from None
        except CancelledError:
            if line.interrupted:
                raise line.not_open() from None
            raise
        line.received += 1.0
        try:
            text: str = message["text"]
            length = len(text)
        except (KeyError, TypeError):
            self._discount(message)
            raise self._unexpected(message, "text") from None
        if length > line.max_chars and self._wire.exceeds(message):
            await self._wire.end_too_big()
        return text

    async def receive_bytes(self) -> bytes:
        """
        The next message, which must be binary.

        Raises:
            WebSocketDisconnect: The client left.
            WebSocketRuntimeError: The message was text (the connection stays usable), or the WebSocket is not open.
        """
        message = await self._next()
        payload: bytes | None = message.get("bytes")
        if payload is None:
            raise self._unexpected(message, "bytes")
        return payload

    async def receive_json(self, mode: str = "text") -> Any:
        """
        The next message, decoded from JSON.

        Args:
            mode: "text" or "binary": the kind of frame the client sends.

        Raises:
            ValueError: Not JSON, or JSON that is refused: NaN, infinities, nesting or numbers beyond all measure. The
                connection stays usable.
            WebSocketDisconnect: The client left.
            WebSocketRuntimeError: The other kind of frame came, the mode is unknown, or the WebSocket is not open.
        """
        _check_mode(mode)
        data = await self.receive_text() if mode == "text" else await self.receive_bytes()
        try:
            return self._wire.codec.decode(data)
        except ValueError as error:
            raise MalformedMessage.of(error) from None

    async def iter_text(self) -> AsyncIterator[str]:
        """Text messages until the client leaves."""
        line = self._line
        longest = line.max_chars
        while True:
            pull = line.pull
            try:
                line.pending = pending = pull()
                message = await pending
            except CancelledError:
                if not line.interrupted:
                    raise
                self._wire.told()
                return
            except (NotOpen, WebSocketDisconnect):
                error = line.not_open()
                if isinstance(error, WebSocketDisconnect):
                    return
                raise error from None
            line.received += 1.0
            try:
                text: str = message["text"]
                length = len(text)
            except (KeyError, TypeError):
                self._discount(message)
                error = self._unexpected(message, "text")
                if isinstance(error, WebSocketDisconnect):
                    return
                raise error from None
            if length > longest and self._wire.exceeds(message):
                await self._wire.end(*self._wire.too_big)
                self._wire.told()
                return
            yield text

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        """Messages until the client leaves, text as `str` and binary ones as `bytes`."""
        while True:
            try:
                message = await self._next()
            except WebSocketDisconnect:
                return
            if message["type"] != "websocket.receive":
                error = self._unexpected(message, "text")
                if isinstance(error, WebSocketDisconnect):
                    return
                raise error
            text: str | None = message.get("text")
            yield text if text is not None else message["bytes"]

    async def iter_bytes(self) -> AsyncIterator[bytes]:
        """Binary messages until the client leaves."""
        try:
            while True:
                yield await self.receive_bytes()
        except WebSocketDisconnect:
            return

    async def iter_json(self, mode: str = "text") -> AsyncIterator[Any]:
        """Messages decoded from JSON until the client leaves; see `receive_json`."""
        try:
            while True:
                yield await self.receive_json(mode)
        except WebSocketDisconnect:
            return

    async def send_text(self, data: str) -> None:
        """
        Send a text message.

        Raises:
            WebSocketDisconnect: The client is gone.
            WebSocketRuntimeError: Before `accept` or after `close`.
        """
        # What `Wire.put` does, without a coroutine of its own: for each message it shows.
        line = self._line
        push = line.push
        line.sending = sending = push({"type": "websocket.send", "text": data})
        try:
            await sending
        except Exception as error:
            await line.unsent(error, data)
        except CancelledError:
            if line.interrupted:
                raise line.not_open() from None
            raise
        line.breath = breath = line.breath - 1.0
        if breath == 0.0:
            await self._wire.breathe()

    async def send_bytes(self, data: bytes) -> None:
        """
        Send a binary message.

        Raises:
            WebSocketDisconnect: The client is gone.
            WebSocketRuntimeError: Before `accept` or after `close`.
        """
        # What `Wire.put` does, without a coroutine of its own: for each message it shows.
        line = self._line
        push = line.push
        line.sending = sending = push({"type": "websocket.send", "bytes": data})
        try:
            await sending
        except Exception as error:
            await line.unsent(error, data)
        except CancelledError:
            if line.interrupted:
                raise line.not_open() from None
            raise
        line.breath = breath = line.breath - 1.0
        if breath == 0.0:
            await self._wire.breathe()

    async def send_json(self, data: Any, mode: str = "text") -> None:
        """
        Send a message encoded as compact JSON.

        Pydantic models, dataclasses, UUID, date and time, enums and whatever has an encoder (`lilya.encoders`) are
        encoded.

        Args:
            data: Anything that can be written as JSON.
            mode: "text" or "binary": the kind of frame that carries it.

        Raises:
            ValueError: NaN, infinities, or nesting beyond all measure; nothing was sent.
            TypeError: A value that has no encoder; nothing was sent.
            WebSocketDisconnect: The client is gone.
            WebSocketRuntimeError: The mode is unknown, or the WebSocket is not open.
        """
        _check_mode(mode)
        codec = self._wire.codec
        if mode == "text":
            await self._line.put({"type": "websocket.send", "text": codec.encode_text(data)})
        else:
            await self._line.put({"type": "websocket.send", "bytes": codec.encode_bytes(data)})

    def tasks(self) -> ConnectionTasks:
        """
        A group of tasks that end with the `async with` block, or with the connection:

            async with websocket.tasks() as tasks:
                tasks.start_soon(push_prices, websocket)
                async for message in websocket:
                    ...
        """
        from lilya._tasks import ConnectionTasks  # noqa: PLC0415  # for whoever uses it

        return ConnectionTasks(self._wire)

    # -- helpers of the base class that users know ---------------------------------------------------------------

    def raise_for_disconnect(self, message: Message) -> None:
        """Raise `WebSocketDisconnect` if this raw message says that the client left."""
        if message["type"] == "websocket.disconnect":
            raise self._wire.note_disconnect(message)

    async def raise_for_connection_state(self) -> None:
        """Raise unless messages may flow in both directions."""
        if not self._wire.open:
            raise self._wire.not_open()

    async def _next(self) -> Message:
        """The next message, of whatever type, for whoever has no shorter way."""
        line = self._line
        line.pending = pending = line.pull()
        try:
            message = await pending
        except NotOpen:
            raise line.not_open() from None
        except CancelledError:
            if line.interrupted:
                raise line.not_open() from None
            raise
        if message["type"] == "websocket.receive":
            await line.measure(message)
        return message

    def _discount(self, message: Message) -> None:
        """Count one less for what was counted before anybody looked at it, and is no message of the client."""
        if not self._layered and message["type"] != "websocket.receive":
            self._wire.received -= 1.0

    def _unexpected(self, message: Message, wanted: str) -> Exception:
        """The exception for a message that is not what `receive_text` or `receive_bytes` waits for."""
        if message["type"] == "websocket.disconnect":
            return self._wire.note_disconnect(message)
        if message["type"] != "websocket.receive":
            self._wire.assign(CONNECTED, self._wire.application_state)
            return WebSocketRuntimeError(f'Expected ASGI message "websocket.receive", but got {message["type"]!r}.')
        got, other = ("text", "receive_text()") if wanted == "bytes" else ("bytes", "receive_bytes()")
        return UnexpectedMessage(f"Expected a {wanted} message, but the client sent {got}: use {other} for it.")


class _LayeredLine:
    """What a `WebSocket` receives and sends with below a layer: the same as its `Wire`, which the layers lead to."""

    __slots__ = ("_receive", "_send", "_wire", "breath", "max_chars", "pending", "pull", "push", "received", "sending")

    # The wire itself is told, and tells.
    interrupted = False

    def __init__(self, wire: Wire, receive: Receive, send: Send) -> None:
        self._wire = wire
        self._receive = receive
        self._send = send
        self.pull: Receive = self._pull
        self.push: Send = self.put
        self.pending: Any = None
        self.sending: Any = None
        # Of no meaning here: the wire counts, measures and breathes.
        self.received = 0.0
        self.breath = math.inf
        self.max_chars = sys.maxsize

    async def _pull(self) -> Message:
        if self._wire.client_state is not DISCONNECTED and not self._wire.open:
            # At the end, a layer may hold back messages that came before it.
            raise self._wire.not_open()
        return await self._receive()

    async def put(self, message: Message) -> None:
        """The same as `Wire.put`."""
        if not self._wire.open:
            raise self._wire.not_open()
        await self._send(message)

    def not_open(self) -> Exception:
        """The same as `Wire.not_open`."""
        return self._wire.not_open()

    async def measure(self, message: Message) -> None:
        """The wire has done it."""

    async def unsent(self, error: Exception, data: object = "") -> None:
        """The server's errors are translated already: one that still comes is a fault of the layer."""
        raise error


class WebSocketClose:
    """An ASGI application that ends a WebSocket with one close message; before accept that is an HTTP 403."""

    def __init__(self, code: int = 1000, reason: str | None = None) -> None:
        self.code = code
        self.reason: str = reason or ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.close", "code": self.code, "reason": self.reason})


Close = WebSocketClose
"""The same as `WebSocketClose`; an exception handler may return one: `return Close(4000, "why")`."""


def _check_mode(mode: str) -> None:
    if mode != "text" and mode != "binary":
        raise WebSocketRuntimeError('The "mode" argument should be "text" or "binary".')


def _header_pairs(
    headers: Iterable[tuple[bytes, bytes]] | Mapping[str, str],
) -> list[tuple[bytes, bytes]]:
    try:
        if isinstance(headers, Mapping):
            return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        return [(bytes(memoryview(name)), bytes(memoryview(value))) for name, value in headers]
    except (AttributeError, TypeError, ValueError):
        # Without the values, which may be secret.
        raise TypeError(
            "accept(headers=…): give a mapping of text that latin-1 can hold, or pairs of bytes such as "
            '(b"set-cookie", b"a=1").'
        ) from None
