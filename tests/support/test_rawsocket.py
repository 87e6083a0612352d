"""The raw client and the reports of server processes, tested themselves: on every server, against an echo."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

import httpx
import pytest
from websockets.sync.client import connect

from tests.support.rawsocket import CLOSE, CONTINUATION, PING, PONG, TEXT, Frame, RawSocket, frame_bytes
from tests.support.servers import SERVERS, RunningProcess, run_server

pytestmark = pytest.mark.timeout(60)  # the start of a server may take long on a busy machine

APP = """
import logging

from tests.support.reports import Reporting, report

async def echo(scope, receive, send):
    if scope["type"] != "websocket":
        raise RuntimeError("no lifespan")
    await receive()
    if scope["path"] == "/fail":
        logging.getLogger("lilya.test").debug("failing")
        raise ValueError("on purpose")
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        report("heard", text=message["text"])
        await send({"type": "websocket.send", "text": message["text"]})

app = Reporting(echo)
"""


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProcess]:
    """Each server in turn, with a module of this test's own."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "echoing.py").write_text(textwrap.dedent(APP))
    with run_server(request.param, "echoing:app", cwd=folder) as running:
        yield running


def test_real_client_and_raw_client_are_served_alike(server: RunningProcess) -> None:
    """Text of all lengths of a frame's head comes back, and is reported from the server's process."""
    with connect(server.ws_url("/?case=real")) as websocket:
        websocket.send("x")
        assert websocket.recv(timeout=10) == "x"
    with RawSocket(server) as client:
        assert client.handshake("/?case=raw").status == 101
        for size in (1, 125, 126, 65_535, 65_536):
            client.send("é" * (size // 2) + "x" * (size % 2))
            assert client.read_frame() == Frame(TEXT, ("é" * (size // 2) + "x" * (size % 2)).encode())
        client.write(frame_bytes(TEXT, b"hal", fin=False))
        client.write(frame_bytes(PING, b"?") + frame_bytes(CONTINUATION, b"ves"))
        assert [client.read_frame(), client.read_frame()] == [Frame(PONG, b"?"), Frame(TEXT, b"halves")]
        client.close(1000)
        assert [frame.opcode for frame in client.frames()] == [CLOSE]
    assert server.reports.wait_for("ended", "raw")["raised"] is None
    assert server.reports.wait_for("ended", "real")["raised"] is None
    assert [one["text"] for one in server.reports.all("real", "heard")] == ["x"]
    assert server.reports.wait_for("heard", "raw", count=6)["text"] == "halves"


def test_report_says_what_came_out_of_the_application(server: RunningProcess) -> None:
    """The exception and what was logged; a wait for what never comes ends."""
    mark = server.reports.mark()
    with RawSocket(server) as client:
        client.ask("/fail?case=fails")
        assert server.reports.wait_for("ended", "fails")["raised"] == "ValueError"
    logged = [one["message"] for one in server.reports.since(mark) if one["kind"] == "log" and one["case"] == "fails"]
    assert "failing" in logged
    with pytest.raises(TimeoutError, match="no report of 1 'nothing'"):
        server.reports.wait_for("nothing", seconds=0.01)


def test_census_counts_connections(server: RunningProcess) -> None:
    """One more while one is open."""
    before = httpx.get(server.url("/census")).json()["connections"]
    with RawSocket(server) as client:
        assert client.handshake("/?case=counted").status == 101
        assert httpx.get(server.url("/census")).json()["connections"] == before + 1


@pytest.mark.parametrize("name", SERVERS)
def test_server_that_does_not_start_says_why(name: str) -> None:
    """The message shows what the process wrote."""
    with (
        pytest.raises(RuntimeError, match=r"No module named|Could not import|Error loading"),
        run_server(name, "nowhere:app"),
    ):
        pass  # pragma: no cover
