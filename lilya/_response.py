"""The responses that the library itself sends, and what all of them build on; see `lilya.responses`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from time import gmtime, time
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from urllib.parse import quote

from lilya._cookies import Cookie
from lilya._fields import check_headers, http_date
from lilya.datastructures import Header
from lilya.encoders import Encoder, json_encode
from lilya.serializers import encode_bytes
from lilya.types import Receive, Scope, Send

if TYPE_CHECKING:  # only a cookie with such an end needs the module, and who made it has loaded it
    from datetime import datetime

__all__ = [
    "HTML",
    "Background",
    "Error",
    "HTMLResponse",
    "Headers",
    "JSONResponse",
    "Ok",
    "PlainText",
    "RedirectResponse",
    "Response",
    "TextResponse",
    "make_response",
    "message_type",
    "sendable",
]

Headers: TypeAlias = "Mapping[str, str] | Iterable[tuple[str, str]] | Iterable[tuple[bytes, bytes]]"
Background: TypeAlias = "Callable[[], Awaitable[Any]]"

# Written as they are; everything else goes through `json_encode`, which also looks at what is no plain value outside.
_PLAIN = (dict, list, str, int, float, bool, type(None))


class Response:
    """
    A response whose body is known.

    Args:
        content: Text, bytes, None for an empty body, or anything else for JSON.
        status_code: 100–599; with 1xx, 204 and 304, which have no body, the content is dropped (RFC 9110 §6.4.1).
        headers: A mapping, or pairs of text or of bytes.
        cookies: Names and values; `set_cookie` can say more.
        media_type: The `Content-Type`, to which a charset is added if it is text.
        background: A `Task` or `Tasks`, run once the body is sent.
        encoders: For JSON content, asked before the registered ones.

    Raises:
        ValueError: A header that cannot be sent: its name is no token, its value holds CR, LF or NUL, or a character
            that is not in latin-1. A header set later, through `headers`, is checked when the response is sent. Or a
            status that is none.
        TypeError: Content that nothing can turn into JSON.
    """

    media_type: str | None = None
    charset: str = "utf-8"
    status_code: int = 200

    _sized: bool = True  # whether `body` is all of the body

    def __init__(
        self,
        content: Any = None,
        status_code: int | None = None,
        headers: Headers | None = None,
        cookies: Mapping[str, str] | None = None,
        media_type: str | None = None,
        background: Background | None = None,
        encoders: Sequence[Encoder | type[Encoder]] | None = None,
    ) -> None:
        if status_code is not None:
            self.status_code = status_code
        if not 100 <= self.status_code <= 599:
            raise ValueError(f"{type(self).__name__}: {self.status_code!r} is no status, 100–599 (RFC 9110 §15).")
        if media_type is not None:
            self.media_type = media_type
        self.background: Background | None = background
        self.encoders: list[Encoder] = [one() if isinstance(one, type) else one for one in encoders or ()]
        self.headers: Header = Header(headers)
        self.cookies: dict[str, str] = dict(cookies or {})
        self.body: bytes = self.render(content)
        if self._bodiless:
            self.body = b""
        else:
            self._describe_body()
        sendable(self.headers)
        for name, value in self.cookies.items():
            self.set_cookie(name, value)

    @property
    def _bodiless(self) -> bool:
        return self.status_code < 200 or self.status_code in (204, 304)

    def _describe_body(self) -> None:
        if self._sized:
            self.headers.setdefault("Content-Length", str(len(self.body)))
        if self.media_type:
            text = self.media_type.startswith("text/") and "charset=" not in self.media_type
            content_type = f"{self.media_type}; charset={self.charset}" if text else self.media_type
            self.headers.setdefault("Content-Type", content_type)

    def render(self, content: Any) -> bytes:
        """The body for `content`."""
        if content is None:
            return b""
        if isinstance(content, (bytes, bytearray, memoryview)):
            return bytes(content)
        if isinstance(content, str):
            return content.encode(self.charset)
        self.media_type = self.media_type or "application/json"
        return self._json(content)

    def _json(self, content: Any) -> bytes:
        if self.encoders or type(content) not in _PLAIN:
            content = json_encode(content, self.encoders)
        return encode_bytes(content)

    @property
    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        """The headers as pairs of bytes, names in lower case; a `ValueError` if they cannot be sent."""
        return sendable(self.headers)

    def set_cookie(
        self,
        key: str,
        value: str = "",
        max_age: int | None = None,
        expires: datetime | str | int | None = None,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool = False,
        httponly: bool = False,
        samesite: Literal["lax", "strict", "none"] | None = "lax",
    ) -> None:
        """Set a cookie as `lilya.datastructures.Cookie` describes it; `expires` may be seconds from now, too."""
        if isinstance(expires, int):
            expires = http_date(gmtime(time() + expires))
        cookie = Cookie(key, value, max_age, expires, path, domain, secure, httponly, samesite)
        self.headers.add("Set-Cookie", cookie.to_header())

    def delete_cookie(self, key: str, path: str | None = "/", domain: str | None = None, **attributes: Any) -> None:
        """Make the client forget a cookie, which it knows by its name, path and domain."""
        self.set_cookie(key, "", 0, http_date(gmtime(0)), path, domain, **attributes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response, then run what is to run in the background."""
        await send({"type": message_type(scope, "start"), "status": self.status_code, "headers": self.raw_headers})
        # RFC 9110 §9.3.2: the headers of the GET, and no body.
        content = b"" if scope.get("method") == "HEAD" else self.body
        await send({"type": message_type(scope, "body"), "body": content, "more_body": False})
        if self.background is not None:
            await self.background()


