"""What a PE image says of itself, field by field, each with its place: what a comparison has names for.

Every function here reads one image and returns its facts; :mod:`packager.diff.pe` compares two lists of them.
"""

from __future__ import annotations

import struct
import uuid
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from packager.errors import PEError
from packager.pe.fields import COFF, is_repro, volatile_fields
from packager.pe.imports import read_image
from packager.pe.layout import Directory, Layout

CHECKSUM = "CheckSum"

#: How a fact's value is shown: a number, one in hexadecimal, a time, a set of flags, a text, bytes by their differing
#: ranges; or only that it is there.
Kind = Literal["number", "hex", "stamp", "flags", "text", "blob", "present"]

#: What makes all else differ, what differs of its own, what mostly follows from other differences, what always does.
KIND, CAUSE, CONSEQUENCE, SUM = 0, 1, 2, 3

MACHINE_FLAGS = {
    0x0001: "RELOCS_STRIPPED",
    0x0002: "EXECUTABLE_IMAGE",
    0x0004: "LINE_NUMS_STRIPPED",
    0x0008: "LOCAL_SYMS_STRIPPED",
    0x0020: "LARGE_ADDRESS_AWARE",
    0x0100: "32BIT_MACHINE",
    0x0200: "DEBUG_STRIPPED",
    0x1000: "SYSTEM",
    0x2000: "DLL",
}
DLL_FLAGS = {
    0x0020: "HIGH_ENTROPY_VA",
    0x0040: "DYNAMIC_BASE",
    0x0080: "FORCE_INTEGRITY",
    0x0100: "NX_COMPAT",
    0x0200: "NO_ISOLATION",
    0x0400: "NO_SEH",
    0x0800: "NO_BIND",
    0x1000: "APPCONTAINER",
    0x2000: "WDM_DRIVER",
    0x4000: "GUARD_CF",
    0x8000: "TERMINAL_SERVER_AWARE",
}
SECTION_FLAGS = {
    0x00000020: "CNT_CODE",
    0x00000040: "CNT_INITIALIZED_DATA",
    0x00000080: "CNT_UNINITIALIZED_DATA",
    0x02000000: "MEM_DISCARDABLE",
    0x04000000: "MEM_NOT_CACHED",
    0x08000000: "MEM_NOT_PAGED",
    0x10000000: "MEM_SHARED",
    0x20000000: "MEM_EXECUTE",
    0x40000000: "MEM_READ",
    0x80000000: "MEM_WRITE",
}
_SUBSYSTEMS = {
    1: "native",
    2: "GUI",
    3: "console",
    9: "Windows CE",
    10: "EFI application",
    11: "EFI boot driver",
    12: "EFI runtime driver",
}
_DIRECTORIES = (
    "EXPORT", "IMPORT", "RESOURCE", "EXCEPTION", "CERTIFICATE", "BASE_RELOCATION", "DEBUG", "ARCHITECTURE",
    "GLOBAL_PTR", "TLS", "LOAD_CONFIG", "BOUND_IMPORT", "IAT", "DELAY_IMPORT", "CLR", "RESERVED",
)  # fmt: skip
_DEBUG_TYPES = {
    1: "COFF", 3: "FPO", 4: "MISC", 9: "BORLAND", 12: "VC_FEATURE", 13: "POGO", 14: "ILTCG", 16: "REPRO",
    17: "EMBEDDED_PDB", 19: "PDBCHECKSUM", 20: "EX_DLLCHARACTERISTICS",
}  # fmt: skip
_CODEVIEW = 2
_DEBUG_ENTRY = struct.Struct("<IIHHIIII")
_MOST_ENTRIES = 0x1000
_SYMBOL = 18


@dataclass(frozen=True, slots=True)
class Fact:
    """One field of an image: its name, its value, and the bytes of the file that it is (offset, length).

    Facts of the same name are told apart by their order. ``rank`` is one of KIND, CAUSE, CONSEQUENCE and SUM.
    """

    name: str
    value: int | str | bytes
    kind: Kind
    offset: int
    length: int = 0
    rank: int = CAUSE
    flags: Mapping[int, str] | None = None


