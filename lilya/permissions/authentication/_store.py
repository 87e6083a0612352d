"""Where issued tickets wait to be redeemed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

from lilya.exceptions import ImproperlyConfigured

__all__ = ["MemoryTicketStore", "TicketStore"]


class TicketStore(Protocol):
    """What `Tickets` needs of a store, for instance a database that several workers share."""

    async def put(self, key: str, value: Any, seconds: float) -> None:
        """Keep `value` under `key`, a hash in 64 hexadecimal digits, for so many seconds."""

    async def take(self, key: str) -> Any:
        """Give the value that is kept under `key`, and forget it in the same step; None if there is none."""


class MemoryTicketStore:
    """
    A store in the memory of one process: a ticket is redeemed by the worker that issued it, or not at all.

    Expired tickets are dropped as new ones come. When it is full the oldest ticket goes, since a flood of new ones must
    not keep everybody else out until it has expired.

    Args:
        capacity: The number of tickets that are kept at most.
        clock: A time in seconds that never goes back.

    Raises:
        ImproperlyConfigured: The capacity is less than 1.
    """

    def __init__(self, capacity: int = 10_000, clock: Callable[[], float] = time.monotonic) -> None:
        if capacity < 1:
            raise ImproperlyConfigured(f"MemoryTicketStore(capacity={capacity!r}) holds no ticket: give 1 or more.")
        self._capacity = capacity
        self._clock = clock
        self._kept: dict[str, tuple[float, Any]] = {}  # in the order in which they were issued

    def __len__(self) -> int:
        """How many tickets are kept, those included that have expired and are not dropped yet."""
        return len(self._kept)

    async def put(self, key: str, value: Any, seconds: float) -> None:
        """Keep `value` under `key` for so many seconds."""
        now = self._clock()
        while self._kept:
            oldest = next(iter(self._kept))
            if self._kept[oldest][0] > now and len(self._kept) < self._capacity:
                break
            del self._kept[oldest]
        self._kept[key] = (now + seconds, value)

    async def take(self, key: str) -> Any:
        """Give the value that is kept under `key` and forget it; None if there is none, or it has expired."""
        expires, value = self._kept.pop(key, (0.0, None))
        return value if expires > self._clock() else None
