"""Which bytes of a PE file say when it was made, and what belongs there instead.

Each finder takes the file's bytes, its layout and the epoch (seconds since 1970, 32 bits) and gives the fields that it
is in charge of, each with the value that belongs there; ``FINDERS`` is all of them. What is deliberately not touched:

- Export stamps of ``FFFFFFFF``: a constant that Microsoft's linker writes.
- Every stamp of a file with a REPRO debug entry: those are hashes of the content already.
- Bound imports, and delay imports that are bound: their stamps belong to addresses that were looked up in other files.
  Zeroing the stamp alone would leave those addresses behind, so such a file is refused.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from packager.errors import PEError
from packager.pe.layout import Directory, Layout
from packager.pe.tables import MOST_ENTRIES, delay_descriptors, import_descriptors

COFF = "COFF TimeDateStamp"
EXPORT = "export directory TimeDateStamp"
DEBUG = "debug entry TimeDateStamp"
RESOURCE = "resource directory TimeDateStamp"
DELAY = "delay-import TimeDateStamp"
LOAD_CONFIG = "load configuration TimeDateStamp"

#: IMAGE_DEBUG_TYPE_REPRO: the stamps of this file are made from a hash of its content.
DEBUG_REPRO = 16

_NEVER = b"\xff\xff\xff\xff"
_ZERO = bytes(4)
_DEBUG_ENTRY = struct.Struct("<IIHHIIII")
_RESOURCE_NODE = 16
_RESOURCE_ENTRY = struct.Struct("<II")
_SUBDIRECTORY = 0x80000000
_UNBIND = "link it again without binding (no bind.exe, no /BIND): bound addresses fit one Windows build only"


@dataclass(frozen=True, slots=True)
class Field:
    """One volatile field: what it is, its file offset, and the bytes that belong there."""

    name: str
    offset: int
    value: bytes


def volatile_fields(data: bytes, layout: Layout, epoch: int) -> tuple[Field, ...]:
    """All volatile fields of ``data`` but the checksum, by offset, each once.

    Where the file has a REPRO entry, each field's value is the one that stands there. Raises PEError when a table does
    not fit the format, when imports are bound, and when two fields, or a field and the headers, overlap.
    """
    found = {field for finder in FINDERS for field in finder(data, layout, epoch)}
    fields = sorted(found, key=lambda field: field.offset)
    end = layout.stamp_offset
    for field in fields:
        if field.offset < end:
            raise PEError(f"{field.name} at offset {field.offset:#x}: expected it after {end:#x}, found an overlap")
        end = layout.headers_end if field.name == COFF else field.offset + len(field.value)
    if is_repro(data, layout):
        return tuple(Field(f.name, f.offset, data[f.offset : f.offset + len(f.value)]) for f in fields)
    return tuple(fields)


def is_repro(data: bytes, layout: Layout) -> bool:
    """True when a debug entry says that the stamps are hashes of the content."""
    return any(kind == DEBUG_REPRO for _offset, kind in _debug_entries(data, layout))


def refuse_bound_imports(data: bytes, layout: Layout, _epoch: int) -> Iterator[Field]:
    """No field; PEError when the import table is bound to other DLLs' addresses."""
    bound = layout.directory(Directory.BOUND_IMPORT)
    if bound is not None:
        raise PEError(f"offset {bound.offset:#x}: expected no bound imports, found RVA {bound.rva:#x}", hint=_UNBIND)
    for descriptor in import_descriptors(data, layout):
        if descriptor.stamp:
            raise PEError(
                f"import descriptor at offset {descriptor.offset:#x}: expected a TimeDateStamp of 0, "
                f"found {descriptor.stamp:#x} (bound imports)",
                hint=_UNBIND,
            )
    yield from ()


def coff_stamp(_data: bytes, layout: Layout, epoch: int) -> Iterator[Field]:
    """The stamp in the file header: the epoch."""
    yield Field(COFF, layout.stamp_offset, _u32(epoch))


def export_stamp(data: bytes, layout: Layout, epoch: int) -> Iterator[Field]:
    """The export directory's stamp: the epoch, or FFFFFFFF where that stands there."""
    directory = layout.directory(Directory.EXPORT)
    if directory is None or directory.rva == 0:
        return
    offset = layout.offset(directory.rva, 40, "export directory") + 4
    yield Field(EXPORT, offset, _NEVER if data[offset : offset + 4] == _NEVER else _u32(epoch))


