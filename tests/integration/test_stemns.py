"""StemNS v0.3, unchanged, with ``namecoin_resolver --prop279`` for its plugin, in a private Tor network."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from packager.errors import SourceError
from packager.progress import Silent
from packager.sources.fetch import fetch
from packager.sources.store import SourceStore
from packager.sources.unpack import unpack
from packager.specs import model
from tests.integration.conftest import ROOT
from tests.namecoin import scenario
from tests.tor import checks, tree
from tests.tor.fixtures import world
from tests.tor.session import Native, Spawned
from tests.tor.world import World

__all__ = ["world"]
URL = "https://github.com/namecoin/StemNS.git"
#: Its tag v0.3.
COMMIT = "8de2aaa0b356f6b5d6226f996211a6fdae781679"
#: Seconds in which StemNS gives a name up: it asks again for a minute.
BOUND = 110.0


@dataclass(slots=True)
class StemNs(Native):
    """StemNS with the resolver on this system, and a double for Electrum-NMC."""

    form: str = "StemNS"

    def launch(self, **env: str) -> Spawned:
        here = Path(tree.__file__).parent
        parts = (self.tree.program / "app", here / "double.py", self.folder / "about.json", self.folder / "stemns")
        return self.spawn([sys.executable, "-B", str(here / "stemns.py"), *map(str, parts)], **env)


@pytest.fixture(scope="session")
def archive(store: Path) -> Path:
    """StemNS's source; skipped where its repository cannot be reached."""
    source = model.Source(origins=(model.GitOrigin(url=URL, commit=COMMIT),), file="stemns-v0.3.tar", commit=COMMIT)
    try:
        return fetch(source, store=SourceStore(store), keyrings=ROOT / "bundle_specs", reporter=Silent()).path
    except SourceError as exc:
        pytest.skip(f"StemNS's repository cannot be reached: {exc.details[-1] if exc.details else exc}")


@pytest.fixture(scope="module")
def stemns(archive: Path, world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StemNs]:
    folder = tmp_path_factory.mktemp("stemns")
    unpack(archive, folder / "stemns")
    made = StemNs(world, tree.native(folder / "Tor Browser"), folder)
    leads = scenario.to_onion(world.onion).decode()
    made.configure(dict.fromkeys(("d/example", "d/another"), leads) | {"d/broken": '{"map":'}, slow=["d/slow"])
    # As its README wants tor to be configured.
    world.do("tor", run=True, arguments=["--__LeaveStreamsUnattached", "1"])
    world.do("bootstrapped")
    started = made.launch()
    try:
        checks.wait_until_ready(made, started)
        yield made
        assert started.code() is None, "StemNS has ended"
    finally:
        print(f"\nStemNS's output: {made.log.read_text() if made.log.exists() else ''}")
        world.do("signal", pid=started.pid, number=signal.SIGKILL)
        world.do("tor", run=True)
        world.do("bootstrapped")


def test_a_name_opens_the_page(stemns: StemNs) -> None:
    checks.opens_by_name(stemns)


def test_names_that_lead_nowhere(stemns: StemNs) -> None:
    for host in ("missing.bit", "broken.bit"):
        checks.fails(stemns, host, BOUND)
    checks.others_work(stemns)


def test_a_slow_name_holds_up_no_other(stemns: StemNs) -> None:
    checks.others_work_while_one_hangs(stemns, "slow.bit")


def test_contexts_have_stream_ids_of_their_own(stemns: StemNs) -> None:
    async def main() -> list[object]:
        stemns.journal()
        for user in ("one", "two", "one", ""):
            await checks.until_named(stemns.world, "another.bit", user=user)
        return [entry["stream_id"] for entry in stemns.journal() if entry["name"] == "d/another"]

    ids = asyncio.run(main())
    assert len(ids) == len(set(ids)) == 3
