"""Build a bundle again, from an empty store, and say whether it is the same: everything, down to the build root, anew.

Only source files may come from the user's store, as their hashes bind them. With a perturbation the second build runs
from a copy of the project, in surroundings that differ from the first's in all that a build might notice (see
``perturb``); what of it took effect is observed, not assumed.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from packager import pipeline, process, rebuilder, trees
from packager.diff.compare import compare
from packager.diff.model import Difference
from packager.disk import disk_errors
from packager.errors import BuildError, CheckError, MachineError, PackagerError, SourceError, SpecError
from packager.manifest import SUMS, parse_sums
from packager.perturb import Perturbed, Surroundings, choose, make_names, observe_inside, observe_outside
from packager.perturb import compare as compare_surroundings
from packager.progress import Clock, Reporter, Timing
from packager.sandbox import Perturbation
from packager.sources.fetch import entry_key
from packager.specs.load import Project, bundle_path
from packager.store import Store, remove

EARLIER = "from the store, made earlier"
ANEW = "built from an empty store"
#: What of a project a copy needs, besides what its specs name.
_PROJECT = ("bundle_specs", "patches", "launcher", "LICENSE", "pyproject.toml")
#: As root; an ordinary user gets a user namespace, too, and in it what mounting and naming the host takes.
_NAMESPACES = ("--mount", "--propagation=private", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc")
_USER = ("--user", "--map-current-user", "--keep-caps")
_ERRORS: dict[int, type[PackagerError]] = {
    kind.exit_code: kind for kind in (CheckError, SpecError, SourceError, BuildError, MachineError)
}


@dataclass(frozen=True, slots=True)
class Made:
    """One of the builds that are compared: where it comes from, in words, its outputs' folder and sums."""

    origin: str
    folder: Path
    sums: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild found.

    ``sums`` are those of the last build; ``lock`` is as :func:`pipeline.compare_lock` says; ``first`` says in words
    what else it was compared with, None where the lock sufficed. ``perturbations`` lists what was varied, and what
    could not be; ``differences`` explains the first file that differs, and names the others. ``kept`` is the folder
    with the rebuilt outputs where they were to be kept.
    """

    title: str
    sums: Mapping[str, str]
    lock: str
    first: str | None
    perturbations: tuple[Perturbed, ...]
    differences: tuple[Difference, ...]
    timings: tuple[Timing, ...]
    kept: Path | None = None

    @property
    def same(self) -> bool:
        """Nothing differs, neither from the lock nor from the first build."""
        return self.lock != "mismatch" and not self.differences


def rebuild(
    project: Project,
    spec: str,
    options: pipeline.Options,
    store: Store,
    clock: Clock,
    *,
    perturb: bool = False,
    work: Path | None = None,
    keep: bool = False,
    fresh_sources: bool = False,
) -> Rebuilt:
    """Build ``spec`` anew and compare it with the lock and, where that says nothing or ``perturb``, with a first build.

    The first build is the one in ``store`` if it has that very result, else one that is made from an empty store, too.
    All work is done in ``work`` (absent or empty; by default a folder in the store's ``tmp``, so on its disk), which
    is removed at the end unless ``keep``. With ``fresh_sources`` even sources are fetched again.

    Raises SpecError for options that do not go together, and whatever the pipeline raises.
    """
    if options.offline:
        raise SpecError("a rebuild makes its build root anew, which needs the network", hint="leave out --offline")
    if keep and work is None:
        raise SpecError("what is to be kept needs a place", hint="name an empty folder with --work")
    start = len(clock.timings)
    plan = pipeline.make_plan(project, spec, options)
    with _workplace(store, work, keep=keep) as place, _advice(keep=keep):
        maker = _Maker(plan, spec, store, clock, place, fresh_sources)
        first = maker.earlier()
        perturbations: tuple[Perturbed, ...] = ()
        if perturb:
            first = first or maker.plain("first")
            second, perturbations, timings = maker.perturbed()
        else:
            second, timings = maker.plain("second"), ()
        lock = pipeline.compare_lock(plan, second.sums)
        if first is None and lock != "match":
            first = maker.plain("first")
        return Rebuilt(
            plan.title,
            second.sums,
            lock,
            None if first is None else first.origin,
            perturbations,
            () if first is None else explain(first, second, plan.outputs),
            (*clock.timings[start:], *timings),
            second.folder if keep else None,
        )


@contextlib.contextmanager
def _workplace(store: Store, work: Path | None, *, keep: bool) -> Iterator[Path]:
    """Where to work: a work folder of the store, which a later run sweeps if this one is killed, or the given one."""
    if work is None:
        with store.work() as place:
            yield place
        return
    if work.exists() and (not work.is_dir() or any(work.iterdir())):
        raise SpecError(f"{work}: expected an empty folder, or none")
    place = Path(os.path.abspath(work))
    try:
        with disk_errors(place):
            place.mkdir(parents=True, exist_ok=True)
            yield place
    finally:
        if not keep:
            remove(place)


@contextlib.contextmanager
def _advice(*, keep: bool) -> Iterator[None]:
    """A step that failed says where its log is: that place is about to be removed."""
    try:
        yield
    except BuildError as exc:
        if not keep:
            exc.hint = exc.hint or "run it again with --work FOLDER --keep, which leaves the logs there"
        raise


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes the builds of one comparison, each in a folder of its own below ``place``."""

    plan: pipeline.Plan
    spec: str
    store: Store
    clock: Clock
    place: Path
    fresh_sources: bool

    def earlier(self) -> Made | None:
        """The very result, if the user's store has it."""
        entry = self.store.find(self.plan.emitted_key)
        return None if entry is None else Made(EARLIER, entry.tree, parse_sums((entry.tree / SUMS).read_text("ascii")))

    def plain(self, name: str) -> Made:
        """A build from an empty store, in this process."""
        store = self._empty_store(self.place / name / "store")
        built = pipeline.build_bundle(self.plan, store, self.clock, self.place / name / "out")
        return Made(ANEW, built.out, built.sums)

    def perturbed(self) -> tuple[Made, tuple[Perturbed, ...], tuple[Timing, ...]]:
        """A build from an empty store in other surroundings, in a process of its own.

        Sources and root are had before, in these surroundings: their hashes and the toolchain's lock bind them, and a
        network cannot be used with another clock.
        """
        reporter = self.clock.reporter
        base = self.place / "else+where~1" / "base"
        mount = base.parent / "a.b" / "second"
        mount.mkdir(parents=True)
        store = self._empty_store(base / rebuilder.STORE)
        pipeline.fetch_everything(self.plan, store, self.clock)
        root = store.find(self.plan.root.key)
        assert root is not None
        spec = copy_project(self.plan, self.spec, base / rebuilder.CLONE)
        names = base / rebuilder.NAMES
        make_names(names)
        options = self.plan.options
        here = Surroundings(
            clone=str(self.plan.project.root),
            store=str(self.store.root),
            jobs=options.jobs,
            outside=observe_outside(names),
            inside=observe_inside(
                root.tree, names, base / "seen-first", Perturbation(), store.log("observe"), reporter
            ),
        )
        namespaces = _namespaces()
        job = rebuilder.Job(
            base=str(base),
            mount=str(mount),
            spec=spec,
            target=options.target,
            epoch=options.epoch,
            key=self.plan.emitted_key.digest,
            started=here.outside.clock,
            variation=choose(options.jobs),
            private=bool(namespaces),
        )
        file = base / "job.json"
        file.write_bytes(msgspec.json.encode(job))
        run_child(namespaces, file, base / rebuilder.CLONE, reporter)
        outcome = msgspec.json.decode((base / rebuilder.OUTCOME).read_bytes(), type=rebuilder.Outcome)
        rows = compare_surroundings(here, outcome.surroundings, outcome.reasons)
        return Made(f"{ANEW}, perturbed", base / rebuilder.OUT, outcome.sums), rows, outcome.timings

    def _empty_store(self, root: Path) -> Store:
        """A new store with nothing in it but, unless they are to be fetched, the sources that the bundle needs."""
        store = Store.open(root, self.clock.reporter)
        if not self.fresh_sources:
            for key in _sources(self.plan):
                if (self.store.root / "sources" / key).is_dir():
                    trees.copy_tree(self.store.root / "sources" / key, root / "sources" / key)
        return store


def _sources(plan: pipeline.Plan) -> Iterator[str]:
    """The names of the folders that the sources of a bundle have in a store."""
    packages = (pipeline.package_source(package) for package in plan.lock.packages)
    for source in (plan.bundle.source, *(item.source for item in plan.components), *packages):
        yield entry_key(source)
        if source.signature is not None:
            yield source.signature.sha256


def copy_project(plan: pipeline.Plan, spec: str, dest: Path) -> str:
    """Copy what a build of ``plan`` reads of its project, and the packager, to ``dest``; the spec's name there.

    A spec that lies outside the project keeps its path.
    """
    project = plan.project
    named = (
        *plan.bundle.application.patches,
        *(path for item in plan.components for path in (*item.patches, *item.overlays)),
    )
    for name in dict.fromkeys((*_PROJECT, *named)):
        source = project.root / name
        # What a folder copied before has brought along is there already.
        if source.exists() and not (dest / name).exists():
            _copy(source, dest / name)
    _copy(Path(__file__).parent, dest / "packager")
    path = bundle_path(project, spec)
    if "/" not in spec and not spec.endswith(".toml"):
        return spec
    absolute, top = path.resolve(), project.root.resolve()
    return str(absolute.relative_to(top) if absolute.is_relative_to(top) else absolute)


def _copy(source: Path, dest: Path) -> None:
    dest.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, dest, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, dest)


