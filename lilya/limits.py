"""
Limits of WebSocket connections: of an application, of an `Include`, of one route.

    app = Lilya(limits=Limits(max_message_bytes=64 * 1024, rate="30/s", burst=60))
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Hashable, Mapping
from dataclasses import InitVar, dataclass
from typing import Any, Self

from lilya._policy import Policy
from lilya.exceptions import ImproperlyConfigured

__all__ = ["Limits"]

_DEFAULT = Policy()

_WHOLE_NUMBERS = (
    "max_message_bytes",
    "inbox_messages",
    "inbox_bytes",
    "burst",
    "connections",
    "connections_per_client",
    "connections_per_user",
)
_SECONDS = ("accept_timeout", "inbox_timeout", "write_timeout", "abandon_grace", "idle_timeout", "lifetime")
_CALLABLES = ("client_key", "user_key")
# What None means, where it does not switch a limit off.
_NONE = {"burst": "takes what the rate allows in a second", **dict.fromkeys(_CALLABLES, "takes the default")}

_UNITS = {
    **dict.fromkeys(("s", "sec", "second"), 1),
    **dict.fromkeys(("m", "min", "minute"), 60),
    **dict.fromkeys(("h", "hour"), 3600),
    **dict.fromkeys(("d", "day"), 86400),
}


class _Given:
    # A base class, so that the signature which users see is the one of the dataclass.
    def __new__(cls, **given: Any) -> Self:
        self = super().__new__(cls)
        names = list(given)
        if "_given" in given:
            # `dataclasses.replace` passes what it was asked to change, then all other fields in their order, of which
            # `_given` is the first: what stands before it is given now, what stands behind it is only copied.
            names = [*given["_given"], *names[: names.index("_given")]]
        self.__dict__["_given"] = frozenset(names)
        return self


# Without `slots`, so that copies and pickles keep which fields were given.
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Limits(_Given):
    """
    What one connection, one client and all of them together may use. None switches a limit off.

    The fields that are given override those of the levels outside: a route's those of its `Include`, an `Include`'s
    those of the application. A field that is left out leaves in force what stands outside, the default in the end.
    So a default that is written out is not the same as one left out, and two `Limits` are equal if the same fields
    are given with the same values.

    The number of connections is counted at the level that sets it: a connection counts at each level it comes through.

    Raises:
        ImproperlyConfigured: A value is of the wrong type, not above 0 or not finite; a rate cannot be read; there is
            a burst without a rate.
    """

    _given: InitVar[frozenset[str]] = frozenset()

    max_message_bytes: int | None = _DEFAULT.max_message_bytes
    """The size of a message from the client, in bytes, a text's in UTF-8; default 1 MiB. Above: close 1009."""
    accept_timeout: float | None = _DEFAULT.accept_timeout
    """Seconds in which the handshake must be accepted or refused; default 30. After: refused with 503."""
    inbox_messages: int | None = _DEFAULT.inbox_messages
    """Messages that wait for a handler which does something else; default 64. When full, reading pauses."""
    inbox_bytes: int | None = _DEFAULT.inbox_bytes
    """Bytes of all these messages together; default 1 MiB. When full, reading pauses."""
    inbox_timeout: float | None = _DEFAULT.inbox_timeout
    """Seconds for which the inbox may stay full; default 10. After: close 1013."""
    write_timeout: float | None = _DEFAULT.write_timeout
    """Seconds that one send may take; default 30. After: the connection is given up, 1006."""
    abandon_grace: float | None = _DEFAULT.abandon_grace
    """Seconds for a handler that does not notice that its client has left; default 10. After: it is cancelled."""
    rate: str | None = None
    """
    Messages from the client in a time: a number, `/`, and s, sec, second, m, min, minute, h, hour, d or day, such as
    "30/s" or "0.5/min". Off by default. Above: close 4429.
    """
    burst: int | None = None
    """Messages at once within the rate; default: what the rate allows in a second, rounded up."""
    connections: int | None = _DEFAULT.connections
    """Connections at once in this process; default 10,000. Above: refused with 503 and `Retry-After`."""
    connections_per_client: int | None = _DEFAULT.connections_per_client
    """Connections at once of one client. Off by default. Above: refused with 429 and `Retry-After`."""
    connections_per_user: int | None = _DEFAULT.connections_per_user
    """Connections at once of one user. Off by default. Above: refused with 429 and `Retry-After`."""
    idle_timeout: float | None = _DEFAULT.idle_timeout
    """Seconds without a message in either direction. Off by default. After: close 1001."""
    lifetime: float | None = _DEFAULT.lifetime
    """Seconds from the handshake, ±10 %, so that not all return at once. Off by default. After: close 1001."""
    client_key: Callable[[Mapping[str, Any]], Hashable | None] | None = _DEFAULT.client_key
    """
    Called with the scope: which client it is, None if it is not to be counted. Default: the host of `scope["client"]`,
    None if the server does not know it.
    """
    user_key: Callable[[Mapping[str, Any]], Hashable | None] | None = _DEFAULT.user_key
    """
    Called with the scope: which user it is, None if it is not to be counted. Default: of `scope["user"]` the first of
    `id`, `identity`, `username` and `display_name` that has a value, else the user itself if it is a value such as
    a name; None if there is no user, or its `is_authenticated` is False.
    """

    def __post_init__(self, _given: frozenset[str]) -> None:
        for name in _WHOLE_NUMBERS:
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value < 1):
                raise _wrong(name, value, "a whole number from 1 on")
        for name in _SECONDS:
            value = getattr(self, name)
            # The comparison is false for NaN, and refuses a whole number that no float can hold.
            if value is not None and (type(value) not in (int, float) or not 0 < value <= sys.float_info.max):
                raise _wrong(name, value, "a number of seconds above 0")
        for name in _CALLABLES:
            value = getattr(self, name)
            if value is not None and not callable(value):
                raise _wrong(name, value, "a function that takes the scope and returns a key")
        if self.rate is not None:
            _per_second(self.rate)
        elif self.burst is not None:
            raise ImproperlyConfigured(
                f'Limits(burst={self.burst!r}): a burst needs a rate. Give one, such as rate="30/s", or leave it out.'
            )

    def __eq__(self, other: object) -> bool:
        return self._values() == other._values() if isinstance(other, Limits) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self._values().items()))

    def __repr__(self) -> str:
        return f"Limits({', '.join(f'{name}={value!r}' for name, value in self._values().items())})"

    def _values(self) -> dict[str, Any]:
        """The fields that were given, in the order of the class."""
        values = vars(self)
        return {name: values[name] for name in self.__dataclass_fields__ if name in values["_given"]}

    def _declared(self) -> dict[str, Any]:
        """The same as the attributes of a `Policy`, where a rate is a number per second and never without its burst."""
        values = self._values()
        values.pop("burst", None)
        if self.rate is not None:
            values["rate"] = _per_second(self.rate)
            values["burst"] = self.burst or math.ceil(values["rate"])
        return values


def _per_second(rate: Any) -> float:
    number, unit = "", ""
    if isinstance(rate, str) and (match := re.fullmatch(r" *([0-9]+(?:\.[0-9]+)?) */ *([a-z]+) *", rate)):
        number, unit = match.groups()
    per_second = float(number) / _UNITS[unit] if unit in _UNITS else 0.0
    if not 0 < per_second <= sys.float_info.max:
        raise _wrong("rate", rate, f'a number above 0, "/" and one of {", ".join(_UNITS)}, such as "30/s"')
    return per_second


def _wrong(name: str, value: Any, expected: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(
        f"Limits({name}={value!r}): give {expected}; None {_NONE.get(name, 'switches the limit off')}."
    )
