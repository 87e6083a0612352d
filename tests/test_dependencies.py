"""The words of dependency injection, and `inject` for functions that serve no connection."""

# ruff: noqa: B008 - a call as a default is how a dependency is declared

import asyncio
import contextvars
import functools
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from lilya._signature import kind_of, parameters_of, where_defined
from lilya.dependencies import (
    Depends,
    Provide,
    Provides,
    Resolve,
    Security,
    inject,
    open_parameters,
    step_of,
    wrap_dependency,
)
from lilya.enums import Scope
from lilya.exceptions import ImproperlyConfigured


def make() -> str:
    return "made"


async def make_async() -> str:
    return "made async"


def opened() -> Iterator[str]:
    yield "opened"


async def opened_async() -> AsyncIterator[str]:
    yield "opened async"


class Service:
    """A class as provider; its instances are callable, sync or async."""

    def __call__(self) -> str:
        return "called"

    async def method(self) -> str:
        return "method"


class AsyncService:
    async def __call__(self) -> str:
        return "called async"


# -- Provide ------------------------------------------------------------------------------------------------------


def test_provide_describes_and_defaults_to_one_value_per_argument() -> None:
    """What is given to `Provide` can be read back; nothing is cached unless asked for."""
    provide = Provide(make, 1, 2, key="value")
    assert (provide.dependency, provide.args, dict(provide.kwargs)) == (make, (1, 2), {"key": "value"})
    assert (provide.use_cache, provide.scope) == (False, Scope.REQUEST)


def test_provide_is_immutable() -> None:
    """A description is shared by routes and applications, so nobody can change it or hang a value on it."""
    provide = Provide(make, key="value")
    with pytest.raises(AttributeError, match="immutable"):
        provide.use_cache = True
    with pytest.raises(AttributeError, match="immutable"):
        provide.value = "kept"
    with pytest.raises(TypeError):
        provide.kwargs["key"] = "other"  # type: ignore[index]  # this is the point


@pytest.mark.parametrize("scope", ["request", "app", "global", *Scope])
def test_provide_accepts_each_scope_as_text_or_member(scope: str) -> None:
    """Both spellings of a scope give the member."""
    assert Provide(make, scope=scope).scope is Scope(scope)


def test_provide_refuses_an_unknown_scope() -> None:
    """The error names the provider, the value and what is legal."""
    with pytest.raises(ValueError, match=r"test_dependencies\.make.*'session'.*'request', 'app', 'global'"):
        Provide(make, scope="session")


def test_provide_shows_what_it_provides() -> None:
    """The representation holds the name of the provider and how its value is kept, but no argument's value."""
    shown = repr(Provide(make, "secret", use_cache=True, scope="app"))
    assert shown == "Provide(tests.test_dependencies.make, use_cache=True, scope='app')"


def test_wrap_dependency_gives_one_description_for_everything() -> None:
    """`Provide` stays itself, markers give theirs, anything else is described."""
    provide = Provide(make)
    assert wrap_dependency(provide) is provide
    for marker in (Depends(provide), Resolve(provide), Security(provide)):
        assert wrap_dependency(marker) is provide
    assert wrap_dependency(make).dependency is make
    assert wrap_dependency(5).dependency == 5


def test_security_is_a_resolve() -> None:
    """`Security` is filled wherever `Resolve` is."""
    assert issubclass(Security, Resolve)
    assert not issubclass(Provides, Resolve)


# -- reading callables --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dependency", "kind"),
    [
        (5, "constant"),
        (Service, "inline"),
        (functools.partial(Service), "inline"),
        (lambda: 1, "inline"),
        (make, "function"),
        (functools.lru_cache(make), "function"),
        (Service(), "function"),
        (len, "function"),
        (make_async, "coroutine function"),
        (functools.partial(make_async), "coroutine function"),
        (Service().method, "coroutine function"),
        (AsyncService(), "coroutine function"),
        (opened, "generator"),
        (lambda: (yield), "generator"),
        (opened_async, "async generator"),
    ],
)
def test_kind_of_tells_how_a_value_is_got(dependency: object, kind: str) -> None:
    """Partials, methods and callable objects are of the kind of what they call."""
    assert kind_of(dependency) == kind


