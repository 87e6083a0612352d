"""Where a task stands: through coroutines, generators, tasks and futures, past frames that are not the user's."""

import asyncio
import contextlib
import threading
import types
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator
from typing import Any

import pytest

from lilya.testclient._standing import line_of_task, line_of_thread


async def in_a_coroutine(gate: asyncio.Event) -> None:
    """Wait in a coroutine."""
    await gate.wait()


async def numbers(gate: asyncio.Event) -> AsyncIterator[int]:
    """Wait in an async generator."""
    await gate.wait()
    yield 1


@types.coroutine
def old_style(gate: asyncio.Event) -> Generator[Any, Any, None]:
    """Wait in a generator used as a coroutine."""
    yield from gate.wait().__await__()


class Custom:
    """Wait in an `__await__` that is a generator."""

    def __init__(self, gate: asyncio.Event) -> None:
        self.gate = gate

    def __await__(self) -> Generator[Any, Any, None]:
        yield from self.gate.wait().__await__()


async def through_a_generator(gate: asyncio.Event) -> None:
    """The frame below is that of the generator."""
    async for _ in numbers(gate):
        pass


async def through_a_task(gate: asyncio.Event) -> None:
    """The frame below is that of the awaited task."""
    await asyncio.create_task(in_a_coroutine(gate))


async def through_an_old_coroutine(gate: asyncio.Event) -> None:
    """The frame below is that of the generator-based coroutine."""
    await old_style(gate)


async def through_an_awaitable(gate: asyncio.Event) -> None:
    """The frame below is that of `__await__`."""
    await Custom(gate)


async def through_the_standard_library(gate: asyncio.Event) -> None:
    """The frames below belong to asyncio."""
    await asyncio.wait_for(gate.wait(), None)


@pytest.mark.parametrize(
    ("outer", "deepest"),
    [
        (in_a_coroutine, in_a_coroutine),
        (through_a_generator, numbers),
        (through_a_task, in_a_coroutine),
        (through_an_old_coroutine, old_style),
        (through_an_awaitable, Custom.__await__),
        (through_the_standard_library, through_the_standard_library),
    ],
)
async def test_line_is_that_of_the_deepest_user_s_frame(
    outer: Callable[[asyncio.Event], Coroutine[Any, Any, None]], deepest: Any
) -> None:
    """Whatever lies between, and whatever of the standard library lies below."""
    gate = asyncio.Event()
    task: asyncio.Task[Any] = asyncio.create_task(outer(gate))
    for _ in range(3):
        await asyncio.sleep(0)
    line = line_of_task(task)
    gate.set()
    await task
    code = getattr(deepest, "__wrapped__", deepest).__code__
    place, _, name = line.partition(" in ")
    path, _, number = place.rpartition(":")
    assert (path, name) == (code.co_filename, code.co_qualname)
    assert code.co_firstlineno < int(number) <= code.co_firstlineno + 3


async def test_line_of_a_task_without_user_s_frames_is_the_deepest_there_is() -> None:
    """Better the library's line than none; a task that has ended has none."""
    gate = asyncio.Event()
    task: asyncio.Task[Any] = asyncio.create_task(gate.wait())
    await asyncio.sleep(0)
    line = line_of_task(task)
    assert line.endswith("in Event.wait")
    gate.set()
    await task
    assert line_of_task(task) == "an unknown line (it has no frame)"


async def test_line_counts_installed_packages_as_the_user_s() -> None:
    """They may live below the standard library without being part of it."""
    namespace: dict[str, Callable[[Awaitable[Any]], Coroutine[Any, Any, None]]] = {}
    filename = contextlib.__file__.replace("contextlib", "site-packages/some_package/module")
    code = compile("async def wait(gate):\n    await gate", filename, "exec")
    exec(code, namespace)  # noqa: S102 - a function that claims to be from an installed package
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(namespace["wait"](future))
    await asyncio.sleep(0)
    assert line_of_task(task) == f"{filename}:2 in wait"
    future.set_result(None)
    await task


async def test_line_of_a_sync_handler_is_that_of_its_worker_thread() -> None:
    """A task that only waits for a worker thread; an idle worker does not count."""
    entered, release = threading.Event(), threading.Event()

    def block() -> None:
        entered.set()
        release.wait()

    await asyncio.to_thread(int)
    task: asyncio.Task[Any] = asyncio.create_task(asyncio.to_thread(block))
    await asyncio.to_thread(entered.wait)
    line = line_of_task(task)
    release.set()
    await task
    first = block.__code__.co_firstlineno
    places = [f"{__file__}:{first + offset} in {block.__qualname__} (in a worker thread)" for offset in (1, 2)]
    assert line in places


def test_line_of_a_thread_is_that_of_its_deepest_user_s_frame() -> None:
    """Of a blocked thread; one that is not there has none."""
    entered, release = threading.Event(), threading.Event()

    def block() -> None:
        entered.set()
        release.wait()

    thread = threading.Thread(target=block)
    thread.start()
    entered.wait()
    line = line_of_thread(thread)
    release.set()
    thread.join()
    assert line.startswith(f"{__file__}:{block.__code__.co_firstlineno}"[:-1])
    assert line.endswith(f" in {block.__qualname__}")
    assert line_of_thread(thread) == "an unknown line (it has no frame)"
