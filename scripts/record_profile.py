"""``python -m scripts.record_profile``: count anew which of the interpreter's code is run how often, for its compiler.

Builds the component ``cpython-counted``, runs the tests that CPython itself trains with (``PGO_TESTS`` in its
Lib/test/libregrtest/pgo.py) and those of TRAINING on it (for Windows under Wine, one after the other), and packs what
they counted into the target's overlay: mingw/profile/VERSION-TRIPLET.tar.xz; for Linux, where each build root has
another compiler, linux/profile/VERSION-TRIPLET-gccN.tar.xz. The component ``cpython`` is compiled with that.

To be run when the version, the patches or the compiler have changed: until then what has changed is compiled as if
nothing was known of it. The counts of two runs differ a little (addresses, times): they are recorded once and
committed; building with them is what is reproducible. Takes about ten minutes of one core.
"""

from __future__ import annotations

import argparse
import ast
import io
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PureWindowsPath

from packager import buildroot, components, process, wine
from packager.console import ConsoleReporter
from packager.errors import PackagerError, SpecError
from packager.progress import Clock
from packager.sandbox import Sandbox
from packager.specs import load, model
from packager.store import Store
from packager.wineroot import get_wine

COMPONENT = "cpython-counted"
ROOT = Path(__file__).resolve().parents[1]
FOLDERS: Mapping[model.Target, Path] = {
    "windows-x86_64": ROOT / "patches/cpython/overlay/mingw/profile",
    "linux-x86_64": ROOT / "patches/cpython/linux/linux/profile",
}
#: Where the interpreter of Linux writes to, and where its bundle lies: in /build, as nothing else can be mounted on.
COUNTS, NATIVE = "/build/counts", "/build/deps/native"
#: Beside CPython's own, which has little of what programs that wait for networks do.
TRAINING = (
    "test_asyncio.test_futures",
    "test_asyncio.test_locks",
    "test_asyncio.test_tasks",
    "test_copy",
    "test_deque",
)
#: Seconds that the tests of one file may take; what has been counted until then is lost beyond it.
LIMIT = 900
_OF_TESTS = re.compile(r"#lib(_test|_ctypes_test|xx)[^#]*\.p#")
STORE = Path(
    os.environ.get("PACKAGER_STORE")
    or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "electrum-packager"
)


def training(source: str) -> tuple[str, ...]:
    """The names in ``PGO_TESTS`` of CPython's pgo.py, and ours. SpecError if it has no such list."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["PGO_TESTS"]:
            return (*ast.literal_eval(node.value), *TRAINING)
    raise SpecError(
        "Lib/test/libregrtest/pgo.py: expected a list PGO_TESTS, found none",
        hint="see which tests this version of CPython trains with",
    )


def pack(counts: Path) -> bytes:
    """All ``.gcda`` files of a folder as a ``.tar.xz``: sorted, owner 0, no times; SpecError if there is none.

    Those of modules that only tests import are left out: nobody compiles with them.
    """
    files = sorted(path for path in counts.glob("*.gcda") if not _OF_TESTS.search(path.name))
    if not files:
        raise SpecError(f"{counts}: expected counts (*.gcda), found none")
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:xz", preset=9, format=tarfile.USTAR_FORMAT) as archive:
        for path in files:
            entry = tarfile.TarInfo(path.name)
            entry.size = path.stat().st_size
            entry.mode = 0o644
            archive.addfile(entry, io.BytesIO(path.read_bytes()))
    return stream.getvalue()


def command(installed: wine.Wine, bundle: Path, counts: Path, module: str) -> list[str]:
    """The command line that runs the tests of ``module``, with ``counts`` where the interpreter writes to."""
    arguments = ("-m", "unittest", "-q", f"test.{module}")
    run = wine.Run(bundle, PureWindowsPath("python/python.exe"), arguments, Path("/"), env={"PYTHONHASHSEED": "0"})
    line = wine.run_argv(installed, run, wine.this_host())
    place = line.index("--chdir")
    line[place + 1] = "/tmp"
    return [*line[:place], "--tmpfs", "/tmp", "--bind", str(counts), "/counts", *line[place:]]


def command_of_linux(root: Path, bundle: Path, counts: Path, module: str) -> list[str]:
    """The same for the interpreter of Linux, in the root that it was built in."""
    box = Sandbox(root, binds={NATIVE: bundle}, writable={COUNTS: counts})
    return box.argv([f"{NATIVE}/python/python3", "-m", "unittest", "-q", f"test.{module}"], cwd="/tmp")


def run(line: Sequence[str]) -> str:
    """Run the tests of one file; how they ended. They may fail: they are here to be counted."""
    try:
        code = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT).returncode
    except subprocess.TimeoutExpired:
        return "took too long"
    return "passed" if code == 0 else f"ended with {code}"


def record(store: Store, reporter: ConsoleReporter, options: components.Options, only: Sequence[str]) -> Path:
    """Do all of it; the file that was written. Raises what a build raises."""
    project = load.find_project(ROOT)
    plan = components.make_plan(project, [COMPONENT], options)
    bundle = components.build(plan, store, Clock(reporter))[COMPONENT].tree / "bundle"
    version = next(item.version for item in plan.components if item.name == COMPONENT)
    name = f"{version}-{plan.environment.toolchain.triplet}"
    with tempfile.TemporaryDirectory(prefix="counts-") as folder:
        counts = Path(folder)
        if options.target == "linux-x86_64":
            root = buildroot.make_root(plan.root, store, reporter, offline=False)[0].tree
            name += f"-gcc{compiler_version(root, plan.environment.toolchain.triplet)}"
            workers = options.jobs

            def line(module: str) -> list[str]:
                return command_of_linux(root, bundle, counts, module)
        else:
            installed = get_wine(store, reporter)
            # GCC's library locks a file while it adds to it, but not on Windows.
            workers = 1

            def line(module: str) -> list[str]:
                return command(installed, bundle, counts, module)

        modules = training((bundle / "python/Lib/test/libregrtest/pgo.py").read_text("utf-8"))
        chosen = [module for module in modules if not only or module in only]
        with ThreadPoolExecutor(workers) as pool:
            for module, said in zip(chosen, pool.map(lambda module: run(line(module)), chosen), strict=True):
                print(f"{module}: {said}", file=sys.stderr, flush=True)
        packed = pack(counts)
    target = FOLDERS[options.target] / f"{name}.tar.xz"
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(packed)
    return target


def compiler_version(root: Path, triplet: str) -> str:
    """GCC's major version, which is that of the form of its counts."""
    line = Sandbox(root).argv([f"{triplet}-gcc", "-dumpversion"], cwd="/")
    return process.check(line, what="asking for the compiler's version").decode().strip()


def main(arguments: Sequence[str]) -> int:
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m scripts.record_profile", description=__doc__, allow_abbrev=False)
    parser.add_argument("--toolchain", default="trixie-ucrt64", metavar="NAME", help="the build root [%(default)s]")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="for the build [the cores]")
    parser.add_argument("--store", type=Path, default=STORE, help="the packager's store [%(default)s]")
    parser.add_argument("only", nargs="*", metavar="TEST", help="run only these, to try it")
    options = parser.parse_args(arguments)
    reporter = ConsoleReporter()
    try:
        target = load.load_toolchain(load.find_project(ROOT), options.toolchain).target
        how = components.Options(options.toolchain, target, options.jobs)
        written = record(Store.open(options.store, reporter), reporter, how, options.only)
        print(f"{written}: {written.stat().st_size} bytes")
        return 0
    except PackagerError as exc:
        reporter.error(str(exc))
        return exc.exit_code
    finally:
        reporter.close()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
