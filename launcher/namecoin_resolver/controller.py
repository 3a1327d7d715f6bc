"""Tor's controller: gives .bit streams their addresses, and sends all others on at once.

Tor leaves every new stream to us while ``__LeaveStreamsUnattached`` is set, so we set it after we listen, and take it
back when we end. A watchdog (``watchdog.py``) does so should we be killed; no option is set before it stands by, and
when it ends, another takes its place. Were both killed at the same moment, tor would stall until a controller runs
again, which takes over what waits, or tor starts anew: SAVECONF does not write such options down.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Protocol

from namecoin_resolver import guard, streams
from namecoin_resolver.outcome import Kind, Outcome
from namecoin_resolver.streams import Isolation, Stream
from namecoin_resolver.torport import Address, Connection, Reply, TorError, detached, open_port
from namecoin_resolver.watchdog import OPTION

_EVENTS = "STREAM SIGNAL CONF_CHANGED STATUS_CLIENT"
#: A stream's first events while it waits for a controller. CONTROLLER_WAIT follows them from tor 0.4.5.1 on, says
#: less, and may come later.
_WAITS = ("NEW", "NEWRESOLVE", "DETACHED")
#: What ``stream-status`` says then. It does not tell such streams from those that tor is about to attach itself.
_WAITING = ("NEW", "NEWRESOLVE", "CONTROLLER_WAIT")
_GONE = ("FAILED", "CLOSED")
#: Seconds for tor to take the option back.
_CLEAR = 5.0
#: Seconds between attempts to start a watchdog; after the last we give up.
_RETRIES = (0.0, 0.2, 1.0, 5.0)
_log = logging.getLogger(__name__)


class Resolves(Protocol):
    """What answers: ``resolver.Resolver``."""

    async def resolve(self, host: str, stream_id: str) -> Outcome: ...

    def forget(self) -> None: ...


class Controller:
    """Controls one tor by ``run``; one per event loop and tor.

    ``bootstrapped`` is called once in a run, as soon as tor can build circuits. ``limit`` is for one look-up in
    seconds; it has to be below the 120 after which tor gives up a stream, and above the resolver's own.
    ``watchdog`` is what runs the watchdog, ``creationflags`` what Windows is told besides when it starts.
    """

    def __init__(
        self,
        resolver: Resolves,
        address: Address,
        *,
        bootstrapped: Callable[[], None] | None = None,
        limit: float = 110.0,
        watchdog: Sequence[str] | None = None,
        creationflags: int = 0,
    ) -> None:
        self._resolver = resolver
        self._address = address
        self._bootstrapped = bootstrapped
        self._limit = limit
        self._watchdog = list(watchdog or guard.command())
        self._creationflags = creationflags
        self._guard: guard.Guard
        #: Set while streams are looked after.
        self.serving = asyncio.Event()
        #: After a run: whether tor had left its streams to us.
        self.served = False

    @property
    def watchdog_pid(self) -> int:
        """The watchdog's process; there is one while ``serving`` is set."""
        return self._guard.pid

    async def run(self) -> None:
        """Look after tor's streams until it closes the connection, or the task is cancelled.

        However it ends, no stream is left waiting. Raises ``TorError`` if tor cannot be reached, does not let us in, or
        refuses what we need, or if no watchdog can be had. Not to be called again while it runs.
        """
        run = _Run(self._resolver, Isolation(os.urandom(32)), self._limit, self._bootstrapped)
        async with self._connected(run.event) as run.events, self._connected() as run.tor:
            self._guard = await self._start_guard()
            try:
                await run.start()
                self.serving.set()
                await self._stand_by(run.events, run.tor)
            finally:
                self.serving.clear()
                self.served = run.accepted
                await _to_the_end(self._leave(run))

    async def _leave(self, run: _Run) -> None:
        cleared = await run.stop()
        await self._guard.leave(done=cleared)

    @contextlib.asynccontextmanager
    async def _connected(self, event: Callable[[tuple[str, ...]], None] | None = None) -> AsyncIterator[Connection]:
        connection = Connection(await asyncio.to_thread(open_port, self._address), event)
        try:
            yield connection
        finally:
            await connection.close()

    async def _stand_by(self, *connections: Connection) -> None:
        """Have a watchdog at all times, until tor closes a connection."""
        gone = [asyncio.create_task(connection.closed.wait()) for connection in connections]
        try:
            while True:
                ended = asyncio.create_task(self._guard.ended())
                done, _ = await asyncio.wait((*gone, ended), return_when=asyncio.FIRST_COMPLETED)
                ended.cancel()
                if done != {ended}:
                    return
                try:
                    self._guard = await self._start_guard()
                except TorError:
                    # A watchdog ends with tor, and we may see that before tor's own end.
                    done, _ = await asyncio.wait(gone, timeout=_CLEAR, return_when=asyncio.FIRST_COMPLETED)
                    if done:
                        return
                    raise
                _log.warning("the watchdog had ended; there is another")
        finally:
            for task in gone:
                task.cancel()

    async def _start_guard(self) -> guard.Guard:
        for pause in _RETRIES:
            await asyncio.sleep(pause)
            try:
                raw = detached(await asyncio.to_thread(open_port, self._address))
                return await guard.Guard.start(raw, self._watchdog, self._creationflags)
            except guard.GuardError as exc:
                failure = exc
        raise TorError(f"{failure}")


