#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print the path of a Python for this machine that has the version of the source in the current folder.

``host_python.py FOLDER JOBS``: bytecode is of one minor version of Python, so that what is frozen into the core and the
``.pyc`` files must be compiled by that version. The Python that runs this is the answer if it is of that version. If
not, one is built of the same source and installed in FOLDER, which must not exist: the interpreter alone, with the
modules that are built into it and the library as source. It runs wherever FOLDER is; what it compiles depends on its
version only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from describe import Version, read_version
from vcxproj import ProjectError

#: Where it is built, beside the source's folders.
WORK = "host-build"
#: It compiles for a minute: to be built fast is worth more than to be fast.
CONFIGURE = ("OPT=-O1 -DNDEBUG -w", "--without-ensurepip", "--disable-test-modules")
#: Modules/Setup.local: what compile_tree.py imports, by way of pathlib, and is not built in anyway.
SETUP = "*static*\nmath mathmodule.c\n"
#: What of the library is neither for compiling nor small.
LEFT_OUT = shutil.ignore_patterns(
    "__pycache__", "test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3"
)


def fits(version: Version, running: tuple[int, ...]) -> bool:
    """Whether the Python of version ``running`` compiles the bytecode of ``version``."""
    return running[:2] == (version.major, version.minor)


def build_environment(environment: dict[str, str]) -> dict[str, str]:
    """What it is built with: the machine's own compiler, no flags that are for Windows, the recipe's time."""
    kept = {name: environment[name] for name in ("PATH", "SOURCE_DATE_EPOCH") if name in environment}
    return {**kept, "LC_ALL": "C.UTF-8", "CC": "gcc", "PYTHONDONTWRITEBYTECODE": "1"}


def build(source: Path, jobs: str) -> Path:
    """Build the interpreter below ``source``, its output on stderr; raises subprocess.CalledProcessError."""
    work = source / WORK
    (work / "Modules").mkdir(parents=True)
    (work / "Modules" / "Setup.local").write_text(SETUP, "utf-8")
    for command in (["../configure", "-q", *CONFIGURE], ["make", "-s", "-j", jobs, "python"]):
        environment = build_environment(dict(os.environ))
        subprocess.run(command, check=True, cwd=work, env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr)
    return work / "python"


def install(python: Path, library: Path, version: Version, folder: Path) -> Path:
    """Put the interpreter and its library where it finds them, whatever ``folder`` is (Modules/getpath.py)."""
    lib = folder / "lib" / f"python{version.major}.{version.minor}"
    shutil.copytree(library, lib, ignore=LEFT_OUT)
    (lib / "lib-dynload").mkdir()
    (lib / "lib-dynload" / "README").write_text(
        "Modules that are not built in: none. Python wants this folder.\n", "utf-8"
    )
    (folder / "bin").mkdir()
    return Path(shutil.copy(python, folder / "bin" / "python3"))


def main(arguments: Iterable[str]) -> int:
    """Print the path; 1 and one line on stderr if there is none."""
    folder, jobs = arguments
    source = Path.cwd()
    try:
        version = read_version((source / "Include" / "patchlevel.h").read_text(encoding="utf-8"))
        if fits(version, sys.version_info):
            print(sys.executable)
        else:
            print(install(build(source, jobs), source / "Lib", version, source / folder))
    except (ProjectError, OSError, subprocess.CalledProcessError) as error:
        print(f"host_python.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
