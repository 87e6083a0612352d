"""The contract as the clients see it that people really use, on the servers that can keep it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.support.clients import CLIENTS, Client, Seen, Wish, open_client
from tests.support.servers import RunningProcess, run_server

pytestmark = pytest.mark.timeout(90)  # the first start of a browser may take long on a busy machine


@pytest.fixture(scope="module", params=["uvicorn", "uvicorn-wsproto", "hypercorn", "granian"])
def server(request: pytest.FixtureRequest) -> Iterator[RunningProcess]:
    """Each server in turn, in a process of its own."""
    with run_server(request.param, "tests.contract.apps:app") as running:
        yield running


@pytest.fixture(scope="module", params=CLIENTS)
def client(request: pytest.FixtureRequest) -> Iterator[Client]:
    """Each client in turn."""
    with open_client(request.param) as opened:
        yield opened


VISITS = {
    "return": (Wish("/return"), Seen(code=1000)),
    "return after a message": (Wish("/return-after-message"), Seen(messages=["done"], code=1000)),
    "close": (Wish("/close/4321/9"), Seen(code=4321, reason="xé世😀é世😀é世")),
    "other exception": (Wish("/raise/after/boom"), Seen(code=1011)),
    "HTTPException": (Wish("/raise/after/http-401"), Seen(code=4401, reason="who?")),
    "malformed JSON": (Wish("/read/json", messages=["{"]), Seen(code=1007)),
    "denial": (Wish("/deny/text"), Seen(401)),
    "close before accept": (Wish("/close-before-accept/4000"), Seen(403)),
    "client closes": (
        Wish("/iterate/iter_text", messages=["a", "世"], count=2, close=(4000, "bye")),
        Seen(messages=["a", "世"], code=4000, reason="bye"),
    ),
    "subprotocol": (
        Wish("/subprotocol", protocols=["soap", "chat"], close=(1000, "")),
        Seen(protocol="chat", code=1000),
    ),
}


@pytest.mark.parametrize("name", VISITS)
def test_real_client_sees_the_contract(
    server: RunningProcess, client: Client, request: pytest.FixtureRequest, name: str
) -> None:
    """The same codes, reasons and statuses as on the wire."""
    wish, expected = VISITS[name]
    if request.node.callspec.params["client"] == "chromium" and expected.status != 101:
        expected = replace(expected, status=None, code=1006)
    assert client(server, wish) == expected
