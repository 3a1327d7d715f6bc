"""Tor's naming protocol (proposal 279) on stdin and stdout.

Line by line: ``RESOLVE <id> <name> [<stream id>]`` is answered ``RESOLVED <id> <status> <result>`` when it is known,
in any order; ``CANCEL <id>`` is answered ``CANCELED <id>``, and no ``RESOLVED`` follows it. Everything else is
ignored. The third word of RESOLVE is StemNS's addition; without it, look-ups share one context.

StemNS asks again for status 1 and 4, and its reader sleeps a second each time. So these two stand only for what can
change by itself; a name that cannot be resolved as it stands in the chain has status 3, whatever is wrong with it.

Threads read and write, the event loop never blocks: on Windows it cannot wait for pipes that somebody else made, and
a manager that does not read its answers must not keep its own CANCEL from being read.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import queue
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from namecoin_resolver.outcome import Kind, Outcome

READY = b"INIT 1 0\n"
VERSION = "1"
#: Longer lines are skipped; the longest that means anything has a name of 253 characters and a stream id.
MAX_LINE = 4096
#: Look-ups under way at once; further ones are refused.
MAX_PENDING = 4096
_ID = re.compile(r"-?[0-9]{1,19}")
_CHUNK = 65536
#: Seconds that look-ups have left when the input ends, so that a script can pipe its questions in, and then the
#: seconds until the last answers must have been read.
_GRACE = 1.0
_FLUSH = 1.0

STATUS = {
    Kind.FOUND: 0,
    Kind.UNAVAILABLE: 1,
    Kind.NOT_SYNCHRONISED: 1,
    Kind.NOT_NAMECOIN: 2,
    Kind.NOT_REGISTERED: 3,
    Kind.EXPIRED: 3,
    Kind.NO_ADDRESS: 3,
    Kind.MALFORMED: 3,
    Kind.TIMEOUT: 4,
}


class Resolves(Protocol):
    """What answers: ``resolver.Resolver``."""

    async def resolve(self, host: str, stream_id: str) -> Outcome: ...


def refusal(reason: str) -> bytes:
    """The first line of a plugin that cannot start."""
    return f"INIT {VERSION} 1 {quoted(reason)}\n".encode("ascii")


def quoted(text: str) -> str:
    """``text`` as a quoted string on one line: printable ASCII, quotes and backslashes escaped."""
    plain = "".join(char if " " <= char <= "~" else "?" for char in text)
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'


def resolved(query: str, name: str, outcome: Outcome) -> bytes:
    """The line that answers a query."""
    result = outcome.target if outcome.kind is Kind.FOUND else quoted(f"{name[:253]}: {outcome}")
    return f"RESOLVED {query} {STATUS[outcome.kind]} {result}\n".encode("ascii")


@dataclass(slots=True)
class LineSplitter:
    """Cuts a stream of bytes into lines without their ends; skips those of more than ``MAX_LINE`` bytes."""

    _rest: bytes = b""
    _skipping: bool = False

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that ``data`` completes."""
        *lines, rest = (self._rest + data).split(b"\n")
        if lines and self._skipping:
            lines, self._skipping = lines[1:], False
        if len(rest) > MAX_LINE:
            self._skipping = True
        self._rest = b"" if self._skipping else rest
        return [line for line in lines if len(line) <= MAX_LINE]


@dataclass(slots=True)
class _Query:
    name: str
    stream_id: str
    task: asyncio.Task[None]


@dataclass(slots=True)
class Plugin:
    """The protocol over any transport: lines come in by ``line``, ``write`` takes whole lines."""

    resolver: Resolves
    write: Callable[[bytes], None]
    _pending: dict[str, _Query] = field(default_factory=dict)

    def line(self, raw: bytes) -> None:
        """Take one line in; never raises for what it says. Needs a running event loop."""
        words = raw.decode("ascii", "backslashreplace").split()
        if len(words) < 2 or _ID.fullmatch(words[1]) is None:
            return
        query = words[1]
        if words[0] == "RESOLVE":
            self._resolve(query, words[2] if len(words) > 2 else "", words[3] if len(words) > 3 else "")
        elif words[0] == "CANCEL":
            self._drop(query)
            self.write(f"CANCELED {query}\n".encode("ascii"))

    def _resolve(self, query: str, name: str, stream_id: str) -> None:
        known = self._pending.get(query)
        if known is not None and (known.name, known.stream_id) == (name, stream_id):
            return
        self._drop(query)
        if len(self._pending) >= MAX_PENDING:
            self.write(resolved(query, name, Outcome(Kind.UNAVAILABLE, detail="too many look-ups at once")))
            return
        task = asyncio.get_running_loop().create_task(self._answer(query, name, stream_id))
        self._pending[query] = _Query(name, stream_id, task)

    async def _answer(self, query: str, name: str, stream_id: str) -> None:
        try:
            outcome = await self.resolver.resolve(name, stream_id)
        except Exception as exc:
            # A mistake of ours costs one answer, not the plugin, and keeps nobody waiting.
            outcome = Outcome(Kind.UNAVAILABLE, detail=f"internal error: {type(exc).__name__}")
        known = self._pending.get(query)
        if known is not None and known.task is asyncio.current_task():
            del self._pending[query]
            self.write(resolved(query, name, outcome))

    def _drop(self, query: str) -> None:
        known = self._pending.pop(query, None)
        if known is not None:
            known.task.cancel()

    async def close(self, grace: float) -> None:
        """Cancel all that is not answered within ``grace`` seconds."""
        tasks = [query.task for query in self._pending.values()]
        if tasks and grace > 0:
            await asyncio.wait(tasks, timeout=grace)
        for query in list(self._pending):
            self._drop(query)
        await asyncio.gather(*tasks, return_exceptions=True)


async def serve(resolver: Resolves, stdin: int = 0, stdout: int = 1) -> None:
    """Speak the protocol on two file descriptors until the input ends or the output cannot be written."""
    loop = asyncio.get_running_loop()
    ended, broken = asyncio.Event(), asyncio.Event()
    answers: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    plugin = Plugin(resolver, answers.put)

    def take(lines: list[bytes]) -> None:
        for line in lines:
            plugin.line(line)

    def fail() -> None:
        broken.set()
        ended.set()

    # Daemons: a read that never returns must not keep the process.
    writer = threading.Thread(target=_write_all, args=(stdout, answers, loop, fail), daemon=True)
    reader = threading.Thread(target=_read_all, args=(stdin, loop, take, ended.set), daemon=True)
    answers.put(READY)
    writer.start()
    reader.start()
    try:
        await ended.wait()
    finally:
        await plugin.close(0 if broken.is_set() else _GRACE)
        answers.put(None)
        await asyncio.to_thread(writer.join, _FLUSH)


def _read_all(
    fd: int, loop: asyncio.AbstractEventLoop, take: Callable[[list[bytes]], None], end: Callable[[], None]
) -> None:
    splitter = LineSplitter()
    with contextlib.suppress(OSError):
        while data := os.read(fd, _CHUNK):
            _tell(loop, functools.partial(take, splitter.feed(data)))
    _tell(loop, end)


def _write_all(
    fd: int, answers: queue.SimpleQueue[bytes | None], loop: asyncio.AbstractEventLoop, end: Callable[[], None]
) -> None:
    try:
        while (line := answers.get()) is not None:
            while line:
                line = line[os.write(fd, line) :]
    except OSError:
        _tell(loop, end)


def _tell(loop: asyncio.AbstractEventLoop, callback: Callable[[], object]) -> None:
    """Have the loop call something, if it still runs."""
    # Closed: the process is ending.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(callback)
