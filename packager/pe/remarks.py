"""What is worth saying about a file and is not changed in it: one line each, few of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from packager.errors import PEError
from packager.pe.fields import is_repro
from packager.pe.layout import Directory, Layout, is_zero
from packager.pe.symbols import read_symbols, source_files
from packager.pe.tables import debug_entries

_DEBUG_MISC = 4


def remarks(data: bytes, layout: Layout) -> Iterator[str]:
    """The remarks about a file without a signature, whose debug entries have been found to fit."""
    for find in _FINDERS:
        yield from find(data, layout)


def _repro(data: bytes, layout: Layout) -> Iterator[str]:
    if is_repro(data, layout):
        yield "REPRO: its stamps are hashes of the content and stay"


def _symbols(data: bytes, layout: Layout) -> Iterator[str]:
    try:
        symbols = read_symbols(data, layout)
    except PEError as exc:
        yield f"COFF symbols that cannot be read stay ({exc.message})"
        return
    if symbols is not None and (files := source_files(data, symbols)):
        yield f"{symbols.count} COFF symbols name {files} source files and stay; --symbols strip takes them off"


def _misc(data: bytes, layout: Layout) -> Iterator[str]:
    if any(entry.kind == _DEBUG_MISC and entry.size for entry in debug_entries(data, layout)):
        yield "debug data of type MISC (the name of a .dbg file) stays"


def _clr(_data: bytes, layout: Layout) -> Iterator[str]:
    if layout.directory(Directory.CLR) is not None:
        yield ".NET: the module version id is not looked at"


def _tails(data: bytes, layout: Layout) -> Iterator[str]:
    """Bytes that a section has in the file behind what is used of it in memory."""
    room = layout.size
    names = []
    for section in layout.sections:
        tail = section.raw_size - section.mapped_size
        if tail <= 0 or room < tail:
            continue
        room -= tail
        end = section.raw_offset + section.raw_size
        if not is_zero(data, end - tail, end):
            names.append(section.name.rstrip(b"\0").decode("ascii", "backslashreplace"))
    if names:
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        yield f"bytes behind the used part of section {', '.join(names[:3])}{more} stay"


_FINDERS: tuple[Callable[[bytes, Layout], Iterator[str]], ...] = (_repro, _symbols, _misc, _clr, _tails)
