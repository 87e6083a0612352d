"""
The values a connection is read through: URLs, headers, query parameters, state, cookies, uploads.

Everything with several values to a name stands on `multidict`, whose lookups are written in C.
"""

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from datetime import UTC, datetime
from typing import IO, Any, Literal, NamedTuple, Self, SupportsIndex, TypeAlias, TypedDict, TypeVar, Unpack, overload
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from multidict import CIMultiDict, MultiDict, MultiDictProxy

from lilya.types import Scope

__all__ = [
    "URL",
    "Address",
    "Cookie",
    "DataUpload",
    "FormData",
    "Header",
    "ImmutableMultiDict",
    "MultiDict",
    "QueryParam",
    "Secret",
    "State",
    "URLComponents",
    "URLPath",
]

V = TypeVar("V")

# What a multidict can be made of: a mapping (a list or tuple as a value means several values), or pairs.
Pairs: TypeAlias = Mapping[Any, Any] | Iterable[tuple[Any, Any]] | None

DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
SECURE_SCHEMES = frozenset(("https", "wss"))


class Address(NamedTuple):
    """One end of a connection; `port` is None where `host` is the path of a Unix socket."""

    host: str
    port: int | None


# -- URLs --------------------------------------------------------------------------------------------------------------
#
# A URL exists twice: as text, and as components. Whoever can choose one component (a client chooses the path, the query
# and the Host header) must not be able to move the borders between them. So a URL that is built from components never
# comes from parsing: the components are kept as they are, and the *text* gets a percent sign wherever a character would
# be read as a border (RFC 3986 §2.2), or be dropped, by those who parse it. Anything else, such as `é`, stays readable.


def _percent(*codes: int) -> dict[int, str]:
    return {code: f"%{code:02X}" for code in codes}


# Parsers drop control characters; browsers read a backslash as a slash (WHATWG URL, "path state").
_IN_QUERY = _percent(*range(0x20), 0x7F, *b"#\\")
_IN_PATH = _IN_QUERY | _percent(*b"?")
# A path that is decoded, as in `scope["path"]`: a percent sign in it stands for itself.
_IN_DECODED_PATH = _IN_PATH | _percent(*b"%")
_IN_USERINFO = _IN_PATH | _percent(*b"@:/[]")
# `scope["query_string"]` is bytes, mostly ASCII; any other byte is kept as what it is.
_IN_RAW_QUERY = _IN_QUERY | _percent(*range(0x80, 0x100))
_NOT_IN_NETLOC = frozenset("/?#\\ ").union(map(chr, (*range(0x20), 0x7F)))

# host[:port] of RFC 9110 §7.2, with the letters that DNS names, their relatives and addresses are made of.
_HOST = re.compile(r"(?:[A-Za-z0-9._~-]+|\[([0-9A-Fa-f:.]+)\])(?::([0-9]{0,5}))?")


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


