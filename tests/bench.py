"""``make bench``: how long the packager's own work takes, side by side where it compares, in one run.

Measured on the corpus of tests/data/make_corpus.py where the tests have left one, else on the bundles in dist/, else on
a corpus that is downloaded now. Every measurement is made several times, in turns with the others, so that what else
this machine does falls on all of them; shown are medians. One process does the work, files come from the page cache.
Nothing here decides a test.
"""

from __future__ import annotations

import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pefile

from packager import trees
from packager.errors import PEError
from packager.normalise import Options, is_pe, normalise_file, normalise_paths
from packager.pe.checksum import checksum
from packager.pe.layout import read_layout
from packager.pe.normalise import normalise
from tests import corpus
from tests.corpus import Corpus

RUNS = 5
ROOT = Path(__file__).parents[1]
#: Signatures come off, so that every file is worked on.
OPTIONS = Options(1, signed="strip")
#: What pefile is given, in bytes: it takes a second for ten million.
PEFILE_SHARE = 15_000_000
#: Of so many wheels the DLLs are listed, by us and by others.
WHEELS = 12


@dataclass(frozen=True, slots=True)
class Measure:
    """One line of the table: what is done, to how many MB (None: no rate), the goal in MB/s, and remarks."""

    name: str
    work: Callable[[], object]
    megabytes: float | None = None
    goal: int | None = None
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Timing:
    """Medians in seconds: by the clock, and of processor time, with that of child processes."""

    wall: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Images:
    """The PE files to measure on: the folder that has them and nothing else, each file, and what they are."""

    folder: Path
    files: tuple[Path, ...]
    what: str


def time_in_turns(measures: Sequence[Measure], runs: int = RUNS) -> list[Timing]:
    """The medians of ``runs`` rounds, each of which does every work once, after a round that does not count."""
    rounds = [[_time(measure.work) for measure in measures] for _ in range(runs + 1)]
    return [
        Timing(statistics.median(t.wall for t in times), statistics.median(t.cpu for t in times))
        for times in zip(*rounds[1:], strict=True)
    ]


def _time(work: Callable[[], object]) -> Timing:
    wall, cpu = time.perf_counter(), _cpu()
    work()
    return Timing(time.perf_counter() - wall, _cpu() - cpu)


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def find_images(bundles: Sequence[Path], scratch: Path) -> Images:
    """The corpus that is there, else the bundles', else a corpus made now. Ends the program when there is nothing."""
    folder = corpus.default_folder()
    if not (folder / "index.json").is_file() and bundles:
        found = [node.absolute for bundle in bundles for node in trees.files(bundle) if is_pe(node.absolute)]
        copies = tuple(scratch / f"{number:03}-{path.name}" for number, path in enumerate(found))
        for path, copy in zip(found, copies, strict=True):
            shutil.copy(path, copy)
        return Images(scratch, copies, "those of the bundles in dist/")
    if not (folder / "index.json").is_file():
        print(f"downloading the corpus to {folder}", flush=True)
        made = corpus.make(folder)
        if not (folder / "index.json").is_file():
            sys.exit(f"nothing to measure on: no bundle in dist/ (make bundle), no corpus: {made.stderr.strip()}")
    read = Corpus.read(folder)
    return Images(read.files, tuple(read.files / member.file for member in read.members), "the corpus")


def tree_measures(images: Images, scratch: Path) -> Iterator[Measure]:
    """A whole tree of PE files, as `packager normalise --jobs 1` works on it; the results go to ``scratch``."""
    total = _megabytes(images.files)

    def check() -> None:
        for _report in normalise_paths([images.folder], OPTIONS, check=True):
            pass

    def write() -> None:
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            for _report in normalise_paths([images.folder], OPTIONS, output_dir=Path(folder)):
                pass

    yield Measure("normalise --check", check, total, 300, "reads, finds fields, sums, LIEF confirms")
    yield Measure("normalise --output-dir", write, total, None, f"the same, writes and syncs each file in {scratch}")


def memory_measures(images: Images) -> Iterator[Measure]:
    """The parts, on files that are in memory."""
    total = _megabytes(images.files)
    read = [path.read_bytes() for path in images.files]
    sums = [(data, read_layout(data).checksum_offset) for data in read]
    yield Measure("normalise, files in memory", lambda: _normal(read), total, 300)
    yield Measure("checksum alone", lambda: [checksum(data, offset) for data, offset in sums], total)


