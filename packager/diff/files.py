"""What differs between two files whose bytes are not the same: hands them to whoever knows their format."""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import Iterator
from pathlib import Path

from packager.diff import binary, pyc, text
from packager.diff.ar import MAGIC as AR
from packager.diff.ar import compare_ar
from packager.diff.model import Difference
from packager.diff.pe import compare_pe
from packager.diff.pe_image import read_facts
from packager.errors import PEError

#: Larger files are not read into memory: their bytes are compared, whatever they mean.
LARGEST = 1 << 28
_MOST_TEXT = 1 << 26
_CHUNK = 1 << 20


def equal(a: Path, b: Path) -> bool:
    """True when both files have the same bytes."""
    with a.open("rb", buffering=0) as first, b.open("rb", buffering=0) as second:
        if os.fstat(first.fileno()).st_size != os.fstat(second.fileno()).st_size:
            return False
        while chunk := first.read(_CHUNK):
            if chunk != second.read(len(chunk)):
                return False
        return not second.read(1)


def compare_files(path: str, a: Path, b: Path) -> list[Difference]:
    """The differences of two files that are not equal, most telling first; ``path`` is what they are called."""
    if max(a.stat().st_size, b.stat().st_size) > LARGEST:
        with _mapped(a) as first, _mapped(b) as second:
            return [binary.compare_bytes(path, first, second, "too large to look for meaning")]
    return compare_data(path, a.read_bytes(), b.read_bytes())


def compare_data(path: str, a: bytes, b: bytes) -> list[Difference]:
    """As :func:`compare_files`, of two files' bytes."""
    found, why = _by_format(path, a, b)
    if found:
        return found
    if max(len(a), len(b)) <= _MOST_TEXT:
        first, second = text.decoded(a), text.decoded(b)
        if first is not None and second is not None:
            return [text.compare_text(path, first, second)]
    return [binary.compare_bytes(path, a, b, why)]


def _by_format(path: str, a: bytes, b: bytes) -> tuple[list[Difference], str]:
    """By the format's own reader; nothing, with the reason if there is one, where there is none or it sees nothing."""
    if path.endswith(".pyc") and pyc.is_pyc(a) and pyc.is_pyc(b):
        return pyc.compare_pyc(path, a, b), ""
    if a[:2] == b"MZ" and b[:2] == b"MZ":
        try:
            return compare_pe(path, a, b), ""
        except PEError as exc:
            return [], f"{_which(a, b)} not read as PE image: {exc.message}"
    if a.startswith(AR) and b.startswith(AR):
        return compare_ar(path, a, b, compare_data) or [], ""
    if binary.is_gzip(a) and binary.is_gzip(b):
        return _gzip(path, a, b), ""
    return [], ""


def _which(a: bytes, b: bytes) -> str:
    """Which of two files is no PE image, when one is not."""
    wrong = []
    for side, data in (("A", a), ("B", b)):
        try:
            read_facts(data)
        except PEError:
            wrong.append(side)
    return " and ".join(wrong)


def _gzip(path: str, a: bytes, b: bytes) -> list[Difference]:
    found = binary.gzip_header(path, a, b)
    first, second = binary.gunzipped(a), binary.gunzipped(b)
    if first is None or second is None:
        return found
    if first != second:
        inner = path.rpartition("/")[2].removesuffix(".gz") or "content"
        return [*found, *compare_data(f"{path}!/{inner}", first, second)]
    if not found:
        found.append(Difference(path, "only the compressed bytes differ", detail="another level or zlib"))
    return found


@contextlib.contextmanager
def _mapped(path: Path) -> Iterator[bytes | mmap.mmap]:
    """A file's bytes without reading them; an empty file cannot be mapped."""
    with path.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            yield b""
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            yield mapped
