"""Values: what is JSON enough, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from namecoin_resolver import values
from namecoin_resolver.outcome import Kind, NameLookupError


def test_objects_are_frozen() -> None:
    value = values.parse(b'{"map":{"www":{"ip":["192.0.2.1",null,true,1.5]}},"n":1}')
    assert value == {"map": {"www": {"ip": ("192.0.2.1", None, True, 1.5)}}, "n": 1}
    with pytest.raises(TypeError):
        value["n"] = 2  # type: ignore[index]
    assert isinstance(value["map"], Mapping)
    with pytest.raises(TypeError):
        value["map"]["www"] = None  # type: ignore[index]


@pytest.mark.parametrize(
    ("raw", "detail"),
    [
        (b"", "not JSON"),
        (b"reserved", "not JSON"),
        (b"{'ip':'192.0.2.1'}", "not JSON"),
        (b'{"ip":"192.0.2.1",}', "not JSON"),
        (b'{"ip":"192.0.2.1"} x', "not JSON"),
        (b'\xef\xbb\xbf{"a":1}', "not JSON"),
        (b'{"a":"line\nbreak"}', "not JSON"),
        (b"[]", "not a JSON object"),
        (b'"192.0.2.1"', "not a JSON object"),
        (b"null", "not a JSON object"),
        (b"1", "not a JSON object"),
        (b'{"a":NaN}', "a number that JSON does not have"),
        (b'{"a":-Infinity}', "a number that JSON does not have"),
        (b'{"a":1,"a":1}', "a key twice in one object"),
        (b'{"m":{"a":1,"\\u0061":2}}', "a key twice in one object"),
        (b'{"a":"\\ud800"}', "half a surrogate pair"),
        (b'{"\\udfff":1}', "half a surrogate pair"),
        (b'{"a":"\xff"}', "not UTF-8"),
        (b'{"a":"\xed\xa0\x80"}', "not UTF-8"),
        (b'{"a":' + b"[" * 60 + b"]" * 60 + b"}", "nested too deeply"),
        (b"[" * 1023, "nested too deeply"),
        (b'{"a":' * 200, "nested too deeply"),
        (b'{"a":"' + b"x" * 1016 + b'"}', "longer than 1023 bytes"),
    ],
)
def test_what_is_no_value(raw: bytes, detail: str) -> None:
    with pytest.raises(NameLookupError) as caught:
        values.parse(raw)
    assert caught.value.kind is Kind.MALFORMED
    # Where Python's own limit on nesting lies differs: such text is refused for one reason or the other.
    assert caught.value.detail in ((detail, "not JSON") if detail == "nested too deeply" else (detail,))


@pytest.mark.parametrize(
    "raw",
    [
        b"{}",
        b' \n{"a" : 1}\t',
        b'{"a":"\\ud83d\\ude00"}',
        '{"a":"\U0001f600"}'.encode(),
        b'{"a":' + b"9" * 1000 + b"}",
        b'{"a":1e999}',
        b'{"a":"' + b"x" * 1015 + b'"}',
    ],
)
def test_what_is_one(raw: bytes) -> None:
    assert isinstance(values.parse(raw), Mapping)


def test_integers_of_more_digits_than_python_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(values, "MAX_VALUE", 10**6)
    with pytest.raises(NameLookupError):
        values.parse(b'{"a":' + b"9" * 5000 + b"}")


@given(st.binary(max_size=1100) | st.text('{}[]":,\\u01ace-. ', max_size=300).map(str.encode))
def test_never_raises_anything_else(raw: bytes) -> None:
    try:
        assert isinstance(values.parse(raw), Mapping)
    except NameLookupError as exc:
        assert exc.kind is Kind.MALFORMED
