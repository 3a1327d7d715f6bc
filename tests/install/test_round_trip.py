"""Installing and uninstalling leave every tree as it was: each byte, mode, time, link and empty folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packager import trees
from packager.install import install, uninstall
from packager.install.browser import MARKS, Form
from packager.layout import TOR_BROWSER
from packager.manifest import file_mode
from tests.install.samples import EPOCH, FILES, FORMS, HOST, LICENCES, PROGRAM, STATE, browser, bundle, picture
from tests.support import write

SOURCES = ("", ".tar.zst", ".zip")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle's folder, with its archives beside it."""
    return bundle(tmp_path_factory.mktemp("dist"))


@pytest.fixture(params=SOURCES)
def source(made: Path, request: pytest.FixtureRequest) -> Path:
    """The bundle in each form."""
    return made.with_name(made.name + request.param)


@pytest.mark.parametrize("form", FORMS)
def test_the_tree_is_as_before(tmp_path: Path, source: Path, form: Form) -> None:
    top = browser(tmp_path / "Tor Browser", form)
    before = picture(top)
    done = install(source, top)
    assert (done.action, done.form, done.bundle) == ("installed", form, "demo-1.0-windows-x86_64")
    assert done.files == len(FILES) + 2
    after = picture(top)
    assert {path: after[path] for path in before} == before, "nothing of the browser's was changed"
    gone = uninstall(top)
    assert (gone.action, gone.files, gone.left, gone.missing) == ("removed", done.files + 1, (), ())
    assert picture(top) == before


def test_every_form_gives_the_same_tree(tmp_path: Path, made: Path) -> None:
    pictures = []
    for number, end in enumerate(SOURCES):
        top = browser(tmp_path / str(number))
        install(made.with_name(made.name + end), top)
        pictures.append({path: what for path, what in picture(top).items() if TOR_BROWSER.owns(f"{path}/")})
    assert pictures[0] == pictures[1] == pictures[2]
    assert {time for _, time, _ in pictures[0].values()} == {EPOCH * 10**9}
    for node in trees.walk(tmp_path / "0" / PROGRAM):
        assert node.status.st_mode & 0o7777 == (0o755 if node.is_folder else file_mode(node.path))
    assert sorted(pictures[0]) == sorted(
        {
            *map(TOR_BROWSER.place, FILES),
            *(f"{PROGRAM}/{name}" for name in ("files.json", "installed.json", "app/demo/version.txt")),
            *(f"{PROGRAM}{name}" for name in ("", "/app", "/app/demo", "/python", "/python/Lib")),
            *(f"{LICENCES}{name}" for name in ("", "/demo", "/cpython")),
        }
    )


def test_a_tree_without_docs_has_none_afterwards(tmp_path: Path, made: Path) -> None:
    top = browser(tmp_path / "t")
    shutil.rmtree(top / HOST / "Docs")
    before = picture(top)
    install(made, top)
    assert uninstall(top).left == ()
    assert picture(top) == before


def test_empty_folders_that_were_there_stay(tmp_path: Path, made: Path) -> None:
    top = browser(tmp_path / "t")
    for path in (f"{PROGRAM}/python", f"{LICENCES}/demo"):
        (top / path).mkdir(parents=True)
    before = picture(top)
    install(made, top)
    assert uninstall(top).left == ()
    assert picture(top) == before


def test_folders_are_found_in_any_case(tmp_path: Path, made: Path) -> None:
    top = browser(tmp_path / "t")
    (top / HOST / "Docs/Licenses").rename(top / HOST / "Docs/LICENSES")
    (top / "Browser").rename(top / "BROWSER")
    before = picture(top)
    install(made, top)
    assert (top / "BROWSER/TorBrowser/Docs/LICENSES/Namecoin/demo/LICENSE").is_file()
    assert not (top / "Browser").exists()
    uninstall(top / "BROWSER")
    assert picture(top) == before


@pytest.mark.parametrize(
    "folder",
    [
        pytest.param("Tor Browser ünï 日本 \U0001f600", id="letters"),
        pytest.param("/".join(["a long name of a folder" * 5] * 5), id="long"),
    ],
)
def test_any_folder_will_do(tmp_path: Path, made: Path, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    top = browser(tmp_path / folder)
    before = picture(top)
    monkeypatch.chdir(top.parent)
    install(made, Path(top.name))
    assert uninstall(Path(top.name, "Browser")).action == "removed"
    assert picture(top) == before


def test_a_link_to_the_tree_is_followed(tmp_path: Path, made: Path) -> None:
    top = browser(tmp_path / "real")
    before = picture(top)
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "inner").symlink_to("real/Browser")
    assert install(made, tmp_path / "link").tree == str(top)
    assert install(made, tmp_path / "inner").action == "unchanged"
    uninstall(tmp_path / "inner")
    assert picture(top) == before