class URL(str):
    """
    A URL: a `str` that also knows its components.

    Made from text (`URL("wss://example.com/chat?room=1")`), from components (`URL(scheme="wss", netloc="example.com",
    path="/chat")`), or from an ASGI scope (`URL.build_from_scope(scope)`).

    Raises:
        ValueError: The text is no URL (an unclosed bracket), or a netloc holds a character that would end it.
    """

    __slots__ = ("_decoded_path", "_split")

    # The components as they stand in the text, and, if the URL came from a scope, the path as it stands there.
    _split: SplitResult
    _decoded_path: str | None

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
    def _compose(cls, split: SplitResult, decoded_path: str | None = None) -> Self:
        """Make the URL whose text has the components `split`, all of them quoted."""
        split = split._replace(path=_rooted(split))
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
        netloc = _netloc_from_scope(scope, scheme)
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
    def scheme(self) -> str:
        """`https`, `wss` …; empty for a URL that is a path only."""
        return self._split.scheme

    @property
    def netloc(self) -> str:
        """`user:password@host:port`, as far as the URL has them."""
        return self._split.netloc

    @property
    def path(self) -> str:
        """
        The path: as in the text, or, if the URL was built from a scope, as in the scope, decoded.

        `replace(path=…)` takes it in the same way.
        """
        return self._split.path if self._decoded_path is None else self._decoded_path

    @property
    def query(self) -> str:
        """What stands between `?` and `#`, as it is in the text."""
        return self._split.query

    @property
    def fragment(self) -> str:
        """What stands after `#`."""
        return self._split.fragment

    @property
    def username(self) -> str | None:
        """The user, if the URL names one."""
        return self._split.username

    @property
    def password(self) -> str | None:
        """The password, if the URL has one; `repr` of the URL hides it."""
        return self._split.password

    @property
    def hostname(self) -> str | None:
        """The host in lower case, without port and brackets."""
        return self._split.hostname

    @property
    def port(self) -> int | None:
        """
        The port that is written in the URL.

        Raises:
            ValueError: It is not a number from 0 to 65535.
        """
        return self._split.port

    @property
    def is_secure(self) -> bool:
        """Whether the scheme is `https` or `wss`."""
        return self._split.scheme in SECURE_SCHEMES

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
        unknown = components.keys() - URLComponents.__annotations__.keys()
        if unknown:
            raise TypeError(
                f"A URL has no component {min(unknown)!r}. It has: {', '.join(URLComponents.__annotations__)}."
            )
        split = self._split
        netloc = components.get("netloc", split.netloc)
        if not components.keys().isdisjoint(("username", "password", "hostname", "port")):
            netloc = _netloc(split._replace(netloc=netloc), components)
        scheme = components.get("scheme", split.scheme)
        if not _NOT_IN_NETLOC.isdisjoint(netloc) or not _NOT_IN_NETLOC.isdisjoint(scheme.replace(":", "/")):
            raise ValueError(f"Scheme {scheme!r} and netloc {netloc!r} make no URL: pass path and query on their own.")
        if (decoded := self._decoded_path) is None:
            path = components.get("path", split.path).translate(_IN_PATH)
        else:
            decoded = components.get("path", decoded)
            path = decoded.translate(_IN_DECODED_PATH)
        query = components.get("query", split.query).translate(_IN_QUERY)
        fragment = components.get("fragment", split.fragment).translate(_IN_QUERY)
        return self._compose(SplitResult(scheme, netloc, path, query, fragment), decoded)

    def include_query_params(self, **params: Any) -> Self:
        """The URL with these parameters, instead of those of the same name; the query is sorted by name."""
        pairs = MultiDict(parse_qsl(self.query, keep_blank_values=True))
        pairs.update({name: str(value) for name, value in params.items()})
        return self.replace(query=_sorted_query(pairs.items()))

    def replace_query_params(self, **params: Any) -> Self:
        """The URL with these parameters and no others, in this order."""
        return self.replace(query=urlencode([(name, str(value)) for name, value in params.items()]))

    def remove_query_params(self, names: str | Iterable[str]) -> Self:
        """The URL without the parameters of this name, or of these names; the query is sorted by name."""
        names = {names} if isinstance(names, str) else set(names)
        pairs = parse_qsl(self.query, keep_blank_values=True)
        return self.replace(query=_sorted_query(pair for pair in pairs if pair[0] not in names))

    def relative_url(self) -> Self:
        """Path, query and fragment, without scheme and host."""
        return self.replace(scheme="", netloc="")

    def __repr__(self) -> str:
        text, split = str(self), self._split
        if split.password is not None:
            userinfo, _, host = split.netloc.rpartition("@")
            text = split._replace(netloc=f"{userinfo.partition(':')[0]}:********@{host}").geturl()
        return f"{type(self).__name__}({text!r})"


class URLPath(str):
    """
    A path that was made from a route's name, decoded like `scope["path"]`.

    Args:
        path: The path.
        protocol: "http" or "websocket", the kind of route it leads to; "" if it leads to either (a mount).
        host: The host it lives on, if its route is bound to one.
    """

    __slots__ = ("host", "protocol")

    protocol: Literal["http", "websocket", ""]
    host: str

    def __new__(cls, path: str, protocol: Literal["http", "websocket", ""] = "", host: str = "") -> Self:
        if protocol not in ("http", "websocket", ""):
            raise ValueError(f'URLPath protocol {protocol!r} is unknown. Use "http", "websocket" or "".')
        self = str.__new__(cls, path)
        self.protocol = protocol
        self.host = host
        return self

    def make_absolute_url(self, base_url: str | URL) -> URL:
        """
        The URL of this path under `base_url`, whose security it keeps: ws goes with http, wss with https.

        The host of the path, if it has one, takes the place of the one in `base_url`.
        """
        base = URL(base_url)
        split = base.parsed_url
        netloc = URL(netloc=self.host).netloc if self.host else split.netloc
        scheme = split.scheme
        if self.protocol and netloc:
            scheme = ("ws" if self.protocol == "websocket" else "http") + ("s" if base.is_secure else "")
        quoted = split.path.rstrip("/") + self.translate(_IN_DECODED_PATH)
        return URL._compose(SplitResult(scheme, netloc, quoted, "", ""), base.path.rstrip("/") + self)


