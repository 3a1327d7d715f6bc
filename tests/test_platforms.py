"""What differs by target: programs' modes, the interpreter's place, what a bundle's description says."""

from __future__ import annotations

import json
from typing import get_args

import pytest

from packager import platforms, stage
from packager.application import target_markers
from packager.cli.common import TARGETS
from packager.components import TOOLCHAINS
from packager.manifest import file_mode
from packager.specs import load, model
from tests.plans import ROOT

PROJECT = load.Project(ROOT)


def test_every_target_has_all_that_there_is_by_target() -> None:
    targets = get_args(model.Target)
    assert targets == TARGETS
    assert set(platforms.PLATFORMS) == set(TOOLCHAINS) == set(targets)
    for target, name in TOOLCHAINS.items():
        assert load.load_toolchain(PROJECT, name, target).target == target
    for platform in platforms.PLATFORMS.values():
        assert all((ROOT / "launcher" / name).is_file() for name in platform.stub)


@pytest.mark.parametrize("path", ["electrum.exe", "python/python.exe", "electrum", "python/python3"])
def test_programs_can_be_started(path: str) -> None:
    assert file_mode(path) == 0o755


@pytest.mark.parametrize(
    "path",
    [
        "bundle.json",
        "licenses/cpython/LICENSE",
        "app/electrum/x",
        "python/Lib/os.pyc",
        "app/lib.so.0",
        "python/python3._pth",
    ],
)
def test_other_files_cannot(path: str) -> None:
    assert file_mode(path) == 0o644


def test_a_bundle_says_where_its_programs_are() -> None:
    bundle = load.load_variant(PROJECT, "electrum", "linux-x86_64")
    said = json.loads(stage.bundle_description(bundle, "linux-x86_64"))
    assert said["python"] == "python/python3"
    assert said["entry_points"] == [{"console": True, "name": "electrum", "path": "electrum"}]


def test_markers_are_the_targets() -> None:
    linux = target_markers("3.13.5", platforms.PLATFORMS["linux-x86_64"])
    assert (linux["sys_platform"], linux["os_name"], linux["python_version"]) == ("linux", "posix", "3.13")
    assert target_markers("3.13.5")["sys_platform"] == "win32"
    assert linux.keys() == target_markers("3.13.5").keys()
