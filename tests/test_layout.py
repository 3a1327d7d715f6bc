"""Where a bundle's parts lie, in each layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from packager.layout import LAYOUTS, PORTABLE, TOR_BROWSER, Layout, layout_in, layout_of
from tests.support import write


@pytest.mark.parametrize(
    ("layout", "path", "placed"),
    [
        (PORTABLE, "bundle.json", "bundle.json"),
        (PORTABLE, "licenses/zlib/README", "licenses/zlib/README"),
        (TOR_BROWSER, "bundle.json", "Browser/TorBrowser/Namecoin/bundle.json"),
        (TOR_BROWSER, "app/a.pyc", "Browser/TorBrowser/Namecoin/app/a.pyc"),
        (TOR_BROWSER, "licenses/zlib/README", "Browser/TorBrowser/Docs/Licenses/Namecoin/zlib/README"),
        (TOR_BROWSER, "licenses.txt", "Browser/TorBrowser/Namecoin/licenses.txt"),
    ],
)
def test_every_path_has_its_place(layout: Layout, path: str, placed: str) -> None:
    assert layout.place(path) == placed


def test_what_is_the_bundle_s_own() -> None:
    assert TOR_BROWSER.owns("Browser/TorBrowser/Namecoin/app/a.pyc")
    assert TOR_BROWSER.owns(f"{TOR_BROWSER.licence_folder('zlib')}README")
    for path in ("Browser/firefox.exe", "Browser/TorBrowser/Namecoin", "Browser/TorBrowser/Namecoin2/a", "Namecoin/a"):
        assert not TOR_BROWSER.owns(path)
    assert not PORTABLE.owns("bundle.json"), "a bundle that stands alone shares its folder with nobody"


def test_folders_that_may_be_there_already() -> None:
    above = {"Browser", "Browser/TorBrowser", "Browser/TorBrowser/Docs", "Browser/TorBrowser/Docs/Licenses"}
    assert TOR_BROWSER.shared == above
    assert PORTABLE.shared == frozenset()
    assert (TOR_BROWSER.top, PORTABLE.top) == ("Browser", "")


def test_a_layout_is_known_by_its_files(tmp_path: Path) -> None:
    assert layout_of(["bundle.json", "Browser/x"]) is PORTABLE
    assert layout_of(["Browser/TorBrowser/Namecoin/bundle.json"]) is TOR_BROWSER
    assert layout_in(tmp_path) is None
    write(tmp_path / "b" / TOR_BROWSER.bundle_file, "{}")
    assert layout_in(tmp_path / "b") is TOR_BROWSER
    write(tmp_path / "p/bundle.json", "{}")
    assert layout_in(tmp_path / "p") is PORTABLE


def test_names_are_those_of_the_specs() -> None:
    assert {name: layout.name for name, layout in LAYOUTS.items()} == {
        "portable": "portable",
        "tor-browser": "tor-browser",
    }
