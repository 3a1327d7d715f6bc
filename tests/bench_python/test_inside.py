"""What runs in the measured interpreter: calibration, and questions and answers."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench_python import inside
from tests.bench_python.measure import INSIDE

PROGRAM = """
import pyperf
import helper
print("not an answer")
runner = pyperf.Runner()
runner.argparser.add_argument("word")
word = runner.parse_args().word
runner.bench_func(word, sum, [1, 2], inner_loops=2)
runner.bench_time_func("timed", lambda loops, each: loops * each, 0.25)
async def wait():
    pass
runner.bench_async_func("awaited", wait)
"""


def test_repetitions_are_doubled_until_they_take_long_enough() -> None:
    tried = []

    def timed(loops: int) -> float:
        tried.append(loops)
        return loops * 0.03

    assert inside.calibrate(timed, 0.1) == 4
    assert tried == [1, 2, 4]


def test_a_value_is_for_one_repetition(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("run\nrun\nnext\nrun\n"))
    answers = io.StringIO()
    inside.serve("spam", lambda loops: 0.5 * loops, 5, 1.0, answers)
    first, *values = [json.loads(line) for line in answers.getvalue().splitlines()]
    assert first == {"benchmark": "spam", "loops": 2}
    assert [value["wall"] for value in values] == [0.1, 0.1]


def test_a_program_is_run_with_our_pyperf(tmp_path: Path) -> None:
    (tmp_path / "run_benchmark.py").write_text(PROGRAM)
    (tmp_path / "helper.py").write_text("")
    line = [sys.executable, "-I", str(INSIDE), str(tmp_path), "0.0001", "spam"]
    done = subprocess.run(line, input="run\nnext\nrun\nrun\nnext\nnext\n", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(text) for text in done.stdout.splitlines()]
    assert [answer.get("benchmark") for answer in answers] == ["spam", None, "timed", None, None, "awaited", None]
    assert answers[3]["wall"] == 0.25
    assert answers[-1] == {"done": True}
