"""A Tor Browser's folder: how one is known, its files as Windows names them, and what of ours is in it already."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from packager import trees
from packager.deps.names import windows_key
from packager.errors import CheckError, SpecError
from packager.install import filelist
from packager.install.filelist import FileList, Record
from packager.layout import TOR_BROWSER

Form = Literal["16.0", "before 16.0"]

#: What a tree is known by, the later form first: 16.0 moved the file (an updated tree may still have the old one).
MARKS: dict[Form, str] = {
    "16.0": "Browser/TorBrowser/Tor/torrc-defaults",
    "before 16.0": "Browser/TorBrowser/Data/Tor/torrc-defaults",
}
#: namecoin.exe holds a lock on it (fcntl(2); under Wine, too) as long as it runs.
LOCK = f"{TOR_BROWSER.state}/lock"


@dataclass(slots=True)
class Disk:
    """The files below ``top`` by relative paths, looked up as Windows does: in upper or lower case."""

    top: Path
    _listed: dict[str, dict[str, list[str]]] = field(default_factory=dict)

    def names(self, folder: str) -> dict[str, list[str]]:
        """The names in a folder by their keys, sorted; each folder is read once."""
        if folder not in self._listed:
            found: dict[str, list[str]] = {}
            for name in sorted(os.listdir(self.top / folder)):
                found.setdefault(windows_key(name), []).append(name)
            self._listed[folder] = found
        return self._listed[folder]

    def find(self, path: str) -> str | None:
        """The path as it is spelled on the disk; None if there is nothing.

        Raises CheckError where a link leads there, or a name on the way is there twice.
        """
        *folders, _last = parts = path.split("/")
        here = ""
        for depth, part in enumerate(parts):
            twins = self.names(here or ".").get(windows_key(part), [])
            if not twins:
                return None
            if len(twins) > 1:
                raise CheckError(
                    f"{self.top / here}: expected names that differ not only in case, found {' and '.join(twins)}",
                    hint="Windows takes them for one: rename or remove one of them",
                )
            here = f"{here}/{twins[0]}" if here else twins[0]
            if depth < len(folders) and not self.is_folder(here):
                if not (self.top / here).is_symlink():
                    return None
                raise CheckError(
                    f"{self.top / here}: expected a folder, found a link",
                    hint="a bundle is put into a Tor Browser's own folders only, never through a link",
                )
        return here

    def kind(self, path: str) -> int:
        """The kind that lstat(2) gives: ``stat.S_IFREG`` and so on."""
        return stat.S_IFMT((self.top / path).lstat().st_mode)

    def is_folder(self, path: str) -> bool:
        """Whether a path that is there is a folder, and no link to one."""
        return self.kind(path) == stat.S_IFDIR


@dataclass(frozen=True, slots=True)
class Tree:
    """A Tor Browser's folder, without links in its own path: ``top`` has ``Browser`` in it."""

    top: Path
    form: Form


@dataclass(frozen=True, slots=True)
class Present:
    """A bundle that is in a tree: its list, the list's own bytes, and the record of made folders if there is one.

    ``files`` are the paths on the disk of what is as listed, and of the list and the record; ``changed`` those of what
    is not; ``missing`` listed paths where nothing is.
    """

    listed: FileList
    data: bytes
    record: Record | None
    files: tuple[str, ...]
    changed: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def intact(self) -> bool:
        """Whether every file is as listed."""
        return not self.changed and not self.missing


def find_tree(given: Path) -> Tree:
    """The Tor Browser's folder that ``given`` names: the one with ``Browser`` in it, or ``Browser`` itself.

    SpecError when it is not one, CheckError when a part of it is a link.
    """
    hint = "name the folder that has Browser in it, or Browser itself"
    if not given.is_dir():
        found = "a file" if given.exists() else "nothing"
        raise SpecError(f"{given}: expected a Tor Browser's folder, found {found}", hint=hint)
    real = given.resolve()
    tops = [top for top in (real, real.parent) if top == real or windows_key(real.name) == "BROWSER"]
    for top in tops:
        disk = Disk(top)
        for form, mark in MARKS.items():
            found_mark = disk.find(mark)
            if found_mark is not None and disk.kind(found_mark) == stat.S_IFREG:
                return Tree(top, form)
    after, before = MARKS.values()
    raise SpecError(
        f"{given}: expected a Tor Browser's folder, found neither {after} (16.0 and later) "
        f"nor {before} (before 16.0) in it",
        hint=hint,
    )


def present_in(disk: Disk) -> Present | None:
    """What of ours is in the tree; None when there is no list of files in the program folder.

    CheckError when the list or the record cannot be believed.
    """
    data = _read(disk, filelist.NAME)
    if data is None:
        return None
    listed = filelist.decode(data, str(disk.top / TOR_BROWSER.place(filelist.NAME)))
    files: list[str] = []
    changed: list[str] = []
    missing: list[str] = []
    for file in listed.files:
        found = disk.find(file.path)
        if found is None:
            missing.append(file.path)
        elif _is_as_listed(disk, found, file):
            files.append(found)
        else:
            changed.append(found)
    record = None
    recorded = _read(disk, filelist.RECORD)
    if recorded is not None:
        record = filelist.decode_record(recorded, str(disk.top / TOR_BROWSER.place(filelist.RECORD)))
    own = (disk.find(TOR_BROWSER.place(name)) for name in (filelist.NAME, filelist.RECORD))
    files += [path for path in own if path is not None]
    return Present(listed, data, record, tuple(files), tuple(changed), tuple(missing))


@contextlib.contextmanager
def idle(disk: Disk) -> Iterator[None]:
    """Around changes: CheckError while namecoin.exe runs from this tree; it does not start meanwhile."""
    found = disk.find(LOCK)
    if found is None or disk.kind(found) != stat.S_IFREG:
        yield
        return
    handle = os.open(disk.top / found, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as exc:
            raise CheckError(
                f"{disk.top / found}: namecoin.exe is running from this tree",
                hint="close Tor Browser, wait until namecoin.exe has ended, and run the same command again",
            ) from exc
        yield
    finally:
        os.close(handle)


def _read(disk: Disk, name: str) -> bytes | None:
    """A document of ours in the program folder."""
    path = disk.find(TOR_BROWSER.place(name))
    if path is None:
        return None
    if disk.kind(path) != stat.S_IFREG or (disk.top / path).stat().st_size > filelist.MOST_BYTES:
        raise CheckError(f"{disk.top / path}: expected a file of {filelist.MOST_BYTES:,} bytes at most, found another")
    return (disk.top / path).read_bytes()


def _is_as_listed(disk: Disk, found: str, file: filelist.Listed) -> bool:
    path = disk.top / found
    if disk.kind(found) != stat.S_IFREG or path.stat().st_size != file.size:
        return False
    return trees.file_sha256(path) == file.sha256