@pytest.mark.parametrize("tool", ["tar", "zip"])
def test_what_was_unpacked_plainly_is_taken_out(tmp_path: Path, made: Path, tool: str) -> None:
    top = browser(tmp_path / "t")
    before = picture(top)
    if tool == "tar":
        subprocess.run(["tar", "--zstd", "-xf", made.with_name(f"{made.name}.tar.zst"), "-C", top], check=True)
    else:
        with zipfile.ZipFile(made.with_name(f"{made.name}.zip")) as archive:
            archive.extractall(top)
    after = picture(top)
    assert {path: (mode, data) for path, (mode, _, data) in after.items() if path in before} == {
        path: (mode, data) for path, (mode, _, data) in before.items()
    }
    assert install(made, top).action == "unchanged"
    done = uninstall(top)
    assert (done.files, done.left) == (len(FILES) + 2, ())
    after = picture(top)
    files = {path for path, (mode, _, _) in before.items() if not str(mode).startswith("d")}
    assert {path: after[path] for path in files} == {path: before[path] for path in files}
    assert {path: mode for path, (mode, _, _) in after.items()} == {path: mode for path, (mode, _, _) in before.items()}


def test_again_changes_nothing(tmp_path: Path, source: Path) -> None:
    top = browser(tmp_path / "t")
    install(source, top)
    once = picture(top)
    assert install(source, top).action == "unchanged"
    assert picture(top) == once
    uninstall(top)
    empty = picture(top)
    assert uninstall(top).action == "absent"
    assert picture(top) == empty


def test_another_version_replaces_it_and_the_state_stays(tmp_path: Path, made: Path) -> None:
    top = browser(tmp_path / "t")
    before = picture(top)
    old = bundle(
        tmp_path / "old", "0.9", {"app/old/gone.pyc": b"x", "licenses/old/L": b"l", "namecoin.exe": None}
    )  # fmt: skip
    install(old, top)
    write(top / STATE / "headers", b"chain")
    done = install(made, top)
    assert (done.action, done.replaced, done.left) == ("replaced", "demo-0.9-windows-x86_64", ())
    fresh = browser(tmp_path / "fresh")
    install(made, fresh)
    own = [{p: w for p, w in picture(t).items() if TOR_BROWSER.owns(f"{p}/")} for t in (top, fresh)]
    assert own[0] == own[1], "as if the old one had never been there"
    assert (top / STATE / "headers").read_bytes() == b"chain"
    assert uninstall(top).state == "removed"
    # The state's own making and going was the program's.
    os.utime(top / HOST / "Data", ns=(0, before[f"{HOST}/Data"][1]))  # type: ignore[arg-type]
    assert picture(top) == before


def test_a_version_after_one_that_was_unpacked_plainly(tmp_path: Path, made: Path) -> None:
    top = browser(tmp_path / "t")
    shutil.copytree(bundle(tmp_path / "old", "0.9"), top, dirs_exist_ok=True)
    before = set(picture(browser(tmp_path / "other")))
    assert install(made, top).action == "replaced"
    uninstall(top)
    assert set(picture(top)) == before


def test_missing_files_are_put_back_and_no_hindrance(tmp_path: Path, made: Path) -> None:
    top = browser(tmp_path / "t")
    before = picture(top)
    install(made, top)
    whole = picture(top)
    shutil.rmtree(top / LICENCES)
    (top / PROGRAM / "python/Lib/os.pyc").unlink()
    assert install(made, top).action == "replaced"
    assert {p: w for p, w in picture(top).items() if TOR_BROWSER.owns(p)} == {
        p: w for p, w in whole.items() if TOR_BROWSER.owns(p)
    }
    (top / PROGRAM / "python/Lib/os.pyc").unlink()
    assert uninstall(top).missing == (f"{PROGRAM}/python/Lib/os.pyc",)
    assert set(picture(top)) == set(before)


NAMES = st.sampled_from(
    ["Namecoin", "Docs", "Licenses", "demo", "python", "Lib", "app", "Data", "Tor", "é", "a b", "x.txt", "CON"]
)
PATHS = st.lists(NAMES, min_size=1, max_size=5).map("/".join)


@settings(max_examples=60, deadline=None)
@given(
    form=st.sampled_from(FORMS),
    files=st.dictionaries(PATHS, st.binary(max_size=20), max_size=8),
    folders=st.lists(PATHS, max_size=6),
    end=st.sampled_from(SOURCES),
    twice=st.booleans(),
)
def test_any_tree_comes_back(
    made: Path, form: Form, files: dict[str, bytes], folders: list[str], end: str, twice: bool
) -> None:
    with tempfile.TemporaryDirectory() as name:
        top = Path(name) / "t"
        write(top / MARKS[form], b"marks")
        for path, data in files.items():
            target = top / HOST / path
            above = [parent for parent in target.parents if parent.is_relative_to(top)]
            if not target.exists() and not any(parent.is_file() for parent in above):
                write(target, data)
        for path in folders:
            if not any(one.is_file() for one in ((top / HOST / path), *(top / HOST / path).parents)):
                (top / HOST / path).mkdir(parents=True, exist_ok=True)
        before = picture(top)
        if _free(top):
            assert install(made.with_name(made.name + end), top).action == "installed"
            if twice:
                assert install(made, top).action == "unchanged"
            removed = uninstall(top, keep_state=True)
            assert removed.action == "removed"
        else:
            with pytest.raises(Exception, match=r"expected (nothing there|a folder)"):
                install(made.with_name(made.name + end), top)
        assert picture(top) == before


def _free(top: Path) -> bool:
    """Whether nothing stands where the bundle wants a file, and no file where it wants a folder."""
    wanted = {*map(TOR_BROWSER.place, FILES), f"{PROGRAM}/app/demo/version.txt"}
    if any((top / path).exists() for path in wanted):
        return False
    return not any((top / path).parents[n].is_file() for path in wanted for n in range(path.count("/")))
