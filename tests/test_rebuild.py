"""Rebuilds: what is compared with what, what is varied and whether it took, and that nothing of it is in any key."""

from __future__ import annotations

import dataclasses
import json
import os
import runpy
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from packager import manifest, perturb, pipeline, process, rebuild, rebuilder
from packager.component import TOOLS_FOLDER
from packager.errors import BuildError, MachineError, SourceError, SpecError
from packager.perturb import Observation, Surroundings, Variation
from packager.progress import Clock
from packager.sandbox import SRC, Perturbation, Sandbox
from packager.specs.load import Project
from packager.store import Store
from tests.support import Recorder, write

ROOT = Path(__file__).parents[1]
PROJECT = Project(ROOT)
OPTIONS = pipeline.Options(target="windows-x86_64", jobs=2, offline=False)


# What is varied.


def variation(**changes: object) -> Variation:
    return msgspec.structs.replace(perturb.choose(2), **changes)


def test_what_is_chosen_is_not_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "USER": "weaver",
        "TZ": "Pacific/Kiritimati",
        "LC_ALL": "tr_TR.UTF-8",
        "PYTHONHASHSEED": "31337",
    }.items():
        monkeypatch.setenv(name, value)
    chosen = perturb.choose(3)
    assert (chosen.user, chosen.zone, chosen.language, chosen.seed) == ("fuller", "America/Adak", "fr_CA.UTF-8", 42)
    assert chosen.jobs == 4
    assert chosen.host != os.uname().nodename
    assert set(chosen.cpus) < os.sched_getaffinity(0) or len(chosen.cpus) == 1
    assert chosen.days > 366


def test_a_perturbation_is_in_no_key() -> None:
    other = Perturbation(hostname="loom", user=(1, 2), env={"A": "b"}, tmpfs=("/sys",), wrapper=("w",))
    plain = pipeline.make_plan(PROJECT, "electrum", OPTIONS)
    varied = pipeline.make_plan(PROJECT, "electrum", dataclasses.replace(OPTIONS, perturbation=other, jobs=9))
    for name in ("application_key", "stubs_key", "staged_key", "normalised_key", "emitted_key"):
        assert getattr(varied, name).document == getattr(plain, name).document
    assert varied.component_keys == plain.component_keys
    assert varied.environment.perturbation == other
    assert plain.environment.perturbation == Perturbation()


def test_a_normal_build_does_not_heed_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in perturb.outside(variation(), Path("/home/x")).items():
        monkeypatch.setenv(name, value)
    plan = pipeline.make_plan(PROJECT, "electrum", OPTIONS)
    assert plan.options.perturbation == Perturbation()


def test_what_the_sandbox_is_told(tmp_path: Path) -> None:
    library = write(tmp_path / "libfaketime.so.1", b"")
    told = perturb.inside(variation(clock=str(library), shown_cpus=3, uid=7, gid=8), tmp_path)
    assert told.user == (7, 8)
    assert told.env["FAKETIME"] == "+400d"
    assert told.env["LD_PRELOAD"] == "/build/perturbed/libfaketime.so.1"
    assert told.binds[told.env["LD_PRELOAD"]] == library
    assert told.binds["/proc/cpuinfo"].read_text().count("processor") == 3
    assert told.binds["/sys/devices/system/cpu/online"].read_text() == "0-2\n"
    assert ":7:8:" in told.binds["/etc/passwd"].read_text()
    assert (told.moved, told.wrapper) == ({}, ())


def test_without_libfaketime_the_clock_is_left_alone(tmp_path: Path) -> None:
    assert set(perturb.inside(variation(clock=None), tmp_path).env) == {"PYTHONHASHSEED"}


def test_a_shuffled_copy_takes_the_source_s_place(tmp_path: Path) -> None:
    told = perturb.inside(variation(shuffle=True), tmp_path)
    line = " ".join(Sandbox(Path("/r"), writable={SRC: Path("/w")}, perturbation=told).argv(["make"]))
    assert f"--tmpfs {SRC} " in line
    assert "--bind /w /build/given" in line
    assert line.endswith(f"python3 /build/perturbed/shuffle.py /build/given {SRC} make")
    assert told.binds["/build/perturbed/shuffle.py"].is_file()


def shuffler(*arguments: str | Path) -> int:
    return subprocess.run([sys.executable, TOOLS_FOLDER / "shuffle.py", *arguments], check=False).returncode


