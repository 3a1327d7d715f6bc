"""Commands that make and run bundles: fetch, build, run, lock."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from packager.cli.common import (
    LOCK_WORDS,
    Context,
    build_options,
    json_option,
    make_plans,
    open_project,
    open_store,
    output_options,
    packager,
    print_json,
)
from packager.errors import CheckError, SpecError
from packager.progress import Clock


@packager.command(epilog="Example: packager fetch electrum electrum-nmc")
@build_options
@json_option
@click.pass_obj
def fetch(ctx: Context, specs: tuple[str, ...], target: str, jobs: int, as_json_here: bool) -> None:
    """Get and verify every source of a bundle, and make its build root, so that `build --offline` needs no network."""
    from packager import pipeline

    plans = make_plans(specs, target, jobs, offline=False, epoch=None)
    store, clock = open_store(ctx), Clock(ctx.reporter)
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
        print_json({"fetched": documents})


def _signature(fetched: Any) -> str | None:
    return None if fetched.signature is None else str(fetched.signature)


@packager.command(
    epilog="Examples: packager build electrum;  packager build electrum-nmc --out /tmp/out --jobs 4;  "
    "packager --json build electrum --offline"
)
@build_options
@output_options
@click.option(
    "--epoch",
    type=click.IntRange(315532800, 4294967295),
    help="Another time than the spec's, in seconds since 1970, for every stamp.",
)
@click.option("--locked", is_flag=True, help="Fail (exit 1) unless the archives' sums are those of the lock.")
@json_option
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

    plans = make_plans(specs, target, jobs, offline=offline, epoch=epoch)
    store = open_store(ctx)
    as_json = ctx.as_json or as_json_here
    built = []
    for plan in plans:
        clock = Clock(ctx.reporter)
        built.append(pipeline.build_bundle(plan, store, clock, out.resolve()))
        if not as_json:
            _print_built(built[-1], out)
    if as_json:
        print_json({"built": [_built_document(item) for item in built]})
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


def _print_built(built: Any, out: Path) -> None:
    click.echo(f"{built.plan.title}:")
    for timing in built.timings:
        where = "in the store" if timing.cached else "done"
        click.echo(f"  {timing.stage:<12} {timing.detail:<44} {timing.seconds:7.1f} s  {where}")
    click.echo(f"  {out / built.plan.title}/")
    for name, digest in sorted(built.sums.items()):
        click.echo(f"  {digest}  {out / name}  {built.sizes[name] / 1e6:.1f} MB")
    click.echo(f"  {LOCK_WORDS[built.lock]}")


@packager.command(epilog="Example: packager component cpython-development --out /tmp/python")
@build_options
@output_options
@click.option(
    "--toolchain", metavar="NAME", help="The build root.  [default: trixie-ucrt64, bullseye-gcc for linux-x86_64]"
)
@json_option
@click.pass_obj
def component(
    ctx: Context,
    specs: tuple[str, ...],
    target: str,
    jobs: int,
    out: Path,
    toolchain: str | None,
    offline: bool,
    as_json_here: bool,
) -> None:
    """Build components by themselves, and put what their recipes make into the output folder."""
    from packager import components

    named = toolchain or components.TOOLCHAINS[target]  # type: ignore[index]
    options = components.Options(toolchain=named, target=target, jobs=jobs, offline=offline)  # type: ignore[arg-type]
    plan = components.make_plan(open_project(), specs, options)
    entries = components.build(plan, open_store(ctx), Clock(ctx.reporter))
    folders = components.publish(plan, entries, out.resolve())
    if ctx.as_json or as_json_here:
        keys = {name: plan.keys[name].digest for name in plan.names}
        print_json(
            {"built": [{"name": n, "folder": str(f), "key": keys[n]} for n, f in zip(plan.names, folders, strict=True)]}
        )
    else:
        for folder in folders:
            click.echo(f"{out / folder.name}/")


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
    """Run a bundle's entry point, or its python; stdin, stdout, stderr and the exit code pass through.

    A bundle for Windows runs under Wine, which shows it as C:\\bundle; one for Linux as it is, with a home folder in
    memory. DIR is what `packager build` made, or a Tor Browser's folder that a bundle was installed into. The program
    may not write to it, but in a Tor Browser's folder to Browser/TorBrowser/Data, if that is there.
    """
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
    engine = wineroot.get_wine(open_store(ctx), ctx.reporter) if runner.needs_wine(bundle) else None
    options = runner.Options(network=network, join=join, timeout=timeout, env=env)
    sys.exit(runner.run_bundle(folder.resolve(), bundle, program, arguments, options, engine))


@packager.command(epilog="Examples: packager lock electrum;  packager lock --toolchain electrum")
@build_options
@click.option("--toolchain", is_flag=True, help="Also record the toolchain's package versions that the mirror has now.")
@click.pass_obj
def lock(ctx: Context, specs: tuple[str, ...], target: str, jobs: int, toolchain: bool) -> None:
    """Build, and record the archives' sums in the spec's lock: what everyone else must get."""
    from packager import locking, pipeline

    store, clock = open_store(ctx), Clock(ctx.reporter)
    if toolchain:
        named: Any = target
        for path in locking.renew_toolchains(open_project(), specs, named, store, clock):
            click.echo(f"written: {path}")
    for plan in make_plans(specs, target, jobs, offline=False, epoch=None):
        with store.work() as work:
            built = pipeline.build_bundle(plan, store, clock, work / "out")
        click.echo(f"written: {locking.record_sums(plan, built.sums)}")
