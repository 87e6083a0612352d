"""
URLs: text that also knows its components.

Whoever can choose one component (a client chooses the path, the query and the Host header) must not be able to move the
borders between them. So a URL that is built from components never comes from parsing: the components are kept as they
are, and the *text* gets a percent sign wherever a parser would read a character as a border (RFC 3986 §2.2) or drop it.
Anything else, such as `é`, stays readable.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal, Self, SupportsIndex, TypedDict, Unpack, overload
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from lilya._netloc import netloc_from_scope, percent, replace_in_netloc
from lilya.types import Scope

__all__ = ["SECURE_SCHEMES", "URL", "URLPath", "sorted_query"]

SECURE_SCHEMES = frozenset(("https", "wss"))

# Parsers drop control characters; browsers read a backslash as a slash (WHATWG URL, "path state").
_IN_QUERY = percent(*range(0x20), 0x7F, *b"#\\")
_IN_PATH = _IN_QUERY | percent(*b"?")
# A path that is decoded, as in `scope["path"]`: a percent sign in it stands for itself.
_IN_DECODED_PATH = _IN_PATH | percent(*b"%")
# `scope["query_string"]` is bytes, mostly ASCII; any other byte is kept as what it is.
_IN_RAW_QUERY = _IN_QUERY | percent(*range(0x80, 0x100))
_NOT_IN_NETLOC = frozenset("/?#\\ ").union(map(chr, (*range(0x20), 0x7F)))


COMPONENTS = ("scheme", "netloc", "path", "query", "fragment", "username", "password", "hostname", "port")

if TYPE_CHECKING:

    class URLComponents(TypedDict, total=False):
        """What `URL` and `URL.replace` take by name. None takes a user name, a password or a port away."""

        scheme: str
        netloc: str
        path: str
        query: str
        fragment: str
        username: str | None
        password: str | None
        hostname: str | None
        port: int | None


def _component(name: str) -> Any:
    return property(attrgetter(f"parsed_url.{name}"))


class URL(str):
    """
    A URL: a `str` that also knows its components.

    Made from text (`URL("wss://example.com/chat?room=1")`), from components (`URL(scheme="wss", netloc="example.com",
    path="/chat")`), or from an ASGI scope (`URL.build_from_scope(scope)`).

    Raises:
        ValueError: The text is no URL (an unclosed bracket), or a netloc holds a character that would end it.
    """

    __slots__ = ("_decoded_path", "_split")

    _split: SplitResult
    # If the URL came from a scope: the path as it stands there.
    _decoded_path: str | None

    scheme: str = _component("scheme")
    """`https`, `wss` …; empty for a URL that is a path only."""
    netloc: str = _component("netloc")
    """`user:password@host:port`, as far as the URL has them."""
    query: str = _component("query")
    """What stands between `?` and `#`, as it is in the text."""
    fragment: str = _component("fragment")
    """What stands after `#`."""
    username: str | None = _component("username")
    """The user, if the URL names one."""
    password: str | None = _component("password")
    """The password, if the URL has one; `repr` of the URL hides it."""
    hostname: str | None = _component("hostname")
    """The host in lower case, without port and brackets."""
    port: int | None = _component("port")
    """The port that is written in the URL; reading one that is not a number from 0 to 65535 is a `ValueError`."""

    def __new__(cls, url: str | SplitResult = "", **components: Unpack[URLComponents]) -> Self:
        if isinstance(url, SplitResult):
            parts: dict[str, Any] = {**url._asdict(), **components}
            return cls("", **parts)
        self = str.__new__(cls, url)
        if isinstance(url, URL):
            self._split, self._decoded_path = url._split, url._decoded_path
        else:
            self._split, self._decoded_path = urlsplit(url), None
        return self.replace(**components) if components else self

    @classmethod
    def _compose(cls, split: SplitResult, decoded_path: str | None) -> Self:
        """The URL whose text has the components `split`, all of them quoted."""
        path = split.path
        # Not to be read as a host or a scheme (RFC 3986 §3.3, §4.2).
        if split.netloc:
            path = f"/{path}" if path and not path.startswith("/") else path
        elif path.startswith("//"):
            path = f"/%2F{path[2:]}"
        elif not split.scheme:
            first, slash, rest = path.partition("/")
            path = first.replace(":", "%3A") + slash + rest
        split = split._replace(path=path)
        self = str.__new__(cls, split.geturl())
        self._split, self._decoded_path = split, decoded_path
        return self

    @classmethod
    def build_from_scope(cls, scope: Scope) -> Self:
        """
        The URL a client asked for, as far as the scope of its connection tells.

        Scheme and host come from the `Host` header, without a valid one from `scope["server"]`; where that is missing
        too the URL is a path only. `path` is `scope["path"]`, decoded and unchanged.
        """
        scheme = scope.get("scheme") or ("ws" if scope.get("type") == "websocket" else "http")
        netloc = netloc_from_scope(scope, scheme)
        path = scope.get("path", "")
        query = scope.get("query_string", b"").decode("latin-1").translate(_IN_RAW_QUERY)
        quoted = path.translate(_IN_DECODED_PATH)
        return cls._compose(SplitResult(scheme if netloc else "", netloc, quoted, query, ""), path)

    @property
    def url(self) -> str:
        """The text, as a plain `str`."""
        return str(self)

    @property
    def base_url(self) -> str:
        """Scheme and host without a path: `https://example.com`; empty for a URL that is a path only."""
        return self._split._replace(path="", query="", fragment="").geturl()

    @property
    def parsed_url(self) -> SplitResult:
        """The components as they stand in the text, hence with a quoted path."""
        return self._split

    @property
    def path(self) -> str:
        """The path, as `replace` takes it: that of the text or, if the URL is built from a scope, the decoded one."""
        return self._split.path if self._decoded_path is None else self._decoded_path

    @property
    def is_secure(self) -> bool:
        """Whether the scheme is `https` or `wss`."""
        return self.scheme in SECURE_SCHEMES

    @overload
    def replace(self, old: str, new: str, count: SupportsIndex = -1, /) -> str: ...

    @overload
    def replace(self, **components: Unpack[URLComponents]) -> Self: ...

    def replace(self, *substitution: Any, **components: Any) -> str:
        """
        The URL with other components; `url.replace("old", "new")` is that of `str`.

        Raises:
            TypeError: There is no such component.
            ValueError: The scheme or the host holds a character that would end it.
        """
        if substitution:
            return super().replace(*substitution, **components)
        if unknown := components.keys() - set(COMPONENTS):
            raise TypeError(f"A URL has no component {min(unknown)!r}. It has: {', '.join(COMPONENTS)}.")
        split, decoded = self._split, self._decoded_path
        scheme, netloc = (components.get(name, getattr(split, name)) for name in ("scheme", "netloc"))
        if not components.keys().isdisjoint(("username", "password", "hostname", "port")):
            netloc = replace_in_netloc(split._replace(netloc=netloc), components)
        if not _NOT_IN_NETLOC.isdisjoint(netloc) or not _NOT_IN_NETLOC.isdisjoint(scheme.replace(":", "/")):
            raise ValueError(f"Scheme {scheme!r} and netloc {netloc!r} make no URL: pass path and query on their own.")
        path = components.get("path", self.path)
        quoted = path.translate(_IN_PATH if decoded is None else _IN_DECODED_PATH)
        query = components.get("query", split.query).translate(_IN_QUERY)
        fragment = components.get("fragment", split.fragment).translate(_IN_QUERY)
        return self._compose(SplitResult(scheme, netloc, quoted, query, fragment), None if decoded is None else path)

    def include_query_params(self, **params: Any) -> Self:
        """The URL with these parameters, instead of those of the same name; the query is sorted by name."""
        return self.replace(query=sorted_query([*self._pairs_without(params), *params.items()]))

    def replace_query_params(self, **params: Any) -> Self:
        """The URL with these parameters and no others, in this order."""
        return self.replace(query=urlencode(params))

    def remove_query_params(self, names: str | Iterable[str]) -> Self:
        """The URL without the parameters of this name, or of these names; the query is sorted by name."""
        return self.replace(query=sorted_query(self._pairs_without({names} if isinstance(names, str) else set(names))))

    def _pairs_without(self, names: Container[str]) -> list[tuple[str, Any]]:
        return [pair for pair in parse_qsl(self.query, keep_blank_values=True) if pair[0] not in names]

    def relative_url(self) -> Self:
        """Path, query and fragment, without scheme and host."""
        return self.replace(scheme="", netloc="")

    def __repr__(self) -> str:
        text = str(self)
        if self.password is not None:
            text = self._split.geturl().replace(f":{self.password}@", ":********@", 1)
        return f"{type(self).__name__}({text!r})"


class URLPath(str):
    """
    A path that was made from a route's name, decoded like `scope["path"]`.

    `protocol` is "http" or "websocket", the kind of route it leads to, or "" if it leads to either (a mount); `host` is
    the host it lives on, if its route is bound to one.
    """

    __slots__ = ("host", "protocol")

    protocol: Literal["http", "websocket", ""]
    host: str

    def __new__(cls, path: str, protocol: Literal["http", "websocket", ""] = "", host: str = "") -> Self:
        if protocol not in ("http", "websocket", ""):
            raise ValueError(f'URLPath protocol {protocol!r} is unknown. Use "http", "websocket" or "".')
        self = str.__new__(cls, path)
        self.protocol, self.host = protocol, host
        return self

    def make_absolute_url(self, base_url: str | URL) -> URL:
        """
        The URL of this path under `base_url`, whose security it keeps: ws goes with http, wss with https.

        The host of the path, if it has one, takes the place of the one in `base_url`.
        """
        base = URL(base_url)
        netloc = URL(netloc=self.host).netloc if self.host else base.netloc
        scheme = base.scheme
        if self.protocol and netloc:
            scheme = ("ws" if self.protocol == "websocket" else "http") + ("s" if base.is_secure else "")
        quoted = base.parsed_url.path.rstrip("/") + self.translate(_IN_DECODED_PATH)
        return URL._compose(SplitResult(scheme, netloc, quoted, "", ""), base.path.rstrip("/") + self)


def sorted_query(pairs: Iterable[tuple[str, Any]]) -> str:
    """The query string of these pairs, by name only: the order of several values of one name has a meaning."""
    return urlencode(sorted(pairs, key=lambda pair: pair[0]))
