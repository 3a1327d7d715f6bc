"""``python -m tests.bench_python`` (``make bench-python``): the interpreter's speed, beside others'.

Compares (a) ours under Wine, (b) the same component for Linux, (c) Debian trixie's python3.13. Each runs pyperformance's
programs (benchmarks.toml) in its own process, in turns with the others; shown are medians, and ratios of them. Then
start-up, and with --forms the forms that the standard library could have in (a) and in (b). OUT gets table.txt and
table.json. Exit codes: 0 measured, whatever the figures are; the others are the packager's.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packager import buildroot, components
from packager.console import ConsoleReporter
from packager.errors import PackagerError
from packager.progress import Clock
from packager.specs import load, model
from packager.store import Store
from packager.wine import Wine
from packager.wineroot import get_wine
from tests.bench_python import forms, interpreters, measure, programs, startup, table
from tests.bench_python.interpreters import Interpreter

#: As the packager's own command line has it.
STORE = Path(
    os.environ.get("PACKAGER_STORE")
    or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "electrum-packager"
)
COMPONENT = "cpython"
#: (b) has the compiler that (a) has, and runs in the root that has (c).
NATIVE_TOOLCHAIN = "trixie-gcc"


def main(arguments: Sequence[str]) -> int:
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench_python", description=__doc__, allow_abbrev=False)
    parser.add_argument("--out", type=Path, default=Path("dist/bench-python"), help="where tables go [%(default)s]")
    parser.add_argument("--quick", action="store_true", help="fewer programs and shorter values")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="only these programs")
    parser.add_argument("--rounds", type=int, default=5, help="values of each process [%(default)s]")
    parser.add_argument("--processes", type=int, default=3, help="processes of each interpreter [%(default)s]")
    parser.add_argument("--cpu", type=int, help="the processor to run on [the last one that may be used]")
    parser.add_argument("--forms", action="store_true", help="also measure the forms of the standard library")
    parser.add_argument("--startup-only", action="store_true", help="measure start-up and no programs")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="for what is built first")
    parser.add_argument("--windows", type=Path, metavar="DIR", help="(a): use the folder with python/python.exe")
    parser.add_argument("--native", type=Path, metavar="DIR", help="(b): use the folder with python/python3")
    parser.add_argument("--store", type=Path, default=STORE, help="the packager's store [%(default)s]")
    options = parser.parse_args(arguments)
    reporter = ConsoleReporter()
    try:
        with tempfile.TemporaryDirectory(prefix="bench-python-") as scratch:
            run(options, reporter, Path(scratch))
        return 0
    except PackagerError as exc:
        reporter.error(str(exc))
        return exc.exit_code
    finally:
        reporter.close()


def run(options: argparse.Namespace, reporter: ConsoleReporter, scratch: Path) -> None:
    """Prepare, measure, write. PackagerError for what stands in the way."""
    entries = programs.read_list(programs.LIST.read_text("utf-8"))
    chosen = programs.choose(entries, quick=options.quick, only=options.only)
    store = Store.open(options.store, reporter)
    programs.unpack(entries, chosen, store.root, scratch, reporter)
    shutil.copy(measure.INSIDE, scratch)
    installed = get_wine(store, reporter)
    made = prepare(options, store, reporter, installed, scratch)
    compared = made.interpreters
    titles = {one.key: one.title for one in compared}
    cpu = options.cpu if options.cpu is not None else max(os.sched_getaffinity(0))
    effort = measure.Effort(options.processes, options.rounds, 0.03 if options.quick else 0.1, cpu)
    notes = [measure.machine(), f"at the start: {measure.load()}; all on processor {cpu}"]

    values: measure.Values = {}
    for number, program in enumerate(() if options.startup_only else chosen, 1):
        found = measure.run_program(compared, program, effort, scratch)
        values.update(found)
        line = ", ".join(
            f"{row.name}" + "".join(f" {one}/{other} {row.ratio(one, other) or 0:.2f}" for one, other, _ in table.PAIRS)
            for row in table.rows(found)
        )
        print(f"[{number}/{len(chosen)}] {line}; {measure.load()}", file=sys.stderr, flush=True)
    starts = startup.measure(compared, effort.processes * effort.rounds, cpu)
    notes.append(f"at the end: {measure.load()}")
    count = effort.processes * effort.rounds
    notes.append(f"medians of {count} values, {effort.processes} processes of each interpreter, in turns")

    found_rows = table.rows(values)
    text = "\n".join(notes) + "\n\n" + (table.text(found_rows, titles) + "\n" if values else "")
    text += "start-up: loading modules\n" + startup.text(starts, titles, "c")
    document = {
        "machine": notes,
        "interpreters": titles,
        "benchmarks": {
            row.name: {
                "wall": row.wall,
                "cpu": row.cpu,
                "values": {k: [v.wall for v in each] for k, each in values[row.name].items()},
            }
            for row in found_rows
        },
        "means": table.means(found_rows),
        "startup": starts,
    }
    if options.forms:
        each = {
            key: compare_forms(key, folder, start, made.version, scratch, count, cpu)
            for key, (folder, start) in made.ours.items()
        }
        text += "".join(f"\n{said}" for said, _ in each.values())
        document["forms"] = {key: numbers for key, (_, numbers) in each.items()}
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "table.txt").write_text(text, "utf-8")
    (options.out / "table.json").write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    print(text, end="")


#: Starts what lies in a folder: by folder, title and key.
Start = Callable[[Path, str, str], Interpreter]


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is compared; ``ours`` are our own, the bundle's folder of each and how one like it is started, by key."""

    interpreters: Sequence[Interpreter]
    ours: Mapping[str, tuple[Path, Start]]
    version: str


