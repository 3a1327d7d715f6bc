"""The reader against the standard library's writer, against made data of other versions, and against broken data."""

from __future__ import annotations

import marshal as standard
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packager.diff.marshal import MOST_DEPTH, MarshalError, Values, python_of, read
from tests.diff.marshalled import MAGIC, Code, Writer, pyc

OWN = sys.version_info[:2]
known = pytest.mark.skipif(not (3, 8) <= OWN <= (3, 14), reason=f"this is Python {OWN}, whose code is not known here")

simple = st.one_of(
    st.none(), st.booleans(), st.just(...), st.integers(), st.floats(), st.complex_numbers(), st.text(), st.binary()
)
values = st.recursive(
    simple, lambda inner: st.one_of(st.tuples(inner, inner), st.frozensets(simple, max_size=3)), max_leaves=12
)


def number(data: bytes, table: Values, python: tuple[int, int] = (3, 13)) -> int:
    found = read(data, 0, python, table)
    assert found.end == len(data)
    return found.root


@settings(deadline=None)
@given(values)
def test_a_value_has_one_number_however_it_is_written(value: Any) -> None:
    table = Values()
    numbers = {number(standard.dumps(value, version), table) for version in (2, 3, 4)}
    assert len(numbers) == 1


@settings(deadline=None)
@given(values, values)
def test_values_with_one_number_are_equal(a: Any, b: Any) -> None:
    table = Values()
    first, second = (number(standard.dumps(value), table) for value in (a, b))
    # repr tells 1, 1.0 and True apart, and -0.0 from 0.0; not one NaN from another, nor one order in a set.
    if first == second:
        assert repr(a) == repr(b) or a == b
    elif "frozenset" not in repr(a) and "nan" not in repr(a):
        assert repr(a) != repr(b)


@settings(deadline=None)
@given(values.filter(lambda value: len(repr(value)) < 200))
def test_values_are_shown_as_python_would(value: Any) -> None:
    table = Values()
    shown = table.show(number(standard.dumps(value), table))
    if "frozenset" not in shown and "0x" not in shown:
        assert shown == repr(value)


@known
def test_own_code_is_read_to_its_end() -> None:
    for name in ("marshal", "ranges", "pe_facts", "compare"):
        path = Path(__file__).parents[2] / f"packager/diff/{name}.py"
        code = compile(path.read_bytes(), "a name", "exec", dont_inherit=True)
        table = Values()
        fields = table.fields(number(standard.dumps(code), table, OWN))
        assert table.text(fields["co_filename"]) == "a name"
        assert [table.text(item) for item in table.content(fields["co_names"])] == list(code.co_names)
        assert table.content(fields["co_firstlineno"]) == code.co_firstlineno
        assert table.content(fields["co_code"]) == code.co_code
        functions = [table.fields(item) for item in table.content(fields["co_consts"]) if table.kind(item) == "code"]
        own = [item for item in code.co_consts if hasattr(item, "co_code")]
        assert [table.text(item["co_name"]) for item in functions] == [item.co_name for item in own]


@pytest.mark.parametrize("python", sorted(MAGIC))
def test_code_of_each_version(python: tuple[int, int]) -> None:
    inner = Code("f", "C.f", (None, 1 << 80, "text", slice(1, None, 2)), ("print",), ("x",), line=7)
    data = pyc(Code(consts=(inner, -5)), python=python)
    assert python_of(int.from_bytes(data[:2], "little")) == python
    table = Values()
    fields = table.fields(read(data, 16, python, table).root)
    first, second = table.content(fields["co_consts"])
    assert table.show(second) == "-5"
    inside = table.fields(first)
    assert table.text(inside["co_name"]) == "f"
    assert table.content(inside["co_firstlineno"]) == 7
    assert table.show(inside["co_consts"]) == f"(None, {1 << 80}, 'text', slice(1, None, 2))"
    assert ("co_qualname" in inside) == (python >= (3, 11))


def test_references_are_followed() -> None:
    table = Values()
    plain = Code(consts=("a text", ("a text", "a text")), names=("a text",))
    writers = [Writer(shared=shared, flagged=flagged) for shared in (False, True) for flagged in (False, True)]
    numbers = {number(writer.write(plain), table) for writer in writers}
    assert len(numbers) == 1


def test_the_order_of_a_set_is_told_apart() -> None:
    table = Values()
    sides = [read(Writer().write(items), 0, (3, 13), table) for items in (["a", "b"], ["b", "a"])]
    assert sides[0].root == sides[1].root
    assert sides[0].set_orders != sides[1].set_orders


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "offset 0x0: expected more of a value, found the end"),
        (b"i\1\2", "offset 0x3: expected more of a value, found the end"),
        (b"?", "offset 0x0: expected the type of a value, found '?'"),
        (b"s\xff\xff\xff\x7fabc", "offset 0x5: expected 2147483647 bytes, found 3"),
        (b"s\xff\xff\xff\xffabc", "offset 0x5: expected -1 bytes, found 3"),
        (b"(\x00\x00\x00\x40NN", "offset 0x5: expected 1073741824 values, found 2 bytes"),
        (b"l\x00\x00\x00\x80", "offset 0x5: expected 4294967296 bytes, found 0"),
        (b"r\0\0\0\0", "offset 0x0: expected a reference to a value before, found number 0"),
        (b"\xa9\1r\0\0\0\0", "offset 0x2: expected a reference to a value before, found number 0"),
        (b"u\2\0\0\0\xff\xff", "offset 0x7: expected UTF-8 in a text, found invalid start byte"),
        (b")\1" * (MOST_DEPTH + 2) + b"N", "offset 0x192: expected values 200 deep at most, found deeper ones"),
    ],
)
def test_broken_data_is_an_error_that_says_where(data: bytes, message: str) -> None:
    with pytest.raises(MarshalError) as caught:
        read(data, 0, (3, 13), Values())
    assert caught.value.message == message


@pytest.mark.parametrize("python", [(3, 7), (3, 15)])
def test_other_versions_are_refused(python: tuple[int, int]) -> None:
    with pytest.raises(MarshalError, match=r"expected code of Python 3.8 to 3.14, found 3\.\d+"):
        read(b"N", 0, python, Values())
    assert python_of(62211) is None


def test_what_is_shown_is_cut_off() -> None:
    table = Values()
    nested = table.add("tuple", ())
    for _ in range(60):
        # 2**60 leaves in the end.
        nested = table.add("tuple", (nested, nested))
    assert len(table.show(nested)) < 3000
    huge = table.add("int", 1 << 100_000)
    assert table.show(huge).startswith("0x1000")
    assert len(table.show(huge)) < 5000


@settings(deadline=None)
@given(st.binary(max_size=60), st.sampled_from([(3, 8), (3, 13)]))
def test_any_bytes_give_a_value_or_the_error(data: bytes, python: tuple[int, int]) -> None:
    table = Values()
    with suppress(MarshalError):
        table.show(read(data, 0, python, table).root)


@settings(deadline=None)
@given(st.data())
def test_damaged_code_gives_a_value_or_the_error(data: st.DataObject) -> None:
    whole = bytearray(pyc(Code(consts=(Code("f", names=("x", "y")), "text", (1, 2.5)))))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(16, len(whole) - 1))] = data.draw(st.integers(0, 255))
    table = Values()
    with suppress(MarshalError):
        table.show(read(bytes(whole), 16, (3, 13), table).root)
