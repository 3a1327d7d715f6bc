"""The project's own bundles as plans, and what an emit stage would say of them, without building anything."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

from packager import manifest, materials, pipeline, provenance, sbom
from packager.specs.load import Project
from tests.support import write

ROOT = Path(__file__).parents[1]
SPECS = ("electrum", "electrum-nmc", "electrum-nmc-wallet")
OPTIONS = pipeline.Options(target="windows-x86_64", jobs=1, offline=True)


@functools.cache
def plan(spec: str) -> pipeline.Plan:
    return pipeline.make_plan(Project(ROOT), spec, OPTIONS)


def build_root(top: Path, plan: pipeline.Plan) -> Path:
    """A root with nothing but the toolchain's runtime packages, as dpkg records them."""
    for number, item in enumerate(plan.toolchain.runtime):
        write(top / f"usr/share/{item.package}/file", f"content {number}")
        listed = f"/.\n/usr\n/usr/share\n/usr/share/{item.package}\n/usr/share/{item.package}/file\n"
        write(top / f"var/lib/dpkg/info/{item.package}:amd64.list", listed)
    return top


def described(plan: pipeline.Plan) -> manifest.Manifest:
    """A manifest of the plan's sources, each with one file beside its licence text."""
    licences = {package.name: "MIT" for package in plan.lock.packages}
    records = tuple(sorted(pipeline.source_records(plan, licences), key=lambda record: record.name))
    place = plan.layout.place
    paths = [(place(f"{kind}/{record.name}/x"), record) for record in records for kind in ("app", "licenses")]
    return manifest.Manifest(
        format=1, name=plan.bundle.name, version=plan.bundle.version, target=plan.options.target,
        epoch=plan.environment.epoch, sources=records,
        files=tuple(
            manifest.FileRecord(
                path=path, sha256=hashlib.sha256(path.encode()).hexdigest(), size=1, mode="0644",
                source=record.name, licence=record.licence,
            )
            for path, record in sorted(paths, key=lambda pair: pair[0])
        ),
    )  # fmt: skip


def products(plan: pipeline.Plan) -> dict[str, str]:
    """The names of what goes out, each with the sha256 of its name."""
    names = [name for name in plan.outputs[1:] if not name.endswith((sbom.SUFFIX, provenance.SUFFIX))]
    return {name: hashlib.sha256(name.encode()).hexdigest() for name in names}


def material(plan: pipeline.Plan, root: Path) -> tuple[materials.Material, ...]:
    return materials.collect(described(plan).sources, plan.recipe, root)


def bill(plan: pipeline.Plan, root: Path) -> bytes:
    """The SBOM of a plan."""
    return sbom.describe(
        described(plan), material(plan, root), products(plan),
        interpreter=plan.bundle.interpreter, description=plan.bundle.description,
    )  # fmt: skip


def statement(plan: pipeline.Plan, root: Path) -> provenance.Statement:
    """The provenance of a plan."""
    return pipeline.statement(plan, material(plan, root), products(plan))
