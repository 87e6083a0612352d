"""Objects by their import path."""

from __future__ import annotations

import importlib
from typing import Any

from lilya.exceptions import ImproperlyConfigured

__all__ = ["import_string"]


def import_string(path: str) -> Any:
    """
    The object at `"package.module.name"` or `"package.module:name"`.

    Raises:
        ImproperlyConfigured: No such module, or no such name in it.
    """
    module_path, _, name = path.replace(":", ".").rpartition(".")
    if not module_path:
        raise ImproperlyConfigured(f"{path!r} is not an import path: write it as 'package.module.name'.")
    try:
        module = importlib.import_module(module_path)
    except ModuleNotFoundError as error:
        if error.name is not None and not f"{module_path}.".startswith(f"{error.name}."):
            raise
        raise ImproperlyConfigured(f"{path!r} cannot be imported: there is no module {error.name!r}.") from error
    try:
        return getattr(module, name)
    except AttributeError:
        raise ImproperlyConfigured(f"{path!r} cannot be imported: module {module_path!r} has no {name!r}.") from None
