#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a small copy of an icon file: its 16, 32 and 48 pixel images in full colour.

``small_icon.py INPUT OUTPUT``.  Every extension module carries an icon; CPython's own, with all sizes and depths, is
80 kB each.  The ICO format: 6 bytes (0, 1, count), then 16 bytes per image (width, height, colours, 0, planes, bits,
size, offset), then the images.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterable
from pathlib import Path

#: Widths in pixels that Explorer shows in its usual views.
WIDTHS = (16, 32, 48)
_HEADER = struct.Struct("<HHH")
_ENTRY = struct.Struct("<BBBBHHII")


def small_icon(data: bytes) -> bytes:
    """An icon file with only the 32-bit images of WIDTHS; raises ValueError if ``data`` is none or has none."""
    if len(data) < _HEADER.size or data[:4] != b"\0\0\1\0":
        raise ValueError("expected an icon file")
    count = _HEADER.unpack_from(data)[2]
    entries = [_ENTRY.unpack_from(data, _HEADER.size + index * _ENTRY.size) for index in range(count)]
    chosen = [entry for entry in entries if entry[0] in WIDTHS and entry[5] == 32]
    if not chosen:
        raise ValueError(f"expected 32-bit images of {WIDTHS} pixels, found none")
    offset = _HEADER.size + len(chosen) * _ENTRY.size
    table, images = bytearray(), bytearray()
    for *shape, size, start in chosen:
        table += _ENTRY.pack(*shape, size, offset + len(images))
        images += data[start : start + size]
    return _HEADER.pack(0, 1, len(chosen)) + bytes(table) + bytes(images)


def main(arguments: Iterable[str]) -> int:
    """Write the small icon."""
    source, output = arguments
    Path(output).write_bytes(small_icon(Path(source).read_bytes()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
