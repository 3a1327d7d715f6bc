"""Which process a file is loaded in."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from packager.deps import facts
from packager.deps.facts import File
from packager.deps.process import Processes, added_folders, loadable
from packager.deps.world import collect
from packager.errors import SpecError
from tests.deps.fake import folder, library, program
from tests.pe.build import ARM64, X64, X86, build
from tests.pe.test_chpe import TEXT, two_sided, with_chpe

PYTHON = program("python313.dll")


def contexts(top: Path, files: dict[str, bytes]) -> dict[str, tuple[str, str, str]]:
    """For each file the folders of its application, its own, and its program, below ``top``."""
    (given,) = collect([folder(top, files)])
    processes = Processes((given,), facts.read, (), {})

    def below(path: str) -> str:
        return path.removeprefix(str(top)).lstrip("/")

    found = {}
    for path in given.files:
        context = processes.of(given, path)
        found[below(path)] = (below(context.application), below(context.own), below(context.program))
    return found


def test_a_program_is_a_process_of_its_own(tmp_path: Path) -> None:
    assert contexts(tmp_path, {"sub/a.exe": program()}) == {"sub/a.exe": ("sub", "", "sub/a.exe")}


def test_in_a_bundle_all_belong_to_its_python(tmp_path: Path) -> None:
    files = {
        "bundle.json": b'{"python": "python/python.exe"}',
        "python/python.exe": program(),
        "app/x/a.pyd": library(),
        "start.exe": program(),
    }
    assert contexts(tmp_path, files) == {
        "app/x/a.pyd": ("python", "app/x", "python/python.exe"),
        "python/python.exe": ("python", "", "python/python.exe"),
        "start.exe": ("", "", "start.exe"),
    }


@pytest.mark.parametrize("text", [b"", b"[]", b'{"python": 5}', b'{"python": "no/python.exe"}', b"[" * 100000])
def test_what_is_no_bundle(tmp_path: Path, text: bytes) -> None:
    assert contexts(tmp_path, {"bundle.json": text, "a.pyd": library()}) == {"a.pyd": ("", "", "")}


def test_bundles_in_a_folder(tmp_path: Path) -> None:
    one = {"bundle.json": b'{"python": "python.exe"}', "python.exe": PYTHON, "x/a.pyd": library()}
    files = {f"{name}/{path}": data for name in ("one", "two") for path, data in one.items()}
    found = contexts(tmp_path, files)
    assert found["one/x/a.pyd"][2] == "one/python.exe"
    assert found["two/x/a.pyd"][2] == "two/python.exe"


def test_the_nearest_python_of_the_right_machine(tmp_path: Path) -> None:
    x86 = program("python313.dll", plus=False, machine=X86)
    files = {
        "p32/python.exe": x86,
        "p64/python.exe": PYTHON,
        "p64/DLLs/a.pyd": library(),
        "other/b.pyd": library(plus=False, machine=X86),
        "p64/DLLs/c.pyd": library(plus=False, machine=X86),
        "d.pyd": library(machine=ARM64),
    }
    found = contexts(tmp_path, files)
    assert found["p64/DLLs/a.pyd"] == ("p64", "p64/DLLs", "p64/python.exe")
    assert found["other/b.pyd"][2] == "p32/python.exe"
    assert found["p64/DLLs/c.pyd"][2] == "p32/python.exe"
    assert found["d.pyd"][2] == "p32/python.exe", "none fits, and that is a finding"


@pytest.mark.parametrize("name", ["pythonservice.exe", "mypython.exe", "python.exe.bak.exe"])
def test_other_programs_with_python_in_them_load_no_extension_modules(tmp_path: Path, name: str) -> None:
    assert contexts(tmp_path, {name: PYTHON, "x/a.pyd": library()})["x/a.pyd"] == ("", "x", "")


def test_a_plugin_belongs_to_the_program_above_it(tmp_path: Path) -> None:
    found = contexts(tmp_path, {"app/a.exe": program(), "app/plugins/x/p.dll": library(), "lib/q.dll": library()})
    assert found["app/plugins/x/p.dll"] == ("app", "app/plugins/x", "")
    assert found["lib/q.dll"] == ("lib", "lib", "")


@pytest.mark.parametrize(
    ("data", "machines"),
    [
        (build(machine=X64), {"x86_64"}),
        (build(machine=ARM64), {"arm64"}),
        (build(machine=X86, plus=False), {"i686"}),
        (two_sided(), {"arm64", "x86_64"}),
        (with_chpe(build(machine=X64, text=TEXT)), {"x86_64"}),
    ],
    ids=["x64", "ARM64", "x86", "ARM64X", "ARM64EC"],
)
def test_what_a_process_can_load(data: bytes, machines: set[str]) -> None:
    file = facts.parse(data)
    assert {machine for machine in ("x86_64", "arm64", "i686") if loadable(file, machine)} == machines


def test_dot_net_is_for_all() -> None:
    assert loadable(File(managed=True), "arm64")


def test_folders_that_python_code_adds(tmp_path: Path) -> None:
    folder(
        tmp_path,
        {"x.libs/a.dll": library(), "x/deep/b.dll": library(), "x/y/z.py": b"", "empty/c.txt": b"", "d.dll": library()},
    )
    (given,) = collect([tmp_path])
    file = str(tmp_path / "x/y/z.py")

    def added(text: str) -> list[str]:
        return [str(Path(found).relative_to(tmp_path)) for found in added_folders(given, [(file, text)])]

    assert added("x.libs") == ["x.libs"]
    assert added("deep") == ["x/deep"]
    assert added("../deep") == added("..\\deep") == ["x/deep"]
    for text in ("", ".", "..", "empty", "no such", "/x.libs", str(tmp_path / "x.libs"), "x\0libs", "../../.."):
        assert added(text) == []


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="nothing: expected a file or a folder, found nothing"):
        collect([tmp_path / "nothing"])
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SpecError, match="pipe: expected a file or a folder, found something else"):
        collect([tmp_path / "pipe"])


def test_arguments_that_lie_in_one_another(tmp_path: Path) -> None:
    folder(tmp_path, {"x/a.exe": program(), "x/sub/b.dll": library(), "y/c.dll": library(), "xx/d.dll": library()})
    paths = [tmp_path / name for name in ("x/sub/b.dll", "x", "x/sub", "x", "y/c.dll", "y/c.dll", "xx")]
    found = [[str(Path(file).relative_to(tmp_path)) for file in given.files] for given in collect(paths)]
    assert found == [["x/a.exe", "x/sub/b.dll"], ["y/c.dll"], ["xx/d.dll"]]


def test_a_single_file_of_a_bundle_belongs_to_it(tmp_path: Path) -> None:
    files = {"bundle.json": b'{"python": "python/python.exe"}', "python/python.exe": program(), "app/a.pyd": library()}
    folder(tmp_path, files)
    (given,) = collect([tmp_path / "app/a.pyd"])
    context = Processes((given,), facts.read, (), {}).of(given, str(tmp_path / "app/a.pyd"))
    assert given.files == (str(tmp_path / "app/a.pyd"),)
    assert context.program == str(tmp_path / "python/python.exe")
    assert context.own == str(tmp_path / "app")


def test_links_and_other_files_are_passed_over(tmp_path: Path) -> None:
    folder(tmp_path, {"a.dll": library(), "b.txt": b"MZ", "c.dll": b"", "d.bin": library(), "e.py": b""})
    (tmp_path / "link.dll").symlink_to("a.dll")
    (tmp_path / "loop").symlink_to(".")
    (given,) = collect([tmp_path])
    assert [Path(file).name for file in given.files] == ["a.dll", "c.dll", "d.bin"]
    assert [Path(file).name for file in given.python] == ["e.py"]
