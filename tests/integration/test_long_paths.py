r"""Bundles in folders whose paths have spaces, letters that are not ASCII, and more than 260 characters.

Wine takes long paths as they are; Windows without LongPathsEnabled takes them with ``\\?\`` in front only. So the tests
look at the prefix too: everything that the interpreter derives from its own place has to have it.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pefile
import pytest

from packager import process
from tests.integration import programs
from tests.integration.conftest import BuiltBundle

NAMES = ("Ordner mit Leerzeichen", "Ünï 漢字 😀", "a long name " * 8 + "x", "länger " * 12 + "ü", "x" * 100)
PREFIX = "\\\\?\\"
RT_MANIFEST = 24
#: A block of zeros, encrypted with a key of zeros: H of test case 1 in the specification of GCM.
AES = "66e94bd4ef8a2c3b884cfa59ca342b2e"


def program_folder(bundle: Path) -> Path:
    """The folder with python and app, in any layout."""
    (dll,) = bundle.rglob("python3[0-9]*.dll")
    return dll.parents[1]


def windows(path: Path) -> str:
    return "Z:" + str(path).replace("/", "\\")


def run(store: Path, tmp_path: Path, program: Path, *arguments: str) -> process.Result:
    """Run a program by its path on Z:, where it may write."""
    bundle = tmp_path / "none"
    bundle.mkdir(exist_ok=True)
    return programs.run(store, bundle, windows(program), *arguments, cwd=tmp_path)


def output(store: Path, tmp_path: Path, program: Path, *arguments: str) -> str:
    done = run(store, tmp_path, program, *arguments)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout.decode().replace("\r\n", "\n")


def moved(bundle: BuiltBundle, tmp_path: Path) -> Path:
    """The program folder of a copy of the bundle far down."""
    where = tmp_path.joinpath(*NAMES)
    shutil.copytree(bundle.folder, where)
    program = program_folder(where)
    assert len(str(program)) > 300
    return program


def check(told: dict[str, Any], program: Path, executable: str) -> None:
    """What data/long_path_check.py has to have found."""
    place = PREFIX + windows(program)
    python = f"{place}\\python\\{executable}"
    assert told["path"] == [f"{place}\\{name}" for name in ("python\\DLLs", "python\\python313.zip", "app")]
    assert told["executable"] == [python] * 2
    assert told["prefix"] == [f"{place}\\python"] * 3
    assert told["ctypes"] == 1
    assert told["files"] == ["written", 42, ["copied", "database", "moved"], False]
    assert told["electrum"] == {"servers": True, "secp256k1": True, "aes": AES}
    # A child knows its place by short names where there are such.
    for name in ("module", "script", "asynchronous"):
        child, argument, script = told[name]
        assert (child, argument) == (python, "ü 漢")
        assert script.endswith("\\app\\long_path_check.py")
        assert script.startswith(PREFIX) or len(script) < 128
    # Wine takes no long path of a program, Windows takes one there only.
    started = [name for name in told["started"] if name and name.endswith(executable)]
    assert len(started) == 3
    assert [name for name in started if not name.startswith(PREFIX) or len(name) >= 260] == []
    assert told["spawned"] == [49]
    assert told["modules"]
    assert [name for name in told["modules"] if not name.startswith(place)] == []


@pytest.mark.parametrize("name", ["electrum", "electrum_nmc_wallet"])
def test_everything_works_far_down(name: str, store: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    # The payload for Tor Browser has only a part of it; test_launcher.py runs that far down.
    program = moved(request.getfixturevalue(name), tmp_path)
    shutil.copy(programs.DATA / "long_path_check.py", program / "app")
    for name in ("python.exe", "pythonw.exe"):
        said = output(store, tmp_path, program / "python" / name, "-m", "long_path_check", windows(tmp_path))
        check(json.loads(said), program, name)
    beside = PREFIX + windows(program.parent)
    said = output(store, tmp_path, program / "python/python.exe", "-m", "long_path_check", beside)
    check(json.loads(said), program, "python.exe")


@pytest.mark.parametrize(("stub", "executable"), [("electrum.exe", "python.exe"), ("electrumw.exe", "pythonw.exe")])
def test_the_stubs_work_far_down(
    electrum: BuiltBundle, store: Path, tmp_path: Path, stub: str, executable: str
) -> None:
    program = moved(electrum, tmp_path)
    assert output(store, tmp_path, program / stub, "--offline", "version") == "4.3.4\n"
    # The stub's own way of starting: its module is now one that starts the check.
    (program / "app/run_electrum.pyc").unlink()
    shutil.copy(programs.DATA / "long_path_check.py", program / "app")
    (program / "app/run_electrum.py").write_text(
        "import long_path_check\nif __name__ == '__main__':\n    long_path_check.main()\n"
    )
    check(json.loads(output(store, tmp_path, program / stub, windows(tmp_path))), program, executable)


def test_a_name_of_a_middling_folder_leaves_room_for_the_files(
    electrum: BuiltBundle, tmp_path: Path, store: Path
) -> None:
    """The prefix is there before the longest name in the bundle needs it, and not in an ordinary folder."""
    longest = max(len(str(path.relative_to(electrum.folder))) for path in electrum.folder.rglob("*"))
    code = "import sys, json; print(json.dumps([sys.executable, *sys.path]))"
    seen = set()
    for length in (100, 128, 150, 200, 240):
        fill = length - len(windows(tmp_path)) - 1
        if fill < 1:
            continue
        folder = tmp_path / ("m" * fill)
        shutil.copytree(electrum.folder, folder)
        python, *path = json.loads(output(store, tmp_path, folder / "python/python.exe", "-c", code))
        prefixed = {entry.startswith(PREFIX) for entry in (python, *path)}
        assert len(prefixed) == 1, (python, path)
        if length + 1 + longest >= 260:
            assert prefixed == {True}
        assert python.removeprefix(PREFIX) == windows(folder / "python/python.exe")
        seen |= prefixed
        shutil.rmtree(folder)
    python, *path = json.loads(electrum.output("-c", code, python=True))
    assert python == r"C:\bundle\python\python.exe"
    assert path == [rf"C:\bundle\{name}" for name in (r"python\DLLs", r"python\python313.zip", "app")]
    assert True in seen


def test_paths_are_joined_as_before(electrum: BuiltBundle, store: Path, tmp_path: Path) -> None:
    """What a ._pth file may say, beside a folder that needs the prefix and beside one that does not."""
    lines = [
        "python313.zip",
        "Lib",
        ".",
        "..",
        r"..\..\up",
        r".\a\.\b\..\c",
        r"D:\other",
        "D:/slashes/x",
        r"\rooted",
        r"\\server\share\x",
    ]
    code = "import sys; print(*sys.path, sep='\\n')"
    for where in (tmp_path / "s", tmp_path.joinpath(*NAMES)):
        shutil.copytree(electrum.folder / "python", where / "python")
        (where / "python/python313._pth").write_text("\n".join(lines))
        place = windows(where)
        if len(place) > 200:
            place = PREFIX + place
        root = place[: place.index("Z:") + 2]
        assert output(store, tmp_path, where / "python/python.exe", "-c", code).splitlines() == [
            rf"{place}\python\python313.zip",
            rf"{place}\python\Lib",
            rf"{place}\python",
            place,
            rf"{place.rpartition(chr(92))[0]}\up",
            rf"{place}\python\a\c",
            r"D:\other",
            r"D:\slashes\x",
            rf"{root}\rooted",
            r"\\server\share\x",
        ]


def test_only_programs_have_a_manifest(bundle: BuiltBundle) -> None:
    """The loader of Windows does not take a DLL that has one from a long path."""
    seen = {True: 0, False: 0}
    for file in bundle.folder.rglob("*"):
        if file.suffix not in (".exe", ".dll", ".pyd"):
            continue
        with pefile.PE(str(file), fast_load=True) as pe:
            pe.parse_data_directories([pefile.DIRECTORY_ENTRY["IMAGE_DIRECTORY_ENTRY_RESOURCE"]])
            entries = pe.DIRECTORY_ENTRY_RESOURCE.entries if hasattr(pe, "DIRECTORY_ENTRY_RESOURCE") else []
            kinds = {entry.id for entry in entries}
        is_program = file.suffix == ".exe"
        assert (RT_MANIFEST in kinds) == is_program, file
        seen[is_program] += 1
    assert all(seen.values())


def test_a_program_with_a_short_path_is_started_as_ever(electrum: BuiltBundle) -> None:
    code = """
import subprocess, sys
started = []
sys.addaudithook(lambda event, said: started.append(said[0]) if event == "subprocess.Popen" else None)
print(subprocess.run([sys.executable, "-c", "print(7)"], capture_output=True).stdout.strip(), started)
"""
    assert electrum.output("-c", code, python=True) == "b'7' [None]\n"
