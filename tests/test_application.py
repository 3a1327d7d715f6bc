"""The application: what compiles its modules."""

from __future__ import annotations

from pathlib import Path

from packager import application


def test_what_compiles_is_of_the_interpreters_version(tmp_path: Path) -> None:
    assert application.compiling_python("cpython", tmp_path) == "python3"
    host = tmp_path / application.HOST_PYTHON
    host.parent.mkdir(parents=True)
    host.write_bytes(b"\x7fELF")
    assert application.compiling_python("cpython-3.12", tmp_path) == "/build/deps/cpython-3.12/host/bin/python3"
