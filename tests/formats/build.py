"""Small archives, libraries and objects, made byte by byte, and what must hold for every normaliser's outcome."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from packager.changes import Normalised
from packager.formats.errors import FormatError

EPOCH = 1735689600  # 2025-01-01 00:00:00 UTC
X64 = 0x8664

Normaliser = Callable[[bytes, int], Normalised]


def applied(data: bytes, result: Normalised) -> bytes:
    """``data`` with the reported changes and nothing else; they must be in order and apart, and change something."""
    out = bytearray(data)
    last = 0
    for change in result.changes:
        end = change.offset + len(change.before)
        assert last <= change.offset
        assert end <= len(data)
        assert len(change.before) == len(change.after)
        assert out[change.offset : end] == change.before != change.after
        out[change.offset : end] = change.after
        last = end
    return bytes(out)


def outcome(normaliser: Normaliser, data: bytes, epoch: int = EPOCH) -> Normalised | None:
    """What a normaliser makes of ``data``: only reported bytes change, twice changes nothing more. None: refused."""
    try:
        result = normaliser(data, epoch)
    except FormatError as exc:
        assert exc.message.startswith("offset 0x"), exc.message
        return None
    assert applied(data, result) == result.data
    assert bool(result.changes) == (result.data is not data)
    again = normaliser(result.data, epoch)
    assert again.changes == ()
    assert again.data is result.data
    return result


def changes(result: Normalised) -> list[tuple[str, int, bytes, bytes]]:
    """Its changes as plain tuples."""
    return [(change.field, change.offset, change.before, change.after) for change in result.changes]


# ar and COFF


def ar_member(
    name: str,
    content: bytes,
    *,
    date: str = "1600000000",
    user: str = "1000",
    group: str = "100",
    mode: str = "100640",
    size: int | None = None,
) -> bytes:
    """A member with its header and padding; ``size`` is what the header says, if not the truth."""
    stated = len(content) if size is None else size
    header = f"{name:16}{date:12}{user:6}{group:6}{mode:8}{stated:<10}`\n".encode("ascii")
    return header + content + b"\n" * (len(content) % 2)


def coff_object(*, stamp: int = 0x11111111, machine: int = X64, sections: int = 1, symbols: int = 2) -> bytes:
    """An object with empty sections and as many zero symbols."""
    end = 20 + 40 * sections
    header = struct.pack("<HHIIIHH", machine, sections, stamp, end if symbols else 0, symbols, 0, 0)
    return header + bytes(40 * sections) + bytes(18 * symbols)


def big_object(*, stamp: int = 0x11111111, sections: int = 1, symbols: int = 2) -> bytes:
    """As :func:`coff_object`, of the kind that ``/bigobj`` makes."""
    end = 56 + 40 * sections
    class_id = bytes.fromhex("c7a1bad1eebaa94baf20faf66aa4dcb8")
    header = struct.pack(
        "<HHHHI16sIIIIIII", 0, 0xFFFF, 2, X64, stamp, class_id, 0, 0, 0, 0, sections, end if symbols else 0, symbols
    )
    return header + bytes(40 * sections) + bytes(20 * symbols)


def short_import(*, stamp: int = 0x11111111, strings: bytes = b"name\0a.dll\0", length: int | None = None) -> bytes:
    """What stands in an import library for one imported name."""
    size = len(strings) if length is None else length
    return struct.pack("<HHHHIIHH", 0, 0xFFFF, 0, X64, stamp, size, 0, 4) + strings


# zip


@dataclass(frozen=True)
class Packed:
    """One member of a zip: stored, with the bytes of its extra fields as they are to be."""

    name: str = "a.txt"
    content: bytes = b"content"
    time: int = 0x6B3A
    date: int = 0x4D21
    flags: int = 0
    local_extra: bytes = b""
    central_extra: bytes = b""
    wide: bool = False
    """Sizes and offset in a zip64 extra field of the central header."""


def extra(kind: int, body: bytes) -> bytes:
    """An extra field."""
    return struct.pack("<HH", kind, len(body)) + body


def zip_file(
    members: Sequence[Packed],
    *,
    prefix: bytes = b"",
    counted_from: int = 0,
    zip64: bool = False,
    comment: bytes = b"",
    before_directory: bytes = b"",
    after_directory: bytes = b"",
) -> bytes:
    """A zip with ``prefix`` before it; its offsets are counted from ``counted_from``."""
    out = bytearray(prefix)
    directory = bytearray()
    for member in members:
        name, content = member.name.encode(), member.content
        crc, size = zlib.crc32(content), len(content)
        offset = len(out) - counted_from
        common = struct.pack("<HHHH", member.flags, 0, member.time, member.date)
        lengths = struct.pack("<HH", len(name), len(member.local_extra))
        out += b"PK\x03\x04" + struct.pack("<H", 20) + common + struct.pack("<III", crc, size, size) + lengths
        out += name + member.local_extra + content
        central_extra, sizes = member.central_extra, (size, size, offset)
        if member.wide:
            central_extra = extra(1, struct.pack("<QQQ", size, size, offset)) + central_extra
            sizes = (0xFFFFFFFF,) * 3
        directory += b"PK\x01\x02" + struct.pack("<HH", 20, 20) + common + struct.pack("<III", crc, *sizes[:2])
        directory += struct.pack("<HHHHHII", len(name), len(central_extra), 0, 0, 0, 0, sizes[2])
        directory += name + central_extra
    out += before_directory
    offset, size, count = len(out) - counted_from, len(directory), len(members)
    out += directory + after_directory
    if zip64:
        wide_at = len(out) - counted_from
        out += b"PK\x06\x06" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, count, count, size, offset)
        out += b"PK\x06\x07" + struct.pack("<IQI", 0, wide_at, 1)
        count, size, offset = 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF
    out += b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, count, count, size, offset, len(comment)) + comment
    return bytes(out)


# gzip


def gzip_member(
    content: bytes = b"content",
    *,
    mtime: int = 0x11111111,
    fields: bytes | None = None,
    name: bytes | None = None,
    remark: bytes | None = None,
    header_crc: bool = False,
) -> bytes:
    """A member with the optional parts that are given."""
    flags = 2 * header_crc | 4 * (fields is not None) | 8 * (name is not None) | 16 * (remark is not None)
    header = b"\x1f\x8b\x08" + struct.pack("<BIBB", flags, mtime, 0, 3)
    if fields is not None:
        header += struct.pack("<H", len(fields)) + fields
    header += b"".join(text + b"\0" for text in (name, remark) if text is not None)
    if header_crc:
        header += struct.pack("<H", zlib.crc32(header) & 0xFFFF)
    engine = zlib.compressobj(wbits=-15)
    packed = engine.compress(content) + engine.flush()
    return header + packed + struct.pack("<II", zlib.crc32(content), len(content) & 0xFFFFFFFF)
