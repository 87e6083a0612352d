"""
Errors, by whose fault they are.

    Exception
    ├── HTTPException                  an answer: status, detail and headers go to the peer
    │   ├── NotAuthorized       401
    │   ├── PermissionDenied    403
    │   ├── NotFound            404
    │   ├── MethodNotAllowed    405
    │   ├── ValidationError     400
    │   ├── UnprocessableEntity 422
    │   ├── InternalServerError 500
    │   └── ImproperlyConfigured       the developer, at startup (also a ValueError)
    ├── WebSocketException             an answer: a close code and a reason
    ├── WebSocketDisconnect            the peer: it left (`lilya.websockets` exports it)
    ├── WebSocketRuntimeError          the developer, at run time: a call out of order (a RuntimeError)
    │   └── UnexpectedMessage          the peer: a message of the wrong kind
    ├── WebSocketDisconnected          both: a call after the disconnect was already reported
    ├── MalformedMessage               the peer: a message that is not JSON (a ValueError)
    └── AuthenticationError            credentials that do not hold
    BaseException
    └── ContinueRouting                control flow: "not mine, try the next route"
"""

from __future__ import annotations

from collections.abc import Mapping
from json import JSONDecodeError
from typing import Any

__all__ = [
    "AuthenticationError",
    "ContinueRouting",
    "HTTPException",
    "ImproperlyConfigured",
    "InternalServerError",
    "LilyaException",
    "MalformedMessage",
    "MethodNotAllowed",
    "NotAuthorized",
    "NotFound",
    "PermissionDenied",
    "UnexpectedMessage",
    "UnprocessableEntity",
    "ValidationError",
    "WebSocketDisconnect",
    "WebSocketDisconnected",
    "WebSocketException",
    "WebSocketRuntimeError",
]


class LilyaException(Exception):
    """What every error of this library that carries a detail has in common."""

    detail: Any = ""

    def __init__(self, *args: Any, detail: Any = "") -> None:
        self.detail = detail or self.detail or next((arg for arg in args if arg), "")
        super().__init__(*args)

    def __str__(self) -> str:
        return str(self.detail)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"


class HTTPException(LilyaException):
    """
    An answer with an HTTP status: a response on HTTP, a denial or a close on a WebSocket.

    Args:
        *args: The first one is the detail when `detail` is not given.
        status_code: 200–599, anything else is a fault of the application; each subclass has its own default, here 500.
        detail: Text for the peer; the status' own phrase when empty.
        headers: Sent with the answer.
        response: Sent as the answer instead of one built from status, detail and headers.
        accept_first: On a WebSocket that is not accepted yet: accept it, then close it with 4000 + status (5xx: 1011),
            so that a page in a browser sees the code; of a denial it only ever sees 1006. A subclass may set it for
            all its instances.
        **extra: Kept in `extra` for exception handlers.

    Raises:
        TypeError: The status is no number.
    """

    status_code: int = 500
    accept_first: bool = False

    def __init__(
        self,
        *args: Any,
        status_code: int | None = None,
        detail: Any = None,
        headers: Mapping[str, str] | None = None,
        response: Any = None,
        accept_first: bool = False,
        **extra: Any,
    ) -> None:
        if status_code is not None:
            if not isinstance(status_code, int):
                raise TypeError(
                    f"{type(self).__name__}(status_code={status_code!r}): a status is a number, such as 404."
                )
            self.status_code = status_code
        if detail is None:
            detail = args[0] if args else self.detail or _phrase(self.status_code)
        super().__init__(*args, detail=detail)
        self.headers = headers
        self.response = response
        if accept_first:
            self.accept_first = True
        self.extra = extra

    def __str__(self) -> str:
        return f"{self.status_code}: {self.detail}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}(status_code={self.status_code!r}, detail={self.detail!r})"


class NotAuthorized(HTTPException):
    """401: nobody is logged in."""

    status_code = 401
    detail = "You do not have authorization to perform this action."


