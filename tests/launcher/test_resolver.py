"""The resolver: what it keeps and for whom, what it shares, and how its work ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest
from namecoin_resolver.outcome import Kind, NameLookupError, Outcome
from namecoin_resolver.resolver import Lifetimes, Resolver
from namecoin_resolver.rpc import Registered

from tests.launcher.doubles import onion

A, B = onion(1), onion(2)
GOOD = {"map": {"_tor": {"txt": A}}}
FOUND = Outcome(Kind.FOUND, A)


@dataclass
class Source:
    """Names that can be changed while a test runs; ``gate`` holds answers back, ``now`` is the clock."""

    names: dict[str, object] = field(default_factory=lambda: {"d/example": GOOD})
    blocks: int | None = 30000
    asked: list[tuple[str, str]] = field(default_factory=list)
    cancelled: int = 0
    gate: asyncio.Event | None = None
    now: float = 1000.0

    async def name_show(self, identifier: str, stream_id: str) -> Registered:
        self.asked.append((identifier, stream_id))
        if self.gate is not None:
            try:
                await self.gate.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        entry = self.names.get(identifier, Kind.NOT_REGISTERED)
        if isinstance(entry, Exception):
            raise entry
        if isinstance(entry, Kind):
            raise NameLookupError(entry, "why")
        return Registered(entry.encode() if isinstance(entry, str) else json.dumps(entry).encode(), self.blocks)

    def clock(self) -> float:
        return self.now


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a test's coroutine; one that hangs fails."""

    async def checked() -> None:
        await asyncio.wait_for(main, 30)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, f"left behind: {left}"

    asyncio.run(checked())


async def turns(count: int = 10) -> None:
    """Let what can run, run."""
    for _ in range(count):
        await asyncio.sleep(0)


def test_a_second_look_up_comes_from_the_cache_of_its_stream_id() -> None:
    async def main() -> None:
        source = Source()
        resolver = Resolver(source, clock=source.clock)
        assert await resolver.resolve("example.bit", "1") == FOUND
        assert await resolver.resolve("example.bit", "1") == FOUND
        assert await resolver.resolve("www.example.bit", "1") == Outcome(Kind.NO_ADDRESS, detail="no such subdomain")
        assert source.asked == [("d/example", "1")]
        assert await resolver.resolve("example.bit", "2") == FOUND
        assert source.asked == [("d/example", "1"), ("d/example", "2")]

    run(main())


def test_names_that_lead_on_are_asked_for_with_the_same_stream_id() -> None:
    async def main() -> None:
        source = Source({"d/example": {"import": "dd/x"}, "dd/x": {"alias": "other.bit."}, "d/other": GOOD})
        assert await Resolver(source).resolve("example.bit", "s7") == FOUND
        assert source.asked == [("d/example", "s7"), ("dd/x", "s7"), ("d/other", "s7")]

    run(main())


@pytest.mark.parametrize(
    ("entry", "blocks", "kind", "lifetime"),
    [
        (GOOD, 30000, Kind.FOUND, 600),
        (GOOD, None, Kind.FOUND, 600),
        (GOOD, 3, Kind.FOUND, 180),
        (GOOD, 1, Kind.FOUND, 60),
        ("reserved", 30000, Kind.MALFORMED, 300),
        ("reserved", 1, Kind.MALFORMED, 60),
        (Kind.NOT_REGISTERED, None, Kind.NOT_REGISTERED, 60),
        (Kind.EXPIRED, None, Kind.EXPIRED, 60),
        (Kind.NOT_SYNCHRONISED, None, Kind.NOT_SYNCHRONISED, 0),
        (Kind.TIMEOUT, None, Kind.TIMEOUT, 0),
        (Kind.UNAVAILABLE, None, Kind.UNAVAILABLE, 0),
    ],
)
def test_how_long_answers_are_kept(entry: object, blocks: int | None, kind: Kind, lifetime: float) -> None:
    async def main() -> None:
        source = Source({"d/example": entry}, blocks)
        resolver = Resolver(source, clock=source.clock)
        first = await resolver.resolve("example.bit", "1")
        assert first.kind is kind
        if lifetime:
            source.now += lifetime - 0.1
            assert await resolver.resolve("example.bit", "1") == first
            assert len(source.asked) == 1
            source.now += 0.1
        await resolver.resolve("example.bit", "1")
        assert len(source.asked) == 2

    run(main())


def test_lifetimes_can_be_chosen() -> None:
    async def main() -> None:
        source = Source()
        resolver = Resolver(source, clock=source.clock, lifetimes=Lifetimes(value=0))
        await resolver.resolve("example.bit", "1")
        await resolver.resolve("example.bit", "1")
        assert len(source.asked) == 2

    run(main())


def test_the_cache_is_bounded_over_all_stream_ids() -> None:
    async def main() -> None:
        source = Source()
        resolver = Resolver(source, clock=source.clock, size=2)
        for stream_id in ("1", "2", "1", "3", "1", "2"):
            await resolver.resolve("example.bit", stream_id)
        assert [stream_id for _, stream_id in source.asked] == ["1", "2", "3", "2"]

    run(main())