def _namespaces() -> tuple[str, ...]:
    """The command that starts another in namespaces of its own; nothing where this machine does not let us."""
    if shutil.which("unshare") is None:
        return ()
    line = ("unshare", *(() if os.geteuid() == 0 else _USER), *_NAMESPACES, "--")
    return line if process.call([*line, "true"]).returncode == 0 else ()


@dataclass(slots=True)
class _Relay:
    """Takes the lines that the second build prints, and tells the reporter what they say."""

    reporter: Reporter
    error: PackagerError | None = None
    #: Lines of another form: what Python or the loader says by itself.
    other: list[str] = field(default_factory=list)

    def line(self, text: str) -> None:
        """Take one line."""
        match self._decoded(text):
            case ["stage", name, detail]:
                self.reporter.stage(name, detail)
            case ["done", name, detail, seconds, cached]:
                self.reporter.done(name, detail, seconds, cached=cached)
            case ["note", note]:
                self.reporter.note(note)
            case ["output", output]:
                self.reporter.output(output)
            case ["error", code, message, details, hint]:
                kind = _ERRORS.get(code, BuildError)
                self.error = kind(f"in the perturbed build: {message}", details=details, hint=hint)
            case _:
                self.other.append(text)
                self.reporter.output(text)

    @staticmethod
    def _decoded(text: str) -> Any:
        try:
            return json.loads(text)
        except ValueError:
            return None


