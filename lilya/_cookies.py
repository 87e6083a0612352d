"""Cookies, as they are set and as they come back."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from lilya._fields import http_date, is_token

if TYPE_CHECKING:  # only a cookie with such an end needs the module, and who made it has loaded it
    from datetime import datetime

__all__ = ["Cookie", "parse_cookies"]

_NOT_IN_ATTRIBUTE = frozenset(map(chr, (*range(0x20), 0x7F, *b";")))
# cookie-octet of RFC 6265 §4.1.1. Other values go the way of SimpleCookie, which others read too: octal escapes within
# double quotes, where a space may stand as it is.
_COOKIE_OCTETS = frozenset(map(chr, range(0x21, 0x7F))).difference('",;\\')
# Compiled by `re` when first used, which few applications do.
_ESCAPE = r"(?s)\\(?:([0-3][0-7][0-7])|(.))"


class Cookie:
    """
    A cookie to be set (RFC 6265 §4.1).

    Args:
        key: Its name, one token.
        value: Its value in latin-1; quoted and escaped where it must be, as `connection.cookies` reads it.
        max_age: Seconds it lives; 0 deletes it.
        expires: When it ends: a time (without a zone: UTC), or the text of such a date.
        path: Below which path it is sent back; None leaves that to the browser.
        domain: To which domain, subdomains included; by default only to the host that set it.
        secure: Sent back over TLS only.
        httponly: Hidden from scripts.
        samesite: "lax", "strict" or "none"; None leaves that to the browser.

    Raises:
        ValueError: Something of this cannot stand in a cookie.
    """

    __slots__ = ("domain", "expires", "httponly", "key", "max_age", "path", "samesite", "secure", "value")

    def __init__(
        self,
        key: str,
        value: str = "",
        max_age: int | None = None,
        expires: datetime | str | None = None,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool = False,
        httponly: bool = False,
        samesite: Literal["lax", "strict", "none"] | None = "lax",
    ) -> None:
        if not is_token(key):
            raise ValueError(f"Cookie name {key!r} is not a token (RFC 6265 §4.1.1).")
        if not value.isascii() and max(value) > "\xff":
            raise ValueError(
                f"The value of cookie {key!r} is not latin-1: encode it, for example with urllib's quote()."
            )
        for name, attribute in (("path", path), ("domain", domain), ("samesite", samesite), ("expires", expires)):
            if isinstance(attribute, str) and not _NOT_IN_ATTRIBUTE.isdisjoint(attribute):
                raise ValueError(f"{name} {attribute!r} of cookie {key!r} holds a semicolon or a control character.")
        self.key: str = key
        self.value: str = value
        self.max_age: int | None = max_age
        self.expires: datetime | str | None = expires
        self.path: str | None = path
        self.domain: str | None = domain
        self.secure: bool = secure
        self.httponly: bool = httponly
        self.samesite: str | None = samesite

    def to_header(self) -> str:
        """The value of a `Set-Cookie` header."""
        expires = self.expires
        if not (expires is None or isinstance(expires, str)):
            expires = http_date(expires.utctimetuple())  # which takes one without a zone for UTC
        pairs = (
            (self.key, _quoted(self.value)),
            ("Domain", self.domain),
            ("Expires", expires),
            ("Max-Age", self.max_age),
            ("Path", self.path),
            ("SameSite", self.samesite),
        )
        flags = (("HttpOnly", self.httponly), ("Secure", self.secure))
        said = [f"{name}={value}" for name, value in pairs if value is not None]
        return "; ".join(said + [name for name, wanted in flags if wanted])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.key!r})"


def parse_cookies(header: str) -> dict[str, str]:
    """The cookies of a `Cookie` header, read as leniently as browsers do (RFC 6265 §5.4): no text raises."""
    cookies = {}
    for part in header.split(";"):
        name, equals, value = part.partition("=")
        if equals and (name := name.strip()):
            cookies[name] = _unquoted(value.strip())
    return cookies


def _quoted(value: str) -> str:
    if _COOKIE_OCTETS.issuperset(value):
        return value
    escaped = (one if one == " " or one in _COOKIE_OCTETS else f"\\{ord(one):03o}" for one in value)
    return f'"{"".join(escaped)}"'


def _unquoted(value: str) -> str:
    if len(value) < 2 or not value[0] == value[-1] == '"':
        return value
    return re.sub(_ESCAPE, lambda match: chr(int(match[1], 8)) if match[1] else match[2], value[1:-1])
