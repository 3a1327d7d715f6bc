"""The page: whole in itself, allowed nothing but itself, and no name out of a file is more than text in it."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]
import pytest

from packager.deps import document, html
from packager.deps.model import Finding, Graph, Module, RuntimeLoad
from packager.deps.search import RULES
from packager.pe.imports import Symbol
from tests.deps.fake import graph_of, library
from tests.deps.test_drawing import edge, file, graph
from tests.deps.test_show import FILES, ROOT
from tests.pe.build import Dll

#: Names that mean something in HTML, JavaScript or JSON, in addresses, to the page's template, or to who reads them.
HOSTILE = (
    "</script><img src=x onerror=alert(1)>.dll", "<!--<script>.dll", "&lt;b&gt;.dll", "'\"\\.dll", "]]>.dll", "__proto__",
    "constructor", "@script@.dll", "\u2028\u2029.dll", "\u202egnp.lld", "</title><h1>.dll", "${x}`.dll", "%3Cb%3E.dll",
)  # fmt: skip


class Elements(HTMLParser):
    """The elements of a page: each tag with its attributes, and the text in it."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None], str]] = []
        self.inside = False
        self.feed(page.decode())
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes), ""))
        self.inside = True

    def handle_endtag(self, tag: str) -> None:
        self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            tag, attributes, text = self.found[-1]
            self.found[-1] = (tag, attributes, text + data)

    def text(self, tag: str, **attributes: str) -> str:
        """The text of the one element that is so."""
        (found,) = [text for name, having, text in self.found if name == tag and having == attributes]
        return found


def hostile_graph() -> Graph:
    """A graph with hostile names in every place that has names."""
    names = [*HOSTILE]
    modules = [file(name, root=True, is_dll=number % 2 > 0) for number, name in enumerate(names)]
    modules += [Module(f"missing:{name}", name, "missing", error=name) for name in names]
    edges = [
        edge(
            importer.id,
            target.id,
            name=target.name,
            missing=tuple(names),
            wanted=tuple(Symbol(one, None) for one in names),
            why=target.name,
            plantable=True,
            rule=rule,
        )
        for importer, target, rule in zip(modules, modules[5:], ["api-set", None, "path"] * 99, strict=False)
    ]
    found = graph(modules, edges, [RuntimeLoad(name, 1, name, name, None) for name in names])
    findings = tuple(Finding("missing-symbol", "error", name, name, name, name, name) for name in names)
    return Graph(found.modules, found.edges, found.runtime, findings, names[0], (), tuple(names))


@pytest.fixture
def found(tmp_path: Path) -> Graph:
    return graph_of(tmp_path, FILES)


def test_it_needs_nothing_else(found: Graph) -> None:
    page = html.page(found)
    elements = Elements(page)
    assert {tag for tag, _attributes, _text in elements.found} == {
        "html", "head", "meta", "title", "style", "body", "header", "h1", "p", "div", "input", "output", "main", "aside",
        "button", "noscript", "script",
    }  # fmt: skip
    for tag, attributes, _text in elements.found:
        assert not {
            name for name in attributes if name in ("src", "href", "style", "srcset", "action") or name[:2] == "on"
        }, tag
    assert not re.search(
        rb"(?i)@import|\burl\((?!#)|\bimport\(|fetch\(|XMLHttp|WebSocket|EventSource|sendBeacon|eval|innerHTML", page
    )
    # The one address in it is the name of SVG's elements.
    assert set(re.findall(rb"\w+://[^\"']*", page)) == {b"http://www.w3.org/2000/svg"}


