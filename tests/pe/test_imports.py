"""The reader of imports and exports, against what was built, and against LIEF and pefile."""

from __future__ import annotations

import struct
from dataclasses import replace

import lief
import pefile
import pytest

from packager.errors import PEError
from packager.pe.imports import Symbol, read_image
from packager.pe.layout import Directory, read_layout
from tests.pe.build import FULL, X86, Dll, Exports, Spec, build, put, put32

VARIANTS = [FULL, replace(FULL, plus=False, machine=X86)]


@pytest.mark.parametrize("spec", VARIANTS, ids=["PE32+", "PE32"])
def test_names_ordinals_delay_loads_and_forwarders(spec: Spec) -> None:
    image = read_image(build(spec))
    assert [(dll.name, [str(s) for s in dll.symbols], dll.delayed) for dll in image.imports] == [
        ("KERNEL32.dll", ["ExitProcess", "Sleep"], False),
        ("WS2_32.dll", ["#1", "#115"], False),
        ("CRYPT32.dll", ["CertOpenStore", "#7"], True),
    ]
    assert [(e.ordinal, e.name, e.forwarder) for e in image.exports] == [
        (5, "one", None),
        (6, None, None),
        (7, "two", "OTHER.three"),
    ]
    assert image.dll_name == "self.dll"
    assert image.is_dll
    assert image.subsystem_version == (10, 0)


@pytest.mark.parametrize("spec", VARIANTS, ids=["PE32+", "PE32"])
def test_agrees_with_lief_and_pefile(spec: Spec) -> None:
    data = build(spec)
    ours = [
        (dll.name, [s.ordinal if s.name is None else s.name for s in dll.symbols])
        for dll in read_image(data).imports
        if not dll.delayed
    ]
    binary = lief.PE.parse(data)
    assert binary is not None
    assert ours == [(d.name, [e.ordinal if e.is_ordinal else e.name for e in d.entries]) for d in binary.imports]
    image = pefile.PE(data=data)
    assert ours == [
        (d.dll.decode(), [e.ordinal if e.import_by_ordinal else e.name.decode() for e in d.imports])
        for d in image.DIRECTORY_ENTRY_IMPORT
    ]


def test_no_tables_at_all() -> None:
    image = read_image(build(dll=False, directories=0))
    assert (image.imports, image.exports, image.dll_name, image.is_dll) == ((), (), None, False)


def test_more_than_8192_imports_and_exports() -> None:
    count = 9000
    data = build(
        imports=(Dll("MANY.dll", [f"f{i}" for i in range(count)]),),
        exports=Exports([(f"g{i:05}", None) for i in range(count)]),
    )
    image = read_image(data)
    assert image.imports[0].symbols[-1] == Symbol("f8999", None)
    assert (len(image.imports[0].symbols), len(image.exports)) == (count, count)


def test_delay_imports_by_address_of_old_files() -> None:
    image = read_image(build(plus=False, machine=X86, delay=(Dll("OLD.dll", ("f", 3)),), delay_by_address=True))
    assert [(d.name, [str(s) for s in d.symbols], d.delayed) for d in image.imports] == [("OLD.dll", ["f", "#3"], True)]


def test_terminator_in_the_part_that_is_not_stored() -> None:
    """Windows' loader sees zeros there, and so do we."""
    image = read_image(build(imports=FULL.imports, zero_tail=64))
    assert image.imported_names == ("KERNEL32.dll", "WS2_32.dll")


def test_names_that_are_not_ascii() -> None:
    image = read_image(build(imports=(Dll("größe.dll"), Dll(b"\xff\xfe.dll"))))
    assert image.imported_names == ("größe.dll", "\\xff\\xfe.dll")


def test_no_lookup_table_means_the_address_table_has_the_names() -> None:
    data = build(imports=(Dll("A.dll", ("f",)),))
    at = _directory_offset(data, Directory.IMPORT)
    assert [str(s) for s in read_image(put32(data, at, 0)).imports[0].symbols] == ["f"]
    with pytest.raises(PEError, match="expected names, found only bound addresses"):
        read_image(put32(put32(data, at, 0), at + 4, 0x1234))


