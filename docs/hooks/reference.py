"""
A reference page for every public module, made from its docstrings when the site is built.

A hook of mkdocs (`hooks:` in `mkdocs.yml`). The pages exist only in the build: a new module is documented the moment
it has docstrings, and no page can be forgotten or left behind.
"""

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

__all__ = ["on_config", "on_files"]

PACKAGE = Path(__file__).resolve().parents[2] / "lilya"
SECTION = "Reference"

# Modules whose page needs more than the options in `mkdocs.yml`: those that are lists of names and values, those of
# which a reader expects what a class has from its bases, and one whose defaults stand elsewhere and are told in words.
WORDS = ("lilya.conf.global_settings", "lilya.enums", "lilya.status", "lilya.types")
HEIRS = ("lilya.controllers", "lilya.requests")
OPTIONS = {
    **{module: {"show_if_no_docstring": True, "show_labels": False} for module in WORDS},
    **{module: {"inherited_members": True} for module in HEIRS},
    "lilya.limits": {"show_bases": False, "show_signature": False, "show_attribute_values": False},
}

# For what stands on a page beside something else.
MODULE_ALONE = """\
    options:
      members: false
"""
MEMBER = """\
    options:
      show_root_heading: true
      show_root_full_path: false
      inherited_members: true
"""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages into the navigation, below what `mkdocs.yml` lists under "Reference"."""
    for section in config.nav or []:
        if SECTION in section:
            section[SECTION] += [{module: page_of(module)} for module in public_modules()]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages themselves, except those that somebody has written by hand in docs/reference/."""
    for module, path in public_modules().items():
        if files.get_file_from_path(page_of(module)) is not None:
            continue
        content = write_package_page(module, path) if path.name == "__init__.py" else write_page(module)
        content = f"---\ntitle: {module}\n---\n\n# `{module}`\n\n{content}"
        files.append(File.generated(config, page_of(module), content=content))
    return files


def public_modules() -> dict[str, Path]:
    """The modules without a leading underscore in any part of their dotted name, in alphabetical order."""
    modules = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        if not any(part.startswith("_") for part in parts):
            modules[".".join(parts)] = path
    return dict(sorted(modules.items()))


def page_of(module: str) -> str:
    """The path of a module's page below docs/."""
    return f"reference/{module}.md"


def write_page(module: str) -> str:
    """A page for a module, from its docstrings."""
    options = OPTIONS.get(module, {})
    lines = [f"      {option}: {str(value).lower()}\n" for option, value in options.items()]
    return f"::: {module}\n" + ("    options:\n" + "".join(lines) if lines else "")


def write_package_page(module: str, path: Path) -> str:
    """
    A page for a package, which only re-exports.

    A name that comes from a public module is linked to its page there, so that nothing is documented twice; a name from
    a private one is documented here.
    """
    documented, linked = [], []
    for source, name in re_exports(path):
        if any(part.startswith("_") for part in source.split(".")):
            documented.append(name)
        else:
            linked.append(link_to(source, name))
    page = "\n".join([f"::: {module}", MODULE_ALONE, *linked, ""])
    return page + "".join(f"\n::: {module}.{name}\n{MEMBER}" for name in documented if not name.startswith("__"))


def link_to(source: str, name: str) -> str:
    """A line about a name that has its place on the page of another module."""
    found = getattr(importlib.import_module(source), name)
    home = getattr(found, "__name__", name)
    what = f"the same as `{home}`" if home != name else (found.__doc__ or "").strip().partition("\n")[0]
    return f"- [`{name}`][{source}.{home}]: {what}"


def re_exports(path: Path) -> Iterator[tuple[str, str]]:
    """What an `__init__.py` re-exports, as (module it comes from, name)."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield node.module, alias.asname or alias.name
