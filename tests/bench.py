"""``make bench``: how long the packager's own work takes, medians of several runs, side by side where they compare.

Measures on the bundle that `make bundle` left in dist/. Nothing here decides a test.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pefile

from packager import trees
from packager.normalise import is_pe
from packager.pe.checksum import checksum
from packager.pe.layout import read_layout
from packager.pe.normalise import normalise

RUNS = 5
ROOT = Path(__file__).parents[1]


def median(work: Callable[[], object], runs: int = RUNS) -> float:
    """The median time of ``work`` in seconds, after one run that does not count."""
    work()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    """Print the table."""
    bundles = [path.parent for path in sorted((ROOT / "dist").glob("*/bundle.json"))]
    if not bundles:
        sys.exit("there is no bundle in dist/: run `make bundle` first")
    images = [n.absolute.read_bytes() for b in bundles for n in trees.files(b) if is_pe(n.absolute)]
    total = sum(map(len, images)) / 1e6
    print(f"{len(images)} PE files, {total:.1f} MB, medians of {RUNS} runs")
    ours = median(lambda: [normalise(image, 1) for image in images])
    sums = median(lambda: [checksum(image, read_layout(image).checksum_offset) for image in images])
    sample = images[:5]
    part = sum(map(len, sample)) / 1e6

    def by_pefile() -> None:
        for image in sample:
            pe = pefile.PE(data=image, fast_load=True)
            pe.OPTIONAL_HEADER.CheckSum = pe.generate_checksum()
            pe.write()

    theirs = median(by_pefile, 1)
    print(f"  normalise, with LIEF's confirmation    {total / ours:8.0f} MB/s")
    print(f"  checksum alone                         {total / sums:8.0f} MB/s")
    print(f"  pefile: generate_checksum and write    {part / theirs:8.1f} MB/s  (on {len(sample)} of the files)")
    spec = min(bundles, key=lambda path: len(path.name)).name.partition("-")[0]
    line = [sys.executable, "-m", "packager", "--quiet", "build", spec]
    again = median(lambda: subprocess.run(line, cwd=ROOT, check=True, capture_output=True))
    print(f"  packager build {spec}, nothing changed {again:8.2f} s")


if __name__ == "__main__":
    main()
