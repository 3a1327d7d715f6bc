"""A result against what is expected of it: worse fails a run, better is said."""

from __future__ import annotations

from dataclasses import dataclass

from tests.cpython.results import FileResult
from tests.cpython.settings import Expected


@dataclass(frozen=True, slots=True)
class Verdict:
    """One line for each difference from what is expected."""

    worse: tuple[str, ...] = ()
    better: tuple[str, ...] = ()


def may_be_chance(result: FileResult, expected: Expected) -> bool:
    """Whether another try may end better: it is worse than expected, or only what fails at times failed."""
    known = expected.of(result.name)
    if judge(result, expected).worse:
        return True
    return result.state == "failed" and all(known[test].run and known[test].at_times for test in result.failures)


def judge(result: FileResult, expected: Expected) -> Verdict:
    """Compare one file's result with what is expected of it.

    A test that fails and is not expected to is worse; one that is expected to and did not is better, if the file was
    run to its end. So is a file that is skipped, or no longer.
    """
    name, known = result.name, expected.of(result.name)
    if result.state == "skipped":
        if name in expected.skipped:
            return Verdict()
        return Verdict(worse=(f"{name} asked to be skipped, which was not expected: {result.note}",))
    worse = [
        f"{name}: {test} failed, which was not expected: {why}"
        for test, why in sorted(result.failures.items())
        if test not in known
    ]
    better = []
    if name in expected.skipped:
        better.append(f"{name} was run, and was expected to be skipped")
    if result.state in ("passed", "failed"):
        better += [
            f"{name}: {test} did not fail, and was expected to"
            for test, reason in sorted(known.items())
            if test not in result.failures and reason.run and not reason.at_times
        ]
    return Verdict(tuple(worse), tuple(better))
