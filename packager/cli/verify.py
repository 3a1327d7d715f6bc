"""Commands that let a stranger check: verify, attest."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import click

from packager.cli.common import (
    LOCK_WORDS,
    TARGETS,
    Context,
    json_option,
    open_project,
    open_store,
    packager,
    print_json,
)
from packager.errors import CheckError, SpecError
from packager.progress import Clock

PASSPHRASE = "PACKAGER_KEY_PASSPHRASE"


@packager.command(
    epilog="""\b
Examples:
  packager verify dist/electrum-4.3.4-windows-x86_64.tar.zst
  packager verify dist/electrum-4.3.4-windows-x86_64
  packager verify electrum --rebuild
  packager verify electrum --rebuild --perturb
  packager verify --signed electrum-signed.exe --against dist/electrum-4.3.4-windows-x86_64/electrum.exe
  packager verify --attestations attestations --threshold 2 --key alice.pub.pem --key bob.pub.pem dist"""
)
@click.argument("targets", nargs=-1, metavar="[ARCHIVE|DIR|SPEC]...")
@click.option("--manifest", type=click.Path(path_type=Path), help="The manifest.  [default: beside what is checked]")
@click.option("--sums", type=click.Path(path_type=Path), help="The SHA256SUMS.  [default: beside what is checked]")
@click.option("--rebuild", is_flag=True, help="Build SPEC again from an empty store and compare with its lock.")
@click.option(
    "--target", default=TARGETS[0], show_default=True, type=click.Choice(TARGETS), help="With --rebuild: what for."
)
@click.option("--perturb", is_flag=True, help="With --rebuild: vary all about the machine that must not matter.")
@click.option("--work", type=click.Path(path_type=Path, file_okay=False), help="Where to rebuild, if not in the store.")
@click.option("--keep", is_flag=True, help="Leave what was rebuilt in --work.")
@click.option("--fresh-sources", is_flag=True, help="Fetch sources again, too, instead of taking verified ones.")
@click.option(
    "--jobs", type=click.IntRange(1), default=len(os.sched_getaffinity(0)), help="Processes at once, to rebuild."
)
@click.option("--signed", type=click.Path(path_type=Path), metavar="FILE", help="A signed file to check.")
@click.option("--against", type=click.Path(path_type=Path), metavar="FILE", help="Our unsigned file.")
@click.option("--attestations", type=click.Path(path_type=Path), metavar="FOLDER", help="Builders' signed statements.")
@click.option("--threshold", type=int, default=1, show_default=True, help="How many different keys have to agree.")
@click.option(
    "--key",
    "keys",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="PEM",
    help="A builder's public key, or a folder of them.  [default: those that lie in FOLDER, which proves less]",
)
@click.option("--all", "everything", is_flag=True, help="Show every difference, not a screenful.")
@json_option
@click.pass_obj
def verify(
    ctx: Context,
    targets: tuple[str, ...],
    manifest: Path | None,
    sums: Path | None,
    rebuild: bool,
    target: str,
    perturb: bool,
    work: Path | None,
    keep: bool,
    fresh_sources: bool,
    jobs: int,
    signed: Path | None,
    against: Path | None,
    attestations: Path | None,
    threshold: int,
    keys: tuple[Path, ...],
    everything: bool,
    as_json_here: bool,
) -> None:
    """Check an archive or folder against its manifest; a spec by building it again; a signed file against ours; what
    several builders attest."""
    if (signed is None) != (against is None):
        raise SpecError("--signed and --against: expected both or neither, found one of them")
    if perturb and not rebuild:
        raise SpecError("--perturb: expected it with --rebuild")
    if sum((rebuild, signed is not None, attestations is not None)) > 1:
        raise SpecError("expected one of --rebuild, --signed and --attestations, found several")
    output = _Output(ctx.as_json or as_json_here, None if everything else 40)
    if signed is not None and against is not None:
        if targets:
            raise SpecError(f"--signed: expected no further file, found {targets[0]}")
        _verify_signed(signed, against, output)
    elif attestations is not None:
        _verify_attestations(attestations, [Path(name) for name in targets], threshold, keys, output)
    elif not targets:
        raise SpecError("expected an archive, a bundle's folder or a spec", hint="packager verify --help has examples")
    elif rebuild:
        options = {"perturb": perturb, "keep": keep, "fresh_sources": fresh_sources}
        _verify_rebuilt(ctx, targets, target, jobs, output, work=work, **options)
    else:
        _verify_outputs([Path(name) for name in targets], manifest, sums, output)


@dataclasses.dataclass(frozen=True)
class _Output:
    """How results are shown: as one JSON document, or as text with at most ``limit`` differences."""

    as_json: bool
    limit: int | None


def _verify_outputs(paths: list[Path], manifest: Path | None, sums: Path | None, output: _Output) -> None:
    from packager.verify import verify_output

    if len(paths) > 1 and (manifest or sums):
        raise SpecError("--manifest and --sums: expected them with one archive or folder, found several")
    for path in paths:
        if not path.exists():
            raise SpecError(
                f"{path}: expected an archive or a folder, found nothing",
                hint=f"to check a spec, build it again: packager verify {path} --rebuild",
            )
    found = [verify_output(path, manifest, sums) for path in paths]
    if output.as_json:
        print_json(
            {
                "verified": [
                    {
                        "path": str(item.path),
                        "files": item.files,
                        "problems": [dataclasses.asdict(problem) for problem in item.problems],
                        "notes": list(item.notes),
                    }
                    for item in found
                ]
            }
        )
    for item in () if output.as_json else found:
        shown = item.problems if output.limit is None else item.problems[: output.limit]
        for problem in shown:
            click.echo(str(problem))
        if len(shown) < len(item.problems):
            click.echo(f"… {len(item.problems) - len(shown)} more: --all shows them")
        for note in item.notes:
            click.echo(f"note: {note}")
        if not item.problems:
            what = f"{item.files} files are those of the manifest" if item.files else "the sum is right"
            click.echo(f"{item.path}: {what}")
    wrong = [item for item in found if item.problems]
    if wrong:
        count = sum(len(item.problems) for item in wrong)
        raise CheckError(f"{wrong[0].path}: {count} thing{'s' * (count > 1)} not as the manifest and the sums say")


def _verify_signed(signed: Path, against: Path, output: _Output) -> None:
    from packager.diff import render
    from packager.signed import compare_signed

    verdict = compare_signed(signed, against)
    if output.as_json:
        document = dataclasses.asdict(verdict)
        document.update(signed=str(signed), ours=str(against), same=verdict.same, intact=verdict.intact)
        print_json({"signed": document})
    else:
        click.echo(f"Authenticode hash of {signed}: {verdict.hash_signed}")
        click.echo(f"Authenticode hash of {against}: {verdict.hash_ours}")
        for item in verdict.signatures:
            state = "verifies" if item.matches and item.intact else f"DOES NOT VERIFY: {item.trouble}"
            time = ", with a timestamp" if item.timestamp else ", without a timestamp"
            click.echo(f"signed by {item.subject} ({item.algorithm}{time}): {state}")
        for note in verdict.notes:
            click.echo(f"note: {note}")
        click.echo(render.text(verdict.differences, limit=output.limit, name=against.name), nl=False)
        if verdict.same:
            click.echo(f"{signed} is {against} but for its signature, padding and checksum")
    if not verdict.same:
        raise CheckError(f"{signed}: expected {against} with a signature, found a file that differs in more than that")
    if not verdict.intact:
        raise CheckError(
            f"{signed}: the same program, but its signature does not verify",
            details=[item.trouble for item in verdict.signatures if item.trouble],
        )


def _verify_attestations(
    folder: Path, paths: list[Path], threshold: int, keys: tuple[Path, ...], output: _Output
) -> None:
    from packager.agreement import agree, at_hand, lines

    try:
        found = agree(folder, list(keys) or None, threshold, at_hand(paths) if paths else None)
    except CheckError as exc:
        if output.as_json:
            print_json({"agreed": False, "error": exc.message, "details": list(exc.details)})
        raise
    if output.as_json:
        print_json({"agreed": True, **dataclasses.asdict(found)})
    else:
        for line in lines(found):
            click.echo(line)


def _verify_rebuilt(
    ctx: Context,
    specs: tuple[str, ...],
    target: str,
    jobs: int,
    output: _Output,
    *,
    perturb: bool,
    work: Path | None,
    **how: bool,
) -> None:
    from packager import pipeline
    from packager.rebuild import rebuild

    if work is not None and len(specs) > 1:
        raise SpecError("--work: expected it with one spec, found several")
    options = pipeline.Options(target=target, jobs=jobs, offline=False)  # type: ignore[arg-type]
    found = [
        rebuild(open_project(), spec, options, open_store(ctx), Clock(ctx.reporter), perturb=perturb, work=work, **how)
        for spec in specs
    ]
    if output.as_json:
        print_json({"rebuilt": [_rebuilt_document(item) for item in found]})
    else:
        for item in found:
            _print_rebuilt(item, output)
    wrong = [item.title for item in found if not item.same]
    if wrong:
        raise CheckError(f"{', '.join(wrong)}: the rebuilt files differ")


def _rebuilt_document(item: Any) -> dict[str, Any]:
    return {
        "title": item.title,
        "sums": dict(item.sums),
        "lock": item.lock,
        "first": item.first,
        "kept": None if item.kept is None else str(item.kept),
        "same": item.same,
        "perturbations": [dataclasses.asdict(row) for row in item.perturbations],
        "differences": [dataclasses.asdict(difference) for difference in item.differences],
        "seconds": round(sum(timing.seconds for timing in item.timings), 3),
    }


def _print_rebuilt(item: Any, output: _Output) -> None:
    from packager.diff import render

    click.echo(f"{item.title}:")
    for row in item.perturbations:
        if row.applied:
            click.echo(f"  varied       {row.name:<30} {row.first} -> {row.second}")
        else:
            click.echo(f"  NOT varied   {row.name:<30} {row.first}: {row.reason}")
    for name, digest in sorted(item.sums.items()):
        click.echo(f"  {digest}  {name}")
    click.echo(f"  {LOCK_WORDS[item.lock]}")
    if item.first is not None:
        click.echo(f"  compared with {item.first}: {'DIFFERENT' if item.differences else 'no difference'}")
    click.echo(render.text(item.differences, limit=output.limit), nl=False)
    if item.kept is not None:
        click.echo(f"  kept: {item.kept}")


@packager.command(
    epilog="""\b
