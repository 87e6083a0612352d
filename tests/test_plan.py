"""What fills the arguments of a handler, and how long the values live."""

# ruff: noqa: B008 - a call as a default is how a dependency is declared

import asyncio
import contextvars
import functools
import gc
import inspect
import threading
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import nullcontext
from typing import Annotated, Any, Generic, Literal, Optional, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lilya import _plan, _signature
from lilya._connection import Connection
from lilya._plan import CallPlan, compile_plan
from lilya._shared import SharedValues
from lilya.dependencies import Depends, Provide, Provides, Resolve, Security, inject
from lilya.exceptions import ImproperlyConfigured, WebSocketDisconnect

In = TypeVar("In")


class Socket(Connection, Generic[In]):
    """Stands for the WebSocket class: a connection, and generic."""


def connect(name: str = "c") -> Socket[Any]:
    return Socket({"type": "websocket", "name": name})


def plan_of(
    handler: Callable[..., Any],
    path_params: Mapping[str, Any] | None = None,
    kind: Literal["websocket", "http"] = "websocket",
    **dependencies: Any,
) -> CallPlan:
    """Compile a handler as the route '/here' does."""
    return compile_plan(
        handler,
        connection_type=Connection,
        kind=kind,
        path_params=list(path_params or {}),
        dependencies=dependencies,
        where="WebSocketPath '/here'",
    )


