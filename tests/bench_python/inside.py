"""Runs in the interpreter that is measured: ``python -I inside.py FOLDER SECONDS [ARGUMENT...]``.

Runs FOLDER/run_benchmark.py of pyperformance with a module ``pyperf`` that is this file's: where pyperf's ``Runner``
would start processes, it says on stdout which benchmark there is and how often it repeats it so that one value takes
SECONDS or more, and then answers each line ``run`` on stdin with a line of JSON: seconds by the clock and of processor
time, for one repetition. The line ``next`` ends a benchmark. Only the standard library is used.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import runpy
import sys
import time
import types
from collections.abc import Awaitable, Callable
from typing import Any, TextIO

#: A benchmark's work: a number of repetitions goes in, the seconds that they took come out.
Timed = Callable[[int], float]


class Runner:
    """As much of ``pyperf.Runner`` as pyperformance's programs use."""

    answers: TextIO = sys.stdout
    seconds = 0.1

    def __init__(self, **_settings: Any) -> None:
        self.metadata: dict[str, Any] = {}
        self.argparser = argparse.ArgumentParser()
        self.args = argparse.Namespace()

    def parse_args(self, args: list[str] | None = None) -> argparse.Namespace:
        """The program's own arguments."""
        self.args = self.argparser.parse_args(args)
        return self.args

    def bench_time_func(self, name: str, func: Callable[..., float], *args: Any, inner_loops: int = 1) -> None:
        """A benchmark that times itself."""
        serve(name, lambda loops: func(loops, *args), inner_loops, self.seconds, self.answers)

    def bench_func(self, name: str, func: Callable[..., Any], *args: Any, inner_loops: int = 1) -> None:
        """A benchmark that is a call."""

        def timed(loops: int) -> float:
            begun = time.perf_counter()
            for _ in range(loops):
                func(*args)
            return time.perf_counter() - begun

        serve(name, timed, inner_loops, self.seconds, self.answers)

    def bench_async_func(
        self,
        name: str,
        func: Callable[..., Awaitable[Any]],
        *args: Any,
        inner_loops: int = 1,
        loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
    ) -> None:
        """A benchmark that is awaited; the event loop's start and end are not counted."""

        async def many(loops: int) -> float:
            begun = time.perf_counter()
            for _ in range(loops):
                await func(*args)
            return time.perf_counter() - begun

        def timed(loops: int) -> float:
            with asyncio.Runner(loop_factory=loop_factory) as runner:
                return runner.run(many(loops))

        serve(name, timed, inner_loops, self.seconds, self.answers)


def calibrate(timed: Timed, seconds: float) -> int:
    """The number of repetitions, a power of two, that takes ``seconds`` or more; finding it warms the code up."""
    loops = 1
    while timed(loops) < seconds:
        loops *= 2
    return loops


def serve(name: str, timed: Timed, inner_loops: int, seconds: float, answers: TextIO) -> None:
    """Say what there is, then give values as long as they are asked for."""

    def say(what: dict[str, Any]) -> None:
        answers.write(json.dumps(what) + "\n")
        answers.flush()

    loops = calibrate(timed, seconds)
    say({"benchmark": name, "loops": loops})
    for order in sys.stdin:
        if order.strip() != "run":
            break
        gc.collect()
        cpu = time.process_time()
        wall = timed(loops)
        cpu = time.process_time() - cpu
        each = loops * inner_loops
        say({"wall": wall / each, "cpu": cpu / each})


def main() -> None:
    """Run one program."""
    folder, seconds, *arguments = sys.argv[1:]
    Runner.seconds = float(seconds)
    # What a program prints is nobody's answer.
    Runner.answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    shim = types.ModuleType("pyperf")
    vars(shim).update(
        Runner=Runner, perf_counter=time.perf_counter, python_implementation=lambda: sys.implementation.name
    )
    sys.modules["pyperf"] = shim
    # Programs have modules of their own, and those of the benchmarks that they build on, beside them.
    sys.path.insert(0, folder)
    sys.path += [os.path.join(folder, os.pardir, name) for name in ("bm_regex_effbot", "bm_regex_v8")]
    program = os.path.join(folder, "run_benchmark.py")
    sys.argv = [program, *arguments]
    runpy.run_path(program, run_name="__main__")
    Runner.answers.write(json.dumps({"done": True}) + "\n")
    Runner.answers.flush()


if __name__ == "__main__":
    main()
