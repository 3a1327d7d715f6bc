"""Findings as SARIF. Its official schema is not at hand here: tests/integration/test_audit.py holds them against it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import jsonschema  # type: ignore[import-untyped]

from packager import __version__
from packager.audit import sarif
from packager.audit.model import Finding
from packager.audit.policy import Exemption
from packager.audit.rules import ELF_RULES, NAMES, RULES
from tests.audit import samples
from tests.audit.samples import examine, write

TEXT = {
    "type": "object",
    "additionalProperties": False,
    "required": ["text"],
    "properties": {"text": {"type": "string", "minLength": 1}},
}
LEVEL = {"enum": ["none", "note", "warning", "error"]}


def closed(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    """The schema of an object that has these properties and no others."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(required),
        "properties": {**required, **optional},
    }


def several(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": item}


RULE = closed(
    {
        "id": {"type": "string"},
        "shortDescription": TEXT,
        "fullDescription": TEXT,
        "help": TEXT,
        "defaultConfiguration": closed({"level": LEVEL}),
    }
)
LOCATION = closed({"uri": {"type": "string", "format": "uri-reference"}, "uriBaseId": {"const": "BUNDLE"}})
RESULT = closed(
    {
        "ruleId": {"enum": list(NAMES)},
        "ruleIndex": {"type": "integer", "minimum": 0},
        "level": LEVEL,
        "message": TEXT,
        "locations": several(closed({"physicalLocation": closed({"artifactLocation": LOCATION})})),
        "partialFingerprints": {"type": "object", "additionalProperties": {"type": "string"}},
    },
    suppressions=several(
        closed(
            {
                "kind": {"enum": ["inSource", "external"]},
                "status": {"enum": ["accepted", "underReview", "rejected"]},
                "justification": {"type": "string"},
            }
        )
    ),
)
#: What of SARIF 2.1.0 is made here, and no more.
SCHEMA = closed(
    {
        "$schema": {"type": "string", "format": "uri"},
        "version": {"const": "2.1.0"},
        "runs": several(
            closed(
                {
                    "tool": closed(
                        {
                            "driver": closed(
                                {"name": {"type": "string"}, "version": {"type": "string"}, "rules": several(RULE)}
                            )
                        }
                    ),
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                    "originalUriBaseIds": {"type": "object", "additionalProperties": closed({"description": TEXT})},
                    "results": {**several(RESULT), "uniqueItems": True},
                }
            )
        ),
    }
)


def spoilt(root: Path) -> tuple[Finding, ...]:
    """Findings of each severity, one of them excepted, about files with odd names and about the whole."""
    bundle = samples.sound(root / "b")
    write(bundle, os.fsdecode(b"app/\xff"), b"", 0o600)
    write(bundle, "app/a:b c%20ü", b"", 0o600)
    write(bundle, "python/DLLs/_ssl.pyd", samples.pe("Python313.DLL", "helper.dll"))
    return examine(bundle, exceptions=(Exemption("file-mode", "app/a*", "a test's"),), size_budget=1)


def test_a_log_suits_the_schema_and_says_all(tmp_path: Path) -> None:
    findings = spoilt(tmp_path)
    log = json.loads(sarif.encode(findings))
    jsonschema.validate(log, SCHEMA, jsonschema.Draft202012Validator, format_checker=jsonschema.FormatChecker())
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert (driver["name"], driver["version"]) == ("packager audit", __version__)
    assert [rule["id"] for rule in driver["rules"]] == list(NAMES)
    assert len(driver["rules"]) == len(RULES) + len(ELF_RULES) + 1
    for finding, result in zip(findings, run["results"], strict=True):
        assert result["ruleId"] == finding.rule == driver["rules"][result["ruleIndex"]]["id"]
        assert result["level"] == finding.severity
        assert result["message"]["text"].startswith(finding.message)
        assert finding.reason in result["message"]["text"]
        (location,) = result["locations"]
        uri = location["physicalLocation"]["artifactLocation"]["uri"]
        assert uri.isascii()
        assert ":" not in uri
        assert os.fsdecode(unquote_to_bytes(uri)) == finding.file
        assert ("suppressions" in result) == (finding.excepted is not None)
    assert {finding.severity for finding in findings} == {"error", "note"}
    assert {finding.excepted for finding in findings} == {None, "a test's"}
    assert len({json.dumps(result["partialFingerprints"]) for result in run["results"]}) == len(findings)


def test_an_empty_log(tmp_path: Path) -> None:
    log = sarif.document(())
    jsonschema.validate(log, SCHEMA, jsonschema.Draft202012Validator)
    assert log["runs"][0]["results"] == []


def test_a_log_does_not_depend_on_where_it_is_made(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    first, second = sarif.encode(spoilt(tmp_path)), sarif.encode(spoilt(tmp_path / "far"))
    assert first == second
    assert str(tmp_path).encode() not in first
