"""The application and its Python dependencies: vendored, generated, compiled to ``.pyc``; one result in the store."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packager import launcher, trees
from packager.component import TOOLS_FOLDER, Environment, apply_patch, collect_licences
from packager.errors import BuildError, SpecError
from packager.keys import Key, code_digest, path_digest
from packager.platforms import PLATFORMS, Platform, platform_of
from packager.progress import Reporter
from packager.pylock import Lock, LockedPackage
from packager.sandbox import DEPS, OUT, SRC, TOOLS, Sandbox
from packager.sources.unpack import unpack
from packager.specs import model
from packager.specs.load import Project
from packager.stage import PROVENANCE
from packager.store import Entry, Store
from packager.vendor import (
    Distribution,
    InstalledFile,
    Licence,
    Text,
    install_path,
    install_sdist_packages,
    install_wheel,
    licence_of,
    read_sdist,
    read_wheel,
    unmet_requirements,
    wheel_members,
)

#: The bundle's folder for the application and its dependencies.
APP = "app"
LICENCES = "licences"
ICONS = "icons"
COMPILER = "compile_tree.py"
#: A Python of an interpreter's version for this machine, in its output where the root's python3 is of another version.
HOST_PYTHON = "host/bin/python3"


@dataclass(frozen=True, slots=True)
class Vendored:
    """What is known of an application's result: its folder, and where each of its files comes from."""

    entry: Entry
    provenance: Mapping[str, str]
    licences: Mapping[str, str]

    @property
    def licence_folders(self) -> Mapping[str, Path]:
        """Licence texts by source name."""
        return {path.name: path for path in sorted((self.entry.path / LICENCES).iterdir())}


def application_key(
    bundle: model.Bundle, lock: Lock, python: str, project: Project, environment: Environment, interpreter: Key
) -> Key:
    """Everything that goes into the vendored application; prune rules and entry points do not.

    ``interpreter`` counts where it compiles the modules, as it does not on a target that the build root cannot run.
    """
    return Key(
        "application",
        bundle.name,
        {
            "version": bundle.version,
            "python": python,
            "components": [native.component for native in bundle.native],
            "source": bundle.source.identity,
            "licence_files": bundle.licence_files,
            "install": bundle.application.install,
            "patches": [path_digest(project.root / patch) for patch in bundle.application.patches],
            "launcher": {name: launcher.package_digest(project, name) for name in bundle.application.launcher},
            "generated": bundle.generated,
            "icons": sorted({point.icon for point in bundle.entry_points if point.icon is not None}),
            "dependencies": [
                {"name": package.name, "version": package.version, "sha256": package.sha256}
                for package in lock.packages
            ],
            "override": bundle.dependencies.override,
            "environment": environment.inputs(),
            "compiler": path_digest(TOOLS_FOLDER / COMPILER),
            **({"interpreter": interpreter.digest} if platform_of(bundle).native else {}),
            "code": code_digest(__name__, "packager.vendor", "packager.nativecode", "packager.sources.unpack"),
        },
    )


def build_application(
    bundle: model.Bundle,
    key: Key,
    source: Path,
    lock: Lock,
    python: str,
    interpreter: Path,
    packages: Sequence[tuple[LockedPackage, Path]],
    project: Project,
    environment: Environment,
    root: Path,
    store: Store,
    reporter: Reporter,
) -> tuple[Vendored, bool]:
    """Vendor the application, or find it in the store (then True). ``interpreter`` is the folder of its output."""
    platform = platform_of(bundle)

    def build(folder: Path) -> None:
        with store.work() as work:
            src, plain, compiled = work / "src", work / "plain", folder / "tree"
            unpack(source, src)
            for patch in bundle.application.patches:
                apply_patch(project.root / patch, src, bundle.name)
            provenance: dict[str, str] = {}
            licences: dict[str, str] = {bundle.name: bundle.licence}
            _generate(bundle, src, root, environment, store, reporter)
            collect_licences(src, bundle.licence_files, folder / LICENCES / bundle.name, bundle.name)
            _icons(bundle, src, folder / ICONS)
            overrides = {override.name: override for override in bundle.dependencies.override}
            for package, archive in packages:
                reporter.output(f"vendoring {package.name} {package.version}")
                override = overrides.get(package.name)
                with store.work() as scratch:
                    files, licence = _vendor(bundle, lock, python, package, archive, override, plain / APP, scratch)
                licences[package.name] = licence.expression
                _write_texts(licence.texts, folder / LICENCES / package.name)
                provenance.update({f"{APP}/{file.path}": package.name for file in files})
            for rule in bundle.application.install:
                if not rule.to.startswith(f"{APP}/"):
                    raise SpecError.at(bundle.name, "application.install.to", f"a path below {APP}/", rule.to)
                files = install_path(src, rule.from_, plain, rule.to)
                provenance.update({file.path: bundle.name for file in files})
            for name in bundle.application.launcher:
                files = install_path(project.root / launcher.FOLDER, name, plain, f"{APP}/{name}")
                provenance.update({file.path: launcher.SOURCE for file in files})
            compiled.mkdir()
            log = store.log(f"{bundle.name}-compile")
            Sandbox(
                root,
                writable={OUT: compiled},
                binds={SRC: plain, TOOLS: TOOLS_FOLDER, f"{DEPS}/{bundle.interpreter}": interpreter},
                env=environment.variables(),
                perturbation=environment.perturbation,
            ).run(
                [compiling_python(bundle.interpreter, interpreter, platform), f"{TOOLS}/{COMPILER}", f"{SRC}/{APP}",
                 f"{OUT}/{APP}", "--prefix", APP, "--jobs", str(environment.jobs)],
                what=f"compiling {bundle.name} to .pyc",
                log=log,
                reporter=reporter,
            )  # fmt: skip
            moved = _sources_of_compiled(compiled, provenance)
            (folder / PROVENANCE).write_text(
                json.dumps({"files": moved, "licences": licences}, indent=1, sort_keys=True), "utf-8"
            )

    entry, cached = store.make(key, build)
    record = json.loads((entry.path / PROVENANCE).read_text("utf-8"))
    return Vendored(entry, record["files"], record["licences"]), cached


