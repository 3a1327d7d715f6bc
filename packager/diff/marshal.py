"""Reads code objects as CPython's marshal writes them, for Python 3.8 to 3.14, with whichever Python this runs on.

The standard library's reader knows its own version's code objects only, and is not made for hostile input. This one
makes no objects of the data's choosing, has a limit to how deep values lie in one another, and every loop is bounded by
the number of bytes there are. Values are kept once each in a table: two that are equal have the same number, however
much was shared when they were written, so trees are compared by comparing two numbers.

The format is that of CPython's Python/marshal.c (versions 2 to 5 of it) and the order of fields in its TYPE_CODE.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from packager.errors import PackagerError

#: Functions nest some 20 deep at most in real code, and each takes two levels.
MOST_DEPTH = 200

#: First and last magic number of each Python with a format of .pyc files that is known here (Lib/importlib and
#: Include/internal/pycore_magic_number.h list them); those before the last one are of alpha and beta versions.
_MAGICS = {
    (3360, 3379): (3, 6),
    (3390, 3399): (3, 7),
    (3400, 3419): (3, 8),
    (3420, 3429): (3, 9),
    (3430, 3449): (3, 10),
    (3450, 3499): (3, 11),
    (3500, 3549): (3, 12),
    (3550, 3599): (3, 13),
    (3600, 3649): (3, 14),
    (3650, 3699): (3, 15),
}

_NUMBERS = ("co_argcount", "co_posonlyargcount", "co_kwonlyargcount")
#: The fields of a code object in the order in which they are written; True: a number and not an object.
_UNTIL_3_10 = (
    *((name, True) for name in (*_NUMBERS, "co_nlocals", "co_stacksize", "co_flags")),
    *((name, False) for name in ("co_code", "co_consts", "co_names", "co_varnames", "co_freevars", "co_cellvars")),
    ("co_filename", False),
    ("co_name", False),
    ("co_firstlineno", True),
    ("co_linetable", False),
)
_SINCE_3_11 = (
    *((name, True) for name in (*_NUMBERS, "co_stacksize", "co_flags")),
    *((name, False) for name in ("co_code", "co_consts", "co_names", "co_localsplusnames", "co_localspluskinds")),
    ("co_filename", False),
    ("co_name", False),
    ("co_qualname", False),
    ("co_firstlineno", True),
    ("co_linetable", False),
    ("co_exceptiontable", False),
)

_REF = 0x80
_CONSTANTS = {ord("N"): "None", ord("T"): "True", ord("F"): "False", ord("."): "Ellipsis", ord("S"): "StopIteration"}
#: Characters of a text, or items, that are ever shown; larger numbers than this are in hexadecimal.
_SHOWN = 4000
_SHOWN_BITS = 256

#: (kind, content). Kinds are ``int``, ``float``, ``complex`` (8 or 16 bytes as written), ``str``, ``bytes``,
#: ``tuple``, ``list``, ``dict``, ``set``, ``frozenset``, ``slice`` (numbers of values), ``code`` and ``constant``.
Value = tuple[str, Any]


class MarshalError(PackagerError):
    """Bytes that are not a value as marshal writes it, or of a version of Python that is not known here."""

    exit_code = 1


@dataclass(slots=True)
class Values:
    """The values seen so far, each once, by number."""

    values: list[Value] = field(default_factory=list)
    numbers: dict[Value, int] = field(default_factory=dict)

    def add(self, kind: str, content: object) -> int:
        """The number of a value, new or not."""
        value = (kind, content)
        number = self.numbers.setdefault(value, len(self.values))
        if number == len(self.values):
            self.values.append(value)
        return number

    def kind(self, number: int) -> str:
        """The kind of a value."""
        return self.values[number][0]

    def content(self, number: int) -> Any:
        """The content of a value."""
        return self.values[number][1]

    def fields(self, number: int) -> dict[str, int]:
        """The fields of a code object, by name, as numbers of values."""
        names, numbers = self.content(number)
        return dict(zip(names, numbers, strict=True))

    def text(self, number: int) -> str:
        """A string's text; empty for any other kind."""
        kind, content = self.values[number]
        return str(content) if kind == "str" else ""

    def show(self, number: int, room: int = 2000) -> str:
        """A value as Python would write it, cut off after about ``room`` characters."""
        parts: list[str] = []
        waiting: list[int | str] = [number]
        while waiting and room > 0:
            item = waiting.pop()
            text, inner = (item, []) if isinstance(item, str) else self._shown(item)
            parts.append(text)
            room -= len(text)
            waiting.extend(reversed(inner))
        return "".join(parts) + ("…" if waiting else "")

    def _shown(self, number: int) -> tuple[str, list[int | str]]:
        """The beginning of a value's text and what follows it, texts and values."""
        kind, content = self.values[number]
        if kind == "constant":
            return content, []
        if kind == "int":
            return (str(content) if content.bit_length() < _SHOWN_BITS else hex(content)[:_SHOWN]), []
        if kind in ("str", "bytes"):
            return repr(content[:_SHOWN]), []
        if kind == "float":
            return repr(struct.unpack("<d", content)[0]), []
        if kind == "complex":
            return repr(complex(*struct.unpack("<dd", content))), []
        if kind == "code":
            return f"<code {self.text(self.fields(number)['co_name'])}>", []
        begin, end = {
            "tuple": ("(", ",)" if len(content) == 1 else ")"),
            "list": ("[", "]"),
            "frozenset": ("frozenset({", "})"),
            "slice": ("slice(", ")"),
        }.get(kind, ("{", "}"))
        inner: list[int | str] = []
        for index, item in enumerate(content[:_SHOWN]):
            inner += [": " if kind == "dict" and index % 2 else ", ", item] if index else [item]
        return begin, [*inner, end]


