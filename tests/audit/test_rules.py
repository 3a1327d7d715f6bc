"""Each rule finds what it is there for, and nothing in a sound bundle."""

from __future__ import annotations

import io
import marshal
import os
import struct
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from packager.audit import Finding, Known, audit, errors
from packager.audit.model import Rule
from packager.audit.rules import RULES
from packager.deps.names import windows_key
from packager.formats import gzip, stored
from packager.layout import TOR_BROWSER
from packager.pe.normalise import normalise
from tests.audit import samples
from tests.audit.samples import DYNAMIC_BASE, EPOCH, HARDENED, HIGH_ENTROPY_VA, NX_COMPAT, pe, policy, pyc, write
from tests.pe.build import FULL, X86, Dll, Exports, build, rsds, with_symbols


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle in which nothing is wrong."""
    return samples.sound(tmp_path / "bundle")


def test_a_sound_bundle_has_no_findings(bundle: Path) -> None:
    assert samples.examine(bundle) == ()


def put(name: str, content: bytes, mode: int = 0o644) -> Callable[[Path], None]:
    return lambda root: write(root, name, content, mode)


@dataclass(frozen=True)
class Case:
    """How to spoil the bundle, and the one finding that this gives: file, rule, message."""

    spoil: Callable[[Path], None]
    file: str
    rule: str
    message: str
    policy: dict[str, object] = field(default_factory=dict)
    known: Callable[[Path], Known | None] = samples.known_with
    severity: str = "error"


def library(*functions: tuple[str, str | None], **options: object) -> bytes:
    return pe("KERNEL32.dll", exports=Exports(functions, base=1), **options)  # type: ignore[arg-type]


def several(*spoils: Callable[[Path], None]) -> Callable[[Path], None]:
    def spoil(root: Path) -> None:
        for each in spoils:
            each(root)

    return spoil


def from_attrs(root: Path) -> Known:
    """The extension module is a Python package's."""
    known = samples.known_with(root)
    return Known(known.sources, {**known.provenance, "app/native.pyd": "attrs"})


def without_a_source(root: Path) -> Known:
    known = samples.known_with(root)
    return Known(known.sources, {path: name for path, name in known.provenance.items() if path != "app/native.pyd"})


def more_sources(_root: Path) -> Known:
    return Known((*samples.SOURCES, samples.source("yarl", "linked")), samples.KNOWN.provenance)


FAR = "/".join(["far" * 13] * 5) + "/away"
OPENSSL = b"\0OpenSSL %s 9 Jun 2026\0"
A = "python/a.dll"
ARCHIVE = "python/python313.zip"


def archive(**members: bytes) -> Callable[[Path], None]:
    """The library's archive with a sound module and these; ``__`` in a name is a slash, ``_`` before the end a dot."""
    named = {".".join(name.replace("__", "/").rsplit("_", 1)): data for name, data in members.items()}
    return put(ARCHIVE, stored.pack({"encodings/__init__.pyc": pyc(), **named}, EPOCH))