def run_child(namespaces: Sequence[str], job: Path, clone: Path, reporter: Reporter) -> None:
    """Run the second build's program, from the copy ``clone``, on the file ``job``; ``namespaces`` begins its command.

    Raises the error that it reports, as the kind that it was there; BuildError when it ends otherwise than well.
    """
    relay = _Relay(reporter)
    try:
        process.stream(
            [*namespaces, sys.executable, "-m", rebuilder.__name__, str(job), "enter"],
            what="the perturbed build",
            log=job.with_suffix(".log"),
            env={**os.environ, "PYTHONPATH": str(clone)},
            cwd=clone,
            on_line=relay.line,
        )
    except BuildError as exc:
        if relay.error is not None:
            raise relay.error from None
        raise BuildError(exc.message, details=relay.other[-process.TAIL_LINES :]) from exc


def explain(first: Made, second: Made, names: Sequence[str]) -> tuple[Difference, ...]:
    """What differs: the first of ``names`` with another sum down to the field, then each that has another or none."""
    known = first.sums.keys() | second.sums.keys()
    different = [name for name in names if name in known and first.sums.get(name) != second.sums.get(name)]
    told = [Difference(name, "sha256", first.sums.get(name), second.sums.get(name)) for name in different]
    both = [name for name in different if name in first.sums and name in second.sums]
    try:
        detail = compare(first.folder / both[0], second.folder / both[0]) if both else ()
    except PackagerError as exc:
        # That the sums differ must be said all the same.
        detail = (Difference(both[0], "cannot be explained", detail=str(exc)),)
    return (*detail, *told)
