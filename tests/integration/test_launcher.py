"""The launcher under Wine in a Tor Browser's tree: ready, kills, no orphan, what it writes and what it takes.

The daemon is Electrum-NMC with the test's chain, tor a stand-in for its control port (test_launcher_* in tests/launcher
has more of that, tests with a real tor are elsewhere). Each test is a scene: this module runs itself in a network of its
own, that holds nothing but a loopback. Windows' processes are killed from outside, by Linux' own ids.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

import pytest

from packager import wine
from tests.integration import programs
from tests.integration.conftest import ROOT, BuiltBundle
from tests.launcher.tor_double import OPTION, Stream, Tor
from tests.namecoin.process import Network, network

#: For what hangs, in seconds.
LONG = 240
#: MB that all processes may share out among them.
MEMORY = 120
HOST = "example.bit:80"
_ALONE = ("bwrap", "--die-with-parent", "--dev-bind", "/", "/", "--unshare-net", "--")


@dataclass(frozen=True)
class Tree:
    """A Tor Browser's tree with the bundle in it; ``empty`` is a folder for Wine to show as the bundle."""

    top: Path
    empty: Path

    @property
    def program(self) -> Path:
        return self.top / "Browser/TorBrowser/Namecoin"

    @property
    def data(self) -> Path:
        return self.top / "Browser/TorBrowser/Data/Namecoin"

    @property
    def cookie(self) -> Path:
        return self.top / "Browser/TorBrowser/Data/Tor/control_auth_cookie"

    @property
    def python(self) -> Path:
        return self.program / "python/python.exe"


def lay_out(bundle: Path, top: Path) -> Tree:
    """A tree with the program folder of a bundle of either layout, and the launcher if the bundle has none."""
    tree = Tree(top, top.parent / "empty")
    tree.empty.mkdir(parents=True)
    tree.cookie.parent.mkdir(parents=True)
    inside = bundle / "Browser/TorBrowser/Namecoin"
    shutil.copytree(inside if inside.is_dir() else bundle, tree.program, ignore=shutil.ignore_patterns("licenses"))
    if not (tree.program / "app/namecoin_launcher").exists():
        import stem

        assert stem.__file__ is not None
        sources = [ROOT / "launcher/namecoin_launcher", ROOT / "launcher/namecoin_resolver", Path(stem.__file__).parent]
        for source in sources:
            shutil.copytree(
                source, tree.program / "app" / source.name, ignore=shutil.ignore_patterns("__pycache__", "test")
            )
    return tree


def windows(path: Path) -> str:
    return "Z:" + str(path).replace("/", "\\")


@dataclass
class World:
    """What a scene has: the tree, a tor, the chain's server, and how to start programs."""

    tree: Tree
    store: Path
    tor: Tor
    net: Network

    def argv(self, *arguments: str, env: Mapping[str, str] | None = None) -> list[str]:
        """What runs the tree's python under Wine, in this network."""
        every = {
            "TOR_ENABLE_NAMECOIN": "1",
            "TOR_CONTROL_PORT": str(self.tor.port),
            "TOR_SOCKS_PORT": str(self.net.socks),
            **(env or {}),
        }
        run = wine.Run(
            self.tree.empty,
            PureWindowsPath(windows(self.tree.python)),
            ["-I", "-B", "-X", "utf8", *arguments],
            self.tree.top,
            network=True,
            env=every,
        )
        return wine.run_argv(programs.engine(self.store), run, wine.this_host())

    @contextlib.asynccontextmanager
    async def running(
        self, *arguments: str, env: Mapping[str, str] | None = None, **options: Any
    ) -> AsyncIterator[asyncio.subprocess.Process]:
        process = await asyncio.create_subprocess_exec(*self.argv(*arguments, env=env), **options)
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    @contextlib.asynccontextmanager
    async def supervised(self) -> AsyncIterator[None]:
        """A windowless supervisor as somebody's child, so that killing it does not end everything in its Wine."""
        code = (
            "import subprocess, sys\n"
            "program = sys.executable.replace('python.exe', 'pythonw.exe')\n"
            "while line := sys.stdin.readline():\n"
            "    subprocess.Popen([program, '-I', '-B', '-X', 'utf8', '-m', 'namecoin_launcher'], stdin=subprocess.DEVNULL)\n"
        )
        async with self.running("-c", code, stdin=asyncio.subprocess.PIPE) as process:
            assert process.stdin is not None
            self._start = process.stdin
            self.another()
            yield

    def another(self) -> None:
        """Start a supervisor, where one was."""
        self._start.write(b"start\n")

    def processes(self) -> dict[str, int]:
        """Ours that run: ``supervisor``, ``daemon``, ``watchdog``, with Linux' ids."""
        found = {}
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                line = entry.read_bytes()
                role = self._role(line)
                if role and "Z" not in (entry.parent / "stat").read_text().rpartition(")")[2][:3]:
                    found[role] = int(entry.parent.name)
        return found

    def _role(self, line: bytes) -> str | None:
        words = line.rstrip(b"\0 ").split(b"\0")
        # Below a long path, the interpreter knows itself by one with a prefix.
        program = words[0].lower().removeprefix(b"\\\\?\\")
        if not program.startswith(windows(self.tree.program).lower().encode()):
            return None
        text = b" ".join(words)
        if b"watchdog.py" in text:
            return "watchdog"
        if b"namecoin_launcher.daemon" in text:
            return "daemon"
        return "supervisor" if b"-m namecoin_launcher" in text else None

    def guarded(self) -> int:
        """How many watchdogs have stood by so far."""
        return self.tor.commands.count(f"GETCONF {OPTION}")

    async def until(self, condition: Callable[[], object]) -> None:
        while not condition():
            await asyncio.sleep(0.02)

    async def resolving(self) -> Stream:
        """Open streams for a name until one gets its address."""
        while True:
            stream = self.tor.open(HOST)
            await self.tor.settled(stream)
            if stream.state == "attached" and stream.target != HOST:
                return stream
            await asyncio.sleep(0.1)

    async def others_go_on(self) -> float:
        """A stream that is not for .bit: the seconds that it waited."""
        stream = self.tor.open("example.com:443")
        await self.tor.settled(stream)
        assert stream.state == "attached"
        return stream.took


