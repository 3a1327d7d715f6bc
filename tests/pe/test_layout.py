"""The reader of headers: what it finds in good files, and what it says about broken ones."""

from __future__ import annotations

import struct

import pytest

from packager.errors import PEError
from packager.pe.layout import Directory, read_layout
from tests.pe.build import ARM64, FULL, RAW, RVA, X64, X86, build, put, put32

PE = 0x80
OPTIONAL = PE + 24
SECTION = OPTIONAL + 240


@pytest.mark.parametrize(
    ("plus", "machine", "name"), [(True, X64, "x86_64"), (False, X86, "i686"), (True, ARM64, "arm64")]
)
def test_headers(plus: bool, machine: int, name: str) -> None:
    layout = read_layout(build(FULL, plus=plus, machine=machine))
    assert (layout.is_plus, layout.machine_name, layout.is_dll) == (plus, name, True)
    assert (layout.pe_offset, layout.stamp_offset, layout.checksum_offset) == (PE, PE + 8, PE + 0x58)
    assert (layout.stamp, layout.checksum) == (0x11111111, 0x99999999)
    assert layout.image_base == (0x140000000 if plus else 0x400000)
    assert (layout.subsystem, layout.subsystem_version, layout.dll_characteristics) == (3, (10, 0), 0x160)
    assert [section.name.rstrip(b"\0") for section in layout.sections] == [b".data"]
    assert layout.directory(Directory.EXPORT) is not None
    assert layout.directory(Directory.CERTIFICATE) is None


def test_unknown_machine_is_shown_as_a_number() -> None:
    assert read_layout(build(machine=0x1234)).machine_name == "0x1234"


def test_fewer_directories_than_sixteen() -> None:
    layout = read_layout(build(FULL, directories=2))
    assert len(layout.directories) == 2
    assert layout.directory(Directory.RESOURCE) is None


def test_declared_directories_beyond_the_header_are_not_there() -> None:
    layout = read_layout(put32(build(directories=3), OPTIONAL + 108, 0xFFFFFFFF))
    assert len(layout.directories) == 3


def test_addresses_in_headers_sections_and_nowhere() -> None:
    layout = read_layout(build())
    assert layout.offset(0x10, 4, "x") == 0x10
    assert layout.offset(RVA + 2, 4, "x") == RAW + 2
    with pytest.raises(PEError, match=r"^x: expected an address inside a section, found RVA 0x9000$"):
        layout.offset(0x9000, 1, "x")
    with pytest.raises(PEError, match=r"^x at offset 0x400: expected 1025 bytes in its section, found 512$"):
        layout.offset(RVA, 1025, "x")
    with pytest.raises(PEError, match="expected an address inside a section"):
        layout.offset(-1, 1, "x")


def test_a_sections_tail_that_is_not_stored_reads_as_zeros() -> None:
    data = build(zero_tail=64)
    layout = read_layout(data)
    assert layout.read(data, RVA + 14, 6, "x") == b"\xc3\xc3" + bytes(4)
    with pytest.raises(PEError, match=r"expected 100 bytes in its section, found 66"):
        layout.read(data, RVA + 14, 100, "x")
    with pytest.raises(PEError, match=r"expected 6 bytes in its section, found 2"):
        layout.offset(RVA + 14, 6, "x")


def test_a_section_maps_whole_sectors() -> None:
    """The loader rounds the offset of a section's data down to 512 bytes."""
    data = put32(build(), SECTION + 20, RAW + 0x10)
    data = put32(data, SECTION + 16, 0x100)
    assert read_layout(data).offset(RVA, 4, "x") == RAW


def test_small_alignment_sections_next_to_each_other() -> None:
    """Drivers have sections closer than a page: the first must not swallow what belongs to the second."""
    data = bytearray(build())
    struct.pack_into("<H", data, PE + 6, 2)
    struct.pack_into("<I", data, OPTIONAL + 32, 0x20)
    for index, (rva, raw) in enumerate([(0x400, 0x400), (0x420, 0x500)]):
        struct.pack_into("<8sIIIIIIHHI", data, SECTION + 40 * index, b"s", 0x20, rva, 0x20, raw, 0, 0, 0, 0, 0)
    layout = read_layout(bytes(data))
    assert layout.offset(0x41F, 1, "x") == 0x41F
    assert layout.offset(0x420, 1, "x") == 0x500


GOOD = build(FULL)

BROKEN = {
    "empty": (b"", "offset 0x0: expected a DOS header of 64 bytes, found 0 bytes in all"),
    "MZ only": (b"MZ", "offset 0x0: expected a DOS header of 64 bytes, found 2 bytes in all"),
    "not MZ": (b"ZM" + GOOD[2:], "offset 0x0: expected the signature 'MZ', found b'ZM'"),
    "e_lfanew far out": (
        put32(GOOD, 0x3C, 0x7FFFFFFC),
        f"offset 0x3c: expected e_lfanew inside the file ({len(GOOD):#x} bytes), found 0x7ffffffc",
    ),
    "e_lfanew unaligned": (
        put32(GOOD, 0x3C, 0x7FFFFFFF),
        "offset 0x3c: expected e_lfanew to be a multiple of 4, found 0x7fffffff",
    ),
    "e_lfanew zero": (
        put32(GOOD, 0x3C, 0),
        f"offset 0x3c: expected e_lfanew inside the file ({len(GOOD):#x} bytes), found 0x0",
    ),
    "no PE signature": (put(GOOD, PE, b"NE"), "offset 0x80: expected the signature 'PE\\0\\0', found b'NE\\x00\\x00'"),
    "an object's header": (
        put(GOOD, PE + 20, b"\0\0"),
        "offset 0x98: expected an optional header, found 0 bytes of one",
    ),
    "magic": (put(GOOD, OPTIONAL, b"\x07\x01"), "expected the magic 0x10b (PE32) or 0x20b (PE32+), found 0x107"),
    "optional header short": (
        put(GOOD, PE + 20, b"\x10\0"),
        "offset 0x94: expected an optional header of 112 bytes or more inside the file, found 16",
    ),
    "65,535 sections": (put(GOOD, PE + 6, b"\xff\xff"), "offset 0x188: expected 65535 section headers, found "),
    "section past the end": (
        put32(GOOD, SECTION + 16, 0x7FFFFFFF),
        "section 1 (b'.data') at offset 0x188: expected its data inside the file",
    ),
    "sections overlap": (
        put(put(GOOD, PE + 6, b"\2\0"), SECTION + 40, GOOD[SECTION : SECTION + 40]),
        "section 2 (b'.data') at offset 0x1b0: expected it to begin at RVA",
    ),
}


@pytest.mark.parametrize(("data", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_broken_headers_are_named(data: bytes, message: str) -> None:
    with pytest.raises(PEError) as caught:
        read_layout(data)
    assert message in str(caught.value)
