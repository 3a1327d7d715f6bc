"""What stands in a bundle's way is an error that names it, and nothing is changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from packager.errors import CheckError
from packager.install import install, uninstall
from tests.install.samples import HOST, LICENCES, PROGRAM, STATE, browser, bundle, picture
from tests.support import write


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A bundle's folder."""
    return bundle(tmp_path / "dist", archives=False)


def file(path: str) -> Callable[[Path], None]:
    def make(top: Path) -> None:
        write(top / path, b"the browser's")

    return make


def link(path: str, target: str) -> Callable[[Path], None]:
    def make(top: Path) -> None:
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).symlink_to(target)

    return make


def folder(*paths: str) -> Callable[[Path], None]:
    def make(top: Path) -> None:
        for path in paths:
            (top / path).mkdir(parents=True)

    return make


@pytest.mark.parametrize(
    ("there", "message"),
    [
        (file(f"{PROGRAM}/bundle.json"), f"{PROGRAM}/bundle.json: expected nothing there, found a file"),
        (
            file(f"{HOST}/namecoin/PYTHON/python.EXE"),
            f"{HOST}/namecoin/PYTHON/python.EXE: expected nothing there, found a file",
        ),
        (file(PROGRAM), f"{PROGRAM}: expected a folder, found a file"),
        (file(f"{LICENCES}/demo"), f"{LICENCES}/demo: expected a folder, found a file"),
        (folder(f"{PROGRAM}/namecoin.exe"), f"{PROGRAM}/namecoin.exe: expected nothing there, found a folder"),
        (link(PROGRAM, "/tmp"), f"{PROGRAM}: expected a folder, found a link"),
        (link(f"{PROGRAM}/app", "../Docs"), f"{PROGRAM}/app: expected a folder, found a link"),
        (
            link(f"{LICENCES}/demo/LICENSE", "nowhere"),
            f"{LICENCES}/demo/LICENSE: expected nothing there, found a link",
        ),
        (link(f"{PROGRAM}/Installed.json", "x"), f"{PROGRAM}/Installed.json: expected nothing there, found a link"),
        (
            folder(f"{HOST}/NAMECOIN", PROGRAM),
            f"{HOST}: expected names that differ not only in case, found NAMECOIN and Namecoin",
        ),
    ],
)
def test_nothing_is_replaced_and_no_link_followed(
    tmp_path: Path, made: Path, there: Callable[[Path], None], message: str
) -> None:
    top = browser(tmp_path / "t")
    there(top)
    before = picture(top)
    with pytest.raises(CheckError) as caught:
        install(made, top)
    path, _, said = message.partition(":")
    # A link is met on the way to what may be there already, and named with its whole path.
    assert caught.value.message in (f"{top}: {message}", f"{top / path}:{said}")
    assert caught.value.hint is not None
    assert picture(top) == before


def test_all_that_stands_in_the_way_is_named(tmp_path: Path, made: Path) -> None:
    top = browser(tmp_path / "t")
    for name in ("bundle.json", "namecoin.exe"):
        write(top / PROGRAM / name, b"x")
    with pytest.raises(CheckError) as caught:
        install(made, top)
    assert str(caught.value) == (
        f"{top}: {PROGRAM}/bundle.json: expected nothing there, found a file\n"
        f"  {PROGRAM}/namecoin.exe: expected nothing there, found a file\n"
        "  what to do: a bundle adds files and changes none: move away what is there, and run the same command again"
    )


def test_a_state_that_is_a_link_is_refused(tmp_path: Path, made: Path) -> None:
    top = browser(tmp_path / "t")
    (tmp_path / "outside").mkdir()
    (top / STATE).symlink_to(tmp_path / "outside")
    with pytest.raises(CheckError, match="Data/Namecoin: expected a folder, found a link"):
        install(made, top)


def test_strangers_files_beside_ours_stay(tmp_path: Path, made: Path) -> None:
    top = browser(tmp_path / "t")
    write(top / PROGRAM / "notes.txt", b"mine")
    before = picture(top)
    install(made, top)
    done = uninstall(top)
    assert done.left == (f"{PROGRAM}/notes.txt",)
    assert picture(top) == before


def test_changed_files_are_not_replaced(tmp_path: Path, made: Path) -> None:
    top = browser(tmp_path / "t")
    install(made, top)
    write(top / PROGRAM / "app/demo/__init__.pyc", b"changed")
    before = picture(top)
    for source in (made, bundle(tmp_path / "new", "2.0", archives=False)):
        with pytest.raises(CheckError) as caught:
            install(source, top)
        assert str(caught.value) == (
            f"{top}: expected the files of demo-1.0-windows-x86_64 as they were installed, found 1 changed\n"
            f"  {PROGRAM}/app/demo/__init__.pyc\n"
            "  what to do: nothing was removed; look at them, and use `packager uninstall --force` first"
        )
        assert picture(top) == before


def test_an_upgrade_says_what_of_others_it_left(tmp_path: Path, made: Path) -> None:
    top = browser(tmp_path / "t")
    before = picture(top)
    install(made, top)
    write(top / PROGRAM / "app/demo/mine.txt", b"mine")
    done = install(bundle(tmp_path / "new", "2.0", archives=False), top)
    assert (done.action, done.left) == ("replaced", (f"{PROGRAM}/app/demo/mine.txt",))
    (top / PROGRAM / "app/demo/mine.txt").unlink()
    assert uninstall(top).left == ()
    assert picture(top) == before, "the folders are known to be ours in spite of the stranger's file"


def test_a_new_version_s_file_where_a_stranger_s_is(tmp_path: Path, made: Path) -> None:
    top = browser(tmp_path / "t")
    install(made, top)
    write(top / PROGRAM / "new.txt", b"mine")
    before = picture(top)
    with pytest.raises(CheckError, match=r"new\.txt: expected nothing there, found a file"):
        install(bundle(tmp_path / "new", "2.0", {"new.txt": b"theirs"}, archives=False), top)
    assert picture(top) == before
