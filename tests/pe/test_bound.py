"""Bound imports: undone to the byte, or refused."""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import replace

import lief
import pefile
import pytest

from packager.changes import Normalised
from packager.errors import PEError
from packager.pe import bound, fields
from packager.pe.layout import Directory, read_layout
from packager.pe.normalise import normalise
from tests.pe.build import BOUND_AT, FULL, RAW, RVA, X86, Dll, Spec, bound_directory, build, put, put32, rsds
from tests.pe.cases import EPOCH, applied

PLAIN = (Dll("A.dll", ("f", 3, "g")), Dll("B.dll", (1,)), Dll("C.dll", ("h",)))
NEW = (
    replace(PLAIN[0], stamp=0xFFFFFFFF, chain=0xFFFFFFFF, bound=True),
    replace(PLAIN[1], stamp=0xFFFFFFFF, bound=True),
    PLAIN[2],
)
OLD = (replace(PLAIN[0], stamp=0x3A5B6C7D, chain=2, bound=True), PLAIN[1], replace(PLAIN[2], stamp=1, bound=True))
TABLE = bound_directory((0x5A, "A.dll", [(0x5B, "NTDLL.dll"), (0, "X.dll")]), (0x5C, "B.dll", []))
VARIANTS = [{}, {"plus": False, "machine": X86}]


def result(data: bytes) -> Normalised:
    outcome = normalise(data, EPOCH)
    assert applied(data, outcome) == outcome.data
    assert normalise(outcome.data, EPOCH).data is outcome.data
    return outcome


def unbound(data: bytes) -> bool:
    """What other readers say: each address table is its look-up table, and there are no stamps."""
    binary = lief.PE.parse(data)
    assert binary is not None
    image = pefile.PE(data=data)
    assert not hasattr(image, "DIRECTORY_ENTRY_BOUND_IMPORT")
    assert not any(dll.struct.TimeDateStamp or dll.struct.ForwarderChain for dll in image.DIRECTORY_ENTRY_IMPORT)
    same = [entry.iat_value == entry.ilt_value for dll in binary.imports for entry in dll.entries]
    assert len(same) == 5
    return all(same)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("dlls", "table"), [(NEW, TABLE), (OLD, b"")])
def test_a_bound_file_becomes_the_one_that_was_never_bound(
    variant: dict[str, bool], dlls: tuple[Dll, ...], table: bytes
) -> None:
    """But for the tables' places: names that only an address table pointed at, of which a binder leaves none."""
    data = build(Spec(imports=dlls, bound_import=table), **variant)
    outcome = result(data)
    assert unbound(outcome.data)
    assert len(outcome.data) == len(data)
    assert outcome.data[BOUND_AT : BOUND_AT + len(TABLE)] == bytes(len(TABLE))


def test_what_is_reported() -> None:
    outcome = result(build(imports=NEW, bound_import=TABLE))
    # The tables of C.dll, which is not bound, have texts of their own: those of the look-up table count.
    assert Counter(change.field for change in outcome.changes) == {
        bound.STAMP: 2,
        bound.CHAIN: 1,
        bound.ADDRESSES: 3,
        bound.DIRECTORY: 1,
        bound.DIRECTORY_ENTRY: 1,
        fields.COFF: 1,
        "CheckSum": 1,
    }
    table = next(change for change in outcome.changes if change.field == bound.DIRECTORY)
    assert (table.offset, table.before, table.after) == (BOUND_AT, TABLE, bytes(len(TABLE)))


@pytest.mark.parametrize("variant", [*VARIANTS, {"plus": False, "machine": X86, "delay_by_address": True}])
def test_delay_imports(variant: dict[str, bool]) -> None:
    late = Dll("LATE.dll", ("f", 2, "g"), stamp=0x12345678, bound=True)
    data = build(Spec(delay=(late,)), **variant)
    outcome = result(data)
    changes = {change.field: change for change in outcome.changes}
    width = 4 if variant else 8
    assert changes[bound.DELAY_ADDRESSES].after == bytes(3 * width)
    assert changes[bound.DELAY_ADDRESSES].before[:4] == struct.pack("<I", 0x77001000)
    assert changes[fields.DELAY].before == struct.pack("<I", 0x12345678)
    assert normalise(build(Spec(delay=(replace(late, stamp=1),)), **variant), EPOCH).data == outcome.data


def test_a_delay_import_without_bound_table_loses_its_stamp() -> None:
    changes = result(build(delay=(Dll("A.dll", stamp=7),))).changes
    assert [change.field for change in changes if change.field not in (fields.COFF, "CheckSum")] == [fields.DELAY]


def test_a_bound_table_that_is_not_in_use_is_no_hindrance() -> None:
    changes = result(build(delay=(Dll("A.dll", bound_table=0x1008),))).changes
    assert {change.field for change in changes} == {fields.COFF, "CheckSum"}


def test_what_else_is_volatile_is_set_as_well() -> None:
    outcome = result(build(FULL, imports=NEW, bound_import=TABLE))
    assert {fields.EXPORT, fields.RESOURCE, bound.ADDRESSES} < {change.field for change in outcome.changes}


