"""What differs between two archives whose members are all the same: how they were put in, or compressed."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import zstandard

from packager.contents import tar_stream
from packager.diff import show
from packager.diff.binary import compare_bytes, gzip_header
from packager.diff.model import Difference
from packager.diff.ranges import ranges

_BLOCK = 512
_CHUNK = 1 << 20
_USTAR = slice(257, 265)
_FORMATS = {b"ustar\x0000": "POSIX", b"ustar  \x00": "GNU"}
#: A tar header's fields by the offset at which they end (POSIX.1-2017, pax, "ustar Interchange Format").
_TAR_FIELDS = (
    (100, "name"), (108, "mode"), (116, "user"), (124, "group"), (136, "size"), (148, "mtime"), (156, "checksum"),
    (157, "type"), (257, "link target"), (265, "format"), (297, "owner's name"), (329, "group's name"),
    (337, "device"), (345, "device"), (500, "prefix"), (512, "padding"),
)  # fmt: skip
_LOCAL = struct.Struct("<4s5H3L2H")
_LOCAL_FIELDS = ("signature", "version needed", "flags", "compression", "time", "date", "CRC", "", "size", "", "")


def compare_containers(path: str, form: str, a: Path, b: Path) -> list[Difference]:
    """The differences of two archives of one form and with the same members, whose bytes differ; never empty.

    Raises ArchiveError when one of them is broken.
    """
    found = list(_zip(path, a, b) if form == "zip" else _tar(path, form, a, b))
    return found or [compare_bytes(path, a.read_bytes(), b.read_bytes(), "the members are the same")]


def _tar(path: str, form: str, a: Path, b: Path) -> Iterator[Difference]:
    with tar_stream(a, form) as first, tar_stream(b, form) as second:
        found = _first_block(first, second)
    if found is not None:
        yield _tar_difference(path, *found)
    elif form != "tar":
        yield from _compression(path, form, a, b)


def _first_block(a: BinaryIO, b: BinaryIO) -> tuple[int, bytes, bytes] | None:
    """The first block that differs: its offset and both its contents."""
    base = 0
    while True:
        left, right = a.read(_CHUNK), b.read(_CHUNK)
        if left != right:
            at = base + show.common_prefix(left, right) // _BLOCK * _BLOCK
            return at, left[at - base : at - base + _BLOCK], right[at - base : at - base + _BLOCK]
        if not left:
            return None
        base += len(left)


def _tar_difference(path: str, at: int, a: bytes, b: bytes) -> Difference:
    if len(a) != len(b):
        longer = "A" if len(a) > len(b) else "B"
        return Difference(path, f"more blocks behind the last member in {longer}", offset=at)
    if not a[_USTAR].startswith(b"ustar") or not b[_USTAR].startswith(b"ustar"):
        start, end = next(ranges(a, b))
        left, right = (show.hexadecimal(side[start:end]) for side in (a, b))
        return Difference(path, "tar records or padding", left, right, "the members are the same", at + start)
    fields = dict.fromkeys(
        next(name for stop, name in _TAR_FIELDS if start < stop)
        for begin, end in ranges(a, b, 1)
        for start in range(begin, end)
    )
    # It sums up the others.
    fields.pop("checksum", None)
    name = show.printable(a[:100].partition(b"\0")[0].decode("utf-8", "backslashreplace"))
    if "format" in fields:
        formats = [_FORMATS.get(side[_USTAR], repr(side[_USTAR])) for side in (a, b)]
        return Difference(path, "tar format", formats[0], formats[1], f"first in the header of {name}", at)
    return Difference(path, f"tar headers differ in {', '.join(fields)}", detail=f"first in that of {name}", offset=at)


def _compression(path: str, form: str, a: Path, b: Path) -> Iterator[Difference]:
    """The tars are the same byte for byte: what the compressed file says of itself, else only its bytes."""
    heads = []
    for file in (a, b):
        with file.open("rb") as stream:
            heads.append(stream.read(4096))
    if form == "tar.gz":
        yield from gzip_header(path, heads[0], heads[1])
    elif form == "tar.zst":
        yield from _frames(path, heads[0], heads[1])
    sizes = [show.count(file.stat().st_size, "byte") for file in (a, b)]
    detail = "the tars are the same: another level or version of the compressor"
    if sizes[0] != sizes[1]:
        detail += f"; {sizes[0]} ≠ {sizes[1]}"
    yield Difference(path, "only the compressed bytes differ", detail=detail)


def _frames(path: str, a: bytes, b: bytes) -> Iterator[Difference]:
    """What the headers of zstd's first frames say; nothing where a file begins with a frame that is to be skipped."""
    try:
        first, second = (zstandard.get_frame_parameters(head) for head in (a, b))
    except zstandard.ZstdError:
        return
    for what, field in (("window", "window_size"), ("content size", "content_size"), ("checksum", "has_checksum")):
        left, right = (_shown(getattr(frame, field)) for frame in (first, second))
        if left != right:
            yield Difference(path, f"zstd frame's {what}", left, right, "the tars are the same", 4)


def _shown(value: object) -> str:
    """A frame's parameter; zstandard has 2**64 - 1 for a size that is not stored."""
    return (
        {True: "yes", False: "no"}[value] if isinstance(value, bool) else "none" if value == 2**64 - 1 else str(value)
    )


def _zip(path: str, a: Path, b: Path) -> Iterator[Difference]:
    """Local headers, which repeat the central directory's entries and can say something else; compressed bytes."""
    packed: list[str] = []
    with zipfile.ZipFile(a) as first, zipfile.ZipFile(b) as second, a.open("rb") as left, b.open("rb") as right:
        infos = list(zip(first.infolist(), second.infolist(), strict=False))
        for info, other in infos:
            inner = f"{path}!/{info.filename}" if path else info.filename
            mine, name, extra = _local(left, info)
            theirs, other_name, other_extra = _local(right, other)
            for what, x, y in zip(_LOCAL_FIELDS, mine, theirs, strict=True):
                if what and x != y:
                    yield Difference(inner, f"zip local header's {what}", str(x), str(y), offset=info.header_offset)
            if (name, extra) != (other_name, other_extra):
                what = "zip local header's " + ("extra field" if name == other_name else "name")
                shown = [
                    (side.hex(" ") or None)
                    for side in ((extra, other_extra) if name == other_name else (name, other_name))
                ]
                yield Difference(inner, what, shown[0], shown[1], offset=info.header_offset)
            if left.read(info.compress_size) != right.read(other.compress_size):
                packed.append(info.filename)
    if packed:
        members = f"of {len(packed)} of {show.count(len(infos), 'member')}, first {show.printable(packed[0])}"
        detail = f"{members}: another level or version of the compressor"
        yield Difference(path, "only the compressed bytes differ", detail=detail)


def _local(file: BinaryIO, info: zipfile.ZipInfo) -> tuple[tuple[object, ...], bytes, bytes]:
    """A local header's fields, name and extra field; ``file`` is left where the member's data begins."""
    file.seek(info.header_offset)
    fields = _LOCAL.unpack(file.read(_LOCAL.size).ljust(_LOCAL.size, b"\0"))
    return fields, file.read(fields[9]), file.read(fields[10])
