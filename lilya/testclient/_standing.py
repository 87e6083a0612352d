"""
Where a task or a thread stands: the line of the user's code that it is waiting in.

A task that waits is a chain: its coroutine awaits another, that one perhaps an async generator, and so on down to a
future. The frames of this library and of the standard library say nothing to somebody whose handler hangs; the
deepest of the others does. Where all frames are ours, the deepest is still better than nothing.
"""

import asyncio
import os
import sys
import sysconfig
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FrameType

from lilya._suspended import chain_of

__all__ = ["line_of_task", "line_of_thread"]

_OWN = str(Path(__file__).resolve().parents[1]) + os.sep
_STDLIB = (sysconfig.get_path("stdlib") + os.sep, sysconfig.get_path("platstdlib") + os.sep, "<frozen ")
# Installed packages live below the standard library, but are not part of it.
_PACKAGES = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


def line_of_task(task: "asyncio.Task[object]") -> str:
    """
    `file:line in function` of the deepest user's frame in a task that is not running just now.

    A task without any is perhaps a sync handler, which runs in a worker thread: then that thread's line, or several
    where there are several such threads, since nothing says which of them works for which task.
    """
    frames = list(_frames_of(task))
    if not any(map(_is_users, frames)):
        stacks = [_frames_of_thread(thread.ident) for thread in threading.enumerate() if _is_worker(thread)]
        lines = [_line_of(stack) for stack in stacks if any(map(_is_users, stack))]
        if lines:
            return f"{' or '.join(lines)} (in a worker thread)"
    return _line_of(frames)


def line_of_thread(thread: threading.Thread) -> str:
    """The same for a thread, running or blocked."""
    return _line_of(_frames_of_thread(thread.ident))


def _line_of(frames: Iterable[FrameType]) -> str:
    """From the outermost frame to the deepest; the last of the user's wins."""
    deepest = users = None
    for frame in frames:
        deepest = frame
        if _is_users(frame):
            users = frame
    chosen = users or deepest
    if chosen is None:
        return "an unknown line (it has no frame)"
    return f"{chosen.f_code.co_filename}:{chosen.f_lineno} in {chosen.f_code.co_qualname}"


def _is_users(frame: FrameType) -> bool:
    filename = frame.f_code.co_filename
    if filename.startswith(_OWN):
        return False
    return not filename.startswith(_STDLIB) or any(part in filename for part in _PACKAGES)


def _is_worker(thread: threading.Thread) -> bool:
    # The name that asyncio gives the threads of a loop's default executor.
    return thread.name.startswith("asyncio_")


def _frames_of_thread(identity: int | None) -> list[FrameType]:
    """From the outermost frame to the deepest; nothing for a thread that is not running."""
    frame = sys._current_frames().get(identity or 0)
    frames = []
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    return frames[::-1]


def _frames_of(task: "asyncio.Task[object]") -> Iterator[FrameType]:
    for awaited in chain_of(task.get_coro()):
        if isinstance(awaited, asyncio.Task):
            yield from _frames_of(awaited)
        frames = (getattr(awaited, name, None) for name in ("cr_frame", "gi_frame", "ag_frame"))
        yield from (frame for frame in frames if frame is not None)
