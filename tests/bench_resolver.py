"""``python -m tests.bench_resolver [BUNDLE]``: what the bundle's launcher takes, under Wine, in a private Tor network.

Prints when it is ready, what our own parts add to a look-up, how many look-ups from cache there are in a second, and
the memory of all processes, each beside its goal. BUNDLE is a bundle's folder; without it, ``electrum-nmc`` is built.
Exit code 1 if a goal is missed.
"""

from __future__ import annotations

import asyncio
import datetime
import itertools
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.tor import checks, client, processes, session, tree
from tests.tor.session import Wine
from tests.tor.world import World, world

#: Seconds, milliseconds, look-ups a second, MiB.
READY, OVERHEAD, RATE, MEMORY = 5.0, 50.0, 100.0, 120.0
RUNS = 5
_UNCACHED = 20
_CACHED, _AT_ONCE = 2000, 8
_HERE = Path(__file__).parent / "tor"


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="bench-") as name, world() as net:
        folder = Path(name)
        store = Path(os.environ.get("PACKAGER_STORE") or Path.home() / ".cache/electrum-packager")
        bundle = Path(sys.argv[1]) if len(sys.argv) > 1 else _built(folder / "dist")
        made = tree.windows(folder / "Tor Browser", bundle, store, folder / "work")
        made.configure(chain="regtest", server=f"{net.servers[0]}:s")
        with session.wine(net, made, folder / "wine") as wine:
            good = [_ready(wine), _rate(wine), _memory(wine), _overhead(wine, folder / "asked")]
    return 0 if all(good) else 1


def _built(out: Path) -> Path:
    """The bundle, as the integration tests build it."""
    from tests.integration import conftest

    built = conftest._built("electrum-nmc", out)
    if isinstance(built, str):
        raise SystemExit(built)
    return built.folder


def _say(what: str, figure: float, unit: str, goal: float, good: bool, more: str) -> bool:
    print(f"{what}: {figure:.1f} {unit}, goal {goal:g}{'' if good else ' MISSED'} ({more})", flush=True)
    return good


def _ready(wine: Wine) -> bool:
    """From the launcher's start to a name's address, on a tor that is up; the first of all begins with no headers."""
    first, *others = (_once(wine) for _ in range(RUNS + 1))
    median = statistics.median(taken[-1] for taken in others)
    steps = (
        "streams are left to us",
        "Electrum-NMC answers",
        "processor time of the supervisor",
        "of the daemon",
        "a name's address",
    )
    parts = ", ".join(
        f"{step} {statistics.median(taken[number] for taken in others):.1f} s" for number, step in enumerate(steps)
    )
    more = f"medians of {RUNS}: {parts}; with an empty folder for state {first[-1]:.1f} s; {_load()}"
    return _say("ready", median, "s", READY, median <= READY, more)


def _once(wine: Wine) -> tuple[float, float, float, float, float]:
    """Seconds until tor leaves streams to us, until the daemon answers, and until a name leads somewhere.

    Before the last, processor time of the supervisor and the daemon until then: what a busy machine does not change.
    """
    session.clean(wine)
    begun, clock = time.monotonic(), time.time()
    wine.launch(TOR_VERBOSE_NAMECOIN="1")

    async def run() -> tuple[float, float]:
        await client.until_left_to_us(wine.world)
        left = time.monotonic()
        return left, (await checks.until_named(wine.world, "example.bit")).ended

    left, named = asyncio.run(run())
    log = (wine.tree.data / "namecoin.log").read_text("utf-8")
    answers = next(line for line in log.splitlines() if line.endswith("Electrum-NMC answers"))
    # The prefix has UTC.
    stamp = datetime.datetime.strptime(f"{answers[:23]}000+0000", "%Y-%m-%d %H:%M:%S,%f%z").timestamp()
    cpu = {process.role: process.cpu for process in session.ours(wine)}
    return left - begun, stamp - clock, cpu["supervisor"], cpu["daemon"], named - begun


def _rate(wine: Wine) -> bool:
    """Streams a second by a name that is known, through tor to the service."""
    line = [sys.executable, _HERE / "load.py", wine.world.socks, _CACHED, _AT_ONCE]
    said = {host: _loaded(wine.world, [*line, host]) for host in ("example.bit", wine.world.onion)}
    rate = float(said["example.bit"]["per_second"])
    more = f"{_CACHED} streams, {_AT_ONCE} at once; by the .onion address {said[wine.world.onion]['per_second']:.0f}"
    return _say("look-ups from cache", rate, "a second", RATE, rate >= RATE, f"{more}; {_load()}")


def _loaded(net: World, line: list[object]) -> dict[str, float]:
    answer = net.call([str(word) for word in line], timeout=600)
    assert answer.code == 0, answer
    said = json.loads(answer.stdout)
    assert said["codes"] == {"0": _CACHED}, said
    return dict(said)


def _memory(wine: Wine) -> bool:
    """What all of ours take after that; wineserver, which Windows has not, apart."""
    each = {role: found[0].memory for role, found in processes.ours(wine.root).items()}
    rss, pss = (sum(item[kind] for item in each.values()) for kind in (0, 1))
    parts = ", ".join(f"{role} {item[0]:.0f}/{item[1]:.0f}" for role, item in each.items())
    server = next(process.memory for process in processes.below(wine.root) if process.role == "wineserver")
    more = f"RSS/PSS: {parts}; RSS in all {rss:.0f}; apart from those wineserver {server[0]:.0f}"
    return _say("memory, PSS", pss, "MiB", MEMORY, pss <= MEMORY, more)


def _overhead(wine: Wine, file: Path) -> bool:
    """From tor's word of a stream to its being attached to the service's circuit, less what the daemon took."""
    session.clean(wine)
    python = str(wine.tree.program / "python/python.exe")
    line = [python, session.windows_path(_HERE / "timed.py"), session.windows_path(file)]
    checks.wait_until_ready(wine, wine.spawn(line, **session.environment(wine.world)))

    async def held() -> list[float]:
        found = []
        async with client.control(wine.world, "STREAM") as control:
            for host in itertools.islice(checks.fresh_names(), _UNCACHED):
                since = len(control.events)
                assert (await client.ask(wine.world, host)).code == client.SUCCEEDED
                new = await control.until(" NEW ", f" {host}:80", since=since)
                number = new[1].split()[2]
                given = await control.until(f"STREAM {number} SENTCONNECT", since=since)
                found.append((given[0] - new[0]) * 1000)
        return found

    times = asyncio.run(held())
    asked = [json.loads(text)["ms"] for text in file.read_text().splitlines()][-_UNCACHED:]
    own = [time - rpc for time, rpc in zip(times, asked, strict=True)]
    median = statistics.median(own)
    more = (
        f"median of {_UNCACHED}, most {max(own):.1f}; Electrum-NMC itself {statistics.median(asked):.0f} ms; {_load()}"
    )
    return _say("overhead of a look-up", median, "ms", OVERHEAD, median <= OVERHEAD, more)


def _load() -> str:
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"


if __name__ == "__main__":
    raise SystemExit(main())
