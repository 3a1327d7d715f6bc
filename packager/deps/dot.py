"""The graph in Graphviz' language: ``dot -Tsvg`` draws it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from packager.deps.model import Edge, Graph, Module
from packager.deps.text import Line, clean

_FILL = {"tree": "#dbeafe", "windows": "#e5e7eb", "missing": "#fecaca"}


def dot(graph: Graph) -> Iterator[Line]:
    """A digraph with a node for each module and a line for each need; the same graph gives the same text."""
    yield (("digraph deps {", ""),)
    yield (("  rankdir=LR;", ""),)
    yield (('  node [shape=box, style=filled, fontname="sans-serif", fontsize=10];', ""),)
    yield (('  edge [fontname="sans-serif", fontsize=8];', ""),)
    for module in graph.modules:
        yield ((f"  {_quoted(module.id)} [{_node(module)}];", ""),)
    alike: dict[tuple[str, str, str], list[Edge]] = {}
    for edge in graph.edges:
        alike.setdefault((edge.importer, edge.target, edge.via), []).append(edge)
    for (importer, target, _via), edges in alike.items():
        yield ((f"  {_quoted(importer)} -> {_quoted(target)} [{_line(edges)}];", ""),)
    yield (("}", ""),)


def _node(module: Module) -> str:
    label = module.id if module.origin == "tree" else module.name
    attributes = [f"label={_quoted(label)}", f'fillcolor="{_FILL[module.origin]}"']
    if module.root:
        attributes.append("penwidth=2")
    if module.error is not None:
        attributes.append('color="red"')
    return ", ".join(attributes)


def _line(edges: Sequence[Edge]) -> str:
    """The attributes of one line for all the edges of a kind between two modules: a DLL has many API sets."""
    style = {"delay-import": "dashed", "forwarder": "dotted", "assembly": "dotted"}.get(edges[0].via, "solid")
    attributes = [f'style="{style}"']
    names = [edge.name for edge in edges if edge.rule == "api-set"]
    if names:
        attributes.append(f"label={_quoted(names[0] if len(names) == 1 else f'{len(names)} API sets')}")
    if any(edge.missing or edge.target.startswith("missing:") for edge in edges):
        attributes.append('color="red"')
    elif any(edge.plantable for edge in edges):
        attributes.append('color="orange"')
    return ", ".join(attributes)


def _quoted(text: str) -> str:
    """A double-quoted string: in those only the quote, and the backslash that begins an escape, are special."""
    return '"' + clean(text).replace("\\", "\\\\").replace('"', '\\"') + '"'
