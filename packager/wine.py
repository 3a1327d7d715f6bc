"""Wine in a Debian root of its own: the prefix template that every run starts from, and the command line of a run.

A run sees the root's ``/usr`` and a handful of its files in ``/etc``, and this machine's other top-level folders at
their own paths, so that ``/tmp/x`` in an argument means what the caller meant: Wine maps ``/`` to drive Z:, and a
Windows program resolves ``/tmp/x`` on the drive of its working folder. ``/run`` is private and in memory; the prefix
lies there, copied from the template, and ends with the run. The bundle appears as ``C:\\bundle``, read-only but for
what the run names.
"""

from __future__ import annotations

import filecmp
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath

from packager import process, sandbox
from packager.errors import MachineError

#: Where the bundle appears to the program.
BUNDLE_DRIVE_PATH = PureWindowsPath("C:/bundle")
#: Longest time that making a prefix may take, in seconds; 8 s is usual.
TEMPLATE_TIMEOUT = 300

_PREFIX = "/run/wine"
_PROCESSORS = "/sys/devices/system/cpu"
_TEMPLATE = "/run/template"
_BUNDLE = f"{_PREFIX}/drive_c/bundle"
#: Debian's Wine keeps the server's socket in /run/user/UID/wine when that folder is there, else it litters /tmp.
_RUNTIME = "/run/user/0"
_BUILTINS = "usr/lib/x86_64-linux-gnu/wine/x86_64-windows"
#: Top-level names that are the root's or private to a run; every other folder in / is the machine's own.
RESERVED = frozenset(
    {"bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "libx32", "lost+found", "proc", "run", "sbin", "sys", "usr"}
)
#: What Wine and its libraries read in /etc. No passwd: the user is then called $USER, on every machine.
_ETC = ("alternatives", "fonts", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "nsswitch.conf")
_HOST_ETC = ("hosts", "resolv.conf")

_ENV = {
    "HOME": "/run/home",
    "LANG": "C.UTF-8",
    "TZ": "UTC",
    "USER": "user",
    "WINEARCH": "win64",
    "WINEDEBUG": "-all",
    # No offers to install Mono or Gecko, no entries in anybody's menu.
    "WINEDLLOVERRIDES": "mscoree,mshtml=;winemenubuilder.exe=d",
    # Without it Wine's display driver complains on stderr as soon as a program uses COM, which platform.system() does.
    "XDG_RUNTIME_DIR": _RUNTIME,
}
#: What a run may not set otherwise, because starting Wine rests on it.
_FIXED_ENV = {"PATH": "/usr/bin", "WINEPREFIX": _PREFIX}


@dataclass(frozen=True, slots=True)
class Wine:
    """A Wine ready to run: its extracted ``root`` and a ``prefix_template`` made from it. Both are only read."""

    root: Path
    prefix_template: Path


@dataclass(frozen=True, slots=True)
class Host:
    """What of this machine a run sees: top-level ``folders`` by name, top-level ``links`` with their targets."""

    folders: tuple[str, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)

    def shows(self, path: Path) -> bool:
        """Whether a run sees the absolute ``path`` of this machine at the same place."""
        return len(path.parts) == 1 or path.parts[1] in {*self.folders, *self.links}


@dataclass(frozen=True, slots=True)
class Run:
    """One run: a bundle's folder, the program in it (relative), its arguments and where and how it runs.

    ``network`` gives it this machine's network instead of a namespace with only a loopback. ``env`` adds variables to
    an environment that is otherwise the same everywhere; a PATH there goes in front of the program's. ``writable``
    are folders in the bundle's, relative to it, that the program may write to.
    """

    bundle: Path
    program: PureWindowsPath
    arguments: Sequence[str]
    cwd: Path
    network: bool = False
    env: Mapping[str, str] = field(default_factory=dict)
    writable: Sequence[str] = ()


def this_host(root: Path = Path("/")) -> Host:
    """What of this machine a run is to see: every folder and link of ``/`` that is not :data:`RESERVED`."""
    folders, links = [], {}
    for entry in sorted(os.scandir(root), key=lambda item: item.name):
        if entry.name in RESERVED:
            continue
        if entry.is_symlink():
            links[entry.name] = os.readlink(entry.path)
        elif entry.is_dir():
            folders.append(entry.name)
    return Host(tuple(folders), links)


def run_argv(wine: Wine, run: Run, host: Host) -> list[str]:
    """The bubblewrap command line of a run. Depends on its arguments and the user id only."""
    line = _base(wine.root, network=run.network)
    for name in host.folders:
        line += ["--bind", f"/{name}", f"/{name}"]
    for name, target in host.links.items():
        line += ["--symlink", target, f"/{name}"]
    line += ["--ro-bind", str(wine.prefix_template), _TEMPLATE]
    for place in (_BUNDLE, str(run.bundle)) if host.shows(run.bundle) else (_BUNDLE,):
        line += ["--ro-bind", str(run.bundle), place]
        for name in run.writable:
            line += ["--bind", str(run.bundle / name), f"{place}/{name}"]
    # Wine puts the folders of WINEPATH in front of the program's own PATH, which is not that of the shell below.
    path = {"WINEPATH": run.env["PATH"]} if "PATH" in run.env else {}
    for name, value in sorted({**_ENV, **run.env, **path, **_FIXED_ENV}.items()):
        line += ["--setenv", name, value]
    program = str(BUNDLE_DRIVE_PATH / run.program)
    copy = f"cp --recursive --no-dereference --no-preserve=mode {_TEMPLATE}/. {_PREFIX}"
    return [*line, "--chdir", str(run.cwd), *_script(copy, ["wine", program, *run.arguments])]


def make_prefix_template(root: Path, dest: Path) -> None:
    """Make a Wine prefix in the new or empty folder ``dest``, for runs to copy. Takes about 8 s, needs no network.

    Files that are Wine's own DLLs are replaced by links into the root, which leaves 13 MB of 770. MachineError if the
    sandbox cannot be entered or Wine does not make the prefix.
    """
    sandbox.probe(root)
    dest.mkdir(parents=True, exist_ok=True)
    line = [*_base(root, network=False), "--tmpfs", "/tmp", "--bind", str(dest), _PREFIX]
    for name, value in sorted({**_ENV, **_FIXED_ENV}.items()):
        line += ["--setenv", name, value]
    # The server writes the registry's files when it ends, so wait for that.
    line += ["--chdir", "/", *_script("wine wineboot --init", ["wineserver", "--wait"])]
    process.check(line, what="making a Wine prefix", env={}, error=MachineError, timeout=TEMPLATE_TIMEOUT)
    missing = [
        name for name in ("system.reg", "user.reg", "drive_c/windows/system32/ntdll.dll") if not (dest / name).is_file()
    ]
    if missing:
        raise MachineError(f"making a Wine prefix: Wine ended well, but {dest} lacks {', '.join(missing)}")
    _link_builtins(root, dest / "drive_c")


def _base(root: Path, *, network: bool) -> list[str]:
    """Namespaces and the root's files: what making a template and running a program have in common."""
    line = [
        "bwrap",
        "--die-with-parent",
        "--unshare-pid",
        "--unshare-ipc",
        "--unshare-uts",
        "--hostname",
        "wine",
        "--clearenv",
    ]
    if os.geteuid() != 0:
        line += ["--unshare-user", "--uid", "0", "--gid", "0"]
    if not network:
        line += ["--unshare-net"]
    line += ["--tmpfs", "/", "--proc", "/proc", "--dev", "/dev", "--ro-bind", str(root / "usr"), "/usr"]
    # Wine counts the processors there.
    line += ["--ro-bind-try", _PROCESSORS, _PROCESSORS]
    for name in ("bin", "lib", "lib64", "sbin"):
        line += ["--symlink", f"usr/{name}", f"/{name}"]
    for name in _ETC:
        line += ["--ro-bind-try", str(root / "etc" / name), f"/etc/{name}"]
    if network:
        for name in _HOST_ETC:
            line += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    return [*line, "--dir", "/run/home", "--dir", _RUNTIME, "--dir", _PREFIX]


def _script(first: str, then: Sequence[str]) -> list[str]:
    """A shell that does ``first`` and becomes ``then``. Names resolve to a loopback where there is no network."""
    hosts = "[ -e /etc/hosts ] || printf '127.0.0.1 localhost\\n::1 localhost\\n' >/etc/hosts"
    return ["/bin/sh", "-ec", f'{hosts}; {first}; exec "$@"', "sh", *then]


def _link_builtins(root: Path, drive: Path) -> None:
    """Replace every file under ``drive`` that equals the DLL of its name in the root by a link to that."""
    for folder, _, names in os.walk(drive):
        for name in names:
            path, original = Path(folder, name), root / _BUILTINS / name
            if not path.is_symlink() and original.is_file() and filecmp.cmp(path, original, shallow=False):
                path.unlink()
                path.symlink_to(f"/{_BUILTINS}/{name}")
