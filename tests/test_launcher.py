"""What of launcher/ goes into a bundle."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from packager import launcher
from packager.errors import SpecError
from packager.specs import load, model

PROJECT = load.Project(Path(__file__).parents[1])


def bundle(*packages: str) -> model.Bundle:
    plain = load.load_bundle(PROJECT, "electrum")
    return msgspec.structs.replace(plain, application=msgspec.structs.replace(plain.application, launcher=packages))


def project(folder: Path) -> load.Project:
    (folder / "launcher").mkdir(parents=True)
    for name in launcher.STUB:
        (folder / "launcher" / name).write_text(name)
    package = folder / "launcher" / "one"
    (package / "__pycache__").mkdir(parents=True)
    (package / "__pycache__" / "a.cpython-313.pyc").write_text("x")
    (package / "__init__.py").write_text("")
    (package / "a.py").write_text("A = 1\n")
    return load.Project(folder)


def test_packages_go_in_without_caches(tmp_path: Path) -> None:
    assert launcher.files(project(tmp_path / "first"), bundle()) == launcher.STUB
    assert launcher.files(project(tmp_path / "second"), bundle("one")) == (
        "one/__init__.py",
        "one/a.py",
        *launcher.STUB,
    )


def test_a_package_s_digest_is_that_of_its_sources(tmp_path: Path) -> None:
    made = project(tmp_path)
    before = launcher.package_digest(made, "one")
    (tmp_path / "launcher" / "one" / "__pycache__" / "b.pyc").write_text("y")
    assert launcher.package_digest(made, "one") == before
    (tmp_path / "launcher" / "one" / "a.py").write_text("A = 2\n")
    assert launcher.package_digest(made, "one") != before


def test_a_package_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="packages in launcher/, found two: no such package"):
        launcher.package_digest(project(tmp_path), "two")
