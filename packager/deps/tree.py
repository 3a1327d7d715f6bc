"""The graph as a tree, as ``cargo tree`` shows one: what is below a module is shown once, and after that as (*)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from packager.deps.model import Edge, Graph, Module
from packager.deps.names import windows_key
from packager.deps.text import Line, clean
from packager.errors import SpecError

_SHOWN_SYMBOLS = 5
#: The rules' names as a tree shows them.
RULES: Mapping[str, str] = {
    "api-set": "API set",
    "assembly": "side-by-side assembly",
    "loaded": "loaded before",
    "known-dll": "KnownDLLs",
    "own-folder": "own folder",
    "application-folder": "application folder",
    "added-folder": "added folder",
    "system32": "System32",
    "path": "PATH",
}


def tree(graph: Graph, depth: int | None = None) -> Iterator[Line]:
    """The roots, each with what it needs, ``depth`` levels deep (None: all of them)."""

    def below(module_id: str) -> Sequence[tuple[str, Edge]]:
        return [(edge.target, edge) for edge in graph.needs.get(module_id, ())]

    yield from _draw(graph, [module.id for module in graph.roots], below, depth, reverse=False)


def why(graph: Graph, name: str, depth: int | None = None) -> Iterator[Line]:
    """The reverse: the module ``name`` (a DLL's name, an API set's, or a path), who needs it, who needs those...

    Raises SpecError when nothing in the graph is called so.
    """

    def above(module_id: str) -> Sequence[tuple[str, Edge]]:
        return [(edge.importer, edge) for edge in graph.needed_by.get(module_id, ())]

    yield from _draw(graph, _named(graph, name), above, depth, reverse=True)


def _named(graph: Graph, name: str) -> list[str]:
    keys = {windows_key(name), windows_key(f"{name}.dll")}
    found = [module.id for module in graph.modules if {windows_key(module.id), windows_key(module.name)} & keys]
    found += [edge.target for edge in graph.edges if windows_key(edge.name) in keys]
    if not found:
        raise SpecError(
            f"{name}: expected a DLL that something needs, found none of that name",
            hint="the list of all: --format list",
        )
    return list(dict.fromkeys(found))


def _draw(
    graph: Graph,
    roots: Sequence[str],
    following: Callable[[str], Sequence[tuple[str, Edge]]],
    depth: int | None,
    *,
    reverse: bool,
) -> Iterator[Line]:
    wrong = {(finding.file, finding.dll) for finding in graph.findings if finding.kind == "wrong-machine"}
    expanded: set[str] = set()
    # Each entry: the module, how it is needed, the lines to the left of it, whether it is its parent's last.
    waiting: list[tuple[str, Edge | None, str, bool, int]] = [(root, None, "", True, 0) for root in reversed(roots)]
    while waiting:
        module_id, edge, left, last, level = waiting.pop()
        module = graph.by_id[module_id]
        below = following(module_id) if depth is None or level < depth else ()
        repeated = bool(below) and module_id in expanded
        branch = "" if edge is None else "└── " if last else "├── "
        label = _root(module) if edge is None else _importer(module, edge) if reverse else _needed(module, edge, wrong)
        yield ((left + branch, "dim"), *label, *(((" (*)", "dim"),) if repeated else ()))
        if repeated:
            continue
        expanded.add(module_id)
        if edge is not None:
            left += "    " if last else "│   "
        for index, (target, needed) in enumerate(reversed(below)):
            waiting.append((target, needed, left, index == 0, level + 1))


def _root(module: Module) -> Line:
    shown = module.id if module.origin == "tree" else module.name
    machine = f"  {module.machine}" if module.machine else ""
    if module.error is not None:
        return ((clean(shown), "name"), (f"  BROKEN: {clean(module.error)}", "bad"))
    where = {"tree": machine, "windows": "  Windows", "missing": "  MISSING"}[module.origin]
    return ((clean(shown), "name"), (where, "bad" if module.origin == "missing" else "dim"))


def _needed(module: Module, edge: Edge, wrong: set[tuple[str, str | None]]) -> Line:
    """A line for what is needed: its name, what it is, where it is found, and what is wrong."""
    parts: list[tuple[str, str]] = [(clean(edge.name), "name")]
    if edge.rule == "api-set":
        parts.append((f" → {module.name}", ""))
    elif module.origin == "tree" and windows_key(module.id) != windows_key(edge.name):
        parts.append((f" → {clean(module.id)}", ""))
    if module.origin == "missing":
        parts.append(("  MISSING", "warn" if edge.via == "forwarder" else "bad"))
    elif edge.rule not in (None, "api-set"):
        parts.append((f"  {RULES[edge.rule or '']}", "dim"))
    if edge.via == "delay-import":
        parts.append(("  delay-loaded", "dim"))
    elif edge.via == "forwarder":
        parts.append((f"  {count(edge.symbols, 'export')} forwarded", "dim"))
    if module.error is not None:
        parts.append(("  BROKEN", "bad"))
    if (edge.importer, edge.target) in wrong:
        parts.append((f"  WRONG MACHINE: {module.machine}", "bad"))
    if edge.missing:
        more = f" and {len(edge.missing) - _SHOWN_SYMBOLS} more" if len(edge.missing) > _SHOWN_SYMBOLS else ""
        parts.append((f"  LACKS {', '.join(map(clean, edge.missing[:_SHOWN_SYMBOLS]))}{more}", "bad"))
    if edge.plantable and module.origin != "missing":
        parts.append(("  plantable", "warn"))
    return tuple(parts)  # type: ignore[arg-type]


def _importer(module: Module, edge: Edge) -> Line:
    """A line for who needs something: the file and as what."""
    parts: list[tuple[str, str]] = [(clean(module.id), "name")]
    how = {"delay-import": "delay-loads", "forwarder": "forwards to", "assembly": "names"}.get(edge.via, "imports")
    name = f" {clean(edge.name)}" if edge.rule == "api-set" else ""
    symbols = f", {count(edge.symbols, 'symbol')}" if edge.symbols else ""
    parts.append((f"  {how}{name}{symbols}", "dim"))
    if edge.missing:
        parts.append((f"  LACKING {', '.join(map(clean, edge.missing[:_SHOWN_SYMBOLS]))}", "bad"))
    return tuple(parts)  # type: ignore[arg-type]


def count(number: int, what: str) -> str:
    """``1 symbol``, ``2 symbols``."""
    return f"{number} {what}{'' if number == 1 else 's'}"
