"""What counts as a PE image, and that asking costs nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from packager import normalise
from packager.pe import kinds
from tests.pe.build import build

ROOT = Path(__file__).parents[2]
SMALLEST = b"MZ".ljust(0x3C, b"\0") + (0x40).to_bytes(4, "little") + b"PE\0\0"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (SMALLEST, True),
        (build(), True),
        (SMALLEST[:-1], False),
        (SMALLEST[:0x3E], False),
        (b"MZ", False),
        (b"", False),
        (b"NE" + SMALLEST[2:], False),
        (SMALLEST.replace(b"PE", b"LE"), False),
        (b"MZ".ljust(0x3C, b"\0") + b"\xff\xff\xff\x7f" + bytes(64), False),
    ],
)
def test_a_pe_image_is_told_by_its_headers(tmp_path: Path, data: bytes, expected: bool) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    assert kinds.is_pe(path) is expected


def test_what_cannot_be_read_is_none(tmp_path: Path) -> None:
    assert kinds.is_pe(tmp_path) is False
    assert kinds.is_pe(tmp_path / "nothing") is False


def test_the_normaliser_means_the_same() -> None:
    assert normalise.is_pe is kinds.is_pe
    assert normalise.PE_SUFFIXES is kinds.PE_SUFFIXES


def test_deps_starts_without_the_heavy_readers() -> None:
    """LIEF alone takes longer to import than a bundle's graph to make."""
    program = "import sys, packager.cli.deps, packager.deps.graph, packager.deps.html; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"lief", "pefile", "multiprocessing"} & set(done.stdout.split())
