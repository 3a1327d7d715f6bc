"""Bound imports, undone: the addresses that a binder looked up in other DLLs go, the names come back.

Binding (``bind.exe``, ``link /BIND``) writes, into each import address table, where the functions lie in one version of
the DLL, and into the descriptor the stamp of that version: the DLL's own stamp (old style), or FFFFFFFF, the stamps
then being in a directory of bound imports of their own (new style). The loader trusts the addresses as long as the
stamps match. What the table held before is what the look-up table beside it still holds.

Delay-loaded DLLs are bound in a table that is all zeros otherwise; the stamp says whether it counts.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from packager.errors import PEError
from packager.formats.fields import Field
from packager.pe.fields import DELAY
from packager.pe.layout import Directory, Layout
from packager.pe.tables import delay_descriptors, delay_stamp_offset, import_descriptors, thunks_end

STAMP = "import descriptor TimeDateStamp"
CHAIN = "import descriptor ForwarderChain"
ADDRESSES = "import address table"
DIRECTORY = "bound import directory"
DIRECTORY_ENTRY = "bound import directory's entry"
DELAY_ADDRESSES = "delay-import bound table"

_UNBIND = "link it again without binding (no bind.exe, no /BIND)"
_ENTRY = struct.Struct("<IHH")
#: The data directory that spans all import address tables.
_IAT = 12


def unbound_fields(data: bytes, layout: Layout) -> tuple[Field, ...]:
    """What to write so that no import is bound any more, by offset; nothing where none is.

    For each bound DLL the look-up table's entries, its terminator with them, go over the address table; stamp and
    forwarder chain become zero, as does the directory of bound imports, with its entry in the headers. For a bound
    delay-loaded DLL the stamp and its bound table's entries become zero. Raises PEError when a DLL has no look-up
    table, when the two tables are not of one length, when the directory is something else than it says, and when a
    table that is to be written lies over another.
    """
    fields = [*_imports(data, layout), *_directory(data, layout), *_delayed(data, layout)]
    if not fields:
        return ()
    _refuse_overlaps(fields, _other_tables(data, layout))
    entry = layout.directory(Directory.BOUND_IMPORT)
    if entry is not None:
        fields.append(Field(DIRECTORY_ENTRY, entry.offset, bytes(8)))
    return tuple(sorted(fields, key=lambda field: field.offset))


def _imports(data: bytes, layout: Layout) -> Iterator[Field]:
    # With the directory there, the loader looks at that alone, so no stamp says that a DLL is not bound.
    every = layout.directory(Directory.BOUND_IMPORT) is not None
    width = 8 if layout.is_plus else 4
    room = layout.size
    for descriptor in import_descriptors(data, layout):
        if not descriptor.stamp and not every:
            continue
        where = f"bound import at offset {descriptor.offset:#x}"
        if not descriptor.lookup_table:
            raise PEError(f"{where}: expected a look-up table, from which to undo it, found none", hint=_UNBIND)
        lookup, end = thunks_end(data, layout, descriptor.lookup_table, width, f"look-up table of the {where}")
        size = end - lookup
        room -= size
        if room < 0:
            raise PEError(f"{where}: expected tables that fit the file, found an overlap", hint=_UNBIND)
        at = layout.offset(descriptor.address_table, size, f"address table of the {where}")
        if any(data[at + size - width : at + size]):
            raise PEError(
                f"{where}: expected address and look-up table to be of one length, found an address at "
                f"{at + size - width:#x} where the other ends",
                hint=_UNBIND,
            )
        yield Field(STAMP, descriptor.offset + 4, bytes(4))
        yield Field(CHAIN, descriptor.offset + 8, bytes(4))
        yield Field(ADDRESSES, at, data[lookup:end])


def _directory(data: bytes, layout: Layout) -> Iterator[Field]:
    entry = layout.directory(Directory.BOUND_IMPORT)
    if entry is None:
        return
    at = layout.offset(entry.rva, entry.size, DIRECTORY)
    if at < layout.headers_end:
        raise PEError(
            f"{DIRECTORY} at offset {at:#x}: expected it behind the section headers, which end at "
            f"{layout.headers_end:#x}",
            hint=_UNBIND,
        )
    _check_directory(data[at : at + entry.size], at)
    yield Field(DIRECTORY, at, bytes(entry.size))


def _check_directory(table: bytes, at: int) -> None:
    """Raise PEError unless ``table`` is entries, an empty one, the names that they have, and zeros."""
    names: set[int] = set()
    position = 0
    forwarders = 0
    while True:
        if position + _ENTRY.size > len(table):
            raise PEError(f"{DIRECTORY} at offset {at:#x}: expected an empty entry at its end", hint=_UNBIND)
        stamp, name, count = _ENTRY.unpack_from(table, position)
        position += _ENTRY.size
        if not forwarders and not stamp and not name:
            break
        # What an entry's forwarders refer to follows it as entries of their own, whose count is reserved.
        forwarders = forwarders - 1 if forwarders else count
        names.add(name)
    covered = position
    for name in sorted(names):
        end = table.find(b"\0", name)
        if name < position or end < 0 or any(table[covered:name]):
            raise PEError(
                f"{DIRECTORY} at offset {at:#x}: expected names and nothing else after its entries, "
                f"found otherwise at {at + min(name, len(table)):#x}",
                hint=_UNBIND,
            )
        covered = max(covered, end + 1)
    if any(table[covered:]):
        raise PEError(
            f"{DIRECTORY} at offset {at:#x}: expected zeros after its last name, found others after {at + covered:#x}",
            hint=_UNBIND,
        )


def _delayed(data: bytes, layout: Layout) -> Iterator[Field]:
    width = 8 if layout.is_plus else 4
    room = layout.size
    for index, descriptor in enumerate(delay_descriptors(data, layout)):
        if not descriptor.stamp or not descriptor.bound_table:
            continue
        where = f"bound delay import at offset {descriptor.offset:#x}"
        lookup, end = thunks_end(data, layout, descriptor.lookup_table, width, f"look-up table of the {where}")
        size = end - lookup - width
        room -= size
        if room < 0:
            raise PEError(f"{where}: expected tables that fit the file, found an overlap", hint=_UNBIND)
        yield Field(DELAY, delay_stamp_offset(layout, index), bytes(4))
        if size:
            at = layout.offset(descriptor.bound_table, size, f"table of the {where}")
            yield Field(DELAY_ADDRESSES, at, bytes(size))


def _other_tables(data: bytes, layout: Layout) -> Iterator[tuple[int, int]]:
    """Where other tables lie, which nothing may be written over: (start, end) of each, in file offsets."""
    written = {Directory.IMPORT, Directory.BOUND_IMPORT, Directory.DELAY_IMPORT, Directory.CERTIFICATE, _IAT}
    for index, entry in enumerate(layout.directories):
        start = layout.find(entry.rva) if entry and index not in written else None
        if start is not None:
            yield start, start + entry.size
    width = 8 if layout.is_plus else 4
    tables = set()
    for descriptor in import_descriptors(data, layout):
        yield descriptor.offset, descriptor.offset + 4
        yield descriptor.offset + 12, descriptor.offset + 20
        tables.add(descriptor.lookup_table)
    for delayed in delay_descriptors(data, layout):
        yield delayed.offset, delayed.offset + 28
        tables.add(delayed.lookup_table)
    room = layout.size
    for table in sorted(tables - {0}):
        start, end = thunks_end(data, layout, table, width, "look-up table")
        room -= end - start
        if room < 0:
            raise PEError(f"look-up table at offset {start:#x}: expected tables that fit the file, found an overlap")
        yield start, end


def _refuse_overlaps(fields: list[Field], others: Iterable[tuple[int, int]]) -> None:
    ranges = [(field.offset, field.offset + len(field.value), field.name) for field in fields]
    ranges += [(start, end, "") for start, end in others]
    written = read = 0
    last = ""
    for start, end, name in sorted(ranges):
        if start < (max(written, read) if name else written):
            raise PEError(
                f"{name or last} at offset {start:#x}: expected nothing of another table there, found an overlap",
                hint=_UNBIND,
            )
        if name:
            written, last = max(written, end), name
        else:
            read = max(read, end)
