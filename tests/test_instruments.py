"""Hooks for connections: what they are told, what their failures do, what is counted."""

import asyncio
import json
import logging
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Any

import pytest

from lilya.instruments import ConnectionInfo, Instrument, Stats, Tally, tell, wants_messages

INFO = ConnectionInfo(id="a1", path="/chat/x", route="/chat/{room}")


class Diary(Instrument):
    """Writes down every call."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def handshake(self, info: ConnectionInfo) -> None:
        self.calls.append(("handshake", info))

    def opened(self, info: ConnectionInfo) -> None:
        self.calls.append(("opened", info))

    def refused(self, info: ConnectionInfo) -> None:
        self.calls.append(("refused", info))

    def closed(self, info: ConnectionInfo) -> None:
        self.calls.append(("closed", info))

    def received(self, info: ConnectionInfo, size: int, kind: str) -> None:
        self.calls.append(("received", info, size, kind))

    def sent(self, info: ConnectionInfo, size: int, kind: str) -> None:
        self.calls.append(("sent", info, size, kind))


CALLS: list[tuple[Any, ...]] = [
    ("handshake", INFO),
    ("opened", INFO),
    ("refused", INFO),
    ("closed", INFO),
    ("received", INFO, 3, "text"),
    ("sent", INFO, 4, "binary"),
]


class Failing(Instrument):
    """Fails at every opening with what it was given; counts ends."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.ends = 0

    def opened(self, info: ConnectionInfo) -> None:
        raise self.error

    def closed(self, info: ConnectionInfo) -> None:
        self.ends += 1


def test_info_has_defaults_and_takes_all_attributes_by_keyword() -> None:
    """What is not given is empty; each instance has a scope of its own."""
    info = ConnectionInfo()
    values = {name: getattr(info, name) for name in ConnectionInfo.__slots__}
    assert values == {
        "id": "",
        "path": "",
        "route": None,
        "scope": {},
        "status": None,
        "cause": "",
        "code": None,
        "reason": "",
        "ended_by": "",
        "seconds": 0.0,
        "received": 0,
        "sent": 0,
    }
    assert ConnectionInfo().scope is not info.scope
    given_values = {name: name for name in ConnectionInfo.__slots__}
    given_info: Any = ConnectionInfo(**given_values)  # type: ignore[arg-type]  # any value will do
    assert {name: getattr(given_info, name) for name in ConnectionInfo.__slots__} == given_values


def test_info_repr_keeps_secrets() -> None:
    """The scope, in which tokens are, does not get into logs by a repr."""
    scope = {"query_string": b"token=s3cr3t", "headers": [(b"authorization", b"Bearer s3cr3t")]}
    assert repr(ConnectionInfo(id="a1", path="/x", scope=scope)) == "ConnectionInfo(id='a1', path='/x', route=None)"


def test_instrument_does_nothing_by_itself() -> None:
    """Every hook of the base class can be called."""
    instrument = Instrument()
    for name, *arguments in CALLS:
        assert getattr(instrument, name)(*arguments) is None


def test_tell_calls_the_hook_of_each_instrument() -> None:
    """All hooks arrive with their arguments, at all instruments, in order."""
    diaries = Diary(), Diary()
    for name, *arguments in CALLS:
        tell(diaries, name, *arguments)
    assert [diary.calls for diary in diaries] == [CALLS, CALLS]


