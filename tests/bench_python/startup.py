"""Start-up: what loading modules takes in a fresh process, without what the system takes to start one.

Wine starts a process in tenths of a second, which is its own affair, so nothing is measured from outside. ``pass`` is
the sum of what ``-X importtime`` says that ``python -I -c pass`` spends in imports; ``imports`` is what the clock says
around ``import asyncio, ssl, sqlite3`` in a process of its own. Files come from the page cache.
"""

from __future__ import annotations

import re
import statistics
import subprocess
from collections.abc import Mapping, Sequence

from packager.errors import BuildError
from tests.bench_python.interpreters import Interpreter

MODULES = "asyncio, ssl, sqlite3"
#: What is measured, and the arguments of each.
KINDS: Mapping[str, tuple[str, ...]] = {
    "pass": ("-I", "-X", "importtime", "-c", "pass"),
    "imports": (
        "-I",
        "-c",
        f"import time; t = time.perf_counter(); import {MODULES}; print(time.perf_counter() - t)",
    ),
}
_LINE = re.compile(r"^import time:\s*(\d+) \|\s*(\d+) \|", re.MULTILINE)


def import_time(said: str) -> float:
    """Seconds in all imports, from what ``-X importtime`` printed. ValueError if it printed nothing."""
    found = [int(match[1]) for match in _LINE.finditer(said)]
    if not found:
        raise ValueError("no line of -X importtime")
    return sum(found) / 1e6


def measure(interpreters: Sequence[Interpreter], rounds: int, cpu: int | None) -> dict[str, dict[str, float]]:
    """Median seconds by kind and key: ``rounds`` processes each, in turns, after a round that does not count.

    BuildError for a process that fails.
    """
    found: dict[str, dict[str, list[float]]] = {kind: {one.key: [] for one in interpreters} for kind in KINDS}
    for number in range(rounds + 1):
        for kind in KINDS:
            for interpreter in interpreters:
                seconds = _once(interpreter, kind, cpu)
                if number:
                    found[kind][interpreter.key].append(seconds)
    return {kind: {key: statistics.median(each) for key, each in by.items()} for kind, by in found.items()}


def _once(interpreter: Interpreter, kind: str, cpu: int | None) -> float:
    done = subprocess.run(
        interpreter.command(KINDS[kind], cpu),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env=dict(interpreter.env) or None,
        check=False,
    )
    try:
        return import_time(done.stderr) if kind == "pass" else float(done.stdout)
    except ValueError as exc:
        raise BuildError(
            f"{interpreter.title}: {kind}: ended with {done.returncode} and no time",
            details=done.stderr.splitlines()[-8:],
        ) from exc


def text(found: Mapping[str, Mapping[str, float]], titles: Mapping[str, str], against: str) -> str:
    """A line for each interpreter: milliseconds of each kind, and how often those of ``against`` they are."""
    width = max(len(title) for title in titles.values()) + 4
    kinds = {"pass": "-c pass", "imports": MODULES}
    lines = [" " * width + "".join(f"{kinds[kind]:>26}" for kind in found)]
    for key, title in titles.items():
        cells = ""
        for by in found.values():
            ratio = f"({by[key] / by[against]:.2f})" if against in by else ""
            cells += f"{by[key] * 1e3:16.1f} ms {ratio:>6}"
        lines.append(f"{f'({key}) {title}':{width}}{cells}".rstrip())
    return "\n".join(lines) + "\n"
