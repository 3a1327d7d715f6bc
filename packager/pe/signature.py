"""Authenticode signatures: whether a file has one, and taking it off."""

from __future__ import annotations

from packager.errors import PEError
from packager.pe.draft import Draft
from packager.pe.layout import DataDirectory, Directory, Layout


def certificate_table(layout: Layout) -> DataDirectory | None:
    """The entry of the certificate table, whose ``rva`` is a file offset; None when the file is not signed.

    Raises PEError when the table does not lie behind the headers and inside the file.
    """
    entry = layout.directory(Directory.CERTIFICATE)
    if entry is None:
        return None
    if entry.rva < layout.headers_end or entry.rva + entry.size > layout.size or entry.size == 0:
        raise PEError(
            f"offset {entry.offset:#x}: expected a certificate table between {layout.headers_end:#x} and the file's "
            f"end at {layout.size:#x}, found {entry.size:#x} bytes at {entry.rva:#x}"
        )
    return entry


def strip_signature(draft: Draft, layout: Layout, entry: DataDirectory) -> None:
    """Cut the file off where its certificate table begins and zero the table's entry; the checksum is not touched.

    What a signer put before the table to align it to 8 bytes stays: nothing in the file says how much of it was there
    before. Raises PEError when the table is not aligned, not the last thing in the file, or inside a section.
    """
    if entry.rva % 8:
        raise PEError(f"certificate table at offset {entry.rva:#x}: expected a multiple of 8 bytes")
    after = layout.size - (entry.rva + entry.size)
    if after:
        raise PEError(f"certificate table at offset {entry.rva:#x}: expected it to be last, found {after} bytes after")
    for section in layout.sections:
        if section.raw_offset + section.raw_size > entry.rva:
            raise PEError(
                f"certificate table at offset {entry.rva:#x}: expected it behind all sections, found one that ends at "
                f"{section.raw_offset + section.raw_size:#x}"
            )
    draft.put("certificate table entry", entry.offset, bytes(8))
    draft.cut("certificate table", entry.rva)
