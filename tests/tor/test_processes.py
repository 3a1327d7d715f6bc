"""Processes are found below another, with their roles, also those that have lost their parents."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.tor import processes

#: Has a child of its own, which says its id, and waits.
_SCRIPT = """
import subprocess, sys
child = "import os; print(os.getpid(), flush=True); input()"
subprocess.run([sys.executable, "-c", child, *sys.argv[1:]])
"""


@pytest.mark.parametrize(
    ("arguments", "role"),
    [
        (["-m", "namecoin_launcher.daemon"], "daemon"),
        (["Z:\\x y\\app\\namecoin_resolver\\watchdog.pyc"], "watchdog"),
        (["Z:\\x\\Browser\\TorBrowser\\Namecoin\\namecoin.exe"], "supervisor"),
        (["/x/Start Tor Browser with Namecoin.exe"], "supervisor"),
        (["C:\\x\\Browser\\firefox.exe"], "browser"),
        (["/x/namecoin-resolver.exe"], ""),
    ],
)
def test_a_role_is_read_from_a_command_line(arguments: list[str], role: str) -> None:
    line = [sys.executable, "-c", _SCRIPT, *arguments]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdin is not None and started.stdout is not None
        child = int(started.stdout.readline())
        found = {process.pid: process for process in processes.below(os.getpid())}
        assert found[child].role == role
        if role in processes.OURS:
            assert child in [process.pid for process in processes.ours(started.pid)[role]]
        rss, pss = found[child].memory
        assert 0 < pss <= rss
        found[child].kill()
        started.wait()
        assert child not in {process.pid for process in processes.below(os.getpid())}
        found[child].kill()
