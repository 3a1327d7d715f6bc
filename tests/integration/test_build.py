"""Builds: what is remade and what is not, the same bytes twice, and what stands in a build's way."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from packager import library
from packager.store import Store, mounts_below
from tests.integration.conftest import ROOT, BuiltBundle, copy_project, packager
from tests.support import Recorder


def stages(document: bytes) -> dict[str, bool]:
    """Stage (with detail for components) to whether it was cached."""
    built = json.loads(document)["built"][0]
    return {
        f"{s['stage']} {s['detail']}" if s["stage"] == "component" else s["stage"]: s["cached"] for s in built["stages"]
    }


def test_a_second_build_does_nothing(electrum: BuiltBundle) -> None:
    done = packager("--json", "build", "electrum", "--out", electrum.out)
    assert done.returncode == 0, done.stderr
    assert all(stages(done.stdout).values())


def anew(project: Path, out: Path) -> set[str]:
    """What a build of a changed project made anew."""
    done = packager("--json", "build", "electrum", "--offline", "--out", out, cwd=project)
    assert done.returncode == 0, done.stderr.decode()
    return {stage for stage, cached in stages(done.stdout).items() if not cached} - {"fetch"}


def prune_rule(module: str) -> str:
    """A rule for a module's .pyc that no store has seen: the digits in the set of characters match nothing."""
    return f'\n[[prune]]\npath = "python/Lib/{module}.py[c{time.time_ns()}]"\nreason = "not needed"\n'


def test_a_launcher_line_rebuilds_only_what_depends_on_it(electrum: BuiltBundle, tmp_path: Path) -> None:
    project = copy_project(tmp_path / "project")
    stub = project / "launcher/stub.c"
    stub.write_text(stub.read_text() + f"/* {time.time_ns()} */\n")
    assert anew(project, tmp_path / "out") == {"launcher", "assemble", "stage", "normalise", "audit", "emit", "publish"}


def test_a_prune_rule_rebuilds_only_what_depends_on_it(electrum: BuiltBundle, tmp_path: Path) -> None:
    project = copy_project(tmp_path / "project")
    spec = project / "bundle_specs/electrum.toml"
    spec.write_text(spec.read_text() + prune_rule("sched"))
    assert anew(project, tmp_path / "out") == {"assemble", "stage", "normalise", "audit", "emit", "publish"}
    gone = library.unpacked(electrum.folder).keys() - library.unpacked(tmp_path / "out" / electrum.folder.name).keys()
    assert gone == {"python/python313.zip/sched.pyc"}


def sums_of(built: BuiltBundle) -> bytes:
    lines = (built.out / "SHA256SUMS").read_text().splitlines(keepends=True)
    return "".join(line for line in lines if built.folder.name in line).encode()


def refused(project: Path, code: int, *words: str) -> str:
    """Run a build that must fail: its exit code, one clear message, nothing half-made."""
    done = packager("build", "electrum", "--out", project / "out", cwd=project)
    said = done.stderr.decode()
    assert done.returncode == code, said
    assert "Traceback" not in said
    assert said.count("error:") == 1, said
    for word in words:
        assert word in said, said
    assert not (project / "out").exists() or not list((project / "out").iterdir())
    return said


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.fixture
def project(tmp_path: Path, electrum: BuiltBundle) -> Path:
    """A project to break; the store is warm."""
    return copy_project(tmp_path / "project")


def test_a_wrong_hash(project: Path) -> None:
    spec = project / "bundle_specs/components/bzip2.toml"
    right = "ab5a03176ee106d3f0fa90e381da478ddae405918153cca248e682cd0c4a2269"
    edit(spec, right, "0" * 64)
    refused(project, 3, "bzip2", "0" * 64)


def test_a_missing_signature(project: Path) -> None:
    spec = project / "bundle_specs/components/xz.toml"
    text = spec.read_text()
    head, mark, tail = text.partition("[source.signature]")
    tail = tail.replace('sha256 = "', 'sha256 = "00000000', 1)
    index = tail.index('sha256 = "') + len('sha256 = "')
    spec.write_text(head + mark + tail[: index + 64] + tail[index + 72 :])
    refused(project, 3, "missing signature")


def test_another_key_than_the_pinned_one(project: Path) -> None:
    spec = project / "bundle_specs/components/xz.toml"
    edit(spec, 'fingerprints = ["', f'fingerprints = ["{"A" * 40}"] #')
    refused(project, 3, "xz", "A" * 40)