def test_where_defined_names_what_a_reader_can_find() -> None:
    """Callables by module and qualified name, values by their type: a value may be a secret."""
    assert where_defined(functools.partial(make)) == "tests.test_dependencies.make"
    assert where_defined(Service().method) == "tests.test_dependencies.Service.method"
    assert where_defined(Service()) == "tests.test_dependencies.Service"
    assert where_defined([].append) == "list.append"
    assert where_defined("secret") == "builtins.str"


def test_parameters_of_a_silent_builtin_is_empty() -> None:
    """A built-in that does not tell its parameters is called with what `Provide` gives."""
    assert parameters_of(dict) == []
    assert open_parameters(Provide(dict, a=1)) == []


def test_open_parameters_are_those_that_provide_leaves() -> None:
    """What is given by position or name is closed; `*args` and `**kwargs` never ask for anything."""

    def provider(a: int, b: int, c: int, *args: int, d: int, e: int = 0, **kwargs: int) -> None: ...

    assert [p.name for p in open_parameters(Provide(provider, 1, c=3))] == ["b", "d", "e"]
    assert open_parameters(Provide(5)) == []


def test_open_parameters_refuses_arguments_that_do_not_fit() -> None:
    """`Provide` with an argument too many is a mistake that startup names."""
    with pytest.raises(ImproperlyConfigured, match=r"Provide\(tests\.test_dependencies\.make.*too many positional"):
        open_parameters(Provide(make_with_one, 1, 2))
    with pytest.raises(ImproperlyConfigured, match="unexpected keyword argument 'y'"):
        open_parameters(Provide(make_with_one, y=2))


def fail(why: str) -> str:
    raise LookupError(why)


def make_with_one(x: int) -> int:
    return x


# -- values -------------------------------------------------------------------------------------------------------


async def value_of(dependency: Any, *args: Any, **kwargs: Any) -> Any:
    """Make one value as a plan does, and close it."""
    async with AsyncExitStack() as stack:
        return await step_of(Provide(dependency, *args, **kwargs), ()).make({}, stack)


@pytest.mark.parametrize(
    ("dependency", "value"),
    [
        (5, 5),
        (make, "made"),
        (make_async, "made async"),
        (opened, "opened"),
        (opened_async, "opened async"),
        (Service(), "called"),
        (AsyncService(), "called async"),
        (lambda: "inline", "inline"),
        (lambda: make_async(), "made async"),
    ],
)
async def test_make_value_handles_each_kind(dependency: object, value: object) -> None:
    """Whatever a dependency is, its value arrives."""
    assert await value_of(dependency) == value


async def test_make_value_awaits_what_a_plain_wrapper_returns() -> None:
    """An undecorated wrapper of an async provider gives the value, not a coroutine."""

    def wrapper() -> Any:
        return make_async()

    assert await value_of(wrapper) == "made async"


async def test_functions_run_in_a_thread_classes_and_lambdas_do_not() -> None:
    """A function may block; a class or a lambda is not worth a thread."""
    here = threading.get_ident()
    assert await value_of(threading.get_ident) != here
    assert await value_of(lambda: threading.get_ident()) == here


async def test_sync_generator_keeps_its_context_variables() -> None:
    """Both steps of a generator share their context: a token it got can be given back."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
    seen: list[object] = []

    def provider() -> Iterator[str]:
        token = variable.set("inner")
        yield variable.get()
        seen.append(variable.get())
        variable.reset(token)
        seen.append(variable.get())

    variable.set("outer")
    assert await value_of(provider) == "inner"
    assert seen == ["inner", "outer"]


async def test_sync_generator_that_fails_before_its_yield() -> None:
    """The provider's own error comes out; there is nothing to close."""

    def provider() -> Iterator[str]:
        yield fail("no such thing")

    with pytest.raises(LookupError, match="no such thing"):
        await value_of(provider)


