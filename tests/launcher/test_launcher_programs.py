"""The two programs as processes, with stand-ins for tor, the daemon and the browser: opt-in, signals, kills, logs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.launcher.daemon_double import Double
from tests.launcher.doubles import onion
from tests.launcher.test_controller import alive, ended, run
from tests.launcher.test_launcher_keeper import until
from tests.launcher.tor_double import OPTION, Tor

ROOT = Path(__file__).parents[2]
A = onion(1)
#: What the programs do, with another daemon, and shorter waits for what does not come.
CODE = """
import sys
sys.path.insert(0, {launcher!r})
from namecoin_launcher import browser, program, supervisor
supervisor.BACK, supervisor.REFUSED = 0.5, 0.5
daemon = {daemon!r}
sys.exit({call})
"""
ALONE = "program.main({data!r}, daemon)"
WITH_BROWSER = "browser.main(['--data', {data!r}, '--browser', {browser!r}, *sys.argv[1:]], daemon)"
BROWSER = """#!{python}
import json, os, sys, time
from pathlib import Path
with open({said!r}, "a") as said:
    json.dump([sys.argv[1:], os.getcwd(), os.environ.get("TOR_ENABLE_NAMECOIN"), os.getpid()], said)
    said.write("\\n")
while not Path({end!r}).exists():
    time.sleep(0.01)
sys.exit(7)
"""


@dataclass
class World:
    """A folder for everything, a tor, and what plays the daemon and the browser."""

    folder: Path
    tor: Tor
    double: Double = field(init=False)
    daemon: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.double = Double(self.folder / "double")
        self.daemon = self.double.plan("serve", target=A)
        self.browser = self.folder / "Browser" / "firefox"
        self.browser.parent.mkdir()
        said, end = str(self.folder / "said"), str(self.folder / "end")
        self.browser.write_text(BROWSER.format(python=sys.executable, said=said, end=end))
        self.browser.chmod(0o755)

    @property
    def data(self) -> Path:
        return self.folder / "Data" / "Namecoin"

    def code(self, call: str) -> str:
        call = call.format(data=str(self.data), browser=str(self.browser))
        return CODE.format(launcher=str(ROOT / "launcher"), daemon=self.daemon, call=call)

    @contextlib.asynccontextmanager
    async def started(
        self, call: str = ALONE, *arguments: str, env: Mapping[str, str] | None = None, before: str = ""
    ) -> AsyncIterator[asyncio.subprocess.Process]:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            before + self.code(call),
            *arguments,
            env=environment(TOR_CONTROL_PORT=str(self.tor.port), **(env or {})),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def serving(self) -> None:
        await self.tor.until(lambda: self.tor.leave)
        await until(lambda: self.double.count("unpausenetwork"))

    async def browsers(self, count: int) -> list[Any]:
        """What each browser said, once there are that many."""
        file = self.folder / "said"
        await until(lambda: file.exists() and file.read_text().count("\n") == count)
        return [json.loads(line) for line in file.read_text().splitlines()]

    def end_browsers(self) -> None:
        (self.folder / "end").touch()

    def ours(self) -> list[int]:
        """Processes that run a daemon or a watchdog of this world's."""
        found = [start["pid"] for start in self.double.of("start") if alive(start["pid"])]
        return found + [int(entry) for entry in os.listdir("/proc") if entry.isdigit() and self._guards(entry)]

    def _guards(self, entry: str) -> bool:
        """By its connection to this tor: other tests' watchdogs look the same."""
        with contextlib.suppress(OSError):
            line = Path(f"/proc/{entry}/cmdline").read_bytes()
            environ = Path(f"/proc/{entry}/environ").read_bytes()
            return b"watchdog.py" in line and f"TOR_CONTROL_PORT={self.tor.port}\0".encode() in environ
        return False


def environment(**more: str) -> dict[str, str]:
    kept = {name: text for name, text in os.environ.items() if not name.startswith("TOR_")}
    return {**kept, "PYTHONPATH": str(ROOT / "launcher"), **more}


def scenario(folder: Path, test: Callable[[World], Coroutine[Any, Any, None]], **options: Any) -> World:
    if not Path("/proc/self/environ").exists():
        pytest.skip("no /proc to find processes in")
    worlds = []

    async def main() -> None:
        async with Tor(folder / "cookie", **options) as tor:
            worlds.append(world := World(folder, tor))
            await test(world)
            await until(lambda: not world.ours())

    run(main())
    return worlds[0]