def _rooted(split: SplitResult) -> str:
    """The path, changed where it would be read as a scheme or a host (RFC 3986 §3.3, §4.2)."""
    path = split.path
    if split.netloc:
        return path if not path or path.startswith("/") else f"/{path}"
    if path.startswith("//"):
        return f"/%2F{path[2:]}"
    if not split.scheme:
        first, slash, rest = path.partition("/")
        return first.replace(":", "%3A") + slash + rest
    return path


def _netloc(split: SplitResult, components: Mapping[str, Any]) -> str:
    host = components.get("hostname", split.hostname) or ""
    if "@" in host:
        raise ValueError(f"Host {host!r} makes no URL: pass username and password on their own.")
    netloc = f"[{host}]" if ":" in host and not host.startswith("[") else host
    port = components.get("port", split.port)
    if port is not None:
        netloc = f"{netloc}:{port}"
    username, password = (components.get(name, getattr(split, name)) for name in ("username", "password"))
    if username is None and password is None:
        return netloc
    userinfo = (username or "").translate(_IN_USERINFO)
    if password is not None:
        userinfo += ":" + password.translate(_IN_USERINFO)
    return f"{userinfo}@{netloc}"


def _netloc_from_scope(scope: Scope, scheme: str) -> str:
    for name, value in scope.get("headers", ()):
        if name.lower() == b"host":
            # A client may write anything here; what is not a host is not used.
            host: str = value.decode("latin-1")
            if _is_host(host):
                return host
            break
    server = scope.get("server")
    if not server:
        return ""
    host, port = server
    if ":" in host:
        host = f"[{host}]"
    if port is not None and port != DEFAULT_PORTS.get(scheme):
        host = f"{host}:{port}"
    # The path of a Unix socket is no host.
    return host if _is_host(host) else ""


def _is_host(text: str) -> bool:
    match = _HOST.fullmatch(text)
    if match is None or int(match[2] or 0) > 65535:
        return False
    if match[1] is None:
        return True
    try:
        ipaddress.IPv6Address(match[1])
    except ValueError:
        return False
    return True


def _sorted_query(pairs: Iterable[tuple[str, str]]) -> str:
    # By name only: the order of several values of one name has a meaning.
    return urlencode(sorted(pairs, key=lambda pair: pair[0]))


# -- several values to a name ------------------------------------------------------------------------------------------


def _pairs(source: Pairs) -> Iterable[tuple[Any, Any]]:
    if source is None:
        return ()
    if not isinstance(source, Mapping):
        return source
    return [
        (name, value)
        for name, values in source.items()
        for value in (values if isinstance(values, (list, tuple)) else (values,))
    ]


def _latin1(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


class Header(CIMultiDict[str]):
    """
    HTTP headers: names in any case, several values to a name, text in latin-1 (RFC 9110 §5.5).

    Made from pairs or a mapping of text or bytes; a list as a value means several headers. Names keep their spelling in
    `keys()`, `items()` and `dict(headers)`.

    Iterating yields what ASGI wants, pairs of bytes with the name in lower case, so that a `Header` can be passed
    wherever a list of such pairs can. (`dict()` asks `keys()` and does not iterate.)

    `headers.x_request_id` reads `X-Request-Id`, with several values joined by commas.
    """

    def __init__(self, value: Pairs = None) -> None:
        super().__init__([(_latin1(name), _latin1(item)) for name, item in _pairs(value)])

    @classmethod
    def from_scope(cls, scope: Scope) -> Self:
        """The headers of an ASGI scope, which stays as it is."""
        self = cls.__new__(cls)
        CIMultiDict.__init__(
            self, [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope.get("headers", ())]
        )
        return self

    def encoded_multi_items(self) -> list[tuple[bytes, bytes]]:
        """
        All headers in order as ASGI wants them: pairs of bytes, names in lower case.

        Raises:
            UnicodeEncodeError: A header holds a character that is not in latin-1 (a ValueError).
        """
        return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in self.items()]

    get_encoded_multi_items = encoded_multi_items

    def getlist(self, name: str) -> list[str]:
        """All values of a header; none if it is missing."""
        return self.getall(name, [])

    get_all = getlist

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:  # type: ignore[override]  # not keys, as the class says
        return iter(self.encoded_multi_items())

    def __contains__(self, item: object) -> bool:
        """Whether there is a header of this name (text or bytes), or exactly this pair of name and value."""
        if isinstance(item, tuple) and len(item) == 2:
            return _latin1(item[1]) in self.getall(_latin1(item[0]), [])
        return super().__contains__(item.decode("latin-1") if isinstance(item, bytes) else item)

    def __getattr__(self, name: str) -> str:
        header = name.replace("_", "-")
        values = self.getall(header, [])
        if not values:
            raise AttributeError(
                f"There is no header {header!r} (read as attribute {name!r} of {type(self).__name__})."
            )
        return ",".join(values)