class Gate:
    """A place in a thread where the test stops it: `reached` is set from the thread, `go` by the test."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.reached = asyncio.Event()
        self.go = threading.Event()

    def wait(self) -> None:
        self.loop.call_soon_threadsafe(self.reached.set)
        self.go.wait()


async def test_sync_generator_cancelled_while_it_opens_is_closed_again() -> None:
    """A thread cannot be stopped, so what it still made is closed before the cancellation goes on."""
    gate, steps = Gate(), list[str]()

    def provider() -> Iterator[str]:
        gate.wait()
        steps.append("made")
        try:
            yield "value"
        except asyncio.CancelledError:
            steps.append("closed")

    task = asyncio.ensure_future(value_of(provider))
    await gate.reached.wait()
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    gate.go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert steps == ["made", "closed"]


async def test_sync_generator_cancelled_while_it_fails_to_open() -> None:
    """If nothing was made, the cancellation goes on and nothing is closed."""
    gate = Gate()

    def provider() -> Iterator[str]:
        gate.wait()
        yield fail("no such thing")

    task = asyncio.ensure_future(value_of(provider))
    await gate.reached.wait()
    task.cancel()
    await asyncio.sleep(0)
    gate.go.set()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("error", [None, LookupError("clean-up")])
async def test_sync_generator_cancelled_while_it_closes_closes_to_the_end(error: Exception | None) -> None:
    """A cancellation during a clean-up waits for it, and is then raised; an error of the clean-up is its cause."""
    gate, steps = Gate(), list[str]()

    def provider() -> Iterator[str]:
        yield "value"
        gate.wait()
        steps.append("closed")
        if error is not None:
            raise error

    task = asyncio.ensure_future(value_of(provider))
    await gate.reached.wait()
    task.cancel()
    await asyncio.sleep(0)
    assert steps == []
    gate.go.set()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    assert steps == ["closed"]
    assert caught.value.__cause__ is error


# -- inject -------------------------------------------------------------------------------------------------------


def test_inject_fills_depends_in_a_sync_function() -> None:
    """Providers are called at each call; plain values are passed as they are; other defaults stay."""

    @inject
    def report(title: str, made: Any = Depends(make), limit: Any = Depends(5), tail: str = "end") -> object:
        return title, made, limit, tail

    assert report("a") == ("a", "made", 5, "end")


async def test_inject_fills_depends_in_an_async_function() -> None:
    """All kinds of providers work where they can be awaited."""

    @inject
    async def report(
        a: Any = Depends(make), b: Any = Depends(make_async), c: Any = Depends(opened), d: Any = Depends(opened_async)
    ) -> object:
        return a, b, c, d

    assert await report() == ("made", "made async", "opened", "opened async")


def test_inject_fills_every_marker() -> None:
    """`Provide`, `Resolve` and `Security` defaults are filled as `Depends` is."""

    @inject
    def report(a: Any = Provide(len, "abc"), b: Any = Resolve(make), c: Any = Security(make)) -> object:
        return a, b, c

    assert report() == (3, "made", "made")


def test_inject_lets_explicit_arguments_win() -> None:
    """An argument that is given, by position or name, does not have its dependency made."""
    made: list[str] = []

    def tracked() -> str:
        made.append("x")
        return "made"

    @inject
    def report(first: Any = Depends(tracked), /, second: Any = Depends(tracked)) -> object:
        return first, second

    assert report(1, second=2) == (1, 2)
    assert made == []
    assert report(1) == (1, "made")
    assert report() == ("made", "made")


def test_inject_resolves_dependencies_of_dependencies() -> None:
    """The defaults of a provider come first; without a cache each argument gets its own."""
    numbers = iter(range(10))

    def number() -> int:
        return next(numbers)

    def pair(left: Any = Depends(number), right: Any = Depends(number), *, rest: str = "rest") -> object:
        return left, right, rest

    @inject
    def report(both: Any = Depends(pair), other: Any = Depends(number)) -> object:
        return both, other

    assert report() == ((0, 1, "rest"), 2)


@pytest.mark.parametrize("is_async", [False, True])
async def test_inject_caches_within_one_call_only(is_async: bool) -> None:
    """`use_cache` makes one value per call, and keeps none for the next."""
    numbers = iter(range(10))
    number = Provide(lambda: next(numbers), use_cache=True)

    @inject
    def report(left: Any = Depends(number), right: Any = Depends(number)) -> object:
        return left, right

    @inject
    async def report_async(left: Any = Depends(number), right: Any = Depends(number)) -> object:
        return left, right

    first = await report_async() if is_async else report()
    second = await report_async() if is_async else report()
    assert [first, second] == [(0, 0), (1, 1)]


def traced(steps: list[str], name: str) -> Callable[[], Iterator[str]]:
    """A generator provider that swallows what is thrown into it and notes each step."""

    def provider() -> Iterator[str]:
        steps.append(f"open {name}")
        try:
            yield name
        except Exception as error:
            steps.append(f"{name} saw {error}")
        finally:
            steps.append(f"close {name}")

    return provider


@pytest.mark.parametrize("is_async", [False, True])
async def test_inject_closes_generators_in_reverse_and_lets_errors_through(is_async: bool) -> None:
    """Each generator sees the function's error, the last one first; none can swallow it."""
    steps: list[str] = []
    first, second = traced(steps, "first"), traced(steps, "second")

    @inject
    def report(a: Any = Depends(first), b: Any = Depends(second)) -> object:
        raise LookupError("lost")

    @inject
    async def report_async(a: Any = Depends(first), b: Any = Depends(second)) -> object:
        raise LookupError("lost")

    with pytest.raises(LookupError):
        await report_async() if is_async else report()
    assert steps == ["open first", "open second", "second saw lost", "close second", "first saw lost", "close first"]


