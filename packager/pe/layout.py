"""Where things lie in a PE file: headers, sections and data directories, read with every bound checked.

The one input is the bytes of a file. Nothing outside them is read, every loop is bounded by what the file holds, and a
file that does not fit the format raises :class:`~packager.errors.PEError` with the offset, what was expected there and
what was found. The format is Microsoft's "PE Format" page; where Windows' loader is stricter than that page (an aligned
``e_lfanew``, sections in ascending order that do not overlap), so is this reader, because other tools disagree with
each other on exactly those files.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from dataclasses import dataclass
from enum import IntEnum

from packager.errors import PEError

PE32 = 0x10B
PE32_PLUS = 0x20B

#: IMAGE_FILE_MACHINE_* by the names that targets have here; others are shown as ``0x....``.
MACHINES = {
    0x014C: "i686",
    0x8664: "x86_64",
    0xAA64: "arm64",
    0xA641: "arm64ec",
    0xA64E: "arm64x",
    0x01C4: "armnt",
    0x0EBC: "efi-bytecode",
}

_DOS_HEADER = 0x40
_COFF_HEADER = 20
_SECTION_HEADER = 40
_PAGE = 0x1000
_SECTOR = 0x200
_ZEROS = bytes(0x10000)
#: Bytes of the optional header before the data directories.
_FIXED = {PE32: 96, PE32_PLUS: 112}


class Directory(IntEnum):
    """Indices of the data directories that are read here."""

    EXPORT = 0
    IMPORT = 1
    RESOURCE = 2
    CERTIFICATE = 4
    DEBUG = 6
    TLS = 9
    LOAD_CONFIG = 10
    BOUND_IMPORT = 11
    DELAY_IMPORT = 13
    CLR = 14


@dataclass(frozen=True, slots=True)
class Section:
    """One section: its name as stored, its place in memory (RVA, bytes) and in the file (offset, bytes)."""

    name: bytes
    rva: int
    virtual_size: int
    raw_offset: int
    raw_size: int
    characteristics: int

    @property
    def mapped_size(self) -> int:
        """Bytes of address space, before rounding to pages: a virtual size of 0 means the raw size."""
        return self.virtual_size or self.raw_size


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """One entry of the table of data directories: the entry's own file offset, the RVA and size that it holds."""

    offset: int
    rva: int
    size: int

    def __bool__(self) -> bool:
        return self.rva != 0 or self.size != 0


