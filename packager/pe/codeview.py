"""CodeView records: which .pdb file belongs to an image, as a linker writes it for debuggers.

Two kinds are known. ``RSDS``: a GUID (+4), an age (+20), the .pdb's path (+24). ``NB10``, older: a stamp (+8), an age
(+12), the path (+16). GNU ld's ``--build-id`` makes the former, too. The path is most often that of the machine which
linked the file. Others (``NB09``, ``NB11``: the symbols themselves) are not touched.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from packager.errors import PEError
from packager.formats.fields import Field
from packager.pe.layout import Layout
from packager.pe.tables import DebugEntry, debug_entries

GUID = "CodeView GUID"
AGE = "CodeView age"
PATH = "CodeView path"
STAMP = "CodeView TimeDateStamp"

DEBUG_CODEVIEW = 2

#: What the finder gives as a GUID's value: the right one is known when all fields are.
NO_GUID = bytes(16)

#: Windows' longest path has 32,767 UTF-16 units, three bytes each at most.
_LONGEST = 24 + 3 * 0x8000
_PERSON = b"packager.pe GUID"
_FIRST_AGE = (1).to_bytes(4, "little")


def codeview_fields(data: bytes, layout: Layout, epoch: int) -> Iterator[Field]:
    """The fields of each CodeView record: GUID (as ``NO_GUID``) or stamp (the epoch), age (1), path (its last part).

    A path keeps its size: what comes before its last ``/`` or ``\\`` goes, zeros fill the rest, up to the end of the
    record. Raises PEError when a record does not lie behind the headers and inside the file, is cut off, or is said to
    be in two places.
    """
    seen = set()
    room = layout.size
    for entry in debug_entries(data, layout):
        if entry.kind != DEBUG_CODEVIEW or entry.size < 4:
            continue
        at = _place(layout, entry)
        if (at, entry.size) in seen:
            continue
        seen.add((at, entry.size))
        room -= entry.size
        if room < 0:
            raise PEError(f"CodeView record at offset {at:#x}: expected records that fit the file, found an overlap")
        signature = data[at : at + 4]
        if signature == b"RSDS":
            start = _path_start(entry, at, 24)
            yield Field(GUID, at + 4, NO_GUID)
        elif signature == b"NB10":
            start = _path_start(entry, at, 16)
            yield Field(STAMP, at + 8, epoch.to_bytes(4, "little"))
        else:
            continue
        yield Field(AGE, start - 4, _FIRST_AGE)
        path = data[start : at + entry.size]
        if path:
            yield Field(PATH, start, _last_part(path).ljust(len(path), b"\0"))


def content_guid(data: bytes, masked: Iterable[Field], checksum_offset: int) -> bytes:
    """16 bytes that stand for what ``data`` holds outside the fields ``masked`` and the checksum.

    A BLAKE2b hash of the file, zeros in the place of each field's bytes; the fields come by offset.
    """
    ranges = [(field.offset, field.offset + len(field.value)) for field in masked]
    ranges.append((checksum_offset, checksum_offset + 4))
    # BLAKE2b: no slower than SHA-256 is with a processor's own instructions for it, several times faster without.
    digest = hashlib.blake2b(digest_size=16, person=_PERSON)
    view = memoryview(data)
    done = 0
    for start, end in sorted(ranges):
        digest.update(view[done:start])
        digest.update(bytes(end - start))
        done = end
    digest.update(view[done:])
    return digest.digest()


def _place(layout: Layout, entry: DebugEntry) -> int:
    """The file offset of an entry's data: what the entry says, or, where that is 0, where its RVA lies."""
    what = "CodeView record"
    if not entry.pointer:
        return layout.offset(entry.rva, entry.size, what)
    if entry.pointer < layout.headers_end or entry.pointer + entry.size > layout.size:
        raise PEError(
            f"{what} at offset {entry.pointer:#x}: expected {entry.size} bytes between the headers' end at "
            f"{layout.headers_end:#x} and the file's at {layout.size:#x}"
        )
    mapped = layout.find(entry.rva) if entry.rva else None
    if mapped is not None and mapped != entry.pointer:
        raise PEError(
            f"debug entry at offset {entry.offset:#x}: expected its PointerToRawData to be where its RVA "
            f"{entry.rva:#x} lies, {mapped:#x}, found {entry.pointer:#x}"
        )
    return entry.pointer


def _path_start(entry: DebugEntry, at: int, header: int) -> int:
    if not header <= entry.size <= _LONGEST:
        raise PEError(f"CodeView record at offset {at:#x}: expected {header} to {_LONGEST} bytes, found {entry.size}")
    return at + header


def _last_part(path: bytes) -> bytes:
    text = path.partition(b"\0")[0]
    return text[max(text.rfind(b"/"), text.rfind(b"\\")) + 1 :]
