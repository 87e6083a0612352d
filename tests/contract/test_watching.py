"""
The contract beside the handler: clients that vanish while it does something else, that stop reading, or that flood.

On every server, with the limits of `tests.contract.watching`, which are short enough to be waited for.
"""

from __future__ import annotations

import contextlib
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.contract.visits import faults, new_case, visit
from tests.support.rawsocket import TEXT, RawSocket, message_bytes
from tests.support.servers import SERVERS, RunningProcess, run_server

pytestmark = pytest.mark.timeout(60)  # the start of a server may take long on a busy machine

# As often as each server can be told to ask whether its client is still there; granian does not ask.
PINGING = {
    "uvicorn": ("--ws-ping-interval", "0.5", "--ws-ping-timeout", "0.5"),
    "uvicorn-wsproto": ("--ws-ping-interval", "0.5", "--ws-ping-timeout", "0.5"),
    "hypercorn": ("--websocket-ping-interval", "1"),
    "granian": (),
    "daphne": ("--ping-interval", "1", "--ping-timeout", "1"),
}

LEAVING: dict[str, Callable[[RawSocket], None]] = {"FIN": RawSocket.fin, "RST": RawSocket.rst}


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[RunningProcess]:
    """Each server in turn, in a process of its own."""
    with run_server(request.param, "tests.contract.watching:app") as running:
        yield running


def name_of(request: pytest.FixtureRequest) -> str:
    """The name of the server that a test runs on."""
    name: str = request.node.callspec.params["server"]
    return name


def enter(client: RawSocket, path: str) -> str:
    """Make a connection; its name."""
    case = new_case()
    assert client.handshake(f"{path}?case={case}").status == 101
    return case


def errors(server: RunningProcess, case: str) -> list[str]:
    """What the handler was told, reasons left out."""
    return [" ".join(one["error"].split()[:2]) for one in server.reports.all(case, "got")]


def close_lines(server: RunningProcess, case: str) -> int:
    """How many lines the log has about the end of a connection."""
    logged = server.reports.all(case, "log")
    return sum(one["logger"] == "lilya.websocket" and one["message"].startswith("close ") for one in logged)


# --- The client vanishes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("leave", LEAVING)
def test_vanishing_ends_a_handler_that_only_sends(server: RunningProcess, leave: str) -> None:
    """Its next send raises, also where the server's own `send` succeeds for ever."""
    mark = server.reports.mark()
    with RawSocket(server) as client:
        case = enter(client, "/only-sends")
        assert client.read_frame() is not None
        LEAVING[leave](client)
        assert server.reports.wait_for("ended", case)["raised"] is None
    (told,) = errors(server, case)
    assert told in ("WebSocketDisconnect 1006", "WebSocketDisconnect 1005")
    assert len(server.reports.all(case, "cleanup")) == close_lines(server, case) == 1
    assert faults(server.reports.since(mark)) == ()


@pytest.mark.parametrize("leave", LEAVING)
def test_vanishing_cancels_a_handler_that_only_computes(server: RunningProcess, leave: str) -> None:
    """After the grace period, once, and nobody calls it a fault."""
    mark = server.reports.mark()
    with RawSocket(server) as client:
        case = enter(client, "/only-computes")
        assert client.read_frame() is not None
        LEAVING[leave](client)
        assert server.reports.wait_for("ended", case)["raised"] is None
    assert errors(server, case) == ["CancelledError"]
    assert len(server.reports.all(case, "cleanup")) == close_lines(server, case) == 1
    assert faults(server.reports.since(mark)) == ()


def test_closing_cancels_a_handler_that_only_computes(server: RunningProcess) -> None:
    """The same for a client that closes as it should; it is answered at once."""
    with RawSocket(server) as client:
        case = enter(client, "/only-computes")
        assert client.read_frame() is not None
        client.close(4000, "bye")
        assert server.reports.wait_for("ended", case)["raised"] is None
    assert errors(server, case) == ["CancelledError"]
    assert close_lines(server, case) == 1


def test_vanishing_ends_a_handler_that_swallows_cancellation(server: RunningProcess) -> None:
    """It goes on, and its next send raises."""
    mark = server.reports.mark()
    with RawSocket(server) as client:
        case = enter(client, "/swallows")
        assert client.read_frame() is not None
        client.rst()
        assert server.reports.wait_for("ended", case)["raised"] is None
    first, second = errors(server, case)
    assert first == "CancelledError"
    assert second.startswith("WebSocketDisconnect")
    assert len(server.reports.all(case, "cleanup")) == 1
    assert faults(server.reports.since(mark)) == ()


def test_leaving_does_not_cut_what_is_shorter_than_the_grace_period(server: RunningProcess) -> None:
    """A handler that commits something when its client has left comes to its end."""
    with RawSocket(server) as client:
        case = enter(client, "/commits")
        client.close()
        server.reports.wait_for("ended", case)
    assert [one["kind"] for one in server.reports.all(case) if one["kind"] != "log"] == ["got", "committed", "ended"]


# --- The handler is busy --------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", SERVERS)
def test_streaming_survives_a_second_message_and_pings(name: str) -> None:
    """`async for prompt in websocket: async for token in model: await websocket.send_text(token)`."""
    tokens: list[str] = []
    with run_server(name, "tests.contract.watching:app", *PINGING[name]) as server, RawSocket(server) as client:
        case = enter(client, "/streams")
        client.send("25")  # for longer than any server here waits for a pong
        messages = client.messages()
        tokens += [str(next(messages))]
        client.send("3")
        tokens += [str(next(messages)) for _ in range(27)]
        client.close()
        assert server.reports.wait_for("ended", case)["raised"] is None
    assert tokens == [f"{number} of {count}" for count in (25, 3) for number in range(count)]


