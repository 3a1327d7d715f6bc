"""The standard library's form in a bundle: loose files in ``python/Lib``, or one stored zip archive beside it.

docs/performance.md has what was measured. In the archive are modules only: a package with other files stays loose as a
whole, because code finds such files by paths.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from packager import trees
from packager.errors import BuildError
from packager.formats import stored
from packager.formats import zip as zips
from packager.manifest import file_mode

#: The folders of the interpreter and of its library, in the portable form.
PYTHON = "python"
FOLDER = "Lib"
_COMPILED, _ARCHIVE = ".pyc", ".zip"
#: A time for every member until the normaliser sets the bundle's: the first that a zip archive can say.
_TIME = 315532800


def archive_name(version: str) -> str:
    """What the archive is called for an interpreter of this version: ``python313.zip``, as CPython's own layouts do."""
    major, minor, *_rest = version.split(".")
    return f"python{major}{minor}{_ARCHIVE}"


def packable(paths: Iterable[str]) -> frozenset[str]:
    """Which of the library's files, relative to ``Lib``, may lie in an archive: all below a top with modules only."""
    every = frozenset(paths)
    loose = {path.partition("/")[0] for path in every if not path.endswith(_COMPILED)}
    return frozenset(path for path in every if path.partition("/")[0] not in loose)


def pack(tree: Path, provenance: Mapping[str, str], version: str) -> dict[str, str]:
    """Put the library's modules in ``tree`` (in the portable form) into one archive; returns the files' sources.

    The ``._pth`` file names the archive then; ``Lib`` only if something is left there. Only what is from the
    interpreter's own source is packed. BuildError if there is no ``._pth`` file that names ``Lib``, or no module.
    """
    lists = sorted(path for path in provenance if posixpath.dirname(path) == PYTHON and path.endswith("._pth"))
    if len(lists) != 1:
        raise BuildError(f"{PYTHON}: expected one ._pth file, found {len(lists)}", hint="build the interpreter again")
    prefix, source = f"{PYTHON}/{FOLDER}/", provenance[lists[0]]
    here = [path.removeprefix(prefix) for path in provenance if path.startswith(prefix)]
    others = {path.partition("/")[0] for path in here if provenance[prefix + path] != source}
    chosen = {path for path in packable(here) if path.partition("/")[0] not in others}
    if not chosen:
        raise BuildError(f"{prefix}: expected modules to put into an archive, found none")
    archive = f"{PYTHON}/{archive_name(version)}"
    if archive in provenance:
        raise BuildError(f"{archive}: expected no such file yet, found one from {provenance[archive]}")
    _write(tree / archive, stored.pack({path: (tree / prefix / path).read_bytes() for path in chosen}, _TIME))
    listed = search_list((tree / lists[0]).read_bytes(), posixpath.basename(archive), loose=len(chosen) < len(here))
    if listed is None:
        raise BuildError(f"{lists[0]}: expected a line {FOLDER}, found none")
    _write(tree / lists[0], listed)
    for path in chosen:
        (tree / prefix / path).unlink()
    _remove_empty(tree / PYTHON / FOLDER)
    packed = {prefix + path for path in chosen}
    left = {path: name for path, name in provenance.items() if path not in packed}
    return {**left, archive: source}


def search_list(text: bytes, archive: str, *, loose: bool) -> bytes | None:
    """A ``._pth`` file with the archive where the folder ``Lib`` was, or before it if that is still there (``loose``).

    None if no line names the folder.
    """
    lines: list[bytes] = []
    found = False
    for line in text.splitlines(keepends=True):
        name = line.rstrip()
        if name == FOLDER.encode():
            found = True
            lines.append(archive.encode() + line[len(name) :])
            if not loose:
                continue
        lines.append(line)
    return b"".join(lines) if found else None


def other_places(path: str, folders: Iterable[str]) -> Iterator[str]:
    """Where a module of the library would lie in its other form; ``folders`` are those of sys.path."""
    loose = f"{PYTHON}/{FOLDER}"
    archives = [folder for folder in folders if posixpath.dirname(folder) == PYTHON and folder.endswith(_ARCHIVE)]
    if path.startswith(f"{loose}/"):
        yield from (archive + path.removeprefix(loose) for archive in archives)
    elif match := re.match(rf"{PYTHON}/python\d+\{_ARCHIVE}(?=/)", path):
        yield loose + path[match.end() :]


def unpacked(top: Path) -> dict[str, bytes | Path]:
    """All files below ``top``; of a stored zip archive also its members, by the archive's path and theirs.

    A file is its path on the disk, a member its content. An archive that cannot be read has no members.
    """
    found: dict[str, bytes | Path] = {}
    for node in trees.files(top):
        found[node.path] = node.absolute
        if node.path.endswith(_ARCHIVE):
            for name, content in zips.stored_members(node.absolute.read_bytes()):
                found[f"{node.path}/{name}"] = content
    return found


def _write(path: Path, data: bytes) -> None:
    # Not into a file that others may have a link to.
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    path.chmod(file_mode(path.name))


def _remove_empty(folder: Path) -> None:
    for node in reversed([node for node in trees.walk(folder) if node.is_folder]):
        if not any(node.absolute.iterdir()):
            node.absolute.rmdir()
    if not any(folder.iterdir()):
        folder.rmdir()
