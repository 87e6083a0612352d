"""Processes do not outlive the test that started them, tested by killing one that has."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys

import pytest

from tests.support.rawsocket import RawSocket
from tests.support.servers import ROOT, RunningServer

pytestmark = pytest.mark.timeout(60)  # the start of a server may take long on a busy machine

# Reached only if something hangs.
SECONDS = 20

# Another test run: it starts a server, says where, and waits for ever.
STARTS = """
import sys
from tests.support.servers import run_server

with run_server(sys.argv[1], "tests.contract.apps:app") as server:
    print(server.port, server.pid, flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="Linux only: it waits for processes that are not its own")
@pytest.mark.parametrize("name", ["uvicorn", "granian"])
def test_server_dies_with_a_test_run_that_is_killed(name: str) -> None:
    """The process that was started, and a worker that it has started in its turn."""
    command = [sys.executable, "-c", STARTS, name]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None  # asked for above
        port, pid = map(int, run.stdout.readline().split())
        descriptor = os.pidfd_open(pid)
        try:
            with RawSocket(RunningServer(port), seconds=SECONDS) as client:
                assert client.handshake("/receive").status == 101
                run.send_signal(signal.SIGKILL)
                assert client.read_to_end() == b""
            assert select.select([descriptor], [], [], SECONDS)[0] == [descriptor]
        finally:
            os.close(descriptor)