class ImmutableMultiDict(MultiDictProxy[V]):
    """Several values to a name, read-only; `copy()` gives a `MultiDict` that can be changed."""

    def __init__(self, value: Pairs = None) -> None:
        super().__init__(MultiDict(_pairs(value)))


class QueryParam(ImmutableMultiDict[str]):
    """
    The parameters of a query string: read-only, blank values kept, several values to a name (`getall`).

    Args:
        value: A query string (bytes are UTF-8), pairs, or a mapping; a list as a value means several parameters.
    """

    def __init__(self, value: str | bytes | Pairs = None) -> None:
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        if isinstance(value, str):
            super().__init__(parse_qsl(value, keep_blank_values=True))
        else:
            super().__init__([(str(name), str(item)) for name, item in _pairs(value)])

    def __str__(self) -> str:
        """The query string, sorted by name."""
        return _sorted_query(self.items())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"


# -- state -------------------------------------------------------------------------------------------------------------


class State:
    """
    Values of an application or a connection, as attributes (`state.db`) or items (`state["db"]`).

    It is a view: what is stored goes into the mapping it was made over, so that all who hold that mapping see it.
    Other attributes are those of the mapping (`state.get`, `state.items`), unless a value of that name is stored.
    """

    __slots__ = ("_state",)

    _state: MutableMapping[str, Any]

    def __init__(self, state: "MutableMapping[str, Any] | State | None" = None) -> None:
        values = {} if state is None else state._state if isinstance(state, State) else state
        object.__setattr__(self, "_state", values)

    def __getattr__(self, name: str) -> Any:
        try:
            return self._state[name]
        except KeyError:
            if not name.startswith("_") and hasattr(self._state, name):
                return getattr(self._state, name)
            raise AttributeError(f"State has no value {name!r}. It has: {', '.join(self._state) or 'none'}.") from None

    def __setattr__(self, name: str, value: Any) -> None:
        self._state[name] = value

    def __delattr__(self, name: str) -> None:
        try:
            del self._state[name]
        except KeyError:
            raise AttributeError(f"State has no value {name!r} to delete.") from None

    def __getitem__(self, name: str) -> Any:
        return self._state[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._state[name] = value

    def __delitem__(self, name: str) -> None:
        del self._state[name]

    def __contains__(self, name: object) -> bool:
        return name in self._state

    def __iter__(self) -> Iterator[str]:
        return iter(self._state)

    def __len__(self) -> int:
        return len(self._state)

    # Without it an empty state would be false, and `connection.state or …` would lose it.
    def __bool__(self) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        return self._state == (other._state if isinstance(other, State) else other)

    __hash__ = None  # type: ignore[assignment]  # as for every value that can change

    def copy(self) -> "State":
        """A state with the same values over a mapping of its own."""
        return State(dict(self._state))

    __copy__ = copy

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._state,)

    def __repr__(self) -> str:
        return f"State({self._state!r})"


# -- single values -----------------------------------------------------------------------------------------------------


