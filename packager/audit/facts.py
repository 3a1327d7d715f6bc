"""What there is to judge: every entry of a tree, its PE and ELF files' headers, and the graph of their DLLs."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from packager import manifest
from packager.deps import windows
from packager.deps.graph import analyse
from packager.deps.model import Graph
from packager.errors import BuildError, CheckError, MachineError, PEError
from packager.formats import zip as zips
from packager.formats.elf import MAGIC, Elf, read_elf
from packager.formats.errors import FormatError
from packager.manifest import Manifest, SourceRecord
from packager.pe.chpe import load_config
from packager.pe.codeview import PATH, codeview_fields
from packager.pe.kinds import PE_SUFFIXES, is_pe
from packager.pe.layout import Layout, read_layout

#: IMAGE_SCN_CNT_CODE and IMAGE_SCN_MEM_EXECUTE: a section with one of them has code.
_CODE = 0x20 | 0x20000000
#: All LOAD_LIBRARY_SEARCH_* flags.
_ANY_SEARCH = 0x1F00
#: What is a zip archive by its name; Python looks into any that sys.path names.
_ZIP_SUFFIXES = (".zip", ".whl", ".jar", ".pyz")
#: What a member of an archive counts as: its own attributes are a check's affair.
_MEMBER = stat.S_IFREG | 0o644


@dataclass(frozen=True, slots=True)
class Entry:
    """One file, folder or other thing in the tree.

    ``path`` is relative, with ``/``. ``mode`` is what lstat gives, ``size`` is in bytes. A member of a zip archive has
    its ``content``, and its archive's path before its name.
    """

    path: str
    absolute: Path
    mode: int
    size: int
    content: bytes | None = None

    @property
    def name(self) -> str:
        """The last part of the path."""
        return PurePosixPath(self.path).name

    @property
    def is_file(self) -> bool:
        """A regular file."""
        return stat.S_ISREG(self.mode)

    @property
    def is_folder(self) -> bool:
        """A folder."""
        return stat.S_ISDIR(self.mode)

    def read(self, size: int = -1) -> bytes:
        """The file's first ``size`` bytes, or all."""
        if self.content is not None:
            return self.content if size < 0 else self.content[:size]
        with self.absolute.open("rb") as file:
            return file.read(size)


@dataclass(frozen=True, slots=True)
class Pe:
    """The headers of a PE file, and the paths in its CodeView records.

    ``load_flags`` are the LOAD_LIBRARY_SEARCH_* with which Windows resolves its imports, 0 for the standard order.
    """

    entry: Entry
    layout: Layout
    debug_paths: tuple[str, ...]
    load_flags: int = 0

    @property
    def has_code(self) -> bool:
        """False for a DLL that only forwards exports or holds resources."""
        return any(section.characteristics & _CODE for section in self.layout.sections)


@dataclass(frozen=True, slots=True)
class ElfFile:
    """An ELF file, and what of it was read; None where it cannot be."""

    entry: Entry
    image: Elf | None


