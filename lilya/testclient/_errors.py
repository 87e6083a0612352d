"""
What a test is told, by whose doing it is.

    TimeoutError
    ├── ReceiveTimeout              the app did not send what the test waits for
    └── FinishTimeout               the app did not end after the client had left, or after its response
    OSError
    └── ClientDisconnected          raised *into the app*: it sends to a client that has left (ASGI spec 2.4, "send")
    RuntimeError
    ├── ConformanceError            the app sent a message that ASGI does not allow; raised into the app and to the test
    ├── NoResponse                  the app returned without a (whole) HTTP response
    └── LifespanFailed              the app reported a failed startup or shutdown without an exception to show
    WebSocketDisconnect
    ├── AppReturned                 the app returned and left the connection open
    └── WebSocketDenialResponse     the app answered the handshake with an HTTP response (also an httpx.Response)
"""

import httpx

from lilya.exceptions import WebSocketDisconnect

__all__ = [
    "AppReturned",
    "ClientDisconnected",
    "ConformanceError",
    "FinishTimeout",
    "LifespanFailed",
    "NoResponse",
    "ReceiveTimeout",
    "WebSocketDenialResponse",
]


class ReceiveTimeout(TimeoutError):
    """Nothing came in time; the text names what was awaited and where the handler stands."""


class FinishTimeout(TimeoutError):
    """The app did not end in time and was cancelled; the text names where it stood."""


class ClientDisconnected(OSError):
    """The app sends, but the client has left: what a server raises in this place (ASGI spec 2.4)."""


class ConformanceError(RuntimeError):
    """The app sent a message that is malformed or out of order."""


class NoResponse(RuntimeError):
    """The app returned without a response, or in the middle of one."""


class LifespanFailed(RuntimeError):
    """The app reported `lifespan.startup.failed` or `lifespan.shutdown.failed`; the text is the app's own."""


class AppReturned(WebSocketDisconnect):
    """
    The app returned and left the connection open; a server ends it without a close frame, which a client sees as 1006.

    Apps of this library never do that: a handler that returns closes with 1000.
    """

    def __init__(self, message: str) -> None:
        super().__init__(1006)
        self.message = message

    def __str__(self) -> str:
        return self.message


class WebSocketDenialResponse(httpx.Response, WebSocketDisconnect):  # type: ignore[misc]  # both define __setstate__
    """
    The HTTP response that refused a handshake, as an exception and as a response whose body has been read.

    `code` is 1006 and `reason` empty: what a browser is told of a refused handshake.
    """

    def __init__(self, status_code: int, *, headers: list[tuple[bytes, bytes]], body: bytes, request: httpx.Request):
        httpx.Response.__init__(self, status_code, headers=headers, stream=httpx.ByteStream(body), request=request)
        WebSocketDisconnect.__init__(self, 1006)
        self.read()

    def __str__(self) -> str:
        return f"the handshake was answered with {self.status_code} {self.reason_phrase}"
