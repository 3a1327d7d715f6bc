"""The one place that starts other programs.

A command is a list, never a shell string. Its environment is given whole or inherited on purpose. When it fails, the
error carries the end of what it printed. A child never outlives the packager: it is started with the kernel's
parent-death signal, and an interrupt ends it before the interrupt goes on.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packager.errors import BuildError, MachineError, PackagerError

#: Lines of output that an error shows.
TAIL_LINES = 25

#: Where Debian keeps programs that are not on an ordinary user's PATH.
SYSTEM_PATH = "/usr/sbin:/sbin"

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Result:
    """How a command ended: its exit code (negative: the signal) and what it printed, where that was kept."""

    returncode: int
    stdout: bytes
    stderr: bytes


def _die_with_parent() -> None:
    """Run in the child before exec: ask the kernel to kill it when the packager is killed (prctl(2))."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def which(program: str, package: str | None = None) -> str:
    """The absolute path of ``program``; a MachineError naming the Debian package when it is not there."""
    found = shutil.which(program, path=f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}")
    if found is None:
        raise MachineError(f"{program} is not installed", hint=f"apt-get install {package or program}")
    return found


def call(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: bytes | None = None,
    timeout: float | None = None,
) -> Result:
    """Run ``argv`` to its end and keep what it prints. An exit code never raises; MachineError if it can't start."""
    with _started(argv, env=env, cwd=cwd, stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL) as child:
        try:
            out, err = child.communicate(stdin, timeout=timeout)
        except subprocess.TimeoutExpired:
            child.kill()
            out, err = child.communicate()
            return Result(-int(signal.SIGKILL), out, err + f"\nstopped after {timeout:g} s".encode())
    return Result(child.returncode, out, err)


def check(
    argv: Sequence[str],
    *,
    what: str,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: bytes | None = None,
    error: type[PackagerError] = BuildError,
    hint: str | None = None,
    timeout: float | None = None,
) -> bytes:
    """Like :func:`call`, but an exit code other than 0 raises ``error`` saying ``what`` failed. Returns stdout."""
    result = call(argv, env=env, cwd=cwd, stdin=stdin, timeout=timeout)
    if result.returncode != 0:
        raise error(f"{what} failed ({describe_exit(result.returncode)})", details=tail(result), hint=hint)
    return result.stdout


def stream(
    argv: Sequence[str],
    *,
    what: str,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    on_line: Callable[[str], None] = lambda _line: None,
    error: type[PackagerError] = BuildError,
    hint: str | None = None,
) -> None:
    """Run a long command: its output goes to ``log`` and, by lines, to ``on_line``. Raises ``error`` if it fails."""
    last: deque[str] = deque(maxlen=TAIL_LINES)
    with (
        log.open("wb", buffering=0) as sink,
        _started(argv, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT) as child,
    ):
        assert child.stdout is not None
        for raw in child.stdout:
            sink.write(raw)
            line = raw.decode("utf-8", "replace").rstrip()
            last.append(line)
            on_line(line)
        child.wait()
    if child.returncode != 0:
        raise error(f"{what} failed ({describe_exit(child.returncode)})", details=[*last, f"log: {log}"], hint=hint)


def passthrough(argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> int:
    """Run ``argv`` with this process's stdin, stdout and stderr; returns its exit code (128+n for signal n)."""
    with _started(argv, env=env, cwd=None, stdin=None, stdout=None, stderr=None) as child:
        code = child.wait()
    return 128 - code if code < 0 else code


def describe_exit(returncode: int) -> str:
    """``exit code 2`` or ``killed by SIGTERM``."""
    if returncode < 0:
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-returncode).name}"
    return f"exit code {returncode}"


def tail(result: Result) -> list[str]:
    """The last lines of what a command printed, stderr first where it has any."""
    text = (result.stderr.strip() or result.stdout.strip()).decode("utf-8", "replace")
    return text.splitlines()[-TAIL_LINES:]


@contextlib.contextmanager
def _started(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None,
    cwd: Path | None,
    stdin: int | None,
    stdout: int | None = subprocess.PIPE,
    stderr: int | None = subprocess.PIPE,
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a child and make sure that it has ended when the block is left, however it is left."""
    try:
        child = subprocess.Popen(
            list(argv),
            env=None if env is None else dict(env),
            cwd=cwd,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            preexec_fn=_die_with_parent,
        )
    except FileNotFoundError as exc:
        raise MachineError(f"{argv[0]} is not installed", hint=f"apt-get install {Path(argv[0]).name}") from exc
    try:
        yield child
    except BaseException:
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(5)
            except subprocess.TimeoutExpired:
                child.kill()
        raise
    finally:
        child.wait()
        for pipe in (child.stdin, child.stdout, child.stderr):
            if pipe is not None:
                pipe.close()
