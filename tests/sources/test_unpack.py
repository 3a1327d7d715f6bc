from __future__ import annotations

import bz2
import errno
import gzip
import hashlib
import io
import lzma
import os
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from packager.disk import DiskError
from packager.errors import SourceError
from packager.sources.unpack import unpack

Make = Callable[[tarfile.TarInfo], None]


def member(name: str, content: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    info.mtime = 1_600_000_000
    for key, value in fields.items():
        setattr(info, key, value)
    return info, content


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, type=kind, linkname=target)


def folder(name: str, mode: int = 0o755, mtime: int = 0) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, type=tarfile.DIRTYPE, mode=mode, mtime=mtime)


def tar_bytes(members: Iterable[tuple[tarfile.TarInfo, bytes]], format: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format, encoding="utf-8", errors="surrogateescape") as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def unpacked(tmp_path: Path, content: bytes, name: str = "a.tar", **limits: int) -> Path:
    archive = tmp_path / name
    archive.write_bytes(content)
    unpack(archive, tmp_path / "dest", **limits)
    return tmp_path / "dest"


def of_tar(tmp_path: Path, *members: tuple[tarfile.TarInfo, bytes], **limits: int) -> Path:
    return unpacked(tmp_path, tar_bytes(members), "a.tar", **limits)


def zip_bytes(*members: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def refused(tmp_path: Path, rule: str, *members: tuple[tarfile.TarInfo, bytes], **limits: int) -> None:
    with pytest.raises(SourceError, match=rule):
        of_tar(tmp_path, *members, **limits)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar"]


def snapshot(root: Path) -> dict[str, tuple[str, int, int, str]]:
    """Kind, permissions, time and content of everything below ``root``, and of it."""
    found = {}
    for path in (root, *sorted(root.rglob("*"))):
        info = path.lstat()
        if path.is_symlink():
            what = os.readlink(path)
        else:
            what = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        kind = "link" if path.is_symlink() else "folder" if path.is_dir() else "file"
        found[str(path.relative_to(root))] = (kind, stat.S_IMODE(info.st_mode), int(info.st_mtime), what)
    return found


ORDINARY = (
    folder("top", mode=0o700, mtime=1_500_000_000),
    member("top/configure", b"#!/bin/sh\n", mode=0o4711),
    member("top/src/main.c", b"int main;\n", mode=0o600),
    link("top/src/link.c", "../src/main.c"),
    link("top/README", "docs/not-there.md"),
)


@pytest.mark.parametrize(
    "compress",
    [bytes, gzip.compress, bz2.compress, lzma.compress, lambda raw: zstandard.ZstdCompressor().compress(raw)],
    ids=["plain", "gz", "bz2", "xz", "zst"],
)
@pytest.mark.parametrize("umask", [0o022, 0o077, 0])
def test_formats(tmp_path: Path, compress: Callable[[bytes], bytes], umask: int) -> None:
    before = os.umask(umask)
    try:
        dest = unpacked(tmp_path, compress(tar_bytes(ORDINARY)))
    finally:
        os.umask(before)
    content = {"configure": b"#!/bin/sh\n", "src/main.c": b"int main;\n"}
    assert snapshot(dest) == {
        ".": ("folder", 0o755, 1_500_000_000, ""),
        "README": ("link", 0o777, 1_600_000_000, "docs/not-there.md"),
        "configure": ("file", 0o755, 1_600_000_000, hashlib.sha256(content["configure"]).hexdigest()),
        "src": ("folder", 0o755, 0, ""),
        "src/link.c": ("link", 0o777, 1_600_000_000, "../src/main.c"),
        "src/main.c": ("file", 0o644, 1_600_000_000, hashlib.sha256(content["src/main.c"]).hexdigest()),
    }


def test_several_tops_are_kept(tmp_path: Path) -> None:
    dest = of_tar(tmp_path, member("a/x", b"1"), member("b", b"2"))
    assert (dest / "a/x").read_bytes() == b"1"
    assert (dest / "b").read_bytes() == b"2"
    assert stat.S_IMODE(dest.stat().st_mode) == 0o755


def test_a_single_file_is_no_top_folder(tmp_path: Path) -> None:
    assert (of_tar(tmp_path, folder("./"), member("./only", b"1")) / "only").read_bytes() == b"1"


def test_hard_link_becomes_a_copy(tmp_path: Path) -> None:
    dest = of_tar(tmp_path, member("t/a", b"1"), link("t/b", "t/a", tarfile.LNKTYPE))
    assert (dest / "b").read_bytes() == b"1"
    assert (dest / "b").stat().st_nlink == 1


def test_names_are_bytes(tmp_path: Path) -> None:
    for format in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        dest = tmp_path / str(format)
        dest.mkdir()
        found = unpacked(dest, tar_bytes([member("t/\udcff\u00e9" + "x" * 150)], format))
        assert os.listdir(os.fsencode(found)) == [b"\xff\xc3\xa9" + b"x" * 150]


def test_empty_existing_folder_is_used(tmp_path: Path) -> None:
    (tmp_path / "dest").mkdir()
    assert (of_tar(tmp_path, *ORDINARY) / "configure").is_file()


def test_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "dest").mkdir()
    (tmp_path / "dest" / "mine").write_text("x")
    with pytest.raises(OSError, match=r"not empty"):
        of_tar(tmp_path, *ORDINARY)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.tar", "dest", "mine"]


