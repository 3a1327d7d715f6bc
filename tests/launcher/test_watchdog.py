"""The watchdog by itself: what it does with a tor that it is left alone with."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from namecoin_resolver import guard, torport, watchdog
from namecoin_resolver.torport import Address

from tests.launcher.test_controller import alive, ended, scenario
from tests.launcher.tor_double import OPTION, Tor


async def started(tor: Tor) -> guard.Guard:
    port = await asyncio.to_thread(torport.open_port, Address(port=tor.port))
    return await guard.Guard.start(torport.detached(port), guard.command())


@pytest.mark.parametrize("count", [0, 1, 3])
def test_it_sets_free_what_waits_and_refuses_bit(tmp_path: Path, count: int) -> None:
    async def test(tor: Tor) -> None:
        tor.leave = True
        guarding = await started(tor)
        streams = [tor.open(target) for target in ("a.com:80", "A.BIT:80", "a.bit.onion.:80")[:count]]
        await guarding.leave(done=False)
        assert not tor.leave
        assert [s.state for s in streams] == ["attached", "closed", "closed"][:count]
        assert not alive(guarding.pid)

    scenario(tmp_path, test)


def test_it_does_nothing_when_all_is_done(tmp_path: Path) -> None:
    async def test(tor: Tor) -> None:
        guarding = await started(tor)
        await guarding.leave(done=True)
        assert tor.commands == [f"GETCONF {OPTION}"]

    scenario(tmp_path, test)


def test_refusals_do_not_stop_it(tmp_path: Path) -> None:
    async def test(tor: Tor) -> None:
        tor.leave = True
        guarding = await started(tor)
        lost, kept = tor.open("a.com:80"), tor.open("b.com:80")
        tor.hook = lambda command: '552 Unknown stream "1"' if command == f"ATTACHSTREAM {lost.id} 0" else None
        await guarding.leave(done=False)
        assert (lost.state, kept.state) == ("waiting", "attached")

    scenario(tmp_path, test)


def test_it_ends_with_tor(tmp_path: Path) -> None:
    async def test(tor: Tor) -> None:
        guarding = await started(tor)
        tor.die()
        await guarding.ended()
        await ended(guarding.pid)

    scenario(tmp_path, test)


def _silent(tor: Tor) -> Callable[[str], str | None]:
    def hang_up(command: str) -> str | None:
        tor.die()
        return None

    return hang_up


def test_a_tor_that_dies_meanwhile_is_no_hindrance(tmp_path: Path) -> None:
    async def test(tor: Tor) -> None:
        guarding = await started(tor)
        tor.hook = _silent(tor)
        await guarding.leave(done=False)
        assert not alive(guarding.pid)

    scenario(tmp_path, test)


@pytest.mark.parametrize("line", [b"", b"fd x\n", b"fd 99\n", b"nonsense\n"])
def test_nothing_usable_handed_over_is_an_error(line: bytes) -> None:
    done = subprocess.run(guard.command(), input=line, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (2, b"", b"")


def test_closing_the_controllers_end_does_not_shut_the_connection_down(tmp_path: Path) -> None:
    async def test(tor: Tor) -> None:
        port = await asyncio.to_thread(torport.open_port, Address(port=tor.port))
        raw = torport.detached(port)
        copy = socket.socket(fileno=os.dup(raw.fileno()))
        raw.close()
        with copy:
            reply = await asyncio.to_thread(watchdog.ask, copy, copy.makefile("rb"), "GETINFO version")
        assert reply == ["version=0.4.9.11", "OK"]

    scenario(tmp_path, test)


def test_it_imports_little() -> None:
    """It stands by all the time: asyncio, stem and the resolver would cost four times its memory."""
    code = (
        f"import sys; sys.path.insert(0, {os.path.dirname(watchdog.__file__)!r}); import watchdog; print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "watchdog" in loaded
    assert not loaded & {"asyncio", "contextlib", "namecoin_resolver", "re", "ssl", "stem", "subprocess", "typing"}


@pytest.mark.parametrize(
    ("target", "bit"),
    [
        ("a.bit:80", True),
        ("A.BIT.:80", True),
        ("a.b.bit.onion:443", True),
        ("a.Bit.Onion.:443", True),
        (".bit:0", True),
        ("bit:80", False),
        ("a.bit", False),
        ("a.bit.com:80", False),
        ("abit:80", False),
        ("a.onion:80", False),
        ("[::1]:80", False),
        ("", False),
    ],
)
def test_what_an_exit_must_not_see(target: str, bit: bool) -> None:
    assert watchdog.is_bit(target) is bit
