"""What a bundle is made from: sources, patches, specs and toolchain, as values for the SBOM and the provenance.

Everything here is computed from files that the keys of earlier stages hold fast, never from where sources really came
from on this machine, so that everybody who builds a bundle writes the same.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from packageurl import PackageURL

from packager import launcher
from packager.errors import BuildError
from packager.manifest import SourceRecord
from packager.platforms import platform_of
from packager.pylock import LockedPackage
from packager.specs import load, model
from packager.specs.load import Project
from packager.trees import file_sha256, files

Algorithm = Literal["dirHash", "gitCommit", "sha256"]
_DOCUMENTATION = "usr/share/doc/"
#: ``user@host:path``, which git takes for a URL and nobody else does.
_SCP_STYLE = re.compile(r"^([^/:@]+@[^/:]+):(?!//)(.+)$")


@dataclass(frozen=True, slots=True)
class Digest:
    """A digest by the name that in-toto's DigestSet gives its algorithm, in lower-case hex, and of what it is.

    ``dirHash`` is what `find . -type f | cut -c3- | LC_ALL=C sort | xargs sha256sum | sha256sum` prints in a folder.
    """

    algorithm: Algorithm
    value: str
    of: str


@dataclass(frozen=True, slots=True)
class Input:
    """A file or folder of the project, by its path from the project's top, that goes into a bundle."""

    path: str
    digest: Digest


@dataclass(frozen=True, slots=True)
class Location:
    """Where a source can be had: a URL, a git repository, or a package URL where an index or a mirror has it.

    ``built`` tells wheels and Debian's binary packages, which are made from sources, from sources.
    """

    kind: Literal["git", "own", "package", "url"]
    uri: str
    file: str
    built: bool = False


