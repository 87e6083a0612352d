"""The settings of a drain, and who is closed when in it."""

import dataclasses
import math
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lilya._state import is_sendable
from lilya.drain import Drain, schedule
from lilya.exceptions import ImproperlyConfigured

SECONDS = st.one_of(st.just(0), st.integers(0, 3600), st.floats(0, 3600, allow_subnormal=False))
BELOW_ONE = st.floats(0, 1, exclude_max=True)


def numbers_from(fractions: st.DataObject) -> Callable[[], float]:
    """A `random` whose numbers hypothesis chooses."""
    return lambda: fractions.draw(BELOW_ONE)


def test_drain_has_the_defaults_of_the_contract() -> None:
    """Twenty seconds, five for the stragglers, and 1012 "service restart"."""
    assert dataclasses.asdict(Drain()) == {
        "seconds": 20,
        "cancel_seconds": 5,
        "code": 1012,
        "reason": "service restart",
    }


def test_drain_is_a_value() -> None:
    """Equal settings are equal, hashable and cannot be changed, and an argument has to say what it is."""
    assert Drain(seconds=3) == Drain(seconds=3) != Drain()
    assert len({Drain(), Drain()}) == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        Drain().seconds = 3  # type: ignore[misc]  # that is the point
    with pytest.raises(TypeError):
        Drain(3)  # type: ignore[call-arg]  # that is the point


@pytest.mark.parametrize("settings", [{"seconds": 0, "cancel_seconds": 0}, {"seconds": 0.5}, {"reason": ""}])
def test_drain_takes_what_makes_sense(settings: dict[str, Any]) -> None:
    """No time at all, parts of a second and no reason are all right."""
    drain = Drain(**settings)
    assert {name: getattr(drain, name) for name in settings} == settings


@given(code=st.integers(0, 5000))
def test_drain_takes_the_codes_that_may_be_sent(code: int) -> None:
    """A code is taken exactly if it may stand in a close frame."""
    if is_sendable(code):
        assert Drain(code=code).code == code
    else:
        with pytest.raises(ImproperlyConfigured, match=rf"Drain\(code={code}\)"):
            Drain(code=code)


@given(reason=st.text(max_size=200))
@example("x" * 123)
@example("x" * 124)
@example("é" * 61 + "x")
@example("é" * 62)
def test_drain_takes_the_reasons_that_fit_a_close_frame(reason: str) -> None:
    """A reason is taken exactly if it has at most 123 bytes of UTF-8."""
    if len(reason.encode()) <= 123:
        assert Drain(reason=reason).reason == reason
    else:
        with pytest.raises(ImproperlyConfigured, match="bytes of UTF-8"):
            Drain(reason=reason)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seconds": -1}, "Drain(seconds=-1): give a number of seconds of at least 0; 0 closes every connection"),
        ({"seconds": math.nan}, "Drain(seconds=nan): give a number of seconds of at least 0"),
        ({"seconds": math.inf}, "Drain(seconds=inf): give a number of seconds of at least 0"),
        ({"seconds": True}, "Drain(seconds=True): give a number of seconds of at least 0"),
        ({"seconds": "20s"}, "Drain(seconds='20s'): give a number of seconds of at least 0"),
        ({"seconds": None}, "Drain(seconds=None): give a number of seconds of at least 0"),
        ({"cancel_seconds": -0.1}, "Drain(cancel_seconds=-0.1): give a number of seconds of at least 0; 0 does not"),
        ({"code": 1006}, "Drain(code=1006): give a close code that may be sent: 1000–1003, 1007–1014 or 3000–4999."),
        ({"code": "1012"}, "Drain(code='1012'): give a close code"),
        ({"code": 1012.0}, "Drain(code=1012.0): give a close code"),
        ({"reason": None}, "Drain(reason=None): give a text; '' sends none."),
        ({"reason": "\ud800"}, "Drain(reason='\\ud800'): it has no UTF-8 form; take out the surrogates."),
        ({"reason": "x" * 124}, "124 bytes of UTF-8 do not fit a close frame; shorten it to 123."),
    ],
)
def test_drain_refuses_what_it_cannot_do(settings: dict[str, Any], message: str) -> None:
    """The error names the field, its value and the remedy."""
    with pytest.raises(ImproperlyConfigured) as caught:
        Drain(**settings)
    assert message in str(caught.value)


@given(count=st.integers(0, 300), seconds=SECONDS, fractions=st.data())
def test_schedule_has_one_moment_in_each_slot(count: int, seconds: float, fractions: st.DataObject) -> None:
    """Of `count` equal slots in the first 90 % of the time, each has one moment; so they ascend."""
    moments = schedule(count, seconds, numbers_from(fractions))
    slot = 0.9 * seconds / max(count, 1)
    assert len(moments) == count
    assert moments == sorted(moments)
    assert all(number * slot <= moment or math.isclose(moment, number * slot) for number, moment in enumerate(moments))
    assert all(
        moment <= (number + 1) * slot or math.isclose(moment, (number + 1) * slot)
        for number, moment in enumerate(moments)
    )
    assert all(0 <= moment <= seconds for moment in moments)


@given(count=st.integers(0, 100), fractions=st.data())
def test_schedule_without_time_is_at_once(count: int, fractions: st.DataObject) -> None:
    """No time: every moment is now."""
    assert schedule(count, 0, numbers_from(fractions)) == [0] * count


def test_schedule_of_nobody_is_empty() -> None:
    """No connections, no moments."""
    assert schedule(0, 20, random.random) == []


@given(count=st.integers(1, 50))
def test_schedule_with_the_middle_of_each_slot_is_even(count: int) -> None:
    """Where the jitter is half a slot each time, the moments have equal distances."""
    moments = schedule(count, 10, lambda: 0.5)
    assert moments == pytest.approx([9 * (number + 0.5) / count for number in range(count)])


def test_schedule_differs_between_servers() -> None:
    """Two servers that stop together do not keep time with each other; equal random numbers give equal moments."""
    one, other = random.Random(1), random.Random(2)
    assert schedule(100, 20, one.random) != schedule(100, 20, other.random)
    assert schedule(100, 20, random.Random(1).random) == schedule(100, 20, random.Random(1).random)