class PermissionDenied(HTTPException):
    """403: whoever it is may not do this."""

    status_code = 403
    detail = "You do not have permission to perform this action."


class NotFound(HTTPException):
    """404: nothing is here."""

    status_code = 404
    detail = "The resource cannot be found."


class MethodNotAllowed(HTTPException):
    """405: the path exists, the method does not apply."""

    status_code = 405
    detail = "Method not allowed."


class ValidationError(HTTPException):
    """400: the request's content does not hold."""

    status_code = 400


class UnprocessableEntity(HTTPException):
    """422: well-formed, but not something that can be processed."""

    status_code = 422


class InternalServerError(HTTPException):
    """500: our own fault."""

    status_code = 500


class ImproperlyConfigured(HTTPException, ValueError):
    """A mistake in the application itself; raised as early as it can be known, mostly at startup."""

    status_code = 500

    def __str__(self) -> str:
        return str(self.detail)


class AuthenticationError(LilyaException):
    """Credentials are missing or do not hold."""


class WebSocketException(Exception):
    """
    An answer on a WebSocket: close with this code and reason, or refuse with 403 before accept.

    Args:
        code: A close code that may be sent: 1000–1003, 1007–1014, 3000–4999 (RFC 6455 §7.4).
        reason: Text for the peer, cut to 123 bytes of UTF-8 when it is sent.
        accept_first: On a WebSocket that is not accepted yet: accept it, then close it with the code, so that a page
            in a browser sees it; of a refusal it only ever sees 1006. A subclass may set it for all its instances.
    """

    accept_first: bool = False

    def __init__(self, code: int, reason: str | None = None, *, accept_first: bool = False) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason: str = reason or ""
        if accept_first:
            self.accept_first = True

    def __str__(self) -> str:
        return f"{self.code}: {self.reason}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}(code={self.code!r}, reason={self.reason!r})"


class WebSocketDisconnect(Exception):
    """
    The client is gone: it closed, or the connection was lost (1006) or ended without a code (1005).

    A handler need not catch it; leaving a handler this way is a normal end.
    """

    def __init__(self, code: int = 1000, reason: str | None = None) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason: str = reason or ""

    def __str__(self) -> str:
        return f"{self.code}: {self.reason}" if self.reason else str(self.code)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(code={self.code!r}, reason={self.reason!r})"


class WebSocketRuntimeError(RuntimeError):
    """A call that the state of the WebSocket conversation does not allow, such as `send` before `accept`."""


class WebSocketDisconnected(WebSocketDisconnect, WebSocketRuntimeError):
    """A call after the disconnect was already reported; carries the code of that disconnect."""

    def __init__(self, code: int = 1000, reason: str | None = None, message: str = "") -> None:
        super().__init__(code, reason)
        self.message = message

    def __str__(self) -> str:
        return self.message or super().__str__()


class UnexpectedMessage(WebSocketRuntimeError):
    """
    The client sent another kind of message than the handler waits for; the connection stays usable.

    Args:
        message: What was expected and what came.
        code: How the connection is closed if the handler lets this out: 1003, "unsupported data", by default.
    """

    def __init__(self, message: str, code: int = 1003) -> None:
        super().__init__(message)
        self.code = code


class MalformedMessage(JSONDecodeError):
    """
    The client sent a message that is not JSON, or JSON that is refused; the connection stays usable.

    Let out of a handler it closes the connection with 1007, "invalid payload data".
    """

    code = 1007

    @classmethod
    def of(cls, error: ValueError) -> MalformedMessage:
        """The same complaint about a message from the peer."""
        if isinstance(error, JSONDecodeError):
            return cls(error.msg, error.doc, error.pos)
        return cls(str(error), "", 0)


class ContinueRouting(BaseException):
    """Raised by a handler that has answered nothing: the next matching route gets its turn."""


def _phrase(status_code: int) -> str:
    import http  # noqa: PLC0415 - builds its table of all statuses, of use to answers without a detail only

    try:
        return http.HTTPStatus(status_code).phrase
    except ValueError:
        return f"Status {status_code}"