@pytest.mark.parametrize(
    ("members", "rule"),
    [
        ([member("t/../../x")], r"a.tar: member 't/../../x': expected a path inside the archive, found '..'"),
        ([member("..")], r"found '\.\.'"),
        ([member("t/..")], r"found '\.\.'"),
        ([member("/etc/x")], r"member '/etc/x': expected a path inside the archive, found an absolute one"),
        ([member("//x")], "found an absolute one"),
        ([member("t/a"), member("t/a")], "member 't/a': the name occurs twice"),
        ([member("t/a"), member("t/./a")], "the name occurs twice"),
        ([member("t/a"), folder("t/a")], "the name occurs twice"),
        ([folder("t/a"), link("t/a", "b")], "the name occurs twice"),
        ([link("t/a", "b"), folder("t/a")], "the name occurs twice"),
        ([link("t/a", "b"), member("t/a")], "the name occurs twice"),
        ([member("t/a"), member("t/a/b")], "the path goes through 't/a', which is not a folder"),
        ([folder("t/d"), link("t/a", "d"), member("t/a/b")], "the path goes through 't/a', which is not a folder"),
        ([link("t/a", "/tmp"), member("t/a/b")], "the path goes through 't/a', which is not a folder"),
        ([link("t/a", "/etc/passwd")], "member 't/a': the link leads out of the archive, to '/etc/passwd'"),
        ([link("t/a", "../x")], "the link leads out of the archive, to '../x'"),
        ([link("t/a", "../t/b"), member("t/b")], "the link leads out of the archive, to '../t/b'"),
        ([link("t/a", "b/../../x"), folder("t/b")], "the link leads out"),
        # each is inside by its letters, but a/.. is the folder that b/c lies in
        ([folder("t/b/c"), link("t/a", "b/c"), link("t/x", "a/../../../y")], "the link leads out"),
        ([folder("t/b/c"), link("t/a/up", "../b/c"), link("t/x", "a/up/../../../y")], "the link leads out"),
        ([link("t/b/up", ".."), link("t/x", "b/up/../y")], "the link leads out"),
        ([link("t/a", "a")], "the link leads in a circle"),
        ([link("t/a", "b"), link("t/b", "a")], "the link leads in a circle"),
        ([link("t/a", "")], "the link leads nowhere"),
        ([link("t/a", "t/b", tarfile.LNKTYPE)], "expected a hard link to an earlier file, found one to 't/b'"),
        ([link("t/a", "/etc/passwd", tarfile.LNKTYPE)], "found an absolute one"),
        ([link("t/a", "../../etc/passwd", tarfile.LNKTYPE)], r"found '\.\.'"),
        ([link("t/s", "/etc/passwd"), link("t/a", "t/s", tarfile.LNKTYPE)], "a hard link to an earlier file"),
        ([member("t/a", type=tarfile.CHRTYPE)], "member 't/a': expected a file, folder or link, found a device"),
        ([member("t/a", type=tarfile.BLKTYPE)], "found a device"),
        ([member("t/a", type=tarfile.FIFOTYPE)], "found a pipe"),
        ([member("t/" + "x" * 256)], "the name is too long"),
        ([member("t/" + "x/" * 1600 + "x")], "the name is too long"),
    ],
    ids=lambda value: None if isinstance(value, str) else "",
)  # fmt: skip
def test_refused_tar(tmp_path: Path, members: list[tuple[tarfile.TarInfo, bytes]], rule: str) -> None:
    refused(tmp_path, rule, *members)