#: Headers' fields: name, offset and size in PE32, in PE32+ (from the signature on), kind, rank.
_Row = tuple[str, int, int, int, int, Kind, int]
_FIELDS: tuple[_Row, ...] = (
    ("number of sections", 6, 2, 6, 2, "number", CONSEQUENCE),
    (COFF, 8, 4, 8, 4, "stamp", CAUSE),
    ("PointerToSymbolTable", 12, 4, 12, 4, "hex", CONSEQUENCE),
    ("NumberOfSymbols", 16, 4, 16, 4, "number", CONSEQUENCE),
    ("SizeOfOptionalHeader", 20, 2, 20, 2, "hex", CONSEQUENCE),
    ("SizeOfCode", 28, 4, 28, 4, "hex", CONSEQUENCE),
    ("SizeOfInitializedData", 32, 4, 32, 4, "hex", CONSEQUENCE),
    ("SizeOfUninitializedData", 36, 4, 36, 4, "hex", CONSEQUENCE),
    ("AddressOfEntryPoint", 40, 4, 40, 4, "hex", CONSEQUENCE),
    ("BaseOfCode", 44, 4, 44, 4, "hex", CONSEQUENCE),
    ("BaseOfData", 48, 4, 48, 0, "hex", CONSEQUENCE),
    ("ImageBase", 52, 4, 48, 8, "hex", CAUSE),
    ("SectionAlignment", 56, 4, 56, 4, "hex", CAUSE),
    ("FileAlignment", 60, 4, 60, 4, "hex", CAUSE),
    ("Win32VersionValue", 76, 4, 76, 4, "hex", CAUSE),
    ("SizeOfImage", 80, 4, 80, 4, "hex", CONSEQUENCE),
    ("SizeOfHeaders", 84, 4, 84, 4, "hex", CONSEQUENCE),
    (CHECKSUM, 88, 4, 88, 4, "hex", SUM),
    ("stack reserve", 96, 4, 96, 8, "hex", CAUSE),
    ("stack commit", 100, 4, 104, 8, "hex", CAUSE),
    ("heap reserve", 104, 4, 112, 8, "hex", CAUSE),
    ("heap commit", 108, 4, 120, 8, "hex", CAUSE),
    ("LoaderFlags", 112, 4, 128, 4, "hex", CAUSE),
    ("NumberOfRvaAndSizes", 116, 4, 132, 4, "number", CAUSE),
)


def header_facts(data: bytes, layout: Layout) -> Iterator[Fact]:
    """The DOS header's pointer, the file header, the optional header and the data directories."""
    at = layout.pe_offset
    yield Fact("e_lfanew", at, "hex", 0x3C, 4, CONSEQUENCE)
    yield Fact("machine", layout.machine_name, "text", at + 4, 2, KIND)
    yield Fact("format", "PE32+" if layout.is_plus else "PE32", "text", at + 24, 2, KIND)
    for name, offset32, size32, offset64, size64, kind, rank in _FIELDS:
        offset, size = (offset64, size64) if layout.is_plus else (offset32, size32)
        if size:
            value = int.from_bytes(data[at + offset : at + offset + size], "little")
            # A hash in place of a time has no date.
            shown: Kind = "hex" if kind == "stamp" and _repro(data, layout) else kind
            yield Fact(name, value, shown, at + offset, size, rank)
    yield Fact("characteristics", layout.characteristics, "flags", at + 22, 2, flags=MACHINE_FLAGS)
    yield Fact("linker version", f"{data[at + 26]}.{data[at + 27]}", "text", at + 26, 2)
    for what, offset in (("operating system version", 64), ("image version", 68), ("subsystem version", 72)):
        major, minor = struct.unpack_from("<HH", data, at + offset)
        yield Fact(what, f"{major}.{minor}", "text", at + offset, 4)
    subsystem = _SUBSYSTEMS.get(layout.subsystem, str(layout.subsystem))
    yield Fact("subsystem", subsystem, "text", at + 92, 2)
    yield Fact("DllCharacteristics", layout.dll_characteristics, "flags", at + 94, 2, flags=DLL_FLAGS)
    for name, entry in zip(_DIRECTORIES, layout.directories, strict=False):
        if entry:
            place = f"{entry.rva:#x}+{entry.size:#x}"
            yield Fact(f"data directory {name}", place, "text", entry.offset, 8, CONSEQUENCE)


