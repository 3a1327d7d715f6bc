"""What a folder or an archive holds, as one kind of value, so that any two can be compared and any one checked.

An archive's files are unpacked into a temporary folder under numbers, never under names of their own: what a hostile
archive calls its members cannot lead out of it. An archive that is cut off or damaged is an error, never just shorter:
every byte of it is read, where tarfile and zstandard alone would take a broken header or frame for the end.
"""

from __future__ import annotations

import bz2
import calendar
import contextlib
import errno
import gzip
import io
import lzma
import os
import re
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, BinaryIO, Literal, cast

import zstandard

from packager import trees
from packager.disk import disk_errors
from packager.errors import PackagerError

Kind = Literal["file", "folder", "link", "other"]

#: More than any bundle unpacks to, and little enough to stop an archive that was made to fill the disk.
MOST_BYTES = 16 << 30

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
#: A zstd file may begin with a frame of any content that is to be skipped, as pzstd's do.
_COMPRESSED = {
    re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"): "zst",
    re.compile(rb"\x1f\x8b"): "gz",
    re.compile(rb"BZh"): "bz2",
    re.compile(rb"\xfd7zXZ\0"): "xz",
}
_USTAR = slice(257, 262)
_BLOCK = 512
#: A run of one byte takes 4 bytes as a zstd block and gives 128 KiB: what one call unpacks stays below 64 MiB.
_ZSTD_INPUT = 1024
_ARCHIVE_NAME = re.compile(r"\.(zip|whl|jar|tar|tgz|tbz2|txz|tar\.(gz|bz2|xz|zst))$")
_TAR_NAME = re.compile(r"\.(tgz|tbz2|txz|tar\.\w+)$")

#: What reading a broken archive raises, by the libraries that read it; OSError is looked at apart.
_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zstandard.ZstdError,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    LookupError,
    ValueError,
    OverflowError,
    RuntimeError,
)
_METHODS = {0: "stored", 8: "deflate", 9: "deflate64", 12: "bzip2", 14: "lzma", 93: "zstd", 95: "xz"}


class ArchiveError(PackagerError):
    """An archive is broken, cut off, or of a form that is not read here."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class Member:
    """One entry of a folder or an archive.

    ``path`` is relative, with ``/``, without the one top folder that an archive may have. ``mode`` is the permission
    bits, None where none are stored; ``mtime`` is in seconds since 1970, UTC (a zip has whole even ones, without a
    zone), None where a folder's would say nothing. A file's bytes lie in ``blob``; a link's target is ``target``; a
    tar's hard link is the file it stands for. ``header`` is what else an archive stores about it, by the field's
    name, as shown: a zip's compression, extra field, attributes; a tar's names of owner and group, pax records.
    """

    path: str
    kind: Kind
    mode: int | None
    size: int = 0
    mtime: int | None = None
    owner: str | None = None
    target: str | None = None
    blob: Path | None = None
    header: Mapping[str, str] = field(default_factory=dict, hash=False)

    def read(self) -> bytes:
        """A file's bytes; nothing for any other kind."""
        return b"" if self.blob is None else self.blob.read_bytes()


@dataclass(frozen=True, slots=True)
class Contents:
    """All members of a folder or an archive, by path, in the order in which it has them.

    ``form`` is ``folder``, or what :func:`archive_form` says; ``top`` is the folder that all members of an archive lay
    in, or empty. ``header`` is what the archive stores about itself: a zip's comment.
    """

    form: str
    top: str
    members: Mapping[str, Member]
    header: Mapping[str, str] = field(default_factory=dict, hash=False)


