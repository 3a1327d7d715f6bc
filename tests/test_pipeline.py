"""Plans: each stage's key follows what goes into it, and only that."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from packager import pipeline
from packager.errors import SpecError
from packager.specs.load import Project
from tests.support import write

ROOT = Path(__file__).parents[1]
OPTIONS = pipeline.Options(target="windows-x86_64", jobs=2, offline=False)


def keys(project: Path, options: pipeline.Options = OPTIONS) -> dict[str, str]:
    plan = pipeline.make_plan(Project(project), "electrum", options)
    stages = {
        "root": plan.root.key,
        "application": plan.application_key,
        "stubs": plan.stubs_key,
        "assembled": plan.assembled_key,
        "staged": plan.staged_key,
        "normalised": plan.normalised_key,
        "emitted": plan.emitted_key,
    }
    return {
        **{name: key.digest for name, key in stages.items()},
        **{n: k.digest for n, k in plan.component_keys.items()},
    }


@pytest.fixture(scope="module")
def before() -> dict[str, str]:
    return keys(ROOT)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("bundle_specs", "patches", "launcher"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "LICENSE", tmp_path)
    return tmp_path


def replace(file: str, old: str, new: str) -> Callable[[Path], None]:
    def change(project: Path) -> None:
        path = project / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return change


def append(file: str, more: str) -> Callable[[Path], None]:
    def change(project: Path) -> None:
        path = project / file
        path.write_text(path.read_text() + more)

    return change


OUT = {"assembled", "staged", "normalised", "emitted"}
EVERY_COMPONENT = {
    "zlib", "bzip2", "xz", "libffi", "sqlite", "openssl", "cpython", "libsecp256k1", "pycryptodomex",
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        (append("launcher/stub.c", "\n/* more */\n"), {"stubs", *OUT}),
        (append("launcher/README.md", "\nmore\n"), set()),
        (append("bundle_specs/electrum.toml", '\n[[prune]]\npath = "a"\nreason = "b"\n'), OUT),
        (replace("bundle_specs/electrum.toml", "size_budget = 20_000_000", "size_budget = 30_000_000"), {"emitted"}),
        (replace("bundle_specs/electrum.toml", 'layout = "portable"', 'layout = "tor-browser"'), OUT - {"assembled"}),
        (
            replace("bundle_specs/electrum.toml", 'standard_library = "zip"', 'standard_library = "files"'),
            OUT - {"assembled"},
        ),
        (append("bundle_specs/policy/windows.toml", "\n# more\n"), {"emitted"}),
        (replace("bundle_specs/components/zlib.toml", 'script = """', 'script = """\ntrue'), {"zlib", "cpython", *OUT}),
        (replace("bundle_specs/components/zlib.toml", 'description = "', 'description = "x'), {"emitted"}),
        (append("bundle_specs/locks/toolchain.trixie-ucrt64.toml", "# more\n"), {"emitted"}),
        (append("bundle_specs/locks/electrum.toml", "# more\n"), set()),
        (append("bundle_specs/electrum-nmc.toml", "# more\n"), set()),
        (append("patches/cpython/0007-ipproto-macros.patch", "\n"), {"cpython", *OUT}),
        (append("patches/cpython/overlay/meson.build", "\n# more\n"), {"cpython", *OUT}),
        (append("bundle_specs/keys/xz.asc", "\n"), OUT),
        (append("patches/electrum/0001-no-gui.patch", "\n"), {"application", "stubs", *OUT}),
        (
            replace("bundle_specs/toolchains/trixie-ucrt64.toml", '"-O2"', '"-O3"'),
            {"application", "stubs", *EVERY_COMPONENT, *OUT},
        ),
        (
            replace("bundle_specs/locks/toolchain.trixie-ucrt64.toml", 'meson = "', 'meson = "9'),
            {"root", "application", "stubs", *EVERY_COMPONENT, *OUT},
        ),
    ],
)
def test_a_change_remakes_what_depends_on_it(
    before: dict[str, str], project: Path, change: Callable[[Path], None], changed: set[str]
) -> None:
    change(project)
    after = keys(project)
    assert {name for name in before if before[name] != after[name]} == changed


def test_a_trace_and_rules_about_modules_decide_what_is_staged(project: Path) -> None:
    spec = project / "bundle_specs/electrum.toml"
    (project / "bundle_specs/traces").mkdir(exist_ok=True)
    trace = project / "bundle_specs/traces/electrum.toml"
    trace.write_text('command = "x"\n[interpreter]\nbuiltin = []\nfrozen = []\nstart = []\n')
    rules = '\n[modules]\ntrace = "traces/electrum.toml"\n[[modules.keep]]\nmodule = "a"\nreason = "b"\n'
    spec.write_text(spec.read_text() + rules)
    first = keys(project)
    append("bundle_specs/traces/electrum.toml", "# more\n")(project)
    second = keys(project)
    replace("bundle_specs/electrum.toml", 'module = "a"', 'module = "c"')(project)
    third = keys(project)
    for one, other in ((first, second), (second, third)):
        assert {name for name in one if one[name] != other[name]} == OUT - {"assembled"}


def test_where_and_how_it_is_built_is_in_no_key(before: dict[str, str], project: Path) -> None:
    assert keys(project) == before
    assert keys(ROOT, pipeline.Options(target="windows-x86_64", jobs=7, offline=True)) == before


def test_another_epoch_is_another_bundle(before: dict[str, str]) -> None:
    after = keys(ROOT, pipeline.Options(target="windows-x86_64", jobs=2, offline=False, epoch=1_000_000_000))
    assert {name for name in before if before[name] == after[name]} == {"root"}


def test_a_lock_for_another_python_is_refused(project: Path) -> None:
    replace("bundle_specs/locks/pylock.electrum.toml", 'requires-python = "', 'requires-python = "<3,')(project)
    with pytest.raises(SpecError, match="requires-python: expected a range with the interpreter's version"):
        keys(project)


def test_the_sums_are_compared_with_the_lock(project: Path) -> None:
    plan = pipeline.make_plan(Project(project), "electrum", OPTIONS)
    sums = {"electrum.zip": "a" * 64}
    lock = project / "bundle_specs/locks/electrum.toml"
    write(lock, "")
    assert pipeline.compare_lock(plan, sums) == "unrecorded"
    write(lock, f'[archives.windows-x86_64]\n"electrum.zip" = "{"a" * 64}"\n')
    assert pipeline.compare_lock(plan, sums) == "match"
    assert pipeline.compare_lock(plan, {"electrum.zip": "b" * 64}) == "mismatch"
    assert pipeline.compare_lock(plan, {**sums, "more": "a" * 64}) == "mismatch"
    statement = f"{plan.title}.intoto.json"
    assert pipeline.compare_lock(plan, {**sums, statement: "a" * 64}) == "match", "it names the packager's code"


def test_outputs_and_what_is_locked_of_them() -> None:
    plan = pipeline.make_plan(Project(ROOT), "electrum", OPTIONS)
    suffixes = ("", ".tar.zst", ".zip", ".manifest.json", ".cdx.json", ".intoto.json")
    assert plan.outputs == tuple(f"electrum-4.3.4-windows-x86_64{suffix}" for suffix in suffixes)
    files = plan.outputs[1:]
    assert tuple(plan.locked(dict.fromkeys(files, "a" * 64))) == tuple(sorted(files[:-1]))
