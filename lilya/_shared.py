"""Values that outlive the connection which first asked for them: one per application, or one per process."""

from __future__ import annotations

import asyncio
import functools
import threading
import weakref
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import AsyncExitStack
from typing import Any

from lilya._making import CONNECTION, SHARED, Step, make_all
from lilya.enums import Scope

__all__ = ["SharedValues", "shared_step"]


class SharedValues:
    """
    The values of scope "app", one store per application; and its access to those of scope "global".

    Any number of connections may ask at once, from any event loop: one makes the value, the others wait for it. A
    failure, or the cancellation of the one who makes it, is not kept: the next one tries again.
    """

    __slots__ = ("__weakref__", "_in_making", "_lock", "_made", "_stack")

    def __init__(self) -> None:
        # Held only between two awaits, so that a second event loop (test clients have their own) waits for nothing.
        self._lock = threading.Lock()
        # Under the keys of their steps, since one provider makes another value where its arguments are others. Beside a
        # value that closes stands its event loop, with which it ends at the latest.
        self._made: dict[object, tuple[Any, asyncio.AbstractEventLoop | None]] = {}
        self._in_making: dict[object, Future[None]] = {}
        self._stack = AsyncExitStack()

    async def get(self, connection: Any, *, scope: Scope, steps: Sequence[Step]) -> Any:
        """The value that the last of these steps makes; they are taken, for this connection, if it is not there."""
        store, key = self, steps[-1].key
        if scope is Scope.GLOBAL:
            store = _process
            _users_of_process.add(self)
        while True:
            with store._lock:
                if key in store._made:
                    value, loop = store._made[key]
                    if loop is None or not loop.is_closed():
                        return value
                other = store._in_making.get(key)
                if other is None:
                    turn = store._in_making[key] = Future()
                    break
            # Whether it succeeded or not is seen in the next round; cancelling a waiter leaves the others alone.
            await asyncio.wait([asyncio.wrap_future(other)])
        try:
            values: dict[Any, Any] = {CONNECTION: connection, SHARED: self}
            # What a shared value is made of belongs to it, and not to the connection that came first.
            async with AsyncExitStack() as stack:
                await make_all(steps, values, stack)
                store._stack.push_async_exit(stack.pop_all())
            closes = any(step.closes for step in steps)
            store._made[key] = values[steps[-1]], asyncio.get_running_loop() if closes else None
            return values[steps[-1]]
        finally:
            del store._in_making[key]
            turn.set_result(None)

    async def aclose(self) -> None:
        """
        Close the generators of the application, the last one opened first, and forget all its values.

        Global generators are closed with the last application that used them; what they gave is then made anew when
        it is needed again. Call it when no connection is left; the store can be used again afterwards.
        """
        try:
            await self._end(keep_plain=False)
        finally:
            _users_of_process.discard(self)
            if not _users_of_process:
                await _process._end(keep_plain=True)

    async def _end(self, *, keep_plain: bool) -> None:
        with self._lock:
            stack = self._stack.pop_all()
            self._made = {key: made for key, made in self._made.items() if keep_plain and made[1] is None}
        await stack.aclose()


# What "once per process" means needs one place in the process; applications that let go of it without `aclose` do not
# count as users.
_process = SharedValues()
_users_of_process: weakref.WeakSet[SharedValues] = weakref.WeakSet()


def shared_step(scope: Scope, steps: Sequence[Step]) -> Step:
    """The step that takes a value from where its scope keeps it; it is made by `steps`, the last of which gives it."""
    get = functools.partial(SharedValues.get, scope=scope, steps=steps)
    closes = any(step.closes for step in steps)
    shared = Step("coroutine function", get, [(None, SHARED), (None, CONNECTION)], closes)
    shared.key = steps[-1].key
    return shared
