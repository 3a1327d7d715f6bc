"""The one way in which fields are written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packager.formats.errors import FormatError
from packager.formats.fields import Field, patch


def test_what_is_right_is_the_same_object() -> None:
    data = b"abc"
    assert patch(data, [Field("b", 1, b"b")], ("note",)).data is data
    assert patch(data, []).notes == ()


def test_an_overlap_is_refused() -> None:
    with pytest.raises(FormatError, match=r"^offset 0x1: expected two to begin after 0x2, found an overlap$"):
        patch(b"abcd", [Field("one", 0, b"xx"), Field("two", 1, b"x")])


@pytest.mark.parametrize(("many", "limit"), [(1 << 15, 1 << 15), (1 << 17, 1 << 17), (1, 7489)])
def test_a_file_of_nothing_but_fields_is_refused(many: int, limit: int) -> None:
    data = bytes(1 << 20)
    fields = [Field("every fourth byte", offset, b"x") for offset in range(0, len(data), 4)]
    assert len(patch(data, fields[:limit], many=many).changes) == limit
    message = f"^offset {4 * limit:#x}: expected at most {limit} stamps in {len(data)} bytes, found more$"
    with pytest.raises(FormatError, match=message):
        patch(data, fields, many=many)


@given(st.binary(max_size=30), st.binary(max_size=30))
def test_the_changes_say_what_was_done(old: bytes, new: bytes) -> None:
    size = min(len(old), len(new))
    fields = [Field("byte", offset, new[offset : offset + 1]) for offset in range(size)]
    result = patch(old, fields)
    assert result.data == new[:size] + old[size:]
    assert [change.offset for change in result.changes] == [at for at in range(size) if old[at] != new[at]]
