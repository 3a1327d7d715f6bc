"""What goes out: the bundle's folder, its archives, the manifest, and the sums, all the same wherever they are made."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import tarfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import zstandard

from packager import trees
from packager.audit import AuditedTree
from packager.disk import disk_errors
from packager.errors import MachineError
from packager.manifest import SUMS, file_mode, format_sums, parse_sums
from packager.progress import Reporter
from packager.sandbox import OUT, SRC, TOOLS, Perturbation, Sandbox
from packager.store import remove

#: zstd's output belongs to a version, a level and to whether threads are used: pyproject pins the version.
ZSTD_LEVEL = 19
#: What is being written into an output folder, until it is whole.
_UNFINISHED = ".packager-unfinished"


def write_tar_zst(audited: AuditedTree, target: Path, prefix: str, epoch: int, *, shared: Collection[str] = ()) -> None:
    """A ``.tar.zst`` of a tree: sorted, owner 0, fixed modes, every time the epoch.

    All of it lies under ``prefix/``; at the archive's top if that is empty. Folders in ``shared`` have no member of
    their own, so that unpacking changes neither mode nor time of one that is there.
    """
    folder = audited.folder()
    # threads=1 and no more: one job in the multithreaded writer gives the same bytes on any number of cores.
    parameters = zstandard.ZstdCompressionParameters.from_level(
        ZSTD_LEVEL, threads=1, write_checksum=True, write_content_size=False
    )
    compressor = zstandard.ZstdCompressor(compression_params=parameters)
    with target.open("wb") as sink, compressor.stream_writer(sink, closefd=False) as packed:
        _write_tar(folder, packed, prefix, epoch, shared)


def _write_tar(folder: Path, sink: BinaryIO, prefix: str, epoch: int, shared: Collection[str]) -> None:
    with tarfile.open(fileobj=sink, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        if prefix:
            archive.addfile(_member(prefix, epoch, folder=True))
        for node in trees.walk(folder):
            member = _member(f"{prefix}/{node.path}" if prefix else node.path, epoch, folder=node.is_folder)
            if node.is_folder:
                if node.path not in shared:
                    archive.addfile(member)
            else:
                data = node.absolute.read_bytes()
                member.size = len(data)
                member.mode = file_mode(node.path)
                archive.addfile(member, io.BytesIO(data))


def _member(name: str, epoch: int, *, folder: bool) -> tarfile.TarInfo:
    """A member's header; every field that tarfile would take from this machine is set: mtime, mode, owner."""
    member = tarfile.TarInfo(name)
    member.mtime = epoch
    member.mode = 0o755 if folder else 0o644
    member.type = tarfile.DIRTYPE if folder else tarfile.REGTYPE
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def write_zip(
    audited: AuditedTree,
    target: Path,
    prefix: str,
    epoch: int,
    *,
    root: Path,
    tools: Path,
    log: Path,
    reporter: Reporter,
    perturbation: Perturbation | None = None,
) -> None:
    """A ``.zip`` of a tree, under ``prefix/`` if that is not empty, written by the build root's python and zlib."""
    Sandbox(
        root,
        writable={OUT: target.parent},
        binds={SRC: audited.folder(), TOOLS: tools},
        perturbation=perturbation or Perturbation(),
    ).run(
        ["python3", f"{TOOLS}/make_zip.py", SRC, f"{OUT}/{target.name}", prefix, str(epoch)],
        what=f"writing {target.name}",
        log=log,
        reporter=reporter,
    )


def publish(made: Path, out: Path, names: Sequence[str], sums: Mapping[str, str]) -> None:
    """Copy the folder and files called ``names`` from ``made`` to ``out``, each complete before it gets its name.

    ``sums`` go into ``out``'s SHA256SUMS, beside those of other bundles whose files are still there.
    """
    scratch = out / _UNFINISHED
    with disk_errors(out):
        remove(scratch)
        try:
            scratch.mkdir()
            for name in names:
                source, fresh = made / name, scratch / name
                if source.is_dir():
                    trees.copy_tree(source, fresh)
                else:
                    trees.copy_file(source, fresh)
            for name in names:
                _replace(scratch / name, out / name, scratch)
            fresh = scratch / SUMS
            fresh.write_text(format_sums(_merged(out, names, sums)), "ascii")
            fresh.replace(out / SUMS)
        finally:
            remove(scratch)


@contextlib.contextmanager
def output_lock(out: Path) -> Iterator[None]:
    """Make the output folder and keep other runs from writing into it meanwhile; sweep what a killed one left."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        handle = os.open(out, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as exc:
        raise MachineError(f"{out}: cannot be made: {exc.strerror}", hint="name another folder with --out") from exc
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        remove(out / _UNFINISHED)
        yield
    finally:
        os.close(handle)


def is_published(made: Path, out: Path, names: Sequence[str], sums: Mapping[str, str]) -> bool:
    """Whether ``out`` already holds exactly what :func:`publish` would put there."""
    try:
        recorded = parse_sums((out / SUMS).read_text("utf-8"))
    except OSError:
        return False
    if any(recorded.get(name) != digest for name, digest in sums.items()):
        return False
    for name in names:
        there, wanted = out / name, made / name
        if wanted.is_dir():
            if not there.is_dir() or trees.content_digest(there) != trees.content_digest(wanted):
                return False
        elif not there.is_file() or trees.file_sha256(there) != sums.get(name):
            return False
    return True


def _merged(out: Path, names: Sequence[str], sums: Mapping[str, str]) -> dict[str, str]:
    try:
        before = parse_sums((out / SUMS).read_text("utf-8"))
    except (OSError, UnicodeDecodeError):
        before = {}
    kept = {name: digest for name, digest in before.items() if name not in names and (out / name).is_file()}
    return {**kept, **sums}


def _replace(fresh: Path, target: Path, scratch: Path) -> None:
    """Rename ``fresh`` to ``target``; a folder that stands there is moved away first, as rename(2) needs."""
    if target.is_dir() and not target.is_symlink():
        old = scratch / f"old-{target.name}"
        target.rename(old)
        fresh.rename(target)
        remove(old)
    else:
        os.replace(fresh, target)
