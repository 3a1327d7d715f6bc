"""Where a bundle comes from, as others can check it: an in-toto Statement with SLSA's provenance predicate.

The statement says nothing of the machine, the run or its time, so that everybody who builds the same bundle with the
same packager writes the same bytes; who signs one (``attest``) says "I got this". Types here are what is written and
what is read back, and the published schema (docs/schema/provenance.schema.json) is made from them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from packageurl import PackageURL

from packager import __version__
from packager.errors import CheckError
from packager.manifest import SUFFIX as MANIFEST
from packager.manifest import json_schema
from packager.materials import Digest, Input, Location, Material
from packager.specs import model

SUFFIX = ".intoto.json"
SCHEMA = "urn:electrum-packager:provenance:1"
BUILD_TYPE: Literal["urn:electrum-packager:build:1"] = "urn:electrum-packager:build:1"
BUILDER = "urn:electrum-packager:builder:1"


class _Part(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of what a statement consists of; as in-toto asks, fields that are not known are passed over in reading."""


class Sha256Digest(_Part, frozen=True):
    """An in-toto DigestSet of which the sha256 is used."""

    sha256: model.Sha256


class Subject(_Part, frozen=True):
    """One file that went out."""

    name: model.FileName
    digest: Sha256Digest


class Dependency(_Part, frozen=True, omit_defaults=True):
    """An in-toto ResourceDescriptor: a source, a patch, a spec file or a package of the toolchain."""

    name: Annotated[str, Meta(min_length=1, description="a source's or package's name, or a path in the project")]
    uri: Annotated[str, Meta(description="a package URL, or git+URL@commit")] | None = None
    digest: Annotated[
        dict[str, Annotated[str, Meta(pattern="^[0-9a-f]+$")]],
        Meta(description="sha256, gitCommit or dirHash (of a folder's files)"),
    ] = {}
    download_location: Annotated[str, Meta(description="upstream's own URL")] | None = None
    annotations: Annotated[
        dict[str, str | list[str]],
        Meta(
            description="role: source, patch, overlay, spec or toolchain; for: the source that a patch is for; "
            "version; purl; digestOf; origins: where it is looked for, in order; upstreamVersion: what is locked"
        ),
    ] = {}


class ExternalParameters(_Part, frozen=True, forbid_unknown_fields=True):
    """What whoever builds chooses: `packager build SPEC --target TARGET --epoch EPOCH`."""

    spec: Annotated[str, Meta(min_length=1, description="path of the bundle spec in the project")]
    target: Annotated[str, Meta(min_length=1)]
    epoch: Annotated[int, Meta(ge=0, description="seconds since 1970")]


class InternalParameters(_Part, frozen=True):
    """What the packager adds: its version, and the key of all that went into the bundle, its own code included."""

    packager: str
    recipe: model.Sha256


class BuildDefinition(_Part, frozen=True):
    """All inputs."""

    build_type: Literal["urn:electrum-packager:build:1"]
    external_parameters: ExternalParameters
    internal_parameters: InternalParameters
    resolved_dependencies: tuple[Dependency, ...]


class Builder(_Part, frozen=True):
    """The program that built it; who ran it is said by the signature."""

    id: str
    version: dict[str, str]


class RunDetails(_Part, frozen=True):
    """Nothing of a single run: neither time nor machine."""

    builder: Builder


class Predicate(_Part, frozen=True):
    """SLSA provenance v1."""

    build_definition: BuildDefinition
    run_details: RunDetails


class Statement(_Part, frozen=True):
    """An in-toto Statement v1 about the files of one bundle."""

    type: Literal["https://in-toto.io/Statement/v1"] = msgspec.field(name="_type")
    subject: Annotated[tuple[Subject, ...], Meta(min_length=1)]
    predicate_type: Literal["https://slsa.dev/provenance/v1"]
    predicate: Predicate

    @property
    def products(self) -> dict[str, str]:
        """The sha256 of each file that went out, by its name."""
        return {subject.name: subject.digest.sha256 for subject in self.subject}

    @property
    def title(self) -> str:
        """What the bundle's files are called before their suffixes; empty if no subject is a manifest."""
        names = [name for name in self.products if name.endswith(MANIFEST)]
        return names[0].removesuffix(MANIFEST) if len(names) == 1 else ""


