"""Where boxes and lines go: everything is there, nothing overlaps, columns read from left to right."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packager.deps import drawing
from packager.deps.drawing import BOX_HEIGHT, Drawing, Node
from packager.deps.model import Edge, Graph, Module, RuntimeLoad
from tests.deps.fake import graph_of
from tests.deps.test_show import FILES


def graph(modules: Iterable[Module], edges: Iterable[Edge] = (), runtime: Iterable[RuntimeLoad] = ()) -> Graph:
    return Graph(tuple(sorted(modules, key=lambda module: module.id)), tuple(edges), tuple(runtime), (), "a test")


def file(name: str, *, root: bool = False, is_dll: bool = True) -> Module:
    return Module(name, name.rpartition("/")[2], "tree", "x86_64", is_dll, root)


def edge(importer: str, target: str, **options: Any) -> Edge:
    name = target.rpartition(":")[2].rpartition("/")[2]
    return replace(Edge(importer, target, name, "import", "system32"), **options)


def by_id(drawn: Drawing) -> dict[str, Node]:
    return {node.id: node for node in drawn.nodes}


def lines(drawn: Drawing) -> set[tuple[str, str, str, bool]]:
    return {(drawn.nodes[one.source].id, drawn.nodes[one.target].id, one.style, one.through) for one in drawn.lines}


def check(given: Graph, drawn: Drawing) -> None:
    """What holds of every drawing."""
    api_sets = {f"api-set:{one.name.lower()}" for one in given.edges if one.rule == "api-set"}
    assert sorted(node.id for node in drawn.nodes) == sorted([*(module.id for module in given.modules), *api_sets])
    boxes = [(node.x, node.y, node.width, BOX_HEIGHT) for node in drawn.nodes]
    boxes += [(label.x, label.y, label.width, 18) for label in drawn.folders]
    for x, y, width, height in boxes:
        assert x >= 0
        assert y >= 0
        assert x + width <= drawn.width
        assert y + height <= drawn.height
    for (x, y, width, height), (other_x, other_y, other_width, other_height) in combinations(boxes, 2):
        beside = x + width <= other_x or other_x + other_width <= x
        assert beside or y + height <= other_y or other_y + other_height <= y
    connected = {(one.importer, one.target) for one in given.edges}
    assert {(source, target) for source, target, _style, through in lines(drawn) if through} <= connected
    assert len(lines(drawn)) == len(drawn.lines)


def test_a_bundle(tmp_path: Path) -> None:
    given = graph_of(tmp_path, FILES)
    drawn = drawing.draw(given)
    check(given, drawn)
    assert [title.text for title in drawn.titles] == [
        "Programs", "Loaded by their path", "Their DLLs", "DLLs of those", "Missing", "API sets", "Windows",
    ]  # fmt: skip
    nodes = by_id(drawn)
    assert [nodes[name].kind for name in ("python.exe", "windows:version.dll", "missing:gone.dll")] == [
        "tree",
        "windows",
        "missing",
    ]
    assert [node.id for node in drawn.nodes if node.plantable] == ["windows:version.dll"]
    assert nodes["python.exe"].x < nodes["DLLs/a.pyd"].x < nodes["python313.dll"].x < nodes["other.dll"].x
    api_set = "api-set:api-ms-win-crt-heap-l1-1-0.dll"
    assert nodes["other.dll"].x < nodes["missing:gone.dll"].x < nodes[api_set].x < nodes["windows:ucrtbase.dll"].x
    assert [label.text for label in drawn.folders] == ["DLLs/"]
    found = lines(drawn)
    assert ("DLLs/a.pyd", "missing:gone.dll", "bad", False) in found
    assert ("python313.dll", "other.dll", "forwarder", False) in found
    assert ("DLLs/a.pyd", "windows:version.dll", "delay-import", False) in found
    assert ("DLLs/b.pyd", "windows:ws2_32.dll", "runtime", False) in found
    # Through the API set, or past it where that is hidden.
    assert {one for one in found if "windows:ucrtbase.dll" in one or api_set in one} == {
        ("python313.dll", api_set, "bad", False),
        (api_set, "windows:ucrtbase.dll", "import", False),
        ("python313.dll", "windows:ucrtbase.dll", "bad", True),
    }


def test_nothing() -> None:
    given = graph([])
    check(given, drawing.draw(given))


def test_libraries_stand_behind_what_needs_them() -> None:
    chain = ["a.exe", "b.dll", "c.dll", "d.dll"]
    modules = [file("a.exe", root=True, is_dll=False), *(file(name) for name in chain[1:])]
    edges = [
        *(edge(one, two) for one, two in pairwise(chain)),
        edge("a.exe", "d.dll"),
        edge("d.dll", "b.dll"),
    ]
    given = graph(modules, edges)
    drawn = drawing.draw(given)
    check(given, drawn)
    assert sorted(chain, key=lambda name: by_id(drawn)[name].x) == chain


def test_a_circle_that_nothing_leads_to() -> None:
    modules = [file("a.dll"), file("b.dll")]
    given = graph(modules, [edge("a.dll", "b.dll"), edge("b.dll", "a.dll"), edge("a.dll", "a.dll")])
    drawn = drawing.draw(given)
    check(given, drawn)
    assert len(lines(drawn)) == 3


def test_a_long_chain_needs_no_recursion() -> None:
    names = [f"{number:04}.dll" for number in range(1500)]
    given = graph([file(name) for name in names], [edge(one, two) for one, two in pairwise(names)])
    nodes = drawing.draw(given).nodes
    assert [node.id for node in sorted(nodes, key=lambda node: node.x)] == names


def test_many_roots_stand_in_several_columns_by_folder() -> None:
    modules = [file(f"{folder}/{number}.pyd", root=True) for folder in ("one", "two") for number in range(100)]
    given = graph(modules)
    drawn = drawing.draw(given)
    check(given, drawn)
    assert 3 <= len({node.x for node in drawn.nodes}) <= 12
    assert 0.5 < drawn.width / drawn.height < 2
    assert {label.text for label in drawn.folders} == {"one/", "two/"}
    for label in drawn.folders:
        below = [node for node in drawn.nodes if node.x == label.x and node.y > label.y]
        assert min(below, key=lambda node: node.y).id.startswith(label.text)


def test_the_worst_of_several_needs_is_drawn() -> None:
    modules = [file("a.exe", root=True, is_dll=False), Module("windows:b.dll", "b.dll", "windows")]
    edges = [edge("a.exe", "windows:b.dll", via="delay-import", missing=("x",)), edge("a.exe", "windows:b.dll")]
    assert lines(drawing.draw(graph(modules, edges))) == {("a.exe", "windows:b.dll", "bad", False)}


def test_names_that_cannot_be_seen_are_shown_as_codes() -> None:
    drawn = drawing.draw(graph([file("x\u202e/b\x07.dll", root=True)]))
    assert (drawn.nodes[0].label, drawn.folders[0].text) == ("b\\x07.dll", "x\\u202e/")


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Any modules that need each other in any way."""
    roots = draw(st.lists(st.booleans(), max_size=25))
    kinds = [draw(st.sampled_from(["tree", "exe", "windows", "missing"])) for _ in roots]
    modules = [
        file(f"{number % 3}/{'n' * (number * 3)}{number}", root=root, is_dll=kind == "tree")
        if kind in ("tree", "exe")
        else Module(f"{kind}:{number}.dll", f"{number}.dll", kind)  # type: ignore[arg-type]
        for number, (root, kind) in enumerate(zip(roots, kinds, strict=True))
    ]
    ids = [module.id for module in modules]
    if not ids:
        return graph([])
    one_edge = st.builds(
        edge,
        st.sampled_from(ids),
        st.sampled_from(ids),
        via=st.sampled_from(["import", "delay-import", "forwarder", "assembly"]),
        rule=st.sampled_from(["system32", "api-set", None]),
        plantable=st.booleans(),
        missing=st.sampled_from([(), None, ("x",)]),
    )
    load = st.builds(
        RuntimeLoad,
        st.sampled_from([*ids, "x.py"]),
        st.none(),
        st.just("x"),
        st.just("string"),
        st.sampled_from([*ids, None]),
    )
    return graph(modules, draw(st.lists(one_edge, max_size=60)), draw(st.lists(load, max_size=9)))


@given(graphs())
def test_any_graph(given: Graph) -> None:
    drawn = drawing.draw(given)
    check(given, drawn)
    assert drawing.draw(given) == drawn


@pytest.mark.parametrize("count", [1, 16, 17, 300])
def test_columns_are_filled_from_the_top(count: int) -> None:
    given = graph([file(f"{number:03}.pyd", root=True) for number in range(count)])
    drawn = drawing.draw(given)
    check(given, drawn)
    assert [node.id for node in sorted(drawn.nodes, key=lambda node: (node.x, node.y))] == [m.id for m in given.modules]
