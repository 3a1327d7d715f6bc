"""Staging: every file has one source, nothing is placed twice, native code comes from components only."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from packager import stage
from packager.errors import BuildError, SpecError
from packager.layout import PORTABLE, TOR_BROWSER
from packager.specs import load, model
from packager.stage import Contribution
from tests.support import write

ROOT = Path(__file__).parents[1]


def test_files_get_their_places_and_sources(tmp_path: Path) -> None:
    write(tmp_path / "a/python/python.exe", "p")
    write(tmp_path / "b/x.py", "x")
    write(tmp_path / "c.txt", "c")
    parts = [
        Contribution("cpython", tmp_path / "a", "."),
        Contribution("app", tmp_path / "b", "app", {"app/x.py": "dep"}),
        Contribution("zlib", tmp_path / "c.txt", "licenses/zlib/c.txt"),
    ]
    provenance = stage.assemble(parts, tmp_path / "tree")
    assert provenance == {"python/python.exe": "cpython", "app/x.py": "dep", "licenses/zlib/c.txt": "zlib"}
    assert (tmp_path / "tree/app/x.py").read_text() == "x"


def test_two_sources_for_one_path_are_refused_whatever_the_case(tmp_path: Path) -> None:
    write(tmp_path / "a/X.py", "1")
    write(tmp_path / "b/x.py", "2")
    parts = [Contribution("one", tmp_path / "a", "."), Contribution("two", tmp_path / "b", ".")]
    with pytest.raises(BuildError, match=r"x\.py: two sources claim this path: one \(X\.py\) and two"):
        stage.assemble(parts, tmp_path / "tree")


def test_links_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/link").symlink_to("/etc/passwd")
    with pytest.raises(BuildError, match="link: a symbolic link cannot go into a bundle"):
        stage.assemble([Contribution("one", tmp_path / "a", ".")], tmp_path / "tree")


def test_a_component_that_lacks_a_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"lib: no\.dll: not among the files that it makes"):
        stage.assemble([Contribution("lib", tmp_path / "no.dll", "app/x.dll")], tmp_path / "tree")


def test_pruning_takes_files_and_their_records(tmp_path: Path) -> None:
    provenance = stage.assemble([Contribution("a", write(tmp_path / "x", "1").parent, "gui")], tmp_path / "tree")
    rule = model.Prune(path="gui/**", reason="r")
    assert stage.prune(tmp_path / "tree", [rule], provenance, "spec") == {}
    assert list((tmp_path / "tree").iterdir()) == []
    with pytest.raises(SpecError, match="which matches none"):
        stage.prune(tmp_path / "tree", [rule], {}, "spec")


def test_files_are_moved_to_where_the_layout_has_them(tmp_path: Path) -> None:
    write(tmp_path / "a/app/x.exe", "x").chmod(0o755)
    write(tmp_path / "a/licenses/zlib/c.txt", "c")
    sources = {"app/x.exe": "app", "licenses/zlib/c.txt": "zlib"}
    placed = stage.place(tmp_path / "a", tmp_path / "b", sources, TOR_BROWSER)
    assert placed == {TOR_BROWSER.place(path): source for path, source in sources.items()}
    assert (tmp_path / "b/Browser/TorBrowser/Namecoin/app/x.exe").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "b/Browser/TorBrowser/Docs/Licenses/Namecoin/zlib/c.txt").read_text() == "c"
    assert not [path for path in (tmp_path / "a").rglob("*") if path.is_file()]
    assert stage.place(tmp_path / "b", tmp_path / "c", placed, PORTABLE) == placed


def test_native_code_of_the_application_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "app/fast.pyd", b"MZ" + bytes(100))
    provenance = {"app/fast.pyd": "electrum"}
    stage.refuse_vendored_native(tmp_path, provenance, {"other"})
    with pytest.raises(SpecError, match=r"electrum: expected no native code, found app/fast\.pyd") as caught:
        stage.refuse_vendored_native(tmp_path, provenance, {"electrum"})
    assert caught.value.hint is not None
    assert "component" in caught.value.hint


def test_a_bundle_describes_itself() -> None:
    bundle = load.load_bundle(load.Project(ROOT), "electrum")
    document = json.loads(stage.bundle_description(bundle, "windows-x86_64"))
    assert document["name"] == "electrum"
    assert document["python"] == "python/python.exe"
    assert {"name": "electrum", "path": "electrum.exe", "console": True} in document["entry_points"]
