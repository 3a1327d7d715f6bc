"""A bundle spec's rules about modules, ready to plan with."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from packager.errors import SpecError
from packager.modules.names import search_path
from packager.modules.plan import Rules
from packager.modules.trace import NO_TRACE, Trace
from packager.specs import load, model
from packager.specs.load import Project

#: The folder of the interpreter in a bundle, in the portable form.
PYTHON = "python"


def load_trace(project: Project, modules: model.Modules | None) -> Trace:
    """The trace that a spec names; of one that names none, a trace of nothing."""
    return NO_TRACE if modules is None else load.read(project.specs / modules.trace, Trace)


def rules_of(
    bundle: model.Bundle, trace: Trace, paths: Iterable[str], read: Callable[[str], bytes], *, strict: bool = True
) -> Rules:
    """The rules for a bundle whose files, in the portable form, are ``paths``; ``read`` gives a file's content.

    Not ``strict``: without the spec's ``keep`` and ``drop``, for a tree that they were applied to already.
    SpecError if the interpreter has no ``._pth`` file.
    """
    pth = sorted(path for path in paths if path.startswith(f"{PYTHON}/") and path.endswith("._pth"))
    if not pth:
        raise SpecError(f"{bundle.name}: expected a ._pth file in {PYTHON}/, found none", hint="build the bundle again")
    modules = bundle.modules
    return Rules(
        roots={point.module: f"the program {point.name}" for point in bundle.entry_points},
        folders=search_path(read(pth[0]).decode("utf-8"), PYTHON, modules.path if modules else ()),
        trace=trace,
        keep=modules.keep if modules and strict else (),
        drop=modules.drop if modules and strict else (),
        name=bundle.name,
    )
