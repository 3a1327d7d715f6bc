"""A result against what is expected: worse, better, neither."""

from __future__ import annotations

from typing import Literal

import pytest

from tests.cpython.results import FileResult, State
from tests.cpython.settings import Expected, Failing
from tests.cpython.verdict import Verdict, judge, may_be_chance


def reason(*, run: bool = True, at_times: bool = False, kind: Literal["wine", "ours"] = "wine") -> Failing:
    return Failing(tests=("unused",), kind=kind, why="a reason long enough", run=run, at_times=at_times)


EXPECTED = Expected(
    {"test_x": {"T.always": reason(), "T.at_times": reason(at_times=True), "T.never": reason(run=False)}},
    {"test_fork": "there is no fork() on Windows"},
)


def result(name: str, state: State, *failing: str, note: str = "") -> FileResult:
    return FileResult(name, state, failures=dict.fromkeys(failing, "E: e"), note=note)


@pytest.mark.parametrize("failing", [("T.always", "T.never"), ("T.always", "T.at_times", "T.never")])
def test_as_expected(failing: tuple[str, ...]) -> None:
    assert judge(result("test_x", "failed", *failing), EXPECTED) == Verdict()
    assert judge(result("test_y", "passed"), EXPECTED) == Verdict()
    assert judge(result("test_fork", "skipped"), EXPECTED) == Verdict()


def test_a_new_failure_is_worse() -> None:
    found = judge(result("test_x", "failed", "T.always", "T.new"), EXPECTED)
    assert found == Verdict(worse=("test_x: T.new failed, which was not expected: E: e",))


@pytest.mark.parametrize("state", ["broken", "crashed", "hung"])
def test_a_file_that_ends_early_is_worse_and_nothing_is_better(state: State) -> None:
    found = judge(result("test_x", state, "T.new"), EXPECTED)
    assert len(found.worse) == 1
    assert found.better == ()


def test_a_crash_in_a_test_that_is_expected_to_fail_is_expected() -> None:
    assert judge(result("test_x", "crashed", "T.always"), EXPECTED) == Verdict()


def test_a_failure_that_is_gone_is_better() -> None:
    found = judge(result("test_x", "failed", "T.at_times", "T.never"), EXPECTED)
    assert found == Verdict(better=("test_x: T.always did not fail, and was expected to",))


def test_a_file_that_is_skipped_all_at_once_is_worse() -> None:
    found = judge(result("test_x", "skipped", note="No module named '_testcapi'"), EXPECTED)
    assert found.worse == ("test_x asked to be skipped, which was not expected: No module named '_testcapi'",)


def test_a_file_that_is_no_longer_skipped_is_better() -> None:
    assert judge(result("test_fork", "passed"), EXPECTED).better == (
        "test_fork was run, and was expected to be skipped",
    )


def test_what_is_tried_again() -> None:
    again = [
        result("test_y", "failed", "T.new"),
        result("test_y", "hung", "T.new"),
        result("test_x", "failed", "T.at_times"),
        result("test_x", "failed", "T.always", "T.new"),
    ]
    not_again = [
        result("test_y", "passed"),
        result("test_x", "failed", "T.always", "T.at_times"),
        result("test_x", "failed", "T.at_times", "T.never"),
        result("test_fork", "skipped"),
    ]
    assert [may_be_chance(item, EXPECTED) for item in again] == [True] * 4
    assert [may_be_chance(item, EXPECTED) for item in not_again] == [False] * 4
