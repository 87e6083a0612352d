"""Blocking code beside the event loop: run in asyncio's own thread pool, so that no connection waits for another."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from types import GeneratorType
from typing import Any, ParamSpec, TypeVar

__all__ = ["is_async_callable", "iterate_in_threadpool", "run_in_threadpool"]

P = ParamSpec("P")
T = TypeVar("T")

_END: Any = object()


async def run_in_threadpool(fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """
    Call a blocking function in a thread of the loop's default executor and return what it returns.

    The function sees a copy of the caller's context variables; what it sets there stays there. Cancelling the caller
    does not stop the thread.

    Raises:
        RuntimeError: `fn` raised `StopIteration`, which no coroutine can pass on (PEP 479).
    """
    return await _submit(_call, fn, args, kwargs)


async def iterate_in_threadpool(iterator: Iterable[T]) -> AsyncGenerator[T, None]:
    """
    The items of a blocking iterable, each one made in a thread.

    A generator that is left early, by a `break`, an error or a cancellation, is closed in a thread as well; if it is
    still making an item then, it is closed as soon as it has.
    """
    source: Iterator[T] = await run_in_threadpool(iter, iterator)
    step: asyncio.Future[T] | None = None
    try:
        while True:
            step = _submit(next, source, _END)
            # The shield keeps `step` to itself when the caller is cancelled: the thread goes on until the item is made.
            item = await asyncio.shield(step)
            if item is _END:
                return
            yield item
    finally:
        if isinstance(source, GeneratorType) and source.gi_frame is not None:
            if step is None or step.done():
                await run_in_threadpool(source.close)
            else:
                step.add_done_callback(functools.partial(_close_late, source))


def is_async_callable(obj: Any) -> bool:
    """Whether calling `obj`, a function, a method, a partial or an object with `__call__`, gives a coroutine."""
    while isinstance(obj, functools.partial):
        obj = obj.func
    # The type's `__call__`: a class has its instances' one as an attribute, but calling a class makes an instance.
    return inspect.iscoroutinefunction(obj) or inspect.iscoroutinefunction(getattr(type(obj), "__call__", None))  # noqa: B004


def _submit(fn: Callable[..., T], *args: Any) -> asyncio.Future[T]:
    return asyncio.get_running_loop().run_in_executor(None, contextvars.copy_context().run, fn, *args)


def _call(fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
    try:
        return fn(*args, **kwargs)
    except StopIteration as error:
        # A future refuses StopIteration, and whoever awaits it would wait for ever.
        raise RuntimeError(f"{fn!r} raised StopIteration in a thread; give `next` a default instead.") from error


def _close_late(source: GeneratorType[Any, Any, Any], step: asyncio.Future[Any]) -> None:
    step.exception()  # looked at, so that asyncio does not report it: nobody waits for this item any more
    _submit(source.close)
