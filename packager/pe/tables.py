"""The import, delay-import and debug tables' entries, walked as Windows' loader walks them, within bounds."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from packager.errors import PEError
from packager.pe.layout import Directory, Layout

#: Entries that a table may have: more than ten times what real files have, and few enough to be read in no time.
MOST_ENTRIES = 0x2000
_CHUNK = 256

_IMPORT = struct.Struct("<IIIII")
_DELAY = struct.Struct("<IIIIIIII")
_DEBUG = struct.Struct("<IIHHIIII")


@dataclass(frozen=True, slots=True)
class ImportDescriptor:
    """One imported DLL: the descriptor's file offset, and the RVAs of its name and of its look-up and address tables.

    ``lookup_table`` is 0 where a linker left it out; the address table has the names then.
    """

    offset: int
    lookup_table: int
    stamp: int
    name: int
    address_table: int


@dataclass(frozen=True, slots=True)
class DelayDescriptor:
    """One delay-loaded DLL; as above. Old files have addresses instead of RVAs (``by_rva`` is False).

    They are converted here, but those in the look-up table are not.
    """

    offset: int
    name: int
    lookup_table: int
    bound_table: int
    stamp: int
    by_rva: bool


@dataclass(frozen=True, slots=True)
class DebugEntry:
    """One debug entry: its file offset, IMAGE_DEBUG_TYPE_*, and the size, RVA and file offset of its data."""

    offset: int
    kind: int
    size: int
    rva: int
    pointer: int


def import_descriptors(data: bytes, layout: Layout) -> Iterator[ImportDescriptor]:
    """The import descriptors up to the first without a name or an address table, where the loader stops too."""
    directory = layout.directory(Directory.IMPORT)
    if directory is None or directory.rva == 0:
        return
    for offset, values in _records(data, layout, directory.rva, _IMPORT, "import table"):
        lookup_table, stamp, _chain, name, address_table = values
        if not name or not address_table:
            return
        yield ImportDescriptor(offset, lookup_table, stamp, name, address_table)


def delay_descriptors(data: bytes, layout: Layout) -> Iterator[DelayDescriptor]:
    """The delay-import descriptors up to the first without a name."""
    directory = layout.directory(Directory.DELAY_IMPORT)
    if directory is None or directory.rva == 0:
        return
    for offset, values in _records(data, layout, directory.rva, _DELAY, "delay-import table"):
        attributes, name, _handle, _addresses, lookup_table, bound_table, _unload, stamp = values
        if not name:
            return
        # Bit 0 set: RVAs. Clear: addresses, as Visual C++ 6 wrote them.
        base = 0 if attributes & 1 else layout.image_base
        bound_table -= base if bound_table else 0
        yield DelayDescriptor(offset, name - base, lookup_table - base, bound_table, stamp, base == 0)


def debug_entries(data: bytes, layout: Layout) -> Iterator[DebugEntry]:
    """The debug entries: as many as the directory's size has room for."""
    directory = layout.directory(Directory.DEBUG)
    if directory is None or directory.rva == 0:
        return
    count = directory.size // _DEBUG.size
    if count > MOST_ENTRIES:
        raise PEError(f"debug directory: expected {MOST_ENTRIES} entries at most, found {count}")
    start = layout.offset(directory.rva, count * _DEBUG.size, "debug directory")
    for offset in range(start, start + count * _DEBUG.size, _DEBUG.size):
        _flags, _stamp, _major, _minor, kind, size, rva, pointer = _DEBUG.unpack_from(data, offset)
        yield DebugEntry(offset, kind, size, rva, pointer)


def delay_stamp_offset(layout: Layout, index: int) -> int:
    """The file offset of the stamp in delay-import descriptor number ``index``, all of which must be in the file."""
    rva = layout.directories[Directory.DELAY_IMPORT].rva + _DELAY.size * index
    return layout.offset(rva, _DELAY.size, "delay-import descriptor") + 28


def thunks_end(data: bytes, layout: Layout, rva: int, width: int, what: str) -> tuple[int, int]:
    """The file offsets of the numbers of ``width`` bytes at ``rva``: of the first, and behind the zero that ends them.

    Raises PEError when that zero is not in the file.
    """
    start, stored, _zeros = layout.span(rva, what)
    stop = start + stored - stored % width
    view = memoryview(data)
    for at in range(start, stop, _CHUNK * width):
        part = view[at : min(at + _CHUNK * width, stop)]
        values = (part.cast("Q") if width == 8 else part.cast("I")).tolist()
        if 0 in values:
            return start, at + (values.index(0) + 1) * width
    raise PEError(f"{what} at offset {start:#x}: expected a zero entry last, found the section's end")


def _records(
    data: bytes, layout: Layout, rva: int, record: struct.Struct, what: str
) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Records one after the other from ``rva``, with their file offsets, until the caller stops.

    What lies in the part of the section that is only mapped, not stored, is zeros; a record all of zeros is the end of
    every table here, so that one is the last. Raises PEError when the section ends before the caller has stopped.
    """
    start, stored, zeros = layout.span(rva, what)
    for index, offset in enumerate(range(start, start + stored - record.size + 1, record.size)):
        if index > MOST_ENTRIES:
            raise PEError(f"{what} at offset {start:#x}: expected {MOST_ENTRIES} entries at most, found more")
        yield offset, record.unpack_from(data, offset)
    tail = stored // record.size * record.size
    if stored > tail and stored + zeros >= tail + record.size:
        yield start + tail, record.unpack(data[start + tail : start + stored].ljust(record.size, b"\0"))
        tail += record.size
    if stored + zeros >= tail + record.size:
        yield start + tail, record.unpack(bytes(record.size))
    raise PEError(f"{what} at offset {start:#x}: expected an empty entry at its end, found the section's end")
