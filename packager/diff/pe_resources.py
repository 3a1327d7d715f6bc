"""The resources in a PE file as facts: type, name and language, and the bytes."""

from __future__ import annotations

from collections.abc import Iterator

from packager.diff.pe_facts import Fact
from packager.errors import PEError
from packager.pe.layout import Layout
from packager.pe.resources import resources

#: RT_* of winuser.h.
_TYPES = {
    1: "CURSOR", 2: "BITMAP", 3: "ICON", 4: "MENU", 5: "DIALOG", 6: "STRING", 7: "FONTDIR", 8: "FONT",
    9: "ACCELERATOR", 10: "RCDATA", 11: "MESSAGETABLE", 12: "GROUP_CURSOR", 14: "GROUP_ICON", 16: "VERSION",
    17: "DLGINCLUDE", 19: "PLUGPLAY", 20: "VXD", 21: "ANICURSOR", 22: "ANIICON", 23: "HTML", 24: "MANIFEST",
}  # fmt: skip


def resource_facts(data: bytes, layout: Layout) -> Iterator[Fact]:
    """A fact for each resource, named ``resource VERSION/1/1033``.

    Raises PEError when the tree is not one of types, names and languages inside the image, or resources overlap so
    that together they would take more bytes than the file can hold.
    """
    room = 2 * layout.size
    for item in resources(data, layout):
        kind = _TYPES.get(item.type, item.type) if isinstance(item.type, int) else item.type
        name = f"resource {kind}/{item.name}/{item.language}"
        offset = layout.offset(item.rva, item.size, name)
        room -= item.size
        if room < 0:
            raise PEError(f"{name} at offset {offset:#x}: expected resources that fit the file, found an overlap")
        yield Fact(name, data[offset : offset + item.size], "blob", offset, item.size)
