"""Make a PE file independent of when it was linked, in place on its bytes.

What is written, and nothing else: the fields that :mod:`packager.pe.fields` lists, and the checksum. With
``signed="strip"`` also the certificate table and its entry in the headers.
"""

from __future__ import annotations

from typing import Literal, get_args

from packager.changes import Change, Normalised
from packager.errors import PEError, SpecError
from packager.pe.checksum import checksum
from packager.pe.confirm import confirm
from packager.pe.fields import Field, is_repro, volatile_fields
from packager.pe.layout import read_layout
from packager.pe.signature import certificate_table, without_signature

#: What to do with a signed file: an error, leave it byte for byte, or take the signature off and go on.
Signed = Literal["refuse", "keep", "strip"]

CHECKSUM = "CheckSum"


def normalise(data: bytes, epoch: int, *, signed: Signed = "refuse") -> Normalised:
    """Normalise the PE file ``data`` to ``epoch`` (seconds since 1970, 0 to 2**32-1).

    Doing it twice changes nothing more; the length stays the same unless a signature is stripped. Raises PEError when
    the file is not a PE image, is broken, signed (unless ``signed`` says otherwise) or has bound imports, or when
    LIEF, reading the result, sees something else than what was meant; SpecError when an argument is wrong.
    """
    if not 0 <= epoch <= 0xFFFFFFFF:
        raise SpecError(f"epoch: expected a number from 0 to {0xFFFFFFFF}, found {epoch}")
    if signed not in get_args(Signed):
        raise SpecError(f"signed: expected one of {', '.join(get_args(Signed))}, found {signed!r}")
    layout = read_layout(data)
    changes: list[Change] = []
    notes = []
    new = data
    certificates = certificate_table(layout)
    if certificates is not None:
        if signed == "refuse":
            raise PEError(
                f"offset {certificates.offset:#x}: expected no signature, found {certificates.size} bytes of one",
                hint="--signed keep leaves such files as they are, --signed strip takes the signature off",
            )
        if signed == "keep":
            return Normalised(data, (), ("signed: left as it is",))
        new = without_signature(data, layout, certificates)
        entry, table = certificates.offset, certificates.rva
        changes.append(Change("certificate table entry", entry, data[entry : entry + 8], bytes(8)))
        changes.append(Change("certificate table", table, data[table:], b""))
        layout = read_layout(new)
    fields = volatile_fields(new, layout, epoch)
    if is_repro(new, layout):
        notes.append("REPRO: its stamps are hashes of the content and stay")
    patched = bytearray(new)
    for field in fields:
        end = field.offset + len(field.value)
        before = new[field.offset : end]
        if before != field.value:
            changes.append(Change(field.name, field.offset, before, field.value))
            patched[field.offset : end] = field.value
    if changes:
        new = bytes(patched)
    at = layout.checksum_offset
    right = checksum(new, at)
    if right != layout.checksum:
        after = right.to_bytes(4, "little")
        changes.append(Change(CHECKSUM, at, layout.checksum.to_bytes(4, "little"), after))
        patched[at : at + 4] = after
        new = bytes(patched)
    if changes:
        _confirm(new, fields, epoch)
    return Normalised(new, tuple(sorted(changes, key=lambda change: change.offset)), tuple(notes))


def _confirm(new: bytes, expected: tuple[Field, ...], epoch: int) -> None:
    """Read the result again, first ourselves, then by LIEF: the fields must be where they were, with their values.

    They are not when a stamp lies over another table's entries, as in a file made to confuse.
    """
    layout = read_layout(new)
    found = volatile_fields(new, layout, epoch)
    if found != expected:
        wrong = min(set(found) ^ set(expected), key=lambda field: field.offset)
        raise PEError(f"{wrong.name} at offset {wrong.offset:#x}: expected it to stay, found tables that overlap")
    confirm(new, layout, found)
