"""
HTTP responses, each an ASGI application.

On a WebSocket scope the same responses are denials: every message is prefixed with `websocket.` (ASGI extension
"WebSocket Denial Response"). There, a streamed body is collected first and sent as one message if it is no larger than
64 KiB, because some servers drop a denial whose body comes in several; nothing is read from the client.
"""

from __future__ import annotations

from lilya._files import FileResponse
from lilya._response import (
    HTML,
    Error,
    HTMLResponse,
    JSONResponse,
    Ok,
    PlainText,
    RedirectResponse,
    Response,
    TextResponse,
    make_response,
)
from lilya._streaming import StreamingResponse

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
