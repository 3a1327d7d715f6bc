"""Normalising files on disk: one, many, or all of known kinds in a folder, each replaced in one step or not at all.

What a file is says its content; its name only where that does not settle it, and where the content is broken.
"""

from __future__ import annotations

import multiprocessing
import os
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.context import BaseContext
from pathlib import Path, PurePath
from typing import Literal

from packager.changes import Change, Normalised, show_bytes
from packager.disk import fsync_folder
from packager.errors import MachineError, PEError, SpecError
from packager.formats import ar, coff, gzip, pyc
from packager.formats import zip as zips
from packager.formats.errors import FormatError
from packager.formats.fields import check_epoch
from packager.pe.kinds import PE_SUFFIXES as PE_SUFFIXES
from packager.pe.kinds import is_pe as is_pe
from packager.pe.normalise import Signed, Symbols
from packager.pe.normalise import normalise as pe_normalise

#: A PE image, a static or import library, a COFF object, compiled Python, a zip archive, gzip.
Kind = Literal["pe", "ar", "object", "pyc", "zip", "gzip"]

#: What a file must be whose content does not say. A .pyc has no magic number of its own; a zip may begin with anything.
_BY_SUFFIX: Mapping[str, Kind] = {
    **dict.fromkeys(PE_SUFFIXES, "pe"),
    **dict.fromkeys((".a", ".lib"), "ar"),
    **dict.fromkeys((".zip", ".whl", ".jar", ".pyz"), "zip"),
    **dict.fromkeys((".gz", ".tgz"), "gzip"),
    ".pyc": "pyc",
}
_OBJECT_SUFFIXES = (".o", ".obj")
#: glibc's libm.a is a linker script, its libmcheck.a an ELF object.
_OTHER_LIBRARIES = (b"/* GNU ld script", b"\x7fELF")
_GZIP_DEFLATE = gzip.MAGIC + b"\x08"
#: Enough of a file to tell its kind.
_HEAD = 4096

#: ``changed``: written, or with check, would be. ``failed``: refused or broken, and untouched; ``error`` says why.
Status = Literal["unchanged", "changed", "failed"]

#: Of the 108 bytes that unix(7) gives a socket's path, less what multiprocessing appends to the folder.
_LONGEST_TEMPORARY = 60


@dataclass(frozen=True, slots=True)
class Options:
    """What to make of files: the time in seconds since 1970, and what is for PE images only.

    Those are arguments of :func:`packager.pe.normalise.normalise`. Raises SpecError for an epoch that does not fit 32
    bits.
    """

    epoch: int
    signed: Signed = "refuse"
    symbols: Symbols = "keep"
    pad: bool = False

    def __post_init__(self) -> None:
        check_epoch(self.epoch)


@dataclass(frozen=True, slots=True)
class FileReport:
    """What became of one file: paths as they were given, its size in bytes before, and what changed in it."""

    path: str
    status: Status
    kind: Kind | None = None
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
        "kind": report.kind,
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


def kind_of(head: bytes, name: str) -> Kind | None:
    """What a file is that begins with ``head`` (4096 bytes will do, or all of it) and is called ``name``.

    None: nothing that can be normalised. A PE image whose PE header lies beyond ``head`` is not seen, see
    :func:`kind_of_file`.
    """
    suffix = PurePath(name).suffix.lower()
    header = int.from_bytes(head[0x3C:0x40], "little")
    if head.startswith(b"MZ") and head[header : header + 4] == b"PE\0\0":
        return "pe"
    if head.startswith((ar.MAGIC, ar.THIN)):
        return "ar"
    if head.startswith(zips.MAGICS):
        return "zip"
    if head.startswith(_GZIP_DEFLATE):
        return "gzip"
    if suffix in _OBJECT_SUFFIXES:
        return "object" if coff.may_be_object(head) else None
    kind = _BY_SUFFIX.get(suffix)
    return None if kind == "ar" and head.startswith(_OTHER_LIBRARIES) else kind


