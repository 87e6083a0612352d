"""The quickstart works as it is printed: its server is served, its client is run, and says what the page says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.servers import ROOT, serve_file

TITLED = re.compile(r'^(```|~~~)python title="(?P<title>\S+)"\n(?P<source>.*?)^\1', re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_quickstart_client_prints_what_the_page_says(page: str, tmp_path: Path) -> None:
    """`client.py` talks to `app.py`, served with uvicorn, and prints the lines that follow `$ python client.py`."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for block in TITLED.finditer(text):
        (tmp_path / block["title"]).write_text(block["source"], encoding="utf-8")
    (printed,) = re.findall(r"^\$ python client\.py\n(.*?)^```", text, re.MULTILINE | re.DOTALL)

    with serve_file(tmp_path / "app.py") as server:
        client = tmp_path / "client.py"
        source = client.read_text(encoding="utf-8")
        assert source.count("127.0.0.1:8000") == 1
        client.write_text(source.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}"), encoding="utf-8")
        result = subprocess.run([sys.executable, client], capture_output=True, text=True, timeout=20, check=False)
    assert (result.stdout, result.stderr) == (printed, "")


def test_quickstart_tells_a_newcomer_the_two_commands_and_how_to_install() -> None:
    """The first screen of the README names both commands, and nothing in it installs lilya by its bare name."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    first_screen = "\n".join(text.splitlines()[:40])
    for words in ("scripts/demo", "scripts/test", "pip install .", "pip install -e '.[dev]'"):
        assert words in first_screen
    for path in [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *(ROOT / "docs").rglob("*.md"),
        *ROOT.glob("examples/*"),
    ]:
        if path.is_file():
            assert not re.search(r"(pip|uv|pipx)( pip)? (install|add) +lilya", path.read_text(encoding="utf-8")), path
