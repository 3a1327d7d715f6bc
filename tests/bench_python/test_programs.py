"""The list of programs, and what is taken out of pyperformance's wheel."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest

from packager.errors import SourceError, SpecError
from packager.progress import Silent
from tests.bench_python import programs
from tests.bench_python.programs import Program

LIST = """
[pyperformance]
file = "p.whl"
sha256 = "{sum}"
[[pyperformance.origins]]
kind = "pypi"
name = "p"
version = "1"
file = "p.whl"
[programs]
spam = {{ quick = true }}
eggs = {{ arguments = [["a"], ["b", "c"]] }}
"""


def read(checksum: str = "0" * 64) -> programs._List:
    return programs.read_list(LIST.format(sum=checksum))


def test_programs_are_chosen() -> None:
    eggs = (Program("eggs", ("a",)), Program("eggs", ("b", "c")))
    assert programs.choose(read(), quick=False, only=[]) == (*eggs, Program("spam"))
    assert programs.choose(read(), quick=True, only=[]) == (Program("spam"),)
    assert programs.choose(read(), quick=True, only=["eggs"]) == eggs


def test_a_name_that_is_not_there_is_refused() -> None:
    with pytest.raises(SpecError, match="no such program: ham"):
        programs.choose(read(), quick=False, only=["ham"])


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(SpecError, match="slow"):
        programs.read_list(LIST.format(sum="0" * 64) + "ham = { slow = true }\n")


def test_our_list_has_more_than_enough() -> None:
    entries = programs.read_list(programs.LIST.read_text("utf-8"))
    assert len(programs.choose(entries, quick=False, only=[])) >= 12
    assert len(programs.choose(entries, quick=True, only=[])) >= 12


def test_a_programs_folder_is_unpacked(tmp_path: Path) -> None:
    wheel = tmp_path / "p.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in ("bm_spam/run_benchmark.py", "bm_spam/data/x", "MANIFEST"):
            archive.writestr(programs.INSIDE + name, name)
    entries = read(hashlib.sha256(wheel.read_bytes()).hexdigest())
    store = tmp_path / "store"
    place = store / "sources" / str(entries.pyperformance.sha256)
    place.mkdir(parents=True)
    wheel.rename(place / "p.whl")
    out = tmp_path / "out"
    programs.unpack(entries, [Program("spam")], store, out, Silent())
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()) == [
        "bm_spam/data/x",
        "bm_spam/run_benchmark.py",
    ]
    with pytest.raises(SourceError, match="bm_eggs"):
        programs.unpack(entries, [Program("eggs")], store, out, Silent())
