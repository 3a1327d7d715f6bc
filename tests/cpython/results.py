"""What became of one file of CPython's tests: read from the lines that inside.py wrote."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

#: passed, failed: all its tests were run; skipped: the file itself asked for it; broken: it could not be loaded;
#: crashed: the process ended before the last test did; hung: it was ended at its time limit.
State = Literal["passed", "failed", "skipped", "broken", "crashed", "hung"]
LOADING = "(loading)"


@dataclass(frozen=True, slots=True)
class FileResult:
    """The outcome of one file. ``failures`` has the last line of each failing test's error, by the test's id.

    ``note`` is why the file was skipped or broken, or where it crashed or hung. ``left_out`` counts tests that were not
    run because expected.toml says so; they are among the failures, and not in ``ran``. ``tries``: how often the file was
    run; the result is that of the last time.
    """

    name: str
    state: State
    ran: int = 0
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    left_out: int = 0
    seconds: float = 0.0
    failures: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    tries: int = 1


def short_id(test: str, module: str) -> str:
    """A test's id without the module that it is in: ``test.test_os.FileTests.test_read`` is ``FileTests.test_read``."""
    return test.removeprefix(f"{module}.").replace(f"({module}.", "(")


def read_lines(
    name: str,
    module: str,
    lines: Iterable[str],
    *,
    code: int | None,
    seconds: float,
    left_out: Iterable[str] = (),
) -> FileResult:
    """The outcome of a file from its lines and its exit code, None if it was ended at its time limit.

    A line that was cut off by a crash counts for nothing. The test that ran when the process ended is a failure.
    """
    ran = passed = failed = skipped = 0
    failures = dict.fromkeys(left_out, "not run")
    fixed: State | None = None
    note, running, ended = "", LOADING, False
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if "start" in event:
            running = short_id(event["start"], module)
        elif "stop" in event:
            test = short_id(event["stop"], module)
            ran += 1
            if event["outcome"] == "passed":
                passed += 1
            elif event["outcome"] == "skipped":
                skipped += 1
            else:
                failed += 1
                failures[test] = event["why"]
            running = f"(after {test})"
        elif "skipped" in event:
            fixed, note = "skipped", event["skipped"]
        elif "broken" in event:
            fixed, note = "broken", event["broken"]
        elif "end" in event:
            ended = True
    state: State
    if fixed is not None:
        state = fixed
    elif code is None and not ended:
        state, note = "hung", running
    elif not ended:
        state, note = "crashed", f"{running}: exit code {code}"
    else:
        # What the interpreter does after the last test is part of the file: a crash at its end is one.
        state = "failed" if failures else "passed"
        if code is None:
            state, note = "hung", "(at the end)"
        elif code != 0:
            state, note = "crashed", f"(at the end): exit code {code}"
    if state in ("hung", "crashed") and not ended:
        failures[running] = f"the process {'did not end' if state == 'hung' else 'ended'} here"
        failed += 1
        ran += 1
    elif state in ("hung", "crashed"):
        failures["(at the end)"] = "the process hung or crashed after its last test"
    elif state == "broken":
        failures[LOADING] = note
    return FileResult(name, state, ran, passed, failed, skipped, len(set(left_out)), round(seconds, 1), failures, note)
