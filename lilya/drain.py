"""
How an application says goodbye: the settings of a drain, and when each connection is closed in it.

On SIGTERM an application does not drop its connections at once. For `Drain.seconds` it refuses new handshakes and
closes the open connections one after the other, so that their clients do not all reconnect in the same moment. What
is decided here is only who is closed when.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lilya._state import MAX_REASON_BYTES, is_sendable
from lilya.exceptions import ImproperlyConfigured

__all__ = ["Drain", "schedule"]

# The last part of the time in which nobody is closed any more: handlers that were closed late have a moment to end.
CLOSING_SHARE = 0.9


@dataclass(frozen=True, kw_only=True, slots=True)
class Drain:
    """
    How open WebSockets are ended when the server is told to stop.

    The server's own limit for stopping, such as `TimeoutStopSec` of systemd or `terminationGracePeriodSeconds` of
    Kubernetes, must be longer than `seconds` and `cancel_seconds` together.

    Args:
        seconds: The time over which the connections are closed, spread evenly with jitter; 0 closes all at once.
        cancel_seconds: How long to wait for the handlers that are still running after that, once they are cancelled.
        code: The close code that clients get: 1000–1003, 1007–1014 or 3000–4999 (RFC 6455 §7.4). The default, 1012,
            means "service restart": come back later.
        reason: The text that clients get with it, at most 123 bytes of UTF-8 (RFC 6455 §5.5).

    Raises:
        ImproperlyConfigured: A value is not one of these.
    """

    seconds: float = 20
    cancel_seconds: float = 5
    code: int = 1012
    reason: str = "service restart"

    def __post_init__(self) -> None:
        _check_seconds("seconds", self.seconds, "closes every connection at once")
        _check_seconds("cancel_seconds", self.cancel_seconds, "does not wait for cancelled handlers")
        if type(self.code) is not int or not is_sendable(self.code):
            raise ImproperlyConfigured(
                f"Drain(code={self.code!r}): give a close code that may be sent: 1000–1003, 1007–1014 or 3000–4999."
            )
        if not isinstance(self.reason, str):
            raise ImproperlyConfigured(f"Drain(reason={self.reason!r}): give a text; '' sends none.")
        try:
            size = len(self.reason.encode())
        except UnicodeEncodeError:
            raise ImproperlyConfigured(
                f"Drain(reason={self.reason!r}): it has no UTF-8 form; take out the surrogates."
            ) from None
        if size > MAX_REASON_BYTES:
            raise ImproperlyConfigured(
                f"Drain(reason={self.reason!r}): {size} bytes of UTF-8 do not fit a close frame; "
                f"shorten it to {MAX_REASON_BYTES}."
            )


def schedule(count: int, seconds: float, random: Callable[[], float]) -> list[float]:
    """
    When to close each of `count` connections, in seconds from now, in ascending order.

    The first 90 % of the time is cut into `count` equal slots, and each has one moment at random in it: the load of
    reconnecting clients is even, and no two servers that stop together keep time with each other.

    Args:
        count: How many connections there are.
        seconds: The time of the whole drain; 0 makes every moment now.
        random: Makes numbers from 0 to 1, such as `random.random`.
    """
    slot = CLOSING_SHARE * seconds / max(count, 1)
    return [(number + random()) * slot for number in range(count)]


def _check_seconds(name: str, value: Any, zero: str) -> None:
    """Refuse what is not a finite number of at least 0; `zero` says what 0 does."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value) or value < 0:
        raise ImproperlyConfigured(f"Drain({name}={value!r}): give a number of seconds of at least 0; 0 {zero}.")
