"""What runs under Wine, here on this Python: the events of every kind of outcome."""

from __future__ import annotations

import json
import os
import unittest
from pathlib import Path
from typing import Any

import pytest

from tests.cpython.inside import Lines, Result, refuse_link, without


class Sample(unittest.TestCase):
    """Not collected by its name; run by hand below."""

    __test__ = False

    def runs(self) -> None: ...

    def fails(self) -> None:
        self.fail("as it should\nand more")

    def raises(self) -> None:
        raise ValueError("wrong")

    def skips(self) -> None:
        self.skipTest("not now")

    def one_subtest_fails(self) -> None:
        for number in range(3):
            with self.subTest(number=number):
                self.assertNotEqual(number, 1)

    def one_subtest_skips(self) -> None:
        for number in range(2):
            with self.subTest(number=number):
                if number:
                    self.skipTest("half")

    @unittest.expectedFailure
    def fails_as_expected(self) -> None:
        self.fail("no")

    @unittest.expectedFailure
    def passes_unexpectedly(self) -> None: ...


class Unready(unittest.TestCase):
    __test__ = False

    @classmethod
    def setUpClass(cls) -> None:
        raise OSError("not ready")

    def runs(self) -> None: ...


def events(tmp_path: Path, suite: unittest.TestSuite) -> list[dict[str, Any]]:
    path = tmp_path / "lines"
    suite.run(Result(Lines(str(path))))
    return [json.loads(line) for line in path.read_text("ascii").splitlines()]


def outcome(tmp_path: Path, method: str) -> tuple[str, str]:
    start, stop = events(tmp_path, unittest.TestSuite([Sample(method)]))
    assert start["start"] == stop["stop"] == f"{__name__}.Sample.{method}"
    assert 0 <= start["at"] <= stop["at"]
    return stop["outcome"], stop["why"]


def test_each_outcome(tmp_path: Path) -> None:
    expected = {
        "runs": ("passed", ""),
        "fails": ("failed", "AssertionError: as it should"),
        "raises": ("failed", "ValueError: wrong"),
        "skips": ("skipped", "not now"),
        "one_subtest_fails": ("failed", "AssertionError: 1 == 1"),
        "one_subtest_skips": ("passed", ""),
        "fails_as_expected": ("passed", ""),
        "passes_unexpectedly": ("failed", "unexpected success"),
    }
    found = {}
    for method in expected:
        (tmp_path / method).mkdir()
        found[method] = outcome(tmp_path / method, method)
    assert found == expected


def test_a_class_that_is_not_ready_fails_without_a_start(tmp_path: Path) -> None:
    (event,) = events(tmp_path, unittest.TestSuite([Unready("runs")]))
    assert event["stop"] == f"setUpClass ({__name__}.Unready)"
    assert (event["outcome"], event["why"]) == ("failed", "OSError: not ready")


def test_tests_are_left_out_wherever_they_are(tmp_path: Path) -> None:
    inner = unittest.TestSuite([Sample("runs"), Sample("skips")])
    left = without(
        unittest.TestSuite([inner, Sample("fails")]), {f"{__name__}.Sample.fails", f"{__name__}.Sample.skips"}
    )
    assert [event["start"] for event in events(tmp_path, left) if "start" in event] == [f"{__name__}.Sample.runs"]


def test_a_link_is_refused_and_pathlib_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "symlink", refuse_link)
    with pytest.raises(OSError, match="A required privilege is not held by the client"):
        (tmp_path / "link").symlink_to("nowhere")
    assert list(tmp_path.iterdir()) == []
