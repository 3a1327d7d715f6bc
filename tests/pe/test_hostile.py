"""Inputs that a robust reader must survive, each by its name: normalised rightly, or refused with one error."""

from __future__ import annotations

import struct

import pytest

from packager.errors import PEError
from packager.pe.layout import Directory, read_layout
from packager.pe.normalise import normalise
from tests.pe.build import (
    ARM64,
    FULL,
    RAW,
    RVA,
    X86,
    Dll,
    Exports,
    bound_directory,
    build,
    nb10,
    put,
    put32,
    zipped,
)
from tests.pe.cases import EPOCH, Options, holds, seeds, with_a_shared_leaf

GOOD = build(FULL)
PE, OPTIONAL, SECTION = 0x80, 0x98, 0x188
LAYOUT = read_layout(GOOD)


def directory(data: bytes, which: Directory, rva: int, size: int) -> bytes:
    """``data`` with another address and size in the table of data directories."""
    return put(data, read_layout(data).directories[which].offset, struct.pack("<II", rva, size))


def place(data: bytes, which: Directory) -> int:
    """Where a directory lies in the file."""
    layout = read_layout(data)
    return layout.offset(layout.directories[which].rva, 1, "x")


def two_sections(rva: int, raw: int, raw_size: int = 0x200) -> bytes:
    second = struct.pack("<8sIIIIIIHHI", b".two", 0x200, rva, raw_size, raw, 0, 0, 0, 0, 0x40000040)
    return put(put(GOOD, PE + 6, b"\2\0"), SECTION + 40, second)


def packed() -> bytes:
    """As UPX leaves it: a first section with no data in the file, which all is unpacked into."""
    data = put32(put32(GOOD, SECTION + 8, 0x1000), SECTION + 12, 0x9000)
    first = struct.pack("<8sIIIIIIHHI", b"UPX0", 0x8000, 0x1000, 0, RAW, 0, 0, 0, 0, 0xE0000080)
    data = put(put(data, PE + 6, b"\2\0"), SECTION + 40, data[SECTION : SECTION + 40])
    data = put(data, SECTION, first)
    for which in LAYOUT.directories:
        data = put(data, which.offset, bytes(8))
    return put32(data, OPTIONAL + 56, 0xB000)


def deep(levels: int) -> bytes:
    tree: object = b"leaf"
    for _ in range(levels):
        tree = {1: tree}
    return build(resources=tree)


RESOURCES = place(GOOD, Directory.RESOURCE)
IMPORTS = place(GOOD, Directory.IMPORT)
EXPORTS = place(GOOD, Directory.EXPORT)
FILLED = put(build(text=bytes(0x1000 - 16)), RAW, struct.pack("<5I", 0x1000, 0, 0, 0x1000, 0x1000) * 0xCC)
OVERLAID = build(FULL, overlay=struct.pack("<IIHHIIII", 0, 1, 0, 0, 2, 0, 0, 0))

