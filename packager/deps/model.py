"""The values that an analysis gives: modules, who needs what of whom, what is loaded at run time, and what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

from packager.pe.imports import Symbol

#: Where a module is: a file that was given or found, one of Windows' own, or nowhere.
Origin = Literal["tree", "windows", "missing"]
#: How one module needs another. ``forwarder``: it hands exports on to it, so it is loaded when one of those is asked
#: for; ``assembly``: its manifest names a side-by-side assembly.
Via = Literal["import", "delay-import", "forwarder", "assembly"]
#: An error keeps something from loading, or lets the wrong file load; a warning does not, as far as can be told.
Severity = Literal["error", "warning"]
Kind = Literal[
    "missing-dll",
    "missing-symbol",
    "missing-ordinal",
    "wrong-machine",
    "forwarder-loop",
    "broken-forwarder",
    "unresolved-api-set",
    "missing-assembly",
    "case-twin",
    "planted-name",
    "broken-file",
]


class WindowsExports(Protocol):
    """What a DLL of Windows exports. True: some Windows has it, False: none is known to, None: not known."""

    @property
    def names(self) -> frozenset[str]: ...
    def has_name(self, name: str) -> bool | None: ...
    def has_ordinal(self, ordinal: int) -> bool | None: ...


class WindowsData(Protocol):
    """What is asked of the data about Windows; see :mod:`packager.deps.windows`. Names of DLLs are in lower case."""

    @property
    def known_dlls(self) -> frozenset[str]: ...
    @property
    def origin(self) -> str: ...
    @property
    def versions(self) -> tuple[str, ...]: ...
    def has(self, dll: str) -> bool: ...
    def kind(self, dll: str) -> str | None: ...
    def exports(self, dll: str, machine: str) -> WindowsExports | None: ...
    def api_set(self, name: str, importer: str | None = None) -> str | None: ...
    def since(self, dll: str, symbol: str | None = None) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Module:
    """One node: a PE file, a DLL of Windows, an assembly, or something that is nowhere.

    ``id`` is the path of a file (with ``/``, relative to the one folder that was given, else as it was given), and
    ``windows:NAME`` or ``missing:NAME`` otherwise. ``machine`` is a name of :data:`packager.pe.layout.MACHINES`, with
    ``arm64x`` and ``arm64ec`` told apart. ``root``: nothing needs it but the user, or it is loaded by its path.
    ``since`` is the first Windows that has it, where that is known. ``error`` says why the file could not be read.
    """

    id: str
    name: str
    origin: Origin
    machine: str | None = None
    is_dll: bool = True
    root: bool = False
    since: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Edge:
    """One module needs another.

    ``name`` is what stands in the file. ``target`` is the module that would be loaded, for an API set its host.
    ``rule`` is the rule (:data:`packager.deps.search.RULES`) that finds it, or None. ``symbols`` counts what is asked
    for by name and ordinal, ``missing`` are those that the target lacks; None: what the target has is not known.
    ``plantable``: a file put into a folder that the user can write to would be loaded instead, or is all that could
    be loaded; ``why`` says how, or what keeps that from happening. ``since`` is the first Windows that has the DLL and
    all of the symbols, where the target is Windows' and that is known, and ``since_symbol`` the newest of them (None:
    the DLL, or API set, itself). ``wanted`` are the symbols themselves, empty for a forwarder and an assembly.
    """

    importer: str
    target: str
    name: str
    via: Via
    rule: str | None
    symbols: int = 0
    missing: tuple[str, ...] | None = ()
    plantable: bool = False
    why: str = ""
    since: str | None = None
    since_symbol: str | None = None
    wanted: tuple[Symbol, ...] = ()


@dataclass(frozen=True, slots=True)
class RuntimeLoad:
    """A name that looks like something loaded at run time.

    ``file`` is the module or Python file that has it, at ``line`` where that is known. ``how`` is the call it stands
    in, ``string`` if in none, or ``guess``: compiled Python code does not tell what belongs together. ``target`` is the
    module it probably is, None if there is none of that name.
    """

    file: str
    line: int | None
    name: str
    how: str
    target: str | None


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: in which file, about which DLL and symbol, in words, and what to do about it."""

    kind: Kind
    severity: Severity
    file: str
    dll: str | None
    symbol: str | None
    message: str
    hint: str

    def __str__(self) -> str:
        return f"{self.file}: {self.message}"


@dataclass(frozen=True)
class Graph:
    """The outcome. Modules are sorted by id, edges by importer and then in the file's order.

    ``data_origin`` is what the answers about Windows rest on, and ``versions`` those of Windows that they tell apart,
    oldest first. ``notes`` are remarks about how the input was taken.
    """

    modules: tuple[Module, ...]
    edges: tuple[Edge, ...]
    runtime: tuple[RuntimeLoad, ...]
    findings: tuple[Finding, ...]
    data_origin: str
    versions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether there is no error among the findings."""
        return not any(finding.severity == "error" for finding in self.findings)

    @cached_property
    def by_id(self) -> Mapping[str, Module]:
        """The modules by their ids."""
        return {module.id: module for module in self.modules}

    @cached_property
    def needs(self) -> Mapping[str, tuple[Edge, ...]]:
        """For each module that needs others, its edges."""
        return _grouped(self.edges, lambda edge: edge.importer)

    @cached_property
    def needed_by(self) -> Mapping[str, tuple[Edge, ...]]:
        """For each module that others need, the edges to it."""
        return _grouped(self.edges, lambda edge: edge.target)

    @property
    def newest(self) -> Edge | None:
        """The edge, delay imports aside, that asks for the newest Windows; None: none is known to ask for any."""
        dated = [edge for edge in self.edges if edge.since in self.versions and edge.via == "import"]
        return max(dated, key=lambda edge: self.versions.index(edge.since or ""), default=None)

    @property
    def roots(self) -> tuple[Module, ...]:
        """The modules to begin with: programs, then extension modules and what no other file needs."""
        found = [module for module in self.modules if module.root]
        return tuple(sorted(found, key=lambda module: module.is_dll))


def _grouped(edges: Iterable[Edge], key: Callable[[Edge], str]) -> dict[str, tuple[Edge, ...]]:
    found: dict[str, list[Edge]] = {}
    for edge in edges:
        found.setdefault(key(edge), []).append(edge)
    return {name: tuple(group) for name, group in found.items()}
