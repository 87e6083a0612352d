"""What a coroutine is suspended on, and how its wait is ended without its task knowing."""

import asyncio
import types
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator
from typing import Any

import pytest

from lilya._suspended import chain_of, interrupt, is_waiting
from tests.waiting_peer import turns

# --- Waiting -----------------------------------------------------------------------------------------------------


async def test_is_waiting_until_the_end_of_a_coroutine_or_future() -> None:
    """Whatever the end is; of what cannot be asked it is assumed, and nothing does not wait."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    coroutine: Any = innermost(future)
    task = asyncio.create_task(coroutine)
    await turns()
    assert [is_waiting(awaited) for awaited in (future, coroutine, task, object(), None)] == [True] * 4 + [False]
    future.cancel()
    await asyncio.wait([task])
    assert [is_waiting(awaited) for awaited in (future, coroutine, task)] == [False] * 3


@pytest.mark.parametrize("name", ["PyDoneAwaitable", "PyEmptyAwaitable"])
def test_is_waiting_knows_what_has_happened_already(name: str) -> None:
    """granian's awaitables for that have nothing else to tell it by."""
    assert not is_waiting(type(name, (), {})())


# --- Interrupting ----------------------------------------------------------------------------------------------------


async def innermost(future: asyncio.Future[None]) -> None:
    await future


async def middle(future: asyncio.Future[None]) -> None:
    await innermost(future)


@types.coroutine
def generator_based(future: asyncio.Future[None]) -> Generator[Any, Any, None]:
    yield from future


async def in_a_generator(future: asyncio.Future[None]) -> None:
    await generator_based(future)


class Waiting:
    """Something with an `__await__` of its own, as compiled extensions have."""

    def __init__(self, future: asyncio.Future[None]) -> None:
        self.future = future

    def __await__(self) -> Generator[Any, Any, None]:
        return (yield from self.future)


async def in_an_object(future: asyncio.Future[None]) -> None:
    await Waiting(future)


class Wrapped:
    """Something whose `__await__` is that of a coroutine, as many libraries have."""

    def __init__(self, future: asyncio.Future[None]) -> None:
        self.future = future

    def __await__(self) -> Generator[Any, Any, None]:
        return innermost(self.future).__await__()


async def in_a_wrapped_coroutine(future: asyncio.Future[None]) -> None:
    await Wrapped(future)


async def in_a_task(future: asyncio.Future[None]) -> None:
    await asyncio.ensure_future(innermost(future))


@pytest.mark.parametrize("wait", [innermost, middle, in_a_generator, in_an_object, in_a_wrapped_coroutine, in_a_task])
async def test_interrupt_raises_in_what_a_coroutine_waits_for(
    wait: Callable[[asyncio.Future[None]], Awaitable[None]],
) -> None:
    """`CancelledError` comes out of the coroutine; the task that awaits it knows nothing of a cancellation."""
    suspended: Any = wait(asyncio.get_running_loop().create_future())

    async def handler() -> str:
        try:
            await suspended
        except asyncio.CancelledError:
            return "interrupted"
        raise AssertionError("not interrupted")

    task = asyncio.create_task(handler())
    await turns()
    assert interrupt(suspended)
    assert await task == "interrupted"
    assert task.cancelling() == 0


async def test_interrupt_cancels_what_can_be_cancelled() -> None:
    """A future, a task, or whatever has a `cancel`; the answer is its own."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    assert interrupt(future)
    assert not interrupt(future)
    assert future.cancelled()


async def numbers() -> AsyncIterator[int]:
    yield 1


async def waits_for(future: asyncio.Future[None]) -> AsyncIterator[int]:
    await future
    yield 1


async def in_a_loop(future: asyncio.Future[None]) -> None:
    async for _ in waits_for(future):
        raise AssertionError("there is nothing")


async def by_hand(future: asyncio.Future[None]) -> None:
    await anext(waits_for(future))


async def in_asend(future: asyncio.Future[None]) -> None:
    generator: Any = waits_for(future)
    await generator.asend(None)


async def in_athrow(future: asyncio.Future[None]) -> None:
    generator = until_thrown(future)
    await anext(generator)
    await generator.athrow(KeyError)


async def until_thrown(future: asyncio.Future[None]) -> AsyncGenerator[int, None]:
    try:
        yield 1
    except KeyError:
        await future


@pytest.mark.parametrize("wait", [in_a_loop, by_hand, in_asend, in_athrow])
async def test_interrupt_reaches_into_asynchronous_generators(
    wait: Callable[[asyncio.Future[None]], Awaitable[None]],
) -> None:
    """A server's `receive`, or a layer's, may be one; the future inside is what waits."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    suspended: Any = wait(future)
    task = asyncio.ensure_future(suspended)
    await turns()
    assert list(chain_of(suspended))[-1] is future
    assert interrupt(suspended)
    await asyncio.wait([task])
    assert task.cancelled()


async def test_interrupt_says_where_nothing_could_be_found() -> None:
    """No future, no interruption: nothing, or a coroutine that waits for a turn of the loop only."""
    turn: Any = asyncio.sleep(0)
    task = asyncio.ensure_future(turn)
    await asyncio.sleep(0)
    assert not interrupt(None)
    assert not interrupt(turn)
    await task
    assert not interrupt(turn)
    async for _ in (generator := numbers()):
        assert not interrupt(generator)
