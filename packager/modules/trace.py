"""What runs of a program loaded that no ``import`` statement says: a file beside the specs, for people to read, too.

It is recorded from runs of the tree with nothing left out (``packager.modules.record``), and has for each run as few
modules as lead to what neither the imports that are always followed nor the runs before it lead to.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from packager.specs.model import Frozen, NonEmpty

ModuleName = Annotated[
    str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$", description="a module")
]


class Run(Frozen, frozen=True):
    """One run: a test, and modules that it was the first to load."""

    name: NonEmpty
    modules: tuple[ModuleName, ...]


class Interpreter(Frozen, frozen=True):
    """What the interpreter says of itself: modules in it, and those that it loads before it runs anything."""

    builtin: tuple[ModuleName, ...]
    frozen: tuple[ModuleName, ...]
    start: tuple[ModuleName, ...]


class Trace(Frozen, frozen=True):
    """``command`` records it anew."""

    command: NonEmpty
    interpreter: Interpreter
    run: tuple[Run, ...] = ()

    @property
    def modules(self) -> dict[str, str]:
        """The name of the first run that loaded each module."""
        return {module: run.name for run in reversed(self.run) for module in run.modules}


#: Of a tree without a trace: nothing is known of the interpreter.
NO_TRACE = Trace(command="-", interpreter=Interpreter(builtin=(), frozen=(), start=("encodings",)))


def encode(trace: Trace) -> str:
    """The file's text; :func:`packager.specs.load.read` reads it."""
    lines = [
        "# Recorded, not written: of each run with nothing left out, as few modules as lead to all that was",
        "# loaded beyond what imports that are always followed, and the runs above, lead to. To record it anew:",
        f"command = {_text(trace.command)}",
        "",
        "[interpreter]",
        *_names("builtin", trace.interpreter.builtin),
        *_names("frozen", trace.interpreter.frozen),
        *_names("start", trace.interpreter.start),
    ]
    for run in trace.run:
        lines += ["", "[[run]]", f"name = {_text(run.name)}"]
        lines += _names("modules", run.modules)
    return "\n".join(lines) + "\n"


def _names(key: str, names: Sequence[str]) -> Iterable[str]:
    if not names:
        return [f"{key} = []"]
    text = ", ".join(_text(name) for name in names)
    wrapped = textwrap.wrap(text, 116, break_long_words=False, break_on_hyphens=False)
    return [f"{key} = [", *(f"  {line}" for line in wrapped), "]"]


def _text(text: str) -> str:
    return msgspec.json.encode(text).decode()
