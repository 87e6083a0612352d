"""Processes that tests start do not outlive the test run, not even one that is killed."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator

__all__ = ["guarded"]


@contextlib.contextmanager
def guarded(group: int) -> Iterator[None]:
    """
    Let all processes of a group die with this one, however it dies, until the block ends.

    A shell waits for the end of a pipe that only this process holds open. A parent-death signal (prctl(2)) would not
    reach the workers that a server starts, and comes as soon as the thread ends that started it.
    """
    with subprocess.Popen(
        ["/bin/sh", "-c", f"read -r _; kill -KILL -{group}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # what ends the test's own group must not end it
    ) as guard:
        try:
            yield
        finally:
            # Not by closing the pipe: the number of the group may belong to somebody else by now.
            guard.kill()
