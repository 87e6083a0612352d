"""Objects by import path."""

import sys
from pathlib import Path

import pytest

from lilya import routing
from lilya._importer import import_string
from lilya.exceptions import ImproperlyConfigured
from lilya.routing import Include


@pytest.mark.parametrize("path", ["lilya.routing.Include", "lilya.routing:Include"])
def test_import_string_gives_a_name_of_a_module(path: str) -> None:
    """With a dot or with a colon before the name."""
    assert import_string(path) is Include


def test_import_string_gives_a_module() -> None:
    """The last name may be a module itself, once its package has imported it."""
    assert import_string("lilya.routing") is routing


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", "'' is not an import path: write it as 'package.module.name'."),
        ("name", "'name' is not an import path: write it as 'package.module.name'."),
        ("no_such_package.name", "'no_such_package.name' cannot be imported: there is no module 'no_such_package'."),
        ("lilya.nothing.name", "'lilya.nothing.name' cannot be imported: there is no module 'lilya.nothing'."),
        ("lilya.nothing:name", "'lilya.nothing:name' cannot be imported: there is no module 'lilya.nothing'."),
        (
            "lilya.routing.Nothing",
            "'lilya.routing.Nothing' cannot be imported: module 'lilya.routing' has no 'Nothing'.",
        ),
    ],
)
def test_import_string_says_what_is_missing(path: str, message: str) -> None:
    """The path, and which part of it does not exist."""
    with pytest.raises(ImproperlyConfigured) as caught:
        import_string(path)
    assert str(caught.value) == message


def test_import_string_shows_the_errors_of_the_module_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that is there, but whose own import fails, says so itself."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "needs_another.py").write_text("import no_such_package_either\n")
    (tmp_path / "breaks.py").write_text("raise ImportError('from inside')\n")
    try:
        with pytest.raises(ModuleNotFoundError, match="no_such_package_either"):
            import_string("needs_another.name")
        with pytest.raises(ImportError, match="from inside"):
            import_string("breaks.name")
    finally:
        sys.modules.pop("needs_another", None)
        sys.modules.pop("breaks", None)