def test_sparse_file(tmp_path: Path) -> None:
    headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "t/a", "GNU.sparse.realsize": "9"}
    content = b"1\n0\n9\n".ljust(512, b"\0") + b"123456789"
    refused(tmp_path, "found a sparse file", member("t/x", content, pax_headers=headers))


def test_limits(tmp_path: Path) -> None:
    members = [member("t/a", b"x" * 1000), member("t/b", b"x" * 1000)]
    assert (of_tar(tmp_path, *members, max_bytes=2000, max_entries=2) / "b").is_file()
    (tmp_path / "more").mkdir()
    refused(tmp_path / "more", "member 't/b': the archive unpacks to more than 1,999 bytes", *members, max_bytes=1999)
    refused(tmp_path / "more", "member 't/b': the archive has more than 1 members", *members, max_entries=1)


def test_bomb_ends_early(tmp_path: Path) -> None:
    """1 GiB of zeros in 1 MB is given up after the first megabytes."""
    huge = tarfile.TarInfo("t/zeros")
    huge.size = 1 << 30
    packer = zstandard.ZstdCompressor().compressobj()
    bomb = packer.compress(huge.tobuf())
    for _ in range(1 << 10):
        bomb += packer.compress(bytes(1 << 20))
    with pytest.raises(SourceError, match=r"unpacks to more than 5,000,000 bytes"):
        unpacked(tmp_path, bomb + packer.flush(), max_bytes=5_000_000)


def test_huge_header(tmp_path: Path) -> None:
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 1 << 33
    with pytest.raises(SourceError, match=r"expected a header of at most 1,048,576 bytes, found 8,589,934,592"):
        unpacked(tmp_path, header.tobuf(tarfile.GNU_FORMAT) + bytes(4096))


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("keep", [0.02, 0.3, 0.6, 0.9])
def test_cut_off(tmp_path: Path, compress: Callable[[bytes], bytes], keep: float) -> None:
    noise = hashlib.shake_128(b"noise").digest(40_000)
    whole = compress(tar_bytes([member("t/a", noise[:20_000]), member("t/b", noise[20_000:])]).rstrip(b"\0"))
    with pytest.raises(SourceError, match=r"a.tar"):
        unpacked(tmp_path, whole[: int(len(whole) * keep)])
    assert not (tmp_path / "dest").exists()


def test_damaged_header_in_the_middle(tmp_path: Path) -> None:
    content = bytearray(tar_bytes([member("t/a", b"1"), member("t/b", b"2")]))
    content[1024 + 3] ^= 1
    with pytest.raises(SourceError, match=r"a.tar: the archive is damaged or cut off: expected a header or the end"):
        unpacked(tmp_path, bytes(content))


@pytest.mark.parametrize(
    "start", [b"", b"not an archive" * 100, b"\x1f\x8b", b"BZh9", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"PK\3\4"]
)
def test_not_an_archive(tmp_path: Path, start: bytes) -> None:
    with pytest.raises(SourceError, match=r"a.tar: the archive is damaged"):
        unpacked(tmp_path, start + b"x" * 600 if start else b"")


def entry(name: str, mode: int = 0, when: tuple[int, ...] = (2020, 2, 3, 4, 5, 6)) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, when)  # type: ignore[arg-type]
    info.external_attr = mode << 16
    return info


def test_zip(tmp_path: Path) -> None:
    content = zip_bytes(
        (entry("t/"), b""), (entry("t/run", 0o100775), b"run"), (entry("t/text"), b"text"),
        (entry("t/é"), b""), (entry("t/link", stat.S_IFLNK | 0o777), b"run"),
        (entry("t/old", 0, (1980, 0, 0, 0, 0, 0)), b""),
    )  # fmt: skip
    dest = unpacked(tmp_path, content, "a.zip")
    found = snapshot(dest)
    assert found["run"] == ("file", 0o755, 1580702706, hashlib.sha256(b"run").hexdigest())
    assert found["text"][1] == 0o644
    assert found["link"] == ("link", 0o777, 1580702706, "run")
    assert found["old"][2] == 315532800
    assert "é" in found


