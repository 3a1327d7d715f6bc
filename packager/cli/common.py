"""What every command shares: the group, the global options, and how results are printed."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from packager import __version__
from packager.console import ConsoleReporter
from packager.errors import SpecError

EXIT_CODES = """\b
Exit codes: 0 done; 1 a check found something; 2 the command line or a spec is wrong; 3 a source could not be had or is
not what its hash or signature says; 4 a build step failed; 5 this machine lacks something; 130 interrupted."""


#: What can be built for; the first is meant where none is said.
TARGETS = ("windows-x86_64", "linux-x86_64")
#: What `pipeline.compare_lock` says, for people.
LOCK_WORDS = {
    "match": "the sums are those of the lock",
    "mismatch": "THE SUMS DIFFER FROM THE LOCK; `packager lock` records a change that is meant",
    "unrecorded": "the lock has no sums for this target yet; `packager lock` records them",
    "not compared": "not compared with the lock: another epoch was asked for",
}


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


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--json`` is also taken after the command's name."""
    return click.option("--json", "as_json_here", is_flag=True, help="One JSON document on stdout.")(command)


def build_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.argument("specs", nargs=-1, required=True, metavar="SPEC..."),
        click.option("--target", default=TARGETS[0], show_default=True, type=click.Choice(TARGETS)),
        click.option(
            "--jobs",
            type=click.IntRange(1),
            default=len(os.sched_getaffinity(0)),
            help="Processes at once.  [default: the machine's cores]",
        ),
    ):
        command = option(command)
    return command


def output_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--out`` and ``--offline``, of the commands that build."""
    for option in (
        click.option("--offline", is_flag=True, help="Use only what the store has."),
        click.option(
            "--out",
            type=click.Path(path_type=Path, file_okay=False),
            default=Path("dist"),
            show_default=True,
            help="The output folder.",
        ),
    ):
        command = option(command)
    return command


def make_plans(specs: Sequence[str], target: str, jobs: int, *, offline: bool, epoch: int | None) -> Any:
    from packager import pipeline

    project = open_project()
    options = pipeline.Options(target=target, jobs=jobs, offline=offline, epoch=epoch)  # type: ignore[arg-type]
    return [pipeline.make_plan(project, spec, options) for spec in specs]


def open_store(ctx: Context) -> Any:
    from packager.store import Store

    return Store.open(ctx.store, ctx.reporter)


def epoch_of(given: int | None) -> int:
    if given is not None:
        return given
    text = os.environ.get("SOURCE_DATE_EPOCH", "1735689600")
    if not text.isdecimal() or int(text) > 0xFFFFFFFF:
        raise SpecError(f"SOURCE_DATE_EPOCH: expected seconds since 1970, found {text!r}")
    return int(text)


def open_project() -> Any:
    from packager.specs.load import find_project

    return find_project(Path.cwd())


def print_json(document: dict[str, Any]) -> None:
    click.echo(json.dumps(document, indent=1, sort_keys=True))
