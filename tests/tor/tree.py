"""A Tor Browser's folder for Windows, with a stand-in for the browser, and the launcher in it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import stem

from tests.integration import programs

ROOT = Path(__file__).parents[2]
PROGRAM = "Browser/TorBrowser/Namecoin"
DATA = "Browser/TorBrowser/Data/Namecoin"
NAMECOIN, START, FIREFOX = "namecoin.exe", "Start Tor Browser with Namecoin.exe", "firefox.exe"
#: Stands in for the browser: it runs until there is a file named by its first argument, or for good without one.
_FIREFOX = """
#include <windows.h>
int wmain(int count, wchar_t **arguments)
{
    while (count < 2 || GetFileAttributesW(arguments[1]) == INVALID_FILE_ATTRIBUTES)
        Sleep(50);
    return 7;
}
"""
_CONFIG = """
#define STUB_NAME "{name}"
#define STUB_MODULE "{module}"
#define STUB_PYTHON "python313"
#define STUB_DESCRIPTION "A stub"
#define STUB_PRODUCT "electrum-nmc"
#define STUB_VERSION "4.0.6"
#define STUB_VERSION_WORDS 4,0,6,0
#define STUB_WINDOWLESS 1
"""
_BUILD = """
flags="$CFLAGS -std=c11 -municode"
$TRIPLET-gcc $flags -mwindows firefox.c -o /build/out/firefox.exe $LDFLAGS
$TRIPLET-windres -c 65001 -O coff stub.rc stub.res.o
for name in namecoin start; do
    cp $name.h config.h
    $TRIPLET-gcc $flags -mwindows stub.c stub.res.o -o /build/out/$name.exe $LDFLAGS -Wl,--stack,8000000
done
"""


@dataclass(frozen=True, slots=True)
class Tree:
    """A Tor Browser's top folder with the launcher in it."""

    top: Path

    @property
    def program(self) -> Path:
        return self.top / PROGRAM

    @property
    def data(self) -> Path:
        return self.top / DATA

    @property
    def browser(self) -> Path:
        return self.top / "Browser"

    def configure(self, **settings: object) -> None:
        """Write ``launcher.json``."""
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.data / "launcher.json").write_text(json.dumps(settings))

    def files(self) -> dict[str, tuple[int, int]]:
        """Every file and folder with its size and time, as a snapshot."""
        return {
            str(path.relative_to(self.top)): (path.lstat().st_size if path.is_file() else 0, path.lstat().st_mtime_ns)
            for path in sorted(self.top.rglob("*"))
        }


def _browser(top: Path) -> None:
    """What is in a Tor Browser's folder before, in part."""
    tor = top / "Browser/TorBrowser/Data/Tor"
    tor.mkdir(parents=True)
    (tor / "torrc").write_text("# the user's\n")
    (top / "Browser/TorBrowser/Tor").mkdir()
    (top / "Browser/TorBrowser/Tor/torrc-defaults").write_text("CookieAuthentication 1\n")


def _packages(app: Path) -> None:
    for package in (
        ROOT / "launcher/namecoin_launcher",
        ROOT / "launcher/namecoin_resolver",
        Path(stem.__file__).parent,
    ):
        shutil.copytree(package, app / package.name, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)


def native(top: Path) -> Tree:
    """A tree whose launcher runs on this system, by an interpreter from elsewhere."""
    _browser(top)
    _packages(top / PROGRAM / "app")
    return Tree(top)


def windows(top: Path, bundle: Path, store: Path, work: Path) -> Tree:
    """A tree with the bundle in ``bundle``.

    A folder with ``Browser`` in it is a bundle as it is unpacked; any other one is put where it belongs, with the
    launcher of this repository if it has none.
    """
    _browser(top)
    compiled = _compiled(store, work)
    shutil.copy(compiled / "firefox.exe", top / "Browser" / FIREFOX)
    if (bundle / "Browser").is_dir():
        shutil.copytree(bundle, top, dirs_exist_ok=True)
        return Tree(top)
    program = top / PROGRAM
    shutil.copytree(bundle, program)
    if not (program / NAMECOIN).exists():
        _packages(program / "app")
        shutil.copy(compiled / "namecoin.exe", program / NAMECOIN)
        shutil.copy(compiled / "start.exe", program / START)
    return Tree(top)


def _compiled(store: Path, work: Path) -> Path:
    sources = sorted((ROOT / "launcher").glob("stub.*"))
    texts: Mapping[str, str] = {
        "firefox.c": _FIREFOX,
        "namecoin.h": _CONFIG.format(name="namecoin", module="namecoin_launcher"),
        "start.h": _CONFIG.format(name="Start Tor Browser with Namecoin", module="namecoin_launcher.start"),
        # The resource is compiled once.
        "config.h": _CONFIG.format(name="namecoin", module="namecoin_launcher"),
    }
    return programs.compile_programs(store, sources, texts, _BUILD, work)
