"""Running a supervisor until it ends or a signal comes."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

from namecoin_launcher.plan import Setup
from namecoin_launcher.program import FAILED, ProgramError
from namecoin_launcher.supervisor import Supervisor, SupervisorError

#: Windows turns the end of a console, of a session and of the system into SIGBREAK.
_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK", "SIGHUP") if hasattr(signal, name)]


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