def compiling_python(name: str, interpreter: Path, platform: Platform) -> str:
    """The Python, as the sandbox has it, that compiles for the interpreter ``name`` with the output ``interpreter``."""
    if platform.native:
        return f"{DEPS}/{name}/bundle/{platform.python}"
    return f"{DEPS}/{name}/{HOST_PYTHON}" if (interpreter / HOST_PYTHON).is_file() else "python3"


def _generate(
    bundle: model.Bundle, src: Path, root: Path, environment: Environment, store: Store, reporter: Reporter
) -> None:
    for rule in bundle.generated:
        log = store.log(f"{bundle.name}-generate")
        box = Sandbox(root, writable={SRC: src}, env=environment.variables(), perturbation=environment.perturbation)
        box.run(list(rule.command), what=f"{bundle.name}: generating {rule.output}", log=log, reporter=reporter)
        if not (src / rule.output).is_file():
            raise BuildError(f"{bundle.name}: {rule.command[0]} ended well but {rule.output} is not there")


def _vendor(
    bundle: model.Bundle,
    lock: Lock,
    python: str,
    package: LockedPackage,
    archive: Path,
    override: model.DependencyOverride | None,
    dest: Path,
    scratch: Path,
) -> tuple[tuple[InstalledFile, ...], Licence]:
    """Put one dependency into the application's folder; what was written, and its licence."""
    extra_names = override.licence_files if override is not None else ()
    if package.kind == "wheel":
        files = install_wheel(archive, dest)
        about, extra = read_wheel(archive), wheel_members(archive, extra_names)
    else:
        if override is None or not override.sdist_packages:
            raise SpecError(f"{package.name}: expected the packages to take from its sdist, found none in the spec")
        unpack(archive, scratch / "sdist")
        files = install_sdist_packages(scratch / "sdist", override.sdist_packages, dest)
        about = read_sdist(scratch / "sdist")
        extra = {
            name: (scratch / "sdist" / name).read_bytes()
            for name in extra_names
            if (scratch / "sdist" / name).is_file()
        }
    check_requirements(bundle, about, override, lock, python)
    return files, licence_of(about, override, extra=extra, spec=bundle.name)


def target_markers(python: str, platform: Platform = PLATFORMS[model.FIRST_TARGET]) -> Mapping[str, str]:
    """What dependencies' markers (PEP 508) see: the target with the interpreter ``python`` (``3.13.5``)."""
    return {
        **platform.markers,
        "implementation_name": "cpython",
        "implementation_version": python,
        "platform_python_implementation": "CPython",
        "python_full_version": python,
        "python_version": ".".join(python.split(".")[:2]),
    }


def check_requirements(
    bundle: model.Bundle, package: Distribution, override: model.DependencyOverride | None, lock: Lock, python: str
) -> None:
    """SpecError if a package asks for another one, on the target, that is neither locked, a component nor waived."""
    have = {locked.name for locked in lock.packages} | {native.component for native in bundle.native}
    waived = override.without if override is not None else ()
    unmet = unmet_requirements([package], {*have, *waived}, target_markers(python, platform_of(bundle)))
    if unmet:
        raise SpecError(
            f"{bundle.dependencies.lock}: {'; '.join(unmet)}, which it does not lock",
            hint="lock it, or name it in `without` of a [[dependencies.override]] and say why it can be missing",
        )


def _write_texts(texts: Sequence[Text], dest: Path) -> None:
    for text in texts:
        target = dest / text.path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text.data)


def _icons(bundle: model.Bundle, src: Path, dest: Path) -> None:
    dest.mkdir()
    for point in bundle.entry_points:
        if point.icon is not None:
            if not (src / point.icon).is_file():
                raise SpecError.at(
                    bundle.name, "entry_points.icon", "a file in the source", f"{point.icon}: no such file"
                )
            trees.copy_file(src / point.icon, dest / f"{point.name}.ico")


def _sources_of_compiled(compiled: Path, provenance: Mapping[str, str]) -> dict[str, str]:
    """The source of each compiled file: ``x.pyc`` comes from where ``x.py`` came from."""
    found: dict[str, str] = {}
    for node in trees.files(compiled):
        plain = node.path[:-1] if node.path.endswith(".pyc") else node.path
        source = provenance.get(plain, provenance.get(node.path))
        if source is None:
            raise BuildError(f"{node.path}: the compiled tree has a file that nothing was vendored as")
        found[node.path] = source
    return found