async def call(
    handler: Callable[..., Any],
    path_params: Mapping[str, Any] | None = None,
    kind: Literal["websocket", "http"] = "websocket",
    **dependencies: Any,
) -> Any:
    """Compile a handler and call it for one connection; that connection is "C" in the result."""
    connection = connect()

    def named(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(named(item) for item in value)
        return "C" if value is connection else value

    return named(await plan_of(handler, path_params, kind, **dependencies).run(connection, path_params or {}))


def annotated(fn: Callable[..., Any], **annotations: Any) -> Callable[..., Any]:
    """Put annotations on a function, also such as a linter would not let through."""
    fn.__annotations__ = annotations
    return fn


# -- which argument is the connection -------------------------------------------------------------------------------

ANNOTATIONS = [
    Connection,
    Socket,
    Socket[int],
    Annotated[Socket[int], "note"],
    Socket[int] | None,
    Optional["Socket[int]"],
    "Socket",
    "Socket[int]",
    "Socket[int] | None",
    "WebSocket",
    "Request",
    "lilya.requests.Request",
    "lilya.websockets.WebSocket[In, Out]",
    "WebSocket[In, Out] | None",
    "'WebSocket'",
    Optional["WebSocket"],  # noqa: F821 - a name that only the type checker would have
]


@pytest.mark.parametrize("kind", ["websocket", "http"])
@pytest.mark.parametrize("annotation", ANNOTATIONS)
async def test_connection_is_found_by_its_annotation(kind: Literal["websocket", "http"], annotation: Any) -> None:
    """A class, an alias, a union or a text; at any position, and before any name."""
    handler = annotated(lambda websocket, it=None: (websocket, it), it=annotation)
    assert await call(handler, {"websocket": 1}, kind) == (1, "C")


@pytest.mark.parametrize("annotation", [int, "int", "list[Socket]", "Nowhere", "list[WebSocket]", list[Socket[int]], 5])
async def test_other_annotations_do_not_make_a_connection(annotation: Any) -> None:
    """Only the connection itself counts, not something made of connections or unknown."""
    handler = annotated(lambda it, request: (it, request), it=annotation)
    assert await call(handler, {"it": 1}) == (1, "C")


async def test_every_annotated_argument_gets_the_connection() -> None:
    """Two arguments annotated as connections are both the connection."""

    async def handler(first: Socket[int], *, second: Connection) -> object:
        return first, second

    assert await call(handler) == ("C", "C")


async def test_injection_wins_over_a_connection_annotation() -> None:
    """`Provides()` and `Resolve` say more than the annotation does."""

    async def handler(ws: Socket[int], other: Any = Provides(), *args: Connection, **kwargs: Connection) -> object:
        return ws, other, args, kwargs

    assert await call(annotated(handler, ws=Socket, other=Socket), other=5) == ("C", 5, (), {})


# A row: what the handler is, the path parameters, the dependencies, and what it is called with.
Row = tuple[Callable[..., Any], dict[str, Any], dict[str, Any], Any]

ANY_KIND: list[Row] = [
    # By name, at any position.
    (lambda room, request: (room, request), {"room": 1}, {}, (1, "C")),
    (lambda *, connection: connection, {}, {}, "C"),
    (lambda db, request: (db, request), {}, {"db": 5}, (5, "C")),
    (lambda request=None: request, {}, {}, "C"),
    # A name that a path parameter or a dependency has is not the connection's.
    (lambda sock, connection: (sock, connection), {"connection": 1}, {}, ("C", 1)),
    (lambda sock, request: (sock, request), {}, {"request": 5}, ("C", 5)),
    # Path parameters by name, also where there is a default; a dependency of that name wins; defaults stay.
    (lambda request, room="x", other="y": (room, other), {"room": 1}, {}, (1, "y")),
    (lambda request, room: room, {"room": 1}, {"room": 5}, 5),
    (lambda request, db="mine": db, {}, {"db": 5}, "mine"),
    (lambda request, room="mine": room, {"room": 1}, {"room": 5}, 1),
    (lambda request, db=Provides(), *, other=Provides(): (db, other), {}, {"db": 5, "other": 6}, (5, 6)),
    (lambda request, one=Resolve(lambda: 1), two=Security(lambda: 2): (one, two), {}, {"one": 5}, (1, 2)),
    # Positional-only arguments, with a default in between.
    (lambda room, request, /: (room, request), {"room": 1}, {}, (1, "C")),
    (lambda request, other="y", room="x", /: (request, other, room), {"room": 1}, {}, ("C", "y", 1)),
    # Variadic arguments get nothing, unless the handler shows nothing else.
    (lambda request, *args, **kwargs: (args, kwargs), {"room": 1}, {"db": 5}, ((), {})),
    (lambda *args, **kwargs: (args, kwargs), {"room": 1}, {"db": 5}, (("C",), {})),
    # What `functools.partial` gives is given.
    (functools.partial(lambda db, request, room: (db, request, room), 7), {"room": 1}, {"db": 5}, (7, "C", 1)),
    (functools.partial(lambda request, db: (request, db), db=7), {}, {"db": 5}, ("C", 7)),
]
WEBSOCKET_ONLY: list[Row] = [
    # The first positional argument whatever its name, even one of a path parameter, a dependency, or with a default.
    (lambda anything: anything, {}, {}, "C"),
    (lambda room: room, {"room": 1}, {}, "C"),
    (lambda db: db, {}, {"db": 5}, "C"),
    (lambda sock, db: (sock, db), {}, {"sock": 5, "db": 6}, ("C", 6)),
    (lambda limit=1, /: limit, {}, {}, "C"),
    (lambda db=Provides(), sock=None: (db, sock), {}, {"db": 5}, (5, "C")),
    # The names, in this order.
    (
        lambda connection, request, ws, socket, websocket: websocket,
        dict.fromkeys(["connection", "request", "ws", "socket"]),
        {},
        "C",
    ),
    (lambda room, socket: (room, socket), {"room": 1}, {}, (1, "C")),
    (lambda room, ws: (room, ws), {"room": 1}, {}, (1, "C")),
]
HTTP_ONLY: list[Row] = [
    # The first positional argument that nothing else fills, if there is one.
    (lambda: "nothing", {}, {}, "nothing"),
    (lambda room: room, {"room": 1}, {}, 1),
    (lambda db: db, {}, {"db": 5}, 5),
    (lambda room, db, anything: anything, {"room": 1}, {"db": 5}, "C"),
    (lambda limit=1: limit, {}, {}, 1),
    (lambda limit=1, *args: (limit, args), {}, {}, (1, ())),
    (lambda ws: ws, {}, {}, "C"),
]


@pytest.mark.parametrize("row", [*ANY_KIND, *WEBSOCKET_ONLY])
async def test_arguments_of_a_websocket_handler(row: Row) -> None:
    """Each argument of a WebSocket handler gets what the table says."""
    handler, path_params, dependencies, expected = row
    assert await call(handler, path_params, "websocket", **dependencies) == expected


@pytest.mark.parametrize("row", [*ANY_KIND, *HTTP_ONLY])
async def test_arguments_of_an_http_handler(row: Row) -> None:
    """Each argument of an HTTP handler gets what the table says."""
    handler, path_params, dependencies, expected = row
    assert await call(handler, path_params, "http", **dependencies) == expected


@pytest.mark.parametrize("marker", [Depends(len), Provide(len)])
async def test_marker_without_inject_is_passed_as_it_is(marker: object) -> None:
    """A bare `Depends` or `Provide` default is only filled under `@inject`."""
    assert await call(lambda ws, x=marker: x) is marker


async def test_injected_handler_gets_both() -> None:
    """`@inject` fills its own defaults, the plan fills the rest."""

    @inject
    async def handler(room: str, websocket: Any, made: Any = Depends(lambda: "made")) -> object:
        return room, websocket, made

    assert await call(handler, {"room": 1}) == (1, "C", "made")


class Rooms:
    """Handlers of every form."""

    async def method(self, anything: Any, room: str) -> object:
        return anything, room

    @classmethod
    async def of_class(cls, anything: Any, room: str) -> object:
        return anything, room

    async def __call__(self, anything: Any, room: str) -> object:
        return anything, room


def wrapped(fn: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """A decorator that is sync, and passes the connection by position."""

    @functools.wraps(fn)
    def wrapper(connection: Any, **kwargs: Any) -> Awaitable[Any]:
        return fn(connection, **kwargs)

    return wrapper


@pytest.mark.parametrize("handler", [Rooms().method, Rooms.of_class, Rooms(), wrapped(Rooms().method)])
async def test_handler_may_be_any_callable(handler: Callable[..., Any]) -> None:
    """Methods, callable objects and wrapped functions are called as functions are."""
    assert await call(handler, {"room": 1}) == ("C", 1)


async def test_sync_handler_runs_in_a_thread_with_the_context() -> None:
    """A handler that blocks holds nobody up, and sees the context variables of its connection."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    variable.set("seen")

    def handler(websocket: Any) -> object:
        return threading.get_ident() != threading.main_thread().ident, variable.get()

    assert await call(handler) == (True, "seen")


async def test_direct_is_the_handler_that_takes_only_the_connection() -> None:
    """An async handler without anything else to fill needs no plan at run time; any other one does."""

    async def alone(websocket: Any, limit: int = 1) -> object:
        return "alone", limit

    async def by_keyword(*, websocket: Any) -> None: ...

    async def with_room(websocket: Any, room: str) -> None: ...

    assert plan_of(alone).direct is alone
    assert await call(alone) == ("alone", 1)
    assert plan_of(by_keyword).direct is None
    assert plan_of(with_room, {"room": 1}).direct is None
    assert plan_of(lambda websocket: None).direct is None
    assert plan_of(lambda websocket, db: None, db=5).direct is None


async def test_plan_does_not_change() -> None:
    """A plan is shared by all connections, so it cannot be assigned to."""
    plan = plan_of(lambda websocket: None)
    with pytest.raises(AttributeError):
        plan.threaded = False  # type: ignore[misc]  # this is the point


# -- providers ------------------------------------------------------------------------------------------------------


def numbers() -> Callable[[], int]:
    """A provider whose values tell how often it was called."""
    return iter(range(100)).__next__


# What a provider `it` is called with on a route with the path parameter room=1 and the dependency db=5.
PROVIDERS: list[tuple[Any, Any]] = [
    (lambda: "nothing", "nothing"),
    (7, 7),
    (Provide(7), 7),
    (Depends(lambda: 8), 8),
    (lambda db, room: (db, room), (5, 1)),
    (lambda db=0, room=0, other=3: (db, room, other), (5, 1, 3)),
    (lambda anything: anything, "C"),
    (lambda anything, /, db=0: (anything, db), ("C", 5)),
    (lambda db, websocket: (db, websocket), (5, "C")),
    (lambda db, request: (db, request), (5, "C")),
    (lambda request, *, connection=2: (request, connection), ("C", 2)),
    (lambda one=Resolve(lambda db: db), db=Provides(): (one, db), (5, 5)),
    (Provide(lambda a, b, db: (a, b, db), 1, b=2), (1, 2, 5)),
    (Provide(lambda db, anything: (db, anything), 6), (6, "C")),
    (Provide(dict, a=1), {"a": 1}),
    (lambda *args, **kwargs: (args, kwargs), ((), {})),
    (annotated(lambda db, it: (db, it), it="WebSocket"), (5, "C")),
]


@pytest.mark.parametrize("kind", ["websocket", "http"])
@pytest.mark.parametrize(("provider", "expected"), PROVIDERS)
async def test_arguments_of_a_provider(kind: Literal["websocket", "http"], provider: Any, expected: object) -> None:
    """Each argument of a provider gets what the table says, whatever kind of connection it is."""
    dependencies = {"db": 5, "it": provider}
    assert await call(lambda request, it: it, {"room": 1}, kind, **dependencies) == expected


async def test_providers_of_each_kind_are_made() -> None:
    """Functions, classes and generators, sync and async, work as plain values of the map."""

    class Service:
        def __init__(self, db: Any) -> None:
            self.db = db

    def function(db: Any) -> object:
        return db

    async def coroutine(db: Any) -> object:
        return db

    def generator(db: Any) -> Iterator[object]:
        yield db

    async def async_generator(db: Any) -> AsyncIterator[object]:
        yield db

    result = await call(
        lambda ws, a, b, c, d, e: (a.db, b, c, d, e),
        **dict[str, Any](a=Service, b=function, c=coroutine, d=generator, e=async_generator, db=5),
    )
    assert result == (5, 5, 5, 5, 5)


@pytest.mark.parametrize(
    ("options", "expected"), [({}, ((0, 1), 2)), ({"use_cache": True}, ((0, 0), 0)), ({"scope": "app"}, ((0, 0), 0))]
)
async def test_diamond(options: dict[str, Any], expected: object) -> None:
    """Two providers and the handler need a third: one value each, or the same for all if it is cached or shared."""
    top = Provide(numbers(), **options)
    result = await call(
        lambda ws, left, right, top: ((left, right), top), left=lambda top: top, right=lambda top: top, top=top
    )
    assert result == expected


@pytest.mark.parametrize(
    ("options", "within", "between", "applications"),
    [
        ({}, False, False, False),
        ({"use_cache": True}, True, False, False),
        ({"scope": "app"}, True, True, False),
        ({"scope": "global"}, True, True, True),
    ],
)
async def test_values_are_shared_only_as_asked(
    options: dict[str, Any], within: bool, between: bool, applications: bool
) -> None:
    """Within a connection, between two concurrent ones, and between applications: shared where the scope says so."""
    there = asyncio.Barrier(3)

    async def handler(ws: Any, left: object, right: object) -> tuple[object, object]:
        await there.wait()  # all three connections are open at once
        return left, right

    async def provider() -> object:
        await asyncio.sleep(0)
        return object()

    provide = Provide(provider, **options)
    plan = plan_of(handler, left=provide, right=provide)
    first, second = SharedValues(), SharedValues()
    (a, b), (c, _), (d, _) = await asyncio.gather(
        plan.run(connect(), {}, first), plan.run(connect(), {}, first), plan.run(connect(), {}, second)
    )
    assert (a is b, a is c, a is d) == (within, between, applications)


async def test_use_cache_keeps_nothing_for_the_next_connection() -> None:
    """The same description on two connections makes two values."""
    plan = plan_of(lambda ws, n, m: (n, m), n=(number := Provide(numbers(), use_cache=True)), m=number)
    assert [await plan.run(connect(), {}) for _ in range(2)] == [(0, 0), (1, 1)]


async def test_no_value_stays_alive_after_its_connection() -> None:
    """Neither the plan nor the `Provide` refers to what was made for a connection."""

    class Value:
        pass

    async def handler(ws: Any, it: Value) -> weakref.ref[Value]:
        return weakref.ref(it)

    plan = plan_of(handler, it=Provide(Value, use_cache=True))
    value = await plan.run(connect(), {})
    gc.collect()
    assert value() is None


# -- how long values live -------------------------------------------------------------------------------------------


class Trace:
    """Notes in which order generators are opened and closed, and what is thrown into them."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    def provider(self, name: str, swallow: bool = False, failing: Exception | None = None) -> Callable[..., Any]:
        async def provide() -> AsyncIterator[str]:
            self.steps.append(f"open {name}")
            try:
                yield name
            except BaseException as error:
                self.steps.append(f"{name} saw {type(error).__name__}")
                if not swallow:
                    raise
            finally:
                self.steps.append(f"close {name}")
                if failing is not None:
                    raise failing

        return provide

    def sync_provider(self, name: str) -> Callable[..., Any]:
        def provide() -> Iterator[str]:
            self.steps.append(f"open {name}")
            try:
                yield name
            except BaseException as error:
                self.steps.append(f"{name} saw {type(error).__name__}")
                raise
            finally:
                self.steps.append(f"close {name}")

        return provide


async def returns() -> str:
    return "returned"


async def fails() -> str:
    raise LookupError


async def loses_its_client() -> str:
    raise WebSocketDisconnect(1001)


async def is_cancelled() -> str:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)
    return "never"


ENDINGS = [
    (returns, None),
    (fails, LookupError),
    (loses_its_client, WebSocketDisconnect),
    (is_cancelled, asyncio.CancelledError),
]


@pytest.mark.parametrize("swallow", [False, True])
@pytest.mark.parametrize(("ending", "error"), ENDINGS)
async def test_generators_close_in_reverse_however_the_handler_ends(
    ending: Callable[[], Awaitable[str]], error: type[BaseException] | None, swallow: bool
) -> None:
    """Return, error, disconnect, cancellation: each generator sees it, the last one first, and none can swallow it."""
    trace = Trace()

    async def handler(ws: Any, first: str, second: str, third: str) -> str:
        trace.steps.append("handler")
        return await ending()

    dependencies: dict[str, Any] = {
        "first": trace.provider("first"),
        "second": trace.sync_provider("second"),
        "third": trace.provider("third", swallow),
    }
    task = asyncio.ensure_future(call(handler, **dependencies))
    await asyncio.wait([task])
    if error is None:
        assert task.result() == "returned"
    else:
        with pytest.raises(error):
            await task
    closing = []
    for name in ("third", "second", "first"):
        closing += [f"close {name}"] if error is None else [f"{name} saw {error.__name__}", f"close {name}"]
    assert trace.steps == ["open first", "open second", "open third", "handler", *closing]


async def test_error_in_one_clean_up_does_not_prevent_the_others() -> None:
    """All generators are closed; the last error comes out with the earlier one as its context."""
    trace = Trace()
    earlier, later = LookupError("earlier"), KeyError("later")
    dependencies: dict[str, Any] = {
        "first": trace.provider("first"),
        "second": trace.provider("second", failing=later),
        "third": trace.provider("third", failing=earlier),
    }
    with pytest.raises(KeyError) as caught:
        await call(lambda ws, first, second, third: None, **dependencies)
    assert caught.value is later
    assert later.__context__ is earlier
    assert [step for step in trace.steps if "close" in step] == ["close third", "close second", "close first"]


async def test_generator_may_replace_the_exception() -> None:
    """What a generator raises instead is what the others see and what comes out."""

    async def translating() -> AsyncIterator[None]:
        try:
            yield
        except LookupError:
            raise PermissionError from None

    trace = Trace()

    async def handler(ws: Any, first: Any, second: Any) -> None:
        raise LookupError

    with pytest.raises(PermissionError):
        await call(handler, first=trace.provider("first"), second=translating)
    assert trace.steps == ["open first", "first saw PermissionError", "close first"]


@pytest.mark.parametrize(("ending", "error"), ENDINGS[1:])
async def test_provider_that_ends_badly_closes_those_before_it(
    ending: Callable[[], Awaitable[str]], error: type[BaseException]
) -> None:
    """An error or a cancellation while a value is made closes what is open already; the handler is not called."""
    trace = Trace()
    handler = functools.partial(lambda steps, ws, first, second: steps.append("handler"), trace.steps)
    task = asyncio.ensure_future(call(handler, first=trace.provider("first"), second=ending))
    with pytest.raises(error):
        await task
    assert trace.steps == ["open first", f"first saw {error.__name__}", "close first"]


@pytest.mark.parametrize("needs_db", [False, True])
async def test_respond_gets_the_result_while_dependencies_are_open(needs_db: bool) -> None:
    """A response may still read from what a dependency gave; its failure reaches the generators."""
    trace = Trace()
    handler = (lambda ws, db: "result") if needs_db else (lambda ws: "result")

    async def respond(result: Any) -> None:
        trace.steps.append(f"respond {result}")

    plan = plan_of(handler, db=trace.provider("db"))
    assert await plan.run(connect(), {}, None, respond) == "result"
    assert trace.steps == (["open db", "respond result", "close db"] if needs_db else ["respond result"])


async def test_failing_respond_is_thrown_into_the_generators() -> None:
    """To a dependency, a response that cannot be sent is a handler that failed."""
    trace = Trace()

    async def respond(result: Any) -> None:
        raise OSError

    with pytest.raises(OSError):
        await plan_of(lambda ws, db: None, db=trace.provider("db")).run(connect(), {}, None, respond)
    assert trace.steps == ["open db", "db saw OSError", "close db"]


@given(edges=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=20), fails=st.booleans())
async def test_any_graph_closes_in_the_reverse_order_of_opening(edges: list[tuple[int, int]], fails: bool) -> None:
    """Whatever needs whatever: what was opened last is closed first, and everything that was opened is closed."""
    opened: list[int] = []
    closed: list[int] = []

    def provider(needs: list[int]) -> Any:
        async def opening(**made: int) -> AsyncIterator[int]:
            number = len(opened)
            opened.append(number)
            assert all(value < number for value in made.values())
            try:
                yield number
            finally:
                closed.append(number)

        arguments = [inspect.Parameter(f"d{need}", inspect.Parameter.KEYWORD_ONLY) for need in needs]
        opening.__signature__ = inspect.Signature(arguments)  # type: ignore[attr-defined]  # inspect looks there first
        return opening

    needed = {node: sorted({to for at, to in edges if at == node and to > node}) for node in range(8)}
    dependencies = {f"d{node}": provider(needs) for node, needs in needed.items()}

    def handler(ws: Any, d0: int, d1: int) -> None:
        if fails:
            raise LookupError

    plan = plan_of(handler, **dependencies)
    with pytest.raises(LookupError) if fails else nullcontext():
        await plan.run(connect(), {})
    assert closed == opened[::-1] != []


