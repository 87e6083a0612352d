"""
HTTP responses, each an ASGI application.

On a WebSocket scope the same responses are denials: every message is prefixed with `websocket.` (ASGI extension
"WebSocket Denial Response"). There, a streamed body is collected first and sent as one message if it is no larger than
64 KiB, because some servers drop a denial whose body comes in several; nothing is read from the client.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from lilya._files import FileResponse
from lilya._response import Headers, Response
from lilya._streaming import StreamingResponse
from lilya.enums import MediaType

__all__ = [
    "HTML",
    "Error",
    "FileResponse",
    "HTMLResponse",
    "JSONResponse",
    "Ok",
    "PlainText",
    "RedirectResponse",
    "Response",
    "StreamingResponse",
    "TextResponse",
    "make_response",
]


class PlainText(Response):
    """Text as it is."""

    media_type: str | None = MediaType.TEXT.value


class HTMLResponse(Response):
    """A page. What came from outside must be escaped before it gets here (`html.escape`)."""

    media_type: str | None = MediaType.HTML.value


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

    media_type: str | None = MediaType.JSON.value

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
