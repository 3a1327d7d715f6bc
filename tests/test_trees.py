"""Trees: digests see what matters and nothing else; copies have fixed modes."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from packager import trees
from packager.keys import Key, code_digest, path_digest
from tests.support import write


def sample(top: Path) -> Path:
    write(top / "b/c", "1")
    write(top / "a", "2")
    (top / "l").symlink_to("a")
    return top


def test_walks_are_sorted_by_bytes(tmp_path: Path) -> None:
    for name in ("b", "a", "B", "a-", "a/x", "ä"):
        write(tmp_path / name / "f", "")
    assert [n.path for n in trees.walk(tmp_path) if not n.is_file][:4] == ["B", "a", "a/x", "a-"]


def test_a_digest_sees_content_names_links_and_the_executable_bit(tmp_path: Path) -> None:
    first = trees.content_digest(sample(tmp_path / "1"))
    other = sample(tmp_path / "2")
    assert trees.content_digest(other) == first
    os.utime(other / "a", (0, 0))
    (other / "a").chmod(0o600)
    assert trees.content_digest(other) == first
    (other / "a").chmod(0o700)
    assert trees.content_digest(other) != first
    (other / "a").chmod(0o644)
    (other / "l").unlink()
    (other / "l").symlink_to("b")
    assert trees.content_digest(other) != first


def test_copies_keep_links_and_fix_modes(tmp_path: Path) -> None:
    source = sample(tmp_path / "1")
    (source / "a").chmod(0o4711)
    trees.copy_tree(source, tmp_path / "2")
    assert (tmp_path / "2/a").stat().st_mode & 0o7777 == 0o755
    assert (tmp_path / "2/b/c").stat().st_mode & 0o7777 == 0o644
    assert os.readlink(tmp_path / "2/l") == "a"


@given(st.dictionaries(st.text(min_size=1), st.integers() | st.text() | st.lists(st.integers())))
def test_keys_do_not_depend_on_the_order_of_inputs(inputs: dict[str, object]) -> None:
    turned = dict(reversed(inputs.items()))
    assert Key("k", "n", inputs).digest == Key("k", "n", turned).digest
    assert Key("k", "n", {**inputs, "more": 1, "": 2}).digest != Key("k", "n", inputs).digest


def test_digests_of_paths_and_code(tmp_path: Path) -> None:
    sample(tmp_path / "1")
    before = path_digest(tmp_path / "1")
    write(tmp_path / "1/__pycache__/x.pyc", "x")
    assert path_digest(tmp_path / "1") == before
    assert path_digest(tmp_path / "1/a") != path_digest(tmp_path / "1/b/c")
    assert code_digest("packager.trees", "packager.keys") == code_digest("packager.keys", "packager.trees")
    assert code_digest("packager.trees") != code_digest("packager.keys")
