#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the headers with the bytecode of the modules frozen into the core, by CPython's own Programs/_freeze_module.py.

``freeze.py PYTHON FREEZER STAMP MODULE|SOURCE|HEADER...``: PYTHON is an interpreter of the version that is built.
Writes HEADER for each module, then the empty STAMP.
(One Meson target with a stamp, as Meson would put the headers' own folder, which has an ``io.h``, before the system's.)
Each module has a process of its own with nothing of the environment in it: what marshal writes depends on the reference
counts in the process, so it must be the same process every time.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path


def freeze(python: str, freezer: str, module: str, source: str, header: str) -> None:
    """Write one header; raises subprocess.CalledProcessError if CPython's script fails."""
    Path(header).parent.mkdir(parents=True, exist_ok=True)
    command = [python, "-I", "-S", freezer, module, source, header]
    subprocess.run(command, check=True, env={"PYTHONHASHSEED": "0"})


def main(arguments: Iterable[str]) -> int:
    """Freeze all modules given."""
    python, freezer, stamp, *entries = arguments
    for entry in entries:
        freeze(python, freezer, *entry.split("|"))
    Path(stamp).write_bytes(b"")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
