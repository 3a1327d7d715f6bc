"""The findings as SARIF 2.1.0 (OASIS), which CI systems show beside the files."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from packager import __version__
from packager.audit.model import Finding, Rule, shown
from packager.audit.rules import ELF_RULES, RULES, UNUSED_EXCEPTION

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
#: What stands for the folder that was audited: a path of this machine would say nothing elsewhere.
_BASE = "BUNDLE"
#: Version 1 of how a finding is told apart from others, from one run to the next.
_FINGERPRINT = "finding/v1"


def document(findings: Sequence[Finding], *, version: str = __version__) -> dict[str, Any]:
    """The findings as a SARIF log of one run. The same findings give the same document, wherever it is made.

    An excepted finding is a suppressed result. ``version`` is the packager's.
    """
    rules = (*RULES, *ELF_RULES, UNUSED_EXCEPTION)
    numbers = {rule.name: index for index, rule in enumerate(rules)}
    driver = {"name": "packager audit", "version": version, "rules": [_rule(rule) for rule in rules]}
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": driver},
                "columnKind": "utf16CodeUnits",
                "originalUriBaseIds": {_BASE: {"description": {"text": "the folder that was audited"}}},
                "results": [_result(finding, numbers[finding.rule]) for finding in findings],
            }
        ],
    }


def encode(findings: Sequence[Finding]) -> bytes:
    """The document as JSON with a line end."""
    return (json.dumps(document(findings), indent=1) + "\n").encode("ascii")


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.name,
        "shortDescription": {"text": f"{rule.title}."},
        "fullDescription": {"text": f"{rule.title}: {rule.why}."},
        "help": {"text": f"Why: {rule.why}.\nWhat to do: {rule.fix}."},
        "defaultConfiguration": {"level": rule.severity},
    }


def _result(finding: Finding, number: int) -> dict[str, Any]:
    text = f"{finding.message}\nWhy: {finding.reason}.\nWhat to do: {finding.fix}."
    location = {"uri": quote(os.fsencode(finding.file)), "uriBaseId": _BASE}
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": number,
        "level": finding.severity,
        "message": {"text": "\n".join(map(shown, text.split("\n")))},
        "locations": [{"physicalLocation": {"artifactLocation": location}}],
        "partialFingerprints": {_FINGERPRINT: _fingerprint(finding)},
    }
    if finding.excepted is not None:
        result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": finding.excepted}]
    return result


def _fingerprint(finding: Finding) -> str:
    parts = "\0".join((finding.file, finding.rule, finding.message))
    return hashlib.sha256(parts.encode("utf-8", "surrogateescape")).hexdigest()
