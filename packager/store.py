"""The content-addressed store of results: made beside, renamed in, never half there.

::

    STORE/results/<kind>-<name>-<digest>/   one result; ``entry.json`` says what went in and what came out
    STORE/locks/<...>.lock                  flock(2)ed while a result is being made
    STORE/tmp/<...>/                        work folders, each flocked by the process that works there
    STORE/sources/, STORE/partial/          see ``sources``

A process that is killed leaves only a work folder; the kernel drops its locks, and the next run sweeps the folder.
Two runs that want one result: the second waits and finds it made.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from packager import trees
from packager.disk import disk_errors
from packager.errors import MachineError
from packager.keys import Check, Key
from packager.progress import Reporter

ENTRY = "entry.json"


@dataclass(frozen=True, slots=True)
class Entry:
    """One result in the store: its folder (read-only for everyone), and the digest of what it holds."""

    path: Path
    digest: str

    @property
    def tree(self) -> Path:
        """The result's main folder."""
        return self.path / "tree"


@dataclass(slots=True)
class Store:
    """The store under ``root``. Entries are verified when first used in a run; a damaged one is made again."""

    root: Path
    reporter: Reporter
    _verified: dict[str, Entry] = field(default_factory=dict)

    @classmethod
    def open(cls, root: Path, reporter: Reporter) -> Store:
        """Open or create a store, and sweep what killed runs left in its work folder."""
        try:
            for name in ("results", "locks", "tmp", "sources", "partial"):
                (root / name).mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise MachineError(
                f"{root}: the store cannot be made there: {exc.strerror}", hint="name another folder with --store"
            ) from exc
        store = cls(root.resolve(), reporter)
        store._sweep()
        return store

    def find(self, key: Key) -> Entry | None:
        """The result for ``key`` if it is there and intact. A damaged one is removed, and said to have been."""
        known = self._verified.get(key.digest)
        if known is not None:
            return known
        path = self.root / "results" / key.folder
        if not path.exists():
            return None
        problem = self._problem(path, key)
        if problem is None:
            entry = Entry(path, json.loads((path / ENTRY).read_text("utf-8"))["digest"])
            self._verified[key.digest] = entry
            return entry
        self.reporter.note(f"{path}: damaged store entry ({problem}); it is made again")
        with self.work() as trash, contextlib.suppress(FileNotFoundError):  # another run may have seen it, too
            path.rename(trash / "damaged")
        return None

    def make(self, key: Key, build: Callable[[Path], None]) -> tuple[Entry, bool]:
        """The result for ``key``, made by ``build(folder)`` if it is not there; True when it was there already."""
        with self.lock(key.folder):
            found = self.find(key)
            if found is not None:
                return found, True
            with self.work() as folder, disk_errors(self.root):
                made = folder / "made"
                made.mkdir()
                build(made)
                digest = _digest(made, key.check)
                (made / ENTRY).write_text(
                    json.dumps({"digest": digest, "key": json.loads(key.document)}, indent=1, sort_keys=True) + "\n",
                    "utf-8",
                )
                _sync(made / ENTRY)
                path = self.root / "results" / key.folder
                made.rename(path)
            entry = Entry(path, digest)
            self._verified[key.digest] = entry
            return entry, False

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold the store's lock called ``name``; waits, and says so, while another process has it."""
        with (self.root / "locks" / f"{name}.lock").open("a+b") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.reporter.note(f"another packager is making {name}; waiting for it")
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    @contextlib.contextmanager
    def work(self) -> Iterator[Path]:
        """A work folder of this process's own, removed at the end whatever happens."""
        with disk_errors(self.root), self._sweeping():
            folder = Path(tempfile.mkdtemp(prefix="work-", dir=self.root / "tmp"))
            guard = (folder.parent / f"{folder.name}.lock").open("wb")
            fcntl.flock(guard, fcntl.LOCK_EX)
        try:
            yield folder
        finally:
            self._clear(folder)
            with contextlib.suppress(OSError):
                os.unlink(guard.name)
            guard.close()

    @contextlib.contextmanager
    def _sweeping(self) -> Iterator[None]:
        """Keep other processes from sweeping while a work folder has no lock yet."""
        with (self.root / "locks" / "tmp.lock").open("a+b") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def _sweep(self) -> None:
        with self._sweeping():
            for folder in (self.root / "tmp").iterdir():
                if folder.suffix == ".lock":
                    if not folder.with_suffix("").exists() and _is_free(folder):
                        folder.unlink(missing_ok=True)
                elif _is_free(folder.parent / f"{folder.name}.lock"):
                    self._clear(folder)
                    (folder.parent / f"{folder.name}.lock").unlink(missing_ok=True)

    def _clear(self, folder: Path) -> None:
        """Remove a work folder; one that cannot be removed is said to stay, and hinders nothing."""
        try:
            remove(folder)
        except MachineError as exc:
            self.reporter.note(str(exc))

    def log(self, name: str) -> Path:
        """Where a step's output is kept: what the last run of that step printed."""
        folder = self.root / "logs"
        folder.mkdir(exist_ok=True)
        return folder / f"{name}.log"

    def _problem(self, path: Path, key: Key) -> str | None:
        try:
            record = json.loads((path / ENTRY).read_text("utf-8"))
            recorded = record["digest"]
            if json.dumps(record["key"], sort_keys=True) != json.dumps(json.loads(key.document), sort_keys=True):
                return "it was made from something else"
        except (OSError, ValueError, KeyError, TypeError):
            return f"{ENTRY} cannot be read"
        try:
            found = _digest(path, key.check)
        except OSError as exc:
            return f"cannot be read: {exc.strerror}"
        return None if found == recorded else "its content changed after it was made"


def remove(folder: Path) -> None:
    """Remove a folder or file whatever modes a build gave to what is in it.

    A folder with something mounted below it is left alone: what is mounted is not ours to delete. MachineError then.
    """
    mounted = mounts_below(folder)
    if mounted:
        raise MachineError(
            f"{folder}: cannot be removed: something is mounted at {mounted[0]}",
            hint="unmount what is mounted there: " + " ".join(f"umount {path};" for path in reversed(mounted)),
        )

    def unlock(function: Callable[[str], object], path: str, _error: object) -> None:
        with contextlib.suppress(OSError):
            os.chmod(os.path.dirname(path), 0o700)
            os.chmod(path, 0o700)
            function(path)

    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder, onerror=unlock)
    else:
        folder.unlink(missing_ok=True)


def mounts_below(folder: Path, table: Path = Path("/proc/self/mountinfo")) -> tuple[Path, ...]:
    """The mount points in ``folder``, outer ones first, as the kernel lists them (proc(5), field 5, octal escapes)."""
    top = os.fsencode(folder.absolute())
    points = []
    for line in table.read_bytes().splitlines():
        point = re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), line.split()[4])
        if point.startswith(top + b"/"):
            points.append(Path(os.fsdecode(point)))
    return tuple(sorted(points))


def _digest(folder: Path, check: Check) -> str:
    measure = trees.content_digest if check == "content" else trees.stat_digest
    return measure(folder, skip=lambda path: path == ENTRY)


def _is_free(lock: Path) -> bool:
    """Whether no living process holds the lock file; a missing one is nobody's."""
    try:
        with lock.open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _sync(path: Path) -> None:
    with path.open("rb") as handle:
        os.fsync(handle.fileno())
