"""Another surrounding for a build: what is varied, how a step is shown it, and what of it took effect.

Nothing here enters any key; a build without a variation is not touched. Whether a variation was applied is never
assumed: two observations (data/observe.py), one of each build's surroundings, are compared.
"""

from __future__ import annotations

import datetime
import glob
import os
import runpy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from packager.component import TOOLS_FOLDER
from packager.progress import Reporter
from packager.sandbox import OUT, SRC, TOOLS, Perturbation, Sandbox

DAY = 86400
#: Where what the sandbox needs for it lies inside.
_INSIDE = "/build/perturbed"
_GIVEN = "/build/given"
_CLOCK = f"{_INSIDE}/libfaketime.so.1"
_SHUFFLER = f"{_INSIDE}/shuffle.py"
_CLOCKS = ("/usr/lib/*/faketime/libfaketime.so.1", "/usr/lib*/faketime/libfaketime.so.1", "/usr/lib*/libfaketime.so.1")
#: Most bytes that a source takes while it is built, and as much again: they are kept in memory for a shuffled copy.
SHUFFLE_ROOM = 3_000_000_000
#: Ambient settings that builds often heed; this one must not.
_AMBIENT = {
    "CC": "/bin/false",
    "CFLAGS": "-O0 -g",
    "LDFLAGS": "-Wl,--build-id",
    "MAKEFLAGS": "-k",
    "SOURCE_DATE_EPOCH": "1",
    "TAR_OPTIONS": "--mtime=@1",
}


class Variation(msgspec.Struct, frozen=True, kw_only=True):
    """The values of the second build. ``days`` is how far its clock is ahead, ``clock`` libfaketime's path (or None).

    ``cpus`` are those that it may use, ``shown_cpus`` how many the sandbox says there are; ``shuffle``: sources are
    copied in a shuffled order, for want of a file system that shuffles.
    """

    user: str
    uid: int
    gid: int
    host: str
    umask: int
    zone: str
    language: str
    jobs: int
    days: int
    clock: str | None
    seed: int
    cpus: tuple[int, ...]
    shown_cpus: int
    shuffle: bool = False


@dataclass(frozen=True, slots=True)
class Perturbed:
    """One thing that was varied: its values in both builds as observed, and why not where it was not ``applied``."""

    name: str
    applied: bool
    first: str
    second: str
    reason: str = ""


def choose(jobs: int) -> Variation:
    """Values that this process's surroundings do not have; ``jobs`` are those of the first build."""
    cpus = sorted(os.sched_getaffinity(0))
    return Variation(
        user=_other(("weaver", "fuller"), os.environ.get("USER")),
        uid=4321,
        gid=8765,
        host=_other(("loom", "mill"), os.uname().nodename),
        umask=0o077,
        zone=_other(("Pacific/Kiritimati", "America/Adak"), os.environ.get("TZ")),
        language=_other(("tr_TR.UTF-8", "fr_CA.UTF-8"), os.environ.get("LC_ALL") or os.environ.get("LANG")),
        jobs=jobs + 1,
        days=400,
        clock=_library(),
        seed=_other((31337, 42), os.environ.get("PYTHONHASHSEED")),
        # One less is as good as one, and on a large machine much faster.
        cpus=tuple(cpus[:-1] or cpus),
        shown_cpus=(os.cpu_count() or 1) + 5,
    )


def _other(choices: Sequence[Any], present: object) -> Any:
    return next(choice for choice in choices if str(choice) != str(present))


def _library() -> str | None:
    return next((path for pattern in _CLOCKS for path in sorted(glob.glob(pattern))), None)


