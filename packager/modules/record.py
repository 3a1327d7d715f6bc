"""Records which modules a bundle's programs load: in a copy of the bundle that has one more file than it.

``encodings/__init__.py`` is put beside the bundle's own ``encodings/__init__.pyc``, which it wins over; it notes every
file that the interpreter opens, and then runs the bundle's own. That works in every process that a program starts.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path, PureWindowsPath

from packager.errors import BuildError
from packager.modules.graph import build_graph
from packager.modules.names import Names, find_names
from packager.modules.plan import Rules, closure, starts_of
from packager.modules.trace import Interpreter, Run, Trace

TEMPLATE = Path(__file__).parent.parent / "data" / "record_encodings.py"
ENCODINGS = "python/Lib/encodings/__init__.py"
#: Run by the bundle's python; a line each: what is loaded without being asked for, and what is in the interpreter.
ASK = """import sys
print(" ".join(sorted(set(sys.modules) - {"__main__"})))
import _imp
print(" ".join(sorted(sys.builtin_module_names)))
print(" ".join(sorted(_imp._frozen_module_names())))
"""


def recording_copy(bundle: Path, program: str, dest: Path, log: Path) -> None:
    """Copy the ``bundle`` to the new folder ``dest`` and have it write to the folder ``log`` what is opened.

    ``program`` is the folder of ``python/`` in the bundle (empty: its top). Copies of the copy write there, too; a run
    under Wine has to see ``log``, which is made here, at its own path. BuildError if ``encodings`` is not in its place.
    """
    shutil.copytree(bundle, dest, copy_function=_link)
    target = dest / program / ENCODINGS
    if not target.with_suffix(".pyc").is_file():
        raise BuildError(f"{bundle}: expected {ENCODINGS}c in {program or 'it'}, found none")
    log.mkdir(parents=True, exist_ok=True)
    text = TEMPLATE.read_text("utf-8").replace("@LOG@", str(PureWindowsPath("Z:/", *log.resolve().parts[1:])))
    target.write_text(text, "utf-8")


def read_answer(text: str) -> Interpreter:
    """What a bundle's python printed for :data:`ASK`. BuildError if it is something else."""
    parts = [line.split() for line in text.splitlines() if line.strip()]
    if len(parts) != 3:
        raise BuildError(f"expected three lines about the interpreter, found {len(parts)}")
    start, builtin, frozen = (tuple(names) for names in parts)
    return Interpreter(builtin=builtin, frozen=frozen, start=start)


def _link(source: str, dest: str) -> None:
    try:
        os.link(source, dest)
    except OSError:
        shutil.copyfile(source, dest)


class Log:
    """The folder that recording copies write to, read bit by bit."""

    def __init__(self, folder: Path, paths: Iterable[str]) -> None:
        """``paths`` are a bundle's files, relative to the folder that ``python/`` lies in."""
        self.folder = folder
        self._paths = {path.lower(): path for path in paths}
        self._read: dict[str, int] = {}
        self._tops: dict[str, str] = {}

    def news(self) -> frozenset[str]:
        """Which paths were opened since the last time, in whatever copy of the bundle."""
        found = set()
        for file in sorted(self.folder.glob("*.txt")):
            with file.open("rb") as stream:
                stream.seek(self._read.get(file.name, 0))
                data = stream.read()
            # A line that is still being written is for the next time.
            whole = data[: data.rfind(b"\n") + 1]
            self._read[file.name] = self._read.get(file.name, 0) + len(whole)
            for line in whole.decode("utf-8", "replace").splitlines():
                plain = os.path.normpath(line.replace("\\", "/").removeprefix("//?/")).lower()
                if plain.endswith(f"/{ENCODINGS.lower()}"):
                    self._tops[file.name] = plain.removesuffix(ENCODINGS.lower())
                path = self._paths.get(plain.removeprefix(self._tops.get(file.name, "/")))
                if path is not None:
                    found.add(path)
        return frozenset(found)


def loaded(names: Names, paths: Iterable[str]) -> frozenset[str]:
    """The modules that the opened ``paths`` are, each by its first name."""
    return frozenset(name for path in paths if (name := names.of_path(path)) is not None)


def make_trace(
    paths: Sequence[str],
    read: Callable[[str], bytes],
    rules: Rules,
    interpreter: Interpreter,
    runs: Mapping[str, frozenset[str]],
    command: str,
) -> Trace:
    """The trace of ``runs``: of each, by its name, the paths that it opened.

    ``rules`` are the spec's, of which roots and folders count. A run gets as few modules as lead to all that it loaded
    beyond what imports that are always followed, and the runs before it, lead to.
    """
    names = find_names(paths, rules.folders, interpreter.builtin, interpreter.frozen)
    graph = build_graph(names, read)
    known = Trace(command=command, interpreter=interpreter)
    starts = starts_of(graph, Rules(rules.roots, rules.folders, known, name=rules.name))
    done: list[Run] = []
    traced: dict[str, str] = {}
    for name, its in runs.items():
        new = loaded(names, its) - closure(graph, [*starts, *traced], traced, {}).keys()
        leads = {module: new & closure(graph, [module], traced, {}).keys() for module in new}
        chosen: list[str] = []
        for module in sorted(new, key=lambda module: (-len(leads[module]), module)):
            if not any(module in leads[other] for other in chosen):
                chosen.append(module)
        if chosen:
            done.append(Run(name=name, modules=tuple(sorted(chosen))))
            traced |= dict.fromkeys(chosen, name)
    return Trace(command=command, interpreter=interpreter, run=tuple(done))
