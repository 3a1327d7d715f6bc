"""Commands that check what was made: audit."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from packager.cli.common import Context, epoch_of, json_option, open_project, packager, print_json
from packager.errors import CheckError


@packager.command("audit", epilog="Example: packager audit dist/electrum-4.3.4-windows-x86_64")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--policy",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A policy file.  [default: bundle_specs/policy/windows.toml]",
)
@click.option(
    "--epoch",
    type=click.IntRange(0, 0xFFFFFFFF),
    help="The time that stamps must have.  [default: $SOURCE_DATE_EPOCH, else 1735689600]",
)
@json_option
@click.pass_obj
def audit_command(ctx: Context, folder: Path, policy: Path | None, epoch: int | None, as_json_here: bool) -> None:
    """Check a bundle's folder against a policy: DLLs that it needs, stamps, names, traces of the build machine."""
    from packager.audit import audit, load_policy
    from packager.specs.load import policy_path

    path = policy or policy_path(open_project(), "windows")
    findings = audit(folder, load_policy(path), epoch_of(epoch))
    if ctx.as_json or as_json_here:
        print_json({"findings": [dataclasses.asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            click.echo(str(finding))
        if not findings:
            click.echo(f"{folder}: nothing found")
    if findings:
        raise CheckError(f"{folder}: {len(findings)} finding{'s' * (len(findings) > 1)}")
