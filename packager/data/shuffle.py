#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a command on a copy of a folder that was made in a shuffled order.

``shuffle.py GIVEN HERE COMMAND...``: the content of GIVEN is made anew in HERE (empty, of a kind of file system that
lists names by when they were made, as tmpfs does), the command runs, and what it made or changed in HERE goes back to
GIVEN if that can be written.  Ends as the command ends.

Runs inside the build root, so it needs nothing but the standard library of Python 3.11.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence


def copy(given: str, here: str, arrange: Callable[[list[str]], None]) -> None:
    """Copy a tree with modes, times and links, the names of each folder in the order that ``arrange`` leaves."""
    names = sorted(os.listdir(given))
    arrange(names)
    for name in names:
        source, target = os.path.join(given, name), os.path.join(here, name)
        if os.path.isdir(source) and not os.path.islink(source):
            os.mkdir(target)
            copy(source, target, arrange)
        else:
            shutil.copy2(source, target, follow_symlinks=False)
    shutil.copystat(given, here)


def give_back(here: str, given: str) -> None:
    """Copy what is new or has another size or time."""
    for name in sorted(os.listdir(here)):
        source, target = os.path.join(here, name), os.path.join(given, name)
        if os.path.isdir(source) and not os.path.islink(source):
            if not os.path.isdir(target):
                os.mkdir(target)
            give_back(source, target)
        elif not os.path.lexists(target) or _state(source) != _state(target):
            if os.path.lexists(target):
                os.unlink(target)
            shutil.copy2(source, target, follow_symlinks=False)


def _state(path: str) -> tuple[int, int]:
    status = os.lstat(path)
    return status.st_size, status.st_mtime_ns


def main(given: str, here: str, command: Sequence[str]) -> int:
    """Returns the command's exit code, 128+n for signal n."""
    copy(given, here, random.SystemRandom().shuffle)
    code = subprocess.run(command, cwd=here, check=False).returncode
    if code == 0 and os.access(given, os.W_OK):
        give_back(here, given)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
