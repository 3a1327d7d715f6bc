"""Where the parts of a bundle lie: at its top, or below a Tor Browser's folder.

Specs, prune rules and the normaliser know one form, the portable one (``bundle.json`` at the top, licence texts in
``licenses/``). A layout says where each path of that form goes in what is published; :func:`packager.stage.place` moves
the files once, when the tree is pruned.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType

#: The file that describes a bundle, and the folder of its licence texts, in the portable form.
DESCRIPTION = "bundle.json"
LICENCES = "licenses"


@dataclass(frozen=True, slots=True)
class Layout:
    """One layout; all paths are relative to what is published, with ``/``.

    ``program`` is the folder of ``bundle.json`` and the programs (empty: the top), ``licences`` that of the licence
    texts. ``wrapped``: archives hold everything in one folder of the bundle's title. ``host`` is the folder of the
    program that the bundle is put into, which it never makes; ``state`` is what its programs write at run time, and
    ``writable`` the folder of ``host`` that this lies in. All three are None where a bundle stands alone.
    """

    name: str
    program: str
    licences: str
    wrapped: bool
    host: str | None = None
    state: str | None = None
    writable: str | None = None

    @property
    def bundle_file(self) -> str:
        """Where ``bundle.json`` lies."""
        return self.place(DESCRIPTION)

    @property
    def top(self) -> str:
        """The one folder that everything lies in; empty where there is none."""
        return self.program.partition("/")[0]

    @property
    def shared(self) -> frozenset[str]:
        """The folders above the bundle's own two, which may be there already."""
        own = (PurePosixPath(folder) for folder in (self.program, self.licences))
        return frozenset(str(above) for folder in own for above in folder.parents if above.name)

    def place(self, path: str) -> str:
        """The published path of a file, given that of the portable form."""
        if path.startswith(f"{LICENCES}/"):
            return self.licences + path.removeprefix(LICENCES)
        return f"{self.program}/{path}" if self.program else path

    def licence_folder(self, source: str) -> str:
        """The folder of a source's licence texts, with a ``/`` at its end."""
        return f"{self.licences}/{source}/"

    def owns(self, path: str) -> bool:
        """Whether a path lies in one of the two folders that are the bundle's own; never so at the top."""
        return any(path.startswith(f"{folder}/") for folder in (self.program, self.licences) if folder)


PORTABLE = Layout("portable", "", LICENCES, wrapped=True)
TOR_BROWSER = Layout(
    "tor-browser",
    "Browser/TorBrowser/Namecoin",
    "Browser/TorBrowser/Docs/Licenses/Namecoin",
    wrapped=False,
    host="Browser/TorBrowser",
    state="Browser/TorBrowser/Data/Namecoin",
    writable="Browser/TorBrowser/Data",
)
#: By the name that a bundle spec gives.
LAYOUTS: Mapping[str, Layout] = MappingProxyType({layout.name: layout for layout in (PORTABLE, TOR_BROWSER)})


def layout_of(paths: Iterable[str]) -> Layout:
    """The layout of a bundle's files: ``tor-browser`` if any of ``paths`` is in its program folder."""
    return TOR_BROWSER if any(path.startswith(f"{TOR_BROWSER.program}/") for path in paths) else PORTABLE


def layout_in(folder: Path) -> Layout | None:
    """The layout of the bundle in ``folder`` by where its ``bundle.json`` is; None if there is none."""
    for layout in (PORTABLE, TOR_BROWSER):
        if (folder / layout.bundle_file).is_file():
            return layout
    return None
