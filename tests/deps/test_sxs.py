"""Manifests and the assemblies that they name."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from packager.deps import facts
from packager.deps.assemblies import bound
from packager.deps.sxs import MOST_BYTES, Assembly, Manifest, parse
from packager.deps.world import World
from packager.errors import PEError
from packager.pe.layout import read_layout
from tests.deps.fake import folder, library, program
from tests.pe.build import build, put

NEEDS = """<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<assembly xmlns="urn:schemas-microsoft-com:asm.v1" manifestVersion="1.0">
  <assemblyIdentity type="win32" name="Me" version="1.0.0.0" processorArchitecture="amd64"/>
  <dependency><dependentAssembly><assemblyIdentity type="win32" name="{name}" version="6.0.0.0"
    processorArchitecture="*" publicKeyToken="6595b64144ccf1df" language="*"/></dependentAssembly></dependency>
  <file name="part.dll"/>
</assembly>"""


def needs(name: str) -> bytes:
    return NEEDS.format(name=name).encode()


def test_what_a_manifest_says() -> None:
    assert parse(needs("Microsoft.Windows.Common-Controls")) == Manifest(
        Assembly("Me", "1.0.0.0", "amd64"),
        (Assembly("Microsoft.Windows.Common-Controls", "6.0.0.0", "*"),),
        ("part.dll",),
    )


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_and_padding(encoding: str) -> None:
    text = NEEDS.format(name="A").replace("UTF-8", "UTF-16" if encoding == "utf-16" else "UTF-8")
    assert parse(text.encode(encoding)).needs[0].name == "A"
    assert parse(NEEDS.format(name="A").encode() + bytes(3)).needs[0].name == "A"


def test_namespaces_and_doubles_do_not_matter() -> None:
    text = NEEDS.format(name="A").replace("asm.v1", "asm.v3").replace("</assembly>", "")
    inner = text[text.index("<dependency>") : text.index("<file")]
    assert parse((text + inner + "</assembly>").encode()).needs == (Assembly("A", "6.0.0.0", "*"),)


def test_nothing_needed() -> None:
    assert parse(b"<assembly/>") == Manifest(None, (), ())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "manifest: expected XML, found: no element found"),
        (b"<assembly>", "manifest: expected XML, found: no element found"),
        (b"\xff\xfe<", "manifest: expected XML, found:"),
        (b'<?xml version="1.0" encoding="no-such"?><a/>', "manifest: expected XML, found: unknown encoding"),
        (b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>', "expected XML without a document type, found one"),
        ('<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>'.encode("utf-16"), "expected XML without a document type"),
        (b" " * (MOST_BYTES + 1), "manifest: expected 1048576 bytes at most, found 1048577"),
    ],
)
def test_what_is_no_manifest(data: bytes, message: str) -> None:
    with pytest.raises(PEError) as caught:
        parse(data)
    assert message in str(caught.value)


def resource(manifest: bytes, number: int) -> dict[int, object]:
    return {24: {number: {1033: manifest}}}


def test_a_program_goes_by_number_1_and_a_dll_by_number_2() -> None:
    both = {24: {1: {1033: needs("One")}, 2: {1033: needs("Two")}}}
    for is_dll, name in ((False, "One"), (True, "Two")):
        manifest = facts.parse(build(resources=both, dll=is_dll)).manifest
        assert manifest is not None
        assert manifest.needs[0].name == name
    assert facts.parse(build(resources=resource(needs("X"), 1))).manifest is None


def found(top: Path, name: str) -> list[tuple[str, str | None, dict[str, str]]]:
    path = str(top / name)
    return [
        (str(one.assembly), one.manifest, dict(one.dlls))
        for one in bound(path, facts.read(path), str(top), World(str(top)))
    ]


def test_windows_own_assembly(tmp_path: Path) -> None:
    folder(tmp_path, {"a.exe": program(resources=resource(needs("Microsoft.Windows.Common-Controls"), 1))})
    assert found(tmp_path, "a.exe") == [("Microsoft.Windows.Common-Controls 6.0.0.0", "", {"comctl32.dll": ""})]


def test_the_manifest_beside_a_file_counts_if_there_is_none_in_it(tmp_path: Path) -> None:
    folder(
        tmp_path,
        {
            "a.exe": program(),
            "A.EXE.Manifest": needs("Beside"),
            "b.exe": program(resources=resource(needs("Inside"), 1)),
            "b.exe.manifest": needs("Beside"),
            "c.dll": library(),
            "c.dll.2.manifest": needs("Dll"),
            "d.dll": library(),
            "d.dll.manifest": needs("No"),
        },
    )
    names = [[name for name, _m, _d in found(tmp_path, file)] for file in ("a.exe", "b.exe", "c.dll", "d.dll")]
    assert names == [["Beside 6.0.0.0"], ["Inside 6.0.0.0"], ["Dll 6.0.0.0"], []]


@pytest.mark.parametrize("place", ["Private.manifest", "Private/Private.manifest", "private/PRIVATE.MANIFEST"])
def test_a_private_assembly_and_its_files(tmp_path: Path, place: str) -> None:
    folder(tmp_path, {"a.exe": program(), "a.exe.manifest": needs("Private"), place: needs("Other")})
    part = (tmp_path / place).parent / "part.dll"
    part.write_bytes(library())
    assert found(tmp_path, "a.exe") == [("Private 6.0.0.0", str(tmp_path / place), {"part.dll": str(part)})]


def test_a_private_assembly_that_is_a_dll(tmp_path: Path) -> None:
    folder(tmp_path, {"a.exe": program(), "a.exe.manifest": needs("Private"), "Private.dll": library()})
    dll = str(tmp_path / "Private.dll")
    assert found(tmp_path, "a.exe") == [("Private 6.0.0.0", dll, {"private.dll": dll})]


def test_a_missing_assembly(tmp_path: Path) -> None:
    folder(tmp_path, {"a.exe": program(), "a.exe.manifest": needs("Microsoft.VC90.CRT")})
    assert found(tmp_path, "a.exe") == [("Microsoft.VC90.CRT 6.0.0.0", None, {})]


def test_a_file_that_wants_no_manifest(tmp_path: Path) -> None:
    data = program(resources=resource(needs("Private"), 1))
    flags = read_layout(data).checksum_offset + 6
    (characteristics,) = struct.unpack_from("<H", data, flags)
    folder(tmp_path, {"a.exe": put(data, flags, struct.pack("<H", characteristics | 0x200))})
    assert found(tmp_path, "a.exe") == []


def test_a_broken_manifest(tmp_path: Path) -> None:
    folder(tmp_path, {"a.exe": program(resources=resource(b"<x", 1))})
    with pytest.raises(PEError, match="manifest: expected XML"):
        found(tmp_path, "a.exe")