def test_the_shuffler_copies_runs_and_gives_back(tmp_path: Path) -> None:
    given, here = tmp_path / "given", tmp_path / "here"
    script = write(
        given / "sub/run.sh", "#!/bin/sh\ncat data > made && echo more >> data && mkdir new && : > new/file\n"
    )
    script.chmod(0o755)
    os.utime(script, (1, 1))
    write(given / "data", "old\n")
    (given / "link").symlink_to("data")
    here.mkdir()
    assert shuffler(given, here, "sub/run.sh") == 0
    assert (here / "sub/run.sh").stat().st_mtime == 1
    assert (given / "data").read_text() == "old\nmore\n"
    assert (given / "made").read_text() == "old\n"
    assert (given / "new/file").is_file()
    assert (given / "link").is_symlink()


def test_the_shuffler_ends_as_its_command_does_and_gives_nothing_back_then(tmp_path: Path) -> None:
    write(tmp_path / "given/a", "")
    (tmp_path / "here").mkdir()
    assert shuffler(tmp_path / "given", tmp_path / "here", "sh", "-c", ": > b; exit 7") == 7
    assert not (tmp_path / "given/b").exists()


def test_the_shuffler_shuffles(tmp_path: Path) -> None:
    copy = runpy.run_path(str(TOOLS_FOLDER / "shuffle.py"))["copy"]
    seen: list[list[str]] = []

    def arrange(names: list[str]) -> None:
        seen.append(list(names))
        names.reverse()

    for name in "bca":
        write(tmp_path / "given" / name, name)
    (tmp_path / "here").mkdir()
    copy(str(tmp_path / "given"), str(tmp_path / "here"), arrange)
    assert seen == [["a", "b", "c"]]
    made = sorted((tmp_path / "here").iterdir(), key=lambda path: path.stat().st_ctime_ns)
    assert [path.name for path in made] in (["c", "b", "a"], ["a", "b", "c"])  # the clock's ticks may be too coarse


# What took effect.


def observation(**changes: object) -> Observation:
    seen = Observation(
        clock=1_700_000_000, zone="+0000", host="here", user="me", ids="1:1", umask="0022", hash=1, cpus=2, usable=2,
        order=("a", "b"), folder="/", variables={"HOME": "/home/me"},
    )  # fmt: skip
    return msgspec.structs.replace(seen, **changes)


OTHER = observation(
    clock=1_740_000_000, zone="+1400", host="loom", user="weaver", ids="7:8", umask="0077", hash=2, cpus=7, usable=1,
    order=("b", "a"), variables={"HOME": "/x", "TZ": "P/K", "LC_ALL": "tr", "CC": "/bin/false"},
)  # fmt: skip


def surroundings(outside: Observation, inside: Observation, **changes: object) -> Surroundings:
    return dataclasses.replace(Surroundings("/clone", "/store", 2, outside, inside), **changes)  # type: ignore[arg-type]


def test_everything_that_differs_was_applied() -> None:
    first = surroundings(observation(), observation())
    second = surroundings(OTHER, OTHER, clone="/c", store="/s", jobs=3)
    rows = perturb.compare(first, second, {})
    assert all(row.applied and not row.reason for row in rows)
    named = {row.name for row in rows}
    # The contract's list.
    for name in (
        "clone path", "build folder", "user name", "host name", "umask", "TZ", "LANG", "HOME", "jobs", "readdir order",
        "clock", "PYTHONHASHSEED", "CPU count",
    ):  # fmt: skip
        assert name in named
    clock = next(row for row in rows if row.name == "clock")
    assert (clock.first, clock.second) == ("2023-11-14", "2025-02-19")


def test_nothing_that_is_the_same_was_applied() -> None:
    first = surroundings(observation(), observation())
    rows = perturb.compare(first, first, {"clock": "no libfaketime", "readdir order in the sandbox": "no FUSE"})
    assert not any(row.applied for row in rows)
    reasons = {row.name: row.reason for row in rows}
    assert reasons["clock"] == reasons["clock in the sandbox"] == "no libfaketime"
    assert reasons["readdir order in the sandbox"] == "no FUSE"
    assert reasons["readdir order"] == reasons["umask"] == "tried, without effect"


def test_minutes_between_the_builds_are_not_another_clock() -> None:
    later = observation(clock=1_700_086_400)
    rows = perturb.compare(surroundings(observation(), later), surroundings(later, observation()), {})
    assert not any(row.applied for row in rows if row.name.startswith("clock"))


