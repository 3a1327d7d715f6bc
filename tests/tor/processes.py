"""Processes as Linux sees them: who runs below another, what they are for the launcher, what memory they take."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

#: What a command line has in it, with slashes of one kind, by role; the first that fits.
_ROLES = {
    "supervisor": re.compile(r"/(namecoin|Start Tor Browser with Namecoin)\.exe|tests/tor/(native|timed)\.py"),
    "daemon": re.compile(r"namecoin_launcher\.daemon|tests/tor/double\.py"),
    "watchdog": re.compile(r"namecoin_resolver/watchdog\.pyc?"),
    "browser": re.compile(r"/firefox(\.exe)?(\s|$)"),
    "wineserver": re.compile(r"(^|/)wineserver"),
}
OURS = ("supervisor", "daemon", "watchdog")


@dataclass(frozen=True, slots=True)
class Process:
    """A process: its id out here, and its role; empty if it is none of ours."""

    pid: int
    role: str
    line: str

    def kill(self) -> None:
        """SIGKILL; nothing if it is gone already."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    @property
    def memory(self) -> tuple[float, float]:
        """RSS and PSS in MiB; PSS counts a page that several processes share in parts."""
        text = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        found = dict(re.findall(r"^(Rss|Pss): +(\d+) kB", text, re.MULTILINE))
        return int(found["Rss"]) / 1024, int(found["Pss"]) / 1024

    @property
    def cpu(self) -> float:
        """Seconds of processor time so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def below(pid: int) -> list[Process]:
    """All that run below a process. What loses its parent belongs to the first process of its namespace: still here."""
    return [made for child in _descendants(pid) if (made := _process(child)) is not None]


def ours(pid: int) -> dict[str, list[Process]]:
    """The launcher's processes below a process, by role."""
    found: dict[str, list[Process]] = {role: [] for role in OURS}
    for process in below(pid):
        if process.role in found:
            found[process.role].append(process)
    return found


def _process(pid: int) -> Process | None:
    with contextlib.suppress(OSError):
        if re.search(r"^State:\s+[ZX]", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE):
            return None
        line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
        plain = line.replace("\\", "/")
        return Process(pid, next((role for role, pattern in _ROLES.items() if pattern.search(plain)), ""), line)
    return None


def _descendants(pid: int) -> Iterator[int]:
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in children.read_text("ascii").split():
                yield int(child)
                yield from _descendants(int(child))