#: Name: (file, whether it is normalised).
HOSTILE: dict[str, tuple[bytes, bool]] = {
    "0 bytes": (b"", False),
    "MZ only": (b"MZ", False),
    "64 bytes of MZ": (b"MZ".ljust(64, b"\0"), False),
    "e_lfanew 0x7fffffff": (put32(GOOD, 0x3C, 0x7FFFFFFF), False),
    "e_lfanew 0x7ffffffc": (put32(GOOD, 0x3C, 0x7FFFFFFC), False),
    "e_lfanew 0xffffffff": (put32(GOOD, 0x3C, 0xFFFFFFFF), False),
    "e_lfanew unaligned": (GOOD[:0x80] + b"\0\0" + put32(GOOD, 0x3C, 0x82)[0x80:], False),
    "e_lfanew at the file's end": (put32(GOOD, 0x3C, len(GOOD) - 4), False),
    "65,535 sections": (put(GOOD, PE + 6, b"\xff\xff"), False),
    "65,535 sections, all there": (put(GOOD, PE + 6, b"\xff\xff") + GOOD[SECTION : SECTION + 40] * 0xFFFF, False),
    "65,535 empty sections": (put(put(GOOD, PE + 6, b"\xff\xff"), SECTION, bytes(40)).ljust(SECTION + 40 * 0xFFFF, b"\0"), False),
    "no section": (put(build(), PE + 6, b"\0\0"), True),
    "section past the end": (put32(GOOD, SECTION + 20, 0x7FFFFE00), False),
    "section longer than the file": (put32(GOOD, SECTION + 16, 0xFFFFFFFF), False),
    "overlapping sections": (two_sections(RVA, RAW), False),
    "sections with the same data": (two_sections(0x9000, RAW), True),
    "sections out of order": (two_sections(0x200, RAW), False),
    "SizeOfOptionalHeader 0": (put(GOOD, PE + 20, b"\0\0"), False),
    "SizeOfOptionalHeader 0xffff": (put(GOOD, PE + 20, b"\xff\xff"), False),
    "NumberOfRvaAndSizes 0": (build(FULL, directories=0), True),
    "NumberOfRvaAndSizes 0, table there": (put32(GOOD, OPTIONAL + 108, 0), True),
    "NumberOfRvaAndSizes 0xffffffff": (put32(GOOD, OPTIONAL + 108, 0xFFFFFFFF), True),
    "resource directory that points at itself": (put32(GOOD, RESOURCES + 20, 0x80000000), True),
    "resource directories in a circle": (put32(GOOD, RESOURCES + 16 + 4 + 8, 0x80000000), True),
    "a resource that comes twice": (with_a_shared_leaf(build(resources={6: {1: b"a"}, 7: b"b", 8: {1: b"c"}})), True),
    "65,535 resources": (put(GOOD, RESOURCES + 12, b"\xff\xff"), False),
    "resources 40 deep": (deep(40), True),
    "resources 70 deep": (deep(70), False),
    "resources nowhere": (directory(GOOD, Directory.RESOURCE, 0x7FFFFFF0, 100), False),
    "imports without terminator": (directory(FILLED[: RAW + 0x1000], Directory.IMPORT, RVA, 100), False),
    "imports nowhere": (directory(GOOD, Directory.IMPORT, 0xFFFFFFF0, 100), False),
    "import table that is its own names": (put(GOOD, IMPORTS, struct.pack("<5I", *[RVA + IMPORTS - RAW] * 5)), False),
    "2^31 exports": (put32(GOOD, EXPORTS + 20, 1 << 31), True),
    "2^31 names of exports": (put32(GOOD, EXPORTS + 24, 1 << 31), True),
    "2^24 exports": (put32(GOOD, EXPORTS + 20, 1 << 24), True),
    "export directory past the end": (directory(GOOD, Directory.EXPORT, RVA + 0x7F0, 40), False),
    "debug RVA in the overlay": (directory(OVERLAID, Directory.DEBUG, RVA + len(GOOD) - RAW, 28), False),
    "debug directory of 4 GiB": (directory(GOOD, Directory.DEBUG, RVA, 0xFFFFFFFF), False),
    "debug data past the end": (put32(GOOD, place(GOOD, Directory.DEBUG) + 24, 0x7FFFFFFF), False),
    "CodeView of 4 GiB": (put32(GOOD, place(GOOD, Directory.DEBUG) + 16, 0xFFFFFFFF), False),
    "certificate table past the end": (directory(GOOD, Directory.CERTIFICATE, 0x7FFFFFF8, 16), False),
    "certificate table in the headers": (directory(GOOD, Directory.CERTIFICATE, 8, 16), False),
    "certificate table without bytes": (directory(GOOD, Directory.CERTIFICATE, len(GOOD), 0), False),
    "signed": (build(FULL, certificate=b"c" * 16), True),
    "bound imports nowhere": (directory(GOOD, Directory.BOUND_IMPORT, 0x7FFFFFF0, 16), False),
    "bound imports over the section headers": (directory(GOOD, Directory.BOUND_IMPORT, SECTION, 16), False),
    "bound imports of 4 GiB": (directory(GOOD, Directory.BOUND_IMPORT, 0x200, 0xFFFFFFFF), False),
    "bound imports without names": (directory(GOOD, Directory.BOUND_IMPORT, 0x200, 8), True),
    "bound": (build(imports=(Dll("A.dll", ("f",), stamp=0xFFFFFFFF, bound=True),), bound_import=bound_directory((1, "A.dll", []))), True),
    "delay imports nowhere": (directory(GOOD, Directory.DELAY_IMPORT, 0x7FFFFFF0, 64), False),
    "load configuration nowhere": (directory(GOOD, Directory.LOAD_CONFIG, 0x7FFFFFF0, 64), False),
    "load configuration of 4 GiB": (put32(GOOD, place(GOOD, Directory.LOAD_CONFIG), 0xFFFFFFFF), True),
    "2^32 - 1 symbols": (put(GOOD, PE + 12, struct.pack("<II", 0x200, 0xFFFFFFFF)), True),
    "symbols past the end": (put(GOOD, PE + 12, struct.pack("<II", 0xFFFFFFF0, 1)), True),
    "thread-local data of 4 GiB": (put(directory(build(text=b"\xff" * 40), Directory.TLS, RVA + 16, 40), RAW + 16, struct.pack("<QQ", 0x140001000, 0x240001000)), True),
    "forwarder to itself": (build(exports=Exports([("f", "self.f")])), True),
    "a DLL's name that is not ASCII": (build(imports=(Dll("größe.dll"), Dll(b"\xff\xfe.dll"))), True),
    "imports by ordinal only": (build(imports=(Dll("A.dll", (1, 2, 3)),)), True),
    "a machine nobody has seen": (build(FULL, machine=0xFFFF), True),
    "ARM64X": (build(FULL, machine=0xA64E), True),
    "ARM64EC": (build(FULL, machine=0xA641), True),
    "ARM64": (build(FULL, machine=ARM64), True),
    "PE32 for x64": (build(FULL, plus=False), True),
    "PE32+ for x86": (build(FULL, machine=X86), True),
    ".NET": (directory(GOOD, Directory.CLR, RVA, 72), True),
    "UPX": (packed(), True),
    "alignment 0": (put(GOOD, OPTIONAL + 32, bytes(8)), True),
    "image size 0": (put32(GOOD, OPTIONAL + 56, 0), True),
    "SizeOfHeaders 0": (put32(GOOD, OPTIONAL + 60, 0), True),
    "SizeOfHeaders 0xffffffff": (put32(GOOD, OPTIONAL + 60, 0xFFFFFFFF), False),
    "NB10": (build(debug=(2,), codeview=nb10(b"C:\\x\\y.pdb\0")), True),
    "odd length": (build(FULL, overlay=b"odd"), True),
    "a zip overlay": (build(FULL, overlay=zipped({"__main__.py": b"1"})), True),
    "a zip overlay that is cut off": (build(FULL, overlay=zipped({"__main__.py": b"1"})[:-5]), True),
    "a zip overlay with 65,535 members": (build(FULL, overlay=b"PK\5\6" + bytes(4) + b"\xff" * 12 + bytes(2)), True),
}  # fmt: skip


@pytest.mark.parametrize(("data", "good"), HOSTILE.values(), ids=HOSTILE.keys())
def test_named_inputs(data: bytes, good: bool) -> None:
    for options in (Options(), Options(symbols="strip", pad=True)):
        if options.symbols == "keep" or not good:
            assert holds(data, options) is good
        else:
            holds(data, options)


@pytest.mark.parametrize(("data", "good"), HOSTILE.values(), ids=HOSTILE.keys())
def test_an_error_is_one_line_that_says_where_and_what(data: bytes, good: bool) -> None:
    if good:
        normalise(data, EPOCH, signed="strip")
        return
    with pytest.raises(PEError) as caught:
        normalise(data, EPOCH, signed="strip")
    assert "\n" not in caught.value.message
    assert "expected" in caught.value.message


@pytest.mark.parametrize("data", seeds())
def test_cut_at_any_offset(data: bytes) -> None:
    """A section that is cut off is refused; what lies behind the sections may be missing."""
    end = read_layout(data).body_end
    for length in range(0, len(data), 7):
        assert not (holds(data[:length]) and length < end)
