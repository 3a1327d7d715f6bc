"""COFF symbols: the table that MinGW's linker leaves behind a file's sections, unless told not to (``-s``).

Its ``.file`` records name what the program was compiled from. No loader reads any of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from packager.errors import PEError
from packager.pe.draft import Draft
from packager.pe.layout import Layout, is_zero
from packager.pe.tables import debug_entries

TABLE = "COFF symbol table"
POINTER = "PointerToSymbolTable"
COUNT = "NumberOfSymbols"

_SYMBOL = 18
#: A symbol that names a source file, and its storage class.
_FILE, _FILE_CLASS = b".file\0\0\0", 103
_MOST_FILES = 0x10000
#: What linkers and signers pad a file's end with is shorter than this.
_PADDING = 0x1000
_HINT = "use the toolchain's own strip, or leave the symbols"


@dataclass(frozen=True, slots=True)
class Symbols:
    """Where the symbol table lies (file offset), how many records it has, and where the string table after it ends."""

    offset: int
    count: int
    end: int


def read_symbols(data: bytes, layout: Layout) -> Symbols | None:
    """The symbol and string tables, or None when the headers name none; PEError when they do not fit the file."""
    start, count = layout.symbol_table, layout.symbol_count
    if not start:
        return None
    strings = start + count * _SYMBOL
    if start < layout.headers_end or strings > layout.size:
        raise PEError(
            f"{TABLE} at offset {start:#x}: expected {count} symbols between the headers' end at "
            f"{layout.headers_end:#x} and the file's at {layout.size:#x}"
        )
    # Its own size is in it; a file that ends here, or has zeros here, has no string table.
    size = int.from_bytes(data[strings : strings + 4], "little")
    if strings + size > layout.size:
        raise PEError(
            f"string table at offset {strings:#x}: expected it inside the file ({layout.size:#x} bytes), "
            f"found {size:#x} bytes"
        )
    return Symbols(start, count, strings + size)


def source_files(data: bytes, symbols: Symbols) -> int:
    """How many of the symbols name a source file; after 65,536 places that look like one the search ends."""
    found = 0
    end = symbols.offset + symbols.count * _SYMBOL
    at = symbols.offset - len(_FILE)
    for _ in range(_MOST_FILES):
        at = data.find(_FILE, at + len(_FILE), end)
        if at < 0:
            break
        found += (at - symbols.offset) % _SYMBOL == 0 and data[at + 16] == _FILE_CLASS
    return found


def strip_symbols(draft: Draft, layout: Layout) -> None:
    """Cut the symbol and string tables off, with any padding after them, and zero both header fields.

    Nothing happens to a file without. Raises PEError when something other than padding follows them, when they lie in
    a section or debug data in them, and when a section's name stands in the string table.
    """
    symbols = read_symbols(draft.data, layout)
    if symbols is None:
        if layout.symbol_count:
            draft.put(COUNT, layout.symbols_offset + 4, bytes(4))
        return
    start = symbols.offset
    if layout.size - symbols.end >= _PADDING or not is_zero(draft.data, symbols.end, layout.size):
        raise PEError(
            f"{TABLE} at offset {start:#x}: expected it to be last, "
            f"found {layout.size - symbols.end} bytes after its string table",
            hint=_HINT,
        )
    if layout.body_end > start:
        raise PEError(
            f"{TABLE} at offset {start:#x}: expected it behind all sections, found one that ends at "
            f"{layout.body_end:#x}",
            hint=_HINT,
        )
    for section in layout.sections:
        if section.name[:1] == b"/":
            name = section.name.rstrip(b"\0").decode("ascii", "backslashreplace")
            raise PEError(
                f"{TABLE} at offset {start:#x}: expected no section to have its name in the string table, "
                f"found {name!r}",
                hint=_HINT,
            )
    for entry in debug_entries(draft.data, layout):
        if entry.size and entry.pointer + entry.size > start:
            raise PEError(
                f"debug entry at offset {entry.offset:#x}: expected its data before the {TABLE} at {start:#x}, "
                f"found {entry.size} bytes at {entry.pointer:#x}",
                hint=_HINT,
            )
    draft.put(POINTER, layout.symbols_offset, bytes(4))
    draft.put(COUNT, layout.symbols_offset + 4, bytes(4))
    draft.cut(TABLE, start)
