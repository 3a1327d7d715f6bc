"""Memory: no more than four times the file, whatever takes most of it up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.pe.build import FULL, build, with_symbols

SIZE = 64 << 20
#: What the allocators of Python and LIEF keep for later.
LITTLE = 8 << 20

#: The peak of this process alone: ru_maxrss begins with that of the process which started it.
CHILD = """
import sys
from pathlib import Path
from packager.pe.normalise import normalise
data = Path(sys.argv[1]).read_bytes()
result = normalise(data, 1735689600, signed="strip", symbols="strip", pad=True)
assert result.changes
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
print(int(peak.split()[1]) * 1024)
"""


def peak(path: Path, data: bytes) -> int:
    """Bytes that a process needs at most to normalise ``data``."""
    path.write_bytes(data)
    out = subprocess.run([sys.executable, "-c", CHILD, path], check=True, capture_output=True, text=True, timeout=300)
    path.unlink()
    return int(out.stdout)


@pytest.mark.parametrize(
    "options",
    [
        {"text": bytes(SIZE)},
        {"resources": {1: {1: {1: bytes(SIZE)}}}},
        {"overlay": bytes(SIZE - 1) + b"o"},
        {"text": bytes(SIZE), "certificate": b"c" * 16},
    ],
    ids=["code", "resources", "overlay", "signed"],
)
def test_at_most_four_times_the_file(options: dict[str, object], tmp_path: Path) -> None:
    small = peak(tmp_path / "small.exe", build(FULL))
    data = build(FULL, **options)
    assert peak(tmp_path / "large.exe", data) - small <= 4 * len(data) + LITTLE


def test_at_most_four_times_a_file_with_symbols(tmp_path: Path) -> None:
    small = peak(tmp_path / "small.exe", build(FULL))
    data = with_symbols(build(FULL, text=bytes(SIZE)), ["/build/name.c"] * 10000)
    assert peak(tmp_path / "large.exe", data) - small <= 4 * len(data) + LITTLE
