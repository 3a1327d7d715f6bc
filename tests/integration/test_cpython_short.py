"""A short subset of CPython's own tests under Wine: none is worse than expected, and Wine does what expected.toml says of it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from packager.progress import Silent
from packager.specs.load import Project
from packager.store import Store
from packager.wineroot import get_wine
from tests.cpython import box, interpreter, settings
from tests.integration.conftest import ROOT


def test_the_short_subset_of_cpythons_tests_is_as_expected(store: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.cpython", "--short", "--store", store, "--out", tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=1700,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads((tmp_path / "table.json").read_text("utf-8"))
    # A run of nothing would be as expected, too.
    assert document["tests"]["passed"] > 5000
    assert [item["name"] for item in document["files"]] == sorted(settings.read_files().short)


def test_wine_does_what_is_said_of_it(store: Path, tmp_path: Path) -> None:
    reporter = Silent()
    opened = Store.open(store, reporter)
    python = interpreter.make_interpreter(Project(ROOT), opened, reporter, jobs=1)
    wine = box.Box(get_wine(opened, reporter), python, tmp_path)
    try:
        assert wine.run(1, box.Job("-", 300.0, (), program="probes")) == 0, (tmp_path / "1.log").read_text("utf-8")
    finally:
        wine.close()
    found = json.loads((tmp_path / "1.jsonl").read_text("ascii"))
    assert found == dict.fromkeys(found, True)
    # Each probe is somebody's reason, and each reason that names one has it.
    reasons = {reason.why for tests in settings.read_expected().failing.values() for reason in tests.values()}
    assert {name for why in reasons for name in re.findall(r"\bprobe (\w+)", why)} == set(found)
