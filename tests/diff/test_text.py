from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packager.diff.render import line
from packager.diff.text import compare_text, decoded


def told(a: str, b: str) -> str:
    return line(compare_text("x", a, b)).removeprefix("x: ")


@pytest.mark.parametrize(
    ("a", "b", "found"),
    [
        ("a\nb\nc\n", "a\nX\nc\n", "line 2 'b' ≠ 'X' (1 line differs)"),
        ("a\nb\nc\n", "a\nX\nY\n", "line 2 'b' ≠ 'X' (2 lines differ)"),
        ("a\nc\n", "a\nb\nc\n", "line 2 'c' ≠ 'b' (1 line only in B)"),
        ("a\n", "a\nb\nc\n", "line 2 nothing ≠ 'b' (2 lines only in B)"),
        ("", "a\n", "line 1 nothing ≠ 'a' (1 line only in B)"),
        ("a\nb\n", "b\na\n", "line 1 'a' ≠ 'b' (the same lines in another order)"),
        ("a\r\nb\n", "a\nb\r\n", "only line endings differ CRLF and LF ≠ CRLF and LF (first in line 1)"),
        ("a\r\n", "a\n", "only line endings differ CRLF ≠ LF (first in line 1)"),
        ("a\n", "a", "only the final newline differs 1 newline ≠ 0 newlines (first in line 1)"),
        ("a \nb\t\n", "a\nb\n", "only trailing whitespace differs (first in line 1)"),
        ("\ufeffa\n", "a\n", "only the byte order mark differs present ≠ absent (first in line 1)"),
        ("it\x1b[0m\n", "it\x1b[1m\n", "line 1 'it\\x1b[0m' ≠ 'it\\x1b[1m' (1 line differs)"),
        ("x" * 500 + "a\n", "x" * 500 + "b\n", f"line 1 '…{'x' * 20}a' ≠ '…{'x' * 20}b' (1 line differs)"),
        # The first line ends in the common beginning, the second goes on.
        ("ab\nz\n", "abc\nz\n", "line 1 'ab' ≠ 'abc' (1 line differs)"),
    ],
)
def test_the_first_line_that_differs(a: str, b: str, found: str) -> None:
    assert told(a, b) == found


def test_the_offset_is_in_bytes() -> None:
    assert compare_text("x", "äö\na", "äö\nb").offset == 5


@pytest.mark.parametrize(
    ("a", "b", "found"),
    [
        ('{"a": 1}', '{"a": 2}', "a 1 ≠ 2"),
        ('{"a": {"b-c": [1, 2]}}', '{"a": {"b-c": [1, 3]}}', "a.b-c[1] 2 ≠ 3"),
        ('{"a.b": [{"c d": "x"}]}', '{"a.b": [{"c d": "y"}]}', '["a.b"][0]["c d"] "x" ≠ "y"'),
        ('{"a": 1, "b": 2}', '{"a": 2, "b": 3}', "a 1 ≠ 2 (2 values differ)"),
        ('{"a": 1}', '{"b": 1}', "a only in A (2 values differ)"),
        ('{"a": 1}', '{"a": 1, "b": "x"}', "b only in B ('\"x\"')"),
        ("[1, 2]", "[1]", "[1] only in A ('2')"),
        ("[]", "{}", "value [] ≠ {}"),
        ("[1]", "[1.0]", "[0] 1 ≠ 1.0"),
        ("[1]", "[true]", "[0] 1 ≠ true"),
        ("[null]", '["null"]', '[0] null ≠ "null"'),
        ('{"a": 1, "b": 2}', '{"b": 2, "a": 1}', "only the order of JSON keys differs (first in line 1)"),
        ('{"a": 1}', '{\n "a": 1}', "only JSON formatting differs (first in line 1)"),
        ('{"a": "\\u0041"}', '{"a": "A"}', "only JSON formatting differs (first in line 1)"),
        # A key that is there twice, and what is no JSON, is text.
        ('{"a": 1, "a": 2}', '{"a": 2, "a": 2}', 'line 1 \'{"a": 1, "a": 2}\' ≠ \'{"a": 2, "a": 2}\' (1 line differs)'),
        ("{a", "{b", "line 1 '{a' ≠ '{b' (1 line differs)"),
        ("[" * 5000, "[" * 5001, "line 1 '…[[[[[[[[[[[[[[[[[[[[' ≠ '…[[[[[[[[[[[[[[[[[[[[[' (1 line differs)"),
    ],
)
def test_json_is_compared_by_its_values(a: str, b: str, found: str) -> None:
    assert told(a, b) == found


def test_a_newline_at_the_end_of_json_is_only_that() -> None:
    assert told("[1]\n", "[1]") == "only the final newline differs 1 newline ≠ 0 newlines (first in line 1)"


def test_what_is_text() -> None:
    assert decoded("ä".encode()) == "ä"
    assert decoded(b"") == ""
    assert decoded(b"a\0b") is None
    assert decoded(b"\xff\xfe") is None


def test_a_long_run_of_blanks_takes_no_time() -> None:
    blanks = " " * 1_000_000
    assert told(f"{blanks}x", f"{blanks}y").startswith("line 1 ")


@settings(deadline=None)
@given(st.text(alphabet="ab\r\n \t", max_size=20), st.text(alphabet="ab\r\n \t", max_size=20))
def test_texts_that_differ_have_a_difference_that_is_printable(a: str, b: str) -> None:
    if a != b:
        found = compare_text("x", a, b)
        assert found.what
        assert line(found).isprintable()
        assert 0 <= (found.offset or 0) <= max(len(a), len(b))


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.text("ab.", max_size=2)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text("ab.", max_size=2), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(deadline=None)
@given(json_values, json_values)
def test_json_documents_with_other_values_are_not_only_formatted(a: object, b: object) -> None:
    first, second = json.dumps([a]), json.dumps([b])
    if first == second:
        return
    found = compare_text("x", first, second).what
    assert found.startswith("only") == (json.dumps([a], sort_keys=True) == json.dumps([b], sort_keys=True))
