"""Namecoin Domain Names: a table of values with the answers they give, and values made to hurt."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from namecoin_resolver import names, values
from namecoin_resolver.outcome import Kind, NameLookupError, Outcome

from tests.launcher.doubles import Chain, onion

A, B, C = onion(1), onion(2), onion(3)
BAD = A.replace(A[0], "a" if A[0] != "a" else "b", 1)
V2 = "3g2upl4pq6kufc4m.onion"


def tor(address: object) -> dict[str, object]:
    """A map with an onion service."""
    return {"_tor": {"txt": address}}


def svc(address: object) -> dict[str, object]:
    """An object with an onion service."""
    return {"map": tor(address)}


@dataclass(frozen=True)
class Case:
    name: str
    value: object
    expected: str | Kind
    host: str = "example.bit"
    others: Mapping[str, object] = field(default_factory=dict)
    ip: bool = False


ONION_CASES = [
    Case("plain", svc(A), A),
    Case("list", svc([A]), A),
    Case("list of lists", svc([[A, "rest"]]), A),
    Case("first segment only", svc([["rest", A]]), Kind.MALFORMED),
    Case("first good record", svc([[], ["x"], "y", A, B]), A),
    Case("upper case", svc(A.upper()), A),
    Case("subdomain of an onion service", svc("www." + A), "www." + A),
    Case("wrong checksum", svc(BAD), Kind.MALFORMED),
    Case("wrong checksum, then a good one", svc([BAD, B]), B),
    Case("version 2", svc(V2), Kind.MALFORMED),
    Case("no .onion at the end", svc(A + "."), Kind.MALFORMED),
    Case("no .onion at all", svc(A.removesuffix(".onion")), Kind.MALFORMED),
    Case("longer than a segment", svc("x" * 200 + "." + A), Kind.MALFORMED),
    Case("number", svc(5), Kind.MALFORMED),
    Case("object", svc({"a": A}), Kind.MALFORMED),
    Case("null", svc(None), Kind.NO_ADDRESS),
    Case("empty list", svc([]), Kind.NO_ADDRESS),
    Case("_tor null", {"map": {"_tor": None}}, Kind.NO_ADDRESS),
    Case("_tor a string is an address", {"map": {"_tor": A}}, Kind.NO_ADDRESS),
    Case("_tor a list", {"map": {"_tor": [A]}}, Kind.MALFORMED),
    Case("txt at the host itself", {"txt": A}, Kind.NO_ADDRESS),
    Case("old tor item", {"tor": A}, Kind.NO_ADDRESS),
    Case("empty", {}, Kind.NO_ADDRESS),
    Case("map null", {"map": None}, Kind.NO_ADDRESS),
    Case("map a list", {"map": []}, Kind.MALFORMED),
    Case("map a string", {"map": A}, Kind.MALFORMED),
    Case("an address is no onion service", {"ip": "192.0.2.1"}, Kind.NO_ADDRESS),
    Case("unknown items are nothing", {"x": [1, {"y": 2}], **svc(A)}, A),
    Case(".bit.onion", svc(A), A, host="example.bit.onion"),
    Case("upper-case host", svc(A), A, host="EXAMPLE.BIT"),
    # Subdomains
    Case("subdomain", {"map": {"www": svc(A)}}, A, host="www.example.bit"),
    Case("subdomain that is not there", svc(A), Kind.NO_ADDRESS, host="www.example.bit"),
    Case("apex when only a subdomain has one", {"map": {"www": svc(A)}}, Kind.NO_ADDRESS),
    Case("two levels", {"map": {"b": {"map": {"a": svc(A)}}}}, A, host="a.b.example.bit"),
    Case("star", {"map": {"*": svc(A)}}, A, host="x.example.bit"),
    Case("star is second", {"map": {"*": svc(A), "x": svc(B)}}, B, host="x.example.bit"),
    Case("null falls back to star", {"map": {"*": svc(A), "x": None}}, A, host="x.example.bit"),
    Case("star is one level", {"map": {"*": svc(A)}}, Kind.NO_ADDRESS, host="x.y.example.bit"),
    Case("star below star", {"map": {"*": {"map": {"*": svc(A)}}}}, A, host="x.y.example.bit"),
    Case("star stands in for _tor", {"map": {"*": {"txt": A}}}, A),
    Case("label in upper case", {"map": {"WWW": svc(A)}}, Kind.NO_ADDRESS, host="www.example.bit"),
    Case("label with a dot", {"map": {"a.b": svc(A)}}, Kind.NO_ADDRESS, host="a.b.example.bit"),
    # "" merges upward
    Case("empty label", {"map": {"": svc(A)}}, A),
    Case("empty label beside labels", {"map": {"": {"map": {"www": svc(A)}}, **tor(B)}}, B),
    Case("own items before the empty label's", {"map": {"": {"map": tor(A)}, **tor(B)}}, B),
    Case("empty label in a subdomain", {"map": {"www": {"map": {"": svc(A)}}}}, A, host="www.example.bit"),
    Case("empty label twice", {"map": {"": {"map": {"": svc(A)}}}}, A),
    Case("empty label a number", {"map": {"": 5, **tor(A)}}, A),
    # ns
    Case("name servers hide", {"ns": "ns1.example.com.", **svc(A)}, Kind.NO_ADDRESS),
    Case("dns is the same", {"dns": ["ns1.example.com."], **svc(A)}, Kind.NO_ADDRESS),
    Case("dns before ns", {"dns": [], "ns": "ns1.example.com.", **svc(A)}, A),
    Case("null dns leaves ns", {"dns": None, "ns": "ns1.example.com.", **svc(A)}, Kind.NO_ADDRESS),
    Case("no name servers", {"ns": [], **svc(A)}, A),
    Case("name servers null", {"ns": None, **svc(A)}, A),
    Case(
        "name servers of the host above", {"ns": "x.", "map": {"www": svc(A)}}, Kind.NO_ADDRESS, host="www.example.bit"
    ),
    Case("name servers of another host", {"map": {"mail": {"ns": "x."}, **tor(A)}}, A),
    Case("name servers of _tor", {"map": {"_tor": {"ns": "x.", "txt": A}}}, Kind.NO_ADDRESS),
    Case("name servers under the empty label", {"map": {"": {"ns": "x."}, **tor(A)}}, Kind.NO_ADDRESS),
    Case("ns before translate", {"ns": "x.", "translate": "other.bit."}, Kind.NO_ADDRESS, others={"d/other": svc(B)}),
    # translate
    Case("translate", {"translate": "other.bit."}, B, others={"d/other": svc(B)}),
    Case("translate before the rest", {"translate": "other.bit.", **svc(A)}, B, others={"d/other": svc(B)}),
    Case(
        "translate before alias", {"translate": "a.bit.", "alias": "b.bit."}, A, others={"d/a": svc(A), "d/b": svc(B)}
    ),
    Case(
        "translate moves what is below",
        {"translate": "x.other.bit."},
        B,
        host="www.example.bit",
        others={"d/other": {"map": {"x": {"map": {"www": svc(B)}}}}},
    ),
    Case("translate in a subdomain", {"map": {"a": {"translate": "b"}, "b": svc(B)}}, B, host="a.example.bit"),
    Case("translate of _tor", {"map": {"_tor": {"translate": "_x"}, "_x": {"txt": A}}}, A),
    Case("translate of _tor to nothing", {"map": {"_tor": {"translate": "_x.a.@"}, "_x": {"txt": A}}}, Kind.NO_ADDRESS),
    Case("translate of _tor outside", {"map": {"_tor": {"translate": "_tor.example.com."}}}, Kind.NO_ADDRESS),
    Case("translate of _tor to itself", {"map": {"_tor": {"translate": "_tor"}}}, Kind.MALFORMED),
    Case("translate outside", {"translate": "example.com."}, Kind.NO_ADDRESS),
    Case("translate to an onion service", {"translate": A + "."}, A),
    Case("translate to itself", {"translate": "@"}, Kind.MALFORMED),
    Case("translate a list", {"translate": ["other.bit."], **svc(A)}, A),
    Case("translate null", {"translate": None, **svc(A)}, A),
    Case("translate too long", {"translate": "a." * 110 + "bit."}, Kind.MALFORMED, host="b" * 60 + ".example.bit"),
    # alias
    Case("alias to the apex", {"map": {"www": {"alias": "@"}, **tor(A)}}, A, host="www.example.bit"),
    Case("alias to nothing is the parent", {"map": {"www": {"alias": ""}, **tor(A)}}, A, host="www.example.bit"),
    Case("alias beside", {"map": {"www": {"alias": "x"}, "x": svc(A)}}, A, host="www.example.bit"),
    Case("alias by apex", {"map": {"www": {"alias": "x.@"}, "x": svc(A)}}, A, host="www.example.bit"),
    Case("alias at the top is below the apex", {"alias": "x", "map": {"x": svc(A)}}, A),
    Case(
        "alias in depth is beside its object",
        {"map": {"b": {"map": {"a": {"alias": "x.y"}, "y": {"map": {"x": svc(A)}}}}}},
        A,
        host="a.b.example.bit",
    ),
    Case("alias to another name", {"alias": "other.bit."}, B, others={"d/other": svc(B)}),
    Case("alias to another name's subdomain", {"alias": "w.o.bit."}, B, others={"d/o": {"map": {"w": svc(B)}}}),
    Case("_tor before alias", {"alias": "other.bit.", **svc(A)}, A, others={"d/other": svc(B)}),
    Case("a broken _tor, then alias", {"alias": "other.bit.", **svc(BAD)}, B, others={"d/other": svc(B)}),
    Case("alias of _tor", {"map": {"_tor": {"alias": "_tor.o.bit."}}}, B, others={"d/o": svc(B)}),
    Case("alias of _tor to an onion service", {"map": {"_tor": {"alias": A + "."}}}, Kind.NO_ADDRESS),
    Case("alias to an onion service", {"alias": A + "."}, A),
    Case("alias to a broken onion service", {"alias": BAD + "."}, Kind.MALFORMED),
    Case(
        "a _tor that leads nowhere, then alias",
        {"map": {"*": {"alias": "x.bit."}}, "alias": "o.bit."},
        B,
        others={"d/o": svc(B)},
    ),
    Case(
        "alias of _tor that cannot be had",
        {"map": {"_tor": {"alias": "_tor.o.bit."}}},
        Kind.TIMEOUT,
        others={"d/o": Kind.TIMEOUT},
    ),
    Case("alias outside", {"alias": "example.com."}, Kind.NO_ADDRESS),
    Case("alias to .bit.onion", {"alias": "other.bit.onion."}, Kind.MALFORMED, others={"d/other": svc(B)}),
    Case("alias to what is not registered", {"alias": "other.bit."}, Kind.NOT_REGISTERED),
    Case("alias to what is expired", {"alias": "other.bit."}, Kind.EXPIRED, others={"d/other": Kind.EXPIRED}),
    Case("alias to itself", {"alias": "@"}, Kind.MALFORMED),
    Case("aliases in a circle", {"alias": "b.bit."}, Kind.MALFORMED, others={"d/b": {"alias": "example.bit."}}),
    Case("alias to what nobody can register", {"alias": "a_b.bit."}, Kind.MALFORMED),
    Case("alias that is no name", {"alias": "ex$ample.com."}, Kind.MALFORMED),
    Case("alias a list", {"alias": ["other.bit."]}, Kind.MALFORMED),
    Case("alias null", {"alias": None, **svc(A)}, A),
    # import
    Case("import", {"import": "dd/x"}, A, others={"dd/x": svc(A)}),
    Case("import a list", {"import": ["dd/x"]}, A, others={"dd/x": svc(A)}),
    Case("import a list of lists", {"import": [["dd/x"]]}, A, others={"dd/x": svc(A)}),
    Case("import with an empty selector", {"import": [["dd/x", ""]]}, A, others={"dd/x": svc(A)}),
    Case(
        "import a subdomain", {"import": [["dd/x", "b.a"]]}, A, others={"dd/x": {"map": {"a": {"map": {"b": svc(A)}}}}}
    ),
    Case("import a star", {"import": [["dd/x", "*"]]}, A, others={"dd/x": {"map": {"*": svc(A)}}}),
    Case("import a pair without a list", {"import": ["dd/x", "a"]}, A, others={"dd/x": {"map": {"a": svc(A)}}}),
    Case("import two names", {"import": ["dd/x", "dd/y"]}, A, others={"dd/x": {"info": 1}, "dd/y": svc(A)}),
    Case("import more than two words", {"import": [["dd/x", "a", 5]]}, A, others={"dd/x": {"map": {"a": svc(A)}}}),
    Case("the importer wins", {"import": "dd/x", **svc(A)}, A, others={"dd/x": svc(B)}),
    Case("the first import wins", {"import": ["dd/x", "dd/y"]}, A, others={"dd/x": svc(A), "dd/y": svc(B)}),
    Case("null hides an item", {"import": "dd/x", "map": None}, Kind.NO_ADDRESS, others={"dd/x": svc(B)}),
    Case("null hides a label", {"import": "dd/x", "map": {"_tor": None}}, Kind.NO_ADDRESS, others={"dd/x": svc(B)}),
    Case("null hides name servers", {"import": "dd/x", "ns": None}, A, others={"dd/x": {"ns": "x.", **svc(A)}}),
    Case(
        "empty is present", {"import": "dd/x", "map": {"_tor": {"txt": []}}}, Kind.NO_ADDRESS, others={"dd/x": svc(B)}
    ),
    Case("maps merge", {"import": "dd/x", "map": {"www": {}}}, A, others={"dd/x": svc(A)}),
    Case("maps merge in depth", {"import": "dd/x", "map": {"_tor": {"ip": "192.0.2.1"}}}, A, others={"dd/x": svc(A)}),
    Case("empty label before an import", {"import": "dd/x", "map": {"": svc(A)}}, A, others={"dd/x": svc(B)}),
    Case("import in a map", {"map": {"www": {"import": "dd/x"}}}, A, host="www.example.bit", others={"dd/x": svc(A)}),
    Case(
        "import in a map elsewhere", {"map": {"x": {"import": "d/slow"}, **tor(A)}}, A, others={"d/slow": Kind.TIMEOUT}
    ),
    Case(
        "names in what is imported are the importer's",
        {"map": {"www": {"import": "d/x"}, **tor(A)}},
        A,
        host="www.example.bit",
        others={"d/x": {"alias": "@", "map": {}}},
    ),
    Case("import that is not there", {"import": ["dd/x", "dd/y"]}, A, others={"dd/y": svc(A)}),
    Case("import that is not there, alone", {"import": "dd/x"}, Kind.NO_ADDRESS),
    Case("import of what is malformed", {"import": "dd/x", **svc(A)}, A, others={"dd/x": "{"}),
    Case("import of what is malformed, alone", {"import": "dd/x"}, Kind.MALFORMED, others={"dd/x": "[]"}),
    Case("import of what cannot be had", {"import": "dd/x", **svc(A)}, Kind.TIMEOUT, others={"dd/x": Kind.TIMEOUT}),
    Case("import without a server", {"import": "dd/x"}, Kind.UNAVAILABLE, others={"dd/x": Kind.UNAVAILABLE}),
    Case("import null", {"import": None, **svc(A)}, A),
    Case("import of nothing", {"import": [], **svc(A)}, A),
    Case("import a number", {"import": 5, **svc(A)}, A),
    Case("import numbers", {"import": [5, [], [[]], {}, ["dd/x", 5], ["dd/x", "a..b"]]}, Kind.MALFORMED),
    Case("import of what is no name", {"import": "x"}, Kind.MALFORMED),
    Case(
        "import of a subdomain that is not there", {"import": [["dd/x", "a"]]}, Kind.NO_ADDRESS, others={"dd/x": svc(A)}
    ),
    Case("import of itself", {"import": "d/example", **svc(A)}, A),
    Case("import of itself, alone", {"import": "d/example"}, Kind.MALFORMED),
    Case("import of its own subdomain", {"import": [["d/example", "x"]], "map": {"x": svc(A)}}, A),
    Case("imports in a circle", {"import": "dd/x"}, Kind.MALFORMED, others={"dd/x": {"import": "d/example"}}),
    Case(
        "imports four deep",
        {"import": "dd/1"},
        A,
        others={"dd/1": {"import": "dd/2"}, "dd/2": {"import": "dd/3"}, "dd/3": {"import": "dd/4"}, "dd/4": svc(A)},
    ),
    Case(
        "imports five deep",
        {"import": "dd/1"},
        Kind.MALFORMED,
        others={**{f"dd/{n}": {"import": f"dd/{n + 1}"} for n in range(1, 5)}, "dd/5": svc(A)},
    ),
    # delegate
    Case("delegate", {"delegate": "dd/x"}, A, others={"dd/x": svc(A)}),
    Case("delegate a pair", {"delegate": ["dd/x", "a"]}, A, others={"dd/x": {"map": {"a": svc(A)}}}),
    Case("delegate replaces", {"delegate": "dd/x", **svc(A)}, Kind.NO_ADDRESS, others={"dd/x": {"info": 1}}),
    Case("delegate that is not there", {"delegate": "dd/x", **svc(A)}, A),
    Case("delegate null", {"delegate": None, **svc(A)}, A),
    # What is not there at all
    Case("not registered", Kind.NOT_REGISTERED, Kind.NOT_REGISTERED),
    Case("expired", Kind.EXPIRED, Kind.EXPIRED),
    Case("not synchronised", Kind.NOT_SYNCHRONISED, Kind.NOT_SYNCHRONISED),
    Case("timeout", Kind.TIMEOUT, Kind.TIMEOUT),
    Case("unavailable", Kind.UNAVAILABLE, Kind.UNAVAILABLE),
    Case("malformed", "reserved", Kind.MALFORMED),
    Case("a key twice", '{"map":{},"map":{}}', Kind.MALFORMED),
    Case("NaN", '{"x":NaN}', Kind.MALFORMED),
    Case("surrogate", '{"x":"\\ud800"}', Kind.MALFORMED),
    Case("huge integer", '{"x":' + "9" * 900 + "}", Kind.NO_ADDRESS),
    Case("nested too deeply", '{"x":' + "[" * 100 + "]" * 100 + "}", Kind.MALFORMED),
    Case("outside .bit", svc(A), Kind.NOT_NAMECOIN, host="example.com"),
    Case("no label", svc(A), Kind.NOT_REGISTERED, host="a_b.bit"),
    Case("too many levels", {"map": {"a": svc(A)}}, Kind.NO_ADDRESS, host="a." * 16 + "example.bit"),
]

IP_CASES = [
    Case("ip", {"ip": "192.0.2.1"}, "192.0.2.1", ip=True),
    Case("ip list", {"ip": ["192.0.2.1", "192.0.2.2"]}, "192.0.2.1", ip=True),
    Case("ip, the first good one", {"ip": ["site", 5, "192.0.2.001", "3221225985", "192.0.2.2"]}, "192.0.2.2", ip=True),
    Case("ip bad only", {"ip": "192.0.2"}, Kind.MALFORMED, ip=True),
    Case("ip an IPv6 address", {"ip": "2001:db8::1"}, Kind.MALFORMED, ip=True),
    Case("ip empty", {"ip": []}, Kind.NO_ADDRESS, ip=True),
    Case("ip6", {"ip6": "2001:DB8::BEEF"}, "2001:db8::beef", ip=True),
    Case("ip6 with a zone", {"ip6": "fe80::1%eth0"}, Kind.MALFORMED, ip=True),
    Case("ip before ip6", {"ip6": "2001:db8::1", "ip": "192.0.2.1"}, "192.0.2.1", ip=True),
    Case("ip in a map", {"map": {"www": "192.0.2.1"}}, "192.0.2.1", host="www.example.bit", ip=True),
    Case("ip under the empty label", {"map": {"": "192.0.2.1"}}, "192.0.2.1", ip=True),
    Case("own ip before the empty label's", {"ip": "192.0.2.1", "map": {"": "192.0.2.2"}}, "192.0.2.1", ip=True),
    Case("ip of a star", {"map": {"*": "192.0.2.1"}}, "192.0.2.1", host="x.example.bit", ip=True),
    Case("onion service first", {"ip": "192.0.2.1", **svc(A)}, A, ip=True),
    Case(".bit.onion wants no ip", {"ip": "192.0.2.1"}, Kind.NO_ADDRESS, host="example.bit.onion", ip=True),
    Case("ns before ip", {"ns": "ns1.example.com.", "ip": "192.0.2.1"}, Kind.NO_ADDRESS, ip=True),
    Case(
        "alias before ip",
        {"alias": "o.bit.", "ip": "192.0.2.1"},
        "192.0.2.2",
        others={"d/o": {"ip": "192.0.2.2"}},
        ip=True,
    ),
    Case("a broken alias does not spoil ip", {"alias": 5, "ip": "192.0.2.1"}, "192.0.2.1", ip=True),
    Case("translate before ip", {"translate": "o.bit.", "ip": "1.1.1.1"}, Kind.NO_ADDRESS, others={"d/o": {}}, ip=True),
    Case("alias outside", {"alias": "example.com."}, "example.com", ip=True),
    Case("translate outside", {"translate": "example.com."}, "www.example.com", host="www.example.bit", ip=True),
    Case(
        "imported ip hidden by null",
        {"import": "dd/x", "ip": None},
        Kind.NO_ADDRESS,
        others={"dd/x": {"ip": "1.1.1.1"}},
        ip=True,
    ),
    Case(
        "imported ip overridden",
        {"import": "dd/x", "ip": "192.0.2.1"},
        "192.0.2.1",
        others={"dd/x": {"ip": "1.1.1.1"}},
        ip=True,
    ),
    Case(
        "imported ip6 kept",
        {"import": "dd/x", "ip": []},
        "2001:db8::1",
        others={"dd/x": {"ip6": "2001:db8::1"}},
        ip=True,
    ),
]


def resolve(case: Case) -> tuple[Outcome, Chain]:
    chain = Chain({"d/example": case.value, **case.others})
    return asyncio.run(names.resolve(case.host, chain.lookup, onion_only=not case.ip)), chain


@pytest.mark.parametrize("case", ONION_CASES + IP_CASES, ids=lambda case: case.name)
def test_values(case: Case) -> None:
    outcome, _ = resolve(case)
    if isinstance(case.expected, Kind):
        assert (outcome.kind, outcome.target) == (case.expected, "")
    else:
        assert outcome == Outcome(Kind.FOUND, case.expected)


def test_each_name_is_asked_for_once() -> None:
    shared = {"d/example": {"import": ["dd/x", "dd/y"], "alias": "@"}, "dd/x": {"import": "dd/y"}, "dd/y": svc(A)}
    chain = Chain(shared)
    assert asyncio.run(names.resolve("example.bit", chain.lookup)).target == A
    assert chain.asked == ["d/example", "dd/x", "dd/y"]


def test_imports_are_fetched_only_on_the_way_to_the_host() -> None:
    chain = Chain({"d/example": {"map": {"x": {"import": "dd/x"}, **tor(A)}}})
    assert asyncio.run(names.resolve("example.bit", chain.lookup)).target == A
    assert chain.asked == ["d/example"]


def test_many_imports_end_at_the_limit() -> None:
    chain = Chain({"d/example": {"import": [f"dd/{n}" for n in range(40)]}, **{f"dd/{n}": {} for n in range(40)}})
    outcome = asyncio.run(names.resolve("example.bit", chain.lookup))
    assert outcome.kind is Kind.MALFORMED
    assert len(chain.asked) == names.MAX_NAMES


def test_imports_that_multiply_end_at_the_limit() -> None:
    # Forty statements per value, four deep: 2.5 million merges without a limit, and few names.
    everything = {f"dd/{n}": {"import": [[f"dd/{(n + k) % 8}", ""] for k in range(40)]} for n in range(8)}
    chain = Chain({"d/example": everything["dd/0"], **everything})
    outcome = asyncio.run(names.resolve("example.bit", chain.lookup))
    assert outcome.kind is Kind.MALFORMED
    assert len(chain.asked) <= 9


def test_aliases_that_lead_on_and_on_end_at_the_limit() -> None:
    chain = Chain({"d/example": {"alias": "n0.bit."}, **{f"d/n{n}": {"alias": f"n{n + 1}.bit."} for n in range(99)}})
    outcome = asyncio.run(names.resolve("example.bit", chain.lookup))
    assert outcome.kind is Kind.MALFORMED
    assert len(chain.asked) == names.MAX_NAMES


def test_translations_that_grow_end() -> None:
    chain = Chain({"d/example": {"map": {"*": {"translate": "a.b.c.@"}}}})
    outcome = asyncio.run(names.resolve("x.example.bit", chain.lookup))
    assert outcome == Outcome(Kind.NO_ADDRESS, detail="more than 16 levels deep")
    assert chain.asked == ["d/example"]


def test_details_say_why() -> None:
    def detail(value: object, host: str = "example.bit") -> str:
        return str(resolve(Case("", value, "", host=host))[0])

    assert detail({}) == "no address (no onion service)"
    assert detail({"ns": "x."}) == "no address (it is left to name servers)"
    assert detail({}, "www.example.bit") == "no address (no such subdomain)"
    assert detail(svc(BAD)) == "malformed value (no version 3 onion address)"
    assert detail({"alias": "@"}) == "malformed value (names that point in a circle, or too far)"
    assert detail("[") == "malformed value (not JSON)"


KEYS = ["map", "_tor", "txt", "import", "delegate", "alias", "translate", "ns", "dns", "ip", "ip6", "*", "www", "tor"]
TEXTS = [
    "",
    "@",
    "d/example",
    "d/a",
    "d/b",
    "a.bit.",
    "b.bit.",
    "www.@",
    "a",
    "example.com.",
    A,
    A + ".",
    BAD,
    "192.0.2.1",
]
WORDS = st.sampled_from(KEYS + TEXTS)
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=25,
)
OBJECTS = st.dictionaries(WORDS, ANY, max_size=6)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["example.bit", "www.example.bit", "a.www.example.bit.onion"]),
    OBJECTS,
    st.dictionaries(st.sampled_from(["d/a", "d/b", "d/www"]), OBJECTS | st.sampled_from(list(Kind)[1:])),
    st.booleans(),
)
def test_any_json_ends_within_the_limits(host: str, value: object, others: Mapping[str, object], ip: bool) -> None:
    asked: list[str] = []

    async def lookup(identifier: str) -> values.DomainObject:
        asked.append(identifier)
        entry = {"d/example": value, **others}.get(identifier, Kind.NOT_REGISTERED)
        if isinstance(entry, Kind):
            raise NameLookupError(entry)
        return values.parse(json.dumps(entry).encode())

    outcome = asyncio.run(names.resolve(host, lookup, onion_only=not ip))
    assert len(asked) == len(set(asked)) <= names.MAX_NAMES
    assert (outcome.kind is Kind.FOUND) == bool(outcome.target)
    if outcome.target and not ip:
        assert outcome.target == A
