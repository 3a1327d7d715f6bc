"""What can go wrong, as types: each class has the exit code that the command line ends with.

Library code raises these; only ``cli`` renders them. A message says where, what was expected, what was found and what
to do next, in that order and as far as each applies.
"""

from __future__ import annotations

from collections.abc import Sequence


class PackagerError(Exception):
    """Base of every error that the packager raises on purpose."""

    exit_code = 4

    def __init__(self, message: str, *, hint: str | None = None, details: Sequence[str] = ()) -> None:
        """``message`` is one sentence; ``hint`` is what to do next; ``details`` are further lines (a log's end)."""
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = tuple(details)

    def __str__(self) -> str:
        lines = [self.message, *(f"  {line}" for line in self.details)]
        if self.hint:
            lines.append(f"  what to do: {self.hint}")
        return "\n".join(lines)


class CheckError(PackagerError):
    """A check found something: a mismatch, an unresolved DLL, a finding."""

    exit_code = 1


class SpecError(PackagerError):
    """A specification or the command line is wrong."""

    exit_code = 2

    @classmethod
    def at(cls, file: str, key: str, expected: str, found: str, *, hint: str | None = None) -> SpecError:
        """The common form: which key of which file, what belongs there and what stands there."""
        where = f"{file}: {key}" if key else file
        return cls(f"{where}: expected {expected}, found {found}", hint=hint)


class SourceError(PackagerError):
    """A source could not be had, or is not what its hash or signature says."""

    exit_code = 3


class BuildError(PackagerError):
    """A step of the build failed."""

    exit_code = 4


class PEError(PackagerError):
    """A file is not a PE image that can be read or changed safely."""

    exit_code = 4


class MachineError(PackagerError):
    """This machine lacks something: a program, a kernel feature, disk space."""

    exit_code = 5
