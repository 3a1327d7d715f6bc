"""What the golden files do not show of PE images: the rarer fields, and images made to confuse."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packager.diff.files import compare_data
from packager.diff.pe import compare_pe
from packager.diff.render import line
from packager.errors import PEError
from packager.pe.layout import read_layout
from tests.diff.inputs import IMAGE
from tests.pe import build
from tests.pe.build import X86, Dll, Exports, Spec, put, put32

PE = 0x80
PLUS = build.build(IMAGE)
SMALL = build.build(replace(IMAGE, plus=False, machine=X86))


def told(a: bytes, b: bytes) -> list[str]:
    return [line(difference).removeprefix("x: ") for difference in compare_pe("x", a, b)]


def with_sections(*sections: tuple[bytes, bytes, int], base: bytes = PLUS, size: int = 0x200) -> bytes:
    """``base`` with further sections: name, bytes (filled up to ``size`` each), flags."""
    layout = read_layout(base)
    out = bytearray(base)
    struct.pack_into("<H", out, PE + 6, 1 + len(sections))
    rva, at = 0x10000, layout.headers_end
    for name, content, flags in sections:
        raw = len(out)
        out += content.ljust(size, b"\0")
        out[at : at + 40] = struct.pack("<8sIIIIIIHHI", name, len(content), rva, size, raw, 0, 0, 0, 0, flags)
        rva, at = rva + 0x1000, at + 40
    return bytes(out)


@pytest.mark.parametrize("base", [PLUS, SMALL], ids=["PE32+", "PE32"])
@pytest.mark.parametrize(
    ("offset", "size", "found"),
    [
        (0x80 + 4, 2, "machine "),
        (0x80 + 8, 4, "COFF TimeDateStamp 1979-01-28 ≠ 2020-01-01"),
        (0x80 + 12, 4, "PointerToSymbolTable 0x0 ≠ 0x5e0be100"),
        (0x80 + 22, 2, "characteristics 0x2"),
        (0x80 + 26, 2, "linker version 2.40 ≠ 0.225"),
        (0x80 + 28, 4, "SizeOfCode "),
        (0x80 + 40, 4, "AddressOfEntryPoint "),
        (0x80 + 64, 4, "operating system version 10.0 ≠ 57600.24075"),
        (0x80 + 68, 4, "image version "),
        (0x80 + 72, 4, "subsystem version "),
        (0x80 + 76, 4, "Win32VersionValue "),
        (0x80 + 80, 4, "SizeOfImage "),
        (0x80 + 88, 4, "CheckSum 0x99999999 ≠ 0x5e0be100"),
        (0x80 + 92, 2, "subsystem console ≠ 57600"),
        (0x80 + 94, 2, "DllCharacteristics 0x160 ≠ 0xe100 ("),
        (0x80 + 96, 4, "stack reserve "),
    ],
)
def test_each_header_field_has_its_name(base: bytes, offset: int, size: int, found: str) -> None:
    other = put(base, offset, (1577836800).to_bytes(4, "little")[:size])
    differences = told(base, other)
    assert differences[0].startswith(found)
    # That is all there is to it, but for tables that then cannot be read.
    assert len(differences) == 1 or "not compared one by one" in differences[1]


def test_flags_are_named() -> None:
    other = put(PLUS, PE + 94, struct.pack("<H", 0x4140))
    assert told(PLUS, other) == ["DllCharacteristics 0x160 ≠ 0x4140 (HIGH_ENTROPY_VA only in A; GUARD_CF only in B)"]
    other = put(PLUS, read_layout(PLUS).headers_end - 4, struct.pack("<I", 0x40000060))
    assert told(PLUS, other) == ["section .data flags 0xe0000060 ≠ 0x40000060 (MEM_EXECUTE, MEM_WRITE only in A)"]


def test_machines_come_first() -> None:
    found = told(PLUS, SMALL)
    assert found[:2] == ["machine x86_64 ≠ i686", "format PE32+ ≠ PE32"]


def test_stamps_have_names_and_hashes_are_no_dates() -> None:
    other = build.build(replace(IMAGE, resource_stamp=0, debug_stamp=5))
    assert told(PLUS, other) == [
        "resource directory TimeDateStamp 1997-03-22 ≠ 0 (6 times)",
        "debug entry TimeDateStamp 2006-04-18 ≠ 1970-01-01 (2 times)",
    ]
    repro = [
        build.build(replace(IMAGE, debug=(2, 16), debug_stamp=stamp, stamp=stamp)) for stamp in (0x1234567, 0x7654321)
    ]
    assert told(repro[0], repro[1]) == [
        "COFF TimeDateStamp 0x1234567 ≠ 0x7654321",
        "debug entry TimeDateStamp 0x1234567 ≠ 0x7654321 (2 times)",
    ]


def test_bound_imports_are_told_once() -> None:
    other = build.build(
        replace(IMAGE, imports=(Dll("KERNEL32.dll", ("ExitProcess", "Sleep"), stamp=5), IMAGE.imports[1]))
    )
    found = told(PLUS, other)
    assert found
    assert all("Sleep" not in item for item in found)


def test_sections_are_added_removed_and_renamed() -> None:
    a = with_sections((b".extra", b"abc", 0x40000040))
    b = with_sections((b".other", b"abc", 0x40000040))
    assert told(a, b) == ["section name .extra ≠ .other"]
    assert told(a, with_sections((b".other", b"abcd", 0x40000040)))[:2] == [
        "section .extra only in A (0x3 bytes)",
        "section .other only in B (0x4 bytes)",
    ]
    assert told(a, PLUS)[0] == "section .extra only in A (0x3 bytes)"
    changed = with_sections((b".other", b"\0\1\2", 0x40000040))
    assert told(a, changed) == [
        "section name .extra ≠ .other",
        "section .extra differs in 1 range, first at 0x" + f"{len(PLUS):x} (RVA 0x10000: 61 62 63 ≠ 00 01 02)",
    ]


def test_sections_of_one_name_are_told_apart() -> None:
    a = with_sections((b".x", b"\0\1", 0x40000040), (b".x", b"\0\1", 0x40000040))
    b = with_sections((b".x", b"\0\1", 0x40000040), (b".x", b"\0\2", 0x40000040))
    assert [item.split(" (")[0] for item in told(a, b)] == [
        f"section .x#2 differs in 1 range, first at {len(PLUS) + 0x201:#x}"
    ]


def test_what_moves_with_a_section_comes_behind_it() -> None:
    table = struct.pack("<40Q", *range(0x140010000, 0x140010000 + 40 * 8, 8))
    moved = struct.pack("<40Q", *range(0x140011000, 0x140011000 + 40 * 8, 8))
    a = with_sections((b".first", table, 0x40000040), (b".second", b"\0/build/a/x.c\0", 0x40000040))
    b = with_sections((b".first", moved, 0x40000040), (b".second", b"\0/build/longer/x.c\0", 0x40000040))
    assert told(a, b) == [
        "section .second: size 0xe ≠ 0x13 (a path: /build/a/x.c ≠ /build/longer/x.c)",
        f"section .first differs in 1 range, first at {len(PLUS) + 1:#x} "
        "(all by +0x1000: shifted addresses; most of its 0x200 bytes)",
        f"section .second differs in 1 range, first at {len(PLUS) + 0x208:#x} (a path: /build/a/x.c ≠ /build/longer/x.c)",
    ]


def test_addresses_that_follow_the_base_come_behind_it() -> None:
    tables = [struct.pack("<8Q", *range(base, base + 64, 8)) for base in (0x140001000, 0x180001000)]
    a, b = (build.build(text=table) for table in tables)
    b = put(b, PE + 48, struct.pack("<Q", 0x180000000))
    found = told(a, b)
    assert found[0] == "ImageBase 0x140000000 ≠ 0x180000000"
    assert found[1].endswith("(all by +0x40000000: shifted addresses by ImageBase)")


def test_long_section_names_are_read_from_the_string_table() -> None:
    strings = b".debug_info\0"
    image = with_sections((b"/4", b"abc", 0x42000040))
    table = struct.pack("<I", 4 + len(strings)) + strings
    a = put32(image, PE + 12, len(image)) + table
    found = told(a, PLUS)
    assert found[0] == "section .debug_info only in A (0x3 bytes)"
    assert f"COFF symbol table only in A ({len(table)} bytes)" in found


def test_symbols_behind_the_sections() -> None:
    symbol = b".file\0\0\0" + bytes(10)
    a, b = (PLUS + symbol + b"main_a.c".ljust(18, b"\0") + struct.pack("<I", 4) for _ in range(2))
    a, b = (put32(put32(image, PE + 12, len(PLUS)), PE + 16, 2) for image in (a, b))
    b = b.replace(b"main_a.c", b"main_b.c")
    assert told(a, b) == [
        f"COFF symbol table differs in 1 range, first at {len(PLUS) + 23:#x} (a text: main_a.c ≠ main_b.c)"
    ]


def rich(tools: list[tuple[int, int]], key: int) -> bytes:
    numbers = [int.from_bytes(b"DanS", "little"), 0, 0, 0, *(n for tool in tools for n in tool)]
    return b"".join(struct.pack("<I", number ^ key) for number in numbers) + b"Rich" + struct.pack("<I", key)


def with_rich(header: bytes) -> bytes:
    """``PLUS`` with its PE header moved behind a Rich header, as if a stub had been there all along."""
    image = bytearray(0x400)
    image[:0x80] = PLUS[:0x80]
    image[0x80 : 0x80 + len(header)] = header
    moved = 0x100
    headers = PLUS[PE : read_layout(PLUS).headers_end]
    image[moved : moved + len(headers)] = headers
    struct.pack_into("<I", image, 0x3C, moved)
    return bytes(image) + PLUS[0x400:]


def test_the_rich_header_names_tools() -> None:
    first = with_rich(rich([(0x01050001, 3), (0x00FF0002, 1)], 0x11111111))
    counts = with_rich(rich([(0x01050001, 4), (0x00FF0002, 1)], 0x22222222))
    tools = with_rich(rich([(0x01060001, 3), (0x00FF0002, 1)], 0x33333333))
    assert told(first, counts) == ["Rich header's counts 0, 0, 0, 3, 1; key 0x11111111 ≠ 0, 0, 0, 4, 1; key 0x22222222"]
    assert (
        told(first, tools)[0]
        == "Rich header tool 0x105 build 1, tool 0xff build 2 ≠ tool 0x106 build 1, tool 0xff build 2"
    )
    assert "Rich header only in A (tool 0x105 build 1, tool 0xff build 2)" in told(first, with_rich(b""))


def test_the_dos_stub_and_the_space_behind_the_headers() -> None:
    assert told(PLUS, put(PLUS, 0x50, b"This program")) == [
        "DOS stub differs in 1 range, first at 0x50 (a text: This program only in B)"
    ]
    assert told(PLUS, put(PLUS, 0x20, b"\1")) == ["rest of the headers differs in 1 range, first at 0x20 (00 ≠ 01)"]
    assert told(PLUS, put(PLUS, 0x3F0, b"\1")) == ["rest of the headers differs in 1 range, first at 0x3f0 (00 ≠ 01)"]


def test_overlays() -> None:
    a, b = build.build(overlay=b"\0" * 40), build.build(overlay=b"\0" * 39 + b"\1")
    assert told(a, b) == [f"overlay differs in 1 range, first at {len(a) - 1:#x} (00 ≠ 01)"]
    assert told(a, build.build()) == ["overlay only in A (40 bytes)"]
    assert told(a, build.build(overlay=b"\0/tmp/abc/x.py\0")) == [
        "overlay 40 bytes ≠ 15 bytes (a path: /tmp/abc/x.py only in B)"
    ]


def test_signatures() -> None:
    a, b = (build.build(IMAGE, certificate=sign * 64) for sign in (b"a", b"b"))
    assert told(a, b)[0].startswith("certificate differs in 1 range")
    assert told(PLUS, a)[0] == "certificate not signed ≠ signed (64 bytes)"


def test_exports_and_delayed_imports() -> None:
    other = replace(
        IMAGE,
        exports=Exports((("one", None), (None, None), ("tvo", "OTHER.three")), name="that.dll"),
        delay=(Dll("CRYPT32.dll", ("CertCloseStor", 7)),),
    )
    assert sorted(told(PLUS, build.build(other))) == [
        "delayed import CRYPT32.dll!CertCloseStor only in B",
        "delayed import CRYPT32.dll!CertOpenStore only in A",
        "export tvo only in B",
        "export two only in A",
        "exported DLL name self.dll ≠ that.dll",
    ]


def test_the_order_of_imports_is_seen_at_least() -> None:
    other = build.build(replace(IMAGE, imports=IMAGE.imports[::-1]))
    assert told(PLUS, other)


def test_tables_that_one_side_has_broken() -> None:
    broken = put32(PLUS, PE + 24 + 112 + 8, 0x123456)
    found = told(PLUS, broken)
    assert found[0] == (
        "imports and exports in order ≠ imported DLL's name: expected an address inside a section, found RVA 0x123456 "
        "(not compared one by one)"
    ) or found[0].startswith("imports and exports in order ≠ import table")
    assert all("only in A" not in item for item in found)
    assert any(item.startswith("data directory IMPORT ") for item in found)


def test_names_cannot_reach_the_terminal() -> None:
    a = with_sections((b"\x1b[31m", b"abc", 0x40000040))
    other = build.build(replace(IMAGE, imports=(Dll(b"\x1b[2J\xff.dll"),)))
    for item in (*told(a, PLUS), *told(other, PLUS)):
        assert item.isprintable()


def test_what_is_no_image_is_an_error_here_and_bytes_elsewhere() -> None:
    with pytest.raises(PEError):
        compare_pe("x", PLUS, PLUS[:100])
    assert len(compare_data("x", PLUS, PLUS[:100])) == 1


def test_many_overlapping_sections_are_not_looked_at_one_by_one() -> None:
    count = 0x600
    headers = bytearray(PLUS[: read_layout(PLUS).headers_end - 40])
    struct.pack_into("<H", headers, PE + 6, count)
    size = 0x40000
    for index in range(count):
        headers += struct.pack("<8sIIIIIIHHI", b".x", size, 0x100000 * (index + 1), size, 0x200, 0, 0, 0, 0, 0x40000040)
    a = bytes(headers).ljust(size + 0x10000, b"\0")
    found = compare_data("x", a, a[:-1] + b"\1")
    assert found
    assert "expected sections that fit the file" in found[0].detail


@pytest.mark.parametrize("base", [PLUS, SMALL], ids=["PE32+", "PE32"])
@settings(deadline=None)
@given(data=st.data())
def test_no_byte_changes_unseen(base: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(base) - 1))
    other = put(base, at, bytes([base[at] ^ data.draw(st.integers(1, 255))]))
    found = compare_data("x", base, other)
    assert found
    assert all(line(difference).isprintable() for difference in found)
    # The offset is where it is, or the field, that it lies in; where tables break, much may be said.
    # A resource that only one of the two has is said with the place of its content, wherever its table was changed.
    if len(found) == 1 and found[0].offset is not None and found[0].a is None and " only in " not in found[0].what:
        assert found[0].offset <= at


@settings(deadline=None)
@given(st.data())
def test_damaged_images_give_differences(data: st.DataObject) -> None:
    spec = data.draw(st.sampled_from([IMAGE, replace(IMAGE, plus=False), Spec(overlay=b"abc", certificate=b"c" * 16)]))
    base = build.build(spec)
    other = bytearray(base)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(other) - 4))
        other[at : at + 4] = data.draw(st.sampled_from([b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\x80", b"\1\0\0\0"]))
    if data.draw(st.booleans()):
        del other[data.draw(st.integers(0, len(other))) :]
    if bytes(other) != base:
        assert compare_data("x", base, bytes(other))
