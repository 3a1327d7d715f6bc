"""Where things are, in trees with any names, and paths of any length."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from namecoin_launcher import paths


def test_everything_is_found_from_the_packages_own_place() -> None:
    tree = Path("/a b/Tor Brówser 漢/Browser")
    found = paths.find(package=tree / "TorBrowser/Namecoin/app/namecoin_launcher")
    assert found.program == tree / "TorBrowser/Namecoin"
    assert found.browser == tree
    assert found.firefox == tree / "firefox"
    assert found.data == tree / "TorBrowser/Data/Namecoin"
    assert found.cookie == tree / "TorBrowser/Data/Tor/control_auth_cookie"
    assert {found.settings.parent, found.lock.parent, found.log.parent} == {found.data}


def test_state_may_be_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert paths.find("state").data == tmp_path / "state"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("C:\\short", "C:\\short"),
        ("C:\\" + "x" * 300, "\\\\?\\C:\\" + "x" * 300),
        ("C:/" + "x" * 300, "\\\\?\\C:\\" + "x" * 300),
        ("\\\\host\\share\\" + "x" * 300, "\\\\?\\UNC\\host\\share\\" + "x" * 300),
        ("\\\\?\\C:\\" + "x" * 300, "\\\\?\\C:\\" + "x" * 300),
    ],
)
def test_windows_gets_long_paths_with_a_prefix(path: str, expected: str) -> None:
    assert paths.extended(path, windows=True) == expected
    assert paths.extended(path, windows=False) == path


def test_the_data_folder_is_its_owners_only(tmp_path: Path) -> None:
    found = paths.find(str(tmp_path / "new" / "Namecoin"))
    for _ in range(2):
        paths.make_data(found)
        assert stat.S_IMODE(found.data.stat().st_mode) == 0o700
    found.data.chmod(0o755)
    paths.make_data(found)
    assert stat.S_IMODE(found.data.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("C:\\Tor Browser\\firefox.exe", "C:\\Tor Browser\\firefox.exe"),
        ("\\\\?\\C:\\Tor Browser\\firefox.exe", "C:\\Tor Browser\\firefox.exe"),
        ("\\\\?\\UNC\\server\\share\\a", "\\\\server\\share\\a"),
        ("\\\\?\\C:\\" + "a" * 244, "C:\\" + "a" * 244),
        ("\\\\?\\C:\\" + "a" * 245, "\\\\?\\C:\\" + "a" * 245),
        ("/home/x", "/home/x"),
    ],
)
def test_other_programs_get_paths_without_a_prefix(path: str, expected: str) -> None:
    assert paths.plain(path) == expected
