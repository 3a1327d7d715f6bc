"""Read some text files of a source, which is an archive whose hash has been checked, or a folder."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path

from packager.errors import SourceError


def texts(path: Path, wanted: Callable[[str], bool]) -> dict[str, str]:
    """The files whose path below the source's single top folder is ``wanted``, by that path. Raises SourceError."""
    found: dict[str, str] = {}
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            name = file.relative_to(path).as_posix()
            if file.is_file() and wanted(name):
                found[name] = _text(file.read_bytes())
    else:
        try:
            with tarfile.open(path) as archive:
                for member in archive:
                    name = member.name.partition("/")[2]
                    if member.isreg() and wanted(name) and (content := archive.extractfile(member)) is not None:
                        found[name] = _text(content.read())
        except (tarfile.TarError, EOFError, OSError) as exc:
            raise SourceError(f"{path.name}: expected a tar archive, found {exc}") from exc
    if not found:
        raise SourceError(f"{path}: expected some of the files that the data are made from, found none")
    return found


def _text(data: bytes) -> str:
    """A few comments are in Latin-1; what is read out of the files is ASCII."""
    return data.decode("utf-8", "replace")
