"""The standard library's form: the bundle's ``Lib`` as loose files, as a zip that is stored, as a zip that is deflated."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import zstandard

from packager import library, trees
from packager.emit import ZSTD_LEVEL

#: By the key that a form has in tables.
FORMS = {"loose": "loose .pyc", "stored": "zip, stored", "deflated": "zip, deflated"}
_TIME = (2025, 1, 1, 0, 0, 0)


def make(bundle: Path, form: str, target: Path, version: str) -> None:
    """A copy of ``bundle`` (a folder with ``python/`` of that version) with its library in ``form``."""
    trees.copy_tree(bundle, target)
    if form == "loose":
        return
    library.pack(target, {node.path: "" for node in trees.files(target)}, version)
    if form == "deflated":
        _deflate(target / library.PYTHON / library.archive_name(version))


def _deflate(archive: Path) -> None:
    with zipfile.ZipFile(archive) as stored:
        members = {info.filename: stored.read(info) for info in stored.infolist()}
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as out:
        for name, data in members.items():
            out.writestr(zipfile.ZipInfo(name, _TIME), data, zipfile.ZIP_DEFLATED, compresslevel=9)


def sizes(bundle: Path) -> tuple[int, int]:
    """Bytes of all files, and of their ``.tar.zst`` as bundles have it."""
    stream = io.BytesIO()
    total = 0
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for node in trees.files(bundle):
            data = node.absolute.read_bytes()
            total += len(data)
            entry = tarfile.TarInfo(node.path)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return total, len(zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(stream.getvalue()))
