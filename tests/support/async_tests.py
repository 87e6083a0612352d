"""
Async tests without a plugin: one fresh event loop for each test, and no task may outlive it.

`tests/conftest.py` turns this into a pytest hook, so that `async def test_…` just runs. Fixtures stay synchronous:
what an async test needs for its own loop, it opens with `async with`.
"""

import asyncio
import functools
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

__all__ = ["run_async", "run_hypothesis_examples_async"]


def run_async(test: Callable[..., Coroutine[Any, Any, object]], arguments: Mapping[str, object]) -> None:
    """
    Run `test(**arguments)` to its end in a new event loop.

    Raises:
        AssertionError: a task that the test, or what it called, started is still there; the message names all of them.
    """
    # `debug=False` even under `python -X dev`: asyncio's debug mode reports slow callbacks by the wall clock.
    asyncio.run(_run_to_the_last_task(test(**arguments)), debug=False)


async def _run_to_the_last_task(test: Coroutine[Any, Any, object]) -> None:
    await test  # an error of the test itself comes first: leftover tasks are usually its consequence
    leftover = asyncio.all_tasks() - {asyncio.current_task()}
    if leftover:
        names = sorted(f"{task.get_name()} ({getattr(task.get_coro(), '__qualname__', '?')})" for task in leftover)
        raise AssertionError(f"tasks that outlived the test: {', '.join(names)}. Their owner must await them.")


def run_hypothesis_examples_async(test: Callable[..., Any]) -> None:
    """
    Let `@given` decorate a coroutine function: every example gets its own event loop.

    Does nothing to a test that is not one of hypothesis, or not async.
    """
    handle = getattr(test, "hypothesis", None)
    inner = getattr(handle, "inner_test", None)
    if handle is None or not asyncio.iscoroutinefunction(inner):
        return

    @functools.wraps(inner)
    def run_example(**arguments: object) -> None:
        run_async(inner, arguments)

    handle.inner_test = run_example
