"""The two commands as people and scripts see them: exact text, JSON with a schema, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]
import pytest

from packager.install import filelist, put, take
from tests.install.samples import HOST, PROGRAM, STATE, browser, bundle
from tests.support import run, write

SCHEMAS = Path(__file__).parents[2] / "docs/schema"
TITLE = "demo-1.0-windows-x86_64"


def test_what_people_read(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    top, source = browser(tmp_path / "t"), bundle(tmp_path / "dist")
    archive = source.with_name(f"{TITLE}.tar.zst")
    assert run(capfd, "install", archive, top) == (0, f"{top}: {TITLE} installed, 10 files, 0.0 MB\n", "")
    again = (0, f"{top}: {TITLE} is installed already; nothing was changed\n", "")
    assert run(capfd, "install", archive, top / "Browser") == again
    write(top / PROGRAM / "app/mine", b"")
    newer = bundle(tmp_path / "new", "2.0", archives=False)
    assert run(capfd, "install", newer, top) == (
        0,
        f"{top}: demo-2.0-windows-x86_64 installed in place of {TITLE}, 10 files, 0.0 MB\n"
        f"  files of others, left where they were:\n    {PROGRAM}/app/mine\n",
        "note: no manifest and no sums beside it: checked against its own list of files only\n",
    )
    write(top / STATE / "x", b"")
    (top / PROGRAM / "namecoin.exe").unlink()
    assert run(capfd, "uninstall", "--keep-state", top) == (
        0,
        f"{top}: demo-2.0-windows-x86_64 removed, 10 files; what it had stored is kept\n"
        f"  were not there:\n    {PROGRAM}/namecoin.exe\n"
        f"  files of others, left where they were:\n    {PROGRAM}/app/mine\n",
        "",
    )
    assert run(capfd, "uninstall", top) == (
        0,
        f"{top}: no bundle is installed; nothing was changed; Browser/TorBrowser/Data/Namecoin is still there\n",
        "",
    )


def test_what_scripts_read(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    top, source = browser(tmp_path / "t", "before 16.0"), bundle(tmp_path / "dist")
    for command in (["--json", "install"], ["install", "--json"]):
        code, out, err = run(capfd, *command, source, top)
        assert (code, err) == (0, "")
        document = json.loads(out)["installed"]
        jsonschema.validate(document, json.loads((SCHEMAS / "installed.schema.json").read_text()))
        expected = "unchanged" if command[0] == "install" else "installed"
        assert (document["action"], document["form"], document["tree"]) == (expected, "before 16.0", str(top))
    for expected in ("removed", "absent"):
        code, out, err = run(capfd, "uninstall", top, "--json")
        assert (code, err) == (0, "")
        document = json.loads(out)["uninstalled"]
        jsonschema.validate(document, json.loads((SCHEMAS / "uninstalled.schema.json").read_text()))
        assert (document["action"], document["state"]) == (expected, "none")


def test_the_schemas_are_those_of_the_types() -> None:
    for name, schema in (("files", filelist.schema), ("installed", put.schema), ("uninstalled", take.schema)):
        assert (SCHEMAS / f"{name}.schema.json").read_bytes() == schema()


def test_errors_and_exit_codes(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    top, source = browser(tmp_path / "t"), bundle(tmp_path / "dist", archives=False)
    assert run(capfd, "install", source)[0] == 2
    code, out, err = run(capfd, "install", source, tmp_path)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {tmp_path}: expected a Tor Browser's folder, found neither ")
    write(top / PROGRAM / "bundle.json", b"x")
    code, out, err = run(capfd, "--json", "install", source, top)
    assert (code, out) == (1, "")
    assert err.startswith(f"error: {top}: {PROGRAM}/bundle.json: expected nothing there, found a file\n  what to do: ")
    (top / PROGRAM / "bundle.json").unlink()
    (top / PROGRAM).rmdir()
    run(capfd, "install", source, top)
    write(top / PROGRAM / "bundle.json", b"x")
    assert run(capfd, "uninstall", top)[0] == 1
    assert run(capfd, "uninstall", "--force", top)[0] == 0
    assert not (top / HOST / "Namecoin").exists()


@pytest.mark.parametrize("command", ["install", "uninstall"])
def test_help_has_examples(capfd: pytest.CaptureFixture[str], command: str) -> None:
    code, out, _ = run(capfd, command, "--help")
    assert code == 0
    assert f"Examples:\n    packager {command} " in out
