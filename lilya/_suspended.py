"""
What a coroutine is suspended on: to see whether it still waits, and to end the wait.

A connection that ends while somebody waits for its server has to tell whoever that is, in whichever task. The
cancellation of a task would tell the wrong one, and would be taken for somebody else's.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

__all__ = ["chain_of", "interrupt", "is_waiting"]


# granian's awaitables for what has happened already.
DONE = frozenset({"PyDoneAwaitable", "PyEmptyAwaitable"})

# CPython's iterators over futures, asynchronous generators and coroutines, which refer to them, but do not name them.
REFERRING = frozenset({"FutureIter", "async_generator_asend", "async_generator_athrow", "coroutine_wrapper"})
# What futures, asynchronous generators and coroutines are known by.
REFERRED = ("cancel", "ag_await", "cr_await")


def is_waiting(awaited: Any) -> bool:
    """Whether a coroutine, or a future, has not come to its end; of anything else it is assumed."""
    if awaited is None:
        return False
    try:
        return awaited.cr_frame is not None
    except AttributeError:
        if type(awaited).__name__ in DONE:
            return False
        done = getattr(awaited, "done", None)
        return done is None or not done()


def chain_of(awaited: Any) -> Iterator[Any]:
    """What an awaitable waits for, and that in turn, down to the future that the event loop will complete."""
    while awaited is not None:
        yield awaited
        if callable(getattr(awaited, "cancel", None)):
            return
        for name in ("cr_await", "gi_yieldfrom", "ag_await"):
            inner = getattr(awaited, name, None)
            if inner is not None:
                break
        else:
            found = gc.get_referents(awaited) if type(awaited).__name__ in REFERRING else ()
            inner = next((one for one in found if any(hasattr(one, name) for name in REFERRED)), None)
        awaited = inner


def interrupt(awaited: Any) -> bool:
    """
    Cancel the innermost future that a coroutine is suspended on, so that `CancelledError` comes out of the coroutine.

    Unlike the cancellation of a task, this needs to know nothing about who awaits the coroutine, and leaves no trace on
    it. False where no future could be found.
    """
    innermost = list(chain_of(awaited))[-1:]
    return bool(innermost) and hasattr(innermost[0], "cancel") and bool(innermost[0].cancel())
