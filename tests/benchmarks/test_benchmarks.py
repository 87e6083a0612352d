"""The benchmarks run, and measure what they say; how fast anything is, no test says."""

import pytest

from benchmarks.__main__ import main
from benchmarks.conversations import CASES, PEERS, load_peer
from benchmarks.measure import VALGRIND, count_operation, time_case
from lilya.types import Receive, Scope, Send


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("case", [name for name in CASES if "5000" not in name])
def test_benchmarks_app_answers_as_expected(case: str, peer: str) -> None:
    """Every app of every peer has the conversation that its case expects, or says that it has no such app."""
    app = CASES[case].app_of(load_peer(peer))
    if app is None:
        assert peer == "raw"
    else:
        assert CASES[case].run(app, 3) > 0


@pytest.mark.parametrize("case", ["connect, accept, close", "text echo"])
def test_benchmarks_notice_an_app_that_answers_otherwise(case: str) -> None:
    """To refuse is not a fast way to answer."""

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.close"})

    with pytest.raises(AssertionError):
        CASES[case].run(refuse, 1)


def test_benchmarks_interleave_the_peers_round_by_round() -> None:
    """There is one number per round for every peer that has the app."""
    seconds = time_case(CASES["connect, accept, close"], ["raw", "ours"], rounds=2, round_seconds=0.0001)
    assert {peer: len(rounds) for peer, rounds in seconds.items()} == {"raw": 2, "ours": 2}
    assert list(time_case(CASES["last of 10 routes"], ["raw", "ours"], rounds=1, round_seconds=0.0001)) == ["ours"]


@pytest.mark.parametrize("only", ["text", "10 routes", "import"])
def test_benchmarks_print_a_row_for_every_case(only: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The table has the cases that were asked for, with our ratio to the others."""
    main(["--only", only, "--rounds", "1", "--seconds", "0.0001"])
    head, *rows = capsys.readouterr().out.splitlines()
    assert all(peer in head for peer in PEERS)
    assert len(rows) == len([name for name in [*CASES, "import"] if only in name])
    assert all("× starlette" in row for row in rows)


@pytest.mark.slow
@pytest.mark.timeout(120)  # an interpreter under valgrind takes its time
@pytest.mark.skipif(VALGRIND is None, reason="no valgrind: apt-get install valgrind")
def test_benchmarks_count_instructions() -> None:
    """An echo costs some thousand instructions; the start-up, hundreds of millions, is not counted."""
    assert 1_000 < count_operation("raw", "text echo", 10) < 100_000