def test_catching_up_loses_nothing(server: RunningProcess) -> None:
    """Messages beyond what the inbox holds wait at the server, and come in their order."""
    with RawSocket(server) as client:
        case = new_case()
        assert client.handshake(f"/catches-up/{case}?case={case}").status == 101
        sent = [str(number) for number in range(200)]
        client.write(b"".join(map(message_bytes, sent)))
        messages = client.messages()
        assert next(messages) == "away"
        assert visit(server, f"/wakes/{case}").close == (1000, "")
        assert [next(messages) for _ in sent] == sent
        client.close()
        server.reports.wait_for("ended", case)


def test_flood_is_closed_with_1013(server: RunningProcess, request: pytest.FixtureRequest) -> None:
    """The handler does not read, and the inbox stays full."""
    with RawSocket(server) as client:
        case = enter(client, "/is-away")
        client.write(message_bytes("x") * 50)
        closes = [frame.close for frame in client.frames() if frame.opcode != TEXT]
        server.reports.wait_for("ended", case)
    # Daphne cannot close with 1013: 4000 + HTTP status 503 stands for it.
    code = 4503 if name_of(request) == "daphne" else 1013
    assert [sent for sent, _ in closes] == [code]
    assert errors(server, case) == ["WebSocketDisconnect 1013"]


# Daphne's `send` never waits: there is nothing that could time out, and its buffer has no bound.
@pytest.mark.parametrize("server", [name for name in SERVERS if name != "daphne"], indirect=True)
def test_client_that_stops_reading_is_given_up(server: RunningProcess) -> None:
    """The send that has waited for `write_timeout` raises, and the handler ends."""
    with RawSocket(server, receive_buffer=1) as client:
        case = enter(client, "/pours")
        assert server.reports.wait_for("ended", case)["raised"] is None
    assert errors(server, case) == ["WebSocketDisconnect 1006"]
    assert close_lines(server, case) == 1


@pytest.mark.parametrize(
    ("path", "messages", "code", "on_daphne"),
    [("/small", ["x" * 1001], 1009, 4413), ("/rated", ["x"] * 4, 4429, 4429), ("/idle", [], 1001, 1000)],
)
def test_limit_closes_with_its_code(
    server: RunningProcess, request: pytest.FixtureRequest, path: str, messages: list[str], code: int, on_daphne: int
) -> None:
    """A message that is too big, too many of them, none at all."""
    with RawSocket(server) as client:
        case = enter(client, path)
        client.write(b"".join(map(message_bytes, messages)))
        (close,) = [frame.close for frame in client.frames() if frame.opcode != TEXT]
        server.reports.wait_for("ended", case)
    assert close[0] == (on_daphne if name_of(request) == "daphne" else code)
    assert errors(server, case) == [f"WebSocketDisconnect {code}"]
    assert close_lines(server, case) == 1


@pytest.mark.parametrize("text", ["x", "é" * 500, "x" * 1000])
def test_message_of_just_the_size_is_no_end(server: RunningProcess, text: str) -> None:
    """The limit is the largest size that is allowed, in bytes of UTF-8."""
    with RawSocket(server) as client:
        case = enter(client, "/small")
        client.send(text)
        assert next(client.messages()) == text
        client.close()
        server.reports.wait_for("ended", case)


# --- A thousand at once ---------------------------------------------------------------------------------------------

MANY = 1000


def census(server: RunningProcess) -> dict[str, int]:
    """What the process holds now."""
    counted: dict[str, int] = httpx.get(server.url("/census")).json()
    return counted


@pytest.mark.slow
def test_thousand_clients_cut_off_at_once_leave_nothing(server: RunningProcess) -> None:
    """Every clean-up runs exactly once, the log has one line for each, and no task or descriptor stays behind."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 2 * MANY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(2 * MANY, hard), hard))
    with RawSocket(server) as one:
        enter(one, "/many")  # whatever is made once, and kept, is there when we begin to count
        one.close()
        one.read_to_end()
    before = census(server)
    mark = server.reports.mark()
    with contextlib.ExitStack() as stack:
        clients, cases = [], []
        for _ in range(MANY):
            clients.append(stack.enter_context(RawSocket(server, seconds=30)))
            cases.append(enter(clients[-1], "/many"))
        assert census(server)["connections"] >= MANY
        for number, client in enumerate(clients):
            client.write(message_bytes("x") if number % 3 else message_bytes("x" * 9)[:4])
            LEAVING["FIN" if number % 2 else "RST"](client)
        for case in cases:
            assert server.reports.wait_for("ended", case, seconds=30)["raised"] is None
    seen = server.reports.since(mark)
    for kind in ("left", "cleanup", "released", "ended"):
        assert Counter(one["case"] for one in seen if one["kind"] == kind) == Counter(cases), kind
    assert [close_lines(server, case) for case in cases] == [1] * MANY
    assert faults(seen) == ()

    deadline = time.monotonic() + 10
    while (after := census(server)) != before and time.monotonic() < deadline:
        pass  # the server closes its sockets a moment after the application has ended; each look is a round trip
    assert after == before