Examples:
  packager attest --new-key me.pem
  packager attest --key me.pem dist/electrum-4.3.4-windows-x86_64.intoto.json --out attestations"""
)
@click.argument("statements", nargs=-1, metavar="STATEMENT...", type=click.Path(path_type=Path))
@click.option("--key", type=click.Path(path_type=Path), metavar="PEM", help="Your private key.")
@click.option("--new-key", type=click.Path(path_type=Path), metavar="PEM", help="Make an ed25519 key first.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the attestation and the public key go.  [default: beside the statement]",
)
@json_option
@click.pass_obj
def attest(
    ctx: Context,
    statements: tuple[Path, ...],
    key: Path | None,
    new_key: Path | None,
    out: Path | None,
    as_json_here: bool,
) -> None:
    """Sign that you built what a bundle's .intoto.json says: for other people to compare with their own builds.

    The files that it names have to lie beside it, with its sums. An encrypted key's passphrase is asked for, or taken
    from PACKAGER_KEY_PASSPHRASE.
    """
    from packager import attest as attestations

    if key is not None and new_key is not None:
        raise SpecError("--key and --new-key: expected one of them, found both")
    if new_key is None and (key is None or not statements):
        raise SpecError("expected a statement and --key, or --new-key", hint="packager attest --help has examples")
    as_json = ctx.as_json or as_json_here
    document: dict[str, Any] = {"attested": []}
    if new_key is not None:
        document["new_key"] = attestations.new_key(new_key, os.environ.get(PASSPHRASE))
        if not as_json:
            click.echo(f"{new_key}: a new key; keep it to yourself. Its fingerprint: {document['new_key']}")
    for statement in statements:
        made = attestations.attest(statement, key or new_key, out, _passphrase)  # type: ignore[arg-type]
        document["attested"].append(
            {"envelope": str(made.envelope), "public_key": str(made.public_key), "fingerprint": made.fingerprint}
        )
        for warning in made.warnings:
            ctx.reporter.note(warning)
        if not as_json:
            click.echo(f"{made.envelope}: signed; public key {made.public_key}, fingerprint {made.fingerprint}")
    if as_json:
        print_json(document)


def _passphrase() -> str:
    given = os.environ.get(PASSPHRASE)
    return given if given is not None else str(click.prompt("Passphrase of the key", hide_input=True, err=True))
