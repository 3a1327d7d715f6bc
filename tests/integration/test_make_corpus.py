"""tests/data/make_corpus.py, with wheels in a folder instead of an index: what it gets, keeps, refuses and says."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.corpus import INCOMPLETE, MAKE, UNREACHABLE, Corpus
from tests.support import write

NO_ANSWER = {"PIP_INDEX_URL": "http://127.0.0.1:1/simple", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}


def pe(machine: int, name: bytes) -> bytes:
    """As much of a PE image as is looked at."""
    return (
        b"MZ".ljust(0x3C, b"\0")
        + struct.pack("<I", 0x80)
        + bytes(0x40)
        + struct.pack("<4sH", b"PE\0\0", machine)
        + name
    )


def make_wheel(folder: Path, project: str, platform: str, members: dict[str, bytes]) -> str:
    """A wheel that pip takes; returns its pin."""
    name = f"{project}-1.0-py3-none-{platform}.whl"
    info = f"{project}-1.0.dist-info"
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / name, "w") as archive:
        for member, data in members.items():
            archive.writestr(member, data)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {project}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: py3-none-{platform}\n")
        archive.writestr(f"{info}/RECORD", "")
    data = (folder / name).read_bytes()
    return f'[[wheel]]\nfile = "{name}"\nsha256 = "{hashlib.sha256(data).hexdigest()}"\nsize = {len(data)}\n'


def make(tmp_path: Path, pins: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run it on ``pins``, with the wheels in ``tmp_path/index``."""
    source = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "index")}
    return subprocess.run(
        [sys.executable, MAKE, tmp_path / "corpus", "--pins", write(tmp_path / "pins.toml", pins)],
        env={**os.environ, **source, **env},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def pins(tmp_path: Path) -> str:
    """Two wheels, with three different PE files and some that are none."""
    x64, arm64, other = pe(0x8664, b"a"), pe(0xAA64, b"b"), pe(0x0EBC, b"c")
    members = {"one/a.dll": x64, "one/notes.dll": b"MZ, it says", "one/odd name.bin": arm64, "one/cut": x64[:0x50]}
    first = make_wheel(tmp_path / "index", "one", "win_amd64", members)
    return first + make_wheel(tmp_path / "index", "two", "win_arm64", {"two/same.dll": x64, "boot.efi": other})


def test_each_different_pe_file_is_unpacked_once(tmp_path: Path, pins: str) -> None:
    done = make(tmp_path, pins)
    assert done.returncode == 0, done.stdout + done.stderr
    made = Corpus.read(tmp_path / "corpus")
    found = {(member.member, member.machine, member.file[10:]) for member in made.members}
    assert found == {
        ("one/a.dll", "x86_64", "-a.dll"),
        ("one/odd name.bin", "arm64", "-odd_name.bin"),
        ("boot.efi", "0x0ebc", "-boot.efi"),
    }
    assert {path.name for path in made.files.iterdir()} == {member.file for member in made.members}
    for member in made.members:
        assert hashlib.sha256(made.data(member)).hexdigest() == member.sha256
        assert member.file.startswith(member.sha256[:10])
        assert member.size == len(made.data(member))
    assert done.stdout.splitlines()[-1].startswith("3 PE files, 0.0 MB (")


def test_what_is_there_is_not_downloaded_again(tmp_path: Path, pins: str) -> None:
    assert make(tmp_path, pins).returncode == 0
    index = json.loads((tmp_path / "corpus" / "index.json").read_text())
    for wheel in (tmp_path / "index").iterdir():
        wheel.unlink()
    write(tmp_path / "corpus" / "files" / "left over", b"")
    write(tmp_path / "corpus" / "files" / index["files"][0]["file"], b"damaged")
    done = make(tmp_path, pins)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("2 wheels pinned, 2 there, 0.0 MB to download\n")
    assert {path.name for path in (tmp_path / "corpus" / "files").iterdir()} == {row["file"] for row in index["files"]}
    made = Corpus.read(tmp_path / "corpus")
    assert all(hashlib.sha256(made.data(member)).hexdigest() == member.sha256 for member in made.members)


def test_a_damaged_wheel_is_downloaded_again(tmp_path: Path, pins: str) -> None:
    assert make(tmp_path, pins).returncode == 0
    wheel = tmp_path / "corpus" / "wheels" / "one-1.0-py3-none-win_amd64.whl"
    wheel.write_bytes(wheel.read_bytes()[:100])
    done = make(tmp_path, pins)
    assert done.returncode == 0, done.stderr
    assert "[1/1] one-1.0-py3-none-win_amd64.whl, 0.0 MB\n" in done.stdout


def test_a_wheel_that_is_gone_or_another_is_named_and_the_rest_is_there(tmp_path: Path, pins: str) -> None:
    (tmp_path / "index" / "two-1.0-py3-none-win_arm64.whl").unlink()
    changed = make_wheel(tmp_path / "index", "three", "win32", {}).replace('sha256 = "', 'sha256 = "0')
    done = make(tmp_path, pins + changed)
    assert done.returncode == INCOMPLETE
    said = done.stderr.splitlines()
    assert said[0].startswith("error: three-1.0-py3-none-win32.whl: expected sha256 0")
    again = f"; pin another version in {tmp_path / 'pins.toml'}"
    assert said[1:] == [f"error: two-1.0-py3-none-win_arm64.whl: No matching distribution found for two==1.0{again}"]
    made = Corpus.read(tmp_path / "corpus")
    assert made.missing == ("three-1.0-py3-none-win32.whl", "two-1.0-py3-none-win_arm64.whl")
    assert {member.wheel for member in made.members} == {"one-1.0-py3-none-win_amd64.whl"}


def test_an_index_that_does_not_answer_ends_it(tmp_path: Path, pins: str) -> None:
    done = make(tmp_path, pins, PIP_NO_INDEX="0", PIP_FIND_LINKS="", **NO_ANSWER)
    assert done.returncode == UNREACHABLE
    assert len(done.stderr.splitlines()) == 1
    assert "the package index does not answer: connection broken by" in done.stderr
    assert not (tmp_path / "corpus" / "index.json").exists()


def test_pins_that_are_none(tmp_path: Path) -> None:
    done = make(tmp_path, '[[wheel]]\nfile = "one-1.0-py3-none-any.whl"\n')
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith(
        "expected [[wheel]] tables with file, sha256 and size, found: KeyError('sha256')"
    )
