"""Folders as values: their digest, and copies with the modes that a reproducible output has.

Every walk is sorted by the path's bytes, so nothing depends on the order a file system gives.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Node:
    """One entry of a tree: its path relative to the top in POSIX form, and what lstat(2) says."""

    path: str
    absolute: Path
    status: os.stat_result

    @property
    def is_file(self) -> bool:
        """A regular file."""
        return stat.S_ISREG(self.status.st_mode)

    @property
    def is_link(self) -> bool:
        """A symbolic link."""
        return stat.S_ISLNK(self.status.st_mode)

    @property
    def is_folder(self) -> bool:
        """A folder."""
        return stat.S_ISDIR(self.status.st_mode)


def walk(top: Path) -> Iterator[Node]:
    """Everything below ``top``, folders before their content, sorted; symbolic links are not followed."""

    def visit(folder: Path, prefix: str) -> Iterator[Node]:
        with os.scandir(folder) as entries:
            ordered = sorted(entries, key=lambda entry: os.fsencode(entry.name))
        for entry in ordered:
            node = Node(prefix + entry.name, Path(entry.path), entry.stat(follow_symlinks=False))
            yield node
            if node.is_folder:
                yield from visit(node.absolute, f"{node.path}/")

    yield from visit(top, "")


def files(top: Path) -> Iterator[Node]:
    """The regular files and links below ``top``, sorted."""
    return (node for node in walk(top) if not node.is_folder)


def file_sha256(path: Path) -> str:
    """The sha256 of a file's content, as hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def content_digest(top: Path, *, skip: Callable[[str], bool] = lambda _path: False) -> str:
    """A sha256 over every path, kind, executable bit, link target and file content below ``top``."""
    total = hashlib.sha256()
    for node in walk(top):
        if skip(node.path):
            continue
        if node.is_link:
            what = f"link {os.readlink(node.absolute)}"
        elif node.is_file:
            what = f"file {'x' if node.status.st_mode & 0o100 else '-'} {file_sha256(node.absolute)}"
        else:
            what = "folder"
        total.update(f"{node.path}\0{what}\0".encode("utf-8", "surrogateescape"))
    return total.hexdigest()


def stat_digest(top: Path, *, skip: Callable[[str], bool] = lambda _path: False) -> str:
    """Like :func:`content_digest`, from sizes and times only: for trees too large to read each time."""
    total = hashlib.sha256()
    for node in walk(top):
        if skip(node.path):
            continue
        detail = (
            "folder" if node.is_folder else f"{node.status.st_mode:o} {node.status.st_size} {node.status.st_mtime_ns}"
        )
        total.update(f"{node.path}\0{detail}\0".encode("utf-8", "surrogateescape"))
    return total.hexdigest()


def copy_tree(source: Path, dest: Path) -> None:
    """Copy a tree: modes become 0755 or 0644, links stay links; an existing folder is merged into, a file replaced."""
    dest.mkdir(parents=True, exist_ok=True)
    for node in walk(source):
        target = dest / node.path
        if node.is_folder:
            target.mkdir(exist_ok=True)
        elif node.is_link:
            target.symlink_to(os.readlink(node.absolute))
        else:
            copy_file(node.absolute, target)


def copy_file(source: Path, dest: Path) -> None:
    """Copy one file's content; the mode becomes 0755 or 0644. The parent folder must be there."""
    with source.open("rb") as reader, dest.open("wb") as writer:
        shutil.copyfileobj(reader, writer, CHUNK)
        executable = os.fstat(reader.fileno()).st_mode & 0o100
        os.fchmod(writer.fileno(), 0o755 if executable else 0o644)
