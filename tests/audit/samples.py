"""A small bundle in which nothing is wrong, made in memory, and the means to spoil it."""

from __future__ import annotations

import marshal
import struct
from collections.abc import Mapping
from importlib.util import MAGIC_NUMBER
from pathlib import Path

import msgspec

from packager.audit import AuditedTree, Finding, Known, Policy, audit, gate, load_policy
from packager.manifest import SourceRecord
from packager.pe.layout import read_layout
from packager.pe.normalise import normalise
from packager.trees import content_digest
from tests.pe.build import Dll, Exports, build, put
from tests.support import write as write_file

EPOCH = 1735689600
ROOT = Path(__file__).parents[2]
POLICY_FILE = ROOT / "bundle_specs" / "policy" / "windows.toml"

GUARD_CF, NX_COMPAT, DYNAMIC_BASE, HIGH_ENTROPY_VA = 0x4000, 0x100, 0x40, 0x20
HARDENED = GUARD_CF | NX_COMPAT | DYNAMIC_BASE | HIGH_ENTROPY_VA
EXECUTABLE, WRITABLE, READ_ONLY = 0x60000020, 0xE0000020, 0x40000040
RELOCATIONS, LOAD_CONFIG = 5, 10

#: What is imported of a DLL unless a test says otherwise.
FUNCTIONS = {
    "kernel32.dll": "ExitProcess",
    "version.dll": "VerQueryValueW",
    "crypt32.dll": "CertOpenStore",
    "user32.dll": "MessageBoxW",
    "urlmon.dll": "CoInternetGetSession",
    "api-ms-win-crt-runtime-l1-1-0.dll": "exit",
    "python313.dll": "Py_Main",
}


def pe(
    *dlls: str | Dll,
    exports: Exports | None = None,
    flags: int = HARDENED,
    section: int = EXECUTABLE,
    stripped: bool = False,
    relocated: bool = True,
    version: tuple[int, int] = (10, 0),
    text: bytes = b"",
    epoch: int | None = EPOCH,
    load_flags: int = 0,
    **options: object,
) -> bytes:
    """A PE file that imports ``dlls``, exports ``one``, and is hardened and normalised unless the options say so."""
    if load_flags:
        text = bytes(4) + (struct.pack("<I", 0x60).ljust(0x4E, b"\0") + struct.pack("<H", load_flags)).ljust(
            0x60, b"\0"
        )
    data = build(
        None,
        imports=[
            dll if isinstance(dll, Dll) else Dll(dll, (FUNCTIONS.get(dll.lower(), "one"),)) for dll in dlls
        ],
        exports=exports or Exports((("one", None),), base=1),
        text=struct.pack("<IIHH", 0x1000, 12, 0, 0) + text,
        **options,
    )  # fmt: skip
    layout = read_layout(data)
    optional = layout.pe_offset + 24
    data = put(data, optional + 48, struct.pack("<HH", *version))
    data = put(data, optional + 70, struct.pack("<H", flags))
    data = put(data, layout.headers_end - 4, struct.pack("<I", section))
    if load_flags:
        data = put(data, layout.directories[LOAD_CONFIG].offset, struct.pack("<II", 0x1020, 0x60))
    if relocated:
        data = put(data, layout.directories[RELOCATIONS].offset, struct.pack("<II", 0x1010, 12))
    if stripped:
        data = put(data, layout.pe_offset + 22, struct.pack("<H", layout.characteristics | 1))
    return data if epoch is None else normalise(data, epoch, signed="keep").data


def pyc(file: str = "electrum/x.py", flags: int = 1, source: str = "def f():\n    return '/'\n") -> bytes:
    """A compiled module as the ``packager`` ships it."""
    return MAGIC_NUMBER + struct.pack("<I", flags) + b"8 bytes!" + marshal.dumps(compile(source, file, "exec"))


