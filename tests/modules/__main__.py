"""``python -m tests.modules [TEST...]``: record anew what the programs of electrum-nmc load.

The tests run with the bundle's whole tree, nothing left out; each is a run, and so ``bundle_specs/traces/`` rests on
the very tests that say how everything has to end. TEST is what pytest takes; ``RUNS`` unless given.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from packager.modules import record, trace
from tests.modules.whole import ROOT, interpreter, whole

SPEC = "electrum-nmc"
COMMAND = "python -m tests.modules"
#: Where the launcher, the daemon and the plugin run, with each way that a look-up can end.
RUNS = ("tests/integration/test_modules.py", "tests/integration/test_launcher.py")


def main(argv: list[str] | None = None) -> int:
    """Run the tests and write the trace; 1 if a test failed, and then nothing is written."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=(__doc__ or "").split("\n")[0])
    parser.add_argument("test", nargs="*", help="what pytest is to run")
    parser.add_argument("--out", type=Path, default=ROOT / "bundle_specs" / "traces" / f"{SPEC}.toml")
    parser.add_argument("--keep-going", action="store_true", help="write it although tests failed")
    options = parser.parse_args(argv)
    if not options.out.exists():
        options.out.parent.mkdir(exist_ok=True)
        options.out.write_text(trace.encode(trace.NO_TRACE), "utf-8")
    tests = options.test or [name for name in RUNS if (ROOT / name).exists()]
    # Below the home folder, as /tmp may be small; a run under Wine sees both.
    with tempfile.TemporaryDirectory(prefix="recording-") as name:
        work = Path(name)
        every = whole(SPEC)
        bundle, _log = every.recording(work)
        out = work / "runs.json"
        environ = {
            **os.environ,
            "RECORD_BUNDLE": str(bundle),
            "RECORD_PROGRAM": str(every.tree),
            "RECORD_OUT": str(out),
            "PYTHONPATH": str(ROOT),
        }
        asked = interpreter(bundle)
        line = [sys.executable, "-m", "pytest", "-p", "tests.modules.recording", "-p", "no:cacheprovider", "-q"]
        done = subprocess.run([*line, *tests, "-k", "not recorded"], cwd=ROOT, env=environ, check=False)
        if done.returncode and not options.keep_going:
            return 1
        recorded = json.loads(out.read_text("utf-8"))
        runs = {run["name"]: frozenset(run["paths"]) for run in recorded if run["paths"]}
        made = record.make_trace(
            every.paths, every.read, every.rules(trace.NO_TRACE, strict=False), asked, runs, COMMAND
        )
    options.out.write_text(trace.encode(made), "utf-8")
    print(
        f"{options.out}: {len(made.run)} of {len(runs)} runs loaded something that no import says, {len(made.modules)} modules"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
