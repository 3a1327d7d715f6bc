"""Take out of a tree what a bundle spec's prune rules name, and say what each rule saved."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packager import trees
from packager.errors import SpecError
from packager.specs.model import Prune


@dataclass(frozen=True, slots=True)
class Pruned:
    """What one prune rule took out: paths, and their size in bytes together."""

    rule: Prune
    paths: tuple[str, ...]
    size: int


def glob_pattern(pattern: str) -> re.Pattern[str]:
    """A path pattern as a regular expression over the whole path.

    ``*`` and ``?`` stay within one name, ``[...]`` is a set of characters, and ``**`` as a whole part stands for any
    number of parts: ``a/**`` is everything below ``a``, ``**/b`` is ``b`` at any depth.
    """
    parts = pattern.split("/")
    regex = ""
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        if part == "**":
            regex += ".+" if last else "(?:[^/]+/)*"
        else:
            regex += "".join(_piece(piece) for piece in re.findall(r"(?s)\[[^]]+\]|.", part)) + ("" if last else "/")
    return re.compile(regex, re.DOTALL)


def _piece(piece: str) -> str:
    if piece == "*":
        return "[^/]*"
    if piece == "?":
        return "[^/]"
    if len(piece) > 1:
        inner = piece[1:-1]
        negated = inner.startswith("!")
        body = re.sub(r"([\\^\[\]&~|])", r"\\\1", inner.removeprefix("!"))
        return f"(?!/)[{'^' if negated else ''}{body}]"
    return re.escape(piece)


def plan_prune(sizes: Mapping[str, int], rules: Sequence[Prune], spec: str) -> tuple[Pruned, ...]:
    """Which of the files (path to size) each rule takes out; a file counts for the first rule that matches it.

    A rule that matches nothing is a SpecError: what it was for has gone or moved.
    """
    taken: set[str] = set()
    plan: list[Pruned] = []
    stale: list[str] = []
    for number, rule in enumerate(rules):
        try:
            matcher = glob_pattern(rule.path)
        except re.error as exc:
            raise SpecError.at(spec, f"prune[{number}].path", f"a pattern ({exc})", repr(rule.path)) from exc
        matched = [path for path in sorted(sizes) if matcher.fullmatch(path)]
        if not matched:
            stale.append(f"{spec}: prune[{number}].path: expected a pattern that matches a file, found {rule.path!r}")
        fresh = tuple(path for path in matched if path not in taken)
        taken.update(fresh)
        plan.append(Pruned(rule, fresh, sum(sizes[path] for path in fresh)))
    if stale:
        raise SpecError(f"{stale[0]}, which matches none", details=stale[1:], hint="take out rules that have no use")
    return tuple(plan)


def apply_prune(tree: Path, rules: Sequence[Prune], spec: str) -> tuple[Pruned, ...]:
    """Delete what ``rules`` match below ``tree``, and folders that this empties. Returns what each rule took out."""
    plan = plan_prune({node.path: node.status.st_size for node in trees.files(tree)}, rules, spec)
    for done in plan:
        for path in done.paths:
            (tree / path).unlink()
            for parent in (tree / path).parents:
                if parent == tree or any(parent.iterdir()):
                    break
                parent.rmdir()
    return plan
