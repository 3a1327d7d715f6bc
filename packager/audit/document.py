"""The findings as a JSON document with a published schema, docs/schema/audit.schema.json."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from packager.audit.model import Finding as Found
from packager.audit.model import Severity, errors, shown
from packager.manifest import json_schema

#: The schema's own URI, and the version of the document.
SCHEMA = "urn:electrum-packager:audit:1"
VERSION = 1


class Finding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One finding; ``excepted`` is the policy's reason why it may stay, or null. See packager.audit.model.Finding."""

    file: str
    rule: str
    severity: Severity
    message: str
    reason: str
    fix: str
    excepted: str | None


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All findings, by file. ``ok``: none is an error without an exception."""

    version: int
    ok: bool
    findings: tuple[Finding, ...]


def document(findings: Sequence[Found]) -> Document:
    """The findings as a value that msgspec writes as JSON."""
    return Document(
        version=VERSION,
        ok=not errors(findings),
        findings=tuple(
            Finding(
                file=shown(finding.file),
                rule=finding.rule,
                severity=finding.severity,
                message=shown(finding.message),
                reason=finding.reason,
                fix=shown(finding.fix),
                excepted=finding.excepted,
            )
            for finding in findings
        ),
    )


def encode(findings: Sequence[Found]) -> bytes:
    """The document as JSON with a line end."""
    return msgspec.json.format(msgspec.json.encode(document(findings)), indent=1) + b"\n"


def schema() -> bytes:
    """The published JSON schema of the document."""
    return json_schema(Document, SCHEMA)
