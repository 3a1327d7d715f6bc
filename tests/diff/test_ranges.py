"""Ranges against the obvious loop over all bytes; shifted addresses in tables and in code."""

from __future__ import annotations

import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from packager.diff.ranges import GAP, Range, ranges, shift, shifted_code

CHUNK = 1 << 16


def slowly(a: bytes, b: bytes, gap: int = GAP) -> list[Range]:
    found: list[Range] = []
    for at in (i for i in range(len(a)) if a[i] != b[i]):
        if found and at - found[-1][1] < gap:
            found[-1] = (found[-1][0], at + 1)
        else:
            found.append((at, at + 1))
    return found


@settings(deadline=None)
@given(st.binary(max_size=200), st.sets(st.integers(0, 199), max_size=20), st.sampled_from((1, 2, GAP)))
def test_ranges_are_those_of_a_loop(data: bytes, places: set[int], gap: int) -> None:
    other = bytearray(data)
    for place in places & set(range(len(data))):
        other[place] ^= 0x55
    assert list(ranges(data, bytes(other), gap)) == slowly(data, bytes(other), gap)


@settings(deadline=None)
@given(st.sets(st.integers(CHUNK - 12, CHUNK + 12), min_size=1, max_size=12))
@example({CHUNK - 1, CHUNK})
@example({CHUNK - 4, CHUNK + 4})
@example({CHUNK - 4, CHUNK + 5})
def test_ranges_go_on_where_one_chunk_ends(places: set[int]) -> None:
    data = bytes(CHUNK + 20)
    other = bytearray(data)
    for place in places:
        other[place] = 1
    assert list(ranges(data, bytes(other))) == slowly(data, bytes(other))


def test_many_ranges_and_none() -> None:
    data = bytes(3 * CHUNK)
    assert list(ranges(data, data)) == []
    assert list(ranges(data, b"\1" * len(data))) == [(0, len(data))]
    every = bytes(1 if i % 16 == 0 else 0 for i in range(len(data)))
    assert len(list(ranges(data, every))) == len(data) // 16


@pytest.mark.parametrize("delta", [0x1000, -0x20000, 0x01020304, -1])
@pytest.mark.parametrize("code", ["I", "Q"])
def test_tables_of_addresses(code: str, delta: int) -> None:
    values = [0x14000F0F0 + 0x11223 * i if code == "Q" else 0x400F0F0 + 0x11223 * i for i in range(20)]
    a = struct.pack(f"<20{code}", *values)
    b = struct.pack(f"<20{code}", *(value + delta for value in values))
    assert shift(a, b, list(ranges(a, b))) == delta


def test_tables_of_addresses_above_32_bits() -> None:
    values = [0x391000000 + 0x123 * i for i in range(20)]
    a = struct.pack("<20Q", *values)
    b = struct.pack("<20Q", *(value - 0x1C1D10000 for value in values))
    assert shift(a, b, list(ranges(a, b))) == -0x1C1D10000


@pytest.mark.parametrize("delta", [0x10, 0x1000, -0x230])
def test_addresses_in_code_lie_anywhere(delta: int) -> None:
    parts = [b"\x48\x8b\x05", b"\xe8", b"\x48\x8d\x0d\x90", b"\xff\x15"] * 3
    values = [0x31FF0 * i for i in range(1, len(parts) + 1)]
    a = b"".join(part + struct.pack("<I", value) for part, value in zip(parts, values, strict=True))
    b = b"".join(part + struct.pack("<I", value + delta) for part, value in zip(parts, values, strict=True))
    found = list(ranges(a, b))
    assert shift(a, b, found) is None
    assert shifted_code(a, b, found)
    other = b[:-4] + struct.pack("<I", values[-1] + delta + 1)
    assert not shifted_code(a, other, list(ranges(a, other)))


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (struct.pack("<4I", 1, 2, 3, 4), struct.pack("<4I", 0x1001, 0x1002, 0x1003, 0x2004)),  # not all by the same
        (struct.pack("<2I", 1, 2), struct.pack("<2I", 0x1001, 0x1002)),  # too few to say
        (b"hello world!", b"HELLO WORLD!"),
        (b"", b""),
    ],
)
def test_what_is_no_shift(a: bytes, b: bytes) -> None:
    found = list(ranges(a, b))
    assert shift(a, b, found) is None
    assert not shifted_code(a, b, found)


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=300), st.binary(min_size=1, max_size=300))
def test_shift_takes_anything(a: bytes, b: bytes) -> None:
    size = min(len(a), len(b))
    found = list(ranges(a[:size], b[:size]))
    delta = shift(a[:size], b[:size], found)
    assert delta is None or 0 < abs(delta) <= 1 << 63
    assert shifted_code(a[:size], b[:size], found) in (True, False)
