"""What LIEF would copy and walk in a file, added up before it is asked: a file made to keep it busy is refused.

LIEF copies each section once, which is counted on. Everything else that it makes of a file (objects for relocations,
guarded functions, ...) may take the file's size once more, and a little; no real file was seen to need that, with two
exceptions. Resources are copied a second time, and COFF symbols take ten times what they take in the file; where these
are much, LIEF is to read the file without them. The numbers of bytes per object are what LIEF 1.0 takes, rounded up.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from packager.errors import PEError
from packager.pe.layout import Directory, Layout
from packager.pe.tables import debug_entries, delay_descriptors, import_descriptors

_STRANGE = "the file is unusual or broken; it was left as it is"
_LITTLE = 4 << 20
_SYMBOL, _AUXILIARY, _STRING = 18, 160, 96
_THUNK, _NAME, _MOST_NAME, _MOST_THUNKS = 200, 3, 0x1000, 0x10000
_RESOURCE, _MOST_RESOURCES = 240, 0x20000
_SECTION = struct.Struct("<8xI4xII16x")
_MOST_SECTIONS = 1000
_DATA_ENTRY = struct.Struct("<II")
_RESOURCE_ENTRY = struct.Struct("<II")
_SUBDIRECTORY = 0x80000000
#: Bytes of memory for each byte of debug data, by IMAGE_DEBUG_TYPE_*, of those that LIEF unpacks.
_DEBUG_DATA = {2: 1, 3: 3, 13: 8, 16: 1, 19: 1}
_DEBUG = 160


@dataclass(frozen=True, slots=True)
class Resources:
    """How many entries a resource tree has, whether LIEF can read it in little memory, and where its leaves' sizes are.

    The latter are file offsets. LIEF copies the leaves' data.
    """

    entries: int
    light: bool
    sizes: tuple[int, ...]


def refuse_heavy(data: bytes, layout: Layout, *, imports: bool) -> None:
    """Raise PEError when LIEF, with its import parser if ``imports`` and no resources, would need much for ``data``."""
    sections = _section_bytes(data, layout)
    if sections > layout.size + _LITTLE:
        raise PEError(f"sections: expected them to share no bytes of the file, found {sections} bytes in all")
    left = layout.size // 4 + _LITTLE
    for what, find in _FINDERS if imports else _FINDERS[:-1]:
        for cost in find(data, layout):
            left -= cost
            if left < 0:
                raise PEError(
                    f"{what}: expected tables that a second reader can check in little memory, found many or "
                    "overlapping entries",
                    hint=_STRANGE,
                )


def symbols_are_light(data: bytes, layout: Layout) -> bool:
    """Whether LIEF can read the COFF symbols and their strings, whatever the headers say of them, in little memory."""
    start, count = layout.symbol_table, layout.symbol_count
    if not start:
        return True
    left = layout.size // 4 + _LITTLE
    left -= min(count, max(layout.size - start, 0) // _SYMBOL) * _AUXILIARY
    strings = start + count * _SYMBOL
    size = int.from_bytes(data[strings : strings + 4], "little")
    if strings + size <= layout.size:
        left -= size + data.count(b"\0", strings, strings + size) * _STRING
    return left >= 0


def resources(data: bytes, layout: Layout) -> Resources:
    """What there is of resources, as LIEF walks the tree: all of it behind its root, whatever section that is in.

    Raises PEError when there are too many entries.
    """
    directory = layout.directory(Directory.RESOURCE)
    if directory is None or directory.rva == 0:
        return Resources(0, True, ())
    root = _offset(layout, directory.rva)
    left = layout.size // 2 + _LITTLE
    entries = 0
    sizes = []
    seen = {_SUBDIRECTORY}
    waiting = [0]
    while waiting:
        at = root + waiting.pop()
        if at + 16 > layout.size:
            continue
        count = sum(struct.unpack_from("<HH", data, at + 12))
        entries += count
        if entries > _MOST_RESOURCES:
            raise PEError(f"resources: expected {_MOST_RESOURCES} entries at most, found more", hint=_STRANGE)
        left -= (count + 1) * _RESOURCE
        table = memoryview(data)[at + 16 : min(at + 16 + count * _RESOURCE_ENTRY.size, layout.size)]
        for _name, target in _RESOURCE_ENTRY.iter_unpack(table[: len(table) // 8 * 8]):
            child = target & ~_SUBDIRECTORY
            if target in seen:
                continue
            seen.add(target)
            if target & _SUBDIRECTORY:
                waiting.append(child)
            elif root + child + _DATA_ENTRY.size <= layout.size:
                sizes.append(root + child + 4)
                size = _DATA_ENTRY.unpack_from(data, root + child)[1]
                left -= size if size <= layout.size else 0
    return Resources(entries, left >= 0, tuple(sizes))


def _section_bytes(data: bytes, layout: Layout) -> int:
    """What LIEF copies: the DOS stub, what lies before the first section, the sections, gaps between them, the overlay.

    It goes by the section headers as they stand, also where the loader would not.
    """
    size = layout.size
    table = memoryview(data)[layout.headers_end - _SECTION.size * len(layout.sections) : layout.headers_end]
    headers = list(_SECTION.iter_unpack(table))[:_MOST_SECTIONS]
    total = layout.pe_offset * 3
    for index, (virtual_size, stored, start) in enumerate(headers):
        used = min(virtual_size or stored, stored)
        if start < size and used:
            end = start + stored
            following = headers[index + 1][2] if index + 1 < len(headers) else 0
            total += min(max(end, following), size) - start
    starts = [start for _virtual_size, _stored, start in headers if start]
    total += min(max(min(starts, default=0) - layout.headers_end, 0), size)
    return total + max(size - max((start + stored for _, stored, start in headers), default=0), 0)


def _offset(layout: Layout, rva: int) -> int:
    """Where LIEF looks for what lies at ``rva``; at that offset when nothing is mapped there."""
    found = layout.find(rva)
    return rva if found is None else found


def _tls(data: bytes, layout: Layout) -> Iterator[int]:
    directory = layout.directory(Directory.TLS)
    pair = struct.Struct("<QQ" if layout.is_plus else "<II")
    at = 0 if directory is None else _offset(layout, directory.rva)
    if at and at + pair.size <= layout.size:
        start, end = pair.unpack_from(data, at)
        first, last = (_offset(layout, address - layout.image_base) for address in (start, end))
        yield min(max(last - first, 0), layout.size)


def _debug(data: bytes, layout: Layout) -> Iterator[int]:
    for entry in debug_entries(data, layout):
        yield _DEBUG + min(entry.size, layout.size) * _DEBUG_DATA.get(entry.kind, 0)


def _delay_imports(data: bytes, layout: Layout) -> Iterator[int]:
    for descriptor in delay_descriptors(data, layout):
        yield from _thunks(data, layout, descriptor.lookup_table, 0 if descriptor.by_rva else layout.image_base)


def _imports(data: bytes, layout: Layout) -> Iterator[int]:
    for descriptor in import_descriptors(data, layout):
        yield from _thunks(data, layout, descriptor.lookup_table or descriptor.address_table, 0)


def _thunks(data: bytes, layout: Layout, rva: int, base: int) -> Iterator[int]:
    """Each entry of a look-up table up to the first 0, and the name that it points at."""
    start = _offset(layout, rva)
    if start <= 0:
        return
    code, width = ("<Q", 8) if layout.is_plus else ("<I", 4)
    by_ordinal = 1 << (8 * width - 1)
    for at in range(start, min(start + _MOST_THUNKS * width, layout.size - width + 1), width):
        (value,) = struct.unpack_from(code, data, at)
        if not value:
            return
        yield _THUNK
        if not value & by_ordinal:
            name = max(_offset(layout, value - base), 0)
            end = data.find(b"\0", name + 2, name + 2 + _MOST_NAME)
            yield _NAME * (end - name if end >= 0 else _MOST_NAME)


#: Tables that a load configuration points at: (place of the address, of the count; each for PE32, PE32+), and the bytes
#: of memory for an entry. An entry takes 4 bytes of the file at least.
_LOAD_CONFIG = 0x200
_COUNTED = (
    ((0x40, 0x44), (0x60, 0x68), 8),  # SEHandlerTable
    ((0x50, 0x54), (0x80, 0x88), 16),  # GuardCFFunctionTable
    ((0x68, 0x6C), (0xA0, 0xA8), 16),  # GuardAddressTakenIatEntryTable
    ((0x70, 0x74), (0xB0, 0xB8), 16),  # GuardLongJumpTargetTable
    ((0xA4, 0xA8), (0x108, 0x110), 16),  # GuardEHContinuationTable
)
#: What it has besides, less often: DynamicValueRelocTableOffset and its section's number; then the addresses of
#: CHPEMetadataPointer, EnclaveConfigurationPointer, VolatileMetadataPointer.
_RELOCATIONS = (0x88, 0xE0)
_POINTERS = ((0x7C, 0x9C, 0xA0), (0xC8, 0xF8, 0x100))
_RELOCATION = 32
#: Where counts are in what these point at (CHPE of ARM64 and x86, enclave, volatile metadata), and memory for each.
_BEHIND = (((8, 16), (48, 32), (52, 16)), ((12, 160),), ((12, 4), (20, 4)))


def _load_config(data: bytes, layout: Layout) -> Iterator[int]:
    directory = layout.directory(Directory.LOAD_CONFIG)
    at = 0 if directory is None else _offset(layout, directory.rva)
    if not at:
        return
    plus = int(layout.is_plus)
    most = layout.size // 4
    table = data[at : at + min(int.from_bytes(data[at : at + 4], "little"), _LOAD_CONFIG)]
    width = 8 if plus else 4

    def number(place: int, size: int = width) -> int:
        return int.from_bytes(table[place : place + size], "little")

    for *places, weight in _COUNTED:
        address, count = places[plus]
        if number(address):
            yield min(number(count), most) * weight
    start, index = number(_RELOCATIONS[plus], 4), number(_RELOCATIONS[plus] + 4, 2)
    if 1 <= index <= len(layout.sections):
        start += layout.sections[index - 1].raw_offset
        size = int.from_bytes(data[start + 4 : start + 8], "little")
        yield min(size, layout.size) * _RELOCATION
    for place, counts in zip(_POINTERS[plus], _BEHIND, strict=True):
        address = number(place)
        start = _offset(layout, address - layout.image_base)
        for offset, weight in counts if address and start > 0 else ():
            count = int.from_bytes(data[start + offset : start + offset + 4], "little")
            yield min(count, most) * weight


_FINDERS: tuple[tuple[str, Callable[[bytes, Layout], Iterator[int]]], ...] = (
    ("TLS directory", _tls),
    ("debug directory", _debug),
    ("load configuration", _load_config),
    ("delay imports", _delay_imports),
    ("imports", _imports),
)