# -- shared values --------------------------------------------------------------------------------------------------


async def test_app_value_lives_until_the_store_is_closed() -> None:
    """A generator of scope "app" is opened once, outlives connections, and is closed with the application."""
    trace, shared = Trace(), SharedValues()
    low = Provide(trace.provider("low"), scope="app")
    high = Provide(on_low(trace, "high"), scope="app")
    plan = plan_of(lambda ws, high: high, high=high, low=low)
    assert [await plan.run(connect(), {}, shared) for _ in range(2)] == ["high on low", "high on low"]
    assert trace.steps == ["open low", "open high"]
    await shared.aclose()
    assert trace.steps == ["open low", "open high", "close high", "close low"]
    await plan.run(connect(), {}, shared)
    assert trace.steps[4:] == ["open low", "open high"]
    await shared.aclose()


def on_low(trace: Trace, name: str) -> Callable[..., Any]:
    """A generator on top of the dependency `low`."""

    async def provide(low: str) -> AsyncIterator[str]:
        trace.steps.append(f"open {name}")
        yield f"{name} on {low}"
        trace.steps.append(f"close {name}")

    return provide


async def test_parts_of_an_app_value_live_as_long_as_it() -> None:
    """What a shared value is made of is its own: not closed with the connection that came first."""
    trace, shared = Trace(), SharedValues()
    high = Provide(on_low(trace, "high"), scope="app")
    plan = plan_of(lambda ws, high, low: None, high=high, low=trace.provider("low"))
    await plan.run(connect(), {}, shared)
    assert trace.steps == ["open low", "open high", "open low", "close low"]
    await shared.aclose()
    assert trace.steps[4:] == ["close high", "close low"]


