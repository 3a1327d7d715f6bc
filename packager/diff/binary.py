"""What differs between two files of bytes that no reader here knows the meaning of, and gzip's header."""

from __future__ import annotations

import gzip
import io
import itertools
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from mmap import mmap

from packager.diff import show
from packager.diff.hints import hint, new_texts, text_hint
from packager.diff.model import Difference
from packager.diff.ranges import Range, ranges

#: Ranges that are counted; hints are made of the first of them.
MOST_RANGES = 1_000_000
_HINTED = 4096
#: What a gzip file may unpack to, to be compared.
_MOST_UNPACKED = 1 << 28

_GZIP = b"\x1f\x8b\x08"
_SYSTEMS = {0: "FAT", 3: "Unix", 7: "Macintosh", 10: "NTFS", 255: "unknown"}


@dataclass(frozen=True, slots=True)
class Span:
    """In how many ranges two runs of bytes differ, and the first ones."""

    count: int
    first: tuple[Range, ...]

    def __str__(self) -> str:
        more = "or more " if self.count >= MOST_RANGES else ""
        return f"differs in {more}{show.count(self.count, 'range')}"


def spans(a: bytes | mmap, b: bytes | mmap) -> Span:
    """Where ``a`` and ``b``, of one length, differ."""
    found = itertools.islice(ranges(a, b), MOST_RANGES)
    first = tuple(itertools.islice(found, _HINTED))
    return Span(len(first) + sum(1 for _ in found), first)


def compare_bytes(path: str, a: bytes | mmap, b: bytes | mmap, detail: str = "") -> Difference:
    """The difference of two files that are not the same: their sizes, ranges, and the first differing bytes.

    ``detail`` says why nothing better is known.
    """
    if len(a) == len(b):
        found = spans(a, b)
        start, end = found.first[0]
        what = f"{found}, first at {start:#x}"
        told = hint(a, b, found.first) if isinstance(a, bytes) and isinstance(b, bytes) else ""
        left, right = _ends(a, b, start, end)
        explained = told or f"{left} ≠ {right}"
        return Difference(path, what, detail="; ".join(filter(None, (explained, detail))), offset=start)
    low = min(len(a), len(b))
    at = next((start for start, _end in _prefixes(a, b, low)), low)
    sizes = show.count(len(a), "byte"), show.count(len(b), "byte")
    if at == low:
        longer = "A" if len(a) > len(b) else "B"
        told = f"{longer} has {show.count(abs(len(a) - len(b)), 'byte')} more at the end"
    else:
        told = ""
        if isinstance(a, bytes) and isinstance(b, bytes):
            told = text_hint(a, b, at) or new_texts(a, b)
        left, right = _ends(a, b, at, at + 8)
        told = f"first at {at:#x}: {told or f'{left} ≠ {right}'}"
    return Difference(path, "size", *sizes, "; ".join(filter(None, (told, detail))), at)


def _prefixes(a: bytes | mmap, b: bytes | mmap, length: int) -> Iterator[Range]:
    """The ranges in the first ``length`` bytes, piece by piece: the longer file is not copied as a whole."""
    step = 1 << 20
    for base in range(0, length, step):
        end = min(base + step, length)
        for start, stop in ranges(a[base:end], b[base:end]):
            yield base + start, base + stop


def _ends(a: bytes | mmap, b: bytes | mmap, start: int, end: int) -> tuple[str, str]:
    return show.hexadecimal(a[start : min(end, start + 9)]), show.hexadecimal(b[start : min(end, start + 9)])


def is_gzip(data: bytes) -> bool:
    """True when ``data`` begins as a gzip file."""
    return data.startswith(_GZIP) and len(data) >= 18


def gzip_header(path: str, a: bytes, b: bytes) -> list[Difference]:
    """The differences of two gzip files' headers (RFC 1952, 2.3): time, file name, level, system."""
    found = []
    times = [int.from_bytes(side[4:8], "little") for side in (a, b)]
    if times[0] != times[1]:
        found.append(Difference(path, "gzip mtime", *show.stamps(times[0], times[1]), offset=4))
    for what, first, second, offset in (
        ("gzip flags", f"{a[3]:#04x}", f"{b[3]:#04x}", 3),
        ("gzip level mark", str(a[8]), str(b[8]), 8),
        ("gzip system", _SYSTEMS.get(a[9], str(a[9])), _SYSTEMS.get(b[9], str(b[9])), 9),
        ("gzip file name", _gzip_name(a), _gzip_name(b), 10),
    ):
        if first != second:
            found.append(Difference(path, what, first, second, offset=offset))
    return found


def _gzip_name(data: bytes) -> str | None:
    """The original file's name in the header, where there is one."""
    at = 10
    if data[3] & 4:
        at += 2 + int.from_bytes(data[10:12], "little")
    return show.quoted(data[at : at + 1024].partition(b"\0")[0].decode("latin-1")) if data[3] & 8 else None


def gunzipped(data: bytes) -> bytes | None:
    """What a gzip file holds; None when it is broken, or too much to be compared in memory."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            content = file.read(_MOST_UNPACKED + 1)
    except (OSError, EOFError, zlib.error):
        return None
    return content if len(content) <= _MOST_UNPACKED else None
