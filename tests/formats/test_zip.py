"""Zip archives: the times of their members, wherever they stand, and nothing else."""

from __future__ import annotations

import io
import lzma
import struct
import zipfile
import zlib
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packager.errors import SpecError
from packager.formats.errors import FormatError
from packager.formats.zip import ZipField, normalise, time_fields
from tests.formats.build import EPOCH, Packed, changes, extra, outcome, zip_file
from tests.formats.strategies import mutations

DOS = struct.pack("<HH", 0, 45 << 9 | 1 << 5 | 1)
UNIX = struct.pack("<I", EPOCH)
FILETIME = struct.pack("<Q", (EPOCH + 11_644_473_600) * 10_000_000)

THREE_TIMES = extra(0x5455, b"\x07" + b"\x11" * 12)
CENTRAL_TIME = extra(0x5455, b"\x07" + b"\x11" * 4)
NTFS = extra(0x000A, bytes(4) + extra(9, b"other") + extra(1, b"\x22" * 24))
OLD_UNIX = extra(0x5855, b"\x33" * 12)
PKWARE_UNIX = extra(0x000D, b"\x44" * 12 + b"target of a link")
OTHERS = extra(0xCAFE, b"") + extra(0x7875, b"\x01\x04abcd\x04efgh")
ALL = [
    Packed(local_extra=OTHERS + THREE_TIMES, central_extra=CENTRAL_TIME),
    Packed("folder/", b"", local_extra=NTFS, central_extra=NTFS),
    Packed("b", b"PK\x05\x06", local_extra=OLD_UNIX + PKWARE_UNIX, central_extra=PKWARE_UNIX + bytes(3), wide=True),
]
EVERY = [
    zip_file(ALL),
    zip_file(ALL, zip64=True, comment=b"comment"),
    zip_file(ALL, prefix=b"#!python\n"),
    zip_file([]),
]

members = st.builds(
    Packed,
    st.text(max_size=9),
    st.binary(max_size=20),
    time=st.integers(0, 0xFFFF),
    date=st.integers(0, 0xFFFF),
    flags=st.sampled_from([0, 1, 8, 9, 0x800]),
    local_extra=st.sampled_from([b"", b"\0", THREE_TIMES, NTFS, OTHERS + OLD_UNIX, PKWARE_UNIX]),
    central_extra=st.sampled_from([b"", CENTRAL_TIME, NTFS, THREE_TIMES]),
    wide=st.booleans(),
)


def fields_changed(data: bytes) -> Counter[str]:
    """How often each field was changed."""
    return Counter(change.field for change in normalise(data, EPOCH).changes)


def test_every_change_of_a_small_archive() -> None:
    data = zip_file([Packed()])
    assert changes(normalise(data, EPOCH)) == [
        ("a.txt", 10, b"\x3a\x6b\x21\x4d", DOS),
        ("a.txt", 30 + 5 + 7 + 12, b"\x3a\x6b\x21\x4d", DOS),
    ]


@pytest.mark.parametrize("data", EVERY)
def test_the_length_stays_and_twice_changes_nothing_more(data: bytes) -> None:
    assert outcome(normalise, data) is not None


def test_all_extra_fields() -> None:
    data = zip_file(ALL)
    result = normalise(data, EPOCH)
    assert Counter(change.field for change in result.changes) == {
        "a.txt": 2,
        "a.txt: extended timestamp": 2,
        "folder/": 2,
        "folder/: NTFS times": 2,
        "b": 2,
        "b: Unix times": 3,
    }
    assert {change.after for change in result.changes} == {DOS, UNIX, 2 * UNIX, 3 * UNIX, 3 * FILETIME}
    new = zip_file(
        [
            replace(
                member,
                time=0,
                date=int.from_bytes(DOS[2:], "little"),
                local_extra=at_epoch(member.local_extra),
                central_extra=at_epoch(member.central_extra),
            )
            for member in ALL
        ]
    )
    assert result.data == new


def at_epoch(data: bytes) -> bytes:
    """Extra fields of this module, with the epoch in them."""
    for old, new in [
        (b"\x11" * 12, 3 * UNIX),
        (b"\x11" * 4, UNIX),
        (b"\x22" * 24, 3 * FILETIME),
        (b"\x33" * 12, 2 * UNIX + b"\x33" * 4),
        (b"\x44" * 12, 2 * UNIX + b"\x44" * 4),
    ]:
        data = data.replace(old, new)
    return data


