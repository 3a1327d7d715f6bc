"""The script that gives a file rules by which its DLLs are found. What they do is tried in integration/test_hardening.py."""

from __future__ import annotations

import importlib.util
import struct
import sys
from pathlib import Path
from types import ModuleType

import pytest

from packager.deps import facts
from packager.pe import delays
from packager.pe.layout import Directory, read_layout
from tests.pe.build import Dll, build

SCRIPT = Path(__file__).parents[1] / "packager/data/load_rules.py"
#: Where the tables of linked() lie: the address, behind the mark and its four numbers.
CONFIG, DELAYED = 0x1010 + 48, 0x1010 + 48 + 0x70


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("load_rules", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "dont_write_bytecode", True)  # the folder holds data, which is mounted as it is
        spec.loader.exec_module(module)
    return module


load_rules = load()


def linked(*, flags: int = 0x800, delayed: bool = True, mark: bytes = load_rules.MARK) -> bytes:
    """A file as the linker leaves it: the tables are in it, and no data directory says where."""
    numbers = struct.pack("<4I", CONFIG, 0x70, DELAYED if delayed else 0, 0x40 if delayed else 0)
    config = struct.pack("<I", 0x70).ljust(0x4E, b"\0") + struct.pack("<H", flags)
    names = DELAYED + 0x40
    descriptor = struct.pack("<8I", 1, names, names + 16, names + 32, names + 48, 0, 0, 0).ljust(0x40, b"\0")
    texts = b"VERSION.dll".ljust(48, b"\0") + struct.pack("<QQ", names + 64, 0) + b"\0\0VerQueryValueW\0"
    return build(None, text=mark + numbers + config.ljust(0x70, b"\0") + descriptor + texts)


def test_both_tables_are_entered() -> None:
    data = load_rules.settled(linked(), "a.dll")
    directories = read_layout(data).directories
    assert (directories[Directory.LOAD_CONFIG].rva, directories[Directory.LOAD_CONFIG].size) == (CONFIG, 0x70)
    assert (directories[Directory.DELAY_IMPORT].rva, directories[Directory.DELAY_IMPORT].size) == (DELAYED, 0x40)
    found = facts.parse(data)
    assert (found.load_flags, found.delay_flags, found.flags(delayed=True)) == (0x800, 0x800, 0x800)
    assert found.image is not None
    assert [(dll.name, [str(symbol) for symbol in dll.symbols]) for dll in found.image.imports] == [
        ("VERSION.dll", ["VerQueryValueW"])
    ]


def test_nothing_else_changes_and_nothing_the_second_time() -> None:
    before, after = linked(), load_rules.settled(linked(), "a.dll")
    assert sum(old != new for old, new in zip(before, after, strict=True)) <= 16
    assert load_rules.settled(after, "a.dll") == after


def test_a_file_without_delayed_imports() -> None:
    data = load_rules.settled(linked(flags=0xA00, delayed=False), "a.exe")
    assert read_layout(data).directory(Directory.DELAY_IMPORT) is None
    assert (facts.parse(data).load_flags, facts.parse(data).delay_flags) == (0xA00, 0)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "a.dll: expected a 64-bit PE file"),
        (b"MZ" + bytes(100), "a.dll: expected a 64-bit PE file"),
        (build(None, plus=False), "a.dll: expected a 64-bit PE file"),
        (build(None), "a.dll: expected the tables of load_rules.py once, found them 0 times"),
        (linked() + load_rules.MARK, "a.dll: expected the tables of load_rules.py once, found them 2 times"),
    ],
)  # fmt: skip
def test_what_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(load_rules.RulesError) as caught:
        load_rules.settled(data, "a.dll")
    assert str(caught.value) == message


def test_a_file_with_another_load_configuration_is_refused() -> None:
    numbers = load_rules.MARK + struct.pack("<I", CONFIG)
    data = load_rules.settled(linked(), "a.dll").replace(numbers, load_rules.MARK + struct.pack("<I", CONFIG + 8))
    with pytest.raises(
        load_rules.RulesError, match=r"a\.dll: data directory 10: expected none or that of load_rules\.py"
    ):
        load_rules.settled(data, "a.dll")


def test_the_mark_is_the_same_in_both_places() -> None:
    assert delays._MARK == load_rules.MARK
    assert struct.calcsize("<4I") + load_rules.CONFIG_SIZE == delays._BETWEEN


def test_delayed_imports_without_the_mark_go_through_the_standard_order() -> None:
    other = facts.parse(load_rules.settled(linked(), "a.dll").replace(load_rules.MARK, b"x" * 32))
    assert (other.load_flags, other.delay_flags) == (0x800, 0)
    assert facts.parse(build(None, delay=(Dll("VERSION.dll", ("VerQueryValueW",)),))).delay_flags == 0
    assert facts.parse(build(None)).delay_flags == 0


def test_the_assembly_names_each_function_and_its_dll() -> None:
    text = load_rules.assembly(0xA00, {"a.dll": ["One", "Two"], "b.dll": ["Three"]})
    assert "\t.short 0xa00\n" in text
    assert text.count("\t.long 1\n") == 2
    assert f"\t.long {3 * 0x20}\n" in text, "a descriptor of zeros is the last"
    for name in ("One", "Two", "Three"):
        assert f'\t.asciz "{name}"\n' in text
        assert f"\t.globl {name}\n{name}:\n\tjmp *__imp_{name}(%rip)\n" in text
        assert f"__imp_{name}:\n\t.quad .Lfirst_{name}\n" in text
    assert "jmp .Lload1" in text.partition(".Lfirst_Three:")[2]
    plain = load_rules.assembly(0x800, {})
    assert "delayed" not in plain and "_load_config_used:" in plain


@pytest.mark.parametrize("argument", ["a.dll", "a.dll=", "a.dll=One,,Two", "a=One", "=One"])
def test_an_argument_that_is_none(argument: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert load_rules.main(["source", "--flags", "0x800", "--delay", argument]) == 1
    assert capsys.readouterr().err == (
        f"load_rules.py: --delay: expected DLL=FUNCTION,FUNCTION..., found {argument!r}\n"
    )


def test_files_are_settled_in_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.dll"
    file.write_bytes(linked())
    assert load_rules.main(["settle", str(file)]) == 0
    assert file.read_bytes() == load_rules.settled(linked(), "a.dll")
    file.write_bytes(b"MZ")
    assert load_rules.main(["settle", str(file)]) == 1
    assert capsys.readouterr().err == "load_rules.py: a.dll: expected a 64-bit PE file\n"
