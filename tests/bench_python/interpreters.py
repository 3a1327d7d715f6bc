"""The interpreters that are compared, and how each is started.

(a) is ours under Wine, (b) the same component for Linux, (c) Debian trixie's python3.13. (b) and (c) run in one trixie
root, so that they have the same C library, and no environment but a fixed one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath

from packager import wine
from packager.sandbox import Sandbox

#: Where (b) and the benchmarks lie in the root.
NATIVE = "/build/deps/native"
WORK = "/build/src"
DEBIAN = "/usr/bin/python3.13"


@dataclass(frozen=True, slots=True)
class Interpreter:
    """One of those compared. ``start`` and its arguments after ``python`` make a command line of this machine.

    ``work`` is the folder of benchmarks as the interpreter sees it.
    """

    key: str
    title: str
    start: tuple[str, ...]
    work: str
    env: Mapping[str, str] = field(default_factory=dict)

    def command(self, arguments: Sequence[str], cpu: int | None = None) -> list[str]:
        """The command line of a run, on one processor if ``cpu`` names it."""
        pin = ["taskset", "--cpu-list", str(cpu)] if cpu is not None else []
        return [*pin, *self.start, *arguments]


def windows(
    bundle: Path, installed: wine.Wine, work: Path, *, title: str = "ours, Wine", key: str = "a"
) -> Interpreter:
    """``bundle/python/python.exe`` under Wine, with ``work`` where it is on this machine."""
    run = wine.Run(bundle, PureWindowsPath("python/python.exe"), (), work)
    return Interpreter(key, title, tuple(wine.run_argv(installed, run, wine.this_host())), str(work))


def native(bundle: Path, root: Path, work: Path, *, title: str = "ours, Linux", key: str = "b") -> Interpreter:
    """``bundle/python/python3``, a build for Linux, in the Debian root ``root``."""
    box = Sandbox(root, binds={NATIVE: bundle, WORK: work})
    return Interpreter(key, title, tuple(box.argv([f"{NATIVE}/python/python3"])), WORK, _HOST)


def debian(root: Path, work: Path, *, title: str = "Debian's") -> Interpreter:
    """Debian's own, in the Debian root ``root``."""
    return Interpreter("c", title, tuple(Sandbox(root, binds={WORK: work}).argv([DEBIAN])), WORK, _HOST)


_HOST = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C"}