async def test_app_value_lives_as_long_as_the_call_without_an_application() -> None:
    """A plan that runs without a store closes what nobody else would."""
    trace = Trace()
    provide = Provide(trace.provider("db"), scope="app")
    await call(lambda ws, a, b: trace.steps.append("handler"), a=provide, b=provide)
    assert trace.steps == ["open db", "handler", "close db"]


@pytest.mark.parametrize("how", ["fails", "is cancelled"])
async def test_failure_to_make_a_shared_value_is_not_kept(how: str) -> None:
    """The one who was waiting makes the value when the first one fails or is cancelled; what was open is closed."""
    trace, shared = Trace(), SharedValues()
    asked, go = asyncio.Event(), asyncio.Event()
    attempts = numbers()

    async def provider(low: str) -> str:
        if attempts() > 0:
            return "made"
        asked.set()
        await go.wait()
        raise LookupError

    plan = plan_of(lambda ws, it: it, it=Provide(provider, scope="app"), low=trace.provider("low"))
    first, second, third = (asyncio.ensure_future(plan.run(connect(), {}, shared)) for _ in range(3))
    await asked.wait()
    second.cancel()  # one who waits may leave without the others noticing
    if how == "fails":
        go.set()
    else:
        first.cancel()
    await asyncio.wait([first, second, third])
    with pytest.raises(LookupError if how == "fails" else asyncio.CancelledError):
        first.result()
    assert second.cancelled()
    assert third.result() == "made"
    assert [step for step in trace.steps if "saw" not in step] == ["open low", "close low", "open low"]
    await shared.aclose()


