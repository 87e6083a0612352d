"""What stands at the end of a route: handlers with their dependencies, as seen through an application."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from typing import Any, Literal

import pytest
from websockets.asyncio.client import connect

from lilya._endpoints import Dispatcher, Place, is_function, make_endpoint, resolve
from lilya.apps import ChildLilya, Lilya
from lilya.dependencies import Provide, Provides, Resolve, Security
from lilya.exceptions import HTTPException, ImproperlyConfigured, NotAuthorized, WebSocketDisconnect
from lilya.protocols.middleware import MiddlewareProtocol
from lilya.requests import Request
from lilya.responses import StreamingResponse
from lilya.routing import Host, Include, Path, Router, WebSocketPath
from lilya.testclient import AsyncTestClient, TestClient, WebSocketDenialResponse, create_client
from lilya.types import Message, Receive, Scope, Send
from lilya.websockets import WebSocket
from tests.support.servers import WS_PROTOCOLS, serve

Kind = Literal["websocket", "http"]
BOTH: list[Kind] = ["websocket", "http"]


class Layer(MiddlewareProtocol):
    """A middleware that does nothing."""


async def show(connection: Any, value: Any) -> Any:
    """Tell the value of a dependency, to either kind of client."""
    if isinstance(connection, WebSocket):
        await connection.accept()
        await connection.send_json(value)
    return value


def routes(path: str = "/", handler: Any = show, **options: Any) -> list[Any]:
    """A handler as a route of both kinds."""
    return [Path(path, handler, **options), WebSocketPath(path, handler, **options)]


def ask(client: TestClient, kind: Kind, path: str = "/") -> Any:
    """What a handler answers in JSON, or the status of a refusal."""
    if kind == "http":
        response = client.get(path)
        return response.json() if response.status_code == 200 else response.status_code
    try:
        with client.websocket_connect(path) as websocket:
            return websocket.receive_json()
    except WebSocketDenialResponse as denial:
        return denial.status_code


# -- where a dependency comes from -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("strongest", ["app", "include", "inner include", "route", "override"])
@pytest.mark.parametrize("layered", [False, True])
def test_dependencies_are_merged_the_inner_one_wins(kind: Kind, strongest: str, layered: bool) -> None:
    """App, include, inner include, route, override: of one name the last one counts."""
    order = ["app", "include", "inner include", "route", "override"]

    def own(name: str) -> dict[str, Any]:
        return {"dependencies": {"value": name} if order.index(name) <= order.index(strongest) else {"other": 1}}

    inner = Include("/", routes=routes(**own("route")), middleware=[Layer] if layered else None, **own("inner include"))
    app = Lilya(routes=[Include("/", routes=[inner], **own("include"))], **own("app"))
    if strongest == "override":
        app.override_dependency("value", lambda: "override")
    assert ask(TestClient(app), kind) == strongest


def test_dependencies_of_a_decorator_are_those_of_its_route() -> None:
    """`@app.websocket(dependencies=…)` takes `Provide`, callables and plain values, as the constructor does."""
    app = Lilya(dependencies={"value": "app"})
    for number, dependency in enumerate([Provide(lambda: "provide"), lambda: "callable", "constant"]):
        app.websocket(f"/{number}", dependencies={"value": dependency})(show)
        app.get(f"/{number}", dependencies={"value": dependency})(show)
    client = TestClient(app)
    for kind in BOTH:
        assert [ask(client, kind, f"/{number}") for number in range(3)] == ["provide", "callable", "constant"]


class Made:
    """A class as a provider."""

    def __init__(self, base: int) -> None:
        self.base = base


async def base() -> int:
    """An async provider."""
    return 20


def doubled(base: int) -> int:
    """A sync provider with a provider of its own."""
    return 2 * base


async def made(made_by: Made, doubled: int) -> list[int]:
    """A provider of two others."""
    return [made_by.base, doubled]


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("value", [made, Provide(made), Resolve(made), Provide(made, doubled=40)])
def test_dependencies_have_dependencies(kind: Kind, value: Any) -> None:
    """A provider's own arguments are found by name among all maps: functions, coroutines, classes and values."""
    app = Lilya(
        routes=[Include("/", routes=routes(dependencies={"value": value}), dependencies={"made_by": Made})],
        dependencies={"base": base, "doubled": doubled},
    )
    assert ask(TestClient(app), kind) == [20, 40]


BY_NAME: Any = Provides()
CALLED: Any = Resolve(base)
USER: Any = Security(lambda: "ana")


async def with_markers(connection: Any, by_name: Any = BY_NAME, called: Any = CALLED, user: Any = USER) -> Any:
    """Arguments that say by their default where they come from."""
    return await show(connection, [by_name, called, user])


