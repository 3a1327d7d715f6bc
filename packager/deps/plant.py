"""Whether a file that somebody plants would be loaded in a DLL's place.

A portable bundle lies where its user can write, so every folder counts as one that can be written to, but for Windows'
own. What is already loaded, what Windows maps or takes from System32 by itself, and what is in the first folder that is
looked into, cannot be displaced by a new file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from packager.deps.model import WindowsData
from packager.deps.search import Found
from packager.deps.windows import is_api_set

#: DLLs that Windows has, and that programs may bring all the same, each with what says so.
SHIPPABLE: Mapping[str, str] = MappingProxyType(
    {
        "ucrtbase.dll": "app-local deployment of the Universal CRT, for Windows before 10",
        "d3dcompiler_47.dll": "a redistributable of the Windows SDK",
        "dbghelp.dll": "a redistributable of the Debugging Tools for Windows",
        "dbgcore.dll": "a redistributable of the Debugging Tools for Windows",
        "directml.dll": "a redistributable of its own, newer than Windows'",
    }
)
#: The API sets of the Universal CRT, for which the same holds.
_SHIPPABLE_API_SETS = "api-ms-win-crt-"

_SYSTEM_ONLY = 0x0800
_ANY_OTHER = 0x1700


def plantable(
    found: Found,
    name: str,
    loaded: Mapping[str, str],
    load_flags: int,
    show: Callable[[str], str],
    *,
    delayed: bool = False,
) -> tuple[bool, str]:
    """Whether a planted file would be loaded for ``name`` (in lower case), and how, or what keeps it from being.

    ``loaded`` are the DLLs that the process has before, ``load_flags`` the importer's for what is imported like this,
    ``delayed`` or not; ``show`` makes a folder's path one to be read.
    """
    if found.rule == "api-set":
        return False, "Windows maps API sets itself"
    if found.rule == "known-dll":
        return False, "a KnownDLL always comes from System32"
    if found.rule == "assembly":
        return False, "a manifest binds it to a side-by-side assembly"
    if found.rule == "loaded" or name in loaded:
        return False, "the process has loaded it before"
    if found.before:
        others = "instead" if found.rule else "as there is no other"
        return True, f"a file of that name in {show(found.before[0])} would be loaded {others}"
    if found.rule is None:
        return True, "a file of that name in the current folder or one of PATH would be loaded"
    if found.path:
        return False, "it lies in the first folder that is looked into"
    if load_flags & _SYSTEM_ONLY and not load_flags & _ANY_OTHER:
        if delayed:
            return False, "the importer loads it when it is called first, from System32 only"
        return False, "the importer is linked with /DEPENDENTLOADFLAG:0x800, so only System32 is looked into"
    return False, "System32 is looked into first"


def takes_windows_name(name: str, windows: WindowsData) -> tuple[bool, str] | None:
    """What to think of a file with the name of one of Windows' DLLs (in lower case); None: Windows has no such DLL.

    Gives whether a program has no business to bring it, and what becomes of the file, in words. Of some DLLs nothing
    but the name is known; those are mostly libraries that programs bring too (``zlib1.dll``).
    """
    bad = name not in SHIPPABLE
    if is_api_set(name):
        if windows.api_set(name) is None:
            return None
        bad = not name.startswith(_SHIPPABLE_API_SETS)
        effect = "is the name of an API set: Windows never loads the file"
    elif name in windows.known_dlls:
        effect = "is a KnownDLL: Windows never loads the file"
    elif windows.has(name):
        effect = "is one of Windows' own DLLs: the file is loaded in its place"
        exports = windows.exports(name, "x86_64")
        bad = bad and exports is not None and bool(exports.names)
    else:
        return None
    reason = SHIPPABLE.get(name)
    return bad, effect if reason is None else f"{effect} ({reason})"
