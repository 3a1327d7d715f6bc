"""Where launchers run, and programs beside them: natively in the world, or in a Wine that has joined its network."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tests.tor import processes, tree
from tests.tor.tree import Tree
from tests.tor.world import ROOT, World

#: A bound for what hangs, in seconds; nothing is as slow as that.
BOUND = 300.0


def until(condition: Callable[[], bool], what: str, bound: float = BOUND, pause: float = 0.02) -> float:
    """Wait until something is so; the seconds that took. Fails after ``bound``."""
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() < begun + bound, f"not so after {bound:g} s: {what}"
        time.sleep(pause)
    return time.monotonic() - begun


class Started(Protocol):
    """A program that was started."""

    def code(self) -> int | None:
        """Its exit code once it has ended."""
        ...


class Session(Protocol):
    """A place to start the tree's launcher and others in; ``root`` is the process that all of that is below."""

    world: World
    tree: Tree
    form: str

    @property
    def root(self) -> int: ...

    @property
    def log(self) -> Path:
        """The file that output of what was started goes to."""
        ...

    def launch(self, **env: str) -> Started:
        """Start the launcher, switched on unless ``env`` says otherwise."""
        ...


def environment(world: World, **more: str) -> dict[str, str]:
    """Tor Browser's words for where its tor is; the forwarder is the SOCKS port that the daemon gets."""
    return {
        "TOR_ENABLE_NAMECOIN": "1",
        "TOR_SOCKS_HOST": "127.0.0.1",
        "TOR_SOCKS_PORT": str(world.tap),
        "TOR_CONTROL_HOST": "127.0.0.1",
        "TOR_CONTROL_PORT": str(world.control),
        "TOR_CONTROL_PASSWD": f'"{world.password}"',
        **more,
    }


@dataclass(slots=True)
class Spawned:
    """A program that was started in the world, whose process id ``pid`` is."""

    world: World
    pid: int
    _code: int | None = None
    _waiting: threading.Thread | None = None

    def wait(self) -> None:
        with contextlib.suppress(AssertionError, OSError):
            self._code = self.world.do("wait", pid=self.pid)["code"]

    def code(self) -> int | None:
        if self._waiting is None:
            self._waiting = threading.Thread(target=self.wait, daemon=True)
            self._waiting.start()
        return self._code


@dataclass(slots=True)
class Native:
    """The launcher on this system, with a double for a daemon whose ``values`` are given; it keeps a journal."""

    world: World
    tree: Tree
    folder: Path
    form: str = "native"

    @property
    def root(self) -> int:
        return self.world.pid

    @property
    def log(self) -> Path:
        return self.folder / "output"

    def configure(self, values: Mapping[str, str], slow: Sequence[str] = ()) -> None:
        """Say what the double knows."""
        about = {"values": dict(values), "slow": list(slow), "journal": str(self.folder / "journal")}
        (self.folder / "about.json").write_text(json.dumps({**about, "server": self.world.servers[0]}))

    def journal(self) -> list[dict[str, object]]:
        """What doubles were asked since the last time."""
        file = self.folder / "journal"
        lines = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return [json.loads(line) for line in lines]

    def launch(self, **env: str) -> Started:
        here = Path(__file__).parent
        files = (here / "native.py", self.tree.program / "app", here / "double.py", self.folder / "about.json")
        return self.spawn([sys.executable, "-I", "-B", *map(str, files)], **env)

    def spawn(self, argv: Sequence[str], **env: str) -> Spawned:
        """Start a program in the world; its output goes to :attr:`log`."""
        told = {"PATH": os.defpath, "HOME": str(self.folder / "home"), **environment(self.world, **env)}
        said = self.world.do("spawn", argv=argv, env=told, cwd=str(self.folder), log=str(self.log))
        started = Spawned(self.world, said["pid"])
        started.code()
        return started


@dataclass(slots=True)
class _Windows:
    wine: Wine
    number: int

    def code(self) -> int | None:
        return self.wine.ended.get(self.number)


@dataclass(slots=True)
class Wine:
    """A bundle's launcher under Wine, in a prefix that stays; the program's folder is read-only there."""

    world: World
    tree: Tree
    folder: Path
    process: subprocess.Popen[str]
    form: str = "Wine"
    ended: dict[int, int] = field(default_factory=dict)
    _ids: queue.Queue[int] = field(default_factory=queue.Queue)

    @property
    def root(self) -> int:
        return self.process.pid

    @property
    def log(self) -> Path:
        return self.folder / "output"

    def launch(self, **env: str) -> Started:
        return self.spawn([str(self.tree.program / tree.NAMECOIN)], **environment(self.world, **env))

    def spawn(self, argv: Sequence[str], **env: str) -> Started:
        """Start a program; paths are this machine's."""
        assert self.process.stdin is not None
        argv = [windows_path(argv[0]), *argv[1:]]
        told = {"spawn": argv, "env": env, "cwd": windows_path(self.tree.browser), "log": windows_path(self.log)}
        self.process.stdin.write(json.dumps(told) + "\n")
        self.process.stdin.flush()
        return _Windows(self, self._ids.get(timeout=BOUND))

    def listen(self) -> None:
        """Take what the keeper says until it ends."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            said = json.loads(line)
            if "id" in said:
                self._ids.put(said["id"])
            elif "ended" in said:
                self.ended[said["ended"]] = said["code"]


def windows_path(path: str | Path) -> str:
    """A path of this machine as programs under Wine have it."""
    return "Z:" + str(path).replace("/", "\\")


@contextlib.contextmanager
def wine(world: World, made: Tree, folder: Path) -> Iterator[Wine]:
    """A Wine in the world's network, by ``packager run``; all of it ends with the block."""
    folder.mkdir(parents=True, exist_ok=True)
    keeper = windows_path(Path(__file__).with_name("keeper.py"))
    line = ["run", "--join", str(world.pid), "--python", str(made.top), "--", keeper]
    with subprocess.Popen(
        [sys.executable, "-m", "packager", *line],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            line_ = process.stdout.readline()
            assert line_, f"Wine did not start: packager ended with {process.wait()}"
            session = Wine(world, made, folder, process)
            threading.Thread(target=session.listen, daemon=True).start()
            yield session
        finally:
            # First what is below: the packager would leave it a moment to end.
            for item in processes.below(process.pid):
                item.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)
            process.kill()


def ours(session: Session) -> list[processes.Process]:
    """All the launcher's processes in a session."""
    return [process for found in processes.ours(session.root).values() for process in found]


def one(session: Session, role: str) -> processes.Process | None:
    """The launcher's process of a role; the newest, should there be two for a moment."""
    found = processes.ours(session.root)[role]
    return found[-1] if found else None


def clean(session: Session) -> None:
    """End what a test left, and see that nothing stays: the watchdog ends last, when it has set tor free."""
    for process in ours(session):
        if process.role != "watchdog":
            process.kill()
    until(lambda: not ours(session), "the launcher's processes are gone")
