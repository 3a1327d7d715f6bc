"""Files on disk: replaced in one step or not at all."""

from __future__ import annotations

import errno
import json
import os
import signal
from functools import partial
from pathlib import Path

import pytest

from packager.changes import show_bytes
from packager.errors import MachineError, PEError, SpecError
from packager.normalise import FileReport, Job, _spread, collect, normalise_file, normalise_paths, to_json
from packager.pe.normalise import normalise
from tests.pe.build import FULL, Dll, build

EPOCH = 1735689600
DATA = build(FULL)
NORMAL = normalise(DATA, EPOCH).data


@pytest.fixture
def dll(tmp_path: Path) -> Path:
    path = tmp_path / "a.dll"
    path.write_bytes(DATA)
    path.chmod(0o640)
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_in_place_with_its_mode(dll: Path) -> None:
    report = normalise_file(dll, EPOCH)
    assert (report.status, report.size, report.output) == ("changed", len(DATA), None)
    assert dll.read_bytes() == NORMAL
    assert dll.stat().st_mode & 0o7777 == 0o640
    assert names(dll.parent) == ["a.dll"]


def test_what_is_normal_is_not_written(dll: Path) -> None:
    normalise_file(dll, EPOCH)
    before = dll.stat()
    assert normalise_file(dll, EPOCH).status == "unchanged"
    assert (dll.stat().st_ino, dll.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_check_writes_nothing(dll: Path, tmp_path: Path) -> None:
    report = normalise_file(dll, EPOCH, tmp_path / "out" / "a.dll", check=True)
    assert report.status == "changed"
    assert dll.read_bytes() == DATA
    assert names(tmp_path) == ["a.dll"]


def test_into_another_file(dll: Path, tmp_path: Path) -> None:
    output = tmp_path / "out" / "b.dll"
    assert normalise_file(dll, EPOCH, output).output == str(output)
    assert dll.read_bytes() == DATA
    assert output.read_bytes() == NORMAL
    assert output.stat().st_mode & 0o7777 == 0o640
    assert normalise_file(output, EPOCH, tmp_path / "c.dll").status == "unchanged"
    assert (tmp_path / "c.dll").read_bytes() == NORMAL


def test_a_link_stays_a_link(dll: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.dll"
    link.symlink_to("a.dll")
    normalise_file(link, EPOCH)
    assert link.is_symlink()
    assert dll.read_bytes() == NORMAL


def test_a_broken_file_is_named_and_untouched(dll: Path) -> None:
    dll.write_bytes(DATA[:1000])
    with pytest.raises(PEError) as caught:
        normalise_file(dll, EPOCH)
    assert caught.value.message.startswith(f"{dll}: section 1 (b'.data') at offset 0x188: expected its data inside")
    assert dll.read_bytes() == DATA[:1000]


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(PEError, match=r"expected a file that can be read, found: Is a directory"):
        normalise_file(tmp_path, EPOCH)


@pytest.mark.parametrize("call", ["fsync", "fchmod"])
def test_a_full_disk_leaves_the_old_file_and_no_other(dll: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    def fail(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(MachineError, match="found: No space left on device"):
        normalise_file(dll, EPOCH)
    assert dll.read_bytes() == DATA
    assert names(dll.parent) == ["a.dll"]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    for name, content in {
        "b/z.dll": DATA,
        "b/a.pyd": DATA,
        "a/module": DATA,
        "a/text.txt": b"text",
        "a/old.com": b"MZ, but of the time before Windows".ljust(100),
        "a/broken.exe": b"MZ",
        "c.exe": build(imports=(Dll("A.dll", stamp=1),)),
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    (root / "b" / "link.dll").symlink_to("z.dll")
    return root


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_folder_in_order_others_skipped_failures_reported(tree: Path, jobs: int) -> None:
    reports = list(normalise_paths([tree], EPOCH, jobs=jobs))
    assert [(Path(r.path).relative_to(tree).as_posix(), r.status) for r in reports] == [
        ("c.exe", "failed"),
        ("a/broken.exe", "failed"),
        ("a/module", "changed"),
        ("b/a.pyd", "changed"),
        ("b/z.dll", "changed"),
    ]
    assert "bound imports" in str(reports[0].error)
    assert (tree / "b/z.dll").read_bytes() == (tree / "a/module").read_bytes() == NORMAL


def _kill(_job: Job) -> FileReport:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def test_a_killed_worker_is_told(tree: Path) -> None:
    with pytest.raises(MachineError, match="expected each to live, found that one was killed or crashed"):
        list(_spread(partial(_kill), collect([tree]), 2))


def test_a_failure_to_write_comes_through_from_a_worker(tree: Path) -> None:
    (tree / "file").write_bytes(b"")
    reports = normalise_paths([tree / "a" / "module", tree / "b"], EPOCH, output_dir=tree / "file", jobs=2)
    with pytest.raises(MachineError, match=r"found: (File exists|Not a directory)"):
        list(reports)
    assert (tree / "b/z.dll").read_bytes() == DATA


def test_an_output_folder_mirrors_the_input(tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    list(normalise_paths([tree / "c.exe", tree], EPOCH, output_dir=out))
    assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()) == [
        "a/module",
        "b/a.pyd",
        "b/z.dll",
    ]
    assert (tree / "b/z.dll").read_bytes() == DATA


def test_each_file_once(tree: Path) -> None:
    jobs = collect([tree / "b" / "z.dll", tree, tree / "b" / "link.dll"])
    assert [job.path.name for job in jobs] == ["z.dll", "c.exe", "broken.exe", "module", "a.pyd"]


def test_two_results_of_one_name_are_refused_before_anything_is_written(tree: Path, tmp_path: Path) -> None:
    (tree / "z.dll").write_bytes(DATA)
    with pytest.raises(SpecError, match="expected one file to go there"):
        normalise_paths([tree / "z.dll", tree / "b" / "z.dll"], EPOCH, output_dir=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"nothing\.dll: expected a file or a folder, found nothing"):
        normalise_paths([tmp_path / "nothing.dll"], EPOCH)


def test_json(dll: Path) -> None:
    document = json.loads(json.dumps(to_json(normalise_file(dll, EPOCH, check=True))))
    assert document["changes"][0] == {
        "field": "COFF TimeDateStamp",
        "offset": 0x88,
        "before": "0x11111111",
        "after": "0x67748580",
    }
    assert (document["path"], document["status"], document["error"]) == (str(dll), "changed", None)


def test_bytes_are_shown_short() -> None:
    assert show_bytes(b"\x01\x02\x03") == "010203"
    assert show_bytes(b"") == ""
    assert show_bytes(bytes(65)).startswith("65 bytes, sha256 98ce42de")
