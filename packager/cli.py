"""The command line: reads arguments, calls the library, renders results and errors. Only this module imports click."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, cast

import click

from packager import __version__
from packager.console import ConsoleReporter
from packager.errors import CheckError, PackagerError, SpecError
from packager.progress import Clock

INTERRUPTED = 130
EXIT_CODES = """\b
Exit codes: 0 done; 1 a check found something; 2 the command line or a spec is wrong; 3 a source could not be had or is
not what its hash or signature says; 4 a build step failed; 5 this machine lacks something; 130 interrupted."""


@dataclasses.dataclass(frozen=True)
class Context:
    """The global options."""

    reporter: ConsoleReporter
    store: Path
    as_json: bool


def _default_store() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("PACKAGER_STORE") or cache / "electrum-packager")


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    epilog=f"{EXIT_CODES}\n\nExample: packager build electrum && "
    "packager run dist/electrum-4.3.4-windows-x86_64 -- --offline version",
)
@click.version_option(__version__, prog_name="packager")
@click.option("-v", "--verbose", count=True, help="Show what programs print; -vv adds tracebacks to errors.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but results, notes and errors.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout; everything else goes to stderr.")
@click.option(
    "--store",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where sources and results are kept.  [default: $PACKAGER_STORE, else the user's cache folder]",
)
@click.pass_context
def packager(ctx: click.Context, verbose: int, quiet: bool, as_json: bool, store: Path | None) -> None:
    """Build portable, bit-for-bit reproducible Windows bundles of Python applications, on Linux, from source."""
    reporter = ConsoleReporter(verbose=verbose, quiet=quiet)
    ctx.call_on_close(reporter.close)
    ctx.obj = Context(reporter, store or _default_store(), as_json)


def _json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--json`` is also taken after the command's name."""
    return click.option("--json", "as_json_here", is_flag=True, help="One JSON document on stdout.")(command)


def _build_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.argument("specs", nargs=-1, required=True, metavar="SPEC..."),
        click.option("--target", default="windows-x86_64", show_default=True, type=click.Choice(["windows-x86_64"])),
        click.option(
            "--jobs",
            type=click.IntRange(1),
            default=len(os.sched_getaffinity(0)),
            help="Processes at once.  [default: the machine's cores]",
        ),
    ):
        command = option(command)
    return command


def _plans(specs: Sequence[str], target: str, jobs: int, *, offline: bool, epoch: int | None) -> Any:
    from packager import pipeline

    project = _project()
    options = pipeline.Options(target=target, jobs=jobs, offline=offline, epoch=epoch)  # type: ignore[arg-type]
    return [pipeline.make_plan(project, spec, options) for spec in specs]


def _store(ctx: Context) -> Any:
    from packager.store import Store

    return Store.open(ctx.store, ctx.reporter)


@packager.command(epilog="Example: packager fetch electrum electrum-nmc")
@_build_options
@_json_option
@click.pass_obj
def fetch(ctx: Context, specs: tuple[str, ...], target: str, jobs: int, as_json_here: bool) -> None:
    """Get and verify every source of a bundle, and make its build root, so that `build --offline` needs no network."""
    from packager import pipeline

    plans = _plans(specs, target, jobs, offline=False, epoch=None)
    store, clock = _store(ctx), Clock(ctx.reporter)
    documents = []
    for plan in plans:
        sources = pipeline.fetch_everything(plan, store, clock)
        every = [sources.application, *sources.components.values(), *(fetched for _, fetched in sources.packages)]
        documents.append(
            {
                "bundle": plan.title,
                "sources": [
                    {"path": str(item.path), "origin": item.origin, "signature": _signature(item)} for item in every
                ],
            }
        )
        if not ctx.reporter.quiet:
            click.echo(f"{plan.title}: {len(every)} sources verified", err=ctx.as_json or as_json_here)
    if ctx.as_json or as_json_here:
        _print_json({"fetched": documents})


def _signature(fetched: Any) -> str | None:
    return None if fetched.signature is None else str(fetched.signature)


