"""Recording: the copy, what it noted, and the trace that is made of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from packager.errors import BuildError
from packager.modules import record, trace
from packager.modules.plan import Rules
from packager.specs import load
from tests.modules.build import compiled, traced
from tests.support import write


def bundle(top: Path) -> Path:
    write(top / "Browser/Program/python/Lib/encodings/__init__.pyc", "x")
    write(top / "Browser/Program/app/main.pyc", "y")
    return top


def test_the_copy_has_one_more_file(tmp_path: Path) -> None:
    source, copy = bundle(tmp_path / "bundle"), tmp_path / "copy"
    record.recording_copy(source, "Browser/Program", copy, tmp_path / "log")
    there = {path.relative_to(copy) for path in copy.rglob("*")} - {
        path.relative_to(source) for path in source.rglob("*")
    }
    assert there == {Path("Browser/Program", record.ENCODINGS)}
    assert not (source / "Browser/Program" / record.ENCODINGS).exists()
    text = (copy / "Browser/Program" / record.ENCODINGS).read_text()
    windows = str(tmp_path / "log").replace("/", "\\")
    assert f"Z:{windows}\\{{nt.getpid()}}.txt" in text
    assert "@LOG@" not in text
    compile(text, "encodings", "exec")


def test_a_bundle_without_encodings(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"expected python/Lib/encodings/__init__.pyc in Program, found none"):
        record.recording_copy(bundle(tmp_path / "bundle"), "Program", tmp_path / "copy", tmp_path / "log")


def test_the_log_is_read_bit_by_bit(tmp_path: Path) -> None:
    log = record.Log(
        tmp_path, ["app/main.pyc", "app/Data.json", "python/Lib/encodings/__init__.pyc", "python/DLLs/_x.pyd"]
    )
    file = tmp_path / "32.txt"
    first = "C:\\bundle\\python\\Lib\\encodings\\__init__.py\nC:\\bundle\\app\\main.pyc\nC:\\windows\\x.dll\n"
    file.write_text(first + "C:\\bundle\\app\\DATA")
    assert log.news() == {"app/main.pyc"}
    assert log.news() == set()
    with file.open("a") as stream:
        stream.write(".json\n")
    assert log.news() == {"app/Data.json"}
    # Another process with the same number, in a copy elsewhere, with a long path.
    with file.open("a") as stream:
        stream.write("\\\\?\\Z:\\tmp\\Tor Browser\\P\\python\\Lib\\encodings\\__init__.py\n")
        stream.write(
            "\\\\?\\Z:\\tmp\\Tor Browser\\P\\python\\Lib\\encodings\\..\\..\\DLLs\\_x.pyd\nC:\\bundle\\app\\main.pyc\n"
        )
    assert log.news() == {"python/DLLs/_x.pyd"}


def test_what_the_interpreter_says() -> None:
    assert record.read_answer("abc io\r\nsys\r\nzipimport\r\n") == trace.Interpreter(
        start=("abc", "io"), builtin=("sys",), frozen=("zipimport",)
    )
    with pytest.raises(BuildError, match="expected three lines about the interpreter, found 1"):
        record.read_answer("Traceback\n")


def test_a_trace_has_each_module_once_and_no_other(tmp_path: Path) -> None:
    files = {
        "app/main.pyc": compiled("a", "late b", "late d"),
        "app/a.pyc": compiled(),
        "app/b.pyc": compiled("c"),
        "app/c.pyc": compiled(),
        "app/d.pyc": compiled(),
        "app/e.pyc": compiled(),
    }
    interpreter = traced().interpreter
    runs = {
        "nothing new": frozenset({"app/main.pyc", "app/a.pyc"}),
        "first": frozenset({"app/main.pyc", "app/b.pyc", "app/c.pyc", "app/data.txt"}),
        "second": frozenset({"app/b.pyc", "app/d.pyc"}),
    }
    rules = Rules({"main": "the program"}, ("app",))
    made = record.make_trace(list(files), files.__getitem__, rules, interpreter, runs, "record it")
    # c is imported by b whenever that is, so it need not be said.
    assert [(run.name, run.modules) for run in made.run] == [("first", ("b",)), ("second", ("d",))]
    path = tmp_path / "trace.toml"
    path.write_text(trace.encode(made))
    assert load.read(path, trace.Trace) == made


def test_the_traces_text(tmp_path: Path) -> None:
    text = trace.encode(traced("a", "b.c", start=["io"]))
    assert text == (
        "# Recorded, not written: of each run with nothing left out, as few modules as lead to all that was\n"
        "# loaded beyond what imports that are always followed, and the runs above, lead to. To record it anew:\n"
        'command = "record it"\n\n[interpreter]\nbuiltin = [\n  "sys"\n]\nfrozen = []\nstart = [\n  "io"\n]\n\n'
        '[[run]]\nname = "a run"\nmodules = [\n  "a", "b.c"\n]\n'
    )
    many = trace.encode(traced(*(f"module_{number}" for number in range(100))))
    assert max(len(line) for line in many.splitlines()) <= 120
