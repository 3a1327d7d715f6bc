"""Reading one file: from a mapping, whole or broken."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packager.deps import facts
from packager.pe.imports import read_image
from tests.deps.fake import library, program, with_load_config, with_load_flags
from tests.pe.build import ARM64, FULL, Spec, build, put32
from tests.pe.test_chpe import two_sided


def test_a_mapping_gives_what_the_bytes_give(tmp_path: Path) -> None:
    data = build(FULL, text=b"\0plugin.dll\0")
    (tmp_path / "a.dll").write_bytes(data)
    found = facts.read(str(tmp_path / "a.dll"))
    assert found == facts.parse(data)
    assert found.image == read_image(data)
    assert set(found.names) == {"plugin.dll", "KERNEL32.dll", "WS2_32.dll", "CRYPT32.dll", "self.dll"}
    assert (found.machine, found.error, found.managed, found.load_flags) == ("x86_64", None, False, 0)


def test_many_files_in_order(tmp_path: Path) -> None:
    paths = []
    for number in range(20):
        paths.append(str(tmp_path / f"{number}.dll"))
        Path(paths[-1]).write_bytes(library(f"f{number}") if number % 5 else b"")
    found = list(facts.read_all(paths))
    assert [path for path, _file in found] == paths
    assert [file for _path, file in found] == [facts.read(path) for path in paths]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", "offset 0x0: expected a DOS header of 64 bytes, found 0 bytes in all"),
        (b"MZ", "offset 0x0: expected a DOS header of 64 bytes, found 2 bytes in all"),
        (b"x" * 100, "offset 0x0: expected the signature 'MZ', found b'xx'"),
    ],
)
def test_what_is_no_pe_file(tmp_path: Path, content: bytes, error: str) -> None:
    path = tmp_path / "x.dll"
    path.write_bytes(content)
    assert facts.read(str(path)) == facts.File(error=error)


def test_what_cannot_be_read(tmp_path: Path) -> None:
    assert facts.read(str(tmp_path / "x")).error == "expected a file that can be read, found: No such file or directory"
    (tmp_path / "folder").mkdir()
    assert facts.read(str(tmp_path / "folder")).error is not None


def test_load_flags() -> None:
    assert facts.parse(with_load_flags(program(text=bytes(0x60)), 0x800)).load_flags == 0x800


def test_a_damaged_load_configuration_is_no_matter() -> None:
    data = with_load_config(program(text=bytes(0x60)), bytes(0x60))
    found = facts.parse(put32(data, data.index(b"PE\0\0") + 24 + 112 + 80, 0x7FFFFFFF))
    assert (found.error, found.load_flags) == (None, 0)


def test_arm64x_has_two_sides() -> None:
    found = facts.parse(two_sided())
    assert (found.machine, found.hybrid) == ("arm64x", "arm64x")
    sides = {}
    for machine in ("arm64", "x86_64"):
        image = found.seen_from(machine)
        assert image is not None
        sides[machine] = [export.name for export in image.exports]
    assert sides == {"arm64": ["native"], "x86_64": ["emu"]}
    plain = facts.parse(build(machine=ARM64))
    assert plain.seen_from("x86_64") is plain.image


def test_managed() -> None:
    data = library()
    at = data.index(b"PE\0\0") + 24 + 112 + 8 * 14
    assert facts.parse(put32(put32(data, at, 0x1000), at + 4, 72)).managed


@given(st.integers(0, 0x800), st.binary(min_size=1, max_size=8))
def test_any_damage_is_told_not_raised(at: int, noise: bytes) -> None:
    data = build(Spec(**{**{name: getattr(FULL, name) for name in FULL.__dataclass_fields__}, "text": bytes(0x60)}))
    broken = data[:at] + noise + data[at + len(noise) :]
    found = facts.parse(broken)
    assert (found.image is None) == (found.error is not None)