def describe(
    products: Mapping[str, str],
    materials: Iterable[Material],
    specs: Iterable[Input],
    toolchain: model.Toolchain,
    lock: model.ToolchainLock,
    parameters: ExternalParameters,
    recipe: str,
) -> Statement:
    """The statement about ``products`` (names and sha256). ``recipe`` is the digest of the key of the last stage."""
    return Statement(
        type="https://in-toto.io/Statement/v1",
        subject=tuple(Subject(name=name, digest=Sha256Digest(sha256=products[name])) for name in sorted(products)),
        predicate_type="https://slsa.dev/provenance/v1",
        predicate=Predicate(
            build_definition=BuildDefinition(
                build_type=BUILD_TYPE,
                external_parameters=parameters,
                internal_parameters=InternalParameters(packager=__version__, recipe=recipe),
                resolved_dependencies=tuple(_dependencies(materials, specs, toolchain, lock)),
            ),
            run_details=RunDetails(builder=Builder(id=BUILDER, version={"electrum-packager": __version__})),
        ),
    )


def _dependencies(
    materials: Iterable[Material], specs: Iterable[Input], toolchain: model.Toolchain, lock: model.ToolchainLock
) -> Iterable[Dependency]:
    for material in materials:
        yield _source(material)
        for role, inputs in (("patch", material.patches), ("overlay", material.overlays)):
            yield from (_project_file(item, {"role": role, "for": material.record.name}) for item in inputs)
    yield from (_project_file(item, {"role": "spec"}) for item in specs)
    distro = {"distro": toolchain.suite}
    for name, version in sorted(lock.packages.items()):
        yield Dependency(
            name=name,
            uri=str(PackageURL("deb", "debian", name, version, distro)),
            annotations={"role": "toolchain", "version": version},
        )
    for name, version in sorted(lock.upstream.items()):
        yield Dependency(
            name=name,
            uri=str(PackageURL("deb", "debian", name, None, distro)),
            annotations={"role": "toolchain", "upstreamVersion": version},
        )


def _source(material: Material) -> Dependency:
    record, digest = material.record, material.digest
    purl = str(PackageURL.from_string(record.purl))
    git = [_uri(place, digest) for place in material.locations if place.kind == "git"]
    urls = [place.uri for place in material.locations if place.kind == "url"]
    return Dependency(
        name=record.name,
        uri=git[0] if git else purl,
        digest={digest.algorithm: digest.value},
        download_location=urls[0] if urls else None,
        annotations={
            "role": "source",
            "version": record.version,
            **({"purl": purl} if git else {}),
            "digestOf": digest.of,
            "origins": [_uri(place, digest) for place in material.locations],
        },
    )


def _uri(place: Location, digest: Digest) -> str:
    return f"git+{place.uri}@{digest.value}" if place.kind == "git" else place.uri


def _project_file(item: Input, annotations: dict[str, str | list[str]]) -> Dependency:
    return Dependency(name=item.path, digest={item.digest.algorithm: item.digest.value}, annotations=annotations)


def encode(statement: Statement) -> bytes:
    """The statement as JSON: keys sorted, indented, ending in a newline; the same bytes for the same statement."""
    return msgspec.json.format(msgspec.json.encode(statement, order="sorted"), indent=1) + b"\n"


def decode(data: bytes, file: str) -> Statement:
    """Read a statement. CheckError if it is none about a bundle, or names two files alike."""
    try:
        statement = msgspec.json.decode(data, type=Statement)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise CheckError(f"{file}: expected a statement about a bundle, found something else: {exc}") from exc
    if len(statement.products) != len(statement.subject) or not statement.title:
        raise CheckError(f"{file}: expected each product once, a manifest among them, found other subjects")
    return statement


def schema() -> bytes:
    """The published JSON schema of statements (docs/schema/provenance.schema.json)."""
    return json_schema(Statement, SCHEMA)
