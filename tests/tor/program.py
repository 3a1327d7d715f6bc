"""Where the tor program comes from: this machine's, or Debian's packages, unpacked and not installed.

Installing Debian's package may start a tor that goes out to the internet, which no test may.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

#: What Debian calls the packages of libraries that tor wants and a machine may lack: by the start of a file's name.
_PACKAGES = {"libevent-": "libevent-2.1-7", "libseccomp": "libseccomp2", "libzstd": "libzstd1", "libcap": "libcap2"}
#: Renamed for 64-bit time in Debian 13.
_RENAMED = {"libevent-2.1-7": "libevent-2.1-7t64"}


class MissingError(Exception):
    """Tor cannot be had here; the text says why."""


@dataclass(frozen=True, slots=True)
class Tor:
    """The programs ``tor`` and ``tor-gencert``; ``libraries`` is a folder for those that the machine lacks."""

    tor: Path
    gencert: Path
    libraries: Path | None = None

    @property
    def env(self) -> dict[str, str]:
        """The environment to run them with."""
        return {**os.environ, **({"LD_LIBRARY_PATH": str(self.libraries)} if self.libraries else {})}


@functools.cache
def find() -> Tor:
    """The programs; downloads them on first use where they are not installed. Raises :class:`MissingError`."""
    tor, gencert = shutil.which("tor"), shutil.which("tor-gencert")
    if tor and gencert:
        return Tor(Path(tor), Path(gencert))
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(os.environ.get("PACKAGER_STORE") or cache / "electrum-packager") / "test-tor"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=folder.parent))
        try:
            _unpack("tor", made)
            for library in _missing(made / "usr/bin/tor"):
                _unpack(_package(library), made)
            made.chmod(0o755)
            made.rename(folder)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    return _unpacked(folder)


def _unpacked(folder: Path) -> Tor:
    libraries = next((path.parent for path in sorted(folder.glob("usr/lib/*/libevent-*.so*"))), None)
    found = Tor(folder / "usr/bin/tor", folder / "usr/bin/tor-gencert", libraries)
    try:
        subprocess.run([found.tor, "--version"], env=found.env, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as exc:
        raise MissingError(f"{found.tor}: Debian's tor does not run here: {exc}; remove {folder}") from None
    return found


def _unpack(package: str, dest: Path) -> None:
    """Download one package with apt, from whatever mirror the machine has, and unpack it into ``dest``."""
    names = list(filter(None, (package, _RENAMED.get(package))))
    download = ["download", "-o", "APT::Sandbox::User=root"]
    # A machine whose lists of packages are old, or not there, gets them first.
    attempts = [[*download, name] for name in names] + [["update"]] + [[*download, name] for name in names]
    with tempfile.TemporaryDirectory() as folder:
        try:
            for arguments in attempts:
                done = subprocess.run(
                    ["apt-get", "-q", *arguments], cwd=folder, capture_output=True, text=True, timeout=300, check=False
                )
                if files := list(Path(folder).glob("*.deb")):
                    subprocess.run(["dpkg-deb", "-x", files[0], dest], check=True, capture_output=True)
                    return
        except (OSError, subprocess.SubprocessError) as exc:
            raise MissingError(f"no tor on this machine, and its package cannot be had: {exc}") from None
    said = (done.stderr.strip().splitlines() or ["apt-get said nothing"])[-1]
    raise MissingError(f"no tor on this machine, and apt has none: {said}; apt-get install tor")


def _missing(program: Path) -> list[str]:
    """The shared libraries that the machine has not."""
    said = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    return re.findall(r"^\s*(\S+) => not found", said, re.MULTILINE)


def _package(library: str) -> str:
    for start, package in _PACKAGES.items():
        if library.startswith(start):
            return package
    raise MissingError(f"tor wants {library}, which this machine lacks: apt-get install tor")
