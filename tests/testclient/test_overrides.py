"""Other settings for the time of a test."""

import inspect

from lilya.conf import settings
from lilya.testclient import override_settings


def test_override_holds_within_the_block() -> None:
    """Also nested, with one object used several times."""
    before = settings.debug
    override = override_settings(debug=not before)
    for _ in range(2):
        with override:
            assert settings.debug is not before
            with override_settings(debug=before), override:
                assert settings.debug is not before
            assert settings.debug is not before
        assert settings.debug is before


async def test_override_holds_while_a_function_runs() -> None:
    """Of sync and async functions, which keep their names, arguments and results."""
    before = settings.debug

    @override_settings(debug=not before)
    def sync(number: int) -> tuple[int, bool]:
        return number, settings.debug

    @override_settings(debug=not before)
    async def asynchronous(number: int) -> tuple[int, bool]:
        return number, settings.debug

    assert sync(1) == (1, not before)
    assert await asynchronous(2) == (2, not before)
    assert settings.debug is before
    assert (sync.__name__, inspect.iscoroutinefunction(asynchronous)) == ("sync", True)
