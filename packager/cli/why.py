"""The command why: which imports bring a module into a bundle, or why none does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from packager.cli.common import (
    TARGETS,
    Context,
    json_option,
    make_plans,
    open_project,
    open_store,
    packager,
    print_json,
)
from packager.errors import CheckError

if TYPE_CHECKING:
    from packager.modules.plan import ModulePlan


@packager.command(
    "why",
    epilog="""\b
Examples:
  packager why ssl
  packager why google.protobuf.message electrum-nmc
  packager why app/dns/resolver.pyc
  packager why python/Lib/json/decoder.pyc electrum
  packager why aiohttp dist/electrum-nmc-4.0.6-windows-x86_64""",
)
@click.argument("module", metavar="MODULE")
@click.argument("where", metavar="[SPEC|DIR]", default="electrum-nmc")
@json_option
@click.pass_obj
def why(ctx: Context, module: str, where: str, as_json_here: bool) -> None:
    """Why a Python module is in a bundle: a shortest chain of imports from one of its programs; exit 1 if it is not in,
    with what would need it.

    MODULE is a module's full name, or its file in the bundle. SPEC is a bundle's name or spec, which is built as far as
    that needs; DIR is a bundle's folder, of which nothing is told but what it has.
    """
    from packager.modules import why as explaining

    plan = _of_folder(Path(where)) if Path(where).is_dir() else _of_spec(ctx, where)
    found = explaining.explain(plan, module)
    if ctx.as_json or as_json_here:
        print_json(explaining.document(found))
    else:
        click.echo("\n".join(explaining.lines(found)))
    if not found.kept:
        raise click.exceptions.Exit(CheckError.exit_code)


def _of_spec(ctx: Context, spec: str) -> ModulePlan:
    from packager import pipeline
    from packager.progress import Clock

    (plan,) = make_plans([spec], TARGETS[0], 1, offline=False, epoch=None)
    return pipeline.plan_modules_of(plan, open_store(ctx), Clock(ctx.reporter))


def _of_folder(folder: Path) -> ModulePlan:
    from packager.library import unpacked
    from packager.modules.plan import plan_modules
    from packager.modules.rules import load_trace, rules_of
    from packager.run import find_layout, load_bundle
    from packager.specs import load

    described, layout = load_bundle(folder), find_layout(folder)
    project = open_project()
    bundle = load.load_bundle(project, described.name)
    files = unpacked(folder / layout.program)
    paths = list(files)

    def read(path: str) -> bytes:
        found = files[path]
        return found if isinstance(found, bytes) else found.read_bytes()

    rules = rules_of(bundle, load_trace(project, bundle.modules), paths, read, strict=False)
    return plan_modules(paths, read, rules)