@pytest.mark.parametrize("kind", BOTH)
def test_dependencies_are_asked_for_by_default(kind: Kind) -> None:
    """`Provides()` injects by name, `Resolve` and `Security` call; a plain default stays, though the name is known."""

    async def handler(connection: Any, value: str = "default", named: str = BY_NAME) -> Any:
        return await show(connection, [value, named])

    client = create_client(
        [*routes("/a", with_markers), *routes("/b", handler)],
        dependencies={"by_name": lambda: 1, "value": "of the map", "named": "named"},
    )
    assert ask(client, kind, "/a") == [1, 20, "ana"]
    assert ask(client, kind, "/b") == ["default", "named"]


@pytest.mark.parametrize("kind", BOTH)
def test_dependencies_may_ask_for_the_connection(kind: Kind) -> None:
    """A provider with one argument nobody knows gets the connection; an annotated or named one wherever it stands."""

    def only(anything: Any) -> str:
        return str(anything.scope["type"])

    async def annotated(other: int, here: WebSocket | Request) -> list[Any]:
        return [other, here.scope["type"]]

    async def named(other: int, connection: Any) -> list[Any]:
        return [other, connection.scope["type"]]

    async def with_path(it: int) -> int:
        return it + 1

    for provider, value in ((only, kind), (annotated, [1, kind]), (named, [1, kind]), (with_path, 8)):
        app = Lilya(routes=routes("/{it:int}"), dependencies={"value": provider, "other": 1})
        assert ask(TestClient(app), kind, "/7") == value


@pytest.mark.parametrize("kind", BOTH)
def test_dependencies_see_the_connection_of_the_handler(kind: Kind) -> None:
    """Provider and handler have the very same object."""
    seen: list[Any] = []

    async def note(connection: WebSocket | Request) -> int:
        seen.append(connection)
        return 1

    async def handler(connection: Any, value: int) -> Any:
        seen.append(connection)
        return await show(connection, value)

    assert ask(create_client(routes("/", handler), dependencies={"value": note}), kind) == 1
    assert seen[0] is seen[1]


@pytest.mark.parametrize("kind", BOTH)
def test_dependencies_of_the_outer_app_are_not_those_of_a_child(kind: Kind) -> None:
    """A mounted application sees its own map and those of the includes and hosts around, not the outer app's."""
    child = ChildLilya(routes=routes("/{path}", lambda connection, app="unseen", **_: show(connection, app)))
    assert (
        ask(TestClient(Lilya(routes=[Include("/", app=child)], dependencies={"app": "seen"})), kind, "/x") == "unseen"
    )

    async def handler(connection: Any, outer: str, inner: str, host: str, own: str, strongest: str) -> Any:
        return await show(connection, [outer, inner, host, own, strongest])

    def mapped(name: str) -> dict[str, Any]:
        return {"dependencies": {name: name, "strongest": name}}

    own = mapped("own")
    for mounted in (ChildLilya(routes=routes("/", handler), **own), Router(routes("/", handler), **own)):
        host = Host("testserver", app=mounted, **mapped("host"))
        inner = Include("/", routes=[host], middleware=[Layer], **mapped("inner"))
        app = Lilya(routes=[Include("/", routes=[inner], **mapped("outer"))], dependencies={"outer": "not this"})
        assert ask(TestClient(app), kind) == ["outer", "inner", "host", "own", "own"]


def test_dependencies_of_the_outer_app_cannot_fill_a_childs_argument() -> None:
    """A child that relies on the outer application's map is refused at startup."""
    app = Lilya(routes=[Include("/", app=ChildLilya(routes=routes()))], dependencies={"value": 1})
    with pytest.raises(ImproperlyConfigured, match="nothing fills argument 'value'"):
        TestClient(app).__enter__()


async def provides_missing(connection: Any, value: Any = BY_NAME) -> None:
    """Asks by its default for what nobody provides."""


def test_dependencies_that_are_missing_are_an_error_at_startup() -> None:
    """An argument that says `Provides()` and finds no provider is named, with what there is."""
    with pytest.raises(ImproperlyConfigured) as caught:
        create_client(routes("/{it}", provides_missing), dependencies={"other": 1}).__enter__()
    assert str(caught.value) == (
        f"Path '/{{it}}': nothing fills argument 'value' of handler {__name__}.provides_missing. Path parameters: it. "
        f"Dependencies: other. Add 'value' to the path or to `dependencies`, or give the argument a default."
    )


