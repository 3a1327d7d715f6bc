"""What a PE image asks of other DLLs and offers to them, and what kind of image it is: facts, no judgement.

Imports and exports are never cut short. Names and tables that would take more bytes than the file has can only overlap
one another; they are refused with :class:`~packager.errors.PEError`, as are more symbols than any real file has.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from packager.errors import PEError
from packager.pe.layout import Directory, Layout, read_layout
from packager.pe.tables import delay_descriptors, import_descriptors

#: Exports are numbered with 16 bits wherever they are used.
_MOST_FUNCTIONS = 0x10000
#: Imported functions, or exported names, in one file; the largest seen have some 25,000.
_MOST_SYMBOLS = 0x40000
_CHUNK = 256


@dataclass(frozen=True, slots=True)
class Symbol:
    """One imported function: by name (``ordinal`` is None) or by ordinal (``name`` is None)."""

    name: str | None
    ordinal: int | None

    def __str__(self) -> str:
        return f"#{self.ordinal}" if self.name is None else self.name


@dataclass(frozen=True, slots=True)
class ImportedDll:
    """One DLL by the name that the file has for it, and the functions wanted of it; ``delayed`` until first called."""

    name: str
    symbols: tuple[Symbol, ...]
    delayed: bool


@dataclass(frozen=True, slots=True)
class Export:
    """One exported function: its ordinal, its name if it has one, its RVA, or ``DLL.name`` where it is forwarded."""

    ordinal: int
    name: str | None
    rva: int
    forwarder: str | None


@dataclass(frozen=True, slots=True)
class Image:
    """The facts about one PE image. ``dll_name`` is what its export table calls it."""

    machine: str
    is_plus: bool
    is_dll: bool
    subsystem: int
    subsystem_version: tuple[int, int]
    dll_characteristics: int
    imports: tuple[ImportedDll, ...]
    exports: tuple[Export, ...]
    dll_name: str | None

    @property
    def imported_names(self) -> tuple[str, ...]:
        """The DLL names that the image imports, delay-loaded or not, each as written, in the file's order."""
        return tuple(dict.fromkeys(dll.name for dll in self.imports))


def read_image(data: bytes) -> Image:
    """Read the facts out of the bytes of a PE file; PEError when it is not one or its tables are broken."""
    layout = read_layout(data)
    reader = _Reader(data, layout)
    dll_name, exports = _exports(reader)
    return Image(
        machine=layout.machine_name,
        is_plus=layout.is_plus,
        is_dll=layout.is_dll,
        subsystem=layout.subsystem,
        subsystem_version=layout.subsystem_version,
        dll_characteristics=layout.dll_characteristics,
        imports=_imports(reader),
        exports=exports,
        dll_name=dll_name,
    )


@dataclass(slots=True)
class _Reader:
    """Reads names and tables by RVA, and keeps count: all of them together must fit into the file."""

    data: bytes
    layout: Layout
    names_left: int = field(init=False)
    symbols_left: int = field(init=False, default=_MOST_SYMBOLS)
    tables_left: int = field(init=False)
    known: dict[int, str] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        # The end of the last name may lie in mapped zeros.
        self.names_left = self.tables_left = len(self.data) + _CHUNK

    def name(self, rva: int, what: str) -> str:
        """The zero-terminated text at ``rva``; bytes that are not UTF-8 are shown as ``\\x..``."""
        if (known := self.known.get(rva)) is not None:
            return known
        offset, stored, zeros = self.layout.span(rva, what)
        end = self.data.find(b"\0", offset, offset + min(stored, self.names_left))
        if end < 0:
            if stored > self.names_left:
                raise PEError(f"{what} at offset {offset:#x}: expected names that fit the file, found overlapping ones")
            if not zeros:
                raise PEError(f"{what} at offset {offset:#x}: expected a zero byte at its end, found the section's end")
            end = offset + stored
        self.names_left -= end - offset
        text = self.data[offset:end].decode("utf-8", "backslashreplace")
        self.known[rva] = text
        return text

    def thunks(self, rva: int, width: int, what: str) -> list[int]:
        """The numbers of ``width`` bytes at ``rva`` up to the first 0."""
        offset, stored, zeros = self.layout.span(rva, what)
        found: list[int] = []
        step = struct.Struct("<Q" if width == 8 else "<I")
        for at in range(offset, offset + stored - width + 1, width):
            (value,) = step.unpack_from(self.data, at)
            if not value:
                break
            found.append(value)
            if len(found) * width > self.tables_left:
                raise PEError(f"{what} at offset {offset:#x}: expected tables that fit the file, found an overlap")
            if len(found) > self.symbols_left:
                raise PEError(f"{what} at offset {offset:#x}: expected {_MOST_SYMBOLS} at most in all, found more")
        else:
            if not zeros:
                raise PEError(f"{what} at offset {offset:#x}: expected a zero entry last, found the section's end")
        self.tables_left -= len(found) * width
        self.symbols_left -= len(found)
        return found

    def numbers(self, rva: int, count: int, code: str, what: str) -> tuple[int, ...]:
        """``count`` numbers of struct's type ``code`` at ``rva``."""
        if count == 0:
            return ()
        size = struct.calcsize(code) * count
        if size > self.tables_left or count > _MOST_SYMBOLS:
            raise PEError(f"{what} at RVA {rva:#x}: expected a table that fits the file, found {count} entries")
        self.tables_left -= size
        return struct.unpack(f"<{count}{code}", self.layout.read(self.data, rva, size, what))


