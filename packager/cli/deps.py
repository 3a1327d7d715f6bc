"""The command deps: which DLLs and functions programs need, and where Windows would find each."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from packager.cli.common import Context, json_option, packager
from packager.errors import CheckError, SpecError

if TYPE_CHECKING:
    from packager.deps.model import Graph
    from packager.deps.text import Line, Style


@packager.command(
    "deps",
    epilog="""\b
Examples:
  packager deps dist/electrum-4.3.4-windows-x86_64
  packager deps some.exe --search some/folder --format list
  packager deps python/DLLs/_ssl.pyd --why crypt32.dll
  packager deps dist/electrum-4.3.4-windows-x86_64 --format html --output deps.html""",
)
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(["tree", "list", "json", "dot", "html"]),
    default="tree",
    show_default=True,
    help="How to show it; json's schema is docs/schema/deps.schema.json.",
)
@click.option(
    "--search",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    multiple=True,
    metavar="DIR",
    help="A further folder that the program adds to its search path.",
)
@click.option("--depth", type=click.IntRange(0), help="Show the tree only this deep.")
@click.option("--why", metavar="DLL", help="Show who needs this DLL, up to the programs.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file, not to stdout.")
@json_option
@click.pass_obj
def deps(
    ctx: Context,
    paths: tuple[Path, ...],
    form: str,
    search: tuple[Path, ...],
    depth: int | None,
    why: str | None,
    output: Path | None,
    as_json_here: bool,
) -> None:
    """Which DLLs and functions programs need, and where Windows would find each; exit 1 when something is missing.

    PATH is a PE file, a folder, or a bundle. What the files have is certain; what Windows has rests on data about some
    version of Windows; what is loaded at run time is guessed from names in the files, and never makes the exit code 1.
    """
    from packager.deps import windows
    from packager.deps.graph import analyse

    if ctx.as_json or as_json_here:
        form = "json"
    if why is not None and form != "tree":
        raise SpecError(f"--why: expected it without --format, found {form}")
    graph = analyse(list(paths), windows.load(), list(search))
    text = _rendered(graph, form, depth, why, colour=output is None)
    if output is not None:
        output.write_bytes(click.unstyle(text).encode() if form in ("tree", "list") else text.encode())
    else:
        click.echo(text, nl=False)
    if not graph.ok:
        errors = [finding for finding in graph.findings if finding.severity == "error"]
        first = errors[0]
        raise CheckError(f"{len(errors)} error{'s' * (len(errors) > 1)}, the first: {first.file}: {first.message}")


def _rendered(graph: Graph, form: str, depth: int | None, why: str | None, *, colour: bool) -> str:
    from packager.deps import document, dot, listing, tree
    from packager.deps.text import plain

    if form == "json":
        return document.encode(graph).decode()
    if form == "dot":
        return plain(dot.dot(graph))
    if form == "html":
        from packager.deps import html

        return html.page(graph).decode()
    lines: list[Line] = []
    if why is not None:
        lines += tree.why(graph, why, depth)
    elif form == "list":
        lines += listing.listing(graph)
    else:
        lines += tree.tree(graph, depth)
    if why is None:
        for part in (listing.plants(graph), listing.runtime(graph), listing.findings(graph)):
            some = list(part)
            lines += [(("", ""),), *some] if some else []
        lines += [(("", ""),), *listing.summary(graph)]
    return _styled(lines) if colour else plain(lines)


def _style(text: str, style: Style) -> str:
    match style:
        case "name" | "head":
            return click.style(text, bold=True)
        case "dim":
            return click.style(text, dim=True)
        case "bad":
            return click.style(text, fg="red")
        case "warn":
            return click.style(text, fg="yellow")
    return text


def _styled(lines: Iterable[Line]) -> str:
    """With colours; click takes them out again where stdout is no terminal."""
    return "".join("".join(_style(text, style) for text, style in line) + "\n" for line in lines)
