"""
Print what a connection, a message and a route cost, as ratios.

    python -m benchmarks                       by the clock, about a quarter of a minute
    python -m benchmarks --instructions        by instructions (valgrind), about ten minutes, without noise
    python -m benchmarks --only text --rounds 15
"""

import argparse
import contextlib
from collections.abc import Iterator
from statistics import median

from benchmarks.conversations import CASES, PEERS, ROUTES, load_peer
from benchmarks.measure import VALGRIND, count_import, count_operation, do, time_case, time_import

IMPORT = "import"
# Enough to see a difference of one part in a thousand; a run starts at some 300 million instructions.
COUNTED_OPERATIONS = 100

Costs = dict[str, list[float]]  # by peer; one number for each round


def main(arguments: list[str] | None = None) -> None:
    """Measure and print, case by case."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--instructions", action="store_true", help="count instructions with valgrind")
    parser.add_argument("--only", metavar="WORD", help="only the cases whose name contains this")
    parser.add_argument("--rounds", type=int, default=9, help="how often each case is timed (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=0.02, help="how long each turn takes (default: %(default)s)")
    parser.add_argument("--do", nargs=3, metavar=("PEER", "CASE", "OPERATIONS"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.do:
        peer, case, operations = options.do
        do(peer, case, int(operations))
        return
    if options.instructions and VALGRIND is None:
        parser.error("--instructions needs valgrind (apt-get install valgrind)")

    unit = "thousand instructions" if options.instructions else "µs"
    peers = list(_installed())
    print(f"{'':26}" + "".join(f"{name:>12}" for name in peers) + f"   {unit}, and ours as a ratio")
    measured: dict[str, Costs] = {}
    for case in [*CASES, IMPORT]:
        if options.only is None or options.only in case:
            costs = measured[case] = _measure(case, peers, options)
            print(_row(case, costs, peers, 1e3 if options.instructions else 1e-6), flush=True)
    for line in _routing(measured):
        print(line)


def _installed() -> Iterator[str]:
    for name in PEERS:
        with contextlib.suppress(ModuleNotFoundError):
            load_peer(name)
            yield name


def _measure(case: str, peers: list[str], options: argparse.Namespace) -> Costs:
    if not options.instructions:
        if case == IMPORT:
            return time_import(peers, options.rounds)
        return time_case(CASES[case], peers, options.rounds, options.seconds)
    if case == IMPORT:
        imports = {name: load_peer(name).IMPORTS for name in peers}
        return {name: [count_import(modules)] for name, modules in imports.items() if modules}
    able = [name for name in peers if CASES[case].routes is None or name != "raw"]
    return {name: [count_operation(name, case, COUNTED_OPERATIONS)] for name in able}


def _row(case: str, costs: Costs, peers: list[str], unit: float) -> str:
    cells = [f"{median(costs[name]) / unit:12.2f}" if name in costs else f"{'–':>12}" for name in peers]
    ratios = [f"{ratio(costs['ours'], costs[name]):.3g} × {name}" for name in peers if name != "ours" and name in costs]
    return f"{case:26}" + "".join(cells) + "   " + ", ".join(ratios)


def _routing(measured: dict[str, Costs]) -> Iterator[str]:
    """How much more it costs to find a route among many than among few."""
    few, many = ROUTES
    for which in ("first", "last", "none"):
        small, large = (measured.get(f"{which} of {count} routes") for count in ROUTES)
        if small and large:
            growth = ", ".join(f"{ratio(large[name], small[name]):.3g} × {name}" for name in large)
            yield f"{which + ' of ' + str(many) + ' against ' + str(few):38} {growth}"


def ratio(costs: list[float], base: list[float]) -> float:
    """The median of the ratios, round by round: both were measured under the same conditions."""
    return median(one / other for one, other in zip(costs, base, strict=True))


if __name__ == "__main__":
    main()
