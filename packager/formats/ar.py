"""Static and import libraries (``.a``, ``.lib``): archives of ar, as System V, GNU, BSD, LLVM and Microsoft write them.

A member is a header of 60 bytes, all of them text, and its content, padded to an even length.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from packager.changes import Normalised
from packager.formats import coff
from packager.formats.errors import FormatError
from packager.formats.fields import Field, patch

MAGIC = b"!<arch>\n"
#: Its members lie in files beside it: they are headers only, but for the symbol table and the long names.
THIN = b"!<thin>\n"

_HEADER = 60
#: What belongs into a header: at which offset in it, and the text.
_OWNER = (("member date", 16, b"0".ljust(12)), ("member user", 28, b"0".ljust(6)), ("member group", 34, b"0".ljust(6)))
_TEXTS = (*_OWNER, ("member mode", 40, b"644".ljust(8)))
_SPECIAL_TEXTS = (*_OWNER, ("member mode", 40, b"0".ljust(8)))
_END = b"`\n"
#: More than any import library has: 65,535 exports (ordinals have 16 bits), three changes each.
_MANY = 1 << 18
_SYMDEF = (b"__.SYMDEF", b"__.SYMDEF SORTED", b"__.SYMDEF_64", b"__.SYMDEF_64 SORTED")
_LONGEST_SYMDEF = 20


@dataclass(frozen=True, slots=True)
class Member:
    """One member: its header's offset, whether it is one of ar's own, its content from start to end."""

    offset: int
    special: bool
    start: int
    end: int


def normalise(data: bytes, epoch: int) -> Normalised:
    """Normalise an archive, in place, to what ``ar D`` and ``llvm-ar D`` write; ``epoch`` has no part in it.

    Written are, of each member's header, as text padded with spaces: the date (+16, 12 bytes), the user (+28, 6) and
    the group (+34, 6), to 0; the mode (+40, 8), to 644, or 0 where the member is a symbol table, the long names or
    another of those that are ar's own. What is blank stays so, as in Microsoft's libraries and in ``//``. Of members
    that are COFF objects, ``/bigobj`` objects or short imports: the TimeDateStamp, to zero, see
    :mod:`packager.formats.coff`. Raises FormatError when a header or a size does not fit the format.
    """
    return patch(data, _fields(data), many=_MANY)


def members(data: bytes) -> Iterator[Member]:
    """All members in their order; FormatError where one does not fit the format."""
    thin = data.startswith(THIN)
    if not thin and not data.startswith(MAGIC):
        raise FormatError.at(0, f"{MAGIC!r} or {THIN!r}", repr(data[: len(MAGIC)]))
    at = len(MAGIC)
    while at < len(data):
        if at + _HEADER > len(data):
            raise FormatError.at(at, f"a member's header of {_HEADER} bytes", f"{len(data) - at} bytes")
        if data[at + 58 : at + 60] != _END:
            raise FormatError.at(at + 58, f"{_END!r} at the end of a member's header", repr(data[at + 58 : at + 60]))
        size = _number(data, at + 48, 10, "member size")
        if size is None or size < 0:
            raise FormatError.at(at + 48, "a member's size", repr(data[at + 48 : at + 58]))
        start = at + _HEADER
        name, long = _name(data, at, start, size)
        special = name in _SYMDEF or (name[:1] == b"/" and not name[1:2].isdigit())
        if thin and not special:
            size = 0
        end = start + size
        if end > len(data):
            raise FormatError.at(at + 48, f"a member that ends at {len(data):#x} at the latest", f"{size} bytes")
        yield Member(at, special, start + long, end)
        # The last member's padding is left out by some.
        at = end + size % 2


def _name(data: bytes, at: int, start: int, size: int) -> tuple[bytes, int]:
    """A member's name, if that is short (``/123`` is a long one of System V), and how much of the content it is.

    BSD puts a long name, padded with zero bytes, before the content, and its length into the header: ``#1/20``.
    """
    name = data[at : at + 16].rstrip(b" ")
    if not name.startswith(b"#1/"):
        # System V ends a name with a slash, so that it can have spaces; ar's own names begin with one.
        return (name, 0) if name.startswith(b"/") else (name.removesuffix(b"/"), 0)
    digits = name[3:]
    if not digits.isdigit() or int(digits) > size or start + int(digits) > len(data):
        raise FormatError.at(at, f"the length of a name that fits in {size} bytes", repr(name))
    return data[start : start + min(int(digits), _LONGEST_SYMDEF)].rstrip(b"\0"), int(digits)


def _fields(data: bytes) -> Iterator[Field]:
    for member in members(data):
        for name, at, value in _SPECIAL_TEXTS if member.special else _TEXTS:
            offset = member.offset + at
            if _number(data, offset, len(value), name) is not None:
                yield Field(name, offset, value)
        if not member.special:
            stamp = coff.stamp(data, member.start, member.end)
            if stamp is not None:
                yield stamp


def _number(data: bytes, offset: int, width: int, name: str) -> int | None:
    """A header's number, None where it is blank; Microsoft's linker writes a date of -1 with ``/Brepro``."""
    text = data[offset : offset + width].strip(b" ")
    if not text:
        return None
    if not text.removeprefix(b"-").isdigit():
        raise FormatError.at(offset, f"{name}, a number", repr(data[offset : offset + width]))
    return int(text)
