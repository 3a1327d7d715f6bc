"""Make bundle_specs/windows/windows.data, what ``packager deps`` knows of Windows, out of public sources.

Usage: python -m scripts.make_windows_data [--store DIR] [--offline] [--check] [--out FILE] [NAME=PATH...]

The sources, pinned by their hashes in bundle_specs/windows/sources.toml, are fetched into the store unless NAME=PATH
gives an archive or unpacked folder of one (another version of it, say). ``--check`` writes nothing and exits 1 where
the file would change.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from packager.console import ConsoleReporter
from packager.deps.windows import DATA_FILE
from packager.errors import PackagerError, SpecError
from packager.progress import Reporter
from packager.sources.fetch import SourceStore, fetch
from scripts.windows_data import archive, collect, curated
from scripts.windows_data.merge import Inputs, merge
from scripts.windows_data.pack import pack

FOLDER = Path(__file__).resolve().parents[1] / "bundle_specs" / "windows"


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0, 1 where ``--check`` finds a difference, or an error's own."""
    parser = argparse.ArgumentParser(prog="make_windows_data", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--store", type=Path, default=_store(), help="where sources are kept  [default: packager's]")
    parser.add_argument("--offline", action="store_true", help="use the store only")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where the file would change")
    parser.add_argument("--specs", type=Path, default=FOLDER, help="the folder of the TOML files")
    parser.add_argument("--out", type=Path, help="the data file  [default: windows.data in that folder]")
    parser.add_argument("given", nargs="*", metavar="NAME=PATH", help="an archive or folder to use for a source")
    options = parser.parse_args(argv)
    reporter = ConsoleReporter()
    try:
        return _run(options, reporter)
    except PackagerError as exc:
        reporter.error(str(exc))
        return exc.exit_code


def _store() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("PACKAGER_STORE") or cache / "electrum-packager")


def _run(options: argparse.Namespace, reporter: Reporter) -> int:
    decided = curated.read(options.specs)
    given = dict(text.split("=", 1) if "=" in text else (text, "") for text in options.given)
    paths = _paths(decided.sources, given, SourceStore(options.store), reporter, offline=options.offline)
    data = pack(merge(read_sources(paths), decided))
    out: Path = options.out or options.specs / DATA_FILE.name
    if options.check:
        same = out.is_file() and out.read_bytes() == data
        print(f"{out}: {'as it would be made' if same else 'would change'}")
        return 0 if same else 1
    out.write_bytes(data)
    print(f"{out}: {len(data):,} bytes")
    return 0


def _paths(
    sources: curated.Sources, given: Mapping[str, str], store: SourceStore, reporter: Reporter, *, offline: bool
) -> dict[str, Path]:
    """Where each source lies; fetched unless it is given."""
    names = [origin.name for origin in sources.sources]
    if wrong := [name for name, path in given.items() if name not in names or not Path(path).exists()]:
        raise SpecError(f"{wrong[0]}: expected {'=PATH, '.join(names)}=PATH, found {wrong[0]}={given[wrong[0]]}")
    found = {}
    for origin in sources.sources:
        if origin.name in given:
            found[origin.name] = Path(given[origin.name])
            reporter.note(f"{origin.name}: using {given[origin.name]}, which need not be version {origin.version}")
        else:
            fetched = fetch(origin.source, store=store, keyrings=FOLDER, reporter=reporter, offline=offline)
            found[origin.name] = fetched.path
    return found


def read_sources(paths: Mapping[str, Path]) -> Inputs:
    """What the archives or folders say. Raises SourceError or BuildError where one is not as expected."""
    dlls, api_sets = collect.wine(archive.texts(paths["wine"], collect.wine_wanted))
    mingw = archive.texts(paths["mingw-w64"], collect.mingw_wanted)
    return Inputs(
        wine=dlls,
        mingw=collect.mingw(mingw),
        api_sets=api_sets,
        listed=collect.delvewheel(archive.texts(paths["delvewheel"], collect.delvewheel_wanted)),
        headers=tuple(collect.headers(mingw)),
    )


if __name__ == "__main__":
    sys.exit(main())
