# SPDX-License-Identifier: GPL-3.0-or-later
"""The script that turns a tree of modules into a tree of sourceless bytecode."""

from __future__ import annotations

import hashlib
import importlib.util
import marshal
import os
import subprocess
import sys
from pathlib import Path
from types import CodeType, ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

SCRIPT = Path(__file__).resolve().parents[1] / "packager" / "data" / "compile_tree.py"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("compile_tree", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "dont_write_bytecode", True)  # the folder holds data, which is mounted as it is
        spec.loader.exec_module(module)
    return module


compile_tree = load()

SOURCES = {
    "alone.py": "NAMES = {'b', 'a', 'c'}\ndef spam(x):\n    return f'{x}' if x in {'q', 'w', 'e'} else ''\n",
    "package/__init__.py": "from .inner import answer\n",
    "package/inner.py": "def answer():\n    return 42\n",
    "package/data.txt": "kept",
    "package/tests/test_it.py": "raise SystemExit\n",
    "package/__pycache__/inner.cpython-313.pyc": "left behind",
    "stray.pyc": "left behind",
}


def make(folder: Path) -> Path:
    for name, text in SOURCES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, check=False)


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_tree(tmp_path: Path) -> None:
    skip = tmp_path / "skip.txt"
    skip.write_text("# a comment\n*/tests/   # tests\n\n")
    result = run(make(tmp_path / "in"), tmp_path / "out", "--prefix", "app/x", "--skip", skip)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert sorted(digests(tmp_path / "out")) == [
        "alone.pyc",
        "package/__init__.pyc",
        "package/data.txt",
        "package/inner.pyc",
    ]
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "out").rglob("*") if path.is_file()} == {0o644}
    imported = subprocess.run(
        [sys.executable, "-S", "-c", "import package; print(package.answer(), package.answer.__code__.co_filename)"],
        cwd=tmp_path / "out",
        env={},
        capture_output=True,
        text=True,
        check=True,
    )
    assert imported.stdout == "42 app/x/package/inner.py\n"


def test_bytes_depend_on_nothing_but_the_sources(tmp_path: Path) -> None:
    first = run(make(tmp_path / "one"), tmp_path / "out1", "--prefix", "Lib", PYTHONHASHSEED="7", LANG="C")
    second = run(
        make(tmp_path / "elsewhere" / "deep"),
        tmp_path / "out2",
        "--prefix",
        "Lib",
        "--jobs",
        "4",
        PYTHONHASHSEED="99",
        PYTHONOPTIMIZE="2",
        SPAM="eggs",
    )
    assert (first.returncode, second.returncode) == (0, 0)
    assert digests(tmp_path / "out1") == digests(tmp_path / "out2")


def test_error_names_the_file_and_the_rest_is_done(tmp_path: Path) -> None:
    (make(tmp_path / "in") / "broken.py").write_text("def (:\n")
    result = run(tmp_path / "in", tmp_path / "out", "--prefix", "Lib", "--jobs", "2")
    assert result.returncode == 1
    assert result.stderr.startswith("compile_tree.py: Lib/broken.py: invalid syntax")
    assert (tmp_path / "out" / "package" / "inner.pyc").is_file()


def test_source_must_be_a_folder(tmp_path: Path) -> None:
    result = run(tmp_path / "none", tmp_path / "out", "--prefix", "Lib")
    assert result.returncode == 2
    assert "expected a folder, found none" in result.stderr


def test_bytecode_is_unchecked_hash() -> None:
    data = compile_tree.bytecode(b"x = 1\n", "Lib/x.py")
    assert data[:4] == importlib.util.MAGIC_NUMBER
    assert data[4:8] == b"\x01\0\0\0"
    assert data[8:16] == importlib.util.source_hash(b"x = 1\n")
    code = marshal.loads(data[16:])
    assert isinstance(code, CodeType)
    assert code.co_filename == "Lib/x.py"


def test_bytecode_inherits_no_future() -> None:
    code = marshal.loads(compile_tree.bytecode(b"def f(x: int): pass\n", "x.py")[16:])
    scope: dict[str, object] = {}
    exec(code, scope)
    function = scope["f"]
    assert callable(function)
    assert function.__annotations__ == {"x": int}


def test_optimize_drops_docstrings() -> None:
    source = b'"""A docstring."""\n'
    assert b"A docstring" in compile_tree.bytecode(source, "x.py", 0)
    assert b"A docstring" not in compile_tree.bytecode(source, "x.py", 2)


@pytest.mark.parametrize(
    ("path", "pattern", "expected"),
    [
        ("test/a.py", "test/", True),
        ("testing/a.py", "test/", False),
        ("package/test/deep/a.py", "*/test/", True),
        ("test.py", "test/", False),
        ("turtle.py", "turtle.py", True),
        ("package/turtle.py", "turtle.py", False),
        ("package/x.exe", "*.exe", True),
        ("a/tests/b", "*/tests/", True),
    ],
)
def test_skipped(path: str, pattern: str, expected: bool) -> None:
    assert compile_tree.skipped(path, [pattern]) is expected


@given(st.lists(st.text(st.characters(exclude_characters="#", exclude_categories=["Z", "C"]), min_size=1)))
def test_read_skips_drops_reasons(patterns: list[str]) -> None:
    assert compile_tree.read_skips("\n".join(f" {pattern} # reason" for pattern in patterns)) == tuple(patterns)