def source(name: str, kind: str) -> SourceRecord:
    digest = f"sha256:{'0' * 64}"
    return msgspec.convert(
        {
            "name": name,
            "version": "1",
            "kind": kind,
            "licence": "MIT",
            "purl": f"pkg:generic/{name}@1",
            "digest": digest,
        },
        SourceRecord,
    )


FILES: Mapping[str, tuple[str, bytes]] = {
    "bundle.json": ("launcher", b'{"python": "python/python.exe"}'),
    "electrum.exe": ("launcher", pe("KERNEL32.dll", "api-ms-win-crt-runtime-l1-1-0.dll", dll=False, load_flags=0x800)),
    "python/python.exe": ("cpython", pe("python313.dll", "KERNEL32.dll", dll=False, load_flags=0xA00)),
    "python/python313.dll": (
        "cpython",
        pe(
            "KERNEL32.dll", "VERSION.dll", exports=Exports((("Py_Main", None),), name="python313.dll"), load_flags=0x800
        ),
    ),
    "python/DLLs/_ssl.pyd": ("cpython", pe("Python313.DLL", "CRYPT32.dll", "helper.dll", load_flags=0x900)),
    "python/DLLs/helper.dll": ("cpython", pe("KERNEL32.dll", load_flags=0x800)),
    "app/electrum/__init__.pyc": ("electrum", pyc()),
    "app/electrum/readme.txt": ("electrum", b"See https://example.org/home/ and https://example.org/build/x.\n"),
    "licenses/electrum/LICENCE": ("electrum", b"MIT"),
    "licenses/cpython/LICENSE": ("cpython", b"PSF"),
    "licenses/launcher/LICENSE": ("launcher", b"GPL"),
    "licenses/attrs/LICENSE": ("attrs", b"MIT"),
}
SOURCES = (
    source("electrum", "application"),
    source("cpython", "component"),
    source("launcher", "launcher"),
    source("attrs", "dependency"),
)
KNOWN = Known(SOURCES, {path: name for path, (name, _data) in FILES.items()})


def sound(root: Path) -> Path:
    """Make the bundle below ``root``."""
    for name, (_source, content) in FILES.items():
        write(root, name, content)
    return root


def write(root: Path, name: str, content: bytes, mode: int = 0o644) -> None:
    """Put one file into the bundle, and the folders above it, all with the modes that they should have."""
    path = write_file(root / name, content)
    path.chmod(mode)
    for folder in path.parents:
        folder.chmod(0o755)
        if folder == root:
            break


def shipped_policy() -> Policy:
    """The project's own policy."""
    return load_policy(POLICY_FILE)


def policy() -> Policy:
    """The same with no more of Windows' DLLs than the bundle needs, which files that tests add may find in any way."""
    whole = shipped_policy()
    reasons = {"version.dll": "a test", "crypt32.dll": "a test"}
    used = {*reasons, "kernel32.dll", "api-ms-win-crt-runtime-l1-1-0.dll"}
    dlls = [
        msgspec.structs.replace(dll, plantable=reasons.get(dll.name)) for dll in whole.system_dlls if dll.name in used
    ]
    return msgspec.structs.replace(whole, system_dlls=tuple(dlls), load_flags=False)


def examine(root: Path, **changes: object) -> tuple[Finding, ...]:
    """The findings about the bundle under the test's policy with ``changes``; all of its sources are known."""
    return audit(root, msgspec.structs.replace(policy(), **changes), EPOCH, known_with(root))


def known_with(root: Path) -> Known:
    """What is known of the bundle's files; those that a test adds are the interpreter's."""
    added = {path.relative_to(root).as_posix(): "cpython" for path in root.rglob("*")}
    return Known(SOURCES, {**added, **KNOWN.provenance})


def passed(tree: Path) -> AuditedTree:
    """A tree of a test's that nobody audited: for tests of what is done with one."""
    return AuditedTree(tree, content_digest(tree), (), gate._PASS)
