"""``packager run``: start a bundle's entry point, or its python, on this machine.

A bundle for Windows runs under Wine, one for Linux as it is.

The program has this terminal's or pipe's stdin, stdout and stderr, and its exit code is handed on (its low eight bits:
that is all a Unix exit code holds). Each run is alone: its own Wine prefix or home folder in memory, its own processes,
and a network that is nothing but a loopback. Two ways lead to a daemon that another run started: both with ``network``,
or the second one with ``join`` and the process id of the first. Whatever a run starts ends when its program ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import FrameType

import msgspec

from packager import native, process, sandbox, wine
from packager.errors import BuildError, SpecError
from packager.layout import LAYOUTS, Layout, layout_in

#: After Ctrl-C a program may take this long to end by itself, in seconds.
GRACE = 3.0
#: How long ``join`` waits for a run that is still starting, in seconds.
JOIN_WAIT = 10.0

_NS_GET_USERNS = 0xB701  # ioctl_ns(2)


class EntryPoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A program of a bundle: ``path`` is relative to its program folder; ``console`` says that it has one."""

    name: str
    path: str
    console: bool


class Bundle(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of ``bundle.json``. ``python`` is the interpreter's path, relative to the program folder."""

    name: str
    version: str
    target: str
    entry_points: tuple[EntryPoint, ...]
    python: str


@dataclass(frozen=True, slots=True)
class Options:
    """How to run: see the module's text. ``timeout`` is in seconds; ``env`` adds to an environment otherwise fixed."""

    network: bool = False
    join: int | None = None
    timeout: float | None = None
    env: Mapping[str, str] = field(default_factory=dict)


def load_bundle(folder: Path) -> Bundle:
    """Read ``bundle.json`` of the bundle in ``folder``, of any layout. SpecError if it is not a bundle's folder."""
    file = folder / find_layout(folder).bundle_file
    try:
        return msgspec.json.decode(file.read_bytes(), type=Bundle)
    except OSError as exc:
        raise SpecError(f"{file}: cannot be read: {exc.strerror}") from exc
    except msgspec.DecodeError as exc:
        raise SpecError(f"{file}: not a bundle's description: {exc}", hint="build the bundle again") from exc


def find_layout(folder: Path) -> Layout:
    """The layout of the bundle in ``folder``, which may also be a Tor Browser's that one was put into. SpecError if
    there is none."""
    hint = "name the folder that `packager build` made, such as dist/NAME-VERSION-TARGET"
    if not folder.is_dir():
        raise SpecError(
            f"{folder}: expected a bundle's folder, found {'a file' if folder.exists() else 'nothing'}", hint=hint
        )
    layout = layout_in(folder)
    if layout is None:
        first, *others = (item.bundle_file for item in LAYOUTS.values())
        raise SpecError(
            f"{folder}: expected a bundle's folder, found no {first} in it, and no {' or '.join(others)}", hint=hint
        )
    return layout


def program_of(bundle: Bundle, *, entry: str | None = None, python: bool = False) -> str:
    """The path of what is to run, relative to the program folder: ``entry``, the python, or the first console program.

    SpecError if there is no such entry point, naming those that there are.
    """
    if python:
        return bundle.python
    names = ", ".join(point.name for point in bundle.entry_points)
    for point in bundle.entry_points:
        if point.name == entry or (entry is None and point.console):
            return point.path
    wanted = "a console entry point" if entry is None else f"an entry point {entry!r}"
    raise SpecError(
        f"{bundle.name} {bundle.version}: expected {wanted}, found {names or 'none at all'}",
        hint="use --entry with one of these" if names else "use --python",
    )


def run_bundle(
    folder: Path, bundle: Bundle, program: str, arguments: Sequence[str], options: Options, engine: wine.Wine | None
) -> int:
    """Run ``program`` of the bundle in ``folder`` to its end and return its exit code (128+n for signal n).

    ``engine`` is wanted for bundles for Windows (:func:`needs_wine`), and not looked at for others.
    The folder is read-only for it; where the layout has a folder that programs write to (``Browser/TorBrowser/Data``)
    and it is there, that one is not.
    SpecError for what cannot be run here, MachineError where the sandbox cannot be entered, BuildError after the
    timeout, KeyboardInterrupt once the program has ended after Ctrl-C.
    """
    here = f"linux-{os.uname().machine}"
    if not needs_wine(bundle) and bundle.target != here:
        raise SpecError(f"{folder}: expected a bundle for windows-* or {here}, found one for {bundle.target}")
    if options.network and options.join is not None:
        raise SpecError("--network and --join: expected one of them, found both")
    layout = find_layout(folder)
    path = PurePosixPath(layout.program, program)
    if not (folder / path).is_file():
        raise SpecError(f"{folder / path}: expected a program, found nothing", hint="build the bundle again")
    argv = (
        _native(folder.resolve(), path, arguments, options, layout)
        if engine is None
        else _under_wine(folder.resolve(), path, arguments, options, layout, engine)
    )
    with _entered(options.join) as prefix, _signals(options.timeout) as interrupted:
        # bubblewrap must survive Ctrl-C, for the program to end in its own way; Wine sets its own handler again.
        code = process.passthrough([*prefix, "env", "--ignore-signal=INT", *argv])
        if interrupted:
            raise KeyboardInterrupt
    return code


def needs_wine(bundle: Bundle) -> bool:
    """Whether a bundle's programs are Windows'."""
    return bundle.target.startswith("windows-")


def _under_wine(
    folder: Path, path: PurePosixPath, arguments: Sequence[str], options: Options, layout: Layout, engine: wine.Wine
) -> list[str]:
    host, cwd = wine.this_host(), Path.cwd()
    if not host.shows(cwd):
        raise SpecError(
            f"{cwd}: a program under Wine cannot work in this folder, /{cwd.parts[1]} is Wine's own there",
            hint="change to a folder elsewhere, such as your home or /tmp",
        )
    sandbox.probe(engine.root)
    job = wine.Run(
        bundle=folder,
        program=PureWindowsPath(path),
        arguments=arguments,
        cwd=cwd,
        # A joined network is the surrounding one by the time that bubblewrap starts.
        network=options.network or options.join is not None,
        env=options.env,
        writable=_writable(folder, layout),
    )
    return wine.run_argv(engine, job, host)


def _native(folder: Path, path: PurePosixPath, arguments: Sequence[str], options: Options, layout: Layout) -> list[str]:
    sandbox.probe_machine()
    job = native.Run(
        bundle=folder,
        program=str(path),
        arguments=arguments,
        cwd=Path.cwd(),
        network=options.network or options.join is not None,
        env=options.env,
        writable=_writable(folder, layout),
    )
    return native.run_argv(job)


def _writable(folder: Path, layout: Layout) -> tuple[str, ...]:
    """What a program may write to, if it is there; never by a link, which could lead anywhere."""
    if layout.writable is None or not (folder / layout.writable).is_dir():
        return ()
    real = (folder / layout.writable).resolve() == folder / layout.writable
    return (layout.writable,) if real else ()


@contextlib.contextmanager
def _signals(timeout: float | None) -> Iterator[list[int]]:
    """Around a run: Ctrl-C is left to the program, for :data:`GRACE` seconds or until the next Ctrl-C; then it is ours.

    Yields a list that gets an item at Ctrl-C. BuildError when ``timeout`` seconds have passed.
    """
    interrupts: list[int] = []

    def on_interrupt(number: int, _frame: FrameType | None) -> None:
        interrupts.append(number)
        if len(interrupts) > 1:
            raise KeyboardInterrupt
        if not _in_foreground():
            _interrupt_group()
        signal.setitimer(signal.ITIMER_REAL, GRACE)

    def on_alarm(_number: int, _frame: FrameType | None) -> None:
        if interrupts:
            raise KeyboardInterrupt
        raise BuildError(f"the program was stopped: it had not ended after {timeout:g} s", hint="raise --timeout")

    before = signal.signal(signal.SIGINT, on_interrupt), signal.signal(signal.SIGALRM, on_alarm)
    if timeout is not None:
        signal.setitimer(signal.ITIMER_REAL, timeout)
    try:
        yield interrupts
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGINT, before[0])
        signal.signal(signal.SIGALRM, before[1])


