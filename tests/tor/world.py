"""A test's hold on the private Tor network: in a network and a process namespace of its own, which end with the block."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.tor import program

ROOT = Path(__file__).parents[2]
#: A bound for a run that hangs, in seconds: 25 are usual.
START = 600
#: bubblewrap sets the loopback up; nothing else is in the network. It kills all in here when it is killed itself.
_ALONE = ("bwrap", "--die-with-parent", "--dev-bind", "/", "/", "--unshare-net", "--unshare-pid", "--proc", "/proc")


@dataclass(frozen=True, slots=True)
class Answer:
    """How a program ended that was run in the network; ``code`` is None if it took too long."""

    code: int | None
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True)
class World:
    """The network that runs. Ports are those in it; ``pid`` leads its processes, seen from outside."""

    pid: int
    folder: Path
    onion: str
    servers: tuple[str, ...]
    socks: int
    control: int
    password: str
    cookie: Path
    tap: int
    web: int
    height: int
    seconds: Mapping[str, float]

    def do(self, what: str, **arguments: object) -> Any:
        """One command of ``python -m tests.tor``, and its answer."""
        with self._connected() as connection, connection.makefile("rwb") as stream:
            stream.write(json.dumps({"do": what, **arguments}).encode() + b"\n")
            stream.flush()
            answer = json.loads(stream.readline() or b'{"error": "the network has ended"}')
        assert "error" not in answer, answer["error"]
        return answer["answer"]

    def dial(self, port: int) -> socket.socket:
        """A connection to a port in the network; ends at once if nobody listens."""
        connection = self._connected()
        connection.sendall(json.dumps({"do": "dial", "port": port}).encode() + b"\n")
        return connection

    def call(self, argv: Sequence[str | Path], env: Mapping[str, str] | None = None, timeout: float = 300) -> Answer:
        """Run a program in the network to its end."""
        return Answer(**self.do("call", argv=[str(part) for part in argv], env=dict(env or {}), timeout=timeout))

    def curl(self, url: str, *options: str, user: str = "", timeout: float = 120) -> Answer:
        """What curl gets for ``url`` through tor's SOCKS port; ``user`` is an isolation context's."""
        login = ["--proxy-user", f"{user}:x"] if user else []
        proxy = ["--socks5-hostname", f"127.0.0.1:{self.socks}"]
        return self.call(["curl", "--silent", "--show-error", *proxy, *login, *options, url], timeout=timeout)

    def _connected(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(self.folder / "world"))
        return connection


@contextlib.contextmanager
def world() -> Iterator[World]:
    """Run the network while the block runs; the test is skipped where there is no tor."""
    try:
        program.find()
    except program.MissingError as exc:
        pytest.skip(str(exc))
    # A socket's path has to be short.
    folder = Path(tempfile.mkdtemp(prefix="tor-", dir="/tmp"))
    argv = [*_ALONE, "--", sys.executable, "-m", "tests.tor", str(folder)]
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'launcher'}"}
    pipe = subprocess.PIPE
    try:
        with subprocess.Popen(argv, cwd=ROOT, env=env, stdin=pipe, stdout=pipe, text=True) as process:
            try:
                yield _said(process, folder)
            finally:
                process.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _said(process: subprocess.Popen[str], folder: Path) -> World:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, f"the Tor network ended with {process.wait()}"
    said = json.loads(line)
    said |= {"cookie": Path(said["cookie"]), "servers": tuple(said["servers"])}
    return World(pid=process.pid, folder=folder, **said)
