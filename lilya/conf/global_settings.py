"""The values that an application falls back to where its constructor was given none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lilya.exceptions import ImproperlyConfigured

__all__ = ["Settings"]


class Settings:
    """
    Settings of applications: class attributes, to be overridden by attributes or properties of a subclass.

    Any name may be added; `Settings(debug=True)` overrides one for an instance.

    Raises:
        ImproperlyConfigured: A keyword that names no attribute of the class.
    """

    debug: bool = False
    secret_key: str | None = None
    root_path: str = ""
    redirect_slashes: bool = True
    include_in_schema: bool = True
    default_route_pattern: str = "route_patterns"
    routes: Sequence[Any] = ()
    middleware: Sequence[Any] = ()
    permissions: Sequence[Any] = ()
    exception_handlers: Mapping[Any, Any] = {}
    dependencies: Mapping[str, Any] = {}
    before_request: Sequence[Any] = ()
    after_request: Sequence[Any] = ()
    on_startup: Sequence[Any] | None = None
    on_shutdown: Sequence[Any] | None = None
    lifespan: Any = None
    logging_config: Any = None
    serializer_config: Any = None
    origins: Any = None
    limits: Any = None
    drain: Any = None
    instruments: Sequence[Any] = ()

    def __init__(self, **values: Any) -> None:
        for name, value in values.items():
            if not hasattr(type(self), name):
                raise ImproperlyConfigured(
                    f"{type(self).__name__}({name}=…): there is no such setting. Declare it as a class attribute first."
                )
            setattr(self, name, value)
