"""Python's compiled modules (``.pyc``) as PEP 552 has them, of Python 3.7 and later."""

from __future__ import annotations

import hashlib

from packager.changes import Normalised
from packager.formats.errors import FormatError
from packager.formats.fields import Field, patch

_HEADER = 16
_TIMESTAMP, _UNCHECKED, _CHECKED = 0, 0b01, 0b11
#: The second half of every magic number: a file copied as text does not come out whole.
_MAGIC_END = b"\r\n"
#: The magic numbers of Python 3.0 to 3.6, whose files have a time where later ones have the flags.
_BEFORE_FLAGS = range(3000, 3392)
#: How marshal begins a code object, but for the bit that says whether it is referred to later.
_CODE, _REFERRED = ord("c"), 0x80


def normalise(data: bytes, epoch: int) -> Normalised:
    """Normalise a ``.pyc``, in place: none depends on when its source was written; ``epoch`` has no part in it.

    One that has its source's time and size (flags 0) becomes one with an unchecked hash: written are the flags (+4, 4
    bytes), to 1, and the hash (+8, 8 bytes), to the beginning of the code's SHA-256. Python never compares an
    unchecked hash with anything, so any value that depends on nothing but the code will do; the one that Python itself
    writes is a hash of the source, which is not at hand. Python then no longer notices when the source is changed. One
    that has a hash already (flags 1, 3) stays as it is. The code is not looked at.

    Raises FormatError for other flags, for a magic number that is none or of a Python before 3.7, and when no code
    follows.
    """
    if len(data) <= _HEADER:
        raise FormatError.at(0, f"a header of {_HEADER} bytes and code", f"{len(data)} bytes")
    if data[2:4] != _MAGIC_END:
        raise FormatError.at(2, f"{_MAGIC_END!r}, the end of Python's magic number", repr(data[2:4]))
    magic = int.from_bytes(data[:2], "little")
    if magic in _BEFORE_FLAGS:
        raise FormatError.at(0, "a magic number of Python 3.7 or later", f"{magic}, which is of an earlier one")
    flags = int.from_bytes(data[4:8], "little")
    if flags not in (_TIMESTAMP, _UNCHECKED, _CHECKED):
        raise FormatError.at(4, "flags 0, 1 or 3", f"{flags:#x}", hint="compile it with Python 3.7 or later")
    if data[_HEADER] & ~_REFERRED != _CODE:
        raise FormatError.at(_HEADER, "a code object", f"a byte {data[_HEADER]:#04x}")
    if flags != _TIMESTAMP:
        return Normalised(data, ())
    digest = hashlib.sha256(memoryview(data)[_HEADER:]).digest()[:8]
    return patch(data, (Field("flags", 4, _UNCHECKED.to_bytes(4, "little")), Field("source hash", 8, digest)))
