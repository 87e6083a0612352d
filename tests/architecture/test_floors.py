"""
The house plan, kept: floors, rooms, and who may import what (`docs/explanation/architecture.md`).

The table below is the one of the architecture page. A module that is not in it has no place in the library yet: put
it on the lowest floor that holds everything it imports, here and on that page, in the same commit.
"""

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "lilya"

# Floor by module, without the leading `lilya.`; "x.*" is the package x with everything in it.
FLOORS: Mapping[str, int] = {
    # 8  Door
    "cli.*": 8,
    "__main__": 8,
    # 7  Rooms
    "messages.*": 7,
    "channels.*": 7,
    "asyncapi.*": 7,
    "server.*": 7,
    "observability.*": 7,
    "testclient.*": 7,
    "middleware.*": 7,
    "permissions.*": 7,
    # 6  Application
    "apps": 6,
    "compat": 6,
    # 5  Routing
    "routing": 5,
    "routing._table": 5,
    "routing.base": 5,
    "routing.path": 5,
    "routing.websocket": 5,
    "routing.include": 5,
    "routing.host": 5,
    "routing.router": 5,
    "_lifespan": 5,
    "_shutdown": 5,
    "_signals": 5,
    # 4  Wrapping
    "_layers": 4,
    "_endpoints": 4,
    "_session": 4,
    "_errors": 4,
    "controllers": 4,
    "_define": 4,
    "_watch": 4,
    "_log": 4,
    "protocols.*": 4,
    # 3  Connections
    "websockets": 3,
    "requests": 3,
    "responses": 3,
    "context": 3,
    "_connection": 3,
    "_response": 3,
    "_streaming": 3,
    "_files": 3,
    "_wire": 3,
    "_exchange": 3,
    "_inbox": 3,
    "_tasks": 3,
    "_suspended": 1,
    # 2  Engines
    "_state": 2,
    "_plan": 2,
    "_making": 2,
    "_shared": 2,
    "_signature": 2,
    "dependencies": 2,
    "routing._pattern": 2,
    "routing._index": 2,
    "routing._shape": 2,
    "limits": 2,
    "drain": 2,
    "_origins": 2,
    "_gates": 2,
    "_policy": 2,
    # 1  Values
    "exceptions": 1,
    "datastructures": 1,
    "_url": 1,
    "_netloc": 1,
    "_cookies": 1,
    "_fields": 1,
    "serializers": 1,
    "encoders": 1,
    "transformers": 1,
    "_languages": 1,
    "background": 1,
    "instruments": 1,
    "concurrency": 1,
    "conf.*": 1,
    "_importer": 1,
    # 0  Words
    "types": 0,
    "enums": 0,
    "_lazy_enums": 0,
    "status": 0,
    "_version": 0,
}

# In the plan, not in the library yet. Whoever writes one of these takes it out of this set.
LATER = frozenset(
    {
        "__main__",
        "asyncapi.*",
        "channels.*",
        "cli.*",
        "messages.*",
        "server.*",
    }
)

# Who may import which package from outside the standard library ("x.*" as above).
THIRD_PARTY: Mapping[str, tuple[str, ...]] = {
    "multidict": ("datastructures",),
    "pydantic_core": ("serializers",),
    "pydantic": ("messages.*", "asyncapi.*"),
    "orjson": ("serializers",),
    "httpx": ("testclient.*",),
    "redis": ("channels.redis",),
    "prometheus_client": ("observability.prometheus",),
    "opentelemetry": ("observability.opentelemetry",),
    "uvicorn": ("server.*", "cli.*"),
    "websockets": ("server.*",),
    "h11": ("server.*",),
}

ROOMS = 7
# The one door between two rooms: asyncapi documents the models that messages defines.
ROOM_DOORS = {("asyncapi", "messages")}


def covers(entry: str, module: str) -> bool:
    """Whether a table entry means this module: by its name, or `package.*` by its package."""
    package = entry.removesuffix(".*")
    return module == package or (entry.endswith(".*") and module.startswith(package + "."))


def find_modules() -> dict[str, Path]:
    """Every module of the library by its name without `lilya.`; the package itself is "" (and stands above all)."""
    modules = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return modules


MODULES = find_modules()
TREES = {module: ast.parse(path.read_text(encoding="utf-8")) for module, path in MODULES.items()}


def floor_of(module: str) -> int:
    """The floor of a module; the package `lilya` re-exports the application and stands above everything."""
    if module == "":
        return 9
    floors = [floor for entry, floor in FLOORS.items() if covers(entry, module)]
    assert floors, f"lilya.{module} has no floor: put it into FLOORS and into docs/explanation/architecture.md"
    return floors[0]


