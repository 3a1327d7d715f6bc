"""Components: one upstream source, patched and built in the sandbox, as a result in the store."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packager import process, trees
from packager.errors import BuildError, SpecError
from packager.keys import Key, path_digest
from packager.progress import Reporter
from packager.sandbox import DEPS, OUT, SRC, TOOLS, Perturbation, Sandbox
from packager.sources.unpack import unpack
from packager.specs import model
from packager.specs.load import Project
from packager.store import Entry, Store

#: Raised when the way components are built changes, so that stores build theirs anew.
FORMAT = 1
#: Scripts that recipes may run in the sandbox, mounted at /build/tools.
TOOLS_FOLDER = Path(__file__).parent / "data"
LICENCES = "licences"


@dataclass(frozen=True, slots=True)
class Environment:
    """What every step of one build shares: the toolchain, the root's key and tree, the epoch, the jobs.

    ``perturbation`` is, like the jobs, part of no key.
    """

    toolchain: model.Toolchain
    root_key: Key
    epoch: int
    jobs: int
    perturbation: Perturbation = field(default_factory=Perturbation)

    def variables(self) -> dict[str, str]:
        """The variables that recipes see. JOBS is the only one that may differ between builds of one thing."""
        return {
            "CFLAGS": " ".join(self.toolchain.cflags),
            "JOBS": str(self.jobs),
            "LDFLAGS": " ".join(self.toolchain.ldflags),
            "SOURCE_DATE_EPOCH": str(self.epoch),
            "TRIPLET": self.toolchain.triplet,
        }

    def inputs(self) -> dict[str, Any]:
        """The part of a key that the environment gives."""
        return {
            "root": self.root_key.digest,
            "epoch": self.epoch,
            "triplet": self.toolchain.triplet,
            "cflags": self.toolchain.cflags,
            "ldflags": self.toolchain.ldflags,
        }


def component_key(
    component: model.Component, project: Project, environment: Environment, depends: Mapping[str, Key]
) -> Key:
    """Everything that goes into a component, and nothing else: descriptions do not rebuild it."""
    return Key(
        "component",
        component.name,
        {
            "format": FORMAT,
            "version": component.version,
            "source": component.source.identity,
            "patches": [path_digest(project.root / patch) for patch in component.patches],
            "overlays": [path_digest(project.root / overlay) for overlay in component.overlays],
            "licence_files": component.licence_files,
            "script": component.build.script,
            "tools": tools_digests(component.build.script),
            "depends": {name: depends[name].digest for name in component.depends},
            "environment": environment.inputs(),
        },
    )


def tools_digests(script: str) -> Mapping[str, str]:
    """The digests of those tools that a recipe names."""
    tools = sorted(path for path in TOOLS_FOLDER.iterdir() if path.is_file())
    return {path.name: path_digest(path) for path in tools if f"{TOOLS}/{path.name}" in script}


def build_component(
    component: model.Component,
    key: Key,
    source: Path,
    project: Project,
    environment: Environment,
    root: Path,
    depends: Mapping[str, Entry],
    store: Store,
    reporter: Reporter,
) -> tuple[Entry, bool]:
    """Build one component, or find it in the store (then True). BuildError with the end of its log if it fails."""

    def build(folder: Path) -> None:
        with store.work() as work:
            src = work / "src"
            prepare_source(source, src, component.patches, component.overlays, project, component.name)
            out = folder / "tree"
            out.mkdir()
            collect_licences(src, component.licence_files, folder / LICENCES, component.name)
            script = src.parent / "recipe.sh"
            script.write_text(component.build.script, "utf-8")
            box = Sandbox(
                root,
                writable={SRC: src, OUT: out},
                binds={
                    TOOLS: TOOLS_FOLDER,
                    "/build/recipe.sh": script,
                    **{f"{DEPS}/{name}": depends[name].tree for name in component.depends},
                },
                env={**environment.variables(), "VERSION": component.version},
                perturbation=environment.perturbation,
            )
            log = store.log(f"{component.name}")
            box.run(
                ["bash", "-euo", "pipefail", "/build/recipe.sh"],
                what=f"building {component.name} {component.version}",
                log=log,
                reporter=reporter,
            )
            if not any(trees.files(out)):
                raise BuildError(
                    f"building {component.name}: the recipe put nothing into {OUT}", details=[f"log: {log}"]
                )

    return store.make(key, build)


def prepare_source(
    archive: Path, dest: Path, patches: Sequence[str], overlays: Sequence[str], project: Project, name: str
) -> None:
    """Unpack a source, apply its patches in order, copy its overlays over it."""
    unpack(archive, dest)
    for patch in patches:
        apply_patch(project.root / patch, dest, name)
    for overlay in overlays:
        _overlay(project.root / overlay, dest)


def apply_patch(patch: Path, tree: Path, name: str) -> None:
    """Apply one patch with ``patch -p1``, without fuzz. BuildError with the hunks that failed; SpecError if missing."""
    if not patch.is_file():
        raise SpecError(f"{name}: {patch}: no such patch")
    process.which("patch")
    process.check(
        [
            "patch",
            "-p1",
            "--fuzz=0",
            "--batch",
            "--no-backup-if-mismatch",
            "--directory",
            str(tree),
            "--input",
            str(patch),
        ],
        what=f"{name}: applying {patch.name}",
        env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C"},
        hint="the patch does not fit this version of the source: renew the patch, or correct its order in the spec",
    )


def _overlay(source: Path, dest: Path) -> None:
    for node in trees.walk(source):
        if "__pycache__" in node.path.split("/"):
            continue
        target = dest / node.path
        if node.is_folder:
            target.mkdir(exist_ok=True)
        else:
            target.unlink(missing_ok=True)
            trees.copy_file(node.absolute, target)


def collect_licences(source: Path, names: Sequence[str], dest: Path, what: str) -> None:
    """Copy licence texts out of an unpacked source, flat. SpecError for one that is not there."""
    dest.mkdir(parents=True, exist_ok=True)
    for name in names:
        text = source / name
        if not text.is_file():
            raise SpecError.at(what, "licence_files", "a file in the unpacked source", f"{name}: no such file")
        trees.copy_file(text, dest / Path(name).name)
