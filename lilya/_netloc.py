"""The middle of a URL, `user:password@host:port` (RFC 3986 §3.2): put together, or read from a scope."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import IPv6Address
from typing import Any, Self
from urllib.parse import SplitResult

from lilya.types import Scope

__all__ = ["Address", "netloc_from_scope", "percent", "replace_in_netloc"]

DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}

# host[:port] of RFC 9110 §7.2, with the letters that DNS names, their relatives and addresses are made of; compiled by
# `re` when the first URL is asked for.
_HOST = r"(?:[A-Za-z0-9._~-]+|\[([0-9A-Fa-f:.]+)\])(?::([0-9]{0,5}))?"


class Address(tuple[str, "int | None"]):
    """One end of a connection, `(host, port)`; `port` is None where `host` is the path of a Unix socket."""

    # By hand: a named tuple takes long to make, and every application imports this.
    __slots__ = ()

    def __new__(cls, host: str, port: int | None) -> Self:
        return super().__new__(cls, (host, port))

    @property
    def host(self) -> str:
        """The IP address, or the path of a Unix socket."""
        return self[0]

    @property
    def port(self) -> int | None:
        """The port."""
        return self[1]

    def __repr__(self) -> str:
        return f"Address(host={self.host!r}, port={self.port!r})"


def percent(*codes: int) -> dict[int, str]:
    """A table for `str.translate` that percent-encodes these characters."""
    return {code: f"%{code:02X}" for code in codes}


_IN_USERINFO = percent(*range(0x20), 0x7F, *b"#\\?@:/[]")


def replace_in_netloc(split: SplitResult, changes: Mapping[str, Any]) -> str:
    """The netloc of `split` with another `username`, `password`, `hostname` (a `ValueError` with an `@`) or `port`."""
    username, password, host, port = (
        changes.get(name, getattr(split, name)) for name in ("username", "password", "hostname", "port")
    )
    if "@" in (host or ""):
        raise ValueError(f"Host {host!r} makes no URL: pass username and password on their own.")
    userinfo = (username or "").translate(_IN_USERINFO)
    if password is not None:
        userinfo += ":" + password.translate(_IN_USERINFO)
    return (f"{userinfo}@" if userinfo else "") + _join(host or "", port)


def netloc_from_scope(scope: Scope, scheme: str) -> str:
    """Host and port of the `Host` header; where that is none, those of the server; empty without either."""
    for name, value in scope.get("headers", ()):
        if name.lower() == b"host":
            netloc: str = value.decode("latin-1")
            if _is_host(netloc):
                return netloc
            break  # a client may write anything into the header
    host, port = scope.get("server") or ("", None)
    netloc = _join(host, None if port == DEFAULT_PORTS.get(scheme) else port)
    return netloc if _is_host(netloc) else ""  # the path of a Unix socket is no host


def _join(host: str, port: int | None) -> str:
    host = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return host if port is None else f"{host}:{port}"


def _is_host(text: str) -> bool:
    match = re.fullmatch(_HOST, text)
    if match is None or int(match[2] or 0) > 65535:
        return False
    try:
        return match[1] is None or bool(IPv6Address(match[1]))
    except ValueError:
        return False
