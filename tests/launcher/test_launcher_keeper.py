"""One daemon is kept: told in private, unpaused, started again, waited for, and ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from namecoin_launcher import keeper as module
from namecoin_launcher.keeper import Keeper
from namecoin_launcher.settings import Settings
from namecoin_resolver.outcome import Kind, NameLookupError

from tests.launcher.daemon_double import Double
from tests.launcher.doubles import onion
from tests.launcher.test_controller import alive, ended, run

A = onion(1)
#: Secrets, and what would lead a daemon past its proxy, have it write elsewhere or load what others wrote.
UNWANTED = (
    "TOR_CONTROL_PASSWD",
    "TOR_CONTROL_COOKIE_AUTH_FILE",
    "TOR_TRANSPROXY",
    "TOR_SOCKS_IPC_PATH",
    "TOR_SOCKS_HOST",
    "TOR_SOCKS_PORT",
    "TOR_NS_PLUGIN_OPTIONS",
    "NAMECOIN_RPC_PASSWORD",
    "ELECTRUMDIR",
    "https_proxy",
    "SSLKEYLOGFILE",
    "OPENSSL_CONF",
    "PYTHONPATH",
)
Test = Callable[[Keeper, Double], Coroutine[Any, Any, None]]


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def keeping(keeper: Keeper) -> AsyncIterator[None]:
    task = asyncio.create_task(keeper.run())
    try:
        yield
    finally:
        assert not task.done(), task
        task.cancel()
        await asyncio.wait((task,))
        assert task.cancelled() and keeper.pid is None


def scenario(folder: Path, test: Test, *plan: str, settings: Settings | None = None) -> Double:
    double = Double(folder / "double")
    argv = double.plan(*(plan or ("serve",)), target=A)

    async def main() -> None:
        keeper = Keeper(folder, "socks5:127.0.0.1:1", settings or Settings(), argv)
        async with keeping(keeper):
            await test(keeper, double)
        assert not [start for start in double.of("start") if alive(start["pid"])]

    run(main())
    return double


def test_a_daemon_is_told_in_private_and_ends_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in UNWANTED:
        monkeypatch.setenv(name, "nothing for a daemon")

    async def test(keeper: Keeper, double: Double) -> None:
        await keeper.ready.wait()

    settings = Settings(chain="regtest", server="example.org:1:s", oneserver=True)
    double = scenario(tmp_path, test, settings=settings)
    (start,) = double.of("start")
    told = start["told"]
    assert (told["folder"], told["proxy"]) == (str(tmp_path), "socks5:127.0.0.1:1")
    assert (told["chain"], told["server"], told["oneserver"]) == ("regtest", "example.org:1:s", True)
    assert told["paused"] is True
    assert len(told["password"]) == 64
    assert told["password"] not in json.dumps([start["argv"], start["environ"]])
    assert "nothing for a daemon" not in start["environ"].values()
    assert start["environ"]["PATH"] == os.environ["PATH"]
    assert double.count("end") == 1
    assert [file.name for file in tmp_path.iterdir()] == ["double"], "nothing is written"


def test_each_start_has_credentials_of_its_own(tmp_path: Path) -> None:
    async def test(keeper: Keeper, double: Double) -> None:
        for _ in range(2):
            await keeper.ready.wait()
            assert (await keeper.name_show("d/example", "x")).value
            assert keeper.pid is not None
            os.kill(keeper.pid, signal.SIGKILL)
            await until(lambda: not keeper.ready.is_set())

    starts = scenario(tmp_path, test).of("start")
    assert len({start["told"]["password"] for start in starts}) == len(starts) >= 2
    assert len({start["told"]["user"] for start in starts}) == len(starts)


def test_it_is_unpaused_when_told_and_as_often_as_it_takes(tmp_path: Path) -> None:
    async def test(keeper: Keeper, double: Double) -> None:
        await keeper.ready.wait()
        assert not double.count("unpausenetwork")
        keeper.unpause()
        await until(lambda: double.count("unpausenetwork") == 3)
        assert keeper.pid is not None
        os.kill(keeper.pid, signal.SIGKILL)
        await until(lambda: double.count("start") == 2)
        await keeper.ready.wait()

    starts = scenario(tmp_path, test, "shy").of("start")
    assert [start["told"]["paused"] for start in starts] == [True, False]


def test_told_to_unpause_before_it_answers(tmp_path: Path) -> None:
    async def test(keeper: Keeper, double: Double) -> None:
        await until(lambda: double.count("start") == 1)
        keeper.unpause()
        await until(lambda: double.count("unpausenetwork") == 1)

    scenario(tmp_path, test)


def no_pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """From now on the keeper's pauses take no time; a list of how long they would have been, in seconds."""
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def slept(seconds: float) -> None:
        # All else that sleeps here does so for less.
        if seconds >= 0.5:
            pauses.append(seconds)
            seconds = 0
        await sleep(seconds)

    monkeypatch.setattr(asyncio, "sleep", slept)
    return pauses


