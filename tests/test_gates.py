"""Token buckets and gates, compared with the plainest way to say the same."""

import sys
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lilya._gates import Gate, TokenBucket, enter_gates, leave_gates

BURSTS = st.integers(1, 12)


def passed_by_definition(rate: float, burst: int, times: list[float]) -> list[bool]:
    """A message passes if no stretch of time that ends with it holds more than `burst + rate * t`."""
    passed: list[float] = []
    results = []
    for now in times:
        fits = all(len(passed) - first + 1 <= burst + rate * (now - at) for first, at in enumerate(passed))
        results.append(fits)
        if fits:
            passed.append(now)
    return results


# Multiples of 1/8 and 1/64: what floats calculate with them is exact.
@given(
    st.integers(1, 80).map(lambda n: n / 8),
    BURSTS,
    st.integers(-(2**20), 2**20).map(lambda n: n / 64),
    st.lists(st.integers(0, 256).map(lambda n: n / 64), max_size=60),
)
def test_bucket_lets_exactly_those_messages_through_that_the_definition_does(
    rate: float, burst: int, start: float, gaps: list[float]
) -> None:
    """Each message that fits in all windows passes, and no other."""
    times = list(accumulate(gaps, initial=start))
    bucket = TokenBucket(rate, burst)
    assert [bucket.take(now) == 0.0 for now in times] == passed_by_definition(rate, burst, times)


@given(
    st.floats(1e-4, 1e4),
    BURSTS,
    st.floats(-1e6, 1e6),
    st.lists(st.one_of(st.just(0.0), st.floats(0, 100)), max_size=60),
)
def test_bucket_never_lets_more_through_than_burst_and_rate_allow(
    rate: float, burst: int, start: float, gaps: list[float]
) -> None:
    """In any window of t seconds at most burst + rate * t messages pass, whatever the numbers are."""
    bucket = TokenBucket(rate, burst)
    passed = [now for now in accumulate(gaps, initial=start) if bucket.take(now) == 0.0]
    for first, since in enumerate(passed):
        for last, now in enumerate(passed[first:], first):
            assert last - first + 1 <= burst + rate * (now - since) + 1e-6


@given(st.integers(1, 80).map(lambda n: n / 8), BURSTS, st.lists(st.integers(0, 64).map(lambda n: n / 64), max_size=40))
def test_bucket_says_how_long_until_there_is_a_token(rate: float, burst: int, gaps: list[float]) -> None:
    """Just before that time there is none, just after it there is one; asking changes nothing."""
    bucket = TokenBucket(rate, burst)
    for now in accumulate(gaps, initial=0.0):
        wait = bucket.take(now)
        if wait:
            assert 0 < wait <= 1 / rate
            assert bucket.take(now + wait * 0.999) > 0
            assert bucket.take(now + wait * 1.001) == 0
            return


@given(BURSTS)
def test_bucket_is_full_at_first_and_holds_no_more_than_its_burst(burst: int) -> None:
    """Neither before the first message nor in a long silence does it gather more."""
    bucket = TokenBucket(0.25, burst)
    for now in (1e6, 2e6):
        assert [bucket.take(now) for _ in range(burst + 1)] == [0.0] * burst + [4.0]


KEYS = st.sampled_from([None, "192.0.2.1", "192.0.2.2", 7, ("ana", 1)])


@given(st.integers(1, 4), st.lists(st.tuples(st.booleans(), KEYS), max_size=80))
def test_gate_counts_like_a_counter(limit: int, steps: list[tuple[bool, Any]]) -> None:
    """It lets in below the limit only, is never below zero, and forgets a key with nobody in."""
    gate = Gate(limit, "connections", 503)
    counter: Counter[Any] = Counter()
    refused = 0
    for enters, key in steps:
        if enters:
            fits = counter[key] < limit
            assert gate.enter(key) is fits
            counter[key] += fits
            refused += not fits
        elif counter[key]:
            gate.leave(key)
            counter[key] -= 1
        else:
            with pytest.raises(KeyError):
                gate.leave(key)
        assert gate._counts == +counter
    assert gate.refused == refused