# -- overrides ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", BOTH)
def test_dependencies_are_overridden_from_the_next_connection_on(kind: Kind) -> None:
    """`override_dependency` takes the place of any level's value, until `reset_dependency_overrides`."""
    app = Lilya(
        routes=[
            Include(
                "/",
                routes=[*routes("/route", dependencies={"value": "route"}), *routes("/include"), *routes("/app")],
                dependencies={"value": "include"},
            )
        ],
        dependencies={"value": "app"},
    )
    client = TestClient(app)
    assert [ask(client, kind, path) for path in ("/route", "/include")] == ["route", "include"]
    app.override_dependency("value", lambda: "override")
    assert [ask(client, kind, path) for path in ("/route", "/include")] == ["override", "override"]
    app.override_dependency("value", "another")
    assert ask(client, kind, "/route") == "another"
    app.reset_dependency_overrides()
    assert [ask(client, kind, path) for path in ("/route", "/include")] == ["route", "include"]


@pytest.mark.parametrize("kind", BOTH)
def test_dependencies_of_providers_are_overridden_as_well(kind: Kind) -> None:
    """An override counts where another provider asks for the name, too."""
    app = Lilya(routes=routes(), dependencies={"value": doubled, "base": base})
    app.override_dependency("base", 50)
    assert ask(TestClient(app), kind) == 100


@pytest.mark.parametrize("kind", BOTH)
def test_dependencies_are_overridden_where_an_application_declared_them(kind: Kind) -> None:
    """A child's handler sees the outer application's override of what an include gives it, and no other ones."""
    child = ChildLilya(routes=routes("/x", lambda connection, value, own, new=0: show(connection, [value, own, new])))
    child.dependencies["own"] = "own"
    app = Lilya(routes=[Include("/", app=child, dependencies={"value": "include"})])
    client = TestClient(app)
    assert ask(client, kind, "/x") == ["include", "own", 0]
    for name in ("value", "own", "new"):
        app.override_dependency(name, f"outer {name}")
    assert ask(client, kind, "/x") == ["outer value", "own", 0]
    child.override_dependency("own", "inner own")
    assert ask(client, kind, "/x") == ["outer value", "inner own", 0]


# -- how long a value lives --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [[1, 2], [3, 4]]),
        ({"use_cache": True}, [[1, 1], [2, 2]]),
        ({"scope": "app"}, [[1, 1], [1, 1]]),
    ],
)
def test_dependencies_are_shared_only_if_asked_for(
    kind: Kind, options: dict[str, Any], expected: list[list[int]]
) -> None:
    """Made for each argument; once a connection with `use_cache`; once an application with `scope="app"`."""
    for app_count in range(2):
        numbers = itertools.count(1)
        provide = Provide(lambda numbers=numbers: next(numbers), **options)

        async def handler(connection: Any, first: int, second: int) -> Any:
            return await show(connection, [first, second])

        app = Lilya(
            routes=routes("/", handler), dependencies={"first": provide, "second": Provide(lambda it: it, it=0)}
        )
        app.override_dependency("second", provide)
        client = TestClient(app)
        assert [ask(client, kind), ask(client, kind)] == expected, app_count


def test_dependencies_of_scope_app_are_shared_through_mounts() -> None:
    """One value for the outermost application, whichever child asks first; another application makes its own."""
    numbers = itertools.count(1)

    async def number() -> int:
        return next(numbers)

    provide = Provide(number, scope="app")
    child = ChildLilya(routes=routes(), dependencies={"value": provide})
    first = Lilya(
        routes=[Include("/child", app=child), *routes("/own", dependencies={"value": provide})],
    )
    second = Lilya(routes=routes(), dependencies={"value": provide})
    client = TestClient(first)
    assert [ask(client, kind, path) for kind in BOTH for path in ("/child", "/own")] == [1, 1, 1, 1]
    assert ask(TestClient(second), "websocket") == 2


# -- closing -----------------------------------------------------------------------------------------------------------


class Ledger:
    """What was opened and closed, and how; with two generators, the second one made of the first."""

    def __init__(self) -> None:
        self.entries: list[str] = []
        self.done = asyncio.Event()

    async def outer(self) -> AsyncIterator[str]:
        self.entries.append("open outer")
        try:
            yield "outer"
        except BaseException as error:
            self.entries.append(f"outer saw {type(error).__name__}")
            raise
        finally:
            self.entries.append("close outer")
            self.done.set()

    def inner(self, outer: str) -> Iterator[str]:
        self.entries.append("open inner")
        try:
            yield f"inner of {outer}"
        except BaseException as error:
            self.entries.append(f"inner saw {type(error).__name__}")
            raise
        finally:
            self.entries.append("close inner")

    def app(self, handler: Any) -> Lilya:
        return Lilya(routes=routes("/", handler), dependencies={"outer": self.outer, "value": self.inner})

    def expected(self, error: str | None = None) -> list[str]:
        seen = [[f"{name} saw {error}"] if error else [] for name in ("inner", "outer")]
        return ["open outer", "open inner", *seen[0], "close inner", *seen[1], "close outer"]


