"""
How a value is got from what describes it: taken as it is, called, awaited, or opened and closed again later.

A call has its values under keys: path parameters under their names, the connection under `CONNECTION`, the store of
shared values under `SHARED`, and what a `Step` made under that step. Nothing is kept on a step.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Mapping
from contextlib import AbstractContextManager, AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from typing import Any, TypeAlias

from lilya._signature import Kind, where_defined
from lilya.concurrency import run_in_threadpool
from lilya.exceptions import ImproperlyConfigured

__all__ = ["CONNECTION", "SHARED", "Filling", "Step", "arguments_of", "make_all"]

# No identifiers, so that no path parameter has them.
CONNECTION, SHARED = "<connection>", "<shared>"
# The keyword of an argument, None if it is passed by position; and the key of its value.
Filling: TypeAlias = "tuple[str | None, object]"


def arguments_of(fillings: Iterable[Filling], values: Mapping[Any, Any]) -> tuple[list[Any], dict[str, Any]]:
    """What to call with: the arguments by position, and those by keyword."""
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for keyword, key in fillings:
        if keyword is None:
            args.append(values[key])
        else:
            kwargs[keyword] = values[key]
    return args, kwargs


async def make_all(steps: Iterable[Step], values: dict[Any, Any], stack: AsyncExitStack) -> None:
    """Add to `values` what these steps make, one after the other."""
    for step in steps:
        values[step] = await step.make(values, stack)


class _Same:
    """A thing as a key, whether it can be hashed or not: equal to the very same thing only."""

    __slots__ = ("thing",)

    def __init__(self, thing: object) -> None:
        self.thing = thing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.thing is other.thing

    def __hash__(self) -> int:
        return id(self.thing)


class Step:
    """
    One value on the way to a call, and the values made before it that fill the arguments of its `source`.

    `closes` tells that a generator is open as long as the value is used: its own one, or one behind its arguments.
    `key` is what the value is made of, down to the last argument: steps of two plans that have equal keys make the
    same value. `origin` is what the user declared, for the key; the source by default.
    """

    __slots__ = ("closes", "fillings", "key", "kind", "source")

    def __init__(
        self, kind: Kind, source: Any, fillings: Iterable[Filling] = (), closes: bool = False, origin: object = None
    ) -> None:
        self.kind: Kind = kind
        self.source: Any = source
        self.fillings: tuple[Filling, ...] = tuple(fillings)
        self.closes: bool = closes or kind in ("generator", "async generator")
        parts = [(name, value.key if isinstance(value, Step) else value) for name, value in self.fillings]
        self.key: object = (_Same(source if origin is None else origin), *parts)

    async def make(self, values: Mapping[Any, Any], stack: AsyncExitStack) -> Any:
        """Get the value; a generator is left open, and closed by `stack`, which sees no suppressed exception."""
        kind, source = self.kind, self.source
        if kind == "constant":
            return source
        args, kwargs = arguments_of(self.fillings, values)
        if kind == "coroutine function":
            return await source(*args, **kwargs)
        if kind in ("inline", "function"):
            made = source(*args, **kwargs) if kind == "inline" else await run_in_threadpool(source, *args, **kwargs)
            # A lambda or an undecorated wrapper around an async function.
            return await made if isinstance(made, Coroutine) else made
        if kind == "async generator":
            context = asynccontextmanager(source)(*args, **kwargs)
        else:
            context = _in_threads(contextmanager(source)(*args, **kwargs))

        async def close(*error: Any) -> None:
            await context.__aexit__(*error)

        made = await context.__aenter__()
        stack.push_async_exit(close)
        return made

    def make_now(self, values: Mapping[Any, Any], stack: ExitStack) -> Any:
        """The same for a caller that cannot wait: without threads, and for kinds that are not async."""
        if self.kind == "constant":
            return self.source
        args, kwargs = arguments_of(self.fillings, values)
        if self.kind == "generator":
            context = contextmanager(self.source)(*args, **kwargs)

            def close(*error: Any) -> None:
                context.__exit__(*error)

            made = context.__enter__()
            stack.push(close)
            return made
        made = self.source(*args, **kwargs)
        if isinstance(made, Coroutine):
            made.close()
            raise ImproperlyConfigured(
                f"@inject: a sync function cannot await what its dependency {where_defined(self.source)} returns. "
                f"Make the function async."
            )
        return made


@asynccontextmanager
async def _in_threads(context: AbstractContextManager[Any]) -> AsyncGenerator[Any]:
    # Both steps of the generator in threads, with one set of context variables.
    finish = functools.partial(_finish, contextvars.copy_context().run)
    try:
        yield await finish(context.__enter__)
    except BaseException as error:  # one to be thrown into it, a cancellation while it opened, or its own: then no harm
        await finish(context.__exit__, type(error), error, error.__traceback__)
        raise
    await finish(context.__exit__, None, None, None)


async def _finish(fn: Callable[..., Any], *args: Any) -> Any:
    # A thread cannot be stopped, so a cancelled step is waited for: no value that was made is lost without its
    # clean-up, and no clean-up overtakes another.
    step = asyncio.get_running_loop().run_in_executor(None, fn, *args)
    cancelled = None
    while not step.done():
        try:
            await asyncio.wait([step])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled from step.exception()
    return step.result()