def clock_variables(variation: Variation, library: str) -> dict[str, str]:
    """What makes a program's clock run ahead, by libfaketime at ``library``.

    Times of files stay the true ones, both when they are read and when they are set to now: libfaketime would shift
    them for some of the system's calls only, and make rebuild for ever. Intervals are not touched.
    """
    return {
        "LD_PRELOAD": library,
        "FAKETIME": f"+{variation.days}d",
        "NO_FAKE_STAT": "1",
        "FAKE_UTIME": "1",
        "DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def outside(variation: Variation, home: Path) -> dict[str, str]:
    """The variables that the second build's packager is started with, over those of this process."""
    return {
        "HOME": str(home),
        "LANG": variation.language,
        "LANGUAGE": variation.language,
        "LC_ALL": variation.language,
        "LOGNAME": variation.user,
        "PYTHONHASHSEED": str(variation.seed),
        "TZ": variation.zone,
        "USER": variation.user,
        **_AMBIENT,
    }


def inside(variation: Variation, folder: Path) -> Perturbation:
    """What the second build's sandbox shows to every step; the files for it are written into ``folder``."""
    files = {
        "/etc/passwd": f"root:x:0:0:root:/root:/bin/bash\n{variation.user}:x:{variation.uid}:{variation.gid}::"
        "/build/home:/bin/sh\n",
        "/etc/group": f"root:x:0:\n{variation.user}:x:{variation.gid}:\n",
        "/proc/cpuinfo": "".join(f"processor\t: {n}\nmodel name\t: another\n\n" for n in range(variation.shown_cpus)),
        "/sys/devices/system/cpu/online": f"0-{variation.shown_cpus - 1}\n",
        "/sys/devices/system/cpu/possible": f"0-{variation.shown_cpus - 1}\n",
    }
    binds: dict[str, Path] = {}
    for path, text in files.items():
        binds[path] = folder / path.strip("/").replace("/", "-")
        binds[path].write_text(text, "ascii")
    if variation.shuffle:
        binds[_SHUFFLER] = TOOLS_FOLDER / "shuffle.py"
    env = {"PYTHONHASHSEED": str(variation.seed)}
    if variation.clock is not None:
        binds[_CLOCK] = Path(variation.clock)
        env |= clock_variables(variation, _CLOCK)
    return Perturbation(
        hostname=variation.host,
        user=(variation.uid, variation.gid),
        env=env,
        tmpfs=("/sys", SRC) if variation.shuffle else ("/sys",),
        binds=binds,
        moved={SRC: _GIVEN} if variation.shuffle else {},
        wrapper=("python3", _SHUFFLER, _GIVEN, SRC) if variation.shuffle else (),
    )


def is_ahead(clock: int, started: int) -> bool:
    """Whether a clock is so far ahead of the true one that only libfaketime can have set it."""
    return clock - started > 300 * DAY


class Observation(msgspec.Struct, frozen=True):
    """What data/observe.py writes."""

    clock: int
    zone: str
    host: str
    user: str
    ids: str
    umask: str
    hash: int
    cpus: int | None
    usable: int
    order: tuple[str, ...]
    folder: str
    variables: Mapping[str, str]


def make_names(folder: Path) -> None:
    """Make the folder whose order is observed: enough names that no two orders are the same by chance."""
    folder.mkdir()
    for number in range(40):
        (folder / f"{number:02}").touch()


def observe_outside(names: Path) -> Observation:
    """What this very process sees."""
    found = runpy.run_path(str(TOOLS_FOLDER / "observe.py"))["observe"](str(names))
    return msgspec.convert(found, Observation)


def observe_inside(
    root: Path, names: Path, work: Path, perturbation: Perturbation, log: Path, reporter: Reporter
) -> Observation:
    """What a step sees in the sandbox; ``work`` is a folder to be made for it. Raises as :meth:`Sandbox.run`."""
    work.mkdir()
    Sandbox(root, writable={OUT: work}, binds={SRC: names, TOOLS: TOOLS_FOLDER}, perturbation=perturbation).run(
        ["python3", f"{TOOLS}/observe.py", SRC, f"{OUT}/seen.json"], what="observing", log=log, reporter=reporter
    )
    return msgspec.json.decode((work / "seen.json").read_bytes(), type=Observation)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """One build's: its clone, its store, its jobs, and what was observed outside and inside its sandbox."""

    clone: str
    store: str
    jobs: int
    outside: Observation
    inside: Observation


def compare(first: Surroundings, second: Surroundings, reasons: Mapping[str, str]) -> tuple[Perturbed, ...]:
    """What was varied and what not. ``reasons`` say why something was not, by the row's name or its first words."""
    rows = [
        _row("clone path", first.clone, second.clone),
        _row("build folder", first.store, second.store),
        *_both("user name", first, second, lambda seen: f"{seen.user} ({seen.ids})"),
        *_both("host name", first, second, lambda seen: seen.host),
        # The packager sets its own, as nothing that it makes may depend on the user's: it is looked at before.
        _row("umask", first.outside.umask, second.outside.umask),
        _row("TZ", *(_variable(item, "TZ", item.outside.zone) for item in (first, second))),
        _row("LANG", *(_variable(item, "LC_ALL", _variable(item, "LANG", "unset")) for item in (first, second))),
        _row("HOME", *(_variable(item, "HOME", "unset") for item in (first, second))),
        _row("variables", *(_ambient(item) for item in (first, second))),
        _row("jobs", str(first.jobs), str(second.jobs)),
        *_both("readdir order", first, second, _order),
        *_both("clock", first, second, _date, lambda a, b: is_ahead(b.clock, a.clock)),
        *_both("PYTHONHASHSEED", first, second, lambda seen: f"hash('packager') = {seen.hash}"),
        *_both("CPU count", first, second, lambda seen: f"{seen.cpus}, {seen.usable} usable"),
    ]
    return tuple(row if row.applied else _explained(row, reasons) for row in rows)


def _row(name: str, first: str, second: str) -> Perturbed:
    return Perturbed(name, first != second, first, second)


def _both(
    name: str,
    first: Surroundings,
    second: Surroundings,
    show: Callable[[Observation], str],
    differ: Callable[[Observation, Observation], bool] | None = None,
) -> tuple[Perturbed, Perturbed]:
    """One row for the packager's own process and one for the steps in the sandbox."""
    pairs = ((name, first.outside, second.outside), (f"{name} in the sandbox", first.inside, second.inside))
    one, two = (
        Perturbed(label, differ(a, b) if differ else show(a) != show(b), show(a), show(b)) for label, a, b in pairs
    )
    return one, two


def _explained(row: Perturbed, reasons: Mapping[str, str]) -> Perturbed:
    reason = next((text for name, text in reasons.items() if row.name.startswith(name)), "tried, without effect")
    return Perturbed(row.name, False, row.first, row.second, reason)


def _variable(item: Surroundings, name: str, otherwise: str) -> str:
    return item.outside.variables.get(name, otherwise)


def _ambient(item: Surroundings) -> str:
    return " ".join(f"{name}={item.outside.variables.get(name, '')}" for name in ("CC", "CFLAGS", "SOURCE_DATE_EPOCH"))


def _order(seen: Observation) -> str:
    return f"{' '.join(seen.order[:8])} ..."


def _date(seen: Observation) -> str:
    return datetime.datetime.fromtimestamp(seen.clock, datetime.UTC).date().isoformat()