def test_times_that_a_field_says_it_has_not() -> None:
    data = zip_file([Packed(local_extra=extra(0x5455, b"\0"), central_extra=extra(0x000A, bytes(4)))])
    assert fields_changed(data) == {"a.txt": 2}


@pytest.mark.parametrize(
    ("epoch", "moment"),
    [
        (0, (1980, 1, 1, 0, 0, 0)),
        (315_532_799, (1980, 1, 1, 0, 0, 0)),
        (315_532_803, (1980, 1, 1, 0, 0, 2)),
        (1_583_020_799, (2020, 2, 29, 23, 59, 58)),
        (0xFFFFFFFF, (2106, 2, 7, 6, 28, 14)),
    ],
)
def test_dos_time(epoch: int, moment: tuple[int, ...]) -> None:
    result = outcome(normalise, zip_file([Packed(local_extra=THREE_TIMES)]), epoch)
    assert result is not None
    with zipfile.ZipFile(io.BytesIO(result.data)) as archive:
        assert archive.getinfo("a.txt").date_time == moment
    assert struct.pack("<3I", epoch, epoch, epoch) in result.data


@pytest.mark.parametrize("epoch", [-1, 0x100000000])
def test_an_epoch_out_of_range(epoch: int) -> None:
    with pytest.raises(SpecError, match="epoch: expected a number from 0 to 4294967295"):
        normalise(zip_file([]), epoch)
    with pytest.raises(SpecError, match="epoch: expected a number from 0 to 4294967295"):
        time_fields(zip_file([]), 0, 22, epoch)


def test_what_python_writes_is_read_by_python() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(20):
            info = zipfile.ZipInfo(f"folder/{number}.txt", (2001, 2, 3, 4, 5, number))
            info.extra = THREE_TIMES if number % 2 else b""
            archive.writestr(info, bytes(number) * 100)
        with archive.open(zipfile.ZipInfo("wide"), "w", force_zip64=True) as member:
            member.write(b"content")
        archive.comment = b"a comment"
    result = outcome(normalise, buffer.getvalue())
    assert result is not None
    with zipfile.ZipFile(io.BytesIO(result.data)) as new, zipfile.ZipFile(buffer) as old:
        assert new.testzip() is None
        assert {info.date_time for info in new.infolist()} == {(2025, 1, 1, 0, 0, 0)}
        assert {n: new.read(n) for n in new.namelist()} == {n: old.read(n) for n in old.namelist()}


def test_a_stream_has_data_descriptors_that_stay() -> None:
    class Pipe(io.RawIOBase):
        """Cannot be sought in, so zipfile writes sizes after the data."""

        written = b""

        def writable(self) -> bool:
            return True

        def write(self, data: object, /) -> int:
            piece = bytes(data)  # type: ignore[call-overload]
            self.written += piece
            return len(piece)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w") as archive:
        archive.writestr("a", b"content")
    assert b"PK\x07\x08" in pipe.written
    result = outcome(normalise, pipe.written)
    assert result is not None
    with zipfile.ZipFile(io.BytesIO(result.data)) as new:
        assert new.read("a") == b"content"


@pytest.mark.parametrize("counted_from", [0, 8])
def test_an_archive_after_a_program(counted_from: int) -> None:
    data = zip_file(ALL, prefix=b"program ", counted_from=counted_from, comment=b"end") + b"tail"
    whole = time_fields(data, 0, len(data), EPOCH)
    assert time_fields(data, 8, len(data), EPOCH) == whole
    assert outcome(normalise, data) is not None
    assert [field for field in whole if field.name == "a.txt"] == [
        ZipField("a.txt", 8 + 10, DOS),
        ZipField("a.txt", data.index(b"PK\x01\x02") + 12, DOS),
    ]
    assert normalise(data, EPOCH).notes == ("4 bytes after the archive stay",)
    with pytest.raises(FormatError, match=r"expected a member at 0x9 or later, found 0x8"):
        time_fields(data, 9, len(data), EPOCH)
    with pytest.raises(FormatError, match=r"expected a comment that ends at .* found 3 bytes of it"):
        time_fields(data, 8, len(data) - 5, EPOCH)


