"""What a normaliser did to a file, as values: the new bytes, and every run of bytes that is not what it was."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

#: Longer values are shown by their length and hash.
_SHOWN_BYTES = 64


@dataclass(frozen=True, slots=True)
class Change:
    """One run of bytes that was changed: what it is, its file offset, and the bytes before and after.

    ``before`` and ``after`` are of one length, but at the end of the file: what was appended there has an empty
    ``before``, what was cut off an empty ``after``.
    """

    field: str
    offset: int
    before: bytes
    after: bytes


@dataclass(frozen=True, slots=True)
class Normalised:
    """The outcome: the new bytes (the very same object when nothing changed), the changes by offset, and remarks."""

    data: bytes
    changes: tuple[Change, ...]
    notes: tuple[str, ...] = ()


def show_bytes(value: bytes) -> str:
    """A field's bytes for people and for JSON.

    Four bytes are shown as the number they are (``0x67748580``), printable ASCII as a text in quotes, others in
    hexadecimal in file order, and more than 64 as their length and SHA-256.
    """
    if len(value) == 4:
        return f"{int.from_bytes(value, 'little'):#010x}"
    if len(value) > _SHOWN_BYTES:
        return f"{len(value)} bytes, sha256 {hashlib.sha256(value).hexdigest()}"
    if value and all(0x20 <= byte < 0x7F for byte in value):
        return repr(value.decode("ascii"))
    return value.hex()
