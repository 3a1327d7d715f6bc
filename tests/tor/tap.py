"""A forwarder in front of tor's SOCKS port that notes who connects, as whom and where to: what a daemon does is seen."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from tests.tor.network import HOST

_LOGIN = 2


@dataclass(slots=True)
class Connection:
    """One connection: ``port`` is the client's own, ``begun`` by the monotonic clock; ``first`` what it said first."""

    port: int
    begun: float
    first: bytes = field(default=b"", repr=False)

    @property
    def user(self) -> str:
        """The SOCKS user name; empty if there is none (yet)."""
        rest = self.first
        if len(rest) < 2 or _LOGIN not in rest[2 : 2 + rest[1]]:
            return ""
        rest = rest[2 + rest[1] :]
        return rest[2 : 2 + rest[1]].decode("ascii", "replace") if len(rest) > 1 else ""


@dataclass(slots=True)
class Tap:
    """A forwarder that runs."""

    port: int = 0
    connections: list[Connection] = field(default_factory=list)


@contextlib.asynccontextmanager
async def serve(target: int) -> AsyncIterator[Tap]:
    """Forward connections on a free port to ``target`` while the block runs."""
    tap, tasks = Tap(), set[asyncio.Task[None]]()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        seen = Connection(writer.get_extra_info("peername")[1], time.monotonic())
        tap.connections.append(seen)
        try:
            with contextlib.suppress(OSError):
                to_reader, to_writer = await asyncio.open_connection(HOST, target)
                await both_ways((reader, writer), (to_reader, to_writer), seen)
        finally:
            tasks.discard(task)
            writer.close()

    listening = await asyncio.start_server(accept, HOST)
    tap.port = listening.sockets[0].getsockname()[1]
    try:
        yield tap
    finally:
        listening.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def both_ways(
    one: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    other: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    seen: Connection | None = None,
) -> None:
    """Copy until both sides have ended; ``seen`` gets the first bytes of ``one``. Closes ``other``."""
    try:
        await asyncio.gather(_copy(one[0], other[1], seen), _copy(other[0], one[1], None))
    finally:
        other[1].close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Connection | None) -> None:
    with contextlib.suppress(OSError):
        while part := await reader.read(65536):
            if seen is not None and len(seen.first) < 600:
                seen.first += part
            writer.write(part)
            await writer.drain()
    with contextlib.suppress(OSError):
        if writer.can_write_eof():
            writer.write_eof()