def remade(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """The same with its bytes changed."""
    return put(ARCHIVE, change(stored.pack({"a.pyc": pyc(), "b.pyc": pyc()}, EPOCH)))


def zipfiled(method: int = zipfile.ZIP_STORED, names: Sequence[str] = ("a.pyc",), comment: bytes = b"") -> bytes:
    """An archive as zipfile makes it, with the bundle's time."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as out:
        for name in names:
            info = zipfile.ZipInfo(name, (2025, 1, 1, 0, 0, 0))
            info.compress_type = method
            out.writestr(info, b"" if name.endswith("/") else pyc())
        out.comment = comment
    return sink.getvalue()


CASES: dict[str, Case] = {
    "missing DLL": Case(
        put("python/DLLs/_x.pyd", pe("nowhere.dll")),
        "python/DLLs/_x.pyd",
        "dll-unresolved",
        "imports nowhere.dll, which is not in python/DLLs, python, and not known to be part of any Windows",
    ),
    "missing delay-loaded DLL": Case(
        put("python/DLLs/_x.pyd", pe(delay=(Dll("nowhere.dll"),))),
        "python/DLLs/_x.pyd",
        "dll-unresolved",
        "delay-loads nowhere.dll, which is not in python, and not known to be part of any Windows",
    ),
    "DLL in a folder where nobody looks": Case(
        put("app/native.pyd", pe("helper.dll")),
        "app/native.pyd",
        "dll-unresolved",
        "imports helper.dll, which is not in app, python, and not known to be part of any Windows",
    ),
    "unknown API set": Case(
        put(A, pe("api-ms-win-nothing-l1-1-0.dll")),
        A,
        "dll-unresolved",
        "imports the API set api-ms-win-nothing-l1-1-0.dll, which is in no known API-set schema",
    ),
    "DLL of Windows that is not allowed": Case(
        put(A, pe("urlmon.dll")), A, "dll-not-allowed", "imports urlmon.dll"
    ),
    "API set that is not allowed": Case(
        put(A, pe(Dll("api-ms-win-crt-heap-l1-1-0.dll", ("malloc",)))),
        A,
        "dll-not-allowed",
        "imports api-ms-win-crt-heap-l1-1-0.dll, a name for ucrtbase.dll",
    ),
    "DLL that is refused": Case(
        put(A, pe("libwinpthread-1.dll")), A, "dll-refused", "imports libwinpthread-1.dll"
    ),
    "refused DLL that is shipped": Case(
        put("python/libgcc_s_seh-1.dll", pe("KERNEL32.dll")),
        "python/libgcc_s_seh-1.dll",
        "dll-refused",
        "libgcc_s_seh-1.dll is in the bundle",
    ),
    "forwarder to a refused DLL": Case(
        put(A, library(("f", "libstdc++-6.f"))),
        A,
        "dll-refused",
        "forwards exports to libstdc++-6.dll",
    ),
    "missing function": Case(
        put(A, pe(Dll("python313.dll", ("Py_Nothing",)))),
        A,
        "symbol-missing",
        "imports Py_Nothing from python313.dll, which does not export it",
    ),
    "missing function of Windows": Case(
        put(A, pe(Dll("KERNEL32.dll", ("NoSuchThing",)))),
        A,
        "symbol-missing",
        "imports NoSuchThing from KERNEL32.dll, in which no Windows is known to have it",
    ),
    "missing ordinal": Case(
        put(A, pe(Dll("python313.dll", (77,)))),
        A,
        "symbol-missing",
        "imports number 77 of python313.dll, which does not export it",
    ),
    "forwarder loop": Case(
        put(A, library(("f", "a.f"))),
        A,
        "forwarder",
        "f of a.dll is forwarded in a circle: a.f",
    ),
    "broken forwarder": Case(
        put(A, library(("f", "python313.Py_Nothing"))),
        A,
        "forwarder",
        "exports f as python313.Py_Nothing, which is not exported there",
        severity="note",
    ),
    "name of a system DLL": Case(
        put("python/DLLs/winhttp.dll", pe("KERNEL32.dll")),
        "python/DLLs/winhttp.dll",
        "system-name",
        "winhttp.dll is one of Windows' own DLLs: the file is loaded in its place",
    ),
    "name of a KnownDLL": Case(
        put("app/kernel32.dll", library(("ExitProcess", None))),
        "app/kernel32.dll",
        "system-name",
        "kernel32.dll is a KnownDLL: Windows never loads the file",
    ),
    "DLL that can be planted": Case(
        put("app/x", b""),
        "python/DLLs/_ssl.pyd",
        "plantable",
        "imports CRYPT32.dll: a file of that name in python/DLLs would be loaded instead",
        {
            "system_dlls": tuple(
                type(dll)(dll.name, dll.reason) if dll.name == "crypt32.dll" else dll for dll in policy().system_dlls
            ),
        },
    ),
    "no load flags": Case(
        put(A, pe("KERNEL32.dll")), A, "load-flags", "its dependent load flags are not set, expected 0x800",
        {"load_flags": True},
    ),
    "load flags that let it look beside the program": Case(
        put(A, pe("KERNEL32.dll", load_flags=0xA00)), A, "load-flags",
        "its dependent load flags are 0xa00, expected 0x800", {"load_flags": True},
    ),
    "allowance that nobody uses": Case(
        put("python/DLLs/_ssl.pyd", pe("Python313.DLL", "helper.dll")),
        ".",
        "unused-allowance",
        "nothing imports crypt32.dll",
        severity="note",
    ),
    "another machine": Case(
        put("python/x86.dll", pe("KERNEL32.dll", plus=False, machine=X86)),
        "python/x86.dll",
        "machine",
        "is for i686, not for x86_64",
    ),
    "no DYNAMIC_BASE": Case(
        put(A, pe(flags=HARDENED & ~DYNAMIC_BASE)), A, "dynamic-base", "DYNAMIC_BASE is not set"
    ),
    "no HIGH_ENTROPY_VA": Case(
        put(A, pe(flags=HARDENED & ~HIGH_ENTROPY_VA)), A, "high-entropy-va", "HIGH_ENTROPY_VA is not set"
    ),
    "no NX_COMPAT": Case(put(A, pe(flags=HARDENED & ~NX_COMPAT)), A, "nx-compat", "NX_COMPAT is not set"),
    "no Control Flow Guard": Case(
        put(A, pe(flags=HARDENED & ~samples.GUARD_CF)),
        ".",
        "control-flow-guard",
        "1 of 6 PE files have no Control Flow Guard",
        severity="note",
    ),
    "relocations stripped": Case(put(A, pe(stripped=True)), A, "relocations", "the relocations are stripped"),
    "no relocations": Case(put(A, pe(relocated=False)), A, "relocations", "there are no relocations"),
    "writable code": Case(
        put(A, pe(section=samples.WRITABLE)), A, "writable-code", "the section .data is writable and executable"
    ),
    "old subsystem version": Case(
        put(A, pe(version=(5, 2))), A, "subsystem-version", "the subsystem version is 5.2, expected 10.0 or later"
    ),
    "COFF symbols": Case(
        put(A, normalise(with_symbols(pe()), EPOCH).data), A, "coff-symbols", "has 3 COFF symbols"
    ),
    "debug path": Case(
        put(A, pe(debug=(2,), codeview=rsds(b"D:\\x\\y.pdb\0"), certificate=b"c" * 16)),
        A,
        "debug-path",
        "its debug data name 'D:\\\\x\\\\y.pdb'",
        {"signed": "keep"},
    ),
    "two DLLs of one name": Case(
        put("app/helper.dll", pe("KERNEL32.dll", "python313.dll")),
        "python/DLLs/helper.dll",
        "duplicate-library",
        "is another file than app/helper.dll, which has the same name",
    ),
    "one DLL twice": Case(
        put("app/Helper.dll", pe("KERNEL32.dll", load_flags=0x800)),
        "python/DLLs/helper.dll",
        "duplicate-library",
        "is the same file as app/Helper.dll",
        severity="note",
    ),
    "two DLLs of one library": Case(
        several(
            put("python/libcrypto-3.dll", library(("one", None))),
            put("python/libcrypto-1_1.dll", library(("one", None))),
        ),
        "python/libcrypto-3.dll",
        "duplicate-library",
        "is OpenSSL, and so is python/libcrypto-1_1.dll",
    ),
    "one library in two versions": Case(
        several(
            put("python/DLLs/a.pyd", pe(text=OPENSSL % b"3.5.7")),
            put("python/DLLs/b.pyd", pe(text=OPENSSL % b"1.1.1w")),
            put("python/DLLs/c.pyd", pe(text=OPENSSL % b"3.5.7")),
        ),
        "python/DLLs/b.pyd",
        "duplicate-library",
        "has OpenSSL 1.1.1w in it, but python/DLLs/a.pyd has 3.5.7",
    ),
    "stamps": Case(
        put(A, pe(debug=(12,), load_config_stamp=1, epoch=EPOCH + 1)),
        A,
        "normalised",
        f"not normalised to epoch {EPOCH}: COFF TimeDateStamp, CheckSum, export directory TimeDateStamp, "
        "debug entry TimeDateStamp",
    ),
    "checksum": Case(put(A, pe()[:-1] + b"\1"), A, "normalised", f"not normalised to epoch {EPOCH}: CheckSum"),
    "signed": Case(
        put(A, pe(certificate=b"c" * 16)),
        A,
        "normalised",
        "offset 0x128: expected no signature, found 16 bytes of one",
    ),
    "zip with times": Case(
        put(ARCHIVE, stored.pack({"a.pyc": pyc()}, EPOCH + 2)),
        ARCHIVE,
        "normalised",
        f"not normalised to epoch {EPOCH}: ",
    ),
    "gzip with a time": Case(
        put("app/data.gz", gzip.MAGIC + b"\x08\0\1\2\3\4\0\xff\3\0" + bytes(8)),
        "app/data.gz",
        "normalised",
        f"not normalised to epoch {EPOCH}: ",
    ),
    "library with times": Case(
        put(
            "app/libx.a",
            b"!<arch>\n" + b"a.o/            1234567     0     0     100644  2         `\nab",
        ),
        "app/libx.a",
        "normalised",
        f"not normalised to epoch {EPOCH}: ",
    ),
    "broken .pyc": Case(
        put("app/x.pyc", b"\0" * 40),
        "app/x.pyc",
        "normalised",
        "offset 0x2: expected b'\\r\\n', the end of Python's magic number, found b'\\x00\\x00'",
    ),
    "broken": Case(
        put("python/a.pyd", b"MZ"),
        "python/a.pyd",
        "pe-readable",
        "offset 0x0: expected a DOS header of 64 bytes, found 2 bytes in all",
    ),
    "a DLL by another name": Case(
        put("app/data.bin", build()[:200]),
        "app/data.bin",
        "pe-readable",
        "offset 0x94: expected an optional header of 112 bytes or more inside the file, found 240 with 48 bytes left",
    ),
    ".pyc with a time": Case(
        put("app/x.pyc", pyc(flags=0)),
        "app/x.pyc",
        "pyc-mode",
        "has its source's time, expected a hash that is not checked",
    ),
    ".pyc with a hash that is checked": Case(
        put("app/x.pyc", pyc(flags=3)),
        "app/x.pyc",
        "pyc-mode",
        "has a hash that is checked, expected a hash that is not checked",
    ),
    ".pyc with an absolute path": Case(
        put("app/x.pyc", pyc("/opt/x.py")), "app/x.pyc", "pyc-path", "was compiled from '/opt/x.py'"
    ),
    ".pyc with an absolute path on Windows": Case(
        put("app/x.pyc", pyc("Z:\\opt\\ä.py")), "app/x.pyc", "pyc-path", "was compiled from 'Z:\\\\opt\\\\ä.py'"
    ),
    ".pyc with a path that cannot be told": Case(
        put("app/x.pyc", pyc("/opt/x.py")[:-1]),
        "app/x.pyc",
        "pyc-path",
        "its paths cannot be told: offset ",
    ),
    "build path": Case(
        put(A, pe(text=b"\1see /BUILD/src/x.c\0")),
        A,
        "forbidden-text",
        "has '/build/' at offset 0x421: 'see /BUILD/src/x.c'",
    ),
    "build path in UTF-16": Case(
        put(A, pe(text="\0at Z:\\build\\src\0".encode("utf-16-le"))),
        A,
        "forbidden-text",
        "has '\\\\build\\\\' at offset 0x428: 'at Z:\\\\build\\\\src'",
    ),
    "build path in a .pyc": Case(
        put("app/x.pyc", pyc(source="x = 'see /home/me/x'\n")),
        "app/x.pyc",
        "forbidden-text",
        "has '/home/' at offset ",
    ),
    "build path in a text": Case(
        put("app/x.txt", b"see file:///home/me"),
        "app/x.txt",
        "forbidden-text",
        "has '/home/' at offset 0xb: 'see file:///home/me'",
    ),
    "build path after a URL": Case(
        put("app/x.txt", b"https://example.org/home/ is /home/me/x"),
        "app/x.txt",
        "forbidden-text",
        "has '/home/' at offset 0x1d: '://example.org/home/ is /home/me/x'",
    ),
    "build path with an excuse for another": Case(
        put("app/x.txt", b"contrib/osx/CalinsQRReader/build/Release/x /build/x"),
        "app/x.txt",
        "forbidden-text",
        "has '/build/' at offset 0x2b: 'RReader/build/Release/x /build/x'",
    ),
    "reserved name": Case(
        put("app/Aux.py", b""), "app/Aux.py", "file-name", "the name 'Aux.py' is reserved for a device"
    ),
    "a .pyc with its source's time in an archive": Case(
        archive(x_pyc=pyc(flags=0)), f"{ARCHIVE}/x.pyc", "pyc-mode",
        "has its source's time, expected a hash that is not checked",
    ),
    "a .pyc with an absolute path in an archive": Case(
        archive(far__x_pyc=pyc("/opt/x.py")), f"{ARCHIVE}/far/x.pyc", "pyc-path", "was compiled from '/opt/x.py'",
    ),
    "forbidden text in an archive": Case(
        archive(x_pyc=pyc(source="x = 'see /home/me/x'\n")), f"{ARCHIVE}/x.pyc", "forbidden-text",
        "has '/home/' at offset ",
    ),
    "DLL in an archive": Case(
        archive(x_dll=pe("KERNEL32.dll")), f"{ARCHIVE}/x.dll", "native-code", "is native code (PE) in an archive",
    ),
    "DLL with another name in an archive": Case(
        archive(x_txt=pe("KERNEL32.dll")), f"{ARCHIVE}/x.txt", "native-code", "is native code (PE) in an archive",
    ),
    "what is called an extension module in an archive": Case(
        archive(x_pyd=b"text"), f"{ARCHIVE}/x.pyd", "native-code",
        "is native code (a native library, by its name) in an archive",
    ),
    "device in an archive": Case(
        archive(nul_pyc=pyc()), f"{ARCHIVE}/nul.pyc", "file-name", "the name 'nul.pyc' is reserved for a device",
    ),
    "name that leads out of an archive": Case(
        put(ARCHIVE, stored.pack({"../x.pyc": pyc()}, EPOCH)), f"{ARCHIVE}/../x.pyc", "file-name",
        "the name '..' ends in a space or a dot",
    ),
    "absolute name in an archive": Case(
        put(ARCHIVE, stored.pack({"/x.pyc": pyc()}, EPOCH)), f"{ARCHIVE}//x.pyc", "file-name", "the name '' is empty",
    ),
    "backslash in an archive": Case(
        put(ARCHIVE, stored.pack({"a\\x.pyc": pyc()}, EPOCH)), f"{ARCHIVE}/a\\x.pyc", "file-name",
        "the name 'a\\\\x.pyc' has the character '\\\\'",
    ),
    "case twins in an archive": Case(
        archive(x_pyc=pyc(), X_pyc=pyc()), f"{ARCHIVE}/x.pyc", "case-twin",
        f"differs from {ARCHIVE}/X.pyc only in upper and lower case",
    ),
    "long path in an archive": Case(
        put(ARCHIVE, stored.pack({FAR: b""}, EPOCH)), f"{ARCHIVE}/{FAR}", "path-length",
        f"the path has {len(ARCHIVE) + 1 + len(FAR)} characters, expected 200 at most",
    ),
    "compressed member": Case(
        put(ARCHIVE, zipfiled(zipfile.ZIP_DEFLATED)), ARCHIVE, "archive-form",
        "the member 'a.pyc' is compressed or encrypted, expected a stored one",
    ),
    "encrypted member": Case(
        remade(lambda data: data.replace(b"PK\1\2\x14\3\x14\0\0", b"PK\1\2\x14\3\x14\0\1", 1)), ARCHIVE, "archive-form",
        "the member 'a.pyc' is compressed or encrypted, expected a stored one",
    ),
    "folder in an archive": Case(
        put(ARCHIVE, zipfiled(names=("a/",))), ARCHIVE, "archive-form", "the member 'a/' is a folder, expected files only",
    ),
    "a name twice in an archive": Case(
        remade(lambda data: data.replace(b"b.pyc", b"a.pyc")), ARCHIVE, "archive-form",
        "the name 'a.pyc' is there 2 times",
    ),
    "another order in an archive": Case(
        remade(lambda data: data.replace(b"a.pyc", b"c.pyc")), ARCHIVE, "archive-form",
        "is not what its members make, from offset 0x1e on",
    ),
    "attributes of its own in an archive": Case(
        put(ARCHIVE, zipfiled()), ARCHIVE, "archive-form", "is not what its members make, from offset ",
    ),
    "a wrong checksum in an archive": Case(
        remade(lambda data: data[:14] + b"\0\0\0\0" + data[18:]), ARCHIVE, "archive-form",
        "is not what its members make, from offset 0xe on",
    ),
    "bytes before an archive": Case(
        put(ARCHIVE, b"#!/bin/sh\n" + stored.pack({"a.pyc": pyc()}, EPOCH)), ARCHIVE, "archive-form",
        "is not what its members make, from offset 0x0 on",
    ),
    "bytes after an archive": Case(
        remade(lambda data: data + b"x"), ARCHIVE, "archive-form", "is not what its members make, from offset ",
    ),
    "an archive in an archive": Case(
        archive(x_dat=stored.pack({"x.pyc": pyc()}, EPOCH)), f"{ARCHIVE}/x.dat", "archive-form",
        "is of the kind zip, into which nothing looks in an archive",
    ),
    "no .pyc in an archive": Case(
        archive(x_pyc=b"\0" * 40), f"{ARCHIVE}/x.pyc", "archive-form",
        "offset 0x2: expected b'\\r\\n', the end of Python's magic number, found b'\\x00\\x00'",
    ),
    "trailing dot": Case(put("app/x.", b""), "app/x.", "file-name", "the name 'x.' ends in a space or a dot"),
    "colon": Case(put("app/a:b", b""), "app/a:b", "file-name", "the name 'a:b' has the character ':'"),
    "not UTF-8": Case(
        put(os.fsdecode(b"app/\xff"), b""), os.fsdecode(b"app/\xff"), "file-name", "the name '\\udcff' is not UTF-8"
    ),
    "case": Case(
        put("app/electrum/__INIT__.pyc", pyc()),
        "app/electrum/__init__.pyc",
        "case-twin",
        "differs from app/electrum/__INIT__.pyc only in upper and lower case",
    ),
    "long path": Case(
        put(FAR, b""), FAR, "path-length", f"the path has {len(FAR)} characters, expected 200 at most"
    ),
    "link": Case(
        lambda root: (root / "app" / "link").symlink_to("/etc/passwd"), "app/link", "file-type", "is a symbolic link"
    ),
    "link to a folder": Case(
        lambda root: (root / "app" / "link").symlink_to("electrum"), "app/link", "file-type", "is a symbolic link"
    ),
    "pipe": Case(lambda root: os.mkfifo(root / "app" / "pipe"), "app/pipe", "file-type", "is a pipe"),
    "setuid": Case(put("app/x", b"", 0o4755), "app/x", "file-mode", "has mode 4755, not 0644 or 0755"),
    "writable by all": Case(put("app/x", b"", 0o666), "app/x", "file-mode", "has mode 0666, not 0644 or 0755"),
    "folder": Case(lambda root: (root / "app").chmod(0o700), "app", "file-mode", "has mode 0700, not 0755"),
    "size": Case(
        put("app/x", bytes(10_000)), ".", "size-budget", "the files have ", {"size_budget": 10_000}
    ),
    "native code of a Python package": Case(
        put("app/native.pyd", pe()),
        "app/native.pyd",
        "native-code",
        "is native code (PE) from attrs, whose kind is 'dependency'",
        known=from_attrs,
    ),
    "native code from nowhere": Case(
        put("app/native.pyd", pe()),
        "app/native.pyd",
        "native-code",
        "is native code (PE) from a source that is not known",
        known=without_a_source,
    ),
    "native code of another system": Case(
        put("app/native.so", b"\x7fELF"),
        "app/native.so",
        "native-code",
        "is native code for another system (ELF)",
    ),
    "licence without a text": Case(
        put("licenses/cpython/LICENSE", b""),
        ".",
        "licences",
        "has no licence text of cpython (MIT), expected one in licenses/cpython/",
    ),
    "licence of what is linked in": Case(
        put("app/x", b""),
        ".",
        "licences",
        "has no licence text of yarl (MIT), expected one in licenses/yarl/",
        known=more_sources,
    ),
}  # fmt: skip


def found(root: Path, case: Case, rules: Sequence[Rule] = RULES) -> tuple[Finding, ...]:
    return audit(root, msgspec.structs.replace(policy(), **case.policy), EPOCH, case.known(root), rules=rules)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_one_thing_wrong_gives_one_finding(bundle: Path, case: Case) -> None:
    case.spoil(bundle)
    findings = found(bundle, case)
    (finding,) = findings
    assert (finding.file, finding.rule, finding.severity) == (case.file, case.rule, case.severity)
    assert finding.message.startswith(case.message)
    assert finding.message == case.message or case.message.endswith(" ")
    assert len(finding.reason) > 10
    assert finding.fix


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_no_other_rule_would_have_found_it(bundle: Path, case: Case) -> None:
    case.spoil(bundle)
    assert found(bundle, case, tuple(rule for rule in RULES if rule.name != case.rule)) == ()


def test_every_rule_has_a_sample_that_breaks_it() -> None:
    assert {case.rule for case in CASES.values()} == {rule.name for rule in RULES}


def test_texts_beside_the_members_of_an_archive_are_seen(bundle: Path) -> None:
    write(bundle, ARCHIVE, zipfiled(comment=b"at /home/me"))
    assert [(finding.file, finding.rule) for finding in samples.examine(bundle)] == [
        (ARCHIVE, "archive-form"),
        (ARCHIVE, "forbidden-text"),
    ]


def test_a_broken_archive_is_told_of(bundle: Path) -> None:
    write(bundle, ARCHIVE, stored.pack({"a.pyc": pyc()}, EPOCH)[:-1])
    assert {(finding.file, finding.rule) for finding in samples.examine(bundle)} == {
        (ARCHIVE, "archive-form"),
        (ARCHIVE, "normalised"),
    }


def test_an_archive_with_a_broken_field_is_told_of(bundle: Path) -> None:
    """Its members can be read, and what the normaliser looks at cannot."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as out:
        info = zipfile.ZipInfo("a.pyc", (2025, 1, 1, 0, 0, 0))
        info.extra = struct.pack("<HHBB", 0x5455, 2, 1, 0)  # an extended timestamp of 2 bytes
        out.writestr(info, pyc())
    write(bundle, ARCHIVE, sink.getvalue())
    found = {finding.rule: finding.message for finding in samples.examine(bundle)}
    assert set(found) == {"archive-form", "normalised"}
    assert found["archive-form"].startswith("is not what its members make: offset ")


def test_members_that_share_their_bytes_are_refused_before_they_are_read(bundle: Path) -> None:
    """A directory of many members, all of the same large one: no more is read than the archive has."""
    data = stored.pack({"a.pyc": pyc()}, EPOCH)
    central, end = data.index(b"PK\1\2"), data.index(b"PK\5\6")
    member = data[central:end]
    count = 1000
    directory = (member * count, count.to_bytes(2, "little") * 2, (len(member) * count).to_bytes(4, "little"))
    write(
        bundle,
        ARCHIVE,
        data[:central] + directory[0] + data[end : end + 8] + b"".join(directory[1:]) + data[end + 16 :],
    )
    findings = [finding for finding in samples.examine(bundle) if finding.rule == "archive-form"]
    assert "cannot be read as a zip archive: offset " in findings[0].message


def test_where_a_dll_is_that_nobody_finds(bundle: Path) -> None:
    write(bundle, "app/native.pyd", pe("HELPER.dll"))
    (finding,) = samples.examine(bundle)
    assert finding.fix == "move python/DLLs/helper.dll to where it is looked for"


def test_a_dll_that_only_the_policy_knows(bundle: Path) -> None:
    """The data about Windows are never complete: the policy may know better."""
    known = (*policy().system_dlls, type(policy().system_dlls[0])("nowhere.dll", "some Windows has it"))
    write(bundle, "python/a.dll", pe("nowhere.dll"))
    assert [f.rule for f in samples.examine(bundle)] == ["dll-unresolved"]
    assert samples.examine(bundle, system_dlls=known) == ()


def test_a_dll_without_code_needs_no_hardening(bundle: Path) -> None:
    """A DLL that only forwards, as python3.dll, or has resources only."""
    forwards = Exports((("Py_Main", "python313.Py_Main"),), base=1)
    for name, exports in (("python3.dll", forwards), ("resources.dll", None)):
        write(bundle, f"python/{name}", pe(exports=exports, section=samples.READ_ONLY, flags=0, relocated=False))
    assert samples.examine(bundle) == ()


def test_extension_modules_of_one_name_are_two_modules(bundle: Path) -> None:
    write(bundle, "app/a/_speed.pyd", pe("python313.dll"))
    write(bundle, "app/b/_speed.pyd", pe("python313.dll", "KERNEL32.dll"))
    assert samples.examine(bundle) == ()


def test_a_32_bit_file_has_no_high_entropy(bundle: Path) -> None:
    write(bundle, "python/a.dll", pe(plus=False, machine=X86, flags=HARDENED & ~HIGH_ENTROPY_VA))
    assert [f.rule for f in samples.examine(bundle)] == ["machine"]


def test_debug_data_may_have_a_name(bundle: Path) -> None:
    write(bundle, "python/a.dll", pe(debug=(2,), codeview=rsds(b"a.pdb\0")))
    assert samples.examine(bundle) == ()


def test_shipping_a_refused_dll_does_not_help(bundle: Path) -> None:
    write(bundle, "python/python313.dll", pe("LIBGCC_S_SEH-1.dll", exports=Exports((("Py_Main", None),))))
    write(bundle, "python/libgcc_s_seh-1.dll", pe("VERSION.dll"))
    assert [(f.file, f.message) for f in samples.examine(bundle)] == [
        ("python/libgcc_s_seh-1.dll", "libgcc_s_seh-1.dll is in the bundle"),
        ("python/python313.dll", "imports LIBGCC_S_SEH-1.dll"),
    ]


def test_without_a_manifest_two_rules_say_that_they_did_not_look(bundle: Path) -> None:
    findings = audit(bundle, policy(), EPOCH)
    assert [(f.file, f.rule, f.severity) for f in findings] == [
        (".", "licences", "note"),
        (".", "native-code", "note"),
    ]
    assert not any(f.is_error for f in findings)


@pytest.mark.parametrize("name", ["con", "NUL.txt", "com1", "LPT9.x.y", "aux .c", "COM\u00b2", "conout$"])
def test_reserved_names(bundle: Path, name: str) -> None:
    write(bundle, f"app/{name}", b"")
    assert [f.rule for f in samples.examine(bundle)] == ["file-name"]


@pytest.mark.parametrize("name", ["console.py", "com10", "lpt", "auxiliary", "nul_", "\u00e4.py", ".hidden", "a b"])
def test_names_that_are_fine(bundle: Path, name: str) -> None:
    write(bundle, f"app/{name}", b"")
    assert samples.examine(bundle) == ()


def test_a_path_is_as_long_as_windows_counts(bundle: Path) -> None:
    """In UTF-16 units: 39 emoji are 78."""
    path = "/".join(["\U0001f600" * 39] * 2)
    write(bundle, path, b"")
    assert samples.examine(bundle, max_path=157) == ()
    (finding,) = samples.examine(bundle, max_path=156)
    assert (finding.file, finding.rule) == (path, "path-length")


def test_names_are_compared_letter_by_letter() -> None:
    assert windows_key("Größe.DLL") == windows_key("gRÖßE.dll")
    assert windows_key("straße") != windows_key("strasse")


@pytest.mark.parametrize(
    ("text", "is_found"),
    [
        (b"see https://example.org/home/x", False),
        (b"see HTTP://[::1]:80/home/x?y=/home/", False),
        (b"see git+ssh://me@host/home/x", False),
        (b"see https:///home/x", True),
        (b"see x:/home/x", True),
        (b"see x://me/home/x", True),
        (b"see file://me/home/x", True),
        (b"see https://example.org \t/home/x", True),
        (b"see https://example.org\0/home/x", True),
        (b"https://example.org" + b"/x" * 400 + b"/home/x", True),
        (b"-I/home/x", True),
    ],
)
def test_a_path_in_a_url_is_none(bundle: Path, text: bytes, is_found: bool) -> None:
    write(bundle, "app/x.txt", text)
    assert [f.rule for f in samples.examine(bundle)] == ["forbidden-text"] * is_found
    write(bundle, "app/x.txt", b"\xff\xfe" + text.decode().encode("utf-16-le"))
    assert [f.rule for f in samples.examine(bundle)] == ["forbidden-text"] * is_found


def test_code_inside_code_has_paths_too(bundle: Path) -> None:
    inner = compile("x = 1", "/opt/inner.py", "exec")
    outer = compile("def f(): pass", "electrum/x.py", "exec")
    data = pyc()[:16] + marshal.dumps(outer.replace(co_consts=(inner, *outer.co_consts)))
    write(bundle, "app/x.pyc", data)
    assert [f.message for f in samples.examine(bundle)] == ["was compiled from '/opt/inner.py'"]


def test_texts_that_look_like_paths_are_no_code_paths(bundle: Path) -> None:
    write(bundle, "app/x.pyc", pyc(source="x = ('/usr/lib/x', 'C:/x', '/', '\\\\\\\\x')\n"))
    assert samples.examine(bundle) == ()


def test_ordinals_above_all_known_ones_are_missing(bundle: Path) -> None:
    write(bundle, "python/a.dll", pe(Dll("WS2_32.dll", (115, 60_000))))
    ws2_32 = type(policy().system_dlls[0])("ws2_32.dll", "sockets")
    findings = samples.examine(bundle, system_dlls=(*policy().system_dlls, ws2_32))
    assert [f.message for f in findings] == [
        "imports number 60000 of WS2_32.dll, in which no Windows is known to have it"
    ]


def test_a_full_file_that_was_never_normalised(bundle: Path) -> None:
    write(bundle, "python/a.dll", build(FULL, delay=()))
    found_fields = next(f.message for f in samples.examine(bundle) if f.rule == "normalised")
    assert found_fields.startswith(f"not normalised to epoch {EPOCH}: COFF TimeDateStamp, CheckSum, ")


def test_licence_texts_are_looked_for_where_the_layout_has_them(tmp_path: Path) -> None:
    for path, (_, content) in samples.FILES.items():
        write(tmp_path, TOR_BROWSER.place(path), content)
    provenance = {TOR_BROWSER.place(path): source for path, source in samples.KNOWN.provenance.items()}
    known = Known(samples.SOURCES, provenance)
    assert errors(audit(tmp_path, policy(), EPOCH, known)) == ()
    (tmp_path / TOR_BROWSER.place("licenses/cpython/LICENSE")).write_bytes(b"")
    (found,) = errors(audit(tmp_path, policy(), EPOCH, known))
    assert "expected one in Browser/TorBrowser/Docs/Licenses/Namecoin/cpython/" in found.message
