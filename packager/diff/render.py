"""Differences as text for people and as plain values for JSON."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from packager.diff.model import FOLDER, Difference
from packager.diff.show import count, names, printable

#: Lines that fit on a screen.
SCREEN = 40
_ITEM = re.compile(r"(?P<kind>(?:delayed )?import|export|resource|function) (?P<item>.+) only in (?P<side>[AB])")


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of output: a difference, and what else it stands for."""

    difference: Difference
    note: str = ""


def line(difference: Difference, name: str = "") -> str:
    """One difference as one line; ``name`` stands for the compared file itself, which has an empty path."""
    where = difference.path or name
    text = difference.what
    if difference.a is not None or difference.b is not None:
        text += f" {_side(difference.a)} ≠ {_side(difference.b)}"
    if difference.detail:
        text += f" ({difference.detail})"
    return printable(f"{where}: {text}" if where else text)


def text(differences: Sequence[Difference], *, limit: int | None = SCREEN, name: str = "") -> str:
    """The differences, a line each, every line ended; empty when there are none.

    ``limit`` is the most lines there may be, None for all. Where more would be needed, some lines stand for several
    differences: a folder that only one side has for what lies in it; one line for all imports, exports or the like
    that only one side of a file has; one for what several files differ in alike. Then each file gets its share of the
    lines, and the last one says how many differences in how many files have no line of their own, and that ``--all``
    shows them. ``name`` is what the compared file itself is called: A's file name.
    """
    if limit is None or len(differences) <= limit:
        return "".join(f"{line(difference, name)}\n" for difference in differences)
    lines = _alike(_listed(_without_inner(differences)))
    if len(lines) >= limit:
        lines = _capped(lines, limit)
    shown = lines[: max(limit - 1, 0)]
    hidden = Counter(difference.path for difference in differences) - Counter(item.difference.path for item in shown)
    rest = f"… {count(hidden.total(), 'more difference')} in {count(len(hidden), 'file')}: --all shows them\n"
    return "".join(f"{line(item.difference, name)}{item.note}\n" for item in shown) + rest


def document(a: Path, b: Path, differences: Sequence[Difference]) -> dict[str, Any]:
    """The differences as plain values, for JSON.

    Keys: ``a``, ``b`` (the paths compared), ``equal`` (true or false), ``count`` (of differences), ``files`` (with
    differences), and ``differences``: a list, in order, of objects with ``path`` (A's file name for the compared file
    itself), ``what``, ``a``, ``b`` (as shown; null where a side has none, both null when ``what`` says all),
    ``detail`` (may be empty) and ``offset`` (in bytes in A's file; null when there is none).
    """
    return {
        "a": os.fspath(a),
        "b": os.fspath(b),
        "equal": not differences,
        "count": len(differences),
        "files": len({difference.path for difference in differences}),
        "differences": [
            {
                "path": difference.path or a.name,
                "what": difference.what,
                "a": difference.a,
                "b": difference.b,
                "detail": difference.detail,
                "offset": difference.offset,
            }
            for difference in differences
        ],
    }


def _side(value: str | None) -> str:
    return "nothing" if value is None else value


def _without_inner(differences: Sequence[Difference]) -> list[_Line]:
    """Without what lies in folders that only one side has; those say how many files that is."""
    folders = {d.path for d in differences if d.what.startswith("only in") and d.detail == FOLDER}
    inside: Counter[str] = Counter()
    kept = []
    for difference in differences:
        parts = difference.path.split("/")
        top = next((p for n in range(1, len(parts)) if (p := "/".join(parts[:n])) in folders), None)
        if top is None:
            kept.append(difference)
        elif difference.detail != FOLDER:
            inside[top] += 1
    return [
        _Line(replace(d, detail=f"{FOLDER} of {count(inside[d.path], 'file')}") if d.path in inside else d)
        for d in kept
    ]


def _listed(lines: Sequence[_Line]) -> list[_Line]:
    """Several imports (exports, resources, functions) of one file that only one side has, as one line."""
    groups: dict[object, list[tuple[_Line, str]]] = {}
    for number, item in enumerate(lines):
        difference = item.difference
        match = _ITEM.fullmatch(difference.what)
        key = number if match is None else (difference.path, match["kind"], match["side"])
        groups.setdefault(key, []).append((item, "" if match is None else match["item"]))
    found = []
    for members in groups.values():
        first = members[0][0]
        if len(members) > 1:
            match = _ITEM.fullmatch(first.difference.what)
            assert match is not None
            what = f"{count(len(members), match['kind'])} only in {match['side']}"
            detail = names([name for _line, name in members], 3)
            first = _Line(replace(first.difference, what=what, detail=detail), first.note)
        found.append(first)
    return found


def _alike(lines: Sequence[_Line]) -> list[_Line]:
    """What is the same difference in several files: the first one, with the number of the others."""
    groups: dict[object, list[_Line]] = {}
    for number, item in enumerate(lines):
        difference = item.difference
        if difference.a is None and difference.b is None:
            groups[number] = [item]
        else:
            groups.setdefault((difference.what, *_without_common_end(difference.a, difference.b)), []).append(item)
    found = []
    for first, *others in groups.values():
        files = len({item.difference.path for item in others} - {first.difference.path})
        note = f", and likewise in {count(files, 'more file')}" if files else ""
        found.append(_Line(first.difference, first.note + note) if not others or files else first)
        if others and not files:
            found += others
    return found


def _without_common_end(a: str | None, b: str | None) -> tuple[str | None, str | None]:
    """Two paths without the folders and file that both end in: what is left is what differs in all such pairs."""
    if a is None or b is None:
        return a, b
    left, right = a.split("/"), b.split("/")
    while len(left) > 1 and len(right) > 1 and left[-1] == right[-1]:
        left.pop()
        right.pop()
    return "/".join(left), "/".join(right)


def _capped(lines: Sequence[_Line], limit: int) -> list[_Line]:
    """Each file's first lines, as many as there is room for, but one; the last of them says how many more it has."""
    total = Counter(item.difference.path for item in lines)
    most = 1
    while sum(min(number, most + 1) for number in total.values()) < limit:
        most += 1
    seen: Counter[str] = Counter()
    found = []
    for item in lines:
        path = item.difference.path
        seen[path] += 1
        if seen[path] == most < total[path]:
            found.append(_Line(item.difference, f"{item.note}, and {total[path] - most:,} more in this file"))
        elif seen[path] <= most:
            found.append(item)
    return found