async def test_global_generator_closes_with_the_last_application_that_used_it() -> None:
    """One value for all applications; closed when none of those that used it is left, then made anew."""
    trace = Trace()
    plan = plan_of(lambda ws, it: it, it=Provide(trace.provider("it"), scope="global"))
    first, second, stranger = SharedValues(), SharedValues(), SharedValues()
    for shared in (first, second, first):
        await plan.run(connect(), {}, shared)
    await first.aclose()
    await stranger.aclose()
    assert trace.steps == ["open it"]
    await second.aclose()
    assert trace.steps == ["open it", "close it"]
    await plan.run(connect(), {})
    assert trace.steps[2:] == ["open it", "close it"]


async def test_global_value_without_clean_up_stays() -> None:
    """A value that does not end outlives every application."""
    plan = plan_of(lambda ws, it: it, it=Provide(numbers(), scope="global"))
    assert [await plan.run(connect(), {}) for _ in range(3)] == [0, 0, 0]


async def test_failing_clean_up_of_an_application_still_lets_go_of_the_process() -> None:
    """Its global generators are closed although one of its own cannot be."""
    trace, shared = Trace(), SharedValues()
    plan = plan_of(
        lambda ws, a, b: None,
        a=Provide(trace.provider("a", failing=LookupError()), scope="app"),
        b=Provide(trace.provider("b"), scope="global"),
    )
    await plan.run(connect(), {}, shared)
    with pytest.raises(LookupError):
        await shared.aclose()
    assert trace.steps == ["open a", "open b", "close a", "close b"]


