from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from packager.disk import DiskError, disk_errors, raise_if_child_was_full


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_names_folder_and_free_bytes(tmp_path: Path, code: int) -> None:
    with pytest.raises(DiskError) as caught, disk_errors(tmp_path / "not" / "there" / "yet"):
        raise OSError(code, os.strerror(code))
    assert caught.value.exit_code == 5
    assert caught.value.message.startswith(f"{tmp_path}: the disk is full: ")
    assert caught.value.message.endswith(" bytes are free")
    assert "--store" in str(caught.value)


def test_really_full_device() -> None:
    with pytest.raises(DiskError, match="the disk is full"), disk_errors(Path("/dev")), open("/dev/full", "wb") as sink:
        sink.write(b"x" * 100_000)


def test_unwritable(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match=r"x/y: cannot be written: Read-only file system"), disk_errors(tmp_path):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), "x/y")


def test_other_errors_pass(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), disk_errors(tmp_path):
        (tmp_path / "a").read_bytes()


def test_words_of_a_child(tmp_path: Path) -> None:
    raise_if_child_was_full(["E: something else"], tmp_path)
    with pytest.raises(DiskError):
        raise_if_child_was_full(["fatal: write error: No space left on device"], tmp_path)
