"""The command audit: a bundle's folder against a policy."""

from __future__ import annotations

from pathlib import Path

import click

from packager.cli.common import Context, epoch_of, json_option, open_project, packager
from packager.errors import CheckError


@packager.command(
    "audit",
    epilog="""\b
Examples:
  packager audit dist/electrum-4.3.4-windows-x86_64
  packager audit dist/electrum-4.3.4-windows-x86_64 --format sarif > findings.sarif""",
)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--policy",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A policy file.  [default: that of the bundle's system in bundle_specs/policy, windows.toml if none is told]",
)
@click.option(
    "--epoch",
    type=click.IntRange(0, 0xFFFFFFFF),
    help="The time that stamps must have.  [default: the manifest's, else $SOURCE_DATE_EPOCH, else 1735689600]",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "sarif"]),
    default="text",
    show_default=True,
    help="How to show findings; json's schema is docs/schema/audit.schema.json, SARIF is 2.1.0.",
)
@json_option
@click.pass_obj
def audit_command(
    ctx: Context, folder: Path, policy: Path | None, epoch: int | None, form: str, as_json_here: bool
) -> None:
    """Check a bundle's folder against a policy: DLLs and functions that it needs, hardening, stamps, names, licences,
    traces of the build machine.

    What is not allowed is an error, exit 1; notes are what is worth knowing. Where files come from is taken from the
    manifest beside the folder, if there is one.
    """
    from packager.audit import audit, document, errors, known_beside, load_policy, sarif
    from packager.specs.load import policy_path

    path = policy or policy_path(open_project(), _system(folder))
    known = known_beside(folder)
    if epoch is None and known is not None:
        epoch = known.epoch
    findings = audit(folder, load_policy(path), epoch_of(epoch), known)
    wrong = errors(findings)
    if ctx.as_json or as_json_here or form == "json":
        click.echo(document.encode(findings).decode(), nl=False)
    elif form == "sarif":
        click.echo(sarif.encode(findings).decode(), nl=False)
    else:
        for finding in findings:
            click.echo(str(finding))
        if not wrong:
            click.echo(f"{folder}: no errors, {len(findings)} note{'s' * (len(findings) != 1)}")
    if wrong:
        raise CheckError(f"{folder}: {len(wrong)} error{'s' * (len(wrong) > 1)}")


def _system(folder: Path) -> str:
    """The system that a bundle is for, by its description."""
    from packager.layout import layout_in
    from packager.run import load_bundle

    return "windows" if layout_in(folder) is None else load_bundle(folder).target.partition("-")[0]
