"""Why a module is in a bundle, or why it is not: as values, as lines of text, and as a document."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from packager.errors import SpecError
from packager.library import other_places
from packager.modules.graph import Edge
from packager.modules.plan import ModulePlan

#: Edges that do not count are shown up to this number as text.
_SHOWN = 8
_NEAR = 5


@dataclass(frozen=True, slots=True)
class Unfollowed:
    """An import that does not count, and why not."""

    edge: Edge
    reason: str


@dataclass(frozen=True, slots=True)
class Why:
    """``start`` is why the chain's first module is in, and that is ``module`` itself where the ``chain`` is empty.

    Of a module that is not in, ``reason`` says so in short, and ``unfollowed`` are the imports that would have needed
    it, those of modules that are in first. ``file`` is empty for namespaces and what the interpreter has in itself.
    """

    module: str
    what: str
    file: str
    kept: bool
    start: str = ""
    chain: tuple[Edge, ...] = ()
    reason: str = ""
    unfollowed: tuple[Unfollowed, ...] = ()
    runs: tuple[tuple[str, str], ...] = ()


def explain(plan: ModulePlan, name: str) -> Why:
    """Why ``name`` is in, by a shortest chain of imports, or is not.

    ``name`` may be a module's file, too, in either form of the standard library. SpecError for what is no module of the
    tree, with names like it, and with who imports it if anything does.
    """
    names = plan.graph.names
    places = (name, *other_places(name, names.folders))
    name = next((known for path in places if (known := names.of_path(path))), name)
    module = plan.graph.modules.get(name)
    if module is None:
        raise _unknown(plan, name)
    if name in plan.kept:
        chain: list[Edge] = []
        here = name
        while (edge := plan.kept[here]) is not None:
            chain.insert(0, edge)
            here = edge.importer
        runs = tuple((edge.target, plan.traced[edge.target]) for edge in chain if edge.target in plan.traced)
        return Why(name, module.what, module.path, True, plan.starts[here], tuple(chain), runs=runs)
    if module.what in ("builtin", "frozen"):
        return Why(name, module.what, "", True, "the interpreter has it in itself")
    into = [edge for edges in plan.graph.edges.values() for edge in edges if edge.target == name]
    into.sort(key=lambda edge: (edge.importer not in plan.kept, edge.kind == "package", edge.importer, edge.line))
    found = tuple(Unfollowed(edge, _why_not(plan, edge)) for edge in into)
    return Why(name, module.what, module.path, False, reason=plan.pruned.get(module.path, ""), unfollowed=found)


def _why_not(plan: ModulePlan, edge: Edge) -> str:
    if edge.importer not in plan.kept:
        return "not in itself"
    if edge.target in plan.dropped:
        return f"dropped by the spec: {plan.dropped[edge.target]}"
    if edge.kind == "typing":
        return "for type checkers only"
    if edge.kind == "late":
        return "when a function is called, and no traced run loaded it"
    tried = ", ".join(group[0] for group in edge.instead)
    return f"stands in for {tried}, which is there, and no traced run loaded it"


def _unknown(plan: ModulePlan, name: str) -> SpecError:
    near = difflib.get_close_matches(name, plan.graph.modules, _NEAR)
    last = name.rpartition(".")[2]
    near += [other for other in sorted(plan.graph.modules) if other.rpartition(".")[2] == last and other not in near]
    wanted = [missing for missing in plan.graph.missing if missing.name == name and missing.importer in plan.kept]
    details = [f"{item.importer} imports it at line {item.line}, and goes on or fails without it" for item in wanted]
    hint = f"did you mean {', '.join(near[:_NEAR])}?" if near else "name it as an import statement does: a.b.c"
    return SpecError(f"{name}: expected a module of the bundle, found none of this name", details=details, hint=hint)


def lines(why: Why) -> Iterator[str]:
    """The explanation as text, line by line."""
    where = f" ({why.file})" if why.file else ""
    if not why.kept:
        yield f"{why.module} is not in the bundle{where}: {why.reason}"
        shown = why.unfollowed[:_SHOWN]
        if shown:
            yield "  what would need it:"
        width = max((len(item.edge.importer) for item in shown), default=0)
        for item in shown:
            yield f"    {item.edge.importer:{width}}  {_place(item.edge)}: {item.reason}"
        if len(why.unfollowed) > len(shown):
            yield f"    … {len(why.unfollowed) - len(shown)} more: --json shows them"
        return
    yield f"{why.module} is in the bundle{where}"
    runs = dict(why.runs)
    first = why.chain[0].importer if why.chain else why.module
    names = [first, *(edge.target for edge in why.chain)]
    width = max(len(name) for name in names)
    yield f"  {first:{width}}  {why.start}"
    for edge in why.chain:
        text = "the package of the one above" if edge.kind == "package" else f"imported above, {_place(edge)}"
        if edge.kind == "late":
            text += f"; loaded in the run {runs[edge.target]!r}" if edge.target in runs else ""
        yield f"  {edge.target:{width}}  {text}"


_WORDS = {
    "optional": ", in a try that goes on without it",
    "fallback": ", where another import failed",
    "typing": ", under TYPE_CHECKING",
}


def _place(edge: Edge) -> str:
    if edge.kind == "package":
        return "lies in it"
    line = f"line {edge.line}" if edge.line else "a line that is not known"
    function = f" in {edge.function}()" if edge.function else ""
    return f"{line}{function}{_WORDS.get(edge.kind, '')}"


def document(why: Why) -> dict[str, Any]:
    """The explanation as a document of plain values."""
    return {
        "format": 1,
        "module": why.module,
        "what": why.what,
        "file": why.file or None,
        "kept": why.kept,
        "start": why.start or None,
        "chain": [_edge(edge) | {"run": dict(why.runs).get(edge.target)} for edge in why.chain],
        "reason": why.reason or None,
        "unfollowed": [_edge(item.edge) | {"reason": item.reason} for item in why.unfollowed],
    }


def _edge(edge: Edge) -> dict[str, Any]:
    return {
        "importer": edge.importer,
        "module": edge.target,
        "kind": edge.kind,
        "line": edge.line or None,
        "function": edge.function or None,
        "guarded": edge.guarded,
    }
