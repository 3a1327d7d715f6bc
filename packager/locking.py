"""Write locks: the archives' sums of a bundle, and the package versions of a toolchain."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import tomli_w

from packager import buildroot, pipeline
from packager.progress import Clock
from packager.specs import load, model
from packager.specs.load import Project
from packager.store import Store


def record_sums(plan: pipeline.Plan, sums: Mapping[str, str]) -> Path:
    """Record those sums that everyone must get for the plan's target; other targets' stay. Returns the lock's path."""
    before = load.load_bundle_lock(plan.project, plan.bundle)
    archives = {**before.archives, plan.options.target: plan.locked(sums)}
    path = load.bundle_lock_path(plan.project, plan.bundle)
    _write(path, f"What everyone who builds {plan.bundle.name} must get.", {"archives": dict(sorted(archives.items()))})
    return path


def renew_toolchains(
    project: Project, specs: Sequence[str], target: model.Target, store: Store, clock: Clock
) -> Iterator[Path]:
    """Make each bundle's build root from what the mirror has now, and record its versions. Yields the locks' paths."""
    for name in dict.fromkeys(load.load_variant(project, spec, target).toolchain for spec in specs):
        toolchain = load.load_toolchain(project, name)
        unlocked = buildroot.Root(f"{name}-unlocked", toolchain.suite, toolchain.packages)
        with clock.stage("build root", unlocked.name), store.work() as work:
            buildroot.bootstrap(unlocked, work, clock.reporter)
            lock = buildroot.lock_of(toolchain, buildroot.installed(work / "tree"))
        path = load.toolchain_lock_path(project, name)
        _write(path, f"The versions that shape the bytes of everything built with {name}.", msgspec.to_builtins(lock))
        yield path


def _write(path: Path, title: str, document: Mapping[str, Any]) -> None:
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(f"# Written by `packager lock`. {title}\n{tomli_w.dumps(document)}", "utf-8")
    os.replace(fresh, path)
