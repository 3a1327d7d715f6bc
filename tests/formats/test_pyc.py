"""Compiled Python: no longer bound to a source's time, still importable."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import py_compile
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given

from packager.formats.errors import FormatError
from packager.formats.pyc import normalise
from tests.formats.build import EPOCH, changes, outcome
from tests.formats.strategies import mutations

CODE = b"\xe3" + bytes(40)
STAMPED = importlib.util.MAGIC_NUMBER + bytes(4) + b"\x11\x11\x11\x11" + b"\x05\0\0\0" + CODE
EVERY = [STAMPED, STAMPED[:4] + b"\x03" + STAMPED[5:]]
MODES = list(py_compile.PycInvalidationMode)


def compiled(folder: Path, mode: py_compile.PycInvalidationMode) -> Path:
    source = folder / "module.py"
    source.write_text("value = 'from the code'\n")
    target = folder / "module.pyc"
    py_compile.compile(str(source), str(target), doraise=True, invalidation_mode=mode)
    return target


def test_a_time_becomes_a_hash_of_the_code() -> None:
    result = outcome(normalise, STAMPED)
    assert result is not None
    assert changes(result) == [
        ("flags", 4, bytes(4), b"\x01\0\0\0"),
        ("source hash", 8, b"\x11\x11\x11\x11\x05\0\0\0", hashlib.sha256(CODE).digest()[:8]),
    ]
    assert normalise(STAMPED, 0).data == result.data, "the epoch has no part in it"


@pytest.mark.parametrize("flags", [1, 3])
def test_a_hash_stays(flags: int) -> None:
    data = STAMPED[:4] + bytes([flags]) + STAMPED[5:]
    assert normalise(data, EPOCH).data is data


@pytest.mark.parametrize("mode", MODES)
def test_python_imports_it_without_its_source(tmp_path: Path, mode: py_compile.PycInvalidationMode) -> None:
    path = compiled(tmp_path, mode)
    (tmp_path / "module.py").unlink()
    result = outcome(normalise, path.read_bytes())
    assert result is not None
    assert bool(result.changes) == (mode is py_compile.PycInvalidationMode.TIMESTAMP)
    path.write_bytes(result.data)
    assert run_module(tmp_path) == "from the code"


def test_python_does_not_compare_it_with_its_source(tmp_path: Path) -> None:
    path = compiled(tmp_path, py_compile.PycInvalidationMode.TIMESTAMP)
    cache = tmp_path / "__pycache__" / f"module.{sys.implementation.cache_tag}.pyc"
    cache.parent.mkdir()
    cache.write_bytes(normalise(path.read_bytes(), EPOCH).data)
    path.unlink()
    (tmp_path / "module.py").write_text("value = 'from a later source'\n")
    os.utime(tmp_path / "module.py", (1, 1))
    assert run_module(tmp_path) == "from the code"


def run_module(folder: Path) -> str:
    """What Python prints that imports the module in ``folder``."""
    line = f"import sys; sys.path[:0] = [{str(folder)!r}]; import module; print(module.value)"
    done = subprocess.run([sys.executable, "-I", "-B", "-c", line], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_two_times_give_one_file(tmp_path: Path) -> None:
    results = []
    for moment in (1_000_000_000, 1_500_000_000):
        path = compiled(tmp_path, py_compile.PycInvalidationMode.TIMESTAMP)
        os.utime(tmp_path / "module.py", (moment, moment))
        py_compile.compile(str(tmp_path / "module.py"), str(path), doraise=True)
        results.append(path.read_bytes())
    assert results[0] != results[1]
    assert normalise(results[0], EPOCH).data == normalise(results[1], EPOCH).data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "offset 0x0: expected a header of 16 bytes and code, found 0 bytes"),
        (STAMPED[:16], "offset 0x0: expected a header of 16 bytes and code, found 16 bytes"),
        (
            b"text" * 5,
            r"offset 0x2: expected b'\r\n', the end of Python's magic number, found b'xt'",
        ),
        (
            (3379).to_bytes(2, "little") + STAMPED[2:],
            "offset 0x0: expected a magic number of Python 3.7 or later, found 3379, which is of an earlier one",
        ),
        (
            STAMPED[:4] + b"\x02" + STAMPED[5:],
            "offset 0x4: expected flags 0, 1 or 3, found 0x2\n  what to do: compile it with Python 3.7 or later",
        ),
        (STAMPED[:16] + b"N" * 9, "offset 0x10: expected a code object, found a byte 0x4e"),
    ],
)
def test_broken_files(data: bytes, message: str) -> None:
    with pytest.raises(FormatError) as caught:
        normalise(data, EPOCH)
    assert str(caught.value) == message


@given(mutations(EVERY))
def test_mutations_are_normalised_or_refused(data: bytes) -> None:
    outcome(normalise, data)
