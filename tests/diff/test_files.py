"""Which reader a file goes to; plain bytes, gzip files, and files that are too large."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packager.diff import files
from packager.diff.files import compare_data, compare_files, equal
from packager.diff.render import line
from tests.diff.inputs import library
from tests.support import write


def told(a: bytes, b: bytes, name: str = "x") -> list[str]:
    return [line(difference) for difference in compare_data(name, a, b)]


@pytest.mark.parametrize(
    ("a", "b", "found"),
    [
        (b"\0abc", b"\0abd", "x: differs in 1 range, first at 0x3 (63 ≠ 64)"),
        (b"\0" * 30, b"\1" * 10 + b"\0" * 15 + b"\1" * 5, "x: differs in 2 ranges, first at 0x0 (00 00 00 00 00 00 00 00 … ≠ 01 01 01 01 01 01 01 01 …)"),
        (b"\0", b"", "x: size 1 byte ≠ 0 bytes (A has 1 byte more at the end)"),
        (b"\0abc", b"\0abdef", "x: size 4 bytes ≠ 6 bytes (first at 0x3: 63 ≠ 64 65 66)"),
        (b"\0/build/a/x.c\0", b"\0/build/abc/x.c\0", "x: size 14 bytes ≠ 16 bytes (first at 0x9: a path: /build/a/x.c ≠ /build/abc/x.c)"),
        (b"text\n", b"\0", "x: size 5 bytes ≠ 1 byte (first at 0x0: 74 65 78 74 0a ≠ 00)"),
        (b"MZ" + b"\0" * 80, b"MZ" + b"\0" * 79 + b"\1", "x: differs in 1 range, first at 0x51 (00 ≠ 01; A and B not read as PE image: offset 0x3c: expected e_lfanew inside the file (0x52 bytes), found 0x0)"),
    ],
)  # fmt: skip
def test_bytes(a: bytes, b: bytes, found: str) -> None:
    assert told(a, b) == [found]


def test_only_a_pyc_file_by_name_and_content_is_one() -> None:
    a, b = b"\xf3\r\r\n" + bytes(20), b"\xf3\r\r\n" + bytes(19) + b"\1"
    assert told(a, b, "x.pyc")[0].startswith("x.pyc: code differs at")
    assert told(a, b, "x.bin")[0].startswith("x.bin: differs in 1 range")


def packed(data: bytes, level: int = 9, name: str = "", mtime: int = 0) -> bytes:
    out = io.BytesIO()
    with gzip.GzipFile(name, "wb", level, out, mtime) as file:
        file.write(data)
    return out.getvalue()


def test_gzip_files() -> None:
    data = b"hello world, hello there\n" * 20
    a = packed(data, name="a.txt", mtime=1577836800)
    assert told(a, packed(data, name="b.txt", mtime=1609459200), "x.gz") == [
        "x.gz: gzip mtime 2020-01-01 ≠ 2021-01-01",
        "x.gz: gzip file name 'a.txt' ≠ 'b.txt'",
    ]
    assert told(packed(data), packed(data, 1), "x.gz") == ["x.gz: gzip level mark 2 ≠ 4"]
    stored = packed(data, 0)
    stored = stored[:8] + a[8:9] + stored[9:]
    assert told(packed(data), stored, "x.gz") == ["x.gz: only the compressed bytes differ (another level or zlib)"]
    assert told(packed(data), packed(data + b"more\n"), "x.txt.gz") == [
        "x.txt.gz!/x.txt: line 21 nothing ≠ 'more' (1 line only in B)"
    ]
    broken = a[:-8] + bytes(8)
    assert told(a, broken, "x.gz")[0].startswith("x.gz: differs in 1 range")


def test_broken_libraries_are_bytes() -> None:
    a = library(("a.o/", b"abc", 0))
    assert told(a, a[:-1] + b"\0", "x.a")[0] == "x.a: differs in 1 range, first at 0x47 (0a ≠ 00)"
    assert told(a, a.replace(b"`\n", b"!!"), "x.a")[0].startswith("x.a: line 2 ")
    assert "size" in told(a + b"\0", a[:40], "x.a")[0]


def test_names_in_libraries() -> None:
    long = ("//", b"a_long_name_of_a_member.o/\n", 0)
    a = library(long, ("/0", b"one\0", 0), ("x.dll/", b"1", 0), ("x.dll/", b"2", 0), ("#1/4", b"bsd\0abc", 0))
    b = library(long, ("/0", b"two\0", 0), ("x.dll/", b"1", 0), ("x.dll/", b"3", 0), ("#1/4", b"bsd\0abd", 0))
    assert [item.split(":")[0] for item in told(a, b, "x.lib")] == [
        "x.lib!/a_long_name_of_a_member.o",
        "x.lib!/x.dll#2",
        "x.lib!/bsd",
    ]
    swapped = library(long, ("x.dll/", b"1", 0), ("/0", b"one\0", 0), ("x.dll/", b"2", 0), ("#1/4", b"bsd\0abc", 0))
    assert told(a, swapped, "x.lib") == ["x.lib: order of members a_long_name_of_a_member.o ≠ x.dll"]
    short = b"\0\0\xff\xff\0\0\x64\x86" + bytes(12)
    stamped = short[:8] + b"\0\0\0\x60" + short[12:]
    assert told(library(("x/", short, 0)), library(("x/", stamped, 0)), "x.lib") == [
        "x.lib!/x: short import TimeDateStamp 0 ≠ 2021-01-14"
    ]


def test_large_files_are_compared_without_reading_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LARGEST", 100)
    data = b"some text\n" * 100
    a, b = write(tmp_path / "a", data), write(tmp_path / "b", data[:-5] + b"TEXT\n")
    found = [line(difference) for difference in compare_files("x", a, b)]
    assert found == ["x: differs in 1 range, first at 0x3e3 (74 65 78 74 ≠ 54 45 58 54; too large to look for meaning)"]
    (tmp_path / "empty").touch()
    found = [line(difference) for difference in compare_files("x", a, tmp_path / "empty")]
    assert found == ["x: size 1,000 bytes ≠ 0 bytes (A has 1,000 bytes more at the end; too large to look for meaning)"]
    shorter = write(tmp_path / "c", data[:500] + b"!" + data[501:-1])
    assert "first at 0x1f4: 73" in line(compare_files("x", a, shorter)[0])


def test_equal(tmp_path: Path) -> None:
    big = bytes(3 << 20)
    a, b = write(tmp_path / "a", big), write(tmp_path / "b", big)
    assert equal(a, b)
    assert not equal(a, write(tmp_path / "c", big[:-1] + b"\1"))
    assert not equal(a, write(tmp_path / "d", big[:-1]))
    assert equal(write(tmp_path / "e", b""), write(tmp_path / "f", b""))


@settings(deadline=None)
@given(
    st.binary(max_size=80), st.binary(max_size=80), st.sampled_from((b"", b"MZ", b"!<arch>\n", b"\x1f\x8b\x08", b"{"))
)
def test_any_two_files_have_a_difference(a: bytes, b: bytes, magic: bytes) -> None:
    if a != b:
        found = compare_data("x.bin", magic + a, magic + b)
        assert found
        assert all(line(difference).isprintable() for difference in found)
