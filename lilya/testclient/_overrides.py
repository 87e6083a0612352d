"""Other settings for the time of a test."""

import functools
import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Self, TypeVar

from lilya.conf import settings

__all__ = ["override_settings"]

F = TypeVar("F", bound=Callable[..., Any])


class override_settings:  # noqa: N801 - used like a function, and known by this name
    """
    Change attributes of `lilya.conf.settings` within a block, or while a function, sync or async, runs.

        @override_settings(debug=True)
        def test_debug() -> None: ...
    """

    def __init__(self, **values: Any) -> None:
        self._values = values
        self._entered: list[AbstractContextManager[Any]] = []

    def __enter__(self) -> Self:
        override: AbstractContextManager[Any] = settings.override(**self._values)
        override.__enter__()
        self._entered.append(override)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._entered.pop().__exit__(kind, error, traceback)

    def __call__(self, function: F) -> F:
        wrapper: Any
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def run_async(*args: Any, **kwargs: Any) -> Any:
                with settings.override(**self._values):
                    return await function(*args, **kwargs)

            wrapper = run_async
        else:

            @functools.wraps(function)
            def run(*args: Any, **kwargs: Any) -> Any:
                with settings.override(**self._values):
                    return function(*args, **kwargs)

            wrapper = run
        decorated: F = wrapper
        return decorated
