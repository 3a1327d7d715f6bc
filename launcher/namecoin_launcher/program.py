"""What both programs do: take the lock, read what they are told, start a daemon, and then import all the rest."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import replace

from namecoin_resolver.errors import SettingsError

from namecoin_launcher import launch, lean, paths
from namecoin_launcher.lock import Lock
from namecoin_launcher.message import tell
from namecoin_launcher.plan import Setup, setup

DONE, FAILED, WRONG = 0, 1, 2


class ProgramError(Exception):
    """What keeps a program from working; ``code`` is the exit code. The text says what to do."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


@contextlib.contextmanager
def prepared(found: paths.Paths, daemon: list[str] | None = None) -> Iterator[Setup]:
    """The setup of the only instance for a data folder, which is made; a daemon starts.

    Raises ``ProgramError``, with ``DONE`` if another runs.
    """
    try:
        paths.make_data(found)
        lock = Lock.take(found.lock)
    except OSError as exc:
        raise ProgramError(FAILED, f"{found.data}: the folder for state cannot be used: {exc.strerror}") from None
    if lock is None:
        raise ProgramError(DONE, f"already running for {found.data}")
    first = None
    try:
        plan = setup(found, os.environ)
        first = launch.first(daemon, launch.told(found.data, plan.proxy, plan.settings, paused=True))
        # Late, while the daemon starts; without what is not needed.
        lean.without_openssl()
        from namecoin_launcher import logs

        logs.set_up(os.environ, found.log)
        yield replace(plan, daemon=daemon, first=first)
    except SettingsError as exc:
        raise ProgramError(WRONG, str(exc)) from None
    finally:
        if first is not None:
            # Whoever kept it has seen it end; this is for when it did not come to that.
            first.child.abandon()
        lock.release()


def main(data: str | None, daemon: list[str] | None = None) -> int:
    """``namecoin.exe``, switched on: its exit code."""
    try:
        with prepared(paths.find(data), daemon) as plan:
            # Late for the same reason.
            import asyncio

            from namecoin_launcher import running

            asyncio.run(running.alone(plan))
    except ProgramError as exc:
        tell(str(exc))
        return exc.code
    return DONE