def test_generator_value_ends_with_its_event_loop() -> None:
    """A test client may have a loop for each request: what ended with one loop is made anew on the next."""
    trace, shared = Trace(), SharedValues()
    plan = plan_of(
        lambda ws, it, n: (it, n),
        it=Provide(trace.provider("it"), scope="app"),
        n=Provide(numbers(), scope="app"),
    )
    results = [asyncio.run(plan.run(connect(), {}, shared)) for _ in range(2)]
    assert results == [("it", 0), ("it", 0)]
    assert [step for step in trace.steps if "saw" not in step] == ["open it", "close it", "open it", "close it"]
    asyncio.run(shared.aclose())


def test_two_event_loops_make_one_value() -> None:
    """Threads with loops of their own wait for each other, too."""
    shared, making, go = SharedValues(), threading.Event(), threading.Event()
    count = numbers()

    def provider() -> int:
        making.set()
        go.wait()
        return count()

    plan = plan_of(lambda ws, it: it, it=Provide(provider, scope="app"))
    results: list[int] = []

    def serve() -> None:
        results.append(asyncio.run(plan.run(connect(), {}, shared)))

    async def come_second() -> None:
        waiting = asyncio.ensure_future(plan.run(connect(), {}, shared))
        await asyncio.sleep(0)  # it has seen that the value is being made, and waits
        go.set()
        results.append(await waiting)

    thread = threading.Thread(target=serve)
    thread.start()
    making.wait()
    asyncio.run(come_second())
    thread.join()
    assert results == [0, 0]


