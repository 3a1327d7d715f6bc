"""The first daemon: started before all else is imported, kept by the keeper, ended if it does not come to that."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import sys
from asyncio import sslproto
from pathlib import Path
from typing import Any

import pytest
from namecoin_launcher import launch, lean, paths, program
from namecoin_launcher.job import Job
from namecoin_launcher.keeper import Keeper
from namecoin_launcher.launch import First
from namecoin_launcher.settings import Settings

from tests.launcher.daemon_double import Double
from tests.launcher.doubles import onion
from tests.launcher.test_controller import alive, run
from tests.launcher.test_launcher_keeper import keeping, until

ROOT = Path(__file__).parents[2]
A = onion(1)
#: What takes its time to import.
HEAVY = {
    "asyncio",
    "argparse",
    "ctypes",
    "hashlib",
    "logging",
    "secrets",
    "socket",
    "ssl",
    "stem",
    "namecoin_launcher.keeper",
}


def started(double: Double, *plan: str) -> First:
    argv = double.plan(*plan, target=A)
    first = launch.first(argv, launch.told(double.folder, "socks5:127.0.0.1:1", Settings(), paused=True))
    assert first is not None
    return first


def told() -> launch.Told:
    return launch.told("x", "", Settings(), paused=True)


def test_nothing_heavy_is_imported_before_the_daemon_starts() -> None:
    """On Windows job objects need ctypes, which is imported with the daemon under way."""
    code = (
        "import os, sys; before = set(sys.modules); import namecoin_launcher.__main__, namecoin_launcher.program;"
        "print(*set(sys.modules) - before)"
    )
    line = [sys.executable, "-S", "-c", code]
    done = subprocess.run(line, env={"PYTHONPATH": str(ROOT / "launcher")}, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "namecoin_launcher.launch" in loaded
    assert not loaded & HEAVY


@pytest.mark.parametrize("job", [Job(), None])
def test_the_keeper_keeps_it(tmp_path: Path, job: Job | None) -> None:
    double = Double(tmp_path / "double")
    first = First(started(double, "serve").child, job)

    async def main() -> None:
        keeper = Keeper(tmp_path, "", Settings(), double.plan("serve", target=A), first)
        async with keeping(keeper):
            await keeper.ready.wait()
            assert keeper.pid == first.child.process.pid
            assert A.encode() in (await keeper.name_show("d/example", "x")).value
            assert double.count("start") == 1
            # What comes after it has other credentials, and is started by the keeper.
            first.child.process.kill()
            await until(lambda: double.count("start") == 2)
            await keeper.ready.wait()
            assert (await keeper.name_show("d/example", "x")).value
        assert not [start for start in double.of("start") if alive(start["pid"])]

    run(main())
    one, two = (start["told"] for start in double.of("start"))
    assert one["password"] == first.child.told.password != two["password"]
    first.child.abandon()


@pytest.mark.parametrize("how", ["serve", "deaf", "end", "mute"])
def test_one_that_nobody_keeps_is_ended(tmp_path: Path, how: str) -> None:
    double = Double(tmp_path / "double")
    child = started(double, how).child
    child.abandon()
    assert child.process.returncode is not None
    assert not alive(child.process.pid)
    child.abandon()


def test_a_setup_that_comes_to_nothing_leaves_no_daemon(tmp_path: Path) -> None:
    double = Double(tmp_path / "double")
    found = paths.find(str(tmp_path / "data"))

    def fail() -> int:
        with program.prepared(found, double.plan("serve", target=A)) as plan:
            assert plan.first is not None
            pids.append(plan.first.child.process.pid)
            raise KeyError

    pids: list[int] = []
    with pytest.raises(KeyError):
        fail()
    assert len(pids) == 1 and not alive(pids[0])


def test_wrong_settings_start_no_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOR_CONTROL_PORT", "x")
    double = Double(tmp_path / "double")
    with (
        pytest.raises(program.ProgramError, match="TOR_CONTROL_PORT"),
        program.prepared(paths.find(str(tmp_path / "data")), double.plan("serve")),
    ):
        raise AssertionError
    assert not double.events()


def test_a_program_that_is_not_there_is_the_keepers_to_find(tmp_path: Path) -> None:
    assert launch.first([str(tmp_path / "nothing")], told()) is None


def test_credentials_are_of_this_start() -> None:
    one, two = told(), told()
    assert (len(one.user), len(one.password)) == (32, 64)
    assert one.password != two.password and one.user != two.user
    assert one.password not in repr(one)


def test_connections_over_tls_have_small_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    protocol: Any = sslproto.SSLProtocol
    monkeypatch.setattr(protocol, "max_size", 256 * 1024)

    async def main() -> None:
        lean.small_tls_buffers()
        made = protocol(
            asyncio.get_running_loop(), asyncio.Protocol(), ssl.create_default_context(), None, server_hostname="x"
        )
        assert len(made._ssl_buffer) == len(made.get_buffer(-1)) == 16 * 1024

    run(main())
