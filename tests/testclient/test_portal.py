"""The event loop in a thread: results, errors, and a loop that an app holds."""

import threading

import pytest

from lilya.testclient._errors import ReceiveTimeout
from lilya.testclient._portal import Portal


def test_call_returns_the_result_and_raises_the_same_object() -> None:
    """Also an exception that asyncio would copy, and one that would end the loop."""
    errors: list[BaseException] = [LookupError(), TimeoutError(), KeyboardInterrupt()]

    async def double(number: int) -> int:
        return 2 * number

    async def fail(error: BaseException) -> None:
        raise error

    with Portal({}) as portal:
        assert portal.call(1.0, double, 21) == 42
        assert portal.call(None, double, number=4) == 8
        for error in errors:
            with pytest.raises(type(error)) as caught:
                portal.call(1.0, fail, error)
            assert caught.value is error


def test_portal_raises_what_keeps_the_loop_from_starting() -> None:
    """A loop that cannot be made is an error of the caller, not a hang."""

    def make() -> None:
        raise LookupError("no loop")

    with pytest.raises(LookupError, match="no loop"):
        Portal({"loop_factory": make}).__enter__()


def test_call_reports_who_holds_the_loop() -> None:
    """A handler that blocks the thread is named by file and line, and leaving does not wait for it for ever."""
    release = threading.Event()

    def block() -> None:
        release.wait()

    async def handler() -> None:
        block()

    portal = Portal({}, grace=0.02)
    with portal, pytest.raises(ReceiveTimeout) as caught:
        portal.call(0.01, handler)
    assert f"did not answer within 0.01 s: the application blocks it at {__file__}:" in str(caught.value)
    assert f"{block.__code__.co_firstlineno + 1} in {block.__qualname__}" in str(caught.value)
    release.set()
    portal._thread.join()
    assert not portal._thread.is_alive()
