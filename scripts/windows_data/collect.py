"""From the text files of each source to plain facts: which DLLs there are, what they export on which machine."""

from __future__ import annotations

import ast
import posixpath
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from packager.deps.windows import MACHINES
from packager.errors import BuildError
from scripts.windows_data import definitions, specs
from scripts.windows_data.preprocess import preprocess

#: mingw-w64's macro for each machine, and the folders whose definitions its libraries are made from.
_MACROS = {"x86_64": "DEF_X64", "i686": "DEF_I386", "arm64": "DEF_ARM64"}
_FOLDERS = {"x86_64": "lib64", "i686": "lib32", "arm64": "libarm64"}
_COMMON = "lib-common"
_CRT = "mingw-w64-crt/"
#: delvewheel's name for each machine.
_LISTS = {"x86_64": "ignore_names_x64", "i686": "ignore_names_x86", "arm64": "ignore_names_arm64"}


@dataclass(slots=True)
class Facts:
    """What a source says of one DLL: names and fixed ordinals by machine.

    ``doubtful`` are names that were not meant for the machine but for others; ``whole`` are the machines for which the
    source set out to list everything.
    """

    names: dict[str, set[str]] = field(default_factory=lambda: {machine: set() for machine in MACHINES})
    ordinals: dict[str, dict[int, str | None]] = field(default_factory=lambda: {machine: {} for machine in MACHINES})
    doubtful: dict[str, set[str]] = field(default_factory=lambda: {machine: set() for machine in MACHINES})
    whole: set[str] = field(default_factory=set)

    def add(self, machine: str, name: str | None, ordinal: int | None) -> None:
        """One export on one machine."""
        if name is not None:
            self.names[machine].add(name)
        if ordinal is not None:
            self.ordinals[machine][ordinal] = name

    def update(self, other: Facts) -> None:
        """Add what another source says; where both name an ordinal, this one's name stays."""
        for machine in MACHINES:
            self.names[machine] |= other.names[machine]
            self.doubtful[machine] |= other.doubtful[machine]
            self.ordinals[machine] = {**other.ordinals[machine], **self.ordinals[machine]}
        self.whole |= other.whole


def wine_wanted(path: str) -> bool:
    """Whether a file of Wine's source is read."""
    parts = path.split("/")
    return len(parts) == 3 and parts[0] == "dlls" and (parts[2].endswith(".spec") or parts[2] == "Makefile.in")


def wine(texts: Mapping[str, str]) -> tuple[dict[str, Facts], dict[str, tuple[str, dict[str, str]]]]:
    """Wine's DLLs by file name, and its API sets (without revision: host, other hosts by importer)."""
    dlls: dict[str, Facts] = {}
    api_sets: dict[str, tuple[str, dict[str, str]]] = {}
    for path, text in sorted(texts.items()):
        folder, file = posixpath.split(path)
        name = specs.module(texts.get(f"{folder}/Makefile.in", ""))
        if not file.endswith(".spec") or name is None or name.endswith("16"):
            continue
        if file == "apisetschema.spec":
            api_sets = specs.api_sets(text)
        facts = Facts(whole=set(MACHINES))
        for entry in specs.parse(text, path):
            for machine in entry.machines:
                facts.add(machine, entry.name, entry.ordinal)
        dlls[name] = facts
    return dlls, api_sets


def mingw_wanted(path: str) -> bool:
    """Whether a file of mingw-w64's source is read: definitions, and headers for the versions in them."""
    top, _, rest = path.partition("/")
    if f"{top}/" == _CRT:
        folder = rest.partition("/")[0]
        return folder in (_COMMON, "def-include", *_FOLDERS.values()) and rest.endswith((".def", ".def.in"))
    # The driver kit's headers say since when a function is documented, which is not since when there is one.
    return top == "mingw-w64-headers" and rest.startswith("include/") and rest.endswith(".h")


def mingw(texts: Mapping[str, str]) -> dict[str, Facts]:
    """The DLLs and API sets that mingw-w64 makes import libraries for, by file name.

    Where a machine's folder has a definition of its own, the common one is for the other machines. Often the own one is
    only older, though, so that what it lacks is doubtful.
    """
    found: defaultdict[str, Facts] = defaultdict(Facts)
    own = {path for path in texts if not path.startswith(f"{_CRT}{_COMMON}/")}
    prefix = f"{_CRT}def-include/"
    includes = {path.removeprefix(prefix): text for path, text in texts.items() if path.startswith(prefix)}
    for path, text in sorted(texts.items()):
        folder = path.removeprefix(_CRT).partition("/")[0]
        if not path.startswith(_CRT) or folder not in (_COMMON, *_FOLDERS.values()):
            continue
        for machine in MACHINES:
            if folder not in (_COMMON, _FOLDERS[machine]):
                continue
            plain = preprocess(text, frozenset({_MACROS[machine]}), includes, path) if path.endswith(".in") else text
            definition = definitions.parse(plain, path)
            if definition is None:
                continue
            facts = found[definition.dll]
            specific = path.replace(f"/{_COMMON}/", f"/{_FOLDERS[machine]}/").removesuffix(".in")
            replaced = folder == _COMMON and not own.isdisjoint({specific, f"{specific}.in"})
            for export in definition.exports:
                if not replaced:
                    facts.add(machine, export.name, export.ordinal)
                elif export.name is not None:
                    facts.doubtful[machine].add(export.name)
            # The folders of single machines are dumps of old versions of Windows that nobody looks after.
            if folder == _COMMON:
                facts.whole.add(machine)
    return dict(found)


def headers(texts: Mapping[str, str]) -> list[str]:
    """mingw-w64's headers."""
    return [text for path, text in sorted(texts.items()) if path.endswith(".h")]


def delvewheel_wanted(path: str) -> bool:
    """Whether a file of delvewheel's source is read."""
    return path == "delvewheel/_dll_list.py"


def delvewheel(texts: Mapping[str, str]) -> frozenset[str]:
    """The DLLs in the system folders of every Windows since 7 SP1 (x86, x64) or 10 (ARM64), out of sets in its code."""
    (text,) = texts.values()
    found: dict[str, set[str]] = {}
    for node in ast.parse(text).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else None
        if isinstance(node, ast.Assign) and isinstance(target, ast.Name) and target.id in _LISTS.values():
            found[target.id] = set(ast.literal_eval(node.value))
    if len(found) != len(_LISTS) or not all(found.values()):
        raise BuildError(f"delvewheel's _dll_list.py: expected {', '.join(_LISTS.values())}, found {', '.join(found)}")
    return frozenset(name.lower() for names in found.values() for name in names)
