"""``files.json``: every file that a bundle adds to the tree it is put into; and ``installed.json``: the folders made.

Uninstalling rests on the first alone, so that what was unpacked by any other program can be taken out, too. Both are
read as if an enemy had written them: a path that is not in the bundle's own folders is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from packager import trees
from packager.deps.names import windows_key
from packager.errors import CheckError
from packager.layout import TOR_BROWSER
from packager.manifest import json_schema
from packager.specs.model import RelativePath, Sha256

FORMAT: Literal[1] = 1
SCHEMA = "urn:electrum-packager:files:1"
#: Their names in the program folder.
NAME = "files.json"
RECORD = "installed.json"
#: More than any list that we write has; a longer one is not read.
MOST_BYTES = 64 << 20
#: One part of a path as Windows takes it: no stream, no drive, no separator, no trailing dot or space.
_PART = re.compile(r'[^\x00-\x1f<>:"/\\|?*]*[^\x00-\x1f<>:"/\\|?*. ]')

_FOLDERS = (TOR_BROWSER.program, TOR_BROWSER.licences)
_HOST, _STATE = TOR_BROWSER.host or "", TOR_BROWSER.state or ""
#: What no list may name.
_OWN = {windows_key(TOR_BROWSER.place(name)) for name in (NAME, RECORD)}
_Document = TypeVar("_Document", bound=msgspec.Struct)


class Listed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One file of a bundle."""

    path: Annotated[RelativePath, Meta(description="from the folder that has Browser in it, with '/'")]
    size: Annotated[int, Meta(ge=0, description="bytes")]
    sha256: Sha256


class FileList(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Every file of a bundle but this list itself, sorted by path."""

    format: Literal[1]
    name: Annotated[str, Meta(min_length=1)]
    version: Annotated[str, Meta(min_length=1)]
    target: Annotated[str, Meta(min_length=1, description="operating system and processor")]
    epoch: Annotated[int, Meta(ge=0, le=0xFFFFFFFF, description="the time of every file, in seconds since 1970")]
    files: tuple[Listed, ...]

    @property
    def title(self) -> str:
        """The bundle's name, version and target."""
        return f"{self.name}-{self.version}-{self.target}"


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which folders `packager install` made, sorted: those that were there before stay."""

    format: Literal[1]
    folders: tuple[RelativePath, ...]


def describe(tree: Path, *, name: str, version: str, target: str, epoch: int) -> FileList:
    """The list of all files of a finished tree of layout ``tor-browser``, which does not have the list itself yet."""
    files = tuple(
        Listed(path=node.path, size=node.status.st_size, sha256=trees.file_sha256(node.absolute))
        for node in trees.files(tree)
    )
    return FileList(
        format=FORMAT,
        name=name,
        version=version,
        target=target,
        epoch=epoch,
        files=tuple(sorted(files, key=lambda file: file.path)),
    )


def encode(document: FileList | Record) -> bytes:
    """Either document as JSON, indented, ending in a newline."""
    return msgspec.json.format(msgspec.json.encode(document, order="deterministic"), indent=1) + b"\n"


def decode(data: bytes, where: str) -> FileList:
    """Read a list of files; ``where`` names it in errors.

    Raises CheckError when it is not one, or names a path twice, as a file and a folder, outside of the bundle's two
    folders, or in a way that Windows does not take.
    """
    listed = _decode(data, FileList, where)
    seen: set[str] = set()
    for file in listed.files:
        key = windows_key(file.path)
        if not TOR_BROWSER.owns(file.path) or not is_plain(file.path) or key in _OWN:
            raise CheckError(
                f"{where}: expected paths below {TOR_BROWSER.program}/ and {TOR_BROWSER.licences}/, "
                f"found {file.path[:200]!r}"
            )
        if key in seen:
            raise CheckError(f"{where}: expected each path once in upper and lower case, found {file.path!r} again")
        seen.add(key)
    spelled: dict[str, str] = {}
    for folder in sorted(folders_of(file.path for file in listed.files)):
        if spelled.setdefault(windows_key(folder), folder) != folder:
            raise CheckError(f"{where}: expected folders that differ not only in case, found {folder!r} twice")
    if clash := next((path for path in sorted(seen) if seen & set(_above(path))), None):
        raise CheckError(f"{where}: expected files, found one that is a folder, too, above {clash!r}")
    return listed


def decode_record(data: bytes, where: str) -> Record:
    """Read the record of made folders. CheckError when it is not one, or names a folder that install never makes."""
    record = _decode(data, Record, where)
    for path in record.folders:
        if not is_plain(path) or not makes(path):
            raise CheckError(f"{where}: expected folders of the bundle, found {path[:200]!r}")
    return record


def is_plain(path: str) -> bool:
    """Whether every part of a relative path is a name that Windows takes, and none leads elsewhere."""
    return all(_PART.fullmatch(part) for part in path.split("/"))


def makes(path: str) -> bool:
    """Whether a folder is one that installing may make: a bundle's own, one in those, or one above below the host."""
    above = path.startswith(f"{_HOST}/") and any(own.startswith(f"{path}/") for own in _FOLDERS)
    return above or TOR_BROWSER.owns(f"{path}/")


def is_own(path: str) -> bool:
    """Whether a path, in whatever case, is one of the bundle's two folders or lies in one."""
    return any(f"{windows_key(path)}/".startswith(f"{windows_key(own)}/") for own in _FOLDERS)


def is_movable(path: str) -> bool:
    """Whether a path, in whatever case, is one that may be renamed at all: what installing makes, and the state."""
    key = windows_key(path)
    above = key.startswith(f"{windows_key(_HOST)}/") and any(windows_key(own).startswith(f"{key}/") for own in _FOLDERS)
    return above or is_own(path) or key == windows_key(_STATE)


def folders_of(paths: Iterable[str]) -> set[str]:
    """All folders that ``paths`` lie in, at any depth."""
    return {above for path in paths for above in _above(path)}


def schema() -> bytes:
    """The published JSON schema of the list (docs/schema/files.schema.json)."""
    return json_schema(FileList, SCHEMA)


def _above(path: str) -> Iterable[str]:
    while path := path.rpartition("/")[0]:
        yield path


def _decode(data: bytes, kind: type[_Document], where: str) -> _Document:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise CheckError(f"{where}: not a bundle's list of files: {exc}") from exc
