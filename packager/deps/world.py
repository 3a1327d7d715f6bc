"""The files that an analysis may look at: folders as Windows sees them, PE files and Python files in them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from packager.deps.names import encodable, windows_key
from packager.errors import SpecError
from packager.pe.kinds import PE_SUFFIXES, is_pe

#: A zip archive may have modules, too.
_PYTHON_SUFFIXES = frozenset({".py", ".pyw", ".pyc", ".zip"})
#: A folder with all of these is a copy of Windows' own system folder, not a program's.
_SYSTEM_FOLDER = ("ntdll.dll", "kernel32.dll", "kernelbase.dll")


@dataclass(frozen=True, slots=True)
class Input:
    """What one argument stands for. Paths are absolute.

    ``folder`` is the folder itself; for a single file the one it lies in, or that of its bundle. ``files`` are its PE
    files, ``python`` its Python files and zip archives. ``bundles`` are the bundles in it: for each its folder and its
    Python program.
    """

    folder: str
    is_file: bool
    files: tuple[str, ...]
    python: tuple[str, ...] = ()
    bundles: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class World:
    """Folders, looked into once each. ``top`` is what shown paths are relative to; empty: they are shown whole."""

    top: str
    listed: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    shown: dict[str, str] = field(default_factory=dict)

    def names(self, folder: str) -> dict[str, list[str]]:
        """The files in a folder, by their names' keys; more than one under a key are twins on Windows."""
        if (found := self.listed.get(folder)) is None:
            found = {}
            try:
                with os.scandir(folder) as entries:
                    names = sorted(entry.name for entry in entries if entry.is_file())
            except OSError:
                names = []
            for name in names:
                found.setdefault(windows_key(name), []).append(name)
            self.listed[folder] = found
        return found

    def find(self, folder: str, name: str) -> str | None:
        """The path of a folder's file ``name``, in any case; of twins the one spelled just so, or the first."""
        if "/" in name or "\\" in name:
            return None
        found = self.names(folder).get(windows_key(name))
        if found is None:
            return None
        return os.path.join(folder, name if name in found else found[0])

    def subfolder(self, folder: str, name: str) -> str | None:
        """The path of a folder's subfolder ``name``, in any case."""
        key = windows_key(name)
        try:
            with os.scandir(folder) as entries:
                found = sorted(entry.name for entry in entries if windows_key(entry.name) == key and entry.is_dir())
        except OSError:
            return None
        return os.path.join(folder, found[0]) if found else None

    def show(self, path: str) -> str:
        """The path as findings have it."""
        if (shown := self.shown.get(path)) is None:
            relative = os.path.relpath(path, self.top) if self.top and inside(path, self.top) else path
            shown = self.shown[path] = "./" if relative == "." else encodable(relative.replace(os.sep, "/"))
        return shown

    def is_system_folder(self, folder: str) -> bool:
        """Whether a folder is a copy of Windows' own."""
        return all(self.find(folder, name) for name in _SYSTEM_FOLDER)


def collect(paths: Sequence[Path]) -> tuple[Input, ...]:
    """What the arguments stand for; those that lie in another one are left out, as it has them already.

    Links in folders are passed over. Raises SpecError for an argument that is neither a file nor a folder.
    """
    whole = [os.path.abspath(path) for path in paths if path.is_dir()]
    found: dict[str, Input] = {}
    for path in paths:
        absolute = os.path.abspath(path)
        if absolute not in found and not any(inside(absolute, top) for top in whole if top != absolute):
            found[absolute] = _folder(absolute) if path.is_dir() else _file(path, absolute)
    return tuple(found.values())


def inside(path: str, folder: str) -> bool:
    """Whether a path is the folder or lies in it; both are absolute."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _file(path: Path, absolute: str) -> Input:
    """A single file; one in a bundle belongs to it."""
    if not path.is_file():
        found = "something else" if path.exists() else "nothing"
        raise SpecError(f"{path}: expected a file or a folder, found {found}")
    folder = os.path.dirname(absolute)
    for above in Path(absolute).parents:
        interpreter = _interpreter(str(above / "bundle.json"))
        if interpreter is not None:
            return Input(str(above), True, (absolute,), bundles=((str(above), interpreter),))
    return Input(folder, True, (absolute,))


def _folder(top: str) -> Input:
    files: list[str] = []
    python: list[str] = []
    bundles: list[tuple[str, str]] = []
    for file in _walk(top):
        suffix = os.path.splitext(file)[1].lower()
        if suffix in _PYTHON_SUFFIXES:
            python.append(file)
        elif suffix in PE_SUFFIXES or is_pe(Path(file)):
            files.append(file)
        elif os.path.basename(file) == "bundle.json" and (interpreter := _interpreter(file)) is not None:
            bundles.append((os.path.dirname(file), interpreter))
    return Input(top, False, tuple(files), tuple(python), tuple(bundles))


def _walk(top: str) -> Iterator[str]:
    for root, folders, names in os.walk(top):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(root, name)
            if not os.path.islink(path) and os.path.isfile(path):
                yield path


def _interpreter(description: str) -> str | None:
    """The Python program of the bundle that ``description`` (its bundle.json) describes, if it is one."""
    try:
        document = json.loads(Path(description).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    python = document.get("python") if isinstance(document, dict) else None
    if not isinstance(python, str):
        return None
    path = os.path.normpath(os.path.join(os.path.dirname(description), *python.split("/")))
    return path if os.path.isfile(path) else None
