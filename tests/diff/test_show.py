from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packager.diff import show


@settings(deadline=None)
@given(st.text(alphabet=st.characters(codec=None)))
def test_what_is_shown_is_printable_and_can_be_encoded(text: str) -> None:
    assert show.printable(text).isprintable()
    show.quoted(text).encode("utf-8")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\n", "'\\x1b[31mred\\n'"),
        ("it's", '"it\'s"'),
        ("'\"", "'\\'\"'"),
        ("a\\b", "'a\\\\b'"),
        ("\u202e", "'\\u202e'"),
        ("\udc80", "'\\udc80'"),
        ("ä≠", "'ä≠'"),
    ],
)
def test_quoted(text: str, shown: str) -> None:
    assert show.quoted(text) == shown


@settings(deadline=None)
@given(st.text(max_size=200), st.text(max_size=200), st.text(max_size=200), st.text(max_size=200))
def test_excerpts_are_short_and_not_the_same(lead: str, a: str, b: str, tail: str) -> None:
    first, second = lead + a + tail, lead + b + tail
    shown = show.excerpts(first, second)
    assert max(map(len, shown)) <= show.WIDTH + 4
    if first != second:
        assert shown[0] != shown[1] or "…" in shown[0] + shown[1]
    if max(len(first), len(second)) <= show.WIDTH:
        assert shown == (first, second)


def test_excerpts_keep_what_comes_before_and_after() -> None:
    first, second = show.excerpts("0" * 64 + "  name.zip", "1" * 64 + "  name.zip")
    assert first.startswith("0" * 30)
    assert first.endswith("…  name.zip")
    assert second.endswith("…  name.zip")
    first, second = show.excerpts("/very/long/path" * 10 + "/a/x.c", "/very/long/path" * 10 + "/b/x.c")
    assert (first, second) == ("…path/very/long/path/a/x.c", "…path/very/long/path/b/x.c")


@settings(deadline=None)
@given(st.binary(max_size=50), st.binary(max_size=50))
def test_common_prefix(a: bytes, b: bytes) -> None:
    size = show.common_prefix(a, b)
    assert a[:size] == b[:size]
    assert a[size : size + 1] != b[size : size + 1] or size == len(a) == len(b)


@pytest.mark.parametrize(
    ("a", "b", "shown"),
    [
        (1600000000, 1735689600, ("2020-09-13", "2025-01-01")),
        (1735689600, 1735689601, ("2025-01-01 00:00:00", "2025-01-01 00:00:01")),
        (0, 1735689600, ("0", "2025-01-01")),
        (0xFFFFFFFF, 1735689600, ("0xffffffff", "2025-01-01")),
        (-5, 1 << 60, ("-5", "0x1000000000000000")),
    ],
)
def test_stamps(a: int, b: int, shown: tuple[str, str]) -> None:
    assert show.stamps(a, b) == shown


def test_counts_and_names() -> None:
    assert [show.count(n, noun) for n, noun in ((1, "range"), (1234, "range"), (2, "entry"))] == [
        "1 range",
        "1,234 ranges",
        "2 entries",
    ]
    assert show.names(["a", "b"]) == "a, b"
    assert show.names(list("abcdefg"), 3) == "a, b, c and 4 more"
    assert show.hexadecimal(bytes(9)) == "00 00 00 00 00 00 00 00 …"
