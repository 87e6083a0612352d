"""What belongs to the connection that is being served, within reach of code that it was not passed to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any

from lilya._connection import Connection
from lilya.datastructures import State
from lilya.types import Scope

__all__ = ["Context", "g", "request_context", "serving", "session"]

# The scope of the connection whose task this is; an application sets it.
serving: ContextVar[Scope] = ContextVar("lilya_serving")


def _scope() -> Scope:
    try:
        return serving.get()
    except LookupError:
        raise RuntimeError(
            "There is no connection here: `lilya.context` works only while an application serves one."
        ) from None


class Context(Mapping[str, Any]):
    """The connection being served: `Context().connection`, or its scope's entries by name."""

    @property
    def connection(self) -> Connection:
        """Its url, headers, state and the rest."""
        return Connection(_scope())

    def __getitem__(self, key: str) -> Any:
        return _scope()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(_scope())

    def __len__(self) -> int:
        return len(_scope())


class _Namespace:
    """Attributes that live as long as the connection, kept in its scope under `key`."""

    __slots__ = ("_key",)

    def __init__(self, key: str) -> None:
        object.__setattr__(self, "_key", key)

    def __getattr__(self, name: str) -> Any:
        return getattr(State(_scope().setdefault(self._key, {})), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(State(_scope().setdefault(self._key, {})), name, value)


request_context: Context = Context()
"""The connection being served."""
g: _Namespace = _Namespace("lilya.g")
"""A place for what code of the same connection shares: `g.user = user`."""
session: _Namespace = _Namespace("session")
"""The session, where a middleware keeps one in `scope["session"]`."""
