"""COFF objects (``.o``, ``.obj``) and what import libraries have in their place, alone or as an archive's member.

Layouts: Microsoft's "PE Format" (COFF file header, import header) and ``ANON_OBJECT_HEADER`` in ``winnt.h``.
"""

from __future__ import annotations

import struct

from packager.changes import Normalised
from packager.formats.errors import FormatError
from packager.formats.fields import Field, patch

OBJECT = "COFF TimeDateStamp"
SHORT_IMPORT = "short import TimeDateStamp"
ANONYMOUS = "object header TimeDateStamp"

#: IMAGE_FILE_MACHINE_*: x86, MIPS, ARM, PowerPC, IA-64, EFI byte code, RISC-V, LoongArch, x64, ARM64 (EC, X).
MACHINES = frozenset(
    {
        0x014C, 0x0162, 0x0166, 0x0169, 0x01C0, 0x01C2, 0x01C4, 0x01F0, 0x0200, 0x0EBC, 0x5032, 0x5064, 0x5128,
        0x6232, 0x6264, 0x8664, 0xA641, 0xA64E, 0xAA64,
    }
)  # fmt: skip

#: Objects of ``/GL`` need not name their machine.
_ANON_MACHINES = MACHINES | {0}

_ZERO = bytes(4)
_HEADER = struct.Struct("<HHIIIHH")
_SECTION, _SYMBOL = 40, 18
#: What stands where an object has its machine and number of sections: IMAGE_FILE_MACHINE_UNKNOWN and 0xFFFF.
_NO_OBJECT = b"\0\0\xff\xff"
_SHORT = struct.Struct("<4sHHIIHH")
_ANON = struct.Struct("<4sHHI16sI")
_BIGOBJ = bytes.fromhex("c7a1bad1eebaa94baf20faf66aa4dcb8")
_BIG = struct.Struct("<IIIII")
_BIG_SYMBOL = 20


def normalise(data: bytes, epoch: int) -> Normalised:
    """Normalise one object file, in place.

    Written is the TimeDateStamp, to zero (whatever ``epoch``), which is what binutils writes: at +4 of a COFF header,
    at +8 of a short import's or of an anonymous object's (``/bigobj``, ``/GL``). Raises FormatError when ``data`` is
    not such a file or its tables do not fit in it.
    """
    field = stamp(data, 0, len(data))
    if field is None:
        raise FormatError.at(0, "a COFF object whose tables lie in the file", f"{data[:8].hex(' ') or 'nothing'}")
    return patch(data, (field,))


def may_be_object(head: bytes) -> bool:
    """True when a file that begins with ``head`` (8 bytes will do) has an object's or anonymous object's numbers."""
    if head[:4] == _NO_OBJECT:
        version, machine = struct.unpack_from("<HH", head.ljust(8, b"\0"), 4)
        return version in (1, 2) and machine in _ANON_MACHINES
    return len(head) >= 4 and int.from_bytes(head[:2], "little") in MACHINES


def stamp(data: bytes, start: int, end: int) -> Field | None:
    """The stamp of the object that is ``data[start:end]``, with zero as its value; None when that is no object."""
    size = end - start
    if size >= _SHORT.size and data[start : start + 4] == _NO_OBJECT:
        return _anonymous(data, start, size)
    if size < _HEADER.size:
        return None
    machine, sections, _stamp, symbols_at, symbols, optional, _flags = _HEADER.unpack_from(data, start)
    headers = _HEADER.size + optional + _SECTION * sections
    if machine not in MACHINES or headers > size or not _table_fits(symbols_at, symbols * _SYMBOL, headers, size):
        return None
    return Field(OBJECT, start + 4, _ZERO)


def _anonymous(data: bytes, start: int, size: int) -> Field | None:
    _, version, machine, _stamp, length, _hint, _kind = _SHORT.unpack_from(data, start)
    if version == 0:
        fits = machine in MACHINES and _SHORT.size + length <= size
        return Field(SHORT_IMPORT, start + 8, _ZERO) if fits else None
    if version > 2 or size < _ANON.size or machine not in _ANON_MACHINES:
        return None
    class_id = data[start + 12 : start + 28]
    if version == 2 and class_id == _BIGOBJ:
        if size < _ANON.size + 4 + _BIG.size:
            return None
        _meta_size, _meta_at, sections, symbols_at, symbols = _BIG.unpack_from(data, start + 36)
        headers = _ANON.size + 4 + _BIG.size + _SECTION * sections
        if headers > size or not _table_fits(symbols_at, symbols * _BIG_SYMBOL, headers, size):
            return None
    return Field(ANONYMOUS, start + 8, _ZERO)


def _table_fits(offset: int, length: int, after: int, size: int) -> bool:
    """Whether a symbol table lies between the headers and the object's end, or there is none."""
    return length == 0 if offset == 0 else after <= offset and offset + length <= size
