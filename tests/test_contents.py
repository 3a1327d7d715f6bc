"""Folders and archives as one kind of value; archives that are broken, cut off or made to do harm."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from packager import contents
from packager.contents import ArchiveError, Contents, archive_form, is_archive, opened, tar_stream
from packager.emit import write_tar_zst
from tests.audit.samples import passed
from tests.support import write

EPOCH = 1735689600
FILES = {"top/a.txt": b"a" * 1000, "top/b/c.exe": b"c"}

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "tar": bytes,
    "tar.gz": lambda data: gzip.compress(data, mtime=0),
    "tar.bz2": bz2.compress,
    "tar.xz": lzma.compress,
    "tar.zst": zstandard.ZstdCompressor(write_checksum=True).compress,
}


def tar_of(*members: tarfile.TarInfo, tar_format: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar of FILES and then ``members``, which have no content."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tar_format) as archive:
        for name, data in FILES.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.uid, info.gid, info.uname = len(data), EPOCH, 1, 2, "me"
            info.mode = 0o755 if name.endswith(".exe") else 0o644
            archive.addfile(info, io.BytesIO(data))
        for info in members:
            archive.addfile(info)
    return out.getvalue()


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def zip_of(path: Path, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in FILES.items():
            info = zipfile.ZipInfo(name, (2025, 1, 1, 0, 0, 0))
            info.create_system, info.compress_type = 3, compression
            info.external_attr = (0o100755 if name.endswith(".exe") else 0o100644) << 16
            archive.writestr(info, data)
    return path


def facts(found: Contents) -> dict[str, tuple[str, int | None, bytes]]:
    return {name: (member.kind, member.mode, member.read()) for name, member in found.members.items()}


EXPECTED = {"a.txt": ("file", 0o644, b"a" * 1000), "b/c.exe": ("file", 0o755, b"c")}


def test_a_folder(tmp_path: Path) -> None:
    write(tmp_path / "a.txt", b"a").chmod(0o640)
    (tmp_path / "empty").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    with opened(tmp_path) as found:
        assert (found.form, found.top) == ("folder", "")
        assert {m.path: (m.kind, m.mode, m.size, m.mtime, m.target) for m in found.members.values()} == {
            "a.txt": ("file", 0o640, 1, None, None),
            "empty": ("folder", 0o700, 0, None, None),
            "link": ("link", None, 0, None, "nowhere"),
            "pipe": ("other", found.members["pipe"].mode, 0, None, None),
        }
        assert found.members["a.txt"].read() == b"a"
        assert found.members["link"].read() == b""


@pytest.mark.parametrize("form", PACKERS)
def test_tars_of_each_compression(tmp_path: Path, form: str) -> None:
    path = write(tmp_path / f"x.{form}", PACKERS[form](tar_of(link("top/l", "a.txt"))))
    assert archive_form(path) == form
    with opened(path) as found:
        assert (found.form, found.top) == (form, "top")
        shown = facts(found)
        assert shown.pop("l") == ("link", None, b"")
        assert shown == EXPECTED
        member = found.members["a.txt"]
        assert (member.mtime, member.owner, member.header["owner's name"]) == (EPOCH, "1:2", "me")
        assert found.members["l"].target == "a.txt"
        blob = member.blob
    assert blob is not None
    assert not blob.exists()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_zips_of_each_method(tmp_path: Path, method: int) -> None:
    with opened(zip_of(tmp_path / "x.zip", method)) as found:
        assert (found.form, found.top) == ("zip", "top")
        assert facts(found) == EXPECTED
        member = found.members["a.txt"]
        assert member.mtime == EPOCH
        assert member.owner is None
        assert member.header["compression"] == {0: "stored", 8: "deflate", 12: "bzip2", 14: "lzma"}[method]


def test_a_bundle_of_ours(tmp_path: Path) -> None:
    for name, data in FILES.items():
        write(tmp_path / name, data)
    write_tar_zst(passed(tmp_path / "top"), tmp_path / "x.tar.zst", "x-1", EPOCH)
    with opened(tmp_path / "x.tar.zst") as found:
        assert found.top == "x-1"
        assert {name: member.kind for name, member in found.members.items()} == {
            "a.txt": "file",
            "b": "folder",
            "b/c.exe": "file",
        }


def test_links_and_folders_in_a_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("d/", b"")
        info = zipfile.ZipInfo("l")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "target")
        archive.writestr(zipfile.ZipInfo("plain"), b"")
        archive.comment = b"comment"
    with opened(tmp_path / "x.zip") as found:
        assert found.top == ""
        assert found.header == {"comment": "comment"}
        kinds = {name: (member.kind, member.target) for name, member in found.members.items()}
        assert kinds == {"d": ("folder", None), "l": ("link", "target"), "plain": ("file", None)}


def test_a_zip_without_times_and_modes(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo("f")
        info.create_system = 0
        archive.writestr(info, b"")
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02")
    data[at + 12 : at + 16] = b"\0\0\0\0"  # month and day 0
    data[at + 38 : at + 42] = b"\0\0\0\0"
    path.write_bytes(data)
    with opened(path) as found:
        assert (found.members["f"].mtime, found.members["f"].mode) == (None, None)
    data[at + 14 : at + 16] = b"\xff\xff"  # month 15
    path.write_bytes(data)
    with opened(path) as found:
        assert found.members["f"].mtime is None


def test_hard_links_are_the_file(tmp_path: Path) -> None:
    members = (link("top/h", "top/a.txt", tarfile.LNKTYPE), link("top/g", "nowhere", tarfile.LNKTYPE))
    with opened(write(tmp_path / "x.tar", tar_of(*members))) as found:
        member = found.members["h"]
        assert (member.kind, member.read(), member.header["hard link to"]) == ("file", b"a" * 1000, "top/a.txt")
        assert (found.members["g"].kind, found.members["g"].target) == ("link", "nowhere")


def test_what_else_a_tar_has(tmp_path: Path) -> None:
    device = tarfile.TarInfo("top/dev")
    device.type, device.devmajor, device.devminor = tarfile.CHRTYPE, 1, 3
    timed = tarfile.TarInfo("top/timed")
    timed.mtime, timed.pax_headers = 5.5, {"comment": "hello"}
    with opened(write(tmp_path / "x.tar", tar_of(device, timed))) as found:
        assert found.members["dev"].kind == "other"
        assert found.members["dev"].header["device"] == "1:3"
        header = found.members["timed"].header
        assert found.members["timed"].mtime == 5
        assert (header["pax record comment"], header["pax record mtime"]) == ("hello", "5.5")


@pytest.mark.parametrize(
    ("names", "top", "paths"),
    [
        (["./x/a", "x/b"], "x", {"a", "b"}),
        (["x/a", "y/b"], "", {"x/a", "y/b"}),
        (["a"], "", {"a"}),
        (["x", "x/a"], "x", {"a"}),
        (["./", "./x/a"], "x", {"a"}),
        (["/x/../../a", "/x/b"], "x", {"../../a", "b"}),
    ],
)
def test_the_top_folder(tmp_path: Path, names: list[str], top: str, paths: set[str]) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.type = tarfile.DIRTYPE if name in ("x", "./") else tarfile.REGTYPE
            archive.addfile(info)
    with opened(write(tmp_path / "x.tar", out.getvalue())) as found:
        assert (found.top, set(found.members)) == (top, paths)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.tar"]


def test_what_is_no_archive(tmp_path: Path) -> None:
    for name, data in (("x", b""), ("x.txt.gz", gzip.compress(b"text")), ("x.zst", zstandard.compress(b"text"))):
        path = write(tmp_path / name, data)
        assert archive_form(path) is None
        assert not is_archive(path)
        with (
            pytest.raises(ArchiveError, match=r"expected a folder, or a \.zip or tar archive, found neither"),
            opened(path),
        ):
            pass
    named = write(tmp_path / "x.tar.zst", zstandard.compress(b"text"))
    assert is_archive(named)
    with pytest.raises(ArchiveError, match=r"x\.tar\.zst: expected a whole \.tar\.zst archive, found: "), opened(named):
        pass
    assert is_archive(write(tmp_path / "y.whl", b"text"))


@pytest.mark.parametrize("form", PACKERS)
def test_a_tar_that_is_cut_off_anywhere_is_an_error(tmp_path: Path, form: str) -> None:
    tar = tar_of()
    whole = PACKERS[form](tar)
    # Of a tar without compression, cutting off some of the zeros at its end does no harm.
    end = len(tar.rstrip(b"\0")) // 512 * 512 + 512 if form == "tar" else len(whole)
    path = tmp_path / f"x.{form}"
    for size in {0, 1, 100, 512, 600, 1024, 1536, 2048, 2560, end - 1, *range(0, end, max(end // 40, 1))} & set(
        range(end)
    ):
        path.write_bytes(whole[:size])
        with pytest.raises(ArchiveError, match=rf"x\.{form}: .*expected "), opened(path):
            pass


def test_a_zip_that_is_cut_off_anywhere_is_an_error(tmp_path: Path) -> None:
    whole = zip_of(tmp_path / "x.zip").read_bytes()
    for size in range(0, len(whole), 7):
        (tmp_path / "x.zip").write_bytes(whole[:size])
        with pytest.raises(ArchiveError, match=r"x\.zip: expected "), opened(tmp_path / "x.zip"):
            pass


def test_a_damaged_header_is_not_the_end(tmp_path: Path) -> None:
    tar = bytearray(tar_of())
    second = bytes(tar).index(b"top/b/c.exe")
    tar[second + 120] ^= 1
    path = write(tmp_path / "x.tar", bytes(tar))
    with pytest.raises(ArchiveError) as caught, opened(path):
        pass
    assert caught.value.message == (
        f"{path}: offset {second:#x} of the tar: expected a member's header or the end, found neither "
        "(the archive is damaged)"
    )


@pytest.mark.parametrize("form", ["tar.gz", "tar.bz2", "tar.xz", "tar.zst"])
def test_the_compression_s_checksum_is_compared(tmp_path: Path, form: str) -> None:
    whole = bytearray(PACKERS[form](tar_of()))
    whole[-5 if form == "tar.gz" else -1 if form == "tar.zst" else -20] ^= 1
    with pytest.raises(ArchiveError), opened(write(tmp_path / f"x.{form}", bytes(whole))):
        pass


def test_frames_of_zstd_follow_one_another(tmp_path: Path) -> None:
    tar = tar_of()
    pack = zstandard.ZstdCompressor().compress
    skipped = b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"abcd"
    for data in (pack(tar[:700]) + pack(tar[700:]), skipped + pack(tar), pack(b"") + pack(tar) + skipped):
        path = write(tmp_path / "x.tar.zst", data)
        with opened(path) as found:
            assert facts(found) == EXPECTED
        with tar_stream(path, "tar.zst") as stream:
            assert stream.read() == tar
    cut = write(tmp_path / "y.tar.zst", pack(tar) + pack(b"more" * 100)[:-3])
    with pytest.raises(ArchiveError, match="a zstd frame that is cut off"), opened(cut):
        pass


def test_members_that_come_twice_and_ones_that_are_encrypted(tmp_path: Path) -> None:
    twice = write(tmp_path / "x.tar", tar_of(tarfile.TarInfo("./top//a.txt")))
    with pytest.raises(ArchiveError, match=r"top/a\.txt: expected each member once, found it twice"), opened(twice):
        pass
    data = bytearray(zip_of(tmp_path / "x.zip").read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    secret = write(tmp_path / "x.zip", bytes(data))
    with pytest.raises(ArchiveError, match=r"top/a\.txt: expected a member that is not encrypted"), opened(secret):
        pass


def test_there_is_a_limit_to_what_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zip_of(tmp_path / "x.zip")
    monkeypatch.setattr(contents, "MOST_BYTES", 1000)
    with pytest.raises(ArchiveError, match="expected 1,000 bytes unpacked at most, found more"), opened(path):
        pass
    monkeypatch.setattr(contents, "MOST_BYTES", 1001)
    with opened(path) as found:
        assert facts(found) == EXPECTED


def test_a_zip_behind_a_program(tmp_path: Path) -> None:
    path = write(tmp_path / "x.exe", b"MZ" + bytes(100) + zip_of(tmp_path / "x.zip").read_bytes())
    assert archive_form(path) is None
    with opened(path, "zip") as found:
        assert facts(found) == EXPECTED


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(st.data())
def test_damaged_archives_are_read_or_are_an_error(tmp_path: Path, data: st.DataObject) -> None:
    form = data.draw(st.sampled_from([*PACKERS, "zip"]))
    whole = zip_of(tmp_path / "whole.zip").read_bytes() if form == "zip" else PACKERS[form](tar_of())
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path = write(tmp_path / f"x.{form}", bytes(damaged))
    try:
        with opened(path) as found:
            facts(found)
    except ArchiveError as exc:
        assert exc.message.startswith(f"{path}: ")
