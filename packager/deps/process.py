"""Which process each file is loaded in: the program that runs, and so the folders that are searched."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from packager.deps.facts import File
from packager.deps.search import Context
from packager.deps.world import Input, inside

_PYTHON_DLL = re.compile(r"(lib)?python3[.\d]*t?(_d)?\.dll", re.IGNORECASE)
_PYTHON = re.compile(r"pythonw?(3[.\d]*)?t?(_d)?\.exe", re.IGNORECASE)
#: The machine of a process that runs a program of the two kinds that are for more than one.
_PROCESS = {"arm64ec": "x86_64", "arm64x": "arm64"}
#: What else than its own machine's code a process can load.
_ALSO = {"x86_64": ("arm64ec", "arm64x"), "arm64": ("arm64x",)}


def loadable(file: File, machine: str) -> bool:
    """Whether a process of ``machine`` can load the file's code. An assembly of .NET's is code for none."""
    return file.managed or file.machine == machine or file.machine in _ALSO.get(machine, ())


@dataclass(slots=True)
class Processes:
    """Tells the context of each file of the ``inputs``.

    ``read`` gives a file's facts. ``path`` are the folders that the user adds to the search, ``added`` those that
    Python code in an input adds, by the input's folder.
    """

    inputs: Sequence[Input]
    read: Callable[[str], File]
    path: tuple[str, ...]
    added: Mapping[str, tuple[str, ...]]
    pythons: dict[str, list[str]] = field(init=False, default_factory=dict)
    program_folders: dict[str, set[str]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        for given in self.inputs:
            programs = [file for file in given.files if self._is_program(file)]
            self.pythons.setdefault(given.folder, []).extend(file for file in programs if self._is_python(file))
            self.program_folders.setdefault(given.folder, set()).update(map(os.path.dirname, programs))

    def of(self, given: Input, path: str) -> Context:
        """The context of the file ``path`` of an input.

        A program is a process of its own. Anything else is loaded by its path in the process of its bundle's Python,
        or of the nearest python.exe in the input; failing those, the application's folder is the nearest one
        above it that has a program in it, or its own.
        """
        folder = os.path.dirname(path)
        machine = _machine(self.read(path))
        if self._is_program(path):
            return Context(machine, folder, path=self.path, program=path)
        added = (*self.added.get(given.folder, ()), *self.path)
        program = self._python_for(given, path)
        if program is None:
            return Context(machine, self._application(given, folder), folder, added, self.path)
        return Context(_machine(self.read(program)), os.path.dirname(program), folder, added, self.path, program)

    def alone(self, context: Context, path: str) -> Context:
        """The same folders, in a process of the file's own machine: for one that the program cannot load."""
        return replace(context, machine=_machine(self.read(path)), program="")

    def _is_program(self, path: str) -> bool:
        image = self.read(path).image
        return image is not None and not image.is_dll

    def _is_python(self, path: str) -> bool:
        image = self.read(path).image
        if image is None or not _PYTHON.fullmatch(os.path.basename(path)):
            return False
        return any(_PYTHON_DLL.fullmatch(dll.name) for dll in image.imports if not dll.delayed)

    def _python_for(self, given: Input, path: str) -> str | None:
        bundles = [
            (folder, python) for folder, python in given.bundles if inside(path, folder) and self._is_program(python)
        ]
        if bundles:
            return max(bundles, key=lambda bundle: len(bundle[0]))[1]
        pythons = self.pythons.get(given.folder, [])
        file = self.read(path)
        fitting = [python for python in pythons if loadable(file, _machine(self.read(python)))]
        return _nearest(path, fitting or pythons)

    def _application(self, given: Input, folder: str) -> str:
        above = folder
        while inside(above, given.folder):
            if above in self.program_folders.get(given.folder, ()):
                return above
            above = os.path.dirname(above)
        return folder


def added_folders(given: Input, texts: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Folders with PE files that ``texts`` name, (Python file, text) of functions that call os.add_dll_directory.

    A text is taken as a path from the Python file's folder, or from one above it in the input: that is how such code
    is written (``os.path.join(os.path.dirname(__file__), os.pardir, "x.libs")``), and it cannot be run here.
    """
    known = {os.path.dirname(file) for file in given.files}
    found: dict[str, None] = {}
    for file, text in texts:
        parts = [part for part in re.split(r"[/\\]", text) if part not in ("", ".", "..")]
        if not parts or "\0" in text or os.path.isabs(text):
            continue
        base = os.path.dirname(file)
        while inside(base, given.folder):
            if (candidate := os.path.join(base, *parts)) in known:
                found[candidate] = None
            base = os.path.dirname(base)
    return tuple(sorted(found))


def _machine(file: File) -> str:
    """The machine of a process that the file is the program of."""
    machine = file.machine or ""
    return _PROCESS.get(machine, machine)


def _nearest(path: str, programs: Sequence[str]) -> str | None:
    """The program that shares most folders with ``path``; of several the first one in the fewest folders."""
    if not programs:
        return None
    return min(
        programs,
        key=lambda program: (-len(os.path.commonpath([path, program])), program.count(os.sep), program),
    )
