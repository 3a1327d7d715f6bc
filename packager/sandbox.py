"""Run a build step in a Debian root, through bubblewrap, seeing nothing of this machine.

No network, a cleared environment, the root read-only, and the same paths wherever the store lies: ``/build/src``
(writable, the working folder), ``/build/out`` (writable, what the step makes), ``/build/deps/<name>`` and
``/build/tools`` (read-only). Host name, user id and time zone are fixed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from packager import process
from packager.disk import raise_if_child_was_full
from packager.errors import BuildError, MachineError
from packager.progress import Reporter

SRC = "/build/src"
OUT = "/build/out"
DEPS = "/build/deps"
TOOLS = "/build/tools"
#: Folders that a root must have, because it is mounted read-only and nothing can be made in it then.
MOUNT_POINTS = ("build", "proc", "dev", "tmp")


@dataclass(frozen=True, slots=True)
class Perturbation:
    """What a step is shown otherwise than every step is, to try that none of it shows in what the step makes.

    Part of no key. ``user`` is a uid and a gid; ``env`` goes over every other variable; ``tmpfs`` are folders that are
    empty inside, ``binds`` (read-only) what lies over the root, by inside path; ``moved`` gives what would be at one
    inside path another; ``wrapper`` is a program, with its arguments, that runs each command. The default changes
    nothing.
    """

    hostname: str = "build"
    user: tuple[int, int] | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    tmpfs: Sequence[str] = ()
    binds: Mapping[str, Path] = field(default_factory=dict)
    moved: Mapping[str, str] = field(default_factory=dict)
    wrapper: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A root to run in and what it is given: ``binds`` (read-only) and ``writable`` map inside paths to outside."""

    root: Path
    writable: Mapping[str, Path] = field(default_factory=dict)
    binds: Mapping[str, Path] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    perturbation: Perturbation = field(default_factory=Perturbation)

    def argv(self, command: Sequence[str], *, cwd: str = SRC) -> list[str]:
        """The whole bubblewrap command line for ``command``; depends on nothing but this value and the user id."""
        other = self.perturbation
        line = ["bwrap", "--die-with-parent", "--new-session", "--unshare-all"]
        line += ["--hostname", other.hostname, "--clearenv"]
        if other.user is not None or os.geteuid() != 0:
            uid, gid = other.user or (0, 0)
            line += ["--unshare-user", "--uid", str(uid), "--gid", str(gid)]
        line += [
            "--ro-bind",
            str(self.root),
            "/",
            "--proc",
            "/proc",
            "--dev",
            "/dev",
            "--tmpfs",
            "/tmp",
            "--tmpfs",
            "/build",
        ]
        line += ["--dir", "/build/home"]
        for inside in other.tmpfs:
            line += ["--tmpfs", inside]
        for inside, outside in sorted(self.writable.items()):
            line += ["--bind", str(outside), other.moved.get(inside, inside)]
        for inside, outside in sorted({**self.binds, **other.binds}.items()):
            line += ["--ro-bind", str(outside), other.moved.get(inside, inside)]
        for name, value in sorted({**_FIXED_ENV, **self.env, **other.env}.items()):
            line += ["--setenv", name, value]
        return [*line, "--chdir", cwd, *other.wrapper, *command]

    def run(self, command: Sequence[str], *, what: str, log: Path, reporter: Reporter, cwd: str = SRC) -> None:
        """Run ``command`` to its end; its output goes to ``log`` and the reporter.

        BuildError if it fails, MachineError if it failed because the disk is full.
        """
        process.which("bwrap", "bubblewrap")
        try:
            process.stream(
                self.argv(command, cwd=cwd),
                what=what,
                log=log,
                env=_HOST_ENV,
                on_line=reporter.output,
                error=BuildError,
            )
        except BuildError as exc:
            raise_if_child_was_full(exc.details, log.parent)
            raise


#: What bubblewrap itself is started with; nothing of it reaches the step.
_HOST_ENV = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}

_FIXED_ENV = {
    "HOME": "/build/home",
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "PATH": "/usr/bin:/bin",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",
    "TZ": "UTC",
}


def probe(root: Path) -> None:
    """Make sure that this machine can enter ``root``; a MachineError with the command that helps where it cannot."""
    _try(Sandbox(root).argv(["/bin/true"], cwd="/"))


def probe_machine() -> None:
    """The same before there is a root to enter: whether this user can have namespaces at all."""
    _try(["bwrap", "--unshare-all", "--ro-bind", "/", "/", "/bin/true"])


def _try(argv: Sequence[str]) -> None:
    process.which("bwrap", "bubblewrap")
    result = process.call(argv, env=_HOST_ENV)
    if result.returncode == 0:
        return
    said = result.stderr.decode("utf-8", "replace").strip()
    raise MachineError(
        f"the sandbox cannot be entered: {said or process.describe_exit(result.returncode)}", hint=_remedy(said)
    )


def _remedy(said: str) -> str:
    """The command that most likely lets bubblewrap work, from what it said and what the kernel's switches say."""
    for switch, bad, cure in (
        ("/proc/sys/user/max_user_namespaces", "0", "sudo sysctl -w user.max_user_namespaces=15000"),
        ("/proc/sys/kernel/unprivileged_userns_clone", "0", "sudo sysctl -w kernel.unprivileged_userns_clone=1"),
        (
            "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
    ):
        try:
            if Path(switch).read_text("ascii").strip() == bad:
                return cure
        except OSError:
            continue
    if "namespace" in said or "uid map" in said or "Operation not permitted" in said:
        return "sudo sysctl -w user.max_user_namespaces=15000, or run packager as root (in a container: --privileged)"
    return "run `bwrap --unshare-all --ro-bind / / true` to see what this machine refuses"
