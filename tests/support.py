"""What several tests need: a reporter that remembers, and a small project on disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from packager import cli


@dataclass
class Recorder:
    """A reporter that keeps what it is told."""

    notes: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    stages: list[tuple[str, str, bool]] = field(default_factory=list)

    def stage(self, name: str, detail: str) -> None: ...

    def done(self, name: str, detail: str, seconds: float, *, cached: bool) -> None:
        assert seconds >= 0
        self.stages.append((name, detail, cached))

    def note(self, text: str) -> None:
        self.notes.append(text)

    def output(self, line: str) -> None:
        self.lines.append(line)

    def transfer(self, name: str, received: int, total: int | None) -> None: ...


def run(capfd: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    """Run the command line in this process: its exit code, stdout and stderr."""
    with pytest.raises(SystemExit) as ended:
        cli.main([str(argument) for argument in arguments])
    out, err = capfd.readouterr()
    code = ended.value.code
    return (code if isinstance(code, int) else 0), out, err


COMPONENT = """
name = "zlib"
version = "1.3.1"
description = "Deflate"
licence = "Zlib"
licence_files = ["LICENSE"]
purl = "pkg:generic/zlib@1.3.1"
[source]
file = "zlib.tar.gz"
sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
[[source.origins]]
kind = "debian"
suite = "trixie"
package = "zlib"
file = "zlib_1.3.1.orig.tar.gz"
[build]
script = "make"
"""


def write(path: Path, text: str | bytes) -> Path:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path
