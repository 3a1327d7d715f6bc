"""The graph as a list, one DLL to a line, and what is to be said below any form of it: findings, run-time loads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from packager.deps.model import Edge, Finding, Graph, Module
from packager.deps.names import windows_key
from packager.deps.text import Line, Style, clean
from packager.deps.tree import RULES, count

_SHOWN = 4


def listing(graph: Graph) -> Iterator[Line]:
    """One line for each DLL by the name it is asked for: the rules that find it, where it is, how many need it."""
    rows = [("DLL", "FOUND BY", "WHERE", "NEEDED BY")]
    styles: list[Style] = ["head"]
    asked: dict[tuple[str, str], list[Edge]] = {}
    for edge in graph.edges:
        asked.setdefault((windows_key(edge.name), edge.target), []).append(edge)
    for _key, edges in sorted(asked.items()):
        module = graph.by_id[edges[0].target]
        rows.append(_row(module, edges))
        styles.append("bad" if module.origin == "missing" or module.error else "")
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row, style in zip(rows, styles, strict=True):
        text = "  ".join(cell.ljust(width) for cell, width in zip(row[:3], widths, strict=True))
        yield ((f"{text}  {row[3]}", style),)


def _row(module: Module, edges: Sequence[Edge]) -> tuple[str, str, str, str]:
    rules = sorted({RULES[edge.rule] for edge in edges if edge.rule is not None})
    where = {"tree": module.id, "windows": "Windows", "missing": "MISSING"}[module.origin]
    if any(edge.rule == "api-set" for edge in edges):
        where = f"{module.name} of {where}"
    importers = {edge.importer for edge in edges}
    return clean(edges[0].name), ", ".join(rules) or "-", clean(where), str(len(importers))


def runtime(graph: Graph) -> Iterator[Line]:
    """What is probably loaded at run time, one name to a line; nothing if there is none."""
    if graph.runtime:
        yield (("Loaded at run time, as names in the files suggest:", "head"),)
    for load in graph.runtime:
        place = clean(load.file) + (f":{load.line}" if load.line else "")
        how = "" if load.how == "string" else f" ({load.how})"
        parts: list[tuple[str, Style]] = [(f"  {place}: ", "dim"), (clean(load.name) or "?", "name"), (how, "dim")]
        if load.target is not None:
            target = graph.by_id[load.target]
            parts.append((" → Windows" if target.origin == "windows" else f" → {clean(target.id)}", ""))
        elif load.how != "add_dll_directory":
            parts.append((" not resolved", "warn"))
        yield tuple(parts)


def plants(graph: Graph) -> Iterator[Line]:
    """Where a file that somebody plants would be loaded, one line for each DLL and folder; nothing if nowhere."""
    groups: dict[tuple[str, str], list[Edge]] = {}
    for edge in graph.edges:
        if edge.plantable and not edge.target.startswith("missing:"):
            groups.setdefault((windows_key(edge.name), edge.why), []).append(edge)
    if groups:
        yield (("A planted file would be loaded, where others can write to the folder:", "head"),)
    for (_name, why), edges in sorted(groups.items()):
        importers = [clean(edge.importer) for edge in edges]
        yield (
            (f"  {clean(edges[0].name)}", "name"),
            (f": {clean(why)}", ""),
            (f" (imported by {_some(importers)})", "dim"),
        )


def findings(graph: Graph) -> Iterator[Line]:
    """The findings, errors first; those that say the same of several files are told once. Then the notes."""
    groups: dict[tuple[str | None, ...], list[Finding]] = {}
    for finding in graph.findings:
        groups.setdefault((finding.severity, finding.kind, finding.hint, *_about(finding)), []).append(finding)
    for members in groups.values():
        first = members[0]
        yield (
            (f"{first.severity}: ", "bad" if first.severity == "error" else "warn"),
            (_some(list(dict.fromkeys(clean(finding.file) for finding in members))), "name"),
            (f": {clean(_together(members))}", ""),
            (f" [{first.kind}]", "dim"),
        )
        yield ((f"  what to do: {clean(first.hint)}", ""),)
    for note in graph.notes:
        yield ((f"note: {clean(note)}", "dim"),)


def _about(finding: Finding) -> tuple[str, ...]:
    """What findings have in common that are told as one: a DLL that is missing, or symbols that a file lacks."""
    if finding.kind == "missing-dll":
        return ((finding.dll or "").lower(),)
    if finding.kind == "missing-symbol":
        return (finding.file, finding.message.replace(finding.symbol or "", "", 1))
    return (finding.message,)


def _together(members: Sequence[Finding]) -> str:
    """The message of one finding, or of several of the same kind."""
    first = members[0]
    if len({finding.message for finding in members}) == 1:
        return first.message
    if first.kind == "missing-symbol":
        symbols = _some([finding.symbol or "" for finding in members])
        return first.message.replace(first.symbol or "", symbols, 1)
    return f"import {first.dll}, which is nowhere that they look"


def summary(graph: Graph) -> Iterator[Line]:
    """How many of what, the oldest Windows that it can run on, and what the answers about Windows rest on."""
    origins = [module.origin for module in graph.modules]
    errors = sum(finding.severity == "error" for finding in graph.findings)
    looked = sum(edge.symbols for edge in graph.edges if edge.missing is not None and edge.via != "forwarder")
    counts = [
        count(origins.count("tree"), "file"),
        f"{origins.count('windows')} of Windows",
        f"{origins.count('missing')} missing",
        f"{count(looked, 'symbol')} looked up",
        count(errors, "error"),
        count(len(graph.findings) - errors, "warning"),
    ]
    yield ((", ".join(counts), "bad" if errors else "head"),)
    if (newest := graph.newest) is not None:
        what = f"{newest.since_symbol} of {newest.name}" if newest.since_symbol else newest.name
        yield ((f"Needs {newest.since} or later, as far as is known: {newest.importer} imports {what}", ""),)
    yield ((f"What Windows has: {graph.data_origin}", "dim"),)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
