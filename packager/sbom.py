"""A bundle's software bill of materials: CycloneDX 1.6, written by the OWASP library, the same wherever it is made.

Every component has a version, a package URL, an SPDX licence, a digest and where its source can be had. What would
differ between machines or runs is settled: the time is the epoch, the serial number a function of the content.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from cyclonedx.model import (
    ExternalReference,
    ExternalReferenceType,
    HashAlgorithm,
    HashType,
    Property,
    XsUri,
)
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import (
    Component,
    ComponentScope,
    ComponentType,
    Diff,
    Patch,
    PatchClassification,
    Pedigree,
    Swhid,
)
from cyclonedx.model.license import DisjunctiveLicense, License, LicenseExpression
from cyclonedx.model.lifecycle import LifecyclePhase, PredefinedLifecycle
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from cyclonedx.spdx import is_supported_id
from packageurl import PackageURL
from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from packager import __version__
from packager.errors import BuildError
from packager.layout import Layout, layout_of
from packager.manifest import SUFFIX as MANIFEST
from packager.manifest import Manifest
from packager.materials import Digest, Location, Material

SUFFIX = ".cdx.json"
#: What the properties that CycloneDX has no field for begin with.
PREFIX = "electrum-packager:"
#: The namespace of serial numbers (RFC 9562, version 5); any fixed value will do.
_NAMESPACE = uuid.UUID("6f2d6c1e-50a5-5c0b-9d3e-3a0f4f1c7b52")
_UNKNOWN = re.compile(r"LicenseRef-[A-Za-z0-9.-]*unknown", re.IGNORECASE)
#: Python code: it needs the interpreter; what it needs of other packages stands in their metadata, not in our specs.
_INTERPRETED = ("application", "dependency")
_TYPES = {
    "application": ComponentType.APPLICATION,
    "launcher": ComponentType.APPLICATION,
    "interpreter": ComponentType.PLATFORM,
}


def describe(
    manifest: Manifest,
    materials: Sequence[Material],
    products: Mapping[str, str],
    *,
    interpreter: str,
    description: str,
) -> bytes:
    """The SBOM of a bundle as JSON, ending in a newline.

    ``materials`` are those of the manifest's sources, ``products`` the names and sha256 of the files that go out
    (archives and manifest), ``interpreter`` the name of the source that is the bundle's python. Raises BuildError as
    :func:`check`, and for a package URL that is none.
    """
    check(manifest, materials)
    bundle = Component(
        type=ComponentType.APPLICATION,
        bom_ref=f"{manifest.name}-{manifest.version}-{manifest.target}",
        name=manifest.name,
        version=manifest.version,
        description=description,
        purl=_bundle_purl(manifest),
        licenses=[_licence(combined(material.record.licence for material in materials))],
        hashes=[_sha256(_main_product(products))],
        external_references=[_product(name, digest) for name, digest in products.items()],
        properties=[
            Property(name=f"{PREFIX}target", value=manifest.target),
            Property(name=f"{PREFIX}files", value=str(len(manifest.files))),
        ],
    )
    counts = {material.record.name: 0 for material in materials}
    for file in manifest.files:
        counts[file.source] += 1
    components = {
        material.record.name: _component(material, counts[material.record.name], interpreter, _layout(manifest))
        for material in materials
    }
    bom = Bom(components=components.values())
    bom.metadata.timestamp = datetime.fromtimestamp(manifest.epoch, UTC)
    bom.metadata.component = bundle
    bom.metadata.lifecycles.add(PredefinedLifecycle(LifecyclePhase.BUILD))
    bom.metadata.tools.components.add(
        Component(
            type=ComponentType.APPLICATION,
            name="electrum-packager",
            version=__version__,
            licenses=[_licence("GPL-3.0-or-later")],
        )
    )
    bom.register_dependency(bundle, components.values())
    interpreted = [material.record.name for material in materials if material.record.kind in _INTERPRETED]
    for material in materials:
        needs = (interpreter,) if material.record.name in interpreted else material.depends
        bom.register_dependency(
            components[material.record.name], [components[name] for name in needs if name in components]
        )
    bom.serial_number = uuid.UUID(int=0)
    bom.serial_number = uuid.uuid5(_NAMESPACE, hashlib.sha256(_write(bom, interpreted)).hexdigest())
    return _write(bom, interpreted)


def check(manifest: Manifest, materials: Iterable[Material]) -> None:
    """BuildError for the first source whose licence is not known, or that has no licence text in the bundle."""
    layout = _layout(manifest)
    texts = [file.path for file in manifest.files if file.path.startswith(f"{layout.licences}/") and file.size]
    for material in materials:
        name = material.record.name
        canonical_licence(material)
        folder = layout.licence_folder(name)
        if not any(path.startswith(folder) for path in texts):
            raise BuildError(
                f"{name}: expected a licence text in {folder} of the bundle, found none",
                hint=f"name one in the `licence_files` beside {material.declared}",
            )


def _layout(manifest: Manifest) -> Layout:
    return layout_of(file.path for file in manifest.files)


def canonical_licence(material: Material) -> str:
    """A material's licence as SPDX writes it. BuildError if it is no SPDX expression, or says that it is unknown."""
    licence = material.record.licence
    try:
        canonical = canonicalize_license_expression(licence)
    except InvalidLicenseExpression as exc:
        problem = str(exc)
    else:
        if not _UNKNOWN.search(canonical):
            return canonical
        problem = "an unknown licence"
    raise BuildError(
        f"{material.record.name}: expected the licence as an SPDX expression, found {licence!r}: {problem}",
        hint=f"correct {material.declared}; LicenseRef-NAME is for a licence that SPDX does not list",
    )


