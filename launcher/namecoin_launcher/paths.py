r"""Where things lie in a Tor Browser's tree, found from this package's place; paths that Windows takes at any length.

The package is in ``Browser\TorBrowser\Namecoin\app\namecoin_launcher``. State is in
``Browser\TorBrowser\Data\Namecoin`` and nowhere else.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

#: From here on Windows wants a prefix (260 is its limit), with room for the names of files below a folder.
_LONG = 150
#: Characters that a working folder may have, as a folder's path leaves room for a name of 8.3 (260 with the end).
LONGEST = 248
_PREFIX, _SHARE = "\\\\?\\", "\\\\?\\UNC\\"


@dataclass(frozen=True, slots=True)
class Paths:
    """``program`` has python and app, ``browser`` is the folder Browser, ``data`` has the state."""

    program: Path
    browser: Path
    data: Path

    @property
    def firefox(self) -> Path:
        return self.browser / ("firefox.exe" if sys.platform == "win32" else "firefox")

    @property
    def cookie(self) -> Path:
        """The file that opens tor's control port. Tor Browser has it here, before 16.0 and after."""
        return self.browser / "TorBrowser" / "Data" / "Tor" / "control_auth_cookie"

    @property
    def settings(self) -> Path:
        return self.data / "launcher.json"

    @property
    def lock(self) -> Path:
        return self.data / "lock"

    @property
    def log(self) -> Path:
        return self.data / "namecoin.log"


def find(data: str | None = None, package: Path = Path(__file__).parent) -> Paths:
    """The paths for the tree that ``package`` is in; ``data`` is another folder for the state."""
    program = Path(os.path.abspath(package)).parents[1]
    browser = program.parents[1]
    state = Path(os.path.abspath(data)) if data else browser / "TorBrowser" / "Data" / "Namecoin"
    return Paths(program, browser, Path(extended(state)))


def extended(path: str | os.PathLike[str], windows: bool = sys.platform == "win32") -> str:
    r"""An absolute path so that every Windows takes it, at any length: with ``\\?\`` in front where it is long."""
    text = os.fspath(path)
    if not windows or len(text) < _LONG or text.startswith(_PREFIX):
        return text
    text = text.replace("/", "\\")
    return f"{_SHARE}{text[2:]}" if text.startswith("\\\\") else f"{_PREFIX}{text}"


def plain(path: str | os.PathLike[str]) -> str:
    r"""A path without ``\\?\`` in front where every Windows takes it so: for other programs, and as working folder."""
    text = os.fspath(path)
    short = "\\\\" + text.removeprefix(_SHARE) if text.startswith(_SHARE) else text.removeprefix(_PREFIX)
    return short if len(short) < LONGEST else text


def make_data(paths: Paths) -> None:
    """Make the folder for state, for its owner only. Raises ``OSError``."""
    paths.data.parent.mkdir(parents=True, exist_ok=True)
    paths.data.mkdir(mode=0o700, exist_ok=True)
    if sys.platform != "win32":
        paths.data.chmod(0o700)
