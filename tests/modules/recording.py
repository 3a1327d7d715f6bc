"""A plugin for pytest: tests that use the bundle ``electrum_nmc`` run a recording copy, and what each opened is kept.

``python -m tests.modules`` runs pytest with it. The environment says where: ``RECORD_BUNDLE``, ``RECORD_OUT``.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from packager import trees
from packager.modules.record import Log
from tests.integration.conftest import BuiltBundle

_OUT = Path(os.environ["RECORD_OUT"])
_BUNDLE = Path(os.environ["RECORD_BUNDLE"])
_PROGRAM = Path(os.environ["RECORD_PROGRAM"])
_log = Log(_BUNDLE.parent / "log", [node.path for node in trees.files(_PROGRAM)])
_runs: list[dict[str, Any]] = []


def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any], request: Any) -> Any:
    """Instead of the built bundle its recording copy."""
    if fixturedef.argname != "electrum_nmc":
        return None
    document = {"name": "electrum-nmc", "folder": str(_BUNDLE)}
    bundle = BuiltBundle(_BUNDLE, _BUNDLE.parent, document)
    fixturedef.cached_result = (bundle, fixturedef.cache_key(request), None)
    return bundle


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """After each test, and after what its fixtures did before and after it."""
    opened = _log.news()
    name = report.nodeid.rpartition("/")[2].replace(".py::", ": ")
    if report.when == "call":
        _runs.append({"name": name, "outcome": report.outcome, "paths": sorted(opened)})
    elif opened:
        _runs.append({"name": f"{name}, {report.when}", "outcome": report.outcome, "paths": sorted(opened)})


def pytest_sessionfinish() -> None:
    """All of it, for the program that started pytest."""
    if rest := _log.news():
        _runs.append({"name": "afterwards", "outcome": "passed", "paths": sorted(rest)})
    _OUT.write_text(json.dumps(_runs), "utf-8")
