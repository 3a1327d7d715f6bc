"""The table as text and as JSON."""

from __future__ import annotations

import json

from tests.cpython.results import FileResult
from tests.cpython.settings import Expected, Failing
from tests.cpython.table import as_json, as_text, total

RESULTS = (
    FileResult(
        "test_os",
        "failed",
        ran=9,
        passed=6,
        failed=1,
        skipped=2,
        left_out=1,
        seconds=12.34,
        failures={"T.a": "E", "T.b": "not run"},
    ),
    FileResult("test_re", "passed", ran=100, passed=100, seconds=3.0),
    FileResult("test_select", "passed", ran=4, passed=4, seconds=0.5, tries=2),
    FileResult("test_fork", "skipped", note="no fork"),
    FileResult(
        "test_ssl",
        "crashed",
        ran=5,
        passed=4,
        failed=1,
        seconds=1.0,
        failures={"T.x": "the process ended here"},
        note="T.x: exit code 5",
    ),
)
WINE = Failing(tests=("T.a", "T.b"), kind="wine", why="a reason long enough")
EXPECTED = Expected({"test_os": {"T.a": WINE, "T.b": WINE}}, {"test_fork": "there is no fork() on Windows"})

TEXT = """\
file         run  passed  failed  skipped  seconds
test_fork      0       0       0        0      0.0  skipped: there is no fork() on Windows
test_os        9       6       2        2     12.3  2 wine
test_re      100     100       0        0      3.0
test_select    4       4       0        0      0.5  try 2
test_ssl       5       4       1        0      1.0  WORSE THAN EXPECTED crashed: T.x: exit code 5

5 files: 1 crashed, 1 failed, 2 passed, 1 skipped
118 tests: 114 passed, 3 failed, 2 skipped
50.0% of the files that do not ask to be skipped pass in full
1.5 minutes with 2 at once
"""


def test_the_table_as_text() -> None:
    assert as_text(RESULTS, EXPECTED, 90.0, 2) == TEXT


def test_the_table_as_json() -> None:
    document = json.loads(as_json(RESULTS, EXPECTED, 90.04, 2, "abc"))
    assert document["interpreter"] == "abc"
    assert document["states"] == {"crashed": 1, "failed": 1, "passed": 2, "skipped": 1}
    assert document["tests"] == {"run": 118, "passed": 114, "failed": 3, "skipped": 2}
    assert document["share"] == 0.5
    assert [item["name"] for item in document["files"]] == [
        "test_fork",
        "test_os",
        "test_re",
        "test_select",
        "test_ssl",
    ]
    assert document["files"][1]["kinds"] == {"T.a": "wine", "T.b": "wine"}
    assert document["files"][4]["worse"] == ["test_ssl: T.x failed, which was not expected: the process ended here"]


def test_better_is_said() -> None:
    passed = FileResult("test_os", "passed", ran=1, passed=1)
    assert "better than expected" in as_text([passed], EXPECTED, 1, 1)


def test_no_files_are_no_failure() -> None:
    assert total(()).share == 1.0
