"""Rules over facts give findings; the policy's exceptions excuse some of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from packager.audit.facts import Facts, Known, gather, unreadable
from packager.audit.model import WHOLE, Finding, Hit, Rule
from packager.audit.policy import Policy, read_policy
from packager.audit.rules import ELF_RULES, NAMES, RULES, UNUSED_EXCEPTION
from packager.prune import glob_pattern


def audit(
    tree: Path, policy: Policy, epoch: int, known: Known | None = None, *, rules: Sequence[Rule] | None = None
) -> tuple[Finding, ...]:
    """Everything that the rules find in the folder ``tree``, by file and rule; empty when there is nothing to say.

    ``epoch`` (seconds since 1970) is what its files should be normalised to. Without ``known`` two rules say that they
    could not look. Raises CheckError when ``tree`` is not a folder, MachineError when something in it cannot be read.
    """
    facts = gather(tree, epoch, known)
    if rules is None:
        rules = RULES if policy.elf is None else (*RULES, *ELF_RULES)
    try:
        findings = [_finding(rule, hit, policy) for rule in rules for hit in rule.check(facts, policy)]
    except OSError as exc:
        raise unreadable(exc) from exc
    # A DLL that is imported in two ways is told of once.
    findings = list(_excused(list(dict.fromkeys(findings)), facts, policy))
    return tuple(sorted(findings, key=lambda finding: (finding.file, finding.rule, finding.message)))


def load_policy(path: Path) -> Policy:
    """Read a policy. Raises SpecError naming the key when it is missing or wrong; unknown keys are errors too."""
    return read_policy(path, NAMES)


def _finding(rule: Rule, hit: Hit, policy: Policy) -> Finding:
    severity = "error" if rule.name in policy.strict else hit.severity or rule.severity
    return Finding(hit.file, rule.name, hit.message, hit.reason or rule.why, hit.fix or rule.fix, severity)


def _excused(findings: Sequence[Finding], facts: Facts, policy: Policy) -> Iterator[Finding]:
    """The findings, each with the first exception that it falls under, and exceptions that nothing falls under.

    One for files that are not in the tree is no error: a policy serves several bundles.
    """
    patterns = [glob_pattern(exception.path) for exception in policy.exceptions]
    paths = [entry.path for entry in (*facts.entries, *facts.members)]
    used: set[int] = set()
    for finding in findings:
        for index, exception in enumerate(policy.exceptions):
            if exception.rule == finding.rule and patterns[index].fullmatch(finding.file):
                used.add(index)
                finding = replace(finding, excepted=exception.reason)
                break
        yield finding
    for index, exception in enumerate(policy.exceptions):
        if index not in used:
            there = any(patterns[index].fullmatch(path) for path in (WHOLE, *paths))
            message = f"the policy has an exception from {exception.rule} for {exception.path}, which excuses nothing"
            yield _finding(UNUSED_EXCEPTION, Hit(WHOLE, message, severity="error" if there else "note"), policy)
