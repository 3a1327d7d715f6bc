"""Find compiled code by content, and refuse it: nothing binary enters a bundle unless a component built it.

A name alone convicts too (``x.pyd`` that is no PE file is refused), but never acquits.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from packager.errors import SourceError, SpecError
from packager.prune import glob_pattern

#: Bytes at a file's start that :func:`native_kind` wants to see.
HEAD = 4096

#: What zipfile raises for an archive that is not one, is cut off, or is damaged; not what a full disk raises.
UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError)

_MACH_O = frozenset(
    bytes.fromhex(magic) for magic in ("feedface", "feedfacf", "cefaedfe", "cffaedfe", "cafebabe", "cafebabf")
)
_NATIVE_NAME = re.compile(r"\.(pyd|dll|dylib|exe|so(\.\d+)*)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class NativeFile:
    """A file with compiled code, and what it is (``ELF``, ``PE``...)."""

    path: str
    kind: str


def native_kind(path: str, head: bytes) -> str | None:
    """What compiled code a file is, from its first :data:`HEAD` bytes and, failing that, its name; None if none."""
    if head.startswith(b"\x7fELF"):
        return "ELF"
    if head.startswith(b"MZ"):
        offset = int.from_bytes(head[0x3C:0x40], "little")
        if head[offset : offset + 4] == b"PE\0\0":
            return "PE"
        if offset + 4 > HEAD and b"\0" in head[:0x40]:  # the header lies further in; a text has no NUL
            return "PE"
    if head[:4] in _MACH_O:
        return "Mach-O"
    if head.startswith(b"!<arch>\n"):
        return "a static library"
    return "a native library, by its name" if _NATIVE_NAME.search(path) else None


def native_in_wheel(wheel: Path) -> tuple[NativeFile, ...]:
    """Every file of a wheel (or another zip) that is compiled code. Raises SourceError if it cannot be read."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            found = []
            for info in archive.infolist():
                if not info.is_dir():
                    with archive.open(info) as stream:
                        kind = native_kind(info.filename, stream.read(HEAD))
                    if kind is not None:
                        found.append(NativeFile(info.filename, kind))
    except UNREADABLE as exc:
        raise SourceError(f"{wheel.name}: expected a sound wheel, found: {exc}") from exc
    return tuple(sorted(found, key=lambda file: file.path))


def refuse_native(where: str, found: Iterable[NativeFile], pruned: Sequence[str] = ()) -> None:
    """SpecError if there is a native file that no pattern of ``pruned`` matches."""
    matchers = [glob_pattern(pattern) for pattern in pruned]
    left = [file for file in found if not any(matcher.fullmatch(file.path) for matcher in matchers)]
    if left:
        raise SpecError(
            f"{where}: expected no native code, found {left[0].path} ({left[0].kind})",
            details=[f"{file.path} ({file.kind})" for file in left[1:10]],
            hint="native code is refused unless a component builds it: prune the file, or make it a component",
        )