def test_an_observation_of_this_process(tmp_path: Path) -> None:
    perturb.make_names(tmp_path / "names")
    seen = perturb.observe_outside(tmp_path / "names")
    assert sorted(seen.order) == [f"{number:02}" for number in range(40)]
    assert seen.host == os.uname().nodename
    assert seen.usable == len(os.sched_getaffinity(0))
    before = os.umask(0o027)
    try:
        assert perturb.observe_outside(tmp_path / "names").umask == "0027"
    finally:
        os.umask(before)


# What is compared.


class House:
    """Stands in for the pipeline: `sums` of each build in turn, and what the store has already."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, store: Path, *sums: str, lock: str, earlier: str | None
    ) -> None:
        self.left = list(sums)
        self.stores: list[Path] = []
        self.plan = pipeline.make_plan(PROJECT, "electrum", OPTIONS)
        self.name = f"{self.plan.title}.manifest.json"
        self.store = Store.open(store, Recorder())
        if earlier is not None:
            self.store.make(self.plan.emitted_key, lambda folder: self._write(folder / "tree", earlier))
        monkeypatch.setattr(pipeline, "build_bundle", self._build)
        monkeypatch.setattr(pipeline, "compare_lock", lambda _plan, sums: self._compare(sums, lock))

    def _write(self, folder: Path, text: str) -> None:
        write(folder / self.name, text)
        write(folder / manifest.SUMS, manifest.format_sums({self.name: text * 64}))

    def _build(self, plan: pipeline.Plan, store: Store, clock: Clock, out: Path) -> pipeline.Built:
        assert not any((store.root / "results").iterdir())
        self.stores.append(store.root)
        text = self.left.pop(0)
        self._write(out, text)
        return pipeline.Built(plan, out, {self.name: text * 64}, {}, "", ())

    def _compare(self, sums: Mapping[str, str], lock: str) -> str:
        return "unrecorded" if not lock else "match" if sums[self.name] == lock * 64 else "mismatch"

    def rebuild(self, **options: bool | Path) -> rebuild.Rebuilt:
        return rebuild.rebuild(PROJECT, "electrum", OPTIONS, self.store, Clock(Recorder()), **options)  # type: ignore[arg-type]

    def work_left(self) -> list[Path]:
        return list((self.store.root / "tmp").iterdir())


def test_one_build_that_gives_the_lock_s_sums_is_enough(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    house = House(monkeypatch, tmp_path / "s", "a", lock="a", earlier=None)
    found = house.rebuild()
    assert (found.same, found.lock, found.first, found.differences) == (True, "match", None, ())
    assert house.work_left() == []


def test_a_build_in_the_store_is_the_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    house = House(monkeypatch, tmp_path / "s", "b", lock="a", earlier="a")
    found = house.rebuild()
    assert (found.same, found.lock, found.first) == (False, "mismatch", "from the store, made earlier")
    assert found.differences[-1].what == "sha256"
    assert (found.differences[-1].a, found.differences[-1].b) == ("a" * 64, "b" * 64)
    assert len(found.differences) > 1  # the file itself is explained, before


def test_what_cannot_be_explained_is_still_a_difference(tmp_path: Path) -> None:
    made = [
        rebuild.Made(name, write(tmp_path / name / "x.zip", b"PK\3\4" + name.encode()).parent, {"x.zip": name})
        for name in ("a", "b")
    ]
    first, second = rebuild.explain(made[0], made[1], ["x.zip"])
    assert first.what == "cannot be explained"
    assert (second.what, second.a, second.b) == ("sha256", "a", "b")


def test_a_mismatch_without_a_build_to_compare_with_is_built_once_more(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    house = House(monkeypatch, tmp_path / "s", "b", "b", lock="a", earlier=None)
    found = house.rebuild()
    assert (found.same, found.lock, found.first, found.differences) == (
        False,
        "mismatch",
        "built from an empty store",
        (),
    )
    assert len(set(house.stores)) == 2


def test_without_recorded_sums_two_builds_are_compared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert House(monkeypatch, tmp_path / "s", "b", "b", lock="", earlier=None).rebuild().same
    assert not House(monkeypatch, tmp_path / "t", "b", "c", lock="", earlier=None).rebuild().same


def test_a_place_of_one_s_own_is_removed_or_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    house = House(monkeypatch, tmp_path / "s", "a", "a", lock="a", earlier=None)
    house.rebuild(work=tmp_path / "w")
    assert not (tmp_path / "w").exists()
    found = house.rebuild(work=tmp_path / "w", keep=True)
    assert found.kept is not None
    assert (found.kept / house.name).read_text() == "a"


def test_a_place_that_is_not_empty_is_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mine = write(tmp_path / "w/mine", "precious")
    house = House(monkeypatch, tmp_path / "s", "a", lock="a", earlier=None)
    with pytest.raises(SpecError, match="expected an empty folder, or none"):
        house.rebuild(work=tmp_path / "w")
    assert mine.read_text() == "precious"


def test_what_was_made_is_removed_when_the_build_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    house = House(monkeypatch, tmp_path / "s", lock="a", earlier=None)

    def fail(*_arguments: object) -> pipeline.Built:
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "build_bundle", fail)
    with pytest.raises(KeyboardInterrupt):
        house.rebuild()
    assert house.work_left() == []


def test_a_failed_step_s_log_can_be_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    house = House(monkeypatch, tmp_path / "s", lock="a", earlier=None)

    def fail(*_arguments: object) -> pipeline.Built:
        raise BuildError("building zlib failed", details=["log: somewhere"])

    monkeypatch.setattr(pipeline, "build_bundle", fail)
    with pytest.raises(BuildError, match="building zlib failed") as caught:
        house.rebuild()
    assert "--work FOLDER --keep" in str(caught.value)


def test_options_that_do_not_go_together(tmp_path: Path) -> None:
    store, clock = Store.open(tmp_path, Recorder()), Clock(Recorder())
    with pytest.raises(SpecError, match="needs the network"):
        rebuild.rebuild(PROJECT, "electrum", dataclasses.replace(OPTIONS, offline=True), store, clock)
    with pytest.raises(SpecError, match="needs a place"):
        rebuild.rebuild(PROJECT, "electrum", OPTIONS, store, clock, keep=True)


def test_nothing_but_sources_is_taken_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    house = House(monkeypatch, tmp_path / "s", "a", "a", lock="a", earlier="a")
    sha256 = house.plan.bundle.source.sha256
    assert sha256 is not None
    write(house.store.root / f"sources/{sha256}/{house.plan.bundle.source.file}", "source")
    write(house.store.root / "sources/unwanted/file", "?")
    house.rebuild(work=tmp_path / "w", keep=True)
    taken = [path for path in (tmp_path / "w/second/store").rglob("*") if path.is_file() and "locks" not in path.parts]
    assert [path.name for path in taken] == [house.plan.bundle.source.file]
    house.rebuild(work=tmp_path / "v", keep=True, fresh_sources=True)
    assert list((tmp_path / "v/second/store/sources").iterdir()) == []


# The second build's process.


def test_a_copy_of_the_project_is_the_project(tmp_path: Path) -> None:
    plan = pipeline.make_plan(PROJECT, "electrum", OPTIONS)
    assert rebuild.copy_project(plan, "electrum", tmp_path / "clone") == "electrum"
    copied = pipeline.make_plan(Project(tmp_path / "clone"), "electrum", OPTIONS)
    assert copied.emitted_key == plan.emitted_key
    assert (tmp_path / "clone/packager/rebuilder.py").is_file()
    assert not list((tmp_path / "clone").rglob("__pycache__"))


def test_a_spec_by_its_path_is_found_in_the_copy(tmp_path: Path) -> None:
    spec = ROOT / "bundle_specs/electrum.toml"
    plan = pipeline.make_plan(PROJECT, str(spec), OPTIONS)
    assert rebuild.copy_project(plan, str(spec), tmp_path / "clone") == "bundle_specs/electrum.toml"
    outside = write(tmp_path / "mine/electrum.toml", spec.read_bytes())
    assert rebuild.copy_project(plan, str(outside), tmp_path / "other") == str(outside)


@pytest.fixture
def job(tmp_path: Path) -> rebuilder.Job:
    """A second build that needs no privileges, no FUSE and no libfaketime."""
    plan = pipeline.make_plan(PROJECT, "electrum", OPTIONS)
    base = tmp_path / "base"
    rebuild.copy_project(plan, "electrum", base / rebuilder.CLONE)
    Store.open(base / rebuilder.STORE, Recorder())
    perturb.make_names(base / rebuilder.NAMES)
    return rebuilder.Job(
        base=str(base),
        mount=str(tmp_path / "mount"),
        spec="electrum",
        target="windows-x86_64",
        epoch=None,
        key=plan.emitted_key.digest,
        started=0,
        variation=variation(clock=None),
        private=False,
    )


def start(job: rebuilder.Job, reporter: Recorder) -> None:
    base = Path(job.base)
    file = write(base / "job.json", msgspec.json.encode(job))
    rebuild.run_child((), file, base / rebuilder.CLONE, reporter)


def test_the_second_process_starts_in_other_surroundings(job: rebuilder.Job) -> None:
    """It gets as far as it can without a build root, and says so in the parent's words."""
    with pytest.raises(BuildError, match="in the perturbed build: the build root that was made for this build is gone"):
        start(job, Recorder())
    state = msgspec.json.decode((Path(job.base) / "state.json").read_bytes(), type=rebuilder.State)
    assert state.base == job.base
    assert state.reasons["host name"].startswith("no namespaces")
    assert state.reasons["clock"] == "libfaketime is not installed: apt-get install faketime"
    assert "readdir order" in state.reasons