class _Run:
    """The streams of one run."""

    def __init__(
        self, resolver: Resolves, isolation: Isolation, limit: float, bootstrapped: Callable[[], None] | None
    ) -> None:
        self.events: Connection
        self.tor: Connection
        self._resolver = resolver
        self._isolation = isolation
        self._limit = limit
        self._bootstrapped = bootstrapped
        #: Tor has left its streams to us.
        self.accepted = False
        self._serving = False
        self._lookups: dict[str, asyncio.Task[None]] = {}
        #: Streams dealt with whose CONTROLLER_WAIT may be still to come.
        self._dealt: set[str] = set()

    async def start(self) -> None:
        """Listen, then have streams left to us, then see to those that wait already."""
        self._serving = True
        _accepted("SETEVENTS", await self.events.listen(_EVENTS))
        _accepted("SETCONF", await self.tor.command(f"SETCONF {OPTION}=1"))
        self.accepted = True
        await self._sweep()
        phase = await self.tor.command("GETINFO status/bootstrap-phase")
        self._status_client(phase.value("status/bootstrap-phase"))

    async def stop(self) -> bool:
        """End all look-ups and leave no stream waiting; whether tor has confirmed it."""
        self._serving = False
        tasks = list(self._lookups.values())
        for stream, task in list(self._lookups.items()):
            task.cancel()
            self.tor.post(f"CLOSESTREAM {stream} {streams.MISC}")
        self._lookups.clear()
        try:
            async with asyncio.timeout(_CLEAR):
                reply = await self.tor.command(f"SETCONF {OPTION}=0")
                if reply.ok:
                    await self._sweep()
                    # Answers come in order: with this one, tor has done all that it was told.
                    await self.tor.command(f"GETCONF {OPTION}")
        except (TorError, TimeoutError):
            return False
        finally:
            await asyncio.gather(*tasks, return_exceptions=True)
        return reply.ok

    def event(self, lines: tuple[str, ...]) -> None:
        """Take an event."""
        kind, _, rest = lines[0].partition(" ")
        if kind == "STREAM":
            self._stream(rest)
        elif kind == "STATUS_CLIENT":
            self._status_client(rest)
        elif kind == "SIGNAL" and rest == "NEWNYM":
            self._resolver.forget()
        elif kind == "CONF_CHANGED" and self._serving and f"{OPTION}=0" in lines:
            # Tor has read its configuration again, or the watchdog of a controller before us was late.
            self.tor.post(f"SETCONF {OPTION}=1")

    def _stream(self, line: str) -> None:
        stream = streams.parse(line)
        if stream is None:
            return
        if stream.status in _WAITS:
            self._dealt.add(stream.id)
            self._handle(stream)
        elif stream.id in self._dealt:
            self._dealt.remove(stream.id)
        elif stream.status == "CONTROLLER_WAIT":
            self._handle(stream)
        if stream.status in _GONE and (task := self._lookups.pop(stream.id, None)):
            task.cancel()

    async def _sweep(self) -> None:
        """See to the streams that tor has now."""
        status = await self.tor.command("GETINFO stream-status")
        for line in status.value("stream-status").splitlines():
            stream = streams.parse(line)
            if stream is not None and stream.status in _WAITING:
                self._handle(stream)

    def _handle(self, stream: Stream) -> None:
        """Deal with a stream that waits; one that does not any more costs a refused command."""
        if not stream.is_bit:
            self.tor.post(f"ATTACHSTREAM {stream.id} 0")
        elif not self._serving:
            self.tor.post(f"CLOSESTREAM {stream.id} {streams.MISC}")
        elif stream.id not in self._lookups:
            task = asyncio.create_task(self._answer(stream, self._isolation.stream_id(stream)))
            self._lookups[stream.id] = task

    async def _answer(self, stream: Stream, stream_id: str) -> None:
        outcome = await self._resolve(stream.host, stream_id)
        with contextlib.suppress(TorError):
            # Attached only after tor has the new address: never may an exit see the name.
            if outcome.kind is not Kind.FOUND:
                reason = streams.REASON[outcome.kind]
            elif await self._attach(stream.id, outcome.target):
                reason = None
            else:
                reason = streams.MISC
            if reason is not None:
                self.tor.post(f"CLOSESTREAM {stream.id} {reason}")
        if self._lookups.get(stream.id) is asyncio.current_task():
            del self._lookups[stream.id]

    async def _attach(self, stream: str, target: str) -> bool:
        for command in (f"REDIRECTSTREAM {stream} {target}", f"ATTACHSTREAM {stream} 0"):
            if not (await self.tor.command(command)).ok:
                return False
        return True

    async def _resolve(self, host: str, stream_id: str) -> Outcome:
        try:
            async with asyncio.timeout(self._limit):
                return await self._resolver.resolve(host, stream_id)
        except TimeoutError:
            return Outcome(Kind.TIMEOUT)
        except Exception as exc:
            # A mistake of ours costs one stream, and keeps nobody waiting.
            _log.error("internal error: %s", type(exc).__name__)
            return Outcome(Kind.UNAVAILABLE, detail=f"internal error: {type(exc).__name__}")

    def _status_client(self, text: str) -> None:
        if self._bootstrapped is not None and re.search(r"\bBOOTSTRAP PROGRESS=100\b", text):
            bootstrapped, self._bootstrapped = self._bootstrapped, None
            bootstrapped()


async def _to_the_end(work: Coroutine[None, None, None]) -> None:
    """Await what is bounded in time and has to be done, also while being cancelled."""
    task = asyncio.create_task(work)
    cancelled = None
    while not task.done():
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError as exc:
            cancelled = exc
    if cancelled is not None:
        raise cancelled
    task.result()


def _accepted(command: str, reply: Reply) -> None:
    if not reply.ok:
        raise TorError(f"tor refuses {command}: {reply.lines[-1]}")
