"""Roots: locked versions are compared, and mmdebstrap's failures become ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from packager import buildroot
from packager.errors import MachineError, SourceError
from packager.specs import model
from packager.store import Store
from tests.support import Recorder, write

LOCK = model.ToolchainLock(packages={"gcc": "14.2.0-19"}, upstream={"python3.13": "3.13.5"})


@pytest.mark.parametrize(
    ("version", "upstream"),
    [("3.13.5-2+deb13u5", "3.13.5"), ("1:1.3.dfsg-1", "1.3.dfsg"), ("2.0", "2.0"), ("1:2-3-4", "2-3")],
)
def test_upstream_versions(version: str, upstream: str) -> None:
    assert buildroot.upstream_version(version) == upstream


def test_installed_versions_are_read_from_dpkg(tmp_path: Path) -> None:
    write(
        tmp_path / "var/lib/dpkg/status",
        "Package: a\nStatus: x\nVersion: 1-2\nDescription: d\n Version: 9\n\nPackage: b\nVersion: 1:3\n",
    )
    assert buildroot.installed(tmp_path) == {"a": "1-2", "b": "1:3"}


def test_the_locked_versions_pass() -> None:
    buildroot.compare(LOCK, {"gcc": "14.2.0-19", "python3.13": "3.13.5-2+deb13u9", "other": "1"})


def test_other_versions_are_named_each() -> None:
    with pytest.raises(SourceError) as caught:
        buildroot.compare(LOCK, {"gcc": "14.2.0-20"})
    assert caught.value.exit_code == 3
    assert caught.value.details == (
        "gcc: locked 14.2.0-19, installed 14.2.0-20",
        "python3.13: locked 3.13.5, installed nothing",
    )


def test_offline_without_the_root_is_said(tmp_path: Path) -> None:
    root = buildroot.Root("r", "trixie", ("gcc",))
    with pytest.raises(SourceError, match="the r root is not in the store"):
        buildroot.make_root(root, Store.open(tmp_path, Recorder()), Recorder(), offline=True)


def test_the_key_follows_packages_and_lock() -> None:
    plain = buildroot.Root("r", "trixie", ("a", "b"))
    assert plain.key == buildroot.Root("r", "trixie", ("b", "a")).key
    assert plain.key.digest != buildroot.Root("r", "trixie", ("a",)).key.digest
    assert plain.key.digest != buildroot.Root("r", "trixie", ("a", "b"), LOCK).key.digest


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        ("Err:1 http://x Temporary failure resolving 'x'", SourceError, "the Debian mirror cannot be reached"),
        ("E: newuidmap: write to uid_map failed: Operation not permitted", MachineError, "mmdebstrap failed"),
    ],
)
def test_mmdebstrap_s_failures(said: str, kind: type[Exception], words: str) -> None:
    found = buildroot._explain(MachineError("mmdebstrap failed", details=[said]))
    assert type(found) is kind
    assert words in str(found)
    assert "what to do:" in str(found)
