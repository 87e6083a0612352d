"""Blocking code beside the event loop."""

import asyncio
import contextvars
import functools
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from lilya.concurrency import is_async_callable, iterate_in_threadpool, run_in_threadpool

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE")


class Countdown:
    """A generator's owner that notes in which thread it was closed."""

    def __init__(self, start: int = 3) -> None:
        self.start = start
        self.closed_in: str | None = None
        self.closed = asyncio.Event()
        self.loop = asyncio.get_running_loop()

    def __iter__(self) -> Iterator[int]:
        try:
            yield from range(self.start, 0, -1)
        finally:
            self.closed_in = threading.current_thread().name
            self.loop.call_soon_threadsafe(self.closed.set)


async def test_run_in_threadpool_returns_what_the_function_returns() -> None:
    """Positional and keyword arguments reach the function, which runs in another thread."""

    def where(prefix: str, *, suffix: str) -> tuple[str, bool]:
        return prefix + suffix, threading.current_thread() is threading.main_thread()

    assert await run_in_threadpool(where, "a", suffix="b") == ("ab", False)


async def test_run_in_threadpool_copies_the_context() -> None:
    """The function sees the caller's context variables, and cannot change them."""
    VARIABLE.set("mine")

    def change() -> str:
        seen = VARIABLE.get()
        VARIABLE.set("theirs")
        return seen

    assert await run_in_threadpool(change) == "mine"
    assert VARIABLE.get() == "mine"


async def test_run_in_threadpool_passes_errors_on() -> None:
    """What the function raises comes out of the await."""
    with pytest.raises(ZeroDivisionError):
        await run_in_threadpool(lambda: 1 // 0)


async def test_run_in_threadpool_turns_stop_iteration_into_an_error() -> None:
    """StopIteration cannot leave a coroutine, so it is a RuntimeError rather than a wait without end."""
    with pytest.raises(RuntimeError, match="StopIteration in a thread") as caught:
        await run_in_threadpool(next, iter(()))
    assert isinstance(caught.value.__cause__, StopIteration)


async def test_iterate_in_threadpool_gives_all_items() -> None:
    """Any iterable will do, and a generator ends in a thread."""
    countdown = Countdown()
    assert [item async for item in iterate_in_threadpool([1, 2])] == [1, 2]
    assert [item async for item in iterate_in_threadpool(iter(countdown))] == [3, 2, 1]
    assert countdown.closed_in != threading.main_thread().name


async def test_iterate_in_threadpool_closes_a_generator_that_is_left_early() -> None:
    """Leaving after the first item closes the generator, in a thread, before `aclose` returns."""
    countdown = Countdown()
    items = iterate_in_threadpool(iter(countdown))
    assert await anext(items) == 3
    await items.aclose()
    assert countdown.closed_in not in (None, threading.main_thread().name)


async def test_iterate_in_threadpool_passes_errors_on() -> None:
    """An error of the generator ends the iteration with that error."""

    def broken() -> Iterator[int]:
        yield 1
        raise KeyError("x")

    with pytest.raises(KeyError, match="x"):
        assert [item async for item in iterate_in_threadpool(broken())] == []


async def test_iterate_in_threadpool_refuses_what_cannot_be_iterated() -> None:
    """The error is Python's own."""
    number: Any = 5
    with pytest.raises(TypeError, match="not iterable"):
        await anext(iterate_in_threadpool(number))


@pytest.mark.parametrize("fails", [False, True])
async def test_iterate_in_threadpool_closes_late_when_cancelled_in_a_step(fails: bool) -> None:
    """A cancellation does not wait for the blocked thread; the generator is closed as soon as its item is made."""
    loop = asyncio.get_running_loop()
    begun, closed, go_on = asyncio.Event(), asyncio.Event(), threading.Event()

    def blocking() -> Iterator[int]:
        try:
            loop.call_soon_threadsafe(begun.set)
            go_on.wait()
            if fails:
                raise KeyError("nobody waits for this")
            yield 1
        finally:
            loop.call_soon_threadsafe(closed.set)

    async def consume() -> list[int]:
        return [item async for item in iterate_in_threadpool(blocking())]

    task = asyncio.ensure_future(consume())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not closed.is_set()
    go_on.set()
    await closed.wait()


async def test_iterate_in_threadpool_closes_when_cancelled_before_the_first_step() -> None:
    """A cancellation that arrives while `iter` runs leaves nothing behind."""
    gate = threading.Event()

    class Slow:
        def __iter__(self) -> Iterator[int]:
            gate.wait()
            return iter(())

    items = iterate_in_threadpool(Slow())
    task = asyncio.ensure_future(anext(items))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.set()


def test_is_async_callable_looks_through_what_wraps_a_function() -> None:
    """Functions, methods, partials and objects are told by what calling them gives."""

    class Asynchronous:
        async def method(self) -> None: ...

        @classmethod
        async def class_method(cls) -> None: ...

        async def __call__(self) -> None: ...

    class Ordinary:
        def __call__(self) -> None: ...

    async def function(_: int) -> None: ...

    async_ones: list[Any] = [
        function,
        functools.partial(functools.partial(function, 1)),
        Asynchronous().method,
        Asynchronous.class_method,
        Asynchronous(),
        functools.partial(Asynchronous()),
    ]
    others: list[Any] = [len, lambda: None, Asynchronous, Ordinary(), functools.partial(Ordinary()), 5]
    assert [is_async_callable(one) for one in async_ones] == [True] * len(async_ones)
    assert [is_async_callable(other) for other in others] == [False] * len(others)
