"""``packager diff``: what differs between two files, folders or archives.

The differences are in the order of the paths (bytes of UTF-8, folder by folder), those of one file from its header on;
what follows from other differences comes behind them.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from packager.contents import ArchiveError, Contents, Member, archive_form, is_archive, opened
from packager.diff import show
from packager.diff.containers import compare_containers
from packager.diff.files import compare_files, equal
from packager.diff.model import FOLDER, Difference
from packager.errors import MachineError, SpecError

#: How deep archives in archives are opened.
_MOST_DEPTH = 4
#: Endings that are a zip behind a program: pip's and setuptools' launchers of scripts.
_PROGRAMS = (".exe", ".dll", ".pyd")


def compare(a: Path, b: Path) -> tuple[Difference, ...]:
    """All differences between ``a`` and ``b``: two files, or any two of folder, ``.zip`` and tar archive.

    Folders and archives are compared by their members: existence, kind, mode, link target and content; times, owners
    and the archive's own fields only between two archives of one form, and how these are compressed only when nothing
    else differs. Of two files neither mode nor time is compared. Links are not followed, but ``a`` and ``b`` are.

    Raises SpecError when one is not there, or a folder or archive is to be compared with another kind of file;
    ArchiveError when an archive (or what its name calls one) is broken; MachineError when something cannot be read.
    """
    for path in (a, b):
        if not path.exists():
            raise SpecError(f"{path}: expected a file, a folder or an archive, found nothing")
        if not path.is_dir() and not path.is_file():
            raise SpecError(f"{path}: expected a file, a folder or an archive, found something else (a device?)")
    try:
        return _compare(a, b)
    except OSError as exc:
        where = exc.filename if exc.filename is not None else f"{a} or {b}"
        raise MachineError(f"{where}: expected to read it, found: {exc.strerror or exc}") from exc


def _compare(a: Path, b: Path) -> tuple[Difference, ...]:
    if a.samefile(b):
        return ()
    files = [path for path in (a, b) if not path.is_dir()]
    if len(files) == 2 and equal(a, b):
        return ()
    if all(is_archive(path) for path in files):
        found = list(_archives("", a, b, 0))
    elif len(files) == 2:
        found = _contents("", a, b, 0, a.name)
    else:
        folder = a if a.is_dir() else b
        raise SpecError(
            f"{files[0]}: expected an archive, to be compared with the folder {folder}, found another kind of file",
            hint=f"name the file inside the folder: {folder / files[0].name}",
        )
    return tuple(sorted(found, key=lambda difference: _order(difference.path)))


def _order(path: str) -> list[bytes]:
    return [os.fsencode(part) for part in path.split("/")]


def _archives(prefix: str, a: Path, b: Path, depth: int, form: str | None = None) -> Iterator[Difference]:
    """The differences of two trees; ``prefix`` is the path of the archives that they are in, if any."""
    with opened(a, form) as first, opened(b, form) as second:
        found = list(_trees(prefix, first, second, depth))
        yield from found
        if not found and first.form == second.form != "folder" and form is None:
            yield from compare_containers(prefix, first.form, a, b)


def _trees(prefix: str, a: Contents, b: Contents, depth: int) -> Iterator[Difference]:
    if a.top and b.top and a.top != b.top:
        yield Difference(prefix, "top folder", show.printable(a.top), show.printable(b.top))
    listed = _aligned(a, b, nested=bool(prefix))
    family = a.form.partition(".")[0]
    alike = family if family == b.form.partition(".")[0] and family != "folder" else None
    if alike:
        yield from _headers(prefix, alike, a.header, b.header)
        orders = [[name for name in mine if name in other] for mine, other in (listed, listed[::-1])]
        if orders[0] != orders[1]:
            pair = next(pair for pair in zip(*orders, strict=True) if pair[0] != pair[1])
            yield Difference(prefix, "order of members", show.printable(pair[0]), show.printable(pair[1]))
    left, right = (_with_folders(members) for members in listed)
    notes = _notes(left, right)
    for name in sorted({**left, **right}, key=_order):
        first, second = left.get(name), right.get(name)
        path = f"{prefix}!/{name}" if prefix else name
        if first is not None and second is not None:
            yield from _members(path, first, second, alike, depth)
        else:
            only = first or second
            assert only is not None
            yield Difference(
                path, f"only in {'A' if second is None else 'B'}", detail=notes.get(name) or _kind_note(only)
            )


def _aligned(a: Contents, b: Contents, *, nested: bool) -> tuple[Mapping[str, Member], Mapping[str, Member]]:
    """Both sides' members under the paths by which they are compared.

    An archive's top folder is left away, but for that of a wheel and the like in another tree, where it is the same on
    both sides, or where the other side has no top folder and more paths in common with it.
    """
    if a.top == b.top:
        return (_below(a), _below(b)) if nested else (a.members, b.members)
    if not a.top or not b.top:
        whole = (_below(a), _below(b))
        if len(whole[0].keys() & whole[1].keys()) > len(a.members.keys() & b.members.keys()):
            return whole
    return a.members, b.members


def _below(contents: Contents) -> Mapping[str, Member]:
    """The members with the top folder before their paths."""
    if not contents.top:
        return contents.members
    return {f"{contents.top}/{path}": member for path, member in contents.members.items()}


def _with_folders(members: Mapping[str, Member]) -> dict[str, Member]:
    """With the folders that members lie in, where an archive does not list them."""
    found = dict(members)
    for name in members:
        parent = name.rpartition("/")[0]
        while parent and parent not in found:
            found[parent] = Member(parent, "folder", None)
            parent = parent.rpartition("/")[0]
    return found


def _kind_note(member: Member) -> str:
    return {"folder": FOLDER, "link": f"a link to {show.printable(member.target or '')}"}.get(member.kind, "")


def _notes(a: Mapping[str, Member], b: Mapping[str, Member]) -> dict[str, str]:
    """Of files that only one side has: their other name on the other side, in another case or with the same bytes."""
    only = [
        {name: member for name, member in mine.items() if name not in other and member.kind == "file"}
        for mine, other in ((a, b), (b, a))
    ]
    notes: dict[str, str] = {}
    sizes = {member.size for member in only[0].values()} & {member.size for member in only[1].values()}
    for mine, theirs, side in ((only[0], only[1], "B"), (only[1], only[0], "A")):
        by_digest = defaultdict(list)
        for name, member in theirs.items():
            if member.size in sizes and member.size:
                by_digest[_digest(member)].append(name)
        by_case = {name.casefold(): name for name in theirs}
        for name, member in mine.items():
            same = by_digest.get(_digest(member)) if member.size in sizes else None
            if name.casefold() in by_case:
                notes[name] = f"in {side} it is {show.printable(by_case[name.casefold()])}: another case"
            elif same:
                notes[name] = f"in {side} the same bytes are {show.printable(same[0])}"
    return notes


def _digest(member: Member) -> bytes:
    assert member.blob is not None
    with member.blob.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _members(path: str, a: Member, b: Member, alike: str | None, depth: int) -> Iterator[Difference]:
    """Two members of one path. ``alike`` is the form of both archives, None when they are not of one form."""
    if a.kind != b.kind:
        kinds = [_kind_note(side).removeprefix("a ") or side.kind for side in (a, b)]
        yield Difference(path, "kind", kinds[0], kinds[1])
        return
    if a.target != b.target:
        targets = [show.printable(target or "") for target in show.excerpts(a.target or "", b.target or "")]
        yield Difference(path, "link target", targets[0], targets[1])
    if a.mode != b.mode and a.mode is not None and b.mode is not None:
        yield Difference(path, "mode", f"{a.mode:04o}", f"{b.mode:04o}")
    if alike:
        if a.mtime is not None and b.mtime is not None and a.mtime != b.mtime:
            yield Difference(path, f"{alike} mtime", *show.stamps(a.mtime, b.mtime))
        if a.owner != b.owner:
            yield Difference(path, f"{alike} owner", a.owner, b.owner)
        yield from _headers(path, alike, a.header, b.header)
    if a.blob is not None and b.blob is not None and a.blob != b.blob and not equal(a.blob, b.blob):
        yield from _contents(path, a.blob, b.blob, depth, path)


def _headers(path: str, form: str, a: Mapping[str, str], b: Mapping[str, str]) -> Iterator[Difference]:
    """An archive's own fields; one that is empty is shown as none."""
    for key in dict.fromkeys((*a, *b)):
        left, right = a.get(key, ""), b.get(key, "")
        if left != right:
            first, second = show.excerpts(left, right)
            yield Difference(path, f"{form} {key}", show.printable(first) or None, show.printable(second) or None)


def _contents(path: str, a: Path, b: Path, depth: int, name: str) -> list[Difference]:
    """Two files that are not equal: as archives where both are, else as files; ``name`` has the ending."""
    if depth < _MOST_DEPTH and archive_form(a) is not None and archive_form(b) is not None:
        try:
            return list(_archives(path or name, a, b, depth + 1))
        except ArchiveError:
            # Broken in the same way on both sides, perhaps on purpose: data like any other.
            pass
    found = [
        replace(difference, path=path) if difference.path == name else difference
        for difference in compare_files(name, a, b)
    ]
    if name.lower().endswith(_PROGRAMS) and any(difference.what.startswith("overlay") for difference in found):
        found += _zip_behind(path or name, a, b, depth)
    return found


def _zip_behind(path: str, a: Path, b: Path, depth: int) -> Iterable[Difference]:
    """The differences of zips that are programs' overlays, where both have one."""
    if depth >= _MOST_DEPTH or not (zipfile.is_zipfile(a) and zipfile.is_zipfile(b)):
        return ()
    try:
        return list(_archives(path, a, b, depth + 1, "zip"))
    except ArchiveError:
        return ()
