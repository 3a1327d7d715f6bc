#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copy a tree of Python modules with every ``.py`` replaced by a ``.pyc`` that needs no source.

``compile_tree.py SOURCE TARGET --prefix PREFIX [--skip FILE] [--jobs N] [--optimize 0|1|2]``

A ``.pyc`` stands where its ``.py`` stood (``os.py`` gives ``os.pyc``: what Python calls a legacy, sourceless module),
is of the unchecked-hash kind (PEP 552: never compared with a source, no time in it) and names its source PREFIX/path,
so that tracebacks tell where they are and nothing of the build machine.  Other files are copied.  ``__pycache__``
folders, ``.pyc`` files and what ``--skip`` lists stay behind.  Folders get mode 0755, files 0644.

The bytes depend only on the sources and on the version of Python that runs this.  What marshal writes depends on which
objects are shared in the process, hence each file is compiled in a child of its own, forked from a parent always in
the same state: no site module, no environment but a fixed locale and hash seed.  The number of jobs does not matter.

Runs inside the build root, so it needs nothing but the standard library of Python 3.11 or later.
"""

from __future__ import annotations

import argparse
import fnmatch
import importlib.util
import marshal
import os
import shutil
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

#: PEP 552: bit 0 says that a hash follows, bit 1 (not set) that it is to be checked against the source.
_UNCHECKED_HASH = 0b01

#: The only variables that this script runs with, see the module's docstring.
_ENVIRONMENT = {"LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0"}


def bytecode(source: bytes, name: str, optimize: int = 0) -> bytes:
    """The ``.pyc`` file of a module's ``source``, with ``name`` as its file name; raises SyntaxError."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        code = compile(source, name, "exec", dont_inherit=True, optimize=optimize)
    flags = _UNCHECKED_HASH.to_bytes(4, "little")
    return importlib.util.MAGIC_NUMBER + flags + importlib.util.source_hash(source) + marshal.dumps(code)


def read_skips(text: str) -> tuple[str, ...]:
    """The patterns of a skip file: one per line, ``#`` begins a reason."""
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return tuple(line for line in lines if line)


def skipped(path: str, patterns: Iterable[str]) -> bool:
    """Whether ``path`` (relative, forward slashes) is left behind.

    A pattern that ends with ``/`` stands for a folder and all in it, any other for files; ``*`` does match slashes.
    """
    folders = [f"{parent}/" for parent in PurePosixPath(path).parents if parent.parts]
    return any(
        any(fnmatch.fnmatchcase(folder, pattern) for folder in folders)
        if pattern.endswith("/")
        else fnmatch.fnmatchcase(path, pattern)
        for pattern in patterns
    )


def wanted_files(source: Path, patterns: Sequence[str]) -> Iterator[str]:
    """The files under ``source`` that are compiled or copied, relative with forward slashes, in a fixed order."""
    for folder, folders, files in os.walk(source):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in sorted(files):
            path = Path(folder, name).relative_to(source).as_posix()
            if not name.endswith(".pyc") and not skipped(path, patterns):
                yield path


def make_folder(folder: Path, root: Path) -> None:
    """Make ``folder`` and its parents below ``root``, with mode 0755 whatever the umask."""
    if not folder.is_dir():
        if folder != root:
            make_folder(folder.parent, root)
        folder.mkdir(parents=True)
        folder.chmod(0o755)


def write_file(path: Path, data: bytes) -> None:
    """Write a file with mode 0644 whatever the umask."""
    path.write_bytes(data)
    path.chmod(0o644)


def compile_in_child(source: Path, target: Path, name: str, optimize: int) -> int:
    """Fork a child that compiles one file; returns its process id at once. The child ends with 1 if it cannot."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        write_file(target, bytecode(source.read_bytes(), name, optimize))
        status = 0
    except (OSError, SyntaxError, ValueError) as error:
        sys.stderr.write(f"compile_tree.py: {name}: {error}\n")
        sys.stderr.flush()
    finally:
        os._exit(status)


def compile_tree(source: Path, target: Path, prefix: str, patterns: Sequence[str], jobs: int, optimize: int) -> int:
    """Fill ``target`` as the module's docstring says; returns the number of files that could not be compiled."""
    failed, running = 0, 0
    make_folder(target, target)
    for path in list(wanted_files(source, patterns)):
        make_folder((target / path).parent, target)
        if not path.endswith(".py"):
            shutil.copyfile(source / path, target / path)
            (target / path).chmod(0o644)
            continue
        if running == jobs:
            failed += os.wait()[1] != 0
            running -= 1
        compile_in_child(source / path, target / f"{path}c", f"{prefix}/{path}", optimize)
        running += 1
    while running:
        failed += os.wait()[1] != 0
        running -= 1
    return failed


def main(arguments: Sequence[str]) -> int:
    """The command line; 1 if a file could not be compiled."""
    parser = argparse.ArgumentParser(prog="compile_tree.py", description="Replace modules by their bytecode.")
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--prefix", required=True, help="what stands before a module's path in its code's file name")
    parser.add_argument("--skip", type=Path, help="file of patterns, one per line, of what to leave behind")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--optimize", type=int, default=0, choices=(0, 1, 2))
    options = parser.parse_args(arguments)
    if not options.source.is_dir():
        parser.error(f"{options.source}: expected a folder, found none")
    patterns = read_skips(options.skip.read_text(encoding="utf-8")) if options.skip else ()
    jobs = max(1, options.jobs)
    return 1 if compile_tree(options.source, options.target, options.prefix, patterns, jobs, options.optimize) else 0


if __name__ == "__main__":
    if dict(os.environ) != _ENVIRONMENT or not sys.flags.no_site:
        os.execve(sys.executable, [sys.executable, "-S", "-B", *sys.argv], _ENVIRONMENT)
    sys.exit(main(sys.argv[1:]))
