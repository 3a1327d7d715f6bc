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
import secrets
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from namecoin_resolver.outcome import Kind, NameLookupError
from namecoin_resolver.rpc import Endpoint, Registered, Rpc, RpcError

from namecoin_launcher import paths
from namecoin_launcher.daemon import Told
from namecoin_launcher.job import Job
from namecoin_launcher.settings import Settings

#: Seconds between a daemon's end and the next start: the first, and the most.
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
#: Seconds of service after which the pause is short again.
SERVED = 60.0
#: Seconds that a look-up waits for a daemon that is away.
PATIENCE = 3.0
#: Seconds that a daemon may take to end by itself.
_END = 3.0
_log = logging.getLogger(__name__)


class DaemonError(Exception):
    """A daemon that did not start; the text says why."""


def command() -> list[str]:
    """What runs a daemon: this interpreter."""
    return [sys.executable, "-I", "-B", "-X", "utf8", "-m", "namecoin_launcher.daemon"]


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What of our environment a daemon inherits: no secrets, nothing that leads it past its proxy or logs its keys."""
    unwanted = ("TOR_", "NAMECOIN_", "PYTHON", "SSL")
    return {
        name: text
        for name, text in environ.items()
        if not name.upper().startswith(unwanted) and not name.upper().endswith("_PROXY")
    }


class Keeper:
    """Keeps a daemon by ``run``; is itself what a resolver asks for names. One per event loop.

    ``folder`` is where the daemon writes; ``proxy`` is ``socks5:HOST:PORT``; ``argv`` is what runs a daemon.
    """

    def __init__(
        self, folder: os.PathLike[str], proxy: str, settings: Settings, argv: Sequence[str] | None = None
    ) -> None:
        self._folder = os.fspath(folder)
        self._proxy = proxy
        self._settings = settings
        self._argv = list(argv or command())
        self._rpc = Rpc(Endpoint(0, "", ""), settings.lookup_timeout)
        self._job: Job | None = None
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
        try:
            self._job = Job()
        except OSError as exc:
            _log.warning("no job object, the daemon's stdin has to do: %s", exc)
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
        told = Told(
            folder=self._folder,
            proxy=self._proxy,
            user=secrets.token_hex(16),
            password=secrets.token_hex(32),
            chain=self._settings.chain,
            paused=not self._online.is_set(),
            server=self._settings.server,
            oneserver=self._settings.oneserver,
        )
        try:
            process = await self._started()
        except OSError as exc:
            _log.error("Electrum-NMC does not start: %s", exc.strerror or exc)
            return 0.0
        begun = None
        try:
            async with asyncio.timeout(self._settings.daemon_timeout):
                port = await _handed_over(process, told)
            begun = loop.time()
            self._rpc.endpoint = Endpoint(port, told.user, told.password)
            self.ready.set()
            _log.info("Electrum-NMC answers")
            await self._served(process, paused=told.paused)
        except (DaemonError, OSError, TimeoutError) as exc:
            _log.error("Electrum-NMC does not start: %s", exc or "no answer in time")
        finally:
            self.ready.clear()
            await _end(process)
            self.pid = None
        return 0.0 if begun is None else loop.time() - begun

    async def _started(self) -> asyncio.subprocess.Process:
        options: dict[str, Any] = {"env": environment(os.environ), "executable": paths.extended(self._argv[0])}
        if sys.platform == "win32":
            options["creationflags"] = subprocess.CREATE_NO_WINDOW
        else:
            # Its own session: Ctrl-C is for us, and the daemon ends when we have put things in order.
            options["start_new_session"] = True
        process = await asyncio.create_subprocess_exec(
            *self._argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            **options,
        )
        self.pid = process.pid
        # It does nothing before it has been told what, so it is in the job in time.
        if self._job is not None:
            try:
                self._job.add(process.pid)
            except OSError as exc:
                _log.warning("the daemon is in no job, its stdin has to do: %s", exc)
        return process

    async def _served(self, process: asyncio.subprocess.Process, *, paused: bool) -> None:
        """Wait for the daemon's end, or until there shall be another; unpause it meanwhile."""
        tasks = [asyncio.create_task(process.wait()), asyncio.create_task(self._renew.wait())]
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


async def _handed_over(process: asyncio.subprocess.Process, told: Told) -> int:
    """Tell a daemon its settings; the port that it listens on then."""
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(told.line())
    await process.stdin.drain()
    line = await process.stdout.readline()
    try:
        said = json.loads(line)
        if "port" in said:
            return int(said["port"])
        raise DaemonError(str(said["error"])[:300])
    except (ValueError, KeyError, TypeError):
        raise DaemonError("it ended early" if not line else "it does not say its port") from None


async def _end(process: asyncio.subprocess.Process) -> None:
    """Let a daemon end, or end it."""
    assert process.stdin is not None
    with contextlib.suppress(OSError):
        process.stdin.close()
    try:
        async with asyncio.timeout(_END):
            await process.wait()
    except TimeoutError:
        pass
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
