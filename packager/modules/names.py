"""Which modules a bundle's tree has: its files by the names that they are imported under."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

INIT = "__init__"
MAIN = "__main__"
_COMPILED, _EXTENSION = ".pyc", ".pyd"
#: What belongs to installed distributions and is read by no module but this one.
METADATA_READER = "importlib.metadata"
_METADATA = ".dist-info"

#: ``code`` and ``extension`` are files; a ``namespace`` is a folder with modules but without ``__init__``; the
#: interpreter has the code of ``builtin`` and ``frozen`` modules in itself (a frozen one may be a file too).
What = Literal["code", "extension", "namespace", "builtin", "frozen"]


@dataclass(frozen=True, slots=True)
class Module:
    """A module: its full name, what it is, and its file in the tree (empty where it has none)."""

    name: str
    what: What
    path: str = ""
    is_package: bool = False

    @property
    def package(self) -> str:
        """The package that relative imports in it start from."""
        return self.name if self.is_package else self.name.rpartition(".")[0]


@dataclass(frozen=True, slots=True)
class Names:
    """``modules`` by name; ``names`` of each file, the one that it is first found under first; ``folders`` of sys.path.

    ``owners`` are, for every other file below these folders, the packages one of which has to stay for it to stay.
    """

    modules: Mapping[str, Module]
    names: Mapping[str, tuple[str, ...]]
    folders: tuple[str, ...]
    owners: Mapping[str, tuple[str, ...]]

    def parents(self, name: str) -> Iterator[str]:
        """The packages that are imported before a module is, nearest first."""
        while "." in name:
            name = name.rpartition(".")[0]
            yield name

    def of_path(self, path: str) -> str | None:
        """The name of a file's module: the first one; None for what is none."""
        found = self.names.get(path)
        return found[0] if found else None


def search_path(pth: str, folder: str, before: Iterable[str] = ()) -> tuple[str, ...]:
    """The folders of sys.path: ``before``, then those that ``python3XX._pth`` in ``folder`` names.

    ``pth`` is its text: one folder per line, ``#`` for comments, ``import site`` (see "Finding modules" in Python's
    documentation of Windows).
    """
    lines = (line.partition("#")[0].strip() for line in pth.splitlines())
    named = (line.replace("\\", "/") for line in lines if line and not line.startswith("import "))
    return tuple(dict.fromkeys((*before, *(posixpath.normpath(f"{folder}/{line}") for line in named))))


def find_names(
    paths: Iterable[str], folders: Collection[str], builtin: Iterable[str] = (), frozen: Iterable[str] = ()
) -> Names:
    """The modules among ``paths``, searched for in ``folders`` in this order, as Python's own finders do.

    Of two files for one name in one folder the extension module counts, and a package before both; of two folders the
    earlier one. A file below two of the folders has a name in each.
    """
    every = sorted(paths)
    modules: dict[str, Module] = {name: Module(name, "builtin") for name in builtin}
    for name in frozen:
        modules.setdefault(name, Module(name, "frozen"))
    found: dict[str, Module] = {}
    for folder in folders:
        here: dict[str, Module] = {}
        for path in every:
            if path.startswith(f"{folder}/"):
                for module in _module(path, path[len(folder) + 1 :]):
                    if module.name not in here or _rank(module) < _rank(here[module.name]):
                        here[module.name] = module
        for name, module in here.items():
            other = found.get(name)
            if other is None or (other.what == "namespace" and module.what != "namespace"):
                found[name] = module
    # A package hides a namespace's parts elsewhere, and whatever lies below another one of its name.
    for name, module in found.items():
        own = modules.get(name)
        if own is None or own.what == "frozen":
            modules[name] = module
    names: dict[str, list[str]] = {}
    order = {folder: number for number, folder in enumerate(folders)}
    for module in sorted(found.values(), key=lambda module: module.name):
        if module.path and modules.get(module.name) == module:
            names.setdefault(module.path, []).append(module.name)
    shortest = {path: tuple(sorted(its, key=lambda name: (name.count("."), name))) for path, its in names.items()}
    tree = [path for path in every if any(path.startswith(f"{folder}/") for folder in order)]
    packages: dict[str, list[str]] = {}
    for path, its in shortest.items():
        packages.setdefault(posixpath.dirname(path), []).extend(its)
    owners = {path: _owners(path, packages, folders) for path in tree if path not in shortest}
    return Names(modules, shortest, tuple(folders), owners)


_ORDER: tuple[What, ...] = ("extension", "code", "namespace")


def _rank(module: Module) -> tuple[bool, int]:
    """Which of two files for one name counts: the lesser."""
    return module.what == "namespace" or not module.is_package, _ORDER.index(module.what)


def _module(path: str, relative: str) -> Iterator[Module]:
    """The module that a file is, and the folders on the way to it."""
    stem, suffix = posixpath.splitext(relative)
    parts = stem.split("/")
    if suffix == _EXTENSION:
        parts[-1] = parts[-1].partition(".")[0]
    if suffix not in (_COMPILED, _EXTENSION) or not all(part.isidentifier() for part in parts):
        return
    is_package = parts[-1] == INIT
    if is_package:
        parts.pop()
    if parts:
        yield Module(".".join(parts), "code" if suffix == _COMPILED else "extension", path, is_package)
    for end in range(1, len(parts)):
        yield Module(".".join(parts[:end]), "namespace", "", is_package=True)


def _owners(path: str, packages: Mapping[str, list[str]], folders: Collection[str]) -> tuple[str, ...]:
    """The modules of the nearest folder above a file that has some; of distributions' metadata, their reader."""
    folder = posixpath.dirname(path)
    if any(part.endswith(_METADATA) for part in folder.split("/")):
        return (METADATA_READER,)
    while folder not in packages and folder not in folders and "/" in folder:
        folder = posixpath.dirname(folder)
    return tuple(sorted(packages.get(folder, ()))) if folder not in folders else ()
