# Runs under Wine, on the interpreter under test: nothing of this repository can be imported here.
"""``python -m inside MODULE FOLDER RESULTS LEAVE_OUT SECONDS RESOURCE,...``: run one file of CPython's tests in FOLDER.

A line of JSON is written to the file RESULTS, past all buffers, when a test begins and when it ends, so that a crash or a hang
leaves what went before and the name of the test it happened in. LEAVE_OUT is a file with the ids, one per line, of tests
that are not to be run. The events:

``{"start": ID}``
``{"stop": ID, "outcome": "passed" | "failed" | "skipped", "why": TEXT}``   why: the last line of the error, or the reason
``{"skipped": TEXT}``  the whole file asked to be skipped
``{"broken": TEXT}``   the file could not be loaded
``{"end": N}``         all was run: N tests

Each also says ``at``: the seconds since the process began.

A failure in a setUpClass or setUpModule has a stop and no start. A test with subtests fails if one of them does. After
SECONDS, all threads' stacks go to stderr; whoever started this is the one to end it.
"""

from __future__ import annotations

import errno
import faulthandler
import importlib
import json
import os
import random
import sys
import time
import traceback
import unittest
from collections.abc import Collection
from typing import Any


def name_of(test: Any) -> str:
    """A test's id, also of one that calls something else its id."""
    return str(type(test).id(test))


class Lines:
    """The file of results. Its own descriptor: tests do odd things to the standard ones."""

    def __init__(self, path: str) -> None:
        self.descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0))
        self.start = time.monotonic()

    def write(self, **event: object) -> None:
        event["at"] = round(time.monotonic() - self.start, 2)
        os.write(self.descriptor, json.dumps(event).encode("ascii") + b"\n")


class Result(unittest.TestResult):
    """Writes what happens as it happens. The worst of a test and its subtests is the test's outcome."""

    def __init__(self, lines: Lines) -> None:
        super().__init__()
        self.lines = lines
        self.outcome: tuple[str, str] | None = None

    def startTest(self, test: unittest.TestCase) -> None:  # noqa: N802
        super().startTest(test)
        self.outcome = None
        self.lines.write(start=name_of(test))

    def stopTest(self, test: unittest.TestCase) -> None:  # noqa: N802
        super().stopTest(test)
        outcome, why = self.outcome or ("passed", "")
        self.lines.write(stop=name_of(test), outcome=outcome, why=why)
        self.outcome = None

    def note(self, test: Any, outcome: str, why: str) -> None:
        if isinstance(test, unittest.TestCase) or hasattr(test, "test_case"):
            if self.outcome is None or self.outcome[0] == "skipped":
                self.outcome = (outcome, why)
        else:
            self.lines.write(stop=name_of(test), outcome=outcome, why=why)

    def fail(self, test: Any, error: Any) -> None:
        text = "".join(traceback.format_exception(*error))
        sys.stderr.write(f"======== {name_of(test)}\n{text}\n")
        sys.stderr.flush()
        last = "".join(traceback.format_exception_only(*error[:2])).strip().splitlines()
        self.note(test, "failed", (last[0] if last else repr(error[1]))[:300])

    def addError(self, test: Any, err: Any) -> None:  # noqa: N802
        super().addError(test, err)
        self.fail(test, err)

    def addFailure(self, test: Any, err: Any) -> None:  # noqa: N802
        super().addFailure(test, err)
        self.fail(test, err)

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:  # noqa: N802
        super().addSubTest(test, subtest, err)
        if err is not None:
            sys.stderr.write(f"-------- {name_of(subtest)}\n")
            self.fail(test, err)

    def addSkip(self, test: Any, reason: str) -> None:  # noqa: N802
        super().addSkip(test, reason)
        if hasattr(test, "test_case"):  # a subtest: the test itself was run
            return
        self.note(test, "skipped", str(reason)[:300])

    def addUnexpectedSuccess(self, test: Any) -> None:  # noqa: N802
        super().addUnexpectedSuccess(test)
        self.note(test, "failed", "unexpected success")


