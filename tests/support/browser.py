"""
A real browser for tests: headless Chromium, spoken to over its DevTools protocol.

Only what a page test needs: open a page, run a script in it, take a picture. The scripts wait by promise, so nothing
here sleeps or polls.
"""

import base64
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.support.processes import guarded

__all__ = ["BROWSER", "Page", "browse"]

# Debian's names; the second is the same browser without a window, and smaller.
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-headless-shell"))), None)

# Longer than a busy machine needs; reached only if the browser hangs.
ANSWER_SECONDS = 20


class Devtools:
    """The connection to the browser; commands are answered in the order in which they are asked."""

    def __init__(self, websocket: ClientConnection) -> None:
        self._websocket = websocket
        self._last_id = 0
        self.events: list[dict[str, Any]] = []

    def ask(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """Send one command and wait for its result; events that come meanwhile are kept."""
        self._last_id += 1
        command = {"id": self._last_id, "method": method, "params": params}
        self._websocket.send(json.dumps(command | ({"sessionId": session} if session else {})))
        while (message := self._next()).get("id") != self._last_id:
            self.events.append(message)
        if "error" in message:
            raise RuntimeError(f"{method}: {message['error']['message']}")
        result: dict[str, Any] = message["result"]
        return result

    def wait_for(self, event: str, session: str) -> None:
        """Wait until this event has happened, which may be in the past."""
        while not any(seen.get("method") == event and seen.get("sessionId") == session for seen in self.events):
            self.events.append(self._next())

    def _next(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self._websocket.recv(timeout=ANSWER_SECONDS))
        return message


class Page:
    """One open page, which shares nothing with the others: cookies and storage are its own."""

    def __init__(self, devtools: Devtools, url: str) -> None:
        self._devtools = devtools
        context = devtools.ask("Target.createBrowserContext")["browserContextId"]
        target = devtools.ask("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        self._session: str = devtools.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime"):
            devtools.ask(f"{domain}.enable", self._session)
        devtools.ask("Page.navigate", self._session, url=url)
        devtools.wait_for("Page.loadEventFired", self._session)

    def run(self, script: str) -> Any:
        """
        The value of a script; if that is a promise, what it resolves to.

        Raises:
            RuntimeError: The script threw.
        """
        answer = self._devtools.ask(
            "Runtime.evaluate",
            self._session,
            expression=script,
            awaitPromise=True,
            returnByValue=True,
            userGesture=True,
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{script}\nthrew {json.dumps(answer['exceptionDetails'])}")
        return answer["result"].get("value")

    def wait_until(self, condition: str) -> None:
        """Wait until a JavaScript expression is true; it is looked at whenever the page changes."""
        self.run(
            f"""new Promise((resolve) => {{
                const look = () => ({condition}) && resolve(true);
                const change = {{ subtree: true, childList: true, attributes: true }};
                new MutationObserver(look).observe(document.documentElement, change);
                look();
            }})"""
        )

    def errors(self) -> list[str]:
        """What the page's own scripts have thrown, or been told off for by the browser."""
        self.run("0")  # whatever happened before has been reported when this is answered
        return [
            json.dumps(event["params"])
            for event in self._devtools.events
            if event.get("sessionId") == self._session and event["method"] == "Runtime.exceptionThrown"
        ]

    def save_picture(self, path: Path) -> None:
        """Write what the page looks like now, as PNG."""
        answer = self._devtools.ask("Page.captureScreenshot", self._session)
        path.write_bytes(base64.b64decode(answer["data"]))


@contextlib.contextmanager
def browse() -> Iterator[Devtools]:
    """
    Run the browser until the block ends; `Page(devtools, url)` opens a page.

    Raises:
        RuntimeError: There is no browser (`BROWSER` is None), or it did not start.
    """
    if BROWSER is None:
        raise RuntimeError("No browser is installed: apt-get install chromium-headless-shell")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [BROWSER, "--headless", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
        command += ["--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"]
        if os.geteuid() == 0:
            command.insert(1, "--no-sandbox")  # its sandbox refuses to work for root, which containers run as
        # A session of its own: Debian's command is a script around the browser, which starts processes in its turn, and
        # all of them have to end with the block.
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stderr is not None  # asked for above
        with guarded(process.pid), process.stderr as output:
            reader: threading.Thread | None = None
            try:
                address = _wait_for_address(output)
                # Emptied for as long as the process lives, or it would stop at a full pipe.
                reader = threading.Thread(target=output.read, name="browser log", daemon=True)
                reader.start()
                with connect(address, max_size=None) as websocket:
                    yield Devtools(websocket)
            finally:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                if reader is not None:
                    reader.join(ANSWER_SECONDS)


def _wait_for_address(output: Iterator[bytes]) -> str:
    lines = []
    for line in output:
        lines.append(line.decode(errors="replace"))
        if found := re.search(r"DevTools listening on (ws://\S+)", lines[-1]):
            return found[1]
    raise RuntimeError("the browser ended before it listened:\n" + "".join(lines))