@dataclass(frozen=True, slots=True)
class Layout:
    """The headers of one PE file. Offsets are file offsets, addresses are RVAs, all in bytes."""

    size: int
    pe_offset: int
    magic: int
    machine: int
    characteristics: int
    stamp: int
    checksum: int
    image_base: int
    section_alignment: int
    file_alignment: int
    image_size: int
    headers_size: int
    headers_end: int
    subsystem: int
    subsystem_version: tuple[int, int]
    dll_characteristics: int
    symbol_table: int
    symbol_count: int
    sections: tuple[Section, ...]
    section_starts: tuple[int, ...]
    directories: tuple[DataDirectory, ...]

    @property
    def stamp_offset(self) -> int:
        """Where the COFF header's TimeDateStamp lies."""
        return self.pe_offset + 8

    @property
    def checksum_offset(self) -> int:
        """Where the optional header's CheckSum lies, the same in PE32 and PE32+."""
        return self.pe_offset + 0x58

    @property
    def symbols_offset(self) -> int:
        """Where PointerToSymbolTable lies, and behind it NumberOfSymbols."""
        return self.pe_offset + 12

    @property
    def body_end(self) -> int:
        """Where the last of the headers and of the sections' data ends; what the file has behind it is not mapped."""
        return max([self.headers_end, *(section.raw_offset + section.raw_size for section in self.sections)])

    @property
    def is_plus(self) -> bool:
        """True for PE32+ (64 bits)."""
        return self.magic == PE32_PLUS

    @property
    def is_dll(self) -> bool:
        """IMAGE_FILE_DLL is set."""
        return bool(self.characteristics & 0x2000)

    @property
    def machine_name(self) -> str:
        """The machine as targets name it (``x86_64``, ``i686``, ``arm64``), or its number in hexadecimal."""
        return MACHINES.get(self.machine, f"{self.machine:#06x}")

    def directory(self, which: Directory) -> DataDirectory | None:
        """The data directory ``which``, or None where the file has none or it is all zero."""
        if which >= len(self.directories):
            return None
        return self.directories[which] or None

    def span(self, rva: int, what: str) -> tuple[int, int, int]:
        """Where ``rva`` lies: (file offset, bytes in the file from there, further bytes that are mapped as zeros).

        Raises PEError when no part of the image is mapped there; ``what`` says in the message what was looked for.
        """
        if 0 <= rva < self.headers_size:
            return rva, max(min(self.headers_size, self.size) - rva, 0), 0
        index = bisect_right(self.section_starts, rva) - 1
        if index >= 0:
            section = self.sections[index]
            start = rva - section.rva
            stored = min(section.raw_size, _align(section.mapped_size, _PAGE))
            mapped = max(section.mapped_size, stored)
            if index + 1 < len(self.sections):
                mapped = min(mapped, self.sections[index + 1].rva - section.rva)
                stored = min(stored, mapped)
            if start < mapped:
                return section.raw_offset + start, max(stored - start, 0), mapped - max(stored, start)
        raise PEError(f"{what}: expected an address inside a section, found RVA {rva:#x}")

    def find(self, rva: int) -> int | None:
        """The file offset where ``rva`` lies; None when nothing is mapped there."""
        try:
            return self.span(rva, "")[0]
        except PEError:
            return None

    def offset(self, rva: int, length: int, what: str) -> int:
        """The file offset of ``length`` bytes at ``rva``; PEError unless all of them are in the file."""
        offset, stored, _zeros = self.span(rva, what)
        if length > stored:
            raise PEError(f"{what} at offset {offset:#x}: expected {length} bytes in its section, found {stored}")
        return offset

    def read(self, data: bytes, rva: int, length: int, what: str) -> bytes:
        """``length`` bytes at ``rva`` as they are mapped: a section's tail that is not in the file reads as zeros."""
        offset, stored, zeros = self.span(rva, what)
        if length <= stored:
            return data[offset : offset + length]
        if length > stored + zeros:
            raise PEError(f"{what} at RVA {rva:#x}: expected {length} bytes in its section, found {stored + zeros}")
        return data[offset : offset + stored].ljust(length, b"\0")


def read_layout(data: bytes) -> Layout:
    """Read the headers of the PE file ``data``. Raises PEError when it is not a PE32 or PE32+ image, or is cut off."""
    size = len(data)
    if size < _DOS_HEADER:
        raise PEError(f"offset 0x0: expected a DOS header of {_DOS_HEADER} bytes, found {size} bytes in all")
    if data[:2] != b"MZ":
        raise PEError(f"offset 0x0: expected the signature 'MZ', found {data[:2]!r}")
    (pe,) = struct.unpack_from("<I", data, 0x3C)
    if pe % 4:
        raise PEError(f"offset 0x3c: expected e_lfanew to be a multiple of 4, found {pe:#x}")
    if pe < 4 or pe + 4 + _COFF_HEADER > size:
        raise PEError(f"offset 0x3c: expected e_lfanew inside the file ({size:#x} bytes), found {pe:#x}")
    if data[pe : pe + 4] != b"PE\0\0":
        raise PEError(f"offset {pe:#x}: expected the signature 'PE\\0\\0', found {data[pe : pe + 4]!r}")
    machine, section_count, stamp, symbols, symbol_count, optional_size, characteristics = struct.unpack_from(
        "<HHIIIHH", data, pe + 4
    )
    optional = pe + 4 + _COFF_HEADER
    magic = _magic(data, optional, optional_size)
    fixed = _FIXED[magic]
    if optional_size < fixed or optional + optional_size > size:
        raise PEError(
            f"offset {pe + 20:#x}: expected an optional header of {fixed} bytes or more inside the file, "
            f"found {optional_size} with {size - optional} bytes left"
        )
    section_table = optional + optional_size
    headers_end = section_table + section_count * _SECTION_HEADER
    if headers_end > size:
        raise PEError(
            f"offset {section_table:#x}: expected {section_count} section headers, found {size - section_table} bytes"
        )
    if magic == PE32_PLUS:
        (image_base,) = struct.unpack_from("<Q", data, optional + 24)
    else:
        (image_base,) = struct.unpack_from("<I", data, optional + 28)
    section_alignment, file_alignment = struct.unpack_from("<II", data, optional + 32)
    subsystem_version = struct.unpack_from("<HH", data, optional + 48)
    image_size, headers_size, checksum, subsystem, dll_characteristics = struct.unpack_from(
        "<IIIHH", data, optional + 56
    )
    sections = _sections(data, section_table, section_count, section_alignment)
    return Layout(
        size=size,
        pe_offset=pe,
        magic=magic,
        machine=machine,
        characteristics=characteristics,
        stamp=stamp,
        checksum=checksum,
        image_base=image_base,
        section_alignment=section_alignment,
        file_alignment=file_alignment,
        image_size=image_size,
        headers_size=headers_size,
        headers_end=headers_end,
        subsystem=subsystem,
        subsystem_version=(subsystem_version[0], subsystem_version[1]),
        dll_characteristics=dll_characteristics,
        symbol_table=symbols,
        symbol_count=symbol_count,
        sections=sections,
        section_starts=tuple(section.rva for section in sections),
        directories=_directories(data, optional + fixed, optional_size - fixed),
    )


