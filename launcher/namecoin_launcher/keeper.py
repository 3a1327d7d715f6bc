"""Keeps one Electrum-NMC running, and asks it for names while it does.

The daemon is a child process (``daemon.py``) with RPC credentials of its own, made at random for each start. When it
ends it is started again, after a pause that doubles each time and is short again once a daemon has served for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import threading
from collections.abc import Callable, Sequence

from namecoin_resolver.outcome import Kind, NameLookupError
from namecoin_resolver.rpc import Endpoint, Registered, Rpc, RpcError

from namecoin_launcher import launch
from namecoin_launcher.job import Job
from namecoin_launcher.launch import Child, First
from namecoin_launcher.settings import Settings

#: Seconds between a daemon's end and the next start: the first, and the most.
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
#: Seconds of service after which the pause is short again.
SERVED = 60.0
#: Seconds that a look-up waits for a daemon that is away.
PATIENCE = 3.0
#: Seconds that a daemon may take to end by itself.
_END = 3.0
#: Bytes of its line that are read.
_LINE = 64 * 1024
_log = logging.getLogger(__name__)


class DaemonError(Exception):
    """A daemon that did not start; the text says why."""


class Keeper:
    """Keeps a daemon by ``run``; is itself what a resolver asks for names. One per event loop.

    ``folder`` is where the daemon writes; ``proxy`` is ``socks5:HOST:PORT``; ``argv`` is what runs a daemon;
    ``first`` is one that has been started already.
    """

    def __init__(
        self,
        folder: os.PathLike[str],
        proxy: str,
        settings: Settings,
        argv: Sequence[str] | None = None,
        first: First | None = None,
    ) -> None:
        self._folder = os.fspath(folder)
        self._proxy = proxy
        self._settings = settings
        self._argv = list(argv or launch.command())
        self._rpc = Rpc(Endpoint(0, "", ""), settings.lookup_timeout)
        self._first = first.child if first else None
        self._job = first.job if first else None
        self._online = asyncio.Event()
        self._renew = asyncio.Event()
        #: Set while a daemon can be asked.
        self.ready = asyncio.Event()
        #: The process, while there is one.
        self.pid: int | None = None

    async def name_show(self, identifier: str, stream_id: str) -> Registered:
        """What a name holds, as ``rpc.Rpc``; where no daemon can be asked in a few seconds, ``UNAVAILABLE``."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self.ready.wait()
        except TimeoutError:
            raise NameLookupError(Kind.UNAVAILABLE, "Electrum-NMC does not run") from None
        return await self._rpc.name_show(identifier, stream_id)

    def unpause(self) -> None:
        """Let the daemon connect to servers, from now on: this one, and those to come."""
        self._online.set()

    def renew(self) -> None:
        """Have another daemon: after tor was away, this one might not try its servers again for minutes."""
        self._renew.set()

    async def run(self) -> None:
        """Keep a daemon until cancelled; it has ended then."""
        if self._job is None:
            try:
                self._job = Job()
            except OSError as exc:
                _log.warning("no job object, the daemon's stdin has to do: %s", exc)
            if self._first is not None:
                self._add(self._first)
        pause = FIRST_PAUSE
        while True:
            self._renew.clear()
            served = await self._one()
            if served > SERVED:
                pause = FIRST_PAUSE
            if self._renew.is_set():
                continue
            _log.warning("Electrum-NMC has ended; another in %g s", pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _one(self) -> float:
        """Start a daemon and wait for its end, or until there shall be another; the seconds that it served."""
        loop = asyncio.get_running_loop()
        try:
            child = self._next()
        except OSError as exc:
            _log.error("Electrum-NMC does not start: %s", exc.strerror or exc)
            return 0.0
        told, process = child.told, _Process(child)
        self.pid = child.process.pid
        begun = None
        try:
            async with asyncio.timeout(self._settings.daemon_timeout):
                port = _port(await process.said)
            begun = loop.time()
            self._rpc.endpoint = Endpoint(port, told.user, told.password)
            self.ready.set()
            _log.info("Electrum-NMC answers")
            await self._served(process, paused=told.paused)
        except (DaemonError, TimeoutError) as exc:
            _log.error("Electrum-NMC does not start: %s", exc or "no answer in time")
        finally:
            self.ready.clear()
            await process.end()
            self.pid = None
        return 0.0 if begun is None else loop.time() - begun

    def _next(self) -> Child:
        """The daemon that is there already, or another. Raises ``OSError``."""
        child, self._first = self._first, None
        if child is None:
            told = launch.told(self._folder, self._proxy, self._settings, paused=not self._online.is_set())
            child = Child(self._argv, told)
            self._add(child)
        return child

    def _add(self, child: Child) -> None:
        """Put it into the job, before it has come to anything."""
        if self._job is not None:
            try:
                self._job.add(child.process.pid)
            except OSError as exc:
                _log.warning("the daemon is in no job, its stdin has to do: %s", exc)

    async def _served(self, process: _Process, *, paused: bool) -> None:
        """Wait for the daemon's end, or until there shall be another; unpause it meanwhile."""
        tasks = [asyncio.create_task(process.gone.wait()), asyncio.create_task(self._renew.wait())]
        unpausing = asyncio.create_task(self._unpaused()) if paused else None
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (*tasks, *([unpausing] if unpausing else [])):
                task.cancel()

    async def _unpaused(self) -> None:
        await self._online.wait()
        pause = 0.1
        while True:
            try:
                await self._rpc.call("unpausenetwork")
                _log.info("Electrum-NMC is unpaused")
                return
            except (NameLookupError, RpcError) as exc:
                _log.warning("unpausenetwork: %s", exc)
            await asyncio.sleep(pause)
            pause = min(pause * 2, 1.0)


class _Process:
    """A daemon's process, seen from the event loop: ``said`` is its line of stdout, ``gone`` is set at its end."""

    def __init__(self, child: Child) -> None:
        self._child = child
        self._loop = asyncio.get_running_loop()
        self.said: asyncio.Future[bytes] = self._loop.create_future()
        self.gone = asyncio.Event()
        threading.Thread(target=self._watch, name="daemon", daemon=True).start()

    async def end(self) -> None:
        """Let it end, or end it."""
        self._child.close_stdin()
        try:
            async with asyncio.timeout(_END):
                await self.gone.wait()
        except TimeoutError:
            pass
        finally:
            if not self.gone.is_set():
                with contextlib.suppress(ProcessLookupError):
                    self._child.process.kill()
                await self.gone.wait()

    def _watch(self) -> None:
        process = self._child.process
        assert process.stdout is not None
        self._tell(self._hear, process.stdout.readline(_LINE))
        process.wait()
        process.stdout.close()
        self._tell(self.gone.set)

    def _hear(self, line: bytes) -> None:
        if not self.said.done():
            self.said.set_result(line)

    def _tell(self, callback: Callable[..., object], *arguments: bytes) -> None:
        # Closed: the process is ending.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, *arguments)


def _port(line: bytes) -> int:
    """The port that a daemon says it listens on; raises ``DaemonError``."""
    try:
        said = json.loads(line)
        if "port" in said:
            return int(said["port"])
        raise DaemonError(str(said["error"])[:300])
    except (ValueError, KeyError, TypeError):
        raise DaemonError("it ended early" if not line else "it does not say its port") from None
