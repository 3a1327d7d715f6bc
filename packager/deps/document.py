"""The graph as a JSON document with a published schema, docs/schema/deps.schema.json."""

from __future__ import annotations

import msgspec

from packager.deps.model import Graph, Kind, Origin, Severity, Via
from packager.manifest import json_schema

#: The schema's own URI, and the version of the document.
SCHEMA = "urn:electrum-packager:deps:1"
VERSION = 1


class Module(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One module. ``path`` is the file's, None for what is Windows' or nowhere; see packager.deps.model.Module."""

    id: str
    name: str
    origin: Origin
    path: str | None
    machine: str | None
    program: bool
    root: bool
    since: str | None
    error: str | None


class Edge(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One need. ``missing`` is null where the target is missing or not known; see packager.deps.model.Edge."""

    importer: str
    target: str
    name: str
    via: Via
    rule: str | None
    symbols: int
    missing: tuple[str, ...] | None
    plantable: bool
    why: str
    since: str | None
    since_symbol: str | None


class RuntimeLoad(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One name that looks like something loaded at run time; see packager.deps.model.RuntimeLoad."""

    file: str
    line: int | None
    name: str
    how: str
    target: str | None


class Finding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that is wrong; see packager.deps.model.Finding."""

    kind: Kind
    severity: Severity
    file: str
    dll: str | None
    symbol: str | None
    message: str
    hint: str


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole graph. ``ok``: there is no error among the findings. ``data_origin``: what Windows' data are from.

    ``needs_windows`` is the first version that has all that is imported, as far as is known, or null.
    """

    version: int
    ok: bool
    needs_windows: str | None
    modules: tuple[Module, ...]
    edges: tuple[Edge, ...]
    runtime: tuple[RuntimeLoad, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    data_origin: str


def document(graph: Graph) -> Document:
    """The graph as a value that msgspec writes as JSON."""
    return Document(
        version=VERSION,
        ok=graph.ok,
        needs_windows=graph.newest.since if graph.newest is not None else None,
        modules=tuple(
            Module(
                id=module.id,
                name=module.name,
                origin=module.origin,
                path=module.id if module.origin == "tree" else None,
                machine=module.machine,
                program=not module.is_dll,
                root=module.root,
                since=module.since,
                error=module.error,
            )
            for module in graph.modules
        ),
        edges=tuple(msgspec.convert(edge, Edge, from_attributes=True) for edge in graph.edges),
        runtime=tuple(msgspec.convert(load, RuntimeLoad, from_attributes=True) for load in graph.runtime),
        findings=tuple(msgspec.convert(finding, Finding, from_attributes=True) for finding in graph.findings),
        notes=graph.notes,
        data_origin=graph.data_origin,
    )


def encode(graph: Graph) -> bytes:
    """The document as JSON with a line end."""
    return msgspec.json.format(msgspec.json.encode(document(graph)), indent=1) + b"\n"


def schema() -> bytes:
    """The published JSON schema of the document."""
    return json_schema(Document, SCHEMA)
