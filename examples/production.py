"""
Production: what an application that the world can reach should say, in one place.

Run it from the root of the repository:

    uvicorn examples.production:app

and talk to it. The counts are at http://127.0.0.1:8000/stats, and at /metrics if prometheus_client is installed:

    python -m websockets ws://127.0.0.1:8000/feed/cats

- Whoever sends more than three messages at once, or on average more than one per second, is closed with 4429; a message
  of more than 4 KiB is answered with 1009, and a connection ends with 1001 after a day, give or take 10 %.
- Only pages of this application itself and of the sites in ORIGINS may connect; programs may, too.
- Stop the server with `kill -TERM`: its clients are told to come back (1012), spread over ten seconds.
"""

import asyncio
import itertools
import logging

from lilya.apps import Lilya
from lilya.drain import Drain
from lilya.exceptions import NotFound
from lilya.instruments import ConnectionInfo, Instrument
from lilya.limits import Limits
from lilya.requests import Request
from lilya.responses import Response
from lilya.websockets import WebSocket

try:
    from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

    from lilya.observability.prometheus import PrometheusInstrument
except ImportError:  # an extra: pip install '.[prometheus]'
    PrometheusInstrument = None  # type: ignore[assignment,misc]  # so that there is one name to look at

# One line when a connection opens, one when it ends, one for each refusal and its cause.
logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
logging.getLogger("lilya").setLevel(logging.INFO)

# A list does not imply the application's own pages: they are named, too.
ORIGINS = ["http://127.0.0.1:8000", "https://feed.example.com", "https://*.partner.example"]


class LongestVisit(Instrument):
    """An instrument of our own: it remembers the longest connection."""

    seconds = 0.0

    def closed(self, info: ConnectionInfo) -> None:
        self.seconds = max(self.seconds, info.seconds)


longest = LongestVisit()
instruments: list[Instrument] = [longest]
if PrometheusInstrument is not None:
    instruments.append(PrometheusInstrument())

app = Lilya(
    origins=ORIGINS,
    limits=Limits(
        max_message_bytes=4 * 1024,
        rate="1/s",
        burst=3,
        connections=5_000,
        connections_per_client=20,
        lifetime=24 * 3600,
    ),
    drain=Drain(seconds=10, cancel_seconds=2),
    instruments=instruments,
)


@app.websocket("/feed/<topic>")
async def feed(websocket: WebSocket, topic: str) -> None:
    await websocket.accept()
    async with websocket.tasks() as tasks:
        tasks.start_soon(push, websocket, topic)
        async for message in websocket:
            await websocket.send_text(f"{topic}: noted, {len(message)}")


async def push(websocket: WebSocket, topic: str) -> None:
    """Send news, until the connection ends; this task ends with it."""
    for number in itertools.count(1):
        await asyncio.sleep(5)
        await websocket.send_text(f"{topic}: news {number}")


@app.get("/stats")
async def stats(request: Request) -> dict[str, object]:
    # Open to everybody here: put a permission before it, or serve it on a port of its own.
    return {**app.stats().as_dict(), "longest": longest.seconds}


@app.get("/metrics")
async def metrics(request: Request) -> Response:
    if PrometheusInstrument is None:
        raise NotFound("prometheus_client is not installed.")
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
