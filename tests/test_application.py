"""The application: what compiles its modules."""

from __future__ import annotations

from pathlib import Path

from packager import application
from packager.platforms import PLATFORMS

WINDOWS = PLATFORMS["windows-x86_64"]


def test_what_compiles_is_of_the_interpreters_version(tmp_path: Path) -> None:
    assert application.compiling_python("cpython", tmp_path, WINDOWS) == "python3"
    host = tmp_path / application.HOST_PYTHON
    host.parent.mkdir(parents=True)
    host.write_bytes(b"\x7fELF")
    assert (
        application.compiling_python("cpython-3.12", tmp_path, WINDOWS) == "/build/deps/cpython-3.12/host/bin/python3"
    )


def test_what_the_root_can_run_compiles_itself(tmp_path: Path) -> None:
    linux = PLATFORMS["linux-x86_64"]
    assert application.compiling_python("cpython", tmp_path, linux) == "/build/deps/cpython/bundle/python/python3"
