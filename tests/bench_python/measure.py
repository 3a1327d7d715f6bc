"""Measuring in turns: each interpreter has a process that waits for its turn, so that a busy moment falls on all."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packager.errors import BuildError
from tests.bench_python.interpreters import Interpreter
from tests.bench_python.programs import Program

INSIDE = Path(__file__).with_name("inside.py")


@dataclass(frozen=True, slots=True)
class Value:
    """What one repetition took, in seconds: by the clock, and of processor time."""

    wall: float
    cpu: float


#: Values by benchmark and by the key of the interpreter.
Values = dict[str, dict[str, list[Value]]]


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured: ``processes`` one after the other, ``rounds`` in each, of values of ``seconds`` or more."""

    processes: int
    rounds: int
    seconds: float
    cpu: int | None = None


class _Worker:
    """A process of one interpreter that runs one program."""

    def __init__(self, interpreter: Interpreter, program: Program, effort: Effort, log: Path) -> None:
        self.what = f"{interpreter.title}: {program}"
        self.log = log
        place = interpreter.work
        arguments = ["-I", f"{place}/inside.py", f"{place}/{program.folder}", str(effort.seconds), *program.arguments]
        with log.open("wb") as errors:
            self.process = subprocess.Popen(
                interpreter.command(arguments, effort.cpu),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=dict(interpreter.env) or None,
            )

    def say(self, order: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(order.encode() + b"\n")
        self.process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        """The next answer. BuildError with the end of what it printed if there is none."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            said = self.log.read_text("utf-8", "replace").splitlines()[-8:]
            raise BuildError(f"{self.what}: ended with {self.process.wait()} instead of an answer", details=said)
        return dict(json.loads(line))

    def ask(self, order: str) -> dict[str, Any]:
        self.say(order)
        return self.hear()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


def run_program(interpreters: Sequence[Interpreter], program: Program, effort: Effort, logs: Path) -> Values:
    """Measure all benchmarks of a program on all interpreters. BuildError if one of them fails or has other ones."""
    values: Values = {}
    for number in range(effort.processes):
        # Whoever is first has a cold cache: that goes around, too.
        turn = number % len(interpreters)
        _run_once([*interpreters[turn:], *interpreters[:turn]], program, effort, logs, values)
    return values


def _run_once(
    interpreters: Sequence[Interpreter], program: Program, effort: Effort, logs: Path, values: Values
) -> None:
    with ExitStack() as stack:
        workers: dict[str, _Worker] = {}
        answers: dict[str, dict[str, Any]] = {}
        for interpreter in interpreters:
            worker = _Worker(interpreter, program, effort, logs / f"{program.name}-{interpreter.key}.log")
            stack.callback(worker.close)
            workers[interpreter.key] = worker
            # It calibrates now: nobody else is to run while it does.
            answers[interpreter.key] = worker.hear()
        while "benchmark" in next(iter(answers.values())):
            name = one_name(answers, program)
            for _ in range(effort.rounds):
                for key, worker in workers.items():
                    answer = worker.ask("run")
                    value = Value(answer["wall"], answer["cpu"])
                    values.setdefault(name, {}).setdefault(key, []).append(value)
            answers = {key: worker.ask("next") for key, worker in workers.items()}


def one_name(answers: Mapping[str, Mapping[str, Any]], program: Program) -> str:
    """The benchmark that all are at; BuildError if they are not at the same."""
    names = {key: answer.get("benchmark") for key, answer in answers.items()}
    if len(set(names.values())) != 1:
        raise BuildError(f"{program}: the interpreters are not at the same benchmark: {names}")
    return str(next(iter(names.values())))


def machine() -> str:
    """One line: processor, how many, memory, system."""
    facts = Path("/proc/cpuinfo").read_text("utf-8")
    model = next((line.partition(":")[2].strip() for line in facts.splitlines() if line.startswith("model name")), "?")
    memory = int(Path("/proc/meminfo").read_text("utf-8").split()[1]) / 2**20
    system = os.uname()
    return f"{model}, {os.cpu_count()} processors, {memory:.0f} GiB, {system.sysname} {system.release}"


def load() -> str:
    """How busy the machine is now."""
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"
