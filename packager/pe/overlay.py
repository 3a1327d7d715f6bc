"""What a PE file has behind its last section: no loader maps it. A zip archive there has times in it.

Launchers that pip, distlib and setuptools make are a program, a line with the interpreter's name, and a zip archive.
"""

from __future__ import annotations

from dataclasses import dataclass

from packager.errors import PackagerError, PEError
from packager.formats.fields import Field
from packager.pe.layout import Layout, is_zero
from packager.pe.symbols import read_symbols

#: What the names of fields in an overlay begin with, so that no name in an archive is taken for one of ours.
OVERLAY = "overlay: "

_END_OF_DIRECTORY = b"PK\5\6"
_END_SIZE = 22
_CENTRAL_HEADER = b"PK\1\2"
#: What is remembered of a member takes some 1,000 bytes; all of them may take half the file's size, and a little.
_MEMBER, _LITTLE = 1000, 4 << 20


@dataclass(frozen=True, slots=True)
class Overlay:
    """The overlay's file offsets, and where a zip archive in it seems to end (None: there is none)."""

    start: int
    end: int
    zip_end: int | None


def find_overlay(data: bytes, layout: Layout) -> Overlay | None:
    """What lies behind the sections and the COFF symbols of a file without a signature; zeros alone are padding."""
    start = layout.body_end
    try:
        symbols = read_symbols(data, layout)
    except PEError:
        symbols = None
    if symbols is not None and symbols.end > start and is_zero(data, start, symbols.offset):
        start = symbols.end
    if start >= layout.size or is_zero(data, start, layout.size):
        return None
    at = data.rfind(_END_OF_DIRECTORY, start)
    zip_end = None
    if at >= 0:
        comment = int.from_bytes(data[at + _END_SIZE - 2 : at + _END_SIZE], "little")
        zip_end = at + _END_SIZE + comment
        # What pads a file to a multiple of 8 bytes is no part of the archive.
        if not (zip_end <= layout.size < zip_end + 8 and is_zero(data, zip_end, layout.size)):
            zip_end = layout.size
    return Overlay(start, layout.size, zip_end)


def overlay_fields(data: bytes, layout: Layout, epoch: int) -> tuple[tuple[Field, ...], str | None]:
    """The times of the members of a zip archive in the overlay, or what to say about an overlay that stays as it is.

    It stays when it is no zip archive, and when it is one that cannot be read cleanly.
    """
    overlay = find_overlay(data, layout)
    if overlay is None:
        return (), None
    what = f"overlay of {overlay.end - overlay.start} bytes at {overlay.start:#x}"
    if overlay.zip_end is None:
        return (), f"{what}: stays as it is"
    members = data.count(_CENTRAL_HEADER, overlay.start, overlay.zip_end)
    if members * _MEMBER > layout.size // 2 + _LITTLE:
        return (), f"{what}: a zip archive of {members} members, more than can be remembered, so it stays as it is"
    # Only few files have one.
    from packager.formats import zip as archive

    try:
        found = archive.time_fields(data, overlay.start, overlay.zip_end, epoch)
    except PackagerError as exc:
        return (), f"{what}: a zip archive that cannot be read, so it stays as it is ({exc.message})"
    return tuple(Field(OVERLAY + field.name, field.offset, field.value) for field in found), None
