"""What a spec says of one target alone goes over what it says at its top, and changes no other target."""

from __future__ import annotations

from pathlib import Path

import pytest

from packager import components, pipeline
from packager.errors import SpecError
from packager.specs import load
from tests.plans import ROOT, plan
from tests.support import COMPONENT, write

PROJECT = load.Project(ROOT)
LINUX = pipeline.Options(target="linux-x86_64", jobs=1, offline=True)
BOTH = COMPONENT.replace("purl", 'targets = ["windows-x86_64", "linux-x86_64"]\npurl', 1)


def specs(folder: Path, **texts: str) -> load.Project:
    for name, text in texts.items():
        write(folder / f"bundle_specs/components/{name}.toml", text)
    return load.Project(folder)


def test_a_component_is_built_otherwise_for_one_target(tmp_path: Path) -> None:
    other = '\n[target.linux-x86_64]\ndescription = "d"\n[target.linux-x86_64.build]\nscript = "other"\n'
    project = specs(tmp_path, zlib=BOTH + other)
    (windows,) = load.load_components(project, ("zlib",), "windows-x86_64")
    (linux,) = load.load_components(project, ("zlib",), "linux-x86_64")
    assert (linux.build.script, linux.description) == ("other", "d")
    assert windows.build.script != "other"
    assert (windows.version, windows.source) == (linux.version, linux.source)
    assert (windows.targets, linux.targets) == (("windows-x86_64",), ("linux-x86_64",))


def test_one_recipe_may_serve_both(tmp_path: Path) -> None:
    project = specs(tmp_path, zlib=BOTH)
    one, two = (load.load_components(project, ("zlib",), name)[0] for name in ("windows-x86_64", "linux-x86_64"))
    assert one.build == two.build


def test_a_component_that_has_no_such_target(tmp_path: Path) -> None:
    expected = r"zlib\.toml: targets: expected the target linux-x86_64, found windows-x86_64"
    with pytest.raises(SpecError, match=expected):
        load.load_components(specs(tmp_path, zlib=COMPONENT), ("zlib",), "linux-x86_64")


def test_a_table_about_a_target_that_the_component_does_not_have(tmp_path: Path) -> None:
    project = specs(tmp_path, zlib=COMPONENT + '\n[target.linux-x86_64]\ndescription = "d"\n')
    expected = r"target\.linux-x86_64: expected one of the spec's targets, windows-x86_64, found linux-x86_64"
    with pytest.raises(SpecError, match=expected):
        load.load_component(project, "zlib")


def test_a_patch_for_one_target_has_to_be_there(tmp_path: Path) -> None:
    project = specs(tmp_path, zlib=BOTH + '\n[target.linux-x86_64]\npatches = ["patches/no.patch"]\n')
    with pytest.raises(SpecError, match=r"target\.linux-x86_64\.patches\[0\]: .* patches/no\.patch: no such file"):
        load.load_component(project, "zlib")


def test_who_is_like_another_has_its_targets_unless_it_has_a_build_of_its_own(tmp_path: Path) -> None:
    head = 'like = "zlib"\ndescription = "d"\n'
    project = specs(
        tmp_path,
        zlib=BOTH,
        version=f'name = "version"\n{head}',
        other=f'name = "other"\n{head}[build]\nscript = "x"\n',
    )
    assert load.load_component(project, "version").targets == ("windows-x86_64", "linux-x86_64")
    assert load.load_component(project, "other").targets == ("windows-x86_64",)


def test_a_toolchain_builds_for_one_target() -> None:
    expected = r"trixie-ucrt64\.toml: target: expected the target linux-x86_64, found windows-x86_64"
    with pytest.raises(SpecError, match=expected):
        load.load_toolchain(PROJECT, "trixie-ucrt64", "linux-x86_64")
    with pytest.raises(SpecError, match=r"none\.toml: no such toolchain") as caught:
        load.load_toolchain(PROJECT, "none")
    assert "bullseye-gcc" in (caught.value.hint or "")


def test_a_bundle_that_has_no_such_target_says_which_it_has() -> None:
    expected = r"electrum-nmc\.toml: targets: expected the target linux-x86_64, found only windows-x86_64"
    with pytest.raises(SpecError, match=expected):
        pipeline.make_plan(PROJECT, "electrum-nmc", LINUX)


def test_a_bundle_for_linux_has_its_own_toolchain_policy_and_files() -> None:
    linux, windows = pipeline.make_plan(PROJECT, "electrum", LINUX), plan("electrum")
    assert (linux.toolchain.name, linux.bundle.policy) == ("bullseye-gcc", "linux")
    assert [point.name for point in linux.bundle.entry_points] == ["electrum"]
    assert {native.component for native in linux.bundle.native} == {item.component for item in windows.bundle.native}
    assert linux.bundle.source == windows.bundle.source
    assert [item.name for item in linux.components] == [item.name for item in windows.components]
    assert all(linux.component_keys[name] != windows.component_keys[name] for name in linux.component_keys)
    pruned = {rule.path for rule in windows.bundle.prune} - {rule.path for rule in linux.bundle.prune}
    assert pruned == {"python/Lib/pty.pyc", "python/Lib/tty.pyc"}
    # Each has the form that is quicker there (docs/performance.md).
    assert (linux.bundle.standard_library, windows.bundle.standard_library) == ("files", "zip")


def test_the_compiler_of_the_modules_counts_on_linux_alone() -> None:
    linux, windows = pipeline.make_plan(PROJECT, "electrum", LINUX), plan("electrum")
    assert linux.application_key.inputs["interpreter"] == linux.component_keys["cpython"].digest
    assert "interpreter" not in windows.application_key.inputs


def test_the_same_interpreter_can_be_built_with_another_compiler() -> None:
    plans = [
        components.make_plan(PROJECT, ["cpython"], components.Options(name, "linux-x86_64", 1))
        for name in ("bullseye-gcc", "trixie-gcc")
    ]
    assert plans[0].components == plans[1].components
    assert plans[0].keys["cpython"] != plans[1].keys["cpython"]
