"""What is said about things that stay."""

from __future__ import annotations

import struct

import pytest

from packager.pe.normalise import normalise
from tests.pe.build import FULL, RAW, build, put, put32
from tests.pe.cases import EPOCH

SECTION = 0x80 + 24 + 240


def with_tail(data: bytes) -> bytes:
    """``data`` with its section's virtual size cut down to where something is."""
    used = len(data[RAW:].rstrip(b"\0"))
    return put32(data, SECTION + 8, used - 3)


@pytest.mark.parametrize(
    ("data", "notes"),
    [
        (build(), ()),
        (build(FULL), ()),
        (build(debug=(16,)), ("REPRO: its stamps are hashes of the content and stay",)),
        (build(debug=(4,)), ("debug data of type MISC (the name of a .dbg file) stays",)),
        (put(build(), 0x80 + 24 + 112 + 14 * 8, struct.pack("<II", 0x1000, 72)), (".NET: the module version id is not looked at",)),
        (with_tail(build(text=b"t" * 0x100)), ("bytes behind the used part of section .data stay",)),
        (put(with_tail(build(text=b"t" * 0x100)), SECTION, b".x\xff\0\0\0\0\0"), (r"bytes behind the used part of section .x\xff stay",)),
        (build(dll=False, overlay=b"o"), ("overlay of 1 bytes at 0x600: stays as it is",)),
    ],
)  # fmt: skip
def test_remarks(data: bytes, notes: tuple[str, ...]) -> None:
    first = normalise(data, EPOCH)
    assert first.notes == notes
    assert normalise(first.data, EPOCH).notes == notes


def test_no_more_than_three_sections_are_named() -> None:
    data = bytearray(build())
    struct.pack_into("<H", data, 0x86, 5)
    for index in range(5):
        header = struct.pack("<8sIIIIIIHHI", b"s%d" % index, 0x10, 0x1000 * (index + 1), 0x40, RAW, 0, 0, 0, 0, 0x40)
        data[SECTION + 40 * index : SECTION + 40 * index + 40] = header
    data[RAW : RAW + 0x200] = b"x" * 0x200
    assert normalise(bytes(data[: RAW + 0x40]), EPOCH).notes == (
        "bytes behind the used part of section s0, s1, s2 and 2 more stay",
    )
