"""Commands on files of any origin: normalise."""

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
    help="The time to stamp, in seconds since 1970.  [default: $SOURCE_DATE_EPOCH, else 1735689600]",
)
@click.option("--check", is_flag=True, help="Change nothing; exit 1 if anything would change.")
@click.option(
    "--signed",
    type=click.Choice(["keep", "refuse", "strip"]),
    default="refuse",
    show_default=True,
    help="What to do with signed files.",
)
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
    jobs: int,
    as_json_here: bool,
) -> None:
    """Set the stamps of PE files to one time and renew their checksums, in place; folders are taken recursively."""
    from packager import normalise as files
    from packager.pe.normalise import Signed

    if check and output_dir is not None:
        raise SpecError("--check and --output-dir: expected one of them, found both")
    reports = []
    as_json = ctx.as_json or as_json_here
    for report in files.normalise_paths(
        paths,
        epoch_of(epoch),
        output_dir=output_dir,
        check=check,
        signed=cast(Signed, signed),
        jobs=jobs,
    ):
        reports.append(report)
        if not as_json:
            _print_report(report, ctx.reporter, check=check)
    if as_json:
        print_json({"files": [files.to_json(report) for report in reports]})
    failed = [report for report in reports if report.status == "failed"]
    if failed:
        raise PackagerError(f"{len(failed)} of {len(reports)} files could not be normalised")
    if check and any(report.status == "changed" for report in reports):
        changed = sum(report.status == "changed" for report in reports)
        raise CheckError(f"{changed} of {len(reports)} files would change", hint="run it without --check")


def _print_report(report: Any, reporter: ConsoleReporter, *, check: bool) -> None:
    from packager.changes import show_bytes

    if report.status == "failed":
        reporter.error(str(report.error))
        return
    words = {"unchanged": "unchanged", "changed": "would change" if check else "normalised"}
    click.echo(f"{report.path}: {words[report.status]}")
    for change in report.changes:
        before, after = show_bytes(change.before), show_bytes(change.after)
        click.echo(f"  {change.field} at {change.offset:#x}: {before} -> {after}")
    for note in report.notes:
        click.echo(f"  {note}")
