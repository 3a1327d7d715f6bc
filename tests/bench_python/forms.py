"""The standard library's form: the bundle's ``Lib`` as loose files, as a zip that is stored, as a zip that is deflated."""

from __future__ import annotations

import io
import shutil
import tarfile
import zipfile
from pathlib import Path

import zstandard

from packager import trees
from packager.emit import ZSTD_LEVEL

#: By the key that a form has in tables.
FORMS = {"loose": "loose .pyc", "stored": "zip, stored", "deflated": "zip, deflated"}
_METHOD = {"stored": zipfile.ZIP_STORED, "deflated": zipfile.ZIP_DEFLATED}
_TIME = (2025, 1, 1, 0, 0, 0)


def make(bundle: Path, form: str, target: Path) -> None:
    """A copy of ``bundle`` (a folder with ``python/``) with its library in ``form``."""
    trees.copy_tree(bundle, target)
    if form == "loose":
        return
    python = target / "python"
    paths = next(python.glob("python3*._pth"))
    archive = python / f"{paths.stem}.zip"
    with zipfile.ZipFile(archive, "w") as out:
        for node in trees.files(python / "Lib"):
            info = zipfile.ZipInfo(node.path, _TIME)
            info.compress_type = _METHOD[form]
            out.writestr(info, node.absolute.read_bytes(), compresslevel=9)
    shutil.rmtree(python / "Lib")
    paths.write_bytes(with_archive(paths.read_bytes(), archive.name))


def with_archive(paths: bytes, archive: str) -> bytes:
    """A ``._pth`` file with the archive where the folder Lib was."""
    return b"".join(
        archive.encode() + line[len(line.rstrip()) :] if line.rstrip() == b"Lib" else line
        for line in paths.splitlines(keepends=True)
    )


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
