"""
Dependencies: say once how a value is made, and handlers get it by the name of an argument.

    async def database():
        connection = await connect()
        try:
            yield connection
        finally:
            await connection.close()

    @app.websocket("/rows", dependencies={"db": Provide(database)})
    async def rows(websocket, db): ...

A value of a dependency map may be a `Provide`, anything callable (function, class, generator function, each sync or
async), or the value itself. What is made is never kept on the description:

    Provide(make)                     made anew for each argument that asks for it
    Provide(make, use_cache=True)     once per connection or request
    Provide(make, scope="app")        once per application
    Provide(make, scope="global")     once per process

A generator is finished when the owner of its value ends: the connection, the application, or, for `global`, the last
application that used it. An exception that ends a handler is thrown into the generators; they may replace it by
another one, but **not swallow it**: a generator that catches it and returns is taken to have cleaned up, and the
exception goes on, to the generators opened earlier (which must roll back, too) and then to the exception handlers.

Functions run in a thread unless they are `async`; classes and lambdas are called where they are. How a handler's
signature is read stands in `lilya._plan`; here are the words, and `inject` for functions that serve no connection.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack
from types import MappingProxyType
from typing import Any, NoReturn, ParamSpec, TypeVar

from lilya._making import Filling, Step
from lilya._signature import VARIADIC, kind_of, parameters_of, where_defined
from lilya.enums import Scope
from lilya.exceptions import ImproperlyConfigured

__all__ = ["Depends", "Provide", "Provides", "Resolve", "Security", "inject", "wrap_dependency"]

P = ParamSpec("P")
R = TypeVar("R")


class Provide:
    """
    How a dependency is made; immutable, and free to be used by any number of routes and applications.

    Args:
        dependency: A callable, or a value that is handed out as it is.
        *args: Its first arguments; those that remain are found by name (see `lilya._plan`).
        use_cache: Make it once per connection or request, however many arguments ask for it.
        scope: "request", "app" or "global": whose the value is, and hence when it is closed. A provider of a longer
            scope that asks for the connection gets the first one that needs the value.
        **kwargs: More of its arguments, by name.

    Raises:
        ValueError: `scope` is none of the three.
    """

    __slots__ = ("args", "dependency", "kwargs", "scope", "use_cache")

    dependency: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    use_cache: bool
    scope: Scope

    def __init__(
        self, dependency: Any, /, *args: Any, use_cache: bool = False, scope: Scope | str = Scope.REQUEST, **kwargs: Any
    ) -> None:
        if scope not in (*Scope,):
            legal = ", ".join(repr(str(word)) for word in Scope)
            raise ValueError(f"Provide({where_defined(dependency)}): unknown scope {scope!r}. Use one of {legal}.")
        fix = functools.partial(object.__setattr__, self)
        fix("dependency", dependency)
        fix("args", args)
        fix("kwargs", MappingProxyType(kwargs))
        fix("use_cache", use_cache)
        fix("scope", Scope(scope))

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"Provide is immutable: make a new one to change {name!r}.")

    def __repr__(self) -> str:
        return f"Provide({where_defined(self.dependency)}, use_cache={self.use_cache}, scope={str(self.scope)!r})"


class Provides:
    """The default of an argument that must be injected by its name: `async def h(websocket, db=Provides())`."""

    __slots__ = ()


class _Marker:
    __slots__ = ("provide",)

    def __init__(self, dependency: Any) -> None:
        self.provide: Provide = wrap_dependency(dependency)


class Resolve(_Marker):
    """The default of an argument that is made by calling `dependency`, whose own `Resolve` defaults come first."""

    __slots__ = ()


class Security(Resolve):
    """A `Resolve` whose dependency decides who may come in, by raising or by returning the user."""

    __slots__ = ()


class Depends(_Marker):
    """The default of an argument of an `@inject` function: a callable that makes the value, or the value."""

    __slots__ = ()


def wrap_dependency(value: Any) -> Provide:
    """Give the `Provide` that describes a value of a dependency map; one that is a `Provide` already stays itself."""
    if isinstance(value, _Marker):
        return value.provide
    return value if isinstance(value, Provide) else Provide(value)


def open_parameters(provide: Provide) -> list[inspect.Parameter]:
    """
    List the parameters of a provider that `Provide` leaves open, without `*args` and `**kwargs`.

    Raises:
        ImproperlyConfigured: `Provide` gives arguments that the provider does not take.
    """
    parameters = parameters_of(provide.dependency) if callable(provide.dependency) else []
    if not parameters:
        return []
    try:
        given = inspect.Signature(parameters).bind_partial(*provide.args, **provide.kwargs).arguments
    except TypeError as error:
        raise ImproperlyConfigured(f"{provide!r}: {error}. Its arguments come after the callable.") from None
    return [parameter for parameter in parameters if parameter.name not in given and parameter.kind not in VARIADIC]


def step_of(provide: Provide, fillings: Iterable[Filling], declared: object = None) -> Step:
    """
    Describe the call that makes the value, with what `Provide` gives and what was found for the rest.

    `declared` is what the provider was wrapped from, for the step's key.
    """
    # What is no `Provide` is wrapped in a new one each time: there the source stands for itself.
    origin = provide if isinstance(declared, Provide | _Marker) else None
    kind, source = kind_of(provide.dependency), provide.dependency
    if kind != "constant" and (provide.args or provide.kwargs):
        source = functools.partial(source, *provide.args, **provide.kwargs)
    return Step(kind, source, fillings, origin=origin)


def inject(fn: Callable[P, R]) -> Callable[P, R]:
    """
    Let a function that serves no connection have its `Depends` defaults filled at every call.

    `Provide`, `Resolve` and `Security` defaults are filled, too; an argument that the caller gives wins, and its
    dependency is not made. Generators are closed when the call ends. `use_cache` means once per call.

    Raises:
        ImproperlyConfigured: At decoration: a sync function has an async dependency; a dependency has an argument
            that nothing fills, or a scope other than "request"; `fn` is a generator function.
    """
    kind = kind_of(fn)
    if kind in ("generator", "async generator"):
        raise ImproperlyConfigured(
            f"@inject {where_defined(fn)}: a generator function cannot be injected. Pass it the values as arguments."
        )
    signature = inspect.signature(fn)
    sync = kind != "coroutine function"
    cached: dict[Provide, list[Step]] = {}
    # The steps to the value of each argument; the last one makes it.
    steps = {
        name: _steps_to(wrap_dependency(parameter.default), where_defined(fn), sync, cached)
        for name, parameter in signature.parameters.items()
        if isinstance(parameter.default, _Marker | Provide)
    }

    def missing(given: inspect.BoundArguments, values: dict[Any, Any]) -> Iterator[Step]:
        # The steps to be made; each one is waited for before the next.
        for name in [name for name in steps if name not in given.arguments]:
            yield from (step for step in steps[name] if step not in values)
            given.arguments[name] = values[steps[name][-1]]

    @functools.wraps(fn)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        given = signature.bind_partial(*args, **kwargs)
        values: dict[Any, Any] = {}
        with ExitStack() as stack:
            for step in missing(given, values):
                values[step] = step.make_now(values, stack)
            return fn(*given.args, **given.kwargs)

    @functools.wraps(fn)
    async def call_async(*args: P.args, **kwargs: P.kwargs) -> Any:
        given = signature.bind_partial(*args, **kwargs)
        values: dict[Any, Any] = {}
        async with AsyncExitStack() as stack:
            for step in missing(given, values):
                values[step] = await step.make(values, stack)
            return await fn(*given.args, **given.kwargs)  # type: ignore[misc]  # kind_of says that R is awaitable

    return call if sync else call_async  # type: ignore[return-value]  # same parameters, and R is what fn gives


def _steps_to(provide: Provide, caller: str, sync: bool, cached: dict[Provide, list[Step]]) -> list[Step]:
    if provide in cached:
        return cached[provide]
    name = where_defined(provide.dependency)
    if sync and kind_of(provide.dependency) in ("coroutine function", "async generator"):
        raise ImproperlyConfigured(
            f"@inject {caller}: a sync function cannot await its dependency {name}. Make the function async."
        )
    if provide.scope is not Scope.REQUEST:
        raise ImproperlyConfigured(
            f"@inject {caller}: dependency {name} has scope {str(provide.scope)!r}, but a plain call has no "
            f"application that owns the value. Use scope='request', or make the value outside."
        )
    steps: list[Step] = []
    fillings: list[Filling] = []
    for parameter in open_parameters(provide):
        if isinstance(parameter.default, _Marker | Provide):
            steps += _steps_to(wrap_dependency(parameter.default), caller, sync, cached)
            fillings.append((parameter.name, steps[-1]))
        elif parameter.default is parameter.empty:
            raise ImproperlyConfigured(
                f"@inject {caller}: nothing fills argument {parameter.name!r} of dependency {name}. "
                f"Give it a Depends(...) default, or its value with Provide."
            )
    steps.append(step_of(provide, fillings))
    if provide.use_cache:
        cached[provide] = steps
    return steps
