"""
Watching an application: hooks that are told what happens to its WebSocket connections, and counts of it.

An `Instrument` is given to the application, `Lilya(instruments=[…])`, and told about each connection in this order:

    handshake ─┬─ refused
               └─ opened ── received, sent (any number of them) ── closed

so that every handshake has exactly one answer and every opened connection exactly one end, also where a handler fails
or is cancelled. All hooks of a connection are given the same `ConnectionInfo`, more of which is known each time.
"""

from __future__ import annotations

import logging
from asyncio import CancelledError
from collections.abc import Iterable, Mapping
from typing import Any

from lilya.concurrency import is_async_callable

__all__ = ["ConnectionInfo", "Instrument", "Stats", "Tally", "tell", "wants_messages"]

logger: logging.Logger = logging.getLogger("lilya")

HOOKS = ("handshake", "opened", "refused", "closed", "received", "sent")


class ConnectionInfo:
    """
    What is known about a WebSocket connection.

    Attributes:
        id: `websocket.id`.
        path: The path as the client asked for it, without the query string.
        route: The template of the route, such as `/chat/{room}`; None as long as no route was found.
        scope: The ASGI scope. It holds the query string and the headers, secrets among them: look at it, and keep it
            out of logs, metrics and traces.
        status: The HTTP status that the handshake was refused with; None if it was not, or if nobody was left to
            refuse.
        cause: Why the handshake was refused, one of a few words: "origin", "not_found", "connections",
            "connections_per_client", "connections_per_user", "permission", "handler", "accept_timeout", "draining",
            "error", or "client" if the client left without an answer. Otherwise "".
        code: The close code (RFC 6455 §7.4); None before the end, and where there was none.
        reason: The reason that came with the code. If the client closed, it is the client's text.
        ended_by: Who ended an opened connection: "client", "application", "limit", "drain" or "error"; "" before.
        seconds: From the arrival of the handshake to the refusal or the end; 0.0 before.
        received: Messages from the client so far.
        sent: Messages to the client so far.
    """

    __slots__ = (
        "id",
        "path",
        "route",
        "scope",
        "status",
        "cause",
        "code",
        "reason",
        "ended_by",
        "seconds",
        "received",
        "sent",
    )

    def __init__(
        self,
        *,
        id: str = "",
        path: str = "",
        route: str | None = None,
        scope: Mapping[str, Any] | None = None,
        status: int | None = None,
        cause: str = "",
        code: int | None = None,
        reason: str = "",
        ended_by: str = "",
        seconds: float = 0.0,
        received: int = 0,
        sent: int = 0,
    ) -> None:
        self.id: str = id
        self.path: str = path
        self.route: str | None = route
        self.scope: Mapping[str, Any] = {} if scope is None else scope
        self.status: int | None = status
        self.cause: str = cause
        self.code: int | None = code
        self.reason: str = reason
        self.ended_by: str = ended_by
        self.seconds: float = seconds
        self.received: int = received
        self.sent: int = sent

    # Without the scope, which would put secrets into logs.
    def __repr__(self) -> str:
        return f"{type(self).__name__}(id={self.id!r}, path={self.path!r}, route={self.route!r})"


class Instrument:
    """
    Hooks for what happens to connections. Override those you need; here they do nothing.

    Hooks are called in the event loop and hold up every connection while they run: count, put into a queue, start a
    span, and leave the rest to somebody else. What a hook raises never reaches the connection. The first failure of an
    instrument is logged at ERROR on the logger `lilya`, all are counted in `hook_failures`, and the instrument is still
    told about everything: one that misses the ends of connections would be wrong for ever after one failure.

    Attributes:
        message_hooks: Whether to call `received` and `sent`, if they are overridden. Read once, when the application
            starts.
        hook_failures: How many calls have raised.

    Raises:
        TypeError: A subclass defines a hook with `async def`.
    """

    message_hooks: bool = True
    hook_failures: int = 0

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        for name in HOOKS:
            if is_async_callable(getattr(cls, name)):
                raise TypeError(
                    f"{cls.__qualname__}.{name} is async, but hooks are called without `await`. Write `def {name}` and "
                    "hand over what has to wait to a task of yours."
                )

    def handshake(self, info: ConnectionInfo) -> None:
        """A client asks for a connection."""

    def opened(self, info: ConnectionInfo) -> None:
        """The application has accepted it."""

    def refused(self, info: ConnectionInfo) -> None:
        """It was refused, or the client left before the answer; `info.status` and `info.cause` say how and why."""

    def closed(self, info: ConnectionInfo) -> None:
        """An opened connection has ended; `info.code`, `ended_by`, `seconds`, `received` and `sent` are known."""

    def received(self, info: ConnectionInfo, size: int, kind: str) -> None:
        """A message has come, which the handler may take later: `size` characters of "text", or bytes of "binary"."""

    def sent(self, info: ConnectionInfo, size: int, kind: str) -> None:
        """The application has sent a message; `size` and `kind` as in `received`."""


