"""The fuzzer runs, counts, and leaves the case behind that does not hold."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests.pe import cases, fuzz
from tests.pe.build import FULL, build


def test_without_atheris_it_says_so_and_counts(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "real.dll").write_bytes(build(FULL, text=b"real"))
    (tmp_path / "no.txt").write_bytes(b"text")
    assert fuzz.main(["--no-atheris", "--runs", "40", "--seed", "3", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "a seeded mutator, without guidance" in out
    assert f"{len(cases.seeds()) + 1} seeds, 40 cases" in out
    assert "40 cases: " in out
    assert "no other outcome" in out


def test_a_case_that_does_not_hold_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(cases, "normalise", lambda *_given, **_options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        fuzz.Count(cases, 1).case(b"case")
    (kept,) = tmp_path.iterdir()
    assert kept.read_bytes() == b"case"
