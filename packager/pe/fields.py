"""Which bytes of a PE file say when and where it was made, and what belongs there instead.

Each finder takes the file's bytes, its layout and the epoch (seconds since 1970, 32 bits) and gives the fields that it
is in charge of, each with the value that belongs there. What is deliberately not touched:

- Export stamps of ``FFFFFFFF``: a constant that Microsoft's linker writes.
- What a linker wrote into a file with a REPRO debug entry: its stamps are hashes of the content already.
- Stamps of imports that are bound: :mod:`packager.pe.bound` undoes that first, as the stamps alone must not go.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from packager.errors import PEError
from packager.formats.fields import Field
from packager.pe import codeview
from packager.pe.codeview import codeview_fields
from packager.pe.layout import Directory, Layout
from packager.pe.overlay import overlay_fields
from packager.pe.tables import MOST_ENTRIES, debug_entries, delay_descriptors, delay_stamp_offset, import_descriptors

__all__ = [
    "COFF",
    "DEBUG",
    "DELAY",
    "EXPORT",
    "LINKED",
    "LOAD_CONFIG",
    "RESOURCE",
    "Field",
    "is_repro",
    "refuse_overlaps",
    "volatile_fields",
]

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
_RESOURCE_NODE = 16
_RESOURCE_ENTRY = struct.Struct("<II")
_SUBDIRECTORY = 0x80000000
#: Entries of all resource directories together; no real file was seen with more than 2,900.
_MOST_RESOURCES = 0x20000


def volatile_fields(data: bytes, layout: Layout, epoch: int, guid: bytes | None = None) -> tuple[Field, ...]:
    """All volatile fields of ``data`` but the checksum, by offset, each once.

    A linker's fields have the values that stand there where the file has a REPRO entry. ``guid`` is what CodeView
    records are to have; without it, it is made from the content, which means reading all of it. Raises PEError when a
    table does not fit the format, when imports are bound, and when two fields, or a field and the headers, overlap.
    """
    found = {field for finder in LINKED for field in finder(data, layout, epoch)}
    repro = is_repro(data, layout)
    if repro:
        found = {Field(f.name, f.offset, data[f.offset : f.offset + len(f.value)]) for f in found}
    found.update(overlay_fields(data, layout, epoch)[0])
    fields = tuple(sorted(found, key=lambda field: field.offset))
    refuse_overlaps(fields, layout)
    if repro or not any(field.name == codeview.GUID for field in fields):
        return fields
    guid = guid or codeview.content_guid(data, fields, layout.checksum_offset)
    return tuple(replace(field, value=guid) if field.name == codeview.GUID else field for field in fields)


def refuse_overlaps(fields: Iterable[Field], layout: Layout) -> None:
    """Raise PEError when one of ``fields``, which come by offset, reaches into the next or, but for COFF's, headers."""
    end = layout.stamp_offset
    for field in fields:
        if field.offset < end:
            raise PEError(f"{field.name} at offset {field.offset:#x}: expected it after {end:#x}, found an overlap")
        end = layout.headers_end if field.name == COFF else field.offset + len(field.value)


def is_repro(data: bytes, layout: Layout) -> bool:
    """True when a debug entry says that the stamps are hashes of the content."""
    return any(entry.kind == DEBUG_REPRO for entry in debug_entries(data, layout))


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
    for entry in debug_entries(data, layout):
        yield Field(DEBUG, entry.offset + 4, _u32(epoch))


def resource_stamps(data: bytes, layout: Layout, _epoch: int) -> Iterator[Field]:
    """The stamp of every directory in the resource tree: zero.

    A directory that is reached twice is visited once, the entries of all directories together must fit in the file,
    and there is a limit to their number, so that neither loops nor overlaps keep this busy.
    """
    directory = layout.directory(Directory.RESOURCE)
    if directory is None or directory.rva == 0:
        return
    room = min(layout.size // _RESOURCE_ENTRY.size, _MOST_RESOURCES)
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
            raise PEError(
                f"resource directory at offset {offset:#x}: expected at most {_MOST_RESOURCES} entries in all, "
                "and that they fit the file, found more or overlapping ones"
            )
        layout.offset(at, _RESOURCE_NODE + count * _RESOURCE_ENTRY.size, "resource directory")
        yield Field(RESOURCE, offset + 4, _ZERO)
        start = offset + _RESOURCE_NODE
        entries = memoryview(data)[start : start + count * _RESOURCE_ENTRY.size]
        for _name, target in _RESOURCE_ENTRY.iter_unpack(entries):
            child = target & ~_SUBDIRECTORY
            if target & _SUBDIRECTORY and child not in seen:
                seen.add(child)
                waiting.append(child)


def import_stamps(data: bytes, layout: Layout, _epoch: int) -> Iterator[Field]:
    """No field; PEError when the import table is bound to other DLLs' addresses."""
    bound = layout.directory(Directory.BOUND_IMPORT)
    if bound is not None:
        raise PEError(f"offset {bound.offset:#x}: expected no bound imports, found RVA {bound.rva:#x}")
    for descriptor in import_descriptors(data, layout):
        if descriptor.stamp:
            raise PEError(
                f"import descriptor at offset {descriptor.offset:#x}: expected a TimeDateStamp of 0, "
                f"found {descriptor.stamp:#x} (bound imports)"
            )
    yield from ()


def delay_stamps(data: bytes, layout: Layout, _epoch: int) -> Iterator[Field]:
    """The stamp of each delay-import descriptor: zero; PEError when it is set and there is a bound table to go with."""
    for index, descriptor in enumerate(delay_descriptors(data, layout)):
        if descriptor.stamp and descriptor.bound_table:
            raise PEError(
                f"delay-import descriptor at offset {descriptor.offset:#x}: expected it unbound, "
                f"found TimeDateStamp {descriptor.stamp:#x} with a bound table at {descriptor.bound_table:#x}"
            )
        yield Field(DELAY, delay_stamp_offset(layout, index), _ZERO)


def load_config_stamp(_data: bytes, layout: Layout, _epoch: int) -> Iterator[Field]:
    """The load configuration's stamp: zero."""
    directory = layout.directory(Directory.LOAD_CONFIG)
    if directory is not None and directory.rva != 0:
        yield Field(LOAD_CONFIG, layout.offset(directory.rva, 8, "load configuration") + 4, _ZERO)


#: The finders of what a linker writes.
LINKED: tuple[Callable[[bytes, Layout, int], Iterator[Field]], ...] = (
    import_stamps,
    coff_stamp,
    export_stamp,
    debug_stamps,
    codeview_fields,
    resource_stamps,
    delay_stamps,
    load_config_stamp,
)


def _u32(value: int) -> bytes:
    return value.to_bytes(4, "little")
