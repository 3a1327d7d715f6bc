"""A small Windows for tests, and folders of PE files made in memory."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from packager.deps.graph import analyse
from packager.deps.model import Finding, Graph
from packager.deps.windows import Exports, contract
from packager.pe.layout import Directory, read_layout
from tests.pe.build import Dll, build, put
from tests.pe.build import Exports as Exported
from tests.support import write


@dataclass(frozen=True)
class FakeWindows:
    """Windows with three DLLs that matter here, two API sets, and one DLL that only installers bring."""

    known_dlls: frozenset[str] = frozenset({"kernel32.dll", "ws2_32.dll"})
    origin: str = "known to some Windows, by this test"
    versions: tuple[str, ...] = ("Windows 7", "Windows 10")
    dlls: Mapping[str, Exports] = field(
        default_factory=lambda: {
            "kernel32.dll": Exports(frozenset({"ExitProcess", "Sleep", "New"}), {}, complete=True),
            "ws2_32.dll": Exports(frozenset({"send"}), {1: "accept", 115: "WSAStartup"}, True, 120),
            "version.dll": Exports(frozenset({"VerQueryValueW"}), {}, complete=True),
            "ucrtbase.dll": Exports(frozenset({"malloc"}), {}, complete=True),
            "comctl32.dll": Exports(frozenset({"InitCommonControls"}), {}, complete=True),
            "vague.dll": Exports(frozenset(), {}, complete=False),
        }
    )
    api_sets: Mapping[str, str] = field(
        default_factory=lambda: {
            "api-ms-win-crt-heap-l1-1": "ucrtbase.dll",
            "api-ms-win-core-file-l1-1": "kernel32.dll",
            "ext-ms-win-none-l1-1": "",
        }
    )

    def has(self, dll: str) -> bool:
        return dll in self.dlls

    def kind(self, dll: str) -> str | None:
        return "redistributable" if dll == "vcruntime140.dll" else "system" if self.has(dll) else None

    def exports(self, dll: str, machine: str) -> Exports | None:
        return self.dlls.get(dll) if machine == "x86_64" else None

    def api_set(self, name: str, importer: str | None = None) -> str | None:
        assert importer is None or importer == importer.lower()
        return self.api_sets.get(contract(name))

    def since(self, dll: str, symbol: str | None = None) -> str | None:
        return {("kernel32.dll", None): "Windows 7", ("kernel32.dll", "New"): "Windows 10"}.get((dll, symbol))


WINDOWS = FakeWindows()


def program(*dlls: Dll | str, **options: object) -> bytes:
    """A program that imports these DLLs; of one that is only a name it imports ``one``."""
    imports = [Dll(dll, ("one",)) if isinstance(dll, str) else dll for dll in dlls]
    return build(None, imports=imports, dll=False, **options)


def library(*exports: str | tuple[str | None, str | None], imports: Sequence[Dll] = (), **options: object) -> bytes:
    """A DLL that exports these names (default: ``one``); pairs are a name, or None, and a forwarder."""
    functions = [(export, None) if isinstance(export, str) else export for export in exports or ("one",)]
    return build(None, exports=Exported(functions, base=1), imports=imports, **options)


def with_load_config(data: bytes, config: bytes) -> bytes:
    """``data``, which was built with ``text`` long enough, with a load configuration in that text."""
    layout = read_layout(data)
    text = layout.sections[0].rva + 16
    offset = layout.offset(text, len(config), "text")
    directory = layout.directories[Directory.LOAD_CONFIG].offset
    return put(put(data, offset, config), directory, struct.pack("<II", text, len(config)))


def with_load_flags(data: bytes, flags: int) -> bytes:
    """A PE32+ file that was built with ``text=bytes(0x60)``, linked with /DEPENDENTLOADFLAG."""
    return with_load_config(data, struct.pack("<I", 0x60).ljust(0x4E, b"\0") + struct.pack("<H", flags) + bytes(0x10))


def folder(top: Path, files: Mapping[str, bytes]) -> Path:
    """Write files below ``top``, by path."""
    for name, content in files.items():
        write(top / name, content)
    return top


def graph_of(top: Path, files: Mapping[str, bytes], *, search: Sequence[Path] = ()) -> Graph:
    """The graph of a folder of these files."""
    return analyse([folder(top, files)], WINDOWS, search)


def told(findings: Sequence[Finding]) -> list[tuple[str, str, str | None, str | None]]:
    """Kind, file, DLL and symbol of each finding."""
    return [(finding.kind, finding.file, finding.dll, finding.symbol) for finding in findings]
