"""Bundles built for real, once a session; everything here is marked ``integration``."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from packager.layout import Layout, layout_in
from tests import corpus

ROOT = Path(__file__).parents[2]
#: What a project on disk consists of, for tests that change a copy of it.
PROJECT = ("bundle_specs", "patches", "launcher", "LICENSE")
#: The DLLs of external libraries in python/DLLs.
LIBRARIES = ("libcrypto-3.dll", "libssl-3.dll", "sqlite3.dll")


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Everything in this folder builds, runs Wine or uses package mirrors."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.integration)


def packager(
    *arguments: str | Path,
    cwd: Path = ROOT,
    env: dict[str, str] | None = None,
    stdin: bytes = b"",
    prefix: Sequence[str] = (),
    timeout: float = 1500,
) -> subprocess.CompletedProcess[bytes]:
    """Run the command line as a user would, in a process of its own."""
    return subprocess.run(
        [*prefix, sys.executable, "-m", "packager", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
        input=stdin,
        capture_output=True,
        timeout=timeout,
        check=False,
    )


@contextlib.contextmanager
def packager_running(*arguments: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    """The command line, running in the background, silent, and ended at the latest when the block is left."""
    started = subprocess.Popen(
        [sys.executable, "-m", "packager", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield started
    finally:
        if started.poll() is None:
            started.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                started.wait(30)
            started.kill()
        started.wait()


@pytest.fixture(scope="session")
def corpus_folder() -> Path:
    """The corpus of real files, completed by download; skipped when the package index does not answer."""
    folder = corpus.default_folder()
    made = corpus.make(folder)
    if made.returncode == corpus.UNREACHABLE:
        pytest.skip(made.stderr.strip())
    assert made.returncode in (0, corpus.INCOMPLETE), made.stdout + made.stderr
    for line in made.stderr.splitlines():
        warnings.warn(line, stacklevel=1)
    return folder


def copy_project(dest: Path) -> Path:
    """A project to change: specs, patches and launcher sources of this one."""
    dest.mkdir(parents=True)
    for name in PROJECT:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, dest / name)
        else:
            shutil.copy(source, dest / name)
    return dest


@dataclass(frozen=True)
class BuiltBundle:
    """A bundle that was built: its folder, and what `build --json` said."""

    folder: Path
    out: Path
    document: dict[str, Any]

    @property
    def layout(self) -> Layout:
        """Where its parts lie in the folder."""
        found = layout_in(self.folder)
        assert found is not None
        return found

    def run(self, *arguments: str | Path, python: bool = False, **options: Any) -> subprocess.CompletedProcess[bytes]:
        """Run its entry point, or its python, through `packager run`."""
        switches = ["--python"] if python else []
        return packager("run", *switches, *options.pop("switches", ()), self.folder, "--", *arguments, **options)

    def output(self, *arguments: str | Path, **options: Any) -> str:
        """The same, for commands that must succeed: what they print, with Unix line ends."""
        done = self.run(*arguments, **options)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().replace("\r\n", "\n")


def no_git(done: subprocess.CompletedProcess[bytes], what: str) -> str | None:
    """Why ``what`` could not be had, if it was for its git repository, in git's words."""
    said = done.stderr.decode()
    if done.returncode != 3 or "git https://" not in said:
        return None
    return f"the git repository of {what} cannot be reached from here: {said.strip().splitlines()[-2].strip()}"


@functools.cache
def _built(spec: str, out: Path, project: Path = ROOT, target: str = "windows-x86_64") -> BuiltBundle | str:
    done = packager("--json", "build", spec, "--target", target, "--out", out, cwd=project, timeout=3000)
    reason = no_git(done, spec)
    if reason is not None:
        return reason
    assert done.returncode == 0, done.stderr.decode()
    document = json.loads(done.stdout)["built"][0]
    return BuiltBundle(Path(document["folder"]), out, document)


@pytest.fixture(scope="session")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The session's output folder."""
    return tmp_path_factory.mktemp("dist")


