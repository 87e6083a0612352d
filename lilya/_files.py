"""A response with a file: its description, and the part of it that a request asks for (RFC 9110 §13, §14)."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from time import gmtime
from typing import Any, Literal
from urllib.parse import quote

from lilya._fields import http_date
from lilya._response import Headers
from lilya._streaming import CHUNK_BYTES, StreamingResponse
from lilya.concurrency import run_in_threadpool
from lilya.datastructures import Header
from lilya.types import Receive, Scope, Send

__all__ = ["FileResponse"]

# RFC 9110 §14.1.2, one range. So many digits are enough for any file; what is longer is not a range we know.
# Compiled by `re` when first used, which few applications do.
_RANGE = r"(?i)bytes=[ \t]*(?!-[ \t]*$)([0-9]{0,18})-([0-9]{0,18})[ \t]*"


class FileResponse(StreamingResponse):
    """
    A file, read in threads while it is sent.

    On HTTP it has `Content-Length`, `ETag` and `Last-Modified`, answers 304 to a client that has it (RFC 9110 §13) and
    sends a single range where one is asked for (206, or 416 if there is none such; §14). Several ranges are answered
    with the whole file.

    Args:
        path: Must be chosen by the application; a path made from what a client sent can lead anywhere.
        filename: Under which name a browser saves it.
        stat_result: What `os.stat` says, if that is known already.
        content_disposition_type: "attachment" to save it, "inline" to show it; only with a file name.

    Raises:
        RuntimeError: When it is called: the path is no file that can be read. Nothing has been sent then.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        status_code: int | None = None,
        headers: Headers | None = None,
        *,
        media_type: str | None = None,
        filename: str | None = None,
        stat_result: os.stat_result | None = None,
        content_disposition_type: Literal["attachment", "inline"] = "attachment",
        **options: Any,
    ) -> None:
        super().__init__((), status_code, headers, media_type=media_type or _guess_type(filename or path), **options)
        self.path: str | os.PathLike[str] = path
        self.filename: str | None = filename
        self.stat_result: os.stat_result | None = stat_result
        if filename is not None:
            # RFC 6266 §4.1, encoded (RFC 8187) unless it is plain.
            quoted = quote(filename, safe="")
            name = f'filename="{filename}"' if quoted == filename else f"filename*=utf-8''{quoted}"
            self.headers.setdefault("Content-Disposition", f"{content_disposition_type}; {name}")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file, or what of it was asked for."""
        found = self.stat_result
        if found is None:
            found = await run_in_threadpool(_stat, self.path)
        headers = Header(self.headers)
        headers.setdefault("Content-Length", str(found.st_size))
        headers.setdefault("ETag", f'"{found.st_mtime_ns:x}-{found.st_size:x}"')
        headers.setdefault("Last-Modified", http_date(gmtime(found.st_mtime)))
        status_code, part = self.status_code, range(found.st_size)
        if scope["type"] == "http" and status_code == 200:
            headers.setdefault("Accept-Ranges", "bytes")
            status_code, part = _select(scope, headers, found.st_size)
        await self._stream(scope, receive, send, status_code, headers, _read(self.path, part))


def _guess_type(path: str | os.PathLike[str]) -> str:
    import mimetypes  # noqa: PLC0415 - reads the system's tables, for this class only

    media_type, encoding = mimetypes.guess_type(path)
    # The type is that of the content; a .tar.gz sent as application/x-tar would be one that cannot be read.
    return media_type if media_type and encoding is None else "application/octet-stream"


def _stat(path: str | os.PathLike[str]) -> os.stat_result:
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            raise RuntimeError(f"FileResponse: {os.fspath(path)!r} is not a file.")
        with open(path, "rb"):  # may it be read? Better to know before the response has begun.
            return found
    except OSError as error:
        raise RuntimeError(f"FileResponse: {os.fspath(path)!r} cannot be read: {error.strerror}.") from error


def _read(path: str | os.PathLike[str], part: range) -> Iterator[bytes]:
    left = len(part)
    with open(path, "rb") as file:
        file.seek(part.start)
        while left and (chunk := file.read(min(CHUNK_BYTES, left))):
            left -= len(chunk)
            yield chunk


def _select(scope: Scope, headers: Header, size: int) -> tuple[int, range]:
    """Status and bytes of the answer to a request for a file; changes `headers` accordingly."""
    asked, method = Header.from_scope(scope), scope.get("method")
    if method in ("GET", "HEAD") and _is_known(asked, headers):
        del headers["Content-Length"]
        headers.pop("Content-Type", None)
        return 304, range(0)
    part = None
    # RFC 9110 §13.1.5: with If-Range, a range only of the file the client has a part of.
    if method == "GET" and asked.get("If-Range") in (None, headers["ETag"], headers["Last-Modified"]):
        part = _range(asked.get("Range", ""), size)
    if part is None:
        return 200, range(size)
    headers["Content-Length"] = str(len(part))
    if part:
        headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
        return 206, part
    headers["Content-Range"] = f"bytes */{size}"
    headers.pop("Content-Type", None)
    return 416, part


def _is_known(asked: Header, headers: Header) -> bool:
    """Whether the client has this file already (RFC 9110 §13.1.2, §13.1.3)."""
    tags = asked.get("If-None-Match")
    if tags is None:
        return asked.get("If-Modified-Since") == headers["Last-Modified"]
    own = headers["ETag"].removeprefix("W/")
    return tags.strip() == "*" or own in (tag.strip().removeprefix("W/") for tag in tags.split(","))


def _range(asked: str, size: int) -> range | None:
    """The one range that is asked for, empty if it lies behind the end; None for several, and for what is none."""
    match = re.fullmatch(_RANGE, asked)
    if match is None:
        return None
    first, last = match.groups()
    if not first:
        return range(max(size - int(last), 0), size)
    if last and int(last) < int(first):
        return None
    return range(int(first), min(int(last) + 1, size) if last else size)
