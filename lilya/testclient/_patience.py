"""How long an operation may take, and how the caller's `timeout=` becomes that."""

import asyncio
from enum import Enum
from typing import TypeAlias

import httpx

__all__ = ["DEFAULT", "Default", "Patience", "Timeout", "seconds_of"]


class Default(Enum):
    """Stands for an argument that was not given, where None means "no limit"."""

    OF_THE_CLIENT = "the timeout of the client"


DEFAULT = Default.OF_THE_CLIENT
# Seconds; None waits without a limit, which is meant for a debugger.
Timeout: TypeAlias = float | Default | None


def seconds_of(timeout: Timeout, default: float | httpx.Timeout | None) -> float | None:
    """The seconds a call may take: its own `timeout`, or else the default."""
    if not isinstance(timeout, Default):
        return timeout
    return default.read if isinstance(default, httpx.Timeout) else default


class Patience:
    """The time one operation may take in all, however many messages it waits for; starts when it is made."""

    __slots__ = ("deadline", "seconds")

    def __init__(self, seconds: float | None) -> None:
        self.seconds: float | None = seconds
        self.deadline: float | None = None if seconds is None else asyncio.get_running_loop().time() + seconds
