"""The log lines on the page *Observe your app* are those that the library writes."""

import logging
import re

import pytest

from lilya.apps import Lilya
from lilya.testclient import AsyncTestClient
from lilya.websockets import WebSocket, WebSocketDisconnect
from tests.support.servers import ROOT

PAGE = (ROOT / "docs" / "how-to" / "observe.md").read_text(encoding="utf-8")

app = Lilya()


@app.websocket("/chat/<room>")
async def chat(websocket: WebSocket, room: str) -> None:
    """What the page tells of."""
    await websocket.accept()
    if room == "cellar":
        raise KeyError("it is dark")
    async for message in websocket:
        await websocket.send_text(str(message))


def masked(line: str) -> str:
    """A line without what is another one each time."""
    return re.sub(r"seconds=\d+\.\d{3}\b", "seconds=…", re.sub(r"\b[0-9a-f]{16}\b", "…", line))


async def test_log_lines_are_those_of_the_page(caplog: pytest.LogCaptureFixture) -> None:
    """All of them, in their order, but for ids and seconds."""
    caplog.set_level(logging.INFO, "lilya")
    async with AsyncTestClient(app, raise_server_exceptions=False) as client:
        async with client.websocket_connect("/chat/kitchen") as websocket:
            await websocket.send_text("hi")
            await websocket.receive_text()
        for path, message in (("/chat/cellar", None), ("/chat/attic", "x" * (1 << 20) + "x")):
            async with client.websocket_connect(path) as websocket:
                if message is not None:
                    await websocket.send_text(message)
                with pytest.raises(WebSocketDisconnect):
                    await websocket.receive_text()
        for path, headers in (("/chat", {}), ("/chat/kitchen", {"origin": "https://evil.example"})):
            with pytest.raises(WebSocketDisconnect):
                async with client.websocket_connect(path, headers=headers):
                    pass
    logged = [f"{record.levelname} {record.name}: {record.getMessage()}" for record in caplog.records]
    (shown,) = re.findall(r"^```text\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert [masked(line) for line in logged] == [masked(line) for line in shown.splitlines()]
