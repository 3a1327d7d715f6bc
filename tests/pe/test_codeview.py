"""CodeView records: GUID, age and path; where they may lie, and what is refused."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packager.changes import Normalised
from packager.errors import PEError
from packager.pe import codeview
from packager.pe.layout import Directory, read_layout
from packager.pe.normalise import normalise
from tests.pe.build import FULL, RAW, RVA, X86, Spec, build, nb10, put, put32, rsds, zipped
from tests.pe.cases import EPOCH, applied

STAMP = struct.pack("<I", EPOCH)
LONG = rsds(b"C:\\Users\\me\\build\\program.pdb\0", age=7)


def record(data: bytes) -> bytes:
    """The CodeView record of a file that has one entry for it, the first."""
    entry = entry_at(data)
    size, _rva, at = struct.unpack_from("<III", data, entry + 16)
    return data[at : at + size]


def entry_at(data: bytes) -> int:
    """Where the first debug entry lies."""
    layout = read_layout(data)
    return layout.offset(layout.directories[Directory.DEBUG].rva, 28, "x")


def made(**options: object) -> bytes:
    return build(Spec(debug=(2,)), **options)


def result(data: bytes) -> Normalised:
    outcome = normalise(data, EPOCH)
    assert applied(data, outcome) == outcome.data
    assert normalise(outcome.data, EPOCH).data is outcome.data
    return outcome


@pytest.mark.parametrize("variant", [{}, {"plus": False, "machine": X86}])
def test_guid_age_and_path(variant: dict[str, object]) -> None:
    outcome = result(made(codeview=LONG, **variant))
    new = record(outcome.data)
    assert (new[:4], new[20:24]) == (b"RSDS", b"\1\0\0\0")
    assert new[4:20] not in (LONG[4:20], codeview.NO_GUID)
    assert new[24:] == b"program.pdb".ljust(len(LONG) - 24, b"\0")
    assert {codeview.GUID, codeview.AGE, codeview.PATH} < {change.field for change in outcome.changes}


@pytest.mark.parametrize("variant", [{}, {"plus": False, "machine": X86}])
def test_old_records_have_a_stamp(variant: dict[str, object]) -> None:
    old = nb10(b"C:\\vc6\\program.pdb\0", age=9)
    new = record(result(made(codeview=old, **variant)).data)
    assert new == b"NB10" + bytes(4) + STAMP + b"\1\0\0\0" + b"program.pdb".ljust(len(old) - 16, b"\0")


@pytest.mark.parametrize(
    ("path", "after"),
    [
        (b"x.pdb\0", b"x.pdb\0"),
        (b"D:\\a\\x.pdb\0", b"x.pdb"),
        (b"/home/me/x.pdb\0", b"x.pdb"),
        (b"D:\\a/b\\c/x.pdb\0", b"x.pdb"),
        (b"D:/a/b\\x.pdb\0", b"x.pdb"),
        (b"D:x.pdb\0", b"D:x.pdb"),
        (b"/a/\0", b""),
        (b"\0", b""),
        (b"", b""),
        (b"x.pdb\0/old/y.pdb\0", b"x.pdb"),
        (b"/a/x.pdb", b"x.pdb"),
        (b"x.pdb", b"x.pdb"),
        ("/größe/ß.pdb\0".encode(), "ß.pdb".encode()),
        (b"C:\\\xff\xfe\\\xff.pdb\0", b"\xff.pdb"),
    ],
)
@pytest.mark.parametrize("kind", [rsds, nb10])
def test_a_path_becomes_its_last_part_and_keeps_its_size(kind: type, path: bytes, after: bytes) -> None:
    whole = kind(path)
    header = len(whole) - len(path)
    assert record(result(made(codeview=whole)).data)[header:] == after.ljust(len(path), b"\0")


@given(
    st.integers(0, 0xFFFFFFFF), st.binary(min_size=16, max_size=16), st.binary(min_size=16, max_size=16), st.binary()
)
@settings(max_examples=50, deadline=None)
def test_the_guid_stands_for_the_content_alone(epoch: int, one: bytes, two: bytes, text: bytes) -> None:
    first = build(FULL, text=text, codeview=rsds(b"C:\\a\\x.pdb\0", one, 3), overlay=zipped({"a": b"b"}))
    second = build(
        FULL,
        text=text,
        codeview=rsds(b"/abcd/y.pdb", two, 9),
        stamp=1,
        checksum=2,
        debug_stamp=3,
        resource_stamp=4,
        load_config_stamp=5,
        overlay=zipped({"a": b"b"}, (1999, 9, 9, 9, 9, 8)),
    )
    guids = {record(normalise(first, when).data)[4:20] for when in (epoch, EPOCH)}
    guids |= {record(normalise(second, when).data)[4:20] for when in (epoch, EPOCH)}
    assert len(guids) == 1
    assert record(normalise(put(first, RAW, b"\xcc"), EPOCH).data)[4:20] not in guids


def test_the_guid_is_what_it_was_yesterday() -> None:
    """A golden value: files that were normalised once come out the same with every later version."""
    new = record(normalise(made(codeview=LONG), EPOCH).data)
    assert new[4:20].hex() == GOLDEN


GOLDEN = "330951ee44e7cbff7dd3c47200cf91a2"


def test_all_records_of_a_file_have_the_same_guid() -> None:
    data = build(debug=(2, 2), codeview=LONG)
    start = entry_at(data)
    places = [struct.unpack_from("<I", data, start + 28 * index + 24)[0] for index in (0, 1)]
    new = result(data).data
    assert places[0] != places[1]
    assert new[places[0] : places[0] + len(LONG)] == new[places[1] : places[1] + len(LONG)] != LONG


def test_a_record_that_two_entries_point_at_is_one() -> None:
    data = build(debug=(2, 2), codeview=LONG)
    start = entry_at(data)
    data = put(data, start + 28 + 16, data[start + 16 : start + 28])
    assert sum(change.field == codeview.GUID for change in result(data).changes) == 1


def test_where_the_pointer_is_zero_the_address_counts() -> None:
    data = made(codeview=LONG)
    at = entry_at(data) + 24
    where = struct.unpack_from("<I", data, at)[0]
    new = result(put32(data, at, 0)).data
    assert new[where + 24 : where + 35] == b"program.pdb"


def test_a_record_behind_the_last_section() -> None:
    data = made(overlay=LONG)
    at = entry_at(data)
    data = put(data, at + 16, struct.pack("<III", len(LONG), 0, len(data) - len(LONG)))
    outcome = result(data)
    assert outcome.data.endswith(b"program.pdb".ljust(len(LONG) - 24, b"\0"))
    assert codeview.GUID in {change.field for change in outcome.changes}


def test_an_address_that_is_not_mapped_is_no_contradiction() -> None:
    data = made(codeview=LONG)
    result(put32(data, entry_at(data) + 20, 0x7F000000))


@pytest.mark.parametrize("kind", [b"NB09", b"NB11", b"????", b"RSD"])
def test_other_records_stay(kind: bytes) -> None:
    data = made(codeview=kind + b"C:\\a\\x.pdb\0" if len(kind) == 4 else kind)
    assert not {change.field for change in result(data).changes} & {codeview.GUID, codeview.AGE, codeview.PATH}


def test_what_a_repro_file_has_stays() -> None:
    outcome = result(build(debug=(2, 16), codeview=LONG))
    assert [change.field for change in outcome.changes] == ["CheckSum"]
    assert LONG in outcome.data


OLD = made(codeview=nb10(b""))
GOOD = made(codeview=LONG)
ENTRY = entry_at(GOOD)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (put32(GOOD, ENTRY + 24, 0x80), "CodeView record at offset 0x80: expected 54 bytes between the headers' end"),
        (put32(GOOD, ENTRY + 24, len(GOOD) - 8), "expected 54 bytes between the headers' end at 0x1b0 and the file's"),
        (put32(GOOD, ENTRY + 24, 0xFFFFFFF0), "CodeView record at offset 0xfffffff0: expected 54 bytes between"),
        (
            put32(GOOD, ENTRY + 20, RVA),
            f"debug entry at offset {ENTRY:#x}: expected its PointerToRawData to be where its RVA 0x1000 lies, 0x400,",
        ),
        (
            put32(put32(GOOD, ENTRY + 24, 0), ENTRY + 20, 0x700000),
            "CodeView record: expected an address inside a section",
        ),
        (put32(GOOD, ENTRY + 16, 23), "expected 24 to 98328 bytes, found 23"),
        (put32(OLD, entry_at(OLD) + 16, 15), "expected 16 to 98328 bytes, found 15"),
        (made(codeview=rsds(bytes(0x20000))), f"expected 24 to 98328 bytes, found {0x20000 + 24}"),
    ],
)
def test_records_where_they_cannot_be(data: bytes, message: str) -> None:
    with pytest.raises(PEError) as caught:
        normalise(data, EPOCH)
    assert message in caught.value.message


def test_records_that_overlap_are_refused() -> None:
    data = build(debug=(2, 2), codeview=LONG)
    at = entry_at(data)
    first = struct.unpack_from("<II", data, at + 20)
    data = put(data, at + 28 + 16, struct.pack("<III", len(LONG) - 1, *first))
    with pytest.raises(PEError, match="found an overlap"):
        normalise(data, EPOCH)


def test_more_records_than_fit_are_refused_before_they_are_read() -> None:
    data = build(debug=(2,) * 3000, codeview=LONG, text=rsds(b"p" * 0x8000))
    at = entry_at(data)
    for index in range(3000):
        data = put(data, at + 28 * index + 16, struct.pack("<III", 0x7000 + index, RVA + 16, RAW + 16))
    with pytest.raises(PEError, match="expected records that fit the file"):
        normalise(data, EPOCH)
