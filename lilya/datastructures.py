"""The values a connection is read through: URLs, headers, query parameters, state, cookies, uploads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any, Self, TypeAlias, TypeVar
from urllib.parse import parse_qsl

from multidict import CIMultiDict, MultiDict, MultiDictProxy

from lilya._cookies import Cookie
from lilya._netloc import Address
from lilya._url import URL, URLPath, sorted_query
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
    "URLPath",
]

V = TypeVar("V")

# What a multidict can be made of: a mapping (a list or tuple as a value means several values), or pairs.
Pairs: TypeAlias = "Mapping[Any, Any] | Iterable[tuple[Any, Any]] | None"


def _pairs(source: Pairs) -> Iterable[tuple[Any, Any]]:
    if not isinstance(source, Mapping):
        return source or ()
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
    `keys()`, `items()` and `dict(headers)`, while iterating yields what ASGI wants, pairs of bytes with the name in
    lower case. `headers.x_request_id` reads `X-Request-Id`, with several values joined by commas.
    """

    def __init__(self, value: Pairs = None) -> None:
        super().__init__([(_latin1(name), _latin1(item)) for name, item in _pairs(value)])

    @classmethod
    def from_scope(cls, scope: Scope) -> Self:
        """The headers of an ASGI scope, which stays as it is."""
        self = cls.__new__(cls)
        # Not by `__init__`: this is done for each connection, and the types are known.
        pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope.get("headers", ())]
        CIMultiDict.__init__(self, pairs)
        return self

    def encoded_multi_items(self) -> list[tuple[bytes, bytes]]:
        """All headers in order as pairs of bytes, names in lower case; a `ValueError` for what is not in latin-1."""
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
            return _latin1(item[1]) in self.getlist(_latin1(item[0]))
        return super().__contains__(item.decode("latin-1") if isinstance(item, bytes) else item)

    def __getattr__(self, name: str) -> str:
        header = name.replace("_", "-")
        if header in self:
            return ",".join(self.getall(header))
        raise AttributeError(f"There is no header {header!r} (read as attribute {name!r} of {type(self).__name__}).")


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
        return sorted_query(self.items())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"


class State:
    """
    Values of an application or a connection, as attributes (`state.db`) or items (`state["db"]`).

    It is a view: what is stored goes into the dictionary it was made over, so that all who hold that see it. Other
    attributes are those of the dictionary (`state.get`, `state.items`), unless a value of that name is stored.
    """

    def __init__(self, state: dict[str, Any] | State | None = None) -> None:
        # The values are the instance's own `__dict__`, so Python itself finds them as attributes.
        values = state.__dict__ if isinstance(state, State) else {} if state is None else state
        object.__setattr__(self, "__dict__", values)

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_") and hasattr(dict, name):
            return getattr(self.__dict__, name)
        raise AttributeError(f"State has no value {name!r}. It has: {', '.join(self) or 'none'}.")

    def __setattr__(self, name: str, value: Any) -> None:
        self.__dict__[name] = value

    def __delattr__(self, name: str) -> None:
        if name not in self:
            raise AttributeError(f"State has no value {name!r} to delete.")
        del self[name]

    def __getitem__(self, name: str) -> Any:
        return self.__dict__[name]

    __setitem__ = __setattr__

    def __delitem__(self, name: str) -> None:
        del self.__dict__[name]

    def __contains__(self, name: object) -> bool:
        return name in self.__dict__

    def __iter__(self) -> Iterator[str]:
        return iter(self.__dict__)

    def __len__(self) -> int:
        return len(self.__dict__)

    def __bool__(self) -> bool:
        return True  # or `connection.state or …` would lose an empty state

    def __eq__(self, other: object) -> bool:
        return self.__dict__ == (other.__dict__ if isinstance(other, State) else other)

    def copy(self) -> State:
        """A state with the same values over a dictionary of its own."""
        return State(dict(self.__dict__))

    def __repr__(self) -> str:
        return f"State({self.__dict__!r})"


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


class DataUpload:
    """
    A file that came with a form: an open binary file, the headers of its part, its size in bytes if that is known.

    `filename` is the name the client gave it; not to be used as a path.
    """

    __slots__ = ("file", "filename", "headers", "size")

    def __init__(
        self, file: IO[bytes], *, filename: str = "", headers: Header | None = None, size: int | None = None
    ) -> None:
        self.file: IO[bytes] = file
        self.filename: str = filename
        self.headers: Header = Header() if headers is None else headers
        self.size: int | None = size

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