@packager.command(
    epilog="Examples: packager build electrum;  packager build electrum-nmc --out /tmp/out --jobs 4;  "
    "packager --json build electrum --offline"
)
@_build_options
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("dist"),
    show_default=True,
    help="The output folder.",
)
@click.option("--offline", is_flag=True, help="Use only what the store has.")
@click.option(
    "--epoch",
    type=click.IntRange(315532800, 4294967295),
    help="Another time than the spec's, in seconds since 1970, for every stamp.",
)
@click.option("--locked", is_flag=True, help="Fail (exit 1) unless the archives' sums are those of the lock.")
@_json_option
@click.pass_obj
def build(
    ctx: Context,
    specs: tuple[str, ...],
    target: str,
    jobs: int,
    out: Path,
    offline: bool,
    epoch: int | None,
    locked: bool,
    as_json_here: bool,
) -> None:
    """Build bundles: folder, archives, manifest and SHA256SUMS in the output folder."""
    from packager import pipeline

    plans = _plans(specs, target, jobs, offline=offline, epoch=epoch)
    store = _store(ctx)
    as_json = ctx.as_json or as_json_here
    built = []
    for plan in plans:
        clock = Clock(ctx.reporter)
        built.append(pipeline.build_bundle(plan, store, clock, out.resolve()))
        if not as_json:
            _print_built(built[-1], out)
    if as_json:
        _print_json({"built": [_built_document(item) for item in built]})
    wrong = [item.plan.title for item in built if item.lock != "match"]
    if locked and wrong:
        raise CheckError(
            f"the sums are not those of the lock: {', '.join(wrong)}",
            hint="compare with somebody else's build; if the change is meant, record it with `packager lock`",
        )


def _built_document(built: Any) -> dict[str, Any]:
    return {
        "name": built.plan.bundle.name,
        "version": built.plan.bundle.version,
        "target": built.plan.options.target,
        "folder": str(built.out / built.plan.title),
        "files": {name: {"sha256": digest, "size": built.sizes[name]} for name, digest in sorted(built.sums.items())},
        "lock": built.lock,
        "seconds": round(sum(timing.seconds for timing in built.timings), 3),
        "stages": [
            {"stage": t.stage, "detail": t.detail, "seconds": round(t.seconds, 3), "cached": t.cached}
            for t in built.timings
        ],
    }


_LOCK_WORDS = {
    "match": "the sums are those of the lock",
    "mismatch": "THE SUMS DIFFER FROM THE LOCK; `packager lock` records a change that is meant",
    "unrecorded": "the lock has no sums for this target yet; `packager lock` records them",
    "not compared": "not compared with the lock: another epoch was asked for",
}


def _print_built(built: Any, out: Path) -> None:
    click.echo(f"{built.plan.title}:")
    for timing in built.timings:
        where = "in the store" if timing.cached else "done"
        click.echo(f"  {timing.stage:<12} {timing.detail:<44} {timing.seconds:7.1f} s  {where}")
    click.echo(f"  {out / built.plan.title}/")
    for name, digest in sorted(built.sums.items()):
        click.echo(f"  {digest}  {out / name}  {built.sizes[name] / 1e6:.1f} MB")
    click.echo(f"  {_LOCK_WORDS[built.lock]}")


@packager.command(
    context_settings={"ignore_unknown_options": True},
    epilog="Examples: packager run dist/electrum-4.3.4-windows-x86_64 -- --offline version;  "
    "packager run --python dist/electrum-4.3.4-windows-x86_64 -- -c 'print(1)'",
)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="-- ARGS...")
@click.option("--entry", metavar="NAME", help="Which entry point; the first console one if not given.")
@click.option("--python", is_flag=True, help="Run the bundle's python instead of an entry point.")
@click.option("--network", is_flag=True, help="Use this machine's network instead of a namespace with only a loopback.")
@click.option("--join", type=int, metavar="PID", help="Share the network of another `packager run`, by its process id.")
@click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="End the program after this long."
)
@click.option(
    "--env",
    "variables",
    multiple=True,
    metavar="NAME=VALUE",
    help="Set a variable; the environment is otherwise fixed.",
)
@click.pass_obj
def run(
    ctx: Context,
    folder: Path,
    arguments: tuple[str, ...],
    entry: str | None,
    python: bool,
    network: bool,
    join: int | None,
    timeout: float | None,
    variables: tuple[str, ...],
) -> None:
    """Run a bundle's entry point, or its python, under Wine; stdin, stdout, stderr and the exit code pass through."""
    from packager import run as runner
    from packager import wineroot

    if entry is not None and python:
        raise SpecError("--entry and --python: expected one of them, found both")
    env = {}
    for variable in variables:
        name, equals, value = variable.partition("=")
        if not equals or not name:
            raise SpecError(f"--env: expected NAME=VALUE, found {variable!r}")
        env[name] = value
    bundle = runner.load_bundle(folder)
    program = runner.program_of(bundle, entry=entry, python=python)
    engine = wineroot.get_wine(_store(ctx), ctx.reporter)
    options = runner.Options(network=network, join=join, timeout=timeout, env=env)
    sys.exit(runner.run_bundle(folder.resolve(), bundle, program, arguments, options, engine))


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
@_json_option
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
        _epoch(epoch),
        output_dir=output_dir,
        check=check,
        signed=cast(Signed, signed),
        jobs=jobs,
    ):
        reports.append(report)
        if not as_json:
            _print_report(report, ctx.reporter, check=check)
    if as_json:
        _print_json({"files": [files.to_json(report) for report in reports]})
    failed = [report for report in reports if report.status == "failed"]
    if failed:
        raise PackagerError(f"{len(failed)} of {len(reports)} files could not be normalised")
    if check and any(report.status == "changed" for report in reports):
        changed = sum(report.status == "changed" for report in reports)
        raise CheckError(f"{changed} of {len(reports)} files would change", hint="run it without --check")