def test_an_error_of_the_system_is_told_in_words(job: rebuilder.Job) -> None:
    store = Path(job.base) / rebuilder.STORE
    (store / "tmp").rmdir()
    write(store / "tmp", "not a folder")
    with pytest.raises(MachineError, match=r"in the perturbed build: .*: the store cannot be made there: File exists"):
        start(job, Recorder())
    with pytest.raises(MachineError, match=r"home: File exists"):
        start(job, Recorder())


def test_a_copy_that_is_something_else_is_noticed(job: rebuilder.Job) -> None:
    spec = Path(job.base) / rebuilder.CLONE / "bundle_specs/electrum.toml"
    spec.write_text(spec.read_text().replace("size_budget = ", "size_budget = 1"))
    with pytest.raises(BuildError, match="the copy of the project is not the project"):
        start(job, Recorder())


def test_what_the_second_process_says_reaches_the_reporter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said = [
        ["stage", "component", "zlib"],
        ["output", "gcc"],
        ["done", "component", "zlib", 1.5, False],
        ["note", "something"],
    ]

    def stream(*_arguments: object, on_line: object, **_options: object) -> None:
        assert callable(on_line)
        for call in said:
            on_line(json.dumps(call))
        on_line("ERROR: ld.so: something")

    monkeypatch.setattr(process, "stream", stream)
    recorder = Recorder()
    rebuild.run_child((), tmp_path / "job.json", tmp_path, recorder)
    assert recorder.stages == [("component", "zlib", False)]
    assert recorder.notes == ["something"]
    assert recorder.lines == ["gcc", "ERROR: ld.so: something"]


