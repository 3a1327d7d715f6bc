"""ARM64EC, ARM64X and load flags, in files made here. Real ones are compared with LIEF in tests/integration."""

from __future__ import annotations

import struct
from contextlib import suppress
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packager.errors import PEError
from packager.pe import chpe
from packager.pe.imports import read_image
from packager.pe.layout import Directory, read_layout
from tests.deps.fake import with_load_config, with_load_flags
from tests.pe.build import ARM64, X86, Dll, Exports, build, put, put32

CONFIG = 0x140
TEXT = bytes(CONFIG + 0x200)


def config_of(data: bytes) -> chpe.LoadConfig:
    return chpe.load_config(data, read_layout(data))


def with_chpe(data: bytes, table: bytes = b"", section: int = 1) -> bytes:
    """``data`` (built with TEXT) with CHPE metadata and a table of dynamic relocations after the configuration."""
    layout = read_layout(data)
    place = 16 + CONFIG
    config = bytearray(struct.pack("<I", CONFIG).ljust(CONFIG, b"\0"))
    struct.pack_into("<Q", config, 0xC8, 0x140001234)
    if table:
        struct.pack_into("<IH", config, 0xE0, place, section)
    offset = layout.offset(layout.sections[0].rva + place, len(table), "table")
    return put(with_load_config(data, bytes(config)), offset, table)


def table_of(*blocks: bytes, symbol: int = 6, version: int = 1) -> bytes:
    """A table of dynamic relocations with one entry."""
    body = b"".join(blocks)
    entry = struct.pack("<QI", symbol, len(body)) + body
    return struct.pack("<II", version, len(entry)) + entry


def block(page: int, *records: bytes) -> bytes:
    """The changes of one page, padded as linkers do."""
    body = b"".join(records)
    body += bytes(-len(body) % 4)
    return struct.pack("<II", page, 8 + len(body)) + body


def value(offset: int, new: bytes) -> bytes:
    return struct.pack("<H", offset | 1 << 12 | {2: 1, 4: 2, 8: 3}[len(new)] << 14) + new


def zero(offset: int, length: int) -> bytes:
    return struct.pack("<H", offset | {1: 0, 2: 1, 4: 2, 8: 3}[length] << 14)


