"""Check an output, an archive or a bundle's folder, against the manifest and the SHA256SUMS that lie beside it.

Nothing is taken on trust but those two files; who they come from is not judged here.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal

from packager import trees
from packager.contents import ArchiveError, Contents, Member, opened
from packager.errors import BuildError, SpecError
from packager.layout import layout_of
from packager.manifest import SUFFIX, SUMS, FileRecord, Manifest, MemberRecord, archive_members, decode

What = Literal["sum", "manifest", "archive", "missing", "extra", "kind", "changed", "mode", "owner", "time"]

ARCHIVES = (".tar.zst", ".zip")
#: The ends of the names of what a build puts beside a bundle's folder, all of it listed in SHA256SUMS.
COMPANIONS = (*ARCHIVES, SUFFIX, ".cdx.json", ".intoto.json")
FOLDER_MODE = 0o755

_LINE = re.compile(r"([0-9a-f]{64})  (\S.*)")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is not as it should be: ``path`` is a file's name, or a path inside the bundle."""

    path: str
    what: What
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.path}: expected {self.expected}, found {self.found}"


@dataclass(frozen=True, slots=True)
class Verified:
    """What was checked: the output, how many of its files against the manifest, what is wrong, what was left out."""

    path: Path
    files: int
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Case:
    """An output and what it is checked against."""

    path: Path
    title: str
    manifest: Path | None
    sums: Path | None


def verify_output(path: Path, manifest: Path | None = None, sums: Path | None = None) -> Verified:
    """Check the archive or folder ``path``.

    ``manifest`` and ``sums`` are by default ``<title>.manifest.json`` and ``SHA256SUMS`` in the folder that ``path``
    lies in, where the title is the folder's name, or the archive's without ``.tar.zst`` or ``.zip``. Where only one of
    them is there, that one is checked and a note says what could not be.

    Raises SpecError when neither is there, or ``path`` is not what can be checked; OSError when something cannot be
    read. Whatever is wrong with the files themselves is a problem in the result.
    """
    case = _find(path, manifest, sums)
    problems: list[Problem] = []
    notes: list[str] = []
    if case.sums is None:
        notes.append(f"no {SUMS}: contents checked against the manifest, which nothing vouches for")
    else:
        found, absent = _check_sums(case, case.sums)
        problems += found
        if absent:
            notes.append(f"listed in {case.sums.name} but not here, so not checked: {', '.join(absent)}")
    described: Manifest | None = None
    if case.manifest is None:
        notes.append(f"no manifest: only the sum in {SUMS} was checked")
    else:
        try:
            described = decode(case.manifest.read_bytes(), case.manifest.name)
        except (BuildError, UnicodeDecodeError, RecursionError) as exc:
            said = str(exc).removeprefix(f"{case.manifest.name}: not a bundle's manifest: ")
            problems.append(Problem(case.manifest.name, "manifest", "a bundle's manifest", said))
    if described is not None:
        if manifest is None and case.title != _title(described):
            name = case.title + SUFFIX
            problems.append(Problem(name, "manifest", f"one of {case.title}", f"one of {_title(described)}"))
        problems += _check_contents(case, described)
    return Verified(case.path, 0 if described is None else len(described.files), tuple(problems), tuple(notes))


def has_companions(path: Path) -> bool:
    """Whether :func:`verify_output` finds beside ``path`` what it needs: a manifest, or for an archive its sum."""
    absolute = Path(os.path.abspath(path))
    ending = "" if absolute.is_dir() else next((end for end in ARCHIVES if absolute.name.endswith(end)), None)
    if ending is None:
        return False
    manifest = absolute.with_name(absolute.name.removesuffix(ending) + SUFFIX)
    return manifest.is_file() or (not absolute.is_dir() and absolute.with_name(SUMS).is_file())


