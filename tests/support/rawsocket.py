"""
A WebSocket client of bytes on a socket, for what a client library would never do.

It writes what it is told to, whole frames, halves or nonsense, leaves by FIN or RST, or says nothing at all. Nothing is
answered on its own: no pong, no close. Whatever waits has a timeout.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType

from tests.support.servers import RunningServer

__all__ = [
    "BINARY",
    "CLOSE",
    "CONTINUATION",
    "PING",
    "PONG",
    "TEXT",
    "Answer",
    "Frame",
    "RawSocket",
    "frame_bytes",
    "message_bytes",
]

# RFC 6455 §5.2
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

# Reached only if something hangs.
SECONDS = 10


@dataclass(frozen=True)
class Answer:
    """The answer to a request, with an empty body if it is 101."""

    status: int
    headers: dict[str, str]
    body: bytes = b""


@dataclass(frozen=True)
class Frame:
    """One frame from the server."""

    opcode: int
    payload: bytes = b""
    fin: bool = True

    @property
    def close(self) -> tuple[int, str]:
        """Code and reason of a close frame; 1005 if it is empty (RFC 6455 §7.1.5)."""
        if not self.payload:
            return 1005, ""
        return int.from_bytes(self.payload[:2], "big"), self.payload[2:].decode()


def frame_bytes(opcode: int, payload: bytes = b"", *, fin: bool = True, masked: bool = True, rsv: int = 0) -> bytes:
    """A frame as a client sends it (RFC 6455 §5.2)."""
    first = (fin << 7) | (rsv << 4) | opcode
    mask_bit = masked << 7
    if len(payload) < 126:
        head = struct.pack("!BB", first, mask_bit | len(payload))
    elif len(payload) < 1 << 16:
        head = struct.pack("!BBH", first, mask_bit | 126, len(payload))
    else:
        head = struct.pack("!BBQ", first, mask_bit | 127, len(payload))
    if not masked:
        return head + payload
    mask = os.urandom(4)
    keys = int.from_bytes((mask * (len(payload) // 4 + 1))[: len(payload)], "big")
    return head + mask + (int.from_bytes(payload, "big") ^ keys).to_bytes(len(payload), "big")


def message_bytes(message: str | bytes) -> bytes:
    """A message in one frame: text, or binary for bytes."""
    return frame_bytes(TEXT, message.encode()) if isinstance(message, str) else frame_bytes(BINARY, message)


class RawSocket:
    """
    One TCP connection to a server; leaving the block closes it.

    Args:
        receive_buffer: Bytes that the system keeps for us when we do not read; the least it can for 1.
    """

    def __init__(self, server: RunningServer, *, seconds: float = SECONDS, receive_buffer: int | None = None) -> None:
        self._socket = socket.socket()
        self._socket.settimeout(seconds)
        if receive_buffer is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._socket.connect(("127.0.0.1", server.port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._seconds = seconds
        self._buffer = b""
        self._closing = False

    def __enter__(self) -> RawSocket:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._socket.close()

    # -- the handshake -------------------------------------------------------------------------------------------

    def ask(self, path: str, *, headers: Iterable[str] = ()) -> None:
        """Write a handshake; `headers` are whole lines."""
        lines = [
            f"GET {path} HTTP/1.1",
            "Host: localhost",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            *headers,
        ]
        self.write("\r\n".join([*lines, "", ""]).encode())

    def handshake(self, path: str, *, headers: Iterable[str] = ()) -> Answer:
        """Write a handshake and read the answer."""
        self.ask(path, headers=headers)
        return self.read_answer()

    def read_answer(self) -> Answer:
        """
        Read the answer to a request: its head, and its body if it is not 101.

        Raises:
            ConnectionError: There was none.
        """
        status, *lines = self._read_until(b"\r\n\r\n").decode("latin-1").rstrip().split("\r\n")
        pairs = (line.partition(":")[::2] for line in lines)
        headers = {name.strip().lower(): value.strip() for name, value in pairs}
        answer = Answer(int(status.split()[1]), headers)
        if answer.status == 101:
            return answer
        return Answer(answer.status, headers, self._read_body(headers))

    def _read_body(self, headers: dict[str, str]) -> bytes:
        if "chunked" in headers.get("transfer-encoding", ""):
            body = b""
            while size := int(self._read_until(b"\r\n"), 16):
                body += self._read(size)
                self._read(2)
            self._read(2)
            return body
        if "content-length" in headers:
            return self._read(int(headers["content-length"]))
        return self.read_to_end()

    # -- writing -------------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Write bytes as they are."""
        self._socket.sendall(data)

    def send(self, *messages: str | bytes) -> None:
        """Send messages, all at once, each in one frame: text, or binary for bytes."""
        self.write(b"".join(map(message_bytes, messages)))

    def close(self, code: int | None = 1000, reason: str = "") -> None:
        """Send a close frame, an empty one for None; the answer is not awaited."""
        self._closing = True
        self.write(frame_bytes(CLOSE, b"" if code is None else struct.pack("!H", code) + reason.encode()))

    def pong(self, ping: Frame) -> None:
        """Answer a ping."""
        self.write(frame_bytes(PONG, ping.payload))

    # -- leaving -------------------------------------------------------------------------------------------------

    def fin(self) -> None:
        """End our direction, as when a process dies: the server reads the end of the stream. Reading goes on."""
        self._socket.shutdown(socket.SHUT_WR)

    def rst(self) -> None:
        """Abort: the server's next read or write fails with "connection reset"."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    # -- reading -------------------------------------------------------------------------------------------------

    def read_frame(self) -> Frame | None:
        """
        The next frame; None at the end of the stream, by FIN or RST.

        Raises:
            TimeoutError: Nothing came.
        """
        try:
            first, second = self._read(2)
            length = second & 0x7F
            if length > 125:
                length = int.from_bytes(self._read(2 if length == 126 else 8), "big")
            return Frame(first & 0xF, self._read(length), bool(first & 0x80))
        except ConnectionError:
            return None

    def frames(self) -> Iterator[Frame]:
        """
        All frames until the end of the stream; pings are answered, a close is answered once.

        Raises:
            TimeoutError: Nothing but pings came.
        """
        deadline = time.monotonic() + self._seconds
        while (frame := self.read_frame()) is not None:
            if frame.opcode == PING:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"nothing but pings in {self._seconds} s")
                with contextlib.suppress(OSError):  # the server may be gone already
                    self.pong(frame)
                continue
            deadline = time.monotonic() + self._seconds
            yield frame
            if frame.opcode == CLOSE and not self._closing:
                self._closing = True
                with contextlib.suppress(OSError):
                    self.write(frame_bytes(CLOSE, frame.payload[:2]))

    def messages(self) -> Iterator[str | bytes]:
        """All messages that came in one frame, until the end of the stream."""
        for frame in self.frames():
            if frame.opcode in (TEXT, BINARY):
                yield frame.payload.decode() if frame.opcode == TEXT else frame.payload

    def read_to_end(self) -> bytes:
        """Whatever comes until the end of the stream."""
        with contextlib.suppress(ConnectionError):
            while True:
                self._fill()
        rest, self._buffer = self._buffer, b""
        return rest

    def _fill(self) -> None:
        received = self._socket.recv(1 << 16)
        if not received:
            raise ConnectionError("the server has ended the connection")
        self._buffer += received

    def _read(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._fill()
        read, self._buffer = self._buffer[:size], self._buffer[size:]
        return read

    def _read_until(self, end: bytes) -> bytes:
        while end not in self._buffer:
            self._fill()
        read, _, self._buffer = self._buffer.partition(end)
        return read
