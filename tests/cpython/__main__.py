"""``python -m tests.cpython`` (``make test-cpython``): CPython's own regression tests on our interpreter, under Wine.

Each file of Lib/test is run in a process of its own, in parallel, with a time limit, a folder of its own and no network
but a loopback. Results are compared with tests/cpython/expected.toml. OUT gets table.txt, table.json and, in files/,
each file's log. Exit codes: 0 nothing is worse than expected; 1 something is; the others are the packager's.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from packager.console import ConsoleReporter
from packager.errors import PackagerError
from packager.specs.load import find_project
from packager.store import Store
from packager.wineroot import get_wine
from tests.cpython import interpreter, run, settings, table, verdict
from tests.cpython.results import FileResult

INTERRUPTED = 130
#: As the packager's own command line has it.
STORE = Path(
    os.environ.get("PACKAGER_STORE")
    or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "electrum-packager"
)


def main(arguments: Sequence[str]) -> int:
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.cpython", description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "--out", type=Path, default=Path("dist/test-cpython"), help="where the table goes [%(default)s]"
    )
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="files at once [the cores]")
    parser.add_argument(
        "--files", nargs="+", default=[], metavar="NAME", help="only these, such as test_os test_asyncio"
    )
    parser.add_argument("--short", action="store_true", help="only the files that files.toml names in `short`")
    parser.add_argument("--resume", action="store_true", help="keep the results that OUT has of this interpreter")
    parser.add_argument("--interpreter", type=Path, metavar="DIR", help="use the Python in DIR, do not build one")
    parser.add_argument("--store", type=Path, default=STORE, help="the packager's store [%(default)s]")
    options = parser.parse_args(arguments)
    reporter = ConsoleReporter()
    try:
        return run_all(options, reporter)
    except PackagerError as exc:
        reporter.error(str(exc))
        return exc.exit_code
    except KeyboardInterrupt:
        print("\ninterrupted; --resume goes on from here", file=sys.stderr)
        return INTERRUPTED
    finally:
        reporter.close()


def run_all(options: argparse.Namespace, reporter: ConsoleReporter) -> int:
    """Prepare, run, write the table; 1 if something is worse than expected. PackagerError for what stands in the way."""
    files, expected = settings.read_files(), settings.read_expected()
    store = Store.open(options.store, reporter)
    python = (
        interpreter.given_interpreter(options.interpreter)
        if options.interpreter is not None
        else interpreter.make_interpreter(find_project(Path.cwd()), store, reporter, options.jobs)
    )
    suite = run.Suite(get_wine(store, reporter), python, files, expected, options.out.resolve())
    wanted = files.short if options.short else options.files
    names = settings.choose(interpreter.find_files(python.tests), files, wanted)
    kept = {name: result for name in names if options.resume and (result := suite.finished(name)) is not None}
    left = [name for name in names if name not in kept]
    start = time.monotonic()

    def on_result(result: FileResult, done: int) -> None:
        remark = table.remark(result, expected)
        print(
            f"[{len(kept) + done:3}/{len(names)}] {result.name}: {result.state}, {result.ran} run, {result.passed} passed, "
            f"{result.failed + result.left_out} failed, {result.skipped} skipped, {result.seconds:.1f} s"
            + (f" ({remark})" if remark else ""),
            flush=True,
        )

    results = (*kept.values(), *run.run_files(suite, left, max(1, options.jobs), on_result))
    seconds = time.monotonic() - start
    text = table.as_text(results, expected, seconds, options.jobs)
    (suite.out / "table.txt").write_text(text, "utf-8")
    (suite.out / "table.json").write_text(
        table.as_json(results, expected, seconds, options.jobs, python.identity), "utf-8"
    )
    print("\n" + "\n".join(text.splitlines()[-4:]))
    verdicts = [verdict.judge(result, expected) for result in results]
    for line in (line for item in verdicts for line in item.better):
        print(f"better: {line}")
    for line in (line for item in verdicts for line in item.worse):
        print(f"WORSE: {line}")
    print(f"{suite.out / 'table.txt'}")
    return 1 if any(item.worse for item in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