@pytest.mark.parametrize("kind", BOTH)
def test_dependencies_are_closed_when_the_handler_returns(kind: Kind) -> None:
    """Sync and async generators, in reverse order."""
    ledger = Ledger()
    assert ask(TestClient(ledger.app(show)), kind) == "inner of outer"
    assert ledger.entries == ledger.expected()


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("error", [KeyError, NotAuthorized])
def test_dependencies_are_closed_when_the_handler_fails(kind: Kind, error: type[Exception]) -> None:
    """They see the exception, which goes on; the peer gets what the exception says."""

    async def fail(connection: Any, value: str) -> None:
        raise error

    ledger = Ledger()
    client = TestClient(ledger.app(fail), raise_server_exceptions=False)
    assert ask(client, kind) == (401 if error is NotAuthorized else 500)
    assert ledger.entries == ledger.expected(error.__name__)


def test_dependencies_are_closed_before_the_connection_is() -> None:
    """What a generator does at its end still happens on the open connection, for a return and for an error."""

    async def goodbye(websocket: WebSocket) -> AsyncIterator[str]:
        try:
            yield "value"
        finally:
            await websocket.send_text("goodbye")

    async def accept(websocket: WebSocket, value: str) -> None:
        await websocket.accept()
        if websocket.query_params:
            raise HTTPException(status_code=429, detail="too much")

    client = create_client([WebSocketPath("/", accept)], dependencies={"value": goodbye})
    for path, code in (("/", 1000), ("/?fail", 4429)):
        with client.websocket_connect(path) as websocket:
            assert websocket.receive_text() == "goodbye"
            assert websocket.receive()["code"] == code


@pytest.mark.parametrize("kind", BOTH)
def test_dependencies_are_open_while_the_response_is_sent(kind: Kind) -> None:
    """A streamed body is made while its dependencies are open; a WebSocket handler's messages are, too."""
    ledger = Ledger()

    async def stream(connection: Any, value: str) -> Any:
        if isinstance(connection, WebSocket):
            return await show(connection, value)

        async def body() -> AsyncIterator[str]:
            for part in ('"', value, '"'):
                ledger.entries.append("part")
                yield part

        return StreamingResponse(body())

    assert ask(TestClient(ledger.app(stream)), kind) == "inner of outer"
    parts = ["part"] * 3 if kind == "http" else []
    assert ledger.entries == [*ledger.expected()[:2], *parts, *ledger.expected()[2:]]


async def test_dependencies_are_closed_when_the_client_leaves() -> None:
    """A handler that waits for a message ends with the disconnect, and so do its dependencies."""
    ledger = Ledger()

    async def wait(websocket: WebSocket, value: str) -> None:
        await websocket.accept()
        await websocket.receive_text()

    async with AsyncTestClient(ledger.app(wait)) as client:
        async with client.websocket_connect("/"):
            assert ledger.entries == ["open outer", "open inner"]
        assert ledger.entries == ledger.expected("WebSocketDisconnect")


@pytest.mark.parametrize("kind", BOTH)
async def test_dependencies_are_closed_when_the_server_cancels(kind: Kind) -> None:
    """A cancelled connection closes them before the cancellation goes on."""
    ledger = Ledger()
    waiting = asyncio.Event()

    async def wait(connection: Any, value: str) -> None:
        waiting.set()
        await asyncio.Event().wait()

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        raise AssertionError(f"nothing is sent: {message}")

    scope: Scope = {"type": kind, "path": "/", "headers": [], "method": "GET"}
    task = asyncio.ensure_future(ledger.app(wait)(scope, receive, send))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ledger.entries == ledger.expected("CancelledError")


