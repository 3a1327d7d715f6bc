"""The facts about one PE file, read from a mapping of it: only the pages that are looked at come from the disk."""

from __future__ import annotations

import mmap
import os
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

from packager.deps import runtime, sxs
from packager.errors import PEError
from packager.pe import chpe, resources
from packager.pe.delays import delay_flags
from packager.pe.imports import Image, read_image
from packager.pe.layout import Layout, read_layout

#: Resource numbers of the manifest that a program's process, or a DLL's own imports, are resolved by (winuser.h:
#: CREATEPROCESS_MANIFEST_RESOURCE_ID, ISOLATIONAWARE_MANIFEST_RESOURCE_ID).
_OF_PROGRAM, _OF_DLL = 1, 2
#: So many files are asked of the disk before they are looked at.
_AHEAD = 8
#: The data directory with .NET's header.
_COM_DESCRIPTOR = 14


@dataclass(frozen=True, slots=True)
class File:
    """What one file is.

    ``image`` is None when it cannot be read, and ``error`` says why. ``x64`` is what an x64 process sees of an ARM64X
    file. ``load_flags`` are the LOAD_LIBRARY_SEARCH_* for its static imports, ``delay_flags`` for its delayed ones.
    ``manifest`` is the one in it that the loader uses, and ``manifest_error`` what is wrong with that. ``names`` are
    names of modules among its strings. ``managed``: an assembly of .NET's.
    """

    image: Image | None = None
    error: str | None = None
    hybrid: chpe.Hybrid | None = None
    x64: Image | None = None
    load_flags: int = 0
    delay_flags: int = 0
    manifest: sxs.Manifest | None = None
    manifest_error: str | None = None
    names: tuple[str, ...] = ()
    managed: bool = False

    @property
    def machine(self) -> str | None:
        """The machine, ARM64X and ARM64EC told apart."""
        return self.hybrid or (self.image.machine if self.image is not None else None)

    def flags(self, *, delayed: bool) -> int:
        """The LOAD_LIBRARY_SEARCH_* for its imports of one kind; 0 for the standard order."""
        return self.delay_flags if delayed else self.load_flags

    def seen_from(self, machine: str) -> Image | None:
        """The image that a process of ``machine`` sees."""
        return self.x64 if self.x64 is not None and machine == "x86_64" else self.image


def read(path: str) -> File:
    """Read the facts about ``path``; what keeps it from being read is in the outcome, not raised."""
    mapped = _mapped(path)
    return mapped if isinstance(mapped, File) else _of_mapping(mapped)


def read_all(paths: Sequence[str]) -> Iterator[tuple[str, File]]:
    """The facts about many files, in order; the next ones come from the disk while one is looked at."""
    ahead: deque[tuple[str, File | mmap.mmap]] = deque()
    for path in paths:
        mapped = _mapped(path)
        if not isinstance(mapped, File):
            mapped.madvise(mmap.MADV_WILLNEED)
        ahead.append((path, mapped))
        if len(ahead) > _AHEAD:
            yield _next(ahead)
    while ahead:
        yield _next(ahead)


def _next(ahead: deque[tuple[str, File | mmap.mmap]]) -> tuple[str, File]:
    path, mapped = ahead.popleft()
    return path, mapped if isinstance(mapped, File) else _of_mapping(mapped)


def _mapped(path: str) -> File | mmap.mmap:
    """A mapping of the file, or what keeps it from being read."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            if not os.fstat(descriptor).st_size:
                return File(error="offset 0x0: expected a DOS header of 64 bytes, found 0 bytes in all")
            return mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as exc:
        return File(error=f"expected a file that can be read, found: {getattr(exc, 'strerror', None) or exc}")


def _of_mapping(mapped: mmap.mmap) -> File:
    with mapped:
        # A mapping has of bytes' methods what the readers use: slices, find, len, the buffer protocol.
        return parse(cast(bytes, mapped))


def parse(data: bytes) -> File:
    """The same for a file's bytes."""
    try:
        layout = read_layout(data)
        image = read_image(data)
    except PEError as exc:
        return File(error=exc.message)
    config, hybrid, x64 = chpe.LoadConfig(), None, None
    # The loader does without a load configuration that is damaged, so one is not held against the file.
    with suppress(PEError):
        config = chpe.load_config(data, layout)
        if (hybrid := chpe.hybrid(layout, config)) == "arm64x":
            x64 = read_image(chpe.x64_view(data, layout, config))
    manifest, manifest_error = None, None
    try:
        manifest = _manifest(data, layout)
    except PEError as exc:
        manifest_error = exc.message
    return File(
        image=image,
        hybrid=hybrid,
        x64=x64,
        load_flags=config.load_flags,
        delay_flags=delay_flags(data, layout),
        manifest=manifest,
        manifest_error=manifest_error,
        names=runtime.module_names(data),
        managed=len(layout.directories) > _COM_DESCRIPTOR and bool(layout.directories[_COM_DESCRIPTOR]),
    )


def _manifest(data: bytes, layout: Layout) -> sxs.Manifest | None:
    wanted = _OF_DLL if layout.is_dll else _OF_PROGRAM
    for resource in resources.resources(data, layout, resources.MANIFEST):
        if resource.name == wanted:
            if resource.size > sxs.MOST_BYTES:
                raise PEError(f"manifest: expected {sxs.MOST_BYTES} bytes at most, found {resource.size}")
            return sxs.parse(resource.read(data, layout))
    return None