@dataclass(frozen=True, slots=True)
class Material:
    """One source of a bundle with all that is known of it.

    ``declared`` says which key of which spec gives its licence; ``depends`` are the sources that are linked into it.
    """

    record: SourceRecord
    description: str
    digest: Digest
    locations: tuple[Location, ...]
    declared: str
    patches: tuple[Input, ...] = ()
    overlays: tuple[Input, ...] = ()
    depends: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a plan knows of how a bundle is made; ``specs`` are its :func:`spec_inputs`."""

    project: Project
    specs: tuple[Input, ...]
    bundle: model.Bundle
    components: tuple[model.Component, ...]
    packages: tuple[LockedPackage, ...]
    toolchain: model.Toolchain


def spec_inputs(
    project: Project, spec: str, bundle: model.Bundle, components: Sequence[model.Component]
) -> tuple[Input, ...]:
    """The spec files that say how a bundle is made, its own first. The lock of its sums is an output, so not there.

    A spec outside the project is named by its file name alone: the path would be this machine's.
    """
    sources = (bundle.source, *(component.source for component in components))
    paths = (
        load.bundle_path(project, spec),
        project.specs / bundle.dependencies.lock,
        *([project.specs / bundle.modules.trace] if bundle.modules is not None else []),
        load.policy_path(project, bundle.policy),
        project.specs / "toolchains" / f"{bundle.toolchain}.toml",
        load.toolchain_lock_path(project, bundle.toolchain),
        *dict.fromkeys(path for item in components for path in load.component_files(project, item)),
        *sorted({project.specs / source.signature.keyring for source in sources if source.signature is not None}),
    )
    return tuple(_input(project, path) for path in paths)


def collect(records: Iterable[SourceRecord], recipe: Recipe, root: Path) -> tuple[Material, ...]:
    """Every record with what its spec says of it, in the records' order.

    ``root`` is the build root, which has the files of the toolchain's runtime. BuildError for a record of no spec.
    """
    return tuple(_material(record, recipe, root) for record in records)


def _material(record: SourceRecord, recipe: Recipe, root: Path) -> Material:
    project, bundle = recipe.project, recipe.bundle
    runtime = tuple(item.name for item in recipe.toolchain.runtime)
    if record.kind == "application":
        return Material(
            record,
            bundle.description,
            _source_digest(bundle.source),
            _locations(bundle.source),
            f"`licence` in {recipe.specs[0].path}",
            patches=tuple(_input(project, project.root / patch) for patch in bundle.application.patches),
        )
    if record.kind == "launcher":
        digest = dir_hash(project.root / launcher.FOLDER, launcher.files(project, bundle))
        hashed = ", ".join((*platform_of(bundle).stub, *(f"{name}/" for name in bundle.application.launcher)))
        return Material(
            record,
            "The bundle's programs, which start its python, and the packages in it that are the project's own",
            Digest("dirHash", digest, hashed),
            (Location("own", f"urn:electrum-packager:{launcher.FOLDER}", launcher.FOLDER),),
            "LICENCE in packager/launcher.py",
            depends=runtime,
        )
    for component in recipe.components:
        if component.name == record.name:
            return Material(
                record,
                component.description,
                _source_digest(component.source),
                _locations(component.source),
                f"`licence` in {load.SPECS_FOLDER}/components/{component.name}.toml",
                tuple(_input(project, project.root / patch) for patch in component.patches),
                tuple(_input(project, project.root / overlay) for overlay in component.overlays),
                (*component.depends, *runtime),
            )
    for package in recipe.packages:
        if package.name == record.name:
            origin = model.PypiOrigin(name=package.name, version=package.version, file=package.file)
            return Material(
                record,
                f"Python package, a dependency of {bundle.name}",
                Digest("sha256", package.sha256, package.file),
                (location(origin),),
                f"`licence` in a [[dependencies.override]] of {package.name} in {recipe.specs[0].path}",
            )
    for item in recipe.toolchain.runtime:
        if item.name == record.name:
            purl = PackageURL.from_string(record.purl)
            compiler = "compiler" if platform_of(bundle).native else "cross compiler"
            here = PackageURL(purl.type, purl.namespace, purl.name, purl.version, {"distro": recipe.toolchain.suite})
            return Material(
                record,
                f"What the {compiler} links into every program and library",
                Digest("dirHash", package_hash(root, item.package), f"the files of the Debian package {item.package}"),
                (Location("package", str(here), item.package, built=True),),
                f"`licence` of a [[runtime]] in {load.SPECS_FOLDER}/toolchains/{recipe.toolchain.name}.toml",
            )
    raise BuildError(f"{record.name}: no spec of {bundle.name} knows this source")


def location(origin: model.Origin) -> Location:
    """An origin as a URI. Indexes and mirrors are whatever each machine is set to: those are package URLs."""
    match origin:
        case model.HttpsOrigin():
            return Location("url", origin.url, origin.url.rpartition("/")[2])
        case model.GitOrigin():
            return Location("git", _SCP_STYLE.sub(r"ssh://\1/\2", origin.url), origin.commit)
        case model.PypiOrigin():
            purl = PackageURL("pypi", None, origin.name, origin.version, {"file_name": origin.file})
        case model.DebianOrigin():
            purl = PackageURL("deb", "debian", origin.package, None, {"arch": "source", "distro": origin.suite})
    return Location("package", str(purl), origin.file, built=origin.file.endswith(".whl"))


def dir_hash(folder: Path, names: Iterable[str] | None = None) -> str:
    """The ``dirHash`` of a folder's regular files, caches of Python left out; or of those ``names`` in it."""
    if names is None:
        found = (node.path for node in files(folder) if node.is_file)
        names = [path for path in found if "__pycache__" not in path.split("/")]
    lines = (f"{file_sha256(folder / name)}  {name}\n" for name in sorted(names, key=os.fsencode))
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def package_hash(root: Path, package: str) -> str:
    """The ``dirHash`` of the files that a Debian package put into a root, which are the same for one version of it.

    Of its documentation only the copyright file counts: the changelog of a rebuild names the root's own processor.
    """
    info = root / "var/lib/dpkg/info"
    lists = sorted(path for name in (f"{package}.list", f"{package}:*.list") for path in info.glob(name))
    if not lists:
        raise BuildError(f"{package}: not among the packages of the build root")
    names = [line.lstrip("/") for line in lists[0].read_text("utf-8").splitlines()]
    counted = [name for name in names if not name.startswith(_DOCUMENTATION) or name.endswith("/copyright")]
    return dir_hash(root, [name for name in counted if (root / name).is_file() and not (root / name).is_symlink()])


def _source_digest(source: model.Source) -> Digest:
    if source.sha256 is not None:
        return Digest("sha256", source.sha256, source.file)
    assert source.commit is not None  # specs.load.check_source
    return Digest("gitCommit", source.commit, "the git commit")


def _locations(source: model.Source) -> tuple[Location, ...]:
    return tuple(location(origin) for origin in source.origins)


def _input(project: Project, path: Path) -> Input:
    top, real = project.root.resolve(), path.parent.resolve() / path.name
    name = real.relative_to(top).as_posix() if real.is_relative_to(top) else path.name
    if path.is_dir():
        return Input(name, Digest("dirHash", dir_hash(path), "its files"))
    return Input(name, Digest("sha256", file_sha256(path), path.name))
