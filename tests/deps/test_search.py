"""The search order: which rule finds what, in the order of Microsoft's documentation."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from packager.deps import search
from packager.deps.search import Context, Found, find, places
from packager.deps.world import World
from tests.deps.fake import WINDOWS
from tests.support import write


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """A folder for each place that is searched, each with a DLL of its own and one that all have."""
    for name in ("app", "own", "added", "path"):
        write(tmp_path / name / f"{name}.dll", b"")
        write(tmp_path / name / "all.dll", b"")
        write(tmp_path / name / "version.dll", b"")
        write(tmp_path / name / "kernel32.dll", b"")
    return tmp_path


def context(top: Path, *, by_path: bool) -> Context:
    return Context(
        "x86_64",
        str(top / "app"),
        own=str(top / "own") if by_path else "",
        added=(str(top / "added"),),
        path=(str(top / "path"),),
    )


def found(
    top: Path, name: str, *, by_path: bool = True, delayed: bool = False, flags: int = 0, **more: dict[str, str]
) -> Found:
    where = places(context(top, by_path=by_path), str(top / "own"), delayed=delayed, load_flags=flags)
    return find(name, where, World(str(top)), WINDOWS, redirected=more.get("redirected"), loaded=more.get("loaded"))


def test_the_orders() -> None:
    assert search.STANDARD == ("application-folder", "system32", "path")
    assert search.BY_PATH == ("own-folder", "application-folder", "added-folder", "system32")
    assert {*search.STANDARD, *search.BY_PATH} < set(search.RULES)


@pytest.mark.parametrize(
    ("by_path", "delayed", "flags", "rules"),
    [
        (False, False, 0, ["application-folder", "system32", "path"]),
        (False, True, 0, ["application-folder", "system32", "path"]),
        (True, False, 0, ["own-folder", "application-folder", "added-folder", "system32"]),
        (True, True, 0, ["application-folder", "system32", "path"]),
        (False, False, 0x800, ["system32"]),
        (True, False, 0x800, ["system32"]),
        (False, True, 0x800, ["system32"]),
        (True, True, 0x800, ["system32"]),
        (True, False, 0x900, ["own-folder", "system32"]),
        (False, False, 0x1000, ["application-folder", "added-folder", "system32"]),
        (False, False, 0x1100, ["own-folder", "application-folder", "added-folder", "system32"]),
        (False, False, 0x200, ["application-folder"]),
        (False, False, 0x8, ["application-folder", "system32", "path"]),
    ],
)
def test_places(top: Path, by_path: bool, delayed: bool, flags: int, rules: list[str]) -> None:
    where = places(context(top, by_path=by_path), str(top / "own"), delayed=delayed, load_flags=flags)
    assert [place.rule for place in where] == rules


def test_a_folder_that_comes_twice_counts_once(top: Path) -> None:
    app = str(top / "app")
    same = Context("x86_64", app, own=app, added=(app,))
    assert [place.rule for place in places(same, app, delayed=False, load_flags=0)] == ["own-folder", "system32"]


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("all.dll", "own-folder"),
        ("own.dll", "own-folder"),
        ("APP.DLL", "application-folder"),
        ("app", "application-folder"),
        ("added.dll", "added-folder"),
        ("path.dll", None),
        ("version.dll", "own-folder"),
        ("kernel32.dll", "known-dll"),
        ("comctl32.dll", "system32"),
        ("api-ms-win-crt-heap-l1-1-0.dll", "api-set"),
        ("vcruntime140.dll", None),
        ("nowhere.dll", None),
    ],
)
def test_what_is_loaded_by_its_path(top: Path, name: str, rule: str | None) -> None:
    assert found(top, name).rule == rule


@pytest.mark.parametrize(
    ("name", "rule"),
    [("all.dll", "application-folder"), ("own.dll", None), ("path.dll", "path"), ("comctl32.dll", "system32")],
)
def test_what_a_program_imports(top: Path, name: str, rule: str | None) -> None:
    assert found(top, name, by_path=False).rule == rule
    assert found(top, name, delayed=True).rule == rule


def test_folders_that_were_looked_into_before(top: Path) -> None:
    own, app, added = (str(top / name) for name in ("own", "app", "added"))
    assert found(top, "comctl32.dll").before == (own, app, added)
    assert found(top, "app.dll").before == (own,)
    assert found(top, "nowhere.dll").before == (own, app, added)
    assert found(top, "comctl32.dll", flags=0x800).before == ()


def test_an_api_set_leads_to_its_host_whatever_its_revision(top: Path) -> None:
    for revision in range(3):
        assert found(top, f"API-MS-WIN-CRT-HEAP-L1-1-{revision}.dll") == Found("api-set", dll="ucrtbase.dll")
    assert found(top, "ext-ms-win-none-l1-1-0.dll") == Found("api-set")


def test_an_unknown_api_set_is_looked_for_as_a_file(top: Path) -> None:
    write(top / "app/api-ms-win-new-l1-1-0.dll", b"")
    assert found(top, "api-ms-win-new-l1-1-0.dll").rule == "application-folder"
    assert found(top, "api-ms-win-newer-l1-1-0.dll").rule is None


def test_what_a_manifest_binds_comes_before_all_but_api_sets(top: Path) -> None:
    redirected = {"kernel32.dll": "/a/kernel32.dll", "comctl32.dll": "", "api-ms-win-crt-heap-l1-1-0.dll": "/x"}
    assert found(top, "KERNEL32.dll", redirected=redirected) == Found("assembly", "/a/kernel32.dll")
    assert found(top, "comctl32.dll", redirected=redirected) == Found("assembly", dll="comctl32.dll")
    assert found(top, "api-ms-win-crt-heap-l1-1-0.dll", redirected=redirected).rule == "api-set"


def test_what_is_loaded_already_is_found_last(top: Path) -> None:
    loaded = {"nowhere.dll": "/b/nowhere.dll", "app.dll": "/b/app.dll", "odd.dll": ""}
    assert found(top, "NOWHERE.dll", loaded=loaded).path == "/b/nowhere.dll"
    assert found(top, "NOWHERE.dll", loaded=loaded).rule == "loaded"
    assert found(top, "app.dll", loaded=loaded).rule == "application-folder"
    assert found(top, "odd.dll", loaded=loaded).dll == "odd.dll"


@pytest.mark.parametrize("name", ["../own/own.dll", "..\\own\\own.dll", "C:\\windows\\x.dll", "\\\\xff.dll", "", "."])
def test_names_lead_nowhere_else(top: Path, name: str) -> None:
    assert found(top, name).rule is None


def test_all_orders_agree_that_known_dlls_are_windows(top: Path) -> None:
    for by_path, delayed, flags in itertools.product((True, False), (True, False), (0, 0x800, 0x1100)):
        assert found(top, "WS2_32.dll", by_path=by_path, delayed=delayed, flags=flags) == Found(
            "known-dll", dll="ws2_32.dll"
        )
