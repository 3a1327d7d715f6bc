"""Running files: what is tried again, how often, and which result stays."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from packager.wine import Wine
from tests.cpython import run
from tests.cpython.interpreter import Interpreter
from tests.cpython.results import FileResult
from tests.cpython.run import Suite, run_files
from tests.cpython.settings import Expected, Failing
from tests.cpython.test_settings import FILES

ALWAYS = Failing(tests=("T.always",), kind="wine", why="a reason long enough")
AT_TIMES = Failing(tests=("T.race",), kind="wine", why="a reason long enough", at_times=True)
EXPECTED = Expected({"test_x": {"T.always": ALWAYS}, "test_race": {"T.race": AT_TIMES}}, {})
PASSED = ""


@pytest.fixture
def outcomes(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """By file, what comes of each time that it is run: the test that fails, or :data:`PASSED`."""
    given: dict[str, list[str]] = {}

    def once(self: run.Worker, name: str) -> FileResult:
        test = given[name].pop(0)
        return FileResult(name, "failed" if test else "passed", ran=1, failures={test: "E"} if test else {})

    monkeypatch.setattr(run.Worker, "run", once)
    return given


def suite_of(out: Path, interpreter: str = "one") -> Suite:
    return Suite(Wine(out, out), Interpreter(out, interpreter), FILES, EXPECTED, out)


def run_all(outcomes: dict[str, list[str]], out: Path) -> tuple[list[tuple[str, int]], list[str]]:
    """What each file's result is in the end, and at which try; and the files in the order of the results that were told."""
    suite = suite_of(out)
    told: list[str] = []
    names = tuple(outcomes)
    results = run_files(suite, names, 1, lambda result, _done: told.append(result.name))
    assert tuple(result.name for result in results) == names
    assert [suite.finished(name) for name in names] == list(results), "what is kept is what counts"
    return [(next(iter(result.failures), PASSED), result.tries) for result in results], told


def test_what_is_as_expected_is_run_once(outcomes: dict[str, list[str]], tmp_path: Path) -> None:
    outcomes |= {"test_a": [PASSED], "test_x": ["T.always"]}
    assert run_all(outcomes, tmp_path) == ([(PASSED, 1), ("T.always", 1)], ["test_a", "test_x"])


def test_what_is_worse_than_expected_is_run_twice(outcomes: dict[str, list[str]], tmp_path: Path) -> None:
    outcomes |= {"test_a": ["T.new", PASSED, "never"], "test_b": ["T.new", "T.other", "never"], "test_c": [PASSED]}
    found, told = run_all(outcomes, tmp_path)
    assert found == [(PASSED, 2), ("T.new", 1), (PASSED, 1)]
    assert told == ["test_a", "test_b", "test_c", "test_a"]
    assert outcomes == {"test_a": ["never"], "test_b": ["never"], "test_c": []}


@pytest.mark.parametrize(
    ("each", "found"),
    [
        (["T.race", PASSED, "never"], (PASSED, 2)),
        (["T.race", "T.race", "T.new", PASSED, "never"], (PASSED, 4)),
        (["T.race"] * run.TRIES_OF_CHANCE + ["never"], ("T.race", run.TRIES_OF_CHANCE)),
        (["T.race", "T.race"] + ["T.new"] * (run.TRIES_OF_CHANCE - 2) + ["never"], ("T.race", 2)),
    ],
)
def test_what_fails_at_times_is_run_until_it_passes(
    each: list[str], found: tuple[str, int], outcomes: dict[str, list[str]], tmp_path: Path
) -> None:
    outcomes["test_race"] = each
    assert run_all(outcomes, tmp_path) == ([found], ["test_race", "test_race"])
    assert each == ["never"]


def test_nothing_is_run_again_where_much_is_worse(outcomes: dict[str, list[str]], tmp_path: Path) -> None:
    outcomes |= {f"test_{number}": ["T.new", "never"] for number in range(run.TRIES_AGAIN + 1)}
    found, _told = run_all(outcomes, tmp_path)
    assert set(found) == {("T.new", 1)}


def test_results_of_another_interpreter_do_not_count(outcomes: dict[str, list[str]], tmp_path: Path) -> None:
    outcomes["test_a"] = [PASSED]
    run_all(outcomes, tmp_path)
    assert suite_of(tmp_path, "another").finished("test_a") is None
    kept = suite_of(tmp_path).folder / "test_a.json"
    kept.write_text(json.dumps({**json.loads(kept.read_text("utf-8")), "unknown": 1}), "utf-8")
    assert suite_of(tmp_path).finished("test_a") is None
