"""In which order Windows looks for a DLL, as data, and what is found by it.

The rules are those of Microsoft's "Dynamic-link library search order" for unpackaged programs with the safe search mode
that is the default, and of LoadLibraryEx's LOAD_LIBRARY_SEARCH_* flags. CPython 3.8 and later loads extension modules,
and ctypes loads DLLs that it is given a path of, with ``LOAD_LIBRARY_SEARCH_DEFAULT_DIRS |
LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR`` (Python/dynload_win.c, Modules/_ctypes/callproc.c).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from packager.deps.model import WindowsData
from packager.deps.names import module_name
from packager.deps.windows import is_api_set
from packager.deps.world import World

#: Each rule by name, and what it says.
RULES: Mapping[str, str] = MappingProxyType(
    {
        "api-set": "the name is that of an API set, which Windows maps to a DLL of its own before it looks for files",
        "assembly": "a manifest names the side-by-side assembly that the DLL is part of",
        "loaded": "the process has loaded a DLL of that name before",
        "known-dll": "KnownDLLs: Windows takes it from System32, whatever lies elsewhere",
        "own-folder": "the folder of the file that is loaded by its path (LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR)",
        "application-folder": "the folder of the program that runs",
        "added-folder": "a folder added with os.add_dll_directory or AddDllDirectory",
        "system32": "Windows' system folder",
        "path": "a folder of PATH, after System32, Windows' folder and the current one",
    }
)

#: What a program's static imports, every ordinary delay load and LoadLibrary go through.
STANDARD = ("application-folder", "system32", "path")
#: What the static imports of a file that is loaded by its path go through, and those of the DLLs it brings.
BY_PATH = ("own-folder", "application-folder", "added-folder", "system32")

#: LOAD_LIBRARY_SEARCH_* flags, in the order in which the folders are looked into, and the rule that each stands for.
_FLAGS = (
    (0x0100, "own-folder"),
    (0x1200, "application-folder"),
    (0x1400, "added-folder"),
    (0x1800, "system32"),
)
_ANY_FLAG = 0x1F00

#: In every process before its imports are looked at.
ALWAYS_LOADED = frozenset({"ntdll.dll", "kernel32.dll", "kernelbase.dll"})


@dataclass(frozen=True, slots=True)
class Context:
    """The process that a file is loaded in. Folders are absolute paths.

    ``application`` is the folder of its program, ``own`` that of the file which was loaded by its path (empty: the
    program itself is loaded), ``added`` what was added to the search by code, ``path`` what the user said is in PATH.
    ``program`` is the program's path if it is known.
    """

    machine: str
    application: str
    own: str = ""
    added: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    program: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """One place that is looked into: by which rule, and the folder (empty: Windows' own)."""

    rule: str
    folder: str


@dataclass(frozen=True, slots=True)
class Found:
    """What the search gives.

    ``rule`` is None when nothing is found. ``path`` is the file, or empty where it is Windows' ``dll`` (lower case).
    ``before`` are the folders that were looked into in vain; ``dll`` is empty for an API set without a host.
    """

    rule: str | None
    path: str = ""
    dll: str = ""
    before: tuple[str, ...] = ()


def places(context: Context, importer_folder: str, *, delayed: bool, load_flags: int) -> tuple[Place, ...]:
    """Where the imports of a file in ``importer_folder`` are looked for; a folder that comes twice counts once.

    ``load_flags`` (of the importer's load configuration, or with which it loads what is delayed) replace the order.
    """
    flags = load_flags & _ANY_FLAG
    if flags:
        rules: Sequence[str] = [rule for flag, rule in _FLAGS if flags & flag]
    else:
        rules = BY_PATH if context.own and not delayed else STANDARD
    folders = {
        "own-folder": (importer_folder if flags else context.own,),
        "application-folder": (context.application,),
        "added-folder": context.added,
        "system32": ("",),
        "path": context.path,
    }
    seen: dict[str, Place] = {}
    for rule in rules:
        for folder in folders[rule]:
            seen.setdefault(folder, Place(rule, folder))
    return tuple(seen.values())


def find(
    name: str,
    where: Sequence[Place],
    world: World,
    windows: WindowsData,
    *,
    importer: str | None = None,
    redirected: Mapping[str, str] | None = None,
    loaded: Mapping[str, str] | None = None,
) -> Found:
    """Look for the DLL that is called ``name`` in a file, in the places of :func:`places`.

    ``importer`` is the importing file's name in lower case: a few API sets lead elsewhere for some. ``redirected`` maps
    the DLLs of side-by-side assemblies, in lower case, to their files, and ``loaded`` those that the process has; an
    empty file means Windows'. The loader asks for what is loaded before it searches. Here that comes last, so that the
    rule which would find the file is the one that is told.
    """
    wanted = module_name(name)
    dll = wanted.lower()
    if is_api_set(dll):
        host = windows.api_set(dll, importer)
        if host is not None:
            return Found("api-set", dll=host)
    if redirected and (path := redirected.get(dll)) is not None:
        return Found("assembly", path, "" if path else dll)
    if dll in windows.known_dlls:
        return Found("known-dll", dll=dll)
    before: list[str] = []
    for place in where:
        if place.folder:
            if (file := world.find(place.folder, wanted)) is not None:
                return Found(place.rule, file, before=tuple(before))
            before.append(place.folder)
        elif windows.has(dll):
            return Found(place.rule, dll=dll, before=tuple(before))
    if loaded and (path := loaded.get(dll)) is not None:
        return Found("loaded", path, "" if path else dll, tuple(before))
    return Found(None, dll=dll, before=tuple(before))
