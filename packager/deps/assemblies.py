"""Which side-by-side assemblies a file's manifest names, where they are, and which DLLs come out of them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from packager.deps import sxs
from packager.deps.facts import File
from packager.deps.world import World
from packager.errors import PEError

#: IMAGE_DLLCHARACTERISTICS_NO_ISOLATION, the linker's /ALLOWISOLATION:NO: the loader leaves manifests aside.
_NO_ISOLATION = 0x0200


@dataclass(frozen=True, slots=True)
class Bound:
    """One assembly that a file needs.

    ``manifest`` is the file that describes it, empty where Windows has it, None where it is missing. ``dlls`` maps the
    DLLs that come out of it, in lower case, to their files, empty ones for Windows' own.
    """

    assembly: sxs.Assembly
    manifest: str | None
    dlls: Mapping[str, str]


def bound(path: str, file: File, application: str, world: World) -> tuple[Bound, ...]:
    """The assemblies that the file ``path`` needs in a program of the folder ``application``.

    Raises PEError when its manifest, or that of an assembly in the tree, cannot be read.
    """
    return tuple(_bound(assembly, application, os.path.dirname(path), world) for assembly in _needs(path, file, world))


def _needs(path: str, file: File, world: World) -> tuple[sxs.Assembly, ...]:
    """What the manifest in the file names or, if it has none, the one beside it."""
    if file.image is not None and file.image.dll_characteristics & _NO_ISOLATION:
        return ()
    if file.manifest_error is not None:
        raise PEError(file.manifest_error)
    if file.manifest is not None:
        return file.manifest.needs
    is_dll = file.image is None or file.image.is_dll
    beside = world.find(os.path.dirname(path), f"{os.path.basename(path)}{'.2' if is_dll else ''}.manifest")
    return _read(beside).needs if beside is not None else ()


def _bound(assembly: sxs.Assembly, application: str, folder: str, world: World) -> Bound:
    if (dlls := sxs.WINDOWS.get(assembly.name.lower())) is not None:
        return Bound(assembly, "", dict.fromkeys(dlls, ""))
    for place in dict.fromkeys((application, folder)):
        for inside in (place, world.subfolder(place, assembly.name)):
            for suffix in (".dll", ".manifest"):
                if inside and (manifest := world.find(inside, assembly.name + suffix)) is not None:
                    return Bound(assembly, manifest, _dlls(manifest, world))
    return Bound(assembly, None, {})


def _dlls(manifest: str, world: World) -> dict[str, str]:
    """The DLLs of an assembly that lie beside its manifest; one that is a DLL with a manifest in it is its only one."""
    if manifest.lower().endswith(".dll"):
        return {os.path.basename(manifest).lower(): manifest}
    found = ((name, world.find(os.path.dirname(manifest), name)) for name in _read(manifest).files)
    return {name.lower(): path for name, path in found if path is not None}


def _read(path: str) -> sxs.Manifest:
    try:
        with open(path, "rb") as file:
            return sxs.parse(file.read(sxs.MOST_BYTES + 1))
    except OSError as exc:
        raise PEError(f"manifest {os.path.basename(path)}: expected to read it, found: {exc.strerror}") from exc