def _epoch(given: int | None) -> int:
    if given is not None:
        return given
    text = os.environ.get("SOURCE_DATE_EPOCH", "1735689600")
    if not text.isdecimal() or int(text) > 0xFFFFFFFF:
        raise SpecError(f"SOURCE_DATE_EPOCH: expected seconds since 1970, found {text!r}")
    return int(text)


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
@_json_option
@click.pass_obj
def audit_command(ctx: Context, folder: Path, policy: Path | None, epoch: int | None, as_json_here: bool) -> None:
    """Check a bundle's folder against a policy: DLLs that it needs, stamps, names, traces of the build machine."""
    from packager.audit import audit, load_policy
    from packager.specs.load import policy_path

    path = policy or policy_path(_project(), "windows")
    findings = audit(folder, load_policy(path), _epoch(epoch))
    if ctx.as_json or as_json_here:
        _print_json({"findings": [dataclasses.asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            click.echo(str(finding))
        if not findings:
            click.echo(f"{folder}: nothing found")
    if findings:
        raise CheckError(f"{folder}: {len(findings)} finding{'s' * (len(findings) > 1)}")


@packager.command(epilog="Examples: packager lock electrum;  packager lock --toolchain electrum")
@_build_options
@click.option("--toolchain", is_flag=True, help="Also record the toolchain's package versions that the mirror has now.")
@click.pass_obj
def lock(ctx: Context, specs: tuple[str, ...], target: str, jobs: int, toolchain: bool) -> None:
    """Build, and record the archives' sums in the spec's lock: what everyone else must get."""
    from packager import locking, pipeline

    store, clock = _store(ctx), Clock(ctx.reporter)
    if toolchain:
        for path in locking.renew_toolchains(_project(), specs, store, clock):
            click.echo(f"written: {path}")
    for plan in _plans(specs, target, jobs, offline=False, epoch=None):
        with store.work() as work:
            built = pipeline.build_bundle(plan, store, clock, work / "out")
        click.echo(f"written: {locking.record_sums(plan, built.sums)}")


def _project() -> Any:
    from packager.specs.load import find_project

    return find_project(Path.cwd())


def _print_json(document: dict[str, Any]) -> None:
    click.echo(json.dumps(document, indent=1, sort_keys=True))


def _on_sigterm(_number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + signal.SIGTERM)


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line; the one place that turns errors into messages and exit codes."""
    # Nothing that is made may depend on the user's umask.
    os.umask(0o022)
    signal.signal(signal.SIGTERM, _on_sigterm)
    # A shell script's background jobs are started with SIGINT ignored; a build is to be stoppable there, too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        packager.main(arguments, prog_name="packager", standalone_mode=False)
    except click.exceptions.Exit as exc:
        sys.exit(exc.exit_code)
    except click.UsageError as exc:
        exc.show()
        sys.exit(SpecError.exit_code)
    except click.ClickException as exc:
        exc.show()
        sys.exit(SpecError.exit_code)
    except PackagerError as exc:
        _traceback(arguments)
        ConsoleReporter().error(str(exc))
        sys.exit(exc.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("\ninterrupted; what is finished stays in the store, the next run goes on from there", err=True)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as exc:
        _traceback(arguments)
        where = f"{exc.filename}: " if exc.filename else ""
        ConsoleReporter().error(f"{where}{exc.strerror or exc}")
        sys.exit(5)
    sys.exit(0)


def _traceback(arguments: Sequence[str]) -> None:
    before_dashes = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if sum(a.count("v") for a in before_dashes if a.startswith("-v")) + before_dashes.count("--verbose") >= 2:
        traceback.print_exc()
