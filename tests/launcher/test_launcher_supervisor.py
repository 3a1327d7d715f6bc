"""A supervisor between a stand-in for tor and one for the daemon: how it starts, goes on, and ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from namecoin_launcher import paths, supervisor
from namecoin_launcher.settings import Settings
from namecoin_launcher.supervisor import Setup, Supervisor, SupervisorError
from namecoin_resolver.streams import MISC, RESOLVE_FAILED
from namecoin_resolver.torport import Address

from tests.launcher.daemon_double import Double
from tests.launcher.doubles import onion
from tests.launcher.test_controller import alive, run
from tests.launcher.test_launcher_keeper import until
from tests.launcher.tor_double import Tor

A = onion(1)


@dataclass
class TorAt(Tor):
    """A tor at a port that is known before it runs."""

    wanted: int = 0

    async def __aenter__(self) -> TorAt:
        self.cookie.parent.mkdir(parents=True, exist_ok=True)
        self.cookie.write_bytes(os.urandom(32))
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.wanted)
        self.port = self.wanted
        return self


@dataclass
class World:
    """A Tor Browser's tree, and what runs in it."""

    folder: Path
    port: int
    options: dict[str, Any]
    plan: tuple[str, ...] = ("serve",)
    gone: asyncio.Event | None = None
    supervisor: Supervisor = field(init=False)

    def __post_init__(self) -> None:
        self.paths = paths.find(package=self.folder / "Browser/TorBrowser/Namecoin/app/namecoin_launcher")
        paths.make_data(self.paths)
        self.double = Double(self.folder / "double")
        argv = self.double.plan(*self.plan, target=A)
        address = self.options.pop("address", Address(port=self.port))
        setup = Setup(self.paths, address, "socks5:127.0.0.1:1", Settings(), daemon=argv, **self.options)
        self.supervisor = Supervisor(setup, self.gone)

    def tor(self, **options: Any) -> TorAt:
        return TorAt(self.paths.cookie, wanted=self.port, **options)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        task = asyncio.create_task(self.supervisor.run())
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.wait((task,))

    async def serving(self, tor: Tor) -> None:
        """Wait until names can be looked up."""
        await tor.until(lambda: tor.leave and self.supervisor.keeper.ready.is_set())

    async def kill_daemon(self) -> None:
        keeper = self.supervisor.keeper
        assert keeper.pid is not None
        os.kill(keeper.pid, signal.SIGKILL)
        await until(lambda: not keeper.ready.is_set())


Test = Callable[[World], Coroutine[Any, Any, None]]


def scenario(
    folder: Path, test: Test, *, plan: tuple[str, ...] = ("serve",), browser: bool = False, **options: Any
) -> World:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    worlds = []

    async def main() -> None:
        worlds.append(world := World(folder, port, options, plan, asyncio.Event() if browser else None))
        await test(world)
        # Nothing of ours is left.
        assert not [start for start in world.double.of("start") if alive(start["pid"])]
        controller = world.supervisor.controller
        assert controller is None or not controller.served or not alive(controller.watchdog_pid)

    run(main())
    return worlds[0]


