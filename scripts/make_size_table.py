"""``python -m scripts.make_size_table ARCHIVE``: renew the table of docs/size.md from a bundle's ``.tar.zst``.

What a part costs is what the archive is smaller without it: the compressor finds one part's bytes in another's, so that
sizes of parts compressed alone say too much. Each measurement compresses the rest as the packager does, which takes
half a minute of one core; ``--jobs`` of them run at once.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import functools
import io
import re
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import zstandard

from packager import emit, manifest
from packager.layout import layout_of

DOCUMENT = Path(__file__).parents[1] / "docs" / "size.md"
BEGIN, END = "<!-- table: python -m scripts.make_size_table -->", "<!-- end of the table -->"
#: Parts that cost less than this many bytes are put together.
SMALL = 40_000
REST = "all smaller parts"
SHARED = "found in several parts"

#: Files of the interpreter by their place, and what they are called; the first that fits.
_INTERPRETER = (
    (r"python/DLLs/(libcrypto-3\.dll|libssl-3\.dll|_ssl\.pyd|_hashlib\.pyd)", "OpenSSL, `ssl` and `hashlib`"),
    (r"python/DLLs/(sqlite3\.dll|_sqlite3\.pyd)", "SQLite"),
    (r"python/DLLs/unicodedata\.pyd", "Unicode's tables"),
    (r"python/DLLs/.*", "other extension modules"),
    (r"python/(Lib/.*|python\d+\.zip)", "standard library"),
    (r"python/.*", "interpreter"),
)


@dataclass(frozen=True, slots=True)
class Row:
    """A part: its files, their bytes, and how many bytes the archive is smaller without them."""

    name: str
    files: int
    plain: int
    packed: int


def part_of(path: str, source: str, licences: str) -> str:
    """The part that a file of the portable form belongs to; ``licences`` is the folder of licence texts."""
    if path.startswith(f"{licences}/"):
        return "licence texts"
    if source == "cpython":
        return next(name for pattern, name in _INTERPRETER if re.fullmatch(pattern, path))
    if source == "launcher":
        return "launcher, resolver, list of files"
    return source


def parts(described: manifest.Manifest) -> dict[str, str]:
    """The part of each file, by its path in the archive."""
    layout = layout_of(file.path for file in described.files)
    prefix = f"{layout.program}/" if layout.program else ""
    return {
        file.path: part_of(
            f"licenses/{file.path}" if file.path.startswith(f"{layout.licences}/") else file.path.removeprefix(prefix),
            file.source,
            "licenses",
        )
        for file in described.files
    }


def packed_size(tar: bytes, leave_out: frozenset[str] = frozenset(), prefix: str = "") -> int:
    """The size of the ``.tar.zst`` that the packager makes of what a tar holds, without the files ``leave_out``."""
    sink = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(tar), mode="r:") as whole,
        tarfile.open(fileobj=sink, mode="w", format=tarfile.PAX_FORMAT) as rest,
    ):
        for member in whole:
            if member.name.removeprefix(prefix) not in leave_out:
                rest.addfile(member, whole.extractfile(member) if member.isfile() else None)
    parameters = zstandard.ZstdCompressionParameters.from_level(
        emit.ZSTD_LEVEL, threads=1, write_checksum=True, write_content_size=False
    )
    return len(zstandard.ZstdCompressor(compression_params=parameters).compress(sink.getvalue()))


def measure(archive: Path, described: manifest.Manifest, jobs: int) -> tuple[list[Row], int]:
    """The parts of an archive, the largest first, with what is in several of them, and its size."""
    with archive.open("rb") as stream:
        tar = zstandard.ZstdDecompressor().stream_reader(stream).read()
    with tarfile.open(fileobj=io.BytesIO(tar), mode="r:") as opened:
        sizes = {member.name: member.size for member in opened if member.isfile()}
    of_file = parts(described)
    prefix = "" if set(of_file) <= set(sizes) else f"{next(iter(sizes)).partition('/')[0]}/"
    groups: dict[str, list[str]] = {}
    for path, name in of_file.items():
        groups.setdefault(name, []).append(path)
    total = archive.stat().st_size
    with concurrent.futures.ProcessPoolExecutor(jobs) as pool:
        work = functools.partial(packed_size, tar, prefix=prefix)
        sums = dict(zip(groups, pool.map(work, [frozenset(its) for its in groups.values()]), strict=True))
    rows = [
        Row(name, len(its), sum(sizes[prefix + path] for path in its), total - sums[name])
        for name, its in groups.items()
    ]
    return arranged(rows, total), total


def arranged(rows: Sequence[Row], total: int) -> list[Row]:
    """The rows by size, small ones put together, and what no row has by itself, so that all add up to ``total``."""
    large = sorted((row for row in rows if row.packed >= SMALL), key=lambda row: (-row.packed, row.name))
    small = [row for row in rows if row.packed < SMALL]
    if small:
        counts = (sum(column) for column in zip(*((row.files, row.plain, row.packed) for row in small), strict=True))
        large.append(Row(REST, *counts))
    large.append(Row(SHARED, 0, 0, total - sum(row.packed for row in rows)))
    return large


def table(rows: Sequence[Row], total: int, budget: int) -> str:
    """The table in Markdown; sizes in kB of 1,000 bytes."""

    def size(number: int) -> str:
        return f"{number / 1000:,.0f}"

    lines = ["| part | files | kB | kB in the archive |", "|---|---:|---:|---:|"]
    for row in rows:
        files, plain = (f"{row.files:,}", size(row.plain)) if row.files else ("", "")
        lines.append(f"| {row.name} | {files} | {plain} | {size(row.packed)} |")
    every, whole = sum(row.files for row in rows), sum(row.plain for row in rows)
    lines.append(f"| **together** | {every:,} | {size(whole)} | **{size(total)}** |")
    lines.append(f"| budget | | | {size(budget)} |")
    return "\n".join(lines)


def read_table(text: str) -> dict[str, int]:
    """The last column of the table in a document, in kB, by part. ValueError if there is none."""
    body = text.partition(BEGIN)[2].partition(END)[0]
    found = re.findall(r"(?m)^\| (.+?) \|.*\| \**(-?[\d,]+)\** \|$", body)
    if not found:
        raise ValueError(f"expected a table behind {BEGIN}, found none")
    return {name.strip("*"): int(number.replace(",", "")) for name, number in found}


def renewed(text: str, made: str) -> str:
    """A document with another table in it."""
    before, begin, rest = text.partition(BEGIN)
    _old, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"expected {BEGIN} and {END}, found no such lines")
    return f"{before}{begin}\n{made}\n{end}{after}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.make_size_table", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("archive", type=Path, help="dist/electrum-nmc-...tar.zst, with its manifest beside it")
    parser.add_argument("--budget", type=int, default=9_000_000, help="bytes that the archive may have (%(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="measurements at once (%(default)s)")
    options = parser.parse_args(argv)
    name = options.archive.name.removesuffix(".tar.zst") + manifest.SUFFIX
    described = msgspec.json.decode((options.archive.parent / name).read_bytes(), type=manifest.Manifest)
    rows, total = measure(options.archive, described, options.jobs)
    made = table(rows, total, options.budget)
    DOCUMENT.write_text(renewed(DOCUMENT.read_text("utf-8"), made), "utf-8")
    print(made)
    return 0 if total <= options.budget else 1


if __name__ == "__main__":
    sys.exit(main())
