"""examples/chat.html in a real browser, against examples/chat.py served with uvicorn."""

import json

import pytest

from tests.support.browser import BROWSER, Page, browse
from tests.support.servers import serve_file

pytestmark = [
    pytest.mark.timeout(90),  # the first start of a browser may take long on a busy machine
    pytest.mark.skipif(BROWSER is None, reason="no browser: apt-get install chromium-headless-shell"),
]

NASTY = '<img src="x" onerror="document.title = `run`"> & <script>document.title = "run"</script>'


def fill_in(page: Page, form: str, text: str) -> None:
    """Type into the one field of a form and press its button; the browser checks the field as for a person."""
    page.run(
        f"{{ const form = document.getElementById({json.dumps(form)});"
        f" form.elements[0].value = {json.dumps(text)}; form.requestSubmit(); }}"
    )


def wait_for_line(page: Page, line: str) -> None:
    """Wait until the page shows this line of the chat."""
    page.wait_until(
        f"[...document.querySelectorAll('#messages li')].some((item) => item.textContent === {json.dumps(line)})"
    )


def test_chat_page_talks_to_another_page() -> None:
    """Two pages in a browser see each other come, speak and leave; markup that somebody types is shown, not run."""
    with serve_file("examples/chat.py") as server, browse() as devtools:
        ana, bob = Page(devtools, server.url("/")), Page(devtools, server.url("/"))
        fill_in(ana, "join", "Ana")
        wait_for_line(ana, "Ana joined")
        fill_in(bob, "join", "Bob 世界")
        wait_for_line(ana, "Bob 世界 joined")
        wait_for_line(bob, "Bob 世界 joined")

        fill_in(ana, "say", "Is anybody here?")
        wait_for_line(bob, "Ana: Is anybody here?")
        fill_in(bob, "say", NASTY)
        for page in (ana, bob):
            wait_for_line(page, f"Bob 世界: {NASTY}")
            assert page.run("document.querySelectorAll('#messages li *').length") == 0
            assert page.run("document.title") == "Chat"
            assert page.errors() == []

        bob.run("location.href = 'about:blank'")
        wait_for_line(ana, "Bob 世界 left")


def test_chat_page_refuses_a_name_that_is_no_path_segment() -> None:
    """The form does not join with a name that would change the path, such as `..` or one with a slash."""
    with serve_file("examples/chat.py") as server, browse() as devtools:
        page = Page(devtools, server.url("/"))
        for name in ("", "..", "a/b", "?x"):
            fill_in(page, "join", name)
            assert page.run("[join.checkValidity(), join.hidden]") == [False, False]
        assert page.errors() == []


def test_chat_page_says_when_the_connection_is_lost_and_joins_again() -> None:
    """After the connection has ended, the page says so and lets its user join again."""
    with serve_file("examples/chat.py") as server, browse() as devtools:
        page = Page(devtools, server.url("/"))
        fill_in(page, "join", "Ana")
        wait_for_line(page, "Ana joined")
        page.run("socket.close()")
        wait_for_line(page, "You are not connected.")
        page.run("messages.replaceChildren()")
        fill_in(page, "join", "Ana")
        wait_for_line(page, "Ana joined")
        assert page.run("[join.hidden, say.hidden]") == [True, False]
