"""A Wine to run test files in, one after the other: started once, as that takes seconds, and ended when it breaks.

It is a sandbox with processes, network (a loopback) and files of its own: the Wine root read-only, and in memory the
prefix, a copy of the interpreter as ``C:\\python`` that tests may write to, and a folder for each file as ``C:\\t\\N``.
``C:\\build`` is the same interpreter in the form of a build tree, made when a file first wants it. A shell in it takes one order
per line on stdin, ``N SECONDS LIMIT TREE PROGRAM MODULE RESOURCES``, runs the file, removes what processes and files it left,
and answers ``N CODE``.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from packager.errors import MachineError
from packager.wine import Wine
from tests.cpython import windows
from tests.cpython.interpreter import Interpreter

#: What can be run inside: :attr:`Job.program` is one of these without its suffix.
PROGRAMS = tuple(Path(__file__).with_name(name) for name in ("inside.py", "probes.py"))
#: Time in seconds that a file has, beyond its limit, to say where it hangs; and then the sandbox to answer.
TELL, ANSWER = 10, 60
#: How long Wine may take to start, in seconds: 4 s is usual.
START = 300
#: In the folder of results: where the sandbox's drive is mounted, and what windows.py makes.
DISK, WINDOWS = "disk", "windows"

_ENV = {
    "HOME": "/run/home",
    "LANG": "C.UTF-8",
    "PATH": "/usr/bin",
    "USER": "user",
    "WINEARCH": "win64",
    "WINEDEBUG": "-all",
    # Nothing to install, no menus; and no debugger that writes about a crash for seconds.
    "WINEDLLOVERRIDES": "mscoree,mshtml=;winemenubuilder.exe,winedbg.exe=d",
    "WINEPREFIX": "/run/wine",
}
_SCRIPT = r"""
printf '127.0.0.1 localhost\n::1 localhost\n' >/etc/hosts
# Wine asks the C library for these; the root has no such files, Windows has them.
printf '%s\n' 'echo 7/tcp' 'echo 7/udp' 'daytime 13/tcp' 'ftp 21/tcp' 'telnet 23/tcp' 'smtp 25/tcp' 'domain 53/tcp' \
  'domain 53/udp' 'http 80/tcp' 'pop3 110/tcp' 'https 443/tcp' >/etc/services
printf '%s\n' 'ip 0 IP' 'icmp 1 ICMP' 'tcp 6 TCP' 'udp 17 UDP' 'ipv6 41 IPv6' >/etc/protocols
cp --recursive --no-dereference --no-preserve=mode /run/template/. /run/wine
cat /run/windows/machine.reg >>/run/wine/system.reg
rm -f /run/wine/drive_c/windows/system32/locale.nls
cp /run/windows/locale.nls /run/wine/drive_c/windows/system32/locale.nls
# A console is a window, for Wine; there is no screen to draw it on, but with this driver it can be.
printf '%s\n' '' '[Software\\Wine\\Drivers] 1735689600' '"Graphics"="null"' >>/run/wine/user.reg
# Without a drive for /, a path like /bin/bash is one on C: as on Windows, and not Linux's. The results have a drive.
rm -f /run/wine/dosdevices/z:
ln -s /results /run/wine/dosdevices/r:
c=/run/wine/drive_c
cp --recursive --no-preserve=mode /run/python "$c/python"
# A module of a folder of its own, not a script: tests look at the specification of __main__.
mkdir -p "$c/t" "$c/runner"
cp /run/programs/*.py "$c/runner"

# As Visual Studio builds it: the .pyd files lie beside python.exe, and pybuilddir.txt says so.
build_tree() {
  cp --recursive --no-preserve=mode /run/python "$c/build"
  mv "$c/build/DLLs/"* "$c/build/"
  rmdir "$c/build/DLLs"
  : >"$c/build/pybuilddir.txt"
}

# Programs of Wine's own carry on: services.exe and so on.
strays() {
  for process in /proc/[0-9]*; do
    case "$(readlink "$process/exe" 2>/dev/null) $(tr '\0' ' ' <"$process/cmdline" 2>/dev/null)" in
      *wineserver*|*[Ww]indows?system32?services.exe*|*[Ww]indows?system32?explorer.exe*) ;;
      *[Ww]indows?system32?winedevice.exe*|*[Ww]indows?system32?plugplay.exe*|*[Ww]indows?system32?rpcss.exe*) ;;
      *[Ww]indows?system32?svchost.exe*) ;;
      /usr/lib/wine/*|*/wine64-preloader*|*/wine-preloader*|*/wine64*) echo "${process#/proc/}" ;;
    esac
  done
}

cd "$c/runner"
wine 'C:\python\python.exe' -c pass </dev/null >/results/start.log 2>&1
echo ready
while read -r number seconds limit tree program module resources; do
  [ -d "$c/$tree" ] || build_tree
  mkdir "$c/t/$number"
  # Through cmd.exe: a program that Linux starts has no parent that Windows knows.
  timeout --signal=KILL "$limit" \
    wine cmd.exe /c "C:\\$tree\\python.exe" -u -m "$program" "$module" "C:\\t\\$number" "R:\\$number.jsonl" \
    "R:\\$number.out" "$seconds" "$resources" </dev/null >"/results/$number.log" 2>&1
  code=$?
  left="$(strays)"
  [ -z "$left" ] || kill -9 $left 2>/dev/null
  rm -rf "$c/t/$number" "$c/users/user/AppData/Local/Temp/"* 2>/dev/null
  echo "$number $code"
