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

import asyncio
import contextvars
import functools
import inspect
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager as AsyncContext
from contextlib import AbstractContextManager as Context
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from types import MappingProxyType
from typing import Any, Literal, NoReturn, ParamSpec, TypeAlias, TypeVar

from lilya.concurrency import run_in_threadpool
from lilya.enums import Scope
from lilya.exceptions import ImproperlyConfigured

__all__ = ["Depends", "Provide", "Provides", "Resolve", "Security", "inject", "wrap_dependency"]

P = ParamSpec("P")
R = TypeVar("R")

# What has to be done to get a value; "inline" is a class or a lambda, which is called without a thread.
Kind: TypeAlias = Literal["constant", "inline", "function", "coroutine function", "generator", "async generator"]


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


class Resolve:
    """The default of an argument that is made by calling `dependency`, whose own `Resolve` defaults come first."""

    __slots__ = ("provide",)

    def __init__(self, dependency: Any) -> None:
        self.provide = wrap_dependency(dependency)


class Security(Resolve):
    """A `Resolve` whose dependency decides who may come in, by raising or by returning the user."""

    __slots__ = ()


class Depends:
    """The default of an argument of an `@inject` function: a callable that makes the value, or the value."""

    __slots__ = ("provide",)

    def __init__(self, dependency: Any) -> None:
        self.provide = wrap_dependency(dependency)


def wrap_dependency(value: Any) -> Provide:
    """Give the `Provide` that describes a value of a dependency map; one that is a `Provide` already stays itself."""
    if isinstance(value, Provide):
        return value
    if isinstance(value, Resolve | Depends):
        return value.provide
    return Provide(value)


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
    wanted = {
        name: _Wanted(parameter.default, where_defined(fn), sync)
        for name, parameter in signature.parameters.items()
        if isinstance(parameter.default, Depends | Resolve | Provide)
    }

    @functools.wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        given = signature.bind_partial(*args, **kwargs)
        cached: dict[Provide, Any] = {}
        with ExitStack() as stack:
            for name in [name for name in wanted if name not in given.arguments]:
                given.arguments[name] = wanted[name].value(stack, cached)
            return fn(*given.args, **given.kwargs)

    @functools.wraps(fn)
    async def call_async(*args: Any, **kwargs: Any) -> Any:
        given = signature.bind_partial(*args, **kwargs)
        cached: dict[Provide, Any] = {}
        async with AsyncExitStack() as stack:
            for name in [name for name in wanted if name not in given.arguments]:
                given.arguments[name] = await wanted[name].value_async(stack, cached)
            return await fn(*given.args, **given.kwargs)  # type: ignore[misc]  # kind_of says that R is awaitable

    return call if sync else call_async  # type: ignore[return-value]  # same parameters, and R is what fn gives


class _Wanted:
    """A dependency of an `@inject` function with the dependencies of its own, read once at decoration."""

    __slots__ = ("arguments", "kind", "provide")

    def __init__(self, marker: Depends | Resolve | Provide, caller: str, sync: bool) -> None:
        self.provide = wrap_dependency(marker)
        self.kind = kind_of(self.provide.dependency)
        name = where_defined(self.provide.dependency)
        if sync and self.kind in ("coroutine function", "async generator"):
            raise ImproperlyConfigured(
                f"@inject {caller}: a sync function cannot await its dependency {name}. Make the function async."
            )
        if self.provide.scope is not Scope.REQUEST:
            raise ImproperlyConfigured(
                f"@inject {caller}: dependency {name} has scope {str(self.provide.scope)!r}, but a plain call has no "
                f"application that owns the value. Use scope='request', or make the value outside."
            )
        self.arguments: dict[str, _Wanted] = {}
        for parameter in open_parameters(self.provide):
            if isinstance(parameter.default, Depends | Resolve | Provide):
                self.arguments[parameter.name] = _Wanted(parameter.default, caller, sync)
            elif parameter.default is parameter.empty:
                raise ImproperlyConfigured(
                    f"@inject {caller}: nothing fills argument {parameter.name!r} of dependency {name}. "
                    f"Give it a Depends(...) default, or its value with Provide."
                )

    def value(self, stack: ExitStack, cached: dict[Provide, Any]) -> Any:
        provide = self.provide
        if provide in cached:
            return cached[provide]
        kwargs = {name: wanted.value(stack, cached) for name, wanted in self.arguments.items()}
        made = provide.dependency
        if self.kind == "generator":
            context = contextmanager(made)(*provide.args, **provide.kwargs, **kwargs)
            made = context.__enter__()
            stack.push(functools.partial(_exit, context))
        elif self.kind != "constant":
            made = made(*provide.args, **provide.kwargs, **kwargs)
            if isinstance(made, Coroutine):
                made.close()
                raise ImproperlyConfigured(
                    f"@inject: a sync function cannot await what its dependency {where_defined(provide.dependency)} "
                    f"returns. Make the function async."
                )
        if provide.use_cache:
            cached[provide] = made
        return made

    async def value_async(self, stack: AsyncExitStack, cached: dict[Provide, Any]) -> Any:
        provide = self.provide
        if provide in cached:
            return cached[provide]
        kwargs = {name: await wanted.value_async(stack, cached) for name, wanted in self.arguments.items()}
        made = await make_value(self.kind, stack, provide, (), kwargs)
        if provide.use_cache:
            cached[provide] = made
        return made