@pytest.mark.parametrize("how", ["end", "error", "mute"])
def test_starts_that_fail_come_ever_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    pauses = no_pauses(monkeypatch)

    async def test(keeper: Keeper, double: Double) -> None:
        await keeper.ready.wait()

    # One that says nothing takes its whole time.
    count, settings = (1, Settings(daemon_timeout=3.0)) if how == "mute" else (8, Settings())
    scenario(tmp_path, test, *[how] * count, "serve", settings=settings)
    assert pauses[:count] == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0][:count]


@pytest.mark.parametrize(("served", "pauses"), [(60.0, [0.5, 1.0, 2.0]), (0.0, [0.5, 0.5, 0.5])])
def test_service_makes_the_pause_short_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, served: float, pauses: list[float]
) -> None:
    monkeypatch.setattr(module, "SERVED", served)
    seen = no_pauses(monkeypatch)

    async def test(keeper: Keeper, double: Double) -> None:
        for _ in range(3):
            await keeper.ready.wait()
            assert keeper.pid is not None
            os.kill(keeper.pid, signal.SIGKILL)
            await until(lambda: not keeper.ready.is_set())
        await keeper.ready.wait()

    scenario(tmp_path, test)
    assert seen == pauses


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    async def main() -> None:
        keeper = Keeper(tmp_path, "", Settings(), [str(tmp_path / "nothing")])
        async with keeping(keeper):
            with pytest.raises(NameLookupError) as caught:
                await keeper.name_show("d/example", "x")
            assert caught.value.kind is Kind.UNAVAILABLE

    module_patience(0.2, main)


def module_patience(seconds: float, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PATIENCE", seconds)
        run(main())


def test_a_look_up_waits_for_the_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 30.0)

    async def test(keeper: Keeper, double: Double) -> None:
        await keeper.ready.wait()
        assert keeper.pid is not None
        os.kill(keeper.pid, signal.SIGKILL)
        await until(lambda: not keeper.ready.is_set())
        assert A.encode() in (await keeper.name_show("d/example", "x")).value

    scenario(tmp_path, test)


def test_a_look_up_under_way_ends_with_its_daemon(tmp_path: Path) -> None:
    async def test(keeper: Keeper, double: Double) -> None:
        await keeper.ready.wait()
        looking = asyncio.create_task(keeper.name_show("d/slow", "x"))
        await until(lambda: double.count("name_show"))
        assert keeper.pid is not None
        os.kill(keeper.pid, signal.SIGKILL)
        with pytest.raises(NameLookupError) as caught:
            await looking
        assert caught.value.kind is Kind.UNAVAILABLE

    scenario(tmp_path, test)


def test_another_on_demand(tmp_path: Path) -> None:
    async def test(keeper: Keeper, double: Double) -> None:
        await keeper.ready.wait()
        keeper.unpause()
        keeper.renew()
        await until(lambda: double.count("start") == 2)
        await keeper.ready.wait()

    double = scenario(tmp_path, test)
    first, second = double.of("start")
    assert not second["told"]["paused"]
    assert double.of("end")[0]["pid"] == first["pid"], "it ended by itself"


def test_one_that_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_END", 0.2)

    async def test(keeper: Keeper, double: Double) -> None:
        await keeper.ready.wait()

    double = scenario(tmp_path, test, "deaf")
    assert not double.count("end")


def test_a_daemon_outlives_nobody(tmp_path: Path) -> None:
    """Not even a supervisor that is killed: the double ends with its stdin, as the real one does."""
    double = Double(tmp_path / "double")
    argv = double.plan("serve")
    code = f"""
import asyncio, sys
sys.path.insert(0, {str(Path(__file__).parents[2] / "launcher")!r})
from namecoin_launcher.keeper import Keeper
from namecoin_launcher.settings import Settings
async def main():
    keeper = Keeper({str(tmp_path)!r}, "", Settings(), {argv!r})
    await keeper.run()
asyncio.run(main())
"""

    async def main() -> None:
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
        await until(lambda: double.count("start"))
        (start,) = double.of("start")
        process.kill()
        await process.wait()
        await ended(start["pid"])

    run(main())
