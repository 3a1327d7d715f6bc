"""What users see: the tree, the list, the reverse path, dot, and the JSON document with its schema."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]
import pytest

from packager.deps import document, dot, listing, text, tree
from packager.deps.model import Graph
from packager.deps.search import RULES
from packager.errors import SpecError
from tests.deps.fake import graph_of, library, program
from tests.deps.test_graph import BROKEN, SOUND
from tests.pe.build import Dll

ROOT = Path(__file__).resolve().parents[2]

PYTHON = Dll("python313.dll", ("one", "two"))
FILES = {
    "bundle.json": b'{"python": "python.exe"}',
    "python.exe": program(PYTHON, Dll("KERNEL32.dll")),
    "python313.dll": library(
        "one", ("two", "other.two"), imports=[Dll("VERSION.dll", ("VerQueryValueW",)), Dll("api-ms-win-crt-heap-l1-1-0.dll", ("malloc", "no"))]
    ),
    "other.dll": library("two"),
    "DLLs/a.pyd": library(imports=[PYTHON, Dll("gone.dll", ("f",))], delay=[Dll("version.dll", ("VerQueryValueW",))]),
    "DLLs/b.pyd": library(imports=[Dll("gone.dll", ("f",)), Dll("wrong.dll", ("one",))], text=b"\0plugin.dll\0ws2_32.dll\0"),
    "DLLs/wrong.dll": library(plus=False, machine=0x14C),
    "DLLs/broken.dll": b"MZ",
}  # fmt: skip


@pytest.fixture
def graph(tmp_path: Path) -> Graph:
    return graph_of(tmp_path, FILES)


def test_the_tree(graph: Graph) -> None:
    assert text.plain(tree.tree(graph)).splitlines() == [
        "python.exe  x86_64",
        "├── python313.dll  application folder",
        "│   ├── VERSION.dll  System32  plantable",
        "│   ├── api-ms-win-crt-heap-l1-1-0.dll → ucrtbase.dll  LACKS no",
        "│   └── other.dll  application folder  1 export forwarded",
        "└── KERNEL32.dll  KnownDLLs",
        "DLLs/a.pyd  x86_64",
        "├── python313.dll  application folder (*)",
        "├── gone.dll  MISSING",
        "└── version.dll  System32  delay-loaded",
        "DLLs/b.pyd  x86_64",
        "├── gone.dll  MISSING",
        "└── wrong.dll → DLLs/wrong.dll  own folder  WRONG MACHINE: i686",
        "DLLs/broken.dll  BROKEN: offset 0x0: expected a DOS header of 64 bytes, found 2 bytes in all",
    ]


@pytest.mark.parametrize(("depth", "lines"), [(0, 4), (1, 11), (2, 14), (9, 14)])
def test_depth(graph: Graph, depth: int, lines: int) -> None:
    shown = text.plain(tree.tree(graph, depth)).splitlines()
    assert len(shown) == lines
    assert [line for line in shown if "(*)" in line] == (
        [] if depth < 2 else ["├── python313.dll  application folder (*)"]
    )


def test_why(graph: Graph) -> None:
    expected = [
        "version.dll  Windows",
        "├── DLLs/a.pyd  delay-loads, 1 symbol",
        "└── python313.dll  imports, 1 symbol",
        "    ├── DLLs/a.pyd  imports, 2 symbols",
        "    └── python.exe  imports, 2 symbols",
    ]
    for name in ("version.dll", "VERSION", "windows:version.dll", "Version.DLL"):
        assert text.plain(tree.why(graph, name)).splitlines() == expected
    assert text.plain(tree.why(graph, "version", 1)).splitlines() == expected[:3]


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("gone.dll", ["gone.dll  MISSING", "├── DLLs/a.pyd  imports, 1 symbol", "└── DLLs/b.pyd  imports, 1 symbol"]),
        ("ucrtbase", ["ucrtbase.dll  Windows", "└── python313.dll  imports api-ms-win-crt-heap-l1-1-0.dll, 2 symbols  LACKING no"]),
        ("api-ms-win-crt-heap-l1-1-0", ["ucrtbase.dll  Windows", "└── python313.dll  imports api-ms-win-crt-heap-l1-1-0.dll, 2 symbols  LACKING no"]),
        ("other.dll", ["other.dll  x86_64", "└── python313.dll  forwards to, 1 symbol"]),
        ("python.exe", ["python.exe  x86_64"]),
    ],
)  # fmt: skip
def test_why_others(graph: Graph, name: str, lines: list[str]) -> None:
    shown = text.plain(tree.why(graph, name, None if name in ("gone.dll", "python.exe") else 1)).splitlines()
    assert shown == lines


def test_why_nothing(graph: Graph) -> None:
    with pytest.raises(SpecError, match="nowhere: expected a DLL that something needs, found none of that name"):
        list(tree.why(graph, "nowhere"))


def test_a_circle_has_an_end(tmp_path: Path) -> None:
    files = {"a.dll": library(imports=[Dll("b.dll", ("one",))]), "b.dll": library(imports=[Dll("a.dll", ("one",))])}
    graph = graph_of(tmp_path, files)
    shown = ["a.dll  x86_64", "└── b.dll  own folder", "    └── a.dll  own folder (*)"]
    assert text.plain(tree.tree(graph)).splitlines() == shown


def test_a_deep_tree_needs_no_recursion(tmp_path: Path) -> None:
    count = 1500
    files = {f"{number:04}.dll": library(imports=[Dll(f"{number + 1:04}.dll", ("one",))]) for number in range(count)}
    graph = graph_of(tmp_path, {**files, f"{count:04}.dll": library()})
    assert graph.ok
    lines = text.plain(tree.tree(graph)).splitlines()
    assert len(lines) == count + 1
    assert len(text.plain(tree.why(graph, f"{count:04}")).splitlines()) == count + 1


def test_the_list(graph: Graph) -> None:
    shown = [re.split(r"  +", line) for line in text.plain(listing.listing(graph)).splitlines()]
    assert shown == [
        ["DLL", "FOUND BY", "WHERE", "NEEDED BY"],
        ["api-ms-win-crt-heap-l1-1-0.dll", "API set", "ucrtbase.dll of Windows", "1"],
        ["gone.dll", "-", "MISSING", "2"],
        ["KERNEL32.dll", "KnownDLLs", "Windows", "1"],
        ["other.dll", "application folder", "other.dll", "1"],
        ["python313.dll", "application folder", "python313.dll", "2"],
        ["version.dll", "System32", "Windows", "2"],
        ["wrong.dll", "own folder", "DLLs/wrong.dll", "1"],
    ]


def test_findings_are_told_together(graph: Graph) -> None:
    lines = text.plain(listing.findings(graph)).splitlines()
    assert (
        "error: DLLs/a.pyd, DLLs/b.pyd: imports gone.dll, which is not in DLLs, ./, and not known to be part of any Windows [missing-dll]"
        in lines
    )
    assert (
        "error: DLLs/b.pyd: DLLs/wrong.dll, which is for i686, would be loaded into a process for x86_64 [wrong-machine]"
        in lines
    )
    assert (
        "error: python313.dll: imports no from api-ms-win-crt-heap-l1-1-0.dll (an API set of ucrtbase.dll), in which no Windows is known to have it [missing-symbol]"
        in lines
    )
    assert (
        sum(line.startswith("  what to do: ") for line in lines)
        == sum(line.startswith("error: ") for line in lines)
        == 4
    )


def test_many_symbols_and_many_files_in_one_line_each(tmp_path: Path) -> None:
    files = {f"{n}/a.exe": program(Dll("gone.dll", ("f",))) for n in range(6)}
    files["b.exe"] = program(Dll("KERNEL32.dll", [f"f{n}" for n in range(6)]))
    lines = text.plain(listing.findings(graph_of(tmp_path, files))).splitlines()
    assert (
        lines[0]
        == "error: 0/a.exe, 1/a.exe, 2/a.exe, 3/a.exe and 2 more: import gone.dll, which is nowhere that they look [missing-dll]"
    )
    assert (
        lines[2]
        == "error: b.exe: imports f0, f1, f2, f3 and 2 more from KERNEL32.dll, in which no Windows is known to have it [missing-symbol]"
    )
    assert len(lines) == 4


def test_plants_loads_and_the_summary(graph: Graph, tmp_path: Path) -> None:
    assert text.plain(listing.plants(graph)).splitlines()[1:] == [
        "  VERSION.dll: a file of that name in ./ would be loaded instead (imported by python313.dll)",
    ]
    assert text.plain(listing.runtime(graph)).splitlines()[1:] == [
        "  DLLs/b.pyd: plugin.dll not resolved",
        "  DLLs/b.pyd: ws2_32.dll → Windows",
    ]
    assert text.plain(listing.summary(graph)).splitlines() == [
        "7 files, 4 of Windows, 1 missing, 9 symbols looked up, 5 errors, 0 warnings",
        "Needs Windows 7 or later, as far as is known: python.exe imports KERNEL32.dll",
        "What Windows has: known to some Windows, by this test",
    ]
    sound = graph_of(tmp_path / "sound", {"a.dll": library()})
    assert list(listing.plants(sound)) == list(listing.runtime(sound)) == list(listing.findings(sound)) == []


def test_names_out_of_files_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, {"a.exe": program(Dll(b"\x1b[31m\r\n\xe2\x80\xae.dll", ("f\x07",)), text=b"")})
    for lines in (
        tree.tree(graph),
        listing.listing(graph),
        listing.findings(graph),
        listing.plants(graph),
        dot.dot(graph),
    ):
        assert not set(text.plain(lines)) & set("\x1b\r\x07\u202e")


def test_every_rule_has_a_name_to_show() -> None:
    assert set(tree.RULES) == set(RULES)


def test_dot(graph: Graph) -> None:
    lines = text.plain(dot.dot(graph)).splitlines()
    assert lines[0] == "digraph deps {"
    assert lines[-1] == "}"
    assert '  "python.exe" -> "python313.dll" [style="solid"];' in lines
    assert (
        '  "python313.dll" -> "windows:ucrtbase.dll" [style="solid", label="api-ms-win-crt-heap-l1-1-0.dll", color="red"];'
        in lines
    )
    assert '  "DLLs/a.pyd" -> "windows:version.dll" [style="dashed"];' in lines
    assert '  "python313.dll" -> "windows:version.dll" [style="solid", color="orange"];' in lines
    assert '  "missing:gone.dll" [label="gone.dll", fillcolor="#fecaca"];' in lines


STATEMENT = re.compile(
    r'  "(?:[^"\\]|\\.)*"(?: -> "(?:[^"\\]|\\.)*")? \[\w+="(?:[^"\\]|\\.)*"(?:, \w+=(?:"(?:[^"\\]|\\.)*"|\d+))*\];'
)


def test_dot_is_well_formed(tmp_path: Path) -> None:
    odd = program(Dll('quote".dll'), Dll("back\\slash.dll"), Dll("back\\"), Dll("new\nline.dll"), Dll("{<a>|b}.dll"))
    files = {f"{name}/{path}": data for name, (tree_, _) in BROKEN.items() for path, data in tree_.items()}
    graph = graph_of(tmp_path, {**files, "odd.exe": odd, 'sub "x"/a.exe': program()})
    drawn = text.plain(dot.dot(graph))
    assert [line for line in drawn.splitlines()[4:-1] if not STATEMENT.fullmatch(line)] == []
    if shutil.which("dot") is None:
        pytest.skip("checked by the grammar above only: Graphviz is not installed here")
    done = subprocess.run(["dot", "-Tsvg"], input=drawn.encode(), capture_output=True, check=True)
    assert done.stdout.count(b'<g id="node') == len(graph.modules)
    assert done.stderr == b""


# --- JSON --------------------------------------------------------------------


def schema() -> object:
    return json.loads((ROOT / "docs/schema/deps.schema.json").read_bytes())


def test_the_published_schema_is_that_of_the_types() -> None:
    assert (ROOT / "docs/schema/deps.schema.json").read_bytes() == document.schema()
    jsonschema.Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize(
    "files", [FILES, SOUND, *(files for files, _ in BROKEN.values())], ids=["all", "sound", *BROKEN]
)
def test_documents_have_the_schema(tmp_path: Path, files: dict[str, bytes]) -> None:
    graph = graph_of(tmp_path, files)
    found = json.loads(document.encode(graph))
    jsonschema.validate(found, schema(), cls=jsonschema.Draft202012Validator)
    assert found["ok"] == graph.ok
    assert len(found["edges"]) == len(graph.edges)


def test_names_that_are_not_utf_8(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff.dll")
    files = {
        name: library(imports=[Dll("gone.dll")]),
        f"{name}.d/kernel32.dll": library(),
        "x.py": b"CDLL('\\ud800')\n",
    }
    graph = graph_of(tmp_path, files)
    found = json.loads(document.encode(graph))
    assert [module["id"] for module in found["modules"]][:2] == ["\\xff.dll", "\\xff.dll.d/kernel32.dll"]
    assert found["runtime"][0]["name"] == "\\ud800"
    for lines in (
        tree.tree(graph),
        listing.listing(graph),
        listing.findings(graph),
        listing.runtime(graph),
        dot.dot(graph),
    ):
        text.plain(lines).encode()


def test_the_document(graph: Graph) -> None:
    found = json.loads(document.encode(graph))
    assert found["version"] == 1
    assert found["needs_windows"] == "Windows 7"
    modules = {module["id"]: module for module in found["modules"]}
    assert modules["python.exe"]["program"] is True
    assert (modules["missing:gone.dll"]["path"], modules["DLLs/wrong.dll"]["machine"]) == (None, "i686")
    (edge,) = [edge for edge in found["edges"] if edge["name"].startswith("api-")]
    assert edge == {
        "importer": "python313.dll",
        "target": "windows:ucrtbase.dll",
        "name": "api-ms-win-crt-heap-l1-1-0.dll",
        "via": "import",
        "rule": "api-set",
        "symbols": 2,
        "missing": ["no"],
        "plantable": False,
        "why": "Windows maps API sets itself",
        "since": None,
        "since_symbol": None,
    }
    assert {"file", "kind", "severity", "dll", "symbol", "message", "hint"} == set(found["findings"][0])


def test_a_schema_that_could_fail() -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"version": 1}, schema())
