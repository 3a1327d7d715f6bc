"""Zip archives (``.zip``, ``.whl``, ``.jar``...), whole files or appended to a program: PKWARE's APPNOTE 6.3.

Everything is found from the central directory, which lies at the end; what an extra field holds is in Info-ZIP's
``extrafld.txt``.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from packager.changes import Normalised
from packager.formats.errors import FormatError
from packager.formats.fields import Field, check_epoch, limit_count, patch

#: A file begins with a member, or with the end record where it has none.
MAGICS = (b"PK\x03\x04", b"PK\x05\x06")

ZipField = Field

_LOCAL, _END = MAGICS
_CENTRAL, _DIRECTORY_SIGNATURE = b"PK\x01\x02", b"PK\x05\x05"
_END64, _LOCATOR = b"PK\x06\x06", b"PK\x06\x07"
_APK_SIGNATURE = b"APK Sig Block 42"

#: From each record what is needed: flags, (time), sizes, lengths, disks, offset; see the APPNOTE, 4.3.
_LOCAL_HEADER = struct.Struct("<4s2xH18xHH")
_CENTRAL_HEADER = struct.Struct("<4s4xH10xIIHHHH6xI")
_END_RECORD = struct.Struct("<4sHHHHIIH")
_END64_RECORD = struct.Struct("<4sQ4xIIQQQQ")
_LOCATOR_RECORD = struct.Struct("<4sIQI")
_METHOD_AND_SIZE = struct.Struct("<H12xI")
_LOCAL_TIME, _CENTRAL_TIME = 10, 12
_LONGEST_COMMENT = 0xFFFF
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF

#: The flag of a member whose name is in UTF-8; the others are in code page 437.
UTF8 = 0x0800
_ENCRYPTED, _DESCRIPTOR, _HIDDEN = 0x0001, 0x0008, 0x2000

_ZIP64, _NTFS, _PKWARE_UNIX, _TIMESTAMP, _OLD_UNIX = 0x0001, 0x000A, 0x000D, 0x5455, 0x5855
#: FILETIME counts 100 ns from 1601.
_FILETIME_EPOCH, _FILETIME_SECOND = 11_644_473_600, 10_000_000
_FIRST_DOS_YEAR = 1980
_LONGEST_LABEL = 100


@dataclass(frozen=True, slots=True)
class _Stamps:
    """The time to write, in the three forms that a zip has it in: DOS time and date, seconds since 1970, FILETIME."""

    dos: bytes
    unix: bytes
    filetime: bytes


class _Entry(NamedTuple):
    """One member: offsets of its local header and its central one, its size as it is packed, and its flags."""

    local: int
    central: int
    size: int
    flags: int


def normalise(data: bytes, epoch: int) -> Normalised:
    """Normalise a zip archive to ``epoch`` (seconds since 1970, 0 to 2**32-1), in place.

    Written are, of each member, in its local header and in the central directory: DOS time and date (+10 and +12, 4
    bytes), in UTC, in even seconds, not before 1980; and in the extra fields the times of 0x5455 (extended timestamp:
    one to three of 4 bytes), 0x000a (NTFS: three of 8), 0x5855 (Info-ZIP's old one: two of 4) and 0x000d (PKWARE's
    Unix: two of 4). Names, comments, attributes, owners, other extra fields, data descriptors and the members' data
    stay. So do the DOS times of members that are encrypted and have a data descriptor: their password is checked
    against the time.

    Raises FormatError when the archive does not fit the format, members overlap, it is one part of several, its
    central directory is encrypted, or it is signed as a whole; SpecError when ``epoch`` is out of its range.
    """
    check_epoch(epoch)
    entries, end = _read(data, 0, len(data))
    kept = sum(_time_is_checked(entry) for entry in entries)
    notes = []
    if kept:
        notes.append(f"{kept} encrypted members keep their DOS times: their passwords are checked against them")
    if end < len(data):
        notes.append(f"{len(data) - end} bytes after the archive stay")
    return patch(data, _fields(data, entries, _stamps(epoch)), tuple(notes))


def time_fields(data: bytes, start: int, end: int, epoch: int) -> tuple[ZipField, ...]:
    """The fields that :func:`normalise` writes, by offset, for an archive in ``data[start:end]``.

    Bytes before its first member (a launcher's own, a ``#!`` line) and after its comment are no part of it. Its offsets
    may be counted from the beginning of the file, or from its own. Raises as above.
    """
    check_epoch(epoch)
    entries, _end = _read(data, start, end)
    return tuple(_fields(data, entries, _stamps(epoch)))


class Member(NamedTuple):
    """One member as the central directory has it; ``size`` is in bytes, unpacked.

    ``data`` is None where it is compressed or encrypted.
    """

    name: str
    size: int
    data: bytes | None


def members(data: bytes) -> tuple[Member, ...]:
    """The members of an archive, in the order of its central directory; the same name may come twice.

    No two of them overlap, so that all their data together are no more than ``data``. Raises FormatError as
    :func:`normalise`, and for a name that is not in the encoding that it claims.
    """
    entries, _end = _read(data, 0, len(data))
    return tuple(_member(data, entry) for entry in sorted(entries, key=lambda entry: entry.central))


def stored_members(data: bytes) -> tuple[tuple[str, bytes], ...]:
    """Name and content of each member that is stored, in the same order; none of an archive that cannot be read."""
    try:
        found = members(data)
    except FormatError:
        return ()
    return tuple((member.name, member.data) for member in found if member.data is not None)


def _member(data: bytes, entry: _Entry) -> Member:
    method, full_size = _METHOD_AND_SIZE.unpack_from(data, entry.central + 10)
    try:
        name = _name(data, entry).decode("utf-8" if entry.flags & UTF8 else "cp437")
    except UnicodeDecodeError as exc:
        raise FormatError.at(entry.central + _CENTRAL_HEADER.size, "a name in UTF-8", "another") from exc
    if method or entry.flags & _ENCRYPTED:
        return Member(name, full_size, None)
    _sig, _flags, length, extra = _LOCAL_HEADER.unpack_from(data, entry.local)
    at = entry.local + _LOCAL_HEADER.size + length + extra
    return Member(name, entry.size, data[at : at + entry.size])


def dos_stamp(epoch: int) -> bytes:
    """DOS time and date in UTC, in even seconds, not before 1980, for seconds since 1970 that fit 32 bits."""
    moment = time.gmtime(epoch)
    if moment.tm_year < _FIRST_DOS_YEAR:
        dos_date, dos_time = 1 << 5 | 1, 0
    else:
        # The last epoch is in 2106, which DOS has.
        dos_date = (moment.tm_year - _FIRST_DOS_YEAR) << 9 | moment.tm_mon << 5 | moment.tm_mday
        dos_time = moment.tm_hour << 11 | moment.tm_min << 5 | moment.tm_sec // 2
    return struct.pack("<HH", dos_time, dos_date)


def _stamps(epoch: int) -> _Stamps:
    filetime = (epoch + _FILETIME_EPOCH) * _FILETIME_SECOND
    return _Stamps(dos_stamp(epoch), epoch.to_bytes(4, "little"), filetime.to_bytes(8, "little"))


def _time_is_checked(entry: _Entry) -> bool:
    """True when the byte that tells a wrong password is the time's: the CRC is not known when it is written."""
    return bool(entry.flags & _ENCRYPTED and entry.flags & _DESCRIPTOR)


def _read(data: bytes, start: int, end: int) -> tuple[Sequence[_Entry], int]:
    """All members by their local headers' offsets, and where the end record's comment ends.

    No two members overlap, nor does one lie before ``start`` or reach into the central directory.
    """
    record = _find_end(data, start, end)
    _sig, disk, first_disk, here, total, size, offset, comment = _END_RECORD.unpack_from(data, record)
    finish = record + _END_RECORD.size + comment
    if finish > end:
        raise FormatError.at(record + 20, f"a comment that ends at {end:#x} at the latest", f"{comment} bytes of it")
    stop = record
    wide = _find_end64(data, start, record)
    if wide is not None:
        stop = wide
        stated = (disk, first_disk, here, total, size, offset)
        disk, first_disk, here, total, size, offset = _END64_RECORD.unpack_from(data, wide)[2:]
        _compare(stated, (disk, first_disk, here, total, size, offset), record)
    if disk or first_disk or here != total:
        raise FormatError.at(record + 4, "an archive in one file", f"part {disk + 1} of one in several")
    base = stop - size - offset
    central = stop - size
    if base < 0 or central < start:
        raise FormatError.at(record, f"a central directory after {start:#x}", f"{size} bytes of it, at {offset:#x}")
    if data[max(start, central - 16) : central] == _APK_SIGNATURE:
        raise FormatError.at(
            central - 16, "no signature", "one over the whole archive (APK)", hint="normalise it before it is signed"
        )
    entries = sorted(_entries(data, central, stop, base))
    if len(entries) != total and (wide is not None or len(entries) & _FULL16 != total):
        raise FormatError.at(record + 10, f"{len(entries)} members, as in the central directory", f"{total}")
    _check_layout(data, entries, start, central)
    return entries, finish


def _find_end(data: bytes, start: int, end: int) -> int:
    """Where the end record begins: the last one, as Python's zipfile has it."""
    first = max(start, end - _END_RECORD.size - _LONGEST_COMMENT)
    found = data.rfind(_END, first, max(first, end - _END_RECORD.size + len(_END)))
    if found < 0:
        raise FormatError.at(end, "a zip archive's end record before it", "none")
    return found


def _find_end64(data: bytes, start: int, record: int) -> int | None:
    """Where the zip64 end record begins: right before its locator, as Python's zipfile has it; None: there is none."""
    locator = record - _LOCATOR_RECORD.size
    if locator < start or data[locator : locator + 4] != _LOCATOR:
        return None
    _sig, disk, _offset, disks = _LOCATOR_RECORD.unpack_from(data, locator)
    if disk or disks > 1:
        raise FormatError.at(locator, "an archive in one file", f"part {disk + 1} of {disks}")
    wide = locator - _END64_RECORD.size
    if wide < start or data[wide : wide + 4] != _END64:
        raise FormatError.at(locator, "a zip64 end record of 56 bytes before the locator", "none")
    return wide


def _compare(stated: Sequence[int], wide: Sequence[int], record: int) -> None:
    """A number of the end record must be the zip64 one's, or say that it did not fit."""
    for number, (small, large, full) in enumerate(zip(stated, wide, (_FULL16,) * 4 + (_FULL32,) * 2, strict=True)):
        if small not in (large, full):
            what = ("disk", "first disk", "members here", "members", "directory's size", "directory's offset")[number]
            raise FormatError.at(record, f"{large} as {what}, as in the zip64 end record", f"{small}")


def _entries(data: bytes, central: int, stop: int, base: int) -> Iterator[_Entry]:
    count = 0
    while central < stop:
        # A time in each of the two headers.
        limit_count(2 * count, stop, central)
        count += 1
        if data[central : central + 4] == _DIRECTORY_SIGNATURE:
            raise FormatError.at(central, "no signature", "one of the central directory")
        if central + _CENTRAL_HEADER.size > stop or data[central : central + 4] != _CENTRAL:
            found = data[central : min(central + 4, stop)].hex(" ")
            raise FormatError.at(central, "a member's central header", found)
        _sig, flags, size, full_size, name, extra, comment, disk, offset = _CENTRAL_HEADER.unpack_from(data, central)
        extra_at = central + _CENTRAL_HEADER.size + name
        following = extra_at + extra + comment
        if following > stop:
            raise FormatError.at(central, f"a central header that ends at {stop:#x} at the latest", f"{following:#x}")
        if flags & _HIDDEN:
            raise FormatError.at(central + 8, "a central directory in clear text", "an encrypted one")
        if _FULL32 in (size, full_size, offset) or disk == _FULL16:
            size, offset, disk = _wide(data, extra_at, extra, size, full_size, offset, disk)
        if disk:
            raise FormatError.at(central + 34, "a member in this file", f"one in part {disk + 1} of several")
        yield _Entry(base + offset, central, size, flags)
        central = following


def _wide(data: bytes, at: int, length: int, size: int, full_size: int, offset: int, disk: int) -> tuple[int, int, int]:
    """Packed size, offset and disk of a member, with those that did not fit taken from the zip64 extra field."""
    for kind, body, end in _extras(data, at, at + length):
        if kind != _ZIP64:
            continue
        values = []
        for value, full, width in (
            (full_size, _FULL32, 8),
            (size, _FULL32, 8),
            (offset, _FULL32, 8),
            (disk, _FULL16, 4),
        ):
            if value == full:
                if body + width > end:
                    raise FormatError.at(body, f"{width} bytes of a zip64 extra field", f"{end - body}")
                value, body = int.from_bytes(data[body : body + width], "little"), body + width
            values.append(value)
        return values[1], values[2], values[3]
    return size, offset, 0 if disk == _FULL16 else disk


def _check_layout(data: bytes, entries: Sequence[_Entry], start: int, central: int) -> None:
    """Each local header must be where the central one says, and have the bytes up to the next one for its member."""
    last = start
    for entry in entries:
        at = entry.local
        if at < last:
            raise FormatError.at(entry.central + 42, f"a member at {last:#x} or later", f"{at:#x}")
        if at + _LOCAL_HEADER.size > central or data[at : at + 4] != _LOCAL:
            raise FormatError.at(at, "a member's local header", data[at : at + 4].hex(" ") or "nothing")
        _sig, flags, name, extra = _LOCAL_HEADER.unpack_from(data, at)
        last = at + _LOCAL_HEADER.size + name + extra + entry.size
        if last > central:
            raise FormatError.at(at, f"a member that ends at {central:#x} at the latest", f"{last:#x}")
        if data[at + _LOCAL_HEADER.size : at + _LOCAL_HEADER.size + name] != _name(data, entry):
            raise FormatError.at(at + _LOCAL_HEADER.size, "the name that the central directory has", "another")
        if flags & _HIDDEN:
            raise FormatError.at(at + 6, "a local header in clear text", "one with hidden values")


def _name(data: bytes, entry: _Entry) -> bytes:
    at = entry.central + _CENTRAL_HEADER.size
    return data[at : at + int.from_bytes(data[entry.central + 28 : entry.central + 30], "little")]


def _fields(data: bytes, entries: Sequence[_Entry], stamps: _Stamps) -> Iterator[Field]:
    """The members' fields by their local headers, then in the central directory's order, which need not be theirs."""
    for entry in entries:
        _sig, _flags, name, extra = _LOCAL_HEADER.unpack_from(data, entry.local)
        at = entry.local + _LOCAL_HEADER.size + name
        yield from _header_fields(data, entry, entry.local + _LOCAL_TIME, at, at + extra, stamps)
    for entry in sorted(entries, key=lambda entry: entry.central):
        name, extra = struct.unpack_from("<HH", data, entry.central + 28)
        at = entry.central + _CENTRAL_HEADER.size + name
        yield from _header_fields(data, entry, entry.central + _CENTRAL_TIME, at, at + extra, stamps)


def _header_fields(data: bytes, entry: _Entry, time_at: int, extra: int, end: int, stamps: _Stamps) -> Iterator[Field]:
    label = _name(data, entry)[:_LONGEST_LABEL].decode("utf-8", "backslashreplace")
    if not _time_is_checked(entry):
        yield Field(label, time_at, stamps.dos)
    for kind, body, stop in _extras(data, extra, end):
        length = stop - body
        if kind == _TIMESTAMP:
            # Its flags say which of the three times there are; the central one has the first only, and those flags.
            if length % 4 != 1 or length > 13:
                raise FormatError.at(body, "an extended timestamp of 1, 5, 9 or 13 bytes", f"{length}")
            yield Field(f"{label}: extended timestamp", body + 1, stamps.unix * (length // 4))
        elif kind == _NTFS:
            yield from _ntfs_fields(data, label, body, stop, stamps)
        elif kind in (_OLD_UNIX, _PKWARE_UNIX):
            if length < 8:
                raise FormatError.at(body, "two times of 4 bytes", f"{length} bytes")
            yield Field(f"{label}: Unix times", body, 2 * stamps.unix)


def _ntfs_fields(data: bytes, label: str, body: int, end: int, stamps: _Stamps) -> Iterator[Field]:
    if end - body < 4:
        raise FormatError.at(body, "4 reserved bytes", f"{end - body}")
    for kind, at, stop in _extras(data, body + 4, end):
        if kind == 1:
            if stop - at != 24:
                raise FormatError.at(at, "three times of 8 bytes", f"{stop - at} bytes")
            yield Field(f"{label}: NTFS times", at, 3 * stamps.filetime)


def _extras(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Kind, beginning and end of each extra field; up to 3 bytes that are left over are padding, as zipalign's."""
    while end - at >= 4:
        kind, length = struct.unpack_from("<HH", data, at)
        if at + 4 + length > end:
            raise FormatError.at(at, f"an extra field that ends at {end:#x} at the latest", f"{length} bytes")
        yield kind, at + 4, at + 4 + length
        at += 4 + length
