"""A draft's bytes and the changes that it notes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packager.changes import Change, Normalised
from packager.pe.draft import Draft
from tests.pe.cases import applied

DATA = bytes(range(32))


def test_nothing_done_gives_the_very_same_object() -> None:
    draft = Draft(DATA)
    draft.put("same", 4, DATA[4:8])
    draft.pad("padding", 8)
    assert draft.data is DATA
    assert draft.changes == ()


def test_what_is_read_before_a_change_stays_as_it_was() -> None:
    draft = Draft(DATA)
    draft.put("a", 0, b"A")
    before = draft.data
    draft.put("b", 1, b"B")
    assert before[:2] == b"A\x01"
    assert draft.data[:2] == b"AB"
    assert DATA[:2] == b"\x00\x01"


def test_changes_come_by_offset() -> None:
    draft = Draft(DATA)
    draft.put("late", 9, b"xy")
    draft.put("early", 2, b"z")
    draft.cut("end", 30)
    assert draft.changes == (
        Change("early", 2, b"\2", b"z"),
        Change("late", 9, b"\x09\x0a", b"xy"),
        Change("end", 30, b"\x1e\x1f", b""),
    )
    assert len(draft) == 30


@pytest.mark.parametrize(
    ("length", "cut", "changes"),
    [
        (13, None, [Change("pad", 13, b"", bytes(3))]),
        (32, 25, [Change("pad", 25, bytes(range(25, 32)), bytes(7))]),
        (32, 21, [Change("pad", 21, b"\x15\x16\x17", bytes(3)), Change("cut", 24, bytes(range(24, 32)), b"")]),
        (27, 25, [Change("pad", 25, b"\x19\x1a", bytes(2)), Change("pad", 27, b"", bytes(5))]),
        (32, 24, [Change("cut", 24, bytes(range(24, 32)), b"")]),
    ],
)
def test_padding_takes_the_place_of_what_was_cut_off(length: int, cut: int | None, changes: list[Change]) -> None:
    draft = Draft(DATA[:length])
    if cut is not None:
        draft.cut("cut", cut)
    draft.pad("pad", 8)
    assert list(draft.changes) == changes
    assert len(draft) % 8 == 0


def test_zeros_that_were_cut_off_and_come_back_are_no_change() -> None:
    data = DATA[:26] + bytes(6)
    draft = Draft(data)
    draft.cut("cut", 26)
    draft.pad("pad", 8)
    assert draft.changes == ()
    assert draft.data == data


@given(
    st.binary(min_size=8, max_size=64),
    st.lists(st.tuples(st.integers(0, 7), st.binary(min_size=1, max_size=1)), max_size=5, unique_by=lambda put: put[0]),
    st.lists(st.integers(8, 64), max_size=2),
    st.booleans(),
)
def test_the_changes_made_to_the_old_bytes_give_the_new_ones(
    data: bytes, puts: list[tuple[int, bytes]], cuts: list[int], pad: bool
) -> None:
    draft = Draft(data)
    for offset, value in puts:
        draft.put("put", offset, value)
    for offset in sorted(cuts, reverse=True):
        if offset < len(draft):
            draft.cut("cut", offset)
    if pad:
        draft.pad("pad", 8)
    assert applied(data, Normalised(draft.data, draft.changes)) == draft.data