def wants_messages(instrument: Instrument) -> bool:
    """Whether an instrument has to be told about single messages."""
    kind = type(instrument)
    return instrument.message_hooks and (kind.received is not Instrument.received or kind.sent is not Instrument.sent)


def tell(instruments: Iterable[Instrument], hook: str, *arguments: Any) -> None:
    """
    Call a hook of each instrument, such as `tell(instruments, "opened", info)`. Nothing that a hook raises comes out.
    """
    for instrument in instruments:
        try:
            getattr(instrument, hook)(*arguments)
        # Nobody can cancel a call without `await`: a `CancelledError` here is the result of a cancelled future.
        except (Exception, CancelledError):
            # A frozen dataclass may be an instrument, too.
            object.__setattr__(instrument, "hook_failures", instrument.hook_failures + 1)
            if instrument.hook_failures == 1:
                name = f"{type(instrument).__module__}.{type(instrument).__qualname__}"
                logger.exception("%s.%s failed; further failures of it are counted, not logged.", name, hook)


class Stats:
    """
    The counts of one application in this process since it was made, as they were when they were asked for.

    Attributes:
        open: Connections that are open now.
        opened: Connections that have been opened.
        closes: Connections that have ended, by close code.
        refusals: Handshakes that were refused, by cause (see `ConnectionInfo.cause`).
        received: Messages from clients.
        sent: Messages to clients.
        drops: Messages that came from clients and were not taken by the application.
    """

    # By hand, since a named tuple or a dataclass takes long to make, and every application imports this.
    __slots__ = ("open", "opened", "closes", "refusals", "received", "sent", "drops")

    open: int
    opened: int
    closes: Mapping[int, int]
    refusals: Mapping[str, int]
    received: int
    sent: int
    drops: int

    def __init__(
        self,
        open: int = 0,
        opened: int = 0,
        closes: Mapping[int, int] | None = None,
        refusals: Mapping[str, int] | None = None,
        received: int = 0,
        sent: int = 0,
        drops: int = 0,
    ) -> None:
        for name, value in zip(
            self.__slots__, (open, opened, closes or {}, refusals or {}, received, sent, drops), strict=True
        ):
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{name} of {type(self).__name__} cannot be set: these are counts of the past.")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stats) and self.as_dict() == other.as_dict()

    def __hash__(self) -> int:
        raise TypeError(f"{type(self).__name__} cannot be a key: it holds dictionaries.")

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
        return f"{type(self).__name__}({values})"

    def as_dict(self) -> dict[str, Any]:
        """The same as a dictionary of its own that any JSON encoder takes: close codes are text, as keys must be."""
        counts: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        counts["closes"] = {str(code): self.closes[code] for code in sorted(self.closes)}
        counts["refusals"] = {cause: self.refusals[cause] for cause in sorted(self.refusals)}
        return counts


class Tally:
    """
    What an application counts with, in plain attributes with the meaning of those of `Stats`.

    For one event loop: nothing is locked. Memory is bounded, as there are few causes and not 5,000 close codes.
    """

    __slots__ = ("open", "opened", "closes", "refusals", "received", "sent", "drops")

    def __init__(self) -> None:
        self.open: int = 0
        self.opened: int = 0
        self.closes: dict[int, int] = {}
        self.refusals: dict[str, int] = {}
        self.received: int = 0
        self.sent: int = 0
        self.drops: int = 0

    def snapshot(self, received: int = 0, sent: int = 0) -> Stats:
        """The counts as they are now, with the messages of connections that are still open."""
        received, sent = self.received + received, self.sent + sent
        return Stats(self.open, self.opened, dict(self.closes), dict(self.refusals), received, sent, self.drops)
