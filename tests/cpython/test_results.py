"""Reading what inside.py wrote: whole, cut off by a crash, or by a time limit."""

from __future__ import annotations

import json

import pytest

from tests.cpython.results import FileResult, read_lines, short_id

MODULE = "test.test_x"


def lines(*events: dict[str, object]) -> list[str]:
    return [json.dumps(event) for event in events]


def ran(test: str, outcome: str, why: str = "") -> list[dict[str, object]]:
    return [{"start": f"{MODULE}.{test}"}, {"stop": f"{MODULE}.{test}", "outcome": outcome, "why": why}]


def read(*events: dict[str, object], code: int | None = 0, left_out: tuple[str, ...] = ()) -> FileResult:
    return read_lines("test_x", MODULE, lines(*events), code=code, seconds=1.26, left_out=left_out)


@pytest.mark.parametrize(
    ("test", "short"),
    [
        ("test.test_x.T.test_a", "T.test_a"),
        ("setUpClass (test.test_x.T)", "setUpClass (T)"),
        ("test.datetimetester.T.test_a", "test.datetimetester.T.test_a"),
        ("test.test_xy.T.test_a", "test.test_xy.T.test_a"),
    ],
)
def test_an_id_is_shortened_by_the_module_it_is_in(test: str, short: str) -> None:
    assert short_id(test, MODULE) == short


def test_a_file_that_passes() -> None:
    result = read(*ran("T.a", "passed"), *ran("T.b", "skipped", "not here"), {"end": 2})
    assert result == FileResult("test_x", "passed", ran=2, passed=1, skipped=1, seconds=1.3)


def test_a_file_with_a_failing_test() -> None:
    result = read(*ran("T.a", "passed"), *ran("T.b", "failed", "ValueError: x"), {"end": 2})
    assert (result.state, result.ran, result.passed, result.failed) == ("failed", 2, 1, 1)
    assert result.failures == {"T.b": "ValueError: x"}


def test_a_fixture_that_fails_has_no_start() -> None:
    result = read({"stop": f"setUpClass ({MODULE}.T)", "outcome": "failed", "why": "OSError"}, {"end": 0})
    assert result.failures == {"setUpClass (T)": "OSError"}


def test_a_file_that_asks_to_be_skipped() -> None:
    result = read({"skipped": "no fork"})
    assert (result.state, result.note, result.failures) == ("skipped", "no fork", {})


def test_a_file_that_does_not_load() -> None:
    result = read({"broken": "ImportError: no"}, code=1)
    assert (result.state, result.failures) == ("broken", {"(loading)": "ImportError: no"})


def test_a_crash_is_the_failure_of_the_test_that_ran() -> None:
    result = read(*ran("T.a", "passed"), {"start": f"{MODULE}.T.b"}, code=5)
    assert (result.state, result.note) == ("crashed", "T.b: exit code 5")
    assert result.failures == {"T.b": "the process ended here"}
    assert (result.ran, result.passed, result.failed) == (2, 1, 1)


def test_a_crash_before_and_between_tests() -> None:
    assert read(code=53).failures == {"(loading)": "the process ended here"}
    assert read(*ran("T.a", "passed"), code=1).failures == {"(after T.a)": "the process ended here"}


def test_a_hang_is_the_failure_of_the_test_that_ran() -> None:
    result = read(*ran("T.a", "passed"), {"start": f"{MODULE}.T.b"}, code=None)
    assert (result.state, result.note, result.failures) == ("hung", "T.b", {"T.b": "the process did not end here"})


@pytest.mark.parametrize(("code", "state"), [(None, "hung"), (5, "crashed")])
def test_what_happens_after_the_last_test_counts(code: int | None, state: str) -> None:
    result = read(*ran("T.a", "passed"), {"end": 1}, code=code)
    assert result.state == state
    assert list(result.failures) == ["(at the end)"]


def test_a_line_that_was_cut_off_counts_for_nothing() -> None:
    whole = lines(*ran("T.a", "passed"), {"start": f"{MODULE}.T.b"})
    result = read_lines("test_x", MODULE, [*whole, '{"stop": "test.tes'], code=5, seconds=1)
    assert (result.state, result.ran, list(result.failures)) == ("crashed", 2, ["T.b"])


def test_a_test_that_is_not_run_is_a_failure_and_not_a_run_test() -> None:
    result = read(*ran("T.a", "passed"), {"end": 1}, left_out=("T.b",))
    assert (result.state, result.ran, result.left_out) == ("failed", 1, 1)
    assert result.failures == {"T.b": "not run"}
