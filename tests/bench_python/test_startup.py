"""Start-up: what -X importtime prints, the table; and the library's forms."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.bench_python import forms, startup


def test_times_of_imports_are_added_up() -> None:
    said = (
        "import time: self [us] | cumulative | imported package\r\n"
        "import time:       150 |        150 |   _io\r\n"
        "import time:        50 |        200 | io\r\n"
    )
    assert startup.import_time(said) == pytest.approx(0.0002)


def test_this_python_prints_them_like_that() -> None:
    done = subprocess.run([sys.executable, *startup.KINDS["pass"]], capture_output=True, text=True, check=True)
    assert 0 < startup.import_time(done.stderr) < 60


def test_nothing_printed_is_an_error() -> None:
    with pytest.raises(ValueError, match="importtime"):
        startup.import_time("Traceback\n")


def test_the_table() -> None:
    found = {"pass": {"a": 0.02, "c": 0.01}, "imports": {"a": 0.3, "c": 0.4}}
    assert startup.text(found, {"a": "ours", "c": "theirs"}, "c") == (
        "                             -c pass     asyncio, ssl, sqlite3\n"
        "(a) ours              20.0 ms (2.00)           300.0 ms (0.75)\n"
        "(c) theirs            10.0 ms (1.00)           400.0 ms (1.00)\n"
    )


def bundle(folder: Path) -> Path:
    library = folder / "python" / "Lib" / "json"
    library.mkdir(parents=True)
    (library / "__init__.pyc").write_bytes(bytes(10_000))
    (folder / "python" / "python313._pth").write_bytes(b"DLLs\nLib\n..\\app\n")
    return folder


def test_forms_of_the_library(tmp_path: Path) -> None:
    made = bundle(tmp_path / "bundle")
    for form, method in (("stored", zipfile.ZIP_STORED), ("deflated", zipfile.ZIP_DEFLATED)):
        forms.make(made, form, tmp_path / form, "3.13.5")
        python = tmp_path / form / "python"
        assert sorted(path.name for path in python.iterdir()) == ["python313._pth", "python313.zip"]
        assert (python / "python313._pth").read_bytes() == b"DLLs\npython313.zip\n..\\app\n"
        with zipfile.ZipFile(python / "python313.zip") as archive:
            (entry,) = archive.infolist()
            assert (entry.filename, entry.compress_type) == ("json/__init__.pyc", method)
            assert archive.read(entry) == bytes(10_000)
    forms.make(made, "loose", tmp_path / "loose", "3.13.5")
    assert (tmp_path / "loose/python/Lib/json/__init__.pyc").is_file()
    total, packed = forms.sizes(tmp_path / "loose")
    assert total == 10_000 + len(b"DLLs\nLib\n..\\app\n")
    assert packed < total