def debug_stamps(data: bytes, layout: Layout, epoch: int) -> Iterator[Field]:
    """The stamp of each debug entry: the epoch, as in the file header."""
    for offset, _kind in _debug_entries(data, layout):
        yield Field(DEBUG, offset + 4, _u32(epoch))


def resource_stamps(data: bytes, layout: Layout, _epoch: int) -> Iterator[Field]:
    """The stamp of every directory in the resource tree: zero.

    A directory that is reached twice is visited once, the entries of all directories together must fit in the file,
    and there is a limit to the number of directories, so that neither loops nor overlaps keep this busy.
    """
    directory = layout.directory(Directory.RESOURCE)
    if directory is None or directory.rva == 0:
        return
    room = layout.size // _RESOURCE_ENTRY.size
    seen = {0}
    waiting = [0]
    while waiting:
        at = directory.rva + waiting.pop()
        offset = layout.offset(at, _RESOURCE_NODE, "resource directory")
        named, by_id = struct.unpack_from("<HH", data, offset + 12)
        count = named + by_id
        room -= count
        if len(seen) > MOST_ENTRIES:
            raise PEError(f"resource directory at offset {offset:#x}: expected {MOST_ENTRIES} at most, found more")
        if room < 0:
            raise PEError(f"resource directory at offset {offset:#x}: expected fewer entries, found overlapping ones")
        layout.offset(at, _RESOURCE_NODE + count * _RESOURCE_ENTRY.size, "resource directory")
        yield Field(RESOURCE, offset + 4, _ZERO)
        start = offset + _RESOURCE_NODE
        entries = memoryview(data)[start : start + count * _RESOURCE_ENTRY.size]
        for _name, target in _RESOURCE_ENTRY.iter_unpack(entries):
            child = target & ~_SUBDIRECTORY
            if target & _SUBDIRECTORY and child not in seen:
                seen.add(child)
                waiting.append(child)


def delay_stamps(data: bytes, layout: Layout, _epoch: int) -> Iterator[Field]:
    """The stamp of each delay-import descriptor: zero; PEError when it is set and there is a bound table to go with."""
    directory = layout.directory(Directory.DELAY_IMPORT)
    if directory is None:
        return
    for index, descriptor in enumerate(delay_descriptors(data, layout)):
        if descriptor.stamp and descriptor.bound_table:
            raise PEError(
                f"delay-import descriptor at offset {descriptor.offset:#x}: expected it unbound, "
                f"found TimeDateStamp {descriptor.stamp:#x} with a bound table at {descriptor.bound_table:#x}",
                hint=_UNBIND,
            )
        # Its end could lie in the part of the section that is not in the file: offset() looks.
        yield Field(DELAY, layout.offset(directory.rva + 32 * index, 32, "delay-import descriptor") + 28, _ZERO)


def load_config_stamp(_data: bytes, layout: Layout, _epoch: int) -> Iterator[Field]:
    """The load configuration's stamp: zero."""
    directory = layout.directory(Directory.LOAD_CONFIG)
    if directory is not None and directory.rva != 0:
        yield Field(LOAD_CONFIG, layout.offset(directory.rva, 8, "load configuration") + 4, _ZERO)


FINDERS: tuple[Callable[[bytes, Layout, int], Iterator[Field]], ...] = (
    refuse_bound_imports,
    coff_stamp,
    export_stamp,
    debug_stamps,
    resource_stamps,
    delay_stamps,
    load_config_stamp,
)


def _debug_entries(data: bytes, layout: Layout) -> Iterator[tuple[int, int]]:
    """(file offset, type) of each debug entry."""
    directory = layout.directory(Directory.DEBUG)
    if directory is None or directory.rva == 0:
        return
    count = directory.size // _DEBUG_ENTRY.size
    if count > MOST_ENTRIES:
        raise PEError(f"debug directory: expected {MOST_ENTRIES} entries at most, found {count}")
    start = layout.offset(directory.rva, count * _DEBUG_ENTRY.size, "debug directory")
    for offset in range(start, start + count * _DEBUG_ENTRY.size, _DEBUG_ENTRY.size):
        yield offset, _DEBUG_ENTRY.unpack_from(data, offset)[4]


def _u32(value: int) -> bytes:
    return value.to_bytes(4, "little")
