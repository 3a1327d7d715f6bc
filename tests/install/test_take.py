"""Uninstalling removes what is the bundle's, and nothing else, whatever the list in the tree says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from packager.errors import CheckError, SpecError
from packager.install import install, uninstall
from tests.install.samples import HOST, LICENCES, PROGRAM, STATE, browser, bundle, picture
from tests.support import write


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """A tree that a bundle is in, with a state."""
    tree = browser(tmp_path / "t")
    install(bundle(tmp_path / "dist", archives=False), tree)
    write(tree / STATE / "headers/chain", b"state")
    return tree


def rewrite(file: Path, **changes: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_the_state_goes_unless_it_is_kept(top: Path) -> None:
    done = uninstall(top, keep_state=True)
    assert (done.state, (top / STATE / "headers/chain").read_bytes()) == ("kept", b"state")
    assert (uninstall(top).action, uninstall(top).state) == ("absent", "kept")


def test_a_state_folder_of_links_leads_nowhere(top: Path, tmp_path: Path) -> None:
    write(tmp_path / "outside/precious", b"x")
    (top / STATE / "link").symlink_to(tmp_path / "outside")
    assert uninstall(top).state == "removed"
    assert (tmp_path / "outside/precious").exists()


def test_what_was_put_into_our_folders_stays(top: Path) -> None:
    mine = (f"{LICENCES}/mine.txt", f"{PROGRAM}/app/mine/x.txt", f"{PROGRAM}/python/Lib/empty")
    write(top / mine[0], b"1")
    write(top / mine[1], b"2")
    (top / mine[2]).mkdir()
    before = {path: what for path, what in picture(top).items() if path.startswith(mine)}
    done = uninstall(top)
    assert done.left == (mine[0], f"{PROGRAM}/app/mine", mine[2])
    assert {path: what for path, what in picture(top).items() if path.startswith(mine)} == before
    assert not (top / PROGRAM / "app/demo").exists()
    assert not (top / PROGRAM / "bundle.json").exists()


def test_changed_files_are_refused_unless_forced(top: Path, tmp_path: Path) -> None:
    write(top / PROGRAM / "namecoin.exe", b"MZ patched")
    (top / PROGRAM / "python/python.exe").unlink()
    (top / PROGRAM / "python/python.exe").symlink_to(write(tmp_path / "outside.exe", b"MZ"))
    (top / LICENCES / "demo/LICENSE").unlink()
    write(top / LICENCES / "demo/LICENSE/in a folder", b"x")
    before = picture(top)
    changed = (f"{LICENCES}/demo/LICENSE", f"{PROGRAM}/namecoin.exe", f"{PROGRAM}/python/python.exe")
    with pytest.raises(CheckError) as caught:
        uninstall(top)
    assert str(caught.value) == (
        f"{top}: expected the files of demo-1.0-windows-x86_64 as they were installed, found 3 changed\n"
        + "".join(f"  {path}\n" for path in changed)
        + "  what to do: nothing was removed; add --force to remove them, too"
    )
    assert picture(top) == before
    done = uninstall(top, force=True)
    assert done.changed == changed[1:]
    assert done.left == (f"{LICENCES}/demo/LICENSE",), "a folder was never one of our files"
    assert (tmp_path / "outside.exe").read_bytes() == b"MZ"
    assert not (top / PROGRAM).exists()


def test_a_hostile_list_removes_nothing(top: Path) -> None:
    entry = {"size": 8, "sha256": "0" * 64}
    for path in (
        "Browser/firefox.exe", f"{PROGRAM}/../../firefox.exe", f"{PROGRAM}/..\\..\\..\\firefox.exe", "/etc/passwd",
        f"{HOST}/Docs/ChangeLog.txt",
    ):  # fmt: skip
        rewrite(top / PROGRAM / "files.json", files=[{"path": path, **entry}])
        before = picture(top)
        for force in (False, True):
            with pytest.raises(CheckError, match=r"Namecoin/files\.json: "):
                uninstall(top, force=force)
        assert picture(top) == before


@pytest.mark.parametrize("folder", ["Browser", HOST, f"{HOST}/Data", f"{HOST}/Tor", "../x", f"{PROGRAM}/../Data"])
def test_a_hostile_record_removes_nothing(top: Path, folder: str) -> None:
    rewrite(top / PROGRAM / "installed.json", folders=[folder])
    before = picture(top)
    with pytest.raises(CheckError, match=r"Namecoin/installed\.json: "):
        uninstall(top, force=True)
    assert picture(top) == before


def test_a_record_that_claims_the_browser_s_docs_takes_no_file_of_them(top: Path) -> None:
    rewrite(top / PROGRAM / "installed.json", folders=[f"{HOST}/Docs", f"{HOST}/Docs/Licenses", LICENCES, PROGRAM])
    before = picture(top)
    done = uninstall(top, force=True)
    kept = {path: what for path, what in before.items() if path.startswith(f"{HOST}/Docs") and LICENCES not in path}
    assert {path: what for path, what in picture(top).items() if path in kept} == kept
    assert f"{HOST}/Docs/ChangeLog.txt" in done.left


@pytest.mark.parametrize("where", [PROGRAM, f"{PROGRAM}/app", LICENCES, f"{HOST}/Docs"])
def test_nothing_is_removed_through_a_link(top: Path, tmp_path: Path, where: str) -> None:
    (top / where).rename(tmp_path / "moved")
    (top / where).symlink_to(tmp_path / "moved")
    before, outside = picture(top), picture(tmp_path / "moved")
    for force in (False, True):
        with pytest.raises(CheckError, match="expected a folder, found a link"):
            uninstall(top, force=force)
    assert (picture(top), picture(tmp_path / "moved")) == (before, outside)


def test_a_list_that_is_no_file(top: Path, tmp_path: Path) -> None:
    (top / PROGRAM / "files.json").rename(tmp_path / "list")
    (top / PROGRAM / "files.json").symlink_to(tmp_path / "list")
    with pytest.raises(CheckError, match=r"files\.json: expected a file of 67,108,864 bytes at most, found another"):
        uninstall(top)


def test_a_folder_that_is_no_tree(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="expected a Tor Browser's folder"):
        uninstall(tmp_path)
