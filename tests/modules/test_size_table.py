"""The script behind docs/size.md, on a small archive; and the document."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
import zstandard

from packager import emit, manifest
from packager.layout import TOR_BROWSER
from scripts import make_size_table as sizes


def described(*files: tuple[str, str]) -> manifest.Manifest:
    return manifest.Manifest(
        format=1, name="b", version="1", target="windows-x86_64", epoch=0, sources=(),
        files=tuple(
            manifest.FileRecord(path=path, sha256="0" * 64, size=1, mode="0644", source=source, licence="MIT")
            for path, source in files
        ),
    )  # fmt: skip


FILES = (
    ("app/a.pyc", "one"),
    ("app/b.pyc", "two"),
    ("licenses/one/LICENSE", "one"),
    ("python/DLLs/_ssl.pyd", "cpython"),
    ("python/DLLs/select.pyd", "cpython"),
    ("python/Lib/os.pyc", "cpython"),
    ("python/python313.dll", "cpython"),
    ("python/python313.zip", "cpython"),
    ("x.exe", "launcher"),
)
PARTS = (
    "one", "two", "licence texts", "OpenSSL, `ssl` and `hashlib`", "other extension modules", "standard library", "interpreter",
    "standard library", "launcher, resolver, list of files",
)  # fmt: skip


@pytest.mark.parametrize("placed", [False, True])
def test_each_file_has_a_part(placed: bool) -> None:
    files = [(TOR_BROWSER.place(path) if placed else path, source) for path, source in FILES]
    assert tuple(sizes.parts(described(*files)).values()) == PARTS


def archive(path: Path, content: dict[str, bytes]) -> Path:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    parameters = zstandard.ZstdCompressionParameters.from_level(
        emit.ZSTD_LEVEL, threads=1, write_checksum=True, write_content_size=False
    )
    path.write_bytes(zstandard.ZstdCompressor(compression_params=parameters).compress(sink.getvalue()))
    return path


def noise(seed: int, size: int) -> bytes:
    """Bytes that do not compress, the same each time."""
    out, state = bytearray(), seed
    while len(out) < size:
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        out += state.to_bytes(8, "little")[4:]
    return bytes(out[:size])


@pytest.mark.parametrize("top", ["", "b-1/"])
def test_a_part_costs_what_the_archive_is_smaller_without_it(tmp_path: Path, top: str) -> None:
    shared = noise(1, 100_000)
    content = {
        "app/a.pyc": noise(2, 60_000) + shared,
        "app/b.pyc": shared,
        "python/Lib/os.pyc": noise(3, 50_000),
        "x.exe": noise(4, 100),
    }
    path = archive(tmp_path / "b.tar.zst", {top + name: data for name, data in content.items()})
    rows, total = sizes.measure(path, described(*(file for file in FILES if file[0] in content)), 1)
    assert total == path.stat().st_size
    assert [row.name for row in rows] == ["one", "standard library", sizes.REST, sizes.SHARED]
    assert [row.plain for row in rows] == [160_000, 50_000, 100_100, 0]
    for row, expected in zip(rows, (60_000, 50_000, 0, 100_000), strict=True):
        assert abs(row.packed - expected) < 1_500, row
    assert sum(row.packed for row in rows) == total


def test_the_table_is_read_as_it_is_written() -> None:
    rows = [sizes.Row("part", 1200, 3_456_789, 1_234_567), sizes.Row(sizes.SHARED, 0, 0, -5_000)]
    made = sizes.table(rows, 1_229_567, 9_000_000)
    assert made.splitlines() == [
        "| part | files | kB | kB in the archive |",
        "|---|---:|---:|---:|",
        "| part | 1,200 | 3,457 | 1,235 |",
        "| found in several parts |  |  | -5 |",
        "| **together** | 1,200 | 3,457 | **1,230** |",
        "| budget | | | 9,000 |",
    ]
    text = f"before\n{sizes.BEGIN}\nold\n{sizes.END}\nafter\n"
    new = sizes.renewed(text, made)
    assert new == f"before\n{sizes.BEGIN}\n{made}\n{sizes.END}\nafter\n"
    assert sizes.read_table(new) == {"part": 1235, sizes.SHARED: -5, "together": 1230, "budget": 9000}
    with pytest.raises(ValueError, match="expected"):
        sizes.renewed("nothing", made)
    with pytest.raises(ValueError, match="expected a table"):
        sizes.read_table(text)


def test_the_document_adds_up_and_fits_the_budget() -> None:
    found = sizes.read_table(sizes.DOCUMENT.read_text("utf-8"))
    total, budget = found.pop("together"), found.pop("budget")
    # Each row is rounded.
    assert abs(sum(found.values()) - total) <= len(found)
    assert total <= budget
