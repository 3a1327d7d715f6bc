"""Numbers out of values: medians, ratios, their geometric mean; as text and as JSON."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.bench_python.measure import Value

#: The pairs whose ratio is shown, with its goal: (a) within 1.10 of (b), (b) ahead of (c).
PAIRS = (("a", "b", 1.10), ("b", "c", 1.00), ("a", "c", None))


@dataclass(frozen=True, slots=True)
class Row:
    """A benchmark: the median seconds of each interpreter, by the clock and of processor time, by the key."""

    name: str
    wall: Mapping[str, float]
    cpu: Mapping[str, float]

    def ratio(self, one: str, other: str) -> float | None:
        """How many times longer ``one`` takes; None if one of them was not measured."""
        return self.wall[one] / self.wall[other] if one in self.wall and other in self.wall else None

    def cpu_ratio(self, one: str, other: str) -> float | None:
        """The same of processor time; None also where a clock is too coarse to have seen any."""
        found = self.cpu.get(one), self.cpu.get(other)
        return found[0] / found[1] if found[0] and found[1] else None


def rows(values: Mapping[str, Mapping[str, Sequence[Value]]]) -> tuple[Row, ...]:
    """A row for each benchmark, by name.

    By the clock it is the median. Processor time is the mean: Wine's clock for it goes in steps of 10 ms, and only the
    sum of many values is to be trusted.
    """
    return tuple(
        Row(
            name,
            {key: statistics.median(value.wall for value in each) for key, each in by_key.items()},
            {key: statistics.fmean(value.cpu for value in each) for key, each in by_key.items()},
        )
        for name, by_key in sorted(values.items())
    )


def mean(ratios: Sequence[float | None]) -> float | None:
    """The geometric mean of those that there are."""
    found = [ratio for ratio in ratios if ratio]
    return statistics.geometric_mean(found) if found else None


def means(table: Sequence[Row]) -> Mapping[str, float | None]:
    """The geometric means of all pairs, by the clock and (``cpu ``) of processor time."""
    clock = {f"{one}/{other}": mean([row.ratio(one, other) for row in table]) for one, other, _ in PAIRS}
    cpu = {f"cpu {one}/{other}": mean([row.cpu_ratio(one, other) for row in table]) for one, other, _ in PAIRS}
    return {**clock, **cpu}


def duration(seconds: float) -> str:
    """Three digits and a unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def text(table: Sequence[Row], titles: Mapping[str, str]) -> str:
    """A line for each benchmark, and the geometric means with their goals."""
    width = max([*(len(row.name) for row in table), 16])
    pairs = [(one, other, goal) for one, other, goal in PAIRS if one in titles and other in titles]
    head = "".join(f"{key:>10}" for key in titles) + "".join(f"{f'{one}/{other}':>7}" for one, other, _ in pairs)
    lines = [f"({key}) {title}" for key, title in titles.items()]
    lines += ["", f"{'':{width}}{head}"]
    for row in table:
        times = "".join(f"{duration(row.wall[key]):>10}" for key in titles)
        lines.append(f"{row.name:{width}}{times}" + "".join(_cell(row.ratio(one, other)) for one, other, _ in pairs))
    found = means(table)
    blank = " " * 10 * len(titles)
    clock = "".join(_cell(found[f"{one}/{other}"]) for one, other, _ in pairs)
    cpu = "".join(_cell(found[f"cpu {one}/{other}"]) for one, other, _ in pairs)
    goals = "".join(_cell(goal) for _, _, goal in pairs)
    lines += [
        f"{'geometric mean':{width}}{blank}{clock}",
        f"{'processor time':{width}}{blank}{cpu}",
        f"{'goal, at most':{width}}{blank}{goals}",
    ]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _cell(ratio: float | None) -> str:
    return f"{ratio:7.2f}" if ratio is not None else " " * 7
