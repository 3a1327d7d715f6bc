"""Compiled code is found by content and by name, in wheels, and refused unless a rule prunes it."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import pytest

from packager.errors import SourceError, SpecError
from packager.nativecode import HEAD, NativeFile, native_in_wheel, native_kind, refuse_native
from tests.support import write


def pe(offset: int, signature: bytes = b"PE\0\0") -> bytes:
    head = b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", offset)
    return (head.ljust(offset, b"\0") + signature)[:HEAD] if offset < HEAD else head.ljust(HEAD, b"\0")


@pytest.mark.parametrize(
    ("path", "head", "kind"),
    [
        ("x.py", b"\x7fELF\x02\x01", "ELF"),
        ("data.bin", pe(0x80), "PE"),
        ("data.bin", pe(0x80, b"NE\0\0"), None),
        ("data.bin", pe(10 * HEAD), "PE"),
        ("MZ.txt", b"MZ is how a DOS program begins. " * 200, None),
        ("MZ.txt", b"MZ", None),
        ("x", bytes.fromhex("cffaedfe0700"), "Mach-O"),
        ("x", bytes.fromhex("cafebabe0000"), "Mach-O"),
        ("libx.a", b"!<arch>\n/   ", "a static library"),
        ("x.pyd", b"not really", "a native library, by its name"),
        ("x.PYD", b"", "a native library, by its name"),
        ("libx.so.1.2", b"", "a native library, by its name"),
        ("x.so", b"", "a native library, by its name"),
        ("x.exe", b"", "a native library, by its name"),
        ("also.py", b"import so", None),
        ("x.sol", b"", None),
        ("empty", b"", None),
    ],
)
def test_kinds(path: str, head: bytes, kind: str | None) -> None:
    assert native_kind(path, head) == kind


def test_a_wheel_is_searched_whatever_its_files_are_called(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.whl", "w") as archive:
        archive.writestr("pkg/z.dat", b"\x7fELF")
        archive.writestr("pkg/a.pyd", pe(0x40))
        archive.writestr("pkg/__init__.py", "")
        archive.writestr("pkg.dylib/", "")
    assert native_in_wheel(tmp_path / "a.whl") == (NativeFile("pkg/a.pyd", "PE"), NativeFile("pkg/z.dat", "ELF"))


def test_what_is_no_wheel_is_said_to_be_none(tmp_path: Path) -> None:
    write(tmp_path / "a.whl", "<html>")
    with pytest.raises(SourceError, match=r"^a\.whl: expected a sound wheel, found: File is not a zip file$"):
        native_in_wheel(tmp_path / "a.whl")


def test_refusal_names_the_file_and_what_to_do() -> None:
    found = [NativeFile("pkg/a.pyd", "PE"), NativeFile("pkg/b.so", "ELF")]
    with pytest.raises(SpecError) as caught:
        refuse_native("a.whl", found)
    assert str(caught.value).splitlines() == [
        "a.whl: expected no native code, found pkg/a.pyd (PE)",
        "  pkg/b.so (ELF)",
        "  what to do: native code is refused unless a component builds it: prune the file, or make it a component",
    ]
    assert caught.value.exit_code == 2


def test_what_is_pruned_is_not_refused() -> None:
    found = [NativeFile("pkg/a.pyd", "PE"), NativeFile("pkg/b.so", "ELF")]
    refuse_native("a.whl", found, ["pkg/*.pyd", "**/b.so"])
    with pytest.raises(SpecError, match=r"found pkg/b\.so"):
        refuse_native("a.whl", found, ["pkg/*.pyd"])
