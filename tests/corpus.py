"""The corpus of real PE files that tests/data/make_corpus.py makes, for the tests and the measurements that use it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

MAKE = Path(__file__).parent / "data" / "make_corpus.py"
#: Its exit codes for a corpus that lacks a wheel, and for a package index that does not answer.
INCOMPLETE, UNREACHABLE = 3, 4


@dataclass(frozen=True, slots=True)
class Member:
    """One PE file of the corpus: its name there, the wheel and member it came from, machine, size, and hash."""

    file: str
    wheel: str
    member: str
    machine: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Corpus:
    """A corpus on disk: the folder with the PE files, what they are, and the wheels that could not be had."""

    files: Path
    members: tuple[Member, ...]
    missing: tuple[str, ...]

    @classmethod
    def read(cls, folder: Path) -> Corpus:
        """The corpus that was made in ``folder``. Raises FileNotFoundError where there is none."""
        index = json.loads((folder / "index.json").read_text("utf-8"))
        return cls(folder / "files", tuple(Member(**row) for row in index["files"]), tuple(index["missing"]))

    def data(self, member: Member) -> bytes:
        """The bytes of one file."""
        return (self.files / member.file).read_bytes()


def default_folder() -> Path:
    """Where the tests keep it: in the packager's store, so that what keeps the one keeps the other."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("PACKAGER_STORE") or cache / "electrum-packager") / "test-corpus"


def make(folder: Path) -> subprocess.CompletedProcess[str]:
    """Make or complete the corpus in ``folder``, as a user would."""
    return subprocess.run([sys.executable, MAKE, folder], capture_output=True, text=True, check=False)
