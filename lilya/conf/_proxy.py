"""Which settings are in force: those of the environment, or Lilya's own, with overrides for the time of a test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lilya._importer import import_string
from lilya.conf.global_settings import Settings
from lilya.exceptions import ImproperlyConfigured

__all__ = ["ENVIRONMENT_VARIABLE", "SettingsProxy", "load_settings", "settings"]

ENVIRONMENT_VARIABLE = "LILYA_SETTINGS_MODULE"


def load_settings(module: Any) -> Any:
    """
    The settings object for a class, an instance, or the import path of either.

    Raises:
        ImproperlyConfigured: It is no `Settings`.
    """
    source = module
    if isinstance(module, str):
        module = import_string(module)
    if isinstance(module, type):
        module = module()
    if not isinstance(module, Settings | SettingsProxy):
        raise ImproperlyConfigured(f"settings_module={source!r} is not a subclass or an instance of Settings.")
    return module


class SettingsProxy:
    """Reads attributes of the settings in force; these are loaded when the first one is read."""

    def __init__(self) -> None:
        self._loaded: Any = None
        self._overrides: list[dict[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        for values in reversed(self._overrides):
            if name in values:
                return values[name]
        if self._loaded is None:
            self._loaded = load_settings(os.environ.get(ENVIRONMENT_VARIABLE) or Settings)
        return getattr(self._loaded, name)

    @contextmanager
    def override(self, **values: Any) -> Iterator[None]:
        """Other values within a block; blocks nest."""
        self._overrides.append(values)
        try:
            yield
        finally:
            self._overrides.remove(values)

    def reload(self) -> None:
        """Read the environment variable again at the next access."""
        self._loaded = None


settings: SettingsProxy = SettingsProxy()
