"""Wine's ``.spec`` files: what its DLLs export, ordinals, and names that Windows has but Wine only stubs.

The format is documented in winebuild(1). Lines that are commented out in the form of an entry (``# @ stub Name``) are
names that Wine's people saw in Windows and had no need of: they count too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from packager.deps.windows import MACHINES, contract
from packager.errors import BuildError

_ALL = frozenset(MACHINES)
_ARCHITECTURES = {
    "i386": frozenset({"i686"}),
    "x86_64": frozenset({"x86_64"}),
    "arm64": frozenset({"arm64"}),
    "win32": frozenset({"i686"}),
    "win64": frozenset({"x86_64", "arm64"}),
    # Machines that this project does not look at.
    "arm": frozenset[str](),
    "arm64ec": frozenset[str](),
}
_ENTRY = re.compile(
    r"""^\s*(?P<hidden>\#+\s*)?(?P<ordinal>@|\d+)\s+
    (?:stdcall|cdecl|thiscall|varargs|pascal|stub|extern|variable|equate)\s+
    (?P<flags>(?:-\S+\s+)*)
    (?P<name>[^\s()\#]+)
    \s*(?:\([^)]*\))?\s*(?P<target>[^\s\#]+)?""",
    re.VERBOSE,
)
#: What leads into Windows 9x' 16-bit half was never in Windows NT.
_SIXTEEN_BITS = re.compile(r"\.(?:exe|dll|drv)16\.", re.IGNORECASE)
#: Wine's own additions; its spec files ask everybody to prefix them so.
_WINES_OWN = re.compile(r"^_*wine_", re.IGNORECASE)
_API_SET = re.compile(r"^\s*apiset\s+(\S+)\s*=\s*(.*?)\s*$")
_MODULE = re.compile(r"^\s*MODULE\s*=\s*(\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Entry:
    """One export of a spec file: its name (None: by ordinal only), ordinal where fixed, and machines that have it."""

    name: str | None
    ordinal: int | None
    machines: frozenset[str]


def parse(text: str, file: str) -> tuple[Entry, ...]:
    """The entries of a spec file, without Wine's own. Raises BuildError with file and line."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        match = _ENTRY.match(line)
        if match is None:
            if line.partition("#")[0].strip() and not _API_SET.match(line):
                raise BuildError(f"{file}:{number}: expected an export, found {line.strip()}")
            continue
        if _SIXTEEN_BITS.search(match["target"] or ""):
            continue
        flags = match["flags"].split()
        name = None if match["name"] == "@" or "-noname" in flags else match["name"]
        # A number in a comment may be from one Windows only: the name is what can be relied on.
        ordinal = None if match["ordinal"] == "@" or match["hidden"] else int(match["ordinal"])
        if (name is None and ordinal is None) or (name is not None and _WINES_OWN.match(name)):
            continue
        machines = _machines(flags)
        if machines:
            found.append(Entry(name, ordinal, machines))
    return tuple(found)


def _machines(flags: list[str]) -> frozenset[str]:
    wanted: frozenset[str] = frozenset()
    unwanted: frozenset[str] = frozenset()
    limited = False
    for flag in flags:
        text = "i386" if flag == "-i386" else flag.removeprefix("-arch=")
        if text == flag:
            continue
        limited = True
        for name in text.split(","):
            if name.startswith("!"):
                unwanted |= _ARCHITECTURES[name[1:]]
            else:
                wanted |= _ARCHITECTURES[name]
    if not limited:
        return _ALL
    return wanted | (_ALL - unwanted) if unwanted else wanted


def module(makefile: str) -> str | None:
    """The file name of what a folder of Wine's ``dlls/`` makes, in lower case, by its ``Makefile.in``."""
    match = _MODULE.search(makefile)
    return match[1].lower() if match else None


def api_sets(text: str) -> dict[str, tuple[str, dict[str, str]]]:
    """The API sets of ``apisetschema.spec``, without revision: host (may be empty) and other hosts by importer.

    A value without a colon is the host for everybody, ``importer:host`` an exception.
    """
    found = {}
    for line in text.splitlines():
        match = _API_SET.match(line)
        if match is None:
            continue
        host, importers = "", {}
        for value in match[2].lower().split():
            importer, colon, other = value.rpartition(":")
            if colon:
                importers[importer] = other
            else:
                host = value
        found[contract(match[1].lower())] = (host, importers)
    return found
