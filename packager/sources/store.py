"""The folder that keeps verified sources, and the rules by which a file enters it.

``<root>/sources/<sha256>/<file>`` holds a file with that sha256, ``<root>/sources/git-<commit>/<file>`` the tree of a
commit as a tar. Nothing lies under ``sources/`` that was not verified first: files are made in ``<root>/partial/``,
checked, written through to the disk and renamed. ``<root>/locks/`` has one lock per source, so that several packagers
can share a store.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from packager.disk import disk_errors, fsync_folder
from packager.progress import Reporter
from packager.sources.debian import Apt


class SourceStore:
    """Sources on this machine's disk. Making one touches nothing; folders are made when first needed."""

    def __init__(self, root: Path, apt: Apt | None = None) -> None:
        """``root`` is the packager's store; ``apt`` the private state of apt, by default ``<root>/apt``."""
        self.root = Path(os.path.abspath(root))
        self.apt = apt or Apt(self.root / "apt")

    @property
    def partial(self) -> Path:
        """Where downloads grow; what lies there may be cut short or wrong."""
        return self._folder("partial")

    def entry(self, key: str, file: str) -> Path:
        """Where a source lies once it is in the store; ``key`` is a sha256 or ``git-<commit>``."""
        return self.root / "sources" / key / file

    def admit(self, made: Path, key: str, file: str) -> Path:
        """Move a file, which the caller has verified, from ``partial`` into the store; returns its new path."""
        target = self.entry(key, file)
        with disk_errors(self.root):
            with made.open("rb") as handle:
                os.fchmod(handle.fileno(), 0o444)
                os.fsync(handle.fileno())
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(made, target)
            fsync_folder(target.parent)
        return target

    @contextlib.contextmanager
    def lock(self, key: str, what: str, reporter: Reporter) -> Iterator[None]:
        """Hold the lock of one source; waits for another packager that has it, and says so."""
        with disk_errors(self.root):
            handle = os.open(self._folder("locks") / f"source-{key}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                reporter.note(f"{what}: another packager is getting it; waiting")
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _folder(self, name: str) -> Path:
        folder = self.root / name
        with disk_errors(self.root):
            folder.mkdir(parents=True, exist_ok=True)
        return folder
