"""Fields of a file that are to hold certain bytes, and the one way in which they are written: in place."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass

from packager.changes import Change, Normalised
from packager.errors import SpecError
from packager.formats.errors import FormatError

LAST_EPOCH = 0xFFFFFFFF

#: A file with more changes must be large enough to make up for what is remembered of each, in bytes. Of 1,554 real zip
#: archives the densest has 470 bytes for a member, which has two.
_MANY = 1 << 15
_COST = 280
#: Values that are kept once however often they are met; most archives have few different times.
_KNOWN = 1024


@dataclass(frozen=True, slots=True)
class Field:
    """One volatile field: what it is, its file offset, and the bytes that belong there."""

    name: str
    offset: int
    value: bytes


def patch(data: bytes, fields: Iterable[Field], notes: tuple[str, ...] = (), many: int = _MANY) -> Normalised:
    """``data`` with each of ``fields`` in its place; they come by offset and lie in ``data``.

    In memory are the old bytes, the new ones, and the changes: up to ``many``, or as many as take up twice ``data``.
    Raises FormatError when there are more, and when two fields overlap.
    """
    changes: list[Change] = []
    known: dict[bytes, bytes] = {}
    # Shares the memory of data until something is written, and gives its own away without a copy.
    patched = io.BytesIO(data)
    last = 0
    for field in fields:
        if field.offset < last:
            raise FormatError.at(field.offset, f"{field.name} to begin after {last:#x}", "an overlap")
        last = field.offset + len(field.value)
        before = data[field.offset : last]
        if before != field.value:
            limit_count(len(changes), len(data), field.offset, many)
            before = known.setdefault(before, before) if len(known) < _KNOWN else known.get(before, before)
            changes.append(Change(field.name, field.offset, before, field.value))
            patched.seek(field.offset)
            patched.write(field.value)
    return Normalised(patched.getvalue() if changes else data, tuple(changes), notes)


def limit_count(count: int, size: int, offset: int, many: int = _MANY) -> None:
    """Raise FormatError when there are ``count`` fields already, the next at ``offset``, and no more fit ``size``."""
    most = max(many, 2 * size // _COST)
    if count >= most:
        raise FormatError.at(offset, f"at most {most} stamps in {size} bytes", "more")


def check_epoch(epoch: int) -> None:
    """Raise SpecError unless ``epoch`` is a number of seconds since 1970 that fits 32 bits."""
    if not 0 <= epoch <= LAST_EPOCH:
        raise SpecError(f"epoch: expected a number from 0 to {LAST_EPOCH}, found {epoch}")
