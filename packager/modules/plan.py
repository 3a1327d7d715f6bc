"""Which modules a bundle needs, by what its programs import: what stays, and what goes for which reason.

What stays is what is reached from the programs' modules and from what the interpreter loads by itself. Followed are
imports that run when a module is imported; those in functions only to modules that a traced run has loaded; those
under ``if TYPE_CHECKING`` never; and those that stand in for a failing import only where that one would fail, or a run
has loaded them. Modules that a run has loaded by a name made at run time stay as well.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from packager.errors import PEError, SpecError
from packager.modules.graph import Edge, Graph, build_graph, reached
from packager.modules.names import MAIN, find_names
from packager.modules.trace import NO_TRACE, Trace
from packager.pe.imports import read_image

#: What launcher/stub.c runs every program's module with.
RUNNER = "runpy"


class NamedModule(Protocol):
    """A module of a rule, and why the rule is there."""

    @property
    def module(self) -> str: ...

    @property
    def reason(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Rules:
    """What a spec says of its modules.

    ``roots`` are the modules that programs run, each with the program's name. ``keep`` names what may be loaded by name
    on other machines than those of the traced runs; ``drop`` what is left out although code is there that would use it,
    and goes on without it. ``folders`` are those of sys.path.
    """

    roots: Mapping[str, str]
    folders: tuple[str, ...]
    trace: Trace = NO_TRACE
    keep: Sequence[NamedModule] = ()
    drop: Sequence[NamedModule] = ()
    name: str = "modules"


@dataclass(frozen=True, slots=True)
class ModulePlan:
    """``kept`` modules, each with the last edge of a shortest way to it; None for the ``starts``, which have a reason.

    ``keep`` are the paths that stay, ``pruned`` those that go, with the reason of each. ``dropped`` modules have the
    reason of their rule, ``traced`` ones the name of a run.
    """

    graph: Graph
    rules: Rules
    kept: Mapping[str, Edge | None]
    starts: Mapping[str, str]
    dropped: Mapping[str, str]
    traced: Mapping[str, str]
    keep: frozenset[str]
    pruned: Mapping[str, str]

    def follows(self, edge: Edge) -> bool:
        """Whether an edge counts, if its importer is kept."""
        return _follows(edge, self.graph, self.dropped, self.traced)


def plan_modules(paths: Iterable[str], read: Callable[[str], bytes], rules: Rules) -> ModulePlan:
    """Which of a tree's ``paths`` stay; ``read`` gives a file's content. Nothing but the arguments counts.

    Files outside ``rules.folders`` all stay; a package's data files stay with the package; metadata of installed
    distributions stays if ``importlib.metadata`` does; a DLL beside the modules stays if what stays imports it.

    Raises SpecError for a root that is not there, a rule without effect, a dropped module that kept code cannot do
    without, and a trace that names modules which are not there; BuildError for a .pyc that cannot be read.
    """
    every = sorted(paths)
    interpreter = rules.trace.interpreter
    graph = build_graph(find_names(every, rules.folders, interpreter.builtin, interpreter.frozen), read)
    traced = rules.trace.modules
    _all_there(graph, rules, traced)
    starts = starts_of(graph, rules)
    dropped = {
        name: rule.reason
        for rule in rules.drop
        for name in sorted(graph.modules)
        if name == rule.module or name.startswith(f"{rule.module}.")
    }
    # Without the rules of the spec, for what each of them changes.
    plain = closure(graph, starts, traced, {})
    for rule in rules.keep:
        if rule.module in plain:
            raise SpecError.at(
                rules.name, f"keep {rule.module}", "a module that would be left out", "one that is needed anyway",
                hint="take the rule out; `packager why` says who needs it",
            )  # fmt: skip
    # What was loaded by name: found no other way, and not for the sake of what is dropped.
    by_name = {name: f"loaded by name in the run {run!r}" for name, run in traced.items() if name not in plain}
    kept_by_rule = {rule.module: rule.reason for rule in rules.keep}
    begins = {**starts, **kept_by_rule, **{name: why for name, why in by_name.items() if name not in dropped}}
    kept = closure(graph, begins, traced, dropped)
    _check_drops(graph, rules, kept, {*plain, *by_name}, traced)
    keep, pruned = _paths(every, read, graph, kept, dropped)
    return ModulePlan(graph, rules, kept, begins, dropped, traced, keep, pruned)


def _all_there(graph: Graph, rules: Rules, traced: Mapping[str, str]) -> None:
    for what, modules in (
        ("keep", [rule.module for rule in rules.keep]),
        ("drop", [rule.module for rule in rules.drop]),
    ):
        for name in modules:
            if name not in graph.modules:
                raise SpecError.at(rules.name, what, "a module of the tree", f"{name}, which is none")
    gone = [name for name in (*rules.trace.interpreter.start, *traced) if name not in graph.modules]
    if gone and rules.trace is not NO_TRACE:
        more = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
        raise SpecError.at(
            rules.name, "trace", "modules of the tree", f"{gone[0]}{more}, which is none",
            hint=f"record it anew: {rules.trace.command}",
        )  # fmt: skip


def starts_of(graph: Graph, rules: Rules) -> dict[str, str]:
    """The modules that are run, and those that the interpreter loads by itself."""
    starts: dict[str, str] = {}
    for name, program in rules.roots.items():
        module = graph.modules.get(name)
        if module is None:
            raise SpecError.at(rules.name, program, "a module of the tree to run", f"{name}, which is none")
        main = f"{name}.{MAIN}"
        starts.setdefault(main if module.is_package and main in graph.modules else name, program)
    for name in rules.trace.interpreter.start:
        if name in graph.modules:
            starts.setdefault(name, "the interpreter loads it when it starts")
    if RUNNER in graph.modules:
        starts.setdefault(RUNNER, "every program runs its module with it")
    return starts


def closure(
    graph: Graph, starts: Iterable[str], traced: Collection[str], dropped: Collection[str]
) -> dict[str, Edge | None]:
    """Every module that is reached from ``starts``, with the last edge of a shortest way to it; None for the starts."""
    return reached(starts, lambda name: graph.edges.get(name, ()), lambda edge: _follows(edge, graph, dropped, traced))


def _follows(edge: Edge, graph: Graph, dropped: Collection[str], traced: Collection[str]) -> bool:
    if edge.target in dropped or edge.kind == "typing":
        return False
    if edge.kind == "late":
        return edge.target in traced
    if edge.kind == "fallback":
        return edge.target in traced or all(
            any(name not in graph.modules or name in dropped for name in group) for group in edge.instead
        )
    return True


def _check_drops(
    graph: Graph, rules: Rules, kept: Collection[str], needed: Collection[str], traced: Mapping[str, str]
) -> None:
    """Each rule that drops has an effect, and none takes away what kept code has no way around."""
    for rule in rules.drop:
        here = {name for name in graph.modules if name == rule.module or name.startswith(f"{rule.module}.")}
        if here.isdisjoint(needed):
            raise SpecError.at(
                rules.name, f"drop {rule.module}", "a module that would be kept", "one that nothing needs",
                hint="take the rule out",
            )  # fmt: skip
        into = [
            edge
            for name in kept
            for edge in graph.edges.get(name, ())
            if edge.target in here and edge.kind not in ("typing", "package")
        ]
        hard = [edge for edge in into if not edge.guarded and edge.kind != "late"]
        if not hard and not any(edge.guarded for edge in into):
            hard = [edge for edge in into if edge.target in traced]
        if hard:
            edge = hard[0]
            raise SpecError.at(
                rules.name, f"drop {rule.module}", "a module that code can do without",
                f"{edge.importer}, line {edge.line}, which imports {edge.target} without a way around",
            )  # fmt: skip


def _paths(
    paths: Sequence[str],
    read: Callable[[str], bytes],
    graph: Graph,
    kept: Collection[str],
    dropped: Mapping[str, str],
) -> tuple[frozenset[str], dict[str, str]]:
    """The paths that stay, and those that go with the reason of each."""
    names = graph.names
    pruned: dict[str, str] = {}
    for path in paths:
        if path in names.names:
            its = names.names[path]
            if not any(name in kept for name in its):
                reason = next((dropped[name] for name in its if name in dropped), None)
                pruned[path] = f"dropped: {reason}" if reason else _unreached(graph, its, kept)
        elif (owners := names.owners.get(path)) and not any(name in kept for name in owners):
            pruned[path] = f"belongs to {owners[0]}, which is not in"
    libraries = [path for path in paths if path.lower().endswith(".dll") and names.owners.get(path) == ()]
    if libraries:
        stay = _needed_libraries([path for path in paths if path not in pruned], libraries, read)
        pruned |= {path: "no extension module that is in needs it" for path in libraries if path not in stay}
    return frozenset(paths) - pruned.keys(), pruned


def _unreached(graph: Graph, names: Sequence[str], kept: Collection[str]) -> str:
    kinds = {edge.kind for name in kept for edge in graph.edges.get(name, ()) if edge.target in names}
    if "late" in kinds:
        return "imported in functions only, and loaded in no traced run"
    if "fallback" in kinds:
        return "stands in for another module that is there"
    if "typing" in kinds:
        return "imported for type checkers only"
    return "imported by nothing that is in"


def _needed_libraries(paths: Sequence[str], libraries: Sequence[str], read: Callable[[str], bytes]) -> set[str]:
    """Which of the DLLs are imported by the PE files among ``paths``, directly or by way of one another."""
    by_name = {posixpath.basename(path).lower(): path for path in libraries}
    waiting = [path for path in paths if path.lower().endswith((".pyd", ".exe"))]
    found: set[str] = set()
    for path in waiting:
        try:
            image = read_image(read(path))
        except PEError:
            continue
        needed = {by_name[name.lower()] for name in image.imported_names if name.lower() in by_name}
        waiting.extend(sorted(needed - found))
        found |= needed
    return found