def test_the_password_s_check_needs_the_time() -> None:
    data = zip_file([Packed(flags=9, local_extra=THREE_TIMES), Packed("b", flags=1), Packed("c", flags=8)])
    assert fields_changed(data) == {"a.txt: extended timestamp": 1, "b": 2, "c": 2}
    assert normalise(data, EPOCH).notes == (
        "1 encrypted members keep their DOS times: their passwords are checked against them",
    )


def test_members_in_another_order_than_the_directory_s() -> None:
    data = bytearray(zip_file([Packed("a"), Packed("b")]))
    first, second = data.index(b"PK\x01\x02"), data.rindex(b"PK\x01\x02")
    data[first:second], data[second : second + 47] = data[second : second + 47], data[first:second]
    result = outcome(normalise, bytes(data))
    assert result is not None
    assert [change.field for change in result.changes] == ["a", "b", "b", "a"]


def end_record(data: bytes, offset: int, value: int, width: int = 2) -> bytes:
    """``data`` with one number of its end record changed; the comment is empty."""
    at = len(data) - 22 + offset
    return data[:at] + value.to_bytes(width, "little") + data[at + width :]


def central(data: bytes, offset: int, value: int, width: int = 2) -> bytes:
    """``data`` with one number of its first central header changed."""
    at = data.index(b"PK\x01\x02") + offset
    return data[:at] + value.to_bytes(width, "little") + data[at + width :]


ONE = zip_file([Packed()])
WIDE = zip_file([Packed(wide=True)], zip64=True)
INNER = b"PK\x03\x04" + bytes(22) + b"\x01\0\0\0" + b"b"
TWO = zip_file([Packed("a", INNER), Packed("b")])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "offset 0x0: expected a zip archive's end record before it, found none"),
        (ONE[:-1], "offset 0x72: expected a zip archive's end record before it, found none"),
        (end_record(ONE, 4, 1), "offset 0x61: expected an archive in one file, found part 2 of one in several"),
        (end_record(ONE, 8, 2), "offset 0x61: expected an archive in one file, found part 1 of one in several"),
        (
            end_record(end_record(ONE, 8, 2), 10, 2),
            "offset 0x67: expected 1 members, as in the central directory, found 2",
        ),
        (
            end_record(ONE, 20, 1),
            "offset 0x71: expected a comment that ends at 0x73 at the latest, found 1 bytes of it",
        ),
        (
            end_record(ONE, 12, 0x1000, 4),
            "offset 0x5d: expected a central directory after 0x0, found 4096 bytes of it, at 0x2a",
        ),
        (end_record(ONE, 12, 0x30, 4), "offset 0x2d: expected a member's central header, found 02 14 00 14"),
        (central(ONE, 8, 0x2000), "offset 0x32: expected a central directory in clear text, found an encrypted one"),
        (central(ONE, 34, 3), "offset 0x4c: expected a member in this file, found one in part 4 of several"),
        (central(ONE, 42, 3, 4), "offset 0x3: expected a member's local header, found 04 14 00 00"),
        (central(ONE, 42, 0x100, 4), "offset 0x100: expected a member's local header, found nothing"),
        (central(ONE, 20, 8, 4), "offset 0x0: expected a member that ends at 0x2a at the latest, found 0x2b"),
        (central(ONE, 46, 0x41, 1), "offset 0x1e: expected the name that the central directory has, found another"),
        (central(ONE, 30, 1), "offset 0x2a: expected a central header that ends at 0x5d at the latest, found 0x5e"),
        (
            ONE[:6] + b"\0\x20" + ONE[8:],
            "offset 0x6: expected a local header in clear text, found one with hidden values",
        ),
        (
            zip_file(ALL, before_directory=b"APK Sig Block 42"),
            "offset 0xf3: expected no signature, found one over the whole archive (APK)\n  what to do: normalise it before it is signed",
        ),
        (
            end_record(zip_file([Packed()], after_directory=b"PK\x05\x05\0\0"), 12, 57, 4),
            "offset 0x5d: expected no signature, found one of the central directory",
        ),
        (
            central(WIDE, 46 + 5, 0x0002),
            "offset 0xffffffff: expected a member's local header, found nothing",
        ),
        (
            central(WIDE, 46 + 5 + 2, 20),
            "offset 0x71: expected 8 bytes of a zip64 extra field, found 4",
        ),
        (
            central(WIDE, 46 + 5 + 2, 25),
            "offset 0x5d: expected an extra field that ends at 0x79 at the latest, found 25 bytes",
        ),
        (
            WIDE.replace(b"PK\x06\x06", b"PK\x06\x05"),
            "offset 0xb1: expected a zip64 end record of 56 bytes before the locator, found none",
        ),
        (
            WIDE.replace(b"PK\x06\x07\0", b"PK\x06\x07\1"),
            "offset 0xb1: expected an archive in one file, found part 2 of 1",
        ),
        (
            end_record(WIDE, 10, 2),
            "offset 0xc5: expected 1 as members, as in the zip64 end record, found 2",
        ),
        (
            zip_file([Packed(local_extra=extra(0x5455, b"\x07" * 3))]),
            "offset 0x27: expected an extended timestamp of 1, 5, 9 or 13 bytes, found 3",
        ),
        (
            zip_file([Packed(local_extra=extra(0x5455, b"\x07" * 17))]),
            "offset 0x27: expected an extended timestamp of 1, 5, 9 or 13 bytes, found 17",
        ),
        (
            zip_file([Packed(local_extra=extra(0x000A, bytes(3)))]),
            "offset 0x27: expected 4 reserved bytes, found 3",
        ),
        (
            zip_file([Packed(local_extra=extra(0x000A, bytes(4) + extra(1, bytes(8))))]),
            "offset 0x2f: expected three times of 8 bytes, found 8 bytes",
        ),
        (
            zip_file([Packed(local_extra=extra(0x5855, bytes(7)))]),
            "offset 0x27: expected two times of 4 bytes, found 7 bytes",
        ),
        (
            zip_file([Packed(local_extra=b"\x01\x02\x03\x04")]),
            "offset 0x23: expected an extra field that ends at 0x27 at the latest, found 1027 bytes",
        ),
        # A member inside another one's data: its time would be that one's content.
        (
            central(TWO[: TWO.rindex(b"PK\x01\x02")], 0, 0x4B50) + central(TWO[TWO.rindex(b"PK\x01\x02") :], 42, 31, 4),
            "offset 0xbd: expected a member at 0x3e or later, found 0x1f",
        ),
    ],
)
def test_broken_files(data: bytes, message: str) -> None:
    with pytest.raises(FormatError) as caught:
        normalise(data, EPOCH)
    assert str(caught.value) == message