def _imports(reader: _Reader) -> tuple[ImportedDll, ...]:
    data, layout = reader.data, reader.layout
    found = []
    for entry in import_descriptors(data, layout):
        name = reader.name(entry.name, "imported DLL's name")
        if not entry.lookup_table and entry.stamp:
            raise PEError(f"import of {name} at offset {entry.offset:#x}: expected names, found only bound addresses")
        table = entry.lookup_table or entry.address_table
        found.append(ImportedDll(name, _symbols(reader, table, 0, name), delayed=False))
    for delayed in delay_descriptors(data, layout):
        name = reader.name(delayed.name, "delay-loaded DLL's name")
        base = 0 if delayed.by_rva else layout.image_base
        found.append(ImportedDll(name, _symbols(reader, delayed.lookup_table, base, name), delayed=True))
    return tuple(found)


def _symbols(reader: _Reader, table: int, base: int, dll: str) -> tuple[Symbol, ...]:
    """The functions of one look-up table; ``base`` is taken off addresses where the table has those."""
    width = 8 if reader.layout.is_plus else 4
    by_ordinal = 1 << (8 * width - 1)
    symbols = []
    for value in reader.thunks(table, width, f"imports of {dll}"):
        if value & by_ordinal:
            symbols.append(Symbol(None, value & 0xFFFF))
        else:
            # Two bytes of hint come before the name.
            symbols.append(Symbol(reader.name(value - base + 2, f"name imported from {dll}"), None))
    return tuple(symbols)


def _exports(reader: _Reader) -> tuple[str | None, tuple[Export, ...]]:
    directory = reader.layout.directory(Directory.EXPORT)
    if directory is None or directory.rva == 0:
        return None, ()
    header = reader.layout.read(reader.data, directory.rva, 40, "export directory")
    name, base, functions, names, addresses, name_table, ordinal_table = struct.unpack_from("<7I", header, 12)
    if functions > _MOST_FUNCTIONS:
        raise PEError(
            f"export directory at RVA {directory.rva:#x}: expected {_MOST_FUNCTIONS} functions at most, "
            f"found {functions}"
        )
    rvas = reader.numbers(addresses, functions, "I", "table of exported functions")
    texts = reader.numbers(name_table, names, "I", "table of exported names")
    indices = reader.numbers(ordinal_table, names, "H", "table of exported names' ordinals")
    exports = []
    named = set()
    end = directory.rva + directory.size
    for text, index in zip(texts, indices, strict=True):
        if index >= functions:
            raise PEError(f"exported name at RVA {text:#x}: expected an index below {functions}, found {index}")
        named.add(index)
        label = reader.name(text, "exported name")
        exports.append(_export(reader, base + index, label, rvas[index], directory.rva, end))
    for index, rva in enumerate(rvas):
        if rva and index not in named:
            exports.append(_export(reader, base + index, None, rva, directory.rva, end))
    exports.sort(key=lambda export: (export.ordinal, export.name or ""))
    return (reader.name(name, "name in the export directory") if name else None), tuple(exports)


def _export(reader: _Reader, ordinal: int, name: str | None, rva: int, start: int, end: int) -> Export:
    """One export; an address inside the export directory itself is not code but the text of a forwarder."""
    forwarder = reader.name(rva, "forwarder") if start <= rva < end else None
    return Export(ordinal, name, rva, forwarder)
