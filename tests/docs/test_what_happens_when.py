"""The tables of the page *What happens when* say what the library does, row by row."""

import ast
import asyncio
import re
from typing import Any

import pytest

from lilya import exceptions
from lilya._errors import close_for
from lilya._state import is_sendable, private_code
from lilya.apps import Lilya
from lilya.drain import Drain
from lilya.limits import Limits
from lilya.testclient import AsyncTestClient, WebSocketDenialResponse
from lilya.websockets import WebSocket, WebSocketDisconnect
from tests.contract.test_contract import row_on
from tests.contract.visits import Outcome
from tests.support.servers import ROOT, SERVERS

PAGE = (ROOT / "docs" / "explanation" / "what-happens-when.md").read_text(encoding="utf-8")


def table(head: str) -> list[list[str]]:
    """The rows of the table that begins with this line."""
    _, found, rest = PAGE.partition(f"\n{head}\n")
    assert found, head
    lines = rest.split("\n\n")[0].splitlines()[1:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


EXCEPTIONS = table("| exception | before `accept()` | after `accept()` |")
FROM_OUTSIDE = {row[3].strip("`"): row for row in table("| code | reason | when | setting |")}
SERVER_ROWS = {
    name: cells for name, *cells in table("| | uvicorn | uvicorn `--ws wsproto` | hypercorn | granian | daphne |")
}


# --- Which close code ------------------------------------------------------------------------------------------------


def exception_of(cell: str) -> Exception:
    """The exception that the first cell of a row makes."""
    source = re.findall(r"`(.*?)`", cell)[0]
    call = ast.parse(source, mode="eval").body
    assert isinstance(call, ast.Call)
    assert isinstance(call.func, ast.Name)
    kind = getattr(exceptions, call.func.id, None) or {"ValueError": ValueError}[call.func.id]
    given = {word.arg: ast.literal_eval(word.value) for word in call.keywords if word.arg}
    error = kind(*map(ast.literal_eval, call.args), **given)
    assert isinstance(error, Exception)
    return error


def close_in(cell: str) -> tuple[int, str]:
    """The code and the reason of a cell, such as "close 4401, `log in`"."""
    found = re.fullmatch(r"close (\d+)(?:, `(.*)`)?", cell)
    assert found, cell
    return int(found[1]), found[2] or ""


async def read_close(websocket: Any) -> tuple[int, str]:
    """What the server closes with."""
    with pytest.raises(WebSocketDisconnect) as closed:
        await websocket.receive_text()
    return closed.value.code, closed.value.reason


@pytest.mark.parametrize("row", EXCEPTIONS, ids=lambda row: row[0])
async def test_close_codes_are_those_of_the_page(row: list[str]) -> None:
    """Raised before and after `accept()`; and `close_for` says the same about the latter."""
    app = Lilya()

    @app.websocket("/before")
    async def before(websocket: WebSocket) -> None:
        raise exception_of(row[0])

    @app.websocket("/after")
    async def after(websocket: WebSocket) -> None:
        await websocket.accept()
        raise exception_of(row[0])

    assert close_for(exception_of(row[0])) == close_in(row[2])
    async with AsyncTestClient(app, raise_server_exceptions=False) as client:
        async with client.websocket_connect("/after") as websocket:
            assert await read_close(websocket) == close_in(row[2])
        if row[1].startswith("close"):
            async with client.websocket_connect("/before") as websocket:
                assert await read_close(websocket) == close_in(row[1])
        elif row[1] != "–":
            with pytest.raises(WebSocketDisconnect) as refused:
                async with client.websocket_connect("/before"):
                    pass
            # Servers answer a close before accept with 403.
            status = refused.value.status_code if isinstance(refused.value, WebSocketDenialResponse) else 403
            assert status == int(row[1])


def test_close_codes_of_the_page_are_complete() -> None:
    """Every kind of exception that is treated in a way of its own has its row."""
    shown = {type(exception_of(row[0])).__name__ for row in EXCEPTIONS}
    assert shown >= {
        "WebSocketException",
        "HTTPException",
        "UnexpectedMessage",
        "MalformedMessage",
        "ImproperlyConfigured",
        "WebSocketDisconnect",
        "ValueError",
    }


# --- What ends a connection from outside -----------------------------------------------------------------------------

# By the setting: what is set, and what the client sends.
LIMITS: dict[str, tuple[Limits, list[str]]] = {
    "max_message_bytes": (Limits(), ["x" * (1 << 20) + "x"]),
    "rate": (Limits(rate="1/h", burst=1), ["x", "x"]),
    "inbox_timeout": (Limits(inbox_messages=1, inbox_timeout=0.05), ["x", "x"]),
    "idle_timeout": (Limits(idle_timeout=0.05), []),
    "lifetime": (Limits(lifetime=0.05), []),
    "websocket.expires_at": (Limits(), []),
}


@pytest.mark.parametrize("setting", LIMITS)
async def test_limits_close_as_the_page_says(setting: str) -> None:
    """The code and the reason that the client gets, and the code that the handler is told."""
    limits, messages = LIMITS[setting]
    app = Lilya(limits=limits)
    over = asyncio.Event()
    told: list[int] = []

    @app.websocket("/ws")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        if setting == "websocket.expires_at":
            websocket.expires_at = 1.0
        if setting == "inbox_timeout":
            await over.wait()
        try:
            while True:
                await websocket.receive_text()
        except WebSocketDisconnect as error:
            told.append(error.code)

    code, reason = int(FROM_OUTSIDE[setting][0]), FROM_OUTSIDE[setting][1].strip("`")
    async with AsyncTestClient(app) as client:
        async with client.websocket_connect("/ws") as websocket:
            for message in messages:
                await websocket.send_text(message)
            assert await read_close(websocket) == (code, reason)
            over.set()
    assert told == [code]


def test_page_knows_every_end_from_outside() -> None:
    """The limits above, the drain, and a client that takes nothing, which tests/contract/test_watching.py has."""
    assert FROM_OUTSIDE.keys() == {*LIMITS, "drain", "write_timeout"}
    assert [int(FROM_OUTSIDE["drain"][0]), FROM_OUTSIDE["drain"][1].strip("`")] == [Drain().code, Drain().reason]
    assert FROM_OUTSIDE["write_timeout"][:2] == ["1006", "–"]
    assert {setting for setting in FROM_OUTSIDE if not hasattr(Limits(), setting)} == {"websocket.expires_at", "drain"}


# --- Servers ---------------------------------------------------------------------------------------------------------


def outcomes(name: str) -> list[Outcome]:
    """What comes of a row of the contract, by server."""
    return [row_on(server, name).outcome for server in SERVERS]


def told_code(outcome: Outcome) -> str:
    """The code that the handler got."""
    return outcome.got[0].split()[1]


def close_code(outcome: Outcome) -> str:
    """The code that the client got."""
    assert outcome.close is not None
    return str(outcome.close[0])


def has_reason(there: bool) -> str:
    """What the page says about a reason."""
    return "yes" if there else "no"


def test_servers_do_what_the_page_says() -> None:
    """The page and the tests against the real servers agree on every cell."""
    closes = outcomes("client closes")
    broken = outcomes("reserved opcode")
    vanished = [told_code(one) for one in outcomes("client vanishes by FIN")]
    assert vanished == [told_code(one) for one in outcomes("client vanishes by RST")]
    assert SERVER_ROWS == {
        "a refusal with 401 and a body arrives as": [str(one.status) for one in outcomes("denial of text")],
        "`HTTPException` with 429 before `accept()` arrives as": [
            str(one.status) for one in outcomes("HTTPException before accept")
        ],
        "close 1011 arrives as": [close_code(one) for one in outcomes("other exception after accept")],
        "the reason of a close arrives": [
            has_reason(one.close is not None and one.close[1] != "") for one in outcomes("close")
        ],
        "a client that closes with 4000 is answered with": [close_code(one) for one in closes],
        "… and the handler gets the code": [told_code(one) for one in closes],
        "… and with it the client's reason": [has_reason(one.got[0].endswith(" bye")) for one in closes],
        "a client that vanishes is for the handler": vanished,
        "a broken frame is closed with": [close_code(one) for one in broken],
        "… and is for the handler": [told_code(one) for one in broken],
    }


def test_private_codes_are_those_of_the_page() -> None:
    """Every code that daphne does not send has its row."""
    rows = [[int(cell) for cell in row] for row in table("| code | on daphne |")]
    assert rows == [[code, private_code(code)] for code in range(1001, 3000) if is_sendable(code)]
