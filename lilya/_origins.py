"""
Which web pages may open a WebSocket: the `origins` setting, compiled.

A browser lets a page of any site open a WebSocket to any other site, and sends the user's cookies along. It also sends
the origin of the page, scheme, host and port, which no page can change (RFC 6455 §10.2, RFC 6454 §7).

The edges, all in one grammar, `scheme://host[:port]` in ASCII: letters have no case, the default port of a scheme is
dropped, IPv6 addresses are compared in their short form, a trailing dot counts. Whatever else comes in the header is
refused: user info, a path, a slash at the end, a port with a leading zero or above 65535, several origins, a host that
is not in its ASCII form (IDNA is done by the browser), more than 300 characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv6Address

from lilya._netloc import DEFAULT_PORTS
from lilya.exceptions import ImproperlyConfigured

__all__ = ["Origins"]

# RFC 6454 §6.2, in lower case; all quantifiers are possessive, so that nothing is tried twice. Compiled by `re` when
# the first origin is parsed.
_ORIGIN = r"([a-z][a-z0-9+.-]*+)://(\[[0-9a-f:.]*+\]|[a-z0-9._~-]*+)(?::([0-9]{1,5}+))?+"

_LONGEST = 300  # characters: a DNS name has at most 253
_REMEMBERED = 256  # handshakes that differ in origin, host or scheme
_SHOWN = 100  # characters of a header in the log
_EXAMPLE = "https://app.example.com"


class Origins:
    """
    Which web pages may open a WebSocket.

    - `"same"`: pages of the host and port that the `Host` header names. The default port is dropped on both sides, for
      the host also that of the page's scheme, since a proxy may end TLS. An `https` page may open `ws`; an `http` page
      may not open `wss`. Without a `Host` header, or with several that differ, no page may.
    - A list: these origins, over `ws` and `wss` alike, whatever the `Host` header says; the own origin is not implied.
      `https://*.example.org` means the subdomains of `example.org` at any depth, not `https://example.org`. Any scheme
      may be named: `chrome-extension://id`, `file://`. An empty list allows no page.
    - `"*"`: whoever asks.

    A handshake without an `Origin` header does not come from a browser and is allowed. An opaque origin, `null`, and
    more than one `Origin` header are refused by all but `"*"`.

    Args:
        setting: One of the above.

    Raises:
        ImproperlyConfigured: It is none of them.

    Attributes:
        setting: As given; a list as a tuple.
    """

    __slots__ = ("_all", "_listed", "_remembered", "_same", "_wildcards", "setting")

    def __init__(self, setting: str | Iterable[str] = "same") -> None:
        self.setting: str | tuple[str, ...] = _checked(setting)
        self._all: bool = self.setting == "*"
        self._same: bool = self.setting == "same"
        self._listed: set[str] = set()
        self._wildcards: list[tuple[str, str]] = []
        # What was allowed, as it came. Refusals are not kept: whoever is refused cannot push out those who are not.
        self._remembered: set[tuple[str, bytes, bytes]] = set()
        for item in () if isinstance(self.setting, str) else self.setting:
            wildcard = _parse_wildcard(item)
            if wildcard is not None:
                self._wildcards.append(wildcard)
            elif (origin := _parse(item)) is not None:
                self._listed.add(origin)
            else:
                raise ImproperlyConfigured(f"origins={setting!r}: {item!r} {_fault(item)}")

    def refusal(self, headers: Iterable[tuple[bytes, bytes]], scheme: str) -> str | None:
        """
        Why a handshake is refused, in one sentence for the log, with the setting that would allow it.

        Args:
            headers: Of the scope; names in any case.
            scheme: Of the scope: `ws` or `wss`.

        Returns:
            Printable ASCII on one line, or None: allowed.
        """
        if self._all:
            return None
        origin = host = None
        for name, value in headers:
            if name == b"origin":
                if origin is not None:
                    break
                origin = value
            elif name == b"host":
                if host is not None:
                    break
                host = value
        else:
            # No header twice, and the names in lower case, as ASGI has them: what nearly all browsers come with.
            if origin is not None and (scheme, origin, host if self._same else b"") in self._remembered:
                return None
        origins = [value for name, value in headers if name.lower() == b"origin"]
        if not origins:
            return None
        if len(origins) > 1:
            return "there is more than one Origin header; only origins='*' allows it"
        (origin,) = origins
        host = b""
        if self._same:
            hosts = {value for name, value in headers if name.lower() == b"host"}
            if len(hosts) != 1:
                several = "Host headers that differ" if hosts else "no Host header"
                return f"origin {_shown(origin)} came with {several} to compare it with; {_remedy(origin)}"
            (host,) = hosts
        handshake = (scheme, origin, host)
        refusal = self._judge(origin, host, scheme)
        if refusal is None:
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            self._remembered.add(handshake)
        return refusal

    def _judge(self, origin: bytes, host: bytes, scheme: str) -> str | None:
        page = _parse(origin.decode("latin-1"))
        if page is None:
            what = "is opaque" if origin.lower() == b"null" else "is not of the form scheme://host[:port]"
            return f"origin {_shown(origin)} {what}; {_remedy(origin)}"
        if self._same:
            why = _why_not_same(page, host, scheme)
            return why and f"origin {_shown(origin)} {why}; {_remedy(origin)}"
        if page in self._listed or any(
            page.startswith(start) and page.endswith(end) and len(page) > len(start) + len(end)
            for start, end in self._wildcards
        ):
            return None
        return f"origin {_shown(origin)} is not in the list of origins; allow it with origins=[..., {page!r}]"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.setting!r})"


def _parse(text: str) -> str | None:
    """An origin in its one spelling: lower case, no default port, short IPv6 address; None if it is no origin."""
    if len(text) > _LONGEST or not text.isascii():  # beyond ASCII, `lower` makes a "k" of the Kelvin sign
        return None
    match = re.fullmatch(_ORIGIN, text.lower())
    if match is None:
        return None
    scheme, host, port = match.groups()
    if port is not None and (str(int(port)) != port or int(port) > 65535):
        return None
    if not host and (port is not None or scheme in DEFAULT_PORTS):  # `file://` has no host
        return None
    if host.startswith("["):
        try:
            host = f"[{IPv6Address(host[1:-1])}]"
        except ValueError:
            return None
    return (
        f"{scheme}://{host}" if port is None or int(port) == DEFAULT_PORTS.get(scheme) else f"{scheme}://{host}:{port}"
    )


def _parse_wildcard(text: str) -> tuple[str, str] | None:
    """What the origins that `https://*.example.org` covers start and end with; None if it is no such pattern."""
    scheme, separator, rest = text.partition("://*.")
    base = _parse(f"{scheme}://{rest}")
    if not separator or base is None or not rest or rest[0] in ".[":
        return None
    start, _, end = base.partition("://")
    return f"{start}://", f".{end}"


def _why_not_same(page: str, host: bytes, scheme: str) -> str | None:
    """Why a page is not one of the host that the connection goes to; None if it is."""
    page_scheme, _, netloc = page.partition("://")
    if page_scheme not in ("http", "https"):
        return "is neither http nor https"
    name = host.decode("latin-1")
    if page != _parse(f"{page_scheme}://{name}") and f"{scheme}://{netloc}" != _parse(f"{scheme}://{name}"):
        return f"is not the host {_shown(host)}"
    if page_scheme == "http" and scheme in ("wss", "https"):
        return "is not encrypted, but the connection is"
    return None


def _remedy(origin: bytes) -> str:
    page = _parse(origin.decode("latin-1"))
    return "only origins='*' allows it" if page is None else f"allow it with origins=[{page!r}]"


def _shown(header: bytes) -> str:
    text = header.decode("latin-1")
    return ascii(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")


def _checked(setting: str | Iterable[str]) -> str | tuple[str, ...]:
    if isinstance(setting, str):
        if setting in ("same", "*"):
            return setting
        example = setting if _parse(setting) or _parse_wildcard(setting) else _EXAMPLE
        raise ImproperlyConfigured(
            f"origins={setting!r}: a string is 'same' or '*'. Origins come in a list, a single one too: "
            f"origins=[{example!r}]."
        )
    items = tuple(setting) if isinstance(setting, Iterable) else (setting,)
    if not all(isinstance(item, str) for item in items):
        raise ImproperlyConfigured(f"origins={setting!r}: give 'same', '*' or a list of strings: [{_EXAMPLE!r}].")
    return items


def _fault(item: str) -> str:
    """What is wrong with an item of the list, and what to write instead."""
    scheme, separator, rest = item.partition("://")
    end = min((rest.find(mark) for mark in "/?#" if mark in rest), default=len(rest))
    if item == "same":
        return f"does not go into a list: name the app's own origin, such as {_EXAMPLE!r}."
    if item == "*":
        return "does not go into a list: write origins='*'."
    if item == "null":
        return "is the origin of every sandboxed page, whoever made it: write origins='*' if any page may connect."
    if not item.isascii():
        return "is not ASCII: write it as browsers send it, which is what `location.origin` says in the page's console."
    if not separator:
        return f"has no scheme: write {f'https://{item}' if _parse(f'https://{item}') else _EXAMPLE!r}."
    if "*" in rest:
        return "has a wildcard where none can be: only whole subdomains, such as 'https://*.example.com'."
    if _parse(f"{scheme}://{rest[:end]}"):
        return f"has something after host and port: write {f'{scheme}://{rest[:end]}'!r}."
    return f"is not of the form scheme://host[:port], such as {_EXAMPLE!r}."
