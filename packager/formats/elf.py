"""What a loader makes of an ELF file, read with LIEF: what it needs, and how it is protected. Nothing is changed."""

from __future__ import annotations

from dataclasses import dataclass

import lief

MAGIC = b"\x7fELF"
#: elf(5): DF_BIND_NOW in DT_FLAGS, DF_1_NOW and DF_1_PIE in DT_FLAGS_1.
_BIND_NOW, _NOW_1, _PIE_1 = 0x8, 0x1, 0x08000000
#: elf(5): PF_X and PF_W of a segment.
_EXECUTE, _WRITE = 0x1, 0x2


@dataclass(frozen=True, slots=True)
class Elf:
    """One ELF file.

    ``machine`` is LIEF's name (``X86_64``); ``program`` is true for what the kernel can start. ``needed`` are the names
    of libraries in their order, ``soname`` its own, ``search`` the folders of RPATH and RUNPATH. ``wanted`` are the
    versions of symbols that it asks of libraries, as (library, version). ``leftovers`` are sections that no loader
    reads.
    """

    machine: str
    program: bool
    interpreter: str | None
    needed: tuple[str, ...]
    soname: str | None
    search: tuple[str, ...]
    wanted: tuple[tuple[str, str], ...]
    independent: bool
    text_relocations: bool
    relro: bool
    bind_now: bool
    executable_stack: bool
    writable_code: bool
    leftovers: tuple[str, ...]


def read_elf(data: bytes) -> Elf | None:
    """The facts about an ELF file that can be loaded; None if it is none (an object file, or broken)."""
    options = lief.ELF.ParserConfig()
    options.parse_symtab_symbols = False
    options.parse_relocations = False
    binary = lief.ELF.parse(list(data), options)
    if binary is None or binary.header.file_type not in (lief.ELF.Header.FILE_TYPE.DYN, lief.ELF.Header.FILE_TYPE.EXEC):
        return None
    tags = lief.ELF.DynamicEntry.TAG
    kinds = lief.ELF.Segment.TYPE
    dynamic = list(binary.dynamic_entries)
    segments = list(binary.segments)

    def value(tag: object) -> int:
        return next((entry.value for entry in dynamic if entry.tag == tag), 0)

    stack = [segment for segment in segments if segment.type == kinds.GNU_STACK]
    search = [
        *(str(entry.rpath) for entry in dynamic if isinstance(entry, lief.ELF.DynamicEntryRpath)),
        *(str(entry.runpath) for entry in dynamic if isinstance(entry, lief.ELF.DynamicEntryRunPath)),
    ]
    return Elf(
        machine=binary.header.machine_type.name,
        program=bool(binary.has_interpreter) or binary.header.file_type == lief.ELF.Header.FILE_TYPE.EXEC,
        interpreter=str(binary.interpreter) if binary.has_interpreter else None,
        needed=tuple(str(entry.name) for entry in dynamic if isinstance(entry, lief.ELF.DynamicEntryLibrary)),
        soname=next((str(entry.name) for entry in dynamic if isinstance(entry, lief.ELF.DynamicSharedObject)), None),
        search=tuple(folder for path in search for folder in path.split(":")),
        wanted=tuple(
            sorted(
                (str(library.name), str(version.name))
                for library in binary.symbols_version_requirement
                for version in library.get_auxiliary_symbols()
            )
        ),
        independent=binary.header.file_type == lief.ELF.Header.FILE_TYPE.DYN,
        text_relocations=any(entry.tag == tags.TEXTREL for entry in dynamic),
        relro=any(segment.type == kinds.GNU_RELRO for segment in segments),
        bind_now=bool(value(tags.FLAGS) & _BIND_NOW or value(tags.FLAGS_1) & _NOW_1),
        executable_stack=not stack or any(int(segment.flags) & _EXECUTE for segment in stack),
        writable_code=any(
            segment.type == kinds.LOAD and int(segment.flags) & _EXECUTE and int(segment.flags) & _WRITE
            for segment in segments
        ),
        leftovers=tuple(
            str(section.name)
            for section in binary.sections
            if section.name in (".symtab", ".note.gnu.build-id") or str(section.name).startswith((".debug", ".zdebug"))
        ),
    )
