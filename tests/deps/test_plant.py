"""Whether a planted file would be loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from packager.deps.graph import analyse
from packager.deps.model import Graph
from packager.deps.plant import SHIPPABLE, plantable, takes_windows_name
from packager.deps.search import Found
from tests.deps.fake import WINDOWS, FakeWindows, graph_of, library, program, with_load_flags
from tests.pe.build import Dll


@pytest.mark.parametrize(
    ("found", "loaded", "flags", "yes", "why"),
    [
        (Found("api-set", dll="u.dll"), {}, 0, False, "Windows maps API sets itself"),
        (Found("known-dll", dll="x.dll"), {}, 0, False, "a KnownDLL always comes from System32"),
        (Found("assembly", dll="x.dll"), {}, 0, False, "a manifest binds it to a side-by-side assembly"),
        (Found("loaded", "/x.dll"), {}, 0, False, "the process has loaded it before"),
        (Found("system32", dll="x.dll", before=("/app",)), {"x.dll": ""}, 0, False, "the process has loaded it before"),
        (Found("system32", dll="x.dll", before=("/app",)), {}, 0, True, "a file of that name in /app would be loaded instead"),
        (Found("application-folder", "/app/x.dll", before=("/own",)), {}, 0, True, "a file of that name in /own would be loaded instead"),
        (Found("own-folder", "/own/x.dll"), {}, 0, False, "it lies in the first folder that is looked into"),
        (Found(None, dll="x.dll", before=("/app",)), {}, 0, True, "a file of that name in /app would be loaded as there is no other"),
        (Found(None, dll="x.dll"), {}, 0, True, "a file of that name in the current folder or one of PATH would be loaded"),
        (Found("system32", dll="x.dll"), {}, 0x800, False, "the importer is linked with /DEPENDENTLOADFLAG:0x800, so only System32 is looked into"),
        (Found("system32", dll="x.dll"), {}, 0xC00, False, "System32 is looked into first"),
    ],
)  # fmt: skip
def test_each_case(found: Found, loaded: dict[str, str], flags: int, yes: bool, why: str) -> None:
    assert plantable(found, "x.dll", loaded, flags, str) == (yes, why)


def edges(graph: Graph) -> dict[tuple[str, str], bool]:
    return {(edge.importer, edge.name): edge.plantable for edge in graph.edges}


def test_in_a_bundle(tmp_path: Path) -> None:
    """What the program has loaded cannot be planted for its extension modules any more."""
    python = Dll("python313.dll", ("one",))
    version = Dll("VERSION.dll", ("VerQueryValueW",))
    graph = graph_of(
        tmp_path,
        {
            "bundle.json": b'{"python": "python/python.exe"}',
            "python/python.exe": program(python, Dll("KERNEL32.dll")),
            "python/python313.dll": library(imports=[version]),
            "app/a.pyd": library(imports=[python, version, Dll("comctl32.dll", ("InitCommonControls",))]),
        },
    )
    assert graph.ok
    assert edges(graph) == {
        ("python/python.exe", "python313.dll"): False,
        ("python/python.exe", "KERNEL32.dll"): False,
        ("python/python313.dll", "VERSION.dll"): True,
        ("app/a.pyd", "python313.dll"): False,
        ("app/a.pyd", "VERSION.dll"): False,
        ("app/a.pyd", "comctl32.dll"): True,
    }


def test_a_single_file_of_a_bundle_is_told_the_same(tmp_path: Path) -> None:
    python = Dll("python313.dll", ("one",))
    version = Dll("VERSION.dll", ("VerQueryValueW",))
    files = {
        "bundle.json": b'{"python": "python/python.exe"}',
        "python/python.exe": program(python),
        "python/python313.dll": library(imports=[version]),
        "app/a.pyd": library(imports=[python, version]),
    }
    whole = graph_of(tmp_path, files)
    alone = analyse([tmp_path / "app/a.pyd"], WINDOWS)
    assert alone.needs["app/a.pyd"] == whole.needs["app/a.pyd"]
    assert [module.id for module in alone.roots] == ["app/a.pyd"]
    assert "python/python.exe" not in alone.by_id


def test_load_flags_are_a_remedy_for_static_imports_only(tmp_path: Path) -> None:
    version = Dll("VERSION.dll", ("VerQueryValueW",))
    plain = program(version, text=bytes(0x60))
    delayed = program(delay=[version], text=bytes(0x60))
    graph = graph_of(
        tmp_path,
        {
            "plain.exe": plain,
            "safe.exe": with_load_flags(plain, 0x800),
            "delayed.exe": with_load_flags(delayed, 0x800),
        },
    )
    assert edges(graph) == {
        ("plain.exe", "VERSION.dll"): True,
        ("safe.exe", "VERSION.dll"): False,
        ("delayed.exe", "VERSION.dll"): True,
    }


def test_the_own_folder_comes_before_system32(tmp_path: Path) -> None:
    """With LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR, DLLs of the own folder are safe there and Windows' others are not."""
    needs = [Dll("helper.dll", ("one",)), Dll("KERNEL32.dll", ("Sleep",)), Dll("VERSION.dll", ("VerQueryValueW",))]
    files = {
        "python.exe": program(),
        "DLLs/a.pyd": with_load_flags(library(imports=needs, text=bytes(0x60)), 0x900),
        "DLLs/helper.dll": with_load_flags(library(text=bytes(0x60)), 0x800),
    }
    assert edges(graph_of(tmp_path, files)) == {
        ("DLLs/a.pyd", "helper.dll"): False,
        ("DLLs/a.pyd", "KERNEL32.dll"): False,
        ("DLLs/a.pyd", "VERSION.dll"): True,
    }


def test_with_the_flag_nothing_in_the_tree_is_found(tmp_path: Path) -> None:
    files = {"a.exe": with_load_flags(program("helper.dll", text=bytes(0x60)), 0x800), "helper.dll": library()}
    graph = graph_of(tmp_path, files)
    assert [(finding.kind, finding.hint) for finding in graph.findings] == [
        ("missing-dll", "helper.dll is not where it is looked for: move it, or name its folder with --search")
    ]


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("version.dll", (True, "is one of Windows' own DLLs: the file is loaded in its place")),
        ("kernel32.dll", (True, "is a KnownDLL: Windows never loads the file")),
        ("api-ms-win-core-file-l1-1-0.dll", (True, "is the name of an API set: Windows never loads the file")),
        ("api-ms-win-crt-heap-l1-1-0.dll", (False, "is the name of an API set: Windows never loads the file")),
        ("ucrtbase.dll", (False, f"is one of Windows' own DLLs: the file is loaded in its place ({SHIPPABLE['ucrtbase.dll']})")),
        ("vague.dll", (False, "is one of Windows' own DLLs: the file is loaded in its place")),
        ("vcruntime140.dll", None),
        ("helper.dll", None),
        ("api-ms-win-new-l1-1-0.dll", None),
    ],
)  # fmt: skip
def test_names_of_windows(name: str, verdict: tuple[bool, str] | None) -> None:
    assert takes_windows_name(name, FakeWindows()) == verdict
    assert all(len(reason) > 10 for reason in SHIPPABLE.values())
    assert WINDOWS.has("version.dll")
