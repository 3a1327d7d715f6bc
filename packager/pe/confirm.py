"""A second opinion: LIEF, which shares no code with our reader, reads a normalised file and must see the same.

Where LIEF 1.0 sees less than we do, pefile is asked. Of 2,249 real files that was so for directories of two resource
trees: Wine's ``tzres.dll`` and ``light.msstyles``, 10 of 141 and 63 of 502, as LIEF leaves out what follows a leaf that
it has met before. Of files made for it: entries whose debug data LIEF cannot unpack, the stamp of an ``NB10`` record,
the last character of a path with no zero behind it, a record of which an entry has the address and no offset, and an
export directory in the headers instead of a section.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import lief
import pefile

from packager.changes import show_bytes
from packager.errors import PEError
from packager.pe import codeview, fields
from packager.pe.fields import Field
from packager.pe.layout import Layout
from packager.pe.limits import refuse_heavy, resources, symbols_are_light
from packager.pe.tables import import_descriptors

#: pefile takes 50 microseconds for an entry; no real file was seen with more than 502 resource directories.
_MOST_FOR_PEFILE = 4096
#: Where the age stands in a CodeView record of each kind; its path follows.
_AGES = {b"RSDS": 20, b"NB10": 12}

_STRANGE = "the file is unusual or broken; it was left as it is"
_LONGEST_REASON = 200

#: The values of one kind of field, as bytes of the file, and how often each occurs.
Values = Counter[bytes]


def confirm(data: bytes, layout: Layout, expected: Iterable[Field], *, unbound: bool = False) -> None:
    """Raise PEError unless LIEF finds, in ``data``, the headers of ``layout`` and the values of ``expected``.

    With ``unbound`` it must also find that no import is bound. What a zip archive in the overlay has is not looked at.
    A file that would keep LIEF busy is refused before it is asked; of many COFF symbols and much in resources, which it
    would copy, it sees nothing.
    """
    refuse_heavy(data, layout, imports=unbound)
    tree = resources(data, layout)
    by_pefile = tree.entries <= _MOST_FOR_PEFILE
    symbols = symbols_are_light(data, layout)
    lief.logging.disable()
    with _reading("LIEF"):
        view = data
        if not symbols or not (tree.light or by_pefile):
            view = _lightened(data, layout, () if tree.light else tree.sizes, symbols)
        binary = lief.PE.parse(view, _config(imports=unbound, resources=tree.light or not by_pefile))
        del view
    if binary is None:
        raise PEError("expected LIEF to read the file as well, found that it cannot")
    _same("e_lfanew", layout.pe_offset, binary.dos_header.addressof_new_exeheader)
    _same("number of sections", len(layout.sections), binary.header.numberof_sections)
    _same("checksum", layout.checksum, binary.optional_header.checksum)
    _same("symbol table", layout.symbol_table if symbols else 0, binary.header.pointerto_symbol_table)
    wanted: dict[str, Values] = {name: Counter() for name in _BY_LIEF}
    cut_short = False
    for field in expected:
        if field.name == codeview.PATH:
            text = field.value.partition(b"\0")[0]
            wanted[field.name].update([text] if text else [])
            cut_short |= len(text) == len(field.value)
        elif field.name in wanted:
            wanted[field.name][field.value] += 1
    for name, read in _BY_LIEF.items():
        ours = wanted[name]
        with _reading("LIEF"):
            theirs = Counter(read(binary))
        less = theirs.total() < ours.total() or (cut_short and name == codeview.PATH)
        if less and name in _BY_PEFILE and by_pefile and ours.total() <= _MOST_FOR_PEFILE:
            with _reading("pefile"):
                theirs = Counter(_BY_PEFILE[name](data))
            _same(name, ours, theirs, "pefile")
        else:
            _same(name, ours, theirs)
    if unbound:
        _confirm_unbound(binary, sum(1 for _ in import_descriptors(data, layout)))


def _lightened(data: bytes, layout: Layout, sizes: Iterable[int], symbols: bool) -> bytes:
    """``data`` with zeros at ``sizes``, so that resources are empty, and unless ``symbols`` without COFF symbols.

    It is cut off where those begin, when they are behind the sections, or LIEF would copy them as an overlay.
    """
    end = layout.size
    if not symbols and layout.symbol_table >= layout.body_end:
        end = min(layout.symbol_table, end)
    buffer = io.BytesIO(memoryview(data)[:end])
    for at, length in [*((size, 4) for size in sizes), *([] if symbols else [(layout.symbols_offset, 8)])]:
        if at + length <= end:
            buffer.seek(at)
            buffer.write(bytes(length))
    return buffer.getvalue()


def _config(*, imports: bool, resources: bool) -> lief.PE.ParserConfig:
    """What LIEF has to parse for its values to be seen, and nothing else."""
    config = lief.PE.ParserConfig()
    config.parse_signature = False
    config.parse_exports = False
    config.parse_imports = imports
    config.parse_rsrc = resources
    config.parse_reloc = False
    config.parse_exceptions = False
    return config


def _confirm_unbound(binary: lief.PE.Binary, count: int) -> None:
    """Each of ``count`` imported DLLs has no stamp, and its address table is its look-up table."""
    imports = list(binary.imports)
    _same("imported DLLs", count, len(imports))
    for dll in imports:
        _same("import descriptor TimeDateStamp", 0, dll.timedatestamp)
        differ = sum(1 for entry in dll.entries if entry.iat_value != entry.ilt_value)
        if dll.import_lookup_table_rva:
            _same("addresses in the import address table", 0, differ)
    _same("bound import directory", 0, binary.data_directories[11].rva if len(binary.data_directories) > 11 else 0)


def _coff(binary: lief.PE.Binary) -> Iterator[bytes]:
    yield _u32(binary.header.time_date_stamps)


def _export(binary: lief.PE.Binary) -> Iterator[bytes]:
    """Four bytes where LIEF says that the directory is: parsing all exports takes longer and finds nothing more."""
    directory = binary.export_dir
    if directory is not None and directory.rva:
        stamp = binary.get_content_from_virtual_address(directory.rva + 4, 4, lief.PE.Binary.VA_TYPES.RVA)
        if len(stamp) == 4:
            yield bytes(stamp)


def _debug(binary: lief.PE.Binary) -> Iterator[bytes]:
    for entry in binary.debug:
        yield _u32(entry.timestamp)


def _codeview(binary: lief.PE.Binary) -> Iterator[lief.PE.CodeViewPDB]:
    """Each CodeView record once, however many entries point at it."""
    seen = set()
    for entry in binary.debug:
        place = (entry.pointerto_rawdata, entry.addressof_rawdata, entry.sizeof_data)
        if isinstance(entry, lief.PE.CodeViewPDB) and place not in seen:
            seen.add(place)
            yield entry


def _codeview_guid(binary: lief.PE.Binary) -> Iterator[bytes]:
    for record in _codeview(binary):
        if record.cv_signature == lief.PE.CodeView.SIGNATURES.PDB_70:
            yield bytes(record.signature)


def _codeview_age(binary: lief.PE.Binary) -> Iterator[bytes]:
    for record in _codeview(binary):
        yield _u32(record.age)


def _codeview_path(binary: lief.PE.Binary) -> Iterator[bytes]:
    for record in _codeview(binary):
        # LIEF gives bytes where they are no UTF-8, whatever its declarations say.
        name: str | bytes = record.filename
        if name:
            yield name.encode() if isinstance(name, str) else name


def _codeview_stamp(_binary: lief.PE.Binary) -> Iterator[bytes]:
    """LIEF does not give the stamp of an NB10 record."""
    return iter(())


def _resources(binary: lief.PE.Binary) -> Iterator[bytes]:
    waiting = [binary.resources]
    while waiting:
        node = waiting.pop()
        if isinstance(node, lief.PE.ResourceDirectory):
            yield _u32(node.time_date_stamp)
            waiting.extend(node.childs)


def _delay(binary: lief.PE.Binary) -> Iterator[bytes]:
    for entry in binary.delay_imports:
        yield _u32(entry.timestamp)


def _load_config(binary: lief.PE.Binary) -> Iterator[bytes]:
    config = binary.load_configuration
    if config is not None:
        yield _u32(config.timedatestamp)


#: What LIEF sees, by the names that our fields have.
_BY_LIEF: dict[str, Callable[[lief.PE.Binary], Iterator[bytes]]] = {
    fields.COFF: _coff,
    fields.EXPORT: _export,
    fields.DEBUG: _debug,
    codeview.GUID: _codeview_guid,
    codeview.STAMP: _codeview_stamp,
    codeview.AGE: _codeview_age,
    codeview.PATH: _codeview_path,
    fields.RESOURCE: _resources,
    fields.DELAY: _delay,
    fields.LOAD_CONFIG: _load_config,
}


def _export_by_pefile(data: bytes) -> Iterator[bytes]:
    image = _pefile(data)
    directory = image.OPTIONAL_HEADER.DATA_DIRECTORY[0]
    yield image.get_data(directory.VirtualAddress + 4, 4)


def _resources_by_pefile(data: bytes) -> Iterator[bytes]:
    root = _by_pefile(data, "IMAGE_DIRECTORY_ENTRY_RESOURCE", "DIRECTORY_ENTRY_RESOURCE")
    waiting = [] if root is None else [root]
    while waiting:
        node = waiting.pop()
        yield _u32(node.struct.TimeDateStamp)
        waiting.extend(entry.directory for entry in node.entries if hasattr(entry, "directory"))


def _debug_by_pefile(data: bytes) -> Iterator[bytes]:
    for entry in _debug_entries_by_pefile(data):
        yield _u32(entry.struct.TimeDateStamp)


def _codeview_by_pefile(data: bytes) -> Iterator[bytes]:
    """Each CodeView record's bytes once, from where pefile sees them: it maps addresses in its own way."""
    image = _pefile(data)
    seen = set()
    for entry in _debug_entries_by_pefile(data):
        place = (entry.struct.PointerToRawData, entry.struct.AddressOfRawData, entry.struct.SizeOfData)
        if entry.struct.Type == codeview.DEBUG_CODEVIEW and place not in seen:
            seen.add(place)
            pointer, rva, size = place
            yield data[pointer : pointer + size] if pointer else image.get_data(rva, size)


