"""The browser with names: starts it, runs a supervisor beside it, waits for both.

All arguments are the browser's, but for ``--data DIR`` (folder for state) and ``--browser FILE`` (another browser) in
front of them; ``--`` ends those. Should names not work, the browser goes on without them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from namecoin_launcher import paths, program, running
from namecoin_launcher.message import tell
from namecoin_launcher.program import ProgramError
from namecoin_launcher.supervisor import Supervisor

_OURS = ("--data", "--browser")


def split(arguments: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Our own options, without dashes, and what is the browser's."""
    ours: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        name, equals, value = rest[0].partition("=")
        if name == "--" and not equals:
            return ours, rest[1:]
        if name not in _OURS:
            break
        if equals:
            rest = rest[1:]
        elif len(rest) > 1:
            value, rest = rest[1], rest[2:]
        else:
            break
        ours[name.removeprefix("--")] = value
    return ours, rest


def main(arguments: Sequence[str], daemon: list[str] | None = None) -> int:
    """Run the program; the browser's exit code, or 2 if there is no browser to start."""
    ours, rest = split(arguments)
    found = paths.find(ours.get("data"))
    browser = Path(os.path.abspath(ours["browser"])) if "browser" in ours else found.firefox
    try:
        return asyncio.run(_run(browser, rest, found, daemon))
    except ProgramError as exc:
        tell(str(exc), window=True)
        return exc.code


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What the browser gets: what we have, and the word that names work."""
    return {**environ, "TOR_ENABLE_NAMECOIN": "1"}


async def _run(browser: Path, arguments: list[str], found: paths.Paths, daemon: list[str] | None) -> int:
    folder = paths.plain(browser.parent)
    try:
        # Not asyncio's: that kills a child which is still there at the end.
        process = subprocess.Popen(
            [paths.plain(browser), *arguments],
            executable=paths.plain(paths.extended(browser)),
            # Windows has none that is longer.
            cwd=folder if len(folder) < paths.LONGEST else None,
            env=environment(os.environ),
        )
    except OSError as exc:
        hint = "this program belongs into a Tor Browser's folder"
        raise ProgramError(program.WRONG, f"{browser}: the browser does not start: {exc.strerror}; {hint}") from None
    gone = asyncio.Event()
    threading.Thread(target=_wait, args=(process, gone, asyncio.get_running_loop()), daemon=True).start()
    with running.until_signalled() as signalled:
        naming = asyncio.create_task(_names(found, daemon, gone))
        both = asyncio.gather(naming, gone.wait())
        ending = asyncio.create_task(signalled.wait())
        await asyncio.wait((both, ending), return_when=asyncio.FIRST_COMPLETED)
        # The browser is its user's: a signal to us ends only what is ours.
        for task in (both, ending):
            task.cancel()
        await asyncio.wait((both,))
        await asyncio.wait((naming,))
    return process.poll() or program.DONE


def _wait(process: subprocess.Popen[bytes], gone: asyncio.Event, loop: asyncio.AbstractEventLoop) -> None:
    process.wait()
    # Closed: a signal was first.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(gone.set)


async def _names(found: paths.Paths, daemon: list[str] | None, gone: asyncio.Event) -> None:
    """Make names work, for as long as that goes."""
    try:
        with program.prepared(found, daemon) as plan:
            await running.supervise(Supervisor(plan, gone))
    except ProgramError as exc:
        tell(f"{exc}; the browser goes on without .bit names" if exc.code else str(exc))
