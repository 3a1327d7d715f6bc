"""A screenful: what is left out, what stands for several, and what the last line says."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from packager.diff.model import FOLDER, Difference
from packager.diff.render import SCREEN, line, text


def many(path: str, number: int) -> list[Difference]:
    return [Difference(path, f"field {n}", str(n), str(n + 1)) for n in range(number)]


def test_a_line() -> None:
    assert line(Difference("a/b", "mode", "0644", "0755")) == "a/b: mode 0644 ≠ 0755"
    assert line(Difference("a/b", "only in A")) == "a/b: only in A"
    assert line(Difference("a", "x", None, "1", "why")) == "a: x nothing ≠ 1 (why)"
    assert line(Difference("", "x", "1", "2"), "name.zip") == "name.zip: x 1 ≠ 2"
    assert line(Difference("", "x", "1", "2")) == "x 1 ≠ 2"
    assert line(Difference("\x1b[0m\udc80", "only in A")) == "\\x1b[0m\\udc80: only in A"


def test_nothing_and_all() -> None:
    assert text(()) == ""
    found = many("a", 100)
    assert text(found, limit=None).count("\n") == 100
    assert text(found[:SCREEN]).count("\n") == SCREEN


def test_one_file_is_cut_off_at_the_end() -> None:
    shown = text(many("a", 100)).splitlines()
    assert len(shown) == SCREEN
    assert shown[:38] == [line(difference) for difference in many("a", 38)]
    assert shown[-2] == "a: field 38 38 ≠ 39, and 61 more in this file"
    assert shown[-1] == "… 61 more differences in 1 file: --all shows them"


def test_each_file_gets_its_share() -> None:
    shown = text([*many("a", 100), *many("b", 3), Difference("c", "other", "x", "y")], limit=11).splitlines()
    # Of b what a has in the same way is not repeated.
    assert shown[0] == "a: field 0 0 ≠ 1, and likewise in 1 more file"
    assert shown[-2:] == ["c: other x ≠ y", "… 94 more differences in 2 files: --all shows them"]
    assert len(shown) == 11


def test_the_same_difference_in_many_files_is_shown_once() -> None:
    found = [Difference(f"f{n}", "mode", "0644", "0755") for n in range(100)]
    assert text(found).splitlines() == [
        "f0: mode 0644 ≠ 0755, and likewise in 99 more files",
        "… 99 more differences in 99 files: --all shows them",
    ]


def test_paths_that_end_alike_are_the_same_difference() -> None:
    found = [Difference(f"f{n}.pyc", "co_filename", f"'/b/one/f{n}.py'", f"'/b/two/f{n}.py'") for n in range(50)]
    assert (
        text(found).splitlines()[0]
        == "f0.pyc: co_filename '/b/one/f0.py' ≠ '/b/two/f0.py', and likewise in 49 more files"
    )


def test_a_folder_stands_for_what_is_in_it() -> None:
    inside = [Difference(f"a/b/{n}", "only in A") for n in range(50)]
    found = [Difference("a", "only in A", detail=FOLDER), Difference("a/b", "only in A", detail=FOLDER), *inside]
    shown = text([*found, Difference("c", "only in B"), Difference("ab", "only in B")]).splitlines()
    assert shown == [
        "a: only in A (a folder of 50 files)",
        "c: only in B",
        "ab: only in B",
        "… 51 more differences in 51 files: --all shows them",
    ]


def test_imports_and_the_like_are_one_line() -> None:
    imports = [Difference("x.dll", f"import K.dll!f{n} only in A") for n in range(60)]
    exports = [Difference("x.dll", f"export e{n} only in B") for n in range(2)]
    shown = text([*imports, *exports, Difference("x.dll", "import K.dll!g only in B")]).splitlines()
    assert shown == [
        "x.dll: 60 imports only in A (K.dll!f0, K.dll!f1, K.dll!f2 and 57 more)",
        "x.dll: 2 exports only in B (e0, e1)",
        "x.dll: import K.dll!g only in B",
        "… 60 more differences in 1 file: --all shows them",
    ]


differences = st.builds(
    Difference,
    st.sampled_from(["", "a", "a/b", "a/b/c", "d", "x.whl!/a"]),
    st.sampled_from(["mode", "only in A", "only in B", "import a!b only in A", "import c!d only in A", "field"]),
    st.sampled_from([None, "1", "/a/b"]),
    st.sampled_from([None, "2", "/c/b"]),
    st.sampled_from(["", FOLDER, "why"]),
)


@settings(deadline=None)
@given(st.lists(differences, max_size=60), st.integers(2, 20))
def test_any_differences_fit_the_limit_and_are_counted(found: list[Difference], limit: int) -> None:
    shown = text(found, limit=limit, name="n").splitlines()
    assert len(shown) <= limit
    if len(found) <= limit:
        assert shown == [line(difference, "n") for difference in found]
        return
    match = re.fullmatch(r"… (\d+) more differences? in (\d+) files?: --all shows them", shown[-1])
    assert match is not None
    assert int(match[1]) == len(found) - len(shown) + 1
    assert 1 <= int(match[2]) <= len({difference.path for difference in found})