def test_gate_gives_its_memory_back() -> None:
    """A rush of clients leaves nothing behind when it is over."""
    gate = Gate(1, "connections_per_client", 429)
    before = sys.getsizeof(gate._counts)
    for key in range(10_000):
        assert gate.enter(key)
    assert sys.getsizeof(gate._counts) > 20 * before
    for key in range(10_000):
        gate.leave(key)
    assert sys.getsizeof(gate._counts) <= before


def test_gate_counts_right_in_several_threads() -> None:
    """An application that several event loops serve loses no count, and admits nobody beyond the limit."""
    gate = Gate(3, "connections", 503)

    def come_and_go() -> int:
        most = 0
        for _ in range(2_000):
            if gate.enter():
                most = max(most, gate._counts[None])
                gate.leave()
        return most

    with ThreadPoolExecutor(6) as threads:
        most = [thread.result(timeout=20) for thread in [threads.submit(come_and_go) for _ in range(6)]]
    assert gate._counts == {}
    assert max(most) <= 3


def test_gate_spreads_those_it_refuses_over_ten_seconds() -> None:
    """`Retry-After` is a whole number from 1 to 10, each equally often."""
    gate = Gate(1, "connections", 503)
    assert gate.enter()
    waits = Counter(gate.retry_after for _ in range(100) if not gate.enter())
    assert waits == dict.fromkeys(range(1, 11), 10)


def host_of(scope: Mapping[str, Any]) -> str | None:
    """The key for the gates below."""
    host: str | None = scope["host"]
    return host


def test_entering_gates_asks_each_one_with_its_own_key() -> None:
    """A gate without a key counts everybody, one with a key each on their own."""
    everybody, each = Gate(3, "connections", 503), Gate(1, "connections_per_client", 429, host_of)
    entered: list[tuple[Gate, Any]] = []
    assert enter_gates([everybody, each], {"host": "a"}, entered) is None
    assert enter_gates([everybody, each], {"host": "b"}, entered) is None
    assert (everybody._counts, each._counts) == ({None: 2}, {"a": 1, "b": 1})
    assert entered == [(everybody, None), (each, "a"), (everybody, None), (each, "b")]


def test_entering_gates_does_not_count_who_has_no_key() -> None:
    """Clients that cannot be told apart are not taken for one."""
    each = Gate(1, "connections_per_client", 429, host_of)
    entered: list[tuple[Gate, Any]] = []
    assert [enter_gates([each], {"host": None}, entered) for _ in range(3)] == [None] * 3
    assert (each._counts, entered) == ({}, [])


def test_entering_gates_stops_at_the_first_that_is_full() -> None:
    """That gate is returned; those before it are left with `leave_gates`, those behind it were not asked."""
    first, full, last = Gate(9, "connections", 503), Gate(1, "connections", 503), Gate(9, "connections", 503)
    assert full.enter()
    entered: list[tuple[Gate, Any]] = []
    assert enter_gates([first, full, last], {}, entered) is full
    assert (first._counts, last._counts, entered) == ({None: 1}, {}, [(first, None)])
    leave_gates(entered)
    assert (first._counts, full._counts, entered) == ({}, {None: 1}, [])


def test_leaving_gates_twice_leaves_once() -> None:
    """A connection whose end is handled twice gives back one place only."""
    gate = Gate(2, "connections", 503)
    mine: list[tuple[Gate, Any]] = []
    others: list[tuple[Gate, Any]] = []
    enter_gates([gate], {}, mine)
    enter_gates([gate], {}, others)
    leave_gates(mine)
    leave_gates(mine)
    assert gate._counts == {None: 1}


def test_entering_gates_keeps_what_was_entered_when_a_key_fails() -> None:
    """A key function that raises costs nobody a place."""
    first, broken = Gate(9, "connections", 503), Gate(1, "connections_per_client", 429, host_of)
    entered: list[tuple[Gate, Any]] = []
    with pytest.raises(KeyError):
        enter_gates([first, broken], {}, entered)
    leave_gates(entered)
    assert first._counts == {}
