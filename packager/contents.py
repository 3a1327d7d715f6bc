"""What a folder or an archive holds, as one kind of value, so that any two can be compared and any one checked.

An archive's files are unpacked into a temporary folder under numbers, never under names of their own: what a hostile
archive calls its members cannot lead out of it.
"""

from __future__ import annotations

import calendar
import contextlib
import os
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

import zstandard

from packager import trees
from packager.disk import disk_errors
from packager.errors import PackagerError

Kind = Literal["file", "folder", "link", "other"]

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_ZSTD = b"\x28\xb5\x2f\xfd"
_COMPRESSED_TAR = {b"\x1f\x8b": "gz", b"BZh": "bz2", b"\xfd7zXZ\0": "xz"}
_USTAR = 257


class ArchiveError(PackagerError):
    """An archive is broken, cut off, or of a form that is not read here."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class Member:
    """One entry of a folder or an archive.

    ``path`` is relative, with ``/``, without the one top folder that an archive may have. ``mode`` is the permission
    bits, None where none are stored; ``mtime`` is in seconds since 1970, UTC (a zip has whole even ones, without a
    zone), None where a folder's would say nothing. A file's bytes lie in ``blob``; a link's target is ``target``.
    """

    path: str
    kind: Kind
    mode: int | None
    size: int = 0
    mtime: int | None = None
    owner: str | None = None
    target: str | None = None
    blob: Path | None = None

    def read(self) -> bytes:
        """A file's bytes; nothing for any other kind."""
        return b"" if self.blob is None else self.blob.read_bytes()


@dataclass(frozen=True, slots=True)
class Contents:
    """All members of a folder or an archive, by path, in the order in which it has them.

    ``form`` is ``folder``, ``tar`` (``tar.zst``, ``tar.gz``...) or ``zip``; ``top`` is the folder that all members
    of an archive lay in, or empty.
    """

    form: str
    top: str
    members: Mapping[str, Member]


def archive_form(path: Path) -> str | None:
    """``zip``, ``tar``, ``tar.zst``, ``tar.gz``, ``tar.bz2`` or ``tar.xz`` by what the file holds; None: no archive."""
    with path.open("rb") as file:
        head = file.read(_USTAR + 5)
    if head.startswith(_ZIP):
        return "zip"
    if head[_USTAR:] == b"ustar":
        return "tar"
    if head.startswith(_ZSTD):
        return "tar.zst"
    form = next((name for magic, name in _COMPRESSED_TAR.items() if head.startswith(magic)), None)
    if form is None:
        return None
    # A compressed file need not be an archive: look inside.
    try:
        with tarfile.open(path):
            return f"tar.{form}"
    except (tarfile.TarError, EOFError, OSError, zlib.error):
        return None


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Contents]:
    """The contents of the folder or archive ``path``; what is unpacked for them is gone when the block is left.

    Raises ArchiveError when it is neither, or broken; OSError when it cannot be read; DiskError when the temporary
    folder is full.
    """
    if path.is_dir():
        yield Contents("folder", "", {node.path: _of_node(node) for node in trees.walk(path)})
        return
    form = archive_form(path)
    if form is None:
        raise ArchiveError(f"{path}: expected a folder, or a .zip or tar archive, found neither")
    with tempfile.TemporaryDirectory(prefix="packager-") as scratch, disk_errors(Path(scratch)):
        try:
            if form == "zip":
                members = _of_zip(path, Path(scratch))
            else:
                members = _of_tar(path, form.partition(".")[2], Path(scratch))
        except (tarfile.TarError, zipfile.BadZipFile, zstandard.ZstdError, zlib.error, EOFError) as exc:
            raise ArchiveError(f"{path}: expected a whole .{form} archive, found: {exc}") from exc
        top, inside = _without_top(members)
        yield Contents(form, top, inside)


def _of_node(node: trees.Node) -> Member:
    mode = stat.S_IMODE(node.status.st_mode)
    if node.is_link:
        return Member(node.path, "link", None, target=os.readlink(node.absolute))
    if node.is_folder:
        return Member(node.path, "folder", mode)
    if not node.is_file:
        return Member(node.path, "other", mode)
    return Member(node.path, "file", mode, node.status.st_size, blob=node.absolute)


