"""What the golden files of tests/diff/data do not show: this interpreter's own .pyc files, and the rarer differences."""

from __future__ import annotations

import py_compile
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packager.diff.model import Difference
from packager.diff.pyc import compare_pyc, is_pyc
from packager.diff.render import line
from tests.diff.inputs import FUNCTION, MODULE
from tests.diff.marshalled import Code, pyc

OWN = sys.version_info[:2]
known = pytest.mark.skipif(not (3, 8) <= OWN <= (3, 14), reason=f"this is Python {OWN}, whose code is not known here")
SOURCE = '''
"""A module."""
import os

class C:
    """A class."""
    limit = 5

    def method(self, x):
        return x in {"a", "b"} or os.sep + "text"

def f(y):
    return lambda z: y + z
'''


def compiled(top: Path, source: str, name: str = "m.py", mode: str = "UNCHECKED_HASH") -> bytes:
    path = top / "m.py"
    path.write_text(source)
    out = top / "m.pyc"
    py_compile.compile(
        str(path), str(out), dfile=name, doraise=True, invalidation_mode=py_compile.PycInvalidationMode[mode]
    )
    return out.read_bytes()


def lines(a: bytes, b: bytes) -> list[str]:
    return [line(difference).removeprefix("m.pyc: ") for difference in compare_pyc("m.pyc", a, b)]


@known
def test_the_same_source_by_another_name(tmp_path: Path) -> None:
    found = lines(compiled(tmp_path, SOURCE, "/a/m.py"), compiled(tmp_path, SOURCE, "m.py"))
    assert found == ["co_filename '/a/m.py' ≠ 'm.py' (in 5 code objects)"]


@known
def test_a_constant_of_one_function(tmp_path: Path) -> None:
    found = lines(compiled(tmp_path, SOURCE), compiled(tmp_path, SOURCE.replace('"text"', '"tent"')))
    where = "C.method"
    assert found[0].startswith("source hash ")
    assert found[1:] == [f"constant of {where} 'text' ≠ 'tent'"]


@known
def test_a_line_more_moves_all_functions(tmp_path: Path) -> None:
    found = lines(compiled(tmp_path, SOURCE), compiled(tmp_path, SOURCE.replace("import os", "\nimport os")))
    assert any(item.startswith("co_firstlineno of 4 functions, first C 5 ≠ 6 (all by +1)") for item in found)


@known
def test_modes_and_times(tmp_path: Path) -> None:
    found = lines(compiled(tmp_path, SOURCE, mode="CHECKED_HASH"), compiled(tmp_path, SOURCE, mode="UNCHECKED_HASH"))
    assert found == ["mode checked hash ≠ unchecked hash"]


def changed(**fields: object) -> list[str]:
    """What a change to the inner function's fields gives."""
    other = replace(MODULE, consts=(replace(FUNCTION, **fields), "f", None))  # type: ignore[arg-type]
    return lines(pyc(MODULE), pyc(other))


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"flags": 3}, ["co_flags of f 0 ≠ 3"]),
        ({"stack": 9}, ["co_stacksize of f 1 ≠ 9"]),
        ({"name": "g"}, ["co_name of f 'f' ≠ 'g'"]),
        ({"qualname": "C.f"}, ["co_qualname of f 'f' ≠ 'C.f'"]),
        ({"lines": b"\x81\x00"}, ["line table of f"]),
        ({"exceptions": b"\x81\x00"}, ["exception table of f"]),
        ({"names": ("len", "print")}, ["co_names of f (the same in another order)"]),
        ({"code": b"\x97\x00S\x00\0\0"}, ["co_code of f 4 bytes ≠ 6 bytes"]),
        ({"local_names": ("y",)}, ["co_localsplusnames of f (only in A: x; only in B: y)"]),
        ({"consts": (None, "docstring", True)}, ["constant of f 1 ≠ True"]),
        ({"consts": (None, "docstring", (1,))}, ["constant of f 1 ≠ (1,)"]),
        ({"consts": (None, "doc\nstring", 1)}, ["constant of f 'docstring' ≠ 'doc\\nstring'"]),
        ({"consts": (None, "docstring")}, ["constant of f only in A (1)"]),
        ({"consts": (None, b"docstring", 1)}, ["constant of f 'docstring' ≠ b'docstring'"]),
    ],
)
def test_one_field_of_one_function(fields: dict[str, object], found: list[str]) -> None:
    assert changed(**fields) == found


def test_what_many_functions_have_is_told_once() -> None:
    sides = []
    for line_number, filename in ((1, "a"), (3, "b")):
        functions = tuple(Code(name, line=line_number, filename=filename, lines=bytes([line_number])) for name in "fgh")
        sides.append(pyc(Code(consts=functions, filename=filename)))
    assert lines(sides[0], sides[1]) == [
        "co_filename 'a' ≠ 'b' (in 4 code objects)",
        "co_firstlineno of 3 functions, first f 1 ≠ 3 (all by +2)",
        "line table of 3 functions, first f",
    ]


def test_a_function_that_is_missing_does_not_hide_the_others() -> None:
    other = replace(FUNCTION, consts=(None, "docstring", 2))
    second = Code("g")
    found = lines(pyc(Code(consts=(FUNCTION, second))), pyc(Code(consts=(other,))))
    assert found == ["constant of f 1 ≠ 2", "function g only in A"]


def test_bytes_behind_the_code_and_other_values() -> None:
    assert lines(pyc(MODULE), pyc(MODULE) + b"x") == ["bytes behind the code 0 bytes ≠ 1 byte"]
    assert lines(pyc(MODULE) + b"y", pyc(MODULE) + b"x") == ["bytes behind the code 79 ≠ 78 (at 0x0 of 0x1)"]
    assert lines(pyc("a text"), pyc("a tent")) == ["value 'a text' ≠ 'a tent'"]
    assert lines(pyc("a text"), pyc(MODULE)) == ["value 'a text' ≠ <code <module>>"]


def test_names_since_3_11_and_before() -> None:
    inner = Code("method", "C.method", (1,))
    for python, name in (((3, 10), "C.method"), ((3, 13), "C.method")):
        sides = [
            pyc(Code(consts=(Code("C", consts=(replace(inner, consts=(value,)),)),)), python=python) for value in (1, 2)
        ]
        assert lines(sides[0], sides[1]) == [f"constant of {name} 1 ≠ 2"]


def test_an_unknown_version_is_compared_by_its_bytes() -> None:
    a = b"\x01\x00" + pyc(MODULE)[2:]
    assert lines(a, a[:-1] + b"\xff") == [
        "code differs at 0xcf (not decoded: expected a magic number that is known, found 1)"
    ]


def test_what_is_a_pyc_file() -> None:
    assert is_pyc(pyc(MODULE))
    assert not is_pyc(b"\xf3\r\r\n")
    assert not is_pyc(b"x" * 100)


def test_hostile_names_are_escaped() -> None:
    found = changed(qualname="\x1b[31m\n", consts=(None, "\x1b[0m", 1))
    assert all(item.isprintable() for item in found)


@settings(deadline=None)
@given(st.data())
def test_damage_is_always_found(data: st.DataObject) -> None:
    a = pyc(MODULE)
    b = bytearray(a)
    for _ in range(data.draw(st.integers(1, 3))):
        b[data.draw(st.one_of(st.integers(0, 1), st.integers(4, len(b) - 1)))] = data.draw(st.integers(0, 255))
    found: list[Difference] = compare_pyc("m.pyc", a, bytes(b))
    assert bool(found) == (a != bytes(b))
    assert all(line(difference).isprintable() for difference in found)
