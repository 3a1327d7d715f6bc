"""Imports in bytecode: what each version of CPython compiled, and broken files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packager.diff.marshal import MarshalError
from packager.modules.bytecode import VERSIONS, Import, read_imports
from tests.diff.marshalled import Code, pyc
from tests.modules.build import compiled

DATA = Path(__file__).parent / "data"
COMPILED = {f"{major}.{minor}": (DATA / f"imports-{major}.{minor}.pyc").read_bytes() for major, minor in VERSIONS}
SOURCE = (DATA / "imports.txt").read_text().splitlines()


def word(name: str) -> str:
    return name.partition("_")[0]


each_version = pytest.mark.parametrize("version", COMPILED)


@each_version
@pytest.mark.parametrize(("file", "moved"), [("imports", 0), ("extended", 300)])
def test_each_import_is_of_the_kind_that_its_name_says(file: str, moved: int, version: str) -> None:
    for item in read_imports((DATA / f"{file}-{version}.pyc").read_bytes()):
        called = item.name or item.names[0]
        if called in ("typing", "importlib", "star"):
            continue
        kind = "late" if item.function else item.kind
        assert kind == word(called), item
        assert called in SOURCE[item.line - moved - 1] or called in SOURCE[item.line - moved], item


@each_version
def test_no_import_is_missed(version: str) -> None:
    found = {name for item in read_imports(COMPILED[version]) for name in (item.name, *item.names)}
    text = "\n".join(SOURCE)
    wanted = set(re.findall(r"(?:plain|late|typing|optional|fallback)_[a-z](?:\.[a-z])?", text))
    assert len(wanted) > 25
    assert wanted <= found


@each_version
def test_what_stands_in_knows_for_what(version: str) -> None:
    tried = {
        item.name: [[other.name for other in group] for group in item.tried]
        for item in read_imports(COMPILED[version])
        if item.kind == "fallback" and not item.function
    }
    assert tried == {
        "fallback_a.b": [["optional_a", "optional_b"]],
        "fallback_b": [["optional_c"]],
        "fallback_c": [["optional_c"], ["fallback_b"]],
    }


@each_version
def test_functions_levels_and_names(version: str) -> None:
    by_name = {item.name or item.names[0]: item for item in read_imports(COMPILED[version])}
    assert by_name["late_a"] == Import("late_a", 0, (), 41, "plain", "Outer.method")
    assert by_name["late_b"] == Import("", 1, ("late_b",), 43, "optional", "Outer.method")
    assert by_name["late_d"] == Import("late_d", 1, (), 51, "plain", "function")
    assert by_name["late_f"].function == "function.<locals>.Local"
    assert by_name["optional_b"] == Import("optional_b", 2, ("g",), 15, "optional")
    assert by_name["typing_c"].names == ("d", "e")


def test_the_tests_own_compiler() -> None:
    lines = ("a.b", ".c: d e", "late f", "try g", "except h", "typing i", "try j", "k")
    found = {item.name: (item.line, item.kind, bool(item.function)) for item in read_imports(compiled(*lines))}
    assert found == {
        "a.b": (1, "plain", False),
        "c": (2, "plain", False),
        "f": (3, "plain", True),
        "g": (4, "optional", False),
        "h": (5, "fallback", False),
        "i": (6, "typing", False),
        "j": (7, "optional", False),
        "k": (8, "plain", False),
    }


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "expected a .pyc file, found something else"),
        (b"import a\n" * 4, "expected a .pyc file, found something else"),
        (pyc(Code(), python=(3, 11)), "expected a .pyc of Python 3.12 or 3.13, found one of Python 3.11"),
        (b"\x01\x00\r\n" + bytes(20), "expected a .pyc of Python 3.12 or 3.13, found one of an unknown version"),
        (pyc(("a",)), "expected a module's code, found a value of type tuple"),
        (pyc(Code(code=bytes([83, 0, 83, 0, 75, 0]), exceptions=b"\x80\x01")), "expected more of an exception table, found its end"),
    ],
)  # fmt: skip
def test_what_cannot_be_read(data: bytes, message: str) -> None:
    with pytest.raises(MarshalError) as caught:
        read_imports(data)
    assert caught.value.message == message


@given(st.sampled_from(list(COMPILED.values())), st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=4))
def test_a_changed_file_is_read_or_refused(whole: bytes, where: float, change: bytes) -> None:
    at = 16 + int(where * (len(whole) - 16))
    data = whole[:at] + change + whole[at + len(change) :]
    try:
        found = read_imports(data)
    except MarshalError:
        return
    assert all(isinstance(item.line, int) for item in found)


@given(st.sampled_from(list(COMPILED.values())), st.floats(0, 1, exclude_max=True))
def test_a_file_that_ends_early_is_refused(whole: bytes, where: float) -> None:
    with pytest.raises(MarshalError):
        read_imports(whole[: int(where * len(whole))])
