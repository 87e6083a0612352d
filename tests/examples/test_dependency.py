"""examples/dependency.py, served with uvicorn."""

import asyncio

import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.support.servers import serve_file

TABLES = {"Your table is by the window.", "Your table is by the door."}


async def leave(client: ClientConnection, how: str) -> None:
    """Close properly, or cut the connection."""
    if how == "closes":
        await client.close()
    else:
        client.transport.abort()


@pytest.mark.parametrize("how", ["closes", "vanishes"])
async def test_dependency_is_cleaned_up_when_the_client_leaves(how: str) -> None:
    """A third guest waits in the handshake, and gets the very table that the first one leaves, however he leaves."""
    with serve_file("examples/dependency.py") as server:
        first, second = [await connect(server.ws_url("/")) for _ in range(2)]
        table = await first.recv()
        assert {table, await second.recv()} == TABLES

        third = asyncio.ensure_future(connect(server.ws_url("/")).__aenter__())
        await second.send("Tea")
        assert str(await second.recv()).startswith("Tea, to the table by the ")
        assert not third.done()

        await leave(first, how)
        async with await third as guest:
            assert await guest.recv() == table
        await second.close()
