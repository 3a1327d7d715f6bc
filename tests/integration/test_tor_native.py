"""The launcher on this system in a private Tor network, with a double for Electrum-NMC: names, isolation, kills."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.namecoin import scenario
from tests.tor import checks, client, kills, session, tree
from tests.tor.fixtures import world
from tests.tor.session import Native
from tests.tor.tree import DATA
from tests.tor.world import World

__all__ = ["world"]
#: What of all kill rounds is done here: they are quick.
SHARE = 0.6
#: Seconds in which a name that leads nowhere is refused: what the launcher gives a look-up, and some.
BOUND = 110.0


@pytest.fixture(scope="module")
def native(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Native]:
    folder = tmp_path_factory.mktemp("native")
    made = Native(world, tree.native(folder / "Tor Browser"), folder)
    leads = scenario.to_onion(world.onion).decode()
    values = {f"d/visited-{number}": leads for number in range(60)} | {"d/example": leads, "d/another": leads}
    made.configure({**values, "d/broken": '{"map":', "d/empty": "{}"}, slow=["d/slow"])
    yield made
    session.clean(made)
    print(f"\nthe launcher's output: {made.log.read_text() if made.log.exists() else ''}")


@pytest.fixture
def launched(native: Native) -> Native:
    """A session with a launcher that is ready."""
    started = None if session.ours(native) else native.launch()
    checks.wait_until_ready(native, started)
    native.journal()
    return native


@pytest.fixture(scope="module")
def names() -> Iterator[str]:
    return checks.fresh_names()


def test_switched_off_it_does_nothing(native: Native) -> None:
    session.clean(native)
    before = native.tree.files()
    for switch in ("", "0", "true"):
        started = native.launch(TOR_ENABLE_NAMECOIN=switch)
        session.until(lambda started=started: started.code() is not None, "it has ended")  # type: ignore[misc]
        assert started.code() == 0
    assert native.tree.files() == before


def test_a_name_opens_the_page(launched: Native, names: Iterator[str]) -> None:
    checks.opens_by_name(launched)
    print(f"\n{checks.latency(launched, names)}")


def test_names_that_lead_nowhere(launched: Native) -> None:
    for host in ("missing.bit", "broken.bit", "empty.bit", "not_a_name.bit"):
        checks.fails(launched, host, BOUND)
    checks.others_work(launched)


def test_others_work_while_a_look_up_hangs(launched: Native) -> None:
    checks.others_work_while_one_hangs(launched, "slow.bit")


def test_others_work_while_there_is_no_daemon(launched: Native) -> None:
    daemon = session.one(launched, "daemon")
    assert daemon is not None
    daemon.kill()
    checks.others_work(launched)


def test_contexts_have_stream_ids_of_their_own(launched: Native) -> None:
    async def main() -> list[object]:
        for user in ("one", "two", "one", ""):
            await checks.until_named(launched.world, "another.bit", user=user)
        return [entry["stream_id"] for entry in launched.journal() if entry["name"] == "d/another"]

    # The third time it is known.
    ids = asyncio.run(main())
    assert len(ids) == len(set(ids)) == 3


def test_a_new_identity_forgets(launched: Native, names: Iterator[str]) -> None:
    world, host = launched.world, next(names)

    async def main() -> int:
        async with client.control(world, "SIGNAL") as control:
            for _ in range(3):
                await checks.until_named(world, host)
            assert len(launched.journal()) == 1
            # Tor takes one in ten seconds, and keeps the next until then.
            await control.command("SIGNAL NEWNYM")
            await control.until("SIGNAL NEWNYM")
            await checks.until_named(world, host)
        return len(launched.journal())

    assert asyncio.run(main()) == 1


def test_the_daemon_waits_for_tor(native: Native) -> None:
    session.clean(native)
    checks.paused_until_bootstrapped(native)


def test_state_is_in_one_folder_and_has_no_names(launched: Native, names: Iterator[str]) -> None:
    before = launched.tree.files()
    host = next(names)
    checks.opens_by_name(launched, host)
    checks.fails(launched, "nothing-visited.bit", BOUND)
    changed = {path for path, seen in launched.tree.files().items() if before.get(path) != seen}
    assert {path for path in changed if not f"{path}/".startswith(f"{DATA}/")} <= {str(Path(DATA).parent)}
    assert launched.tree.data.stat().st_mode & 0o777 == 0o700
    assert checks.words_in(launched.tree.data, ["visited", "another"]) == []
    # It would be found.
    (launched.tree.data / "note").write_text(json.dumps(host))
    assert checks.words_in(launched.tree.data, ["visited"]) == [str(launched.tree.data / "note")]
    (launched.tree.data / "note").unlink()


def test_kills(native: Native, names: Iterator[str]) -> None:
    seed = random.randrange(10**6)
    print(f"\nseed {seed}")
    done = asyncio.run(kills.Killing(native, names, seed).run(kills.rounds(SHARE)))
    print(kills.summary(native.form, done))
