"""Verification for real: a whole build in other surroundings, what is left when one is killed, damaged bundles."""

from __future__ import annotations

import dataclasses
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from packager import component, perturb, pipeline, rebuild
from packager.manifest import decode
from packager.progress import Clock
from packager.signed import compare_signed
from packager.specs.load import Project
from packager.store import Store, mounts_below
from packager.verify import verify_output
from tests.integration.conftest import ROOT, BuiltBundle
from tests.support import Recorder

OPTIONS = pipeline.Options(target="windows-x86_64", jobs=len(os.sched_getaffinity(0)), offline=False)
#: What has to take effect wherever a bundle can be built; the rest needs FUSE, libfaketime, a namespace or a second CPU.
ALWAYS = {
    "clone path", "build folder", "user name", "user name in the sandbox", "host name in the sandbox", "umask", "TZ",
    "LANG", "HOME", "variables", "jobs", "readdir order in the sandbox", "PYTHONHASHSEED",
    "PYTHONHASHSEED in the sandbox", "CPU count in the sandbox",
}  # fmt: skip


@pytest.mark.timeout(5400)  # one CPU, and every file through FUSE
def test_nothing_differs_in_other_surroundings(electrum: BuiltBundle, store: Path, tmp_path: Path) -> None:
    """Everything is compiled again; only downloads are taken over, as they are bound by their hashes."""
    recorder = Recorder()
    found = rebuild.rebuild(
        Project(ROOT), "electrum", OPTIONS, Store.open(store, recorder), Clock(recorder),
        perturb=True, work=tmp_path / "work", keep=True,
    )  # fmt: skip
    for row in found.perturbations:
        print(f"{row.name}: {row.first} -> {row.second} {row.reason}")
        assert row.applied or row.reason
    assert {row.name for row in found.perturbations if row.applied} >= ALWAYS
    assert found.differences == ()
    assert found.first == rebuild.EARLIER
    assert {name: file["sha256"] for name, file in electrum.document["files"].items()} == found.sums
    assert found.lock == electrum.document["lock"]
    made = {f"{timing.stage} {timing.detail}" for timing in found.timings if not timing.cached}
    assert made >= {"build root trixie-ucrt64", "component zlib 1.3.1", "component cpython 3.13.5"}
    assert found.kept is not None
    assert verify_output(found.kept / electrum.folder.name).problems == ()
    for path in sorted(found.kept.rglob("*")):
        assert path.stat().st_mode & 0o044 == 0o044, f"{path}: the umask shows"
    assert mounts_below(tmp_path) == ()


def test_a_component_is_the_same_from_a_shuffled_copy(electrum: BuiltBundle, store: Path, tmp_path: Path) -> None:
    """What is done where there is no FUSE, with everything else that the sandbox can show otherwise."""
    recorder = Recorder()
    mine = Store.open(store, recorder)
    (tmp_path / "told").mkdir()
    variation = msgspec.structs.replace(perturb.choose(OPTIONS.jobs), shuffle=True)
    shown = perturb.inside(variation, tmp_path / "told")
    options = dataclasses.replace(OPTIONS, perturbation=shown, offline=True, jobs=variation.jobs)
    plan = pipeline.make_plan(Project(ROOT), "electrum", options)
    root = mine.find(plan.root.key)
    assert root is not None
    perturb.make_names(tmp_path / "names")
    log = mine.log("observe")
    plain, other = (
        perturb.observe_inside(root.tree, tmp_path / "names", tmp_path / name, given, log, recorder)
        for name, given in (("plain", pipeline.Options("windows-x86_64", 1, True).perturbation), ("other", shown))
    )
    assert plain.order != other.order
    assert (plain.host, other.host) == ("build", variation.host)
    assert other.ids == f"{variation.uid}:{variation.gid}"
    assert other.user == variation.user
    assert (other.cpus, plain.hash == other.hash) == (variation.shown_cpus, False)
    if variation.clock is None:
        print("libfaketime is not installed: the clock was not perturbed")
    else:
        assert perturb.is_ahead(other.clock, plain.clock)
    sources = pipeline.fetch_sources(plan, mine, recorder)
    anew = Store.open(tmp_path / "store", recorder)
    for item in plan.components:
        if item.name in ("zlib", "libffi"):  # one without and one with a configure script
            key = plan.component_keys[item.name]
            made, cached = component.build_component(
                item, key, sources.components[item.name].path, plan.project, plan.environment, root.tree, {}, anew,
                recorder,
            )  # fmt: skip
            before = mine.find(key)
            assert before is not None
            assert not cached
            assert made.digest == before.digest