def _magic(data: bytes, optional: int, optional_size: int) -> int:
    """The optional header's magic, which is PE32 or PE32+ for an image; an object file has no optional header."""
    if optional_size < 2 or optional + 2 > len(data):
        raise PEError(f"offset {optional:#x}: expected an optional header, found {optional_size} bytes of one")
    (magic,) = struct.unpack_from("<H", data, optional)
    if magic not in _FIXED:
        raise PEError(f"offset {optional:#x}: expected the magic 0x10b (PE32) or 0x20b (PE32+), found {magic:#x}")
    return int(magic)


def _sections(data: bytes, table: int, count: int, alignment: int) -> tuple[Section, ...]:
    """The section table; each section must lie in the file and after the one before it in memory."""
    sections = []
    end = 0
    for index in range(count):
        at = table + index * _SECTION_HEADER
        name, virtual_size, rva, raw_size, raw_offset, characteristics = struct.unpack_from("<8sIIII12xI", data, at)
        label = f"section {index + 1} ({name.rstrip(bytes(1))!r}) at offset {at:#x}"
        if raw_size == 0 or raw_offset == 0:
            raw_size = raw_offset = 0
        elif alignment >= _PAGE:
            # The loader maps whole sectors: it rounds the offset down, whatever FileAlignment says.
            raw_offset -= raw_offset % _SECTOR
        if raw_offset + raw_size > len(data):
            raise PEError(
                f"{label}: expected its data inside the file ({len(data):#x} bytes), "
                f"found {raw_size:#x} bytes at {raw_offset:#x}"
            )
        if rva < end:
            raise PEError(f"{label}: expected it to begin at RVA {end:#x} or later, found {rva:#x} (sections overlap)")
        section = Section(name, rva, virtual_size, raw_offset, raw_size, characteristics)
        end = rva + section.mapped_size
        sections.append(section)
    return tuple(sections)


def _directories(data: bytes, table: int, room: int) -> tuple[DataDirectory, ...]:
    """The data directories that both NumberOfRvaAndSizes and the optional header's size leave room for, 16 at most."""
    (declared,) = struct.unpack_from("<I", data, table - 4)
    count = min(declared, 16, room // 8)
    return tuple(DataDirectory(table + 8 * i, *struct.unpack_from("<II", data, table + 8 * i)) for i in range(count))


def is_zero(data: bytes, start: int, end: int) -> bool:
    """True when ``data`` from ``start`` up to ``end`` is nothing but zeros, as padding is."""
    return all(data[at : min(at + len(_ZEROS), end)] == _ZEROS[: end - at] for at in range(start, end, len(_ZEROS)))


def _align(value: int, alignment: int) -> int:
    return -(-value // alignment) * alignment
