"""A bundle with no module left out, in its layout, which notes what its programs open."""

from __future__ import annotations

import functools
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from packager import pipeline, trees
from packager.cli.common import _default_store
from packager.console import ConsoleReporter
from packager.modules import record
from packager.modules.plan import ModulePlan, Rules, plan_modules
from packager.modules.rules import load_trace, rules_of
from packager.modules.trace import Interpreter, Trace
from packager.progress import Clock
from packager.specs.load import Project
from packager.store import Store

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Whole:
    """``tree`` is the assembled tree in the portable form; nothing in it is changed."""

    plan: pipeline.Plan
    tree: Path

    @functools.cached_property
    def paths(self) -> list[str]:
        return [node.path for node in trees.files(self.tree)]

    def read(self, path: str) -> bytes:
        return (self.tree / path).read_bytes()

    def rules(self, trace: Trace | None = None, *, strict: bool = True) -> Rules:
        trace = trace or load_trace(self.plan.project, self.plan.bundle.modules)
        return rules_of(self.plan.bundle, trace, self.paths, self.read, strict=strict)

    @functools.cached_property
    def modules(self) -> ModulePlan:
        """Which modules stay by the spec and its trace."""
        return plan_modules(self.paths, self.read, self.rules())

    def recording(self, work: Path) -> tuple[Path, record.Log]:
        """A copy in its layout that notes what is opened, in the new folder ``work``, and its notes."""
        layout = self.plan.layout
        placed = work / "placed"
        for path in self.paths:
            target = placed / layout.place(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            trees.copy_file(self.tree / path, target)
        record.recording_copy(placed, layout.program, work / "bundle", work / "log")
        return work / "bundle", record.Log(work / "log", self.paths)


def whole(spec: str) -> Whole:
    """The bundle of ``spec``, in the usual store, built as far as it is not there. SourceError if a source cannot be had."""
    options = pipeline.Options(target="windows-x86_64", jobs=1, offline=False)
    plan = pipeline.make_plan(Project(ROOT), spec, options)
    reporter = ConsoleReporter(quiet=True)
    entry = pipeline.assembled(plan, Store.open(_default_store(), reporter), Clock(reporter))
    return Whole(plan, entry.tree)


def interpreter(bundle: Path) -> Interpreter:
    """What the python of a bundle's folder says of itself."""
    done = subprocess.run(
        [sys.executable, "-m", "packager", "run", "--python", bundle, "--", "-c", record.ASK],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return record.read_answer(done.stdout)