def test_wheel_keeps_its_top_folder(tmp_path: Path) -> None:
    assert (unpacked(tmp_path, zip_bytes(("pkg/x.py", b"")), "a-1-py3-none-any.whl") / "pkg/x.py").is_file()


@pytest.mark.parametrize(
    ("info", "rule"),
    [
        (entry("../x"), r"found '\.\.'"),
        (entry("/x"), "found an absolute one"),
        (entry("t\\..\\x"), "the name has a backslash"),
        (entry("t/fifo", stat.S_IFIFO), "found a member of another kind"),
        (entry("t/link", stat.S_IFLNK), "the link leads out of the archive, to '/etc/passwd'"),
    ],
)
def test_refused_zip(tmp_path: Path, info: zipfile.ZipInfo, rule: str) -> None:
    with pytest.raises(SourceError, match=rule):
        unpacked(tmp_path, zip_bytes((info, b"/etc/passwd")), "a.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_zip_bomb(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"unpacks to more than 100,000 bytes"):
        unpacked(tmp_path, zip_bytes(("t/a", bytes(10_000_000))), "a.zip", max_bytes=100_000)


def test_damaged_zip(tmp_path: Path) -> None:
    content = bytearray(zip_bytes(("t/a", b"content that is long enough to be changed")))
    content[50] ^= 0xFF
    with pytest.raises(SourceError, match=r"a.zip: the archive is damaged"):
        unpacked(tmp_path, bytes(content), "a.zip")


def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("packager.sources.unpack.os.write", full)
    with pytest.raises(DiskError, match=f"{tmp_path}: the disk is full"):
        of_tar(tmp_path, *ORDINARY)
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar"]


def test_interrupt_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("packager.sources.unpack.os.write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        of_tar(tmp_path, *ORDINARY)
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar"]


names = st.lists(
    st.sampled_from(["..", ".", "", "a", "b", "c", "link", "\udcff", "é", "x" * 101]) | st.text("ab/.\\\n", max_size=4),
    max_size=5,
).map("/".join)
kinds = st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE])


def stays_inside(archive: bytes, name: str) -> None:
    """Unpack, or refuse; either way nothing outside may have changed, and no link may lead there."""
    with tempfile.TemporaryDirectory() as scratch:
        outer = Path(scratch) / "outer"
        outer.mkdir()
        guard = outer / "guard"
        guard.write_text("guard")
        (outer / name).write_bytes(archive)
        dest = outer / "dest"
        try:
            unpack(outer / name, dest)
        except SourceError:
            assert not dest.exists()
        else:
            root = os.path.realpath(dest)
            for path in dest.rglob("*"):
                real = os.path.realpath(path)
                assert real == root or real.startswith(f"{root}/")
        assert guard.read_text() == "guard"
        assert {path.name for path in outer.iterdir()} <= {"guard", name, "dest"}
        assert [path.name for path in Path(scratch).iterdir()] == ["outer"]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(names, kinds, names), max_size=8))
def test_any_tar_stays_inside(members: list[tuple[str, bytes, str]]) -> None:
    made = [
        member(name, b"content" if kind == tarfile.REGTYPE else b"", type=kind, linkname=target)
        for name, kind, target in members
    ]
    stays_inside(tar_bytes(made, tarfile.GNU_FORMAT), "a.tar")


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(names.filter(str.isprintable), st.booleans(), names.filter(str.isprintable)), max_size=6))
def test_any_zip_stays_inside(members: list[tuple[str, bool, str]]) -> None:
    made = {
        name: (entry(name, stat.S_IFLNK if is_link else stat.S_IFREG), target.encode())
        for name, is_link, target in members
    }
    stays_inside(zip_bytes(*made.values()), "a.zip")


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_damage_is_an_error_of_ours(data: st.DataObject) -> None:
    """Bytes changed anywhere in an archive: unpacked or refused, never another exception."""
    whole = data.draw(st.sampled_from([
        tar_bytes(ORDINARY), gzip.compress(tar_bytes(ORDINARY), mtime=0), lzma.compress(tar_bytes(ORDINARY)),
        zip_bytes((entry("t/a", 0o100644), b"text" * 20), (entry("t/b"), b"")),
    ]))  # fmt: skip
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    stays_inside(bytes(damaged[: data.draw(st.integers(0, len(damaged)))]), "a.bin")
