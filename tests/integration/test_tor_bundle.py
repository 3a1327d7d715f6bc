"""The bundle's launcher under Wine in a private Tor network: a real daemon, a browser, isolation, kills.

``TOR_TEST_BUNDLE`` names a bundle's folder to try instead of the one that is built for the session.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tor import checks, client, kills, processes, session, tree
from tests.tor.fixtures import world
from tests.tor.session import Wine
from tests.tor.tree import DATA, Tree
from tests.tor.world import World

__all__ = ["world"]
#: What of all kill rounds is done here.
SHARE = 0.4
#: Seconds in which a name that leads nowhere is refused: what the launcher gives a look-up, and some.
BOUND = 110.0
_LOOKUPS = ("blockchain.scripthash.get_history", "blockchain.transaction.get", "blockchain.transaction.get_merkle")
#: A prefix's folders of its user, and the home of programs for Linux, as a process in there has them.
_HOMES = ("run/wine/drive_c/users", "run/home")


@pytest.fixture(scope="module")
def installed(
    request: pytest.FixtureRequest, world: World, store: Path, tmp_path_factory: pytest.TempPathFactory
) -> Tree:
    """A Tor Browser's folder with the bundle in it, in a path with spaces and other letters."""
    chosen = os.environ.get("TOR_TEST_BUNDLE")
    bundle = Path(chosen) if chosen else request.getfixturevalue("electrum_nmc").folder
    folder = tmp_path_factory.mktemp("bundle")
    made = tree.windows(folder / "Tor Brówser 漢", bundle, store, folder / "work")
    made.configure(chain="regtest", server=f"{world.servers[0]}:s")
    return made


@pytest.fixture(scope="module")
def wine(world: World, installed: Tree, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wine]:
    with session.wine(world, installed, tmp_path_factory.mktemp("wine")) as made:
        yield made
        session.clean(made)
        print(f"\nthe launcher's output: {made.log.read_text() if made.log.exists() else ''}")


@pytest.fixture
def launched(wine: Wine) -> Wine:
    """A session with a launcher that is ready."""
    started = None if session.ours(wine) else wine.launch()
    checks.wait_until_ready(wine, started)
    return wine


@pytest.fixture(scope="module")
def names() -> Iterator[str]:
    return checks.fresh_names()


def test_switched_off_it_does_nothing(wine: Wine) -> None:
    session.clean(wine)
    before = wine.tree.files()
    for switch in ("", "0", "true"):
        started = wine.launch(TOR_ENABLE_NAMECOIN=switch)
        session.until(lambda started=started: started.code() is not None, "it has ended")  # type: ignore[misc]
        assert started.code() == 0
    assert wine.tree.files() == before


def test_a_name_opens_the_page(launched: Wine, names: Iterator[str]) -> None:
    checks.opens_by_name(launched)
    print(f"\n{checks.latency(launched, names)}")


def test_names_that_lead_nowhere(launched: Wine) -> None:
    took = {
        host: checks.fails(launched, f"{host}.bit", BOUND)
        for host in ("missing", "expired", "semi-expired", "pending", "broken", "text", "binary", "empty", "not_a_name")
    }
    print("\nseconds until refused: " + ", ".join(f"{host} {seconds:.2f}" for host, seconds in took.items()))
    checks.others_work(launched)


def test_others_work_while_a_look_up_hangs(launched: Wine, names: Iterator[str]) -> None:
    launched.world.do("fault", name="silence")
    try:
        checks.others_work_while_one_hangs(launched, next(names))
    finally:
        launched.world.do("fault", name="none")


def test_others_work_while_there_is_no_daemon(launched: Wine) -> None:
    daemon = session.one(launched, "daemon")
    assert daemon is not None
    daemon.kill()
    checks.others_work(launched)


def test_contexts_ask_over_connections_of_their_own(launched: Wine) -> None:
    world = launched.world

    async def sessions(user: str) -> set[int]:
        async with asyncio.timeout(session.BOUND):
            while True:
                # One that finds no connection in store leaves it to another of the daemon's own.
                await asyncio.to_thread(world.do, "calls")
                reply = await client.ask(world, "another.bit", user=user)
                calls = await asyncio.to_thread(world.do, "calls")
                if reply.code == client.SUCCEEDED:
                    return {call["session"] for call in calls if call["method"] in _LOOKUPS}

    async def main() -> list[set[int]]:
        return [await sessions(user) for user in ("one", "two", "three")]

    used = asyncio.run(main())
    assert all(used)
    assert used[0].isdisjoint(used[1]) and used[1].isdisjoint(used[2]) and used[0].isdisjoint(used[2])


