"""The command why, as far as it goes without a build."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from packager.cli import why
from packager.cli.common import packager
from packager.errors import SpecError
from packager.formats import stored
from tests.modules.build import compiled
from tests.support import write


def test_the_help_has_examples() -> None:
    done = CliRunner().invoke(packager, ["why", "--help"])
    assert done.exit_code == 0
    assert "Usage: packager why [OPTIONS] MODULE [SPEC|DIR]" in done.output
    assert "packager why ssl" in done.output
    assert why.why.name == "why"


@pytest.mark.parametrize("name", ["json", "python/python313.zip/json.pyc", "python/Lib/json.pyc"])
def test_a_folder_whose_library_is_an_archive(tmp_path: Path, name: str) -> None:
    """The programs are those of the spec; electrumw is its last."""
    entry = {"name": "electrum", "path": "electrum.exe", "console": True}
    described = {"name": "electrum", "version": "1", "target": "windows-x86_64", "python": "python/python.exe"}
    write(tmp_path / "bundle.json", json.dumps({**described, "entry_points": [entry]}))
    write(tmp_path / "app/run_electrum.pyc", compiled("json"))
    write(tmp_path / "python/python313._pth", "python313.zip\n..\\app\n")
    write(tmp_path / "python/python313.zip", stored.pack({"json.pyc": compiled(), "spare.pyc": compiled()}, 0))
    done = CliRunner().invoke(packager, ["why", name, str(tmp_path)], obj=None)
    assert done.exception is None, done.exception
    assert done.output == (
        "json is in the bundle (python/python313.zip/json.pyc)\n"
        "  run_electrum  the program electrumw\n"
        "  json          imported above, line 1\n"
    )


def test_a_folder_that_is_no_bundle(tmp_path: Path) -> None:
    done = CliRunner().invoke(packager, ["why", "ssl", str(tmp_path)])
    assert isinstance(done.exception, SpecError)
    assert done.exception.message.startswith(f"{tmp_path}: expected a bundle's folder")


def test_a_spec_that_is_not_there() -> None:
    done = CliRunner().invoke(packager, ["why", "ssl", "electrum-btc"])
    assert isinstance(done.exception, SpecError)
    assert done.exception.message == "electrum-btc: no such bundle spec"
