"""A second opinion: LIEF, which shares no code with our reader, reads a normalised file and must see the same.

LIEF 1.0 leaves directories out of some resource trees (of 1,074 files tried: ``tzres.dll`` and ``light.msstyles`` of
Wine, 10 of 141 and 63 of 502), and debug entries whose data it cannot parse; where it sees fewer of these than we do,
pefile is asked about them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import lief
import pefile

from packager.errors import PEError
from packager.pe import fields
from packager.pe.fields import Field
from packager.pe.layout import Layout

#: pefile takes 50 microseconds for an entry; no real file was seen with more than 502 resource directories.
_MOST_FOR_PEFILE = 4096


def confirm(data: bytes, layout: Layout, expected: Iterable[Field]) -> None:
    """Raise PEError unless LIEF finds, in ``data``, the headers of ``layout`` and each stamp of ``expected``."""
    lief.logging.disable()
    binary = lief.PE.parse(data, _config())
    if binary is None:
        raise PEError("expected LIEF to read the file as well, found that it cannot")
    _same("e_lfanew", layout.pe_offset, binary.dos_header.addressof_new_exeheader)
    _same("number of sections", len(layout.sections), binary.header.numberof_sections)
    _same("checksum", layout.checksum, binary.optional_header.checksum)
    wanted: dict[str, Counter[int]] = {}
    for field in expected:
        wanted.setdefault(field.name, Counter())[int.from_bytes(field.value, "little")] += 1
    for name, stamps in _stamps(binary).items():
        ours = wanted.get(name, Counter())
        if name in _BY_PEFILE and len(stamps) < ours.total() <= _MOST_FOR_PEFILE:
            _same(name, ours, Counter(_BY_PEFILE[name](data)), "pefile")
        else:
            _same(name, ours, Counter(stamps))


def _config() -> lief.PE.ParserConfig:
    """What LIEF has to parse for its stamps to be seen, and nothing else."""
    config = lief.PE.ParserConfig()
    config.parse_signature = False
    config.parse_imports = False
    config.parse_reloc = False
    config.parse_exceptions = False
    return config


def _stamps(binary: lief.PE.Binary) -> dict[str, list[int]]:
    """The stamps that LIEF sees, by the names that our fields have."""
    export = binary.get_export()
    load_config = binary.load_configuration
    return {
        fields.COFF: [binary.header.time_date_stamps],
        fields.EXPORT: [] if export is None else [export.timestamp],
        fields.DEBUG: [entry.timestamp for entry in binary.debug],
        fields.RESOURCE: _resource_stamps(binary),
        fields.DELAY: [entry.timestamp for entry in binary.delay_imports],
        fields.LOAD_CONFIG: [] if load_config is None else [load_config.timedatestamp],
    }


def _resource_stamps(binary: lief.PE.Binary) -> list[int]:
    stamps = []
    waiting = [binary.resources]
    while waiting:
        node = waiting.pop()
        if isinstance(node, lief.PE.ResourceDirectory):
            stamps.append(node.time_date_stamp)
            waiting.extend(node.childs)
    return stamps


def _resource_stamps_by_pefile(data: bytes) -> list[int]:
    stamps = []
    root = _by_pefile(data, "IMAGE_DIRECTORY_ENTRY_RESOURCE", "DIRECTORY_ENTRY_RESOURCE")
    waiting = [] if root is None else [root]
    while waiting:
        node = waiting.pop()
        stamps.append(node.struct.TimeDateStamp)
        waiting.extend(entry.directory for entry in node.entries if hasattr(entry, "directory"))
    return stamps


def _debug_stamps_by_pefile(data: bytes) -> list[int]:
    entries = _by_pefile(data, "IMAGE_DIRECTORY_ENTRY_DEBUG", "DIRECTORY_ENTRY_DEBUG")
    return [entry.struct.TimeDateStamp for entry in entries or ()]


def _by_pefile(data: bytes, directory: str, attribute: str) -> Any:
    """One directory as pefile parses it, or None where it finds none."""
    try:
        image = pefile.PE(data=data, fast_load=True)
        image.parse_data_directories([pefile.DIRECTORY_ENTRY[directory]])
    except pefile.PEFormatError as exc:
        raise PEError(f"expected pefile to read the file as well, found: {exc}") from exc
    return getattr(image, attribute, None)


_BY_PEFILE: dict[str, Callable[[bytes], list[int]]] = {
    fields.RESOURCE: _resource_stamps_by_pefile,
    fields.DEBUG: _debug_stamps_by_pefile,
}


def _same(what: str, ours: object, theirs: object, who: str = "LIEF") -> None:
    if ours != theirs:
        raise PEError(
            f"{what}: expected two independent readers to agree, "
            f"found {_show(ours)} by ours and {_show(theirs)} by {who}",
            hint="the file is unusual or broken; it was left as it is",
        )


def _show(value: object) -> str:
    """Stamps with how often each occurs, or a plain value."""
    if isinstance(value, Counter):
        return ", ".join(f"{count} x {stamp:#010x}" for stamp, count in sorted(value.items())[:4]) or "none"
    return str(value)
