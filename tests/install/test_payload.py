"""What is put in is checked before: every wrong or hostile archive is one clear error, and nothing is changed."""

from __future__ import annotations

import io
import os
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from packager.errors import CheckError, PackagerError, SpecError
from packager.install import filelist, install, payload
from packager.manifest import SUMS
from tests.install.samples import EPOCH, HOST, LICENCES, PROGRAM, browser, bundle, picture
from tests.support import write


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A bundle's folder, with archives, manifest and sums."""
    return bundle(tmp_path / "dist")


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """A tree to put it into."""
    return browser(tmp_path / "t")


def alone(source: Path) -> Path:
    """Without manifest and sums: the list of files has to do."""
    for path in source.parent.iterdir():
        if path.name == SUMS or path.name.endswith(".manifest.json"):
            path.unlink()
    return source


def refused(source: Path, top: Path) -> PackagerError:
    """The error; nothing is changed by it."""
    before = picture(top)
    with pytest.raises(PackagerError) as caught:
        install(source, top)
    assert picture(top) == before
    return caught.value


def packed(path: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> Path:
    """A ``.tar.zst`` of members."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for member, data in members:
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return write(path, zstandard.compress(buffer.getvalue()))


def members_of(folder: Path) -> list[tuple[tarfile.TarInfo, bytes]]:
    """A bundle's folder as members of an archive."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [(tarfile.TarInfo(path.relative_to(folder).as_posix()), path.read_bytes()) for path in files]


def test_the_list_vouches_where_nothing_else_does(made: Path, top: Path) -> None:
    source = alone(made.with_name(f"{made.name}.tar.zst"))
    done = install(source, top)
    assert done.notes == ("no manifest and no sums beside it: checked against its own list of files only",)


def test_an_archive_may_be_called_anything(made: Path, top: Path, tmp_path: Path) -> None:
    source = Path(shutil.copy(made.with_name(f"{made.name}.zip"), tmp_path / "downloaded file"))
    assert install(source, top).action == "installed"


@pytest.mark.parametrize("end", ["", ".tar.zst", ".zip"])
def test_a_changed_byte_is_found_by_the_manifest_and_by_the_list(made: Path, top: Path, end: str) -> None:
    file = made / PROGRAM / "python/python.exe"
    file.write_bytes(b"MZ pythoN")
    source = made.with_name(made.name + end)
    if end:
        from tests.install.samples import pack

        pack(made)
    error = refused(source, top)
    assert isinstance(error, CheckError)
    assert error.message.startswith(f"{source}: expected what the manifest and the sums beside it say, found ")
    error = refused(alone(source), top)
    assert error.message == f"{source}: expected what its files.json lists, found 1 differences"
    assert error.details[0].startswith(f"{PROGRAM}/python/python.exe: expected 9 bytes, sha256 ")


@pytest.mark.parametrize("end", [".tar.zst", ".zip"])
@pytest.mark.parametrize("cut", [1, 4, 100, 1000])
def test_a_truncated_archive(made: Path, top: Path, end: str, cut: int) -> None:
    source = alone(made.with_name(made.name + end))
    source.write_bytes(source.read_bytes()[:-cut])
    error = refused(source, top)
    assert (error.exit_code, error.message.partition(":")[0]) in ((1, str(source)), (1, source.name))
    assert "damaged" in error.message or "expected a whole" in error.message


@pytest.mark.parametrize("end", [".tar.zst", ".zip"])
def test_every_kind_of_damage_is_an_error_of_ours(made: Path, top: Path, end: str) -> None:
    source = alone(made.with_name(made.name + end))
    whole = source.read_bytes()
    for at in range(0, len(whole), max(1, len(whole) // 60)):
        source.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        before = picture(top)
        try:
            install(source, top)
        except PackagerError:
            assert picture(top) == before
        else:
            # A field that changes nothing of what is put in, such as a zip's times.
            from packager.install import uninstall

            uninstall(top)
            assert picture(top) == before


def plain(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    """Nothing."""


def named(name: str, data: bytes = b"x", **fields: object) -> Callable[[list[tuple[tarfile.TarInfo, bytes]]], None]:
    def add(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        info = tarfile.TarInfo(name)
        for key, value in fields.items():
            setattr(info, key, value)
        members.append((info, data))

    return add


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (named("../evil"), "member '../evil': expected a path inside the archive, found '..'"),
        (named(f"{PROGRAM}/../../../evil"), "expected a path inside the archive, found '..'"),
        (named("/evil"), "member '/evil': expected a path inside the archive, found an absolute one"),
        (
            named(f"{PROGRAM}/l", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
            "the link leads out of the archive, to '/etc/passwd'",
        ),
        (
            named(f"{PROGRAM}/l", b"", type=tarfile.SYMTYPE, linkname="bundle.json"),
            f"expected what its files.json lists, found 1 differences|{PROGRAM}/l: expected files and folders, found a link",
        ),
        (named(f"{PROGRAM}/p", b"", type=tarfile.FIFOTYPE), "expected a file, folder or link, found a pipe"),
        (named(f"{PROGRAM}/bundle.json"), "the name occurs twice"),
        (
            named(f"{PROGRAM}/BUNDLE.json"),
            f"found 1 differences|{PROGRAM}/BUNDLE.json: expected nothing, found a file",
        ),
        (named("Browser/firefox.exe"), "found 1 differences|Browser/firefox.exe: expected nothing, found a file"),
        (named("autorun.inf"), "found 1 differences|autorun.inf: expected nothing, found a file"),
        (
            named(f"{PROGRAM}/more", b"", type=tarfile.DIRTYPE),
            f"found 1 differences|{PROGRAM}/more: expected nothing, found a folder",
        ),
    ],
)
def test_hostile_archives(
    made: Path, top: Path, spoil: Callable[[list[tuple[tarfile.TarInfo, bytes]]], None], message: str
) -> None:
    members = members_of(made)
    spoil(members)
    source = packed(alone(made.with_name("x.tar.zst")), members)
    error = refused(source, top)
    assert isinstance(error, CheckError)
    said, _, detail = message.partition("|")
    assert said in error.message
    assert not detail or error.details == (detail,)
    assert not (top.parent / "evil").exists()


def test_a_link_where_the_top_folder_should_be(made: Path, top: Path) -> None:
    members = [(info, data) for info, data in members_of(made)]
    for info, _ in members:
        info.name = f"real/{info.name.partition('/')[2]}"
    named("Browser", b"", type=tarfile.SYMTYPE, linkname="real")(members)
    error = refused(packed(alone(made.with_name("x.tar.zst")), members), top)
    assert "differences" in error.message
    assert "Browser: expected files and folders, found a link" in error.details


def test_case_twins_that_are_listed(tmp_path: Path, top: Path) -> None:
    source = bundle(tmp_path / "twins", "1.0", {"app/Demo/x": b"x"}, archives=False)
    assert "expected folders that differ not only in case" in refused(source, top).message


def test_a_list_that_leads_elsewhere(tmp_path: Path, top: Path) -> None:
    source = bundle(tmp_path / "d", archives=False)
    write(source / "Browser/firefox.exe", b"MZ evil")
    listed = filelist.describe(source, name="demo", version="1.0", target="windows-x86_64", epoch=EPOCH)
    files = tuple(file for file in listed.files if not file.path.endswith("/files.json"))
    import msgspec

    write(source / PROGRAM / "files.json", filelist.encode(msgspec.structs.replace(listed, files=files)))
    assert (
        f"expected paths below {PROGRAM}/ and {LICENCES}/, found 'Browser/firefox.exe'" in refused(source, top).message
    )


def test_huge_archives(made: Path, top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = alone(made.with_name(f"{made.name}.tar.zst"))
    monkeypatch.setattr(payload, "MOST_BYTES", 1000)
    assert "unpacked at most, found more" in refused(source, top).message
    assert "unpacks to more than 1,000 bytes" in refused(made.with_name(f"{made.name}.zip"), top).message
    assert "with 1,000 bytes at most, found more" in refused(made, top).message
    monkeypatch.undo()
    monkeypatch.setattr(payload, "MOST_FILES", 3)
    assert "more than 3 members" in refused(source, top).message


def test_other_layouts_and_other_files(tmp_path: Path, made: Path, top: Path) -> None:
    portable = write(tmp_path / "p/demo-1/bundle.json", b"{}").parent
    message = (
        "expected a bundle of layout tor-browser, with Browser/TorBrowser/Namecoin/bundle.json in it, "
        "found one of layout portable"
    )
    assert refused(portable, top).message == f"{portable}: {message}"
    archive = tmp_path / "portable.zip"
    with zipfile.ZipFile(archive, "w") as target:
        target.writestr("demo-1/bundle.json", "{}")
    assert refused(archive, top).message == f"{archive}: {message}"
    assert refused(tmp_path / "dist", top).message.endswith("in it, found none")
    text = write(tmp_path / "notes.txt", b"hello" * 200)
    assert refused(text, top).message == f"{text}: expected a bundle's .tar.zst or .zip, found another kind of file"
    assert refused(write(tmp_path / "empty.zip", b""), top).exit_code == 2
    missing = refused(tmp_path / "none.zip", top)
    assert isinstance(missing, SpecError)
    assert missing.message == f"{tmp_path / 'none.zip'}: expected a bundle's archive or folder, found nothing"


def test_a_bundle_without_a_list(tmp_path: Path, top: Path) -> None:
    source = bundle(tmp_path / "d", archives=False)
    (source / PROGRAM / "files.json").unlink()
    assert refused(source, top).message == f"{source}: expected {PROGRAM}/files.json in it, found none that is a file"
    (source / PROGRAM / "files.json").symlink_to("bundle.json")
    assert "found a link or a device" in refused(source, top).message


def test_an_archive_that_cannot_be_read_is_not_the_tree_s_fault(
    made: Path, top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = alone(made.with_name(f"{made.name}.zip"))

    def denied(path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("packager.install.put.archive_form", denied)
    with pytest.raises(PermissionError):
        install(source, top)


def test_modes_and_times_of_the_source_do_not_matter(made: Path, top: Path) -> None:
    for path in made.rglob("*"):
        path.chmod(stat.S_IRWXU)
        os.utime(path, (1, 1))
    for beside in made.parent.glob("*.*"):
        if beside.is_file():
            beside.unlink()
    install(made, top)
    assert (top / PROGRAM / "bundle.json").stat().st_mtime == EPOCH
    assert (top / PROGRAM / "bundle.json").stat().st_mode & 0o777 == 0o644
    assert (top / f"{HOST}/Docs/Licenses/Namecoin").stat().st_mode & 0o777 == 0o755
