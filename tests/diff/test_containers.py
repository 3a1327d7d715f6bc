"""Archives whose members are the same: what the archives themselves differ in."""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest
import zstandard

from packager.diff.compare import compare
from packager.diff.render import line
from tests.diff.inputs import MEMBERS, tarred, zipped
from tests.support import write


def told(a: Path, b: Path) -> list[str]:
    return [line(difference, a.name) for difference in compare(a, b)]


@pytest.fixture
def tar(tmp_path: Path) -> bytes:
    return tarred(tmp_path / "x.tar", MEMBERS).read_bytes()


def test_zstd_frames(tmp_path: Path, tar: bytes) -> None:
    def packed(name: str, data: bytes = tar, **options: object) -> Path:
        compressor = zstandard.ZstdCompressor(**options)  # type: ignore[arg-type]
        return write(tmp_path / name, compressor.compress(data))

    a = packed("a.tar.zst", level=3)
    found = told(a, packed("b.tar.zst", level=3, write_checksum=True))
    assert found[0] == "a.tar.zst: zstd frame's checksum no ≠ yes (the tars are the same)"
    assert found[1].startswith("a.tar.zst: only the compressed bytes differ (the tars are the same: another level or ")
    found = told(a, packed("c.tar.zst", level=3, write_content_size=False))
    assert "zstd frame's content size 10240 ≠ none" in found[-2]
    found = told(a, packed("d.tar.zst", level=19))
    assert found[-1].startswith("a.tar.zst: only the compressed bytes differ")
    two = write(
        tmp_path / "e.tar.zst",
        zstandard.ZstdCompressor().compress(tar[:1000]) + zstandard.ZstdCompressor().compress(tar[1000:]),
    )
    assert told(a, two)[-1].startswith("a.tar.zst: only the compressed bytes differ")


def test_gzip_bzip2_and_xz(tmp_path: Path, tar: bytes) -> None:
    a = write(tmp_path / "a.tar.gz", gzip.compress(tar, 9, mtime=1577836800))
    b = write(tmp_path / "b.tar.gz", gzip.compress(tar, 9, mtime=1609459200))
    assert told(a, b)[0] == "a.tar.gz: gzip mtime 2020-01-01 ≠ 2021-01-01"
    for name, pack in (("tar.bz2", bz2.compress), ("tar.xz", lambda data, level: lzma.compress(data, preset=level))):
        one, nine = write(tmp_path / f"1.{name}", pack(tar, 1)), write(tmp_path / f"9.{name}", pack(tar, 9))
        assert told(one, nine)[0].startswith(f"1.{name}: only the compressed bytes differ (the tars are the same: ")


def test_tar_formats_and_headers(tmp_path: Path, tar: bytes) -> None:
    a = write(tmp_path / "a.tar", tar)
    gnu = tarred(tmp_path / "gnu.tar", MEMBERS, tar_format=tarfile.GNU_FORMAT)
    assert told(a, gnu) == ["a.tar: tar format POSIX ≠ GNU (first in the header of top/b.txt)"]

    def changed(at: int, value: bytes) -> Path:
        data = bytearray(tar)
        data[at : at + len(value)] = value
        data[148:156] = b" " * 8
        data[148:156] = b"%06o\0 " % sum(data[:512])
        return write(tmp_path / "b.tar", bytes(data))

    assert told(a, changed(329, b"0000001\0")) == ["a.tar: tar headers differ in device (first in that of top/b.txt)"]
    assert told(a, changed(100, b" ")) == ["a.tar: tar headers differ in mode (first in that of top/b.txt)"]
    assert told(a, changed(505, b"x")) == ["a.tar: tar headers differ in padding (first in that of top/b.txt)"]
    padding = 512 + 100
    assert told(a, changed(padding, b"x")) == ["a.tar: tar records or padding 00 ≠ 78 (the members are the same)"]
    longer = write(tmp_path / "c.tar", tar + bytes(10240))
    assert told(a, longer) == ["a.tar: more blocks behind the last member in B"]


def test_zip_compression(tmp_path: Path) -> None:
    data = {name: content * 50 + bytes(range(256)) * 3 for name, content in MEMBERS.items()}
    sides = []
    for level in (1, 9):
        path = tmp_path / f"{level}.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=level) as archive:
            for name, content in data.items():
                archive.writestr(zipfile.ZipInfo(name, (2025, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED, level)
        sides.append(path)
    assert told(sides[0], sides[1]) == [
        "1.zip: only the compressed bytes differ (of 2 of 2 members, first top/b.txt: another level or version of the compressor)"
    ]


def test_a_zip_that_says_two_things(tmp_path: Path) -> None:
    a = zipped(tmp_path / "a.zip", MEMBERS)
    data = bytearray(a.read_bytes())
    data[10:12] = struct.pack("<H", 0x1234)  # the first local header's time
    b = write(tmp_path / "b.zip", bytes(data))
    assert told(a, b) == ["top/b.txt: zip local header's time 0 ≠ 4660"]


def test_bytes_that_belong_to_no_member(tmp_path: Path) -> None:
    a = zipped(tmp_path / "a.zip", MEMBERS)
    spare = bytearray(a.read_bytes())
    at = spare.rindex(b"PK\x05\x06")
    spare[at + 16 : at + 20] = struct.pack("<I", struct.unpack_from("<I", spare, at + 16)[0] + 4)
    middle = spare.index(b"PK\x01\x02")
    spare[middle:middle] = b"gap!"
    (found,) = told(a, write(tmp_path / "d.zip", bytes(spare)))
    assert found.startswith("a.zip: size ")
    assert found.endswith("; the members are the same)")


def test_comments_of_zips(tmp_path: Path) -> None:
    a, b = (zipped(tmp_path / f"{side}.zip", MEMBERS) for side in "ab")
    with zipfile.ZipFile(b, "a") as archive:
        archive.comment = b"hello"
    assert told(a, b) == ["a.zip: zip comment nothing ≠ hello"]
