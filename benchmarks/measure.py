"""Two ways to measure an operation: by the clock, rounds interleaved, or by counting instructions."""

import os
import re
import shutil
import subprocess
import sys

from benchmarks.conversations import CASES, Case, load_peer

__all__ = ["VALGRIND", "count_import", "count_operation", "do", "time_case", "time_import"]

# Paid in any case: the server needs it.
BEFORE = "import asyncio"

VALGRIND = shutil.which("valgrind")


def time_case(case: Case, peers: list[str], rounds: int, round_seconds: float) -> dict[str, list[float]]:
    """
    Seconds per operation, one number for each round, by peer.

    Within a round every peer has its turn, so that whatever disturbs the machine for a while disturbs them all. A turn
    has as many operations as fit into `round_seconds`.
    """
    apps = {name: app for name in peers if (app := case.app_of(load_peer(name))) is not None}
    operations: dict[str, int] = {}
    for name, app in apps.items():
        case.run(app, 1)  # what is compiled late is compiled now
        operations[name] = max(1, int(round_seconds * 10 / case.run(app, 10)))
    seconds: dict[str, list[float]] = {name: [] for name in apps}
    for _ in range(rounds):
        for name, app in apps.items():
            seconds[name].append(case.run(app, operations[name]) / operations[name])
    return seconds


def time_import(peers: list[str], rounds: int) -> dict[str, list[float]]:
    """Seconds to import what an app needs, in a fresh interpreter, by peer."""
    imports = {name: load_peer(name).IMPORTS for name in peers}
    seconds: dict[str, list[float]] = {name: [] for name, modules in imports.items() if modules}
    for _ in range(rounds):
        for name in seconds:
            code = f"{BEFORE}, time; t = time.perf_counter(); import {imports[name]}; print(time.perf_counter() - t)"
            seconds[name].append(float(_python("-c", code).stdout))
    return seconds


def do(peer: str, case: str, operations: int) -> None:
    """What runs under valgrind: one app, so many operations."""
    app = CASES[case].app_of(load_peer(peer))
    assert app is not None
    CASES[case].run(app, operations)


def count_operation(peer: str, case: str, operations: int) -> float:
    """Instructions per operation: the difference of two runs, in which everything else cancels out."""
    few = _instructions("-m", "benchmarks", "--do", peer, case, str(operations))
    many = _instructions("-m", "benchmarks", "--do", peer, case, str(3 * operations))
    return (many - few) / (2 * operations)


def count_import(modules: str) -> float:
    """Instructions to import these modules, comma separated, in a fresh interpreter."""
    return _instructions("-c", f"{BEFORE}, {modules}") - _instructions("-c", BEFORE)


def _instructions(*arguments: str) -> int:
    assert VALGRIND is not None
    # Once without counting, which leaves compiled modules on the disk: compiling is not what is measured.
    _python(*arguments)
    tool = [VALGRIND, "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
    log = _python(*arguments, before=tool).stderr
    found = re.search(r"I\s+refs:\s+([\d,]+)", log)
    if found is None:
        raise RuntimeError(f"valgrind counted nothing:\n{log}")
    return int(found[1].replace(",", ""))


def _python(*arguments: str, before: list[str] | None = None) -> subprocess.CompletedProcess[str]:
    # A fixed seed: the layout of sets and dictionaries must be the same in both runs of a difference.
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [*(before or []), sys.executable, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