def test_a_name_is_looked_up_once_and_forgotten_with_the_identity(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        async with world.tor() as tor, world.running():
            await world.serving(tor)
            for _ in range(2):
                stream = tor.open("example.bit:80")
                await tor.settled(stream)
                assert (stream.state, stream.target) == ("attached", f"{A}:80")
            assert world.double.count("name_show") == 1
            tor.tell("SIGNAL", "NEWNYM")
            stream = tor.open("example.bit:80")
            await tor.settled(stream)
            assert world.double.count("name_show") == 2
            missing, other = tor.open("missing.bit:80"), tor.open("example.com:443")
            await tor.settled(missing, other)
            assert (missing.state, missing.reason, other.state) == ("closed", RESOLVE_FAILED, "attached")
        assert not tor.leave

    scenario(tmp_path, test)


def test_the_daemon_connects_to_nobody_before_tor_can(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        async with world.tor(progress=50) as tor, world.running():
            await world.serving(tor)
            tor.tell("STATUS_CLIENT", "NOTICE BOOTSTRAP PROGRESS=90 TAG=x")
            assert not world.double.count("unpausenetwork")
            tor.tell("STATUS_CLIENT", 'NOTICE BOOTSTRAP PROGRESS=100 TAG=done SUMMARY="Done"')
            await until(lambda: world.double.count("unpausenetwork") == 1)

    world = scenario(tmp_path, test)
    assert world.double.of("start")[0]["told"]["paused"]


def test_without_a_daemon_names_fail_soon_and_all_else_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("namecoin_launcher.keeper.PATIENCE", 0.5)
    monkeypatch.setattr("namecoin_launcher.keeper.FIRST_PAUSE", 5.0)

    async def test(world: World) -> None:
        async with world.tor() as tor, world.running():
            await world.serving(tor)
            slow = tor.open("slow.bit:80")
            await until(lambda: world.double.count("name_show"))
            await world.kill_daemon()
            name, other = tor.open("example.bit:80"), tor.open("example.com:443")
            await tor.settled(other)
            assert other.state == "attached" and name.state == "waiting"
            await tor.settled(slow, name)
            assert (slow.state, slow.reason, name.state, name.reason) == ("closed", MISC, "closed", MISC)
            await world.serving(tor)
            name = tor.open("example.bit:80")
            await tor.settled(name)
            assert name.state == "attached"
            assert [start["told"]["paused"] for start in world.double.of("start")] == [True, False]

    scenario(tmp_path, test)


def test_tor_may_come_later(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        async with world.running() as running:
            await world.supervisor.keeper.ready.wait()
            assert not running.done()
            # A file of an earlier run, which opens nothing.
            world.paths.cookie.parent.mkdir(parents=True)
            world.paths.cookie.write_bytes(bytes(32))
            async with world.tor() as tor:
                await world.serving(tor)

    scenario(tmp_path, test)


def test_without_a_browser_it_ends_with_tor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "BACK", 0.3)

    async def test(world: World) -> None:
        async with world.running() as running:
            async with world.tor() as tor:
                await world.serving(tor)
            await running

    scenario(tmp_path, test)


@pytest.mark.parametrize("browser", [True, False])
def test_tor_may_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, browser: bool) -> None:
    monkeypatch.setattr(supervisor, "BACK", 0.0 if browser else 30.0)

    async def test(world: World) -> None:
        async with world.running() as running:
            async with world.tor() as tor:
                await world.serving(tor)
                await until(lambda: world.double.count("unpausenetwork") == 1)
            await asyncio.sleep(0.3)
            assert not running.done()
            async with world.tor(progress=50) as tor:
                await world.serving(tor)
                assert world.double.count("start") == 1
                tor.tell("STATUS_CLIENT", "NOTICE BOOTSTRAP PROGRESS=100 TAG=done")
                # The first one might not try its servers again for minutes.
                await until(lambda: world.double.count("start") == 2)
                await world.serving(tor)
                stream = tor.open("example.bit:80")
                await tor.settled(stream)
                assert stream.state == "attached"
            if world.gone is not None:
                world.gone.set()
                await running

    world = scenario(tmp_path, test, browser=browser)
    assert not world.double.of("start")[1]["told"]["paused"]


def test_the_browsers_end_is_the_end_of_waiting_for_its_tor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "BACK", 0.3)

    async def test(world: World) -> None:
        assert world.gone is not None
        async with world.running() as running:
            await world.supervisor.keeper.ready.wait()
            world.gone.set()
            with pytest.raises(SupervisorError):
                await running

    scenario(tmp_path, test, browser=True)


def test_a_browser_that_has_handed_over_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "BACK", 0.1)

    async def test(world: World) -> None:
        assert world.gone is not None
        async with world.running() as running:
            async with world.tor() as tor:
                await world.serving(tor)
                world.gone.set()
                await asyncio.sleep(0.5)
                stream = tor.open("example.bit:80")
                await tor.settled(stream)
                assert stream.state == "attached" and not running.done()
            await running

    scenario(tmp_path, test, browser=True)


def test_a_tor_that_is_not_the_browsers_is_left_when_the_browser_ends(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        assert world.gone is not None
        async with world.tor() as tor:
            async with world.running() as running:
                await world.serving(tor)
                world.gone.set()
                await running
            assert not tor.leave

    scenario(tmp_path, test, browser=True, lent=True)


def test_no_tor_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "START", 0.5)

    async def test(world: World) -> None:
        async with world.running() as running:
            with pytest.raises(SupervisorError) as caught:
                await running
        text = f"127.0.0.1:{world.port}: tor's control port cannot be reached: .*; it was tried for 0.5 s"
        assert re.fullmatch(text, str(caught.value))

    scenario(tmp_path, test)


@pytest.mark.parametrize("browser", [True, False])
def test_a_password_that_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, browser: bool) -> None:
    monkeypatch.setattr(supervisor, "REFUSED", 0.5)

    async def test(world: World) -> None:
        async with world.tor(password="right") as tor, world.running() as running:
            with pytest.raises(SupervisorError) as caught:
                await running
            assert str(caught.value) == f"127.0.0.1:{world.port}: tor refuses TOR_CONTROL_PASSWD"
            assert not tor.leave

    # The port goes with the address: see World.
    scenario_with_password(tmp_path, test, browser)


def scenario_with_password(folder: Path, test: Test, browser: bool) -> None:
    async def wrapped(world: World) -> None:
        setup = world.supervisor._setup
        password = Address(port=world.port, password="wrong")
        changed = Setup(setup.paths, password, setup.proxy, setup.settings, daemon=setup.daemon)
        world.supervisor = Supervisor(changed, world.gone)
        await test(world)

    scenario(folder, wrapped, browser=browser)


def test_a_cookie_that_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "REFUSED", 0.5)

    async def test(world: World) -> None:
        other = world.folder / "other-cookie"
        async with TorAt(other, wanted=world.port), world.running() as running:
            world.paths.cookie.parent.mkdir(parents=True)
            world.paths.cookie.write_bytes(bytes(32))
            with pytest.raises(SupervisorError, match="tor does not let us in"):
                await running

    scenario(tmp_path, test)


def test_being_cancelled_leaves_nothing(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        async with world.tor() as tor:
            async with world.running() as running:
                await world.serving(tor)
                slow = tor.open("slow.bit:80")
                await until(lambda: world.double.count("name_show"))
                running.cancel()
                await asyncio.wait((running,))
            assert not tor.leave and slow.state == "closed"
        assert world.double.count("end") == 1

    scenario(tmp_path, test)