def archive_form(path: Path) -> str | None:
    """``zip``, ``tar``, ``tar.zst``, ``tar.gz``, ``tar.bz2`` or ``tar.xz`` by what the file holds; None: no archive.

    A compressed file is one only when there is a tar inside; where that cannot be read, its name decides.
    """
    with path.open("rb") as file:
        head = file.read(_BLOCK)
        if head.startswith(_ZIP):
            return "zip"
        if head[_USTAR] == b"ustar":
            return "tar"
        form = next((name for magic, name in _COMPRESSED.items() if magic.match(head)), None)
        if form is None:
            return None
        file.seek(0)
        try:
            found = _decompressed(file, form).read(_BLOCK)
        except (*_BROKEN, OSError):
            found = b""
    return f"tar.{form}" if found[_USTAR] == b"ustar" or _TAR_NAME.search(path.name) else None


def is_archive(path: Path) -> bool:
    """True when the file is an archive, or its name says so: then one that is broken is an error and not other data."""
    return bool(_ARCHIVE_NAME.search(path.name)) or archive_form(path) is not None


@contextlib.contextmanager
def opened(path: Path, form: str | None = None) -> Iterator[Contents]:
    """The contents of the folder or archive ``path``; what is unpacked for them is gone when the block is left.

    ``form`` is given where the file begins with something else: a program with a zip behind it. Raises ArchiveError
    when it is neither folder nor archive, or broken; OSError when it cannot be read; DiskError when the temporary
    folder is full.
    """
    if path.is_dir():
        yield Contents("folder", "", {node.path: _of_node(node) for node in trees.walk(path)})
        return
    form = form or archive_form(path)
    if form is None:
        raise ArchiveError(f"{path}: expected a folder, or a .zip or tar archive, found neither")
    with tempfile.TemporaryDirectory(prefix="packager-") as name:
        scratch = _Scratch(path, Path(name))
        header: dict[str, str] = {}
        with disk_errors(Path(name)), _whole(path, form):
            if form == "zip":
                members, header = _of_zip(path, scratch)
            else:
                members = _of_tar(path, form.partition(".")[2], scratch)
        top, inside = _without_top(members)
        yield Contents(form, top, inside, header)


@contextlib.contextmanager
def tar_stream(path: Path, form: str) -> Iterator[BinaryIO]:
    """The bytes of a tar archive of ``form`` without its compression, to be read on; ArchiveError as it is read."""
    with path.open("rb") as file, _whole(path, form):
        yield _decompressed(file, form.partition(".")[2])


@contextlib.contextmanager
def _whole(path: Path, form: str) -> Iterator[None]:
    """What the libraries raise for a broken archive becomes an ArchiveError with its name."""
    try:
        yield
    except _BROKEN as exc:
        raise ArchiveError(f"{path}: expected a whole .{form} archive, found: {exc or type(exc).__name__}") from exc
    except OSError as exc:
        # bz2 and gzip raise it without a number; zipfile looks for a member before the file's beginning.
        if exc.errno not in (None, errno.EINVAL):
            raise
        raise ArchiveError(f"{path}: expected a whole .{form} archive, found: {exc}") from exc


@dataclass(slots=True)
class _Scratch:
    """Where the files of ``archive`` are unpacked to, each under a number, and how many bytes that were so far."""

    archive: Path
    folder: Path
    total: int = 0
    count: int = 0

    def unpack(self, source: IO[bytes]) -> tuple[Path, int]:
        """The file with what ``source`` has, and its size in bytes."""
        blob, size = self.folder / str(self.count), 0
        self.count += 1
        with blob.open("wb") as sink:
            while chunk := source.read(trees.CHUNK):
                size += len(chunk)
                self.total += len(chunk)
                if self.total > MOST_BYTES:
                    raise ArchiveError(f"{self.archive}: expected {MOST_BYTES:,} bytes unpacked at most, found more")
                sink.write(chunk)
        return blob, size


def _of_node(node: trees.Node) -> Member:
    mode = stat.S_IMODE(node.status.st_mode)
    if node.is_link:
        return Member(node.path, "link", None, target=os.readlink(node.absolute))
    if node.is_folder:
        return Member(node.path, "folder", mode)
    if not node.is_file:
        return Member(node.path, "other", mode)
    return Member(node.path, "file", mode, node.status.st_size, blob=node.absolute)


