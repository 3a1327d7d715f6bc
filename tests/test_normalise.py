"""Files on disk: replaced in one step or not at all."""

from __future__ import annotations

import errno
import importlib.util
import json
import os
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from packager.changes import show_bytes
from packager.errors import MachineError, PEError, SpecError
from packager.formats.errors import FormatError
from packager.normalise import (
    FileReport,
    Job,
    Kind,
    Options,
    _spread,
    collect,
    kind_of,
    kind_of_file,
    normalise_file,
    normalise_paths,
    to_json,
)
from packager.pe.normalise import normalise
from tests.formats.build import Packed, ar_member, big_object, coff_object, gzip_member, zip_file
from tests.pe.build import FULL, build

EPOCH = 1735689600
OPTIONS = Options(EPOCH)
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
    report = normalise_file(dll, OPTIONS)
    assert (report.status, report.size, report.output) == ("changed", len(DATA), None)
    assert dll.read_bytes() == NORMAL
    assert dll.stat().st_mode & 0o7777 == 0o640
    assert names(dll.parent) == ["a.dll"]


def test_what_is_normal_is_not_written(dll: Path) -> None:
    normalise_file(dll, OPTIONS)
    before = dll.stat()
    assert normalise_file(dll, OPTIONS).status == "unchanged"
    assert (dll.stat().st_ino, dll.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_check_writes_nothing(dll: Path, tmp_path: Path) -> None:
    report = normalise_file(dll, OPTIONS, tmp_path / "out" / "a.dll", check=True)
    assert report.status == "changed"
    assert dll.read_bytes() == DATA
    assert names(tmp_path) == ["a.dll"]


def test_into_another_file(dll: Path, tmp_path: Path) -> None:
    output = tmp_path / "out" / "b.dll"
    assert normalise_file(dll, OPTIONS, output).output == str(output)
    assert dll.read_bytes() == DATA
    assert output.read_bytes() == NORMAL
    assert output.stat().st_mode & 0o7777 == 0o640
    assert normalise_file(output, OPTIONS, tmp_path / "c.dll").status == "unchanged"
    assert (tmp_path / "c.dll").read_bytes() == NORMAL


def test_a_link_stays_a_link(dll: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.dll"
    link.symlink_to("a.dll")
    normalise_file(link, OPTIONS)
    assert link.is_symlink()
    assert dll.read_bytes() == NORMAL


def test_a_broken_file_is_named_and_untouched(dll: Path) -> None:
    dll.write_bytes(DATA[:1000])
    with pytest.raises(PEError) as caught:
        normalise_file(dll, OPTIONS)
    assert caught.value.message.startswith(f"{dll}: section 1 (b'.data') at offset 0x188: expected its data inside")
    assert dll.read_bytes() == DATA[:1000]


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"expected a file that can be read, found: Is a directory"):
        normalise_file(tmp_path, OPTIONS)


@pytest.mark.parametrize("call", ["fsync", "fchmod"])
def test_a_full_disk_leaves_the_old_file_and_no_other(dll: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    def fail(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(MachineError, match="found: No space left on device"):
        normalise_file(dll, OPTIONS)
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
        "c.exe": build(certificate=b"c" * 16),
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    (root / "b" / "link.dll").symlink_to("z.dll")
    return root


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_folder_in_order_others_skipped_failures_reported(tree: Path, jobs: int) -> None:
    reports = list(normalise_paths([tree], OPTIONS, jobs=jobs))
    assert [(Path(r.path).relative_to(tree).as_posix(), r.status) for r in reports] == [
        ("c.exe", "failed"),
        ("a/broken.exe", "failed"),
        ("a/module", "changed"),
        ("b/a.pyd", "changed"),
        ("b/z.dll", "changed"),
    ]
    assert "expected no signature" in str(reports[0].error)
    assert (tree / "b/z.dll").read_bytes() == (tree / "a/module").read_bytes() == NORMAL


def _kill(_job: Job) -> FileReport:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def test_a_killed_worker_is_told(tree: Path) -> None:
    with pytest.raises(MachineError, match="expected each to live, found that one was killed or crashed"):
        list(_spread(partial(_kill), collect([tree]), 2))


def test_a_failure_to_write_comes_through_from_a_worker(tree: Path) -> None:
    (tree / "file").write_bytes(b"")
    reports = normalise_paths([tree / "a" / "module", tree / "b"], OPTIONS, output_dir=tree / "file", jobs=2)
    with pytest.raises(MachineError, match=r"found: (File exists|Not a directory)"):
        list(reports)
    assert (tree / "b/z.dll").read_bytes() == DATA


def test_an_output_folder_mirrors_the_input(tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    list(normalise_paths([tree / "c.exe", tree], OPTIONS, output_dir=out))
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
        normalise_paths([tree / "z.dll", tree / "b" / "z.dll"], OPTIONS, output_dir=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"nothing\.dll: expected a file or a folder, found nothing"):
        normalise_paths([tmp_path / "nothing.dll"], OPTIONS)


LIBRARY = b"!<arch>\n" + ar_member("a.o/", coff_object())
COMPILED = importlib.util.MAGIC_NUMBER + bytes(12) + b"\xe3code"
#: One file of each kind, and how often something changes in it.
KINDS: list[tuple[str, bytes, Kind, int]] = [
    ("a.dll", DATA, "pe", len(normalise(DATA, EPOCH).changes)),
    ("libz.a", LIBRARY, "ar", 5),
    ("z.lib", b"!<thin>\n" + ar_member("a.o/", b"", size=100), "ar", 4),
    ("a.o", coff_object(), "object", 1),
    ("a.OBJ", big_object(), "object", 1),
    ("a.pyc", COMPILED, "pyc", 2),
    ("a-1.0-py3-none-any.whl", zip_file([Packed()]), "zip", 2),
    ("a.pyz", zip_file([Packed()], prefix=b"#!/usr/bin/python3\n"), "zip", 2),
    ("empty.zip", zip_file([]), "zip", 0),
    ("a.tar.gz", gzip_member(), "gzip", 1),
]


@pytest.mark.parametrize(("name", "data", "kind", "_count"), KINDS)
def test_the_kind_of_a_file(name: str, data: bytes, kind: Kind, _count: int) -> None:
    assert kind_of(data, name) == kind_of(data[:4096], name) == kind


@pytest.mark.parametrize(
    ("head", "name", "kind"),
    [
        # What the content says, the name does not change.
        (DATA, "setup.zip", "pe"),
        (LIBRARY, "name", "ar"),
        (zip_file([Packed()]), "a.docx", "zip"),
        (gzip_member(), "vmlinuz", "gzip"),
        # Broken files are what their names say.
        (b"MZ", "a.exe", "pe"),
        (b"", "a.LIB", "ar"),
        (b"text", "a.pyc", "pyc"),
        (b"text", "a.whl", "zip"),
        (b"text", "a.tar.gz", "gzip"),
        # Nothing to normalise.
        (b"", "a.txt", None),
        (b"MZ", "a.com", None),
        (COMPILED, "a", None),
        (coff_object(), "a", None),
        (b"\x7fELF", "a.o", None),
        (b"# Wavefront", "a.obj", None),
        (b"\x1f\x8b\x00", "a", None),
        (b"/* GNU ld script\n*/", "libm.a", None),
        (b"\x7fELF", "libmcheck.a", None),
        (b"PK\x01\x02", "a", None),
    ],
)
def test_the_kind_by_content_then_by_name(head: bytes, name: str, kind: Kind | None) -> None:
    assert kind_of(head, name) == kind


def test_a_pe_header_far_into_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"MZ".ljust(0x3C, b"\0") + (100_000).to_bytes(4, "little") + bytes(100_000 - 64) + b"PE\0\0")
    assert kind_of_file(path) == "pe"


def test_a_whole_tree(tmp_path: Path) -> None:
    for name, data, _, _ in KINDS:
        (tmp_path / name).write_bytes(data)
    (tmp_path / "text").write_bytes(b"text")
    reports = list(normalise_paths([tmp_path], OPTIONS))
    assert {Path(r.path).name: (r.kind, len(r.changes), r.error) for r in reports} == {
        name: (kind, count, None) for name, _, kind, count in KINDS
    }
    assert {r.status for r in normalise_paths([tmp_path], OPTIONS)} == {"unchanged"}
    assert sorted(names(tmp_path)) == sorted([*(name for name, _, _, _ in KINDS), "text"])


@pytest.mark.parametrize("name", ["a.exe", "a.lib", "a.a", "a.pyc", "a.zip", "a.whl", "a.jar", "a.gz"])
def test_a_broken_file_of_a_known_name_fails_and_stays(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"neither this nor that")
    (report,) = normalise_paths([tmp_path], OPTIONS)
    assert report.status == "failed"
    assert report.kind is not None
    assert str(report.error).startswith(f"{tmp_path / name}: ")
    assert (tmp_path / name).read_bytes() == b"neither this nor that"


def test_a_named_file_of_no_known_kind_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"text")
    (report,) = normalise_paths([tmp_path / "a.txt"], OPTIONS)
    assert (report.status, report.kind) == ("failed", None)
    assert report.error == (
        f"{tmp_path / 'a.txt'}: expected a PE image, a library (.a, .lib), a COFF object (.o, .obj), a .pyc file, "
        "a zip archive or a gzip file, found none of these"
    )


def test_a_file_too_large_for_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_path: Path) -> bytes:
        raise MemoryError

    (tmp_path / "a.gz").write_bytes(gzip_member())
    monkeypatch.setattr(Path, "read_bytes", fail)
    (report,) = normalise_paths([tmp_path], OPTIONS)
    assert report.status == "failed"
    assert "expected a file that this machine's memory can hold four times" in str(report.error)


@pytest.mark.parametrize("epoch", [-1, 1 << 32])
def test_an_epoch_out_of_range(epoch: int) -> None:
    with pytest.raises(SpecError, match="epoch: expected a number from 0 to 4294967295"):
        Options(epoch)


def test_the_options_of_pe_images(dll: Path) -> None:
    dll.write_bytes(build(replace(FULL, certificate=b"c" * 16, overlay=b"")))
    (report,) = normalise_paths([dll], OPTIONS)
    assert "expected no signature" in str(report.error)
    (report,) = normalise_paths([dll], replace(OPTIONS, signed="strip"))
    assert report.status == "changed"
    dll.write_bytes(build(replace(FULL, overlay=b"odd")))
    (report,) = normalise_paths([dll], replace(OPTIONS, pad=True))
    assert dll.stat().st_size % 8 == 0
    assert report.size % 8


def test_json(dll: Path) -> None:
    document = json.loads(json.dumps(to_json(normalise_file(dll, OPTIONS, check=True))))
    assert document["changes"][0] == {
        "field": "COFF TimeDateStamp",
        "offset": 0x88,
        "before": "0x11111111",
        "after": "0x67748580",
    }
    assert (document["path"], document["status"], document["error"]) == (str(dll), "changed", None)
    assert document["kind"] == "pe"


def test_bytes_are_shown_short() -> None:
    assert show_bytes(b"\x01\x02\x03") == "010203"
    assert show_bytes(b"") == ""
    assert show_bytes(bytes(65)).startswith("65 bytes, sha256 98ce42de")


def test_several_processes_work_where_the_temporary_folder_has_a_long_path(
    dll: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The path of a Unix socket has 108 bytes at most, and the fork server's lies in that folder."""
    long = tmp_path / ("x" * 90)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    (dll.parent / "b.dll").write_bytes(DATA)
    reports = list(normalise_paths([dll, dll.parent / "b.dll"], OPTIONS, jobs=2))
    assert [report.status for report in reports] == ["changed", "changed"]