class Secret:
    """A text that does not show in logs and tracebacks: `repr()` hides it, `str()` gives it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def __str__(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return f"{type(self).__name__}('********')"

    def __bool__(self) -> bool:
        return bool(self._value)


class Cookie:
    """
    A cookie to be set (RFC 6265 §4.1).

    Args:
        key: Its name, one token.
        value: Its value in latin-1; quoted and escaped where it must be, as `connection.cookies` reads it.
        path: Below which path it is sent back; None leaves that to the browser.
        domain: To which domain, subdomains included; by default only to the host that set it.
        secure: Sent back over TLS only.
        httponly: Hidden from scripts.
        samesite: "lax", "strict" or "none"; None leaves that to the browser.
        max_age: Seconds it lives; 0 deletes it.
        expires: When it ends: a time (without a zone: UTC), or the text of such a date.

    Raises:
        ValueError: Something of this cannot stand in a cookie.
    """

    __slots__ = ("domain", "expires", "httponly", "key", "max_age", "path", "samesite", "secure", "value")

    def __init__(
        self,
        key: str,
        value: str = "",
        *,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool = False,
        httponly: bool = False,
        samesite: Literal["lax", "strict", "none"] | None = "lax",
        max_age: int | None = None,
        expires: datetime | str | None = None,
    ) -> None:
        if not key or not _TOKEN.issuperset(key):
            raise ValueError(f"Cookie name {key!r} is not a token (RFC 6265 §4.1.1).")
        if not value.isascii() and max(value) > "\xff":
            raise ValueError(
                f"The value of cookie {key!r} is not latin-1: encode it, for example with urllib's quote()."
            )
        for name, attribute in (("path", path), ("domain", domain), ("samesite", samesite), ("expires", expires)):
            if isinstance(attribute, str) and not _NOT_IN_ATTRIBUTE.isdisjoint(attribute):
                raise ValueError(f"{name} {attribute!r} of cookie {key!r} holds a semicolon or a control character.")
        self.key = key
        self.value = value
        self.path = path
        self.domain = domain
        self.secure = secure
        self.httponly = httponly
        self.samesite = samesite
        self.max_age = max_age
        self.expires = expires

    def to_header(self) -> str:
        """The value of a `Set-Cookie` header."""
        expires = _http_date(self.expires) if isinstance(self.expires, datetime) else self.expires
        value = self.value
        if not _COOKIE_OCTETS.issuperset(value):
            value = f'"{value.translate(_IN_COOKIE)}"'
        parts = [f"{self.key}={value}"]
        attributes = (
            ("Domain", self.domain),
            ("Expires", expires),
            ("Max-Age", self.max_age),
            ("Path", self.path),
            ("SameSite", self.samesite),
        )
        parts += [f"{name}={value}" for name, value in attributes if value is not None]
        parts += [name for name, wanted in (("HttpOnly", self.httponly), ("Secure", self.secure)) if wanted]
        return "; ".join(parts)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.key!r})"


# token of RFC 9110 §5.6.2: what is visible in ASCII, without the delimiters
_TOKEN = frozenset(map(chr, range(0x21, 0x7F))).difference('"(),/:;<=>?@[\\]{}')
# cookie-octet of RFC 6265 §4.1.1
_COOKIE_OCTETS = frozenset(map(chr, range(0x21, 0x7F))).difference('",;\\')
# The way of SimpleCookie, which others read too: octal escapes within double quotes.
_IN_COOKIE = {code: f"\\{code:03o}" for code in range(256) if code != 0x20 and chr(code) not in _COOKIE_OCTETS}
_NOT_IN_ATTRIBUTE = frozenset(map(chr, (*range(0x20), 0x7F))).union(";")

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _http_date(moment: datetime) -> str:
    # Not strftime, whose names of days and months follow the locale (RFC 9110 §5.6.7).
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return (
        f"{_DAYS[moment.weekday()]}, {moment.day:02} {_MONTHS[moment.month - 1]} {moment.year:04} {moment:%H:%M:%S} GMT"
    )


# -- forms -------------------------------------------------------------------------------------------------------------


class DataUpload:
    """
    A file that came with a form.

    Args:
        file: The open binary file that holds the content.
        filename: The name the client gave it; not to be used as a path.
        headers: The headers of its part.
        size: Its length in bytes, if known.
    """

    __slots__ = ("file", "filename", "headers", "size")

    def __init__(
        self, file: IO[bytes], *, filename: str = "", headers: Header | None = None, size: int | None = None
    ) -> None:
        self.file = file
        self.filename = filename
        self.headers = Header() if headers is None else headers
        self.size = size

    @property
    def content_type(self) -> str | None:
        """The media type the client gave it."""
        return self.headers.get("content-type")

    async def read(self, size: int = -1) -> bytes:
        """The next `size` bytes, or all that is left."""
        return self.file.read(size)

    async def seek(self, offset: int) -> None:
        """Go on reading at this byte."""
        self.file.seek(offset)

    async def close(self) -> None:
        """Release the file."""
        self.file.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.filename!r})"


class FormData(ImmutableMultiDict[str | DataUpload]):
    """The fields of a form: text and uploads, several values to a name."""

    async def close(self) -> None:
        """Release all uploads."""
        for value in self.values():
            if isinstance(value, DataUpload):
                await value.close()
