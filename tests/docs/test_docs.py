"""
Every Python block of the documentation runs, and every test in one passes.

A block is a module of its own, so it can be copied as it stands. A block titled with a file name can be imported by
the blocks after it on the same page: after

    ```python title="chat.py"

a later block may say `from chat import app`. Functions named `test_…` without arguments are called, async ones in an
event loop of their own.
"""

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_examples import CodeExample, EvalExample, find_examples

from lilya import encoders
from lilya.transformers import TRANSFORMER_TYPES
from tests.support.async_tests import run_async
from tests.support.servers import ROOT

SOURCES = [path for name in ("README.md", "CONTRIBUTING.md", "docs", "lilya") if (path := ROOT / name).exists()]
BLOCKS = sorted(find_examples(*SOURCES), key=lambda block: (str(block.path), block.start_line))


def title_of(block: CodeExample) -> str:
    """The file name a block is titled with, or ""."""
    return block.prefix_settings().get("title", "")


@pytest.fixture
def titled_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An importable folder for the titled blocks of a page; what was imported from it is forgotten at the end."""
    monkeypatch.syspath_prepend(tmp_path)
    # pytest-examples runs a block as `__main__`; the real one has to come back.
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    yield tmp_path
    for file in tmp_path.glob("*.py"):
        sys.modules.pop(file.stem, None)


@pytest.fixture(autouse=True)
def registries() -> Iterator[None]:
    """What a block registers for the whole process is gone when the block is."""
    types, registered = dict(TRANSFORMER_TYPES), list(encoders._registered)
    yield
    TRANSFORMER_TYPES.clear()
    TRANSFORMER_TYPES.update(types)
    encoders._registered[:] = registered


def run_tests_in(block_globals: dict[str, object]) -> None:
    """Call what a reader would run with pytest."""
    for name, function in block_globals.items():
        if name.startswith("test_") and inspect.isfunction(function):
            if inspect.iscoroutinefunction(function):
                run_async(function, {})
            else:
                function()


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"{block.path.relative_to(ROOT)}:{block.start_line}")
def test_docs_block_runs(block: CodeExample, titled_blocks: Path, eval_example: EvalExample) -> None:
    """The block runs as a file of its own, after the titled blocks of its page were saved beside it."""
    for earlier in BLOCKS:
        if earlier.path == block.path and earlier.start_line < block.start_line and (title := title_of(earlier)):
            (titled_blocks / title).write_text(earlier.source, encoding="utf-8")
    run_tests_in(eval_example.run(block))


def test_docs_run_the_tests_of_a_block() -> None:
    """A failing test in a block is a failing test here, sync or async."""

    def test_passes() -> None:
        pass

    async def test_fails() -> None:
        raise AssertionError("seen")

    with pytest.raises(AssertionError, match="seen"):
        run_tests_in({"test_passes": test_passes, "test_fails": test_fails})
