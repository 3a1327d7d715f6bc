"""Since when Windows has a function, by the conditions that mingw-w64's headers put around its declaration.

A header says ``#if _WIN32_WINNT >= 0x0602`` before what came with Windows 8. That is believed only where every mention
of the name in every header stands under such a condition; the oldest of them counts. Anything less plain (``||``,
``#else``, a macro that is not known) is taken for no condition, which means: not known. ``_WIN32_WINNT`` and ``WINVER``
cannot tell the versions of Windows 10 apart, so from there on only ``NTDDI_VERSION`` counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Set

from scripts.windows_data.preprocess import directive, lines

_TERM = re.compile(r"^\(*\s*(_WIN32_WINNT|WINVER|NTDDI_VERSION)\s*>=\s*(\w+)\s*\)*$")
_PREFIX = re.compile(r"^(_WIN32_WINNT|NTDDI)_")
_USE = re.compile(r"\b([A-Za-z_]\w*)\s*\(")
#: Windows Vista. Conditions below it also have service packs in mind, and nobody asks.
_OLDEST = 0x06000000
_WINDOWS_10 = 0x0A000000


def guarded(headers: Iterable[str], names: Set[str], macros: Mapping[str, int]) -> dict[str, int]:
    """For those of ``names`` that the conditions in ``headers`` (texts) date: NTDDI_VERSION, the oldest for each.

    ``macros`` are the values of NTDDI_VERSION by name, without NTDDI_ (``WIN8``).
    """
    found: dict[str, int] = {}
    for text in headers:
        conditions: list[int] = []
        for _, line in lines(text):
            if told := directive(line):
                _follow(conditions, *told, macros)
                continue
            version = max(conditions, default=0)
            for match in _USE.finditer(line):
                if match[1] in names:
                    found[match[1]] = min(found.get(match[1], version), version)
    return {name: version for name, version in found.items() if version}


def _follow(conditions: list[int], name: str, rest: str, macros: Mapping[str, int]) -> None:
    """Keep the stack of open conditions: the version that each demands, 0 for none."""
    match name:
        case "if":
            conditions.append(demanded(rest, macros))
        case "ifdef" | "ifndef":
            conditions.append(0)
        case "else" | "elif" if conditions:
            conditions[-1] = 0
        case "endif" if conditions:
            conditions.pop()


def demanded(expression: str, macros: Mapping[str, int]) -> int:
    """The NTDDI_VERSION that an ``#if`` demands at least; 0 where it demands none or is not plain."""
    if "||" in expression:
        return 0
    versions = [0]
    for term in expression.split("&&"):
        if match := _TERM.match(term.strip()):
            versions.append(_version(match[1], match[2], macros))
    return max(versions)


def _version(variable: str, value: str, macros: Mapping[str, int]) -> int:
    if value.lower().startswith("0x"):
        version = int(value, 16)
        short = version < 0x10000
        version <<= 16 if short else 0
        if version not in macros.values():
            return 0  # the interim numbers of previews, and service packs
    else:
        version = macros.get(_PREFIX.sub("", value), 0)
    if version < _OLDEST or (variable != "NTDDI_VERSION" and version >= _WINDOWS_10):
        return 0
    return version
