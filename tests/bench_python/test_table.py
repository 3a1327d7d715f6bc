"""Medians, ratios, means, and the table that they make."""

from __future__ import annotations

import pytest

from packager.errors import BuildError
from tests.bench_python import table
from tests.bench_python.measure import Value, one_name
from tests.bench_python.programs import Program

VALUES = {
    "spam": {
        "a": [Value(0.9, 0.8), Value(0.2, 0.2), Value(0.1, 0.2)],
        "b": [Value(0.1, 0.1), Value(0.1, 0.1), Value(5.0, 0.1)],
        "c": [Value(0.4, 0.0)],
    },
    "eggs": {"a": [Value(8e-7, 8e-7)], "b": [Value(1e-7, 1e-7)], "c": [Value(1e-7, 1e-7)]},
}


def test_rows_have_medians_and_mean_processor_time() -> None:
    eggs, spam = table.rows(VALUES)
    assert (eggs.name, spam.name) == ("eggs", "spam")
    assert spam.wall == {"a": 0.2, "b": 0.1, "c": 0.4}
    assert spam.cpu["a"] == pytest.approx(0.4)
    assert spam.ratio("a", "b") == 2
    assert spam.cpu_ratio("a", "b") == pytest.approx(4)
    assert spam.cpu_ratio("b", "c") is None  # a clock that saw nothing


def test_means_are_geometric() -> None:
    means = table.means(table.rows(VALUES))
    assert means["a/b"] == pytest.approx(4)  # of 2 and 8
    assert means["b/c"] == pytest.approx(0.5)
    assert means["cpu b/c"] == pytest.approx(1)  # of eggs alone


def test_what_was_not_measured_has_no_ratio() -> None:
    (row,) = table.rows({"spam": {"a": [Value(1, 1)]}})
    assert row.ratio("a", "b") is None
    assert table.mean([None]) is None


def test_the_table() -> None:
    assert table.text(table.rows(VALUES), {"a": "one", "b": "two", "c": "three"}) == (
        "(a) one\n"
        "(b) two\n"
        "(c) three\n"
        "\n"
        "                         a         b         c    a/b    b/c    a/c\n"
        "eggs                800 ns    100 ns    100 ns   8.00   1.00   8.00\n"
        "spam                200 ms    100 ms    400 ms   2.00   0.25   0.50\n"
        "geometric mean                                   4.00   0.50   2.00\n"
        "processor time                                   5.66   1.00   8.00\n"
        "goal, at most                                    1.10   1.00\n"
    )


def test_a_table_without_one_of_them() -> None:
    said = table.text(table.rows(VALUES), {"a": "one", "c": "three"})
    assert "a/b" not in said
    assert "a/c" in said


def test_interpreters_have_to_be_at_the_same_benchmark() -> None:
    program = Program("spam")
    assert one_name({"a": {"benchmark": "x"}, "b": {"benchmark": "x"}}, program) == "x"
    with pytest.raises(BuildError, match="not at the same"):
        one_name({"a": {"benchmark": "x"}, "b": {"done": True}}, program)
