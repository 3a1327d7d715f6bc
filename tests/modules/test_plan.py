"""What stays and what goes: each kind of import, each kind of rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packager.errors import BuildError, SpecError
from packager.modules.trace import NO_TRACE
from tests.deps.fake import library, program
from tests.modules.build import planned, rule, traced


def kept(files: Mapping[str, bytes | Sequence[str]], *roots: str, **options: Any) -> set[str]:
    return set(planned(files, *roots, **options).keep)


def app(**modules: list[str]) -> dict[str, bytes | list[str]]:
    return {f"app/{name}.pyc": lines for name, lines in modules.items()}


def test_only_what_is_reached_stays() -> None:
    plan = planned(app(main=["a"], a=["b"], b=["a"], c=["a", "d"], d=[]), "main")
    assert plan.keep == {"app/main.pyc", "app/a.pyc", "app/b.pyc"}
    assert plan.pruned == {
        "app/c.pyc": "imported by nothing that is in",
        "app/d.pyc": "imported by nothing that is in",
    }


def test_what_lies_elsewhere_is_left_alone() -> None:
    files: dict[str, bytes | list[str]] = {"app/main.pyc": [], "top.exe": b"x", "python/x.pyc": b"", "app/x.txt": b""}
    assert kept(files, "main") == set(files)


def test_packages_come_with_their_modules() -> None:
    files = {
        "app/main.pyc": ["p.q.m"],
        "app/p/__init__.pyc": [],
        "app/p/q/__init__.pyc": ["..r: x"],
        "app/p/q/m.pyc": [],
        "app/p/r.pyc": [],
        "app/p/s.pyc": [],
    }
    assert kept(files, "main") == set(files) - {"app/p/s.pyc"}


def test_from_names_modules_and_other_things() -> None:
    files = {"app/main.pyc": ["p: a value"], "app/p/__init__.pyc": [], "app/p/a.pyc": [], "app/p/value2.pyc": []}
    assert kept(files, "main") == set(files) - {"app/p/value2.pyc"}


def test_a_package_is_run_by_its_main() -> None:
    files = {"app/p/__init__.pyc": [], "app/p/__main__.pyc": [".a: x"], "app/p/a.pyc": [], "app/p/b.pyc": []}
    assert kept(files, "p") == set(files) - {"app/p/b.pyc"}


def test_functions_count_if_a_run_says_so() -> None:
    files = app(main=["late a", "late b"], a=["c"], b=[], c=[])
    plan = planned(files, "main")
    assert plan.keep == {"app/main.pyc"}
    assert plan.pruned["app/a.pyc"] == "imported in functions only, and loaded in no traced run"
    assert kept(files, "main", trace=traced("a")) == {"app/main.pyc", "app/a.pyc", "app/c.pyc"}


def test_what_a_run_loads_by_name_stays() -> None:
    plan = planned(app(main=[], plugin=["a"], a=[], b=[]), "main", trace=traced("plugin"))
    assert set(plan.pruned) == {"app/b.pyc"}
    assert plan.starts["plugin"] == "loaded by name in the run 'a run'"


def test_types_do_not_count() -> None:
    plan = planned(app(main=["typing a"], a=[]), "main")
    assert plan.pruned == {"app/a.pyc": "imported for type checkers only"}


def test_what_stands_in_stays_if_it_has_to() -> None:
    lines = ["try _fast", "except slow"]
    plan = planned({**app(main=lines, slow=[]), "app/_fast.pyd": b""}, "main")
    assert plan.pruned == {"app/slow.pyc": "stands in for another module that is there"}
    assert kept(app(main=lines, slow=[]), "main") == {"app/main.pyc", "app/slow.pyc"}
    both = {**app(main=lines, slow=[]), "app/_fast.pyd": b""}
    assert kept(both, "main", trace=traced("slow")) == set(both)
    assert kept(both, "main", drop=[rule("_fast")]) == {"app/main.pyc", "app/slow.pyc"}


def test_the_interpreters_own_modules_stay() -> None:
    files = app(main=[], io=[], runpy=["a"], a=[], b=[])
    assert kept(files, "main", trace=traced(start=["io", "sys"])) == {
        f"app/{name}.pyc" for name in ("main", "io", "runpy", "a")
    }


def test_data_goes_with_its_package() -> None:
    files: dict[str, bytes | list[str]] = {
        "app/main.pyc": ["p"], "app/p/__init__.pyc": [], "app/p/a.json": b"", "app/q/__init__.pyc": [], "app/q/b.json": b"",
        "app/p-1.dist-info/METADATA": b"",
    }  # fmt: skip
    plan = planned(files, "main")
    assert plan.pruned == {
        "app/q/__init__.pyc": "imported by nothing that is in",
        "app/q/b.json": "belongs to q, which is not in",
        "app/p-1.dist-info/METADATA": "belongs to importlib.metadata, which is not in",
    }


def test_a_rule_keeps() -> None:
    files = app(main=[], plugin=["a"], a=[], b=[])
    plan = planned(files, "main", keep=[rule("plugin", "on other machines")])
    assert set(plan.pruned) == {"app/b.pyc"}
    assert plan.starts["plugin"] == "on other machines"


def test_a_rule_drops_a_package_and_what_only_it_needs() -> None:
    files = {"app/main.pyc": ["try p.m"], "app/p/__init__.pyc": [], "app/p/m.pyc": ["a"], "app/a.pyc": []}
    plan = planned(files, "main", drop=[rule("p", "too large")])
    assert plan.pruned == {
        "app/p/__init__.pyc": "dropped: too large",
        "app/p/m.pyc": "dropped: too large",
        "app/a.pyc": "imported by nothing that is in",
    }


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        (app(main=["a"], a=[]), {"keep": [rule("a")]}, "spec: keep a: expected a module that would be left out, found one that is needed anyway"),
        (app(main=[]), {"keep": [rule("a")]}, "spec: keep: expected a module of the tree, found a, which is none"),
        (app(main=[], a=[]), {"drop": [rule("a")]}, "spec: drop a: expected a module that would be kept, found one that nothing needs"),
        (app(main=[]), {"drop": [rule("a")]}, "spec: drop: expected a module of the tree, found a, which is none"),
        (app(main=["b", "a"], a=[], b=[]), {"drop": [rule("a")]}, "spec: drop a: expected a module that code can do without, found main, line 2, which imports a without a way around"),
        (app(main=["late a"], a=[]), {"drop": [rule("a")], "trace": traced("a")}, "spec: drop a: expected a module that code can do without, found main, line 1, which imports a without a way around"),
        (app(main=[]), {"trace": traced("gone", "too")}, "spec: trace: expected modules of the tree, found gone and 1 more, which is none"),
        (app(other=[]), {}, "spec: the program main: expected a module of the tree to run, found main, which is none"),
    ],
)  # fmt: skip
def test_a_rule_that_is_wrong(files: dict[str, bytes | list[str]], options: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        planned(files, "main", **options)
    assert caught.value.message == message


def test_a_file_that_cannot_be_read() -> None:
    with pytest.raises(BuildError) as caught:
        planned({"app/main.pyc": b"nothing"}, "main")
    assert (
        caught.value.message == "app/main.pyc: its imports cannot be read: expected a .pyc file, found something else"
    )


def test_without_a_trace_nothing_is_asked_of_it() -> None:
    assert kept(app(main=[]), "main", trace=NO_TRACE) == {"app/main.pyc"}


def test_libraries_beside_modules_stay_if_needed() -> None:
    files: dict[str, bytes | list[str]] = {
        "app/main.pyc": ["_x"],
        "app/_x.pyd": program("used.dll"),
        "app/used.dll": program("more.dll"),
        "app/more.dll": library(),
        "app/other.dll": b"",
    }
    assert set(planned(files, "main").pruned) == {"app/other.dll"}


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, 9), st.sampled_from(["", "late ", "typing ", "try "])), max_size=30
    ),
    st.sets(st.integers(0, 9)),
)
def test_what_stays_has_all_that_it_imports(edges: list[tuple[int, int, str]], loaded: set[int]) -> None:
    lines: dict[int, list[str]] = {number: [] for number in range(10)}
    for importer, target, word in edges:
        lines[importer].append(f"{word}m{target}")
    plan = planned(
        {f"app/m{number}.pyc": its for number, its in lines.items()}, "m0", trace=traced(*(f"m{number}" for number in sorted(loaded)))
    )  # fmt: skip
    stays = {int(path[5:-4]) for path in plan.keep}
    assert stays >= loaded | {0}
    for importer, target, word in edges:
        if importer in stays and word in ("", "try "):
            assert target in stays
    # Nothing else does: each of the others is reached by what does not count, if at all.
    for number in stays - loaded - {0}:
        assert any(target == number and importer in stays and word in ("", "try ") for importer, target, word in edges)
    assert (
        planned(
            {f"app/m{number}.pyc": lines[number] for number in reversed(range(10))}, "m0", trace=plan.rules.trace
        ).keep
        == plan.keep
    )