def _of_zip(path: Path, scratch: _Scratch) -> tuple[dict[str, Member], dict[str, str]]:
    members: dict[str, Member] = {}
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            name = _clean(path, info.filename, members)
            unix = info.external_attr >> 16
            common = Member(
                name, "folder", stat.S_IMODE(unix) if unix else None, mtime=_zip_time(info), header=_zip_header(info)
            )
            if info.is_dir():
                members[name] = common
                continue
            if info.flag_bits & 1:
                raise ArchiveError(f"{path}: {info.filename}: expected a member that is not encrypted")
            if stat.S_ISLNK(unix):
                target = os.fsdecode(archive.read(info))
                members[name] = replace(common, kind="link", mode=None, target=target)
                continue
            try:
                with archive.open(info) as source:
                    blob, size = scratch.unpack(source)
            except NotImplementedError as exc:
                raise ArchiveError(f"{path}: {info.filename}: cannot be unpacked: {exc}") from exc
            members[name] = replace(common, kind="file", size=size, blob=blob)
        return members, {"comment": archive.comment.decode("utf-8", "backslashreplace")} if archive.comment else {}


def _zip_time(info: zipfile.ZipInfo) -> int | None:
    year, month, day, hour, minute, second = info.date_time
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    return calendar.timegm((year, month, day, hour, minute, second, 0, 0, 0))


def _zip_header(info: zipfile.ZipInfo) -> dict[str, str]:
    """The rest of a central directory's entry (PKWARE's APPNOTE, 4.3.12) but for what follows from the content."""
    return {
        "compression": _METHODS.get(info.compress_type, f"method {info.compress_type}"),
        "made by": f"system {info.create_system}, version {info.create_version}",
        "version needed": str(info.extract_version),
        "flags": f"{info.flag_bits:#06x}",
        "attributes": f"{info.external_attr & ~(0o7777 << 16):#010x}, internal {info.internal_attr:#06x}",
        "extra field": info.extra.hex(),
        "comment": info.comment.decode("utf-8", "backslashreplace"),
    }


def _of_tar(path: Path, compression: str, scratch: _Scratch) -> dict[str, Member]:
    members: dict[str, Member] = {}
    with path.open("rb") as file:
        stream = _Forward(_decompressed(file, compression))
        with tarfile.TarFile(fileobj=cast(IO[bytes], stream)) as archive:
            for info in archive:
                name = _clean(path, info.name, members)
                members[name] = _tar_member(name, info, archive, members, scratch)
        if stream.last.strip(b"\0"):
            raise ArchiveError(
                f"{path}: offset {stream.at - len(stream.last):#x} of the tar: expected a member's header or the end, "
                "found neither (the archive is damaged)"
            )
        if len(stream.last) < _BLOCK:
            raise ArchiveError(f"{path}: expected blocks of zeros at the end of the tar, found that it is cut off")
        stream.drain()
    return members


def _tar_member(
    name: str, info: tarfile.TarInfo, archive: tarfile.TarFile, members: Mapping[str, Member], scratch: _Scratch
) -> Member:
    common = Member(
        name,
        "other",
        info.mode & 0o7777,
        mtime=int(info.mtime),
        owner=f"{info.uid}:{info.gid}",
        header=_tar_header(info),
    )
    if info.isdir():
        return replace(common, kind="folder")
    if info.isreg():
        source = archive.extractfile(info)
        assert source is not None
        blob, size = scratch.unpack(source)
        return replace(common, kind="file", size=size, blob=blob)
    if info.issym():
        return replace(common, kind="link", mode=None, target=info.linkname)
    if info.islnk():
        first = members.get(_cleaned(info.linkname))
        if first is None or first.kind != "file":
            return replace(common, kind="link", mode=None, target=info.linkname)
        header = {**common.header, "hard link to": info.linkname}
        return replace(common, kind="file", size=first.size, blob=first.blob, header=header)
    return common