# -- errors at startup ----------------------------------------------------------------------------------------------


async def join(websocket: Any, color: str) -> None: ...


def database(url: str, size: int) -> None: ...


def generator_handler(websocket: Any) -> Iterator[None]:
    yield


async def async_generator_handler(websocket: Any) -> AsyncIterator[None]:
    yield


Mistake = tuple[Callable[..., Any], dict[str, Any], str]
MISTAKES: list[Mistake] = [
    (
        join,
        {"db": 5},
        (
            "nothing fills argument 'color' of handler tests.test_plan.join. Path parameters: room. Dependencies: db. "
            "Add 'color' to the path or to `dependencies`, or give the argument a default."
        ),
    ),
    (
        lambda websocket, color=Provides(): None,
        {},
        "nothing fills argument 'color' of handler tests.test_plan.<lambda>. Path parameters: room. Dependencies: none",
    ),
    (lambda websocket, *, color: None, {}, "nothing fills argument 'color'"),
    (lambda: None, {}, "handler tests.test_plan.<lambda> has no argument for the connection."),
    (lambda *, color=1: None, {}, "has no argument for the connection"),
    (lambda db=Provides(): None, {"db": 5}, "has no argument for the connection"),
    (lambda db=Provides(), *args: None, {"db": 5}, "has no argument for the connection"),
    (generator_handler, {}, "handler tests.test_plan.generator_handler is a generator function."),
    (async_generator_handler, {}, "is a generator function"),
    (
        lambda ws, db: None,
        {"db": database},
        "nothing fills argument 'url' of provider tests.test_plan.database of dependency 'db'.",
    ),
    (lambda ws, db: None, {"db": Provide(database, "url", 1, 2)}, "Provide(tests.test_plan.database, use_cache=False"),
    (lambda ws, a: None, {"a": lambda b=Provides(): None}, "nothing fills argument 'b' of provider"),
    (lambda ws, a: None, {"a": lambda websocket, what: None}, "nothing fills argument 'what' of provider"),
    (lambda ws, a: None, {"a": lambda *, what: None}, "nothing fills argument 'what' of provider"),
    (lambda ws, a: None, {"a": lambda a: None}, "dependency cycle a -> a."),
    (
        lambda ws, x: None,
        {"x": lambda a: None, "a": lambda b: None, "b": lambda c: None, "c": lambda a: None},
        "dependency cycle a -> b -> c -> a.",
    ),
    (lambda ws, a: None, {"a": lambda x=Resolve(lambda a: a): None}, "dependency cycle a -> <lambda> -> a."),
    (
        lambda ws, a: None,
        {"a": Provide(lambda room: None, scope="app")},
        "has scope 'app' or makes part of such a value, but argument 'room' is a path parameter",
    ),
    (
        lambda ws, b, a: None,
        {"a": Provide(lambda b: None, scope="app"), "b": lambda room: None},
        "of dependency 'b' has scope 'app' or makes part of such a value, but argument 'room'",
    ),
    (
        lambda ws, a: None,
        {"a": Provide(lambda b: None, scope="global"), "b": lambda c: None, "c": Provide(dict, scope="app")},
        "of dependency 'b' has scope 'global' or makes part of such a value, but 'c' has scope 'app'",
    ),
]


