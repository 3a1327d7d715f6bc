"""Side-by-side assemblies: what a manifest asks for, and which of them Windows or a run-time's installer provides.

The format is Microsoft's "Application manifests" and "Assembly manifests". Windows looks for an assembly in WinSxS,
then for ``NAME.dll``, ``NAME.manifest``, ``NAME\\NAME.dll`` and ``NAME\\NAME.manifest`` in the application's folder
("Assembly searching sequence"). An assembly that it does not find keeps the program from starting (error 14001).
"""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from dataclasses import dataclass
from xml.etree import ElementTree

from packager.errors import PEError

#: A manifest has some hundred lines at most.
MOST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Assembly:
    """An assembly's identity, as far as it is looked at here."""

    name: str
    version: str
    machine: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}".rstrip()


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a manifest says: the assembly that it describes, those that it needs, and the files that it consists of."""

    identity: Assembly | None
    needs: tuple[Assembly, ...]
    files: tuple[str, ...]


#: Assemblies that every Windows has in WinSxS, by name in lower case, and the DLLs that come out of them.
WINDOWS: Mapping[str, tuple[str, ...]] = {
    "microsoft.windows.common-controls": ("comctl32.dll",),
    "microsoft.windows.gdiplus": ("gdiplus.dll",),
    "microsoft.windows.systemcompatible": ("comctl32.dll",),
    "microsoft.windows.networking.dxmrtp": ("dxmrtp.dll",),
    "microsoft.windows.networking.rtcdll": ("rtcdll.dll",),
    "microsoft.windows.winhttp": ("winhttp.dll",),
}

#: Those that an installer of Visual C++'s run-time brings, by the beginning of their names in lower case.
REDISTRIBUTABLE = ("microsoft.vc80.", "microsoft.vc90.", "policy.8.0.microsoft.vc80.", "policy.9.0.microsoft.vc90.")


def parse(data: bytes) -> Manifest:
    """Read a manifest. Raises PEError when it is no XML, declares entities, or is larger than a megabyte."""
    if len(data) > MOST_BYTES:
        raise PEError(f"manifest: expected {MOST_BYTES} bytes at most, found {len(data)}")
    try:
        wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        text: str | bytes = data.decode("utf-16").strip("\0 \r\n\t") if wide else data.strip(b"\0 \r\n\t")
        # A manifest has no use for a document type; expat would expand its entities.
        if ("<!DOCTYPE" in text) if isinstance(text, str) else (b"<!DOCTYPE" in text):
            raise PEError("manifest: expected XML without a document type, found one")
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError, LookupError) as exc:
        raise PEError(f"manifest: expected XML, found: {exc}") from exc
    needs = [
        assembly
        for element in root.iter()
        if _local(element) == "dependentAssembly" and (assembly := _identity(element)) is not None
    ]
    files = tuple(name for element in root if _local(element) == "file" and (name := element.get("name")))
    return Manifest(_identity(root), tuple(dict.fromkeys(needs)), files)


def _identity(parent: ElementTree.Element) -> Assembly | None:
    for child in parent:
        if _local(child) == "assemblyIdentity" and (name := child.get("name")):
            return Assembly(name, child.get("version", ""), child.get("processorArchitecture", ""))
    return None


def _local(element: ElementTree.Element) -> str:
    """An element's name without its namespace: manifests have several for the same elements (asm.v1 to asm.v3)."""
    return str(element.tag).rpartition("}")[2]