def rich_facts(data: bytes, layout: Layout) -> Iterator[Fact]:
    """The DOS stub, and behind it what Microsoft's linker says of the tools used, which has no public format.

    The Rich header is pairs of tool and count, all xor-ed with the key that follows its end mark.
    """
    end = data.rfind(b"Rich", 0x40, layout.pe_offset - 4)
    start = layout.pe_offset
    if end >= 0:
        key = data[end + 4 : end + 8]
        begin = data.find(bytes(x ^ y for x, y in zip(b"DanS", key, strict=True)), 0x40, end)
        if begin >= 0 and (end - begin) % 4 == 0:
            start = begin
            mask = int.from_bytes(key, "little")
            numbers = [number ^ mask for (number,) in struct.iter_unpack("<I", data[begin:end])]
            # Three numbers of padding come before the pairs.
            pairs = list(zip(numbers[4::2], numbers[5::2], strict=False))
            tools = ", ".join(f"tool {tool >> 16:#x} build {tool & 0xFFFF}" for tool, _count in pairs)
            yield Fact("Rich header", tools, "text", begin)
            counts = ", ".join(str(count) for count in (*numbers[1:4], *(count for _tool, count in pairs)))
            yield Fact("Rich header's counts", f"{counts}; key {mask:#x}", "text", begin, end + 8 - begin, CONSEQUENCE)
    yield Fact("DOS stub", data[0x40:start], "blob", 0x40, max(start - 0x40, 0))


