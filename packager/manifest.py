"""A bundle's manifest: every file with its sha256, size, mode, source and licence; and the sums file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from packager import trees
from packager.errors import BuildError

FORMAT = 1
SUMS = "SHA256SUMS"
_SUM_LINE = re.compile(r"^([0-9a-f]{64})  (\S.*)$")


class SourceRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What files come from. ``digest`` is ``sha256:...``, ``git:...``, ``deb:...``, ``tree:...`` (our own)."""

    name: str
    version: str
    kind: str
    licence: str
    purl: str
    digest: str


class FileRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a bundle. ``mode`` is octal, ``source`` the name of a SourceRecord."""

    path: str
    sha256: str
    size: int
    mode: str
    source: str
    licence: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """All of a bundle, sorted by path."""

    format: int
    name: str
    version: str
    target: str
    epoch: int
    sources: tuple[SourceRecord, ...]
    files: tuple[FileRecord, ...]


def describe(tree: Path, provenance: Mapping[str, str], sources: Iterable[SourceRecord], **head: Any) -> Manifest:
    """The manifest of a staged tree. ``provenance`` names each file's source; a file without one is a BuildError."""
    known = {source.name: source for source in sources}
    records: list[FileRecord] = []
    for node in trees.files(tree):
        name = provenance.get(node.path)
        if name is None or name not in known:
            raise BuildError(f"{node.path}: no source is known for this file")
        records.append(
            FileRecord(
                path=node.path,
                sha256=trees.file_sha256(node.absolute),
                size=node.status.st_size,
                mode=f"{file_mode(node.path):04o}",
                source=name,
                licence=known[name].licence,
            )
        )
    used = {record.source for record in records}
    return Manifest(
        format=FORMAT,
        sources=tuple(known[name] for name in sorted(used | {n for n in known if known[n].kind == "linked"})),
        files=tuple(sorted(records, key=lambda record: record.path)),
        **head,
    )


def file_mode(path: str) -> int:
    """The mode of a bundle's file in every output: programs are executable, so that Wine's users can start them."""
    return 0o755 if path.lower().endswith(".exe") else 0o644


def encode(manifest: Manifest) -> bytes:
    """The manifest as JSON, indented, ending in a newline."""
    return msgspec.json.format(msgspec.json.encode(manifest, order="deterministic"), indent=1) + b"\n"


def decode(data: bytes, file: str) -> Manifest:
    """Read a manifest. BuildError if it is not one."""
    try:
        return msgspec.json.decode(data, type=Manifest)
    except msgspec.MsgspecError as exc:
        raise BuildError(f"{file}: not a bundle's manifest: {exc}") from exc


def parse_sums(text: str) -> dict[str, str]:
    """File name to sha256, from the format of sha256sum(1); lines of another form are passed over."""
    found = (_SUM_LINE.match(line) for line in text.splitlines())
    return {match[2]: match[1] for match in found if match}


def format_sums(sums: Mapping[str, str]) -> str:
    """The format of sha256sum(1), sorted by file name."""
    return "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))
