"""A WebSocket between a test and an app, on one event loop."""

import json
from types import TracebackType
from typing import Any, Self

import httpx

from lilya.exceptions import WebSocketDisconnect, WebSocketRuntimeError
from lilya.testclient._conversation import Conversation, read_body
from lilya.testclient._errors import AppReturned, ConformanceError, WebSocketDenialResponse
from lilya.testclient._patience import DEFAULT, Patience, Timeout, seconds_of
from lilya.testclient._subject import Subject
from lilya.types import Message, Scope

__all__ = ["AsyncWebSocketTestSession"]

_MODES = ("text", "binary")


class AsyncWebSocketTestSession:
    """
    One WebSocket connection to the app; nothing runs until `async with`.

    Entering raises `WebSocketDisconnect` for a close before accept, `WebSocketDenialResponse` for a denial, or what the
    app raised. Leaving disconnects with 1000, unless `close` has done so, waits for the app to end, and raises what the
    app raised meanwhile; if the block itself fails, that comes first and the app's error is noted on it.

    Every wait is limited by `timeout` (seconds; None: no limit).

    Attributes:
        scope: The ASGI scope of the connection.
        accepted_subprotocol: Which one the app chose; None before the connection is accepted.
        extra_headers: The headers of the app's accept message, as pairs of bytes.
    """

    def __init__(self, subject: Subject, request: httpx.Request, timeout: float | None) -> None:
        self.scope: Scope = subject.websocket_scope(request)
        self.accepted_subprotocol: str | None = None
        self.extra_headers: list[tuple[bytes, bytes]] = []
        self.timeout = timeout
        self._conversation: Conversation | None = None
        self._subject = subject
        self._request = request
        # How the connection has ended as far as the test knows: by its own close, or by one of the app that it read.
        self._ended: WebSocketDisconnect | None = None

    async def __aenter__(self) -> Self:
        if self._conversation is not None:
            raise RuntimeError("A WebSocket session is entered once; call websocket_connect() again for another one")
        self._conversation = conversation = self._subject.websocket(self.scope)
        conversation.start()
        conversation.deliver({"type": "websocket.connect"})
        try:
            patience = Patience(self.timeout)
            message = await conversation.next_message("an answer to the handshake", patience)
            if message is not None and message["type"] == "websocket.accept":
                self.accepted_subprotocol = message.get("subprotocol")
                self.extra_headers = list(message.get("headers") or ())
                return self
            refusal = await self._refusal(message, patience)
            conversation.hang_up({"type": "websocket.disconnect", "code": 1006, "reason": ""})
            await conversation.finish(self.timeout)
        except BaseException:
            await conversation.abandon(self.timeout)
            raise
        raise conversation.take_error() or refusal

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        conversation = self._running()
        self._leave(1000, "")
        try:
            await conversation.finish(self.timeout)
            failure = conversation.take_error()
            if failure is not None:
                raise failure
        except Exception as failure:
            if error is None:
                raise
            error.add_note(f"{conversation.name}: besides, on leaving: {type(failure).__name__}: {failure}")

    # --- Sending -----------------------------------------------------------------------------------------------------

    async def send(self, message: Message) -> None:
        """
        Hand the app a raw ASGI message; a `websocket.disconnect` ends the connection.

        Raises:
            WebSocketRuntimeError: This side has already closed.
        """
        conversation = self._running()
        if message["type"] == "websocket.disconnect":
            self._leave(message.get("code", 1005), message.get("reason") or "")
        elif self._ended is not None:
            raise WebSocketRuntimeError(f"{conversation.name}: the connection has ended ({self._ended}); cannot send")
        else:
            conversation.deliver(message)

    async def send_text(self, data: str) -> None:
        """Send a text message."""
        await self.send({"type": "websocket.receive", "text": data})

    async def send_bytes(self, data: bytes) -> None:
        """Send a binary message."""
        await self.send({"type": "websocket.receive", "bytes": data})

    async def send_json(self, data: Any, mode: str = "text") -> None:
        """Send JSON without spaces, in a text message or (`mode="binary"`) in a binary one."""
        _require_mode(mode)
        text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
        await (self.send_text(text) if mode == "text" else self.send_bytes(text.encode()))

    async def close(self, code: int = 1000, reason: str | None = None) -> None:
        """Disconnect with this code and reason; leaving then sends nothing more. Closing twice does nothing."""
        await self.send({"type": "websocket.disconnect", "code": code, "reason": reason or ""})

    # --- Receiving ---------------------------------------------------------------------------------------------------

    async def receive(self, timeout: Timeout = DEFAULT) -> Message:
        """
        The next raw ASGI message of the app.

        Raises:
            WebSocketDisconnect: The connection has ended and there is no message left.
            AppReturned: … because the app returned without a close.
            ReceiveTimeout: Nothing came within `timeout` seconds.
            Exception: What the app raised, or reported as unhandled.
        """
        return await self._receive("receive()", timeout)

    async def receive_text(self, timeout: Timeout = DEFAULT) -> str:
        """The next message, which must be text; raises as `receive` does, and `WebSocketDisconnect` for a close."""
        text: str = await self._receive_payload("receive_text()", "text", timeout)
        return text

    async def receive_bytes(self, timeout: Timeout = DEFAULT) -> bytes:
        """The next message, which must be binary; raises as `receive` does, and `WebSocketDisconnect` for a close."""
        content: bytes = await self._receive_payload("receive_bytes()", "bytes", timeout)
        return content

    async def receive_json(self, mode: str = "text", timeout: Timeout = DEFAULT) -> Any:
        """The JSON in the next message, which must be text or (`mode="binary"`) binary; raises as those do."""
        _require_mode(mode)
        kind = "text" if mode == "text" else "bytes"
        return json.loads(await self._receive_payload(f"receive_json(mode={mode!r})", kind, timeout))

    async def _receive_payload(self, awaited: str, kind: str, timeout: Timeout) -> Any:
        message = await self._receive(awaited, timeout)
        if message["type"] == "websocket.close":
            raise _disconnect_of(message)
        payload = message.get(kind)
        if payload is None:
            raise WebSocketRuntimeError(f"{self._running().name}: {awaited} expected {kind}, but got {message!r}")
        return payload

    async def _receive(self, awaited: str, timeout: Timeout) -> Message:
        conversation = self._running()
        message = await conversation.next_message(awaited, Patience(seconds_of(timeout, self.timeout)))
        if message is None:
            error = conversation.take_error()
            if error is not None:
                raise error
            message = self._ending(conversation)
        if message["type"] == "websocket.close":
            error = conversation.take_error()
            if error is not None:
                # The close is only what the app made of its error for the peer.
                raise error
            closing = _disconnect_of(message)
            self._leave(closing.code, closing.reason)
        return message

    # --- Ends --------------------------------------------------------------------------------------------------------

    def _running(self) -> Conversation:
        if self._conversation is None:
            raise RuntimeError(
                "The connection is not open; open it with `async with client.websocket_connect(...) as websocket:`"
            )
        return self._conversation

    def _leave(self, code: int, reason: str) -> None:
        if self._ended is None:
            self._ended = WebSocketDisconnect(code, reason)
            self._running().hang_up({"type": "websocket.disconnect", "code": code, "reason": reason})

    def _ending(self, conversation: Conversation) -> Message:
        """How a connection ended whose app is no more and has closed nothing."""
        if self._ended is not None:
            raise WebSocketDisconnect(self._ended.code, self._ended.reason)
        if conversation.failed:
            return {"type": "websocket.close", "code": 1011, "reason": ""}
        raise AppReturned(f"{conversation.name}: the application returned without closing the connection")

    async def _refusal(self, message: Message | None, patience: Patience) -> BaseException:
        """What a client makes of an answer to its handshake that is no accept."""
        conversation = self._running()
        if message is None:
            if conversation.failed:
                # Every server answers so when the app breaks before it has answered.
                return WebSocketDenialResponse(500, headers=[], body=b"", request=self._request)
            return AppReturned(f"{conversation.name}: the application returned without accept or close")
        if message["type"] == "websocket.close":
            return _disconnect_of(message)
        if message["type"] != "websocket.http.response.start":
            return ConformanceError(f"{conversation.name}: expected an answer to the handshake, but got {message!r}")
        body = await read_body(conversation, "websocket.http.response", patience)
        if body is None:
            return AppReturned(f"{conversation.name}: the application returned in the middle of its denial response")
        headers: list[tuple[bytes, bytes]] = list(message.get("headers") or ())
        return WebSocketDenialResponse(message["status"], headers=headers, body=body, request=self._request)


def _disconnect_of(message: Message) -> WebSocketDisconnect:
    return WebSocketDisconnect(message.get("code", 1000), message.get("reason"))


def _require_mode(mode: str) -> None:
    if mode not in _MODES:
        raise WebSocketRuntimeError(f'The "mode" argument should be "text" or "binary", not {mode!r}.')
