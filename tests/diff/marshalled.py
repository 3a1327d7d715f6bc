"""Writes code objects as a given Python's marshal does, so that tests have the same .pyc files whatever they run on."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

REF = 0x80
MAGIC = {(3, 8): 3413, (3, 10): 3439, (3, 11): 3495, (3, 12): 3531, (3, 13): 3571, (3, 14): 3627}


@dataclass(frozen=True)
class Code:
    """A code object; ``consts`` may have further ones."""

    name: str = "<module>"
    qualname: str | None = None
    consts: Sequence[object] = (None,)
    names: Sequence[str] = ()
    local_names: Sequence[str] = ()
    filename: str = "m.py"
    code: bytes = b"\x97\x00S\x00"
    line: int = 1
    lines: bytes = b"\x80\x00"
    exceptions: bytes = b""
    flags: int = 0
    stack: int = 1


@dataclass
class Writer:
    """``flagged`` sets the reference flag on every value that may have one; ``shared`` refers to strings seen before."""

    python: tuple[int, int] = (3, 13)
    flagged: bool = False
    shared: bool = False
    seen: dict[str, int] = field(default_factory=dict)
    count: int = 0

    def write(self, value: object) -> bytes:
        if value is None or isinstance(value, bool) or value is ...:
            return {None: b"N", True: b"T", False: b"F", ...: b"."}[value]
        if isinstance(value, str):
            if self.shared and value in self.seen:
                return b"r" + struct.pack("<i", self.seen[value])
            if self.flagged or self.shared:
                self.seen[value] = self.count
            data = value.encode("utf-8", "surrogatepass")
            if value.isascii() and len(data) < 256:
                return self.tag("z", force=self.shared) + bytes([len(data)]) + data
            return self.tag("u", force=self.shared) + struct.pack("<i", len(data)) + data
        if isinstance(value, bytes):
            return self.tag("s") + struct.pack("<i", len(value)) + value
        if isinstance(value, int):
            return self.number(value)
        if isinstance(value, float):
            return self.tag("g") + struct.pack("<d", value)
        if isinstance(value, complex):
            return self.tag("y") + struct.pack("<dd", value.real, value.imag)
        if isinstance(value, tuple):
            return self.tag(")") + bytes([len(value)]) + b"".join(self.write(item) for item in value)
        if isinstance(value, list):
            # In this order: a set's order is what tests are about.
            return self.tag(">") + struct.pack("<i", len(value)) + b"".join(self.write(item) for item in value)
        if isinstance(value, slice):
            return self.tag(":") + b"".join(self.write(item) for item in (value.start, value.stop, value.step))
        assert isinstance(value, Code)
        return self.code(value)

    def tag(self, kind: str, *, force: bool = False) -> bytes:
        if not self.flagged and not force:
            return kind.encode()
        self.count += 1
        return bytes([ord(kind) | REF])

    def number(self, value: int) -> bytes:
        if -(1 << 31) <= value < 1 << 31:
            return self.tag("i") + struct.pack("<i", value)
        digits, rest = [], abs(value)
        while rest:
            digits.append(rest & 0x7FFF)
            rest >>= 15
        size = -len(digits) if value < 0 else len(digits)
        return self.tag("l") + struct.pack(f"<i{len(digits)}H", size, *digits)

    def code(self, code: Code) -> bytes:
        head = self.tag("c")
        numbers = struct.pack("<iii", 0, 0, 0)
        if self.python < (3, 11):
            numbers += struct.pack("<iii", len(code.local_names), code.stack, code.flags)
            middle: tuple[object, ...] = (tuple(code.local_names), (), (), code.filename, code.name)
            last: tuple[object, ...] = (code.lines,)
        else:
            numbers += struct.pack("<ii", code.stack, code.flags)
            kinds = b"\x20" * len(code.local_names)
            middle = (tuple(code.local_names), kinds, code.filename, code.name, code.qualname or code.name)
            last = (code.lines, code.exceptions)
        out = head + numbers
        for value in (code.code, tuple(code.consts), tuple(code.names), *middle):
            out += self.write(value)
        out += struct.pack("<i", code.line)
        return out + b"".join(self.write(value) for value in last)


def pyc(
    code: object,
    *,
    python: tuple[int, int] = (3, 13),
    flags: int = 1,
    source: bytes = b"12345678",
    flagged: bool = False,
    shared: bool = False,
) -> bytes:
    """A whole .pyc file."""
    header = struct.pack("<HBBI", MAGIC[python], 13, 10, flags) + source
    return header + Writer(python, flagged, shared).write(code)