def debug_facts(data: bytes, layout: Layout) -> Iterator[Fact]:
    """What the debug directory points to: CodeView's GUID, age and path one by one, all else as bytes."""
    directory = layout.directory(Directory.DEBUG)
    if directory is None or directory.rva == 0:
        return
    count = min(directory.size // _DEBUG_ENTRY.size, _MOST_ENTRIES)
    start = layout.offset(directory.rva, count * _DEBUG_ENTRY.size, "debug directory")
    room = len(data)
    for entry in range(start, start + count * _DEBUG_ENTRY.size, _DEBUG_ENTRY.size):
        *_, kind, size, _rva, at = _DEBUG_ENTRY.unpack_from(data, entry)
        room -= size
        if at == 0 or at + size > len(data) or room < 0:
            continue
        payload = data[at : at + size]
        if kind == _CODEVIEW and payload[:4] == b"RSDS" and size >= 24:
            yield Fact("CodeView GUID", str(uuid.UUID(bytes_le=payload[4:20])), "text", at + 4, 16)
            yield Fact("CodeView age", int.from_bytes(payload[20:24], "little"), "number", at + 20, 4)
            text = payload[24:].partition(b"\0")[0]
            yield Fact("CodeView path", text.decode("utf-8", "backslashreplace"), "text", at + 24, len(text))
        else:
            yield Fact(f"debug entry {_DEBUG_TYPES.get(kind, kind)}", payload, "blob", at, size)


def volatile_facts(data: bytes, layout: Layout, known: Iterable[Fact]) -> Iterator[Fact]:
    """The fields that the normaliser writes, but for those that ``known`` facts are about already.

    Raises PEError where it would: for bound imports, and tables that are broken or overlap.
    """
    fields = volatile_fields(data, layout, 0)
    named = merged((fact.offset, fact.offset + fact.length) for fact in known if fact.length)
    starts = [start for start, _end in named]
    kind: Kind = "hex" if _repro(data, layout) else "stamp"
    for field in fields:
        end = field.offset + len(field.value)
        index = bisect_left(starts, end) - 1
        if index >= 0 and named[index][1] > field.offset:
            continue
        value = data[field.offset : end]
        if len(value) == 4 and "TimeDateStamp" in field.name:
            stamp = int.from_bytes(value, "little")
            rank = CONSEQUENCE if stamp == layout.stamp else CAUSE
            yield Fact(field.name, stamp, kind, field.offset, 4, rank)
        else:
            yield Fact(field.name, value, "blob", field.offset, len(value))


def symbol_facts(data: bytes, layout: Layout) -> Iterator[Fact]:
    """Imported and exported functions, by name; the order of either has no meaning here.

    Raises PEError when the tables are broken.
    """
    image = read_image(data)
    at = _place(layout, Directory.IMPORT)
    for dll in image.imports:
        word = "delayed import" if dll.delayed else "import"
        for symbol in dll.symbols:
            yield Fact(f"{word} {dll.name}!{symbol}", "", "present", at)
        if not dll.symbols:
            yield Fact(f"{word} {dll.name}", "", "present", at)
    at = _place(layout, Directory.EXPORT)
    if image.dll_name is not None:
        yield Fact("exported DLL name", image.dll_name, "text", at)
    for export in image.exports:
        target = f"forwarded to {export.forwarder}" if export.forwarder else f"ordinal {export.ordinal}"
        yield Fact(f"export {export.name or f'#{export.ordinal}'}", target, "text", at)


def tail_facts(data: bytes, layout: Layout) -> Iterator[Fact]:
    """What lies behind the sections: COFF symbols with their names, certificates, and the rest, the overlay."""
    start = sections_end(layout)
    taken: list[tuple[int, int]] = []
    symbols = layout.symbol_table
    if start <= symbols < layout.size:
        (count,) = struct.unpack_from("<I", data, layout.pe_offset + 16)
        end = symbols + count * _SYMBOL
        end += int.from_bytes(data[end : end + 4], "little") if end + 4 <= layout.size else 0
        end = min(end, layout.size)
        taken.append((symbols, end))
        yield Fact("COFF symbol table", data[symbols:end], "blob", symbols, end - symbols)
    certificate = layout.directory(Directory.CERTIFICATE)
    if certificate is not None and start <= certificate.rva < layout.size:
        end = min(certificate.rva + certificate.size, layout.size)
        taken.append((certificate.rva, end))
        yield Fact("certificate", data[certificate.rva : end], "blob", certificate.rva, end - certificate.rva)
    for begin, end in gaps(start, layout.size, taken):
        yield Fact("overlay", data[begin:end], "blob", begin, end - begin)


def sections_end(layout: Layout) -> int:
    """Where in the file the last section, or the headers, end."""
    ends = [section.raw_offset + section.raw_size for section in layout.sections]
    return min(max([layout.headers_end, *ends]), layout.size)


def gaps(start: int, end: int, taken: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """What is left of ``start`` to ``end`` without the spans that are taken."""
    for first, last in sorted(taken):
        if start < first < end:
            yield start, first
        start = max(start, last)
    if start < end:
        yield start, end


def merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The spans in order, those that touch or overlap as one."""
    found: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def section_names(data: bytes, layout: Layout) -> list[str]:
    """The sections' names; a long one, ``/123``, is read from behind the COFF symbols."""
    names = []
    (count,) = struct.unpack_from("<I", data, layout.pe_offset + 16)
    table = layout.symbol_table + count * _SYMBOL
    for section in layout.sections:
        raw = section.name.rstrip(b"\0")
        if raw[:1] == b"/" and raw[1:].isdigit() and layout.symbol_table:
            at = table + int(raw[1:])
            long = data[at : at + 64].partition(b"\0")[0]
            raw = long or raw
        names.append(raw.decode("utf-8", "backslashreplace"))
    return names


def _repro(data: bytes, layout: Layout) -> bool:
    try:
        return is_repro(data, layout)
    except PEError:
        return False


def _place(layout: Layout, which: Directory) -> int:
    directory = layout.directory(which)
    try:
        return layout.span(directory.rva, "data directory")[0] if directory is not None else 0
    except PEError:
        return 0
