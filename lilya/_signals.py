"""
SIGTERM and SIGINT, taken over from uvicorn and handed on to it later.

At the first signal uvicorn stops listening and closes every connection. An application that wants to close its
connections in its own time has to be asked first, and ASGI has no event for that: the lifespan's shutdown comes when
everything is over. uvicorn installs its handlers with `signal.signal`, before the lifespan's startup and whichever
event loop runs, so they can be exchanged there (`uvicorn.Server.capture_signals` and `handle_exit`):

- At the end uvicorn puts back the handlers that were there before it, whatever is in place. Nothing of ours is left.
- A worker of `--workers`, the child of `--reload` and a worker of gunicorn run a `Server` each, in their main thread,
  and their parent stops them with SIGTERM. A server in another thread has no signals: `take_over` returns None.
- At its end uvicorn raises the signals that it was given once more, for whoever runs it. It has to be told about each
  that it is to know of.

hypercorn, granian and daphne have handlers of other kinds, which are left alone.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType, MethodType
from typing import Any

__all__ = ["Takeover", "take_over"]

_SIGNALS: tuple[int, ...] = (signal.SIGTERM, signal.SIGINT)

# The parent of several workers waits up to half a second before it passes a signal on; the rest is for a busy machine.
ECHO_SECONDS = 2.0


class Takeover:
    """
    Signals that come to us instead of to uvicorn. To be used in the thread of the event loop, which is the main one.

    Attributes:
        reloading: Whether the server runs under `--reload`: a person waits for it to start again.
    """

    __slots__ = ("_before", "_last_term", "_loop", "_on_signal", "_several", "reloading")

    def __init__(self, before: dict[int, MethodType], config: Any, on_signal: Callable[[int], None]) -> None:
        self.reloading: bool = config.should_reload
        self._before = before
        self._on_signal = on_signal
        self._several: bool = config.workers > 1
        self._last_term: float | None = None
        self._loop = asyncio.get_running_loop()
        for signum in before:
            signal.signal(signum, self._handle)

    def hand_on(self, signum: int) -> None:
        """Give a signal to uvicorn, as if it had come now. Returns at once: uvicorn stops a little later."""
        self._before[signum](signum, None)

    def restore(self) -> None:
        """Let the signals go to uvicorn again, but for one that has got yet another handler meanwhile."""
        for signum, before in self._before.items():
            if signal.getsignal(signum) == self._handle:
                signal.signal(signum, before)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        # Between two instructions of the main thread, whatever it is doing: nothing is decided here.
        self._loop.call_soon_threadsafe(self._tell, signum)

    def _tell(self, signum: int) -> None:
        if signum == signal.SIGTERM and self._several:
            # systemd and others stop a whole group of processes. A worker then gets the signal from them and, a
            # moment later, from its parent: that is one request to stop, and not somebody who has become impatient.
            now, last = self._loop.time(), self._last_term
            if last is not None and now - last < ECHO_SECONDS:
                self._last_term = None
                return
            self._last_term = now
        self._on_signal(signum)


def take_over(on_signal: Callable[[int], None]) -> Takeover | None:
    """
    Take SIGTERM and SIGINT over from the uvicorn that runs this event loop; to be called in the lifespan's startup.

    Args:
        on_signal: Called in the event loop with the number of each signal that comes. With several workers, a second
            SIGTERM within two seconds is left out once, since it is the first one, passed on by the parent process.

    Returns:
        None where there is nothing to take: not in the main thread, no uvicorn, or SIGTERM has another handler by now.
    """
    if threading.current_thread() is not threading.main_thread():
        return None
    found = {signum: handler for signum in _SIGNALS if (handler := _find_handler(signum))}
    if signal.SIGTERM not in found:
        return None
    server: Any = found[signal.SIGTERM].__self__
    return Takeover(found, server.config, on_signal)


def _find_handler(signum: int) -> MethodType | None:
    """The handler of a signal, if it is a method of a uvicorn server; the uvicorn that runs us is imported already."""
    uvicorn = sys.modules.get("uvicorn.server")
    handler = signal.getsignal(signum)
    if uvicorn is not None and isinstance(handler, MethodType) and isinstance(handler.__self__, uvicorn.Server):
        return handler
    return None
