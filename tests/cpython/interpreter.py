"""The interpreter that CPython's tests run on: the component ``cpython-tests``.

A bundle's ``Lib`` has no sources, no tests and a ``._pth`` file that shuts the environment out. CPython's tests want an
ordinary Python: a test reads the source of what it tests, sets PYTHON* variables, makes venvs. The component is such an
installation, with the bundles' python.exe, python3*.dll and DLLs/*.pyd byte for byte, ``Lib`` as source and with
``Lib/test``, and the extension modules that only tests import.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

from packager import components
from packager.errors import SpecError
from packager.progress import Clock, Reporter
from packager.specs import load
from packager.store import Store

COMPONENT = "cpython-tests"
#: The bundle whose toolchain the interpreter is built with.
BUNDLE = "electrum"


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A folder with python.exe, DLLs/ and Lib/ (Lib/test in it); ``identity`` tells it from others."""

    folder: Path
    identity: str

    @property
    def tests(self) -> Path:
        """``Lib/test``."""
        return self.folder / "Lib" / "test"


def given_interpreter(folder: Path) -> Interpreter:
    """The interpreter in a folder that somebody else made. SpecError if it is not one."""
    for name in ("python.exe", "Lib/test/libregrtest/findtests.py"):
        if not (folder / name).is_file():
            raise SpecError(
                f"{folder}: expected Python for Windows with its tests, found no {name}",
                hint=f"`packager component {COMPONENT}` makes one, in its folder python/",
            )
    return Interpreter(folder.resolve(), str(folder.resolve()))


def make_interpreter(project: load.Project, store: Store, reporter: Reporter, jobs: int) -> Interpreter:
    """The interpreter from the store; built, with all that it needs, if the store has it not.

    Raises what a build raises (:mod:`packager.errors`).
    """
    options = components.Options(
        toolchain=load.load_bundle(project, BUNDLE).toolchain, target="windows-x86_64", jobs=jobs
    )
    plan = components.make_plan(project, [COMPONENT], options)
    built = components.build(plan, store, Clock(reporter))[COMPONENT]
    return Interpreter(built.tree / "python", plan.keys[COMPONENT].digest)


def split_folders(tests: Path) -> frozenset[str]:
    """The packages in ``Lib/test`` whose files regrtest runs one by one, as its own source lists them."""
    source = tests / "libregrtest/findtests.py"
    for node in ast.walk(ast.parse(source.read_text("utf-8"))):
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        if any(isinstance(target, ast.Name) and target.id == "SPLITTESTDIRS" for target in targets):
            return frozenset(ast.literal_eval(node.value))  # type: ignore[attr-defined]
    raise SpecError(f"{source}: expected a set SPLITTESTDIRS, found none", hint="see how this version finds its tests")


def find_files(tests: Path) -> tuple[str, ...]:
    """Every test file in ``Lib/test`` as regrtest would find and name it: ``test_os``, ``test_asyncio.test_events``.

    A package is one file, unless regrtest splits it.
    """
    split = split_folders(tests)

    def names(folder: Path, prefix: str) -> list[str]:
        found: list[str] = []
        for path in sorted(folder.glob("test_*")):
            if path.is_dir() and not (path / "__init__.py").is_file():
                continue
            name = f"{prefix}{path.stem}"
            if name in split:
                found += names(path, f"{name}.")
            elif path.is_dir() or path.suffix == ".py":
                found.append(name)
        return found

    return tuple(names(tests, ""))
