"""COFF objects, alone."""

from __future__ import annotations

import pytest
from hypothesis import given

from packager.formats.coff import MACHINES, may_be_object, normalise, stamp
from packager.formats.errors import FormatError
from tests.formats.build import EPOCH, X64, big_object, changes, coff_object, outcome, short_import
from tests.formats.strategies import mutations

GL = big_object()[:4] + b"\x01\0\0\0" + big_object()[8:12] + bytes(20)
EVERY = [coff_object(), coff_object(symbols=0), big_object(), big_object(symbols=0), short_import(), GL]


@pytest.mark.parametrize(
    ("data", "name", "offset"),
    [
        (coff_object(), "COFF TimeDateStamp", 4),
        (big_object(), "object header TimeDateStamp", 8),
        (GL, "object header TimeDateStamp", 8),
        (short_import(), "short import TimeDateStamp", 8),
    ],
)
def test_the_stamp_becomes_zero(data: bytes, name: str, offset: int) -> None:
    result = outcome(normalise, data)
    assert result is not None
    assert changes(result) == [(name, offset, b"\x11\x11\x11\x11", bytes(4))]


@pytest.mark.parametrize("machine", sorted(MACHINES))
def test_every_machine(machine: int) -> None:
    assert outcome(normalise, coff_object(machine=machine)) is not None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x64\x86",
        coff_object(machine=0x1234),
        coff_object()[:-1],
        coff_object(sections=2, symbols=0)[:-1],
        coff_object()[:8] + b"\x13" + coff_object()[9:],
        coff_object()[:8] + b"\0\0\0\0" + coff_object()[12:],
        short_import()[:19],
        short_import(length=100),
        short_import()[:4] + b"\x03" + short_import()[5:],
        big_object()[:-1],
        big_object(symbols=0)[:-1],
        big_object()[:50],
    ],
)
def test_what_does_not_fit_is_no_object(data: bytes) -> None:
    assert stamp(data, 0, len(data)) is None
    with pytest.raises(FormatError, match=r"^offset 0x0: expected a COFF object whose tables lie in the file, found "):
        normalise(data, EPOCH)


def test_an_object_inside_other_bytes() -> None:
    data = b"before" + coff_object() + b"after"
    found = stamp(data, 6, len(data) - 5)
    assert found is not None
    assert found.offset == 10
    assert stamp(data, 6, len(data) - 6) is None


def test_what_may_be_one() -> None:
    assert all(may_be_object(data[:8]) for data in EVERY if data != short_import())
    assert not may_be_object(b"")
    assert not may_be_object(b"\x64")
    assert not may_be_object(b"\0\0\xff\xff")
    assert not may_be_object(b"\x7fELF")
    assert not may_be_object(short_import()), "only in a library"
    assert may_be_object(X64.to_bytes(2, "little") + b"\0\0")


@given(mutations(EVERY))
def test_mutations_are_normalised_or_refused(data: bytes) -> None:
    outcome(normalise, data)