def test_an_unknown_key(project: Path) -> None:
    edit(project / "bundle_specs/electrum.toml", "[source]", "colour = 'red'\n[source]")
    refused(project, 2, "electrum.toml: colour: expected only known keys, found an unknown key")


def test_a_wrong_type(project: Path) -> None:
    edit(project / "bundle_specs/electrum.toml", "epoch = 1735689600", "epoch = 'today'")
    refused(project, 2, "electrum.toml: epoch: expected int, found 'today' (str)")


def test_a_missing_patch(project: Path) -> None:
    (project / "patches/cpython/0007-ipproto-macros.patch").unlink()
    refused(project, 2, "0007-ipproto-macros.patch: no such file")


def test_a_patch_that_does_not_apply(project: Path) -> None:
    patch = project / "patches/cpython/0007-ipproto-macros.patch"
    patch.write_text(patch.read_text().replace("IPPROTO", "NOPROTO"))
    refused(project, 4, "applying 0007-ipproto-macros.patch failed")


def test_a_dependency_with_native_code(project: Path) -> None:
    lock = project / "bundle_specs/locks/pylock.electrum.toml"
    text = lock.read_text().replace("yarl-1.25.1-py3-none-any.whl", "yarl-1.25.1-cp313-cp313-win_amd64.whl")
    assert text != lock.read_text()
    lock.write_text(text)
    refused(project, 2, "expected a py3-none-any wheel", "yarl")


def test_a_spec_that_is_not_there(project: Path) -> None:
    done = packager("build", "elektrum", cwd=project)
    assert done.returncode == 2
    assert b"elektrum: no such bundle spec" in done.stderr


def test_no_network(project: Path, tmp_path: Path) -> None:
    """An empty store and a namespace with nothing in it."""
    done = packager(
        "--store", tmp_path / "store", "fetch", "electrum",
        cwd=project, prefix=["unshare", "--user", "--map-root-user", "--net"],
    )  # fmt: skip
    assert done.returncode == 3, done.stderr.decode()
    assert b"Traceback" not in done.stderr
    assert not [path for path in (tmp_path / "store/sources").rglob("*") if path.is_file()]


def test_offline_with_an_empty_store(project: Path, tmp_path: Path) -> None:
    done = packager("--store", tmp_path / "store", "build", "electrum", "--offline", cwd=project)
    assert done.returncode == 3
    assert b"--offline" in done.stderr


