"""How progress looks: bars and colour on a terminal, plain lines elsewhere, nothing but warnings with --quiet."""

from __future__ import annotations

import sys
import threading
import time

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn
from rich.status import Status

#: Seconds between two plain lines about one download.
PLAIN_INTERVAL = 5.0


class ConsoleReporter:
    """Writes progress to stderr; stdout stays free for results."""

    def __init__(self, *, verbose: int = 0, quiet: bool = False) -> None:
        self._console = Console(file=sys.stderr, highlight=False, soft_wrap=True)
        self.verbose = verbose
        self.quiet = quiet
        self._progress: Progress | None = None
        self._status: Status | None = None
        self._tasks: dict[str, TaskID] = {}
        self._last: dict[str, float] = {}
        self._lock = threading.Lock()

    def stage(self, name: str, detail: str) -> None:
        """Say what begins; on a terminal a line below it lives until the stage ends and shows what programs print."""
        if self.quiet:
            return
        self._say(f"[bold]{name}[/bold] {escape(detail)}")
        if self._console.is_terminal and not self.verbose:
            self._status = self._console.status("")
            self._status.start()

    def done(self, name: str, detail: str, seconds: float, *, cached: bool) -> None:
        """The stage's time, or that the store had it."""
        self.close()
        if not self.quiet:
            how = "in the store" if cached else "done"
            self._say(f"  {name} {detail}: {how} ({seconds:.1f} s)", style="dim", markup=False)

    def note(self, text: str) -> None:
        """Always shown: something went another way than planned."""
        self._say(f"note: {text}", style="yellow", markup=False)

    def output(self, line: str) -> None:
        """Shown with --verbose, else at most as the living line."""
        if self.verbose:
            self._say(f"  | {line}", markup=False)
        elif self._status is not None:
            self._status.update(escape(line[: max(self._console.width - 4, 0)]))

    def transfer(self, name: str, received: int, total: int | None) -> None:
        """A bar on a terminal, a line every few seconds elsewhere."""
        if self.quiet:
            return
        with self._lock:
            if self._console.is_terminal:
                self._bar(name, received, total)
                return
            now = time.monotonic()
            finished = total is not None and received >= total
            if not finished and now - self._last.setdefault(name, now) < PLAIN_INTERVAL:
                return
            self._last[name] = now
        of = f" of {total / 1e6:.1f}" if total else ""
        self._say(f"  {name}: {received / 1e6:.1f}{of} MB", markup=False)

    def error(self, text: str) -> None:
        """An error's message, whole, without markup."""
        self.close()
        self._console.print("error:", style="bold red", end=" ")
        self._console.print(text, markup=False)

    def _bar(self, name: str, received: int, total: int | None) -> None:
        if self._progress is None:
            self.close()  # two displays cannot live at once
            self._progress = Progress(
                TextColumn("  {task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(),
                console=self._console, transient=True,
            )  # fmt: skip
            self._progress.start()
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=total)
        self._progress.update(self._tasks[name], completed=received, total=total)
        if total is not None and received >= total:
            self.close()

    def close(self) -> None:
        """End whatever lives on the terminal."""
        if self._status is not None:
            self._status.stop()
            self._status = None
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
            self._tasks.clear()

    def _say(self, text: str, *, style: str | None = None, markup: bool = True) -> None:
        self._console.print(text, style=style, markup=markup)