@pytest.mark.parametrize("error", [ValueError("oops"), asyncio.CancelledError()], ids=repr)
def test_tell_survives_a_failing_hook(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    """Others are told, the failing one is told about everything else, and its first failure alone is logged."""
    failing, fine, diary = Failing(error), Failing(error), Diary()
    with caplog.at_level(logging.DEBUG, logger="lilya"):
        for _ in range(3):
            tell((failing, diary), "opened", INFO)
        tell((failing, diary), "closed", INFO)
    assert (failing.hook_failures, failing.ends, diary.hook_failures, fine.hook_failures) == (3, 1, 0, 0)
    assert diary.calls == [("opened", INFO)] * 3 + [("closed", INFO)]
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("lilya", "ERROR")
    assert record.getMessage().endswith(
        "test_instruments.Failing.opened failed; further failures of it are counted, not logged."
    )
    assert record.exc_info is not None
    assert record.exc_info[1] is error


def test_tell_lets_through_what_ends_the_process() -> None:
    """An interrupt from the keyboard is nobody's failure."""
    with pytest.raises(KeyboardInterrupt):
        tell([Failing(KeyboardInterrupt())], "opened", INFO)


def test_tell_counts_failures_of_a_frozen_instrument(caplog: pytest.LogCaptureFixture) -> None:
    """Even an instrument whose attributes cannot be set does not disturb a connection."""

    @dataclass(frozen=True, slots=True)
    class Frozen(Instrument):
        seen: list[str] = field(default_factory=list)

        def opened(self, info: ConnectionInfo) -> None:
            self.seen.append(info.id)
            raise ValueError

    frozen = Frozen()
    tell([frozen, frozen], "opened", INFO)
    assert (frozen.hook_failures, frozen.seen, len(caplog.records)) == (2, ["a1", "a1"], 1)


def test_wants_messages_of_those_who_override_a_message_hook() -> None:
    """Either hook is enough; `message_hooks` says no for an instance or a class."""

    class Receiving(Instrument):
        def received(self, info: ConnectionInfo, size: int, kind: str) -> None:
            raise NotImplementedError

    class Sending(Instrument):
        def sent(self, info: ConnectionInfo, size: int, kind: str) -> None:
            raise NotImplementedError

    class Heir(Sending):
        pass

    class Quiet(Sending):
        message_hooks = False

    silenced = Diary()
    silenced.message_hooks = False
    instruments = [Receiving(), Sending(), Heir(), Diary(), Instrument(), Failing(ValueError()), Quiet(), silenced]
    assert [wants_messages(instrument) for instrument in instruments] == [True] * 4 + [False] * 4


@pytest.mark.parametrize("name", [name for name, *_ in CALLS])
def test_instrument_refuses_async_hooks(name: str) -> None:
    """A hook that would have to be awaited is an error where the class is defined, a mixin's too."""

    async def hook(self: Instrument, *arguments: object) -> None:
        raise NotImplementedError

    with pytest.raises(TypeError, match=rf"^Late\.{name} is async, .* Write `def {name}` and "):
        type("Late", (Instrument,), {name: hook})
    mixin = type("Mixin", (), {name: hook})
    with pytest.raises(TypeError, match=rf"^Late\.{name} is async"):
        type("Late", (mixin, Instrument), {})


def test_snapshot_has_the_counts_up_to_it() -> None:
    """It does not change with what happens later, and counts the messages of open connections when it is told them."""
    tally = Tally()
    assert tally.snapshot() == Stats()
    tally.open, tally.opened, tally.received, tally.sent, tally.drops = 1, 3, 4, 5, 6
    tally.closes[1000] = 2
    tally.refusals["origin"] = 7
    before = tally.snapshot(received=10, sent=20)
    tally.open += 1
    tally.closes[1000] += 1
    tally.refusals["handler"] = 1
    assert before == Stats(1, 3, {1000: 2}, {"origin": 7}, 14, 25, 6)


def test_stats_are_read_only_and_readable() -> None:
    """No attribute can be set, and the repr shows each one by its name."""
    text = "Stats(open=1, opened=2, closes={1000: 1}, refusals={'origin': 1}, received=0, sent=0, drops=0)"
    stats = Stats(1, 2, {1000: 1}, {"origin": 1})
    assert repr(stats) == text
    with pytest.raises(AttributeError):
        stats.open = 5


def test_stats_dictionary_is_json() -> None:
    """`as_dict` comes through JSON as it is, in a stable order, and is the caller's own."""
    stats = Stats(2, 5, {4401: 1, 1000: 2}, {"origin": 1, "client": 3}, 7, 8, 9)
    counts = stats.as_dict()
    assert json.loads(json.dumps(counts)) == counts
    assert list(counts["closes"].items()) == [("1000", 2), ("4401", 1)]
    assert list(counts["refusals"].items()) == [("client", 3), ("origin", 1)]
    assert {name: value for name, value in counts.items() if isinstance(value, int)} == {
        "open": 2,
        "opened": 5,
        "received": 7,
        "sent": 8,
        "drops": 9,
    }
    counts["closes"].clear()
    assert stats.closes == {4401: 1, 1000: 2}


def test_instruments_import_nothing_from_outside() -> None:
    """The module is there without the extras, and does not load them."""
    code = "import sys, lilya.instruments; print(*{'prometheus_client', 'opentelemetry'} & {*sys.modules})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=True)
    assert result.stdout.strip() == ""


def test_stats_cannot_be_a_key() -> None:
    """They hold dictionaries, and are equal if those are."""
    with pytest.raises(TypeError, match="cannot be a key"):
        hash(Stats())
