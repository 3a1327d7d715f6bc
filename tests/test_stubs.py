"""Stubs: what they are compiled with."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from packager import launcher, stubs
from packager.component import Environment
from packager.errors import SpecError
from packager.keys import Key
from packager.specs import load

PROJECT = load.Project(Path(__file__).parents[1])


@pytest.mark.parametrize(
    ("version", "words"), [("4.3.4", "4,3,4,0"), ("1", "1,0,0,0"), ("1.2.3.4.5", "1,2,3,4"), ("4.0.rc1", "4,0,0,0")]
)
def test_versions_as_resources_have_them(version: str, words: str) -> None:
    assert stubs.version_words(version) == words


@pytest.mark.parametrize("version", ["nc", "70000.1"])
def test_versions_that_no_resource_can_have(version: str) -> None:
    with pytest.raises(SpecError, match="version: expected numbers with dots"):
        stubs.version_words(version)


def test_the_header_has_what_the_source_needs() -> None:
    bundle = load.load_bundle(PROJECT, "electrum")
    console, windowless = bundle.entry_points
    header = stubs.config_header(bundle, console, "python313", icon=True)
    assert '#define STUB_NAME "electrum"' in header
    assert '#define STUB_MODULE "run_electrum"' in header
    assert '#define STUB_PYTHON "python313"' in header
    assert "#define STUB_VERSION_WORDS 4,3,4,0" in header
    assert '#define STUB_ICON "stub.ico"' in header
    assert "STUB_WINDOWLESS" not in header
    assert "#define STUB_WINDOWLESS 1" in stubs.config_header(bundle, windowless, "python313", icon=False)


def test_a_stub_for_linux_is_compiled_from_its_own_source() -> None:
    interpreter = load.load_component(PROJECT, "cpython")
    application = Key("application", "electrum", {})
    inputs = {}
    for target in ("windows-x86_64", "linux-x86_64"):
        bundle = load.load_variant(PROJECT, "electrum", target)
        environment = Environment(load.load_toolchain(PROJECT, bundle.toolchain), Key("root", "r", {}), 1, 2)
        inputs[target] = stubs.stubs_key(bundle, PROJECT, environment, application, interpreter).inputs
    assert list(inputs["linux-x86_64"]["sources"]) == ["stub_linux.c"]
    assert list(inputs["windows-x86_64"]["sources"]) == list(launcher.STUB)
    assert (inputs["linux-x86_64"]["python"], inputs["windows-x86_64"]["python"]) == ("python3", "python313")
    assert inputs["linux-x86_64"]["build"] != inputs["windows-x86_64"]["build"]


def test_the_key_follows_entry_points_and_sources(tmp_path: Path) -> None:
    bundle = load.load_bundle(PROJECT, "electrum")
    interpreter = load.load_component(PROJECT, "cpython")
    environment = Environment(load.load_toolchain(PROJECT, bundle.toolchain), Key("root", "r", {}), 1, 2)
    application = Key("application", "electrum", {})

    def key(changed: object = bundle, project: load.Project = PROJECT) -> str:
        return stubs.stubs_key(changed, project, environment, application, interpreter).digest  # type: ignore[arg-type]

    assert stubs.python_library(interpreter) == "python313"
    assert key(msgspec.structs.replace(bundle, prune=())) == key()
    assert key(msgspec.structs.replace(bundle, entry_points=bundle.entry_points[:1])) != key()
    (tmp_path / "launcher").mkdir()
    for name in launcher.STUB:
        (tmp_path / "launcher" / name).write_bytes((PROJECT.root / "launcher" / name).read_bytes())
    assert key(project=load.Project(tmp_path)) == key()
    (tmp_path / "launcher/stub.c").write_text("int main;")
    assert key(project=load.Project(tmp_path)) != key()