def test_a_new_identity_forgets(launched: Wine, names: Iterator[str]) -> None:
    world, host = launched.world, next(names)

    async def asked() -> int:
        """How often the server was asked for a name's history."""
        await checks.until_named(world, host)
        calls = await asyncio.to_thread(world.do, "calls")
        return sum(call["method"] == _LOOKUPS[0] for call in calls)

    async def main() -> None:
        async with client.control(world, "SIGNAL") as control:
            assert await asked() > 0
            assert await asked() == 0
            await control.command("SIGNAL NEWNYM")
            await control.until("SIGNAL NEWNYM")
            assert await asked() > 0

    asyncio.run(main())


def test_the_daemon_waits_for_tor(wine: Wine) -> None:
    session.clean(wine)
    checks.paused_until_bootstrapped(wine)


def test_state_is_in_one_folder_and_has_no_names(launched: Wine, names: Iterator[str]) -> None:
    (process,) = processes.ours(launched.root)["supervisor"]
    homes = [Path(f"/proc/{process.pid}/root", home) for home in _HOMES]
    before = launched.tree.files()
    at_home = [{path: path.lstat().st_mtime_ns for path in home.rglob("*")} for home in homes]
    checks.opens_by_name(launched, next(names))
    checks.fails(launched, "nothing-visited.bit", BOUND)
    changed = {path for path, seen in launched.tree.files().items() if before.get(path) != seen}
    assert {path for path in changed if not f"{path}/".startswith(f"{DATA}/")} <= {str(Path(DATA).parent)}
    assert [{path: path.lstat().st_mtime_ns for path in home.rglob("*")} for home in homes] == at_home
    assert launched.tree.data.stat().st_mode & 0o777 == 0o700
    for folder in (launched.tree.data, *homes):
        assert checks.words_in(folder, ["visited", "another", "expired"]) == []


def test_a_browser_opens_the_page(launched: Wine, tmp_path: Path) -> None:
    if shutil.which("chromium") is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    world, picture = launched.world, tmp_path / "example.bit.png"
    # One for each: --dump-dom and --screenshot are alternatives.
    for options in (["--dump-dom"], [f"--screenshot={picture}", "--window-size=800,400"]):
        line = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage"]
        line += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
        line += [f"--user-data-dir={tmp_path / 'profile'}", f"--proxy-server=socks5://127.0.0.1:{world.socks}"]
        answer = world.call([*line, "--disable-features=HttpsUpgrades", *options, "http://example.bit/"])
        assert answer.code == 0, answer
        if options == ["--dump-dom"]:
            assert f"<h1>{checks.PAGE}</h1>" in answer.stdout
            assert '<p id="host">example.bit</p>' in answer.stdout
    assert picture.read_bytes().startswith(b"\x89PNG")
    print(f"\nthe page as a browser shows it: {picture}")


def test_start_runs_the_browser_and_waits_for_both(wine: Wine, tmp_path: Path) -> None:
    session.clean(wine)
    end = tmp_path / "end"
    program = str(wine.tree.program / tree.START)
    env = session.environment(wine.world, TOR_ENABLE_NAMECOIN="", TOR_SKIP_LAUNCH="1")
    started = wine.spawn([program, session.windows_path(end)], **env)
    checks.wait_until_ready(wine, started)
    assert [process.role for process in processes.below(wine.root)].count("browser") == 1
    assert started.code() is None
    end.touch()
    session.until(lambda: started.code() is not None, "it has ended with the browser")
    assert started.code() == 7
    assert session.ours(wine) == []


def test_kills(wine: Wine, names: Iterator[str]) -> None:
    seed = random.randrange(10**6)
    print(f"\nseed {seed}")
    done = asyncio.run(kills.Killing(wine, names, seed).run(kills.rounds(SHARE)))
    print(kills.summary(wine.form, done))
