#!/usr/bin/env python3
"""Download the Windows wheels that corpus.toml pins and unpack the PE files in them; nothing of them is run.

    FOLDER/wheels/              the wheels as the package index has them
    FOLDER/files/<sha>-<name>   every different PE file, by the first ten digits of its SHA-256 and its own name
    FOLDER/index.json           where each file comes from: wheel, member, machine, size, sha256; written last

pip is the client, with this machine's own settings. What is there with the right hash is not fetched again, so the same
command goes on where an earlier one stopped. Exit codes: 0 all is there; 3 a wheel is gone from the index or is not the
one that is pinned (the others are there and in the index.json); 4 the index cannot be reached; 5 this Python has no pip.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from packaging.utils import parse_wheel_filename

PINS = Path(__file__).with_name("corpus.toml")
GONE, UNREACHABLE, NO_PIP = 3, 4, 5

#: pip waits for the network most of the time.
_AT_ONCE = 4
_MACHINES = {0x014C: "i686", 0x8664: "x86_64", 0xAA64: "arm64"}
#: What pip says when it did not get an answer; it goes on to say that there is no such version.
_NO_ANSWER = re.compile(r"Retrying \(|connection error|ConnectionError|timed out|Name or service not known", re.I)
_SOME_VERSIONS = re.compile(r"\(from versions: (?!none\))")


@dataclass(frozen=True, slots=True)
class Wheel:
    """One pinned wheel: its file name, hash, and size in bytes."""

    file: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Member:
    """One PE file: its name in ``files/``, the wheel and the member it was first seen as, its machine and size."""

    file: str
    wheel: str
    member: str
    machine: str
    size: int
    sha256: str


class WheelError(Exception):
    """One wheel could not be had; ``code`` is the exit code that says why."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def read_pins(path: Path) -> tuple[Wheel, ...]:
    """The wheels that a corpus.toml pins, in its order. Raises KeyError, TypeError or ValueError when it is wrong."""
    rows = tomllib.loads(path.read_text("utf-8"))["wheel"]
    return tuple(Wheel(row["file"], row["sha256"], row["size"]) for row in rows)


def pip_arguments(file: str) -> list[str]:
    """What makes ``pip download`` choose exactly the wheel called ``file``, whatever machine and Python it runs on."""
    name, version, _build, tags = parse_wheel_filename(file)
    tag = min(tags, key=lambda one: (not one.interpreter.startswith("cp"), one.interpreter != "py3", str(one)))
    return [
        "--only-binary=:all:", "--no-deps", "--ignore-requires-python", f"--implementation={tag.interpreter[:2]}",
        f"--python-version={tag.interpreter[2:]}", f"--abi={tag.abi}", f"--platform={tag.platform}",
        f"{name}=={version}",
    ]  # fmt: skip


