"""The gate in front of a finished bundle: facts about its files, held against a policy, give findings.

Facts are gathered once (:mod:`packager.audit.facts`), policy is data (``bundle_specs/policy/*.toml``), and each check
is a small function of the two in the table :data:`packager.audit.rules.RULES`. A finding says which file, which rule,
what was found, why the rule is there and what to change.
"""

from packager.audit.facts import Known, known_beside, known_from
from packager.audit.gate import AuditedTree, pass_or_fail
from packager.audit.model import Finding, errors, failed
from packager.audit.policy import Policy
from packager.audit.run import audit, load_policy

__all__ = [
    "AuditedTree",
    "Finding",
    "Known",
    "Policy",
    "audit",
    "errors",
    "failed",
    "known_beside",
    "known_from",
    "load_policy",
    "pass_or_fail",
]