def test_a_full_disk(project: Path, tmp_path: Path, store: Path) -> None:
    """A store on a disk of 4 MB, which the first sources fill."""
    (tmp_path / "small").mkdir()
    script = 'mount -t tmpfs -o size=4m tmpfs "$1" && shift && "$@"'
    done = packager(
        "--store", tmp_path / "small/store", "build", "electrum", cwd=project,
        prefix=["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", str(tmp_path / "small")],
    )  # fmt: skip
    assert done.returncode == 5, done.stderr.decode()
    assert b"the disk is full" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Builds in the background; none outlives its test."""
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def start(
    started: list[subprocess.Popen[bytes]],
    project: Path,
    *switches: str,
    command: str = "build",
    store: Path | None = None,
) -> subprocess.Popen[bytes]:
    options = ["--out", str(project / "out")] if command == "build" else []
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    if store is not None:
        environment["PACKAGER_STORE"] = str(store)
    process = subprocess.Popen(
        [sys.executable, "-m", "packager", *switches, command, "electrum", *options],
        cwd=project,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # As in the background of a shell script: the packager is to mind SIGINT all the same.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    started.append(process)
    return process


def hold(project: Path) -> str:
    """Make the build stop and wait in the middle of a component; returns the word that it says then."""
    word = f"holding {project}"
    spec = project / "bundle_specs/components/bzip2.toml"
    edit(spec, 'script = """', f'script = """\necho "{word}"; sleep 600')
    return word


def wait_until_held(store: Path, process: subprocess.Popen[bytes], word: str) -> None:
    log = store / "logs/bzip2.log"
    end = time.time() + 120
    while not (log.exists() and word in log.read_text()):
        assert process.poll() is None, process.stdout.read() if process.stdout else b""
        assert time.time() < end
        time.sleep(0.1)


def work_folders(store: Path) -> list[Path]:
    return [path for path in (store / "tmp").iterdir() if path.is_dir()]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_cleans_up(
    project: Path, store: Path, started: list[subprocess.Popen[bytes]], number: int, code: int
) -> None:
    word = hold(project)
    process = start(started, project)
    wait_until_held(store, process, word)
    process.send_signal(number)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == code, said
    assert b"Traceback" not in said
    assert not work_folders(store)
    assert not (project / "out").exists()


def test_a_kill_leaves_nothing_that_the_next_run_minds(
    project: Path, store: Path, electrum: BuiltBundle, started: list[subprocess.Popen[bytes]]
) -> None:
    word = hold(project)
    process = start(started, project)
    wait_until_held(store, process, word)
    process.kill()
    process.communicate()
    # bubblewrap's --die-with-parent takes the step along; the work folder is swept by the next run.
    again = packager("--json", "build", "electrum", "--out", project / "out")
    assert again.returncode == 0, again.stderr
    assert (project / "out/SHA256SUMS").read_bytes() == sums_of(electrum)
    assert not work_folders(store)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_root_that_was_being_made_leaves_no_mount_and_no_process(
    store: Path, tmp_path: Path, electrum: BuiltBundle, started: list[subprocess.Popen[bytes]], number: int
) -> None:
    """mmdebstrap mounts /proc and /sys where it works: none of that may outlive it, or be deleted through."""
    own = tmp_path / "store"
    for name in ("sources", "apt"):
        shutil.copytree(store / name, own / name)
    process = start(started, tmp_path, "--verbose", command="fetch", store=own)
    assert process.stdout is not None
    for line in process.stdout:
        if b"installing" in line.lower():
            break
    assert list((own / "tmp").glob("work-*/made/scratch/mmdebstrap.*")) or os.geteuid() != 0
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGINT else -signal.SIGKILL)
    assert mounts_below(own) == ()
    assert list((own / "results").iterdir()) == []
    again = packager("--store", own, "build", "elektrum")
    assert again.returncode == 2
    Store.open(own, Recorder())
    assert work_folders(own) == []


def test_damage_in_the_store_is_seen_and_mended(electrum: BuiltBundle, store: Path, tmp_path: Path) -> None:
    entries = sorted((store / "results").glob("emitted-electrum-*"), key=lambda path: path.stat().st_mtime)
    damaged = 0
    for entry in entries:
        archive = entry / f"tree/{electrum.folder.name}.tar.zst"
        if archive.is_file():
            with archive.open("r+b") as stream:
                stream.seek(1000)
                stream.write(b"damaged")
            damaged += 1
    assert damaged
    done = packager("build", "electrum", "--offline", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr.decode()
    assert b"damaged store entry" in done.stderr
    assert (tmp_path / "out/SHA256SUMS").read_bytes() == sums_of(electrum)


def test_two_builds_at_once_share_a_store(project: Path, started: list[subprocess.Popen[bytes]]) -> None:
    spec = project / "bundle_specs/electrum.toml"
    spec.write_text(spec.read_text() + prune_rule("antigravity"))
    shutil.copytree(project, project.parent / "second")
    both = [start(started, project), start(started, project.parent / "second")]
    outputs = [process.communicate(timeout=900)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    first, second = ((p / "out/SHA256SUMS").read_bytes() for p in (project, project.parent / "second"))
    assert first == second


def test_a_user_without_namespaces_is_told_what_helps(tmp_path: Path, store: Path, electrum: BuiltBundle) -> None:
    """Inside a user namespace that may have no further ones, as a user who is not root there."""
    script = 'echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-all --inh-caps=-all "$@"'
    probe = (
        "import os; os.geteuid = lambda: 1000\n"
        "from pathlib import Path; from packager import sandbox; from packager.errors import MachineError\n"
        f"root = next(Path({str(store)!r}, 'results').glob('root-trixie*')) / 'tree'\n"
        "try: sandbox.probe(root)\nexcept MachineError as exc: print(exc.exit_code, exc)\n"
    )
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "sh", "-c", script, "sh", sys.executable, "-c", probe],
        capture_output=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False,
    )  # fmt: skip
    said = done.stdout.decode()
    assert said.startswith("5 the sandbox cannot be entered"), said + done.stderr.decode()
    assert "sysctl -w user.max_user_namespaces=" in said
