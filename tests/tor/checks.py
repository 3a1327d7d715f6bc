"""What a launcher has to do, whatever its form: each check is given a session in which it has been started and is ready."""

from __future__ import annotations

import asyncio
import itertools
import re
import statistics
from collections.abc import Iterator
from pathlib import Path

from tests.tor import client, processes
from tests.tor.client import PROBE, SUCCEEDED, Reply, ask
from tests.tor.session import BOUND, Session, Started, until
from tests.tor.world import World

PAGE = "The onion service's page"
#: No stream may be held up for longer, in seconds, whatever is killed.
MOST = 5.0


def fresh_names() -> Iterator[str]:
    """Hosts that lead to the service and have not been asked for yet; when they are used up, those of long ago."""
    return itertools.cycle([f"visited-{number}.bit" for number in range(60)])


async def until_named(world: World, host: str, user: str = "", bound: float = BOUND) -> Reply:
    """Ask for a name until it leads somewhere; the answer that does.

    Not before a launcher looks after streams: tor would ask an exit, and wait for that.
    """
    async with asyncio.timeout(bound):
        while True:
            await client.until_left_to_us(world)
            reply = await ask(world, host, user=user)
            if reply.code == SUCCEEDED:
                return reply
            await asyncio.sleep(0.05)


def wait_until_ready(session: Session, started: Started | None = None, host: str = "example.bit") -> Reply:
    """Wait until the launcher that was just started gives a name its address; fails if it ends instead."""

    async def ended() -> None:
        while started is None or started.code() is None:
            await asyncio.sleep(0.1)

    async def main() -> Reply:
        named = asyncio.create_task(until_named(session.world, host))
        watch = asyncio.create_task(ended())
        await asyncio.wait((named, watch), return_when=asyncio.FIRST_COMPLETED)
        assert named.done(), f"the launcher has ended with {started and started.code()}: {session.log}"
        watch.cancel()
        return named.result()

    return asyncio.run(main())


def opens_by_name(session: Session, host: str = "example.bit") -> None:
    """The service's page comes by its name, by its address, and another page from elsewhere."""
    world = session.world
    # A daemon that has just been started may have no connection yet.
    asyncio.run(until_named(world, host))
    world.do("requests")
    for url, seen in (
        (f"http://{host}/", host),
        (f"http://{world.onion}/", world.onion),
        (f"http://127.0.0.1:{world.web}/", f"127.0.0.1:{world.web}"),
    ):
        answer = world.curl(url)
        assert answer.code == 0, answer
        assert PAGE in answer.stdout
        assert f"<p id=host>{seen}</p>" in answer.stdout
        assert world.do("requests") == [seen]


def others_work(session: Session) -> float:
    """Streams that are not for .bit get through; the longest time that one was held up, in seconds."""
    world = session.world

    async def main() -> float:
        onion, exit_ = await asyncio.gather(ask(world, world.onion), ask(world, "127.0.0.1", world.web))
        assert (onion.code, exit_.code) == (SUCCEEDED, SUCCEEDED)
        probes = [await ask(world, PROBE) for _ in range(5)]
        assert {probe.code for probe in probes} == {client.FAILURE}
        return max(probe.seconds for probe in probes)

    held = asyncio.run(main())
    assert held <= MOST, f"a stream was held up for {held:.1f} s"
    return held


def fails(session: Session, host: str, bound: float) -> float:
    """A name that leads nowhere is refused as that, in ``bound`` seconds at most; the seconds that took.

    A server that is lost meanwhile makes another refusal, and is no answer yet.
    """

    async def main() -> float:
        async with asyncio.timeout(BOUND):
            while True:
                reply = await ask(session.world, host)
                assert reply.seconds < bound, reply
                if reply.code == client.UNREACHABLE:
                    return reply.seconds
                assert reply.code in (client.FAILURE, client.EXPIRED), reply

    return asyncio.run(main())


def others_work_while_one_hangs(session: Session, host: str) -> float:
    """A look-up that gets no answer holds up no other stream."""
    world = session.world

    async def main() -> float:
        async with client.control(world, "STREAM") as control:
            hanging = asyncio.create_task(ask(world, host))
            await control.until("CONTROLLER_WAIT", f" {host}:80")
            held = await asyncio.to_thread(others_work, session)
            assert not hanging.done(), hanging
            hanging.cancel()
            return held

    return asyncio.run(main())


def latency(session: Session, names: Iterator[str], count: int = 5) -> str:
    """Print how long requests take that need a look-up and those that need none, from request to reply; in words."""
    world = session.world

    async def main() -> tuple[list[float], list[float], list[float]]:
        uncached: list[float] = []
        cached: list[float] = []
        plain: list[float] = []
        for host in (next(names) for _ in range(count)):
            for found in (uncached, cached):
                found.append((await until_named(world, host)).seconds)
            plain.append((await ask(world, world.onion)).seconds)
        return uncached, cached, plain

    words = (
        f"{what} {statistics.median(found) * 1000:.0f} ms (most {max(found) * 1000:.0f})"
        for what, found in zip(("uncached", "cached", "the .onion itself"), asyncio.run(main()), strict=True)
    )
    return f"{session.form}: a stream to the service, medians of {count}: {', '.join(words)}"


def paused_until_bootstrapped(session: Session) -> None:
    """The daemon connects to nobody before tor can build circuits. Starts tor anew, and a launcher, that runs then."""
    world = session.world
    log = session.tree.data / "namecoin.log"
    log.unlink(missing_ok=True)
    # Its ports are open, and it gets nowhere.
    world.do("tor", run=True, arguments=["ReachableAddresses", "reject *:*"])
    world.do("tapped")
    started = session.launch(TOR_VERBOSE_NAMECOIN="1")
    until(lambda: log.exists() and "answers" in log.read_text(), "the daemon answers")

    async def main() -> None:
        await client.until_left_to_us(world)
        assert (await ask(world, "example.bit")).code == client.FAILURE
        assert await asyncio.to_thread(world.do, "tapped") == []
        async with client.control(world) as control:
            assert "PROGRESS=100" not in (await control.command("GETINFO status/bootstrap-phase"))[0]
            # A network that comes back makes it try at once what it has given up for a while.
            await control.command("SETCONF DisableNetwork=1 ReachableAddresses")
            await control.command("SETCONF DisableNetwork=0")
        await until_named(world, "example.bit")
        assert await asyncio.to_thread(world.do, "tapped") != []
        assert started.code() is None

    try:
        asyncio.run(main())
    except BaseException:
        world.do("tor", run=True)
        raise


def words_in(folder: Path, words: list[str]) -> list[str]:
    """Files below a folder that have one of the words in their content or their name, in UTF-8 or UTF-16."""
    forms = [form for word in words for form in (word.encode(), word.encode("utf-16-le"), word.encode().hex().encode())]
    pattern = re.compile(b"|".join(re.escape(form) for form in forms), re.IGNORECASE)
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and pattern.search(path.read_bytes()):
            found.append(str(path))
        if pattern.search(path.name.encode()):
            found.append(str(path))
    return found


def gone(session: Session) -> float:
    """Wait until nothing of the launcher runs any more; the seconds that took."""
    return until(lambda: not _ours(session), "nothing of the launcher runs")


def _ours(session: Session) -> list[processes.Process]:
    return [process for found in processes.ours(session.root).values() for process in found]
