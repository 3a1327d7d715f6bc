"""Normalising PE files on disk: one, many, or all in a folder, each replaced in one step or not at all."""

from __future__ import annotations

import multiprocessing
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from packager.changes import Change, show_bytes
from packager.disk import fsync_folder
from packager.errors import MachineError, PEError, SpecError
from packager.pe.normalise import Signed, normalise

#: Endings of files that are PE images; in a folder, one of these that is broken is an error, other files are skipped.
PE_SUFFIXES = frozenset({".exe", ".dll", ".pyd", ".sys", ".efi", ".ocx", ".drv", ".cpl", ".scr", ".mui"})

#: ``changed``: written, or with check, would be. ``failed``: refused or broken, and untouched; ``error`` says why.
Status = Literal["unchanged", "changed", "failed"]


@dataclass(frozen=True, slots=True)
class FileReport:
    """What became of one file: paths as they were given, its size in bytes before, and what changed in it."""

    path: str
    status: Status
    size: int = 0
    output: str | None = None
    changes: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One file to normalise and where the result goes (None: in place)."""

    path: Path
    output: Path | None = None


def to_json(report: FileReport) -> dict[str, object]:
    """``report`` as plain values for JSON; see :func:`~packager.changes.show_bytes` for how bytes are shown."""
    return {
        "path": report.path,
        "status": report.status,
        "size": report.size,
        "output": report.output,
        "changes": [
            {
                "field": change.field,
                "offset": change.offset,
                "before": show_bytes(change.before),
                "after": show_bytes(change.after),
            }
            for change in report.changes
        ],
        "notes": list(report.notes),
        "error": report.error,
    }


def is_pe(path: Path) -> bool:
    """True when the file begins as a PE image does; False too when it cannot be read."""
    try:
        with path.open("rb") as file:
            if file.read(2) != b"MZ":
                return False
            file.seek(0x3C)
            file.seek(int.from_bytes(file.read(4), "little"))
            return file.read(4) == b"PE\0\0"
    except OSError:
        return False


def normalise_file(
    path: Path, epoch: int, output: Path | None = None, check: bool = False, signed: Signed = "refuse"
) -> FileReport:
    """Normalise one file, in place or into ``output``; with ``check`` nothing is written.

    The new content is written beside its target, synced, and renamed over it, with the mode of ``path``; in place that
    happens only when something changed. A symbolic link is followed, and stays a link. Raises PEError as
    :func:`~packager.pe.normalise.normalise` does, with the path in front, or when the file cannot be read;
    MachineError when the result cannot be written.
    """
    try:
        data = path.read_bytes()
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as exc:
        raise PEError(f"{path}: expected a file that can be read, found: {exc.strerror}") from exc
    try:
        result = normalise(data, epoch, signed=signed)
    except PEError as exc:
        raise PEError(f"{path}: {exc.message}", hint=exc.hint, details=exc.details) from exc
    if not check and (output is not None or result.changes):
        write_atomically((output or path).resolve(), result.data, mode)
    return FileReport(
        path=str(path),
        status="changed" if result.changes else "unchanged",
        size=len(data),
        output=None if output is None else str(output),
        changes=result.changes,
        notes=result.notes,
    )


def normalise_paths(
    paths: Iterable[Path],
    epoch: int,
    *,
    output_dir: Path | None = None,
    check: bool = False,
    signed: Signed = "refuse",
    jobs: int = 1,
) -> Iterator[FileReport]:
    """Normalise files and all PE files in folders; the reports come in the order of :func:`collect`.

    A file that fails is reported as such and the others go on. ``jobs`` above 1 spreads the files over as many
    processes; the program's main module must be one that may be imported again. Raises SpecError at once, before
    anything is written, for a path that is not there.
    """
    work = collect(paths, output_dir)
    run = partial(_run, epoch=epoch, check=check, signed=signed)
    return _spread(run, work, jobs)


def collect(paths: Iterable[Path], output_dir: Path | None = None) -> tuple[Job, ...]:
    """The files to normalise: the named ones as they are, a folder's by name, each file once.

    In a folder, links and files that are not PE images are skipped. With ``output_dir`` a named file goes there under
    its own name and a folder's files under their paths in it. Raises SpecError for a path that is not there, and when
    two results would be one file.
    """
    work: list[Job] = []
    seen: set[Path] = set()
    targets: dict[Path, Path] = {}
    for path in paths:
        if not path.exists():
            raise SpecError(f"{path}: expected a file or a folder, found nothing")
        root = path if path.is_dir() else path.parent
        for file in _pe_files(path) if path.is_dir() else [path]:
            if (real := file.resolve()) in seen:
                continue
            seen.add(real)
            output = None if output_dir is None else output_dir / file.relative_to(root)
            if output is not None and targets.setdefault(output, file) != file:
                raise SpecError(
                    f"{output}: expected one file to go there, found {targets[output]} and {file}",
                    hint="name their common folder instead, or use two output folders",
                )
            work.append(Job(file, output))
    return tuple(work)


def write_atomically(path: Path, data: bytes, mode: int) -> None:
    """Make ``path`` hold ``data`` with permissions ``mode`` in one step; its folder is made where it is missing.

    Whoever looks sees the old file or the new one. Raises MachineError when it cannot be written; the old file is
    there then, and nothing else.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", dir=path.parent)
        temporary = Path(name)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        temporary.replace(path)
        temporary = None
        fsync_folder(path.parent)
    except OSError as exc:
        raise MachineError(
            f"{path}: expected to write {len(data)} bytes, found: {exc.strerror}",
            hint="free some space or choose a folder that can be written",
        ) from exc
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink()


def _pe_files(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            path = Path(root, name)
            if not path.is_symlink() and path.is_file() and (is_pe(path) or path.suffix.lower() in PE_SUFFIXES):
                yield path


def _run(job: Job, *, epoch: int, check: bool, signed: Signed) -> FileReport:
    try:
        return normalise_file(job.path, epoch, job.output, check, signed)
    except PEError as exc:
        return FileReport(str(job.path), "failed", error=str(exc))


def _spread(run: partial[FileReport], work: Sequence[Job], jobs: int) -> Iterator[FileReport]:
    """Results in order. A fresh server process forks the workers: forking this one would copy its threads' locks."""
    if jobs <= 1 or len(work) < 2:
        yield from map(run, work)
        return
    with ProcessPoolExecutor(min(jobs, len(work)), multiprocessing.get_context("forkserver")) as pool:
        try:
            yield from pool.map(run, work, chunksize=max(1, min(16, len(work) // (4 * jobs))))
        except BrokenProcessPool as exc:
            raise MachineError(
                "normalising in several processes: expected each to live, found that one was killed or crashed",
                hint="use one job: that shows the file it happens with, and needs less memory",
            ) from exc
        except BaseException:
            # Leaving the block would wait for all files that are left.
            pool.shutdown(wait=False, cancel_futures=True)
            raise
