"""COFF symbols: what is said about them, cutting them off, and padding."""

from __future__ import annotations

import struct

import pytest

from packager.changes import Change, Normalised
from packager.errors import PEError, SpecError
from packager.pe import fields, symbols
from packager.pe.layout import read_layout
from packager.pe.normalise import PADDING, normalise
from packager.pe.symbols import Symbols, read_symbols, source_files
from tests.pe.build import FULL, build, put, put32, with_symbols
from tests.pe.cases import EPOCH, applied
from tests.pe.test_checksum import AT, map_file_and_check_sum

PLAIN = build(FULL)
FILES = ("crt.c", "/build/me/a/rather/long/name.c")
WITH = with_symbols(PLAIN, FILES, strings=b"a_name_of_more_than_8\0")
SECTION_NAME = 0x80 + 24 + 240


def stripped(data: bytes, pad: bool = False) -> Normalised:
    outcome = normalise(data, EPOCH, symbols="strip", pad=pad)
    assert applied(data, outcome) == outcome.data
    assert normalise(outcome.data, EPOCH, symbols="strip", pad=pad).data is outcome.data
    assert read_layout(outcome.data).checksum == map_file_and_check_sum(outcome.data, AT)
    return outcome


def test_kept_with_a_remark() -> None:
    outcome = normalise(WITH, EPOCH)
    assert len(outcome.data) == len(WITH)
    assert outcome.notes == ("6 COFF symbols name 2 source files and stay; --symbols strip takes them off",)
    assert normalise(outcome.data, EPOCH).notes == outcome.notes


def test_no_remark_where_no_file_is_named() -> None:
    assert normalise(with_symbols(PLAIN, ()), EPOCH).notes == ()
    assert normalise(PLAIN, EPOCH).notes == ()


def test_what_is_read() -> None:
    found = read_symbols(WITH, read_layout(WITH))
    assert found == Symbols(len(PLAIN), 6, len(WITH))
    assert source_files(WITH, found) == 2
    assert read_symbols(PLAIN, read_layout(PLAIN)) is None


def test_stripped_files_are_those_that_never_had_symbols() -> None:
    outcome = stripped(WITH)
    assert outcome.data == normalise(PLAIN, EPOCH).data
    tail = [change for change in outcome.changes if change.field in (symbols.TABLE, symbols.POINTER, symbols.COUNT)]
    assert tail == [
        Change(symbols.POINTER, 0x8C, struct.pack("<I", len(PLAIN)), bytes(4)),
        Change(symbols.COUNT, 0x90, struct.pack("<I", 6), bytes(4)),
        Change(symbols.TABLE, len(PLAIN), WITH[len(PLAIN) :], b""),
    ]
    assert outcome.notes == ()


@pytest.mark.parametrize("after", [bytes(1), bytes(7), bytes(0x200)])
def test_padding_behind_them_goes_too(after: bytes) -> None:
    assert stripped(with_symbols(PLAIN, after=after)).data == normalise(PLAIN, EPOCH).data


def test_no_string_table_at_all() -> None:
    data = with_symbols(PLAIN)
    assert stripped(data[:-4]).data == stripped(data).data


def test_a_count_without_a_table_goes() -> None:
    assert stripped(put32(PLAIN, 0x90, 7)).data == normalise(PLAIN, EPOCH).data


def test_signed_files_lose_both() -> None:
    data = with_symbols(PLAIN, FILES)
    signed = data + bytes(-len(data) % 8)
    signed = put(signed, 0x80 + 24 + 112 + 4 * 8, struct.pack("<II", len(signed), 16)) + b"c" * 16
    outcome = normalise(signed, EPOCH, signed="strip", symbols="strip", pad=True)
    assert outcome.data == normalise(PLAIN, EPOCH).data
    assert applied(signed, outcome) == outcome.data


def test_debug_data_among_them_keeps_them() -> None:
    data = build(debug=(1,))
    entry = data.index(struct.pack("<IHHI", 0x44444444, 0, 0, 1)) - 4
    data = put32(put32(with_symbols(data), entry + 20, 0), entry + 24, len(data))
    with pytest.raises(
        PEError, match=rf"debug entry at offset {entry:#x}: expected its data before the COFF symbol table"
    ):
        stripped(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (with_symbols(PLAIN, after=b"x"), f"COFF symbol table at offset {len(PLAIN):#x}: expected it to be last, found 1 bytes after"),
        (with_symbols(PLAIN, after=bytes(0x1000)), "expected it to be last, found 4096 bytes after its string table"),
        (put(WITH, SECTION_NAME, b"/4\0\0\0\0\0\0"), "expected no section to have its name in the string table, found '/4'"),
        (put(WITH, SECTION_NAME, b"//AAAAAA"), "found '//AAAAAA'"),
        (put32(build(), 0x8C, 0x500), "expected it behind all sections, found one that ends at"),
        (put32(WITH, 0x8C, 0x20), "COFF symbol table at offset 0x20: expected 6 symbols between the headers' end at 0x1b0"),
        (put32(WITH, 0x8C, 0xFFFFFFF0), "COFF symbol table at offset 0xfffffff0: expected 6 symbols between"),
        (put32(WITH, 0x90, 0xFFFFFFFF), "expected 4294967295 symbols between"),
        (put32(WITH, len(PLAIN) + 6 * 18, 0x1000), "string table at offset"),
    ],
)  # fmt: skip
def test_what_cannot_be_cut_off_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(PEError) as caught:
        normalise(data, EPOCH, symbols="strip")
    assert message in caught.value.message


def test_symbols_that_cannot_be_read_are_only_remarked_on() -> None:
    outcome = normalise(put32(WITH, 0x90, 0x00FFFFFF), EPOCH)
    assert len(outcome.notes) == 2
    assert outcome.notes[0].startswith("COFF symbols that cannot be read stay (COFF symbol table at offset")
    assert fields.COFF in {change.field for change in outcome.changes}


def test_an_unknown_way_with_symbols_is_the_callers_mistake() -> None:
    with pytest.raises(SpecError, match="symbols: expected one of keep, strip, found 'drop'"):
        normalise(PLAIN, EPOCH, symbols="drop")  # type: ignore[arg-type]


@pytest.mark.parametrize("odd", range(1, 8))
def test_padding_makes_room_for_a_signature(odd: int) -> None:
    """Padded before it is signed, a file is the same again when the signature is gone; else it is not."""
    data = build(FULL, overlay=b"o" * odd)
    padded = normalise(data, EPOCH, pad=True)
    assert applied(data, padded) == padded.data
    assert padded.changes[-1] == Change(PADDING, len(data), b"", bytes(8 - odd))
    assert normalise(padded.data, EPOCH, pad=True).data is padded.data
    for unsigned, same in ((padded.data, True), (normalise(data, EPOCH).data, False)):
        signed = unsigned + bytes(-len(unsigned) % 8)
        signed = put(signed, 0x80 + 24 + 112 + 4 * 8, struct.pack("<II", len(signed), 24)) + b"c" * 24
        assert (normalise(signed, EPOCH, signed="strip").data == unsigned) is same


def test_aligned_files_are_not_padded() -> None:
    assert PADDING not in {change.field for change in normalise(PLAIN, EPOCH, pad=True).changes}


def test_padding_after_symbols_were_cut_off() -> None:
    data = with_symbols(build(zero_tail=3, text=b"odd"), FILES)
    outcome = stripped(data, pad=True)
    assert len(outcome.data) % 8 == 0
    assert {PADDING, symbols.TABLE} < {change.field for change in outcome.changes}
