"""Run files of CPython's tests in parallel: a worker for each sandbox, results kept as they come."""

from __future__ import annotations

import json
import queue
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from packager.wine import Wine
from tests.cpython.box import Box, Job
from tests.cpython.interpreter import Interpreter
from tests.cpython.results import FileResult, read_lines
from tests.cpython.settings import Expected, Files
from tests.cpython.verdict import judge, may_be_chance

#: With more files than this to try again, none is: it is not chance.
TRIES_AGAIN = 25
#: How often a file is run at most: one that is worse than expected, as with regrtest's --rerun; and one in which only tests
#: failed that fail at times, which may be more than every other time.
TRIES, TRIES_OF_CHANCE = 2, 10


@dataclass(frozen=True, slots=True)
class Suite:
    """What a run rests on. ``out`` has a folder ``files`` with each file's result, lines and log."""

    wine: Wine
    interpreter: Interpreter
    files: Files
    expected: Expected
    out: Path

    @property
    def folder(self) -> Path:
        """Where each file's result, lines and log lie."""
        return self.out / "files"

    def finished(self, name: str) -> FileResult | None:
        """The result of a file that an earlier run on the same interpreter left."""
        try:
            document = json.loads((self.folder / f"{name}.json").read_text("utf-8"))
            if document.pop("interpreter") != self.interpreter.identity:
                return None
            return FileResult(**document)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def keep(self, result: FileResult) -> None:
        """Write a result for :meth:`finished`."""
        document = {**asdict(result), "interpreter": self.interpreter.identity}
        (self.folder / f"{result.name}.json").write_text(json.dumps(document, indent=1) + "\n", "utf-8")


def run_files(
    suite: Suite, names: Sequence[str], jobs: int, on_result: Callable[[FileResult, int], None]
) -> tuple[FileResult, ...]:
    """Run files in the order given, ``jobs`` at once; ``on_result`` gets each result and how many are done.

    A file that is worse than expected, or in which only tests fail that fail at times, is tried again at the end, alone,
    until it is not. MachineError if Wine cannot be started.
    """
    suite.folder.mkdir(parents=True, exist_ok=True)
    todo: queue.SimpleQueue[str] = queue.SimpleQueue()
    for name in names:
        todo.put(name)
    results: dict[str, FileResult] = {}
    lock, errors = threading.Lock(), list[BaseException]()

    def work(number: int) -> None:
        with Worker(suite, number) as worker:
            while not errors:
                try:
                    name = todo.get_nowait()
                except queue.Empty:
                    return
                result = worker.run(name)
                with lock:
                    results[name] = result
                    suite.keep(result)
                    on_result(result, len(results))

    def guarded(number: int) -> None:
        try:
            work(number)
        except BaseException as exc:
            errors.append(exc)

    # Daemons: an interrupt need not wait for them. Their sandboxes end with them (bwrap --die-with-parent).
    threads = [threading.Thread(target=guarded, args=(number,), daemon=True) for number in range(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    chance = [name for name in names if may_be_chance(results[name], suite.expected)]
    if 0 < len(chance) <= TRIES_AGAIN:
        with Worker(suite, 0) as worker:
            for name in chance:
                found = _try_again(suite.expected, worker, results[name])
                if found is not results[name]:
                    results[name] = found
                    suite.keep(found)
                    on_result(found, len(results))
    return tuple(results[name] for name in names)


def _try_again(expected: Expected, worker: Worker, found: FileResult) -> FileResult:
    """The result of a file when it was run until chance has no part in it; one that is worse than expected replaces none."""
    tries = TRIES if judge(found, expected).worse else TRIES_OF_CHANCE
    for number in range(2, tries + 1):
        again = replace(worker.run(found.name), tries=number)
        if not judge(again, expected).worse:
            found = again
        if not may_be_chance(again, expected):
            break
    return found


class Worker:
    """One sandbox and the folder that its files' results come in; a context that ends it."""

    def __init__(self, suite: Suite, number: int) -> None:
        """``number`` tells workers apart."""
        self._suite = suite
        self._folder = suite.out / f"worker{number}"
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        self._box = Box(suite.wine, suite.interpreter, self._folder)
        self._count = 0

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._box.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def run(self, name: str) -> FileResult:
        """Run one file; its lines and its log are moved to the suite's folder."""
        self._count += 1
        module, left_out = f"test.{name}", self._suite.expected.left_out(name)
        limit = self._suite.files.limits.get(name, self._suite.files.seconds)
        resources = (*self._suite.files.resources, *self._suite.files.also.get(name, ()))
        full = frozenset(_full_id(test, module) for test in left_out)
        start = time.monotonic()
        build_tree = name in self._suite.files.build_tree
        code = self._box.run(self._count, Job(module, float(limit), resources, full, build_tree=build_tree))
        seconds = time.monotonic() - start
        lines = self._folder / f"{self._count}.jsonl"
        text = lines.read_text("utf-8", "replace").splitlines() if lines.exists() else []
        for suffix in ("jsonl", "log"):
            made = self._folder / f"{self._count}.{suffix}"
            if made.exists():
                made.replace(self._suite.folder / f"{name}.{suffix}")
        return read_lines(name, module, text, code=code, seconds=seconds, left_out=left_out)


def _full_id(test: str, module: str) -> str:
    """The id that :func:`results.short_id` made ``test`` from."""
    return test if test.startswith("test.") else f"{module}.{test}"