@pytest.mark.parametrize("value", [None, "", "0", "yes"])
def test_it_does_nothing_unless_it_is_switched_on(tmp_path: Path, value: str | None) -> None:
    code = "import runpy, sys; sys.argv[1:] = ['--data', {!r}]; {}; print(*sys.modules, file=sys.stderr)"
    quiet = "import contextlib\nwith contextlib.suppress(SystemExit): runpy.run_module('namecoin_launcher', run_name='__main__')"
    code = f"import runpy, sys\nsys.argv[1:] = ['--data', {str(tmp_path / 'data')!r}]\n{quiet}\nprint(*sys.modules)"
    env = environment() if value is None else environment(TOR_ENABLE_NAMECOIN=value)
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert not {"asyncio", "stem", "argparse", "subprocess", "json", "logging"} & set(done.stdout.split())
    assert (done.stderr, list(tmp_path.iterdir())) == ("", [])
    done = subprocess.run(
        [sys.executable, "-m", "namecoin_launcher"], env=env, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("", "")


def test_openssl_stays_out(tmp_path: Path) -> None:
    """A quarter of a supervisor's memory: neither asyncio nor hashlib nor stem needs it for what is done here."""
    code = (
        "import sys; from namecoin_launcher import lean; lean.without_openssl()\n"
        "from namecoin_launcher import program, browser\nimport asyncio, hashlib\n"
        "assert '_ssl' not in sys.modules and sys.modules['_hashlib'] is None\n"
        "hashlib.blake2b(b'', key=b'x').hexdigest(), hashlib.sha256(b''), hashlib.sha3_256(b'')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=False)
    # stem looks for a package of cryptography, which a bundle does not have, and that wants OpenSSL.
    assert (done.returncode, done.stderr) == (0, "")


def test_names_work_and_nothing_is_said_or_logged(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        async with world.started() as process:
            await world.serving()
            stream = world.tor.open("example.bit:80")
            await world.tor.settled(stream)
            assert stream.target == f"{A}:80"
            assert stat.S_IMODE(world.data.stat().st_mode) == 0o700
            world.tor.die()
            assert await process.communicate() == (b"", b"")
            assert process.returncode == 0
        assert [path.name for path in world.data.iterdir()] == ["lock"]

    scenario(tmp_path, test)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_end_everything_in_order(tmp_path: Path, number: int) -> None:
    async def test(world: World) -> None:
        async with world.started() as process:
            await world.serving()
            slow = world.tor.open("slow.bit:80")
            await until(lambda: world.double.count("name_show"))
            process.send_signal(number)
            assert await process.communicate() == (b"", b"")
            assert process.returncode == 0
            assert not world.tor.leave and slow.state == "closed"
            assert f"SETCONF {OPTION}=0" in world.tor.commands
            await until(lambda: world.double.count("end") == 1)

    scenario(tmp_path, test)


def test_sigkill_leaves_no_stream_waiting_and_no_process(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        for _ in range(2):
            async with world.started() as process:
                await world.tor.until(lambda: world.tor.leave)
                await until(lambda: world.ours())
                process.kill()
                other = world.tor.open("example.com:443")
                await world.tor.settled(other)
                await process.wait()
                await until(lambda: not world.ours())
                assert other.state == "attached" and not world.tor.leave

    scenario(tmp_path, test)


def test_a_second_one_leaves_the_first_alone(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        async with world.started() as first, world.started() as second:
            await asyncio.wait(
                [asyncio.create_task(process.wait()) for process in (first, second)],
                return_when=asyncio.FIRST_COMPLETED,
            )
            loser = first if first.returncode is not None else second
            assert loser.stderr is not None
            said = (await loser.stderr.read()).decode()
            assert (loser.returncode, said) == (0, f"namecoin: already running for {world.data}\n")
            await world.serving()
            assert world.double.count("start") == 1

    scenario(tmp_path, test)


@pytest.mark.parametrize(
    ("env", "file", "code", "message"),
    [
        ({"TOR_CONTROL_PORT": "x"}, "{}", 2, "TOR_CONTROL_PORT: expected a number from 1 to 65535, found x"),
        ({"TOR_SOCKS_PORT": "x"}, "{}", 2, "TOR_SOCKS_PORT: expected a number from 1 to 65535, found x"),
        ({}, "[]", 2, "launcher.json: expected a JSON object"),
        ({"TOR_CONTROL_PASSWD": "wrong"}, "{}", 1, "127.0.0.1:{port}: tor refuses TOR_CONTROL_PASSWD"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    tmp_path: Path, env: dict[str, str], file: str, code: int, message: str
) -> None:
    async def test(world: World) -> None:
        world.data.mkdir(parents=True)
        (world.data / "launcher.json").write_text(file)
        env_of_test = {name: text for name, text in env.items() if name != "TOR_CONTROL_PORT"}
        port = world.tor.port
        if "TOR_CONTROL_PORT" in env:
            world.tor.port = env["TOR_CONTROL_PORT"]  # type: ignore[assignment]
        async with world.started(env=env_of_test) as process:
            said = (await process.communicate())[1].decode()
        world.tor.port = port
        assert (process.returncode, said) == (code, f"namecoin: {message.format(port=port)}\n")

    scenario(tmp_path, test, password="right" if "TOR_CONTROL_PASSWD" in env else None)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        (world.folder / "Data").write_text("a file")
        async with world.started() as process:
            said = (await process.communicate())[1].decode()
        assert process.returncode == 1
        assert said == f"namecoin: {world.data}: the folder for state cannot be used: File exists\n"

    scenario(tmp_path, test)


@pytest.mark.parametrize("level", ["1", "2"])
def test_logs_never_hold_names(tmp_path: Path, level: str) -> None:
    async def test(world: World) -> None:
        world.data.mkdir(parents=True)
        (world.data / "namecoin.log").write_text("an earlier run")
        async with world.started(env={"TOR_VERBOSE_NAMECOIN": level}) as process:
            await world.serving()
            streams = [world.tor.open(host) for host in ("example.bit:80", "missing.bit:80", "other.example:80")]
            await world.tor.settled(*streams)
            process.send_signal(signal.SIGTERM)
            said = (await process.communicate())[1].decode()
        log = (world.data / "namecoin.log").read_text()
        assert stat.S_IMODE((world.data / "namecoin.log").stat().st_mode) == 0o600
        assert "tor can build circuits" in log and "tor can build circuits" in said
        assert "earlier" not in log
        for word in ("example", "missing", A):
            assert word not in log
        assert ("'example.bit': " in said, "other.example" in said) == (level == "2", False)

    scenario(tmp_path, test)


def test_a_windowless_program_has_no_streams(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        nothing = "import sys; sys.stdin = sys.stdout = sys.stderr = None\n"
        for verbose in ("0", "2"):
            async with world.started(before=nothing, env={"TOR_VERBOSE_NAMECOIN": verbose}) as process:
                await world.tor.until(lambda: world.tor.leave)
                stream = world.tor.open("example.bit:80")
                await world.tor.settled(stream)
                assert stream.target == f"{A}:80"
                process.send_signal(signal.SIGTERM)
                assert await process.communicate() == (b"", b"")
                assert process.returncode == 0

    scenario(tmp_path, test)


def test_the_browser_with_names(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        async with world.started(WITH_BROWSER, "-new-tab", "--data", "ü a") as process:
            ((arguments, cwd, flag, _),) = await world.browsers(1)
            assert (arguments, cwd, flag) == (["-new-tab", "--data", "ü a"], str(world.browser.parent), "1")
            await world.serving()
            stream = world.tor.open("example.bit:80")
            await world.tor.settled(stream)
            assert stream.target == f"{A}:80"
            # The browser goes, and takes its tor with it.
            world.end_browsers()
            world.tor.die()
            assert await process.communicate() == (b"", b"")
            assert process.returncode == 7

    scenario(tmp_path, test)


def test_the_browser_goes_on_without_names(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        async with world.started(WITH_BROWSER, env={"TOR_CONTROL_PASSWD": "wrong"}) as process:
            assert process.stderr is not None
            said = (await process.stderr.readline()).decode()
            reason = f"127.0.0.1:{world.tor.port}: tor refuses TOR_CONTROL_PASSWD"
            assert said == f"namecoin: {reason}; the browser goes on without .bit names\n"
            ((_, _, _, pid),) = await world.browsers(1)
            assert alive(pid) and process.returncode is None
            world.end_browsers()
            assert await process.communicate() == (b"", b"")
            assert process.returncode == 7

    scenario(tmp_path, test, password="right")


def test_a_second_browser_has_no_second_supervisor(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        async with world.started(WITH_BROWSER) as first:
            await world.serving()
            async with world.started(WITH_BROWSER) as second:
                await world.browsers(2)
                assert second.stderr is not None
                assert b"already running" in await second.stderr.readline()
                assert second.returncode is None
                world.end_browsers()
                assert await second.wait() == 7
            world.tor.die()
            assert await first.wait() == 7
        assert world.double.count("start") == 1

    scenario(tmp_path, test)


def test_a_signal_leaves_the_browser_to_its_user(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        async with world.started(WITH_BROWSER) as process:
            await world.serving()
            ((_, _, _, pid),) = await world.browsers(1)
            process.send_signal(signal.SIGTERM)
            # Not wait(), which waits for all who have its pipes.
            await until(lambda: process.returncode is not None)
            assert process.returncode == 0
            assert not world.tor.leave
            assert alive(pid)
            world.end_browsers()
            await ended(pid)

    scenario(tmp_path, test)


def test_no_browser_there(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        world.browser.unlink()
        async with world.started(WITH_BROWSER) as process:
            said = (await process.communicate())[1].decode()
        assert process.returncode == 2
        text = rf"namecoin: {world.browser}: the browser does not start: [^;]*; this program belongs into a Tor Browser's folder\n"
        assert re.fullmatch(text, said)
        assert not world.data.exists()

    scenario(tmp_path, test)