def delta(offset: int, by: int) -> bytes:
    scale, argument = (8, 2) if by % 8 == 0 else (4, 0)
    return struct.pack("<HH", offset | 2 << 12 | (argument | (by < 0)) << 14, abs(by) // scale)


def test_no_load_configuration() -> None:
    assert config_of(build()) == chpe.LoadConfig()


def test_load_flags() -> None:
    assert config_of(with_load_flags(build(text=bytes(0x60)), 0x800)) == chpe.LoadConfig(0x800)
    old = with_load_config(build(text=bytes(0x60)), struct.pack("<I", 0x4E).ljust(0x60, b"\xff"))
    assert config_of(old).load_flags == 0


def test_load_flags_of_32_bits() -> None:
    data = build(plus=False, machine=X86, text=bytes(0x40))
    config = struct.pack("<I", 0x40).ljust(0x36, b"\0") + b"\x00\x0a" + bytes(8)
    assert config_of(with_load_config(data, config)) == chpe.LoadConfig(0xA00)


@pytest.mark.parametrize(("machine", "kind"), [(0x8664, "arm64ec"), (ARM64, "arm64x")])
def test_kinds(machine: int, kind: str) -> None:
    plain = build(machine=machine, text=TEXT)
    assert chpe.hybrid(read_layout(plain), config_of(plain)) is None
    data = with_chpe(plain)
    assert chpe.hybrid(read_layout(data), config_of(data)) == kind


def two_sided() -> bytes:
    """An ARM64 file with the exports of an x64 one in it, and with two imports, of which x64 has the first."""
    native = build(
        machine=ARM64,
        text=TEXT + b"\0\0",
        exports=Exports([("native", None)], name="two.dll"),
        imports=[Dll("KERNEL32.dll", ("One", "Two"))],
    )
    layout = read_layout(native)
    exports = layout.directories[Directory.EXPORT]
    imports = layout.directories[Directory.IMPORT]
    names = native.index(b"native\0")
    lookup = struct.unpack_from("<I", native, layout.offset(imports.rva, 4, "x"))[0]
    second = layout.offset(lookup, 16, "x") + 8
    records = {
        layout.pe_offset + 4: partial(value, new=struct.pack("<H", 0x8664)),
        layout.pe_offset + 0x58: partial(delta, by=24),
        exports.offset + 4: partial(delta, by=-4),
        names: partial(value, new=b"emu\0"),
        second: partial(zero, length=8),
    }
    pages: dict[int, list[bytes]] = {}
    for offset, made in sorted(records.items()):
        rva = offset if offset < 0x400 else offset - 0x400 + 0x1000
        pages.setdefault(rva & ~0xFFF, []).append(made(rva & 0xFFF))
    return with_chpe(native, table_of(*(block(page, *made) for page, made in pages.items())))


def test_the_view_of_an_x64_process() -> None:
    data = two_sided()
    layout = read_layout(data)
    assert read_image(data).machine == "arm64"
    view = chpe.x64_view(data, layout, chpe.load_config(data, layout))
    image = read_image(view)
    assert image.machine == "x86_64"
    assert [(export.name, export.ordinal) for export in image.exports] == [("emu", 5)]
    assert [str(symbol) for symbol in image.imports[0].symbols] == ["One"]
    changed = read_layout(view)
    assert changed.checksum == layout.checksum + 24
    assert changed.directories[Directory.EXPORT].size == layout.directories[Directory.EXPORT].size - 4
    assert len(view) == len(data)


def view_of(table: bytes, section: int = 1) -> bytes:
    data = with_chpe(build(machine=ARM64, text=TEXT), table, section)
    layout = read_layout(data)
    return chpe.x64_view(data, layout, chpe.load_config(data, layout))


@pytest.mark.parametrize(
    ("table", "section", "message"),
    [
        (b"", 1, "expected a section of 1, found number 0"),
        (table_of(), 7, "expected a section of 1, found number 7"),
        (table_of(version=2), 1, "expected version 1, found 2"),
        (table_of(symbol=3), 1, "expected the changes of an ARM64X image, found none"),
        (put32(table_of(), 4, 0x7FFFFFFF), 1, "expected 2147483647 bytes in its section"),
        (table_of(put32(block(0, zero(0, 1)), 4, 4)), 1, "expected a block of 8 bytes or more in its table, found 4"),
        (table_of(put32(block(0, zero(0, 1)), 4, 99)), 1, "in its table, found 99"),
        (table_of(block(0, b"\x00\x30")), 1, "expected whole ones of a known kind, found 0x3000"),
        (table_of(block(0, value(4, bytes(8))[:4])), 1, "expected whole ones of a known kind"),
        (table_of(block(0x7FFF0000, zero(1, 8))), 1, "changed bytes: expected an address inside a section"),
    ],
)
def test_a_broken_table(table: bytes, section: int, message: str) -> None:
    with pytest.raises(PEError) as caught:
        view_of(table, section)
    assert message in str(caught.value)


def test_a_cut_off_load_configuration() -> None:
    data = with_load_flags(build(text=bytes(0x60)), 0)
    layout = read_layout(data)
    end = layout.sections[0].rva + layout.sections[0].mapped_size + 0x100000
    with pytest.raises(PEError, match="load configuration"):
        config_of(put32(data, layout.directories[Directory.LOAD_CONFIG].offset, end))


@given(st.binary(max_size=200))
def test_any_table_gives_a_view_or_an_error(noise: bytes) -> None:
    with suppress(PEError):
        assert len(view_of(table_of(noise)))
