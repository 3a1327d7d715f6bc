"""The one place that starts programs: failures carry what was printed, children do not outlive their parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from packager import process
from packager.errors import BuildError, MachineError, SourceError


def test_output_and_exit_code_are_kept() -> None:
    result = process.call(["sh", "-c", "cat; echo err >&2; exit 3"], stdin=b"in")
    assert result == process.Result(3, b"in", b"err\n")


def test_a_failure_says_what_and_shows_the_end_of_the_output() -> None:
    with pytest.raises(SourceError) as caught:
        process.check(["sh", "-c", "seq 100 >&2; exit 7"], what="counting", error=SourceError, hint="count less")
    assert caught.value.message == "counting failed (exit code 7)"
    assert caught.value.details == tuple(str(n) for n in range(76, 101))
    assert str(caught.value).endswith("what to do: count less")


def test_a_signal_is_named() -> None:
    with pytest.raises(BuildError, match=r"killed by SIGTERM"):
        process.check(["sh", "-c", "kill -TERM $$"], what="it")


def test_a_program_that_is_not_there_is_the_machine_s_lack() -> None:
    with pytest.raises(MachineError, match="no-such-program is not installed"):
        process.call(["no-such-program"])


def test_a_stream_goes_to_the_log_and_to_the_reporter(tmp_path: Path) -> None:
    lines: list[str] = []
    process.stream(["sh", "-c", "echo a; echo b >&2"], what="it", log=tmp_path / "log", on_line=lines.append)
    assert lines == ["a", "b"]
    assert (tmp_path / "log").read_text() == "a\nb\n"


def test_a_failed_stream_names_its_log(tmp_path: Path) -> None:
    with pytest.raises(BuildError) as caught:
        process.stream(["sh", "-c", "echo why; false"], what="it", log=tmp_path / "log")
    assert caught.value.details == ("why", f"log: {tmp_path / 'log'}")


def test_a_timeout_ends_the_program() -> None:
    start = time.monotonic()
    result = process.call(["sleep", "30"], timeout=0.2)
    assert result.returncode == -signal.SIGKILL
    assert time.monotonic() - start < 10


def test_an_interrupt_ends_the_child(tmp_path: Path) -> None:
    def interrupt(line: str) -> None:
        (tmp_path / "pid").write_text(line)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        process.stream(["sh", "-c", "echo $$; exec sleep 60"], what="it", log=tmp_path / "log", on_line=interrupt)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_killed_packager_takes_its_child_along(tmp_path: Path) -> None:
    code = (
        "from packager import process; from pathlib import Path;"
        f"process.stream(['sh','-c','echo $$ > {tmp_path}/pid; exec sleep 60'], what='x', log=Path('{tmp_path}/log'))"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[1])
    pid_file = tmp_path / "pid"
    while not (pid_file.exists() and pid_file.read_text().strip()):
        time.sleep(0.01)
    parent.kill()
    parent.wait()
    pid = int(pid_file.read_text())
    for _ in range(200):
        state = Path(f"/proc/{pid}/stat")
        if not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.02)
    raise AssertionError("the child lives on")
