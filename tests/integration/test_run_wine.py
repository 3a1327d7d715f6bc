"""`packager run` for real: streams, exit codes, files, Ctrl-C, and networks that are apart or shared."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration import programs
from tests.integration.conftest import ROOT, packager

BUILD = "$TRIPLET-gcc $CFLAGS -Wall -Wextra -Werror probe.c -o /build/out/probe.exe $LDFLAGS -lws2_32"


@pytest.fixture(scope="session")
def probe(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose program is data/probe.c."""
    folder = programs.compile_programs(
        store, [programs.DATA / "probe.c"], {}, BUILD, tmp_path_factory.mktemp("probe") / "work"
    )
    programs.describe(folder, probe=True)
    return folder


def command(probe: Path, *arguments: str | Path, switches: Sequence[str] = ()) -> list[str]:
    return [sys.executable, "-m", "packager", "run", *switches, str(probe), "--", *map(str, arguments)]


@contextmanager
def started(probe: Path, *arguments: str, switches: Sequence[str] = ()) -> Iterator[subprocess.Popen[bytes]]:
    """A run in the background that has said that it is ready, in a session (and so a process group) of its own."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command(probe, *arguments, switches=switches), stdout=subprocess.PIPE, env=env, start_new_session=True
    ) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == b"ready\n"
            yield child
        finally:
            child.kill()


def sandboxes_of(probe: Path) -> list[int]:
    """Processes on this machine whose command line names the bundle."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(probe).encode() in entry.read_bytes() and int(entry.parent.name) != os.getpid():
                found.append(int(entry.parent.name))
        except OSError:
            continue
    return found


def nothing_is_left(probe: Path) -> bool:
    deadline = time.monotonic() + 5
    while sandboxes_of(probe) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not sandboxes_of(probe)


def test_streams_and_exit_code_pass_through(probe: Path, tmp_path: Path) -> None:
    data = os.urandom(300_000) + bytes(range(256)) + b"\r\n\n\x1a"
    done = packager("run", probe, "--", "echo", stdin=data)
    assert (done.returncode, done.stdout, done.stderr) == (0, data, b"")
    done = packager("run", probe, "--", "exit", "42")
    assert (done.returncode, done.stdout, done.stderr) == (42, b"out", b"err")
    source, target = tmp_path / "in", tmp_path / "out"
    source.write_bytes(data)
    with source.open("rb") as reader, target.open("wb") as writer:
        subprocess.run(
            command(probe, "echo"), stdin=reader, stdout=writer, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True
        )
    assert target.read_bytes() == data


def test_a_terminal_passes_through(probe: Path) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(sys.executable, command(probe, "exit", "3"), {**os.environ, "PYTHONPATH": str(ROOT)})
    said = b""
    while True:
        try:
            said += os.read(terminal, 4096)
        except OSError:  # what a pty answers once its other side is closed
            break
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3
    assert re.sub(rb"\x1b\[[?0-9;]*[A-Za-z]", b"", said).strip() == b"outerr"


def test_host_paths_work_and_the_bundle_is_read_only(probe: Path, tmp_path: Path) -> None:
    new = tmp_path / "neu ü" / "file"
    new.parent.mkdir()
    assert packager("run", probe, "--", "write", tmp_path / "file").returncode == 0
    assert (tmp_path / "file").read_bytes() == b"written"
    assert packager("run", probe, "--", "write", "relative", cwd=new.parent).returncode == 0
    assert (new.parent / "relative").read_bytes() == b"written"
    for path in (probe / "x", r"C:\bundle\x"):
        assert packager("run", probe, "--", "write", path).returncode == 5
    assert not (probe / "x").exists()
    said = packager("run", probe, "--", "cwd", cwd=tmp_path).stdout.decode().strip()
    assert said == "Z:" + str(tmp_path).replace("/", "\\")


def test_the_environment_is_what_is_given(probe: Path) -> None:
    def value(name: str, *switches: str) -> str:
        return packager("run", *switches, probe, "--", "getenv", name, env={"FROM_OUTSIDE": "1"}).stdout.decode()

    assert value("FROM_OUTSIDE") == "(unset)"
    assert value("GIVEN", "--env", "GIVEN=a=b") == "a=b"
    assert value("USERPROFILE") == r"C:\users\user"
    assert value("PATH", "--env", r"PATH=Z:\tmp\first").startswith(r"Z:\tmp\first;C:\windows")


def test_what_a_program_leaves_running_ends_with_it(probe: Path) -> None:
    assert packager("run", probe, "--", "spawn").returncode == 0
    assert nothing_is_left(probe)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_the_whole_lot(probe: Path, number: signal.Signals) -> None:
    with started(probe, "wait") as child:
        child.send_signal(number)
        code = child.wait(5)
        assert child.stdout is not None
        said = child.stdout.read()
    # Only Ctrl-C is the program's own affair: it may end in its own way.
    expected = {signal.SIGINT: (130, b"interrupted\n"), signal.SIGTERM: (143, b""), signal.SIGKILL: (-9, b"")}
    assert (code, said) == expected[number]
    assert nothing_is_left(probe)


def test_a_second_ctrl_c_ends_a_program_that_ignores_the_first(probe: Path) -> None:
    with started(probe, "stubborn") as child:
        child.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(1)
        child.send_signal(signal.SIGINT)
        assert child.wait(5) == 130
    assert nothing_is_left(probe)


def test_a_timeout_ends_the_whole_lot(probe: Path) -> None:
    done = packager("run", "--timeout", "3", probe, "--", "wait")
    assert done.returncode == 4
    assert b"it had not ended after 3 s" in done.stderr
    assert nothing_is_left(probe)


def test_each_run_has_a_network_of_its_own_that_another_can_join(probe: Path) -> None:
    with started(probe, "serve", "45450") as server:
        assert packager("run", probe, "--", "connect", "45450").returncode == 9
        joined = packager("run", "--join", str(server.pid), probe, "--", "connect", "45450")
        assert (joined.returncode, joined.stdout) == (0, b"hello")
        assert server.wait(10) == 0


def test_runs_with_the_network_share_this_machine_s_loopback(probe: Path) -> None:
    with started(probe, "serve", "45451", switches=["--network"]) as server:
        done = packager("run", "--network", probe, "--", "connect", "45451")
        assert (done.returncode, done.stdout) == (0, b"hello")
        assert server.wait(10) == 0


def test_runs_at_once_do_not_disturb_each_other(probe: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    runs = [subprocess.Popen(command(probe, "exit", str(n)), env=env, stdout=subprocess.PIPE) for n in range(4)]
    assert [(run.communicate(timeout=60)[0], run.returncode) for run in runs] == [(b"out", n) for n in range(4)]


def test_starting_is_quick(probe: Path) -> None:
    packager("run", probe, "--", "exit", "0")
    start = time.monotonic()
    packager("run", probe, "--", "exit", "0")
    # 0.7 s on two idle cores; the rest is for a busy machine.
    assert time.monotonic() - start < 5
