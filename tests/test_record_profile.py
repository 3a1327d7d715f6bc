"""scripts/record_profile.py: which tests are run, how counts are packed, and where the interpreter writes them."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from packager.errors import SpecError
from packager.wine import Wine
from scripts import record_profile


def test_cpythons_own_list_and_ours() -> None:
    source = "import x\nPGO_TESTS = [\n    'test_array',\n    'test_json',\n]\n"
    assert record_profile.training(source) == ("test_array", "test_json", *record_profile.TRAINING)


def test_a_source_without_the_list_is_an_error() -> None:
    with pytest.raises(SpecError, match="PGO_TESTS"):
        record_profile.training("TESTS = []\n")


def test_counts_are_packed_the_same_whatever_their_times(tmp_path: Path) -> None:
    made = []
    for number, names in enumerate(
        (("b.gcda", "a.gcda", "other"), ("a.gcda", "b.gcda", "#build#lib_testcapi-0.a.p#x.gcda"))
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        for name in names:
            (folder / name).write_bytes(name.encode())
            (folder / name).chmod(0o600 if number else 0o644)
        made.append(record_profile.pack(folder))
    assert made[0] == made[1]
    with tarfile.open(fileobj=io.BytesIO(made[0])) as archive:
        assert [(entry.name, entry.mode, entry.mtime) for entry in archive] == [
            ("a.gcda", 0o644, 0),
            ("b.gcda", 0o644, 0),
        ]


def test_no_counts_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="found none"):
        record_profile.pack(tmp_path)


def test_the_folder_of_counts_is_where_the_component_writes() -> None:
    line = record_profile.command(Wine(Path("/r"), Path("/t")), Path("/b"), Path("/x/counts"), "test_json")
    place = line.index("/counts")
    assert line[place - 2 : place] == ["--bind", "/x/counts"]
    assert line[-4:] == ["-m", "unittest", "-q", "test.test_json"]
    component = (record_profile.ROOT / "bundle_specs/components/cpython-counted.toml").read_text("utf-8")
    assert "-Dcounts=/counts" in component
    line = record_profile.command_of_linux(Path("/r"), Path("/b"), Path("/x/counts"), "test_json")
    place = line.index("/build/counts")
    assert line[place - 2 : place] == ["--bind", "/x/counts"]
    assert line[-4:] == ["-m", "unittest", "-q", "test.test_json"]
    assert "-fprofile-generate=/build/counts " in component


@pytest.mark.parametrize(
    "path",
    sorted(path for folder in record_profile.FOLDERS.values() for path in folder.glob("*.tar.xz")),
    ids=lambda path: path.name,
)
def test_counts_in_the_repository(path: Path) -> None:
    """They have the core's evaluation loop, and are of no more than a size that a repository bears."""
    with tarfile.open(path) as archive:
        names = archive.getnames()
    assert any(name.endswith(("#Python_ceval.c.gcda", "#Python#ceval.gcda")) for name in names)
    assert names == sorted(names)
    assert path.stat().st_size < 1_000_000
