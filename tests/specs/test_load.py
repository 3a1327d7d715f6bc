"""Specs are read once, strictly; each error names file, key, what was expected and what was found."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from packager.errors import SpecError
from packager.specs import load, model
from tests.support import COMPONENT, write

ROOT = Path(__file__).parents[2]


def parse(text: str) -> model.Component:
    return load.parse(text, model.Component, "zlib.toml")


def refused(text: str) -> str:
    with pytest.raises(SpecError) as caught:
        component = parse(text)
        load.check_source(component.source, "zlib.toml", "source")
    assert caught.value.exit_code == 2
    return caught.value.message


def test_a_good_component_is_read() -> None:
    component = parse(COMPONENT)
    assert component.name == "zlib"
    assert component.source.digest == "sha256:" + "0" * 64
    assert component.source.origins == (
        model.DebianOrigin(suite="trixie", package="zlib", file="zlib_1.3.1.orig.tar.gz"),
    )


def test_values_are_frozen() -> None:
    with pytest.raises(AttributeError):
        parse(COMPONENT).name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "zlib"', "name = 3", "zlib.toml: name: expected str, found 3 (int)"),
        ('[build]\nscript = "make"', "", "zlib.toml: build: expected a value, found nothing"),
        ("[build]", "jobs = 2\n[build]", "zlib.toml: source.origins[0].jobs: expected only known keys, found an unknown key"),
        ("[build]", "[build]\nshell = 1", "zlib.toml: build.shell: expected only known keys, found an unknown key"),
        ("0" * 64, "0" * 63, f"zlib.toml: source.sha256: expected str matching regex '^[0-9a-f]{{64}}$', found '{'0' * 63}' (str)"),
        ('kind = "debian"', 'kind = "ftp"', "zlib.toml: source.origins[0].kind: expected a known value, found 'ftp'"),
        ('licence_files = ["LICENSE"]', "licence_files = []", "zlib.toml: licence_files: expected array of length >= 1, found [] (array)"),
        ('licence_files = ["LICENSE"]', 'licence_files = ["../x"]', None),
        ('licence_files = ["LICENSE"]', 'licence_files = ["/etc/passwd"]', None),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(old: str, new: str, message: str | None) -> None:
    found = refused(COMPONENT.replace(old, new))
    if message is None:
        assert found.startswith("zlib.toml: licence_files[0]: expected str matching regex")
    else:
        assert found == message


def test_toml_that_is_none_is_refused() -> None:
    assert refused("name = ").startswith("zlib.toml: expected TOML, found ")


def test_a_source_is_bound_once() -> None:
    both = COMPONENT.replace('file = "zlib.tar.gz"', 'file = "zlib.tar.gz"\ncommit = "' + "a" * 40 + '"')
    assert refused(both) == "zlib.toml: source: expected exactly one of sha256 and commit, found both"
    neither = COMPONENT.replace('sha256 = "' + "0" * 64 + '"', "")
    assert refused(neither) == "zlib.toml: source: expected exactly one of sha256 and commit, found neither"


def test_a_commit_takes_git_origins_only() -> None:
    text = COMPONENT.replace('sha256 = "' + "0" * 64 + '"', 'commit = "' + "a" * 40 + '"')
    assert "source.origins[0]: expected kind git" in refused(text)
    git = text.replace(
        'kind = "debian"\nsuite = "trixie"\npackage = "zlib"\nfile = "zlib_1.3.1.orig.tar.gz"',
        'kind = "git"\nurl = "https://example.org/x.git"\ncommit = "' + "b" * 40 + '"',
    )
    assert f"source.origins[0].commit: expected the source's commit {'a' * 40}, found {'b' * 40}" in refused(git)
    load.check_source(parse(git.replace("b" * 40, "a" * 40)).source, "x", "source")


def test_only_of_a_commit_something_is_left_out() -> None:
    text = COMPONENT.replace('file = "zlib.tar.gz"', 'file = "zlib.tar.gz"\nleave_out = ["a"]')
    assert refused(text).startswith("zlib.toml: source.leave_out: expected none, as the source is bound by a sha256")
    outside = text.replace('["a"]', '["../a"]')
    assert refused(outside).startswith("zlib.toml: source.leave_out[0]: expected")


def project(tmp_path: Path, **components: str) -> load.Project:
    for name, text in components.items():
        write(tmp_path / f"bundle_specs/components/{name}.toml", text)
    return load.Project(tmp_path)


def test_a_missing_patch_is_named(tmp_path: Path) -> None:
    text = COMPONENT.replace('purl = "', 'patches = ["patches/zlib/no.patch"]\npurl = "')
    with pytest.raises(SpecError, match=r"patches\[0\]: expected a path that is there, found patches/zlib/no.patch"):
        load.load_component(project(tmp_path, zlib=text), "zlib")


def test_a_missing_keyring_is_named(tmp_path: Path) -> None:
    text = COMPONENT.replace(
        "[build]",
        '[source.signature]\nfile = "z.asc"\nsha256 = "' + "1" * 64 + '"\nkeyring = "keys/no.asc"\n'
        'fingerprints = ["'
        + "A" * 40
        + '"]\norigins = [{ kind = "https", url = "https://example.org/z.asc" }]\n[build]',
    )
    with pytest.raises(SpecError, match=r"source\.signature\.keyring: .* keys/no.asc: no such file"):
        load.load_component(project(tmp_path, zlib=text), "zlib")


def test_a_component_is_called_as_its_file(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="name: expected 'other', as the file is called, found 'zlib'"):
        load.load_component(project(tmp_path, other=COMPONENT), "other")


def test_an_unknown_component_lists_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        load.load_component(project(tmp_path, zlib=COMPONENT), "zip")
    assert caught.value.hint == "the components are: zlib"


def test_dependencies_come_first_and_circles_are_refused(tmp_path: Path) -> None:
    a = COMPONENT.replace('"zlib"', '"a"', 1).replace("purl", 'depends = ["b"]\npurl', 1)
    b = COMPONENT.replace('"zlib"', '"b"', 1)
    assert [c.name for c in load.load_components(project(tmp_path, a=a, b=b), ("a", "b"))] == ["b", "a"]
    circle = b.replace("purl", 'depends = ["a"]\npurl', 1)
    with pytest.raises(SpecError, match="in a circle: a -> b -> a"):
        load.load_components(project(tmp_path, a=a, b=circle), ("a",))


def test_a_bundle_is_found_by_name_and_by_path(tmp_path: Path) -> None:
    place = load.Project(ROOT)
    assert load.load_bundle(place, "electrum").version == "4.3.4"
    assert load.load_bundle(place, str(ROOT / "bundle_specs/electrum.toml")).name == "electrum"
    with pytest.raises(SpecError, match="elektrum: no such bundle spec") as caught:
        load.load_bundle(place, "elektrum")
    assert caught.value.hint is not None
    assert "electrum-nmc" in caught.value.hint
    with pytest.raises(SpecError, match=r"no/such\.toml: no such spec"):
        load.load_bundle(place, str(tmp_path / "no/such.toml"))


def test_the_project_is_found_from_below(tmp_path: Path) -> None:
    (tmp_path / "bundle_specs").mkdir()
    (tmp_path / "a/b").mkdir(parents=True)
    assert load.find_project(tmp_path / "a/b").root == tmp_path
    assert load.find_project(Path("/")).root == ROOT


@pytest.mark.parametrize("path", sorted((ROOT / "bundle_specs/components").glob("*.toml")), ids=lambda p: p.stem)
def test_every_component_of_the_project_is_sound(path: Path) -> None:
    load.load_component(load.Project(ROOT), path.stem)


@pytest.mark.parametrize("path", sorted((ROOT / "bundle_specs").glob("*.toml")), ids=lambda p: p.stem)
def test_every_bundle_of_the_project_is_sound(path: Path) -> None:
    place = load.Project(ROOT)
    bundle = load.load_bundle(place, path.stem)
    load.load_components(place, (bundle.interpreter, *(native.component for native in bundle.native)))
    load.load_toolchain_lock(place, bundle.toolchain)
    load.load_bundle_lock(place, bundle)


#: Upstreams' own sites; packages come by name from whatever registry this machine is set to.
UPSTREAM = {"github.com", "sourceware.org", "www.python.org"}


def test_specs_name_no_site_but_upstreams_own() -> None:
    for path in sorted((ROOT / "bundle_specs").rglob("*.toml")):
        hosts = set(re.findall(r"\bhttps?://([A-Za-z0-9.-]+)", path.read_text()))
        assert hosts <= UPSTREAM, path
