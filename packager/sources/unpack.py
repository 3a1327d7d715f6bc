"""Unpack a source archive so that nothing in it can reach outside the folder it is unpacked to.

Formats, told apart by their first bytes: tar, plain or compressed with gzip, bzip2, xz or zstd; zip. Refused are:
absolute paths and ``..``, paths through links or files, names that occur twice, links that leave the folder or go in a
circle, hard links to anything but an earlier file, devices, pipes, sockets, sparse files, encrypted members, a damaged
or cut-off archive, and one that unpacks to more than the limits. What is written depends on the archive alone: files
have mode 644 or 755, folders 755, times are the archive's, names its bytes.
"""

from __future__ import annotations

import bz2
import calendar
import gzip
import lzma
import os
import shutil
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal, Self, cast

import zstandard

from packager.disk import disk_errors
from packager.errors import SourceError

MAX_BYTES = 4 << 30
MAX_ENTRIES = 200_000

_CHUNK = 1 << 20
#: Longer headers than this (names, extended headers) are made to exhaust memory.
_MAX_HEADER = 1 << 20
_MAX_TIME = 0xFFFFFFFF
_MAX_LINKS = 40
_HEADERS = frozenset(
    {tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK}
)
_DAMAGE = (
    tarfile.TarError, zipfile.BadZipFile, zipfile.LargeZipFile, struct.error, lzma.LZMAError, zlib.error,
    zstandard.ZstdError, EOFError, UnicodeError, NotImplementedError, ValueError, OverflowError,
)  # fmt: skip

_Path = tuple[bytes, ...]


class _RefusedError(Exception):
    """A member breaks a rule: which member, which rule. ``unpack`` adds the archive's name."""

    def __init__(self, member: bytes | None, rule: str) -> None:
        super().__init__(rule)
        self.member, self.rule = member, rule