def test_equal_look_ups_share_a_request_and_stream_ids_do_not() -> None:
    async def main() -> None:
        source = Source(gate=asyncio.Event())
        resolver = Resolver(source)
        hosts = ["example.bit", "www.example.bit", "example.bit.onion"]
        tasks = [asyncio.create_task(resolver.resolve(host, stream)) for host in hosts for stream in ("1", "2")]
        await turns()
        assert sorted(source.asked) == [("d/example", "1"), ("d/example", "2")]
        assert source.gate is not None
        source.gate.set()
        assert [outcome.kind for outcome in await asyncio.gather(*tasks)].count(Kind.FOUND) == 4
        assert len(source.asked) == 2

    run(main())


def test_one_who_leaves_does_not_take_the_request_along() -> None:
    async def main() -> None:
        source = Source(gate=asyncio.Event())
        resolver = Resolver(source)
        first, second = (asyncio.create_task(resolver.resolve("example.bit", "1")) for _ in range(2))
        await turns()
        first.cancel()
        await turns()
        assert source.gate is not None
        source.gate.set()
        assert await second == FOUND
        assert (len(source.asked), source.cancelled) == (1, 0)
        with pytest.raises(asyncio.CancelledError):
            await first

    run(main())


def test_the_last_who_leaves_ends_the_request_and_the_next_starts_anew() -> None:
    async def main() -> None:
        source = Source(gate=asyncio.Event())
        resolver = Resolver(source)
        tasks = [asyncio.create_task(resolver.resolve("example.bit", "1")) for _ in range(2)]
        await turns()
        for task in tasks:
            task.cancel()
        # At once, before the cancelled request has ended.
        later = asyncio.create_task(resolver.resolve("example.bit", "1"))
        await turns()
        assert (len(source.asked), source.cancelled) == (2, 1)
        assert source.gate is not None
        source.gate.set()
        assert await later == FOUND
        assert await resolver.resolve("example.bit", "1") == FOUND
        assert len(source.asked) == 2
        await asyncio.gather(*tasks, return_exceptions=True)

    run(main())


def test_a_look_up_ends_at_its_limit() -> None:
    async def main() -> None:
        source = Source(gate=asyncio.Event())
        resolver = Resolver(source, limit=0.05)
        assert await resolver.resolve("example.bit", "1") == Outcome(Kind.TIMEOUT, detail="no answer in 0.05 s")
        await turns()
        assert source.cancelled == 1
        assert source.gate is not None
        source.gate.set()
        assert await resolver.resolve("example.bit", "1") == FOUND

    run(main())


def test_what_is_forgotten_is_asked_for_again() -> None:
    async def main() -> None:
        source = Source()
        resolver = Resolver(source)
        await resolver.resolve("example.bit", "1")
        resolver.forget()
        await resolver.resolve("example.bit", "1")
        assert len(source.asked) == 2
        source.gate = asyncio.Event()
        early = asyncio.create_task(resolver.resolve("other.bit", "1"))
        await turns()
        resolver.forget()
        late = asyncio.create_task(resolver.resolve("other.bit", "1"))
        await turns()
        source.gate.set()
        assert (await early).kind is (await late).kind is Kind.NOT_REGISTERED
        assert source.asked[2:] == [("d/other", "1")] * 2

    run(main())


def test_a_request_from_before_forgetting_leaves_nothing_behind() -> None:
    async def main() -> None:
        source = Source(gate=asyncio.Event())
        resolver = Resolver(source)
        early = asyncio.create_task(resolver.resolve("example.bit", "1"))
        await turns()
        resolver.forget()
        assert source.gate is not None
        source.gate.set()
        assert await early == FOUND
        await resolver.resolve("example.bit", "1")
        assert len(source.asked) == 2

    run(main())


def test_a_mistake_in_the_source_reaches_all_who_wait_and_is_not_kept() -> None:
    async def main() -> None:
        source = Source({"d/example": RuntimeError("bug")})
        resolver = Resolver(source)
        tasks = [asyncio.create_task(resolver.resolve("example.bit", "1")) for _ in range(2)]
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(outcome, RuntimeError)
        source.names["d/example"] = GOOD
        assert await resolver.resolve("example.bit", "1") == FOUND

    run(main())


def test_addresses_where_they_are_allowed() -> None:
    async def main() -> None:
        source = Source({"d/example": {"ip": "192.0.2.1"}})
        assert (await Resolver(source).resolve("example.bit", "")).kind is Kind.NO_ADDRESS
        assert (await Resolver(source, onion_only=False).resolve("example.bit", "")).target == "192.0.2.1"

    run(main())


def test_hosts_that_are_no_names_cost_nothing() -> None:
    async def main() -> None:
        source = Source()
        resolver = Resolver(source)
        assert (await resolver.resolve("example.com", "")).kind is Kind.NOT_NAMECOIN
        assert (await resolver.resolve("-.bit", "")).kind is Kind.NOT_REGISTERED
        assert source.asked == []

    run(main())