def test_two_directory_entries_for_one_member_are_refused() -> None:
    data = zip_file([Packed("a"), Packed("a")])
    at = data.rindex(b"PK\x01\x02") + 42
    with pytest.raises(FormatError, match="expected a member at 0x26 or later, found 0x0"):
        normalise(data[:at] + bytes(4) + data[at + 4 :], EPOCH)


def test_cut_anywhere() -> None:
    data = zip_file(ALL)
    assert not any(outcome(normalise, data[:index]) for index in range(len(data)))


@given(st.lists(members, max_size=4), st.booleans(), st.binary(max_size=5), st.binary(max_size=5))
def test_any_members(parts: list[Packed], zip64: bool, prefix: bytes, comment: bytes) -> None:
    data = zip_file(parts, prefix=prefix, zip64=zip64, comment=comment)
    result = outcome(normalise, data)
    assert result is not None
    moved = zip_file(parts, prefix=prefix, counted_from=len(prefix), zip64=zip64, comment=comment)
    assert {f.offset for f in time_fields(moved, len(prefix), len(moved), EPOCH)} == {
        f.offset for f in time_fields(data, 0, len(data), EPOCH)
    }


def contents(data: bytes) -> object:
    """Each member's name and content as Python's zipfile reads it, or what it says of it."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return [(info.filename, content(archive, info)) for info in archive.infolist()]
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as exc:
        return repr(exc)


def content(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> object:
    try:
        return archive.read(info)
    except (zipfile.BadZipFile, ValueError, RuntimeError, EOFError, OSError, zlib.error, lzma.LZMAError) as exc:
        return repr(exc)


@given(mutations(EVERY))
def test_mutations_are_normalised_or_refused(data: bytes) -> None:
    result = outcome(normalise, data)
    if result is not None:
        assert contents(result.data) == contents(data)
