"""What differs between two static or import libraries (ar archives): members, their headers, and their contents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from packager.diff import show
from packager.diff.model import Difference

MAGIC = b"!<arch>\n"

_HEADER = 60
#: Name in the output, place and width in the header; all of them are text.
_FIELDS = (("date", 16, 12), ("user", 28, 6), ("group", 34, 6), ("mode", 40, 8))
#: ar's own members, whose contents follow from those of the others.
_SPECIAL = {b"/": "symbol table", b"/SYM64/": "symbol table", b"//": "long names", b"__.SYMDEF": "symbol table"}
_SHORT_IMPORT = b"\0\0\xff\xff"
_MACHINES = frozenset({0x014C, 0x8664, 0xAA64, 0xA641, 0x01C4})


@dataclass(frozen=True, slots=True)
class _Member:
    """One member: its header's offset, its name with ``#2`` where it is the second one of that name, its content."""

    offset: int
    name: str
    fields: tuple[str, ...]
    content: bytes


def compare_ar(
    path: str, a: bytes, b: bytes, compare: Callable[[str, bytes, bytes], list[Difference]]
) -> list[Difference] | None:
    """The differences of two libraries, ``compare`` finding those of contents; None when one of them is broken."""
    try:
        left, right = ({member.name: member for member in _members(data)} for data in (a, b))
    except ValueError:
        return None
    found = []
    names = dict.fromkeys((*left, *right))
    for name in sorted(names, key=lambda name: name.partition("#")[0] in _SPECIAL.values()):
        inner = f"{path}!/{name}"
        first, second = left.get(name), right.get(name)
        if first is None or second is None:
            offset = (first or second or left[name]).offset
            found.append(Difference(inner, f"only in {'A' if second is None else 'B'}", offset=offset))
            continue
        found += _fields(inner, first, second)
        if first.content != second.content:
            found += _stamps(inner, first, second) or compare(inner, first.content, second.content)
    both = set(left) & set(right)
    orders = [[name for name in side if name in both] for side in (left, right)]
    if orders[0] != orders[1]:
        first_name, second_name = next(pair for pair in zip(*orders, strict=True) if pair[0] != pair[1])
        found.append(Difference(path, "order of members", first_name, second_name))
    return found


def _fields(path: str, a: _Member, b: _Member) -> Iterator[Difference]:
    for (label, at, _width), first, second in zip(_FIELDS, a.fields, b.fields, strict=True):
        if first == second:
            continue
        shown = (first or "blank", second or "blank")
        if label == "date" and first.isdigit() and second.isdigit() and max(int(first), int(second)) < 1 << 32:
            shown = show.stamps(int(first), int(second))
        yield Difference(path, label, show.printable(shown[0]), show.printable(shown[1]), offset=a.offset + at)


def _stamps(path: str, a: _Member, b: _Member) -> list[Difference]:
    """When only the stamp of an object or a short import differs: that, by its name."""
    short = a.content[:4] == b.content[:4] == _SHORT_IMPORT
    if not short and int.from_bytes(a.content[:2], "little") not in _MACHINES:
        return []
    at, what = (8, "short import TimeDateStamp") if short else (4, "COFF TimeDateStamp")
    if len(a.content) < at + 4 or a.content[:at] + a.content[at + 4 :] != b.content[:at] + b.content[at + 4 :]:
        return []
    stamps = (int.from_bytes(side.content[at : at + 4], "little") for side in (a, b))
    return [Difference(path, what, *show.stamps(*stamps), offset=a.offset + _HEADER + at)]


def _members(data: bytes) -> Iterator[_Member]:
    """All members; ValueError where one does not fit the format."""
    at, long_names, count = len(MAGIC), b"", Counter[str]()
    while at < len(data):
        header = data[at : at + _HEADER]
        if len(header) < _HEADER or header[58:] != b"`\n" or not header[48:58].strip().isdigit():
            raise ValueError(f"no member at {at}")
        start = at + _HEADER
        end = start + int(header[48:58])
        if end > len(data):
            raise ValueError(f"a member at {at} that is cut off")
        raw = header[:16].rstrip()
        if raw == b"//":
            long_names = data[start:end]
        elif raw.startswith(b"#1/") and raw[3:].isdigit():
            length = min(int(raw[3:]), end - start)
            raw = data[start : start + length].rstrip(b"\0")
            start += length
        elif raw[:1] == b"/" and raw[1:].isdigit():
            # A name ends with a slash and a newline, or in Microsoft's libraries with a zero byte.
            rest = long_names[int(raw[1:]) : int(raw[1:]) + 4096]
            raw = rest.partition(b"\n")[0].partition(b"\0")[0].removesuffix(b"/")
        elif raw not in _SPECIAL:
            raw = raw.removesuffix(b"/")
        name = _SPECIAL.get(raw) or show.printable(raw.decode("utf-8", "backslashreplace"))
        count[name] += 1
        unique = name if count[name] == 1 else f"{name}#{count[name]}"
        fields = tuple(header[o : o + width].strip().decode("latin-1") for _label, o, width in _FIELDS)
        yield _Member(at, unique, fields, data[start:end])
        at = end + (end - at) % 2
