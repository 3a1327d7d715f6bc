"""The values of an audit: rules, what a check reports, and findings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from packager.errors import CheckError

if TYPE_CHECKING:
    from pathlib import Path

    from packager.audit.facts import Facts
    from packager.audit.policy import Policy

#: A bundle with an error does not go out; a note is for people to know.
Severity = Literal["error", "note"]
#: What stands for the file where a finding is about the tree as a whole.
WHOLE = "."


@dataclass(frozen=True, slots=True)
class Hit:
    """What a check reports: in which file, and what was found. None: as its rule has it."""

    file: str
    message: str
    reason: str | None = None
    fix: str | None = None
    severity: Severity | None = None


Check = Callable[["Facts", "Policy"], Iterator[Hit]]


@dataclass(frozen=True, slots=True)
class Rule:
    """One check: its name, what must hold (``title``), why, what to do where it does not, and how bad that is."""

    name: str
    title: str
    why: str
    fix: str
    check: Check
    severity: Severity = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a rule found.

    ``file`` is the path in the tree, ``.`` for the tree as a whole. ``excepted`` is the policy's reason why it may
    stay, None where there is no such exception.
    """

    file: str
    rule: str
    message: str
    reason: str
    fix: str
    severity: Severity = "error"
    excepted: str | None = None

    @property
    def is_error(self) -> bool:
        """Whether it keeps the tree from going out."""
        return self.severity == "error" and self.excepted is None

    def __str__(self) -> str:
        head = f"{shown(self.file)}: {'' if self.is_error else 'note: '}{self.rule}: {shown(self.message)}"
        if self.excepted is not None:
            return f"{head} (allowed: {self.excepted})"
        return f"{head} (why: {self.reason}; what to do: {shown(self.fix)})"


def errors(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Those of the findings that keep the tree from going out."""
    return tuple(finding for finding in findings if finding.is_error)


def failed(findings: Sequence[Finding], tree: Path | str) -> CheckError:
    """The error that a build ends with when some of the findings are errors."""
    wrong = errors(findings)
    return CheckError(
        f"{tree}: expected nothing that the policy forbids, found {len(wrong)} of it",
        details=[str(finding) for finding in wrong],
        hint="change what the findings name, or, with a reason, the policy",
    )


def shown(text: str) -> str:
    """``text`` for people: what is not printable, such as a name's bytes that are not UTF-8, as escapes."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    code = ord(char)
    # What Python makes of a byte that is not UTF-8 (PEP 383).
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else char.encode("unicode_escape").decode("ascii")
