"""Folders and archives against one another; what goes wrong."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from pathlib import Path

import pytest

from packager.contents import ArchiveError
from packager.diff import compare as module
from packager.diff.compare import compare
from packager.diff.render import line
from packager.emit import write_tar_zst
from packager.errors import MachineError, SpecError
from tests.audit.samples import passed
from tests.diff.inputs import MEMBERS, tarred, tree, zipped
from tests.pe import build
from tests.support import write

EPOCH = 1735689600
INSIDE = {name.removeprefix("top/"): data for name, data in MEMBERS.items()}


def told(a: Path, b: Path) -> list[str]:
    return [line(difference, a.name) for difference in compare(a, b)]


def test_a_bundle_is_the_same_as_folder_tar_and_zip(tmp_path: Path) -> None:
    folder = tree(tmp_path / "top", INSIDE)
    write_tar_zst(passed(folder), tmp_path / "x.tar.zst", "top", EPOCH)
    forms = [
        folder,
        tmp_path / "x.tar.zst",
        zipped(tmp_path / "x.zip", dict(sorted(MEMBERS.items()))),
        tarred(tmp_path / "x.tar.gz", MEMBERS, pack="gz"),
        tarred(tmp_path / "x.tar", MEMBERS),
    ]
    for a in forms:
        for b in forms:
            if {a.suffix, b.suffix} <= {".zip", ""} or a.suffix == b.suffix:
                assert told(a, b) == []
            # Two tars have an order, too, and other folders' times.
            assert not [item for item in told(a, b) if "only in" in item or "line" in item]


def test_one_thing_of_each_kind_in_a_folder_against_an_archive(tmp_path: Path) -> None:
    folder = tree(tmp_path / "top", INSIDE)
    write_tar_zst(passed(folder), tmp_path / "x.tar.zst", "top", EPOCH)
    (folder / "b.txt").chmod(0o755)
    (folder / "a/c.txt").unlink()
    write(folder / "a/new", b"x")
    assert told(folder, tmp_path / "x.tar.zst") == [
        "a/c.txt: only in B",
        "a/new: only in A",
        "b.txt: mode 0755 ≠ 0644",
    ]
    assert told(tmp_path / "x.tar.zst", folder) == [
        "a/c.txt: only in A",
        "a/new: only in B",
        "b.txt: mode 0644 ≠ 0755",
    ]


def test_top_folders_of_two_versions(tmp_path: Path) -> None:
    a = zipped(tmp_path / "a.zip", {"x-1/f": b"1", "x-1/g": b"1"})
    b = zipped(tmp_path / "b.zip", {"x-2/f": b"2", "x-2/g": b"1"})
    assert told(a, b) == ["a.zip: top folder x-1 ≠ x-2", "f: line 1 '1' ≠ '2' (1 line differs)"]


def test_a_top_folder_is_kept_where_the_other_side_has_it(tmp_path: Path) -> None:
    a = zipped(tmp_path / "a.zip", {"pkg/f": b"1", "pkg/g": b"1"})
    b = zipped(tmp_path / "b.zip", {"pkg/f": b"1", "pkg/g": b"1", "other": b"1"})
    assert told(a, b) == ["other: only in B"]
    outer = tree(tmp_path / "outer", {"pkg/f": b"1", "pkg/g": b"1"})
    assert told(a, outer) == []


def test_empty_folders(tmp_path: Path) -> None:
    a, b = tree(tmp_path / "a", {"f": b""}), tree(tmp_path / "b", {"f": b""})
    (a / "empty").mkdir()
    assert told(a, b) == ["empty: only in A (a folder)"]


def test_the_order_is_that_of_the_paths(tmp_path: Path) -> None:
    names = ["a-b", "a/b", "a/c/d", "a.b", "B", "ä"]
    a = tree(tmp_path / "a", dict.fromkeys(names, b"1"))
    b = tree(tmp_path / "b", dict.fromkeys(names, b"2"))
    assert [difference.path for difference in compare(a, b)] == ["B", "a/b", "a/c/d", "a-b", "a.b", "ä"]


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    a, b = tree(tmp_path / "a", {"f": b""}), tree(tmp_path / "b", {"f": b""})
    name = os.fsdecode(b"\xff\n")
    try:
        (a / name).touch()
    except OSError:
        pytest.skip("this file system wants names in UTF-8")
    assert told(a, b) == ["\\udcff\\n: only in A"]


def test_nothing_is_found_in_the_same_thing(tmp_path: Path) -> None:
    folder = tree(tmp_path / "top", INSIDE)
    (tmp_path / "link").symlink_to(folder)
    assert told(folder, tmp_path / "link") == []
    a = zipped(tmp_path / "a.zip", MEMBERS)
    shutil.copy(a, tmp_path / "b.zip")
    assert told(a, tmp_path / "b.zip") == []


def test_archives_in_archives_in_folders(tmp_path: Path) -> None:
    sides = []
    for side, value in (("a", b"1"), ("b", b"2")):
        inner = zipped(tmp_path / f"{side}.jar", {"META/x": value, "META/y": b""})
        outer = tarred(tmp_path / f"{side}.tar", {"lib/inner.jar": inner.read_bytes(), "z": b""})
        sides.append(tree(tmp_path / side, {"dir/outer.tar": outer.read_bytes()}))
    assert told(sides[0], sides[1]) == ["dir/outer.tar!/lib/inner.jar!/META/x: line 1 '1' ≠ '2' (1 line differs)"]


def test_archives_in_archives_have_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_DEPTH", 1)
    sides = []
    for side, value in (("a", b"1"), ("b", b"2")):
        inner = zipped(tmp_path / f"{side}.jar", {"x": value})
        outer = zipped(tmp_path / f"{side}.zip", {"inner.jar": inner.read_bytes()})
        sides.append(tree(tmp_path / side, {"outer.zip": outer.read_bytes()}))
    (found,) = told(sides[0], sides[1])
    assert found.startswith("outer.zip!/inner.jar: differs in 3 ranges, first at 0xe (")


def test_a_broken_archive_in_a_folder_is_data(tmp_path: Path) -> None:
    whole = zipped(tmp_path / "x.zip", MEMBERS).read_bytes()
    a, b = tree(tmp_path / "a", {"x.zip": whole}), tree(tmp_path / "b", {"x.zip": whole[:-30]})
    (found,) = told(a, b)
    assert found.startswith("x.zip: size ")


def test_a_broken_archive_is_an_error_that_names_it(tmp_path: Path) -> None:
    a = zipped(tmp_path / "a.zip", MEMBERS)
    b = write(tmp_path / "b.zip", a.read_bytes()[:-30])
    with pytest.raises(ArchiveError, match=r"b\.zip: expected a whole \.zip archive, found: "):
        compare(a, b)
    c = write(tmp_path / "c.zip", b"no zip at all")
    with pytest.raises(ArchiveError, match=r"c\.zip: expected a folder, or a \.zip or tar archive, found neither"):
        compare(a, c)
    with pytest.raises(ArchiveError, match=r"c\.zip: "):
        compare(c, a)


def test_what_is_not_there_or_cannot_be_compared(tmp_path: Path) -> None:
    folder = tree(tmp_path / "top", INSIDE)
    file = write(tmp_path / "b.txt", b"text")
    with pytest.raises(SpecError, match=r"nothing: expected a file, a folder or an archive, found nothing"):
        compare(folder, tmp_path / "nothing")
    with pytest.raises(SpecError) as caught:
        compare(folder, file)
    assert str(caught.value) == (
        f"{file}: expected an archive, to be compared with the folder {folder}, found another kind of file\n"
        f"  what to do: name the file inside the folder: {folder / 'b.txt'}"
    )
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SpecError, match="found something else"):
        compare(file, tmp_path / "pipe")


def test_pipes_in_folders_are_not_read(tmp_path: Path) -> None:
    a, b = tree(tmp_path / "a", {"f": b""}), tree(tmp_path / "b", {"f": b""})
    os.mkfifo(a / "pipe")
    os.mkfifo(b / "pipe")
    (a / "other").touch()
    os.mkfifo(b / "other")
    assert told(a, b) == ["other: kind file ≠ other"]


def test_what_cannot_be_read_is_an_error_with_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = tree(tmp_path / "a", {"f": b"1"}), tree(tmp_path / "b", {"f": b"2"})
    # Who runs the tests may be allowed to read everything.
    real = Path.open

    def denied(self: Path, *args: object, **options: object) -> object:
        if self == b / "f":
            raise PermissionError(13, "Permission denied", str(self))
        return real(self, *args, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(MachineError) as caught:
        compare(a, b)
    assert caught.value.message == f"{b / 'f'}: expected to read it, found: Permission denied"


def test_single_files_are_compared_without_mode_and_with_their_name(tmp_path: Path) -> None:
    a, b = write(tmp_path / "one.txt", b"1\n"), write(tmp_path / "two.txt", b"1\n")
    b.chmod(0o755)
    assert told(a, b) == []
    b.write_bytes(b"2\n")
    assert told(a, b) == ["one.txt: line 1 '1' ≠ '2' (1 line differs)"]
    assert compare(a, b)[0].path == ""
    image = write(tmp_path / "x.dll", build.build())
    other = write(tmp_path / "x.bin", build.build(stamp=1600000000))
    assert told(image, other) == ["x.dll: COFF TimeDateStamp 1979-01-28 ≠ 2020-09-13"]


def test_an_archive_against_a_plain_file(tmp_path: Path) -> None:
    a, b = zipped(tmp_path / "a.zip", MEMBERS), write(tmp_path / "b.txt", b"text\n")
    (found,) = told(a, b)
    assert found.startswith("a.zip: size ")


def test_hard_links_in_a_tar_are_files(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        info = tarfile.TarInfo("top/a")
        info.size = 3
        archive.addfile(info, io.BytesIO(b"abc"))
        info = tarfile.TarInfo("top/b")
        info.type, info.linkname = tarfile.LNKTYPE, "top/a"
        archive.addfile(info)
    folder = tree(tmp_path / "top", {"a": b"abc", "b": b"abc"})
    assert told(folder, tmp_path / "x.tar") == []