def test_the_policy_allows_its_own_style_and_script_only(found: Graph) -> None:
    elements = Elements(html.page(found))
    (policy,) = [
        attributes["content"]
        for tag, attributes, _text in elements.found
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    digests = [hashlib.sha256(elements.text(tag).encode()).digest() for tag in ("style", "script")]
    style, script = (base64.b64encode(digest).decode() for digest in digests)
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; base-uri 'none'; "
        "form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )


def test_what_the_template_puts_together_ends_where_it_should() -> None:
    for name in ("deps.css", "deps.js"):
        text = (ROOT / "packager/data" / name).read_text("utf-8")
        assert "\r" not in text, "a browser reads other line ends, so the hash would be another one"
        assert not re.search(r"</|<!--|<script|<style", text, re.IGNORECASE)


def test_it_holds_the_document(found: Graph) -> None:
    elements = Elements(html.page(found))
    held = json.loads(elements.text("script", type="application/json", id="graph"))
    assert held == json.loads(document.encode(found))
    jsonschema.validate(held, json.loads(document.schema()))


def test_it_holds_what_is_asked_for(found: Graph) -> None:
    held = json.loads(Elements(html.page(found)).text("script", type="application/json", id="symbols"))
    assert len(held["edges"]) == len(found.edges)
    asked = {
        (one.importer, one.name): [held["names"][place] for place in places]
        for one, places in zip(found.edges, held["edges"], strict=True)
    }
    assert asked["python313.dll", "api-ms-win-crt-heap-l1-1-0.dll"] == ["malloc", "no"]
    assert asked["DLLs/a.pyd", "gone.dll"] == ["f"]
    assert asked["python313.dll", "other.dll"] == [], "forwarders"
    assert len(set(held["names"])) == len(held["names"])


def test_it_holds_the_drawing(found: Graph) -> None:
    drawn = json.loads(Elements(html.page(found)).text("script", type="application/json", id="drawing"))
    assert set(drawn) == {"width", "height", "titles", "folders", "nodes", "lines", "rules"}
    assert set(drawn["rules"]) == set(RULES)
    ids = [node["id"] for node in drawn["nodes"]]
    assert {module.id for module in found.modules} < set(ids)


def test_names_are_nothing_but_text(tmp_path: Path) -> None:
    harmless = graph([file("a.exe", root=True, is_dll=False)])
    hostile = hostile_graph()
    page = html.page(hostile)
    assert b"<img" not in page
    assert [tag for tag, _, _ in Elements(page).found] == [tag for tag, _, _ in Elements(html.page(harmless)).found]
    held = json.loads(Elements(page).text("script", type="application/json", id="graph"))
    assert [module["id"] for module in held["modules"]] == [module.id for module in hostile.modules]
    assert held["data_origin"] == HOSTILE[0]


def test_names_out_of_files_are_nothing_but_text(tmp_path: Path) -> None:
    """The same, all the way from the bytes of a file."""
    files = {"a.pyd": library(imports=[Dll(name, (name,)) for name in HOSTILE])}
    hostile = graph_of(tmp_path, files)
    assert {module.name for module in hostile.modules if module.origin == "missing"} == set(HOSTILE)
    page = html.page(hostile)
    assert b"<img" not in page
    assert [tag for tag, _, _ in Elements(page).found].count("script") == 4


@pytest.mark.parametrize(
    ("names", "title"),
    [
        ([], "DLL dependencies"),
        (["a.exe"], "DLL dependencies of a.exe"),
        (["a.exe", "b.exe", "c.exe"], "DLL dependencies of a.exe and 2 more"),
        (["<i>&\x07.exe"], "DLL dependencies of <i>&\\x07.exe"),
    ],
)
def test_the_title(names: list[str], title: str) -> None:
    elements = Elements(html.page(graph([file(name, root=True, is_dll=False) for name in names])))
    assert elements.text("title").strip() == title
    assert elements.text("h1").strip() == title


def test_the_same_bytes_each_time() -> None:
    program = "import hashlib, sys; from packager.deps import html; from tests.deps.test_html import hostile_graph; "
    program += "sys.stdout.write(hashlib.sha256(html.page(hostile_graph())).hexdigest())"
    expected = hashlib.sha256(html.page(hostile_graph())).hexdigest()
    for seed in ("1", "2"):
        env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-c", program], env=env, cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert done.stdout == expected
