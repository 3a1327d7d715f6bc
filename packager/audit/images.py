"""Checks of PE files' headers: machine, hardening, what a linker leaves for debuggers; and of libraries' versions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from packager.audit.facts import Facts, Pe
from packager.audit.model import WHOLE, Hit
from packager.audit.policy import Library, Policy
from packager.deps.names import windows_key
from packager.trees import file_sha256

#: IMAGE_FILE_RELOCS_STRIPPED, and the data directory with the relocations.
_RELOCS_STRIPPED = 0x0001
_RELOCATIONS = 5
#: IMAGE_DLLCHARACTERISTICS_*.
_HIGH_ENTROPY_VA, _DYNAMIC_BASE, _NX_COMPAT, _GUARD_CF = 0x0020, 0x0040, 0x0100, 0x4000
#: IMAGE_SCN_MEM_EXECUTE | IMAGE_SCN_MEM_WRITE.
_EXECUTE, _WRITE = 0x20000000, 0x80000000


def machine(facts: Facts, policy: Policy) -> Iterator[Hit]:
    """Each PE file is for the policy's machine."""
    for pe in facts.images if policy.elf is None else ():
        if pe.layout.machine_name != policy.machine:
            yield Hit(
                pe.entry.path,
                f"is for {pe.layout.machine_name}, not for {policy.machine}",
                fix=f"build it for {policy.machine}, or leave it out",
            )


def dynamic_base(facts: Facts, _policy: Policy) -> Iterator[Hit]:
    """DYNAMIC_BASE is set."""
    return _without(facts, _DYNAMIC_BASE, "DYNAMIC_BASE is not set")


def high_entropy_va(facts: Facts, _policy: Policy) -> Iterator[Hit]:
    """HIGH_ENTROPY_VA is set in 64-bit files."""
    return _without(facts, _HIGH_ENTROPY_VA, "HIGH_ENTROPY_VA is not set", only_plus=True)


def nx_compat(facts: Facts, _policy: Policy) -> Iterator[Hit]:
    """NX_COMPAT is set."""
    return _without(facts, _NX_COMPAT, "NX_COMPAT is not set")


def relocations(facts: Facts, _policy: Policy) -> Iterator[Hit]:
    """Files with code have their relocations."""
    for pe in facts.images:
        directories = pe.layout.directories
        if not pe.has_code:
            continue
        if pe.layout.characteristics & _RELOCS_STRIPPED:
            yield Hit(pe.entry.path, "the relocations are stripped")
        elif len(directories) <= _RELOCATIONS or not directories[_RELOCATIONS]:
            yield Hit(pe.entry.path, "there are no relocations")


def writable_code(facts: Facts, _policy: Policy) -> Iterator[Hit]:
    """No section is both writable and executable."""
    for pe in facts.images:
        for section in pe.layout.sections:
            if section.characteristics & _EXECUTE and section.characteristics & _WRITE:
                name = section.name.rstrip(b"\0").decode("utf-8", "backslashreplace")
                yield Hit(pe.entry.path, f"the section {name} is writable and executable")


def control_flow_guard(facts: Facts, _policy: Policy) -> Iterator[Hit]:
    """How many files have no Control Flow Guard."""
    without = [pe for pe in facts.images if pe.has_code and not pe.layout.dll_characteristics & _GUARD_CF]
    if without:
        yield Hit(WHOLE, f"{len(without)} of {len(facts.images)} PE files have no Control Flow Guard")


def subsystem_version(facts: Facts, policy: Policy) -> Iterator[Hit]:
    """No PE file is marked for a Windows older than the policy has it."""
    for pe in facts.images:
        if pe.layout.subsystem_version < policy.oldest_subsystem:
            major, minor = pe.layout.subsystem_version
            yield Hit(
                pe.entry.path,
                f"the subsystem version is {major}.{minor}, expected {policy.subsystem_version} or later",
                fix=f"link with -Wl,--major-subsystem-version={policy.oldest_subsystem[0]},"
                f"--minor-subsystem-version={policy.oldest_subsystem[1]}",
            )


def coff_symbols(facts: Facts, _policy: Policy) -> Iterator[Hit]:
    """No PE file has a table of COFF symbols."""
    for pe in facts.images:
        if pe.layout.symbol_table or pe.layout.symbol_count:
            yield Hit(pe.entry.path, f"has {pe.layout.symbol_count} COFF symbols")


def debug_path(facts: Facts, _policy: Policy) -> Iterator[Hit]:
    """No CodeView record names a folder."""
    for pe in facts.images:
        for path in pe.debug_paths:
            if "/" in path or "\\" in path:
                yield Hit(pe.entry.path, f"its debug data name {path!r}")


def duplicate_library(facts: Facts, policy: Policy) -> Iterator[Hit]:
    """There is one version of each library."""
    yield from _same_name(facts)
    for library in policy.libraries:
        for pattern in library.files:
            yield from _other_names(facts.images, library, pattern)
        if library.version is not None:
            yield from _versions(facts.images, library, library.version)


def _without(facts: Facts, flag: int, message: str, *, only_plus: bool = False) -> Iterator[Hit]:
    for pe in facts.images:
        if pe.has_code and not pe.layout.dll_characteristics & flag and (pe.layout.is_plus or not only_plus):
            yield Hit(pe.entry.path, message)


def _same_name(facts: Facts) -> Iterator[Hit]:
    """DLLs of one name in several folders. Extension modules are loaded by their paths, so theirs may be the same."""
    named: dict[str, list[Pe]] = {}
    for pe in facts.images:
        if pe.layout.is_dll and not pe.entry.path.lower().endswith(".pyd"):
            named.setdefault(windows_key(pe.entry.name), []).append(pe)
    for first, *others in named.values():
        for other in others:
            if file_sha256(first.entry.absolute) == file_sha256(other.entry.absolute):
                yield Hit(
                    other.entry.path,
                    f"is the same file as {first.entry.path}",
                    reason="a process that needs it twice loads it twice, each with data of its own, or only the first",
                    severity="note",
                )
            else:
                yield Hit(other.entry.path, f"is another file than {first.entry.path}, which has the same name")


def _other_names(images: Sequence[Pe], library: Library, pattern: str) -> Iterator[Hit]:
    found = [pe for pe in images if fnmatchcase(pe.entry.name.lower(), pattern)]
    for pe in found[1:]:
        if windows_key(pe.entry.name) != windows_key(found[0].entry.name):
            yield Hit(pe.entry.path, f"is {library.name}, and so is {found[0].entry.path}", reason=library.reason)


def _versions(images: Sequence[Pe], library: Library, expression: str) -> Iterator[Hit]:
    """Files with another version of the library in them than most have; of as many the first one's counts."""
    compiled = re.compile(expression.encode())
    found: list[tuple[Pe, str]] = []
    for pe in images:
        versions = {match[1].decode("utf-8", "backslashreplace") for match in compiled.finditer(pe.entry.read())}
        found += [(pe, version) for version in sorted(versions)]
    if not found:
        return
    ((usual, _count),) = Counter(version for _pe, version in found).most_common(1)
    where = next(pe for pe, version in found if version == usual)
    for pe, version in found:
        if version != usual:
            yield Hit(
                pe.entry.path,
                f"has {library.name} {version} in it, but {where.entry.path} has {usual}",
                reason=library.reason,
            )
