"""Small Windows programs that tests compile with the bundles' own toolchain, and the Wine to run them in."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path, PureWindowsPath

from packager import buildroot, components, process, wine, wineroot
from packager.progress import Silent
from packager.sandbox import OUT, SRC, Sandbox
from packager.specs import load
from packager.store import Store
from tests.integration.conftest import ROOT

DATA = Path(__file__).parent / "data"


@functools.cache
def _toolchain(store: Path) -> tuple[Path, Mapping[str, str]]:
    project = load.find_project(ROOT)
    name = components.TOOLCHAINS["windows-x86_64"]
    toolchain = load.load_toolchain(project, name)
    root = buildroot.toolchain_root(toolchain, load.load_toolchain_lock(project, name))
    entry, _ = buildroot.make_root(root, Store.open(store, Silent()), Silent(), offline=False)
    variables = {
        "CFLAGS": " ".join(toolchain.cflags),
        "LDFLAGS": " ".join(toolchain.ldflags),
        "TRIPLET": toolchain.triplet,
    }
    return entry.tree, variables


def compile_programs(store: Path, sources: Sequence[Path], texts: Mapping[str, str], script: str, work: Path) -> Path:
    """Run ``script`` in the build root on copies of ``sources`` and on ``texts``; returns the folder of its results."""
    root, variables = _toolchain(store)
    src, out = work / "src", work / "out"
    src.mkdir(parents=True)
    out.mkdir()
    for source in sources:
        shutil.copy(source, src)
    for name, text in texts.items():
        (src / name).write_text(text, "utf-8")
    box = Sandbox(root, writable={SRC: src, OUT: out}, env=variables)
    box.run(["bash", "-euc", script], what="compiling for a test", log=work / "log", reporter=Silent())
    return out


@functools.cache
def engine(store: Path) -> wine.Wine:
    """The Wine of the session's store."""
    return wineroot.get_wine(Store.open(store, Silent()), Silent())


def run(store: Path, folder: Path, program: str, *arguments: str, cwd: Path, **env: str) -> process.Result:
    """Run a program anywhere under ``folder``, which need not be a bundle; ``cwd`` is its working folder."""
    job = wine.Run(folder, PureWindowsPath(program), arguments, cwd, env=env)
    return process.call(wine.run_argv(engine(store), job, wine.this_host()), timeout=120)


def describe(folder: Path, **programs: bool) -> None:
    """Make ``folder`` a bundle of these programs; True for one with a console."""
    points = [{"name": name, "path": f"{name}.exe", "console": console} for name, console in programs.items()]
    document = {"name": folder.name, "version": "1", "target": "windows-x86_64", "entry_points": points}
    (folder / "bundle.json").write_text(json.dumps({**document, "python": points[0]["path"]}))
