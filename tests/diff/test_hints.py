from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packager.diff.hints import hint, new_texts, text_hint
from packager.diff.ranges import ranges

PAD = b"\0\1\2\3\0"


@pytest.mark.parametrize(
    ("a", "b", "told"),
    [
        (b"/build/a/x.c", b"/build/b/x.c", "a path: /build/a/x.c ≠ /build/b/x.c"),
        (b"C:\\src\\x y.pdb", b"D:\\src\\x y.pdb", "a path: C:\\src\\x y.pdb ≠ D:\\src\\x y.pdb"),
        (b"see ../src/one.c", b"see ../src/two.c", "a path: ../src/one.c ≠ ../src/two.c"),
        (b"/build/ab\0\0\0", b"/build/abcde", "a path: /build/ab ≠ /build/abcde"),
        (b"built Jan  1 2025", b"built Feb 13 2025", "a date: Jan  1 2025 ≠ Feb 13 2025"),
        (b"built 2025-01-01 10:00", b"built 2025-01-02 10:00", "a date: 2025-01-01 10:00 ≠ 2025-01-02 10:00"),
        (b"at 10:00:00", b"at 10:00:01", "a time: 10:00:00 ≠ 10:00:01"),
        (b"OpenSSL 3.5.1 is", b"OpenSSL 3.5.2 is", "a version: 3.5.1 ≠ 3.5.2"),
        (b"hello world", b"hello there", "a text: hello world ≠ hello there"),
        (b"user@host", b"\0\0\0\0\0\0\0\0\0", "a text: user@host only in A"),
        ("hello".encode("utf-16-le"), "hallo".encode("utf-16-le"), ""),
        ("/build/a".encode("utf-16-le"), "/build/b".encode("utf-16-le"), "a path: /build/a ≠ /build/b"),
        (b"@@!!##$$", b"@@!!%%&&", ""),
        (b"and/or this", b"and/if this", "a text: and/or this ≠ and/if this"),
    ],
)
def test_a_text_around_the_first_difference(a: bytes, b: bytes, told: str) -> None:
    left, right = PAD + a + PAD, PAD + b.ljust(len(a), b"\0") + PAD
    found = list(ranges(left[: len(right)], right[: len(left)]))
    assert text_hint(left, right, found[0][0]) == told


def test_a_text_that_ends_before_the_difference_is_not_meant() -> None:
    assert text_hint(b"\0hello world\1", b"\0hello world\2", 12) == ""


def test_addresses_are_told_after_texts() -> None:
    a = struct.pack("<4I", *range(0x1000, 0x5000, 0x1000))
    b = struct.pack("<4I", *range(0x3010, 0x7010, 0x1000))
    assert hint(a, b, list(ranges(a, b))) == "all by +0x2010: shifted addresses"
    few = struct.pack("<4I", *range(0x1001, 0x5001, 0x1000))
    assert hint(a, few, list(ranges(a, few))) == ""
    assert hint(a, a, []) == ""


def test_texts_that_only_one_side_has() -> None:
    a = PAD + b"/build/a/main.c" + PAD + b"the same text" + PAD
    b = PAD + b"the same text" + PAD + b"something" + PAD + b"/build/longer/main.c" + PAD
    assert new_texts(a, b) == "a path: /build/a/main.c ≠ /build/longer/main.c"
    assert new_texts(a, PAD + b"the same text") == "a path: /build/a/main.c only in A"
    assert new_texts(a, a) == ""
    assert new_texts(PAD + b"10:00:00", PAD + b"10:00:01") == "a time: 10:00:00 ≠ 10:00:01"


@settings(deadline=None)
@given(st.binary(max_size=100), st.binary(max_size=100), st.integers(0, 120))
def test_any_bytes_give_a_printable_hint(a: bytes, b: bytes, at: int) -> None:
    assert text_hint(a, b, at).isprintable()
    assert new_texts(a, b).isprintable()
