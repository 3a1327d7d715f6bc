"""The staged tree: interpreter, application, dependencies, native files, stubs and licences put in their places.

What goes where is written as contributions, each from one source, so that every file of the bundle has a known origin.
All paths are those of the portable form until :func:`place` moves the files to where the bundle's layout has them.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from packager import trees
from packager.errors import BuildError, SpecError
from packager.layout import Layout
from packager.manifest import file_mode
from packager.nativecode import HEAD, NativeFile, native_kind, refuse_native
from packager.platforms import PLATFORMS
from packager.prune import apply_prune
from packager.specs import model

PROVENANCE = "provenance.json"


@dataclass(frozen=True, slots=True)
class Contribution:
    """A file or folder to be copied to ``to`` (``.`` is the bundle's top), and the name of the source it comes from.

    ``by_file`` names the source of single files, by their path in the bundle, where a folder holds several sources'.
    """

    source: str
    path: Path
    to: str
    by_file: Mapping[str, str] = field(default_factory=dict)


def assemble(contributions: Iterable[Contribution], tree: Path) -> dict[str, str]:
    """Copy every contribution into ``tree``; returns each file's source. BuildError where two claim one path."""
    provenance: dict[str, str] = {}
    folded: dict[str, str] = {}
    for part in contributions:
        for relative, origin in _placed(part):
            other = folded.get(relative.lower())
            if other is not None:
                raise BuildError(
                    f"{relative}: two sources claim this path: {provenance[other]} ({other}) and {part.source}",
                    hint="Windows does not tell names apart by case: prune one of them or place it elsewhere",
                )
            folded[relative.lower()] = relative
            provenance[relative] = part.by_file.get(relative, part.source)
            target = tree / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            trees.copy_file(origin, target)
            target.chmod(file_mode(relative))
    return provenance


def _placed(part: Contribution) -> Iterable[tuple[str, Path]]:
    if part.path.is_file():
        yield part.to, part.path
        return
    if not part.path.is_dir():
        raise SpecError(f"{part.source}: {part.path.name}: not among the files that it makes")
    prefix = "" if part.to == "." else f"{part.to.rstrip('/')}/"
    for node in trees.files(part.path):
        if node.is_link:
            raise BuildError(f"{part.source}: {node.path}: a symbolic link cannot go into a bundle")
        yield prefix + node.path, node.absolute


def prune(tree: Path, rules: Sequence[model.Prune], provenance: Mapping[str, str], spec: str) -> dict[str, str]:
    """Take out what the rules name, and folders that this empties; returns the sources of what stays."""
    gone = {path for done in apply_prune(tree, rules, spec) for path in done.paths}
    return {path: source for path, source in provenance.items() if path not in gone}


def place(tree: Path, dest: Path, provenance: Mapping[str, str], layout: Layout) -> dict[str, str]:
    """Move the files of ``tree`` to where ``layout`` has them below the new folder ``dest``; returns their sources.

    Both folders are on one file system, and nothing but empty folders is left in ``tree``.
    """
    dest.mkdir()
    placed: dict[str, str] = {}
    for path, source in provenance.items():
        target = layout.place(path)
        (dest / target).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).rename(dest / target)
        placed[target] = source
    return placed


def refuse_vendored_native(tree: Path, provenance: Mapping[str, str], vendored: Collection[str]) -> None:
    """SpecError for compiled code that came with the application or a Python dependency and not from a component."""
    found: dict[str, list[NativeFile]] = {}
    for path, source in provenance.items():
        if source in vendored:
            with (tree / path).open("rb") as stream:
                kind = native_kind(path, stream.read(HEAD))
            if kind is not None:
                found.setdefault(source, []).append(NativeFile(path, kind))
    for source, files in sorted(found.items()):
        refuse_native(source, files)


def bundle_description(bundle: model.Bundle, target: model.Target) -> bytes:
    """``bundle.json``: what `packager run` and other tools need to know of a bundle they are given as a folder."""
    platform = PLATFORMS[target]
    document = {
        "name": bundle.name,
        "version": bundle.version,
        "target": target,
        "python": platform.python,
        "entry_points": [
            {"name": point.name, "path": f"{point.name}{platform.suffix}", "console": point.console}
            for point in bundle.entry_points
        ],
    }
    return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode("ascii")
