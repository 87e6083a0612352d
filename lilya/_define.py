"""How a middleware or a permission is declared: a class and the arguments to build it with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lilya._importer import import_string
from lilya.exceptions import ImproperlyConfigured
from lilya.types import ASGIApp

__all__ = ["DefineMiddleware", "DefinePermission", "Definition", "Middleware", "Permission", "define_all", "listed"]


class Definition:
    """
    A layer to build around an application: `definition(app)` is `cls(app, *args, **kwargs)`.

    Args:
        cls: A class, any callable that takes the application first, or its import path as `"package.module.Name"`.
        *args, **kwargs: Given to it after the application.
    """

    kind = "layer"

    def __init__(self, cls: Any, *args: Any, **kwargs: Any) -> None:
        self.cls: Any = import_string(cls) if isinstance(cls, str) else cls
        if not callable(self.cls):
            raise ImproperlyConfigured(
                f"{self.cls!r} cannot be a {self.kind}: give a class whose instances are ASGI applications, built as "
                f"cls(app, *args, **kwargs)."
            )
        self.args = args
        self.kwargs = kwargs

    def __call__(self, app: ASGIApp) -> ASGIApp:
        name = getattr(self.cls, "__name__", repr(self.cls))
        try:
            layer = self.cls(app, *self.args, **self.kwargs)
        except TypeError as error:
            raise ImproperlyConfigured(
                f"The {self.kind} {name} cannot be built with the arguments that were declared for it: {error}."
            ) from error
        if not callable(layer):
            raise ImproperlyConfigured(
                f"The {self.kind} {name} is not an ASGI application: give it "
                f"`async def __call__(self, scope, receive, send)`."
            )
        return layer  # type: ignore[no-any-return]  # ASGI applications are only known by calling them

    def __iter__(self) -> Any:
        return iter((self.cls, self.args, self.kwargs))

    def __repr__(self) -> str:
        arguments = [repr(arg) for arg in self.args] + [f"{name}={value!r}" for name, value in self.kwargs.items()]
        return f"{type(self).__name__}({', '.join([getattr(self.cls, '__name__', repr(self.cls)), *arguments])})"


class DefineMiddleware(Definition):
    """A middleware class (or its import path) and its arguments; also known as `Middleware`."""

    kind = "middleware"


class DefinePermission(Definition):
    """A permission class (or its import path) and its arguments; also known as `Permission`."""

    kind = "permission"


Middleware = DefineMiddleware
Permission = DefinePermission


def listed(what: str, entries: Iterable[Any] | None, *, callables: bool = False) -> tuple[Any, ...]:
    """
    The entries of the argument called `what`; none for None.

    Raises:
        ImproperlyConfigured: It is one entry instead of a list of them, or an entry that must be callable is not.
    """
    if isinstance(entries, str | Definition) or not isinstance(entries or (), Iterable):
        raise ImproperlyConfigured(f"{what}: {entries!r} is not a list. Write [{entries!r}] for a single entry.")
    found = tuple(entries or ())
    for entry in found:
        if callables and not callable(entry):
            raise ImproperlyConfigured(f"{what}: {entry!r} cannot be called. Give a function, sync or async.")
    return found


def define_all(what: str, layers: Iterable[Any] | None, as_: type[Definition]) -> tuple[Definition, ...]:
    """Every entry of the argument called `what` as a definition; bare classes and import paths stand for themselves."""
    return tuple(layer if isinstance(layer, Definition) else as_(layer) for layer in listed(what, layers))