def test_repro_files_are_unbound_and_keep_their_stamps() -> None:
    """What the stamps are hashes of is the file that the linker wrote, which was not bound."""
    outcome = result(build(imports=OLD, debug=(16,)))
    assert {change.field for change in outcome.changes} == {bound.STAMP, bound.CHAIN, bound.ADDRESSES, "CheckSum"}


def first_descriptor(data: bytes) -> int:
    layout = read_layout(data)
    return layout.offset(layout.directories[Directory.IMPORT].rva, 20, "x")


GOOD = build(imports=OLD)
AT = first_descriptor(GOOD)
LAYOUT = read_layout(GOOD)
LOOKUP, ADDRESSES = (LAYOUT.offset(struct.unpack_from("<I", GOOD, AT + place)[0], 8, "table") for place in (0, 16))


def with_table(table: bytes) -> bytes:
    return build(imports=NEW, bound_import=table)


def entry(name: int, count: int = 0, stamp: int = 1) -> bytes:
    return struct.pack("<IHH", stamp, name, count)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (put32(GOOD, AT, 0), f"bound import at offset {AT:#x}: expected a look-up table, from which to undo it, found none"),
        (build(imports=(replace(PLAIN[2], lookup=False),), bound_import=TABLE), "expected a look-up table"),
        (put(GOOD, LOOKUP + 8, bytes(8)), f"expected address and look-up table to be of one length, found an address at {ADDRESSES + 8:#x}"),
        (put32(GOOD, AT, 0x7FFF0000), "expected an address inside a section, found RVA 0x7fff0000"),
        (put32(GOOD, AT + 16, 0x7FFF0000), "expected an address inside a section, found RVA 0x7fff0000"),
        (put32(GOOD, AT + 16, struct.unpack_from("<I", GOOD, AT)[0]), "expected nothing of another table there"),
        (put32(GOOD, AT + 16, RVA + AT + 20 - 0x400), "expected address and look-up table to be of one length"),
        (put32(build(imports=NEW, bound_import=TABLE), 0x80 + 24 + 112 + 11 * 8, 0x100), "expected it behind the section headers"),
        (put32(build(imports=NEW, bound_import=TABLE), 0x80 + 24 + 112 + 11 * 8 + 4, 0x1000), "expected 4096 bytes in its section"),
        (put32(build(imports=NEW, bound_import=TABLE), 0x80 + 24 + 112 + 11 * 8 + 4, 0x10), "expected an empty entry at its end"),
        (with_table(TABLE[:-1] + b"x"), "expected names and nothing else after its entries"),
        (with_table(TABLE + b"more"), "expected zeros after its last name"),
        (with_table(entry(4) + bytes(8) + b"A.dll\0"), "expected names and nothing else after its entries, found otherwise at 0x204"),
        (with_table(entry(0x100) + bytes(8) + b"A.dll\0"), "expected names and nothing else"),
        (with_table(entry(16, 3) + bytes(8) + b"A.dll\0"), "expected an empty entry at its end"),
        (with_table(entry(20) + bytes(8) + b"??? A.dll\0"), "expected names and nothing else"),
    ],
)  # fmt: skip
def test_what_cannot_be_undone_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(PEError) as caught:
        normalise(data, EPOCH)
    assert message in caught.value.message


def test_the_refusal_says_what_to_do() -> None:
    with pytest.raises(PEError) as caught:
        normalise(put32(GOOD, AT, 0), EPOCH)
    assert "without binding" in str(caught.value.hint)


def test_look_up_tables_that_overlap_are_not_read_again_and_again() -> None:
    """Else a file could have each of its descriptors read all of it."""
    size = 0x8000
    data = build(imports=[Dll("A.dll", ("f",), stamp=1)] * 500, text=b"1" * size + bytes(size + 8))
    at = first_descriptor(data)
    for index in range(500):
        data = put32(data, at + 20 * index, RVA + 16 + 8 * index)
        data = put32(data, at + 20 * index + 16, RVA + 16 + size)
    with pytest.raises(PEError, match="expected tables that fit the file, found an overlap"):
        normalise(data, EPOCH)


def test_a_table_over_another_directory_is_refused() -> None:
    data = build(FULL, plus=False, machine=X86, imports=OLD)
    export = read_layout(data).directories[Directory.EXPORT]
    data = put32(data, first_descriptor(data) + 16, export.rva - 12)
    with pytest.raises(PEError, match=r"^import address table at offset .* expected nothing of another table there"):
        normalise(data, EPOCH)


def test_a_table_over_a_volatile_field_is_refused() -> None:
    data = build(debug=(2,), codeview=rsds(b"x.pdb\0", bytes(16)), imports=(replace(PLAIN[2], stamp=1, bound=True),))
    data = put32(data, first_descriptor(data) + 16, RVA + data.index(b"RSDS") + 4 - RAW)
    with pytest.raises(
        PEError, match=r"CodeView GUID at offset .* found an overlap|import address table .* found an overlap"
    ):
        normalise(data, EPOCH)
