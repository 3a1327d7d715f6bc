"""Sources from the mirror and the index that this machine uses, and what only a real one shows."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from packager.errors import SourceError
from packager.progress import Silent
from packager.sources import debian, git
from packager.sources.fetch import fetch
from packager.sources.store import SourceStore
from packager.sources.unpack import unpack
from packager.specs import load, model
from packager.specs.load import Project

pytestmark = pytest.mark.integration

PROJECT = Project(Path(__file__).parents[2])


@pytest.fixture
def store(tmp_path: Path) -> SourceStore:
    return SourceStore(tmp_path / "store")


def get(source: model.Source, store: SourceStore, *, offline: bool = False) -> Path:
    return fetch(source, store=store, keyrings=PROJECT.specs, reporter=Silent(), offline=offline).path


def test_this_machines_mirrors() -> None:
    mirrors = debian.debian_mirrors()
    assert mirrors.main.endswith("/")
    lines = debian.apt_sources_lines("trixie", kind="deb")
    assert lines[0].endswith(f"{mirrors.main} trixie main")


def test_debian_source_package(store: SourceStore, tmp_path: Path) -> None:
    zlib = load.load_component(PROJECT, "zlib").source
    path = get(zlib, store)
    assert get(zlib, store, offline=True) == path
    unpack(path, tmp_path / "zlib")
    assert (tmp_path / "zlib" / "zlib.h").is_file()


def test_upstreams_signature_by_a_key_that_has_expired_since(store: SourceStore) -> None:
    cpython = load.load_component(PROJECT, "cpython").source
    assert cpython.signature is not None
    got = fetch(cpython, store=store, keyrings=PROJECT.specs, reporter=Silent())
    assert got.signature is not None
    assert {got.signature.primary, got.signature.fingerprint} & set(cpython.signature.fingerprints)


def test_package_index(store: SourceStore) -> None:
    attrs = model.PypiOrigin(name="attrs", version="25.3.0", file="attrs-25.3.0-py3-none-any.whl")
    sha256 = "427318ce031701fea540783410126f03899a97ffc6f61596ad581ac2e40e3bc3"
    assert get(model.Source(file=attrs.file, sha256=sha256, origins=(attrs,)), store).is_file()
    sdist = model.PypiOrigin(name="six", version="1.17.0", file="six-1.17.0.tar.gz")
    sha256 = "ff70335d468e7eb6ec65b95b99d3a2836546063f63acc5171de367e834932a81"
    assert get(model.Source(file=sdist.file, sha256=sha256, origins=(sdist,)), store).is_file()


def test_pinned_file_that_the_archive_has_no_more(store: SourceStore) -> None:
    gone = model.DebianOrigin(suite="trixie", package="zlib", file="zlib_1.2.0.orig.tar.gz")
    with pytest.raises(SourceError, match=r"no version of the package has this file; the suite has 1:1\.3"):
        get(model.Source(file=gone.file, sha256="0" * 64, origins=(gone,)), store)


def test_electrum_nmc(store: SourceStore, tmp_path: Path) -> None:
    source = load.load_bundle(PROJECT, "electrum-nmc").source
    assert source.commit is not None
    try:
        path = get(source, store)
    except SourceError as exc:
        pytest.skip(f"its repository cannot be reached: {exc.details[0] if exc.details else exc.message}")
    git.verify(path, source.commit)
    unpack(path, tmp_path / "tree")
    assert os.access(tmp_path / "tree" / "run_electrum_nmc", os.X_OK)
