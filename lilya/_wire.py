"""
The server's end of a connection: the one place where messages are checked and states change.

Everything that talks on one connection shares its `Wire` (WebSocket) or `Exchange` (HTTP): the `WebSocket` objects of
handlers, permissions and exception handlers, raw ASGI handlers, and the session that ends the connection. The
outermost application puts it into the scope; the `receive` and `send` that layers are handed are its own methods,
so that a message is checked once, however many layers it came through.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from typing import Any

from lilya import _state
from lilya._fields import check_headers, is_token
from lilya._shared import SharedValues
from lilya._state import AFTER_RECEIVING, AFTER_SENDING, CONNECTED, CONNECTING, DISCONNECTED, RESPONSE, out_of_order
from lilya.enums import WebSocketState
from lilya.exceptions import WebSocketDisconnect, WebSocketDisconnected, WebSocketRuntimeError
from lilya.serializers import Serializer, serializer
from lilya.types import Message, Receive, Scope, Send

__all__ = ["WIRE", "ClientGone", "Exchange", "Wire"]

# Where the scope holds the `Wire` or `Exchange` of the connection.
WIRE = "lilya.wire"

# After every 512th message that a connection sends, the event loop gets a turn. Where a server's `send` never waits, a
# handler that only sends would otherwise hold all other connections, and nobody would see its own client leave.
BREATH = 512

NOT_CONNECTED = 'WebSocket is not connected. Need to call "accept" first.'


class Wire:
    """
    One WebSocket conversation as the server sees it.

    `receive` and `send` check the order of messages (`lilya._state`), keep both states, and turn a server's `OSError`
    for a vanished client into `WebSocketDisconnect(1006)`. `raw_receive` and `raw_send` are the server's own callables:
    whoever uses them must look at `open` first.

    Attributes:
        open: Messages may flow in both directions.
        answered: The application has said something, or nobody is left to hear it.
        close_code, close_reason: Of whoever ended the conversation first.
        left: It was the client.
        refused: The HTTP status that the handshake was refused with.
        cause: The exception that ended the conversation.
        breath: How many more messages may be sent before `breathe`.
    """

    __slots__ = (
        "_connect",
        "_id",
        "answered",
        "application_state",
        "breath",
        "cause",
        "client_state",
        "cleanups",
        "close_code",
        "close_reason",
        "codec",
        "handed_receive",
        "handed_send",
        "closed_by_application",
        "left",
        "open",
        "raw_receive",
        "raw_send",
        "shared",
        "refused",
        "websocket",
    )

    def __init__(
        self, receive: Receive, send: Send, codec: Serializer = serializer, shared: SharedValues | None = None
    ) -> None:
        self.raw_receive = receive
        self.raw_send = send
        self.codec = codec
        self.shared = shared
        # This wire's own methods while layers have them: whoever gets them back unwrapped knows it by their identity.
        self.handed_receive: Receive | None = None
        self.handed_send: Send | None = None
        self.client_state = CONNECTING
        self.application_state = CONNECTING
        self.open = False
        self.answered = False
        self.close_code: int | None = None
        self.close_reason = ""
        self.closed_by_application = False
        self.left = False
        self.breath = BREATH
        self.refused: int | None = None
        self.cause: BaseException | None = None
        # The connect message, while a later route may still want to see it.
        self._connect: Message | None = None
        self._id: str | None = None
        self.cleanups: list[Callable[[], Any]] | None = None
        # The WebSocket that the handler was given, for exception handlers.
        self.websocket: Any = None

    @property
    def id(self) -> str:
        """A name for this connection in logs: 16 hexadecimal digits."""
        if self._id is None:
            self._id = os.urandom(8).hex()
        return self._id

    def assign(self, client: WebSocketState, application: WebSocketState) -> None:
        """Put both sides into these states."""
        self.client_state = client
        self.application_state = application
        self.open = application is CONNECTED and client is not DISCONNECTED
        self.answered = application is not CONNECTING or client is DISCONNECTED

    async def receive(self) -> Message:
        """
        The client's next message; a disconnect is returned as a message, once.

        Raises:
            WebSocketDisconnected: The disconnect has already been received.
            WebSocketRuntimeError: The server's message is out of order.
        """
        state = self.client_state
        if state is DISCONNECTED:
            raise self.disconnected('Cannot call "receive" once a disconnect message has been received.')
        if self._connect is not None and state is CONNECTING:
            message = self._connect
        else:
            message = await self.raw_receive()
        kind = message["type"]
        after = AFTER_RECEIVING[state].get(kind)
        if after is None:
            raise out_of_order("receive", state, kind)
        if kind == "websocket.disconnect":
            self.note_disconnect(message)
        elif after is not state:
            self.client_state = after
            self._connect = message
        return message

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
        try:
            await self.raw_send(out)
        except OSError as error:
            raise self.lost() from error
        except Exception:
            if state is CONNECTING:
                self.take_back()
            raise
        if state is RESPONSE and self.application_state is DISCONNECTED:
            # One turn of the loop, in which uvicorn notices that the handshake is over: it would log an error if the
            # application returned before.
            await asyncio.sleep(0)
        elif state is CONNECTED:
            self.breath -= 1
            if not self.breath:
                await self.breathe()

    async def breathe(self) -> None:
        """Let the event loop have a turn."""
        self.breath = BREATH
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
            check_headers(message.get("headers") or ())
            status = message.get("status")
            if not (isinstance(status, int) and 200 <= status <= 599):
                raise ValueError(f"Status {status!r} cannot be sent: a handshake is denied with one from 200 to 599.")
            self.refused = status
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
        elif code != 1000:
            code = _state.sendable_code(code)
        reason = _state.cut_reason(reason) if reason else ""
        self.application_state = DISCONNECTED
        self.open = False
        self.answered = self.closed_by_application = True
        self.close_code, self.close_reason = code, reason
        return {"type": "websocket.close", "code": code, "reason": reason}

    def take_back(self) -> None:
        """The server refused to send the answer to the handshake: nothing is said, and another one may be tried."""
        self.assign(self.client_state, CONNECTING)
        self.refused = self.close_code = None
        self.close_reason = ""
        self.closed_by_application = False

    def rewind(self) -> None:
        """Let the next route see the connect message again; nothing may have been answered yet."""
        if self.client_state is CONNECTED:
            self.client_state = CONNECTING

    def note_disconnect(self, message: Message) -> WebSocketDisconnect:
        """Record that the client left, and the exception that says so (ASGI: a missing code means 1005)."""
        code, reason = message.get("code"), message.get("reason") or ""
        if code is None:
            code = 1005
        self.assign(DISCONNECTED, self.application_state)
        if self.close_code is None:
            self.close_code, self.close_reason, self.left = code, reason, True
        return WebSocketDisconnect(code, reason)

    def lost(self) -> WebSocketDisconnect:
        """Record that the server could not send because the connection is gone."""
        self.assign(DISCONNECTED, DISCONNECTED)
        if self.close_code is None:
            self.close_code, self.left = 1006, True
        return WebSocketDisconnect(1006)

    def disconnected(self, message: str) -> WebSocketDisconnected:
        """The error for a call after the disconnect was reported."""
        code = self.close_code if self.close_code is not None else 1006
        return WebSocketDisconnected(code, self.close_reason, message)

    def not_open(self) -> WebSocketRuntimeError:
        """The error for sending or receiving a message while the conversation is not open."""
        if self.client_state is DISCONNECTED:
            return self.disconnected("The client has left.")
        if self.application_state is DISCONNECTED:
            return WebSocketRuntimeError(f'{NOT_CONNECTED} (It is closed: a "close" message has been sent.)')
        return WebSocketRuntimeError(NOT_CONNECTED)


class ClientGone(OSError):
    """The server's `OSError` for a client that left before its HTTP response was sent; nobody else's."""


class Exchange:
    """One HTTP request and its response, watched so that it is known whether a response has begun."""

    __slots__ = ("_first", "_replay", "answered", "raw_receive", "raw_send", "shared")

    def __init__(self, receive: Receive, send: Send, shared: SharedValues | None = None) -> None:
        self.shared = shared
        self.raw_receive = receive
        self.raw_send = send
        self.answered = False
        self._first: Message | None = None
        self._replay = False

    async def receive(self) -> Message:
        """The next message of the request; the first one comes again after `rewind`."""
        if self._replay and self._first is not None:
            self._replay = False
            return self._first
        message = await self.raw_receive()
        if self._first is None:
            self._first = message
        return message

    async def send(self, message: Message) -> None:
        """Pass a message on and note that the response has begun; `ClientGone` if nobody is left to hear it."""
        self.answered = True
        try:
            await self.raw_send(message)
        except OSError as error:
            raise ClientGone("The client left before the response was sent.") from error

    def rewind(self) -> None:
        """Let the next route see the first message of the request again."""
        self._replay = self._first is not None


def wire_of(scope: Scope) -> Wire | None:
    """The `Wire` of a WebSocket scope that runs inside an application, else None."""
    wire = scope.get(WIRE)
    return wire if type(wire) is Wire else None
