"""``python -m tests.fuzz_formats [--runs N] [--seed N] [FORMAT...]``: broken archives, libraries, objects, bytecode.

Each format's normaliser gets inputs that a coverage-guided fuzzer (atheris) makes out of small good files; without
atheris, a seeded mutator makes them, and a line says so. Every input must be normalised (then only the reported bytes
differ, twice changes nothing more, and an independent reader finds the same content) or raise FormatError. Each format
runs in a process of its own; prints how many inputs came to what, the slowest one, and the process's peak memory. An
input that breaks a rule is written to the current folder, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

FORMATS = ("ar", "coff", "pyc", "zip", "gzip")
#: The longest input, in bytes: several times the longest good file.
LONGEST = 4096


class Campaign:
    """Inputs of one format: what came of them, as far as they have been tried."""

    def __init__(self, name: str) -> None:
        """Loads the format's normaliser, its tests' good files, and the independent reader."""
        module = importlib.import_module(f"packager.formats.{name}")
        tests = importlib.import_module(f"tests.formats.test_{name}")
        build = importlib.import_module("tests.formats.build")
        self.name = name
        self.seeds: Sequence[bytes] = tests.EVERY
        self._outcome: Callable[..., Any] = build.outcome
        self._normalise = module.normalise
        self._content: Callable[[bytes], object] = getattr(tests, "contents", lambda _data: None)
        self.counts: Counter[str] = Counter()
        self.slowest = (0.0, 0)

    def run(self, data: bytes) -> None:
        """Try one input; whatever is wrong escapes as an exception, with the input left in a file."""
        self.counts["cases"] += 1
        try:
            start = time.perf_counter()
            # An exception of any other type than FormatError is a bug.
            with contextlib.suppress(self._refusal()):
                self._normalise(data, 1735689600)
            seconds = time.perf_counter() - start
            result = self._outcome(self._normalise, data)
            if result is not None and result.changes:
                assert self._content(result.data) == self._content(data), "another content"
        except Exception:
            path = Path(f"fuzz-{self.name}.bin")
            path.write_bytes(data)
            print(f"{self.name}: breaks a rule: {path.absolute()}", file=sys.stderr)
            raise
        self.counts["refused" if result is None else "changed" if result.changes else "unchanged"] += 1
        self.slowest = max(self.slowest, (seconds, len(data)))

    @staticmethod
    def _refusal() -> type[Exception]:
        error: type[Exception] = importlib.import_module("packager.formats.errors").FormatError
        return error

    def report(self) -> str:
        """One line of JSON."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return json.dumps({"counts": self.counts, "slowest": self.slowest, "peak": peak})


def guided(name: str, runs: int, seed: int) -> None:
    """Fuzz with atheris; ends the process, since libFuzzer does not come back."""
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["packager.formats"]):
        campaign = Campaign(name)

    def one(data: bytes) -> None:
        try:
            campaign.run(data)
        except Exception:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
        if campaign.counts["cases"] == runs:
            print(campaign.report(), flush=True)
            os._exit(0)

    def mutate(data: bytes, most: int, number: int) -> bytes:
        # What covered new lines is mostly what was refused in a new way: begin with good files, too.
        rng = random.Random(number)
        way = rng.random()
        if way < 0.4:
            return mutant(rng.choice(campaign.seeds), rng)[:most]
        if data and way < 0.7:
            return mutant(data, rng)[:most]
        mutated: bytes = atheris.Mutate(data, most)
        return mutated

    with tempfile.TemporaryDirectory() as folder:
        for number, data in enumerate(campaign.seeds):
            Path(folder, str(number)).write_bytes(data)
        line = ["fuzz", f"-seed={seed}", f"-max_len={LONGEST}", "-len_control=0", "-mutate_depth=1", "-verbosity=0"]
        atheris.Setup([*line, "-timeout=20", folder], one, custom_mutator=mutate)
        atheris.Fuzz()


def unguided(name: str, runs: int, seed: int) -> None:
    """Fuzz with the mutator below alone."""
    campaign = Campaign(name)
    rng = random.Random(seed)
    for _ in range(runs):
        campaign.run(mutant(rng.choice(campaign.seeds), rng))
    print(campaign.report())


def mutant(seed: bytes, rng: random.Random) -> bytes:
    """``seed``, which is not empty, with one to six numbers changed, or cut."""
    data = bytearray(seed)
    for _ in range(rng.choice((1, 1, 2, 3, 6))):
        at, width = rng.randrange(len(data)), rng.choice((1, 2, 4))
        edges = (0, 1, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
        value = rng.choice((rng.choice(edges), rng.getrandbits(32), rng.randrange(len(data))))
        data[at : at + width] = value.to_bytes(4, "little")[:width]
    return bytes(data[: rng.randrange(len(data))] if rng.random() < 0.08 else data)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz_formats", description=__doc__.split("\n\n")[1])
    parser.add_argument("formats", nargs="*", metavar="FORMAT", help=f"of {', '.join(FORMATS)}; all if none is given")
    parser.add_argument("--runs", type=int, default=30_000, help="inputs per format (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="where the random numbers begin (default: %(default)s)")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    unknown = set(options.formats) - set(FORMATS)
    if unknown:
        parser.error(f"expected formats of {', '.join(FORMATS)}, found {', '.join(sorted(unknown))}")
    has_atheris = importlib.util.find_spec("atheris") is not None
    if options.worker:
        (guided if has_atheris else unguided)(options.formats[0], options.runs, options.seed)
        return 0
    if not has_atheris:
        print("atheris is not installed: a seeded mutator makes the inputs, without looking at coverage")
    failed = False
    for name in options.formats or FORMATS:
        line = [sys.executable, "-m", "tests.fuzz_formats", "--worker", name]
        line += ["--runs", str(options.runs), "--seed", str(options.seed)]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        if done.returncode:
            failed = True
            print(f"{name}: exit code {done.returncode}\n{done.stderr[-3000:]}")
            continue
        found = json.loads(done.stdout.splitlines()[-1])
        counts, (seconds, size) = Counter(found["counts"]), found["slowest"]
        print(
            f"{name}: {counts['cases']} cases: {counts['changed']} changed, {counts['unchanged']} normal already, "
            f"{counts['refused']} refused; slowest {1000 * seconds:.1f} ms ({size} bytes), peak {found['peak']:.0f} MB"
        )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