done
wineserver --kill
"""


@dataclass(frozen=True, slots=True)
class Job:
    """A file to run: its module, its limit in seconds, regrtest's resources, and ids of tests that are not to be run.

    ``build_tree``: the interpreter has the form of one, and is not installed.
    """

    module: str
    seconds: float
    resources: tuple[str, ...]
    left_out: frozenset[str] = frozenset()
    program: str = "inside"
    build_tree: bool = False


@dataclass(slots=True)
class Box:
    """A running sandbox. ``results`` is the folder on this machine that its files write to."""

    wine: Wine
    interpreter: Interpreter
    results: Path
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def run(self, number: int, job: Job) -> int | None:
        """Run a file; its exit code as a Unix one, or None if it or the sandbox hung (a new sandbox starts then).

        Leaves NUMBER.jsonl (see inside.py) and NUMBER.log (what was printed) in the folder of results. MachineError if
        no sandbox can be started.
        """
        process = self._process or self._start()
        for suffix in ("jsonl", "log"):
            (self.results / f"{number}.{suffix}").unlink(missing_ok=True)
        (self.results / f"{number}.out").write_text("".join(f"{name}\n" for name in sorted(job.left_out)), "utf-8")
        seconds = job.seconds
        assert process.stdin is not None
        tree = "build" if job.build_tree else "python"
        order = f"{number} {seconds:g} {seconds + TELL:g} {tree} {job.program} {job.module} {','.join(job.resources)}\n"
        try:
            process.stdin.write(order.encode("ascii"))
            process.stdin.flush()
        except BrokenPipeError:
            self.close()
            return None
        answer = self._answer(seconds + TELL + ANSWER)
        if answer is None or not answer.startswith(f"{number} "):
            self.close()
            return None
        code = int(answer.split()[1])
        return None if code == 137 else code

    def close(self) -> None:
        """End the sandbox and all in it."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()

    def _start(self) -> subprocess.Popen[bytes]:
        for name in (DISK, WINDOWS):
            (self.results / name).mkdir(exist_ok=True)
        windows.complete(self.wine.root, self.results / WINDOWS)
        self._process = subprocess.Popen(
            argv(self.wine, self.interpreter, self.results),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        if self._answer(START) != "ready":
            self.close()
            raise MachineError(
                "a sandbox with Wine did not start",
                hint=f"{self.results / 'start.log'} has what Wine said, if anything",
            )
        return self._process

    def _answer(self, seconds: float) -> str | None:
        """The next line, None if there is none in that time."""
        assert self._process is not None
        assert self._process.stdout is not None
        stream, limit, line = self._process.stdout.fileno(), time.monotonic() + seconds, b""
        with selectors.DefaultSelector() as selector:
            selector.register(stream, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                if not selector.select(max(0.0, limit - time.monotonic())):
                    return None
                some = os.read(stream, 1)
                if not some:
                    return None
                line += some
        return line.decode("ascii", "replace").strip()


def argv(wine: Wine, interpreter: Interpreter, results: Path) -> list[str]:
    """The command line of a sandbox. It sees nothing of this machine but what is named here.

    Its drive C: is mounted outside bubblewrap, which cannot say that reading a file does not change the time of the last
    access to it. Windows does not change it, and Wine reads a file when it is asked for its type.
    """
    ordinary = os.geteuid() != 0
    line = [
        "unshare", "--mount", *(["--user", "--map-root-user"] if ordinary else []),
        "sh", "-ec", 'mount -t tmpfs -o noatime,mode=755 tmpfs "$1"; shift; exec "$@"', "sh", str(results / DISK),
        "bwrap", "--die-with-parent", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-net",
        "--hostname", "wine", "--clearenv",
    ]  # fmt: skip
    # Wine counts the processors in /sys.
    line += [
        "--tmpfs", "/", "--proc", "/proc", "--dev", "/dev", "--ro-bind", "/sys", "/sys",
        "--ro-bind", str(wine.root / "usr"), "/usr",
    ]  # fmt: skip
    for name in ("bin", "lib", "lib64", "sbin"):
        line += ["--symlink", f"usr/{name}", f"/{name}"]
    for name in ("alternatives", "fonts", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "nsswitch.conf"):
        line += ["--ro-bind-try", str(wine.root / "etc" / name), f"/etc/{name}"]
    line += ["--ro-bind", str(results / WINDOWS / windows.LOCALES), f"/{windows.LOCALES_OF_WINE}"]
    line += ["--dir", "/tmp", "--dir", "/run/home", "--dir", "/run/user/0", "--bind", str(results / DISK), "/run/wine"]
    line += ["--ro-bind", str(results / WINDOWS), "/run/windows"]
    line += ["--ro-bind", str(wine.prefix_template), "/run/template", "--dir", "/run/programs"]
    for program in PROGRAMS:
        line += ["--ro-bind", str(program), f"/run/programs/{program.name}"]
    line += ["--ro-bind", str(interpreter.folder), "/run/python", "--bind", str(results), "/results"]
    for name, value in sorted(_ENV.items()):
        line += ["--setenv", name, value]
    return [*line, "--chdir", "/", "/bin/sh", "-c", _SCRIPT]
