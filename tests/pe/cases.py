"""Cases for the PE normaliser: files of every kind, mutations of them, and what must hold for whatever comes of that."""

from __future__ import annotations

import random
import struct
import zlib
from dataclasses import dataclass
from typing import Literal

from packager.changes import Normalised
from packager.errors import PEError
from packager.pe.layout import Directory, read_layout
from packager.pe.normalise import normalise
from tests.pe.build import (
    ARM64,
    FULL,
    RAW,
    RVA,
    X86,
    Dll,
    Exports,
    bound_directory,
    build,
    nb10,
    put32,
    rsds,
    with_symbols,
    zipped,
)

EPOCH = 1735689600
_NUMBERS = (0, 1, 2, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_PATH = rsds(b"C:\\build\\x.pdb\0")
_NEW_BIND = bound_directory((0x5A5A5A5A, "A.dll", [(0x5B5B5B5B, "B.dll")]), (0x5C5C5C5C, "C.dll", []))
#: Strings and a version, which pefile unpacks.
_RESOURCES = {
    6: {1: {1033: b"\1\0A\0" * 16}, 2: {0: bytes(32)}},
    7: b"leaf",
    16: {1: {1033: struct.pack("<HHH", 0x5C, 0x34, 0) + "VS_VERSION_INFO\0\0".encode("utf-16-le") + bytes(0x34)}},
}


@dataclass(frozen=True)
class Options:
    """How a case is normalised."""

    signed: Literal["refuse", "keep", "strip"] = "strip"
    symbols: Literal["keep", "strip"] = "keep"
    pad: bool = False


def seeds() -> list[bytes]:
    """A file of each kind that the normaliser treats in its own way."""
    bound = (Dll("A.dll", ("f", 3), stamp=0xFFFFFFFF, chain=0xFFFFFFFF, bound=True), Dll("C.dll", ("g",)))
    return [
        build(),
        build(FULL),
        build(FULL, codeview=_PATH),
        build(FULL, plus=False, machine=X86, codeview=nb10(b"C:\\build\\x.pdb\0")),
        build(FULL, machine=ARM64, dll=False, exports=Exports(stamp=0xFFFFFFFF)),
        build(FULL, debug=(2, 16)),
        build(FULL, certificate=b"c" * 16),
        build(plus=False, machine=X86, delay=FULL.delay, delay_by_address=True),
        build(imports=FULL.imports, zero_tail=64),
        build(imports=(Dll("A.dll", ("f", 3), stamp=0x5A5A5A5A, bound=True),)),
        build(FULL, imports=bound, bound_import=_NEW_BIND),
        build(plus=False, machine=X86, imports=bound, bound_import=_NEW_BIND),
        build(delay=(Dll("A.dll", ("f", 3), stamp=7, bound=True),)),
        build(FULL, overlay=b"#!python.exe\r\n" + zipped({"__main__.py": b"import a\n", "a.py": b""})),
        with_a_shared_leaf(build(resources=_RESOURCES)),
        with_symbols(build(FULL), ("a.c", "/build/with/a/long/name.c")),
        with_symbols(build(debug=(2,), codeview=_PATH), after=bytes(4)),
    ]


def with_a_shared_leaf(data: bytes) -> bytes:
    """``data`` with the first leaf of its resources being the second one: LIEF leaves out what comes after it."""
    layout = read_layout(data)
    root = layout.offset(layout.directories[Directory.RESOURCE].rva, 16, "x")
    leaves = []
    waiting = [root]
    while waiting:
        at = waiting.pop(0)
        for entry in range(at + 16, at + 16 + 8 * struct.unpack_from("<H", data, at + 14)[0], 8):
            target = struct.unpack_from("<I", data, entry + 4)[0]
            if target >= 1 << 31:
                waiting.append(root + target - (1 << 31))
            else:
                leaves.append((entry + 4, target))
    return put32(data, leaves[0][0], leaves[1][1])


def applied(data: bytes, result: Normalised) -> bytes:
    """``data`` with the reported changes and nothing else."""
    out = bytearray(data)
    for change in reversed(result.changes):
        assert out[change.offset : change.offset + len(change.before)] == change.before
        assert len(change.before) == len(change.after) or not (change.before and change.after)
        out[change.offset : change.offset + len(change.before)] = change.after
    return bytes(out)


def holds(data: bytes, options: Options | None = None) -> bool:
    """True when ``data`` is normalised, rightly; False when it is refused. AssertionError or worse when neither."""
    options = options or Options()
    given = {"signed": options.signed, "symbols": options.symbols, "pad": options.pad}
    try:
        result = normalise(data, EPOCH, **given)  # type: ignore[arg-type]
    except PEError as exc:
        assert len(str(exc)) < 1000
        return False
    assert applied(data, result) == result.data
    assert result.changes or result.data is data
    again = normalise(result.data, EPOCH, **given)  # type: ignore[arg-type]
    assert again.data is result.data
    assert not again.changes
    return True


def options_for(data: bytes) -> Options:
    """Options that depend on the case alone, most often those that let it go furthest."""
    pick = zlib.crc32(data)
    return Options(
        "refuse" if pick % 31 == 0 else "keep" if pick % 31 == 1 else "strip",
        "strip" if pick % 3 == 0 else "keep",
        pick % 2 == 0,
    )


def mutated(data: bytes, seed: int) -> bytes:
    """``data`` with a few numbers changed, most often in its headers and tables, and sometimes cut off."""
    rng = random.Random(seed)
    spots = _spots(data)
    out = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 3, 6])):
        at = rng.choice(spots) if spots and rng.random() < 0.85 else rng.randrange(len(out) or 1)
        width = rng.choice([1, 2, 4])
        size = len(out) or 1
        value = rng.choice(
            [*_NUMBERS, rng.getrandbits(32), rng.randrange(size), RAW + rng.randrange(size), RVA + rng.randrange(size)]
        )
        out[at : at + width] = (value & (256**width - 1)).to_bytes(4, "little")[:width]
    return bytes(out[: rng.randrange(len(out) or 1)]) if rng.random() < 0.05 else bytes(out)


def _spots(data: bytes) -> list[int]:
    """Where a changed byte is most likely to matter: headers, and the first bytes of each table."""
    try:
        layout = read_layout(data)
    except PEError:
        return []
    spots = [*range(0x3C, 0x40), *range(layout.pe_offset, layout.headers_end)]
    for directory in layout.directories:
        start = layout.find(directory.rva) if directory else None
        if start is not None:
            spots += range(start, min(start + 200, len(data)))
    if layout.symbol_table < len(data):
        spots += range(layout.symbol_table, min(layout.symbol_table + 100, len(data)))
    return spots
