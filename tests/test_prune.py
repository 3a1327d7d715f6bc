"""Prune rules: what a pattern matches, that a stale one is an error, and what is left on disk."""

from __future__ import annotations

import fnmatch
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packager.errors import SpecError
from packager.prune import apply_prune, glob_pattern, plan_prune
from packager.specs.model import Prune
from tests.support import write


def rule(path: str) -> Prune:
    return Prune(path=path, reason="a reason")


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("app/gui/**", "app/gui/qt/main.py", True),
        ("app/gui/**", "app/gui/x", True),
        ("app/gui/**", "app/gui", False),
        ("app/gui/**", "app/guis/x", False),
        ("app/plugins/*/**", "app/plugins/trezor/qt.py", True),
        ("app/plugins/*/**", "app/plugins/__init__.py", False),
        ("app/**/*.pyi", "app/x.pyi", True),
        ("app/**/*.pyi", "app/a/b/x.pyi", True),
        ("app/**/*.pyi", "app/x.py", False),
        ("**/py.typed", "py.typed", True),
        ("**/py.typed", "a/b/py.typed", True),
        ("**/py.typed", "a/b/xpy.typed", False),
        ("*.py", "a/x.py", False),
        ("a?c", "abc", True),
        ("a?c", "a/c", False),
        ("x.px[di]", "x.pxd", True),
        ("x.px[di]", "x.pxx", False),
        ("[!a]x", "bx", True),
        ("[!a]x", "ax", False),
        ("a[!b]c", "a/c", False),
        ("a.b", "axb", False),
        ("a[", "a[", True),
        ("app/**", "app/with\nnewline", True),
    ],
)
def test_patterns(pattern: str, path: str, matches: bool) -> None:
    assert (glob_pattern(pattern).fullmatch(path) is not None) is matches


@given(st.text("ab.*?", max_size=6), st.text("ab.*", max_size=6))
def test_within_one_name_patterns_are_those_of_fnmatch(pattern: str, name: str) -> None:
    if pattern != "**":
        assert (glob_pattern(pattern).fullmatch(name) is not None) is fnmatch.fnmatchcase(name, pattern)


@given(st.text(st.characters(blacklist_characters="*?[", codec="utf-8"), min_size=1))
def test_a_pattern_without_wildcards_matches_itself_only(path: str) -> None:
    assert glob_pattern(path).fullmatch(path)
    assert not glob_pattern(path).fullmatch(path + "x")


def test_a_file_counts_for_the_first_rule_that_matches_it() -> None:
    plan = plan_prune({"a/x.pyi": 3, "a/y": 4, "b.pyi": 5}, [rule("a/**"), rule("**/*.pyi")], "spec.toml")
    assert [(done.rule.path, done.paths, done.size) for done in plan] == [
        ("a/**", ("a/x.pyi", "a/y"), 7),
        ("**/*.pyi", ("b.pyi",), 5),
    ]


def test_a_rule_that_another_covers_is_not_stale() -> None:
    (_, second) = plan_prune({"a/x": 1}, [rule("a/**"), rule("a/x")], "spec.toml")
    assert second.paths == ()


def test_a_rule_that_matches_nothing_is_an_error() -> None:
    with pytest.raises(SpecError) as caught:
        plan_prune({"a/x": 1}, [rule("a/**"), rule("b/**"), rule("c")], "spec.toml")
    assert str(caught.value) == (
        "spec.toml: prune[1].path: expected a pattern that matches a file, found 'b/**', which matches none\n"
        "  spec.toml: prune[2].path: expected a pattern that matches a file, found 'c'\n"
        "  what to do: take out rules that have no use"
    )
    assert caught.value.exit_code == 2


def test_a_pattern_that_is_none_is_an_error() -> None:
    with pytest.raises(SpecError, match=r"spec\.toml: prune\[0\]\.path: expected a pattern \(bad character range z-a"):
        plan_prune({"a/x": 1}, [rule("[z-a]")], "spec.toml")


def test_files_and_emptied_folders_go_and_the_rest_stays(tmp_path: Path) -> None:
    for path in ("app/gui/qt/a", "app/gui/b", "app/keep", "app/deep/er/c.pyi", "app/deep/d"):
        write(tmp_path / path, "12")
    (tmp_path / "app/link.pyi").symlink_to("keep")
    plan = apply_prune(tmp_path, [rule("app/gui/**"), rule("**/*.pyi")], "spec.toml")
    assert [done.paths for done in plan] == [("app/gui/b", "app/gui/qt/a"), ("app/deep/er/c.pyi", "app/link.pyi")]
    assert plan[0].size == 4
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == [
        "app",
        "app/deep",
        "app/deep/d",
        "app/keep",
    ]


def test_nothing_is_deleted_where_one_rule_is_stale(tmp_path: Path) -> None:
    write(tmp_path / "a/x", "1")
    with pytest.raises(SpecError):
        apply_prune(tmp_path, [rule("a/**"), rule("b")], "spec.toml")
    assert (tmp_path / "a/x").is_file()
