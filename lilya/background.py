"""Work for after the response, which takes a `Task` or `Tasks` as `background` and calls it after its last byte."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ParamSpec

from lilya.concurrency import is_async_callable, run_in_threadpool

__all__ = ["BackgroundTask", "BackgroundTasks", "Task", "Tasks"]

P = ParamSpec("P")


class Task:
    """One call, made later: a coroutine function is awaited, any other callable runs in a thread."""

    __slots__ = ("args", "func", "kwargs")

    def __init__(self, func: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> None:
        self.func: Callable[..., Any] = func
        self.args: tuple[Any, ...] = args
        self.kwargs: dict[str, Any] = kwargs

    async def __call__(self) -> None:
        if is_async_callable(self.func):
            await self.func(*self.args, **self.kwargs)
        else:
            await run_in_threadpool(self.func, *self.args, **self.kwargs)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({getattr(self.func, '__qualname__', self.func)})"


class Tasks:
    """
    Several tasks, run in order; every one runs, even if an earlier one failed.

    When all have run, a single failure is raised as it is and several as one `ExceptionGroup`, so that the server logs
    each of them. Cancellation ends the run at once.
    """

    __slots__ = ("tasks",)

    def __init__(self, tasks: Iterable[Task] | None = None) -> None:
        self.tasks: list[Task] = list(tasks or ())

    def add_task(self, func: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> None:
        """Append the call `func(*args, **kwargs)`."""
        self.tasks.append(Task(func, *args, **kwargs))

    async def __call__(self) -> None:
        failures: list[Exception] = []
        for task in self.tasks:
            try:
                await task()
            except Exception as error:
                failures.append(error)
        if len(failures) > 1:
            raise ExceptionGroup(f"{len(failures)} of {len(self.tasks)} background tasks failed", failures)
        if failures:
            raise failures[0]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.tasks!r})"


BackgroundTask = Task
"""The same as `Task`."""
BackgroundTasks = Tasks
"""The same as `Tasks`."""