@dataclass(frozen=True, slots=True)
class Read:
    """What was read: the number of the value, where it ended, and what equal values may yet differ in.

    ``offsets`` has the offset of the first byte of each code object; ``set_orders`` the elements of every set in the
    order in which they are written, which has no meaning.
    """

    root: int
    end: int
    offsets: Mapping[int, int]
    set_orders: tuple[tuple[int, ...], ...]


def python_of(magic: int) -> tuple[int, int] | None:
    """The version of Python whose .pyc files have the magic number ``magic`` (the first two bytes)."""
    return next((version for (first, last), version in _MAGICS.items() if first <= magic <= last), None)


def read(data: bytes, offset: int, python: tuple[int, int], values: Values) -> Read:
    """Read the value at ``offset``, written by version ``python`` of Python, into ``values``.

    Raises MarshalError when it is broken, lies too deep, is recursive, or of a version before 3.8 or after 3.14.
    """
    if not (3, 8) <= python <= (3, 14):
        raise MarshalError(f"expected code of Python 3.8 to 3.14, found {python[0]}.{python[1]}")
    reader = _Reader(data, offset, _UNTIL_3_10 if python < (3, 11) else _SINCE_3_11, values)
    try:
        root = reader.value(0)
    except (IndexError, struct.error) as exc:
        raise MarshalError(f"offset {len(data):#x}: expected more of a value, found the end") from exc
    except UnicodeDecodeError as exc:
        raise MarshalError(f"offset {reader.at:#x}: expected UTF-8 in a text, found {exc.reason}") from exc
    return Read(root, reader.at, reader.offsets, tuple(reader.set_orders))


_I32 = struct.Struct("<i")
_U16 = struct.Struct("<H")


