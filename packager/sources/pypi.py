"""Get a release file from the Python package index, as this machine's pip is set to reach it.

pip is the client because it knows the machine's index, proxies, certificates and credentials. It is not asked to
install or resolve: ``pip download`` of an sdist runs the sdist's own code, and a source must be verified first.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from packager import process
from packager.disk import disk_errors, raise_if_child_was_full
from packager.errors import MachineError
from packager.progress import Reporter
from packager.sources import _pip_download
from packager.sources.origin import OriginError, Want
from packager.specs import model


class _UnknownPipError(OriginError):
    """This pip's inside is not one that the script knows."""


def download(
    origin: model.PypiOrigin, want: Want, partial: Path, reporter: Reporter, *, python: str = sys.executable
) -> None:
    """Bring the file into ``partial``, going on after the bytes it has. ``python`` is the interpreter that has pip.

    Raises OriginError with the reason, MachineError without pip, DiskError when the disk is full.
    """
    try:
        _by_script(origin, want, partial, reporter, python)
    except _UnknownPipError as exc:
        if not origin.file.endswith("-none-any.whl"):
            raise OriginError(
                f"{exc.message}; only wheels for any platform can be had through its command line"
            ) from exc
        reporter.note(f"{exc.message}; using its command line, without resuming or progress")
        _by_command(origin, partial, python)


def _by_script(origin: model.PypiOrigin, want: Want, partial: Path, reporter: Reporter, python: str) -> None:
    errors: list[str] = []

    def on_line(line: str) -> None:
        kind, _, rest = line.partition(" ")
        if kind == "@progress":
            received, total = rest.split()
            reporter.transfer(want.file, int(received), None if total == "-" else int(total))
        elif kind == "@error":
            errors.append(rest)

    log = partial.with_name(f"{partial.name}.log")
    try:
        process.stream(
            [python, "-I", _pip_download.__file__, origin.name, origin.file, str(partial)],
            what="pip",
            log=log,
            env=_environment(),
            on_line=on_line,
            error=OriginError,
        )
    except OriginError as exc:
        raise_if_child_was_full((*errors, *exc.details), partial.parent)
        reason = errors[0] if errors else next(iter(exc.details[-2:-1]), exc.message)
        if reason.startswith("this pip is made differently"):
            raise _UnknownPipError(reason) from exc
        if reason.endswith("has no pip"):
            raise MachineError(reason, hint=f"{python} -m ensurepip, or apt-get install python3-pip") from exc
        raise OriginError(reason) from exc
    finally:
        with disk_errors(partial.parent):
            log.unlink(missing_ok=True)


def _by_command(origin: model.PypiOrigin, partial: Path, python: str) -> None:
    """``pip download`` of exactly the wheel for any platform, so that nothing of it is run."""
    with disk_errors(partial.parent), tempfile.TemporaryDirectory(dir=partial.parent, prefix="pip-") as folder:
        result = process.call(
            [
                python, "-I", "-m", "pip", "download", "--no-cache-dir", "--disable-pip-version-check", "--no-deps",
                "--only-binary=:all:", "--platform=any", "--implementation=py", "--abi=none",
                "--ignore-requires-python", "--dest", folder, f"{origin.name}=={origin.version}",
            ],
            env=_environment(),
        )  # fmt: skip
        lines = process.tail(result)
        raise_if_child_was_full(lines, partial.parent)
        got = Path(folder) / origin.file
        if not got.is_file():
            found = ", ".join(sorted(path.name for path in Path(folder).iterdir()))
            errors = [line for line in lines if line.startswith("ERROR")]
            raise OriginError(f"pip gave {found}" if found else (errors or lines or ["pip gave nothing"])[-1])
        shutil.move(got, partial)


def _environment() -> dict[str, str]:
    return {**os.environ, "PIP_NO_INPUT": "1", "NO_COLOR": "1"}
