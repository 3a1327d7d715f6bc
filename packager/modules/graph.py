"""The import graph of a bundle's tree: which module needs which, where, and of what kind each need is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from packager.diff.marshal import MarshalError
from packager.errors import BuildError
from packager.modules.bytecode import Import, read_imports
from packager.modules.names import Module, Names

#: As :data:`packager.modules.bytecode.Kind`, of what runs when the importer is imported; ``late`` is in a function;
#: ``package`` is the package that a module lies in, which is imported before it.
EdgeKind = Literal["plain", "optional", "fallback", "typing", "late", "package"]


@dataclass(frozen=True, slots=True)
class Edge:
    """``importer`` imports ``target``, on ``line`` of its source (0: not known), in ``function`` (empty: in none).

    ``guarded``: the code around goes on where the import fails. ``instead`` are, of a ``fallback``, the modules of each
    ``try`` that it stands in for, as they are called where they are not in the tree.
    """

    importer: str
    target: str
    kind: EdgeKind
    line: int = 0
    function: str = ""
    guarded: bool = False
    instead: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Missing:
    """An import of something that is not in the tree, as a whole name."""

    importer: str
    name: str
    line: int


@dataclass(frozen=True, slots=True)
class Graph:
    """``edges`` by importer, in the order of its code, to modules that there are; ``missing`` are the other imports."""

    names: Names
    edges: Mapping[str, tuple[Edge, ...]]
    missing: tuple[Missing, ...]

    @property
    def modules(self) -> Mapping[str, Module]:
        """Every module, by name."""
        return self.names.modules


def build_graph(names: Names, read: Callable[[str], bytes]) -> Graph:
    """Read every compiled module among ``names`` (``read`` gives a file's content) and resolve its imports.

    Raises BuildError for a .pyc that is not Python 3.13's or is broken.
    """
    parsed: dict[str, tuple[Import, ...]] = {}
    edges: dict[str, tuple[Edge, ...]] = {}
    missing: list[Missing] = []
    for name, module in sorted(names.modules.items()):
        found: list[Edge] = []
        if "." in name and (package := name.rpartition(".")[0]) in names.modules:
            found.append(Edge(name, package, "package"))
        if module.what == "code":
            if module.path not in parsed:
                try:
                    parsed[module.path] = read_imports(read(module.path))
                except MarshalError as exc:
                    raise BuildError(f"{module.path}: its imports cannot be read: {exc.message}") from exc
            for item in parsed[module.path]:
                found += _edges(module, item, names)
                missing += _missing(module, item, names)
        edges[name] = tuple(dict.fromkeys(edge for edge in found if edge.target != name))
    return Graph(names, edges, tuple(missing))


def _edges(module: Module, item: Import, names: Names) -> Iterator[Edge]:
    kind: EdgeKind = "late" if item.function and item.kind != "typing" else item.kind
    instead = tuple(tuple(_wanted(module, other, names) for other in group) for group in item.tried)
    guarded = item.kind in ("optional", "fallback")
    for target in _targets(module, item, names):
        yield Edge(module.name, target, kind, item.line, item.function, guarded, instead)


def _targets(module: Module, item: Import, names: Names) -> Iterator[str]:
    """The modules that there are of what an import names: the module itself or, of one that is not, its packages."""
    base = absolute(module, item)
    if base is None:
        return
    if base in names.modules:
        yield base
        for name in item.names:
            if f"{base}.{name}" in names.modules:
                yield f"{base}.{name}"
    else:
        yield from (parent for parent in names.parents(base) if parent in names.modules)


def _wanted(module: Module, item: Import, names: Names) -> str:
    """What an import needs to succeed, as far as that is a module."""
    base = absolute(module, item) or ("." * item.level + item.name)
    if not item.name:
        # `from . import a`: a, if the package has no other way to have it.
        return f"{base}.{item.names[0]}" if item.names else base
    return base


def _missing(module: Module, item: Import, names: Names) -> Iterator[Missing]:
    base = absolute(module, item)
    if base is not None and base not in names.modules and item.kind != "typing":
        yield Missing(module.name, base, item.line)


def absolute(module: Module, item: Import) -> str | None:
    """The whole name of the module that an import names first; None if it leads out of the top package."""
    if item.level == 0:
        return item.name or None
    parts = module.package.split(".") if module.package else []
    if item.level > len(parts):
        return None
    kept = parts[: len(parts) - item.level + 1]
    return ".".join([*kept, *([item.name] if item.name else [])])


def reached(
    starts: Iterable[str], edges: Callable[[str], Iterable[Edge]], follow: Callable[[Edge], bool]
) -> dict[str, Edge | None]:
    """Every module that is reached from ``starts``, with the edge that led to it first: breadth first, so by a shortest
    way; None for the starts themselves."""
    found: dict[str, Edge | None] = dict.fromkeys(starts)
    waiting = list(found)
    for name in waiting:
        for edge in edges(name):
            if edge.target not in found and follow(edge):
                found[edge.target] = edge
                waiting.append(edge.target)
    return found