KILLED = """
import signal, sys
from pathlib import Path
from packager import pipeline, rebuild
from packager.progress import Clock
from packager.specs.load import Project
from packager.store import Store
from tests.support import Recorder

class Loud(Recorder):
    def stage(self, name, detail):
        print(name, detail, flush=True)

signal.signal(signal.SIGINT, signal.default_int_handler)
project, store = Path(sys.argv[1]), Store.open(Path(sys.argv[2]), Loud())
options = pipeline.Options("windows-x86_64", 2, False)
rebuild.rebuild(Project(project), "electrum", options, store, Clock(Loud()), perturb=True)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_perturbed_build_that_is_ended_leaves_nothing(
    electrum: BuiltBundle, store: Path, tmp_path: Path, number: int
) -> None:
    """Neither a mount nor a process; the work folder is gone, or swept by the next run."""
    own = tmp_path / "store"
    shutil.copytree(store / "sources", own / "sources")
    plan = pipeline.make_plan(Project(ROOT), "electrum", OPTIONS)
    emitted = Store.open(store, Recorder()).find(plan.emitted_key)
    assert emitted is not None
    shutil.copytree(emitted.path, own / "results" / emitted.path.name)
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, ROOT, own], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if line.startswith("component bzip2"):
            break
    assert process.poll() is None, "".join(said)
    process.send_signal(number)
    process.communicate(timeout=120)
    assert process.returncode != 0
    end = time.time() + 60
    while left := processes_with(str(own)):
        assert time.time() < end, left
        time.sleep(0.2)
    assert mounts_below(tmp_path) == ()
    if number == signal.SIGINT:
        assert [path for path in (own / "tmp").iterdir() if path.is_dir()] == []
    Store.open(own, Recorder())
    assert list((own / "tmp").iterdir()) == []


def processes_with(text: str) -> list[str]:
    """The command lines of all processes that have ``text`` in theirs, but zombies."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            except OSError:
                continue
            if text in line:
                found.append(line)
    return found


@pytest.fixture
def copies(electrum: BuiltBundle, tmp_path: Path) -> Path:
    """The output folder, to be damaged."""
    shutil.copytree(electrum.out, tmp_path / "dist", symlinks=True)
    return tmp_path / "dist"


@pytest.mark.parametrize("ending", ["", ".tar.zst", ".zip"])
def test_a_bundle_that_was_built_is_sound(electrum: BuiltBundle, ending: str) -> None:
    found = verify_output(electrum.out / f"{electrum.folder.name}{ending}")
    assert (found.problems, found.notes) == ((), ())
    described = decode((electrum.out / f"{electrum.folder.name}.manifest.json").read_bytes(), "manifest")
    assert found.files == len(described.files) > 500


@pytest.mark.parametrize("ending", ["", ".tar.zst", ".zip"])
def test_a_changed_byte_in_a_bundle_is_found(electrum: BuiltBundle, copies: Path, ending: str) -> None:
    path = copies / f"{electrum.folder.name}{ending}"
    beside = [copies / "SHA256SUMS", copies / f"{electrum.folder.name}.manifest.json"]
    inside = [file for file in sorted(path.rglob("*")) if file.is_file() and file.stat().st_size] or [path]
    chance = random.Random(0)
    for target in (*beside, *chance.choices(inside, k=12)):
        sound = target.read_bytes()
        at = chance.randrange(len(sound))
        target.write_bytes(sound[:at] + bytes([sound[at] ^ chance.randrange(1, 256)]) + sound[at + 1 :])
        assert verify_output(path).problems, f"{target} at {at}"
        target.write_bytes(sound)
    assert verify_output(path).problems == ()


def test_a_bundle_s_program_that_somebody_signed(electrum: BuiltBundle, tmp_path: Path) -> None:
    for program in ("osslsigncode", "openssl"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed: apt-get install {program}")
    ours, signed = electrum.folder / "electrum.exe", tmp_path / "electrum.exe"
    for command in (
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "9", "-subj", "/CN=Somebody",
         "-keyout", tmp_path / "key.pem", "-out", tmp_path / "certificate.pem"],
        ["osslsigncode", "sign", "-certs", tmp_path / "certificate.pem", "-key", tmp_path / "key.pem", "-h", "sha256",
         "-in", ours, "-out", signed],
    ):  # fmt: skip
        subprocess.run([str(word) for word in command], check=True, capture_output=True)
    found = compare_signed(signed, ours)
    assert found.same
    assert found.intact
    assert [signature.subject for signature in found.signatures] == ["CN=Somebody"]
    assert not compare_signed(signed, electrum.folder / "electrumw.exe").same