def open_console() -> None:
    """Get a console, as a program has that is started from a prompt or by a service that tests CPython on Windows.

    Wine gives none to a program whose streams are no terminal, only a mark that there was a shell. The streams stay.
    """
    if sys.platform == "win32":
        ctypes: Any = importlib.import_module("ctypes")
        kernel32 = ctypes.WinDLL("kernel32")
        kernel32.GetStdHandle.restype = ctypes.c_void_p
        kernel32.SetStdHandle.argtypes = [ctypes.c_ulong, ctypes.c_void_p]
        numbers = [2**32 - 10, 2**32 - 11, 2**32 - 12]  # STD_INPUT_HANDLE and so on
        streams = [kernel32.GetStdHandle(number) for number in numbers]
        kernel32.FreeConsole()
        kernel32.AllocConsole()
        for number, stream in zip(numbers, streams, strict=True):
            kernel32.SetStdHandle(number, stream)


def prepare(seconds: float, resources: tuple[str, ...]) -> None:
    """What regrtest does to a process before it loads a test."""
    open_console()
    support: Any = importlib.import_module("test.support")
    os_helper: Any = importlib.import_module("test.support.os_helper")
    importlib.import_module("test.libregrtest.setup").setup_process()
    support.verbose = 0
    support.suppress_msvcrt_asserts(False)
    support.use_resources = resources
    # A machine that is slow or busy is not what these are to find.
    support.LOOPBACK_TIMEOUT = max(support.LOOPBACK_TIMEOUT, 30.0)
    support.SHORT_TIMEOUT = max(support.SHORT_TIMEOUT, 60.0)
    support.LONG_TIMEOUT = min(support.LONG_TIMEOUT, float(seconds))
    random.seed(0)
    if not symlinks_are_made():
        os_helper._can_symlink = False
        os.symlink = refuse_link
    if not can_be_a_name(os_helper.TESTFN_UNENCODABLE):
        os_helper.TESTFN_UNENCODABLE = None
    faulthandler.dump_traceback_later(seconds, exit=False)


def symlinks_are_made() -> bool:
    """Whether os.symlink() does what it says. Wine's CreateSymbolicLinkW() is a stub that returns TRUE; without this,
    ``os_helper.can_symlink()`` raises when it removes the link, and files that ask it while they are loaded do not load.
    """
    try:
        os.symlink("nowhere", "symlink-probe")
    except OSError:
        return False
    there = os.path.lexists("symlink-probe")
    if there:
        os.remove("symlink-probe")
    return there


def refuse_link(src: Any, dst: Any, target_is_directory: bool = False, *, dir_fd: int | None = None) -> None:
    """os.symlink() of a user of Windows who lacks the privilege, as all do by default: no link, and an error that says so."""
    raise OSError(errno.EINVAL, "A required privilege is not held by the client", src, 1314, dst)


def can_be_a_name(name: str | None) -> bool:
    """Whether a file can have this name. ``os_helper`` has None where none can be had that does not encode."""
    if name is None:
        return False
    try:
        with open(name, "wb"):
            pass
    except OSError:
        return False
    os.remove(name)
    return True


def without(suite: unittest.TestSuite, ids: Collection[str]) -> unittest.TestSuite:
    """The suite less the tests with these ids."""
    kept: list[unittest.TestCase | unittest.TestSuite] = []
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            kept.append(without(test, ids))
        elif name_of(test) not in ids:
            kept.append(test)
    return type(suite)(kept)


def run(module: str, lines: Lines, left_out: Collection[str]) -> None:
    """Load the file and run it."""
    try:
        loaded = importlib.import_module(module)
    except unittest.SkipTest as skip:
        lines.write(skipped=str(skip)[:300])
        return
    loader = unittest.TestLoader()
    suite = loader.loadTestsFromModule(loaded)
    for error in loader.errors:
        sys.stderr.write(f"{error}\n")
    result = Result(lines)
    without(suite, left_out).run(result)
    lines.write(end=result.testsRun)


def main() -> None:
    """What the module's text says."""
    module, folder, path, leave_out, seconds, resources = sys.argv[1:]
    del sys.argv[1:]
    os.chdir(folder)
    lines = Lines(path)
    try:
        prepare(float(seconds), tuple(resources.split(",")))
        with open(leave_out, encoding="utf-8") as file:
            run(module, lines, set(file.read().splitlines()))
    except BaseException as error:
        traceback.print_exc()
        lines.write(broken="".join(traceback.format_exception_only(error)).strip()[-300:])
        raise


if __name__ == "__main__":
    main()
