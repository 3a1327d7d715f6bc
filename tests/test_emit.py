"""Archives and sums are the same wherever they are made; the output folder never holds half of anything."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest
import zstandard

from packager import emit, manifest
from packager.errors import MachineError
from tests.audit.samples import passed
from tests.support import write

EPOCH = 1735689600


def tree(top: Path, *, order: tuple[str, ...] = ("b.txt", "a/x.exe", "a/y.dll")) -> Path:
    for name in order:
        write(top / name, name * 100)
    return top


def members(path: Path) -> list[tarfile.TarInfo]:
    data = zstandard.ZstdDecompressor().decompressobj().decompress(path.read_bytes())
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return archive.getmembers()


def test_a_tar_is_sorted_and_has_nothing_of_this_machine(tmp_path: Path) -> None:
    emit.write_tar_zst(passed(tree(tmp_path / "t")), tmp_path / "t.tar.zst", "name-1", EPOCH)
    found = members(tmp_path / "t.tar.zst")
    assert [m.name for m in found] == ["name-1", "name-1/a", "name-1/a/x.exe", "name-1/a/y.dll", "name-1/b.txt"]
    assert {m.mtime for m in found} == {EPOCH}
    assert {(m.uid, m.gid, m.uname, m.gname) for m in found} == {(0, 0, "", "")}
    assert [oct(m.mode) for m in found] == ["0o755", "0o755", "0o755", "0o644", "0o644"]


def test_a_tar_does_not_depend_on_order_times_or_modes(tmp_path: Path) -> None:
    first = tree(tmp_path / "1")
    second = tree(tmp_path / "2", order=("a/y.dll", "a/x.exe", "b.txt"))
    os.utime(second / "b.txt", (0, 0))
    (second / "b.txt").chmod(0o600)
    for top in (first, second):
        emit.write_tar_zst(passed(top), tmp_path / f"{top.name}.tar.zst", "n", EPOCH)
    assert (tmp_path / "1.tar.zst").read_bytes() == (tmp_path / "2.tar.zst").read_bytes()


def test_a_tar_for_another_program_s_folder_has_none_of_its_folders(tmp_path: Path) -> None:
    emit.write_tar_zst(passed(tree(tmp_path / "t")), tmp_path / "t.tar.zst", "", EPOCH, shared={"a"})
    assert [m.name for m in members(tmp_path / "t.tar.zst")] == ["a/x.exe", "a/y.dll", "b.txt"]


def made(tmp_path: Path) -> tuple[Path, tuple[str, ...], dict[str, str]]:
    top = tmp_path / "made"
    tree(top / "n-1")
    write(top / "n-1.zip", "zip")
    from packager.trees import file_sha256

    return top, ("n-1", "n-1.zip"), {"n-1.zip": file_sha256(top / "n-1.zip")}


def test_publish_puts_everything_there_and_sees_that_it_is(tmp_path: Path) -> None:
    top, names, sums = made(tmp_path)
    out = tmp_path / "out"
    with emit.output_lock(out):
        assert not emit.is_published(top, out, names, sums)
        emit.publish(top, out, names, sums)
        assert emit.is_published(top, out, names, sums)
    assert sorted(p.name for p in out.iterdir()) == ["SHA256SUMS", "n-1", "n-1.zip"]
    assert manifest.parse_sums((out / "SHA256SUMS").read_text()) == sums


@pytest.mark.parametrize("change", ["n-1.zip", "n-1/b.txt", "n-1/extra", "SHA256SUMS"])
def test_what_was_changed_in_the_output_is_put_right(tmp_path: Path, change: str) -> None:
    top, names, sums = made(tmp_path)
    out = tmp_path / "out"
    with emit.output_lock(out):
        emit.publish(top, out, names, sums)
        write(out / change, "changed")
        assert not emit.is_published(top, out, names, sums)
        emit.publish(top, out, names, sums)
        assert emit.is_published(top, out, names, sums)
    assert not (out / "n-1/extra").exists()


def test_sums_of_another_bundle_stay_while_its_files_do(tmp_path: Path) -> None:
    top, names, sums = made(tmp_path)
    out = tmp_path / "out"
    write(out / "other.zip", "o")
    write(out / "SHA256SUMS", f"{'a' * 64}  other.zip\n{'b' * 64}  gone.zip\n")
    with emit.output_lock(out):
        emit.publish(top, out, names, sums)
    assert manifest.parse_sums((out / "SHA256SUMS").read_text()) == {**sums, "other.zip": "a" * 64}


def test_what_a_killed_run_left_is_swept(tmp_path: Path) -> None:
    write(tmp_path / "out/.packager-unfinished/n-1/half", "x")
    with emit.output_lock(tmp_path / "out"):
        assert list((tmp_path / "out").iterdir()) == []


def test_an_output_folder_that_cannot_be_made(tmp_path: Path) -> None:
    write(tmp_path / "file", "x")
    with pytest.raises(MachineError, match="cannot be made"), emit.output_lock(tmp_path / "file/out"):
        pass
