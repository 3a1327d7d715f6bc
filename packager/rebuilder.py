"""The second build of ``verify --rebuild --perturb``, as a program: ``python -m packager.rebuilder JOB enter``.

Not for people: ``rebuild`` starts it from a copy of the project, mostly in namespaces of its own, and reads what it
prints: one JSON document a line, each a call of a reporter. It first makes its surroundings (host name, the mount that
shuffles folders, umask, CPUs), which needs privileges, and then replaces itself by the build, which has none of them
and sees the other clock and variables from its first instruction on.
"""

from __future__ import annotations

import ctypes
import dataclasses
import json
import os
import shutil
import signal
import socket
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import msgspec

import packager
from packager import perturb, pipeline, process
from packager.errors import BuildError, MachineError, PackagerError, SpecError
from packager.progress import Clock, Timing
from packager.specs import model
from packager.specs.load import Project
from packager.store import Store

#: prctl(2): the capabilities that an ordinary user was given for the mount must not reach bubblewrap, which refuses
#: to run with them.
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4

CLONE, STORE, OUT, NAMES = "clone", "store", "out", "names"
_STATE = "state.json"
OUTCOME = "outcome.json"


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What to build where.

    ``base`` has ``clone/``, ``store/`` (sources and root) and ``names/``; it is seen at ``mount`` in a shuffled order.
    ``key`` is the digest that the result's key must have; ``started`` is when, in seconds since 1970, by the true
    clock. ``private``: in mount, UTS and PID namespaces of its own.
    """

    base: str
    mount: str
    spec: str
    target: model.Target
    epoch: int | None
    key: str
    started: int
    variation: perturb.Variation
    private: bool


class State(msgspec.Struct, frozen=True, kw_only=True):
    """How the surroundings turned out: the base as it is to be used, the variation, why something was not varied."""

    base: str
    variation: perturb.Variation
    reasons: Mapping[str, str]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What was built: sums by file name, and where the build found itself."""

    sums: Mapping[str, str]
    surroundings: perturb.Surroundings
    reasons: Mapping[str, str]
    timings: tuple[Timing, ...]


class Wire:
    """A reporter that writes each call as one line of JSON to stdout."""

    def stage(self, name: str, detail: str) -> None:
        """See :class:`packager.progress.Reporter`, here and below."""
        self._send("stage", name, detail)

    def done(self, name: str, detail: str, seconds: float, *, cached: bool) -> None:
        self._send("done", name, detail, seconds, cached)

    def note(self, text: str) -> None:
        self._send("note", text)

    def output(self, line: str) -> None:
        self._send("output", line)

    def transfer(self, name: str, received: int, total: int | None) -> None:
        """Not told: nothing is downloaded here."""

    def error(self, exc: PackagerError) -> None:
        """The error that ends the build."""
        self._send("error", exc.exit_code, exc.message, list(exc.details), exc.hint)

    def _send(self, *call: object) -> None:
        print(json.dumps(call), flush=True)


def enter(job: Job, job_file: str) -> NoReturn:
    """Make the surroundings and become the build."""
    reasons: dict[str, str] = {}
    variation = job.variation
    if job.private:
        # What libfaketime keeps there goes when this process does, however it ends; where that fails, it just stays.
        process.call(["mount", "-t", "tmpfs", "tmpfs", "/dev/shm"])
        try:
            socket.sethostname(variation.host)
        except OSError as exc:
            reasons["host name"] = f"cannot be set: {exc.strerror}"
    else:
        reasons["host name"] = "no namespaces of its own can be had here (unshare)"
    fault = _shuffle(job) if job.private else reasons["host name"]
    base = job.base if fault else job.mount
    if fault:
        room = _memory()
        variation = msgspec.structs.replace(variation, shuffle=room >= perturb.SHUFFLE_ROOM)
        instead = "sources are copied in a shuffled order instead"
        if not variation.shuffle:
            instead = f"copies would need {perturb.SHUFFLE_ROOM:,} bytes of memory, {room:,} are free"
        reasons["readdir order"] = f"{fault}; {instead}"
    if variation.clock is None:
        reasons["clock"] = "libfaketime is not installed: apt-get install faketime"
    if len(os.sched_getaffinity(0)) == len(variation.cpus):
        reasons["CPU count"] = "this machine has only one"
    _drop_capabilities()
    os.umask(variation.umask)
    os.sched_setaffinity(0, variation.cpus)
    folder = Path(base)
    home = folder / "home"
    home.mkdir()
    state = State(base=base, variation=variation, reasons=reasons)
    (folder / _STATE).write_bytes(msgspec.json.encode(state))
    environment = {
        **os.environ,
        **perturb.outside(variation, home),
        "PYTHONPATH": str(folder / CLONE),
        **({} if variation.clock is None else perturb.clock_variables(variation, variation.clock)),
    }
    os.chdir(folder / CLONE)
    os.execve(
        sys.executable, [sys.executable, "-m", __spec__.name, str(folder / _STATE), "build", job_file], environment
    )