def _find(path: Path, manifest: Path | None, sums: Path | None) -> _Case:
    absolute = Path(os.path.abspath(path))
    if not absolute.exists():
        raise SpecError(f"{path}: expected an archive or a bundle's folder, found nothing there")
    ending = "" if absolute.is_dir() else next((end for end in ARCHIVES if absolute.name.endswith(end)), None)
    if ending is None and manifest is None and sums is None:
        raise SpecError(
            f"{path}: expected a folder, or a file called *{' or *'.join(ARCHIVES)}", hint="name its manifest, too"
        )
    title = absolute.name.removesuffix(ending or "")
    for given in (manifest, sums):
        if given is not None and not given.is_file():
            raise SpecError(f"{given}: no such file")
    default = absolute.parent / f"{title}{SUFFIX}"
    beside = absolute.parent / SUMS
    case = _Case(
        absolute,
        title,
        manifest or (default if default.is_file() else None),
        sums or (beside if beside.is_file() else None),
    )
    # A folder has no sum of its own: without a manifest there is nothing to check.
    if case.manifest is None and (case.sums is None or absolute.is_dir()):
        raise SpecError(
            f"{path}: nothing to check it against: expected {default.name}{'' if absolute.is_dir() else f' or {SUMS}'} "
            f"in {absolute.parent}, found {beside.name if case.sums else 'neither'}",
            hint="put them beside it, or name the manifest with --manifest and the sums with --sums",
        )
    return case


def _title(manifest: Manifest) -> str:
    return f"{manifest.name}-{manifest.version}-{manifest.target}"


def _check_sums(case: _Case, sums: Path) -> tuple[list[Problem], list[str]]:
    """Every file that SHA256SUMS names and that is there; also what it should name. And the names that are not there.

    All lines count, not only this bundle's: so a changed byte anywhere in the file shows.
    """
    problems: list[Problem] = []
    listed: dict[str, str] = {}
    for number, line in enumerate(sums.read_bytes().removesuffix(b"\n").split(b"\n"), 1):
        match = _line(line)
        if match is None:
            problems.append(
                Problem(f"{sums.name}: line {number}", "sum", "a sha256, two spaces and a file name", _shown(line))
            )
        elif match[2] in listed:
            problems.append(Problem(f"{sums.name}: line {number}", "sum", "each name once", f"{match[2]} again"))
        else:
            listed[match[2]] = match[1]
    here = {node.name: node for node in sorted(case.path.parent.iterdir()) if node.is_file()}
    if case.manifest is not None:
        here[case.manifest.name] = case.manifest
    if not case.path.is_dir():
        here[case.path.name] = case.path
    for name, digest in listed.items():
        if name in here:
            found = trees.file_sha256(here[name])
            if found != digest:
                problems.append(Problem(name, "sum", f"sha256 {digest}", found))
    ours = {case.title + ending for ending in COMPANIONS} & here.keys()
    ours |= {case.manifest.name} if case.manifest is not None else set()
    ours |= set() if case.path.is_dir() else {case.path.name}
    for name in sorted(ours - listed.keys()):
        problems.append(Problem(name, "sum", f"a line for it in {sums.name}", "none"))
    absent = sorted(listed.keys() - here.keys())
    for name in absent:
        other = _misnamed(name, listed, here)
        if other is not None and other not in ours:
            problems.append(Problem(other, "sum", f"a line for it in {sums.name}", f"its sha256 under {name!r}"))
    return problems, absent


def _line(line: bytes) -> re.Match[str] | None:
    """Hash and name of one line; None for what is not the format that we write."""
    try:
        match = _LINE.fullmatch(line.decode("utf-8"))
    except UnicodeDecodeError:
        return None
    return match if match is not None and match[2].isprintable() and "/" not in match[2] else None


def _shown(line: bytes) -> str:
    return repr(line)[2:-1][:120] or "an empty line"


def _misnamed(name: str, listed: Mapping[str, str], here: Mapping[str, Path]) -> str | None:
    """The unlisted file that the line for ``name`` is of: it has the sum, and nearly the name."""
    for other, path in here.items():
        near = name.startswith(other) or (
            len(name) == len(other) and sum(a != b for a, b in zip(name, other, strict=True)) == 1
        )
        if near and other not in listed and trees.file_sha256(path) == listed[name]:
            return other
    return None


def _check_contents(case: _Case, manifest: Manifest) -> list[Problem]:
    """What the archive or folder holds against the manifest."""
    try:
        with opened(case.path) as contents:
            return list(_compare(case, contents, manifest))
    except ArchiveError as exc:
        return [Problem(case.path.name, "archive", "a whole archive", exc.message.removeprefix(f"{case.path}: "))]


