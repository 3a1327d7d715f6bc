"""A real bundle of layout tor-browser: built, checked, put into a tree, run from there under Wine, and taken out."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.install.samples import HOST, LICENCES, PROGRAM, STATE, browser, picture
from tests.integration.conftest import copy_project, packager
from tests.support import write

#: Run by the bundle's python, in a Tor Browser's folder: what it may write to.
WRITES = r"""
import os
top = r"C:\bundle\Browser\TorBrowser"
os.makedirs(top + r"\Data\Namecoin")
print(open(top + r"\Data\Namecoin\state", "w").write("x"))
for name in (r"\Namecoin\x", r"\Docs\x", r"\..\firefox.exe"):
    try:
        open(top + name, "w")
    except OSError:
        print("refused")
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the bundle ``electrum`` with the other layout; archives, manifest and sums lie beside it."""
    project = copy_project(tmp_path_factory.mktemp("layout") / "project")
    spec = project / "bundle_specs/electrum.toml"
    text = spec.read_text()
    assert 'layout = "portable"' in text
    spec.write_text(text.replace('layout = "portable"', 'layout = "tor-browser"'))
    done = packager("--json", "build", "electrum", "--out", project / "dist", cwd=project, timeout=3000)
    assert done.returncode == 0, done.stderr.decode()
    return Path(json.loads(done.stdout)["built"][0]["folder"])


def said(*arguments: str | Path) -> str:
    done = packager(*arguments)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("end", ["", ".tar.zst", ".zip"])
def test_every_form_is_what_the_manifest_says(built: Path, end: str) -> None:
    assert "files are those of the manifest" in said("verify", built.with_name(built.name + end))
    if end:
        assert said("diff", built, built.with_name(built.name + end)).endswith(": no difference\n")


def test_the_other_tools_find_their_way(built: Path) -> None:
    assert " no errors, " in said("audit", built)
    assert " 0 missing, " in said("deps", "--format", "list", built)
    said("normalise", "--check", built)
    assert said("run", built, "--", "--offline", "version") == "4.3.4\n"
    bill = json.loads(built.with_name(f"{built.name}.cdx.json").read_text())
    texts = [
        item["value"]
        for component in bill["components"]
        for item in component["properties"]
        if item["name"].endswith("licence-texts")
    ]
    assert len(texts) > 10
    for text in texts:
        assert any((built / text).iterdir()), text
    assert {path.name for path in built.iterdir()} == {"Browser"}
    listed = json.loads((built / PROGRAM / "files.json").read_text())
    files = {path.relative_to(built).as_posix() for path in built.rglob("*") if path.is_file()}
    assert {file["path"] for file in listed["files"]} == files - {f"{PROGRAM}/files.json"}


@pytest.mark.parametrize("form", ["before 16.0", "16.0"])
def test_it_goes_in_runs_and_comes_out(built: Path, tmp_path: Path, form: str) -> None:
    top = browser(tmp_path / ("Tor Browser \u65e5\u672c " + "x" * 200), "16.0" if form == "16.0" else "before 16.0")
    before = picture(top)
    archive = built.with_name(f"{built.name}.tar.zst")
    assert f"{built.name} installed, " in said("install", archive, top)
    assert said("run", top, "--", "--offline", "version") == "4.3.4\n"
    assert said("run", "--python", top, "--", "-c", WRITES) == "1\n" + "refused\n" * 3
    assert (top / STATE / "state").read_text() == "x"
    after = picture(top)
    data = f"{HOST}/Data"
    assert {path: after[path] for path in before if path != data} == {p: before[p] for p in before if p != data}
    assert "removed" in said("uninstall", top)
    after = picture(top)
    assert set(after) == set(before)
    assert {path: after[path] for path in before if path != data} == {p: before[p] for p in before if p != data}


def test_plainly_unpacked_it_comes_out_too(built: Path, tmp_path: Path) -> None:
    top = browser(tmp_path / "t")
    before = picture(top)
    archive = built.with_name(f"{built.name}.tar.zst")
    subprocess.run(["tar", "--zstd", "-xf", archive, "-C", top], check=True)
    assert (top / LICENCES).is_dir()
    write(top / PROGRAM / "mine.txt", "mine")
    assert f"    {PROGRAM}/mine.txt\n" in said("uninstall", top)
    (top / PROGRAM / "mine.txt").unlink()
    (top / PROGRAM).rmdir()
    assert {path: (mode, data) for path, (mode, _, data) in picture(top).items()} == {
        path: (mode, data) for path, (mode, _, data) in before.items()
    }
