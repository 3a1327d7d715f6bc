"""Host names: what can be asked for, and names inside values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from namecoin_resolver import hosts
from namecoin_resolver.outcome import Kind, NameLookupError


@pytest.mark.parametrize(
    ("host", "name", "onion_only"),
    [
        ("example.bit", "example.bit", False),
        ("example.bit.", "example.bit", False),
        ("EXAMPLE.Bit", "example.bit", False),
        ("www.example.bit.onion", "www.example.bit", True),
        ("example.BIT.onion.", "example.bit", True),
        ("_x.a-b.xn--telo-u5a.bit", "_x.a-b.xn--telo-u5a.bit", False),
        ("1a.bit", "1a.bit", False),
        ("a" * 63 + ".bit", "a" * 63 + ".bit", False),
    ],
)
def test_hosts_under_bit(host: str, name: str, onion_only: bool) -> None:
    assert hosts.requested(host) == (name, onion_only)


@pytest.mark.parametrize(
    ("host", "kind"),
    [
        ("", Kind.NOT_NAMECOIN),
        (".", Kind.NOT_NAMECOIN),
        ("bit", Kind.NOT_NAMECOIN),
        ("bit.onion", Kind.NOT_NAMECOIN),
        ("example.com", Kind.NOT_NAMECOIN),
        ("example.bit.com", Kind.NOT_NAMECOIN),
        ("examplebit", Kind.NOT_NAMECOIN),
        ("example.bit..", Kind.NOT_NAMECOIN),
        ("example.bi\u0307t", Kind.NOT_NAMECOIN),
        (".bit", Kind.NOT_REGISTERED),
        (".bit.onion", Kind.NOT_REGISTERED),
        ("www..bit", Kind.NOT_REGISTERED),
        ("a..example.bit", Kind.NOT_REGISTERED),
        ("-a.bit", Kind.NOT_REGISTERED),
        ("a-.bit", Kind.NOT_REGISTERED),
        ("a--b.bit", Kind.NOT_REGISTERED),
        ("a_b.bit", Kind.NOT_REGISTERED),
        ("123.bit", Kind.NOT_REGISTERED),
        ("*.example.bit", Kind.NOT_REGISTERED),
        ("exa mple.bit", Kind.NOT_REGISTERED),
        ("\u212aelvin.bit", Kind.NOT_REGISTERED),
        ("ex\u00e4mple.bit", Kind.NOT_REGISTERED),
        ("\ud800.bit", Kind.NOT_REGISTERED),
        ("a" * 64 + ".bit", Kind.NOT_REGISTERED),
        ("a." * 125 + "b.bit", Kind.NOT_REGISTERED),
        ("a" * 64 + ".example.bit", Kind.NOT_REGISTERED),
    ],
)
def test_hosts_that_nobody_can_have(host: str, kind: Kind) -> None:
    with pytest.raises(NameLookupError) as caught:
        hosts.requested(host)
    assert caught.value.kind is kind


def test_a_host_in_its_parts() -> None:
    host = hosts.bit("a.b.example.bit")
    assert host == hosts.Bit("example", ("b", "a"))
    assert host is not None
    assert (host.identifier, host.apex) == ("d/example", "example.bit")
    assert [host.suffix(depth) for depth in range(3)] == ["example.bit", "b.example.bit", "a.b.example.bit"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("foo", "foo.www.example.bit"),
        ("", "www.example.bit"),
        ("@", "example.bit"),
        ("Foo.Bar.@", "foo.bar.example.bit"),
        ("other.bit.", "other.bit"),
        ("example.com.", "example.com"),
        (".", None),
        ("a..b", None),
        (".@", None),
        ("a@", None),
        ("@.a", None),
        ("ex$ample.com.", None),
        ("\u212a", None),
        ("a" * 250, None),
        ("a." * 122 + "@", None),
    ],
)
def test_names_inside_values(text: str, expected: str | None) -> None:
    assert hosts.qualified(text, "www.example.bit", "example.bit") == expected


@given(st.text() | st.text("abt.-_*BIT@1", max_size=20).map(lambda text: text + ".bit"))
def test_what_is_let_through_is_a_name(text: str) -> None:
    try:
        name, _ = hosts.requested(text)
    except NameLookupError:
        return
    assert hosts.valid(name) and hosts.requested(name) == (name, False)
