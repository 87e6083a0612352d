"""
How an application ends its connections when the server stops.

uvicorn leaves the signal to the application (`lilya._signals`): new handshakes are refused from then on, and the open
connections are closed one after the other, in the time that `Drain` gives, before uvicorn gets its signal and stops.
Every other server just ends the lifespan: whoever is still there then has to go at once.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from types import TracebackType
from typing import TYPE_CHECKING, Any

from lilya._signals import Takeover, take_over
from lilya._watch import Watch, draining
from lilya._wire import Wire

if TYPE_CHECKING:
    from lilya.drain import Drain

__all__ = ["Shutdown"]

logger = logging.getLogger("lilya")

# How long handlers have to end by themselves when they were told just now, in seconds.
MOMENT = 0.1

# How often a handler that goes on is cancelled again, in seconds.
AGAIN_SECONDS = 1.0


class Shutdown:
    """
    The end of the connections of one application in one event loop; to be entered in the lifespan's startup.

    Signals are taken over in the block, where they can be. What was begun in it has ended after it.

    Args:
        watch: Who looks after the connections.
        drain: How they are ended.
    """

    def __init__(self, watch: Watch, drain: Drain) -> None:
        self._watch = watch
        self._drain = drain
        self._signals: list[int] = []
        self._takeover: Takeover | None = None
        self._draining: asyncio.Task[None] | None = None
        # Done when there is nothing to wait for: somebody is in a hurry, or every handler has ended.
        self._enough: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def __aenter__(self) -> Shutdown:
        self._takeover = take_over(self._on_signal)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._takeover is not None:
            self._takeover.restore()
        if self._draining is not None:
            self._draining.cancel()
            await asyncio.wait([self._draining])
        # A test client may start the application again.
        self._watch.draining = False

    async def finish(self) -> None:
        """End whatever is left, at once: the server has told the lifespan to shut down."""
        self._watch.draining = True
        self._wait_no_more()
        if self._draining is not None:
            await asyncio.wait([self._draining])
            if not self._draining.cancelled():
                return
        await self._end_all(0)

    def _on_signal(self, signum: int) -> None:
        """The first signal begins the drain, the second one hurries it, the third one ends it."""
        takeover = self._takeover
        assert takeover is not None

        def stop_server(drained: asyncio.Task[None]) -> None:
            # However it has ended: not even a mistake in it may keep the process running.
            takeover.restore()
            takeover.hand_on(self._signals[0])

        self._signals.append(signum)
        if self._draining is None:
            self._watch.draining = True
            self._draining = asyncio.get_running_loop().create_task(self._drain_all())
            self._draining.add_done_callback(stop_server)
        elif self._draining.done():
            # It came while uvicorn was given its signals back.
            takeover.hand_on(signum)
        elif len(self._signals) > 2:
            self._draining.cancel()
        if signum == signal.SIGINT or takeover.reloading or len(self._signals) > 1:
            self._wait_no_more()

    async def _drain_all(self) -> None:
        await self._end_all(0 if self._enough.done() else self._drain.seconds)

    async def _end_all(self, seconds: float) -> None:
        """Close every connection within so many seconds, cancel the handlers that go on, and wait for them."""
        handlers = self._handlers()
        if not handlers:
            return
        logger.info("Shutting down: closing %d connections over %g s", len(handlers), seconds)
        running = dict(handlers)

        def ended(task: asyncio.Task[Any]) -> None:
            del running[task]
            if not running:
                self._wait_no_more()

        for task in handlers:
            task.add_done_callback(ended)
        await self._close(list(handlers.values()), seconds)
        if running:
            await asyncio.wait(running, timeout=MOMENT)
        await self._cancel(running)
        if running:
            routes = ", ".join(sorted({wire.route or "-" for wire in running.values()}))
            logger.warning(
                "%d handlers are still running %g s after they were cancelled, and are left alone: %s",
                len(running),
                self._drain.cancel_seconds,
                routes,
            )

    def _handlers(self) -> dict[asyncio.Task[Any], Wire]:
        """The connections of this event loop by the task of their handler."""
        loop = asyncio.get_running_loop()
        tasks = [(wire.task, wire) for wire in self._watch.wires]
        return {task: wire for task, wire in tasks if task is not None and task.get_loop() is loop}

    async def _close(self, wires: list[Wire], seconds: float) -> None:
        """Close the connections in an order at random, and wait until the time is over, if there is anybody left."""
        # Not at the top: `import lilya.apps` has to stay light.
        import random  # noqa: PLC0415

        from lilya.drain import schedule  # noqa: PLC0415

        start = asyncio.get_running_loop().time()
        random.shuffle(wires)
        for wire, moment in zip(wires, schedule(len(wires), seconds, random.random), strict=True):
            await self._wait_until(start + moment)
            if wire.open:
                wire.end_soon(self._drain.code, self._drain.reason, "drain")
            elif not wire.answered:
                wire.verdict = draining()
                wire.cancel()
        await self._wait_until(start + seconds)

    async def _wait_until(self, moment: float) -> None:
        """Wait until this moment of the event loop's time, if there is anything to wait for."""
        await asyncio.wait([self._enough], timeout=moment - asyncio.get_running_loop().time())

    def _wait_no_more(self) -> None:
        if not self._enough.done():
            self._enough.set_result(None)

    async def _cancel(self, running: dict[asyncio.Task[Any], Wire]) -> None:
        """Cancel handlers, again and again, until they have ended or the time for that is over."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._drain.cancel_seconds
        while running:
            for wire in running.values():
                wire.cancel()
                if wire.ender is not None:
                    # A client that takes nothing, or a server that sends nothing any more, as granian at its end.
                    wire.ender.cancel()
            left = end - loop.time()
            if left <= 0:
                return
            await asyncio.wait(running, timeout=min(left, AGAIN_SECONDS))
