"""The walk over resources."""

from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packager.errors import PEError
from packager.pe.layout import Directory, read_layout
from packager.pe.resources import MANIFEST, resources
from tests.pe.build import FULL, build, put, put32

TREE = {3: {1: {1033: b"icon"}}, 24: {1: {1033: b"<one/>", 1031: b"<eins/>"}, 2: {0: b"<two/>"}}}


def found(data: bytes, wanted: int = MANIFEST) -> list[tuple[int | str, int, bytes]]:
    layout = read_layout(data)
    return [(one.name, one.language, one.read(data, layout)) for one in resources(data, layout, wanted)]


def root(data: bytes) -> int:
    layout = read_layout(data)
    directory = layout.directory(Directory.RESOURCE)
    assert directory is not None
    return layout.offset(directory.rva, 16, "x")


def test_type_name_language() -> None:
    data = build(resources=TREE)
    assert found(data) == [(1, 1033, b"<one/>"), (1, 1031, b"<eins/>"), (2, 0, b"<two/>")]
    assert found(data, 3) == [(1, 1033, b"icon")]
    assert found(data, 16) == []


def test_none() -> None:
    assert found(build()) == []


def test_a_name_that_is_text() -> None:
    data = build(resources={24: {1: {1033: b"<x/>"}}}, text=b"")
    layout = read_layout(data)
    start = root(data)
    text = "MAIN".encode("utf-16-le")
    place = layout.sections[0].raw_offset  # 16 bytes of code that nothing runs
    name = (layout.sections[0].rva - layout.directories[Directory.RESOURCE].rva) & 0x7FFFFFFF
    data = put(data, place, struct.pack("<H", 4) + text)
    with pytest.raises(PEError, match="resource's name"):
        found(put32(data, start + 24 + 16, 0x80000000 | name))
    tail = len(data) - 0x40
    assert data[tail:] == bytes(0x40)
    data = put(data, tail, struct.pack("<H", 4) + text)
    assert found(put32(data, start + 24 + 16, 0x80000000 | tail - start)) == [("MAIN", 1033, b"<x/>")]


def broken(field: int, number: int) -> bytes:
    data = build(resources=TREE)
    return put32(data, root(data) + field, number)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (broken(16 + 8 + 4, 0x80000000), "resource 24/3: expected data below its language, found a directory"),
        (broken(16 + 8 + 4, 0x10), "resources: expected a directory below a type, found data"),
        (broken(16 + 8 + 4, 0xFFFFFFF0), "resource directory: expected an address inside a section"),
        (broken(12, 0xFFFFFFFF), "expected fewer entries, found overlapping ones"),
    ],
)
def test_what_is_not_so(data: bytes, message: str) -> None:
    with pytest.raises(PEError) as caught:
        found(data)
    assert message in str(caught.value)


def test_many_directories_in_one_place_are_soon_too_many() -> None:
    """All types are manifests and all lead to one directory, whose entries all lead to it again."""
    entries = struct.pack("<II", MANIFEST, 0x80000000) * 500
    data = build(resources={24: {1: {1033: b"x" * 4100}}})
    data = put(data, root(data), struct.pack("<IIHHHH", 0, 0, 0, 0, 0, 500) + entries)
    with pytest.raises(PEError, match="found overlapping ones"):
        found(data)


@given(st.integers(0, 150), st.binary(min_size=1, max_size=8))
def test_any_bytes_give_resources_or_an_error(at: int, noise: bytes) -> None:
    data = build(FULL)
    with suppress(PEError):
        found(put(data, root(data) + at, noise))
