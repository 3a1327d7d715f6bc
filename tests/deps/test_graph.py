"""The graph: what is found, what is wrong, and that each deliberately broken sample is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from packager.deps.graph import analyse
from packager.deps.model import Edge, Graph
from packager.errors import SpecError
from tests.deps.fake import WINDOWS, folder, graph_of, library, program, told
from tests.deps.test_sxs import needs
from tests.pe.build import ARM64, X64, X86, Dll, build
from tests.pe.test_chpe import TEXT, two_sided, with_chpe

KERNEL = Dll("KERNEL32.dll")
ONE = Dll("helper.dll", ("one",))


def edge(graph: Graph, importer: str, name: str) -> Edge:
    (found,) = [edge for edge in graph.needs[importer] if edge.name == name]
    return found


SOUND: Mapping[str, bytes] = {"a.exe": program(KERNEL, ONE), "helper.dll": library(imports=[KERNEL])}


def test_all_is_well(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, SOUND)
    assert graph.findings == ()
    assert graph.ok
    assert [(module.id, module.origin, module.root) for module in graph.modules] == [
        ("a.exe", "tree", True),
        ("helper.dll", "tree", False),
        ("windows:kernel32.dll", "windows", False),
    ]
    assert [(e.importer, e.target, e.via, e.rule, e.symbols, e.missing) for e in graph.edges] == [
        ("a.exe", "windows:kernel32.dll", "import", "known-dll", 1, ()),
        ("a.exe", "helper.dll", "import", "application-folder", 1, ()),
        ("helper.dll", "windows:kernel32.dll", "import", "known-dll", 1, ()),
    ]
    assert graph.data_origin == WINDOWS.origin
    assert graph.by_id["windows:kernel32.dll"].since == "Windows 7"


LOOP = library(("one", "other.one"))
VERSION = Dll("version.dll", ("VerQueryValueW",))

#: For each sample: its files, and what is found: kind, file, DLL, symbol. Only errors.
BROKEN: dict[str, tuple[Mapping[str, bytes], list[tuple[str, str, str | None, str | None]]]] = {
    "missing DLL": ({"a.exe": program(ONE)}, [("missing-dll", "a.exe", "helper.dll", None)]),
    "missing delay-loaded DLL": (
        {"a.exe": program(KERNEL, delay=[ONE])},
        [("missing-dll", "a.exe", "helper.dll", None)],
    ),
    "missing DLL of a DLL": (
        {"a.exe": program(ONE), "helper.dll": library(imports=[Dll("last.dll")])},
        [("missing-dll", "helper.dll", "last.dll", None)],
    ),
    "missing run-time library": (
        {"a.exe": program(Dll("VCRUNTIME140.dll", ("memcpy",)))},
        [("missing-dll", "a.exe", "VCRUNTIME140.dll", None)],
    ),
    "missing symbol": (
        {**SOUND, "a.exe": program(Dll("helper.dll", ("one", "two")))},
        [("missing-symbol", "a.exe", "helper.dll", "two")],
    ),
    "missing symbol of Windows": (
        {"a.exe": program(Dll("KERNEL32.dll", ("Sleep", "NoSuch")))},
        [("missing-symbol", "a.exe", "KERNEL32.dll", "NoSuch")],
    ),
    "missing symbol of an API set": (
        {"a.exe": program(Dll("api-ms-win-crt-heap-l1-1-0.dll", ("malloc", "mallocc")))},
        [("missing-symbol", "a.exe", "api-ms-win-crt-heap-l1-1-0.dll", "mallocc")],
    ),
    "missing symbol that is forwarded": (
        {"a.exe": program(ONE), "helper.dll": library(("one", "other.two")), "other.dll": library("one")},
        [("missing-symbol", "a.exe", "helper.dll", "one")],
    ),
    "missing ordinal": (
        {**SOUND, "a.exe": program(Dll("helper.dll", (1, 9)))},
        [("missing-ordinal", "a.exe", "helper.dll", "#9")],
    ),
    "missing ordinal of Windows": (
        {"a.exe": program(Dll("WS2_32.dll", (1, 115, 500)))},
        [("missing-ordinal", "a.exe", "WS2_32.dll", "#500")],
    ),
    "wrong machine": (
        {**SOUND, "helper.dll": library(machine=ARM64)},
        [("wrong-machine", "a.exe", "helper.dll", None)],
    ),
    "32 bits for 64": (
        {**SOUND, "helper.dll": library(machine=X86, plus=False)},
        [("wrong-machine", "a.exe", "helper.dll", None)],
    ),
    "extension module for another machine": (
        {
            "bundle.json": b'{"python": "python.exe"}',
            "python.exe": program(KERNEL),
            "x/a.pyd": library(machine=ARM64),
        },
        [("wrong-machine", "python.exe", "x/a.pyd", None)],
    ),
    "wrong machine behind a forwarder": (
        {"a.exe": program(ONE), "helper.dll": library(("one", "other.one")), "other.dll": library(machine=ARM64)},
        [("wrong-machine", "helper.dll", "other.dll", None)],
    ),
    "forwarder loop": (
        {"a.exe": program(ONE), "helper.dll": LOOP, "other.dll": library(("one", "helper.one"))},
        [
            ("forwarder-loop", "a.exe", "helper.dll", "one"),
            ("forwarder-loop", "helper.dll", "helper.dll", "one"),
            ("forwarder-loop", "other.dll", "other.dll", "one"),
        ],
    ),
    "forwarder loop that nobody asks for": (
        {"a.dll": library(("one", "a.one"))},
        [("forwarder-loop", "a.dll", "a.dll", "one")],
    ),
    "case-only twin": ({**SOUND, "HELPER.DLL": library()}, [("case-twin", "helper.dll", None, None)]),
    "planted system name": (
        {"a.exe": program(VERSION), "version.dll": library("VerQueryValueW")},
        [("planted-name", "version.dll", "version.dll", None)],
    ),
    "planted KnownDLL": (
        {**SOUND, "sub/Kernel32.dll": library()},
        [("planted-name", "sub/Kernel32.dll", "Kernel32.dll", None)],
    ),
    "unresolved API set": (
        {"a.exe": program(Dll("api-ms-win-new-l1-1-0.dll", ("f",)))},
        [("unresolved-api-set", "a.exe", "api-ms-win-new-l1-1-0.dll", None)],
    ),
    "API set without a host": (
        {"a.exe": program(Dll("ext-ms-win-none-l1-1-0.dll", ("f",)))},
        [("unresolved-api-set", "a.exe", "ext-ms-win-none-l1-1-0.dll", None)],
    ),
    "missing assembly": (
        {**SOUND, "a.exe.manifest": needs("Microsoft.VC90.CRT")},
        [("missing-assembly", "a.exe", "Microsoft.VC90.CRT", None)],
    ),
    "broken DLL": ({**SOUND, "helper.dll": library()[:200]}, [("broken-file", "helper.dll", None, None)]),
    "broken manifest": ({**SOUND, "a.exe.manifest": b"<"}, [("broken-file", "a.exe", None, None)]),
}


@pytest.mark.parametrize(("files", "expected"), BROKEN.values(), ids=BROKEN.keys())
def test_each_broken_sample_is_found(
    tmp_path: Path, files: Mapping[str, bytes], expected: list[tuple[str, str, str | None, str | None]]
) -> None:
    graph = graph_of(tmp_path, files)
    assert told([finding for finding in graph.findings if finding.severity == "error"]) == expected
    assert not graph.ok
    assert all(finding.message and finding.hint for finding in graph.findings)


def test_the_count_of_broken_samples(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = [name for name, (files, _) in BROKEN.items() if not graph_of(tmp_path / name, files).ok]
    with capsys.disabled():
        print(f"\nbroken samples found: {len(found)} of {len(BROKEN)}")
    assert found == list(BROKEN)


# --- warnings ----------------------------------------------------------------


def test_a_forwarder_that_leads_nowhere_harms_nobody_who_does_not_ask(tmp_path: Path) -> None:
    files = {
        "a.exe": program(ONE),
        "helper.dll": library("one", ("two", "other.gone"), ("three", "absent.x"), ("four", "absent.y")),
        "other.dll": library("one"),
    }
    graph = graph_of(tmp_path, files)
    assert graph.ok
    assert [(f.severity, *t) for f, t in zip(graph.findings, told(graph.findings), strict=True)] == [
        ("warning", "broken-forwarder", "helper.dll", None, "two"),
        ("warning", "broken-forwarder", "helper.dll", "absent.dll", None),
    ]
    assert "three, four" in graph.findings[1].message or "four, three" in graph.findings[1].message
    assert edge(graph, "helper.dll", "other.dll").via == "forwarder"
    assert edge(graph, "helper.dll", "absent.dll").target == "missing:absent.dll"
    assert [module.id for module in graph.roots] == ["a.exe"]


def test_an_optional_api_set_that_is_delay_loaded(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, {"a.exe": program(delay=[Dll("ext-ms-win-none-l1-1-0.dll", ("f",))])})
    assert [(finding.kind, finding.severity) for finding in graph.findings] == [("unresolved-api-set", "warning")]


def test_a_library_of_which_only_the_name_is_known_may_be_brought(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, {"a.exe": program(Dll("vague.dll", ("one",))), "vague.dll": library()})
    assert [(finding.kind, finding.severity) for finding in graph.findings] == [("planted-name", "warning")]
    assert edge(graph, "a.exe", "vague.dll").target == "vague.dll"


def test_what_is_not_known_is_not_missing(tmp_path: Path) -> None:
    graph = graph_of(
        tmp_path, {"a.exe": program(Dll("vague.dll", ("f", "g"))), "b.exe": program(Dll("WS2_32.dll", (7, 1)))}
    )
    assert graph.findings == ()
    assert edge(graph, "a.exe", "vague.dll").missing is None
    assert edge(graph, "b.exe", "WS2_32.dll").missing == ()


def test_a_machine_of_which_nothing_is_known(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, {"a.exe": program(Dll("KERNEL32.dll", ("Any",)), machine=ARM64)})
    assert graph.findings == ()
    assert edge(graph, "a.exe", "KERNEL32.dll").missing is None


# --- search ------------------------------------------------------------------


def test_each_file_is_looked_at_in_every_process(tmp_path: Path) -> None:
    """helper.dll lies with the first program only; what both load needs it."""
    files = {
        "one/a.exe": program(Dll("shared.dll", ("one",))),
        "one/shared.dll": library(imports=[ONE]),
        "one/helper.dll": library(),
        "two/b.exe": program(Dll("shared.dll", ("one",))),
        "two/shared.dll": library(imports=[ONE]),
    }
    graph = graph_of(tmp_path, files)
    assert told(graph.findings) == [("missing-dll", "two/shared.dll", "helper.dll", None)]
    assert graph.findings[0].hint.startswith("one/helper.dll is not where it is looked for")
    assert "which is not in two, and not known to be part of any Windows" in graph.findings[0].message


def test_extension_modules_find_their_own_folder_and_the_programs(tmp_path: Path) -> None:
    python = Dll("python313.dll", ("one",))
    files = {
        "python.exe": program(python),
        "python313.dll": library(),
        "DLLs/a.pyd": library(imports=[python, Dll("own.dll", ("one",))]),
        "DLLs/own.dll": library(imports=[Dll("deep.dll", ("one",))]),
        "DLLs/deep.dll": library(),
    }
    graph = graph_of(tmp_path, files)
    assert graph.findings == ()
    assert edge(graph, "DLLs/a.pyd", "python313.dll").rule == "application-folder"
    assert edge(graph, "DLLs/a.pyd", "own.dll").rule == "own-folder"
    assert edge(graph, "DLLs/own.dll", "deep.dll").rule == "own-folder"


def test_a_delay_load_does_not_look_beside_an_extension_module(tmp_path: Path) -> None:
    python = Dll("python313.dll", ("one",))
    files = {
        "python.exe": program(python),
        "python313.dll": library(),
        "DLLs/a.pyd": library(delay=[ONE]),
        "DLLs/helper.dll": library(),
    }
    graph = graph_of(tmp_path / "alone", files)
    assert [(finding.kind, finding.severity) for finding in graph.findings] == [("missing-dll", "warning")]
    # Unless somebody has loaded it by then.
    graph = graph_of(
        tmp_path / "loaded", {**files, "DLLs/b.pyd": library(imports=[ONE]), "DLLs/c.pyd": library(delay=[ONE])}
    )
    assert edge(graph, "DLLs/c.pyd", "helper.dll").rule == "loaded"
    assert edge(graph, "DLLs/c.pyd", "helper.dll").target == "DLLs/helper.dll"


def test_folders_that_the_user_names(tmp_path: Path) -> None:
    folder(tmp_path / "elsewhere", {"helper.dll": library()})
    graph = graph_of(
        tmp_path / "tree", {"a.exe": program(ONE), "b.pyd": library(imports=[ONE])}, search=[tmp_path / "elsewhere"]
    )
    assert graph.ok
    target = str(tmp_path / "elsewhere/helper.dll")
    assert [(e.importer, e.rule, e.target) for e in graph.edges if e.name == "helper.dll"] == [
        ("a.exe", "path", target),
        ("b.pyd", "added-folder", target),
    ]


def test_folders_that_python_code_adds(tmp_path: Path) -> None:
    files = {
        "x/__init__.py": b"import os\nos.add_dll_directory(os.path.join(os.path.dirname(__file__), os.pardir, 'x.libs'))\n",
        "x/a.pyd": library(imports=[ONE]),
        "x.libs/helper.dll": library(),
    }
    graph = graph_of(tmp_path, files)
    assert graph.ok
    assert edge(graph, "x/a.pyd", "helper.dll").rule == "added-folder"
    assert graph.notes == ("x.libs is searched: Python code in ./ adds it",)


def test_wrong_names_of_search_folders(tmp_path: Path) -> None:
    folder(tmp_path, SOUND)
    with pytest.raises(SpecError, match="no: expected a folder to search, found nothing"):
        analyse([tmp_path], WINDOWS, [tmp_path / "no"])
    with pytest.raises(SpecError, match=r"a\.exe: expected a folder to search, found a file"):
        analyse([tmp_path], WINDOWS, [tmp_path / "a.exe"])
    with pytest.raises(SpecError, match="found nothing"):
        analyse([tmp_path / "no"], WINDOWS)


def test_a_single_file_brings_what_lies_beside_it(tmp_path: Path) -> None:
    folder(tmp_path, {**SOUND, "other.exe": program("gone.dll"), "sub/x.dll": library()})
    graph = analyse([tmp_path / "a.exe"], WINDOWS)
    assert graph.ok
    assert [module.id for module in graph.modules] == ["a.exe", "helper.dll", "windows:kernel32.dll"]


def test_several_paths(tmp_path: Path) -> None:
    folder(tmp_path, {f"{name}/{path}": data for name in ("x", "y") for path, data in SOUND.items()})
    graph = analyse([tmp_path / "x/a.exe", tmp_path / "y"], WINDOWS)
    assert [module.id for module in graph.modules if module.origin == "tree"] == [
        "x/a.exe",
        "x/helper.dll",
        "y/a.exe",
        "y/helper.dll",
    ]
    assert [module.id for module in graph.roots] == ["x/a.exe", "y/a.exe"]


def test_twins_are_told_once_and_the_one_spelled_so_is_loaded(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, {**SOUND, "Helper.dll": library(), "HELPER.dll": library()})
    assert told(graph.findings) == [
        ("case-twin", "Helper.dll", None, None),
        ("case-twin", "helper.dll", None, None),
    ]
    assert edge(graph, "a.exe", "helper.dll").target == "helper.dll"


def test_files_that_need_each_other_are_looked_at_though_nobody_needs_them(tmp_path: Path) -> None:
    files = {"a.dll": library(imports=[Dll("b.dll", ("one",))]), "b.dll": library(imports=[Dll("a.dll", ("no",))])}
    graph = graph_of(tmp_path, files)
    assert told(graph.findings) == [("missing-symbol", "b.dll", "a.dll", "no")]
    assert [module.id for module in graph.roots] == ["a.dll"]


def test_imports_of_one_dll_in_two_places_of_a_file(tmp_path: Path) -> None:
    both = program(ONE, Dll("HELPER.dll", (2,)), delay=[Dll("helper.dll", ("two",))])
    graph = graph_of(tmp_path, {"a.exe": both, "helper.dll": library("one", "two")})
    assert graph.ok
    assert [(e.name, e.via, e.symbols) for e in graph.needs["a.exe"]] == [
        ("helper.dll", "import", 2),
        ("helper.dll", "delay-import", 1),
    ]


def test_a_copy_of_windows_system_folder(tmp_path: Path) -> None:
    files = {
        "kernel32.dll": library(imports=[Dll("ntdll.dll", ("one",))]),
        "kernelbase.dll": library(),
        "ntdll.dll": library(),
        "version.dll": library(imports=[Dll("kernel32.dll", ("one",))]),
    }
    graph = graph_of(tmp_path, files)
    assert graph.findings == ()
    assert graph.notes == ("./ is taken for a copy of Windows' system folder",)
    assert edge(graph, "version.dll", "kernel32.dll").target == "kernel32.dll"


# --- machines ----------------------------------------------------------------


def test_arm64x_serves_both_each_with_its_own_exports(tmp_path: Path) -> None:
    files: dict[str, bytes] = {"two.dll": two_sided()}
    for name, machine in (("x64", X64), ("arm", ARM64)):
        for symbol in ("native", "emu"):
            files[f"{name}-{symbol}.exe"] = program(Dll("two.dll", (symbol,)), machine=machine)
    graph = graph_of(tmp_path, files)
    assert [finding for finding in told(graph.findings) if finding[2] == "two.dll"] == [
        ("missing-symbol", "arm-emu.exe", "two.dll", "emu"),
        ("missing-symbol", "x64-native.exe", "two.dll", "native"),
    ]
    assert graph.by_id["two.dll"].machine == "arm64x"
    assert edge(graph, "two.dll", "KERNEL32.dll")


def test_arm64ec_is_for_x64_processes(tmp_path: Path) -> None:
    half = with_chpe(build(machine=X64, text=TEXT))
    files = {
        "x64.exe": program(Dll("half.dll", ())),
        "arm.exe": program(Dll("half.dll", ()), machine=ARM64),
        "ec.exe": with_chpe(program(ONE, text=TEXT)),
        "half.dll": half,
        "helper.dll": library(),
    }
    graph = graph_of(tmp_path, files)
    assert told(graph.findings) == [("wrong-machine", "arm.exe", "half.dll", None)]
    assert graph.by_id["half.dll"].machine == graph.by_id["ec.exe"].machine == "arm64ec"


# --- assemblies --------------------------------------------------------------


def test_common_controls_come_from_their_assembly(tmp_path: Path) -> None:
    controls = Dll("COMCTL32.dll", ("InitCommonControls",))
    files = {
        "a.exe": program(controls, Dll("b.dll", ("one",))),
        "b.dll": library(imports=[controls]),
        "a.exe.manifest": needs("Microsoft.Windows.Common-Controls"),
        "plain.exe": program(controls),
    }
    graph = graph_of(tmp_path, files)
    assert graph.ok
    assert edge(graph, "a.exe", "COMCTL32.dll").rule == "assembly"
    assert edge(graph, "b.dll", "COMCTL32.dll").rule == "assembly", "the program's manifest counts for its DLLs"
    assert edge(graph, "plain.exe", "COMCTL32.dll").rule == "system32"
    named = edge(graph, "a.exe", "Microsoft.Windows.Common-Controls 6.0.0.0")
    assert (named.via, named.rule, named.target) == ("assembly", "assembly", f"windows:{named.name}")


def test_dlls_of_a_private_assembly(tmp_path: Path) -> None:
    files = {
        "a.exe": program(Dll("part.dll", ("one", "two"))),
        "a.exe.manifest": needs("Private"),
        "Private/Private.manifest": needs("Microsoft.Windows.Common-Controls"),
        "Private/part.dll": library(),
    }
    graph = graph_of(tmp_path, files)
    assert told(graph.findings) == [("missing-symbol", "a.exe", "part.dll", "two")]
    assert edge(graph, "a.exe", "part.dll").rule == "assembly"
    assert edge(graph, "a.exe", "Private 6.0.0.0").target == "Private/Private.manifest"


# --- versions, order ---------------------------------------------------------


def test_the_windows_that_is_needed(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, {"a.exe": program(KERNEL), "b.exe": program(Dll("KERNEL32.dll", ("Sleep", "New")))})
    assert (edge(graph, "a.exe", "KERNEL32.dll").since, edge(graph, "a.exe", "KERNEL32.dll").since_symbol) == (
        "Windows 7",
        None,
    )
    newest = graph.newest
    assert newest is not None
    assert (newest.importer, newest.since, newest.since_symbol) == ("b.exe", "Windows 10", "New")
    assert graph_of(tmp_path / "none", {"a.dll": library()}).newest is None


def test_the_same_files_give_the_same_graph(tmp_path: Path) -> None:
    files = {f"{name}/{path}": data for name, (tree, _) in BROKEN.items() for path, data in tree.items()}
    first = graph_of(tmp_path / "first", files)
    second = graph_of(tmp_path / "second", dict(reversed(files.items())))
    assert first == second


def test_no_limit_to_imports_and_exports(tmp_path: Path) -> None:
    names = [f"f{number}" for number in range(20000)]
    graph = graph_of(tmp_path, {"a.exe": program(Dll("helper.dll", [*names, "last"])), "helper.dll": library(*names)})
    assert told(graph.findings) == [("missing-symbol", "a.exe", "helper.dll", "last")]
    assert edge(graph, "a.exe", "helper.dll").symbols == 20001


@pytest.mark.parametrize(
    "make",
    [
        lambda: program(*[Dll(f"d{n}.dll") for n in range(3000)]),
        lambda: program(*[Dll("same.dll", ("f",)) for _ in range(3000)]),
        lambda: program(delay=[Dll(f"d{n}.dll") for n in range(3000)]),
        lambda: program(Dll(b"\x1b[31m\n.dll"), Dll(b"\xff.dll"), Dll(""), Dll("../../x.dll"), Dll("a" * 5000)),
        lambda: library(*[(f"f{n}", f"d{n}.x") for n in range(3000)]),
        lambda: library(("f", "x"), ("g", "."), ("h", ".x"), ("i", "x."), ("j", "x.#"), ("k", "x.#99999999999")),
    ],
    ids=["many DLLs", "one DLL many times", "many delay loads", "odd names", "many forwarders", "odd forwarders"],
)
def test_odd_files_are_analysed_all_the_same(tmp_path: Path, make: Callable[[], bytes]) -> None:
    graph = graph_of(tmp_path, {"a.exe": make()})
    assert graph.findings
    assert {e.target for e in graph.edges} <= set(graph.by_id)
    assert {e.importer for e in graph.edges} <= set(graph.by_id)
