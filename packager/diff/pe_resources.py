"""The leaves of a PE image's resource tree as facts: type, name and language, and the bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from packager.diff.pe_facts import Fact
from packager.errors import PEError
from packager.pe.layout import Directory, Layout

_NODE = 16
_ENTRY = struct.Struct("<II")
_LEAF = struct.Struct("<IIII")
#: A subdirectory's offset, or a name's, and not a leaf's or a number.
_HIGH = 0x80000000
#: Type, name, language: deeper trees are not Windows'.
_LEVELS = 3
_MOST = 0x10000
#: RT_* of winuser.h.
_TYPES = {
    1: "CURSOR", 2: "BITMAP", 3: "ICON", 4: "MENU", 5: "DIALOG", 6: "STRING", 7: "FONTDIR", 8: "FONT",
    9: "ACCELERATOR", 10: "RCDATA", 11: "MESSAGETABLE", 12: "GROUP_CURSOR", 14: "GROUP_ICON", 16: "VERSION",
    17: "DLGINCLUDE", 19: "PLUGPLAY", 20: "VXD", 21: "ANICURSOR", 22: "ANIICON", 23: "HTML", 24: "MANIFEST",
}  # fmt: skip


def resource_facts(data: bytes, layout: Layout) -> Iterator[Fact]:
    """A fact for each leaf, named ``resource VERSION/1/1033``.

    Raises PEError when the tree does not lie in the image, has loops or too many leaves, or leaves that overlap.
    """
    directory = layout.directory(Directory.RESOURCE)
    if directory is None or directory.rva == 0:
        return
    room = count = 0
    waiting: list[tuple[int, tuple[str, ...]]] = [(0, ())]
    while waiting:
        at, path = waiting.pop()
        node = layout.offset(directory.rva + at, _NODE, "resource directory")
        named, numbered = struct.unpack_from("<HH", data, node + 12)
        layout.offset(directory.rva + at, _NODE + (named + numbered) * _ENTRY.size, "resource directory")
        for index in range(named + numbered):
            count += 1
            if count > _MOST:
                raise PEError(f"resource directory at offset {node:#x}: expected {_MOST} entries at most, found more")
            name, target = _ENTRY.unpack_from(data, node + _NODE + index * _ENTRY.size)
            inner = (*path, _name(data, layout, directory.rva, name, len(path)))
            if target & _HIGH:
                if len(inner) >= _LEVELS:
                    raise PEError(f"resource directory at offset {node:#x}: expected {_LEVELS} levels, found more")
                waiting.append((target & ~_HIGH, inner))
                continue
            leaf = layout.offset(directory.rva + target, _LEAF.size, "resource's entry")
            rva, size, _code_page, _reserved = _LEAF.unpack_from(data, leaf)
            room += size
            if room > 2 * layout.size:
                raise PEError(f"resource at offset {leaf:#x}: expected resources that fit the file, found an overlap")
            offset = layout.offset(rva, size, "resource")
            yield Fact(f"resource {'/'.join(inner)}", data[offset : offset + size], "blob", offset, size)


def _name(data: bytes, layout: Layout, root: int, name: int, level: int) -> str:
    """A name, in UTF-16 with its length before it, or a number: that of a known type by its name."""
    if not name & _HIGH:
        return _TYPES.get(name, str(name)) if level == 0 else str(name)
    at = layout.offset(root + (name & ~_HIGH), 2, "resource's name")
    (length,) = struct.unpack_from("<H", data, at)
    start = layout.offset(root + (name & ~_HIGH) + 2, 2 * length, "resource's name")
    return data[start : start + 2 * length].decode("utf-16-le", "backslashreplace")
