"""The event loop of a synchronous client: in a thread of its own, called from the test's thread."""

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from lilya.testclient._errors import ReceiveTimeout
from lilya.testclient._standing import line_of_thread

__all__ = ["Portal"]

P = ParamSpec("P")
T = TypeVar("T")


class Portal:
    """
    Runs coroutines on a background loop between `__enter__` and `__exit__`.

    Exceptions come out of `call` as the same objects; what runs sees the context variables of the calling thread.

    Args:
        options: For `asyncio.Runner`: `debug`, `loop_factory`.
        grace: Seconds that a call may take longer than it should before its loop counts as blocked.
    """

    def __init__(self, options: dict[str, Any], grace: float = 1.0) -> None:
        self._options = options
        self._grace = grace
        self._loop: concurrent.futures.Future[asyncio.AbstractEventLoop] = concurrent.futures.Future()
        # A daemon: an app that blocks the loop for ever has been reported, and must not keep the process from ending.
        self._thread = threading.Thread(target=self._serve, name="event loop of a TestClient", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._loop.result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._loop.result().call_soon_threadsafe(self._closing.set)
        # Not for ever: a handler may hold the loop, or a worker thread that the loop waits for as it closes.
        self._thread.join(5 * self._grace)

    def call(
        self,
        within: float | None,
        function: Callable[P, Coroutine[Any, Any, T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """
        Await `function(*args, **kwargs)` on the loop.

        Args:
            within: Seconds after which it should have ended by itself; None: never mind.

        Raises:
            ReceiveTimeout: It has not, because something holds the loop; the text names the line.
        """

        # The error comes as a value: raised in the loop's thread, asyncio would make a copy of some (TimeoutError), and
        # others (KeyboardInterrupt) would end the loop.
        async def outcome() -> tuple[T, None] | tuple[None, BaseException]:
            try:
                return await function(*args, **kwargs), None
            except BaseException as error:
                return None, error

        future = asyncio.run_coroutine_threadsafe(outcome(), self._loop.result())
        try:
            result = future.result(None if within is None else within + self._grace)
        except TimeoutError:
            future.cancel()
            line = line_of_thread(self._thread)
            raise ReceiveTimeout(
                f"The event loop did not answer within {within} s: the application blocks it at {line}. "
                "Await instead, or use asyncio.to_thread()"
            ) from None
        if result[1] is not None:
            raise result[1]
        return result[0]

    def _serve(self) -> None:
        try:
            with asyncio.Runner(**self._options) as runner:
                runner.run(self._until_closed())
        except BaseException as error:
            self._loop.set_exception(error)

    async def _until_closed(self) -> None:
        self._closing = asyncio.Event()
        self._loop.set_result(asyncio.get_running_loop())
        await self._closing.wait()
