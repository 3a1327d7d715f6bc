"""Change a tree by renaming alone, wholly or not at all.

What goes in is made in a work folder on the tree's own file system, what goes out is moved there. A journal in the
work folder names every move before the first is made: after a failure they are taken back at once, after a kill by
the next run. Folders of the tree keep their times.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import signal
import stat
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from packager.errors import CheckError, MachineError
from packager.install import filelist
from packager.install.browser import Disk
from packager.layout import TOR_BROWSER
from packager.specs.model import RelativePath
from packager.store import remove

#: The work folder's name begins so; it lies in the host folder.
PREFIX = ".electrum-packager-"
JOURNAL = "journal.json"
NEW, OLD = "new", "old"

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Move(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One rename; both paths are relative to the tree's top."""

    source: RelativePath
    target: RelativePath


class Journal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All moves of one change in order, and the times of the tree's folders (atime and mtime in ns) by path."""

    format: Literal[1]
    moves: tuple[Move, ...]
    times: dict[RelativePath, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Workspace:
    """A work folder of this run alone in the tree ``top``; ``path`` is relative to that."""

    top: Path
    path: str

    @property
    def folder(self) -> Path:
        """The work folder itself."""
        return self.top / self.path

    @property
    def new(self) -> Path:
        """Where what goes in is made."""
        return self.folder / NEW

    def incoming(self, path: str, target: str) -> Move:
        """What was made as ``path`` goes to ``target``."""
        return Move(f"{self.path}/{NEW}/{path}", target)

    def outgoing(self, path: str) -> Move:
        """What lies at ``path`` goes out."""
        return Move(path, f"{self.path}/{OLD}/{path}")


@contextlib.contextmanager
def workspace(top: Path) -> Iterator[Workspace]:
    """A work folder in the tree, which no other run changes meanwhile; first what a killed run left is put right.

    Raises MachineError when the tree cannot be written, its disk is full or another run is at work in it; CheckError
    when what a killed run left cannot be believed.
    """
    with tree_errors(top):
        disk = Disk(top)
        assert TOR_BROWSER.host is not None
        host = disk.find(TOR_BROWSER.host)
        assert host is not None  # browser.find_tree
        handle = os.open(top / host, os.O_RDONLY | os.O_DIRECTORY)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as exc:
                raise MachineError(
                    f"{top}: another packager is at work in this tree", hint="wait until it has ended"
                ) from exc
            for name in sorted(os.listdir(top / host)):
                if name.startswith(PREFIX):
                    _recover(top, f"{host}/{name}")
            times = os.fstat(handle)
            work = Workspace(top, f"{host}/{Path(tempfile.mkdtemp(prefix=PREFIX, dir=top / host)).name}")
            try:
                yield work
            finally:
                # With a journal in it, it is the only copy of something: the next run puts that back.
                if not (work.folder / JOURNAL).exists():
                    with undisturbed():
                        remove(work.folder)
                        _set_times(top, {host: (times.st_atime_ns, times.st_mtime_ns)})
        finally:
            os.close(handle)


def carry_out(work: Workspace, moves: Sequence[Move]) -> None:
    """Make all moves, or, whatever is raised, none. Nothing may be at a target before, nothing is replaced."""
    top = work.top
    times = {}
    for folder in sorted({path.rpartition("/")[0] for move in moves for path in (move.source, move.target)}):
        if not f"{folder}/".startswith(f"{work.path}/"):
            status = (top / folder).stat()
            times[folder] = (status.st_atime_ns, status.st_mtime_ns)
    journal = Journal(1, tuple(moves), times)
    try:
        (work.folder / JOURNAL).write_bytes(msgspec.json.encode(journal))
        for move in moves:
            if move.target.startswith(f"{work.path}/"):
                (top / move.target).parent.mkdir(parents=True, exist_ok=True)
            if os.path.lexists(top / move.target):
                raise CheckError(f"{top / move.target}: expected nothing, found that somebody made it just now")
            os.rename(top / move.source, top / move.target)
        _set_times(top, times)
        (work.folder / JOURNAL).unlink()
    except BaseException:
        with undisturbed():
            _undo(top, journal)
            (work.folder / JOURNAL).unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Ctrl-C and SIGTERM wait until the block is left."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def tree_errors(top: Path) -> Iterator[None]:
    """Around code that writes into a tree: a full or unwritable disk becomes a MachineError that says what to do."""
    try:
        yield
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            free = shutil.disk_usage(top).free
            raise MachineError(
                f"{top}: the disk is full: {free:,} bytes were free, which is too little; the tree is as it was",
                hint="free some space and run the same command again",
            ) from exc
        if exc.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise MachineError(
                f"{exc.filename or top}: cannot be written: {exc.strerror}; the tree is as it was",
                hint="make the folder writable for this user",
            ) from exc
        raise


def _undo(top: Path, journal: Journal) -> None:
    """Take back those moves that were made, the last one first."""
    for move in reversed(journal.moves):
        if os.path.lexists(top / move.target) and not os.path.lexists(top / move.source):
            os.rename(top / move.target, top / move.source)
    _set_times(top, journal.times)


def _set_times(top: Path, times: dict[str, tuple[int, int]]) -> None:
    for folder, both in times.items():
        # Somebody else's folder can be writable, and yet its times only its owner's to set.
        with contextlib.suppress(FileNotFoundError, PermissionError):
            os.utime(top / folder, ns=both, follow_symlinks=False)


def _recover(top: Path, work: str) -> None:
    """Take back what a killed run had begun in the work folder ``work``, and remove that."""
    path = top / work / JOURNAL
    if not (top / work).is_symlink() and os.path.lexists(path):
        try:
            journal = msgspec.json.decode(path.read_bytes(), type=Journal)
        except msgspec.ValidationError as exc:
            raise _unbelievable(top / work, str(exc)) from exc
        except (msgspec.DecodeError, UnicodeDecodeError):
            # A kill cut it short: no move was made.
            journal = Journal(1, (), {})
        for move in journal.moves:
            for end in (move.source, move.target):
                _check(top, end, work)
        _check_folders(top, journal.times)
        _undo(top, journal)
    remove(top / work)


def _check(top: Path, path: str, work: str) -> None:
    """CheckError unless a path of a journal is in the work folder or our own, and no link leads there."""
    inside = path.startswith((f"{work}/{NEW}/", f"{work}/{OLD}/"))
    if not (inside or filelist.is_movable(path)) or not filelist.is_plain(path) or _through_link(top, path):
        raise _unbelievable(top / work, path)


def _check_folders(top: Path, folders: Iterable[str]) -> None:
    for path in folders:
        if not filelist.is_plain(path) or _through_link(top, f"{path}/x"):
            raise _unbelievable(top, path)


def _through_link(top: Path, path: str) -> bool:
    here = top
    for part in path.split("/")[:-1]:
        here = here / part
        try:
            if not stat.S_ISDIR(here.lstat().st_mode):
                return True
        except FileNotFoundError:
            return False
    return False


def _unbelievable(where: Path, path: str) -> CheckError:
    return CheckError(
        f"{where}: expected what a packager that was killed left, found a journal with {path[:200]!r}",
        hint="look at that folder, and remove it if it is not yours",
    )
