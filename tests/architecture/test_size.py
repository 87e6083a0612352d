"""The library stays small enough to read in a day, and its functions fit on a screen."""

import ast
from collections.abc import Iterator, Mapping

from tests.architecture.test_floors import MODULES, TREES, floor_of

CORE_LINES = 12_300
FUNCTION_LINES = 60

# Functions longer than a screen, each with the reason why it is easier to read in one piece.
LONG_FUNCTIONS: Mapping[str, str] = {
    "lilya.apps:Lilya.__init__": "half of it is the list of arguments, one to a line, and the rest hands them on",
}


def find_functions(module: str, node: ast.AST, prefix: str = "") -> Iterator[tuple[str, int]]:
    """Every function in the module as (dotted name, lines), from its first decorator to its last line."""
    for child in ast.iter_child_nodes(node):
        name = prefix
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{prefix}.{child.name}".removeprefix(".")
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([child.lineno, *(decorator.lineno for decorator in child.decorator_list)])
            yield f"lilya.{module}:{name}", (child.end_lineno or first) - first + 1
        yield from find_functions(module, child, name)


def test_core_can_be_read_in_a_day() -> None:
    """Floors 0 to 6 together stay under the limit, docstrings and comments included."""
    sizes = {
        module: len(path.read_text(encoding="utf-8").splitlines())
        for module, path in MODULES.items()
        if floor_of(module) <= 6
    }
    total = sum(sizes.values())
    largest = sorted(sizes.items(), key=lambda size: -size[1])[:5]
    assert total < CORE_LINES, f"the core has {total} lines; the largest modules: {largest}"


def test_functions_fit_on_a_screen() -> None:
    """A function longer than a screen is listed with its reason; a listed one that became short is taken off."""
    long = {
        name: lines
        for module in MODULES
        for name, lines in find_functions(module, TREES[module])
        if lines > FUNCTION_LINES
    }
    assert {name: lines for name, lines in long.items() if name not in LONG_FUNCTIONS} == {}
    assert LONG_FUNCTIONS.keys() <= long.keys()
