"""Files compressed by gzip: RFC 1952."""

from __future__ import annotations

import re
import struct
import zlib
from array import array
from collections.abc import Iterator, Sequence

from packager.changes import Normalised
from packager.formats.errors import FormatError
from packager.formats.fields import Field, limit_count, patch

MAGIC = b"\x1f\x8b"

_HEADER = struct.Struct("<2sBBIBB")
_HEADER_CRC, _EXTRA, _NAME, _COMMENT = 0x02, 0x04, 0x08, 0x10
_ZEROS = re.compile(rb"\0*")
#: zlib's number for: a gzip header, a window of 32 KiB.
_GZIP_WINDOW = 31
_LEAST_INPUT, _MOST_INPUT, _MOST_OUTPUT = 1 << 8, 1 << 16, 1 << 20
#: More than this unpacked, in bytes, or as many times the file's size, is a bomb: minutes of work for nothing.
_MOST_UNPACKED, _MOST_RATIO = 256 << 20, 64


def normalise(data: bytes, epoch: int) -> Normalised:
    """Normalise every member of a gzip file, in place.

    Written are a member's MTIME (+4, 4 bytes), to zero, which says that no time is known (so ``epoch`` has no part in
    it), and the CRC of its header, where it has one. Names, comments, extra fields and what follows the last member
    stay. Each member is unpacked, in small pieces that are thrown away, to find its end: a member that is cut off or
    does not match its CRC raises FormatError, as does a file that would unpack to 64 times its size and over 256 MiB.
    """
    starts, end = _members(data)
    notes = (f"{len(data) - end} bytes after the compressed data stay",) if end < len(data) else ()
    return patch(data, _fields(data, starts), notes)


def _members(data: bytes) -> tuple[Sequence[int], int]:
    """Where each member begins, and where the last one ends; between two there may be zero bytes, as Python has it."""
    starts = array("Q")
    at = end = 0
    room = max(_MOST_UNPACKED, _MOST_RATIO * len(data))
    while not starts or data[at : at + len(MAGIC)] == MAGIC:
        limit_count(len(starts), len(data), at)
        starts.append(at)
        end, unpacked = _member_end(data, at, room)
        room -= unpacked
        at = end
        zeros = _ZEROS.match(data, at)
        at = zeros.end() if zeros else at
    return starts, end


def _member_end(data: bytes, start: int, room: int) -> tuple[int, int]:
    """Where the member at ``start`` ends, and how many bytes it unpacks to, at most ``room``."""
    if data[start : start + 2] != MAGIC:
        raise FormatError.at(start, f"{MAGIC.hex(' ')}, the beginning of a gzip member", data[:2].hex(" ") or "nothing")
    view = memoryview(data)
    engine = zlib.decompressobj(wbits=_GZIP_WINDOW)
    at, most, unpacked = start, _LEAST_INPUT, 0
    while not engine.eof:
        chunk = view[at : at + most]
        if not chunk:
            raise FormatError.at(start, "a whole gzip member", f"the end of the file at {len(data):#x}")
        try:
            unpacked += len(engine.decompress(chunk, _MOST_OUTPUT))
        except zlib.error as exc:
            raise FormatError.at(start, "a gzip member that can be unpacked", str(exc)) from exc
        if unpacked > room:
            raise FormatError.at(start, f"at most {room} bytes when unpacked", "more: a gzip bomb")
        at += len(chunk) - len(engine.unconsumed_tail) - len(engine.unused_data)
        # Small at first: what is left of a piece is copied, which adds up where there are many small members.
        most = min(2 * most, _MOST_INPUT)
    return at, unpacked


def _fields(data: bytes, starts: Sequence[int]) -> Iterator[Field]:
    for start in starts:
        yield Field("MTIME", start + 4, bytes(4))
        if data[start + 3] & _HEADER_CRC:
            at = _header_end(data, start)
            crc = zlib.crc32(memoryview(data)[start + 8 : at], zlib.crc32(data[start : start + 4] + bytes(4)))
            yield Field("header CRC", at, (crc & 0xFFFF).to_bytes(2, "little"))


def _header_end(data: bytes, start: int) -> int:
    """Where a header's CRC stands; zlib has read this header, so all of it is there."""
    flags = data[start + 3]
    at = start + _HEADER.size
    if flags & _EXTRA:
        at += 2 + int.from_bytes(data[at : at + 2], "little")
    for text in (_NAME, _COMMENT):
        if flags & text:
            at = data.index(0, at) + 1
    return at
