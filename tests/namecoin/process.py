"""The scenario's server in a network of its own, that holds nothing but a loopback, and a way to speak to it.

Programs enter that network with ``packager run --join Network.pid`` or ``nsenter``.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
#: bubblewrap sets the loopback up, which ``unshare`` does not.
_ALONE = ("bwrap", "--die-with-parent", "--dev-bind", "/", "/", "--unshare-net", "--")


@dataclass(frozen=True, slots=True)
class Network:
    """``port`` is the server's, ``socks`` a SOCKS proxy's, ``height`` the chain's as it was built; ``pid`` leads the
    processes in the network."""

    pid: int
    port: int
    socks: int
    height: int
    process: subprocess.Popen[str]

    def command(self, name: str, argument: object = "") -> Any:
        """One of the commands of ``python -m tests.namecoin``, and its answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{name} {argument}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, f"the test server ended with {self.process.wait()}"
        return json.loads(answer)

    def rpc(self, url: str, user: str, password: str, method: str, **params: object) -> dict[str, Any]:
        """The whole answer of a JSON-RPC server in the network."""
        request = {"url": url, "user": user, "password": password, "method": method, "params": params}
        answer: dict[str, Any] = self.command("rpc", json.dumps(request))
        return answer


@contextlib.contextmanager
def network(*arguments: str, alone: bool = True) -> Iterator[Network]:
    """A network with the server, which gets ``arguments``; both end with the block. Not ``alone``: this very network."""
    with subprocess.Popen(
        [*(_ALONE if alone else ()), sys.executable, "-m", "tests.namecoin", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            assert line, f"the test server ended with {process.wait()}"
            said = json.loads(line)
            yield Network(process.pid, said["port"], said["socks"], said["height"], process)
        finally:
            process.kill()