def _guid_by_pefile(data: bytes) -> Iterator[bytes]:
    return (record[4:20] for record in _codeview_by_pefile(data) if record[:4] == b"RSDS")


def _stamp_by_pefile(data: bytes) -> Iterator[bytes]:
    return (record[8:12] for record in _codeview_by_pefile(data) if record[:4] == b"NB10")


def _age_by_pefile(data: bytes) -> Iterator[bytes]:
    for record in _codeview_by_pefile(data):
        if record[:4] in _AGES:
            at = _AGES[record[:4]]
            yield record[at : at + 4]


def _path_by_pefile(data: bytes) -> Iterator[bytes]:
    for record in _codeview_by_pefile(data):
        path = record[_AGES.get(record[:4], len(record)) + 4 :].partition(b"\0")[0]
        if path:
            yield path


def _debug_entries_by_pefile(data: bytes) -> Iterable[Any]:
    return _by_pefile(data, "IMAGE_DIRECTORY_ENTRY_DEBUG", "DIRECTORY_ENTRY_DEBUG") or ()


def _by_pefile(data: bytes, directory: str, attribute: str) -> Any:
    """One directory as pefile parses it, or None where it finds none."""
    image = _pefile(data)
    image.parse_data_directories([pefile.DIRECTORY_ENTRY[directory]])
    return getattr(image, attribute, None)


