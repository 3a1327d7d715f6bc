"""A fuzzer of the PE normaliser: ``python -m tests.pe.fuzz --runs 100000 [--seed N] [FOLDER]``.

With atheris installed, coverage guides it; without, a seeded mutator goes on its own. Seeds are the files that
:mod:`tests.pe.cases` makes, and small PE files of FOLDER. Each case must be refused with one PEError, or come out right:
the reported changes, made to the input, give the output, and nothing is left to do for a second run. When one is not,
or takes a second, it is left in a file, and the exit code is not 0.
"""

from __future__ import annotations

import argparse
import importlib
import os
import random
import resource
import sys
import tempfile
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

#: Files of a folder up to this many bytes are seeds, and so many of them.
_MOST, _LARGEST = 60, 60_000


class Count:
    """What happened so far. ``cases`` is the module that has the property."""

    def __init__(self, cases: ModuleType, runs: int) -> None:
        self._cases = cases
        self.runs = runs
        self.tried = self.accepted = 0
        self.slowest = 0.0
        self.start = time.monotonic()

    def case(self, data: bytes) -> None:
        """Try one case; an exception leaves when it does not hold, the case being in a file by then."""
        options = self._cases.options_for(data)
        start = time.process_time()
        try:
            self.accepted += self._cases.holds(data, options)
            took = time.process_time() - start
            self.slowest = max(self.slowest, took)
            assert took < 1, f"{took:.1f} s"
        except Exception:
            path = Path(tempfile.gettempdir(), f"pe-fuzz-{zlib.crc32(data):08x}.bin")
            path.write_bytes(data)
            print(f"FAILED with {options}: the case is {path}", flush=True)
            raise
        self.tried += 1

    def report(self) -> str:
        """The numbers, as one line."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        return (
            f"{self.tried} cases: {self.accepted} normalised, {self.tried - self.accepted} refused, no other outcome; "
            f"slowest {self.slowest:.3f} s of CPU (normalised twice), peak RSS {peak} MiB, "
            f"{time.monotonic() - self.start:.0f} s in all"
        )


def run_seeded(cases: ModuleType, count: Count, corpus: Sequence[bytes], seed: int) -> None:
    """As many cases as asked for, from a seeded mutator."""
    rng = random.Random(seed)
    while count.tried < count.runs:
        data = rng.choice(corpus)
        for _ in range(rng.choice([1, 1, 1, 2])):
            data = cases.mutated(data, rng.getrandbits(64))
        count.case(data)


def run_guided(atheris: ModuleType, cases: ModuleType, count: Count, corpus: Sequence[bytes], seed: int) -> None:
    """As many cases as asked for, guided by coverage. Does not return: the process ends with them."""

    def mutate(data: bytes, most: int, number: int) -> bytes:
        """Half of the times what libFuzzer does, else numbers in headers and tables."""
        if number % 2 or not data:
            return bytes(atheris.Mutate(data, most))
        return bytes(cases.mutated(data, number)[:most])

    def case(data: bytes) -> None:
        count.case(data)
        if count.tried >= count.runs:
            print(count.report(), flush=True)
            os._exit(0)

    with tempfile.TemporaryDirectory() as folder:
        for index, data in enumerate(corpus):
            Path(folder, f"seed-{index:03}").write_bytes(data)
        largest = max(len(data) for data in corpus)
        flags = [f"-seed={seed}", f"-max_len={largest}", "-len_control=0", "-verbosity=0"]
        atheris.Setup([sys.argv[0], *flags, folder], case, custom_mutator=mutate)
        atheris.Fuzz()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.pe.fuzz", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=100_000, help="cases to try (default: 100000)")
    parser.add_argument("--seed", type=int, default=1, help="where the mutators begin (default: 1)")
    parser.add_argument("--no-atheris", action="store_true", help="do without, also when it is there")
    parser.add_argument("folder", nargs="?", type=Path, help="real PE files to begin with, besides those made here")
    options = parser.parse_args(arguments)
    atheris = None if options.no_atheris else _atheris()
    if atheris is None:
        cases = importlib.import_module("tests.pe.cases")
        print("atheris is not in use (not installed, or not wanted): a seeded mutator, without guidance", flush=True)
    else:
        with atheris.instrument_imports(include=["packager"]):
            # Else loaded when it is first needed, which would be too late.
            importlib.import_module("packager.formats.zip")
            cases = importlib.import_module("tests.pe.cases")
        print("guided by coverage of packager (atheris)", flush=True)
    corpus = list(cases.seeds())
    if options.folder is not None:
        small = [path for path in sorted(options.folder.iterdir()) if 0 < path.stat().st_size <= _LARGEST]
        corpus += [data for path in small if (data := path.read_bytes())[:2] == b"MZ"][:_MOST]
    print(f"{len(corpus)} seeds, {options.runs} cases", flush=True)
    count = Count(cases, options.runs)
    if atheris is not None:
        run_guided(atheris, cases, count, corpus, options.seed)
    run_seeded(cases, count, corpus, options.seed)
    print(count.report())
    return 0


def _atheris() -> ModuleType | None:
    try:
        return importlib.import_module("atheris")
    except ImportError:
        return None


if __name__ == "__main__":
    sys.exit(main())