class _Reader:
    """One pass over the bytes. ``refs`` are the values that later ones may refer to; None: not read to its end."""

    def __init__(self, data: bytes, at: int, layout: tuple[tuple[str, bool], ...], values: Values) -> None:
        self.data = data
        self.at = at
        self.layout = layout
        self.field_names = tuple(name for name, _is_number in layout)
        self.add = values.add
        self.refs: list[int | None] = []
        self.offsets: dict[int, int] = {}
        self.set_orders: list[tuple[int, ...]] = []

    def value(self, depth: int) -> int:
        """The number of the value that begins here."""
        start = self.at
        code = self.data[start]
        self.at = start + 1
        kind = chr(code & ~_REF)
        if kind == "r":
            index = self.i32()
            found = self.refs[index] if 0 <= index < len(self.refs) else None
            if found is None:
                raise MarshalError(f"offset {start:#x}: expected a reference to a value before, found number {index}")
            return found
        if code in _CONSTANTS:
            # Never counted among the values that may be referred to.
            return self.add("constant", _CONSTANTS[code])
        if depth > MOST_DEPTH:
            raise MarshalError(f"offset {start:#x}: expected values {MOST_DEPTH} deep at most, found deeper ones")
        slot = None
        if code & _REF:
            slot = len(self.refs)
            self.refs.append(None)
        number = self.simple(kind)
        if number is None:
            number = self.compound(kind, start, depth + 1)
        if slot is not None:
            self.refs[slot] = number
        return number

    def simple(self, kind: str) -> int | None:
        """A value that no other values lie in; None for the kinds that have some."""
        if kind in "zZ":
            size = self.data[self.at]
            self.at += 1
            return self.add("str", self.take(size).decode("latin-1"))
        if kind == "i":
            return self.add("int", self.i32())
        if kind == "s":
            return self.add("bytes", self.take(self.i32()))
        if kind in "aA":
            return self.add("str", self.take(self.i32()).decode("latin-1"))
        if kind in "ut":
            return self.add("str", self.take(self.i32()).decode("utf-8", "surrogatepass"))
        if kind == "g":
            return self.add("float", self.take(8))
        if kind == "y":
            return self.add("complex", self.take(16))
        if kind == "l":
            return self.add("int", self.long())
        if kind == "I":
            return self.add("int", int.from_bytes(self.take(8), "little", signed=True))
        return None

    def compound(self, kind: str, start: int, depth: int) -> int:
        """A value that is made of others."""
        if kind == ")":
            size = self.data[self.at]
            self.at += 1
            return self.add("tuple", self.several(size, depth))
        if kind == "c":
            return self.code(start, depth)
        if kind in "([":
            return self.add("tuple" if kind == "(" else "list", self.several(self.i32(), depth))
        if kind in "<>":
            items = self.several(self.i32(), depth)
            self.set_orders.append(items)
            return self.add("set" if kind == "<" else "frozenset", tuple(sorted(items)))
        if kind == "{":
            return self.add("dict", self.pairs(depth))
        if kind == ":":
            return self.add("slice", self.several(3, depth))
        raise MarshalError(f"offset {start:#x}: expected the type of a value, found {kind!r}")

    def code(self, start: int, depth: int) -> int:
        numbers = tuple(
            [self.add("int", self.i32()) if is_number else self.value(depth) for _name, is_number in self.layout]
        )
        number = self.add("code", (self.field_names, numbers))
        self.offsets.setdefault(number, start)
        return number

    def several(self, count: int, depth: int) -> tuple[int, ...]:
        if not 0 <= count <= len(self.data) - self.at:
            raise MarshalError(f"offset {self.at:#x}: expected {count} values, found {len(self.data) - self.at} bytes")
        return tuple([self.value(depth) for _ in range(count)])

    def pairs(self, depth: int) -> tuple[int, ...]:
        found: list[int] = []
        while self.data[self.at] != ord("0"):
            found.append(self.value(depth))
            found.append(self.value(depth))
        self.at += 1
        return tuple(found)

    def i32(self) -> int:
        (number,) = _I32.unpack_from(self.data, self.at)
        self.at += 4
        return int(number)

    def take(self, count: int) -> bytes:
        end = self.at + count
        if not 0 <= count <= len(self.data) - self.at:
            raise MarshalError(f"offset {self.at:#x}: expected {count} bytes, found {len(self.data) - self.at}")
        taken = self.data[self.at : end]
        self.at = end
        return taken

    def long(self) -> int:
        """A number of as many 15-bit digits as its size says; the size has the sign."""
        size = self.i32()
        digits = self.take(2 * abs(size))
        bits = "".join([format(digit & 0x7FFF, "015b") for (digit,) in _U16.iter_unpack(digits)][::-1])
        return (-1 if size < 0 else 1) * int(bits or "0", 2)