def _tar_header(info: tarfile.TarInfo) -> dict[str, str]:
    """The rest of a header block, and the pax records that are not in another field already, or say it more finely."""
    known = ("path", "linkpath", "size", "uid", "gid", "uname", "gname")
    pax = {f"pax record {key}": value for key, value in info.pax_headers.items() if key not in known}
    kind = {} if info.isreg() or info.isdir() or info.issym() or info.islnk() else {"type": repr(info.type)}
    device = {"device": f"{info.devmajor}:{info.devminor}"} if info.isdev() else {}
    return {"owner's name": info.uname, "group's name": info.gname, **pax, **kind, **device}


def _decompressed(file: BinaryIO, compression: str) -> BinaryIO:
    """What ``file`` holds without its ``compression`` (``zst``, ``gz``, ``bz2``, ``xz`` or none)."""
    if compression == "zst":
        return io.BufferedReader(_ZstdFrames(file), trees.CHUNK)
    if compression == "gz":
        return cast(BinaryIO, gzip.GzipFile(fileobj=file))
    if compression == "bz2":
        return cast(BinaryIO, bz2.BZ2File(file))
    if compression == "xz":
        return cast(BinaryIO, lzma.LZMAFile(file))
    return file


class _ZstdFrames(io.RawIOBase):
    """The content of all frames of a zstd file, one after the other; EOFError when the last one is cut off.

    zstandard's own readers take a cut for the end.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._begun = False
        self._input = b""
        self._output = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._output:
            if not self._input and not (chunk := self._file.read(_ZSTD_INPUT)):
                if self._begun:
                    raise EOFError("a zstd frame that is cut off")
                return 0
            chunk = self._input or chunk
            self._begun, self._input = True, b""
            self._output = memoryview(self._frame.decompress(chunk))
            if self._frame.eof:
                self._input = self._frame.unused_data
                self._frame = zstandard.ZstdDecompressor().decompressobj()
                self._begun = False
        size = min(len(buffer), len(self._output))
        buffer[:size] = self._output[:size]
        self._output = self._output[size:]
        return size


class _Forward:
    """A stream for tarfile that can only be read on; it remembers what was last read, and where that ended."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.at = 0
        self.last = b""

    def read(self, size: int = -1) -> bytes:
        self.last = self._stream.read(size)
        self.at += len(self.last)
        return self.last

    def tell(self) -> int:
        return self.at

    def seek(self, offset: int, _whence: int = 0) -> int:
        if offset < self.at:
            raise tarfile.StreamError("expected members one after the other, found one that lies further to the front")
        while self.at < offset and (got := len(self._stream.read(min(offset - self.at, trees.CHUNK)))):
            self.at += got
        return self.at

    def drain(self) -> None:
        """Read what is left, so that the compression's own checksums are compared."""
        while self._stream.read(trees.CHUNK):
            pass


def _cleaned(name: str) -> str:
    return "/".join(part for part in name.split("/") if part not in ("", ".")) or "."


def _clean(archive: Path, name: str, members: Mapping[str, Member]) -> str:
    """A member's path without what says nothing (``./``, a last ``/``); ArchiveError for one that comes twice."""
    clean = _cleaned(name)
    if clean in members:
        raise ArchiveError(f"{archive}: {clean}: expected each member once, found it twice")
    return clean


def _without_top(members: Mapping[str, Member]) -> tuple[str, dict[str, Member]]:
    """The one folder that everything lies in, and the members without it."""
    tops = {name.partition("/")[0] for name in members if name != "."}
    inside = [name for name in members if "/" in name]
    if len(tops) != 1 or not inside:
        return "", {name: member for name, member in members.items() if name != "."}
    (top,) = tops
    return top, {
        name[len(top) + 1 :]: replace(member, path=name[len(top) + 1 :])
        for name, member in members.items()
        if name not in (top, ".")
    }