def download(wheel: Wheel, folder: Path) -> None:
    """Put ``wheel`` into ``folder``, verified. Raises WheelError."""
    with tempfile.TemporaryDirectory(dir=folder, prefix="pip-") as work:
        line = [
            sys.executable, "-I", "-m", "pip", "download", "--quiet", "--no-cache-dir", "--disable-pip-version-check",
            "--retries=2", "--dest", work, *pip_arguments(wheel.file),
        ]  # fmt: skip
        env = {**os.environ, "PIP_NO_INPUT": "1", "NO_COLOR": "1"}
        done = subprocess.run(line, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        said = (done.stdout + done.stderr).decode("utf-8", "replace")
        if "No module named pip" in said:
            raise WheelError(
                NO_PIP, f"{sys.executable} has no pip (python -m ensurepip, or apt-get install python3-pip)"
            )
        if done.returncode != 0 and _NO_ANSWER.search(said) and not _SOME_VERSIONS.search(said):
            reason = re.sub(
                r"^WARNING: Retrying \(.*?\)\) after ", "", next(filter(_NO_ANSWER.search, said.splitlines()))
            )
            hint = "check the network and pip's settings, then run the same command: what has come is kept"
            raise WheelError(UNREACHABLE, f"{wheel.file}: the package index does not answer: {reason}; {hint}")
        got = Path(work, wheel.file)
        if not got.is_file():
            found = ", ".join(path.name for path in Path(work).iterdir())
            errors = [line.removeprefix("ERROR: ") for line in said.splitlines() if line.startswith("ERROR: ")]
            raise WheelError(GONE, f"pip gave {found}" if found else (errors or said.split("\n"))[-1][:300])
        if (sha256 := digest(got)) != wheel.sha256:
            raise WheelError(GONE, f"expected sha256 {wheel.sha256}, found {sha256}")
        got.replace(folder / wheel.file)


def fetch(wheels: Sequence[Wheel], folder: Path) -> dict[str, WheelError]:
    """Download what is not in ``folder`` yet, a line for each; returns what could not be had, by file name.

    Stops early when the index does not answer: the other wheels would only wait for it, too.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob("pip-*"):
        shutil.rmtree(left)
    missing = [wheel for wheel in wheels if digest(folder / wheel.file) != wheel.sha256]
    say(f"{len(wheels)} wheels pinned, {len(wheels) - len(missing)} there, {megabytes(missing)} to download")
    failed: dict[str, WheelError] = {}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        jobs = {pool.submit(download, wheel, folder): wheel for wheel in missing}
        for number, job in enumerate(as_completed(jobs), 1):
            wheel = jobs[job]
            try:
                job.result()
                say(f"[{number}/{len(missing)}] {wheel.file}, {megabytes([wheel])}")
            except WheelError as exc:
                failed[wheel.file] = exc
                say(f"[{number}/{len(missing)}] {wheel.file}: not to be had")
                if exc.code != GONE:
                    pool.shutdown(cancel_futures=True)
                    break
    return failed


def unpack(wheels: Sequence[Wheel], source: Path, dest: Path) -> tuple[Member, ...]:
    """Write each different PE file of the wheels that are in ``source`` into ``dest``, and take all else out of it."""
    dest.mkdir(parents=True, exist_ok=True)
    members: dict[str, Member] = {}
    for wheel in wheels:
        if not (source / wheel.file).is_file():
            continue
        with zipfile.ZipFile(source / wheel.file) as archive:
            for info in sorted(archive.infolist(), key=lambda one: one.filename):
                data = archive.read(info)
                machine = pe_machine(data)
                sha256 = hashlib.sha256(data).hexdigest()
                if machine is None or sha256 in members:
                    continue
                name = f"{sha256[:10]}-{re.sub(r'[^A-Za-z0-9._+-]', '_', info.filename.rpartition('/')[2])}"
                members[sha256] = Member(name, wheel.file, info.filename, machine, len(data), sha256)
                if digest(dest / name) != sha256:
                    write(dest / name, data)
    known = {member.file for member in members.values()}
    for path in dest.iterdir():
        if path.name not in known:
            path.unlink()
    return tuple(sorted(members.values(), key=lambda member: member.file))


def pe_machine(data: bytes) -> str | None:
    """The machine of a PE image, by its headers and not by its name; None for anything else."""
    if data[:2] != b"MZ" or len(data) < 0x40:
        return None
    at = int.from_bytes(data[0x3C:0x40], "little")
    if data[at : at + 4] != b"PE\0\0" or at + 6 > len(data):
        return None
    (machine,) = struct.unpack_from("<H", data, at + 4)
    return _MACHINES.get(machine, f"{machine:#06x}")


def digest(path: Path) -> str | None:
    """The SHA-256 of a file, None when it is not there."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None


def write(path: Path, data: bytes) -> None:
    """Make ``path`` hold ``data`` in one step."""
    new = path.with_name(f".{path.name}.new")
    new.write_bytes(data)
    new.replace(path)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep another run of this program out of ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def megabytes(wheels: Sequence[Wheel]) -> str:
    """The size of these wheels, for people."""
    return f"{sum(wheel.size for wheel in wheels) / 1e6:.1f} MB"


def say(text: str) -> None:
    """One line of progress, seen at once."""
    print(text, flush=True)


def main() -> int:
    """Make or complete the corpus; returns the exit code."""
    text, _, notes = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=text, epilog=notes, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where the corpus is, or is to be made")
    parser.add_argument("--pins", type=Path, default=PINS, metavar="FILE", help="default: corpus.toml beside this file")
    options = parser.parse_args()
    try:
        wheels = read_pins(options.pins)
    except (OSError, KeyError, TypeError, ValueError) as exc:
        parser.error(f"{options.pins}: expected [[wheel]] tables with file, sha256 and size, found: {exc!r}")
    with alone(options.folder):
        failed = fetch(wheels, options.folder / "wheels")
        for stop in failed.values():
            if stop.code != GONE:
                print(f"error: {stop}", file=sys.stderr)
                return stop.code
        members = unpack(wheels, options.folder / "wheels", options.folder / "files")
        index = {"missing": sorted(failed), "files": [asdict(member) for member in members]}
        write(options.folder / "index.json", (json.dumps(index, indent=1) + "\n").encode())
    counts = Counter(member.machine for member in members)
    size = sum(member.size for member in members) / 1e6
    kinds = ", ".join(f"{machine} {count}" for machine, count in counts.most_common())
    say(f"{len(members)} PE files, {size:.1f} MB ({kinds}) in {options.folder / 'files'}")
    for name, gone in sorted(failed.items()):
        print(f"error: {name}: {gone}; pin another version in {options.pins}", file=sys.stderr)
    return GONE if failed else 0


if __name__ == "__main__":
    sys.exit(main())
