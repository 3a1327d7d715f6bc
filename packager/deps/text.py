"""Lines of text in parts, each with the meaning that a terminal may show in colour."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

#: ``name``: a module; ``head``: a heading; ``dim``: less important; ``bad``: an error; ``warn``: a warning.
Style = Literal["", "name", "head", "dim", "bad", "warn"]
#: The parts of one line.
Line = tuple[tuple[str, Style], ...]


def plain(lines: Iterable[Line]) -> str:
    """The lines without their styles, each with its line end."""
    return "".join("".join(text for text, _style in line).rstrip() + "\n" for line in lines)


def clean(text: str) -> str:
    """A name out of a file as one that can be printed: control characters are shown as ``\\x..``."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)
