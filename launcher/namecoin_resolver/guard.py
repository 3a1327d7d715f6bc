"""The controller's side of its watchdog: starts it, hands it a connection to tor, sees it end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from namecoin_resolver import watchdog

#: Seconds for the process to start and speak up, and to end.
_START = 20.0
_END = 15.0
#: What the process is not to inherit.
_SECRETS = ("TOR_CONTROL_PASSWD", "NAMECOIN_RPC_PASSWORD", "TOR_NS_PLUGIN_OPTIONS")


class GuardError(Exception):
    """A watchdog that did not start; the text says why."""


def command() -> list[str]:
    """What runs a watchdog: this interpreter, on the module's file, with nothing but the standard library."""
    return [sys.executable, "-I", "-S", "-B", watchdog.__file__]


class Guard:
    """A watchdog that stands by."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    @classmethod
    async def start(cls, tor: socket.socket, argv: Sequence[str], creationflags: int = 0) -> Guard:
        """Start one on an authenticated connection, which is closed here in any case; raises ``GuardError``.

        ``creationflags`` are added to those for a process without a window; they count on Windows only.
        """
        options: dict[str, Any] = {"env": {name: text for name, text in os.environ.items() if name not in _SECRETS}}
        if sys.platform == "win32":
            options["creationflags"] = subprocess.CREATE_NO_WINDOW | creationflags
        else:
            # Its own session: what ends our group by a signal does not end it.
            options |= {"pass_fds": (tor.fileno(),), "start_new_session": True}
        with tor:
            try:
                process = await asyncio.create_subprocess_exec(
                    *argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, **options
                )
            except OSError as exc:
                raise GuardError(f"the watchdog does not start: {exc.strerror or exc}") from None
            guard = cls(process)
            try:
                async with asyncio.timeout(_START):
                    await guard._hand_over(tor)
            except (OSError, TimeoutError) as exc:
                await guard.kill()
                raise GuardError(f"the watchdog does not work: {exc or 'no answer'}") from None
            except BaseException:
                await guard.kill()
                raise
        return guard

    async def ended(self) -> None:
        """Wait for its end."""
        await self._process.wait()

    async def leave(self, *, done: bool) -> None:
        """Let it end: without acting if all is ``done``, else after it has done what there is to do."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            if done:
                self._process.stdin.write(watchdog.DONE)
            self._process.stdin.close()
        try:
            async with asyncio.timeout(_END):
                await self._process.wait()
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        """End it at once."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    async def _hand_over(self, tor: socket.socket) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        if sys.platform == "win32":
            line = f"share {tor.share(self.pid).hex()}\n"
        else:
            line = f"fd {tor.fileno()}\n"
        self._process.stdin.write(line.encode("ascii"))
        await self._process.stdin.drain()
        if await self._process.stdout.readline() != watchdog.READY:
            raise ConnectionError("it ended before it was ready")