def unpack(archive: Path, dest: Path, *, max_bytes: int = MAX_BYTES, max_entries: int = MAX_ENTRIES) -> None:
    """Unpack ``archive`` to the folder ``dest``, which must not exist, or be empty; a single top folder is left out.

    A wheel (``.whl``) keeps its top folder. Work is done in a folder beside ``dest`` that becomes it at the very end:
    ``dest`` is never half there. Raises SourceError naming archive, member and rule; DiskError when the disk is full.
    """
    with disk_errors(dest.parent):
        dest.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(dir=dest.parent, prefix=".unpack-"))
    try:
        with disk_errors(dest.parent):
            tree = _Tree(os.fsencode(work), max_bytes, max_entries)
            with archive.open("rb") as handle:
                magic = handle.read(6)
                handle.seek(0)
                if magic[:4] in (b"PK\3\4", b"PK\5\6"):
                    _zip(handle, tree)
                else:
                    _tar(handle, magic, tree)
            top = tree.finish(strip=archive.suffix != ".whl")
            os.chmod(work, 0o755)
            os.rename(work if top is None else os.path.join(os.fsencode(work), top), dest)
    except _RefusedError as exc:
        where = f": member {_shown(exc.member)}" if exc.member is not None else ""
        raise SourceError(f"{archive.name}{where}: {exc.rule}", hint="the archive is not safe to unpack") from exc
    except OSError as exc:
        if exc.errno is not None:  # bz2 and gzip have no other way to say that their input is damaged
            raise
        raise SourceError(f"{archive.name}: the archive is damaged: {exc}") from exc
    except _DAMAGE as exc:
        raise SourceError(f"{archive.name}: the archive is damaged: {exc}") from exc
    finally:
        shutil.rmtree(work, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class _Link:
    """A symbolic link, made when all files are there: nothing is ever written through one."""

    target: bytes
    mtime: int
    member: bytes


@dataclass(slots=True)
class _Tree:
    """Writes members below ``root`` and remembers each, so that rules are decided without asking the disk."""

    root: bytes
    max_bytes: int
    max_entries: int
    written: int = 0
    entries: int = 0
    files: set[_Path] = field(default_factory=set)
    folders: dict[_Path, int] = field(default_factory=lambda: {(): 0})
    links: dict[_Path, _Link] = field(default_factory=dict)

    def folder(self, name: bytes, mtime: int) -> None:
        """A folder; may be told again."""
        path = self._path(name)
        if path in self.files or path in self.links:
            raise _RefusedError(name, "the name occurs twice")
        self._make_folder(path, name)
        self.folders[path] = mtime

    def file(self, name: bytes, chunks: Iterable[bytes], *, executable: bool, mtime: int) -> None:
        """A regular file."""
        path = self._new(name)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            handle = os.open(self._disk(path), flags, 0o644)
        except FileExistsError as exc:  # a file system to which two different names are one
            raise _RefusedError(name, "the name occurs twice") from exc
        try:
            for chunk in chunks:
                self.written += len(chunk)
                if self.written > self.max_bytes:
                    raise _RefusedError(name, f"the archive unpacks to more than {self.max_bytes:,} bytes")
                view = memoryview(chunk)
                while view:
                    view = view[os.write(handle, view) :]
            os.fchmod(handle, 0o755 if executable else 0o644)
            os.utime(handle, (mtime, mtime))
        finally:
            os.close(handle)
        self.files.add(path)

    def hard_link(self, name: bytes, target: bytes, *, executable: bool, mtime: int) -> None:
        """A second name of an earlier file; becomes a copy, so that a patch to one does not change the other."""
        source = self._path(target)
        if source not in self.files:
            raise _RefusedError(name, f"expected a hard link to an earlier file, found one to {_shown(target)}")
        with open(self._disk(source), "rb") as handle:
            self.file(name, iter(lambda: handle.read(_CHUNK), b""), executable=executable, mtime=mtime)

    def symlink(self, name: bytes, target: bytes, mtime: int) -> None:
        """A symbolic link; where it leads is judged when all members are known."""
        if not target or b"\0" in target or len(target) > 4095:
            raise _RefusedError(name, "the link leads nowhere")
        self.links[self._new(name)] = _Link(target, mtime, name)

    def finish(self, *, strip: bool) -> bytes | None:
        """Check and make the links, set the folders' times; returns the single top folder, if there is one to strip."""
        tops = {path[:1] for path in (*self.files, *self.links, *self.folders) if path}
        top = next(iter(tops)) if strip and len(tops) == 1 and not tops & (self.files | self.links.keys()) else ()
        for path, link in self.links.items():
            self._judge(path, link, top)
        for path, link in self.links.items():
            disk = self._disk(path)
            os.symlink(link.target, disk)
            os.utime(disk, (link.mtime, link.mtime), follow_symlinks=False)
        for path in sorted(self.folders, key=len, reverse=True):
            disk = self._disk(path)
            os.chmod(disk, 0o755)
            os.utime(disk, (self.folders[path], self.folders[path]))
        return top[0] if top else None

    def _judge(self, path: _Path, link: _Link, top: _Path) -> None:
        """Follow a link from member to member; refuse it if any step leaves ``top`` or it never ends."""
        here = list(path[:-1])
        ahead = [link.target]
        for _ in range(_MAX_LINKS):
            if ahead[0].startswith(b"/"):
                raise _RefusedError(link.member, f"the link leads out of the archive, to {_shown(link.target)}")
            parts = [part for text in ahead for part in text.split(b"/") if part not in (b"", b".")]
            for number, part in enumerate(parts, 1):
                if part != b"..":
                    here.append(part)
                elif len(here) <= len(top):
                    raise _RefusedError(link.member, f"the link leads out of the archive, to {_shown(link.target)}")
                else:
                    here.pop()
                met = self.links.get(tuple(here))
                if met is not None:
                    here.pop()
                    ahead = [met.target, b"/".join(parts[number:])]
                    break
            else:
                return
        raise _RefusedError(link.member, "the link leads in a circle")

    def _new(self, name: bytes) -> _Path:
        path = self._path(name)
        if path in self.folders or path in self.files or path in self.links:
            raise _RefusedError(name, "the name occurs twice")
        self._make_folder(path[:-1], name)
        return path

    def _path(self, name: bytes) -> _Path:
        self.entries += 1
        if self.entries > self.max_entries:
            raise _RefusedError(name, f"the archive has more than {self.max_entries:,} members")
        if name.startswith(b"/"):
            raise _RefusedError(name, "expected a path inside the archive, found an absolute one")
        path = tuple(part for part in name.split(b"/") if part not in (b"", b"."))
        if b".." in path:
            raise _RefusedError(name, "expected a path inside the archive, found '..'")
        if not name or b"\0" in name:
            raise _RefusedError(name, "the name is empty or has a zero byte")
        if len(name) > 3000 or any(len(part) > 255 for part in path):
            raise _RefusedError(name, "the name is too long")
        return path

    def _make_folder(self, path: _Path, name: bytes) -> None:
        if path in self.folders:
            return
        for depth in range(1, len(path) + 1):
            part = path[:depth]
            if part in self.folders:
                continue
            if part in self.links or part in self.files:
                raise _RefusedError(name, f"the path goes through {_shown(b'/'.join(part))}, which is not a folder")
            try:
                os.mkdir(self._disk(part), 0o755)
            except FileExistsError as exc:
                raise _RefusedError(name, "the name occurs twice") from exc
            self.folders[part] = 0

    def _disk(self, path: _Path) -> bytes:
        return b"/".join((self.root, *path))


class _Member(tarfile.TarInfo):
    """A tar header that refuses what tarfile would pass over: huge headers, damage in the middle, a missing end."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Called by tarfile for each block that should be a header."""
        try:
            member = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as exc:
            if len(buf) == tarfile.BLOCKSIZE and not any(buf):
                raise  # the end of the archive, in order
            raise _RefusedError(None, "the archive is damaged or cut off: expected a header or the end mark") from exc
        if member.size < 0 or (member.type in _HEADERS and member.size > _MAX_HEADER):
            raise _RefusedError(None, f"expected a header of at most {_MAX_HEADER:,} bytes, found {member.size:,}")
        return member


class _Bounded:
    """A stream that ends the work when more than ``limit`` bytes come out of it."""

    def __init__(self, raw: IO[bytes], limit: int) -> None:
        self._raw, self._left = raw, limit

    def read(self, amount: int) -> bytes:
        """At most ``amount`` bytes."""
        chunk = self._raw.read(amount)
        self._left -= len(chunk)
        if self._left < 0:
            raise _RefusedError(None, "the archive unpacks to more bytes than are allowed")
        return chunk


def _tar(handle: IO[bytes], magic: bytes, tree: _Tree) -> None:
    # headers and padding come on top of what the members hold
    raw = _Bounded(_decompressed(handle, magic), tree.max_bytes + 2048 * tree.max_entries + _CHUNK)
    with tarfile.open(
        fileobj=cast(IO[bytes], raw), mode="r|", bufsize=_CHUNK, tarinfo=_Member, encoding="utf-8",
        errors="surrogateescape",
    ) as archive:  # fmt: skip
        for member in archive:
            name, target = _bytes(member.name), _bytes(member.linkname)
            mtime = min(max(int(member.mtime), 0), _MAX_TIME)
            executable = bool(member.mode & 0o111)
            if member.isdir():
                tree.folder(name, mtime)
            elif member.issym():
                tree.symlink(name, target, mtime)
            elif member.islnk():
                tree.hard_link(name, target, executable=executable, mtime=mtime)
            elif member.isreg() and not member.issparse():
                tree.file(name, _content(archive, member), executable=executable, mtime=mtime)
            else:
                raise _RefusedError(name, f"expected a file, folder or link, found {_kind(member)}")


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
    source = archive.extractfile(member)
    assert source is not None
    left = member.size
    while left:
        chunk = source.read(min(left, _CHUNK))
        if not chunk:
            raise _RefusedError(_bytes(member.name), "the archive is cut off")
        left -= len(chunk)
        yield chunk


def _kind(member: tarfile.TarInfo) -> str:
    if member.ischr() or member.isblk():
        return "a device"
    if member.isfifo():
        return "a pipe"
    return "a sparse file" if member.issparse() else f"a member of type {member.type!r}"


def _decompressed(handle: IO[bytes], magic: bytes) -> IO[bytes]:
    if magic.startswith(b"\x1f\x8b"):
        return cast(IO[bytes], gzip.GzipFile(fileobj=handle, mode="rb"))
    if magic.startswith(b"BZh"):
        return cast(IO[bytes], bz2.BZ2File(handle))
    if magic.startswith(b"\xfd7zXZ\0"):
        return cast(IO[bytes], lzma.LZMAFile(handle))
    if magic.startswith(b"\x28\xb5\x2f\xfd"):
        # 2 GiB, the longest window that zstd's own --long writes, is more than a source needs
        reader: Any = zstandard.ZstdDecompressor(max_window_size=1 << 27)
        return cast(IO[bytes], reader.stream_reader(handle, read_across_frames=True))
    return handle


def _zip(handle: IO[bytes], tree: _Tree) -> None:
    with zipfile.ZipFile(handle) as archive:
        for info in archive.infolist():
            name = info.filename.encode("utf-8")
            if b"\\" in name:
                raise _RefusedError(name, "the name has a backslash")
            if info.flag_bits & 0x41:
                raise _RefusedError(name, "the member is encrypted")
            mode = info.external_attr >> 16
            mtime = _zip_time(info)
            kind = _zip_kind(name, mode)
            if kind == "folder":
                tree.folder(name, mtime)
            elif kind == "link":
                tree.symlink(name, _zip_target(archive, info, name), mtime)
            else:
                tree.file(name, _zip_content(archive, info), executable=bool(mode & 0o111), mtime=mtime)


def _zip_kind(name: bytes, mode: int) -> Literal["file", "folder", "link"]:
    if name.endswith(b"/"):
        return "folder"
    kind = stat.S_IFMT(mode)
    if kind == stat.S_IFLNK:
        return "link"
    if kind not in (0, stat.S_IFREG):
        raise _RefusedError(name, "expected a file, folder or link, found a member of another kind")
    return "file"


def _zip_content(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    with archive.open(info) as source:
        while chunk := source.read(_CHUNK):
            yield chunk


def _zip_target(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: bytes) -> bytes:
    with archive.open(info) as source:
        target = source.read(4096)
    if len(target) == 4096:
        raise _RefusedError(name, "the link leads nowhere")
    return target


def _zip_time(info: zipfile.ZipInfo) -> int:
    """A zip has local time without a zone: taken as UTC. What is no time at all counts as 1980."""
    with suppress(ValueError, OverflowError):
        return min(max(calendar.timegm((*info.date_time, 0, 0, 0)), 0), _MAX_TIME)
    return 315532800


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def _shown(name: bytes | None) -> str:
    text = repr((name or b"").decode("utf-8", "backslashreplace"))
    return text if len(text) <= 120 else f"{text[:117]}..."
