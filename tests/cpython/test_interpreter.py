"""Finding the files as regrtest does, in made trees."""

from __future__ import annotations

from pathlib import Path

import pytest

from packager.errors import SpecError
from tests.cpython.interpreter import find_files, given_interpreter, split_folders
from tests.support import write

SPLIT = 'SPLITTESTDIRS: set[TestName] = {\n    "test_split",\n}\n'


def tree(folder: Path, *paths: str, findtests: str = SPLIT) -> Path:
    write(folder / "libregrtest/findtests.py", findtests)
    for path in paths:
        write(folder / path, "")
    return folder


def test_files_packages_and_split_packages(tmp_path: Path) -> None:
    tests = tree(
        tmp_path,
        "test_os.py", "test_data.txt", "support/__init__.py", "regrtest.py", "test_nothing/data.py",
        "test_whole/__init__.py", "test_whole/test_a.py",
        "test_split/__init__.py", "test_split/test_b.py", "test_split/util.py", "test_split/test_sub/__init__.py",
    )  # fmt: skip
    assert find_files(tests) == ("test_os", "test_split.test_b", "test_split.test_sub", "test_whole")


def test_the_set_may_stand_without_a_type(tmp_path: Path) -> None:
    assert split_folders(tree(tmp_path, findtests='SPLITTESTDIRS = {"test_a", "test_b"}\n')) == {"test_a", "test_b"}


def test_a_version_that_finds_its_tests_otherwise_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="expected a set SPLITTESTDIRS, found none"):
        split_folders(tree(tmp_path, findtests="X = 1\n"))


def test_a_folder_that_is_no_interpreter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"expected Python for Windows with its tests, found no python\.exe"):
        given_interpreter(tmp_path)