def kind_of_file(path: Path) -> Kind | None:
    """As :func:`kind_of`; a file that cannot be read is what its name says."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        head = b""
    return "pe" if head.startswith(b"MZ") and is_pe(path) else kind_of(head, path.name)


def normalise_file(path: Path, options: Options, output: Path | None = None, check: bool = False) -> FileReport:
    """Normalise one file, in place or into ``output``; with ``check`` nothing is written.

    The new content is written beside its target, synced, and renamed over it, with the mode of ``path``; in place that
    happens only when something changed. A symbolic link is followed, and stays a link. Raises PEError and FormatError
    as the file's normaliser does, with the path in front; FormatError when it is of no known kind, cannot be read or
    is too large for this machine; SpecError when an option is wrong; MachineError when the result cannot be written.
    """
    try:
        data = path.read_bytes()
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as exc:
        raise FormatError(f"{path}: expected a file that can be read, found: {exc.strerror}") from exc
    except MemoryError as exc:
        raise _too_large(path) from exc
    kind = kind_of(data, path.name)
    if kind is None:
        raise FormatError(
            f"{path}: expected a PE image, a library (.a, .lib), a COFF object (.o, .obj), a .pyc file, "
            "a zip archive or a gzip file, found none of these"
        )
    try:
        result = _NORMALISERS[kind](data, options)
    except (PEError, FormatError) as exc:
        raise type(exc)(f"{path}: {exc.message}", hint=exc.hint, details=exc.details) from exc
    except (MemoryError, RecursionError) as exc:
        raise _too_large(path) from exc
    if not check and (output is not None or result.changes):
        write_atomically((output or path).resolve(), result.data, mode)
    return FileReport(
        path=str(path),
        status="changed" if result.changes else "unchanged",
        kind=kind,
        size=len(data),
        output=None if output is None else str(output),
        changes=result.changes,
        notes=result.notes,
    )


def _normalise_pe(data: bytes, options: Options) -> Normalised:
    return pe_normalise(data, options.epoch, signed=options.signed, symbols=options.symbols, pad=options.pad)


_NORMALISERS: Mapping[Kind, Callable[[bytes, Options], Normalised]] = {
    "pe": _normalise_pe,
    "ar": lambda data, options: ar.normalise(data, options.epoch),
    "object": lambda data, options: coff.normalise(data, options.epoch),
    "pyc": lambda data, options: pyc.normalise(data, options.epoch),
    "zip": lambda data, options: zips.normalise(data, options.epoch),
    "gzip": lambda data, options: gzip.normalise(data, options.epoch),
}


def _too_large(path: Path) -> FormatError:
    return FormatError(
        f"{path}: expected a file that this machine's memory can hold four times, found that it cannot",
        hint="use one job, or a machine with more memory",
    )


def normalise_paths(
    paths: Iterable[Path],
    options: Options,
    *,
    output_dir: Path | None = None,
    check: bool = False,
    jobs: int = 1,
) -> Iterator[FileReport]:
    """Normalise files, and all files of known kinds in folders; the reports come in the order of :func:`collect`.

    A file that fails is reported as such and the others go on. ``jobs`` above 1 spreads the files over as many
    processes; the program's main module must be one that may be imported again. Raises SpecError at once, before
    anything is written, for a path that is not there.
    """
    work = collect(paths, output_dir)
    run = partial(_run, options=options, check=check)
    return _spread(run, work, jobs)


def collect(paths: Iterable[Path], output_dir: Path | None = None) -> tuple[Job, ...]:
    """The files to normalise: the named ones as they are, a folder's by name, each file once.

    In a folder, links and files of no known kind are skipped. With ``output_dir`` a named file goes there under
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
        for file in _known_files(path) if path.is_dir() else [path]:
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


def _known_files(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            path = Path(root, name)
            if not path.is_symlink() and path.is_file() and kind_of_file(path) is not None:
                yield path


def _run(job: Job, *, options: Options, check: bool) -> FileReport:
    try:
        return normalise_file(job.path, options, job.output, check)
    except (PEError, FormatError) as exc:
        return FileReport(str(job.path), "failed", kind_of_file(job.path), error=str(exc))


def _context() -> BaseContext:
    """The way to start workers. The fork server's socket lies in the temporary folder, and its path has to be short."""
    if len(os.fsencode(tempfile.gettempdir())) > _LONGEST_TEMPORARY:
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["__main__", __name__])
    return context


def _spread(run: partial[FileReport], work: Sequence[Job], jobs: int) -> Iterator[FileReport]:
    """Results in order. A fresh server process forks the workers: forking this one would copy its threads' locks.

    It imports this module once, which takes longer than normalising some hundred files.
    """
    if jobs <= 1 or len(work) < 2:
        yield from map(run, work)
        return
    with ProcessPoolExecutor(min(jobs, len(work)), _context()) as pool:
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