Scene = Callable[[World], Coroutine[Any, Any, None]]
SCENES: dict[str, Scene] = {}


def scene(function: Scene) -> Scene:
    SCENES[function.__name__] = function
    return function


def play(name: str, bundle: BuiltBundle, store: Path, top: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Run a scene in a network of its own; what it prints is shown."""
    tree = lay_out(bundle.folder, top)
    done = subprocess.run(
        [*_ALONE, sys.executable, "-m", "tests.integration.test_launcher", name, str(store), str(top)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'launcher'}"},
        capture_output=True,
        text=True,
        timeout=LONG * 2,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    with capfd.disabled():
        print(done.stdout, end="")
    shutil.rmtree(tree.program)


async def main(name: str, store: Path, top: Path) -> None:
    tree = Tree(top, top.parent / "empty")
    with network(alone=False) as net:
        tree.data.mkdir(mode=0o700)
        chain = {"chain": "regtest", "server": f"127.0.0.1:{net.port}:t", "oneserver": True}
        (tree.data / "launcher.json").write_text(json.dumps(chain))
        async with Tor(tree.cookie) as tor, asyncio.timeout(LONG):
            world = World(tree, store, tor, net)
            await SCENES[name](world)
            # Whoever is left had to be somebody's child.
            assert not world.processes()


def memory(pid: int) -> tuple[float, float]:
    """MB of a process: resident, and its share of what it shares (smaps_rollup's Rss and Pss)."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    sizes = [re.search(rf"^{key}:\s+(\d+) kB", text, re.MULTILINE) for key in ("Rss", "Pss")]
    resident, share = (int(size[1]) / 1000 for size in sizes if size)
    return resident, share


@scene
async def ready(world: World) -> None:
    """A look-up through everything, figures, files, and the end with tor."""
    begun = time.perf_counter()
    async with world.running("-m", "namecoin_launcher", stderr=asyncio.subprocess.PIPE) as process:
        await world.tor.until(lambda: world.tor.leave)
        serving = time.perf_counter() - begun
        await world.resolving()
        took = time.perf_counter() - begun
        print(f"\nstreams are answered {serving:.1f} s after Wine's start, the first name after {took:.1f} s")
        cached = sorted([(await world.resolving()).took for _ in range(100)])
        print(f"from event to address, cached: median {cached[50] * 1000:.2f} ms, worst {cached[-1] * 1000:.2f} ms")
        stream = world.tor.open("nothing.bit:80")
        await world.tor.settled(stream)
        assert stream.state == "closed"
        sizes = {role: memory(pid) for role, pid in world.processes().items()}
        # Linux shows the beginning of such a command line only, which does not tell what it is.
        far_down = len(str(world.tree.program)) > 200
        assert far_down or set(sizes) == {"supervisor", "daemon", "watchdog"}
        for role, (resident, share) in sizes.items():
            print(f"{role}: {resident:.0f} MB resident, {share:.0f} MB with its share of what is shared")
        together = sum(share for _, share in sizes.values())
        print(f"together: {together:.0f} MB, of {MEMORY} at most")
        assert together <= MEMORY
        world.tor.die()
        assert process.stderr is not None
        # Wine says that it takes no such long folder as the working one.
        said = [line for line in (await process.stderr.read()).splitlines() if not line.startswith(b"wine: ")]
        code = await process.wait()
        assert (code, said) == (0, [])
    written = {str(path.relative_to(world.tree.data)) for path in world.tree.data.rglob("*")}
    headers = {"regtest", "regtest/blockchain_headers", "regtest/forks", "regtest/certs", "regtest/recent_servers"}
    assert written == {"launcher.json", "lock"} | headers
    contents = b"".join(path.read_bytes() for path in world.tree.data.rglob("*") if path.is_file())
    assert b"example" not in contents and b"nothing" not in contents


@scene
async def kills(world: World) -> None:
    """Daemon, watchdog and supervisor are killed in turn: nothing stalls, nothing is left, names come back."""
    worst = 0.0
    async with world.supervised():
        for _ in range(2):
            await world.resolving()
            before = world.processes()
            os.kill(before["daemon"], signal.SIGKILL)
            worst = max(worst, await world.others_go_on())
            while world.processes().get("daemon", before["daemon"]) == before["daemon"]:
                await asyncio.sleep(0.02)
            # The names that are known still are: others show that the daemon is back.
            stream = world.tor.open("nothing.bit:80")
            await world.tor.settled(stream)
            worst = max(worst, stream.took)

            asked = world.guarded()
            os.kill(world.processes()["watchdog"], signal.SIGKILL)
            worst = max(worst, await world.others_go_on())
            # From then on the next one stands by: were both killed before, tor would be left alone with the option.
            while world.guarded() == asked:
                await asyncio.sleep(0.02)

            slow = world.tor.open("other.bit:80")
            os.kill(world.processes()["supervisor"], signal.SIGKILL)
            worst = max(worst, await world.others_go_on())
            await world.tor.settled(slow)
            worst = max(worst, slow.took)
            await world.until(lambda: not world.processes())
            assert not world.tor.leave
            world.another()
        await world.resolving()
        world.tor.die()
        await world.until(lambda: not world.processes())
    print(f"\nkilled 6 processes: no stream waited longer than {worst:.2f} s")


@scene
async def stopped(world: World) -> None:
    """A daemon that does nothing any more, not even see its stdin close, ends with its supervisor: it is in a job."""
    async with world.supervised():
        await world.resolving()
        before = world.processes()
        os.kill(before["daemon"], signal.SIGSTOP)
        worst = await world.others_go_on()
        os.kill(before["supervisor"], signal.SIGKILL)
        worst = max(worst, await world.others_go_on())
        await world.until(lambda: not world.processes())
        assert not world.tor.leave
    print(f"\na stopped daemon: no stream waited longer than {worst:.2f} s")


@scene
async def browser(world: World) -> None:
    """The browser with names: its arguments, variables and exit code; and alone where names do not work."""
    code = (
        "import json, os, sys\n"
        "print(json.dumps([sys.argv[1:], os.getcwd(), os.environ['TOR_ENABLE_NAMECOIN']]), flush=True)\n"
        "sys.stdin.readline()\nsys.exit(7)"
    )
    start = ["-m", "namecoin_launcher.start", "--browser", windows(world.tree.python), "-c", code, "-new", "ü a"]
    pipes = {"stdin": asyncio.subprocess.PIPE, "stdout": asyncio.subprocess.PIPE}
    async with world.running(*start, env={"TOR_ENABLE_NAMECOIN": "0"}, **pipes) as process:
        assert process.stdout is not None and process.stdin is not None
        arguments, cwd, flag = json.loads(await process.stdout.readline())
        assert (arguments, flag) == (["-new", "ü a"], "1")
        assert cwd == windows(world.tree.python.parent)
        await world.resolving()
        assert set(world.processes()) >= {"daemon", "watchdog"}
        # The browser ends, and its tor with it.
        process.stdin.write(b"\n")
        await asyncio.sleep(0.5)
        world.tor.die()
        assert await process.wait() == 7


@scene
async def inert(world: World) -> None:
    """Switched off it does nothing; a second one leaves the first alone; no browser is an error."""
    async with world.running("-m", "namecoin_launcher", env={"TOR_ENABLE_NAMECOIN": ""}) as process:
        assert await process.wait() == 0
    assert [path.name for path in world.tree.data.iterdir()] == ["launcher.json"]
    async with world.running("-m", "namecoin_launcher"):
        await world.tor.until(lambda: world.tor.leave)
        async with world.running("-m", "namecoin_launcher", stderr=asyncio.subprocess.PIPE) as second:
            _, said = await second.communicate()
            assert (second.returncode, b"already running" in said) == (0, True), said
        assert await world.others_go_on() < LONG
        world.tor.die()
        await world.until(lambda: not world.processes())
    async with world.running("-m", "namecoin_launcher.start", stderr=asyncio.subprocess.PIPE) as alone:
        _, said = await alone.communicate()
        assert alone.returncode == 2 and b"firefox.exe: the browser does not start" in said


#: Places where people have it: with spaces and other letters, and far down, where Windows' usual paths end.
PLACES = {"short": "Tor Browser", "letters": "Müller 漢字/Tor Brówser", "long": "Ünter ordner 漢/" * 16 + "Tor Browser"}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_ready(
    electrum_nmc: BuiltBundle, store: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], place: str
) -> None:
    top = tmp_path / place
    top.parent.mkdir(parents=True, exist_ok=True)
    play("ready", electrum_nmc, store, top, capfd)


@pytest.mark.parametrize("name", ["kills", "stopped", "browser", "inert"])
def test_scene(
    electrum_nmc: BuiltBundle, store: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    play(name, electrum_nmc, store, tmp_path / "Tor Browser", capfd)


def run_scene(arguments: Sequence[str]) -> None:
    name, store, top = arguments
    asyncio.run(main(name, Path(store), Path(top)))


if __name__ == "__main__":
    run_scene(sys.argv[1:])