def pefile_measures(images: Images) -> tuple[Measure, Measure]:
    """Ours and pefile's way to do the least of it, a stamp and the checksum, on the same files, which are in memory."""
    share = _share(images.files)
    read = [path.read_bytes() for path in share]
    total = _megabytes(share)

    def theirs() -> None:
        for data in read:
            image = pefile.PE(data=data, fast_load=True)
            image.FILE_HEADER.TimeDateStamp = OPTIONS.epoch
            image.OPTIONAL_HEADER.CheckSum = image.generate_checksum()
            image.write()

    remark = f"{len(share)} of the files, evenly by size, {total:.1f} MB"
    return (
        Measure("normalise, some files in memory", lambda: _normal(read), total, None, remark),
        Measure("pefile: generate_checksum, write", theirs, total, None, "the same files"),
    )


def deps_measures(images: Images, bundles: Sequence[Path]) -> Iterator[Measure]:
    """`packager deps`, with Python's start, on the files, and on each bundle in dist/, Python code and all."""
    total = _megabytes(images.files)
    yield Measure("packager deps", partial(_list_dlls, [images.folder]), total, 90, "the goal is 1.8 GB in 20 s")
    for bundle in bundles:
        files = [node.absolute for node in trees.files(bundle) if is_pe(node.absolute)]
        remark = f"{len(files)} PE files; the goal is 1 s for 60"
        yield Measure(
            f"packager deps {bundle.name}"[:33], partial(_list_dlls, [bundle]), _megabytes(files), None, remark
        )


def other_deps_measures(scratch: Path) -> Iterator[tuple[Measure, Measure]]:
    """Ours and another's way to list the DLLs of the same files, each with the start of its process."""
    wheels = _wheels_to_compare()
    if not wheels:
        return
    folders = [_unpacked(wheel, scratch / "wheels") for wheel in wheels]
    images = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file() and is_pe(path)]
    total = _megabytes(images)

    def ours() -> None:
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            _list_dlls([_unpacked(wheel, Path(folder)) for wheel in wheels])

    line = [sys.executable, "-m", "delvewheel", "show", "--analyze-existing", "--analyze-existing-exes"]
    theirs = partial(subprocess.run, [*line, *map(str, wheels)], check=True, capture_output=True)
    remark = f"{len(wheels)} wheels with {len(images)} PE files; unpacking them is most of it"
    yield Measure("packager deps, wheels", ours, total, None, remark), Measure("delvewheel show", theirs, total)
    if _objdump_reads_pe():
        objdump = partial(subprocess.run, ["objdump", "-p", *map(str, images)], check=True, capture_output=True)
        work = partial(_list_dlls, folders)
        remark = "those wheels, unpacked; objdump looks nothing up"
        yield Measure("packager deps, folders", work, total, None, remark), Measure("objdump -p", objdump, total)


