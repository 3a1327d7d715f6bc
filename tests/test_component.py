"""Components: patches apply exactly or not at all; keys follow what goes in and nothing else."""

from __future__ import annotations

import dataclasses
import io
import tarfile
from pathlib import Path

import msgspec
import pytest

from packager import component
from packager.component import Environment
from packager.errors import BuildError, SpecError
from packager.keys import Key
from packager.specs import load, model
from tests.support import COMPONENT, write

ROOT = Path(__file__).parents[1]
PATCH = """Why: because.

--- a/hello.c
+++ b/hello.c
@@ -1,3 +1,3 @@
 one
-two
+TWO
 three
"""


def archive(path: Path, **files: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(f"pkg-1/{name.replace('_', '.')}")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return path


def test_a_source_is_unpacked_patched_and_overlaid(tmp_path: Path) -> None:
    write(tmp_path / "p/1.patch", PATCH)
    write(tmp_path / "o/meson.build", "overlay")
    write(tmp_path / "o/sub/x", "y")
    source = archive(tmp_path / "s.tar.gz", hello_c="one\ntwo\nthree\n", meson_build="upstream")
    component.prepare_source(source, tmp_path / "src", ["p/1.patch"], ["o"], load.Project(tmp_path), "pkg")
    assert (tmp_path / "src/hello.c").read_text() == "one\nTWO\nthree\n"
    assert (tmp_path / "src/meson.build").read_text() == "overlay"
    assert (tmp_path / "src/sub/x").read_text() == "y"


def test_a_patch_that_does_not_apply_is_one_clear_error(tmp_path: Path) -> None:
    write(tmp_path / "p/1.patch", PATCH)
    source = archive(tmp_path / "s.tar.gz", hello_c="one\nother\nthree\n")
    with pytest.raises(BuildError, match=r"pkg: applying 1\.patch failed") as caught:
        component.prepare_source(source, tmp_path / "src", ["p/1.patch"], [], load.Project(tmp_path), "pkg")
    assert caught.value.exit_code == 4
    assert any("hunk" in line.lower() for line in caught.value.details)
    assert caught.value.hint is not None


def test_a_missing_patch_is_a_spec_error(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no such patch") as caught:
        component.apply_patch(tmp_path / "no.patch", tmp_path, "pkg")
    assert caught.value.exit_code == 2


def test_a_missing_licence_text_is_a_spec_error(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="COPYING: no such file"):
        component.collect_licences(tmp_path, ["COPYING"], tmp_path / "out", "pkg")


def environment(**changes: object) -> Environment:
    project = load.Project(ROOT)
    given: dict[str, object] = {
        "toolchain": load.load_toolchain(project, "trixie-ucrt64"),
        "root_key": Key("root", "r", {}),
        "epoch": 1735689600,
        "jobs": 2,
    }
    return Environment(**{**given, **changes})  # type: ignore[arg-type]


def key(item: model.Component, env: Environment | None = None) -> str:
    return component.component_key(item, load.Project(ROOT), env or environment(), {}).digest


def test_a_key_follows_what_shapes_the_output() -> None:
    item = load.parse(COMPONENT, model.Component, "x")
    same = key(item)
    assert key(item, environment(jobs=7)) == same
    assert key(msgspec.structs.replace(item, description="other words", purl="pkg:other")) == same
    assert key(msgspec.structs.replace(item, version="1.3.2")) != same
    assert key(msgspec.structs.replace(item, build=model.Build(script="make all"))) != same
    assert key(msgspec.structs.replace(item, patches=("Makefile",))) != same
    assert key(item, environment(epoch=1)) != same
    toolchain = environment().toolchain
    assert key(item, environment(toolchain=msgspec.structs.replace(toolchain, cflags=("-O3",)))) != same
    assert key(item, environment(root_key=Key("root", "r", {"other": 1}))) != same


def test_recipes_see_the_same_variables_but_for_jobs() -> None:
    one, two = environment(jobs=1).variables(), environment(jobs=9).variables()
    assert one.pop("JOBS") == "1"
    assert two.pop("JOBS") == "9"
    assert one == two
    assert one["SOURCE_DATE_EPOCH"] == "1735689600"


def test_environments_are_values() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        environment().jobs = 3  # type: ignore[misc]
