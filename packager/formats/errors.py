"""What a file that is not of its format raises."""

from __future__ import annotations

from packager.errors import PackagerError


class FormatError(PackagerError):
    """A file is not of the format that it should be, or is broken, so that it cannot be changed safely."""

    exit_code = 4

    @classmethod
    def at(cls, offset: int, expected: str, found: str, *, hint: str | None = None) -> FormatError:
        """The common form: at which file offset, what belongs there and what stands there."""
        return cls(f"offset {offset:#x}: expected {expected}, found {found}", hint=hint)
