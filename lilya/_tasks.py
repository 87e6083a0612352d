"""Tasks beside a handler, which end with the block that started them or with the connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from types import TracebackType
from typing import Any, Self

from lilya._wire import Wire
from lilya.exceptions import WebSocketDisconnect

__all__ = ["ConnectionTasks"]


class ConnectionTasks:
    """
    Tasks that live as long as the `async with` block they were started in, at most as long as the connection.

    When the block ends, its tasks are cancelled and awaited. When the connection ends, they are cancelled at once, and
    the block is told by its next receive or send, as always. When one of them fails, the others and the block are
    cancelled, and its exception comes out of the block: itself if it is the only one, else an `ExceptionGroup`. That a
    client left is no failure: it comes out as one `WebSocketDisconnect`, and only if nothing else does.
    """

    __slots__ = ("_group", "_tasks", "_wire")

    def __init__(self, wire: Any) -> None:
        self._wire: Wire = wire
        self._group = asyncio.TaskGroup()
        self._tasks: set[asyncio.Task[Any]] = set()

    def start_soon(
        self, function: Callable[..., Coroutine[Any, Any, Any]], *args: Any, name: str | None = None
    ) -> asyncio.Task[Any]:
        """
        Start `function(*args)` in a task of its own.

        Raises:
            RuntimeError: Before the block has begun, or when it is over.
            TypeError: `function` is no coroutine function.
        """
        given: Any = function
        if asyncio.iscoroutine(given):
            given.close()
            raise TypeError("start_soon(function(x)): give the function and its arguments, start_soon(function, x).")
        coroutine = function(*args)
        if not asyncio.iscoroutine(coroutine):
            raise TypeError(f"start_soon({function!r}): give a coroutine function (`async def`) and its arguments.")
        try:
            task = self._group.create_task(coroutine, name=name)
        except RuntimeError:
            coroutine.close()
            raise RuntimeError(
                "start_soon() works inside of `async with websocket.tasks() as tasks:`, until the block ends."
            ) from None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self._wire.close_code is not None:
            task.cancel()
        return task

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        if self._wire.endings is None:
            self._wire.endings = []
        self._wire.endings.append(self._cancel)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._wire.endings is not None and self._cancel in self._wire.endings:
            self._wire.endings.remove(self._cancel)
        self._cancel()
        try:
            await self._group.__aexit__(kind, error, traceback)
        except BaseExceptionGroup as group:
            failure = _without_leaving(group)
            if failure is not error:
                raise failure from None

    def _cancel(self) -> None:
        current = asyncio.current_task()
        for task in self._tasks:
            if task is not current:
                # Whoever has just received the end itself is about to end.
                task.cancel()


def _without_leaving(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The failures of a group, one of them as itself; of clients that left one, if there is nothing else."""
    every = list(_flat(group))
    failures = [one for one in every if not isinstance(one, WebSocketDisconnect)]
    if len(failures) > 1:
        return BaseExceptionGroup("Several tasks of the connection failed", failures)
    return (failures or every)[0]


def _flat(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _flat(inner)
    else:
        yield error
