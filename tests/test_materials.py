"""What a bundle is made from, as its specs and nothing of this machine say it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import msgspec
import pytest

from packager import materials, pipeline
from packager.errors import BuildError
from packager.specs import model
from packager.specs.load import Project
from tests import plans
from tests.support import write


@pytest.fixture(params=plans.SPECS)
def plan(request: pytest.FixtureRequest) -> pipeline.Plan:
    return plans.plan(request.param)


def by_name(plan: pipeline.Plan, root: Path) -> dict[str, materials.Material]:
    return {item.record.name: item for item in plans.material(plan, plans.build_root(root, plan))}


def test_every_source_has_a_digest_a_place_and_a_description(plan: pipeline.Plan, tmp_path: Path) -> None:
    found = by_name(plan, tmp_path)
    assert set(found) == {record.name for record in plans.described(plan).sources}
    for item in found.values():
        assert item.digest.value, item.record.name
        assert item.locations, item.record.name
        assert item.description, item.record.name
        kind, _, value = item.record.digest.partition(":")
        if kind in ("sha256", "git"):
            assert item.digest.value == value, item.record.name


def test_a_component_has_its_patches_overlays_and_what_is_linked_into_it(tmp_path: Path) -> None:
    cpython = by_name(plans.plan("electrum"), tmp_path)["cpython"]
    spec = next(item for item in plans.plan("electrum").components if item.name == "cpython")
    assert tuple(item.path for item in cpython.patches) == spec.patches
    assert tuple(item.path for item in cpython.overlays) == spec.overlays
    assert cpython.depends == (*spec.depends, "gcc-runtime", "mingw-w64-runtime")
    assert cpython.declared == "`licence` in bundle_specs/components/cpython.toml"


def test_no_registry_host_is_named(plan: pipeline.Plan, tmp_path: Path) -> None:
    for item in by_name(plan, tmp_path).values():
        for place in item.locations:
            assert place.kind in ("url", "git") or place.uri.startswith(("pkg:", "urn:")), place


@pytest.mark.parametrize(
    ("origin", "kind", "uri"),
    [
        (model.HttpsOrigin(url="https://example.org/a/b-1.tar.gz"), "url", "https://example.org/a/b-1.tar.gz"),
        (model.GitOrigin(url="https://example.org/a.git", commit="a" * 40), "git", "https://example.org/a.git"),
        (model.GitOrigin(url="git@example.org:a/b.git", commit="a" * 40), "git", "ssh://git@example.org/a/b.git"),
        (model.GitOrigin(url="/srv/a", commit="a" * 40), "git", "/srv/a"),
        (
            model.PypiOrigin(name="a", version="1", file="a-1+x.tar.gz"),
            "package",
            "pkg:pypi/a@1?file_name=a-1%2Bx.tar.gz",
        ),
        (
            model.DebianOrigin(suite="trixie", package="python3.13", file="p.tar.xz"),
            "package",
            "pkg:deb/debian/python3.13?arch=source&distro=trixie",
        ),
    ],
)
def test_origins_as_uris(origin: model.Origin, kind: str, uri: str) -> None:
    found = materials.location(origin)
    assert (found.kind, found.uri) == (kind, uri)


def test_dir_hash_is_what_the_shell_prints(tmp_path: Path) -> None:
    for name in ("a/b", "a.c", "a/b.d/e", "Z"):
        write(tmp_path / name, name)
    command = "find . -type f | cut -c3- | LC_ALL=C sort | xargs -r sha256sum | sha256sum | cut -f1 -d' '"
    printed = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, check=True, text=True).stdout
    assert materials.dir_hash(tmp_path) == printed.strip()
    write(tmp_path / "a/__pycache__/b.pyc", "left out")
    (tmp_path / "link").symlink_to("Z")
    assert materials.dir_hash(tmp_path) == printed.strip()


def test_a_package_s_hash_is_of_the_files_that_it_put_there(tmp_path: Path) -> None:
    documentation = "usr/share/doc/one/changelog.Debian.amd64.gz", "usr/share/doc/one/copyright"
    listed = [".", "usr", "usr/a", "usr/b", *documentation]
    write(tmp_path / "var/lib/dpkg/info/one.list", "".join(f"/{name}\n" for name in listed))
    for name in ("usr/a", *documentation):
        write(tmp_path / name, "1")
    before = materials.package_hash(tmp_path, "one")
    write(tmp_path / "usr/other", "not its own")
    (tmp_path / "usr/b").symlink_to("a")
    write(tmp_path / documentation[0], "of another processor")
    assert materials.package_hash(tmp_path, "one") == before
    assert before == materials.dir_hash(tmp_path, ["usr/a", documentation[1]])
    write(tmp_path / "usr/a", "2")
    assert materials.package_hash(tmp_path, "one") != before
    with pytest.raises(BuildError, match="on: not among the packages of the build root"):
        materials.package_hash(tmp_path, "on")


def test_a_source_that_no_spec_knows(tmp_path: Path) -> None:
    plan = plans.plan("electrum")
    stranger = msgspec.structs.replace(plans.described(plan).sources[0], name="stranger", kind="linked")
    with pytest.raises(BuildError, match="stranger: no spec of electrum knows this source"):
        materials.collect([stranger], plan.recipe, tmp_path)


def test_spec_files_are_named_from_the_project(tmp_path: Path) -> None:
    names = [item.path for item in plans.plan("electrum").specs]
    assert names[0] == "bundle_specs/electrum.toml"
    assert "bundle_specs/locks/electrum.toml" not in names, "the lock of the sums is an output"
    assert {"bundle_specs/locks/pylock.electrum.toml", "bundle_specs/components/zlib.toml"} <= set(names)
    assert {"bundle_specs/policy/windows.toml", "bundle_specs/keys/xz.asc"} <= set(names)
    assert len(set(names)) == len(names)
    outside = write(tmp_path / "own.toml", (plans.ROOT / "bundle_specs/electrum.toml").read_bytes())
    assert pipeline.make_plan(Project(plans.ROOT), str(outside), plans.OPTIONS).specs[0].path == "own.toml"