def _pefile(data: bytes) -> Any:
    return pefile.PE(data=data, fast_load=True)


_BY_PEFILE: dict[str, Callable[[bytes], Iterator[bytes]]] = {
    fields.EXPORT: _export_by_pefile,
    fields.DEBUG: _debug_by_pefile,
    fields.RESOURCE: _resources_by_pefile,
    codeview.GUID: _guid_by_pefile,
    codeview.STAMP: _stamp_by_pefile,
    codeview.AGE: _age_by_pefile,
    codeview.PATH: _path_by_pefile,
}


@contextmanager
def _reading(who: str) -> Iterator[None]:
    """What another reader raises, which for a broken file may be anything, as PEError."""
    try:
        yield
    except Exception as exc:
        raise PEError(
            f"expected {who} to read the file as well, found: {type(exc).__name__}: {str(exc)[:_LONGEST_REASON]}",
            hint=_STRANGE,
        ) from exc


def _same(what: str, ours: object, theirs: object, who: str = "LIEF") -> None:
    if ours != theirs:
        raise PEError(
            f"{what}: expected two independent readers to agree, "
            f"found {_show(ours)} by ours and {_show(theirs)} by {who}",
            hint=_STRANGE,
        )


def _show(value: object) -> str:
    """Values with how often each occurs, or a plain value."""
    if isinstance(value, Counter):
        return ", ".join(f"{count} x {show_bytes(item)}" for item, count in sorted(value.items())[:4]) or "none"
    return str(value)


def _u32(value: int) -> bytes:
    return value.to_bytes(4, "little")
