"""
What is demanded of a WebSocket, level by level.

The application, an `Include` and a `WebSocketPath` may each declare limits and origins: their `Demands`. Applied from
the outside to the inside they give the `Policy` of a connection. What an inner level names overrides what stands
outside, field by field; counts are the exception, since a connection inside is one of those outside, too: it passes
the gates of every level.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Hashable, Mapping
from typing import Any

from lilya._gates import Gate, KeyOf
from lilya._origins import Origins
from lilya.exceptions import ImproperlyConfigured

__all__ = ["Demands", "Policy", "client_of", "demanded", "is_too_long", "user_of"]

# The status of a refusal: too many of all is the server's trouble, too many of one client's or user's is their own.
GATES = {"connections": 503, "connections_per_client": 429, "connections_per_user": 429}

# How many policies a level keeps, one for each way that leads to it. More come up only where policies are made anew
# all the time, and then forgetting costs nothing but time.
KEPT_POLICIES = 16


class Policy:
    """
    What is demanded of a WebSocket at one place, by default that of `Limits` from all pages; None switches a limit off.

    Compiled at the first connection and shared by all that come the same way, so nobody changes one.
    """

    max_message_bytes: int | None = 1024 * 1024
    accept_timeout: float | None = 30.0
    inbox_messages: int | None = 64
    inbox_bytes: int | None = 1024 * 1024
    inbox_timeout: float | None = 10.0
    write_timeout: float | None = 30.0
    abandon_grace: float | None = 10.0
    rate: float | None = None
    """Messages per second."""
    burst: int = 1
    """Messages at once; of no meaning without a rate."""
    connections: int | None = 10_000
    connections_per_client: int | None = None
    connections_per_user: int | None = None
    idle_timeout: float | None = None
    lifetime: float | None = None
    client_key: KeyOf | None = None
    user_key: KeyOf | None = None
    origins: Origins | None = None
    """Which web pages may connect; None: not even looked at."""
    gates: tuple[Gate, ...] = ()
    """To be entered before anything of the application runs: those per process and per client, outermost first."""
    user_gates: tuple[Gate, ...] = ()
    """To be entered when the middleware has found out who the user is."""

    def __init__(self, **values: Any) -> None:
        # Those of the class, too: what an instance has itself is found sooner.
        for name in Policy.__annotations__:
            setattr(self, name, values.get(name, getattr(Policy, name)))
        # The most characters of which a text never exceeds `max_message_bytes`: UTF-8 takes at most four bytes for one
        # (RFC 3629 §3).
        self.max_chars: int = sys.maxsize if self.max_message_bytes is None else self.max_message_bytes // 4
        # The seconds within which something may be due at the earliest.
        times = (self.accept_timeout, self.inbox_timeout, self.write_timeout, self.abandon_grace)
        given = [time for time in (*times, self.idle_timeout, self.lifetime) if time is not None]
        self.shortest: float = min(given, default=math.inf)

    def changed(self, **changes: Any) -> Policy:
        """A copy in which these attributes are others; `max_chars` and `shortest` follow by themselves."""
        return Policy(**{name: getattr(self, name) for name in Policy.__annotations__} | changes)


class Demands:
    """
    What one level declares: the application, an `Include` or a `WebSocketPath`.

    Its gates are made once and count all connections that come through this level, on whatever way. Any thread may
    call `applied_to`.

    Args:
        limits: A `lilya.limits.Limits`; None declares nothing.
        origins: Which web pages may connect; None declares nothing.

    Raises:
        ImproperlyConfigured: `limits` are something else.
    """

    __slots__ = ("_declared", "_gates", "_inside", "_origins")

    def __init__(self, limits: Any = None, origins: Origins | None = None) -> None:
        if limits is not None and (isinstance(limits, type) or not hasattr(limits, "_declared")):
            raise ImproperlyConfigured(
                f"limits={limits!r}: not a `lilya.limits.Limits`. Write `limits=Limits(…)` with the fields to set."
            )
        self._declared = {} if limits is None else limits._declared()
        self._origins = origins
        self._gates: dict[tuple[str, int], Gate] = {}
        self._inside: dict[Policy | None, Policy] = {}

    def applied_to(self, outer: Policy | None) -> Policy:
        """
        The policy inside this level, `outer` itself if nothing is declared. It is kept for the next connection.

        Args:
            outer: The policy around this level; None for the outermost one, where the defaults hold, and whose
                `connections` has no gate: whoever keeps the connections counts them.
        """
        if outer is not None and not self._declared and self._origins is None:
            return outer
        inside = self._inside.get(outer)
        if inside is None:
            if len(self._inside) >= KEPT_POLICIES:
                self._inside.clear()
            inside = self._inside[outer] = self._apply(outer)
        return inside

    def _apply(self, outer: Policy | None) -> Policy:
        changes = dict(self._declared)
        if self._origins is not None or outer is None:
            changes["origins"] = self._origins or Origins()
        inside = (outer or Policy()).changed(**changes)
        counted = dict(self._declared)
        if outer is None:
            # All connections of the application are counted where they are kept.
            counted.pop("connections", None)
        for setting, key_of in (
            ("connections", None),
            ("connections_per_client", inside.client_key or client_of),
            ("connections_per_user", inside.user_key or user_of),
        ):
            limit = counted.get(setting)
            if limit is None:
                continue
            gate = self._gate(setting, limit, key_of)
            if setting == "connections_per_user":
                inside.user_gates += (gate,)
            else:
                inside.gates += (gate,)
        return inside

    def _gate(self, setting: str, limit: int, key_of: KeyOf | None) -> Gate:
        # Ways to this level on which clients or users are told apart differently have nothing to count together.
        # The gate holds `key_of`, so its id is not used again; and it need not be hashable.
        return self._gates.setdefault((setting, id(key_of)), Gate(limit, setting, GATES[setting], key_of))


def demanded(limits: Any, origins: Any) -> Demands | None:
    """What one level declares, None if it declares nothing; raises `ImproperlyConfigured` for what it cannot be."""
    if limits is None and origins is None:
        return None
    return Demands(limits, Origins(origins) if origins is not None else None)


def client_of(scope: Mapping[str, Any]) -> Hashable | None:
    """The host of the client (ASGI spec, "WebSocket Connection Scope"), None where the server does not know it."""
    client = scope.get("client")
    return client[0] or None if client else None


def user_of(scope: Mapping[str, Any]) -> Hashable | None:
    """
    What tells the user in `scope["user"]` apart from others; None if nobody is logged in.

    Nobody is: no user, an empty text, or one whose `is_authenticated` is False. Of somebody it is the first of the
    attributes `id`, `identity`, `username` and `display_name` that has a value, else the user itself if it is
    a value such as a name or a number.

    Raises:
        ImproperlyConfigured: The user has none of them and is not hashable, or equal to nothing but itself: two
            connections of one user would look like two users.
    """
    user = scope.get("user")
    if user is None or user == "" or _attribute(user, "is_authenticated") is False:
        return None
    key: Hashable
    for name in ("id", "identity", "username", "display_name"):
        key = _attribute(user, name)
        if key is not None and key != "":
            return key
    kind: Any = type(user)
    if kind.__hash__ in (None, object.__hash__):
        # The type only: what is in a user may be secret.
        raise ImproperlyConfigured(
            f'connections_per_user: scope["user"] is of type {kind.__qualname__}, which has no `id`, `identity`, '
            f"`username` or `display_name` and is not comparable by value, so users cannot be told apart. "
            f'Say how: Limits(user_key=lambda scope: scope["user"][…]).'
        )
    key = user
    return key


def is_too_long(text: str, limit: int) -> bool:
    """
    Whether the UTF-8 form of a text has more than `limit` bytes.

    It is encoded only if that is the one way to know. A lone surrogate, which UTF-8 has no form for, counts as the
    three bytes it would take.
    """
    length = len(text)
    if length > limit:
        return True
    if length * 4 <= limit or text.isascii():
        return False
    return len(text.encode("utf-8", "surrogatepass")) > limit


def _attribute(user: Any, name: str) -> Any:
    try:
        return getattr(user, name, None)
    except NotImplementedError:  # Starlette's `BaseUser` declares what its subclasses may leave out.
        return None