def prepare(
    options: argparse.Namespace, store: Store, reporter: ConsoleReporter, installed: Wine, scratch: Path
) -> Prepared:
    """All three interpreters, built where they are not given. Raises what a build raises."""
    project = load.find_project(Path.cwd())
    clock = Clock(reporter)

    def built(plan: components.Plan) -> Path:
        return components.build(plan, store, clock)[COMPONENT].tree / "bundle"

    def planned(target: model.Target, toolchain: str) -> components.Plan:
        return components.make_plan(project, [COMPONENT], components.Options(toolchain, target, options.jobs))

    ours = (options.windows or built(planned("windows-x86_64", components.TOOLCHAINS["windows-x86_64"]))).resolve()
    plan = planned("linux-x86_64", NATIVE_TOOLCHAIN)
    native = (options.native or built(plan)).resolve()
    root, _ = buildroot.make_root(plan.root, store, reporter, offline=False)

    def under_wine(folder: Path, title: str, key: str) -> Interpreter:
        return interpreters.windows(folder, installed, scratch, title=title, key=key)

    def natively(folder: Path, title: str, key: str) -> Interpreter:
        return interpreters.native(folder, root.tree, scratch, title=title, key=key)

    return Prepared(
        [
            under_wine(ours, "ours, Wine", "a"),
            natively(native, "ours, Linux", "b"),
            interpreters.debian(root.tree, scratch),
        ],
        {"a": (ours, under_wine), "b": (native, natively)},
        load.load_component(project, COMPONENT).version,
    )


def compare_forms(
    key: str, bundle: Path, start: Start, version: str, scratch: Path, rounds: int, cpu: int
) -> tuple[str, dict[str, dict[str, float]]]:
    """Sizes and start-up of each form of the interpreter ``key``, as text and as numbers."""
    each = []
    numbers: dict[str, dict[str, float]] = {}
    for form, title in forms.FORMS.items():
        folder = scratch / f"form-{key}-{form}"
        forms.make(bundle, form, folder, version)
        size, packed = forms.sizes(folder)
        numbers[form] = {"bytes": size, "tar.zst": packed}
        each.append(start(folder, title, form))
    starts = startup.measure(each, rounds, cpu)
    for kind, by in starts.items():
        for form, seconds in by.items():
            numbers[form][kind] = seconds
    lines = [f"the standard library's form, of ({key}); {measure.load()}"]
    lines.append(startup.text(starts, forms.FORMS, "loose").rstrip("\n"))
    lines += [
        f"{title}: {numbers[form]['bytes'] / 1e6:.1f} MB, as .tar.zst {numbers[form]['tar.zst'] / 1e6:.2f} MB"
        for form, title in forms.FORMS.items()
    ]
    return "\n".join(lines) + "\n", numbers


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
