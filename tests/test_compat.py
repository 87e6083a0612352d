"""Small functions at the import path that users know; `reverse` is tested with the paths it gives."""

import functools
from typing import Any

import pytest

from lilya import compat, concurrency
from lilya.compat import is_async_callable, run_in_threadpool


async def asynchronous() -> int:
    """An async function."""
    return 1


def synchronous() -> int:
    """A sync function."""
    return 2


class AsyncCall:
    """An object that is called asynchronously."""

    async def __call__(self) -> None:
        """Do nothing."""


@pytest.mark.parametrize(
    ("function", "answer"),
    [
        (asynchronous, True),
        (functools.partial(asynchronous), True),
        (AsyncCall(), True),
        (AsyncCall, False),
        (synchronous, False),
        (functools.partial(synchronous), False),
        (7, False),
    ],
)
def test_compat_tells_async_callables(function: Any, answer: bool) -> None:
    """Functions, partials and objects; a class makes an instance."""
    assert is_async_callable(function) is answer


async def test_compat_runs_in_a_thread() -> None:
    """The result of a sync function comes back."""
    assert await run_in_threadpool(synchronous) == 2


def test_compat_has_no_functions_of_its_own_but_reverse() -> None:
    """The others are those of `lilya.concurrency`."""
    assert set(compat.__all__) == {"is_async_callable", "reverse", "run_in_threadpool"}
    assert is_async_callable is concurrency.is_async_callable
    assert run_in_threadpool is concurrency.run_in_threadpool