def _of_zip(path: Path, scratch: Path) -> dict[str, Member]:
    members: dict[str, Member] = {}
    with zipfile.ZipFile(path) as archive:
        for number, info in enumerate(archive.infolist()):
            name = _clean(path, info.filename, members)
            unix = info.external_attr >> 16
            mode = stat.S_IMODE(unix) if unix else None
            mtime = _zip_time(info.date_time)
            if info.is_dir():
                members[name] = Member(name, "folder", mode, mtime=mtime)
                continue
            if info.flag_bits & 1:
                raise ArchiveError(f"{path}: {info.filename}: expected a member that is not encrypted")
            if stat.S_ISLNK(unix):
                members[name] = Member(name, "link", None, mtime=mtime, target=os.fsdecode(archive.read(info)))
                continue
            try:
                with archive.open(info) as source:
                    blob = _unpack(source, scratch, number)
            except NotImplementedError as exc:
                raise ArchiveError(f"{path}: {info.filename}: cannot be unpacked: {exc}") from exc
            members[name] = Member(name, "file", mode, info.file_size, mtime, blob=blob)
    return members


def _zip_time(fields: tuple[int, int, int, int, int, int]) -> int | None:
    return calendar.timegm((*fields, 0, 0, 0)) if fields[1] and fields[2] else None


def _of_tar(path: Path, compression: str, scratch: Path) -> dict[str, Member]:
    members: dict[str, Member] = {}
    with contextlib.ExitStack() as stack:
        if compression == "zst":
            file = stack.enter_context(path.open("rb"))
            stream = stack.enter_context(zstandard.ZstdDecompressor().stream_reader(file))
            archive = stack.enter_context(tarfile.open(fileobj=stream, mode="r|"))
        else:
            archive = stack.enter_context(tarfile.open(path, "r:*"))
        for number, info in enumerate(archive):
            name = _clean(path, info.name, members)
            mode, mtime, owner = info.mode & 0o7777, int(info.mtime), f"{info.uid}:{info.gid}"
            if info.isdir():
                members[name] = Member(name, "folder", mode, mtime=mtime, owner=owner)
            elif info.isreg():
                source = archive.extractfile(info)
                assert source is not None
                blob = _unpack(source, scratch, number)
                members[name] = Member(name, "file", mode, info.size, mtime, owner, blob=blob)
            elif info.issym() or info.islnk():
                members[name] = Member(name, "link", None, mtime=mtime, owner=owner, target=info.linkname)
            else:
                members[name] = Member(name, "other", mode, mtime=mtime, owner=owner)
    return members


def _clean(archive: Path, name: str, members: Mapping[str, Member]) -> str:
    """A member's path without what says nothing (``./``, a last ``/``); ArchiveError for one that comes twice."""
    clean = "/".join(part for part in name.split("/") if part not in ("", ".")) or "."
    if clean in members:
        raise ArchiveError(f"{archive}: {clean}: expected each member once, found it twice")
    return clean


def _unpack(source: IO[bytes], scratch: Path, number: int) -> Path:
    blob = scratch / str(number)
    with blob.open("wb") as sink:
        shutil.copyfileobj(source, sink, trees.CHUNK)
    return blob


def _without_top(members: Mapping[str, Member]) -> tuple[str, dict[str, Member]]:
    """The one folder that everything lies in, and the members without it."""
    tops = {name.partition("/")[0] for name in members if name != "."}
    inside = [name for name in members if "/" in name]
    if len(tops) != 1 or not inside:
        return "", {name: member for name, member in members.items() if name != "."}
    (top,) = tops
    return top, {
        name[len(top) + 1 :]: _renamed(member, name[len(top) + 1 :])
        for name, member in members.items()
        if name not in (top, ".")
    }


def _renamed(member: Member, path: str) -> Member:
    return Member(path, member.kind, member.mode, member.size, member.mtime, member.owner, member.target, member.blob)
