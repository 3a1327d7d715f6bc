"""Where the volatile fields of a PE file lie, found by pefile alone: nothing of packager.pe is used here.

The names are those that reports have, so that a report can be held against what is found here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pefile

CODEVIEW, REPRO = 2, 16


@dataclass(frozen=True, slots=True)
class Place:
    """A field: its name, file offset, length in bytes, and what must stand there after normalising (None: anything)."""

    name: str
    offset: int
    length: int
    value: bytes | None


class Oracle:
    """One PE file, and what may become of it when it is normalised to ``epoch``."""

    def __init__(self, data: bytes, epoch: int) -> None:
        self.data = data
        self.image = pefile.PE(data=data, fast_load=True)
        # No imports and exports: pefile takes seconds for some, and their stamps are found without.
        wanted = ("RESOURCE", "DEBUG", "DELAY_IMPORT")
        self.image.parse_data_directories([pefile.DIRECTORY_ENTRY[f"IMAGE_DIRECTORY_ENTRY_{name}"] for name in wanted])
        self.debug: list[Any] = [entry.struct for entry in getattr(self.image, "DIRECTORY_ENTRY_DEBUG", ())]
        self.repro = any(entry.Type == REPRO for entry in self.debug)
        self._epoch = struct.pack("<I", epoch)

    @property
    def signed(self) -> bool:
        """There is a certificate table."""
        return bool(self._directory(4).VirtualAddress)

    @property
    def dotnet(self) -> bool:
        """There is a CLR header."""
        return bool(self._directory(14).VirtualAddress)

    @property
    def symbols(self) -> int:
        """Where the COFF symbols begin, 0 where there are none."""
        return int(self.image.FILE_HEADER.PointerToSymbolTable)

    @property
    def long_names(self) -> bool:
        """A section's name stands in the string table behind the COFF symbols."""
        return any(section.Name.startswith(b"/") for section in self.image.sections)

    @property
    def certificates(self) -> int:
        """Where the certificate table begins."""
        return int(self._directory(4).VirtualAddress)

    def places(self) -> Iterator[Place]:
        """Every field that may change while the length stays. In REPRO files each keeps its value, but the checksum."""
        yield Place("CheckSum", self.image.OPTIONAL_HEADER.get_field_absolute_offset("CheckSum"), 4, None)
        for place in self._linked():
            end = place.offset + place.length
            value = self.data[place.offset : end] if self.repro else place.value
            yield Place(place.name, place.offset, place.length, value)

    def entry_of_signature(self) -> Place:
        """The certificate table's entry in the headers, which is zeros when the table has been taken off."""
        return Place("certificate table entry", self._directory(4).get_file_offset(), 8, bytes(8))

    def entries_of_symbols(self) -> tuple[Place, Place]:
        """The two header fields that are zeros when the COFF symbols have been taken off."""
        names = ("PointerToSymbolTable", "NumberOfSymbols")
        header = self.image.FILE_HEADER
        first, second = (Place(name, header.get_field_absolute_offset(name), 4, bytes(4)) for name in names)
        return first, second

    def _linked(self) -> Iterator[Place]:
        header = self.image.FILE_HEADER
        yield Place("COFF TimeDateStamp", header.get_field_absolute_offset("TimeDateStamp"), 4, self._epoch)
        if self._directory(0).VirtualAddress:
            at = self.image.get_offset_from_rva(self._directory(0).VirtualAddress) + 4
            constant = self.data[at : at + 4] == b"\xff\xff\xff\xff"
            yield Place("export directory TimeDateStamp", at, 4, b"\xff\xff\xff\xff" if constant else self._epoch)
        for entry in self.debug:
            at = entry.get_field_absolute_offset("TimeDateStamp")
            yield Place("debug entry TimeDateStamp", at, 4, self._epoch)
            yield from self._codeview(entry)
        yield from self._resources(getattr(self.image, "DIRECTORY_ENTRY_RESOURCE", None))
        for delayed in getattr(self.image, "DIRECTORY_ENTRY_DELAY_IMPORT", ()):
            at = delayed.struct.get_field_absolute_offset("dwTimeStamp")
            yield Place("delay-import TimeDateStamp", at, 4, bytes(4))
        if self._directory(10).VirtualAddress:
            at = self.image.get_offset_from_rva(self._directory(10).VirtualAddress) + 4
            yield Place("load configuration TimeDateStamp", at, 4, bytes(4))

    def _codeview(self, entry: Any) -> Iterator[Place]:
        at, size = entry.PointerToRawData, entry.SizeOfData
        record = self.data[at : at + size]
        if entry.Type != CODEVIEW or record[:4] != b"RSDS":
            assert record[:2] != b"NB" or entry.Type != CODEVIEW, "an old CodeView record: teach this oracle about it"
            return
        yield Place("CodeView GUID", at + 4, 16, None)
        yield Place("CodeView age", at + 20, 4, struct.pack("<I", 1))
        name = record[24:].split(b"\0")[0].replace(b"\\", b"/").split(b"/")[-1]
        yield Place("CodeView path", at + 24, size - 24, name + bytes(size - 24 - len(name)))

    def _resources(self, node: Any) -> Iterator[Place]:
        if node is not None:
            at = node.struct.get_field_absolute_offset("TimeDateStamp")
            yield Place("resource directory TimeDateStamp", at, 4, bytes(4))
            for entry in node.entries:
                yield from self._resources(getattr(entry, "directory", None))

    def _directory(self, index: int) -> Any:
        return self.image.OPTIONAL_HEADER.DATA_DIRECTORY[index]