@pytest.mark.parametrize("ws", WS_PROTOCOLS)
async def test_dependencies_are_closed_on_a_real_server(ws: str) -> None:
    """Over uvicorn, when the client closes, and when it is gone without a word."""
    ends: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    async def resource() -> AsyncIterator[str]:
        try:
            yield "open"
        except WebSocketDisconnect as error:
            loop.call_soon_threadsafe(ends.put_nowait, f"left with {error.code}")
            raise
        finally:
            loop.call_soon_threadsafe(ends.put_nowait, "closed")

    async def wait(websocket: WebSocket, resource: str) -> None:
        await websocket.accept()
        await websocket.send_text(resource)
        await websocket.receive_text()

    app = Lilya(routes=[WebSocketPath("/", wait)], dependencies={"resource": resource})
    with serve(app, ws=ws) as server:
        async with connect(server.ws_url("/")) as client:
            assert await client.recv() == "open"
            await client.close(4000)
        assert [await ends.get(), await ends.get()] == ["left with 4000", "closed"]
        async with connect(server.ws_url("/")) as client:
            assert await client.recv() == "open"
            client.transport.abort()
            assert (await ends.get()).startswith("left with 100")
            assert await ends.get() == "closed"


@pytest.mark.parametrize("kind", BOTH)
def test_dependencies_that_refuse_answer_for_the_handler(kind: Kind) -> None:
    """An `HTTPException` in a provider is the answer; what was opened before is closed; the handler never runs."""

    async def refuse(outer: str) -> str:
        raise NotAuthorized(headers={"www-authenticate": "Bearer"})

    async def never(connection: Any, value: str) -> None:
        raise AssertionError("the handler ran")

    ledger = Ledger()
    app = ledger.app(never)
    app.override_dependency("value", refuse)
    assert ask(TestClient(app), kind) == 401
    assert ledger.entries == ["open outer", "outer saw NotAuthorized", "close outer"]


@pytest.mark.parametrize("kind", BOTH)
def test_dependencies_that_fail_to_close_are_a_fault(kind: Kind) -> None:
    """An error of the clean-up after an accept is 1011; before an answer it is 500; the other ones are closed."""

    def breaks(outer: str) -> Iterator[str]:
        yield "value"
        raise KeyError("clean-up")

    async def handler(connection: Any, value: str) -> None:
        if isinstance(connection, WebSocket):
            await connection.accept()

    ledger = Ledger()
    app = ledger.app(handler)
    app.override_dependency("value", breaks)
    with pytest.raises(KeyError, match="clean-up"):
        ask(TestClient(app), kind)
    assert ledger.entries == ["open outer", "outer saw KeyError", "close outer"]
    if kind == "websocket":
        with TestClient(app, raise_server_exceptions=False).websocket_connect("/") as websocket:
            assert websocket.receive() == {"type": "websocket.close", "code": 1011, "reason": ""}


# -- endpoints by themselves -------------------------------------------------------------------------------------------


class Asgi:
    """An ASGI application."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Do nothing."""

    async def method(self, websocket: WebSocket) -> None:
        """A handler."""


@pytest.mark.parametrize(
    ("handler", "answer"),
    [(show, True), (Asgi().method, True), (lambda: None, True), (len, True), (Asgi(), False), (Asgi, False)],
)
def test_is_function_tells_handlers_from_applications(handler: Any, answer: bool) -> None:
    """Functions, methods and built-ins are called with arguments of their own, everything else with the scope."""
    assert is_function(handler) is answer


def test_resolve_gives_the_handler_behind_an_import_string() -> None:
    """Anything that can be called is left as it is."""
    assert resolve(f"{__name__}.show", "Path '/'") is show
    handler = Asgi()
    assert resolve(handler, "Path '/'") is handler


async def test_endpoint_of_an_application_works_outside_of_a_connection_of_ours() -> None:
    """Where nobody conducts the connection it is passed on as it is."""
    seen: list[Any] = []

    class Seeing:
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            seen.append(scope)

    async def unused(*args: Any) -> Any:
        raise AssertionError

    endpoint = make_endpoint(Seeing(), "http", Place("Path '/'", (), (), {}))
    endpoint.prepare(())
    await endpoint({"type": "http"}, unused, unused)
    assert seen == [{"type": "http"}]


def test_dispatcher_leaves_its_endpoint_open() -> None:
    """What a class that handles connections becomes at a place is up to the subclass."""
    with pytest.raises(NotImplementedError):
        Dispatcher.at(Place("Path '/'", (), (), {}))


def test_endpoint_is_compiled_once_for_each_chain_of_mounts() -> None:
    """The same application below two prefixes: each connection meets the plan of its own mounts, also added later."""
    child = ChildLilya(routes=routes("/", lambda connection, value, it: show(connection, [value, it])))
    app = Lilya(routes=[Include("/a/{it}", app=child, dependencies={"value": "a"})])
    client = TestClient(app)
    assert ask(client, "websocket", "/a/1") == ["a", "1"]
    app.include("/b/{it:int}", child, dependencies={"value": "b"})
    for kind in BOTH:
        assert [ask(client, kind, path) for path in ("/a/1", "/b/2")] == [["a", "1"], ["b", 2]]
