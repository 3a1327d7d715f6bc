"""Kills at random moments while streams are opened: how long streams were held up, and what came after.

A round: streams of all kinds begin, at a random moment one process is killed by SIGKILL, and when all works again, or
all has ended as it should, the streams end. Which moments they are depends on a seed that is printed.
"""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from tests.tor import checks, client, processes
from tests.tor.client import PROBE, Reply, ask
from tests.tor.session import BOUND, Session, Started, clean

ROLES = ("daemon", "supervisor", "watchdog", "tor", "tor for good")
#: Rounds of both forms together; this many unless the environment says otherwise.
VARIABLE, ROUNDS = "TOR_KILL_ROUNDS", 50
#: Seconds of streams before a kill, at most.
_BEFORE = 1.5
#: Seconds that a killed tor is away, at most: less than a launcher waits for one.
_AWAY = 2.0


@dataclass(frozen=True, slots=True)
class Round:
    """What a round showed. ``held``: the longest that a probe waited. ``after``: until all was well, in seconds."""

    role: str
    held: float
    after: float
    probes: int
    slowest: float


def rounds(share: float) -> int:
    """How many rounds a form has to go through, given its share of all."""
    return max(1, round(int(os.environ.get(VARIABLE) or ROUNDS) * share))


class Killing:
    """Rounds with one session; ``launch`` starts a launcher there."""

    def __init__(self, session: Session, names: Iterator[str], seed: int) -> None:
        self._session = session
        self._world = session.world
        self._names = names
        self._random = random.Random(seed)
        self._started: Started | None = None
        self._stop = False

    async def run(self, count: int) -> list[Round]:
        """Go through so many rounds, each role about as often."""
        clean(self._session)
        order = [ROLES[number % len(ROLES)] for number in range(count)]
        self._random.shuffle(order)
        done = []
        for number, role in enumerate(order):
            await self._ensure()
            done.append(await self._round(role))
            print(f"round {number + 1}: {_said(done[-1])}", flush=True)
        return done

    async def _ensure(self) -> None:
        """Have a launcher that works."""
        if self._started is None or self._started.code() is not None:
            await self._none_left()
            self._started = await asyncio.to_thread(self._session.launch)
        await checks.until_named(self._world, "example.bit")
        await self._one_each()

    async def _round(self, role: str) -> Round:
        probes: list[Reply] = []
        others: list[Reply] = []
        self._stop = False
        tasks = [
            asyncio.create_task(self._stream(probes, 0.01, lambda: ask(self._world, PROBE))),
            asyncio.create_task(self._stream(others, 0.05, lambda: ask(self._world, "127.0.0.1", self._world.web))),
            asyncio.create_task(self._stream(others, 0.05, lambda: ask(self._world, self._world.onion))),
        ]
        names = [
            asyncio.create_task(self._stream([], 0.02, lambda: ask(self._world, "example.bit"))),
            asyncio.create_task(self._stream([], 0.10, lambda: ask(self._world, "missing.bit", user="u"))),
        ]
        try:
            await asyncio.sleep(self._random.uniform(0.05, _BEFORE))
            after = await self._kill(role)
        finally:
            self._stop = True
            # Without a launcher tor asks an exit for .bit names, and goes on asking for two minutes.
            for task in names:
                task.cancel()
            # The others end by themselves: a stream that never does is one that stalls.
            async with asyncio.timeout(BOUND):
                await asyncio.gather(*tasks)
        assert any(reply.code == client.FAILURE for reply in probes)
        held = max(reply.seconds for reply in probes)
        assert held <= checks.MOST, f"{role}: a stream was held up for {held:.1f} s"
        return Round(role, held, after, len(probes), max(reply.seconds for reply in others))

    async def _stream(self, found: list[Reply], pause: float, begin: Callable[[], Awaitable[Reply]]) -> None:
        """Open one stream after another, and a few at once."""
        running: set[asyncio.Task[Reply]] = set()

        async def one() -> Reply:
            return await begin()

        try:
            while not self._stop:
                if len(running) < 4:
                    running.add(asyncio.create_task(one()))
                done, running = await asyncio.wait(running, timeout=pause)
                found.extend(task.result() for task in done)
                # An answer at once leaves time for others, too.
                await asyncio.sleep(pause)
            found.extend(await asyncio.gather(*running))
        finally:
            for task in running:
                task.cancel()

    async def _kill(self, role: str) -> float:
        """Kill, and wait for what has to follow; the seconds until then."""
        begun = time.monotonic()
        if role == "daemon":
            await self._killed(role)
            # A name that nobody knows but a daemon that runs.
            await checks.until_named(self._world, next(self._names))
        elif role == "watchdog":
            await self._killed(role)
            await self._until(lambda: self._find(role) is not None)
            await checks.until_named(self._world, "example.bit")
        elif role == "supervisor":
            await self._killed(role)
            await self._ended()
            assert not await self._left_to_us()
        elif role == "tor":
            await asyncio.to_thread(self._world.do, "tor", run=False)
            await asyncio.sleep(self._random.uniform(0, _AWAY))
            begun = time.monotonic()
            await asyncio.to_thread(self._world.do, "tor", run=True)
            await asyncio.to_thread(self._world.do, "bootstrapped")
            await checks.until_named(self._world, next(self._names))
            assert self._started is not None and self._started.code() is None
        else:
            await asyncio.to_thread(self._world.do, "tor", run=False)
            await self._ended()
            assert self._started is not None and self._started.code() == 0
            after = time.monotonic() - begun
            await asyncio.to_thread(self._world.do, "tor", run=True)
            await asyncio.to_thread(self._world.do, "bootstrapped")
            return after
        if role in ("daemon", "watchdog", "tor"):
            await self._one_each()
        return time.monotonic() - begun

    async def _killed(self, role: str) -> None:
        process = self._find(role)
        assert process is not None, f"no {role} to kill"
        process.kill()
        await self._until(lambda: process.pid not in {item.pid for item in processes.below(self._session.root)})

    def _find(self, role: str) -> processes.Process | None:
        found = processes.ours(self._session.root)[role]
        return found[-1] if found else None

    async def _ended(self) -> None:
        """Wait until nothing of the launcher is left, and it is known how it ended."""
        await self._none_left()
        await self._until(lambda: self._started is None or self._started.code() is not None)

    async def _none_left(self) -> None:
        await self._until(lambda: not any(processes.ours(self._session.root).values()))

    async def _one_each(self) -> None:
        """Wait until there is one process of each role, and no more."""
        await self._until(lambda: all(len(found) == 1 for found in processes.ours(self._session.root).values()))

    async def _left_to_us(self) -> bool:
        async with client.control(self._world) as control:
            return await control.option()

    async def _until(self, condition: Callable[[], bool]) -> None:
        try:
            async with asyncio.timeout(BOUND):
                while not condition():
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"what is left: {processes.ours(self._session.root)}") from None


def summary(form: str, done: list[Round]) -> str:
    """Figures by role, in words."""
    lines = [f"{form}: {len(done)} rounds, {sum(item.probes for item in done)} probes; seconds, median and most"]
    for role in ROLES:
        mine = [item for item in done if item.role == role]
        if mine:
            lines.append(
                f"  {role:<12} {len(mine):>3} rounds; held up {_figures([item.held for item in mine])}; until well or"
                f" ended {_figures([item.after for item in mine])}; slowest other stream"
                f" {_figures([item.slowest for item in mine])}"
            )
    return "\n".join(lines)


def _figures(values: list[float]) -> str:
    return f"{statistics.median(values):.3f} {max(values):.3f}"


def _said(item: Round) -> str:
    return f"{item.role}: held up {item.held:.3f} s, {item.after:.2f} s until well or ended, {item.probes} probes"
