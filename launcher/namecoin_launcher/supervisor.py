"""One process for everything: it keeps the daemon, answers tor's streams, and ends with tor or the browser.

A run: a daemon, paused; a controller on tor's control port, tried for until it is there; the daemon unpaused when tor
can build circuits. Streams that are not for .bit never wait for any of that: tor leaves streams to us only while the
controller runs, and when this process is killed its watchdog sets tor free.
"""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import replace

from namecoin_resolver.controller import Controller
from namecoin_resolver.torport import Address, TorError

from namecoin_launcher import logs
from namecoin_launcher.keeper import Keeper
from namecoin_launcher.plan import Setup as Setup

#: Seconds to wait for tor when no browser of ours runs: for it to come, and to come back.
START, BACK = 120.0, 5.0
#: Seconds for which a tor that is there may turn us away.
REFUSED = 3.0
#: Seconds between attempts to reach tor: the first, and the most.
_FIRST, _MOST = 0.1, 1.0
_log = logging.getLogger(__name__)


class SupervisorError(Exception):
    """Why .bit names do not work in this run; the text says what to do."""


class Supervisor:
    """Runs everything by ``run``; one per event loop. ``browser_gone`` is set when the browser that we started ends."""

    def __init__(self, setup: Setup, browser_gone: asyncio.Event | None = None) -> None:
        self._setup = setup
        self._browser_gone = browser_gone
        options = setup.settings
        self.keeper = Keeper(setup.paths.data, setup.proxy, options, setup.daemon, setup.first)
        self.resolver = logs.Said(self.keeper, onion_only=not options.allow_ip, limit=options.lookup_timeout)
        #: The controller of the present tor, or the last.
        self.controller: Controller | None = None
        self._bootstrapped_before = False

    async def run(self) -> None:
        """Run until tor or the browser has ended, or until cancelled; then nothing of ours runs any more.

        Raises ``SupervisorError`` if tor does not come or turns us away.
        """
        tasks = [asyncio.create_task(self._follow_tor()), asyncio.create_task(self.keeper.run())]
        if self._setup.lent and self._browser_gone is not None:
            tasks.append(asyncio.create_task(_wait(self._browser_gone)))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            # In order: tor is free before the daemon ends.
            for task in tasks:
                task.cancel()
                await asyncio.wait((task,))

    async def _follow_tor(self) -> None:
        """Control tor, and the tor after it, as long as one is to be expected."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + START
        refused = None
        known, pause, lives = False, _FIRST, self._browser_lives()
        while True:
            self.controller = self._controller()
            try:
                await self.controller.run()
                _log.info("tor has closed its control port")
                reason, served = "", True
            except TorError as exc:
                _log.info("%s", exc)
                reason, served = str(exc), self.controller.served
            if served:
                known, refused, pause = True, None, _FIRST
                deadline = loop.time() + BACK
            elif not await _reachable(self._setup.address):
                refused = None
            elif refused is None:
                refused = loop.time()
            elif loop.time() > refused + REFUSED:
                raise SupervisorError(reason)
            if lives and not (lives := self._browser_lives()):
                # Its tor ends with it, unless it has handed over to another process.
                deadline = min(deadline, loop.time() + BACK)
            if not lives and loop.time() > deadline:
                if known:
                    return
                raise SupervisorError(f"{reason}; it was tried for {START:g} s")
            await asyncio.sleep(pause)
            pause = min(pause * 2, _MOST)

    def _browser_lives(self) -> bool:
        return self._browser_gone is not None and not self._browser_gone.is_set()

    def _controller(self) -> Controller:
        address = self._setup.address
        # Tor makes the file when it starts; without one, tor itself says what it wants.
        cookie = self._setup.paths.cookie
        if address.password is None and address.cookie is None and cookie.is_file():
            address = replace(address, cookie=os.fspath(cookie))
        return Controller(self.resolver, address, bootstrapped=self._bootstrapped)

    def _bootstrapped(self) -> None:
        _log.info("tor can build circuits")
        self.keeper.unpause()
        if self._bootstrapped_before:
            self.keeper.renew()
        self._bootstrapped_before = True


async def _reachable(address: Address) -> bool:
    """Whether somebody listens on tor's control port."""
    try:
        async with asyncio.timeout(5):
            _, writer = await asyncio.open_connection(address.host, address.port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


async def _wait(event: asyncio.Event) -> None:
    await event.wait()