class PlainText(Response):
    """Text as it is."""

    media_type: str | None = "text/plain"


class HTMLResponse(Response):
    """A page. What came from outside must be escaped before it gets here (`html.escape`)."""

    media_type: str | None = "text/html"


class Error(HTMLResponse):
    """A page that says what went wrong: status 500."""

    status_code: int = 500


class JSONResponse(Response):
    """
    Any value as JSON: None is `null`, text is a JSON string.

    Raises:
        ValueError: The value has no JSON form, such as NaN.
        TypeError: No encoder answers for it.
    """

    media_type: str | None = "application/json"

    def render(self, content: Any) -> bytes:
        """The JSON text of `content`."""
        return self._json(content)


class Ok(JSONResponse):
    """JSON with status 200."""


class RedirectResponse(Response):
    """
    "Look there": 303 by default, so that the client asks for the new address with GET (RFC 9110 §15.4.4).

    Characters that cannot stand in a URL are percent-encoded.
    """

    status_code: int = 303

    def __init__(
        self, url: str, status_code: int | None = None, headers: Headers | None = None, **options: Any
    ) -> None:
        super().__init__(None, status_code, headers, **options)
        self.headers["Location"] = quote(str(url), safe=":/%#?=@[]!$&'()*+,;~")


TextResponse = PlainText
"""The same as `PlainText`."""
HTML = HTMLResponse
"""The same as `HTMLResponse`."""


def make_response(
    content: Any, status_code: int | None = None, response_class: type[Response] = JSONResponse, **options: Any
) -> Response:
    """
    What a handler returned, as a response: JSON for every value, `null` for None (errors as with `JSONResponse`).

    A response, or any other ASGI application (a callable), comes back as it is; the other arguments do not apply then.
    """
    return content if callable(content) else response_class(content, status_code, **options)


def message_type(scope: Scope, part: str) -> str:
    """The type of the message with this part of a response, "start" or "body"."""
    return f"websocket.http.response.{part}" if scope["type"] == "websocket" else f"http.response.{part}"


def sendable(headers: Header) -> list[tuple[bytes, bytes]]:
    """The headers as pairs of bytes; a `ValueError` if they cannot be sent."""
    raw = headers.encoded_multi_items()
    check_headers(raw)
    return raw
