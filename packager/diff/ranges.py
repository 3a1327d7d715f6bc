"""Where two runs of bytes of one length differ, found without a step per byte."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from mmap import mmap

#: Fewer equal bytes than this between two different ones do not end a range.
GAP = 8

Range = tuple[int, int]

#: Compared as a whole first, taken apart only where it differs.
_CHUNK = 1 << 16
_EQUAL = re.compile(rb"\0{%d,}" % GAP)
_DIFFERENT = re.compile(rb"[^\0]+")
#: Enough to be sure that all numbers differ by the same, and few enough to be looked at one by one.
_MOST_RUNS = 4096
_FEWEST = 3
_FEWEST_IN_CODE = 8
_ADDRESS = 4


def ranges(a: bytes | mmap, b: bytes | mmap, gap: int = GAP) -> Iterator[Range]:
    """The ranges (start, end) in which ``a`` and ``b`` differ, ascending; both must have the same length.

    Ranges with fewer than ``gap`` equal bytes between them are one.
    """
    pattern = _EQUAL if gap == GAP else re.compile(rb"\0{%d,}" % gap)
    held: Range | None = None
    for start, end in _pieces(a, b, pattern):
        if held is None:
            held = (start, end)
        elif start - held[1] < gap:
            held = (held[0], end)
        else:
            yield held
            held = (start, end)
    if held is not None:
        yield held


def _pieces(a: bytes | mmap, b: bytes | mmap, equal: re.Pattern[bytes]) -> Iterator[Range]:
    """As :func:`ranges`, but a range may be cut in two where one chunk ends."""
    for base in range(0, len(a), _CHUNK):
        left, right = a[base : base + _CHUNK], b[base : base + _CHUNK]
        if left == right:
            continue
        mask = _xor(left, right)
        at = 0
        while at < len(mask):
            match = equal.search(mask, at)
            stop = len(mask) if match is None else match.start()
            # At the ends of a chunk there may be zeros, fewer than make a gap.
            piece = mask[at:stop].lstrip(b"\0")
            if piece:
                yield base + stop - len(piece), base + at + len(mask[at:stop].rstrip(b"\0"))
            at = len(mask) if match is None else match.end()


def _xor(a: bytes, b: bytes) -> bytes:
    """Zero where the bytes are the same."""
    return (int.from_bytes(a, "little") ^ int.from_bytes(b, "little")).to_bytes(len(a), "little")


def shift(a: bytes, b: bytes, found: Sequence[Range]) -> int | None:
    """The one number that all differing numbers in a table of addresses are larger by in ``b``.

    ``found`` is what :func:`ranges` gives for them. Tried are little-endian numbers of 32 and of 64 bits, at multiples
    of their size. None when there is no such number, or when fewer than three numbers differ.
    """
    tables = (_aligned_shift(a, b, found, width) for width in (4, 8))
    return next((delta for delta in tables if delta is not None), None)


def _aligned_shift(a: bytes, b: bytes, found: Sequence[Range], width: int) -> int | None:
    """For tables of addresses: every number begins at a multiple of its ``width``."""
    delta: int | None = None
    seen, mask = 0, (1 << 8 * width) - 1
    for start, end in found:
        start, end = start & -width, (end + width - 1) & -width
        if end > len(a):
            return None
        if seen > _MOST_RUNS:
            break
        words = struct.Struct(f"<{min((end - start) // width, _MOST_RUNS)}{'I' if width == 4 else 'Q'}")
        for x, y in zip(words.unpack_from(a, start), words.unpack_from(b, start), strict=True):
            if x == y:
                continue
            if delta is None:
                delta = (y - x) & mask
            elif delta != (y - x) & mask:
                return None
            seen += 1
    return _signed(delta, width) if delta is not None and seen >= _FEWEST else None


def shifted_code(a: bytes, b: bytes, found: Sequence[Range]) -> bool:
    """True when one number is added to all that differ, as where addresses in machine code have moved.

    Each run of differing bytes lies in a number of 32 bits that begins up to 3 bytes before it; which byte is the
    lowest cannot be seen, so the number itself is not told.
    """
    possible: set[int] | None = None
    seen = 0
    for start, end in found:
        low, high = max(0, start - 3), min(len(a), end + 3)
        left, right = a[low:high], b[low:high]
        for run in _DIFFERENT.finditer(_xor(left, right)):
            if run.end() - run.start() > _ADDRESS:
                return False
            deltas = set()
            for at in range(max(0, run.end() - _ADDRESS), min(run.start(), len(left) - _ADDRESS) + 1):
                x, y = (int.from_bytes(side[at : at + _ADDRESS], "little") for side in (left, right))
                deltas.add((y - x) & 0xFFFFFFFF)
            possible = deltas if possible is None else possible & deltas
            if not possible:
                return False
            seen += 1
            if seen > _MOST_RUNS:
                return True
    return seen >= _FEWEST_IN_CODE


def _signed(value: int, width: int) -> int:
    return value - (1 << 8 * width) if value >> (8 * width - 1) else value
