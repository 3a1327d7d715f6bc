"""The modules met so far, by their ids: files of the tree, DLLs of Windows, and names that nothing has."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from packager.deps import facts
from packager.deps.facts import File
from packager.deps.model import Module, WindowsData
from packager.deps.names import encodable
from packager.deps.symbols import Exports, Offers, exports_of
from packager.deps.world import World
from packager.pe.imports import Symbol


class Unknown:
    """What a module offers of which nothing is known."""

    names: frozenset[str] = frozenset()

    def has_name(self, _name: str) -> bool | None:
        """Not known."""
        return None

    def has_ordinal(self, _ordinal: int) -> bool | None:
        """Not known."""
        return None


_UNKNOWN = Unknown()


@dataclass(slots=True)
class Modules:
    """``system`` is a folder that is taken for Windows' own, or empty; ``paths`` are the files' paths by module."""

    world: World
    windows: WindowsData
    system: str
    files: dict[str, File] = field(default_factory=dict)
    known: dict[str, Module] = field(default_factory=dict)
    paths: dict[str, str] = field(default_factory=dict)
    exports: dict[tuple[str, bool], Exports | Unknown] = field(default_factory=dict)

    def read(self, paths: Sequence[str]) -> None:
        """Read the facts about many files at once."""
        self.files.update(facts.read_all(paths))

    def file(self, path: str) -> File:
        """The facts about a file, read once."""
        if (found := self.files.get(path)) is None:
            found = self.files[path] = facts.read(path)
        return found

    def of(self, path: str, dll: str) -> str:
        """The id of the module that is the file ``path`` or, if that is empty, Windows' ``dll`` (in lower case)."""
        if not path and self.system:
            path = self.world.find(self.system, dll) or ""
        module_id = self.world.show(path) if path else f"windows:{dll}"
        if module_id not in self.known:
            if path:
                self.paths[module_id] = path
                file = self.file(path)
                is_dll = file.image is None or file.image.is_dll
                name = encodable(os.path.basename(path))
                made = Module(module_id, name, "tree", file.machine, is_dll, error=file.error)
            else:
                made = Module(module_id, dll, "windows", since=self.windows.since(dll))
            self.known[module_id] = made
        return module_id

    def missing(self, name: str) -> str:
        """The id of the module that stands for a name which nothing has."""
        module_id = f"missing:{name.lower()}"
        self.known.setdefault(module_id, Module(module_id, name, "missing"))
        return module_id

    def assembly(self, name: str, manifest: str) -> str:
        """The id of a side-by-side assembly: its manifest's or, if that is empty, Windows' own."""
        module_id = self.world.show(manifest) if manifest else f"windows:{name}"
        self.known.setdefault(module_id, Module(module_id, name, "tree" if manifest else "windows"))
        return module_id

    def offers(self, module_id: str, machine: str) -> Offers:
        """What a module exports in a process of ``machine``; None if it is missing."""
        module = self.known[module_id]
        if module.origin == "missing":
            return None
        if module.origin == "windows":
            return self.windows.exports(module.name, machine) or _UNKNOWN
        key = (module_id, machine == "x86_64")
        if (found := self.exports.get(key)) is None:
            path = self.paths.get(module_id)
            image = self.file(path).seen_from(machine) if path is not None else None
            found = self.exports[key] = exports_of(image) if image is not None else _UNKNOWN
        return found

    def since(self, dll: str, symbols: Iterable[Symbol]) -> tuple[str | None, str | None]:
        """The first Windows that has a DLL and all the symbols, as far as is known, and the symbol that says so."""
        versions = self.windows.versions
        newest, which = _rank(versions, self.windows.since(dll)), None
        for symbol in symbols:
            if symbol.name is not None and (version := self.windows.since(dll, symbol.name)) is not None:
                rank = _rank(versions, version)
                if rank > newest:
                    newest, which = rank, symbol.name
        return (versions[newest] if newest >= 0 else None), which


def _rank(versions: Sequence[str], version: str | None) -> int:
    return versions.index(version) if version in versions else -1