def _in_foreground() -> bool:
    """Whether Ctrl-C in the terminal reaches this process's group, and with it the program, without our help."""
    try:
        with open("/dev/tty", "rb") as terminal:
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:
        return False


def _interrupt_group() -> None:
    """What a terminal would do to the program at Ctrl-C: SIGINT to every child that is in this process's group."""
    for child in itertools.islice(_descendants(os.getpid()), 1, None):
        with contextlib.suppress(OSError):
            if os.getpgid(child) == os.getpgrp():
                os.kill(child, signal.SIGINT)


@contextlib.contextmanager
def _entered(pid: int | None) -> Iterator[list[str]]:
    """The start of a command line that enters the network of the run that process ``pid`` or a child of it leads."""
    if pid is None:
        yield []
        return
    process.which("nsenter", "util-linux")
    net = os.open(f"/proc/{_member(pid)}/ns/net", os.O_RDONLY)
    try:
        owner = fcntl.ioctl(net, _NS_GET_USERNS)
    except OSError as exc:
        os.close(net)
        raise SpecError(f"--join {pid}: that run belongs to somebody else: {exc.strerror}") from exc
    try:
        line = ["nsenter", "--preserve-credentials", f"--net=/proc/{os.getpid()}/fd/{net}"]
        if os.fstat(owner).st_ino != os.stat("/proc/self/ns/user").st_ino:
            line.append(f"--user=/proc/{os.getpid()}/fd/{owner}")
        yield [*line, "--"]
    finally:
        os.close(owner)
        os.close(net)


def _member(pid: int) -> int:
    """A process among ``pid`` and its descendants with another network than this process's; waits for one to start."""
    own = os.stat("/proc/self/ns/net").st_ino
    limit = time.monotonic() + JOIN_WAIT
    while True:
        if not Path(f"/proc/{pid}").exists():
            raise SpecError(f"--join {pid}: expected a running `packager run`, found no process {pid}")
        for candidate in _descendants(pid):
            with contextlib.suppress(OSError):
                if os.stat(f"/proc/{candidate}/ns/net").st_ino != own:
                    return candidate
        if time.monotonic() > limit:
            raise SpecError(
                f"--join {pid}: expected a `packager run` with a network of its own, found none in process {pid}",
                hint="give the process id of the first run, without --network there",
            )
        time.sleep(0.05)


def _descendants(pid: int) -> Iterator[int]:
    """``pid`` and every process below it, parents first, as /proc/PID/task/TID/children has them (proc(5))."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in children.read_text("ascii").split():
                yield from _descendants(int(child))
