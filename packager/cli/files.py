"""Commands on files of any origin: normalise, diff."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, cast

import click

from packager.cli.common import Context, epoch_of, json_option, packager, print_json
from packager.console import ConsoleReporter
from packager.errors import CheckError, PackagerError, SpecError


@packager.command(
    epilog="Examples: packager normalise a.exe b.dll;  packager normalise --check dist/electrum-4.3.4-windows-x86_64;  "
    "packager normalise --output-dir out --signed strip setup.exe"
)
@click.argument("paths", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@click.option(
    "--output-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write the results there; the files stay as they are.",
)
@click.option(
    "--epoch",
    type=click.IntRange(0, 0xFFFFFFFF),
    help="The time to stamp, in seconds since 1970 (PE and zip files).  [default: $SOURCE_DATE_EPOCH, else 1735689600]",
)
@click.option("--check", is_flag=True, help="Change nothing; exit 1 if anything would change.")
@click.option(
    "--signed",
    type=click.Choice(["keep", "refuse", "strip"]),
    default="refuse",
    show_default=True,
    help="What to do with signed PE files.",
)
@click.option(
    "--symbols",
    type=click.Choice(["keep", "strip"]),
    default="keep",
    show_default=True,
    help="What to do with the COFF symbol tables of PE files.",
)
@click.option("--pad", is_flag=True, help="Pad PE files to a multiple of 8 bytes, as signing would.")
@click.option(
    "--jobs",
    type=click.IntRange(1),
    default=len(os.sched_getaffinity(0)),
    help="Processes at once.  [default: the machine's cores]",
)
@json_option
@click.pass_obj
def normalise(
    ctx: Context,
    paths: tuple[Path, ...],
    output_dir: Path | None,
    epoch: int | None,
    check: bool,
    signed: str,
    symbols: str,
    pad: bool,
    jobs: int,
    as_json_here: bool,
) -> None:
    """Set what tells when and where a file was made to fixed values, in place, and nothing else.

    PE files (programs, DLLs), libraries (.a, .lib), COFF objects, .pyc, zip archives (.whl, .jar) and gzip files; of a
    folder, all of these in it. docs/reproducibility.md lists every field.
    """
    from packager import normalise as files
    from packager.pe.normalise import Signed, Symbols

    if check and output_dir is not None:
        raise SpecError("--check and --output-dir: expected one of them, found both")
    reports = []
    counts = {"unchanged": 0, "changed": 0, "failed": 0}
    as_json = ctx.as_json or as_json_here
    named = {str(path) for path in paths}
    for report in files.normalise_paths(
        paths,
        files.Options(epoch_of(epoch), cast(Signed, signed), cast(Symbols, symbols), pad),
        output_dir=output_dir,
        check=check,
        jobs=jobs,
    ):
        counts[report.status] += 1
        if as_json:
            reports.append(report)
        elif report.status != "unchanged" or report.path in named or ctx.reporter.verbose:
            _print_report(report, ctx.reporter, check=check)
    total = sum(counts.values())
    if as_json:
        print_json({"files": [files.to_json(report) for report in reports]})
    elif total != 1 and not ctx.reporter.quiet:
        done = "would change" if check else "normalised"
        click.echo(f"{total} files: {counts['unchanged']} unchanged, {counts['changed']} {done}")
    if counts["failed"]:
        raise PackagerError(f"{counts['failed']} of {total} files could not be normalised")
    if check and counts["changed"]:
        raise CheckError(f"{counts['changed']} of {total} files would change", hint="run it without --check")


#: Changes of one file that are shown; an archive has one for each member.
_SHOWN_CHANGES = 20


def _print_report(report: Any, reporter: ConsoleReporter, *, check: bool) -> None:
    from packager.changes import show_bytes

    if report.status == "failed":
        reporter.error(str(report.error))
        return
    words = {"unchanged": "unchanged", "changed": "would change" if check else "normalised"}
    click.echo(f"{report.path}: {words[report.status]}")
    shown = report.changes if reporter.verbose else report.changes[:_SHOWN_CHANGES]
    for change in shown:
        before, after = show_bytes(change.before), show_bytes(change.after)
        click.echo(f"  {change.field} at {change.offset:#x}: {before or 'nothing'} -> {after or 'nothing'}")
    if len(shown) < len(report.changes):
        click.echo(f"  … {len(report.changes) - len(shown)} more fields: -v shows them")
    for note in report.notes:
        click.echo(f"  {note}")


@packager.command(
    epilog="""\b
Examples:
  packager diff old.exe new.exe
  packager diff dist/electrum-4.3.4-windows-x86_64 other/electrum-4.3.4-windows-x86_64.tar.zst
  packager --json diff a.zip b.zip"""
)
@click.argument("a", metavar="A", type=click.Path(path_type=Path))
@click.argument("b", metavar="B", type=click.Path(path_type=Path))
@click.option("--all", "everything", is_flag=True, help="Show every difference, not a screenful.")
@json_option
@click.pass_obj
def diff(ctx: Context, a: Path, b: Path, everything: bool, as_json_here: bool) -> None:
    """What differs between two files, folders or archives, down to the field of a PE file or a .pyc; exit 1 if anything
    does."""
    from packager.diff import render
    from packager.diff.compare import compare

    differences = compare(a, b)
    if ctx.as_json or as_json_here:
        print_json(render.document(a, b, differences))
    else:
        limit = None if everything else render.SCREEN
        click.echo(render.text(differences, limit=limit, name=a.name), nl=False)
        if not differences and not ctx.reporter.quiet:
            click.echo(f"{a} and {b}: no difference")
    if differences:
        raise click.exceptions.Exit(CheckError.exit_code)