def test_an_alias_is_exported_under_both_names() -> None:
    data = build(exports=Exports([("a", None), ("b", None)]))
    at = _directory_offset(data, Directory.EXPORT)
    (ordinals,) = struct.unpack_from("<I", data, at + 36)
    offset = read_layout(data).offset(ordinals, 4, "x")
    exports = read_image(put(data, offset, bytes(4))).exports
    assert [(e.ordinal, e.name) for e in exports] == [(5, "a"), (5, "b"), (6, None)]


def _directory_offset(data: bytes, which: Directory) -> int:
    layout = read_layout(data)
    directory = layout.directory(which)
    assert directory is not None
    return layout.offset(directory.rva, 1, "x")


def _exports_with(field: int, value: int) -> bytes:
    data = build(FULL)
    return put32(data, _directory_offset(data, Directory.EXPORT) + field, value)


def _import_with(field: int, value: int) -> bytes:
    data = build(FULL)
    return put32(data, _directory_offset(data, Directory.IMPORT) + field, value)


HOSTILE = {
    "2^31 exports": (_exports_with(20, 1 << 31), "expected 65536 functions at most, found 2147483648"),
    "2^31 export names": (_exports_with(24, 1 << 31), "expected a table that fits the file, found 2147483648 entries"),
    "export index": (_exports_with(20, 1), "expected an index below 1, found 2"),
    "export names nowhere": (
        _exports_with(32, 0x7FFFFFFF),
        "expected an address inside a section, found RVA 0x7fffffff",
    ),
    "DLL name nowhere": (_import_with(12, 0xFFFFFFF0), "imported DLL's name: expected an address inside a section"),
    "look-up table nowhere": (_import_with(0, 0xFFFFFFF0), "imports of KERNEL32.dll: expected an address inside"),
}


@pytest.mark.parametrize(("data", "message"), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_tables_are_named(data: bytes, message: str) -> None:
    with pytest.raises(PEError) as caught:
        read_image(data)
    assert message in str(caught.value)


def _full_section(rva: int, filling: bytes) -> bytes:
    """A file whose one section is filled to its very end; the import table begins at ``rva``."""
    data = build(text=bytes(0x1000 - 16))
    layout = read_layout(data)
    data = put(data, 0x400, (filling * 0x1000)[:0x1000])
    return put32(data, layout.directories[Directory.IMPORT].offset, rva)


def test_imports_without_terminator() -> None:
    with pytest.raises(PEError, match=r"import table at offset 0x400: expected an empty entry at its end"):
        read_image(_full_section(0x1000, struct.pack("<5I", 0, 0, 0, 0x1000, 0x1000))[: 0x400 + 0x1000])


def test_a_name_without_end() -> None:
    data = _full_section(0x1000, b"A")
    data = put(data, 0x400, struct.pack("<5I", 0x1100, 0, 0, 0x1100, 0x1100) + bytes(20))
    with pytest.raises(PEError, match="expected a zero byte at its end, found the section's end"):
        read_image(data)


def test_names_and_tables_that_overlap_are_refused_soon() -> None:
    """Each thunk's name is the rest of the file: reading all of them would take the square of its size."""
    size = 0x40000
    data = build(text=bytes(size))
    at = read_layout(data).directories[Directory.IMPORT].offset
    thunks = b"".join(struct.pack("<Q", 0x21000 + i) for i in range(0x1000))
    block = struct.pack("<5I", 0x2000, 0, 0, 0x1100, 0x2000).ljust(0x1000, b"\0") + thunks + bytes(8)
    block = put(block, 0x100, b"A.dll\0").ljust(0x20000, b"\0") + b"N" * 0x20000
    with pytest.raises(PEError, match="found overlapping ones"):
        read_image(put32(put(data, 0x400, block), at, 0x1000))
