"""What both programs do: read what they are told, take the lock, run a supervisor until it ends or a signal comes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from types import FrameType

from namecoin_resolver.settings import SettingsError

from namecoin_launcher import logs, paths
from namecoin_launcher.lock import Lock
from namecoin_launcher.message import tell
from namecoin_launcher.supervisor import Setup, Supervisor, SupervisorError, setup

DONE, FAILED, WRONG = 0, 1, 2
#: Windows turns the end of a console, of a session and of the system into SIGBREAK.
_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK", "SIGHUP") if hasattr(signal, name)]


class ProgramError(Exception):
    """What keeps a program from working; ``code`` is the exit code. The text says what to do."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


@contextlib.contextmanager
def prepared(found: paths.Paths, daemon: list[str] | None = None) -> Iterator[Setup]:
    """The setup of the only instance for a data folder, which is made.

    Raises ``ProgramError``, with ``DONE`` if another runs.
    """
    try:
        paths.make_data(found)
        lock = Lock.take(found.lock)
    except OSError as exc:
        raise ProgramError(FAILED, f"{found.data}: the folder for state cannot be used: {exc.strerror}") from None
    if lock is None:
        raise ProgramError(DONE, f"already running for {found.data}")
    try:
        logs.set_up(os.environ, found.log)
        yield replace(setup(found, os.environ), daemon=daemon)
    except SettingsError as exc:
        raise ProgramError(WRONG, str(exc)) from None
    finally:
        lock.release()


async def supervise(supervisor: Supervisor) -> None:
    """Run a supervisor. Raises ``ProgramError``."""
    try:
        await supervisor.run()
    except SupervisorError as exc:
        raise ProgramError(FAILED, str(exc)) from None


@contextlib.contextmanager
def until_signalled() -> Iterator[asyncio.Event]:
    """An event of the running loop that is set when somebody wants this process to end."""
    loop = asyncio.get_running_loop()
    event = asyncio.Event()

    def handle(number: int, frame: FrameType | None) -> None:
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(event.set)

    before = [(number, signal.signal(number, handle)) for number in _SIGNALS]
    try:
        yield event
    finally:
        for number, handler in before:
            signal.signal(number, handler)


async def alone(plan: Setup) -> None:
    """Run a supervisor without a browser of ours until it ends, or a signal comes. Raises ``ProgramError``."""
    with until_signalled() as signalled:
        running = asyncio.create_task(supervise(Supervisor(plan)))
        waiting = asyncio.create_task(signalled.wait())
        await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


def main(data: str | None, daemon: list[str] | None = None) -> int:
    """``namecoin.exe``, switched on: its exit code."""
    try:
        with prepared(paths.find(data), daemon) as plan:
            asyncio.run(alone(plan))
    except ProgramError as exc:
        tell(str(exc))
        return exc.code
    return DONE
