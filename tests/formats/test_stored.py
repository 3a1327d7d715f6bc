"""Stored zip archives: read back by zipfile and by our own reader, the same bytes for the same members, and its limits."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packager.errors import SpecError
from packager.formats import stored
from packager.formats import zip as zips
from packager.formats.errors import FormatError

EPOCH = 1735689600
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20)
#: The last 16 bytes before a central directory may not be an APK's signature.
CONTENT = st.binary(max_size=60).filter(lambda data: not data.endswith(b"APK Sig Block 42"))
MEMBERS = st.dictionaries(NAMES.filter(lambda name: not name.endswith("/")), CONTENT, max_size=8)


@given(MEMBERS, st.integers(0, 0xFFFFFFFF))
def test_what_is_packed_is_read_back(members: Mapping[str, bytes], epoch: int) -> None:
    data = stored.pack(members, epoch)
    found = zips.members(data)
    assert {member.name: member.data for member in found} == members
    assert [member.name for member in found] == sorted(members, key=str.encode)
    assert all(member.size == len(members[member.name]) for member in found)
    assert zips.normalise(data, epoch).changes == ()


@given(MEMBERS)
def test_zipfile_reads_it_and_finds_nothing_else(members: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(io.BytesIO(stored.pack(members, EPOCH))) as archive:
        assert archive.testzip() is None
        for info in archive.infolist():
            assert (info.compress_type, info.date_time, info.extra, info.comment) == (
                zipfile.ZIP_STORED, (2025, 1, 1, 0, 0, 0), b"", b"",
            )  # fmt: skip
            assert (info.create_system, info.external_attr) == (3, 0o100644 << 16)
        assert archive.comment == b""
        # By the names as they stand there: zipfile turns what is a separator on this system into a slash.
        assert sorted(info.orig_filename for info in archive.infolist()) == sorted(members)


@given(MEMBERS, st.randoms())
def test_the_order_in_which_members_come_does_not_matter(members: Mapping[str, bytes], random: object) -> None:
    shuffled = list(members.items())
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert stored.pack(dict(shuffled), EPOCH) == stored.pack(members, EPOCH)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(FormatError, match="at most 65535 members in a zip archive, found 65536"):
        stored.pack({str(number): b"" for number in range(65536)}, EPOCH)
    with pytest.raises(SpecError, match="epoch"):
        stored.pack({}, -1)


def test_compressed_and_encrypted_members_have_no_data() -> None:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("plain", b"12345")
        archive.writestr("packed", b"1" * 1000, zipfile.ZIP_DEFLATED)
    data = bytearray(sink.getvalue())
    assert zips.members(bytes(data)) == (("plain", 5, b"12345"), ("packed", 1000, None))
    for at in (data.index(b"PK\x01\x02") + 8, data.index(b"PK\x03\x04") + 6):
        data[at] |= 1
    assert zips.members(bytes(data))[0] == ("plain", 5, None)
    assert zips.stored_members(sink.getvalue()) == (("plain", b"12345"),)
    assert zips.stored_members(bytes(data)) == ()


def test_a_name_that_is_not_what_it_claims_is_an_error() -> None:
    data = stored.pack({"\u00e9": b""}, EPOCH).replace("\u00e9".encode(), b"\xff\xff")
    with pytest.raises(FormatError, match="expected a name in UTF-8"):
        zips.members(data)
    assert zips.stored_members(data) == ()
