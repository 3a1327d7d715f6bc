"""Make a PE file independent of when and where it was linked, in place on its bytes.

What is written, and nothing else: the fields that :mod:`packager.pe.fields` lists, what :mod:`packager.pe.bound`
undoes, and the checksum. Only when asked for: the certificate table and the COFF symbols are cut off, with what refers
to them in the headers, and zeros appended.
"""

from __future__ import annotations

from typing import Literal, get_args

from packager.changes import Normalised
from packager.errors import PEError, SpecError
from packager.formats.fields import Field, check_epoch
from packager.pe import codeview
from packager.pe.bound import DIRECTORY_ENTRY, unbound_fields
from packager.pe.checksum import checksum
from packager.pe.confirm import confirm
from packager.pe.draft import Draft
from packager.pe.fields import refuse_overlaps, volatile_fields
from packager.pe.layout import read_layout
from packager.pe.overlay import OVERLAY, overlay_fields
from packager.pe.remarks import remarks
from packager.pe.signature import certificate_table, strip_signature
from packager.pe.symbols import strip_symbols

#: What to do with a signed file: an error, leave it byte for byte, or take the signature off and go on.
Signed = Literal["refuse", "keep", "strip"]
#: What to do with COFF symbols: leave them, or take them off.
Symbols = Literal["keep", "strip"]

CHECKSUM = "CheckSum"
PADDING = "padding"

#: A signer pads to this before it appends the certificate table.
_ALIGNMENT = 8


def normalise(
    data: bytes, epoch: int, *, signed: Signed = "refuse", symbols: Symbols = "keep", pad: bool = False
) -> Normalised:
    """Normalise the PE file ``data`` to ``epoch`` (seconds since 1970, 0 to 2**32-1).

    Doing it twice changes nothing more. The length stays the same, unless a signature or, with ``symbols="strip"``, the
    COFF symbols are cut off, or ``pad`` appends zeros up to a multiple of 8 bytes: a signer does just that, so that a
    file which was padded before it was signed is the same again once the signature is stripped. In memory are ``data``,
    the result, and LIEF's copy. Raises PEError when the file is not a PE image, is broken, signed (unless ``signed``
    says otherwise), has bound imports that cannot be undone or symbols that cannot be cut off, or when LIEF, reading
    the result, sees something else than what was meant; SpecError when an argument is wrong.
    """
    check_epoch(epoch)
    for name, value, known in (("signed", signed, Signed), ("symbols", symbols, Symbols)):
        if value not in get_args(known):
            raise SpecError(f"{name}: expected one of {', '.join(get_args(known))}, found {value!r}")
    layout = read_layout(data)
    draft = Draft(data)
    certificates = certificate_table(layout)
    if certificates is not None:
        if signed == "refuse":
            raise PEError(
                f"offset {certificates.offset:#x}: expected no signature, found {certificates.size} bytes of one",
                hint="--signed keep leaves such files as they are, --signed strip takes the signature off",
            )
        if signed == "keep":
            return Normalised(data, (), ("signed: left as it is",))
        strip_signature(draft, layout, certificates)
    if symbols == "strip":
        strip_symbols(draft, read_layout(draft.data))
    if pad:
        draft.pad(PADDING, _ALIGNMENT)
    unbound = unbound_fields(draft.data, read_layout(draft.data))
    for field in unbound:
        draft.put(field.name, field.offset, field.value)
    fields, notes = _read(draft.data, epoch, unbound)
    for field in fields:
        draft.put(field.name, field.offset, field.value)
    at = layout.checksum_offset
    draft.put(CHECKSUM, at, checksum(draft.data, at).to_bytes(4, "little"))
    changes = draft.changes
    if not changes:
        return Normalised(data, (), notes)
    _confirm(draft.data, fields, epoch, unbound)
    return Normalised(draft.data, changes, notes)


def _read(data: bytes, epoch: int, unbound: tuple[Field, ...]) -> tuple[tuple[Field, ...], tuple[str, ...]]:
    """The volatile fields, which must not lie where imports were unbound, and the remarks."""
    layout = read_layout(data)
    fields = volatile_fields(data, layout, epoch)
    if unbound:
        both = {*fields, *(field for field in unbound if field.name != DIRECTORY_ENTRY)}
        refuse_overlaps(sorted(both, key=lambda field: field.offset), layout)
    notes = [*remarks(data, layout)]
    if not any(field.name.startswith(OVERLAY) for field in fields):
        notes += [note for note in [overlay_fields(data, layout, epoch)[1]] if note]
    return fields, tuple(notes)


def _confirm(new: bytes, expected: tuple[Field, ...], epoch: int, unbound: tuple[Field, ...]) -> None:
    """Read the result again, first ourselves, then by LIEF: the fields must be where they were, with their values.

    They are not when a stamp lies over another table's entries, as in a file made to confuse.
    """
    layout = read_layout(new)
    # What a GUID is made from lies outside the fields, so that it cannot have changed.
    guid = next((field.value for field in expected if field.name == codeview.GUID), None)
    found = volatile_fields(new, layout, epoch, guid)
    if found != expected:
        wrong = min(set(found) ^ set(expected), key=lambda field: field.offset)
        raise PEError(f"{wrong.name} at offset {wrong.offset:#x}: expected it to stay, found tables that overlap")
    confirm(new, layout, found, unbound=bool(unbound))
