"""One golden file per kind of difference, as text and as JSON; ``python -m tests.diff.inputs`` writes them anew."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from packager.diff.compare import compare
from packager.diff.render import document
from tests.diff.inputs import CASES, DATA, Pair, rendered


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_the_output_is_the_golden_one(case: Callable[[Path], Pair], tmp_path: Path) -> None:
    shown, plain = rendered(case(tmp_path), tmp_path)
    assert shown == (DATA / f"{case.__name__}_expected.txt").read_text(encoding="utf-8")
    assert json.loads(plain) == json.loads((DATA / f"{case.__name__}_expected.json").read_text(encoding="utf-8"))


def test_every_golden_file_belongs_to_a_case() -> None:
    names = {f"{case.__name__}_expected{suffix}" for case in CASES for suffix in (".txt", ".json")}
    assert {path.name for path in DATA.iterdir()} == names


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_the_other_way_round_as_much_is_different(case: Callable[[Path], Pair], tmp_path: Path) -> None:
    a, b = case(tmp_path)
    there, back = compare(a, b), compare(b, a)
    assert {difference.path for difference in there} == {difference.path for difference in back}
    assert len(there) == len(back)
    assert compare(a, a) == compare(b, b) == ()


def test_json_has_its_keys(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_bytes(b"\0")
    b.write_bytes(b"\1")
    found = document(a, b, compare(a, b))
    assert found == {
        "a": str(a),
        "b": str(b),
        "equal": False,
        "count": 1,
        "files": 1,
        "differences": [
            {
                "path": "a",
                "what": "differs in 1 range, first at 0x0",
                "a": None,
                "b": None,
                "detail": "00 ≠ 01",
                "offset": 0,
            }
        ],
    }
    assert document(a, a, ())["equal"] is True