def _wheels_to_compare() -> Sequence[Path]:
    """Some of the corpus' wheels for x64, evenly by size; delvewheel makes no list for those that it has repaired."""
    found = []
    for wheel in sorted(
        (corpus.default_folder() / "wheels").glob("*win_amd64.whl"), key=lambda path: path.stat().st_size
    ):
        with zipfile.ZipFile(wheel) as archive:
            if not any(name.endswith("/DELVEWHEEL") for name in archive.namelist()):
                found.append(wheel)
    return found[:: max(1, len(found) // WHEELS)][:WHEELS]


def _objdump_reads_pe() -> bool:
    if shutil.which("objdump") is None:
        return False
    done = subprocess.run(["objdump", "--info"], capture_output=True, text=True, check=True)
    return "pei-x86-64" in done.stdout


def _unpacked(wheel: Path, where: Path) -> Path:
    folder = where / wheel.name
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def _list_dlls(folders: Sequence[Path]) -> None:
    line = [sys.executable, "-m", "packager", "deps", "--format", "list", *map(str, folders)]
    done = subprocess.run(line, cwd=ROOT, check=False, capture_output=True, text=True)
    # Wheels lack the interpreter's DLL.
    assert done.returncode in (0, 1), done.stderr


def build_measures(bundles: Sequence[Path]) -> Iterator[Measure]:
    """`packager build` when nothing has changed."""
    if bundles:
        spec = min(bundles, key=lambda path: len(path.name)).name.partition("-")[0]
        line = [sys.executable, "-m", "packager", "--quiet", "build", spec]
        work = lambda: subprocess.run(line, cwd=ROOT, check=True, capture_output=True)  # noqa: E731
        yield Measure(f"packager build {spec}", work, None, None, "nothing changed")


def peak_memory(path: Path) -> tuple[int, int]:
    """What a process of its own needs at most to normalise ``path``, and what it has before, in bytes."""
    line = [sys.executable, "-m", "tests.bench", "--memory", str(path)]
    done = subprocess.run(line, cwd=ROOT, check=True, capture_output=True, text=True)
    before, after = done.stdout.split()
    return int(after), int(before)


def _peak() -> int:
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


def _print_peak(path: Path) -> None:
    """What :func:`peak_memory` runs: a small file first, so that all modules are there."""
    with tempfile.TemporaryDirectory() as scratch:
        small = min(path.parent.iterdir(), key=lambda one: (not is_pe(one), one.stat().st_size))
        normalise_file(small, OPTIONS, Path(scratch, "small"))
        before = _peak()
        normalise_file(path, OPTIONS, Path(scratch, "large"))
        print(before, _peak())


def _normal(images: Sequence[bytes]) -> None:
    for data in images:
        with suppress(PEError):
            normalise(data, OPTIONS.epoch, signed=OPTIONS.signed)


def _share(files: Sequence[Path]) -> list[Path]:
    """Every n-th file by size, so that they are like the others, for about as many bytes as pefile is given."""
    step = max(1, round(1e6 * _megabytes(files) / PEFILE_SHARE))
    return sorted(files, key=lambda path: path.stat().st_size)[step // 2 :: step]


def _megabytes(files: Sequence[Path]) -> float:
    return sum(path.stat().st_size for path in files) / 1e6


def print_table(timings: Mapping[Measure, Timing]) -> None:
    """A line for each measurement."""
    print(f"{'':34}{'seconds':^16}{'MB/s':^16}")
    print(f"{'':34}{'wall':>8}{'CPU':>8}{'wall':>8}{'CPU':>8}{'goal':>6}")
    for measure, timing in timings.items():
        rates = [] if measure.megabytes is None else [measure.megabytes / timing.wall, measure.megabytes / timing.cpu]
        numbers = "".join(f"{rate:8.0f}" for rate in rates).ljust(16)
        goal = "" if measure.goal is None else str(measure.goal)
        print(f"{measure.name:34}{timing.wall:8.2f}{timing.cpu:8.2f}{numbers}{goal:>6}  {measure.remark}".rstrip())


def main() -> None:
    """Print the table."""
    bundles = [path.parent for path in sorted((ROOT / "dist").glob("*/bundle.json"))]
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch, tempfile.TemporaryDirectory() as copies:
        images = find_images(bundles, Path(copies))
        print(f"{len(images.files)} PE files, {_megabytes(images.files):.1f} MB, {images.what}; ", end="")
        print(f"medians of {RUNS} runs in turns, one process\n", flush=True)
        ours, theirs = pefile_measures(images)
        others = list(other_deps_measures(Path(scratch)))
        measures = [
            *tree_measures(images, Path(scratch)),
            *memory_measures(images),
            ours,
            theirs,
            *deps_measures(images, bundles),
            *(measure for pair in others for measure in pair),
            *build_measures(bundles),
        ]
        timings = dict(zip(measures, time_in_turns(measures), strict=True))
        print_table(timings)
        print(f"\nours is {timings[theirs].wall / timings[ours].wall:.0f} times as fast as pefile (goal: 30), ", end="")
        print(f"by processor time {timings[theirs].cpu / timings[ours].cpu:.0f} times")
        for one, other in others:
            print(f"{one.name}: {timings[other].wall / timings[one].wall:.1f} times as fast as {other.name}, ", end="")
            print(f"by processor time {timings[other].cpu / timings[one].cpu:.1f} times")
        refused = [report.path for report in normalise_paths([images.folder], OPTIONS, check=True) if report.error]
        if refused:
            print(f"{len(refused)} files were refused, so these figures are not fair: {', '.join(refused)}")
        largest = max(images.files, key=lambda path: path.stat().st_size)
        peak, before = peak_memory(largest)
        size = largest.stat().st_size
        print(f"{largest.name}, {size / 1e6:.1f} MB: memory at most {peak / 1e6:.0f} MB, of it ", end="")
        print(f"Python and modules {before / 1e6:.0f} MB, the rest {(peak - before) / size:.1f} times the file")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--memory"]:
        _print_peak(Path(sys.argv[2]))
    else:
        main()
