"""Look-ups for Tor: hosts to outcomes, with a cache per stream id.

What is kept is a name's value, per stream id: two contexts that Tor isolates cannot tell from an answer's speed what
the other one has looked up. Nothing is written to disk.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from namecoin_resolver import names, values
from namecoin_resolver.cache import Cache
from namecoin_resolver.outcome import Kind, NameLookupError, Outcome
from namecoin_resolver.rpc import Registered


class NameSource(Protocol):
    """What gives the value of a name for a stream id, or raises ``NameLookupError``: ``rpc.Rpc``."""

    async def name_show(self, identifier: str, stream_id: str) -> Registered: ...


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """Seconds for which answers of each kind are kept."""

    #: What DNS servers for .bit have given out as time to live.
    value: float = 600.0
    #: Of a name that expires soon, each block left counts this much: blocks come every ten minutes, but not evenly.
    block: float = 60.0
    malformed: float = 300.0
    #: Not registered, expired: short, as an owner may be waiting for just that.
    nothing: float = 60.0


Key: TypeAlias = tuple[str, str]
#: A name's value, or why there is none.
_Known: TypeAlias = values.DomainObject | Outcome


@dataclass(slots=True)
class _Flight:
    """A request under way, and how many wait for it."""

    task: asyncio.Task[_Known]
    waiters: int = 0


class Resolver:
    """Resolves hosts for stream ids; one per event loop.

    ``limit`` is the time for one look-up in seconds, all names it needs included; ``size`` bounds the names kept, over
    all stream ids; ``clock`` gives seconds.
    """

    def __init__(
        self,
        source: NameSource,
        *,
        onion_only: bool = True,
        limit: float = 60.0,
        size: int = 1024,
        lifetimes: Lifetimes | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._onion_only = onion_only
        self._limit = limit
        self._lifetimes = lifetimes or Lifetimes()
        self._clock = clock
        self._cache: Cache[Key, _Known] = Cache(size)
        self._flights: dict[Key, _Flight] = {}
        self._generation = 0

    async def resolve(self, host: str, stream_id: str) -> Outcome:
        """How the look-up of ``host`` ends; all names it leads to are asked for with the same stream id.

        Raises nothing but ``CancelledError``; a request that nobody else waits for is then cancelled, too.
        """
        lookup = functools.partial(self._value, stream_id)
        try:
            async with asyncio.timeout(self._limit):
                return await names.resolve(host, lookup, onion_only=self._onion_only)
        except TimeoutError:
            return Outcome(Kind.TIMEOUT, detail=f"no answer in {self._limit:g} s")

    def forget(self) -> None:
        """Drop all that is known, as for a new identity; requests under way leave nothing behind."""
        self._cache.clear()
        self._flights.clear()
        self._generation += 1

    async def _value(self, stream_id: str, identifier: str) -> values.DomainObject:
        """A name's value: kept, or waited for together with all who want it now."""
        key = (stream_id, identifier)
        known = self._cache.get(key, self._clock())
        if known is None:
            known = await self._join(key)
        if isinstance(known, Outcome):
            raise NameLookupError(known.kind, known.detail)
        return known

    async def _join(self, key: Key) -> _Known:
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = _Flight(asyncio.create_task(self._fetch(key)))
        flight.waiters += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiters -= 1
            if flight.waiters == 0:
                flight.task.cancel()
            if flight.waiters == 0 and self._flights.get(key) is flight:
                del self._flights[key]

    async def _fetch(self, key: Key) -> _Known:
        generation = self._generation
        stream_id, identifier = key
        known: _Known
        blocks = None
        try:
            shown = await self._source.name_show(identifier, stream_id)
            blocks = shown.blocks_left
            known = values.parse(shown.value)
        except NameLookupError as exc:
            known = exc.outcome
        lifetime = self._lifetime(known, blocks)
        if lifetime > 0 and generation == self._generation:
            self._cache.put(key, known, self._clock() + lifetime)
        return known

    def _lifetime(self, known: _Known, blocks: int | None) -> float:
        """How long an answer is kept; 0 for one that may be another the next moment."""
        times = self._lifetimes
        if not isinstance(known, Outcome):
            lifetime = times.value
        elif known.kind is Kind.MALFORMED:
            lifetime = times.malformed
        else:
            return 0 if known.kind.transient else times.nothing
        return lifetime if blocks is None else min(lifetime, blocks * times.block)
