"""The lifespan that a client's block runs."""

import asyncio
from typing import Any

import pytest

from lilya.testclient import AsyncTestClient, ConformanceError, FinishTimeout, LifespanFailed, ReceiveTimeout
from lilya.types import Receive, Scope, Send


async def answer(send: Send) -> None:
    """An empty response."""
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body"})


async def test_lifespan_surrounds_the_block() -> None:
    """Startup first, shutdown last, on the loop of the test; every entering is a new lifespan with a new state."""
    steps: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        steps.append((await receive())["type"])
        assert scope["state"] == {}
        scope["state"]["loop"] = asyncio.get_running_loop()
        await send({"type": "lifespan.startup.complete"})
        steps.append((await receive())["type"])
        await send({"type": "lifespan.shutdown.complete"})

    client = AsyncTestClient(app)
    for _ in range(2):
        async with client:
            assert client.app_state == {"loop": asyncio.get_running_loop()}
            with pytest.raises(RuntimeError, match="already entered"):
                await client.__aenter__()
            steps.append("block")
    assert steps == ["lifespan.startup", "block", "lifespan.shutdown"] * 2


async def test_lifespan_state_is_copied_into_every_scope() -> None:
    """What a connection puts into its state stays with it; the values are the same objects."""
    pool: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            scope["state"]["pool"] = pool
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        assert list(scope["state"]) == ["pool"]
        assert scope["state"]["pool"] is pool
        scope["state"]["mine"] = 1
        await answer(send)

    async with AsyncTestClient(app) as client:
        await client.get("/")
        await client.get("/")
        assert client.app_state == {"pool": pool}


@pytest.mark.parametrize("outcome", ["raises", "returns"])
async def test_lifespan_is_not_required_of_an_app(outcome: str) -> None:
    """An app that raises at the sight of the scope, or returns, is used without a lifespan, as servers do."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            if outcome == "raises":
                raise NotImplementedError(scope["type"])
            return
        await answer(send)

    async with AsyncTestClient(app) as client:
        assert (await client.get("/")).status_code == 200


@pytest.mark.parametrize("says_so", [False, True])
async def test_lifespan_raises_what_the_startup_raised(says_so: bool) -> None:
    """The very object, whether or not the app also reported the failure; the block is not entered."""
    error = LookupError("no database")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        if says_so:
            await send({"type": "lifespan.startup.failed", "message": "Traceback …"})
        raise error

    client = AsyncTestClient(app, raise_server_exceptions=False)
    with pytest.raises(LookupError) as caught:
        await client.__aenter__()
    assert caught.value is error


@pytest.mark.parametrize(("extra", "text"), [({"message": "no database"}, "no database"), ({}, "no message given")])
async def test_lifespan_raises_a_startup_or_shutdown_that_failed(extra: dict[str, str], text: str) -> None:
    """With the app's message, where there is no exception to raise."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        if scope["state"].get("fails") is None and failing == "startup":
            await send({"type": "lifespan.startup.failed", **extra})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.failed", **extra})

    failing = "startup"
    with pytest.raises(LifespanFailed, match=f"lifespan.startup.failed: {text}"):
        await AsyncTestClient(app).__aenter__()
    failing = "shutdown"
    with pytest.raises(LifespanFailed, match=f"lifespan.shutdown.failed: {text}"):
        async with AsyncTestClient(app):
            pass


@pytest.mark.parametrize("tell", [False, True])
async def test_lifespan_raises_what_the_shutdown_raised(tell: bool) -> None:
    """With or without a message before it."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await receive()
        if tell:
            await send({"type": "lifespan.shutdown.failed"})
        raise LookupError("cannot stop")

    with pytest.raises(LookupError, match="cannot stop"):
        async with AsyncTestClient(app):
            pass


async def test_lifespan_that_ends_early_is_noticed_only_if_it_failed() -> None:
    """Returning after startup means that there is nothing to shut down."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "lifespan.startup.complete"})
        if fail:
            raise LookupError("died")

    fail = False
    async with AsyncTestClient(app):
        pass
    fail = True
    with pytest.raises(LookupError, match="died"):
        async with AsyncTestClient(app):
            pass


@pytest.mark.parametrize(
    ("stuck", "expected"), [("startup", ReceiveTimeout), ("shutdown", ReceiveTimeout), ("end", FinishTimeout)]
)
async def test_lifespan_times_out(stuck: str, expected: type[TimeoutError]) -> None:
    """In its startup, in its shutdown, and when it does not end after that; the app is cancelled each time."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if stuck == "startup":
            await asyncio.Event().wait()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await receive()
        if stuck == "shutdown":
            await asyncio.Event().wait()
        await send({"type": "lifespan.shutdown.complete"})
        await asyncio.Event().wait()

    with pytest.raises(expected, match=r"^lifespan: .*test_lifespan.py:\d+ in "):
        async with AsyncTestClient(app, timeout=0.01):
            pass
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_lifespan_is_checked_for_conformance() -> None:
    """A breach is an error even of an app that goes on as if nothing had happened."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send({"type": "websocket.accept"})
        except ConformanceError:
            await asyncio.Event().wait()

    with pytest.raises(ConformanceError, match="before startup; allowed there: 'lifespan"):
        await AsyncTestClient(app).__aenter__()
    with pytest.raises(LifespanFailed, match=r"websocket\.accept"):
        await AsyncTestClient(app, check_asgi_conformance=False).__aenter__()


async def test_leaving_a_block_twice_does_nothing() -> None:
    """There is no lifespan to stop any more."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        return

    client = AsyncTestClient(app)
    async with client:
        pass
    await client.__aexit__()
