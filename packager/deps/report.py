"""The words of the findings: each function makes one kind of them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from packager.deps.model import Finding, Via
from packager.deps.sxs import REDISTRIBUTABLE, Assembly
from packager.pe.imports import Symbol

_PYTHON = re.compile(r"(lib)?python3[.\d]*t?(_d)?\.dll", re.IGNORECASE)
_SHOWN_NAMES = 5


def missing_dll(
    file: str, name: str, via: Via, looked: Sequence[str], *, elsewhere: str | None, beside: bool, kind: str | None
) -> Finding:
    """``name`` is found nowhere. ``looked`` are the folders, ``elsewhere`` a file of that name in another.

    ``beside``: that one lies beside the importer. A delay load does not look there, but finds what has been loaded by
    then, which cannot be told from the files.
    """
    if kind == "redistributable":
        hint = "it is not part of Windows: ship the redistributable DLL beside the file, or link it statically"
    elif elsewhere is not None:
        hint = f"{elsewhere} is not where it is looked for: move it, or name its folder with --search"
    elif _PYTHON.fullmatch(name):
        hint = "it is the interpreter's: name the folder of the Python that loads the file with --search"
    else:
        hint = "ship it beside the file, link it statically, or name its folder with --search"
    delayed = via == "delay-import"
    where = f"not in {', '.join(dict.fromkeys(looked))}, and not" if looked else "not"
    return Finding(
        "missing-dll",
        "warning" if delayed and beside else "error",
        file,
        name,
        None,
        f"{'delay-loads' if delayed else 'imports'} {name}, which is {where} known to be part of any Windows",
        hint,
    )


def unresolved_api_set(file: str, name: str, via: Via, known: bool) -> Finding:
    """An API set that is not in the schema, or that has no host."""
    optional = via == "delay-import" and name.lower().startswith("ext-")
    found = "which is known, but leads to no DLL" if known else "which is in no known API-set schema"
    return Finding(
        "unresolved-api-set",
        "warning" if optional else "error",
        file,
        name,
        None,
        f"imports the API set {name}, {found}",
        "check the name; link with the import library of the DLL itself instead, such as kernel32.lib",
    )


def missing_symbol(file: str, name: str, host: str, symbol: Symbol, chain: Sequence[str], windows: bool) -> Finding:
    """The DLL is there, the function is not. ``host`` is the DLL that was looked into, ``name`` what is imported."""
    through = f" (an API set of {host})" if host.lower() != name.lower() else ""
    by = "by the ordinal" if symbol.name is None else ""
    what = f"imports {symbol} from {name}{through}" if not by else f"imports number {symbol.ordinal} of {name}{through}"
    found = f"which forwards it along {' -> '.join(chain)}, where it ends" if chain else "which does not export it"
    if windows and not chain:
        found = "in which no Windows is known to have it"
    return Finding(
        "missing-ordinal" if symbol.name is None else "missing-symbol",
        "error",
        file,
        name,
        str(symbol),
        f"{what}, {found}",
        "ship the version of the DLL that the file was linked with, or link the file again",
    )


def forwarder_loop(file: str, dll: str, symbol: Symbol, chain: Sequence[str]) -> Finding:
    """A forwarded export that leads back to itself."""
    return Finding(
        "forwarder-loop",
        "error",
        file,
        dll,
        str(symbol),
        f"{symbol} of {dll} is forwarded in a circle: {' -> '.join(chain)}",
        "make one of them export code",
    )


def broken_forwarder(file: str, symbol: Symbol, chain: Sequence[str]) -> Finding:
    """A forwarded export that leads to nothing. Whoever asks for it gets an error of its own; else it does no harm."""
    return Finding(
        "broken-forwarder",
        "warning",
        file,
        None,
        str(symbol),
        f"exports {symbol} as {' -> '.join(chain)}, which is not exported there",
        "leave it out of the exports, or ship the version of the DLL that has it",
    )


def forwarder_to_nowhere(file: str, dll: str, names: Sequence[str]) -> Finding:
    """Forwarded exports whose DLL is missing."""
    more = f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else ""
    return Finding(
        "broken-forwarder",
        "warning",
        file,
        dll,
        None,
        f"forwards {', '.join(names[:_SHOWN_NAMES])}{more} to {dll}, which is missing",
        "ship it beside the file, or name its folder with --search",
    )


def wrong_machine(file: str, other: str, machine: str, process: str) -> Finding:
    """``file`` (an importer, or the program) gets ``other``, whose code its process cannot run."""
    return Finding(
        "wrong-machine",
        "error",
        file,
        other,
        None,
        f"{other}, which is for {machine}, would be loaded into a process for {process}",
        f"put the {process} build of it there",
    )


def broken_file(file: str, error: str) -> Finding:
    """A file that is named, or begins, like a PE file and cannot be read as one."""
    return Finding("broken-file", "error", file, None, None, error, "build or fetch the file again, or leave it out")


def broken_manifest(file: str, error: str) -> Finding:
    """A manifest that cannot be read."""
    return Finding("broken-file", "error", file, None, None, error, "embed a manifest that is sound, or none")


def missing_assembly(file: str, assembly: Assembly) -> Finding:
    """A side-by-side assembly that is neither Windows' nor in the tree."""
    redistributable = assembly.name.lower().startswith(REDISTRIBUTABLE)
    return Finding(
        "missing-assembly",
        "error",
        file,
        assembly.name,
        None,
        f"needs the side-by-side assembly {assembly}, which is not there: Windows then refuses to load the file",
        "an installer of Visual C++'s run-time brings it: ship it in a folder of its name with its manifest"
        if redistributable
        else "ship it in a folder of its name with its manifest",
    )


def case_twin(file: str, first: str) -> Finding:
    """Two files that are one on Windows."""
    return Finding(
        "case-twin",
        "error",
        file,
        None,
        None,
        f"differs from {first} in upper and lower case only: on Windows both are one file, and the last one wins",
        "rename one of them or leave it out",
    )


def planted_name(file: str, name: str, bad: bool, effect: str) -> Finding:
    """A file in the tree that is called like a DLL of Windows."""
    return Finding(
        "planted-name",
        "error" if bad else "warning",
        file,
        name,
        None,
        f"{name} {effect}",
        "leave it out, or rename it if it is something else" if bad else "leave it out for Windows 10 and later",
    )
