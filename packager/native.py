"""The command line of a bundle's program that runs on this machine as it is: a bundle for Linux, without Wine.

A run sees this machine's files at their own paths, but the bundle is read-only, ``/dev`` is its own and HOME is a new
folder in memory, which ends with the run. Processes are its own too, and end with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

#: In the run's own /dev, which bubblewrap makes in memory.
_HOME = "/dev/shm/home"
#: The environment of every run; nothing of this machine's.
_ENV = {"HOME": _HOME, "LANG": "C.UTF-8", "PATH": "/usr/bin:/bin", "TZ": "UTC", "USER": "user"}
#: bubblewrap is started deaf to Ctrl-C, and so would be the program: Python leaves an ignored signal ignored. The shell
#: is there because env would take a path with "=" in it for a variable.
_INTERRUPTIBLE = ("/usr/bin/env", "--default-signal=INT", "/bin/sh", "-c", 'exec "$0" "$@"')


@dataclass(frozen=True, slots=True)
class Run:
    """One run: a bundle's folder, the program in it (relative), its arguments and where and how it runs.

    ``network`` gives it this machine's network instead of a namespace with only a loopback. ``env`` adds variables to
    an environment that is otherwise the same everywhere. ``writable`` are folders in the bundle's that it may write to.
    """

    bundle: Path
    program: str
    arguments: Sequence[str]
    cwd: Path
    network: bool = False
    env: Mapping[str, str] = field(default_factory=dict)
    writable: Sequence[str] = ()


def run_argv(run: Run) -> list[str]:
    """The bubblewrap command line of a run. Depends on its arguments only."""
    line = ["bwrap", "--die-with-parent", "--unshare-ipc", "--unshare-pid", "--clearenv"]
    if not run.network:
        line.append("--unshare-net")
    line += ["--bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--dir", _HOME]
    line += ["--ro-bind", str(run.bundle), str(run.bundle)]
    for name in run.writable:
        line += ["--bind", str(run.bundle / name), str(run.bundle / name)]
    for name, value in sorted({**_ENV, **run.env}.items()):
        line += ["--setenv", name, value]
    return [*line, "--chdir", str(run.cwd), "--", *_INTERRUPTIBLE, str(run.bundle / run.program), *run.arguments]
