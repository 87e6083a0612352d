"""`websocket.tasks()`: tasks that end with their block, or with the connection."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from lilya.apps import Lilya
from lilya.exceptions import WebSocketDisconnect
from lilya.testclient import AsyncTestClient
from lilya.websockets import WebSocket
from tests.contract.peer import connected, disconnect


async def forever(ended: list[str], name: str = "child") -> None:
    """Wait until somebody cancels."""
    try:
        await asyncio.Event().wait()
    finally:
        ended.append(name)


async def fail(error: BaseException) -> None:
    """Fail when the event loop gets a turn."""
    await asyncio.sleep(0)
    raise error


async def test_tasks_end_with_their_block() -> None:
    """They are cancelled, and awaited."""
    websocket, _ = connected()
    ended: list[str] = []
    async with websocket.tasks() as tasks:
        task = tasks.start_soon(forever, ended, name="waiting")
        assert task.get_name() == "waiting"
        await asyncio.sleep(0)
    assert (ended, task.cancelled()) == (["child"], True)


async def test_tasks_that_are_done_are_forgotten() -> None:
    """A long connection may start any number of them, and have the results."""
    websocket, _ = connected()

    async def double(number: int) -> int:
        return 2 * number

    async with websocket.tasks() as tasks:
        assert [await tasks.start_soon(double, number) for number in range(3)] == [0, 2, 4]
        assert not tasks._tasks


async def test_failure_of_a_task_comes_out_of_the_block_as_itself() -> None:
    """The block and the other tasks are cancelled; no group is around the only exception."""
    websocket, _ = connected()
    ended: list[str] = []

    async def block() -> None:
        async with websocket.tasks() as tasks:
            tasks.start_soon(forever, ended)
            tasks.start_soon(fail, ValueError("why"))
            await forever(ended, "block")

    with pytest.raises(ValueError, match="why"):
        await block()
    assert sorted(ended) == ["block", "child"]
    current = asyncio.current_task()
    assert current is not None
    assert current.cancelling() == 0


async def test_failures_of_several_tasks_are_a_group() -> None:
    """Nothing is lost; a client that left beside them is nothing."""
    websocket, _ = connected()

    async def block() -> None:
        async with websocket.tasks() as tasks:
            for error in (ValueError("one"), WebSocketDisconnect(1001), KeyError("two")):
                tasks.start_soon(fail, error)
            await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup) as caught:
        await block()
    assert sorted(type(error).__name__ for error in caught.value.exceptions) == ["KeyError", "ValueError"]


async def test_exception_of_the_block_stays_as_it_is() -> None:
    """Also where a task fails while it is cancelled, which is then in a group with it."""
    websocket, _ = connected()
    error = ValueError("why")

    async def block() -> None:
        async with websocket.tasks() as tasks:
            tasks.start_soon(forever, [])
            await asyncio.sleep(0)
            raise error

    with pytest.raises(ValueError, match="why") as caught:
        await block()
    assert caught.value is error


@pytest.mark.parametrize("told", ["task", "block", "both"])
async def test_disconnect_comes_out_of_the_block_as_itself(told: str) -> None:
    """Whether a task is told of it, or the block, or two of them: no group is around it."""
    websocket, peer = connected(disconnect(4000, "bye"))
    peer.gone = True

    async def block() -> None:
        async with websocket.tasks() as tasks:
            tasks.start_soon(forever, [])
            if told != "block":
                tasks.start_soon(websocket.receive_text)
            if told == "both":
                tasks.start_soon(websocket.send_text, "x")
            if told == "block":
                await websocket.receive_text()
            await asyncio.Event().wait()

    with pytest.raises(WebSocketDisconnect) as caught:
        await block()
    assert (caught.value.code, caught.value.reason) == (4000, "bye")


async def test_tasks_end_with_the_connection() -> None:
    """At once, while the block goes on until its next call."""
    websocket, _ = connected(disconnect())
    ended: list[str] = []
    async with websocket.tasks() as tasks:
        tasks.start_soon(forever, ended)
        await asyncio.sleep(0)
        async for _ in websocket:
            raise AssertionError("there is no message")
        await asyncio.sleep(0)
        assert ended == ["child"]
        late = tasks.start_soon(forever, ended)
    assert late.cancelled()


async def test_tasks_of_our_own_close_end_too() -> None:
    """The connection is over, whoever ended it; a block inside the other one is done for by then."""
    websocket, _ = connected()
    ended: list[str] = []
    async with websocket.tasks() as outer:
        async with websocket.tasks() as inner:
            inner.start_soon(forever, ended, "inner")
            await asyncio.sleep(0)
        outer.start_soon(forever, ended, "outer")
        await asyncio.sleep(0)
        await websocket.close()
        await asyncio.sleep(0)
        assert ended == ["inner", "outer"]


async def test_cancellation_of_the_handler_goes_through() -> None:
    """The tasks end first."""
    websocket, _ = connected()
    ended: list[str] = []

    async def handler() -> None:
        async with websocket.tasks() as tasks:
            tasks.start_soon(forever, ended)
            await forever(ended, "block")

    task = asyncio.create_task(handler())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(ended) == ["block", "child"]


async def test_start_soon_refuses_what_it_cannot_start() -> None:
    """A function that is no coroutine function, and a block that has not begun or is over."""
    websocket, _ = connected()
    tasks = websocket.tasks()
    with pytest.raises(RuntimeError, match="inside of `async with"):
        tasks.start_soon(forever, [])
    async with tasks:
        with pytest.raises(TypeError, match="give a coroutine function"):
            tasks.start_soon(print)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="inside of `async with"):
        tasks.start_soon(forever, [])


async def test_streaming_handler_can_be_stopped_by_its_client() -> None:
    """What the group is for: an answer is streamed while the next message, "stop", is already read."""
    app = Lilya()
    stopped: list[str] = []

    async def tokens() -> AsyncGenerator[str, None]:
        try:
            while True:
                yield "token"
        finally:
            stopped.append("model")

    @app.websocket("/chat")
    async def chat(websocket: WebSocket) -> None:
        await websocket.accept()

        async def answer() -> None:
            stream = tokens()
            try:
                async for token in stream:
                    await websocket.send_text(token)
                    await asyncio.sleep(0)
            finally:
                await stream.aclose()

        async with websocket.tasks() as tasks:
            running: asyncio.Task[None] | None = None
            async for message in websocket:
                if running is not None:
                    running.cancel()
                    await asyncio.wait([running])
                    await websocket.send_text("stopped")
                if message != "stop":
                    running = tasks.start_soon(answer)

    async with AsyncTestClient(app) as client, client.websocket_connect("/chat") as websocket:
        await websocket.send_text("tell me")
        assert await websocket.receive_text() == "token"
        await websocket.send_text("stop")
        while await websocket.receive_text() == "token":
            pass
        assert stopped == ["model"]


async def test_start_soon_refuses_a_coroutine() -> None:
    """The message shows how to write it; the coroutine is closed, so that nothing warns of it."""
    websocket, _ = connected()
    given: Any = forever([])
    async with websocket.tasks() as tasks:
        with pytest.raises(TypeError, match=r"start_soon\(function, x\)"):
            tasks.start_soon(given)
