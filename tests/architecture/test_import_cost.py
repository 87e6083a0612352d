"""What `import lilya.apps` may pull in: start-up time is paid by every worker and every test run."""

import subprocess
import sys

from tests.support.servers import ROOT

# Each costs more than several of our modules together, and none is needed before the first connection.
HEAVY = {
    "anyio",
    "dataclasses",
    "datetime",
    "decimal",
    "email",
    "http",
    "httpx",
    "orjson",
    "pydantic",
    "tempfile",
    "urllib.request",
    "uuid",
    "uvicorn",
    "websockets",
}


def test_import_of_the_application_is_light() -> None:
    """Importing `lilya.apps` in a fresh interpreter loads none of the heavy modules, but for what asyncio brings."""
    code = (
        "import sys, asyncio, multidict; before = set(sys.modules); import lilya.apps;"
        " print(*sorted(set(sys.modules) - before))"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert HEAVY & set(result.stdout.split()) == set()