def _shuffle(job: Job) -> str:
    """Mount ``base`` at ``mount`` with its folders' names in a new order each time; why not, if it cannot be."""
    program = shutil.which("disorderfs")
    if program is None:
        return "disorderfs is not installed: apt-get install disorderfs"
    if not os.path.exists("/dev/fuse"):
        return "no FUSE here: /dev/fuse is missing"
    # Requests are those of several users only where root maps others into the sandbox.
    several = "yes" if os.geteuid() == 0 else "no"
    result = process.call([program, "--shuffle-dirents=yes", f"--multi-user={several}", job.base, job.mount])
    if result.returncode != 0:
        return f"disorderfs: {' '.join(process.tail(result)[-1:]) or process.describe_exit(result.returncode)}"
    return ""


def _memory() -> int:
    """Bytes of memory that can be had without swapping (proc(5), MemAvailable)."""
    for line in Path("/proc/meminfo").read_text("ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def _drop_capabilities() -> None:
    ctypes.CDLL(None).prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)


def build(job: Job, state: State, wire: Wire) -> Outcome:
    """Build in the surroundings that this process was started in. Raises as the pipeline does."""
    base = Path(state.base)
    clone, names, told = base / CLONE, base / NAMES, base / "told"
    outside = perturb.observe_outside(names)
    os.umask(0o022)  # as the command line does
    if not Path(packager.__file__).is_relative_to(clone):
        raise BuildError(f"expected the packager's copy in {clone}, found {packager.__file__}")
    variation, reasons = state.variation, dict(state.reasons)
    options = pipeline.Options(target=job.target, jobs=variation.jobs, offline=True, epoch=job.epoch)
    plan = pipeline.make_plan(Project(clone), job.spec, options)
    if plan.emitted_key.digest != job.key:
        raise BuildError("the copy of the project is not the project: their keys differ")
    store = Store.open(base / STORE, wire)
    root = store.find(plan.root.key)
    if root is None:
        raise BuildError("the build root that was made for this build is gone")
    told.mkdir()
    shown = perturb.inside(variation, told)
    log = store.log("observe")
    inside = perturb.observe_inside(root.tree, names, base / "seen", shown, log, wire)
    if variation.clock is not None and not perturb.is_ahead(inside.clock, job.started):
        # Every program would complain of it on stderr, which some configure scripts read.
        reasons["clock in the sandbox"] = f"{variation.clock} does not work with the build root's C library"
        shown = perturb.inside(msgspec.structs.replace(variation, clock=None), told)
    plan = pipeline.make_plan(Project(clone), job.spec, dataclasses.replace(options, perturbation=shown))
    clock = Clock(wire)
    built = pipeline.build_bundle(plan, store, clock, base / OUT)
    seen = perturb.Surroundings(
        clone=str(clone), store=str(store.root), jobs=variation.jobs, outside=outside, inside=inside
    )
    return Outcome(sums=built.sums, surroundings=seen, reasons=reasons, timings=tuple(clock.timings))


def _stop(_number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + signal.SIGTERM)


def main(argv: Sequence[str]) -> int:
    """``JOB enter``, or ``STATE build JOB``; returns the exit code."""
    if argv[1:2] not in (["enter"], ["build"]):
        print("this is started by `packager verify SPEC --rebuild --perturb`", file=sys.stderr)
        return SpecError.exit_code
    # As the first process of its namespace it gets no signal that it has no handler for.
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    wire = Wire()
    try:
        if argv[1] == "enter":
            enter(msgspec.json.decode(Path(argv[0]).read_bytes(), type=Job), argv[0])
        state = msgspec.json.decode(Path(argv[0]).read_bytes(), type=State)
        job = msgspec.json.decode(Path(argv[2]).read_bytes(), type=Job)
        outcome = build(job, state, wire)
        (Path(state.base) / OUTCOME).write_bytes(msgspec.json.encode(outcome))
    except PackagerError as exc:
        wire.error(exc)
        return exc.exit_code
    except OSError as exc:
        traceback.print_exc()  # for the log
        where = f"{exc.filename}: " if exc.filename else ""
        wire.error(MachineError(f"{where}{exc.strerror or exc}"))
        return MachineError.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
