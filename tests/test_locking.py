"""Locks are written whole, keep what is not theirs to change, and hold what everyone must get."""

from __future__ import annotations

import shutil
from pathlib import Path

from packager import locking, pipeline
from packager.specs import load
from packager.specs.load import Project

ROOT = Path(__file__).parents[1]


def test_sums_are_recorded_and_read_again(tmp_path: Path) -> None:
    for name in ("bundle_specs", "patches", "launcher"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "LICENSE", tmp_path)
    project = Project(tmp_path)
    plan = pipeline.make_plan(project, "electrum", pipeline.Options(target="windows-x86_64", jobs=1, offline=True))
    sums = {"b.zip": "b" * 64, "a.tar.zst": "a" * 64}
    before = load.load_bundle_lock(project, plan.bundle).archives
    path = locking.record_sums(plan, {**sums, f"{plan.title}.intoto.json": "c" * 64})
    assert path == tmp_path / "bundle_specs/locks/electrum.toml"
    assert path.read_text().startswith("# Written by `packager lock`.")
    assert path.read_text().index("a.tar.zst") < path.read_text().index("b.zip")
    recorded = load.load_bundle_lock(project, plan.bundle).archives
    assert recorded["windows-x86_64"] == sums
    assert pipeline.compare_lock(plan, sums) == "match"
    assert recorded == {**before, "windows-x86_64": sums}
    assert [p.name for p in path.parent.iterdir() if p.name.startswith(".")] == []


def test_sums_of_another_target_stay(tmp_path: Path) -> None:
    for name in ("bundle_specs", "patches", "launcher"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "LICENSE", tmp_path)
    project = Project(tmp_path)
    windows, linux = (
        pipeline.make_plan(project, "electrum", pipeline.Options(target=target, jobs=1, offline=True))
        for target in ("windows-x86_64", "linux-x86_64")
    )
    load.bundle_lock_path(project, linux.bundle).unlink()
    assert pipeline.compare_lock(linux, {"a": "a" * 64}) == "unrecorded"
    locking.record_sums(linux, {"a": "a" * 64})
    assert pipeline.compare_lock(windows, {"b": "b" * 64}) == "unrecorded"
    locking.record_sums(windows, {"b": "b" * 64})
    assert [pipeline.compare_lock(linux, {"a": digit * 64}) for digit in "ab"] == ["match", "mismatch"]
    assert pipeline.compare_lock(windows, {"b": "b" * 64}) == "match"
