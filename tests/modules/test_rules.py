"""A spec's rules, as they are planned with; and the trace of the project's own bundle."""

from __future__ import annotations

import msgspec
import pytest

from packager.errors import SpecError
from packager.modules.rules import load_trace, rules_of
from packager.modules.trace import NO_TRACE
from packager.specs import load, model
from packager.specs.load import Project
from tests.plans import ROOT

PROJECT = Project(ROOT)
FILES = {"python/python313._pth": b"DLLs\nLib\n..\\app\n", "app/namecoin_launcher/__init__.pyc": b""}


def bundle(modules: model.Modules | None) -> model.Bundle:
    return msgspec.structs.replace(load.load_bundle(PROJECT, "electrum-nmc"), modules=modules)


def test_the_rules_are_the_specs() -> None:
    keep, drop = model.ModuleRule(module="a", reason="b"), model.ModuleRule(module="c.d", reason="e")
    given = bundle(model.Modules(trace="traces/x.toml", path=("app/electrum_nmc",), keep=(keep,), drop=(drop,)))
    rules = rules_of(given, NO_TRACE, FILES, FILES.__getitem__)
    assert rules.folders == ("app/electrum_nmc", "python/DLLs", "python/Lib", "app")
    assert (rules.keep, rules.drop) == ((keep,), (drop,))
    assert rules.roots["namecoin_launcher"] == "the program namecoin"
    lenient = rules_of(given, NO_TRACE, FILES, FILES.__getitem__, strict=False)
    assert (lenient.keep, lenient.drop) == ((), ())


def test_a_bundle_without_rules() -> None:
    rules = rules_of(bundle(None), NO_TRACE, FILES, FILES.__getitem__)
    assert rules.folders == ("python/DLLs", "python/Lib", "app")
    assert load_trace(PROJECT, None) is NO_TRACE


def test_a_tree_without_a_search_path() -> None:
    with pytest.raises(SpecError) as caught:
        rules_of(bundle(None), NO_TRACE, ["app/namecoin_launcher/__init__.pyc"], FILES.__getitem__)
    assert caught.value.message == "electrum-nmc: expected a ._pth file in python/, found none"


def test_the_projects_trace_can_be_read() -> None:
    modules = load.load_bundle(PROJECT, "electrum-nmc").modules
    assert modules is not None
    trace = load_trace(PROJECT, modules)
    assert trace.command == "python -m tests.modules"
    assert "encodings" in trace.interpreter.start
    assert {"sys", "nt", "winreg"} <= set(trace.interpreter.builtin)
    named = [module for run in trace.run for module in run.modules]
    assert len(named) == len(set(named))
