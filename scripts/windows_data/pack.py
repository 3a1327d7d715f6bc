"""Write the data file that ``packager.deps.windows`` reads: the same content, in the same order, as the same bytes."""

from __future__ import annotations

import struct

import msgspec
import zstandard

from packager.deps.windows import MAGIC, Header, Record, Row
from scripts.windows_data.merge import Content

#: DLLs are packed together, neighbours by name, until a block has about this many bytes: small enough to decode in a
#: millisecond, large enough that msvcp100.dll and msvcp110.dll share what they have in common.
_BLOCK_BYTES = 64 << 10
_LEVEL = 19


def pack(content: Content) -> bytes:
    """The bytes of the data file."""
    blocks: list[bytes] = []
    rows: dict[str, Row] = {}
    held: list[bytes] = []
    for dll in content.dlls:
        if dll.record is None:
            rows[dll.name] = Row(-1, 0, dll.system, dll.complete, dll.since)
            continue
        rows[dll.name] = Row(len(blocks), len(held), dll.system, dll.complete, dll.since)
        held.append(_encode(dll.record))
        if sum(map(len, held)) >= _BLOCK_BYTES:
            blocks.append(_block(held))
            held = []
    if held:
        blocks.append(_block(held))
    places, at = [], 0
    for block in blocks:
        places.append((at, len(block)))
        at += len(block)
    header = _compress(
        msgspec.msgpack.encode(
            Header(
                origin=content.origin,
                versions=list(content.versions),
                known_dlls=list(content.known_dlls),
                api_sets=content.api_sets,
                contracts=content.contracts,
                redistributable=list(content.redistributable),
                dlls=rows,
                blocks=places,
            )
        )
    )
    return MAGIC + struct.pack("<I", len(header)) + header + b"".join(blocks)


def _encode(record: Record) -> bytes:
    return msgspec.msgpack.encode(record)


def _block(records: list[bytes]) -> bytes:
    return _compress(msgspec.msgpack.encode([msgspec.Raw(record) for record in records]))


def _compress(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=_LEVEL, write_content_size=True, write_checksum=True).compress(data)
