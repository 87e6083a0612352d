"""What the process is sent, for tests that send it signals."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["signals_caught"]


@contextmanager
def signals_caught() -> Iterator[list[int]]:
    """What reaches the process outside of uvicorn, which raises at its end what it was given; it would end the run."""
    signals: list[int] = []

    def note(signum: int, frame: FrameType | None) -> None:
        signals.append(signum)

    before = {signum: signal.signal(signum, note) for signum in (signal.SIGTERM, signal.SIGINT)}
    yield signals
    for signum, handler in before.items():
        signal.signal(signum, handler)
