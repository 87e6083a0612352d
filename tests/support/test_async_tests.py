"""The runner of async tests, tested by using it."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.async_tests import run_async


async def test_async_test_runs_in_an_event_loop_without_debug() -> None:
    """An `async def` test runs, in a loop of its own, and asyncio's debug mode is off."""
    assert asyncio.get_running_loop().get_debug() is False


@pytest.mark.parametrize("number", [1, 2])
async def test_async_test_gets_fixtures_and_parameters(tmp_path: object, number: int) -> None:
    """Fixtures and parametrization work as in any other test."""
    assert tmp_path is not None
    assert number in (1, 2)


@given(st.integers())
async def test_async_test_takes_hypothesis_examples(number: int) -> None:
    """`@given` works on an async test; each example has a running loop."""
    assert asyncio.get_running_loop().is_running()
    assert isinstance(number, int)


class TestMethods:
    """Grouped tests may be async too."""

    async def test_async_method_runs(self) -> None:
        """An async method of a test class runs."""
        assert asyncio.get_running_loop().is_running()


def test_run_async_fails_for_a_leftover_task_and_names_it() -> None:
    """A task that outlives its test fails the test, by its name and its coroutine."""

    async def leaky() -> None:
        asyncio.create_task(asyncio.Event().wait(), name="watcher")  # noqa: RUF006 - the leak is what is tested

    with pytest.raises(AssertionError, match=r"tasks that outlived the test: watcher \(Event\.wait\)"):
        run_async(leaky, {})


def test_run_async_accepts_tasks_that_were_awaited() -> None:
    """A task that was cancelled and awaited is no leak."""

    async def tidy() -> None:
        task = asyncio.create_task(asyncio.Event().wait())
        task.cancel()
        await asyncio.wait([task])

    run_async(tidy, {})


def test_run_async_reports_the_error_of_the_test_itself() -> None:
    """An error in the test comes out as it is, whatever tasks it left behind."""

    async def failing(reason: str) -> None:
        asyncio.create_task(asyncio.Event().wait())  # noqa: RUF006 - left behind on purpose
        raise ValueError(reason)

    with pytest.raises(ValueError, match="because"):
        run_async(failing, {"reason": "because"})
