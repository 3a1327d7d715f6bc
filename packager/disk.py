"""Turn the errors of a full or unwritable disk into one clear message."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from packager.errors import MachineError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_UNWRITABLE = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


class DiskError(MachineError):
    """The disk is full, or a folder of ours cannot be written: no other origin or second try helps."""


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Around code that writes below ``path``: a full or unwritable disk becomes a DiskError, all else passes."""
    try:
        yield
    except OSError as exc:
        reraise_if_full(exc, path)
        raise


def reraise_if_full(exc: OSError, path: Path) -> None:
    """Raise a DiskError if ``exc`` says that the disk of ``path`` is full or cannot be written; else return."""
    if exc.errno in _FULL:
        raise full(path) from exc
    if exc.errno in _UNWRITABLE:
        raise DiskError(
            f"{exc.filename or path}: cannot be written: {exc.strerror}",
            hint="make the folder writable for this user, or name another one with --store",
        ) from exc


def full(path: Path, *, need: int | None = None) -> DiskError:
    """The error for a full disk, naming the folder, the bytes that are free there and those that are needed."""
    folder = next((p for p in (path, *path.parents) if p.is_dir()), Path("/"))
    free = shutil.disk_usage(folder).free
    return DiskError(
        f"{folder}: the disk is full: {free:,} bytes are free" + (f", {need:,} are needed" if need else ""),
        hint="free some space, or name a store on another disk with --store, and run the same command again",
    )


def raise_if_child_was_full(lines: Iterable[str], path: Path) -> None:
    """Raise a DiskError if a program that wrote below ``path`` printed the system's words for a full disk."""
    words = [os.strerror(code) for code in sorted(_FULL)]
    if any(word in line for line in lines for word in words):
        raise full(path)


def fsync_folder(folder: Path) -> None:
    """Make a rename inside ``folder`` survive a power failure."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
