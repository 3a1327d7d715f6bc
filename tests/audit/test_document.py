"""Findings as JSON suit their published schema."""

from __future__ import annotations

import json
import os
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]

from packager.audit import document
from packager.audit.policy import Exemption
from tests.audit import samples
from tests.audit.samples import ROOT, examine, write

SCHEMA = json.loads((ROOT / "docs/schema/audit.schema.json").read_text("utf-8"))


def test_the_published_schema_is_that_of_the_type() -> None:
    assert json.loads(document.schema()) == SCHEMA
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_findings_suit_the_schema(tmp_path: Path) -> None:
    bundle = samples.sound(tmp_path / "b")
    assert json.loads(document.encode(examine(bundle))) == {"version": 1, "ok": True, "findings": []}
    write(bundle, os.fsdecode(b"app/\xff"), b"", 0o600)
    exceptions = (Exemption("file-name", "app/*", "a test's"),)
    found = json.loads(document.encode(examine(bundle, exceptions=exceptions)))
    jsonschema.validate(found, SCHEMA, jsonschema.Draft202012Validator)
    assert not found["ok"]
    assert [(f["file"], f["rule"], f["severity"], f["excepted"]) for f in found["findings"]] == [
        ("app/\\xff", "file-mode", "error", None),
        ("app/\\xff", "file-name", "error", "a test's"),
    ]
    (bundle / os.fsdecode(b"app/\xff")).chmod(0o644)
    assert json.loads(document.encode(examine(bundle, exceptions=exceptions)))["ok"]