def combined(licences: Iterable[str]) -> str:
    """What applies to a work that has parts under each of ``licences``: all of them, each named once."""
    terms: set[str] = set()
    for licence in licences:
        canonical = str(canonicalize_license_expression(licence))
        plain = "(" not in canonical and " OR " not in canonical
        terms |= set(canonical.split(" AND ")) if plain else {f"({canonical})"}
    return " AND ".join(sorted(terms))


def _component(material: Material, count: int, interpreter: str, layout: Layout) -> Component:
    record, digest = material.record, material.digest
    properties = [
        ("kind", record.kind),
        ("digest", record.digest),
        ("digest-of", digest.of),
        ("files", str(count)),
        ("licence-texts", layout.licence_folder(record.name)),
        *(("patch", f"{item.path} {item.digest.algorithm}:{item.digest.value}") for item in material.patches),
        *(("overlay", f"{item.path} {item.digest.algorithm}:{item.digest.value}") for item in material.overlays),
    ]
    return Component(
        type=_TYPES.get("interpreter" if record.name == interpreter else record.kind, ComponentType.LIBRARY),
        bom_ref=record.name,
        name=record.name,
        version=record.version,
        description=material.description,
        scope=ComponentScope.REQUIRED,
        purl=_purl(record.purl, material),
        licenses=[_licence(canonical_licence(material))],
        hashes=[_hash(digest)],
        swhids=[Swhid(f"swh:1:rev:{digest.value}")] if digest.algorithm == "gitCommit" else [],
        external_references=[_reference(place, digest) for place in material.locations],
        pedigree=_pedigree(material),
        properties=[Property(name=PREFIX + name, value=value) for name, value in properties],
    )


def _pedigree(material: Material) -> Pedigree | None:
    """How what is shipped differs from its source: our patches and added files, by their paths in the project."""
    if not material.patches and not material.overlays:
        return None
    patches = [Patch(type=PatchClassification.UNOFFICIAL, diff=Diff(url=XsUri(item.path))) for item in material.patches]
    added = "; files are added from " + ", ".join(item.path for item in material.overlays) if material.overlays else ""
    return Pedigree(patches=patches, notes=f"Paths are those of the electrum-packager project{added}.")


def _reference(place: Location, digest: Digest) -> ExternalReference:
    if place.kind == "git":
        return ExternalReference(type=ExternalReferenceType.VCS, url=XsUri(place.uri), comment=f"commit {digest.value}")
    return ExternalReference(
        type=ExternalReferenceType.DISTRIBUTION if place.built else ExternalReferenceType.SOURCE_DISTRIBUTION,
        url=XsUri(place.uri),
        comment=place.file,
        hashes=[_hash(digest)] if digest.algorithm == "sha256" else [],
    )


def _product(name: str, digest: str) -> ExternalReference:
    """A file that goes out beside this one; its relative URL begins where the SBOM lies."""
    if name.endswith(MANIFEST):
        what = "every file of the bundle with its sha256, size, mode, source and licence"
        return ExternalReference(
            type=ExternalReferenceType.OTHER, url=XsUri(name), comment=what, hashes=[_sha256(digest)]
        )
    return ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=XsUri(name), hashes=[_sha256(digest)])


def _hash(digest: Digest) -> HashType:
    """A git commit's id is a SHA-1; the other two are SHA-256."""
    algorithm = HashAlgorithm.SHA_1 if digest.algorithm == "gitCommit" else HashAlgorithm.SHA_256
    return HashType(alg=algorithm, content=digest.value)


def _sha256(value: str) -> HashType:
    return HashType(alg=HashAlgorithm.SHA_256, content=value)


def _main_product(products: Mapping[str, str]) -> str:
    """What is taken for the bundle itself: its ``.tar.zst``, else another archive, else the manifest."""
    order = (".tar.zst", ".zip", MANIFEST)
    return next(products[name] for suffix in order for name in sorted(products) if name.endswith(suffix))


def _bundle_purl(manifest: Manifest) -> PackageURL:
    """Not the application's own: a bundle is more than that, and nobody's package index has it."""
    system, _, processor = manifest.target.partition("-")
    return PackageURL("generic", None, manifest.name, manifest.version, {"arch": processor, "os": system})


def _purl(text: str, material: Material) -> PackageURL:
    try:
        return PackageURL.from_string(text)
    except ValueError as exc:
        raise BuildError(
            f"{material.record.name}: expected a package URL, found {text!r}: {exc}",
            hint=f"correct the `purl` beside {material.declared}",
        ) from exc


def _licence(expression: str) -> License:
    return DisjunctiveLicense(id=expression) if is_supported_id(expression) else LicenseExpression(expression)


def _write(bom: Bom, interpreted: Sequence[str]) -> bytes:
    """The JSON, with one thing that the library has no type for: which components' dependencies are not all named."""
    document = json.loads(make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string())
    document["compositions"] = [{"aggregate": "incomplete", "dependencies": sorted(interpreted)}]
    return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode("ascii")
