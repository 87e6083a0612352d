"""examples/tickets.py, served with uvicorn on each of its WebSocket protocols."""

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from examples import tickets
from tests.support.servers import WS_PROTOCOLS, RunningServer, serve_file

PAGES = Origin(tickets.PAGES)


def closing_code(server: RunningServer, ticket: str) -> int:
    """The code that follows an accepted handshake with this ticket."""
    offered = [Subprotocol("ticket"), Subprotocol(ticket)]
    with connect(server.ws_url("/ws"), subprotocols=offered, origin=PAGES) as websocket:
        assert websocket.subprotocol == "ticket"
        with pytest.raises(ConnectionClosed):
            websocket.recv()
        assert websocket.close_code is not None
        return websocket.close_code


@pytest.mark.parametrize("ws", WS_PROTOCOLS)
def test_tickets_let_each_user_in_once(ws: str) -> None:
    """What a page of the other origin does: ask, fetch a ticket, open a WebSocket; the ticket is void afterwards."""
    with serve_file("examples/tickets.py", options=("--ws", ws)) as server:
        url = server.url("/ticket")
        asked = httpx.options(url, headers={"origin": PAGES, "access-control-request-method": "POST"})
        assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (204, PAGES)
        assert asked.headers["access-control-allow-headers"] == "authorization"

        for user in ("ana", "bob"):
            answer = httpx.post(url, headers={"authorization": f"Bearer {user}-secret", "origin": PAGES})
            assert answer.headers["access-control-allow-origin"] == PAGES
            assert answer.headers["cache-control"] == "no-store"
            ticket = answer.json()["ticket"]
            offered = [Subprotocol("ticket"), Subprotocol(ticket)]
            with connect(server.ws_url("/ws"), subprotocols=offered, origin=PAGES) as websocket:
                assert websocket.subprotocol == "ticket"
                assert websocket.recv() == f"Hello, {user}!"
            assert closing_code(server, ticket) == 4401

        assert httpx.post(url).status_code == 401
        assert httpx.post(url, headers={"authorization": "Bearer wrong"}).status_code == 401
        assert closing_code(server, "wrong") == 4401
        assert httpx.get(server.url("/")).text == tickets.PAGE
    assert ticket not in server.log()
