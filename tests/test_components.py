"""Components by themselves: the same keys as in a bundle, and what is like another component follows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from packager import components
from packager.errors import SpecError
from packager.progress import Clock
from packager.specs import load
from packager.specs.load import Project
from packager.store import Store
from tests.plans import plan as bundle_plan
from tests.support import COMPONENT, Recorder, write

ROOT = Path(__file__).parents[1]
OPTIONS = components.Options(toolchain="trixie-ucrt64", target="windows-x86_64", jobs=1, offline=True)


def test_keys_are_those_of_a_bundle() -> None:
    plan = components.make_plan(Project(ROOT), ["cpython", "pycryptodomex"], OPTIONS)
    of_bundle = bundle_plan("electrum").component_keys
    assert dict(plan.keys) == {name: of_bundle[name] for name in plan.keys}
    assert plan.title("cpython") == f"cpython-{plan.components[-2].version}-windows-x86_64"


def test_jobs_change_no_key() -> None:
    other = components.Options(toolchain="trixie-ucrt64", target="windows-x86_64", jobs=7)
    one, two = (components.make_plan(Project(ROOT), ["cpython-tests"], options) for options in (OPTIONS, other))
    assert one.keys == two.keys


@pytest.mark.parametrize("version", ["cpython", "cpython-3.12"])
@pytest.mark.parametrize("part", ["development", "tests"])
def test_what_developers_get_is_made_from_the_bundles_interpreter(version: str, part: str) -> None:
    one, interpreter = (load.load_component(Project(ROOT), name) for name in (f"{version}-{part}", version))
    assert version in one.depends
    assert (one.version, one.source) == (interpreter.version, interpreter.source)
    assert (one.patches, one.overlays) == (interpreter.patches, interpreter.overlays)
    assert one.build == load.load_component(Project(ROOT), f"cpython-{part}").build != interpreter.build


def test_a_second_version_is_built_as_the_first() -> None:
    first, second = (load.load_component(Project(ROOT), name) for name in ("cpython", "cpython-3.12"))
    assert (first.build, first.overlays, first.depends) == (second.build, second.overlays, second.depends)
    assert first.version.split(".")[:2] != second.version.split(".")[:2]


def test_no_bundle_has_what_is_for_developers() -> None:
    for spec in ("electrum", "electrum-nmc"):
        names = set(bundle_plan(spec).component_keys)
        assert "cpython" in names
        assert not {name for name in names if name.startswith("cpython-")}


def specs(folder: Path, **texts: str) -> Project:
    for name, text in texts.items():
        write(folder / f"bundle_specs/components/{name}.toml", text)
    return Project(folder)


def test_a_component_like_another_says_only_what_differs(tmp_path: Path) -> None:
    other = 'name = "other"\nlike = "zlib"\ndescription = "d"\n[build]\nscript = "other"'
    project = specs(tmp_path, zlib=COMPONENT, other=other)
    found, like = load.load_component(project, "other"), load.load_component(project, "zlib")
    assert (found.source, found.version, found.licence) == (like.source, like.version, like.licence)
    assert (found.name, found.description, found.build.script) == ("other", "d", "other")
    files = [path.stem for path in load.component_files(project, found)]
    assert files == ["other", "zlib"]


def test_a_component_like_two_takes_a_key_from_the_first_that_has_it(tmp_path: Path) -> None:
    base = COMPONENT.replace('name = "zlib"', 'name = "base"')
    newer = 'name = "newer"\nlike = "base"\ndescription = "d"\nversion = "2"'
    tests = 'name = "tests"\nlike = "base"\ndescription = "d"\nversion = "3"\n[build]\nscript = "tests"'
    both = 'name = "both"\nlike = ["newer", "tests"]\ndescription = "of both"'
    project = specs(tmp_path, base=base, newer=newer, tests=tests, both=both)
    found = load.load_component(project, "both")
    assert (found.version, found.build.script, found.description) == ("2", "tests", "of both")
    assert found.source == load.load_component(project, "base").source
    assert [path.stem for path in load.component_files(project, found)] == ["both", "newer", "tests", "base"]


@pytest.mark.parametrize("like", ["3", "[3]", "{}"])
def test_like_something_else_than_names(tmp_path: Path, like: str) -> None:
    project = specs(tmp_path, zlib=COMPONENT.replace("description", f"like = {like}\ndescription", 1))
    with pytest.raises(SpecError, match=r"zlib\.toml: like"):
        load.load_component(project, "zlib")


def test_a_description_is_not_taken_over(tmp_path: Path) -> None:
    project = specs(tmp_path, zlib=COMPONENT, other='name = "other"\nlike = "zlib"')
    with pytest.raises(SpecError, match=r"other\.toml: description: expected a value, found nothing"):
        load.load_component(project, "other")


def test_components_like_each_other_are_refused(tmp_path: Path) -> None:
    project = specs(tmp_path, a='name = "a"\nlike = "b"', b='name = "b"\nlike = "a"')
    with pytest.raises(SpecError, match="components are like each other in a circle: a -> b -> a"):
        load.load_component(project, "a")


def test_like_nothing_that_is_there(tmp_path: Path) -> None:
    project = specs(tmp_path, a='name = "a"\nlike = "b"')
    with pytest.raises(SpecError, match=r"b\.toml: no such component"):
        load.load_component(project, "a")


def test_what_the_store_has_is_published_in_place_of_an_older_copy(tmp_path: Path) -> None:
    plan = components.make_plan(Project(ROOT), ["zlib"], OPTIONS)
    store = Store.open(tmp_path / "store", Recorder())

    def made(folder: Path) -> None:
        write(folder / "tree/bundle/x", "new")
        write(folder / "licences/LICENSE", "text")

    store.make(plan.keys["zlib"], made)
    entries = components.build(plan, store, Clock(Recorder()))
    folder = tmp_path / "out" / plan.title("zlib")
    write(folder / "stale", "old")
    assert components.publish(plan, entries, tmp_path / "out") == (folder,)
    files = [str(path.relative_to(folder)) for path in sorted(folder.rglob("*")) if path.is_file()]
    assert files == ["bundle/x", "licenses/LICENSE"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [folder.name]