@pytest.mark.parametrize(("handler", "dependencies", "message"), MISTAKES)
def test_mistake_is_an_error_at_startup(handler: Callable[..., Any], dependencies: Any, message: str) -> None:
    """What cannot work is refused before anybody connects, with the place, the thing and the remedy."""
    with pytest.raises(ImproperlyConfigured) as caught:
        plan_of(handler, {"room": 1}, **dependencies)
    assert str(caught.value).startswith("WebSocketPath '/here': ")
    assert message in str(caught.value)


async def test_unused_mistakes_do_not_matter() -> None:
    """Only what a handler needs is looked at: an application's map may hold more than one route can use."""
    assert await call(lambda ws, db: db, db=5, broken=database, cyclic=lambda cyclic: None) == 5


async def test_app_provider_may_use_the_connection_and_the_process() -> None:
    """It gets the connection that came first, and may build on what lives longer."""
    base = Provide(numbers(), scope="global")
    plan = plan_of(lambda ws, it: it, it=Provide(lambda ws, base: (ws["name"], base), scope="app"), base=base)
    shared = SharedValues()
    assert await plan.run(connect("first"), {}, shared) == ("first", 0)
    assert await plan.run(connect("second"), {}, shared) == ("first", 0)
    await shared.aclose()


def test_arguments_are_read_at_startup_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Running a plan asks nothing of `inspect`."""
    plan = plan_of(lambda ws, it: it, it=lambda db: db, db=Provide(lambda: 5))
    monkeypatch.setattr(_plan, "inspect", None)
    monkeypatch.setattr(_plan, "kind_of", None)
    monkeypatch.setattr(_signature, "inspect", None)
    assert asyncio.run(plan.run(connect(), {})) == 5


@pytest.mark.parametrize("scope", ["app", "global"])
async def test_shared_value_is_another_where_it_is_made_of_something_else(scope: str) -> None:
    """One provider makes one value for each set of things it is made of, be they values or providers."""
    made: list[Any] = []

    def make(tenant: Any) -> str:
        made.append(tenant)
        return f"svc-{tenant}"

    svc = Provide(make, scope=scope)
    base, shared = Provide(lambda: "base", scope=scope), SharedValues()
    texts = {"X": "X", None: "None", (lambda: "Z"): "Z", base: "base", Resolve(base): "base"}
    for tenant, text in [*texts.items()] * 2:
        plan = plan_of(lambda ws, svc: svc, svc=svc, tenant=tenant)
        assert await plan.run(connect(), {}, shared) == f"svc-{text}"
    assert made == ["X", None, "Z", "base"]
    await shared.aclose()


async def test_shared_value_follows_what_lies_deeper() -> None:
    """A value of scope "app" is another when something far below it is another: an override reaches it."""
    svc, repo = Provide(lambda repo: ("svc", repo), scope="app"), Provide(lambda db: ("repo", db), scope="app")
    shared = SharedValues()

    def plan_with(db: Any) -> CallPlan:
        return plan_of(lambda ws, svc: svc, svc=svc, repo=repo, db=db)

    for db in ("real", "fake", "real"):
        assert await plan_with(db).run(connect(), {}, shared) == ("svc", ("repo", db))
    await shared.aclose()
