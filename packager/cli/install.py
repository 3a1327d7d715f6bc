"""Commands on a Tor Browser's folder: install, uninstall."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from packager.cli.common import Context, json_option, packager, print_json

#: Paths of one kind that are shown.
_SHOWN = 20


@packager.command(
    epilog="""\b
Examples:
  packager install dist/electrum-nmc-4.0.6-windows-x86_64.tar.zst ~/"Tor Browser"
  packager install dist/electrum-nmc-4.0.6-windows-x86_64 /media/stick/tor-browser/Browser
  packager --json install electrum-nmc-4.0.6-windows-x86_64.zip tor-browser"""
)
@click.argument("archive", metavar="ARCHIVE", type=click.Path(path_type=Path))
@click.argument("tree", metavar="TOR_BROWSER_DIR", type=click.Path(path_type=Path))
@json_option
@click.pass_obj
def install(ctx: Context, archive: Path, tree: Path, as_json_here: bool) -> None:
    """Put a bundle of layout tor-browser into a Tor Browser's folder; adds files, changes none of the browser's.

    ARCHIVE is the .tar.zst, the .zip or the folder that `packager build` made. It is checked first, against the
    manifest and the sums beside it, if they are there, and against its own list of files. TOR_BROWSER_DIR has Browser
    in it, or is Browser; Tor Browser for Windows before and after 16.0. Another version of the bundle is replaced; what
    it has stored stays. Whatever goes wrong, the folder is as it was.
    """
    from packager.install import install as put

    done = put(archive, tree)
    if ctx.as_json or as_json_here:
        print_json({"installed": msgspec.to_builtins(done)})
        return
    for note in done.notes:
        ctx.reporter.note(note)
    amount = f"{done.files} files, {done.size / 1e6:.1f} MB"
    words = {
        "installed": f"{done.bundle} installed, {amount}",
        "replaced": f"{done.bundle} installed in place of {done.replaced}, {amount}",
        "unchanged": f"{done.bundle} is installed already; nothing was changed",
    }
    click.echo(f"{done.tree}: {words[done.action]}")
    _list("files of others, left where they were", done.left)


@packager.command(
    epilog="""\b
Examples:
  packager uninstall ~/"Tor Browser"
  packager uninstall --keep-state /media/stick/tor-browser
  packager --json uninstall tor-browser"""
)
@click.argument("tree", metavar="TOR_BROWSER_DIR", type=click.Path(path_type=Path))
@click.option("--keep-state", is_flag=True, help="Leave Browser/TorBrowser/Data/Namecoin, for a later version.")
@click.option("--force", is_flag=True, help="Also remove files of the bundle that were changed since.")
@json_option
@click.pass_obj
def uninstall(ctx: Context, tree: Path, keep_state: bool, force: bool, as_json_here: bool) -> None:
    """Take the bundle out of a Tor Browser's folder, which is then as it was before, byte for byte.

    Removed are the files in the bundle's own list, the folders that installing made, and what the bundle has stored.
    Where another program unpacked the bundle, Browser/TorBrowser/Docs and Docs/Licenses stay: nobody knows who made
    them. So do other people's files.
    """
    from packager.install import uninstall as take

    done = take(tree, keep_state=keep_state, force=force)
    if ctx.as_json or as_json_here:
        print_json({"uninstalled": msgspec.to_builtins(done)})
        return
    if done.action == "absent":
        kept = "; Browser/TorBrowser/Data/Namecoin is still there" if done.state == "kept" else ""
        click.echo(f"{done.tree}: no bundle is installed; nothing was changed{kept}")
        return
    state = {"removed": ", and what it had stored", "kept": "; what it had stored is kept", "none": ""}[done.state]
    click.echo(f"{done.tree}: {done.bundle} removed, {done.files} files{state}")
    _list("had been changed, removed", done.changed)
    _list("were not there", done.missing)
    _list("files of others, left where they were", done.left)


def _list(what: str, paths: Sequence[Any]) -> None:
    if paths:
        click.echo(f"  {what}:")
    for path in paths[:_SHOWN]:
        click.echo(f"    {path}")
    if len(paths) > _SHOWN:
        click.echo(f"    and {len(paths) - _SHOWN} more (--json lists all)")