def test_inject_keeps_name_and_docstring() -> None:
    """The injected function still looks like the one that was written."""

    @inject
    def report(a: Any = Depends(1)) -> object:
        """Report."""

    assert (report.__name__, report.__doc__) == ("report", "Report.")


@pytest.mark.parametrize("dependency", [make_async, opened_async, AsyncService()])
def test_inject_refuses_an_async_dependency_of_a_sync_function(dependency: object) -> None:
    """A sync function cannot await: known when it is decorated, and said with both names."""

    def report(a: Any = Depends(dependency)) -> None: ...

    with pytest.raises(ImproperlyConfigured, match=r"report: a sync function cannot await .*test_dependencies"):
        inject(report)


def test_inject_refuses_a_coroutine_that_a_plain_wrapper_returns() -> None:
    """What only shows at the call is an error there, and not a coroutine in the argument."""

    @inject
    def report(a: Any = Depends(lambda: make_async())) -> None: ...

    with pytest.raises(ImproperlyConfigured, match="cannot await what its dependency"):
        report()


def test_inject_refuses_an_argument_that_nothing_fills() -> None:
    """A provider's argument needs a default or a value in `Provide`."""

    def report(a: Any = Depends(make_with_one)) -> None: ...

    with pytest.raises(ImproperlyConfigured, match=r"nothing fills argument 'x' of dependency .*make_with_one"):
        inject(report)


def test_inject_refuses_longer_scopes() -> None:
    """A plain call has no application that could own and close the value."""

    def report(a: Any = Depends(Provide(make, scope="app"))) -> None: ...

    with pytest.raises(ImproperlyConfigured, match=r"make has scope 'app'"):
        inject(report)


@pytest.mark.parametrize("fn", [opened, opened_async])
def test_inject_refuses_generator_functions(fn: Callable[..., Any]) -> None:
    """Its dependencies would be closed before its first step."""
    with pytest.raises(ImproperlyConfigured, match="generator function cannot be injected"):
        inject(fn)
