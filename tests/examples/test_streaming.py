"""examples/streaming.py, served with uvicorn: the sockets, and the page in a real browser."""

import contextlib
import json
import os
import signal
from collections.abc import Iterator

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.support.browser import BROWSER, Page, browse
from tests.support.servers import WS_PROTOCOLS, RunningFile, serve_file

SENTENCE = ["This", "is", "what", "an", "answer", "looks", "like."]


@pytest.fixture(scope="module", params=WS_PROTOCOLS)
def server(request: pytest.FixtureRequest) -> Iterator[RunningFile]:
    """The example in a process of its own, which must not log an error."""
    with serve_file("examples/streaming.py", options=("--ws", request.param)) as running:
        yield running
    assert "Traceback" not in running.log()


def tell(client: ClientConnection, **request: object) -> None:
    """Send a request."""
    client.send(json.dumps(request))


def read(client: ClientConnection) -> dict[str, str]:
    """The next message."""
    message: dict[str, str] = json.loads(client.recv())
    return message


def read_to_end(client: ClientConnection) -> str:
    """How an answer ends; its tokens are skipped."""
    while "token" in (message := read(client)):
        pass
    return message["end"]


def test_simple_streaming_survives_a_second_message(server: RunningFile) -> None:
    """What is asked in the middle of an answer is answered after it, and nothing is lost."""
    with connect(server.ws_url("/simple")) as client:
        client.send("one")
        tokens = [str(client.recv())]
        client.send("two")
        tokens += [str(client.recv()) for _ in range(43)]
    assert tokens == ["one?", *6 * SENTENCE, "two?"]


def test_streaming_stops_when_told(server: RunningFile) -> None:
    """Nothing of a stopped answer comes after its end; the connection stays usable, and a late "stop" does no harm."""
    with connect(server.ws_url("/ws")) as client:
        for word in ("one", "two"):
            tell(client, prompt=word)
            assert [read(client), read(client)] == [{"token": f"{word}?"}, {"token": "This"}]
            tell(client, stop=True)
            assert read_to_end(client) == "stopped"
            tell(client, stop=True)


def test_streaming_answers_the_newest_prompt(server: RunningFile) -> None:
    """A second prompt stops the answer to the first one."""
    with connect(server.ws_url("/ws")) as client:
        tell(client, prompt="one")
        assert read(client) == {"token": "one?"}
        tell(client, prompt="two")
        assert read_to_end(client) == "stopped"
        assert read(client) == {"token": "two?"}


def test_streaming_says_when_an_answer_is_done(server: RunningFile) -> None:
    """An answer that nobody stops comes to its end."""
    with connect(server.ws_url("/ws")) as client:
        tell(client, prompt="one")
        assert read_to_end(client) == "done"


@pytest.mark.parametrize("message", ["[]", '{"prompt": 1}', '{"stop": false}', "no JSON"])
def test_streaming_closes_for_what_it_does_not_understand(server: RunningFile, message: str) -> None:
    """1007: not what this application takes."""
    with connect(server.ws_url("/ws")) as client:
        client.send(message)
        with pytest.raises(ConnectionClosed):
            client.recv()
        assert client.close_code == 1007


def test_streaming_finishes_its_sentence_before_a_shutdown() -> None:
    """On SIGTERM the answer goes on up to a full stop, and is closed with 1012."""
    with serve_file("examples/streaming.py") as server, connect(server.ws_url("/ws")) as client:
        tell(client, prompt="one")
        tokens = [read(client)["token"] for _ in range(3)]
        assert tokens == ["one?", "This", "is"]
        os.kill(server.pid, signal.SIGTERM)
        with contextlib.suppress(ConnectionClosed):
            while True:
                tokens.append(read(client)["token"])
        assert (client.close_code, client.close_reason) == (1012, "service restart")
    # One sentence, or more of them where the signal takes its time.
    assert tokens == ["one?", *(len(tokens) // len(SENTENCE) * SENTENCE)]


def test_streaming_serves_its_page(server: RunningFile) -> None:
    """The page at / is HTML, in UTF-8."""
    response = httpx.get(server.url("/"))
    assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")


@pytest.mark.timeout(90)  # the first start of a browser may take long on a busy machine
@pytest.mark.skipif(BROWSER is None, reason="no browser: apt-get install chromium-headless-shell")
def test_streaming_page_has_a_button_that_stops() -> None:
    """Ask, see words come, press the button; ask again."""
    with serve_file("examples/streaming.py") as server, browse() as devtools:
        page = Page(devtools, server.url("/"))
        page.wait_until("state.textContent === 'Ready.'")
        for word in ("one", "<b>two</b>"):
            page.run(f"ask.prompt.value = {json.dumps(word)}; ask.requestSubmit()")
            page.wait_until(f"answer.textContent.startsWith({json.dumps(word + '? This')}) && !stop.disabled")
            page.run("stop.click()")
            page.wait_until("state.textContent === 'Stopped.' && stop.disabled")
        assert page.errors() == []
    assert "Traceback" not in server.log()
