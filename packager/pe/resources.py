"""The resources in a PE file: versions, manifests, icons, by type, name and language; the walk is bounded."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from packager.errors import PEError
from packager.pe.layout import Directory, Layout

MANIFEST = 24

_NODE = 16
_ENTRY = struct.Struct("<II")
_SUBDIRECTORY = 0x80000000


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource. Types and names are numbers or texts; ``rva`` and ``size`` (bytes) say where its data are."""

    type: int | str
    name: int | str
    language: int
    rva: int
    size: int

    def read(self, data: bytes, layout: Layout) -> bytes:
        """Its bytes in ``data``; PEError when not all of them are stored there."""
        start = layout.offset(self.rva, self.size, f"resource {self.type}/{self.name}")
        return data[start : start + self.size]


def resources(data: bytes, layout: Layout, wanted: int | None = None) -> Iterator[Resource]:
    """The resources of the type number ``wanted``, or all of them, in the file's order.

    The tree has three levels, type, name and language, as the loader expects. What is not so raises PEError, as does
    what is not in the file, and directories that together would take more bytes than the file has.
    """
    directory = layout.directory(Directory.RESOURCE)
    if directory is None or directory.rva == 0:
        return
    reader = _Reader(data, layout, directory.rva, layout.size // _ENTRY.size)
    for kind, names in reader.entries(0):
        if wanted is not None and kind != wanted:
            continue
        for name, languages in reader.entries(_folder(names, "type")):
            for language, leaf in reader.entries(_folder(languages, "name")):
                if leaf & _SUBDIRECTORY or not isinstance(language, int):
                    raise PEError(f"resource {kind}/{name}: expected data below its language, found a directory")
                rva, size = _ENTRY.unpack(layout.read(data, reader.root + leaf, _ENTRY.size, "resource data entry"))
                yield Resource(kind, name, language, rva, size)


def _folder(offset: int, level: str) -> int:
    if not offset & _SUBDIRECTORY:
        raise PEError(f"resources: expected a directory below a {level}, found data")
    return offset & ~_SUBDIRECTORY


@dataclass(slots=True)
class _Reader:
    """Reads directories at offsets from the RVA ``root``; ``room`` is how many entries there can still be."""

    data: bytes
    layout: Layout
    root: int
    room: int

    def entries(self, at: int) -> Iterator[tuple[int | str, int]]:
        """(number or text, target) of each entry of a directory."""
        what = "resource directory"
        head = self.layout.read(self.data, self.root + at, _NODE, what)
        named, numbered = struct.unpack_from("<HH", head, 12)
        self.room -= named + numbered
        if self.room < 0:
            raise PEError(f"{what} at RVA {self.root + at:#x}: expected fewer entries, found overlapping ones")
        size = (named + numbered) * _ENTRY.size
        for key, target in _ENTRY.iter_unpack(self.layout.read(self.data, self.root + at + _NODE, size, what)):
            yield (self._text(key & ~_SUBDIRECTORY) if key & _SUBDIRECTORY else key), target

    def _text(self, at: int) -> str:
        (length,) = struct.unpack("<H", self.layout.read(self.data, self.root + at, 2, "resource's name"))
        text = self.layout.read(self.data, self.root + at + 2, 2 * length, "resource's name")
        return text.decode("utf-16-le", "backslashreplace")
