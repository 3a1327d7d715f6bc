"""The command why, as far as it goes without a build."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from packager.cli import why
from packager.cli.common import packager
from packager.errors import SpecError


def test_the_help_has_examples() -> None:
    done = CliRunner().invoke(packager, ["why", "--help"])
    assert done.exit_code == 0
    assert "Usage: packager why [OPTIONS] MODULE [SPEC|DIR]" in done.output
    assert "packager why ssl" in done.output
    assert why.why.name == "why"


def test_a_folder_that_is_no_bundle(tmp_path: Path) -> None:
    done = CliRunner().invoke(packager, ["why", "ssl", str(tmp_path)])
    assert isinstance(done.exception, SpecError)
    assert done.exception.message.startswith(f"{tmp_path}: expected a bundle's folder")


def test_a_spec_that_is_not_there() -> None:
    done = CliRunner().invoke(packager, ["why", "ssl", "electrum-btc"])
    assert isinstance(done.exception, SpecError)
    assert done.exception.message == "electrum-btc: no such bundle spec"
