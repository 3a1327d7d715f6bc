"""Module definition files (``.def``), as mingw-w64 makes its import libraries from them.

The grammar is that of ``dlltool``: ``NAME [= internal] [@ordinal] [NONAME] [CONSTANT] [DATA] [PRIVATE] [== import]``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from packager.errors import BuildError

_LIBRARY = re.compile(r'^\s*(?:LIBRARY|NAME)\s+"?([^"\s]+)"?', re.IGNORECASE)
_EXPORT = re.compile(
    r"""^\s*(?P<name>[^\s=]+)
    (?:\s*=\s*(?P<internal>[^\s=]+))?
    (?:\s+@(?P<ordinal>\d+))?
    (?P<words>(?:\s+(?:NONAME|CONSTANT|DATA|PRIVATE))*)
    (?:\s*==\s*(?P<real>\S+))?\s*$""",
    re.VERBOSE,
)
#: A LIBRARY statement without one of these means a .dll; API sets and some others are written so.
_ENDINGS = (".dll", ".exe", ".sys", ".drv", ".cpl", ".ocx", ".ax")
_ORDINAL_ONLY = re.compile(r"^ord(?:inal)?_?\d+$", re.IGNORECASE)
_DECORATED = re.compile(r"^@?([^@?]+)@\d+$")


@dataclass(frozen=True, slots=True)
class Export:
    """One exported function or variable. ``ordinal`` only where the file fixes it; ``name`` is None for NONAME."""

    name: str | None
    ordinal: int | None


@dataclass(frozen=True, slots=True)
class Definition:
    """What one file says: the DLL, in lower case with an extension, and its exports."""

    dll: str
    exports: tuple[Export, ...]


def parse(text: str, file: str) -> Definition | None:
    """Read a definition file; None where it names no DLL or exports nothing. Raises BuildError with file and line.

    Names are those that the import library asks the DLL for: what follows ``==``, without the decoration of 32-bit
    code (``_f@4``, ``@f@8``), which mingw-w64 has dlltool take off (``--kill-at``). The stand-ins ``ord_12`` of
    functions that have no name become ordinals without one.
    """
    library = ""
    exports: list[Export] = []
    inside = False
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.partition(";")[0].rstrip()
        if not line.strip():
            continue
        if match := _LIBRARY.match(line):
            library, inside = match[1].lower(), False
        elif re.match(r"^\s*EXPORTS\s*$", line, re.IGNORECASE):
            inside = True
        elif re.match(r"^\s*(DESCRIPTION|VERSION|SECTIONS|STUB|HEAPSIZE|STACKSIZE)\b", line):
            inside = False
        elif inside:
            exports.append(_export(line, f"{file}:{number}"))
    if not library or not exports:
        return None
    return Definition(library if library.endswith(_ENDINGS) else f"{library}.dll", tuple(exports))


def _export(line: str, where: str) -> Export:
    match = _EXPORT.match(line)
    if match is None:
        raise BuildError(f"{where}: expected an export, found {line.strip()}")
    ordinal = int(match["ordinal"]) if match["ordinal"] else None
    name = match["real"] or undecorated(match["name"])
    if ordinal is not None and ("NONAME" in match["words"].split() or _ORDINAL_ONLY.match(name)):
        return Export(None, ordinal)
    return Export(name, ordinal)


def undecorated(name: str) -> str:
    """``name`` without the decoration that 32-bit calling conventions add; C++ names keep their ``@``."""
    match = _DECORATED.match(name)
    return match[1] if match else name
