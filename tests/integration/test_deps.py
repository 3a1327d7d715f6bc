"""`packager deps` on real files: samples broken with MinGW, bundles, and Microsoft's DLLs for two machines at once."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import lief
import pytest

from packager.deps import text, tree
from packager.deps.graph import analyse
from packager.deps.windows import Windows, load
from packager.pe import chpe
from packager.pe.imports import read_image
from packager.pe.layout import read_layout
from tests.integration import programs
from tests.integration.conftest import ROOT, BuiltBundle

#: What make_broken.sh makes, and what is found in it: kind, file, DLL or symbol.
BROKEN = {
    "missing-dll": [("missing-dll", "program.exe", "helper.dll")],
    "missing-symbol": [("missing-symbol", "program.exe", "two")],
    "missing-ordinal": [("missing-ordinal", "program.exe", "#9")],
    "missing-symbol-forwarded": [("missing-symbol", "program.exe", "two")],
    "wrong-machine": [("wrong-machine", "program.exe", "helper.dll")],
    "forwarder-loop": [
        ("forwarder-loop", file, symbol)
        for file in ("helper.dll", "other.dll", "program.exe")
        for symbol in ("one", "two")
    ],
    "case-twin": [("case-twin", "helper.dll", None)],
    "planted-name": [("planted-name", "version.dll", "version.dll")],
    "planted-known-dll": [("planted-name", "ws2_32.dll", "ws2_32.dll")],
    "unresolved-api-set": [("unresolved-api-set", "program.exe", "api-ms-win-nowhere-l1-1-0.dll")],
    "missing-assembly": [("missing-assembly", "program.exe", "Microsoft.VC90.CRT")],
    "broken-file": [("broken-file", "helper.dll", None)],
}


@pytest.fixture(scope="module")
def windows() -> Windows:
    return load()


@pytest.fixture(scope="module")
def samples(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    script = ROOT / "tests/deps/make_broken.sh"
    work = tmp_path_factory.mktemp("deps") / "work"
    return programs.compile_programs(store, [script], {}, "bash make_broken.sh /build/out", work)


def errors(folder: Path, windows: Windows) -> list[tuple[str, str, str | None]]:
    found = analyse([folder], windows).findings
    return sorted((f.kind, f.file, f.symbol or f.dll) for f in found if f.severity == "error")


def test_each_sample_that_mingw_makes_is_found(
    samples: Path, windows: Windows, capsys: pytest.CaptureFixture[str]
) -> None:
    assert {folder.name for folder in samples.iterdir()} == {*BROKEN, "sound"}
    found = {name: errors(samples / name, windows) for name in BROKEN}
    right = [name for name in BROKEN if found[name] == BROKEN[name]]
    with capsys.disabled():
        print(f"\nbroken samples made with MinGW: {len(right)} of {len(BROKEN)} found")
    assert found == BROKEN
    assert errors(samples / "sound", windows) == []


def test_a_bundle_finds_all_it_needs(bundle: BuiltBundle, windows: Windows) -> None:
    graph = analyse([bundle.folder], windows)
    assert graph.ok, [str(finding) for finding in graph.findings]
    place = bundle.layout.place
    assert graph.by_id[place("python/python.exe")].root
    rules = {(edge.importer, edge.name.lower()): edge.rule for edge in graph.edges if edge.via == "import"}
    assert rules[place("python/python.exe"), "python313.dll"] == "application-folder"
    assert rules[place("python/DLLs/_ssl.pyd"), "python313.dll"] == "loaded"
    assert rules[place("python/DLLs/_ssl.pyd"), "kernel32.dll"] == "known-dll"
    assert rules[place("python/DLLs/_ssl.pyd"), "libssl-3.dll"] == "own-folder"
    assert rules[place("python/DLLs/libssl-3.dll"), "libcrypto-3.dll"] == "own-folder"
    delayed = {edge.name.lower(): edge for edge in graph.edges if edge.via == "delay-import"}
    assert (delayed["version.dll"].rule, delayed["version.dll"].plantable) == ("system32", False)
    shown = text.plain(tree.why(graph, "version.dll")).splitlines()
    assert shown[:2] == ["version.dll  Windows", f"└── {place('python/python313.dll')}  delay-loads, 3 symbols"]
    assert not any(edge.plantable for edge in graph.edges)
    named = {load.name: load.target for load in graph.runtime}
    assert (named["libsecp256k1-0.dll"] or "").endswith("/electrum/libsecp256k1-0.dll")


def test_the_two_sides_of_microsofts_arm64x_dlls(tmp_path: Path, windows: Windows) -> None:
    """Against LIEF, which applies the changes to its own parse of the file."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    which = [
        "--platform",
        "win_arm64",
        "--python-version",
        "3.13",
        "--dest",
        str(tmp_path),
        "msvc-runtime==14.51.36231",
    ]
    subprocess.run([*pip, *which], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    folder = tmp_path / "dlls"
    folder.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.namelist():
            if "/Scripts/" in member and member.endswith(".dll"):
                (folder / Path(member).name).write_bytes(archive.read(member))
    both = lief.PE.ParserConfig()
    both.parse_arm64x_binary = True
    differ = []
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        layout = read_layout(data)
        config = chpe.load_config(data, layout)
        binary = lief.PE.parse(str(path), both)
        assert binary is not None
        assert chpe.hybrid(layout, config) == (
            "arm64x" if binary.is_arm64x else "arm64ec" if binary.is_arm64ec else None
        )
        if not binary.is_arm64x:
            continue
        x64 = read_image(chpe.x64_view(data, layout, config))
        nested = binary.nested_pe_binary
        assert nested is not None
        theirs = nested.get_export()
        assert theirs is not None
        assert [(e.ordinal, e.name or "") for e in x64.exports] == sorted(
            (e.ordinal, str(e.name)) for e in theirs.entries
        )
        if {e.name for e in x64.exports} != {e.name for e in read_image(data).exports}:
            differ.append(path.name)
    assert differ == ["msvcp140.dll", "vcruntime140.dll"], "so it matters which side is looked at"
    graph = analyse([folder], windows)
    assert {module.machine for module in graph.modules if module.origin == "tree"} == {"arm64x", "arm64ec"}
    assert graph.ok, [str(finding) for finding in graph.findings]