def find_imports(module: str) -> Iterator[tuple[str, int]]:
    """
    Every module that `module` imports, anywhere in the file, as (absolute name, line).

    `from lilya.routing import base` is an import of `lilya.routing.base`. Importing a module runs its packages first,
    so `lilya.routing._index` also counts as `lilya.routing`, unless the importer itself lives in that package.
    """
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"lilya/{module}, line {node.lineno}: relative import; write the full name"
            names = [
                full if (full := f"{node.module}.{alias.name}").removeprefix("lilya.") in MODULES else str(node.module)
                for alias in node.names
            ]
        else:
            continue
        for name in names:
            yield name, node.lineno
            package = name.rpartition(".")[0]
            while package.startswith("lilya.") and not f"lilya.{module}.".startswith(package + "."):
                yield package, node.lineno
                package = package.rpartition(".")[0]


def own_imports(module: str) -> Iterator[tuple[str, int]]:
    """The imports of `module` that stay inside the library, as (name without `lilya.`, line)."""
    for name, line in find_imports(module):
        if name == "lilya" or name.startswith("lilya."):
            yield name.removeprefix("lilya").removeprefix("."), line


def test_floors_have_a_place_for_every_module() -> None:
    """Every module of the library stands in the table, once."""
    places = {module: [entry for entry in FLOORS if covers(entry, module)] for module in MODULES if module}
    assert {module: entries for module, entries in places.items() if len(entries) != 1} == {}


def test_floors_name_only_modules_that_exist() -> None:
    """A name in the table is a module, or it is announced in `LATER`; a module that exists is not announced."""
    missing = {entry for entry in FLOORS if not any(covers(entry, module) for module in MODULES)}
    assert missing == LATER


def test_floors_are_those_of_the_architecture_page() -> None:
    """The page has the same modules on the same floors; `.base` there stands for `routing.base`."""
    page = (ROOT / "docs/explanation/architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d) \| \*\*.*\|(.*)\|$", page, re.MULTILINE)
    named = [(int(floor), name) for floor, row in rows for name in row.split("`")[1::2]]
    floors = {f"routing{name}" if name.startswith(".") else name.removesuffix(".*"): floor for floor, name in named}
    assert floors == {entry.removesuffix(".*"): floor for entry, floor in FLOORS.items()}


@pytest.mark.parametrize("module", MODULES)
def test_imports_never_go_up(module: str) -> None:
    """A module imports from its own floor and the floors below, in functions and under TYPE_CHECKING too."""
    upwards = [
        f"line {line}: lilya.{module} (floor {floor_of(module)}) imports lilya.{name} (floor {floor_of(name)})"
        for name, line in own_imports(module)
        if floor_of(name) > floor_of(module)
    ]
    assert upwards == []


def test_imports_have_no_cycle() -> None:
    """Modules of one floor may import each other, but never in a circle."""
    graph = {module: {name for name, _ in own_imports(module) if name != module} for module in MODULES}
    finished: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, f"import cycle: {' -> '.join((*way[way.index(module) :], module))}"
        if module not in finished:
            for name in sorted(graph.get(module, ())):
                visit(name, (*way, module))
            finished.add(module)

    for module in graph:
        visit(module, ())


@pytest.mark.parametrize("module", MODULES)
def test_third_party_packages_stay_in_their_place(module: str) -> None:
    """A package from outside is imported only where the table allows it."""
    strangers = [
        f"line {line}: lilya.{module} imports {name}"
        for name, line in find_imports(module)
        if (package := name.partition(".")[0]) not in sys.stdlib_module_names | {"lilya"}
        and not any(covers(entry, module) for entry in THIRD_PARTY.get(package, ()))
    ]
    assert strangers == []


def room_of(module: str) -> str:
    """
    The room a floor-7 module belongs to: its package.

    Each module of `middleware` and of `permissions` is a room of its own, which can be deleted alone.
    """
    first, _, rest = module.partition(".")
    return f"{first}.{rest.partition('.')[0]}" if first in ("middleware", "permissions") and rest else first


def test_rooms_do_not_know_each_other() -> None:
    """A room can be deleted without touching another one."""
    rooms = [module for module in MODULES if floor_of(module) == ROOMS]
    doors = {
        (room_of(module), room_of(name))
        for module in rooms
        for name, _ in own_imports(module)
        if floor_of(name) == ROOMS
        and room_of(name) != room_of(module)
        # A package may re-export what its own modules define.
        and not name.startswith(f"{module}.")
    }
    assert doors <= ROOM_DOORS


@pytest.mark.parametrize("module", [module for module, path in MODULES.items() if path.name == "__init__.py"])
def test_packages_only_re_export(module: str) -> None:
    """An `__init__.py` holds a docstring, imports from the library and `__all__`, nothing else."""
    extra = []
    for node in TREES[module].body:
        match node:
            case ast.Expr(value=ast.Constant(value=str())):
                pass
            case ast.ImportFrom(module=str(name)) if name.startswith("lilya."):
                pass
            case ast.Assign(targets=[ast.Name(id="__all__")]):
                pass
            case _:
                extra.append(f"line {node.lineno}: {ast.unparse(node)}")
    assert extra == []


@pytest.mark.parametrize("module", [module for module in MODULES if module != "_importer"])
def test_import_strings_are_resolved_in_one_place(module: str) -> None:
    """Only `_importer` imports by a name computed at run time: the graph above would not see it."""
    calls = [
        f"line {node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(TREES[module])
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__"))
    ]
    assert calls == []