def where_defined(thing: Any) -> str:
    """Name a callable for an error message, as `module.qualname`; anything else by its type."""
    while isinstance(thing, functools.partial):
        thing = thing.func
    named = thing if hasattr(thing, "__qualname__") else type(thing)
    module = getattr(named, "__module__", None)  # methods of built-in types have none
    return f"{module}.{named.__qualname__}" if module else str(named.__qualname__)


def body_of(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Give the function whose code runs when `fn` is called: of a partial, a class, a callable object."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    if isinstance(fn, type):
        fn = fn.__init__  # type: ignore[misc]  # looked at, never called
    elif not inspect.isroutine(fn):
        fn = type(fn).__call__
    return fn


def kind_of(dependency: Any) -> Kind:
    """Tell how to get a value from a dependency; works out at startup what no call has to ask again."""
    if not callable(dependency):
        return "constant"
    body = body_of(dependency)
    if getattr(body, "__name__", "") in ("__init__", "<lambda>") and not inspect.isgeneratorfunction(body):
        return "inline"
    if inspect.isasyncgenfunction(body):
        return "async generator"
    if inspect.iscoroutinefunction(body):
        return "coroutine function"
    return "generator" if inspect.isgeneratorfunction(body) else "function"


def signature_of(fn: Callable[..., Any]) -> list[inspect.Parameter]:
    """List the parameters of a callable; a built-in that does not tell has none."""
    try:
        return list(inspect.signature(fn).parameters.values())
    except ValueError:
        return []


def open_parameters(provide: Provide) -> list[inspect.Parameter]:
    """
    List the parameters of a provider that `Provide` leaves open, without `*args` and `**kwargs`.

    Raises:
        ImproperlyConfigured: `Provide` gives arguments that the provider does not take.
    """
    parameters = signature_of(provide.dependency) if callable(provide.dependency) else []
    if not parameters:
        return []
    try:
        given = inspect.Signature(parameters).bind_partial(*provide.args, **provide.kwargs).arguments
    except TypeError as error:
        raise ImproperlyConfigured(f"{provide!r}: {error}. Its arguments come after the callable.") from None
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [parameter for parameter in parameters if parameter.name not in given and parameter.kind not in variadic]


async def make_value(
    kind: Kind, stack: AsyncExitStack, provide: Provide, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Any:
    """
    Call a provider with its own arguments and those found for it; a generator is left open, and closed by `stack`.

    The stack sees no suppressed exception: a generator that swallows one has cleaned up, and the exception goes on.
    """
    dependency = provide.dependency
    args, kwargs = provide.args + args, {**provide.kwargs, **kwargs}
    if kind == "constant":
        return dependency
    if kind == "coroutine function":
        return await dependency(*args, **kwargs)
    if kind in ("generator", "async generator"):
        context: AsyncContext[Any] | _Threaded = (
            asynccontextmanager(dependency)(*args, **kwargs)
            if kind == "async generator"
            else _Threaded(contextmanager(dependency)(*args, **kwargs))
        )
        made = await context.__aenter__()
        stack.push_async_exit(functools.partial(_exit_async, context))
        return made
    made = dependency(*args, **kwargs) if kind == "inline" else await run_in_threadpool(dependency, *args, **kwargs)
    # A lambda or an undecorated wrapper around an async function.
    return await made if isinstance(made, Coroutine) else made


def _exit(context: Context[Any], *error: Any) -> None:
    context.__exit__(*error)  # what it returns, "suppress it", is dropped


async def _exit_async(context: "AsyncContext[Any] | _Threaded", *error: Any) -> None:
    await context.__aexit__(*error)


class _Threaded:
    """
    A sync generator whose two steps run in threads, with one set of context variables for both.

    A thread cannot be stopped, so a cancelled step is waited for before the cancellation goes on: no value
    that was made is lost without its clean-up, and no clean-up overtakes another.
    """

    __slots__ = ("_context", "_variables")

    def __init__(self, context: Context[Any]) -> None:
        self._context = context
        self._variables = contextvars.copy_context()

    async def __aenter__(self) -> Any:
        step, cancelled = await self._step(self._context.__enter__)
        if cancelled is None:
            return step.result()
        if step.exception() is None:
            await self.__aexit__(type(cancelled), cancelled, cancelled.__traceback__)
        raise cancelled

    async def __aexit__(self, *error: Any) -> None:
        step, cancelled = await self._step(self._context.__exit__, *error)
        if cancelled is not None:
            raise cancelled from step.exception()
        step.result()

    async def _step(
        self, fn: Callable[..., Any], *args: Any
    ) -> tuple[asyncio.Future[Any], asyncio.CancelledError | None]:
        # Not `run_in_threadpool`: its task would be cancelled with all others when the loop ends.
        step = asyncio.get_running_loop().run_in_executor(None, self._variables.run, fn, *args)
        cancelled = None
        while not step.done():
            try:
                await asyncio.wait([step])
            except asyncio.CancelledError as error:
                cancelled = error
        return step, cancelled