@pytest.fixture(scope="session")
def electrum(out: Path) -> BuiltBundle:
    """The bundle ``electrum``."""
    built = _built("electrum", out)
    assert isinstance(built, BuiltBundle), built
    return built


@pytest.fixture(scope="session")
def electrum_linux(out: Path) -> BuiltBundle:
    """The bundle ``electrum`` for Linux."""
    built = _built("electrum", out, target="linux-x86_64")
    assert isinstance(built, BuiltBundle), built
    return built


def _built_or_skip(spec: str, out: Path) -> BuiltBundle:
    built = _built(spec, out)
    if isinstance(built, str):
        pytest.skip(built)
    return built


@pytest.fixture(scope="session")
def electrum_nmc(out: Path) -> BuiltBundle:
    """The bundle ``electrum-nmc``; skipped where its repository cannot be reached."""
    return _built_or_skip("electrum-nmc", out)


@pytest.fixture(scope="session")
def electrum_nmc_wallet(out: Path) -> BuiltBundle:
    """The bundle ``electrum-nmc-wallet``; skipped where its repository cannot be reached."""
    return _built_or_skip("electrum-nmc-wallet", out)


#: What of Electrum's spec names the interpreter, and what it is with another version.
ON_3_12 = (
    ('interpreter = "cpython"', 'interpreter = "cpython-3.12"'),
    ('component = "pycryptodomex"', 'component = "pycryptodomex-3.12"'),
    ('path = "python/Lib/_android_support.pyc"', 'path = "python/DLLs/_msi.pyd"'),
    ('reason = "for Android"', 'reason = "makes installers"'),
    ('path = "python/Lib/_apple_support.pyc"', 'path = "python/Lib/msilib/**"'),
    ('reason = "for iOS and macOS"', 'reason = "makes installers"'),
    ('path = "python/Lib/_ios_support.pyc"', 'path = "python/Lib/pipes.pyc"'),
    ('reason = "for iOS"', 'reason = "for Unix shells"'),
)

#: What aiohttp and aiosignal want up to 3.12.
MORE_ON_3_12 = """
[[packages]]
name = "typing-extensions"
version = "4.15.0"
[[packages.wheels]]
name = "typing_extensions-4.15.0-py3-none-any.whl"
path = "wheels/typing_extensions-4.15.0-py3-none-any.whl"
size = 44614
hashes.sha256 = "f0fa19c6845758ab08074a0cfa8b7aecb71c999ca73d62883bc25cc018c4e548"
"""


@pytest.fixture(scope="session")
def electrum_3_12(out: Path, tmp_path_factory: pytest.TempPathFactory) -> BuiltBundle:
    """The bundle ``electrum`` with another version of CPython; skipped where its repository cannot be reached."""
    project = copy_project(tmp_path_factory.mktemp("project") / "project")
    specs = project / "bundle_specs"
    spec, pylock = specs / "electrum.toml", specs / "locks/pylock.electrum.toml"
    text = spec.read_text()
    for old, new in ON_3_12:
        assert f"{old}\n" in text, old
        text = text.replace(f"{old}\n", f"{new}\n")
    spec.write_text(text)
    locked = pylock.read_text().replace('requires-python = "==3.13.*"', 'requires-python = "==3.12.*"')
    pylock.write_text(locked + MORE_ON_3_12)
    (specs / "locks/electrum.toml").unlink()  # its sums are those of the other interpreter
    built = _built("electrum", out / "3.12", project)
    if isinstance(built, str):
        pytest.skip(built)
    return built


@pytest.fixture(params=["electrum", "electrum_3_12"])
def interpreter(request: pytest.FixtureRequest) -> BuiltBundle:
    """Electrum's bundle on each version of CPython in turn."""
    found: BuiltBundle = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=["electrum", "electrum_nmc", "electrum_nmc_wallet"])
def bundle(request: pytest.FixtureRequest) -> BuiltBundle:
    """Each of the bundles in turn."""
    found: BuiltBundle = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="session")
def store() -> Path:
    """The store that the session's bundles are built in."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("PACKAGER_STORE") or cache / "electrum-packager")
