"""Another version of CPython, built by the same code: what it is, and a bundle that runs on it.

What an interpreter promises is in test_interpreter.py and test_development.py, which run on both versions.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from packager.diff import marshal
from packager.pe.imports import read_image
from tests.integration.conftest import BuiltBundle, packager

VERSION, DIGITS = "3.12", "312"


def compiled(folder: Path) -> Iterator[tuple[Path, tuple[int, int] | None]]:
    """The .pyc files in a folder, each with the version of Python that it is for."""
    for path in sorted(folder.rglob("*.pyc")):
        yield path, marshal.python_of(int.from_bytes(path.read_bytes()[:2], "little"))


def test_it_says_what_it_is(electrum_3_12: BuiltBundle) -> None:
    code = "import sys, sysconfig; [print(x) for x in (sys.version, sysconfig.get_platform())]"
    version, platform, _ = electrum_3_12.output("-c", code, python=True).split("\n")
    assert version.startswith(f"{VERSION}.")
    assert "[GCC 14" in version
    assert platform == "win-amd64"


def test_all_bytecode_is_of_its_version(electrum_3_12: BuiltBundle) -> None:
    found = dict(compiled(electrum_3_12.folder))
    assert len(found) > 500
    assert not [path for path, python in found.items() if python != (3, 12)]


def test_nothing_is_named_after_the_other_version(electrum: BuiltBundle, electrum_3_12: BuiltBundle) -> None:
    here, there = ({path.name for path in built.folder.rglob("*")} for built in (electrum_3_12, electrum))
    assert {f"python{DIGITS}.dll", f"python{DIGITS}._pth"} <= here
    assert {"python313.dll", "python313._pth"} <= there
    assert not [name for name in here if "313" in name]
    for path in electrum_3_12.folder.rglob("*"):
        if path.suffix in (".dll", ".exe", ".pyd"):
            names = {dll.name.lower() for dll in read_image(path.read_bytes()).imports}
            assert "python313.dll" not in names, path


def test_every_extension_module_imports(electrum_3_12: BuiltBundle) -> None:
    names = sorted(path.stem for path in (electrum_3_12.folder / "python/DLLs").glob("*.pyd"))
    assert len(names) > 15
    code = f"import importlib\nfor name in {names}: importlib.import_module(name)\nprint('all')"
    assert electrum_3_12.output("-c", code, python=True) == "all\n"


def test_the_wallet_is_the_same(electrum: BuiltBundle, electrum_3_12: BuiltBundle, tmp_path: Path) -> None:
    seed = "wild father tree among universe such mobile favorite target dynamic credit identify"
    said = []
    for number, built in enumerate((electrum, electrum_3_12)):
        data = tmp_path / str(number)
        built.output("-D", data, "restore", seed, "--testnet", "--offline")
        said.append(json.loads(built.output("-D", data, "listaddresses", "--testnet", "--offline")))
    assert said[0][0] == "tb1q4794m2uuw9jmjszmplfj4wvvr5j272fpeq3tt2"
    assert said[0] == said[1]


def test_the_audit_finds_nothing(electrum_3_12: BuiltBundle) -> None:
    done = packager("audit", electrum_3_12.folder)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()


def test_the_python_that_compiled_it_is_not_in_the_bundle(electrum_3_12: BuiltBundle) -> None:
    assert not [path for path in electrum_3_12.folder.rglob("*") if path.is_file() and is_elf(path)]


def is_elf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"
