"""
Counting: how many connections there are at once, and how many messages a connection sends in a time.

Both are plain values without a clock: the time is passed in, and nothing happens between two calls.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, TypeAlias

__all__ = ["Gate", "KeyOf", "TokenBucket", "enter_gates", "leave_gates"]

# Tells whose connection it is, from its scope; None if nobody is to be counted.
KeyOf: TypeAlias = "Callable[[Mapping[str, Any]], Hashable | None]"

# Refused clients are spread over this many seconds.
RETRY_SECONDS = 10


class TokenBucket:
    """
    A rate with room for bursts: full of tokens at first, one taken for each message, refilled steadily.

    In any time of t seconds at most `burst + rate * t` messages pass. Nothing runs in between: what flowed in since
    the last message is worked out when the next one comes. A message that finds no token takes none and changes
    nothing, so that a flood neither delays the next token nor adds up rounding errors. For one connection, and one
    thread at a time.

    Args:
        rate: Tokens per second that flow in.
        burst: What the bucket holds, at least 1.
    """

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._tokens = 0.0
        # An eternity ago it was empty, so the first message finds it full.
        self._at = -math.inf

    def take(self, now: float) -> float:
        """
        Take a token, at `now` in seconds of a clock that never goes back.

        Returns:
            0.0 if there was one, else the seconds until there is one.
        """
        tokens = self._tokens + (now - self._at) * self._rate
        if tokens < 1.0:
            return (1.0 - tokens) / self._rate
        if tokens > self._burst:
            tokens = self._burst
        self._tokens = tokens - 1.0
        self._at = now
        return 0.0


class Gate:
    """
    Lets in so many connections at once, counted together or for each client or user.

    A key is forgotten when its last connection leaves. Any thread may call any method.

    Args:
        limit: How many may be in at once with the same key.
        setting: The field of `Limits` that sets it, for the log.
        status: The HTTP status of a refusal: 503 if everybody is counted together, 429 for each on their own.
        key_of: Tells the key of a connection from its scope; left out, all have the same one.
    """

    __slots__ = ("_counts", "_lock", "key_of", "limit", "refused", "setting", "status")

    def __init__(self, limit: int, setting: str, status: int, key_of: KeyOf | None = None) -> None:
        self.limit: int = limit
        self.setting: str = setting
        self.status: int = status
        self.key_of: KeyOf | None = key_of
        # How many it has refused so far.
        self.refused: int = 0
        self._counts: dict[Hashable, int] = {}
        self._lock = threading.Lock()

    def enter(self, key: Hashable = None) -> bool:
        """Count one more with this key; False, and nothing is counted, if there are as many as may be."""
        with self._lock:
            count = self._counts.get(key, 0)
            if count >= self.limit:
                self.refused += 1
                return False
            self._counts[key] = count + 1
            return True

    def leave(self, key: Hashable = None) -> None:
        """
        Count one less; call it once for each `enter` that was True.

        Raises:
            KeyError: No connection with this key is in.
        """
        with self._lock:
            count = self._counts[key]
            if count > 1:
                self._counts[key] = count - 1
                return
            del self._counts[key]
            if not self._counts:
                # A dictionary keeps the memory of its largest size until it is cleared.
                self._counts.clear()

    @property
    def retry_after(self) -> int:
        """
        The whole seconds for `Retry-After` (RFC 9110 §10.2.3) of the refusal just made: 1 to 10, each in turn.

        Nobody knows when a connection will end, so any number is a guess. A short one costs little, since a refused
        handshake is cheap; the same one for all would bring everybody who was refused together back together, as
        after a restart. In turn, 1,000 of them come back as 100 a second.
        """
        return 1 + self.refused % RETRY_SECONDS


def enter_gates(gates: Iterable[Gate], scope: Mapping[str, Any], entered: list[tuple[Gate, Hashable]]) -> Gate | None:
    """
    Let a connection through one gate after the other; the first that refuses is returned, None if none does.

    Args:
        gates: From the outermost to the innermost.
        scope: The connection's, from which each gate tells its key; without a key the gate does not count it.
        entered: Gets what `leave_gates` needs, also for the gates before one that refused, or whose key failed.

    Raises:
        ImproperlyConfigured: A gate counts per user, and the users of this application cannot be told apart.
    """
    for gate in gates:
        key = None
        if gate.key_of is not None:
            key = gate.key_of(scope)
            if key is None:
                continue
        if not gate.enter(key):
            return gate
        entered.append((gate, key))
    return None


def leave_gates(entered: list[tuple[Gate, Hashable]]) -> None:
    """Leave what was entered, each once, however often this is called."""
    while entered:
        gate, key = entered.pop()
        gate.leave(key)
