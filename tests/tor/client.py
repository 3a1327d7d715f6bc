"""Streams through the network's tor: SOCKS requests, timed, as many at once as wanted."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from tests.tor.world import World

#: SOCKS replies as tor gives them.
SUCCEEDED, FAILURE, UNREACHABLE, EXPIRED = 0, 1, 4, 6
#: Tor refuses this as soon as somebody has it attached, and not before: it tells how long streams are held up, whatever
#: the network does. ``.exit`` is switched off in every tor.
PROBE = "nowhere.exit"
#: Stands for an answer that does not come.
CLOSED = "551 tor has closed the connection"


@dataclass(frozen=True, slots=True)
class Reply:
    """How a request ended: SOCKS' reply code, or None where the connection ended without one; times are monotonic."""

    host: str
    code: int | None
    begun: float
    ended: float

    @property
    def seconds(self) -> float:
        return self.ended - self.begun


@contextlib.asynccontextmanager
async def dialled(world: World, port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to a port in the network."""
    reader, writer = await asyncio.open_unix_connection(str(world.folder / "world"))
    try:
        writer.write(json.dumps({"do": "dial", "port": port}).encode() + b"\n")
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def ask(world: World, host: str, port: int = 80, user: str = "", limit: float = 200) -> Reply:
    """Open a stream to a host by name, and close it when there is an answer. Raises TimeoutError after ``limit`` s."""
    begun = time.monotonic()
    code = None
    async with asyncio.timeout(limit):
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            async with dialled(world, world.socks) as (reader, writer):
                await request(reader, writer, host, port, user)
                code = (await reader.readexactly(2))[1]
    return Reply(host, code, begun, time.monotonic())


async def request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int, user: str) -> None:
    """Ask a SOCKS 5 server for a host by name, as ``user`` if there is one (tor isolates streams by it)."""
    writer.write(b"\5\1\2" if user else b"\5\1\0")
    await reader.readexactly(2)
    if user:
        writer.write(b"\1" + bytes([len(user)]) + user.encode() + b"\1p")
        await reader.readexactly(2)
    writer.write(b"\5\1\0\3" + bytes([len(host)]) + host.encode() + port.to_bytes(2, "big"))


class Control:
    """The test's own eyes on tor's control port: options, and events as they come, with their times."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._answers: asyncio.Queue[list[str]] = asyncio.Queue()
        self.events: list[tuple[float, str]] = []
        self.changed = asyncio.Event()
        self._task = asyncio.create_task(self._read())

    async def command(self, text: str) -> list[str]:
        """Send a command; the reply's lines."""
        self._writer.write(f"{text}\r\n".encode())
        answer = [CLOSED] if self._task.done() and self._answers.empty() else await self._answers.get()
        assert answer[-1].startswith("250"), (text, answer)
        return answer

    async def option(self) -> bool:
        """Whether streams are left to a controller."""
        return (await self.command("GETCONF __LeaveStreamsUnattached"))[-1].endswith("=1")

    async def until(self, *words: str, since: int = 0) -> tuple[float, str]:
        """Wait for an event that has all words, among those from number ``since`` on."""
        while True:
            for event in self.events[since:]:
                if all(word in event[1] for word in words):
                    return event
            self.changed.clear()
            await self.changed.wait()

    async def _read(self) -> None:
        lines: list[str] = []
        data = False
        while raw := await self._reader.readline():
            line = raw.decode("latin-1").rstrip("\r\n")
            lines.append(line)
            if data:
                data = line != "."
            elif line[3:4] == "+":
                data = True
            elif line[3:4] == " ":
                if line.startswith("650"):
                    self.events.append((time.monotonic(), "\n".join(lines)))
                    self.changed.set()
                else:
                    self._answers.put_nowait(lines)
                lines = []
        self._answers.put_nowait([CLOSED])

    def stop(self) -> None:
        self._task.cancel()


@contextlib.asynccontextmanager
async def control(world: World, events: str = "") -> AsyncIterator[Control]:
    """A connection to tor's control port, for ``events``."""
    async with dialled(world, world.control) as (reader, writer):
        eyes = Control(reader, writer)
        try:
            await eyes.command(f"AUTHENTICATE {world.cookie.read_bytes().hex()}")
            if events:
                await eyes.command(f"SETEVENTS {events}")
            yield eyes
        finally:
            eyes.stop()


async def until_left_to_us(world: World) -> None:
    """Wait until tor leaves streams to a controller; tor may come meanwhile."""
    while True:
        with contextlib.suppress(AssertionError, OSError):
            async with control(world) as eyes:
                while not await eyes.option():
                    await asyncio.sleep(0.01)
                return
        await asyncio.sleep(0.05)
