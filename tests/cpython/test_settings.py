"""files.toml and expected.toml: read, refused, and those of this repository."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from packager.errors import SpecError
from tests.cpython import settings
from tests.cpython.settings import Files, choose, read_expected, read_files
from tests.support import write

FILES = Files(
    resources=("decimal",),
    also={},
    build_tree=(),
    seconds=60,
    limits={"test_b": 100, "test_c": 200},
    excluded={"test_d": "needs what nobody has"},
    short=("test_a",),
)
VALUES: dict[str, object] = {"limits": 5, "also": ("network",), "excluded": "some long reason"}
FOUND = ("test_a", "test_b", "test_c", "test_d", "test_p.test_1", "test_p.test_2")

EXPECTED = """
[skipped]
test_fork = "there is no fork() on Windows"
[[file]]
name = "test_os"
[[file.failing]]
tests = ["T.a", "T.b"]
kind = "wine"
why = "CreateSymbolicLinkW() is a stub"
[[file.failing]]
tests = ["T.c"]
kind = "ours"
why = "to be mended soon"
run = false
"""


def expected(tmp_path: Path, text: str) -> Path:
    return write(tmp_path / "expected.toml", text)


def test_all_files_but_the_excluded_the_slowest_first() -> None:
    assert choose(FOUND, FILES) == ("test_c", "test_b", "test_a", "test_p.test_1", "test_p.test_2")


def test_chosen_files_and_packages() -> None:
    assert choose(FOUND, FILES, ["test_p", "test_b"]) == ("test_b", "test_p.test_1", "test_p.test_2")
    assert choose(FOUND, FILES, ["test_d"]) == ("test_d",)


def test_a_name_that_stands_for_nothing_is_refused() -> None:
    with pytest.raises(SpecError, match=r"^test_q: expected a file in Lib/test, found none"):
        choose(FOUND, FILES, ["test_q"])


@pytest.mark.parametrize("key", ["limits", "also", "build_tree", "excluded", "short"])
def test_a_name_in_the_files_that_stands_for_nothing_is_refused(key: str) -> None:
    value: object = ("test_q",) if key in ("short", "build_tree") else {"test_q": VALUES[key]}
    with pytest.raises(SpecError, match=rf"{key}: expected names of files in Lib/test, found 'test_q'"):
        choose(FOUND, msgspec.structs.replace(FILES, **{key: value}))


def test_expected_is_read(tmp_path: Path) -> None:
    found = read_expected(expected(tmp_path, EXPECTED))
    assert found.skipped == {"test_fork": "there is no fork() on Windows"}
    assert {test: reason.kind for test, reason in found.of("test_os").items()} == {
        "T.a": "wine",
        "T.b": "wine",
        "T.c": "ours",
    }
    assert found.of("test_re") == {}
    assert found.left_out("test_os") == {"T.c"}
    assert found.ours() == ("test_os: T.c",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (EXPECTED.replace('"T.c"', '"T.b"'), r"file\[0\].failing: expected each test once, found T.b again"),
        (
            EXPECTED.replace('"test_os"', '"test_fork"'),
            r"file\[0\].name: expected each file once, found test_fork again",
        ),
        (EXPECTED.replace("ours", "mine"), r"file\[0\].failing\[1\].kind: "),
        (EXPECTED.replace("to be mended soon", "why not"), r"file\[0\].failing\[1\].why: "),
    ],
)
def test_expected_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        read_expected(expected(tmp_path, text))


def test_this_repository_expects_nothing_of_itself_to_fail() -> None:
    assert read_expected().ours() == ()


def test_this_repository_expects_nothing_of_excluded_files() -> None:
    files, known = read_files(), read_expected()
    assert not set(files.excluded) & (set(known.failing) | set(known.skipped))
    assert not set(files.short) & set(files.excluded)
    assert settings.FILES.name == "files.toml"