@pytest.mark.parametrize(("code", "kind"), [(3, SourceError), (4, BuildError), (5, MachineError), (77, BuildError)])
def test_an_error_of_the_second_process_keeps_its_kind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: int, kind: type[Exception]
) -> None:
    def stream(*_arguments: object, on_line: object, **_options: object) -> None:
        assert callable(on_line)
        on_line(json.dumps(["error", code, "the disk is full", ["detail"], "free some space"]))
        raise BuildError("the perturbed build failed (exit code 5)")

    monkeypatch.setattr(process, "stream", stream)
    with pytest.raises(kind, match="in the perturbed build: the disk is full") as caught:
        rebuild.run_child((), tmp_path / "job.json", tmp_path, Recorder())
    assert type(caught.value) is kind
    assert "free some space" in str(caught.value)


def test_a_second_process_that_is_killed_is_an_error_with_what_it_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def stream(*_arguments: object, on_line: object, **_options: object) -> None:
        assert callable(on_line)
        on_line("Segmentation fault")
        raise BuildError("the perturbed build failed (killed by SIGSEGV)")

    monkeypatch.setattr(process, "stream", stream)
    with pytest.raises(BuildError, match="killed by SIGSEGV") as caught:
        rebuild.run_child((), tmp_path / "job.json", tmp_path, Recorder())
    assert caught.value.details == ("Segmentation fault",)


def test_the_second_build_s_program_is_not_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert rebuilder.main([]) == 2
    assert "packager verify SPEC --rebuild --perturb" in capsys.readouterr().err
