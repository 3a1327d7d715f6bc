"""The gate in front of what goes out: only a tree that passed the audit gets through, and only as it was then."""

from __future__ import annotations

from dataclasses import InitVar, dataclass
from pathlib import Path

from packager import trees
from packager.audit.facts import Known
from packager.audit.model import Finding, errors, failed
from packager.audit.policy import Policy
from packager.audit.run import audit
from packager.errors import CheckError

#: Who has it may say that a tree passed.
_PASS = object()


@dataclass(frozen=True, slots=True)
class AuditedTree:
    """A tree without errors. Only :func:`pass_or_fail` makes one; TypeError anywhere else.

    ``digest`` is of its content when it was looked at; ``notes`` are the findings that are no errors.
    """

    _folder: Path
    digest: str
    notes: tuple[Finding, ...]
    by: InitVar[object]

    def __post_init__(self, by: object) -> None:
        if by is not _PASS:
            raise TypeError("an AuditedTree comes from packager.audit.pass_or_fail, and from nowhere else")

    def folder(self) -> Path:
        """The tree's folder. Raises CheckError when anything in it is not as it was when it passed."""
        if trees.content_digest(self._folder) != self.digest:
            raise CheckError(
                f"{self._folder}: expected the files that passed the audit, found that some have changed since",
                hint="let nothing write there while a bundle is built, and build again",
            )
        return self._folder


def pass_or_fail(
    tree: Path, policy: Policy, epoch: int, known: Known | None = None, *, name: str | None = None
) -> AuditedTree:
    """Audit ``tree``; CheckError with all errors when there are any, in which it is called ``name``.

    The other arguments, and what else is raised, are those of :func:`packager.audit.audit`.
    """
    # First the digest: what changes while the audit looks is then seen, too.
    digest = trees.content_digest(tree) if tree.is_dir() else ""
    findings = audit(tree, policy, epoch, known)
    if errors(findings):
        raise failed(findings, name or tree)
    return AuditedTree(tree, digest, findings, _PASS)
