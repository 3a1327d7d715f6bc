"""The table of a run: a line for each file, and the sums; as text for people and as JSON for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from tests.cpython.results import FileResult
from tests.cpython.settings import Expected
from tests.cpython.verdict import judge

_COLUMNS = ("file", "run", "passed", "failed", "skipped", "seconds", "")


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums of a run. ``share`` is that of the files that pass in full, of those that do not ask to be skipped."""

    files: int
    states: Counter[str]
    ran: int
    passed: int
    failed: int
    skipped: int

    @property
    def share(self) -> float:
        """Between 0 and 1; 1 where nothing was run."""
        run = self.files - self.states["skipped"]
        return self.states["passed"] / run if run else 1.0


def total(results: Iterable[FileResult]) -> Totals:
    """The sums of some results."""
    items = tuple(results)
    return Totals(
        len(items),
        Counter(item.state for item in items),
        sum(item.ran for item in items),
        sum(item.passed for item in items),
        sum(item.failed + item.left_out for item in items),
        sum(item.skipped for item in items),
    )


def remark(result: FileResult, expected: Expected) -> str:
    """What the last column says of a file: nothing if it passed, else how it failed, and whether that was expected."""
    verdict, known = judge(result, expected), expected.of(result.name)
    if result.state == "skipped":
        words = f"skipped: {expected.skipped.get(result.name, result.note)}"
    elif result.state in ("passed", "failed"):
        kinds = Counter(known[test].kind for test in result.failures if test in known)
        words = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    else:
        words = f"{result.state}: {result.note}"
    if verdict.worse:
        words = f"WORSE THAN EXPECTED {words}".rstrip()
    elif verdict.better:
        words = f"better than expected {words}".rstrip()
    return ", ".join(filter(None, (words, f"try {result.tries}" if result.tries > 1 else "")))


def as_text(results: Sequence[FileResult], expected: Expected, seconds: float, jobs: int) -> str:
    """The table, with the files by name, and the sums below it."""
    rows = [
        (
            item.name, str(item.ran), str(item.passed), str(item.failed + item.left_out), str(item.skipped),
            f"{item.seconds:.1f}", remark(item, expected),
        )
        for item in sorted(results, key=lambda item: item.name)
    ]  # fmt: skip
    widths = [max(len(row[column]) for row in (_COLUMNS, *rows)) for column in range(6)]
    lines = []
    for row in (_COLUMNS, *rows):
        cells = [row[0].ljust(widths[0]), *(row[column].rjust(widths[column]) for column in range(1, 6)), row[6]]
        lines.append("  ".join(cells).rstrip())
    sums = total(results)
    states = ", ".join(f"{count} {state}" for state, count in sorted(sums.states.items()))
    lines += [
        "",
        f"{sums.files} files: {states}",
        f"{sums.ran} tests: {sums.passed} passed, {sums.failed} failed, {sums.skipped} skipped",
        f"{sums.share:.1%} of the files that do not ask to be skipped pass in full",
        f"{seconds / 60:.1f} minutes with {jobs} at once",
    ]
    return "\n".join(lines) + "\n"


def as_json(results: Sequence[FileResult], expected: Expected, seconds: float, jobs: int, identity: str) -> str:
    """The same as one JSON document, with every failing test."""
    sums = total(results)
    files = []
    for item in sorted(results, key=lambda item: item.name):
        verdict = judge(item, expected)
        known = expected.of(item.name)
        files.append(
            {
                **asdict(item),
                "kinds": {test: known[test].kind for test in sorted(item.failures) if test in known},
                "worse": verdict.worse,
                "better": verdict.better,
            }
        )
    document = {
        "interpreter": identity,
        "jobs": jobs,
        "seconds": round(seconds, 1),
        "share": round(sums.share, 4),
        "states": dict(sorted(sums.states.items())),
        "tests": {"run": sums.ran, "passed": sums.passed, "failed": sums.failed, "skipped": sums.skipped},
        "files": files,
    }
    return json.dumps(document, indent=1) + "\n"
