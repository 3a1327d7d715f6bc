"""A difference, as a value."""

from __future__ import annotations

from dataclasses import dataclass

#: The detail of a folder that only one side has; what lies in it follows, each on its own.
FOLDER = "a folder"


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not the same in A and in B.

    ``path`` is where, relative, with ``/``; what lies in an archive follows ``!/``; empty for the compared file or
    archive itself. ``what`` names the field, or says all there is to say when ``a`` and ``b`` are both None
    (``only in A``). ``a`` and ``b`` are the two values as shown, None where one side has none. ``detail`` is an
    explanation for people. ``offset`` is where it lies in A's file, in bytes (B's, for what only B has), where that
    is known; inside a ``.tar.*`` itself, in the tar without its compression.
    """

    path: str
    what: str
    a: str | None = None
    b: str | None = None
    detail: str = ""
    offset: int | None = None