def _compare(case: _Case, contents: Contents, manifest: Manifest) -> Iterator[Problem]:
    wanted: dict[str, FileRecord] = {}
    for record in manifest.files:
        if record.path in wanted:
            yield Problem(record.path, "manifest", "each path once in the manifest", "it twice")
        wanted[record.path] = record
    folders = {str(parent) for path in wanted for parent in PurePosixPath(path).parents if parent.parts}
    in_archive = contents.form != "folder"
    members = contents.members
    if in_archive:
        layout = layout_of(wanted)
        top = _title(manifest) if layout.wrapped else layout.top
        if contents.top != top:
            yield Problem(case.path.name, "archive", f"all of it below {top}/", contents.top or "no one top folder")
        elif not layout.wrapped:
            # The one top folder is a part of the bundle.
            members = {f"{top}/{path}": replace(member, path=f"{top}/{path}") for path, member in members.items()}
    if not in_archive:
        yield from _mode(".", stat.S_IMODE(case.path.stat().st_mode) & ~stat.S_ISGID, FOLDER_MODE)
    for path, record in wanted.items():
        if path not in members:
            yield Problem(path, "missing", f"a file of {record.size} bytes", "nothing")
    for path, member in members.items():
        if path in wanted:
            yield from _file(member, wanted[path])
        elif path in folders:
            yield from _folder(member)
        else:
            yield Problem(path, "extra", "nothing", _described(member))
        if in_archive and (path in wanted or path in folders):
            yield from _stamped(member, contents.form, manifest.epoch)


def _file(member: Member, record: FileRecord) -> Iterator[Problem]:
    if member.kind != "file" or member.blob is None:
        yield Problem(member.path, "kind", "a file", _described(member))
        return
    found = trees.file_sha256(member.blob)
    if (member.size, found) != (record.size, record.sha256):
        yield Problem(
            member.path,
            "changed",
            f"{record.size} bytes, sha256 {record.sha256}",
            f"{member.size} bytes, sha256 {found}",
        )
    yield from _members(member.path, archive_members(member.blob) if record.members else (), record)
    yield from _mode(member.path, member.mode, int(record.mode, 8))


def _members(path: str, found: Sequence[MemberRecord], record: FileRecord) -> Iterator[Problem]:
    """What is in an archive, one by one: the file's sha256 says that something differs, and these say what."""
    wanted, here = ({member.path: member for member in members} for members in (record.members, found))
    for name in sorted(wanted | here):
        if wanted.get(name) != here.get(name):
            expected, present = (
                f"{member.size} bytes, sha256 {member.sha256}" if member is not None else "nothing"
                for member in (wanted.get(name), here.get(name))
            )
            yield Problem(f"{path}/{name}", "changed", expected, present)


def _folder(member: Member) -> Iterator[Problem]:
    if member.kind != "folder":
        yield Problem(member.path, "kind", "a folder", _described(member))
    else:
        # A folder on a disk takes this bit from the one it is made in.
        mode = None if member.mode is None else member.mode & ~stat.S_ISGID
        yield from _mode(member.path, mode, FOLDER_MODE)


def _mode(path: str, found: int | None, expected: int) -> Iterator[Problem]:
    if found != expected:
        yield Problem(path, "mode", f"mode {expected:04o}", "none" if found is None else f"{found:04o}")


def _stamped(member: Member, form: str, epoch: int) -> Iterator[Problem]:
    """Owner and time in an archive; a zip knows no owner, and only every other second."""
    if form != "zip" and member.owner != "0:0":
        yield Problem(member.path, "owner", "owner 0:0", str(member.owner))
    expected = epoch - epoch % 2 if form == "zip" else epoch
    if member.mtime != expected:
        yield Problem(member.path, "time", f"time {expected}", str(member.mtime))


def _described(member: Member) -> str:
    words: Sequence[str] = {
        "file": ["a file of", str(member.size), "bytes"],
        "link": ["a link to", str(member.target)],
        "folder": ["a folder"],
        "other": ["what is neither file nor folder"],
    }[member.kind]
    return " ".join(words)