@dataclass(frozen=True, slots=True)
class Archive:
    """A zip archive, by its content or its name: its ``members``, or why they cannot be read (``fault``).

    ``entries`` are those whose content is known, as files below it.
    """

    entry: Entry
    members: tuple[zips.Member, ...] = ()
    entries: tuple[Entry, ...] = ()
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of how a tree came about: its sources, which of them each file (by path) is from, its epoch."""

    sources: tuple[SourceRecord, ...]
    provenance: Mapping[str, str]
    epoch: int | None = None


@dataclass(frozen=True)
class Facts:
    """Everything in a tree, by path. ``epoch`` (seconds since 1970) is what its files should be normalised to.

    ``graph`` has the PE files by their paths in the tree. ``known`` is None where nothing is. What is in zip
    ``archives`` is not among the ``entries``.
    """

    tree: Path
    entries: tuple[Entry, ...]
    images: tuple[Pe, ...]
    graph: Graph
    epoch: int
    known: Known | None
    elf: tuple[ElfFile, ...] = ()
    archives: tuple[Archive, ...] = ()

    @cached_property
    def files(self) -> tuple[Entry, ...]:
        """The regular files."""
        return tuple(entry for entry in self.entries if entry.is_file)

    @cached_property
    def members(self) -> tuple[Entry, ...]:
        """The members of zip archives whose content is known."""
        return tuple(member for archive in self.archives for member in archive.entries)

    @cached_property
    def contents(self) -> tuple[Entry, ...]:
        """The regular files, and the members of zip archives."""
        return (*self.files, *self.members)

    @cached_property
    def sources(self) -> Mapping[str, SourceRecord]:
        """The sources by name; empty where they are not known."""
        return {} if self.known is None else {source.name: source for source in self.known.sources}


def gather(tree: Path, epoch: int, known: Known | None = None) -> Facts:
    """Read the facts about every entry of the folder ``tree``, sorted; links are not followed.

    Raises CheckError when ``tree`` is not a folder, MachineError when something in it cannot be read, SpecError when
    the data about Windows are damaged.
    """
    if not tree.is_dir():
        raise CheckError(f"{tree}: expected a folder, found {'a file' if tree.exists() else 'nothing'}")
    try:
        entries = tuple(_walk(tree))
        images = tuple(_images(entries))
        elf = tuple(_elf(entries))
        archives = tuple(_archives(entries))
    except OSError as exc:
        raise unreadable(exc) from exc
    return Facts(tree, entries, images, analyse([tree], windows.load()), epoch, known, elf, archives)


def known_beside(tree: Path) -> Known | None:
    """What the manifest beside a bundle's folder, ``<folder>.manifest.json``, says; None when there is none.

    Raises CheckError when it is not a manifest.
    """
    path = tree.absolute().with_name(f"{tree.absolute().name}{manifest.SUFFIX}")
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise unreadable(exc) from exc
    try:
        return known_from(manifest.decode(data, str(path)))
    except BuildError as exc:
        raise CheckError(exc.message, hint="take it away, or put the bundle's own there") from exc


def known_from(described: Manifest) -> Known:
    """What a manifest says."""
    return Known(described.sources, {file.path: file.source for file in described.files}, described.epoch)


def unreadable(error: OSError) -> MachineError:
    """The error for something in the tree that cannot be read."""
    return MachineError(f"{error.filename}: expected to read it, found: {error.strerror}")


def _walk(tree: Path) -> Iterator[Entry]:
    """Every entry below ``tree``; the paths are sorted as text, so that the outcome does not depend on the disk."""
    paths: list[str] = []
    for root, folders, files in os.walk(tree, onerror=_raise):
        paths.extend(Path(root, name).relative_to(tree).as_posix() for name in (*folders, *files))
    for path in sorted(paths):
        status = (tree / path).lstat()
        yield Entry(path, tree / path, status.st_mode, status.st_size)


def _images(entries: tuple[Entry, ...]) -> Iterator[Pe]:
    """The PE files that can be read; the graph's findings name the others."""
    for entry in entries:
        if entry.is_file and (entry.absolute.suffix.lower() in PE_SUFFIXES or is_pe(entry.absolute)):
            data = entry.read()
            try:
                layout = read_layout(data)
            except PEError:
                continue
            yield Pe(entry, layout, _debug_paths(data, layout), _load_flags(data, layout))


def _elf(entries: tuple[Entry, ...]) -> Iterator[ElfFile]:
    for entry in entries:
        if entry.is_file and entry.read(len(MAGIC)) == MAGIC:
            yield ElfFile(entry, read_elf(entry.read()))


def _archives(entries: tuple[Entry, ...]) -> Iterator[Archive]:
    for entry in entries:
        if not entry.is_file or not (
            entry.absolute.suffix.lower() in _ZIP_SUFFIXES or entry.read(len(zips.MAGICS[0])).startswith(zips.MAGICS)
        ):
            continue
        try:
            members = zips.members(entry.read())
        except FormatError as exc:
            yield Archive(entry, fault=f"cannot be read as a zip archive: {exc.message}")
            continue
        inside = (
            Entry(f"{entry.path}/{member.name}", entry.absolute, _MEMBER, member.size, member.data)
            for member in members
            if member.data is not None
        )
        yield Archive(entry, members, tuple(inside))


def _debug_paths(data: bytes, layout: Layout) -> tuple[str, ...]:
    try:
        fields = [field for field in codeview_fields(data, layout, 0) if field.name == PATH]
    except PEError:
        # Nor can it be normalised then, which is a finding of its own.
        return ()
    paths = (data[field.offset : field.offset + len(field.value)].partition(b"\0")[0] for field in fields)
    return tuple(path.decode("utf-8", "backslashreplace") for path in paths)


def _load_flags(data: bytes, layout: Layout) -> int:
    try:
        return load_config(data, layout).load_flags & _ANY_SEARCH
    except PEError:
        # Nor does the loader use it then.
        return 0


def _raise(error: OSError) -> None:
    raise error
