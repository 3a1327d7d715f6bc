"""Code for two machines in one file: ARM64EC and ARM64X images, and the flags that a file's imports are loaded with.

An ARM64X image is an ARM64 one for ARM64 processes. For x64 processes the loader first changes some of its bytes, as a
list in the image says: the machine in its header, its export and import tables. :func:`x64_view` makes the same
changes. An ARM64EC image says that it is for x64, and its code is for ARM64: only Windows on ARM64 runs it, in x64
processes. Both have "CHPE" metadata (compiled hybrid portable executable). The layouts are those of ``winnt.h``:
IMAGE_LOAD_CONFIG_DIRECTORY, IMAGE_DYNAMIC_RELOCATION_TABLE, IMAGE_DVRT_ARM64X_FIXUP_RECORD.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal

from packager.errors import PEError
from packager.pe.layout import Directory, Layout

#: ``arm64ec``: x64 to all, ARM64 code inside. ``arm64x``: serves ARM64 and x64 processes. None: code for one machine.
Hybrid = Literal["arm64ec", "arm64x"]

_X64, _ARM64 = 0x8664, 0xAA64
#: IMAGE_DYNAMIC_RELOCATION_ARM64X.
_ARM64X = 6
_ZERO_FILL, _VALUE, _DELTA = 0, 1, 2


@dataclass(frozen=True, slots=True)
class LoadConfig:
    """What is read here of the load configuration.

    ``load_flags`` are the LOAD_LIBRARY_SEARCH_* that the loader uses for the file's static imports (the linker's
    /DEPENDENTLOADFLAG), 0 for the standard search order. ``chpe`` is the address of the CHPE metadata, or 0.
    ``relocations`` is where the table of dynamic relocations lies: section number from 1 and offset in it, or 0, 0.
    """

    load_flags: int = 0
    chpe: int = 0
    relocations: tuple[int, int] = (0, 0)


def load_config(data: bytes, layout: Layout) -> LoadConfig:
    """The load configuration of ``data``; fields that an older, shorter one lacks are 0. PEError when it is cut off."""
    directory = layout.directory(Directory.LOAD_CONFIG)
    if directory is None or directory.rva == 0:
        return LoadConfig()
    what = "load configuration"
    (size,) = struct.unpack("<I", layout.read(data, directory.rva, 4, what))
    # Old 32-bit files give another size here than in the directory; the loader goes by this one.
    plus = layout.is_plus
    table = layout.read(data, directory.rva, min(size, 0xE6 if plus else 0x80), what).ljust(0xE8, b"\0")
    if not plus:
        # The hybrid form for x86 was never public.
        return LoadConfig(struct.unpack_from("<H", table, 0x36)[0])
    (load_flags,) = struct.unpack_from("<H", table, 0x4E)
    (chpe,) = struct.unpack_from("<Q", table, 0xC8)
    offset, section = struct.unpack_from("<IH", table, 0xE0)
    return LoadConfig(load_flags, chpe, (section, offset))


def hybrid(layout: Layout, config: LoadConfig) -> Hybrid | None:
    """Which kind of image for two machines it is, if any."""
    if not config.chpe:
        return None
    return {_X64: "arm64ec", _ARM64: "arm64x"}.get(layout.machine)  # type: ignore[return-value]


def x64_view(data: bytes, layout: Layout, config: LoadConfig) -> bytes:
    """The bytes of the ARM64X file ``data`` as an x64 process sees them.

    Raises PEError when there is no list of changes in it, or when the list leads out of the file.
    """
    section, offset = config.relocations
    if not 1 <= section <= len(layout.sections):
        raise PEError(f"dynamic relocations: expected a section of {len(layout.sections)}, found number {section}")
    rva = layout.sections[section - 1].rva + offset
    what = "table of dynamic relocations"
    version, size = struct.unpack("<II", layout.read(data, rva, 8, what))
    if version != 1:
        raise PEError(f"{what} at RVA {rva:#x}: expected version 1, found {version}")
    start = layout.offset(rva + 8, size, what)
    table = data[start : start + size]
    at = 0
    view = bytearray(data)
    found = False
    while at + 12 <= len(table):
        symbol, length = struct.unpack_from("<QI", table, at)
        at += 12
        if symbol == _ARM64X:
            found = True
            _apply(view, layout, table[at : at + length])
        at += length
    if not found:
        raise PEError(f"{what} at RVA {rva:#x}: expected the changes of an ARM64X image, found none")
    return bytes(view)


def _apply(view: bytearray, layout: Layout, blocks: bytes) -> None:
    """Make the changes of all ``blocks``, each of them for one page."""
    at = 0
    while at + 8 <= len(blocks):
        page, size = struct.unpack_from("<II", blocks, at)
        end = at + size
        if size < 8 or end > len(blocks):
            raise PEError(f"changes for RVA {page:#x}: expected a block of 8 bytes or more in its table, found {size}")
        at += 8
        while at + 2 <= end:
            (record,) = struct.unpack_from("<H", blocks, at)
            at += 2
            if not record:
                break
            kind, argument = record >> 12 & 3, record >> 14
            length = 4 if kind == _DELTA else 1 << argument
            extra = {_ZERO_FILL: 0, _VALUE: max(length, 2), _DELTA: 2}.get(kind)
            if extra is None or at + extra > end:
                raise PEError(f"changes for RVA {page:#x}: expected whole ones of a known kind, found {record:#06x}")
            place = layout.offset(page + (record & 0xFFF), length, "changed bytes")
            if kind == _ZERO_FILL:
                view[place : place + length] = bytes(length)
            elif kind == _VALUE:
                view[place : place + length] = blocks[at : at + length]
            else:
                (delta,) = struct.unpack_from("<H", blocks, at)
                delta *= (8 if argument & 2 else 4) * (-1 if argument & 1 else 1)
                (old,) = struct.unpack_from("<I", view, place)
                struct.pack_into("<I", view, place, (old + delta) & 0xFFFFFFFF)
            at += extra
        at = end
