"""`packager deps` beside `delvewheel show` and `objdump -p` on the same files: every DLL that they list is listed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from packager.deps.graph import analyse
from packager.deps.windows import Windows, load
from packager.pe.kinds import is_pe

#: A name that delvewheel lists, and what it remarks about it.
_LISTED = re.compile(r"^ {4}(\S+)(?: \(.*\))?$", re.MULTILINE)
#: What delvewheel says instead of a list about a wheel that it has put DLLs into, or that is for several machines.
_REFUSED = ("has already repaired this wheel", "multiple CPU architectures are not supported")
#: objdump's heading for a file, and its line for a DLL.
_FILE = re.compile(r"^(.+): +file format pei-\S+$")
_DLL = re.compile(r"^\tDLL Name: (.+)$")


@pytest.fixture(scope="module")
def wheels(corpus_folder: Path) -> Sequence[Path]:
    """The corpus' wheels."""
    return sorted((corpus_folder / "wheels").glob("*.whl"))


@pytest.fixture(scope="module")
def windows() -> Windows:
    return load()


def unpacked(wheel: Path, folder: Path) -> Path:
    """A wheel's files, in ``folder``."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def ours(paths: Sequence[Path], windows: Windows) -> dict[str, set[str]]:
    """The DLLs that each file imports, delay-loaded or not, as the graph's edges name them; in lower case."""
    found: dict[str, set[str]] = {}
    graph = analyse(paths, windows)
    for edge in graph.edges:
        if edge.via in ("import", "delay-import"):
            found.setdefault(edge.importer, set()).add(edge.name.lower())
    return found


def delvewheel(wheel: Path) -> set[str] | None:
    """What delvewheel lists for a wheel, its own DLLs' and programs' imports too; None where it makes no list."""
    line = [sys.executable, "-m", "delvewheel", "show", "--analyze-existing", "--analyze-existing-exes", str(wheel)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if any(words in done.stdout + done.stderr for words in _REFUSED):
        return None
    assert done.returncode == 0, done.stdout + done.stderr
    return {name.lower() for name in _LISTED.findall(done.stdout)} - {"none"}


def objdump(files: Sequence[Path]) -> dict[Path, set[str]]:
    """What objdump lists for each file that it can read."""
    done = subprocess.run(["objdump", "-p", *map(str, files)], capture_output=True, check=False)
    found: dict[Path, set[str]] = {}
    names: set[str] = set()
    for line in done.stdout.decode("utf-8", "replace").splitlines():
        if file := _FILE.match(line):
            names = found.setdefault(Path(file[1]), set())
        elif dll := _DLL.match(line):
            names.add(dll[1].strip().lower())
    return found


def test_every_dll_that_delvewheel_lists(
    wheels: Sequence[Path], windows: Windows, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lacking: dict[str, set[str]] = {}
    listed = 0
    refused = []
    for wheel in wheels:
        theirs = delvewheel(wheel)
        if theirs is None:
            refused.append(wheel.name)
            continue
        folder = unpacked(wheel, tmp_path / wheel.name)
        found = set().union(*ours([folder], windows).values())
        shutil.rmtree(folder)
        listed += len(theirs)
        if theirs - found:
            lacking[wheel.name] = theirs - found
    here = listed - sum(map(len, lacking.values()))
    with capsys.disabled():
        print(
            f"\ndelvewheel lists {listed} DLLs for {len(wheels) - len(refused)} wheels, {here} of them are listed here"
        )
        print(f"it makes no list for {', '.join(refused) or 'none'}")
    assert lacking == {}
    assert listed >= 500
    assert len(refused) <= len(wheels) / 5


def test_every_dll_that_objdump_lists(
    wheels: Sequence[Path], windows: Windows, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if shutil.which("objdump") is None:
        pytest.skip("no objdump on this machine: apt-get install binutils")
    lacking: dict[str, set[str]] = {}
    read = listed = files = 0
    for wheel in wheels:
        folder = unpacked(wheel, tmp_path / wheel.name)
        images = [path for path in sorted(folder.rglob("*")) if path.is_file() and is_pe(path)]
        theirs = objdump(images) if images else {}
        found = ours([folder], windows)
        shutil.rmtree(folder)
        files += len(images)
        read += len(theirs)
        for path, names in theirs.items():
            listed += len(names)
            file = path.relative_to(folder).as_posix()
            if names - found.get(file, set()):
                lacking[f"{wheel.name}: {file}"] = names - found.get(file, set())
    if not read:
        pytest.skip("this machine's objdump reads no PE files (its binutils are for another target only)")
    here = listed - sum(map(len, lacking.values()))
    with capsys.disabled():
        print(f"\nobjdump reads {read} of {files} files and lists {listed} DLLs, {here} of them are listed here")
    assert lacking == {}
    assert listed >= 1000
