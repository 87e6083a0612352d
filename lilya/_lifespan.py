"""
Startup and shutdown (ASGI spec, "Lifespan Protocol").

Either functions, run in their order at startup and at shutdown, or one `lifespan(app)` context manager. What a context
manager yields, a mapping, becomes part of the state of every connection.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from lilya._layers import call
from lilya._watch import Watch
from lilya.concurrency import is_async_callable
from lilya.exceptions import ImproperlyConfigured
from lilya.types import Lifespan, LifespanEvent, Receive, Scope, Send

if TYPE_CHECKING:
    from lilya.drain import Drain

__all__ = ["check_lifespan", "from_hooks", "serve_lifespan"]

logger = logging.getLogger("lilya")


def check_lifespan(lifespan: Any) -> Lifespan:
    """
    The lifespan as given, if it is one.

    Raises:
        ImproperlyConfigured: A bare generator function, which needs `@asynccontextmanager`, or a coroutine function,
            or nothing that can be called.
    """
    if inspect.isasyncgenfunction(lifespan) or inspect.isgeneratorfunction(lifespan):
        raise ImproperlyConfigured(
            f"lifespan {lifespan.__qualname__} is a generator function: decorate it with "
            f"contextlib.asynccontextmanager."
        )
    if is_async_callable(lifespan):
        raise ImproperlyConfigured(
            f"lifespan={lifespan!r} is a coroutine function: let it `yield` once between startup and shutdown, and "
            f"decorate it with contextlib.asynccontextmanager."
        )
    if not callable(lifespan):
        raise ImproperlyConfigured(f"lifespan={lifespan!r} cannot be called: give a function that takes the app.")
    checked: Lifespan = lifespan
    return checked


def from_hooks(on_startup: Iterable[LifespanEvent], on_shutdown: Iterable[LifespanEvent]) -> Lifespan:
    """
    A lifespan that runs these functions, sync or async, without arguments; the lists are read when it runs.

    At shutdown all of them are run; then the error of one that failed is raised, or a group of several.
    """

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        for hook in on_startup:
            await call(hook)
        yield
        failed: list[Exception] = []
        for hook in on_shutdown:
            # One that fails must not keep the next from closing what it has to close.
            try:
                await call(hook)
            except Exception as error:
                failed.append(error)
        if failed:
            raise failed[0] if len(failed) == 1 else ExceptionGroup("Several functions of on_shutdown failed", failed)

    return lifespan


async def serve_lifespan(
    lifespan: Lifespan,
    app: Any,
    scope: Scope,
    receive: Receive,
    send: Send,
    *,
    prepare: Callable[[], None],
    watch: Watch,
    drain: Drain | None,
) -> None:
    """
    Answer the server's startup and shutdown messages, and see to it that no handler outlives the shutdown.

    Args:
        prepare: Compile the application first; what is wrong with it fails the startup.
        watch: Who looks after the connections, and after what lives as long as the application.
        drain: How the connections are ended; None is `Drain()`.
    """
    # Not at the top: only who serves needs them.
    from lilya._shutdown import Shutdown  # noqa: PLC0415
    from lilya.drain import Drain  # noqa: PLC0415

    started = False
    await receive()
    try:
        prepare()
        # Before anything of the application's own: a handler for signals that it installs can call ours.
        async with Shutdown(watch, drain or Drain()) as shutdown:
            try:
                async with lifespan(app) as state:
                    if state is not None:
                        _share(state, scope)
                    await send({"type": "lifespan.startup.complete"})
                    started = True
                    await receive()
                    await shutdown.finish()
            finally:
                await watch.shared.aclose()
    except asyncio.CancelledError:
        # The server's own way to end it: nothing has failed.
        raise
    except BaseException as error:
        # The last line says what is wrong; servers log the message as it is.
        kind = "shutdown" if started else "startup"
        logger.error("The lifespan's %s failed", kind, exc_info=error)
        await send({"type": f"lifespan.{kind}.failed", "message": f"{type(error).__name__}: {error}"})
        raise
    await send({"type": "lifespan.shutdown.complete"})


def _share(state: Mapping[str, Any], scope: Scope) -> None:
    if "state" not in scope:
        raise RuntimeError('The server does not support "state" in the lifespan scope, which the lifespan yields.')
    scope["state"].update(state)
