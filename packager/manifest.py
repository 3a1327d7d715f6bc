"""A bundle's manifest: every file with its sha256, size, mode, source and licence; and the sums file."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from packager import trees
from packager.errors import BuildError
from packager.formats import zip as zips
from packager.platforms import is_program
from packager.specs import model

FORMAT: Literal[1] = 1
SCHEMA = "urn:electrum-packager:manifest:1"
SUMS = "SHA256SUMS"
SUFFIX = ".manifest.json"
_SUM_LINE = re.compile(r"^([0-9a-f]{64})  (\S.*)$")


class SourceRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What files come from."""

    name: Annotated[
        str,
        Meta(
            min_length=1, description="what files name as their source; the folder with its licence texts is called so"
        ),
    ]
    version: Annotated[str, Meta(min_length=1)]
    kind: Annotated[
        Literal["application", "component", "dependency", "launcher", "linked"],
        Meta(
            description="component: built from its source and shipped as files; dependency: a Python package; "
            "launcher: the packager's own programs; linked: only inside what others are made of"
        ),
    ]
    licence: Annotated[str, Meta(min_length=1, description="an SPDX expression")]
    purl: Annotated[str, Meta(pattern=r"^pkg:[A-Za-z][A-Za-z0-9.+-]*/.+$", description="a package URL")]
    digest: Annotated[
        str,
        Meta(
            pattern=r"^(sha256:[0-9a-f]{64}|git:[0-9a-f]{40}|tree:[0-9a-f]{64}|deb:[^=]+=.+)$",
            description="what binds it: a source file's sha256, a git commit, the launcher's folder, a Debian package",
        ),
    ]


class MemberRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One member of a zip archive in a bundle."""

    path: Annotated[str, Meta(min_length=1, description="from the archive's top, with '/'")]
    sha256: model.Sha256
    size: Annotated[int, Meta(ge=0, description="bytes")]


class FileRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One file of a bundle."""

    path: Annotated[model.RelativePath, Meta(description="from the bundle's folder, with '/'")]
    sha256: model.Sha256
    size: Annotated[int, Meta(ge=0, description="bytes")]
    mode: Annotated[str, Meta(pattern=r"^0[0-7]{3}$", description="in archives, octal")]
    source: Annotated[str, Meta(description="the name of one of the sources")]
    licence: Annotated[str, Meta(description="the source's licence")]
    members: Annotated[
        tuple[MemberRecord, ...],
        Meta(description="of a zip archive, in its order: what the file's own sha256 covers, one by one"),
    ] = ()


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """All of a bundle, sorted by name and path."""

    format: Literal[1]
    name: Annotated[str, Meta(min_length=1)]
    version: Annotated[str, Meta(min_length=1)]
    target: Annotated[str, Meta(description="operating system and processor")]
    epoch: Annotated[int, Meta(ge=0, description="the time of every stamp, in seconds since 1970")]
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
                members=archive_members(node.absolute),
            )
        )
    used = {record.source for record in records}
    return Manifest(
        format=FORMAT,
        sources=tuple(known[name] for name in sorted(used | {n for n in known if known[n].kind == "linked"})),
        files=tuple(sorted(records, key=lambda record: record.path)),
        **head,
    )


def archive_members(path: Path) -> tuple[MemberRecord, ...]:
    """What is stored in a file that is a zip archive; nothing for any other, and for one that cannot be read.

    Compressed members are left out: no bundle has any (the audit's rule archive-form).
    """
    with path.open("rb") as stream:
        data = stream.read(len(zips.MAGICS[0]))
        if not data.startswith(zips.MAGICS):
            return ()
        data += stream.read()
    return tuple(
        MemberRecord(path=name, sha256=hashlib.sha256(content).hexdigest(), size=len(content))
        for name, content in zips.stored_members(data)
    )


def file_mode(path: str) -> int:
    """The mode of a bundle's file in every output: programs are executable, those for Windows for Wine's users."""
    return 0o755 if is_program(path) else 0o644


def encode(manifest: Manifest) -> bytes:
    """The manifest as JSON, indented, ending in a newline."""
    return msgspec.json.format(msgspec.json.encode(manifest, order="deterministic"), indent=1) + b"\n"


def decode(data: bytes, file: str) -> Manifest:
    """Read a manifest. BuildError if it is not one."""
    try:
        return msgspec.json.decode(data, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
        raise BuildError(f"{file}: not a bundle's manifest: {exc}") from exc


def schema() -> bytes:
    """The published JSON schema of manifests (docs/schema/manifest.schema.json)."""
    return json_schema(Manifest, SCHEMA)


def json_schema(kind: type[msgspec.Struct], identifier: str) -> bytes:
    """The JSON schema of a type, as it is published; ``identifier`` is the schema's own URI."""
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": identifier,
        **msgspec.json.schema(kind),
    }
    return (json.dumps(document, indent=2) + "\n").encode("ascii")


def parse_sums(text: str) -> dict[str, str]:
    """File name to sha256, from the format of sha256sum(1); lines of another form are passed over."""
    found = (_SUM_LINE.match(line) for line in text.splitlines())
    return {match[2]: match[1] for match in found if match}


def format_sums(sums: Mapping[str, str]) -> str:
    """The format of sha256sum(1), sorted by file name."""
    return "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))
