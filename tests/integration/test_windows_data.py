"""windows.data follows from its sources, and holds against what others make of the same sources."""

from __future__ import annotations

from pathlib import Path

import pytest

from packager.deps import windows
from packager.errors import PEError
from packager.pe.imports import read_image
from packager.progress import Silent
from packager.store import Store
from packager.wineroot import ROOT, get_wine
from scripts import make_windows_data

#: Where Debian puts the DLLs that Wine's build made of the spec files.
BUILT = "usr/lib/x86_64-linux-gnu/wine/x86_64-windows"


def test_the_shipped_file_is_what_its_sources_make(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert make_windows_data.main(["--check", "--store", str(store)]) == 0, capsys.readouterr().out


def test_every_export_of_wines_built_dlls_is_known(store: Path) -> None:
    """The spec files were read as Wine's own build reads them; only Wine's own names are left out."""
    told = windows.load()
    opened = Store.open(store, Silent())
    get_wine(opened, Silent())
    root = opened.find(ROOT.key)
    assert root is not None
    dlls, names, lacking = 0, 0, set()
    for path in sorted((root.tree / BUILT).iterdir()):
        exports = told.exports(path.name.lower(), "x86_64")
        if exports is None:
            continue
        try:
            image = read_image(path.read_bytes())
        except PEError:
            continue  # 16-bit modules
        dlls += 1
        for export in image.exports:
            if export.name is None:
                known = exports.has_ordinal(export.ordinal)
            elif export.name.lstrip("_").startswith("wine_"):
                continue
            else:
                known = exports.has_name(export.name)
            names += 1
            if known is not True:
                lacking.add(f"{path.name}: {export.name or export.ordinal}")
    print(f"{names:,} exports of {dlls} of Wine's DLLs looked up, {len(lacking)} not known")
    assert dlls > 500 and names > 80_000
    assert lacking == set()
